//! Options and timings of registries.

use super::address::{LiteralHosts, Resolve, system};
use super::client::Client;
use super::credentials::Keyring;
use super::host::{Host, RegistryAddress};
use super::transport::Transport;
use crate::telemetry::RegistryHealth;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::rustls;

/// Options of registries.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct RegistryOptions {
    /// The registries, each once; empty for none.
    pub registries: Vec<RegistryAddress>,
    /// A `config.json` with credentials.
    pub auth: Option<PathBuf>,
    /// A folder with credential helpers.
    pub helpers: Option<PathBuf>,
    /// A file with certificates to trust beside the system's.
    pub certificates: Option<PathBuf>,
    /// Interval between two requests for a tag.
    pub interval: Option<Duration>,
    /// How long `audit` and `explain` wait for all answers.
    pub timeout: Option<Duration>,
}

/// Timeouts and intervals. Tests shorten them.
#[derive(Clone)]
pub struct RegistryTimings {
    /// Interval between reads of the images in use.
    pub refresh: Duration,
    /// Interval between searches for due references.
    pub tick: Duration,
    /// Interval between two requests to one host: ten per second.
    pub pause: Duration,
    /// Timeout of a response.
    pub answer: Duration,
    /// Interval between two requests for a tag without `--registry-interval`; four times as long for docker.io.
    pub interval: Duration,
    /// The same for a digest, which can disappear but not move.
    pub pinned: Duration,
    /// Minimum time between two answers that confirm an image as gone.
    pub gone_again: Duration,
    /// Interval between requests to a repository that accepts no credential, unless the file changes.
    pub unauthorized: Duration,
    /// Shortest pause after a 429, which doubles.
    pub throttled: Duration,
    /// Longest pause.
    pub throttled_most: Duration,
    /// Number of manifests to fetch from Docker Hub in [`Self::pinned`].
    pub hub_pulls: usize,
    /// Resolver of host names.
    pub resolve: Resolve,
}

impl RegistryTimings {
    /// The same timings in compressed time: every duration divided by `factor`.
    #[must_use]
    pub fn compressed(self, factor: u32) -> Self {
        Self {
            refresh: self.refresh / factor,
            tick: self.tick / factor,
            pause: self.pause / factor,
            answer: self.answer / factor,
            interval: self.interval / factor,
            pinned: self.pinned / factor,
            gone_again: self.gone_again / factor,
            unauthorized: self.unauthorized / factor,
            throttled: self.throttled / factor,
            throttled_most: self.throttled_most / factor,
            hub_pulls: self.hub_pulls,
            resolve: self.resolve,
        }
    }
}

impl Default for RegistryTimings {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            refresh: seconds(60),
            tick: seconds(5),
            pause: Duration::from_millis(100),
            answer: super::transport::WHOLE_ANSWER,
            interval: seconds(15 * 60),
            pinned: seconds(6 * 3600),
            gone_again: seconds(600),
            unauthorized: seconds(3600),
            throttled: seconds(60),
            throttled_most: seconds(6 * 3600),
            hub_pulls: 20,
            resolve: system(),
        }
    }
}

impl RegistryTimings {
    /// The timings for `options`. A short `--registry-interval` shortens the search for new images, too.
    #[must_use]
    pub fn of(options: &RegistryOptions) -> Self {
        let timings = Self::default();
        let Some(interval) = options.interval else { return timings };
        Self { refresh: timings.refresh.min(interval / 4), tick: timings.tick.min(interval / 20), ..timings }
    }
}

impl std::fmt::Debug for RegistryTimings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RegistryTimings").field("interval", &self.interval).finish_non_exhaustive()
    }
}

/// A file or folder is unusable; retrying does not help.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UnusableFile(String);

impl RegistryOptions {
    /// Whether any registry is configured.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.registries.is_empty()
    }

    /// Reads the configured files.
    pub(super) fn open(
        &self,
        timings: &RegistryTimings,
        health: Option<RegistryHealth>,
    ) -> Result<(Arc<Client>, Keyring), UnusableFile> {
        let certificates = match &self.certificates {
            Some(path) => certificates(path).map_err(UnusableFile)?,
            None => Vec::new(),
        };
        if let Some(folder) = self.helpers.as_ref().filter(|folder| !folder.is_dir()) {
            return Err(UnusableFile(format!(
                "{} of --registry-helpers is not a directory; correct its path",
                folder.display()
            )));
        }
        let keyring = self.keyring().map_err(UnusableFile)?;
        let hosts = self.registries.iter().flat_map(|registry| [registry.host.as_str(), registry.authority()]);
        let literal_hosts = LiteralHosts::of(hosts.map(without_port));
        let transport = Transport::new(&certificates, literal_hosts, Arc::clone(&timings.resolve), timings.answer);
        let transport = transport.map_err(|error| UnusableFile(format!("--registry-ca cannot be used: {error}")))?;
        Ok((Arc::new(Client { transport, health }), keyring))
    }

    /// The current credentials in the file.
    pub(super) fn keyring(&self) -> Result<Keyring, String> {
        self.auth.as_deref().map_or_else(|| Ok(Keyring::default()), Keyring::read)
    }

    pub(super) fn hosts(&self, timings: &RegistryTimings) -> Vec<Arc<Host>> {
        self.registries.iter().map(|registry| Arc::new(Host::new(registry.clone(), timings.pause))).collect()
    }

    /// Interval between two requests for a tag of `host`.
    pub(super) fn interval(&self, host: &str, timings: &RegistryTimings) -> Duration {
        match self.interval {
            Some(interval) => interval,
            None if host == "docker.io" => timings.interval * 4,
            None => timings.interval,
        }
    }
}

fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => host,
        _ => authority,
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let fail = |what: String| format!("the file {} of --registry-ca {what}", path.display());
    let text =
        std::fs::read(path).map_err(|error| fail(format!("cannot be read: {error}; correct its path or mode")))?;
    let read = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
    match read {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(fail("contains no PEM certificate; write one between BEGIN CERTIFICATE and its END".to_owned())),
        Err(error) => Err(fail(format!("is not PEM: {error}"))),
    }
}
