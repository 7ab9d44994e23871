//! The web configuration in force, and its reload.

use super::document::FileError;
use super::passwords::Users;
use super::pem::Files;
use super::rate::TokenBucket;
use super::settings::WebConfig;
use super::tls;
use super::{AccessControl, Header};
use crate::telemetry::WebConfigHealth;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio_rustls::TlsAcceptor;

/// Interval between two readings of the files. A change counts once two readings agree: a certificate and its key may be
/// replaced one after the other.
const INTERVAL: Duration = Duration::from_secs(1);

/// Size limit of a configuration, certificate or key file.
const LONGEST: u64 = 4 << 20;

/// The configuration in force.
pub(super) struct ActiveConfig {
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) needs_certificate: bool,
    /// Whether clients must authenticate.
    pub(super) authenticates: bool,
    pub(super) headers: Vec<Header>,
    pub(super) users: Users,
    pub(super) rate: Option<Arc<TokenBucket>>,
}

/// The file and the configuration in force.
pub(super) struct ConfigFile {
    path: PathBuf,
    with_token_reviews: bool,
    state: RwLock<Arc<ActiveConfig>>,
    /// Digest of the files at the start.
    seen: ring::digest::Digest,
}

impl ConfigFile {
    pub(super) fn open(path: &Path, with_token_reviews: bool) -> Result<Self, FileError> {
        let contents = FileContents::read(path);
        let state = contents.state(with_token_reviews, None)?;
        let seen = contents.digest();
        Ok(Self { path: path.to_owned(), with_token_reviews, state: RwLock::new(Arc::new(state)), seen })
    }

    pub(super) fn state(&self) -> Arc<ActiveConfig> {
        Arc::clone(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn load(&self, contents: &FileContents) -> Result<(), FileError> {
        let state = contents.state(self.with_token_reviews, Some(&self.state()))?;
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(state);
        Ok(())
    }
}

impl AccessControl {
    /// Reloads the web configuration whenever the file or a file it names changes, for as long as this future is polled. An
    /// unusable change leaves the previous configuration in force.
    pub async fn follow_changes(&self, health: WebConfigHealth) {
        let Some(file) = self.file() else { return std::future::pending().await };
        let (mut tried, mut before) = (file.seen, file.seen);
        loop {
            tokio::time::sleep(INTERVAL).await;
            let path = file.path.clone();
            let Ok(contents) = tokio::task::spawn_blocking(move || FileContents::read(&path)).await else { continue };
            let now = contents.digest();
            let is_settled = now.as_ref() == before.as_ref();
            before = now;
            if !is_settled || now.as_ref() == tried.as_ref() {
                continue;
            }
            tried = now;
            let loaded = file.load(&contents);
            health.reloaded(loaded.is_ok());
            match loaded {
                Ok(()) => tracing::info!(file = %file.path.display(), "web configuration reloaded"),
                Err(refusal) => tracing::error!(
                    file = %file.path.display(),
                    error = %refusal,
                    "web configuration not reloaded, the previous one stays in force"
                ),
            }
        }
    }
}

/// One reading of all files.
struct FileContents {
    text: Result<String, String>,
    settings: Result<WebConfig, FileError>,
    files: Files,
}

impl FileContents {
    fn read(path: &Path) -> Self {
        let text = read(path)
            .and_then(|bytes| String::from_utf8(bytes).map_err(|_| "it is not UTF-8; save it as UTF-8".to_owned()));
        // Relative paths start at the file's directory, as in the toolkit.
        let directory = path.parent().unwrap_or(Path::new(""));
        let settings = match &text {
            Ok(text) => WebConfig::read(text, directory),
            Err(error) => Err(FileError::of_file(format!("the file cannot be read: {error}"))),
        };
        let named = settings.iter().flat_map(WebConfig::files);
        let files = named.map(|file| (file.to_owned(), read(file))).collect();
        Self { text, settings, files }
    }

    fn digest(&self) -> ring::digest::Digest {
        let mut context = ring::digest::Context::new(&ring::digest::SHA256);
        let mut add = |bytes: &[u8]| {
            context.update(&bytes.len().to_le_bytes());
            context.update(bytes);
        };
        let text = self.text.as_ref().map(|text| text.as_bytes().to_vec()).map_err(Clone::clone);
        for contents in std::iter::once(&text).chain(self.files.values()) {
            match contents {
                Ok(bytes) => add(bytes),
                Err(error) => add(error.as_bytes()),
            }
        }
        context.finish()
    }

    /// The configuration that these files hold, as successor of `before`.
    fn state(&self, with_token_reviews: bool, before: Option<&ActiveConfig>) -> Result<ActiveConfig, FileError> {
        let settings = self.settings.as_ref().map_err(Clone::clone)?;
        if with_token_reviews && !settings.users.is_empty() {
            let message = "basic_auth_users and --auth kubernetes exclude each other, because a request has one \
                           Authorization header; take one of them out";
            return Err(FileError::of_file(message));
        }
        let tls = settings.tls.as_ref().map(|settings| tls::acceptor(settings, &self.files)).transpose()?;
        if before.is_some_and(|before| before.tls.is_some() != tls.is_some()) {
            return Err(FileError::of_file("adding or removing tls_server_config needs a restart of podskew"));
        }
        let bucket = settings.rate.map(|limit| {
            let same = before.and_then(|before| before.rate.clone()).filter(|bucket| bucket.limit == limit);
            same.unwrap_or_else(|| Arc::new(TokenBucket::new(limit, Instant::now())))
        });
        Ok(ActiveConfig {
            tls,
            needs_certificate: settings.tls.as_ref().is_some_and(|tls| tls.clients.required),
            authenticates: !settings.users.is_empty()
                || settings.tls.as_ref().is_some_and(|tls| tls.clients.required && tls.clients.verified),
            headers: settings.headers.clone(),
            users: settings.users.clone(),
            rate: bucket,
        })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let metadata = std::fs::metadata(path).map_err(|error| describe(&error))?;
    // A pipe can be read only once, and a device may never end.
    if !metadata.is_file() {
        return Err("it is not a regular file; name one".to_owned());
    }
    if metadata.len() > LONGEST {
        return Err(format!("it is longer than {} MiB; name the right file", LONGEST >> 20));
    }
    std::fs::read(path).map_err(|error| describe(&error))
}

fn describe(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file; correct the path".to_owned(),
        std::io::ErrorKind::PermissionDenied => "podskew may not read it; correct its owner or mode".to_owned(),
        _ => error.to_string(),
    }
}
