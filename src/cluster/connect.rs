//! Which cluster, and as whom.

use anyhow::{Context as _, anyhow, bail};
use http::HeaderValue;
use http::header::USER_AGENT;
use http::uri::Scheme;
use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Until a TCP and TLS connection stands.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How the user says which cluster is meant.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Connection {
    /// A kubeconfig file; without it `KUBECONFIG`, `~/.kube/config`, or the pod's own service account.
    pub kubeconfig: Option<PathBuf>,
    /// A context of the kubeconfig; without it the current one.
    pub context: Option<String>,
}

/// A client, and what it talks to.
#[derive(Clone)]
pub struct Connected {
    /// Ready to use; nothing was sent yet.
    pub client: kube::Client,
    /// The API server's address, without credentials.
    pub server: String,
    /// Where that was found: `context "prod" of /home/me/.kube/config`.
    pub origin: String,
    /// The namespace that is meant where none is named: the context's, or the pod's own.
    pub namespace: String,
}

/// Finds the cluster and prepares a client. Asks the API server nothing: one that is down now may come up later.
///
/// Must be called within a tokio runtime.
pub async fn connect(connection: &Connection) -> anyhow::Result<Connected> {
    let (config, origin) = match locate(connection, &Surroundings::of_this_process())? {
        Place::Files(files) => from_files(&files, connection.context.as_deref()).await?,
        Place::InCluster => {
            let config = Config::incluster().context(
                "this looks like a pod, but its service account cannot be used; is automountServiceAccountToken false?",
            )?;
            (config, "the pod's service account".to_owned())
        }
    };
    let server = without_credentials(&config.cluster_url);
    let namespace = config.default_namespace.clone();
    let client = client(config).with_context(|| format!("cannot prepare a connection to {server} ({origin})"))?;
    Ok(Connected { client, server, origin, namespace })
}

/// A client with the timeouts and the name that podskew's watches need.
///
/// Must be called within a tokio runtime.
pub fn client(mut config: Config) -> anyhow::Result<kube::Client> {
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    // It would end every quiet watch; each wait has its own deadline instead.
    config.read_timeout = None;
    // kube's own retry hides a constant 503 for minutes; podskew counts and tells each.
    config.default_retry = false;
    let name = HeaderValue::from_static(concat!("podskew/", env!("CARGO_PKG_VERSION")));
    config.headers.push((USER_AGENT, name));
    if config.cluster_url.scheme() == Some(&Scheme::HTTP) {
        // Without any, kube reads all that the system trusts: hundreds of files, for nothing.
        config.root_cert.get_or_insert_default();
    }
    kube::Client::try_from(config).map_err(|error| match error {
        kube::Error::ProxyProtocolDisabled { proxy_url, .. } | kube::Error::ProxyProtocolUnsupported { proxy_url } => {
            anyhow!(
                "podskew cannot use the proxy {}; unset HTTPS_PROXY, or take proxy-url out of the kubeconfig",
                without_credentials(&proxy_url)
            )
        }
        // kube's own message quotes a credential plugin's arguments and output.
        kube::Error::Auth(error) => anyhow!(super::failure::credentials(&error)),
        error => anyhow!(error),
    })
}

/// What the process finds around itself.
struct Surroundings {
    /// `KUBECONFIG`.
    kubeconfig: Option<OsString>,
    home: Option<PathBuf>,
    /// Whether Kubernetes put the address of its API server into the environment, as it does for every container.
    in_cluster: bool,
}

impl Surroundings {
    fn of_this_process() -> Self {
        Self {
            kubeconfig: std::env::var_os("KUBECONFIG"),
            home: std::env::home_dir(),
            in_cluster: std::env::var_os("KUBERNETES_SERVICE_HOST").is_some(),
        }
    }
}

/// Where to read which cluster is meant.
#[derive(PartialEq, Eq, Debug)]
enum Place {
    /// Kubeconfig files; the first that says something wins.
    Files(Vec<PathBuf>),
    InCluster,
}

fn locate(connection: &Connection, around: &Surroundings) -> anyhow::Result<Place> {
    if let Some(file) = &connection.kubeconfig {
        return Ok(Place::Files(vec![file.clone()]));
    }
    let mut tried = Vec::new();
    // As kubectl does, files of KUBECONFIG that do not exist are passed over.
    let named: Vec<PathBuf> =
        around.kubeconfig.iter().flat_map(std::env::split_paths).filter(|path| !path.as_os_str().is_empty()).collect();
    let (found, missing): (Vec<PathBuf>, Vec<PathBuf>) = named.into_iter().partition(|path| path.exists());
    if !found.is_empty() {
        return Ok(Place::Files(found));
    }
    tried.push(if missing.is_empty() {
        "KUBECONFIG is not set".to_owned()
    } else {
        format!("KUBECONFIG names {}, which does not exist", list(missing.iter().map(|path| path.display())))
    });
    match around.home.as_ref().map(|home| home.join(".kube").join("config")) {
        // With KUBECONFIG set, kubectl does not look here.
        Some(file) if missing.is_empty() && file.exists() => return Ok(Place::Files(vec![file])),
        Some(file) if missing.is_empty() => tried.push(format!("{} does not exist", file.display())),
        Some(_) => {}
        None => tried.push("there is no home directory".to_owned()),
    }
    match (around.in_cluster, &connection.context) {
        (true, None) => Ok(Place::InCluster),
        (_, Some(context)) => {
            bail!("found no kubeconfig for context \"{context}\" ({}); name one with --kubeconfig", tried.join("; "))
        }
        (false, None) => bail!(
            "found no cluster to connect to ({}; this is no pod of a cluster); name a kubeconfig with --kubeconfig, or try \
             podskew demo, which needs no cluster",
            tried.join("; ")
        ),
    }
}

async fn from_files(files: &[PathBuf], context: Option<&str>) -> anyhow::Result<(Config, String)> {
    let names = list(files.iter().map(|file| file.display()));
    let mut kubeconfig = Kubeconfig::default();
    for file in files {
        kubeconfig = kubeconfig.merge(read(file)?).with_context(|| format!("cannot merge {names}"))?;
    }
    let context = choose_context(&kubeconfig, context, &names)?;
    let origin = format!("context \"{context}\" of {names}");
    let options = KubeConfigOptions { context: Some(context), ..KubeConfigOptions::default() };
    let config = Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .with_context(|| format!("{origin} cannot be used"))?;
    Ok((config, origin))
}

fn read(file: &Path) -> anyhow::Result<Kubeconfig> {
    Kubeconfig::read_from(file).map_err(|error| match error {
        KubeconfigError::ReadConfig(error, _) => anyhow!("cannot read the kubeconfig {}: {error}", file.display()),
        // The parser's message may quote the lines around the fault, and those may hold a token.
        KubeconfigError::Parse(_) => anyhow!(
            "{} is no kubeconfig: it is not the YAML that kubectl writes; kubectl config view --kubeconfig {} says where",
            file.display(),
            file.display()
        ),
        error => anyhow!(error).context(format!("cannot use the kubeconfig {}", file.display())),
    })
}

fn choose_context(kubeconfig: &Kubeconfig, wanted: Option<&str>, names: &str) -> anyhow::Result<String> {
    let there_are = || {
        if kubeconfig.contexts.is_empty() {
            "there is none".to_owned()
        } else {
            format!("there are: {}", list(kubeconfig.contexts.iter().map(|context| &context.name)))
        }
    };
    let (wanted, said_by) = match (wanted, kubeconfig.current_context.as_deref()) {
        (Some(wanted), _) => (wanted, "--context"),
        (None, Some(current)) if !current.is_empty() => (current, "current-context"),
        (None, _) => bail!("{names} has no current-context; choose one with --context ({})", there_are()),
    };
    if !kubeconfig.contexts.iter().any(|context| context.name == wanted) {
        bail!(
            "{names} has no context \"{wanted}\", which {said_by} names; choose another with --context ({})",
            there_are()
        );
    }
    Ok(wanted.to_owned())
}

fn without_credentials(uri: &http::Uri) -> String {
    let host = uri.authority().map_or("", |authority| {
        let text = authority.as_str();
        text.rsplit_once('@').map_or(text, |(_, host)| host)
    });
    format!("{}://{host}{}", uri.scheme_str().unwrap_or("https"), uri.path())
}

fn list<T: std::fmt::Display>(items: impl Iterator<Item = T>) -> String {
    items.map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"{
        "current-context": "gone",
        "clusters": [{"name": "c", "cluster": {"server": "https://user:s3cr3t@example.org:6443/k8s"}}],
        "contexts": [
            {"name": "prod", "context": {"cluster": "c", "user": "u"}},
            {"name": "test", "context": {"cluster": "missing", "user": "u"}}
        ],
        "users": [{"name": "u", "user": {"token": "s3cr3t"}}]
    }"#;

    fn around(kubeconfig: Option<&str>, home: Option<&Path>, in_cluster: bool) -> Surroundings {
        Surroundings { kubeconfig: kubeconfig.map(Into::into), home: home.map(Into::into), in_cluster }
    }

    fn located(connection: &Connection, around: &Surroundings) -> Result<Place, String> {
        locate(connection, around).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn whichever_exists_is_taken() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join(".kube/config");
        std::fs::create_dir(home.path().join(".kube")).unwrap();
        std::fs::write(&file, CONFIG).unwrap();
        let other = home.path().join("other");
        std::fs::write(&other, CONFIG).unwrap();
        let none = Connection::default();
        let two = format!("/nowhere:{}", other.display());

        assert_eq!(located(&none, &around(None, Some(home.path()), true)), Ok(Place::Files(vec![file.clone()])));
        assert_eq!(located(&none, &around(Some(&two), Some(home.path()), true)), Ok(Place::Files(vec![other])));
        assert_eq!(located(&none, &around(Some("/nowhere"), Some(home.path()), true)), Ok(Place::InCluster));
        assert_eq!(located(&none, &around(None, None, true)), Ok(Place::InCluster));
        let named = Connection { kubeconfig: Some("/named".into()), context: None };
        let place = located(&named, &around(Some(&two), Some(home.path()), true));
        assert_eq!(place, Ok(Place::Files(vec!["/named".into()])));
    }

    #[test]
    fn nothing_to_connect_to_says_what_was_tried() {
        let error = located(&Connection::default(), &around(Some("/nowhere"), None, false)).unwrap_err();
        assert!(error.contains("/nowhere, which does not exist"), "{error}");
        assert!(error.contains("--kubeconfig"), "{error}");
        let context = Connection { kubeconfig: None, context: Some("prod".to_owned()) };
        let error = located(&context, &around(None, None, true)).unwrap_err();
        assert!(error.contains("context \"prod\""), "{error}");
    }

    async fn connected(text: &str, context: Option<&str>) -> Result<Connected, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let connection = Connection { kubeconfig: Some(file.path().to_owned()), context: context.map(str::to_owned) };
        connect(&connection).await.map_err(|error| {
            let error = format!("{error:#}");
            assert!(error.contains(&file.path().display().to_string()), "names no file: {error}");
            assert!(!error.contains("s3cr3t"), "{error}");
            error
        })
    }

    #[tokio::test]
    async fn a_context_is_found_or_the_others_are_named() {
        let prod = connected(CONFIG, Some("prod")).await.map(|connected| connected.server);
        assert_eq!(prod.as_deref(), Ok("https://example.org:6443/k8s"));
        let current = connected(CONFIG, None).await.map(|_| ()).unwrap_err();
        assert!(current.contains("no context \"gone\", which current-context names"), "{current}");
        assert!(current.contains("there are: prod, test"), "{current}");
        let cluster = connected(CONFIG, Some("test")).await.map(|_| ()).unwrap_err();
        assert!(cluster.contains("context \"test\"") && cluster.contains("missing"), "{cluster}");
    }

    #[tokio::test]
    async fn a_file_that_is_no_kubeconfig_is_not_quoted() {
        let error = connected("users: [{user: {token: s3cr3t}", None).await.map(|_| ()).unwrap_err();
        assert!(error.contains("no kubeconfig"), "{error}");
    }

    #[tokio::test]
    async fn a_credential_plugin_that_fails_is_named_without_its_output() {
        let plugin = CONFIG.replace(
            r#""token": "s3cr3t""#,
            r#""exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "interactiveMode": "Never",
                "args": ["-c", "echo s3cr3t; exit 3"]}"#,
        );
        let error = connected(&plugin, Some("prod")).await.map(|_| ()).unwrap_err();
        assert!(error.contains("credential plugin"), "{error}");
    }
}
