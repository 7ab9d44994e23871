//! Access control for the HTTP server: TLS, client certificates, passwords, a rate limit, and bearer tokens that the API server
//! reviews.
//!
//! ```text
//!  connection ──▶ AccessControl::tls ──▶ request ──▶ AccessControl::check ──▶ rate, certificate, password or token
//! ```
//!
//! Without `--web-config-file` and `--auth` there is no [`AccessControl`], and none of this code runs. `document` and `settings`
//! parse the file, `tls` and `certificates` configure rustls, `reload` follows changes, `passwords` and `rate` enforce the rest.
//! `reviews` asks the API server.

mod certificates;
mod document;
mod duration;
mod passwords;
mod pem;
mod rate;
mod recent;
mod reload;
mod reviews;
mod settings;
mod tls;

pub use document::FileError;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use passwords::{PasswordCheck, Passwords};
use reload::{ActiveConfig, ConfigFile};
use reviews::Reviews;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_rustls::TlsAcceptor;

/// The access control options of `serve`.
#[derive(Clone, Default, Debug)]
pub struct AccessConfig {
    /// Path of the web configuration file.
    pub web_config_file: Option<PathBuf>,
    /// Whether the API server reviews bearer tokens.
    pub token_reviews: bool,
    /// A token must be for one of these audiences; for the API server's if the list is empty.
    pub audiences: Vec<String>,
}

/// An unusable web configuration file.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the web configuration file {}: {refusal}", file.display())]
pub struct ConfigError {
    file: PathBuf,
    refusal: FileError,
}

/// Decides which requests are answered.
pub struct AccessControl {
    file: Option<ConfigFile>,
    passwords: Passwords,
    audiences: Option<Vec<String>>,
    reviews: Option<Arc<Reviews>>,
}

/// The facts about a request that decide on access.
pub struct AccessRequest<'a> {
    /// Header fields of the request.
    pub headers: &'a HeaderMap,
    /// Route pattern that the path matches.
    pub route: &'static str,
    /// Whether the connection has a verified client certificate.
    pub has_certificate: bool,
}

/// The answer to a request that is denied.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rejection {
    /// HTTP status code.
    pub status: StatusCode,
    /// One sentence for the body.
    pub message: &'static str,
    /// Value of `WWW-Authenticate`.
    pub challenge: Option<&'static str>,
    /// Value of `Retry-After`.
    pub retry_after: Option<Duration>,
}

impl AccessControl {
    /// Loads the configuration; `None` if access is not restricted.
    ///
    /// # Errors
    ///
    /// The file is unusable, or the system has no random numbers.
    pub fn open(config: &AccessConfig) -> anyhow::Result<Option<Self>> {
        if config.web_config_file.is_none() && !config.token_reviews {
            return Ok(None);
        }
        let open = |path: &Path| {
            let file = PathBuf::from(path);
            ConfigFile::open(path, config.token_reviews).map_err(|refusal| ConfigError { file, refusal })
        };
        let file = config.web_config_file.as_deref().map(open).transpose()?;
        let passwords = Passwords::new().map_err(|_| anyhow::anyhow!("the system has no random numbers"))?;
        let audiences = config.token_reviews.then(|| config.audiences.clone());
        let control = Self { file, passwords, audiences, reviews: None };
        if control.sends_passwords_in_the_clear() {
            tracing::warn!(
                "passwords travel unencrypted: the web configuration file has users and no tls_server_config"
            );
        }
        Ok(Some(control))
    }

    /// Sets the API server that reviews tokens. It has no effect without `token_reviews`.
    pub fn review_with(&mut self, client: &kube::Client) {
        self.reviews = self.audiences.clone().map(|audiences| Arc::new(Reviews::new(client.clone(), audiences)));
    }

    /// The TLS acceptor for a new connection; `None` for plain HTTP.
    #[must_use]
    pub fn tls(&self) -> Option<TlsAcceptor> {
        self.file.as_ref()?.state().tls.clone()
    }

    /// Whether clients must authenticate: by a token, a password, or a client certificate that is verified.
    #[must_use]
    pub fn authenticates(&self) -> bool {
        self.audiences.is_some() || self.file.as_ref().is_some_and(|file| file.state().authenticates)
    }

    /// Adds the configured headers to a response.
    pub fn add_headers(&self, headers: &mut HeaderMap) {
        let Some(file) = &self.file else { return };
        for (name, value) in &file.state().headers {
            headers.insert(name, value.clone());
        }
    }

    /// Checks a request. This may wait for a password's verification or for the API server.
    ///
    /// # Errors
    ///
    /// The request is denied.
    pub async fn check(&self, asked: &AccessRequest<'_>) -> Result<(), Rejection> {
        if let Some(file) = &self.file {
            self.check_file(&file.state(), asked).await?;
        }
        if self.audiences.is_none() {
            return Ok(());
        }
        // Without a reviewer, every request is denied.
        let Some(reviews) = &self.reviews else { return Err(reviews::undecided()) };
        reviews.check(credentials(asked.headers, "Bearer"), asked.route).await
    }

    async fn check_file(&self, state: &ActiveConfig, asked: &AccessRequest<'_>) -> Result<(), Rejection> {
        if let Some(Err(wait)) = state.rate.as_ref().map(|bucket| bucket.take(Instant::now())) {
            return Err(busy("too many requests", wait));
        }
        if state.needs_certificate && !asked.has_certificate {
            return Err(Rejection::new(StatusCode::FORBIDDEN, "a client certificate is needed"));
        }
        if state.users.is_empty() {
            return Ok(());
        }
        let verdict = match credentials(asked.headers, "Basic") {
            Some(credentials) => self.passwords.judge(&state.users, credentials).await,
            None => PasswordCheck::Wrong,
        };
        match verdict {
            PasswordCheck::Right => Ok(()),
            PasswordCheck::Wrong => Err(Rejection {
                challenge: Some("Basic realm=\"podskew\", charset=\"UTF-8\""),
                ..Rejection::new(StatusCode::UNAUTHORIZED, "a user and the right password are needed")
            }),
            PasswordCheck::Busy => Err(busy("too many passwords wait to be verified", Duration::from_secs(1))),
        }
    }

    fn sends_passwords_in_the_clear(&self) -> bool {
        self.file.as_ref().is_some_and(|file| {
            let state = file.state();
            state.tls.is_none() && !state.users.is_empty()
        })
    }

    /// The web configuration file, if one is configured.
    fn file(&self) -> Option<&ConfigFile> {
        self.file.as_ref()
    }
}

impl Rejection {
    fn new(status: StatusCode, message: &'static str) -> Self {
        Self { status, message, challenge: None, retry_after: None }
    }
}

fn busy(message: &'static str, wait: Duration) -> Rejection {
    Rejection { retry_after: Some(wait), ..Rejection::new(StatusCode::TOO_MANY_REQUESTS, message) }
}

/// The credentials of the one `Authorization` header if it has this scheme. Two such headers are ambiguous and count as none.
fn credentials<'a>(headers: &'a HeaderMap, scheme: &str) -> Option<&'a str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (found, credentials) = value.to_str().ok()?.split_once(' ')?;
    found.eq_ignore_ascii_case(scheme).then(|| credentials.trim_start_matches(' '))
}

/// A header's name and value.
type Header = (HeaderName, HeaderValue);
