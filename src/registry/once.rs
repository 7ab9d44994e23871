//! Asks registries once, for somebody who waits for it.

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

/// For how long all answers are waited for, unless somebody says otherwise.
const PATIENCE: Duration = Duration::from_secs(30);

/// What registries said in one pass.
#[derive(Debug, Default)]
pub struct RegistryAnswers {
    /// What they said.
    pub evidence: RegistryEvidence,
    /// The images of which they did not say what they stand for, and why, sorted.
    pub unanswered: Vec<(Name, &'static str)>,
}

/// Asks for everything once, the most urgent first, within the time that `options` name.
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
    // What is unanswered by then is named.
    let _ = timeout(options.timeout.unwrap_or(PATIENCE), ask_all(&shared, &hosts, &credentials)).await;
    let cache = shared.cache();
    let why = |state: ReferenceState| match state {
        ReferenceState::Pending => "no answer in time",
        ReferenceState::NotFound => "not found in the registry",
        ReferenceState::Unauthorized => "the registry accepts none of the credentials",
        ReferenceState::Throttled => "the registry asks to come back later",
        ReferenceState::Unconfirmed => "the registry's content does not have the digest that it names",
        ReferenceState::Answered | ReferenceState::Contradicted | ReferenceState::Gone | ReferenceState::Failed => {
            "the registry does not answer"
        }
    };
    let unanswered: Vec<_> = cache.unanswered().into_iter().map(|(image, state)| (image, why(state))).collect();
    let mut evidence = cache.snapshot();
    evidence.unanswered = unanswered.iter().cloned().collect();
    Ok(RegistryAnswers { evidence, unanswered })
}
