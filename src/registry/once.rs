//! Asks registries once, for somebody who waits for it.

use super::ask::Shared;
use super::book::Book;
use super::credentials::Credentials;
use super::schedule::ask_all;
use super::settings::{RegistryOptions, RegistryTimings, Unusable};
use super::state::State;
use crate::inventory::{AskedImages, RegistryEvidence};
use crate::report::Name;
use std::time::Duration;
use tokio::time::timeout;

/// For how long all answers are waited for, unless somebody says otherwise.
const PATIENCE: Duration = Duration::from_secs(30);

/// What registries said in one pass.
#[derive(Debug, Default)]
pub struct Answers {
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
) -> Result<Answers, Unusable> {
    let (client, keyring) = options.open(timings, None)?;
    let credentials = Credentials::new(keyring, options.helpers.clone());
    let hosts = options.hosts(timings);
    let shared = Shared::new(client, Book::new(options.clone(), timings.clone()));
    shared.book().update(asked);
    // What is unanswered by then is named.
    let _ = timeout(options.timeout.unwrap_or(PATIENCE), ask_all(&shared, &hosts, &credentials)).await;
    let book = shared.book();
    let why = |state: State| match state {
        State::Pending => "no answer in time",
        State::NotFound => "not found in the registry",
        State::Unauthorized => "the registry accepts none of the credentials",
        State::Throttled => "the registry asks to come back later",
        State::Unconfirmed => "the registry's content does not have the digest that it names",
        State::Answered | State::Contradicted | State::Gone | State::Failed => "the registry does not answer",
    };
    let unanswered: Vec<_> = book.unanswered().into_iter().map(|(image, state)| (image, why(state))).collect();
    let mut evidence = book.snapshot();
    evidence.unanswered = unanswered.iter().cloned().collect();
    Ok(Answers { evidence, unanswered })
}
