//! Which registries are asked, and how often.

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

/// Which registries are asked, and how.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct RegistryOptions {
    /// The registries, each once; none is asked where there are none.
    pub registries: Vec<RegistryAddress>,
    /// A `config.json` with credentials.
    pub auth: Option<PathBuf>,
    /// A folder with credential helpers.
    pub helpers: Option<PathBuf>,
    /// A file with certificates that are trusted beside the system's.
    pub certificates: Option<PathBuf>,
    /// From one look at a tag to the next.
    pub interval: Option<Duration>,
    /// For how long `audit` and `explain` wait for all answers.
    pub timeout: Option<Duration>,
}

/// How long podskew waits for what. Tests shorten all of it.
#[derive(Clone)]
pub struct RegistryTimings {
    /// From one look at what workloads run to the next.
    pub refresh: Duration,
    /// From one search for references that are due to the next.
    pub tick: Duration,
    /// Between two requests to one host: ten a second.
    pub pause: Duration,
    /// Until an answer is complete.
    pub answer: Duration,
    /// From one look at a tag to the next, unless `--registry-interval` says otherwise; of docker.io four times as long.
    pub interval: Duration,
    /// The same for a digest, which can only disappear.
    pub pinned: Duration,
    /// An image is gone once this lies between two answers that say so.
    pub gone_again: Duration,
    /// A repository that accepts no credential is asked again after this, or once the file changes.
    pub unauthorized: Duration,
    /// The shortest pause after 429, which doubles.
    pub throttled: Duration,
    /// The longest.
    pub throttled_most: Duration,
    /// Manifests that Docker Hub is asked for in [`Self::pinned`].
    pub hub_pulls: usize,
    /// How host names are resolved.
    pub resolve: Resolve,
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
    /// Returns the timings for `options`. A short `--registry-interval` shortens the search for new images too.
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

/// A file or folder cannot be used as it is: waiting does not help.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UnusableFile(String);

impl RegistryOptions {
    /// Whether any registry is asked.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.registries.is_empty()
    }

    /// Reads what the options name.
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
                "{} of --registry-helpers is no folder; mend its path",
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

    /// The credentials as the file has them now.
    pub(super) fn keyring(&self) -> Result<Keyring, String> {
        self.auth.as_deref().map_or_else(|| Ok(Keyring::default()), Keyring::read)
    }

    pub(super) fn hosts(&self, timings: &RegistryTimings) -> Vec<Arc<Host>> {
        self.registries.iter().map(|registry| Arc::new(Host::new(registry.clone(), timings.pause))).collect()
    }

    /// From one look at a tag of `host` to the next.
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
    let text = std::fs::read(path).map_err(|error| fail(format!("cannot be read: {error}; mend its path or mode")))?;
    let read = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
    match read {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(fail("holds no certificate in PEM; write one between BEGIN CERTIFICATE and its END".to_owned())),
        Err(error) => Err(fail(format!("is no PEM: {error}"))),
    }
}
