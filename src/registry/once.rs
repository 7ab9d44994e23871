//! Asks registries once, for a command that waits.

use super::ask::Shared;
use super::cache::{CacheEntry, RegistryCache};
use super::credentials::RegistryCredentials;
use super::schedule::ask_all;
use super::settings::{RegistryOptions, RegistryTimings, UnusableFile};
use super::state::ReferenceState;
use crate::inventory::{AskedImages, RegistryEvidence};
use crate::report::Name;
use std::time::Duration;
use tokio::time::timeout;

/// Default timeout for all answers.
const PATIENCE: Duration = Duration::from_secs(30);

/// The answers of registries in one pass.
#[derive(Debug, Default)]
pub struct RegistryAnswers {
    /// Their evidence.
    pub evidence: RegistryEvidence,
    /// Images without an answer, with the reason, sorted.
    pub unanswered: Vec<(Name, &'static str)>,
}

/// Asks about everything once, the most urgent first, within the timeout of `options`.
///
/// # Errors
///
/// A configured file cannot be used.
pub async fn ask_once(
    options: &RegistryOptions,
    timings: &RegistryTimings,
    asked: AskedImages,
) -> Result<RegistryAnswers, UnusableFile> {
    let (client, keyring) = options.open(timings, None)?;
    let credentials = RegistryCredentials::new(keyring, options.helpers.clone());
    let hosts = options.hosts(timings);
    let shared = Shared::new(client, RegistryCache::new(options.clone(), timings.clone()));
    shared.cache().update(asked);
    // Images without an answer by then are named.
    let _ = timeout(options.timeout.unwrap_or(PATIENCE), ask_all(&shared, &hosts, &credentials)).await;
    let cache = shared.cache();
    let unanswered: Vec<_> = cache.unanswered().map(|(image, entry)| (image.clone(), why(entry))).collect();
    let mut evidence = cache.snapshot();
    evidence.unanswered = unanswered.iter().cloned().collect();
    Ok(RegistryAnswers { evidence, unanswered })
}

/// Why the digest of an image is unknown.
fn why(entry: &CacheEntry) -> &'static str {
    match entry.state {
        // Its digest is known, but its content was not fetched: only Docker Hub limits that.
        ReferenceState::Pending if entry.seen.is_some() => {
            "Docker Hub is asked for no more than 20 manifests in six hours"
        }
        ReferenceState::Pending => "no answer in time",
        ReferenceState::NotFound => "not found in the registry",
        ReferenceState::Unauthorized if entry.lacks_credentials => {
            "there are no credentials for the registry, and the log says why"
        }
        ReferenceState::Unauthorized => "the registry accepts none of the credentials",
        ReferenceState::Throttled => "the registry asks to come back later",
        ReferenceState::Unconfirmed => "the registry's content does not have the digest that it names",
        ReferenceState::Answered | ReferenceState::Contradicted | ReferenceState::Gone | ReferenceState::Failed => {
            "the registry does not answer"
        }
    }
}
