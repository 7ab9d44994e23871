//! Access control for everything that is served: TLS, client certificates, passwords, a rate limit, and bearer tokens that the
//! API server judges.
//!
//! ```text
//!  connection ──▶ AccessControl::tls ──▶ request ──▶ AccessControl::check ──▶ rate, certificate, password or token
//! ```
//!
//! Without `--web-config-file` and `--auth` there is no [`AccessControl`], and nothing of this room runs. `settings` reads
//! the file as a `document`, `tls` and `certificates` make of it what rustls needs, `reload` follows its changes,
//! `passwords` and `rate` keep it; `reviews` asks the API server.

mod certificates;
mod document;
mod duration;
mod passwords;
mod rate;
mod recent;
mod reload;
mod reviews;
mod settings;
mod tls;

pub use document::Refusal;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use passwords::{Passwords, Verdict};
use reload::{File, State};
use reviews::Reviews;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_rustls::TlsAcceptor;

/// Which access control is asked for.
#[derive(Clone, Default, Debug)]
pub struct AccessConfig {
    /// The web configuration file.
    pub web_config_file: Option<PathBuf>,
    /// Whether the API server judges bearer tokens.
    pub token_reviews: bool,
    /// The audiences one of which a token must be for; those of the API server, if there are none.
    pub audiences: Vec<String>,
}

/// A web configuration file that podskew cannot use.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the web configuration file {}: {refusal}", file.display())]
pub struct ConfigError {
    file: PathBuf,
    refusal: Refusal,
}

/// Decides who may ask.
pub struct AccessControl {
    file: Option<File>,
    passwords: Passwords,
    audiences: Option<Vec<String>>,
    reviews: Option<Arc<Reviews>>,
}

/// What is known of a request.
pub struct Asked<'a> {
    /// Its header.
    pub headers: &'a HeaderMap,
    /// The pattern that its path matches.
    pub route: &'static str,
    /// Whether a client certificate was presented, and found good.
    pub has_certificate: bool,
}

/// Why a request is not answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Denial {
    /// The status to answer with.
    pub status: StatusCode,
    /// What to say.
    pub message: &'static str,
    /// What to ask for, in `WWW-Authenticate`.
    pub challenge: Option<&'static str>,
    /// When to come back.
    pub retry_after: Option<Duration>,
}

impl AccessControl {
    /// `None` where everybody may ask.
    ///
    /// # Errors
    ///
    /// The file cannot be used, or the system has no randomness.
    pub fn open(config: &AccessConfig) -> anyhow::Result<Option<Self>> {
        if config.web_config_file.is_none() && !config.token_reviews {
            return Ok(None);
        }
        let open = |path: &Path| {
            let file = PathBuf::from(path);
            File::open(path, config.token_reviews).map_err(|refusal| ConfigError { file, refusal })
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

    /// Has the API server behind `client` judge tokens, if that was asked for. Must be called within a tokio runtime.
    pub fn review_with(&mut self, client: &kube::Client) {
        self.reviews = self.audiences.clone().map(|audiences| Arc::new(Reviews::new(client.clone(), audiences)));
    }

    /// What makes a connection a TLS connection; `None` where HTTP is plain.
    #[must_use]
    pub fn tls(&self) -> Option<TlsAcceptor> {
        self.file.as_ref()?.state().tls.clone()
    }

    /// Adds the headers that the file names to an answer.
    pub fn add_headers(&self, headers: &mut HeaderMap) {
        let Some(file) = &self.file else { return };
        for (name, value) in &file.state().headers {
            headers.insert(name, value.clone());
        }
    }

    /// Lets a request in, or says why not. Waits for a password to be verified, or for the API server.
    ///
    /// # Errors
    ///
    /// The request must not be answered.
    pub async fn check(&self, asked: &Asked<'_>) -> Result<(), Denial> {
        if let Some(file) = &self.file {
            self.check_file(&file.state(), asked).await?;
        }
        if self.audiences.is_none() {
            return Ok(());
        }
        // Nobody is let in before it is known whom to ask.
        let Some(reviews) = &self.reviews else { return Err(reviews::undecided()) };
        reviews.check(credentials(asked.headers, "Bearer"), asked.route).await
    }

    async fn check_file(&self, state: &State, asked: &Asked<'_>) -> Result<(), Denial> {
        if let Some(Err(wait)) = state.rate.as_ref().map(|bucket| bucket.take(Instant::now())) {
            return Err(busy("too many requests", wait));
        }
        if state.needs_certificate && !asked.has_certificate {
            return Err(Denial::new(StatusCode::FORBIDDEN, "a client certificate is needed"));
        }
        if state.users.is_empty() {
            return Ok(());
        }
        let verdict = match credentials(asked.headers, "Basic") {
            Some(credentials) => self.passwords.judge(&state.users, credentials).await,
            None => Verdict::Wrong,
        };
        match verdict {
            Verdict::Right => Ok(()),
            Verdict::Wrong => Err(Denial {
                challenge: Some("Basic realm=\"podskew\", charset=\"UTF-8\""),
                ..Denial::new(StatusCode::UNAUTHORIZED, "a user and the right password are needed")
            }),
            Verdict::Busy => Err(busy("too many passwords wait to be verified", Duration::from_secs(1))),
        }
    }

    fn sends_passwords_in_the_clear(&self) -> bool {
        self.file.as_ref().is_some_and(|file| {
            let state = file.state();
            state.tls.is_none() && !state.users.is_empty()
        })
    }

    /// The web configuration file, if there is one.
    fn file(&self) -> Option<&File> {
        self.file.as_ref()
    }
}

impl Denial {
    fn new(status: StatusCode, message: &'static str) -> Self {
        Self { status, message, challenge: None, retry_after: None }
    }
}

fn busy(message: &'static str, wait: Duration) -> Denial {
    Denial { retry_after: Some(wait), ..Denial::new(StatusCode::TOO_MANY_REQUESTS, message) }
}

/// What stands behind `scheme` in the one `Authorization` header; two of them could mean two things.
fn credentials<'a>(headers: &'a HeaderMap, scheme: &str) -> Option<&'a str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (found, credentials) = value.to_str().ok()?.split_once(' ')?;
    found.eq_ignore_ascii_case(scheme).then(|| credentials.trim_start_matches(' '))
}

/// A header, and its value.
type Header = (HeaderName, HeaderValue);
