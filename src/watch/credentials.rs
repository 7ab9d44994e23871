//! Credentials: the `Authorization` header of each request.
//!
//! kube's own layer panics if a token is not a valid header value, such as one with a line break. It also reads a token
//! file without a size limit. So tokens do not go through it.

use super::bounded_file::read_file;
use super::credential_error::CredentialError;
use super::exec;
use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::future::BoxFuture;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request};
use jiff::{SignedDuration, Timestamp};
use kube::client::Body;
use kube::config::{AuthInfo, ExecConfig};
use secrecy::ExposeSecret as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tower::BoxError;
use tower::filter::AsyncPredicate;

/// Maximum size; a token takes a few KiB.
const LONGEST_TOKEN: u64 = 1 << 20;

/// Age after which a token file is read again. The kubelet writes a new token long before the old one expires.
const FILE_AGE: Duration = Duration::from_secs(50);

/// A plugin runs again this long before its token expires.
const EXPIRY_MARGIN: SignedDuration = SignedDuration::from_secs(60);

/// Maximum number of impersonation headers; a header map holds at most 32 768 and panics beyond.
const MOST_IMPERSONATION_HEADERS: usize = 1000;

/// Source of the header.
#[derive(Clone)]
pub(super) enum Credentials {
    /// No header: a client certificate, or anonymous.
    None,
    Fixed(HeaderValue),
    Renewed(Arc<Mutex<RenewedHeader>>),
}

/// A header that expires.
pub(super) struct RenewedHeader {
    source: TokenSource,
    header: HeaderValue,
    renewal: Renewal,
}

enum TokenSource {
    File(PathBuf),
    Plugin(Box<ExecConfig>),
}

#[derive(Clone, Copy)]
enum Renewal {
    At(Instant),
    Expiry(Timestamp),
}

impl Credentials {
    /// Takes the credentials that become a header out of `user`, and runs its plugin if it has one. Client certificates
    /// (also the plugin's) and impersonation stay in `user` for the connection.
    pub(super) async fn take(user: &mut AuthInfo) -> anyhow::Result<Self> {
        check_impersonation(user)?;
        let (name, password) = (user.username.take(), user.password.take());
        let (token, file, plugin) = (user.token.take(), user.token_file.take(), user.exec.take());
        if let Some(provider) = user.auth_provider.take() {
            return from_provider(&provider.name, provider.config.get("id-token").map(String::as_str));
        }
        if let (Some(name), Some(password)) = (name, password) {
            let pair = STANDARD.encode(format!("{name}:{}", password.expose_secret()));
            return Ok(Self::Fixed(header("Basic", &pair, "the password in the kubeconfig")?));
        }
        if let Some(token) = token.filter(|token| !token.expose_secret().trim().is_empty()) {
            return Ok(Self::Fixed(header("Bearer", token.expose_secret(), "the token in the kubeconfig")?));
        }
        if let Some(file) = file.filter(|file| !file.is_empty()) {
            return Self::of_file(PathBuf::from(file)).await;
        }
        match plugin {
            Some(plugin) => Self::of_plugin(plugin, user).await,
            None => Ok(Self::None),
        }
    }

    async fn of_file(file: PathBuf) -> anyhow::Result<Self> {
        let header = read_token(&file).await?;
        let renewal = Renewal::At(Instant::now() + FILE_AGE);
        Ok(Self::Renewed(Arc::new(Mutex::new(RenewedHeader { source: TokenSource::File(file), header, renewal }))))
    }

    async fn of_plugin(plugin: ExecConfig, user: &mut AuthInfo) -> anyhow::Result<Self> {
        let printed = exec::run(&plugin).await?;
        if let (Some(certificate), Some(key)) = (&printed.certificate, &printed.key) {
            user.client_certificate_data = Some(STANDARD.encode(certificate));
            user.client_key_data = Some(STANDARD.encode(key).into());
        }
        let Some(token) = printed.token else { return Ok(Self::None) };
        let header = plugin_header(&token)?;
        Ok(match printed.expires {
            None => Self::Fixed(header),
            Some(expires) => {
                let (source, renewal) = (TokenSource::Plugin(Box::new(plugin)), Renewal::Expiry(expires));
                Self::Renewed(Arc::new(Mutex::new(RenewedHeader { source, header, renewal })))
            }
        })
    }

    async fn header(&self) -> Result<Option<HeaderValue>, CredentialError> {
        match self {
            Self::None => Ok(None),
            Self::Fixed(header) => Ok(Some(header.clone())),
            Self::Renewed(renewed) => renewed.lock().await.header().await.map(Some),
        }
    }
}

/// kube calls this before each request.
impl AsyncPredicate<Request<Body>> for Credentials {
    type Future = BoxFuture<'static, Result<Request<Body>, BoxError>>;
    type Request = Request<Body>;

    fn check(&mut self, mut request: Request<Body>) -> Self::Future {
        let credentials = self.clone();
        Box::pin(async move {
            if let Some(header) = credentials.header().await? {
                request.headers_mut().insert(AUTHORIZATION, header);
            }
            Ok(request)
        })
    }
}

impl RenewedHeader {
    async fn header(&mut self) -> Result<HeaderValue, CredentialError> {
        let is_due = match self.renewal {
            Renewal::At(at) => Instant::now() >= at,
            Renewal::Expiry(expires) => expires.duration_since(Timestamp::now()) <= EXPIRY_MARGIN,
        };
        if is_due {
            self.renew().await?;
        }
        Ok(self.header.clone())
    }

    async fn renew(&mut self) -> Result<(), CredentialError> {
        match &self.source {
            TokenSource::File(file) => {
                // Like client-go: keep the last token if the file is gone.
                if let Ok(header) = read_token(file).await {
                    self.header = header;
                }
                self.renewal = Renewal::At(Instant::now() + FILE_AGE);
            }
            TokenSource::Plugin(plugin) => {
                let printed = exec::run(plugin).await?;
                let (Some(token), Some(expires)) = (printed.token, printed.expires) else {
                    return Err(CredentialError::new(
                        "the credential plugin of the kubeconfig printed a token that expires, and then none"
                            .to_owned(),
                    ));
                };
                self.header = plugin_header(&token)?;
                self.renewal = Renewal::Expiry(expires);
            }
        }
        Ok(())
    }
}

async fn read_token(file: &std::path::Path) -> Result<HeaderValue, CredentialError> {
    let fail = |what: String| CredentialError::new(format!("the token file {} {what}", file.display()));
    let bytes = read_file(file, LONGEST_TOKEN).await.map_err(|error| fail(format!("cannot be read: {error}")))?;
    let token = String::from_utf8(bytes).map_err(|_| fail("is not UTF-8".to_owned()))?;
    if token.trim().is_empty() {
        return Err(fail("is empty".to_owned()));
    }
    header("Bearer", &token, &format!("the token in {}", file.display()))
}

fn plugin_header(token: &str) -> Result<HeaderValue, CredentialError> {
    header("Bearer", token, "the token that the kubeconfig's credential plugin printed")
}

/// A value of `Authorization`. White space around a token is not part of it: editors, `echo` and YAML blocks end with a
/// newline.
fn header(scheme: &str, secret: &str, named: &str) -> Result<HeaderValue, CredentialError> {
    let mut header = HeaderValue::try_from(format!("{scheme} {}", secret.trim())).map_err(|_| {
        CredentialError::new(format!(
            "{named} contains a line break or another character that no HTTP header may contain; write it on one line"
        ))
    })?;
    header.set_sensitive(true);
    Ok(header)
}

/// Errors for the auth providers that kubectl had built in before 1.26.
fn from_provider(name: &str, id_token: Option<&str>) -> anyhow::Result<Credentials> {
    let plugin = match (name, id_token) {
        ("oidc", Some(token)) => {
            return Ok(Credentials::Fixed(header("Bearer", token, "the id-token in the kubeconfig")?));
        }
        ("oidc", None) => {
            bail!("the user's auth-provider oidc in the kubeconfig has no id-token; log in again with kubectl")
        }
        ("gcp", _) => "gke-gcloud-auth-plugin, which gcloud container clusters get-credentials puts there",
        ("azure", _) => "kubelogin, which kubelogin convert-kubeconfig puts there",
        _ => "a credential plugin (exec)",
    };
    bail!(
        "the user's auth-provider {name} in the kubeconfig is not supported by podskew, and no longer by kubectl; use {plugin}"
    )
}

/// Validates what kube turns into headers.
fn check_impersonation(user: &AuthInfo) -> anyhow::Result<()> {
    let check = |field: &str, value: &str| {
        HeaderValue::from_str(value).map(|_| ()).with_context(|| {
            format!("the user's {field} in the kubeconfig contains a character that no HTTP header may contain")
        })
    };
    let mut count = 0;
    let single = [("as", &user.impersonate), ("as-uid", &user.impersonate_uid)];
    let single = single.into_iter().filter_map(|(field, value)| Some((field, value.as_deref()?)));
    let groups = user.impersonate_groups.iter().flatten().map(|group| ("as-groups", group.as_str()));
    let extra = user.impersonate_user_extra.iter().flatten();
    let extra = extra.flat_map(|(_, values)| values.iter().map(|value| ("as-user-extra", value.as_str())));
    for (field, value) in single.chain(groups).chain(extra) {
        check(field, value)?;
        count += 1;
    }
    if count > MOST_IMPERSONATION_HEADERS {
        bail!(
            "the user in the kubeconfig impersonates with {count} headers, but at most {MOST_IMPERSONATION_HEADERS} are possible; \
             shorten as-groups or as-user-extra"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn taken(user: &str) -> Result<Option<String>, String> {
        let mut user: AuthInfo = serde_saphyr::from_str(user).unwrap();
        let credentials = Credentials::take(&mut user).await.map_err(|error| format!("{error:#}"))?;
        let header = credentials.header().await.map_err(|error| error.to_string())?;
        Ok(header.map(|header| {
            assert!(header.is_sensitive());
            header.to_str().unwrap().to_owned()
        }))
    }

    #[tokio::test]
    async fn white_space_around_a_token_is_removed() {
        let bearer = Ok(Some("Bearer t0ken".to_owned()));
        for user in [
            "{token: t0ken}",
            "token: |\n  t0ken\n",
            "{token: \" t0ken\\r\\n\"}",
            "{auth-provider: {name: oidc, config: {id-token: \"t0ken\\n\"}}}",
        ] {
            assert_eq!(taken(user).await, bearer, "{user}");
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "t0ken\n\n").unwrap();
        assert_eq!(taken(&format!("tokenFile: {}", file.path().display())).await, bearer);
        assert_eq!(taken(&plugin("printf '{status: {token: \"t0ken\\\\n\"}}'")).await, bearer);
        assert_eq!(taken("{token: \"\"}").await, Ok(None));
        assert_eq!(taken("{}").await, Ok(None));
        assert_eq!(taken("{username: u, password: \"p\\n\"}").await, Ok(Some("Basic dTpwCg==".to_owned())));
    }

    fn plugin(script: &str) -> String {
        serde_json::json!({"exec": {"command": "sh", "args": ["-c", script], "interactiveMode": "Never"}}).to_string()
    }

    #[tokio::test]
    async fn characters_invalid_in_a_header_are_refused_and_not_quoted() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "s3cr3t\ns3cr3t").unwrap();
        let empty = tempfile::NamedTempFile::new().unwrap();
        let many = vec!["group"; 2000].join(",");
        for (user, expected) in [
            ("{token: \"s3cr3t\\ns3cr3t\"}".to_owned(), "the token in the kubeconfig contains a line break"),
            ("{token: \"s3cr3t\\0\"}".to_owned(), "the token in the kubeconfig"),
            (format!("tokenFile: {}", file.path().display()), "the token in /"),
            (format!("tokenFile: {}", empty.path().display()), "is empty"),
            ("tokenFile: /dev/zero".to_owned(), "the token file /dev/zero cannot be read"),
            ("tokenFile: /nowhere".to_owned(), "the token file /nowhere cannot be read"),
            (plugin("printf '{status: {token: \"s3cr3t\\\\ns3cr3t\"}}'"), "credential plugin printed"),
            (
                plugin("printf '{status: {token: \"s3cr3t\\\\n.\", expirationTimestamp: \"2999-01-01T00:00:00Z\"}}'"),
                "credential plugin printed",
            ),
            (plugin("echo s3cr3t; exit 3"), "the credential plugin sh of the kubeconfig failed with exit status: 3"),
            (plugin("cat /dev/zero"), "prints more than 1024 KiB"),
            ("{exec: {command: /nowhere/s}}".to_owned(), "cannot be run: No such file"),
            ("{exec: {}}".to_owned(), "has no command"),
            ("{as: \"me\\n\"}".to_owned(), "the user's as "),
            ("{as: me, as-groups: [ok, \"s3cr3t\\r\\nX: y\"]}".to_owned(), "as-groups"),
            ("{as: me, as-user-extra: {k: [\"\\u0001\"]}}".to_owned(), "as-user-extra"),
            (format!("{{as: me, as-groups: [{many}]}}"), "2001 headers"),
            ("{auth-provider: {name: gcp, config: {}}}".to_owned(), "gke-gcloud-auth-plugin"),
            ("{auth-provider: {name: azure, config: {}}}".to_owned(), "kubelogin"),
            ("{auth-provider: {name: oidc, config: {}}}".to_owned(), "log in again"),
        ] {
            let error = taken(&user).await.expect_err(&user);
            assert!(error.contains(expected), "{user}: {error}");
            assert!(!error.contains("s3cr3t"), "{user}: {error}");
        }
    }

    #[tokio::test]
    async fn a_token_file_is_read_again_and_one_that_is_gone_leaves_the_last_token() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "one").unwrap();
        let credentials = Credentials::of_file(file.path().to_owned()).await.unwrap();
        let Credentials::Renewed(renewed) = &credentials else { panic!("a file's token is renewed") };
        for (text, expected) in
            [("two", "Bearer two"), ("", "Bearer two"), ("bro\nken", "Bearer two"), ("three", "Bearer three")]
        {
            std::fs::write(file.path(), text).unwrap();
            renewed.lock().await.renewal = Renewal::At(Instant::now());
            assert_eq!(credentials.header().await.unwrap().unwrap().to_str().unwrap(), expected, "{text:?}");
        }
    }

    #[tokio::test]
    async fn a_plugin_is_asked_again_shortly_before_its_token_expires() {
        let counter = tempfile::NamedTempFile::new().unwrap();
        let script = |seconds: i64| {
            let expires = Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
            let count = counter.path().display();
            format!(
                "echo x >> {count}; echo \"{{status: {{token: t$(wc -l < {count} | tr -d ' '), expirationTimestamp: '{expires}'}}}}\""
            )
        };
        assert_eq!(taken(&plugin(&script(30))).await, Ok(Some("Bearer t2".to_owned())));
        assert_eq!(taken(&plugin(&script(3600))).await, Ok(Some("Bearer t3".to_owned())));
    }

    #[tokio::test]
    async fn a_plugins_certificate_becomes_the_connections() {
        let mut user: AuthInfo =
            serde_saphyr::from_str(&plugin("echo '{status: {clientCertificateData: c, clientKeyData: k}}'")).unwrap();
        assert!(matches!(Credentials::take(&mut user).await.unwrap(), Credentials::None));
        assert_eq!(user.client_certificate_data.as_deref(), Some("Yw=="));
        assert_eq!(user.client_key_data.unwrap().expose_secret(), "aw==");
    }
}
