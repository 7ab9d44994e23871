//! Asks registries periodically: one task per host, and one that follows the images in use.

use super::ask::Shared;
use super::cache::RegistryCache;
use super::credentials::RegistryCredentials;
use super::host::{Host, MAX_HOST_REQUESTS};
use super::settings::{RegistryOptions, RegistryTimings, UnusableFile};
use super::state::ReferenceState;
use crate::inventory::{AskedImages, Inventory, RegistryEvidence};
use crate::sync::lock;
use crate::telemetry::RegistryHealth;
use crate::time::UnixTime;
use futures::{StreamExt as _, stream};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// The images in use are known after the initial sync; until then, check at this interval.
const WHILE_INCOMPLETE: Duration = Duration::from_millis(250);

/// Receives evidence of registries. Every call is short and does no I/O.
pub trait RegistrySink: Send + Sync + 'static {
    /// The images in use; `None` before the initial sync.
    fn asked_images(&self) -> Option<AskedImages>;
    /// Sets new evidence.
    fn take_registry_evidence(&self, evidence: Arc<RegistryEvidence>);
}

impl RegistrySink for Mutex<Inventory> {
    fn asked_images(&self) -> Option<AskedImages> {
        lock(self).asked_images()
    }

    fn take_registry_evidence(&self, evidence: Arc<RegistryEvidence>) {
        let mut inventory = lock(self);
        inventory.take_registry_evidence(&evidence, UnixTime::now());
    }
}

/// Asks registries while the tasks run, and passes evidence to `sink`.
///
/// # Errors
///
/// A configured file cannot be used.
pub fn keep_asking<S: RegistrySink>(
    options: &RegistryOptions,
    timings: &RegistryTimings,
    sink: Arc<S>,
    health: &RegistryHealth,
) -> Result<JoinSet<()>, UnusableFile> {
    let (client, keyring) = options.open(timings, Some(health.clone()))?;
    let (publisher, credentials) = watch::channel(Arc::new(RegistryCredentials::new(keyring, options.helpers.clone())));
    let shared = Arc::new(Shared::new(client, RegistryCache::new(options.clone(), timings.clone())));
    let mut tasks = JoinSet::new();
    for host in options.hosts(timings) {
        let (shared, timings, health, credentials) =
            (Arc::clone(&shared), timings.clone(), health.clone(), credentials.clone());
        let publish = Publisher { shared: Arc::clone(&shared), sink: Arc::clone(&sink) };
        tasks.spawn(async move {
            let host = &*host;
            loop {
                let due = shared.cache().due(host);
                let asked = !due.is_empty();
                let current = Arc::clone(&credentials.borrow());
                let (shared, credentials) = (&shared, &current);
                stream::iter(due)
                    .for_each_concurrent(MAX_HOST_REQUESTS, |batch| async move {
                        shared.ask(host, credentials, batch).await;
                    })
                    .await;
                let states = shared.cache().states(&host.name);
                health.references(&host.name, ReferenceState::ALL.iter().map(|state| state.as_str()).zip(states));
                publish.now();
                if !asked || shared.cache().waits(host) {
                    sleep(timings.tick).await;
                }
            }
        });
    }
    let follow =
        WorkloadFollower { shared, sink, publisher, timings: timings.clone(), helpers: options.helpers.clone() };
    tasks.spawn(follow.run());
    Ok(tasks)
}

/// Publishes changes.
struct Publisher<S> {
    shared: Arc<Shared>,
    sink: Arc<S>,
}

impl<S: RegistrySink> Publisher<S> {
    fn now(&self) {
        let changed = self.shared.cache().changed_snapshot();
        if let Some(evidence) = changed {
            self.sink.take_registry_evidence(Arc::new(evidence));
        }
    }
}

/// Follows the images in use and the credentials.
struct WorkloadFollower<S> {
    shared: Arc<Shared>,
    sink: Arc<S>,
    publisher: watch::Sender<Arc<RegistryCredentials>>,
    timings: RegistryTimings,
    helpers: Option<std::path::PathBuf>,
}

impl<S: RegistrySink> WorkloadFollower<S> {
    async fn run(self) {
        let mut read = Instant::now();
        let mut logged = None;
        loop {
            self.follow_credentials(&mut read, &mut logged);
            match self.sink.asked_images() {
                Some(asked) => {
                    self.shared.cache().update(asked);
                    sleep(self.timings.refresh).await;
                }
                None => sleep(WHILE_INCOMPLETE.min(self.timings.refresh)).await,
            }
        }
    }

    /// Reloads the credentials. A mounted secret changes while podskew runs, and tokens of helpers expire.
    fn follow_credentials(&self, read: &mut Instant, logged: &mut Option<String>) {
        let keyring = self.shared.cache().keyring();
        match keyring {
            Ok(keyring) => {
                let is_same = self.publisher.borrow().is_same_file(&keyring);
                if !is_same {
                    self.shared.cache().credentials_changed();
                    tracing::info!("registry credentials reloaded");
                }
                if !is_same || read.elapsed() >= self.timings.interval {
                    *read = Instant::now();
                    self.publisher.send_replace(Arc::new(RegistryCredentials::new(keyring, self.helpers.clone())));
                }
                *logged = None;
            }
            Err(error) => {
                if logged.as_ref() != Some(&error) {
                    tracing::warn!(error, "registry credentials not reloaded, keeping the previous ones");
                    *logged = Some(error);
                }
            }
        }
    }
}

/// Asks all hosts once.
pub(super) async fn ask_all(shared: &Shared, hosts: &[Arc<Host>], credentials: &RegistryCredentials) {
    let hosts = hosts.iter().map(|host| async move {
        loop {
            let due = shared.cache().due(host);
            if due.is_empty() {
                return;
            }
            stream::iter(due)
                .for_each_concurrent(
                    MAX_HOST_REQUESTS,
                    |batch| async move { shared.ask(host, credentials, batch).await },
                )
                .await;
        }
    });
    futures::future::join_all(hosts).await;
}
