//! Asks registries once, for a command that waits.

use super::ask::Shared;
use super::cache::RegistryCache;
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
    let why = |state: ReferenceState, lacks_credentials: bool| match state {
        ReferenceState::Pending => "no answer in time",
        ReferenceState::NotFound => "not found in the registry",
        ReferenceState::Unauthorized if lacks_credentials => "there are no credentials for the registry, and the log says why",
        ReferenceState::Unauthorized => "the registry accepts none of the credentials",
        ReferenceState::Throttled => "the registry asks to come back later",
        ReferenceState::Unconfirmed => "the registry's content does not have the digest that it names",
        ReferenceState::Answered | ReferenceState::Contradicted | ReferenceState::Gone | ReferenceState::Failed => "the registry does not answer",
    };
    let unanswered = cache.unanswered().into_iter();
    let unanswered: Vec<_> = unanswered.map(|(image, state, lacks)| (image, why(state, lacks))).collect();
    let mut evidence = cache.snapshot();
    evidence.unanswered = unanswered.iter().cloned().collect();
    Ok(RegistryAnswers { evidence, unanswered })
}
