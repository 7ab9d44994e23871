//! Asks about the references of one repository, and fetches the documents that decide comparisons.

use super::cache::{Batch, RegistryCache};
use super::client::{Client, Resolved, Session};
use super::credentials::RegistryCredentials;
use super::document;
use super::failure::RegistryFailure;
use super::host::Host;
use crate::report::Name;
use crate::report::registry::{DocumentKind, ReferenceTarget};
use crate::sync::lock;
use crate::time::UnixTime;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::Semaphore;

/// Maximum number of concurrent requests to all hosts.
const MAX_REQUESTS: usize = 8;

/// Maximum number of documents to fetch for one image at a time. An index of many platforms has dozens.
const MOST_DOCUMENTS: usize = 100;

/// State that all tasks share.
pub(super) struct Shared {
    client: Arc<Client>,
    cache: Mutex<RegistryCache>,
    slots: Semaphore,
}

impl Shared {
    pub(super) fn new(client: Arc<Client>, cache: RegistryCache) -> Self {
        Self { client, cache: Mutex::new(cache), slots: Semaphore::new(MAX_REQUESTS) }
    }

    pub(super) fn cache(&self) -> MutexGuard<'_, RegistryCache> {
        lock(&self.cache)
    }

    /// Asks about a batch, unless the host fails.
    pub(super) async fn ask(&self, host: &Host, credentials: &RegistryCredentials, batch: Batch) {
        let (Ok(_own), Ok(_all)) = (host.slots.acquire().await, self.slots.acquire().await) else { return };
        let mut session = match Session::open(&self.client, credentials, host, &batch.repository).await {
            Ok(session) => session,
            Err(failure) => {
                self.log(host, &batch.repository, Some(&failure));
                for image in &batch.images {
                    self.cache().failed(image, &failure, host, None);
                }
                return;
            }
        };
        for image in &batch.images {
            if self.cache().waits(host) {
                return;
            }
            if let Err(failure) = self.ask_image(host, &mut session, image).await {
                self.log(host, &batch.repository, Some(&failure));
                self.cache().failed(image, &failure, host, session.credential());
                // The registry refuses the rest of the repository for the same reason.
                if matches!(failure, RegistryFailure::Unauthorized | RegistryFailure::NoCredentials(_)) {
                    return;
                }
            } else {
                self.log(host, &batch.repository, None);
            }
        }
    }

    async fn ask_image(&self, host: &Host, session: &mut Session<'_>, image: &Name) -> Result<(), RegistryFailure> {
        let Some(target) = self.cache().entry(image).map(|entry| entry.reference.target.clone()) else { return Ok(()) };
        let Resolved { digest, body } = match &target {
            ReferenceTarget::Tag(tag) => session.head(tag).await?,
            ReferenceTarget::Digest(digest) => session.head(digest).await?,
        };
        if let Some((body, content_type)) = body {
            let fact = document::manifest(&body, &content_type)?;
            self.cache().learn(&digest, fact);
        } else if matches!(target, ReferenceTarget::Tag(_)) && self.needs_manifest(host, image, &digest) {
            let (body, content_type) = session.manifest(&digest).await?;
            let fact = document::manifest(&body, &content_type)?;
            self.cache().learn(&digest, fact);
        }
        self.cache().resolved(image, &digest, session.credential(), UnixTime::now());
        self.complete(host, session, image).await;
        Ok(())
    }

    fn needs_manifest(&self, host: &Host, image: &Name, digest: &str) -> bool {
        let mut cache = self.cache();
        cache.needs_manifest(image, digest) && cache.may_pull(host)
    }

    /// Fetches documents until all comparisons are decided or the registry has no more of them.
    async fn complete(&self, host: &Host, session: &mut Session<'_>, image: &Name) {
        for _ in 0..MOST_DOCUMENTS {
            let Some(missing) = self.cache().missing(image).into_iter().next() else { return };
            let digest = &missing.digest;
            let fact = match missing.part {
                DocumentKind::Manifest if !self.cache().may_pull(host) => return,
                DocumentKind::Manifest => {
                    session.manifest(digest).await.and_then(|(body, it)| document::manifest(&body, &it))
                }
                DocumentKind::Config => session.config(digest).await.and_then(|body| document::config(&body)),
            };
            match fact {
                Ok(fact) => self.cache().learn(digest, fact),
                Err(failure) if failure.is_of_host() => {
                    self.cache().failed_document(&failure, host);
                    return;
                }
                Err(_) => {
                    let repository = session.repository().to_owned();
                    self.cache().lacks(&repository, digest);
                }
            }
        }
    }

    /// Logs the beginning and the end of a failure, once each.
    fn log(&self, host: &Host, repository: &str, failure: Option<&RegistryFailure>) {
        let counts = failure.is_none_or(|failure| !matches!(failure, RegistryFailure::NotFound));
        if !counts || !self.cache().is_news(host, failure) {
            return;
        }
        match failure {
            None => tracing::info!(registry = host.name, "registry responding again"),
            Some(failure) => {
                tracing::warn!(registry = host.name, repository, reason = %failure, "registry not responding, retrying");
            }
        }
    }
}
