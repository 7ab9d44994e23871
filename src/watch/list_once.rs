//! Lists every resource once, for a snapshot.
//!
//! Pods are listed first. Their owners existed before them, so the owners are in the later lists or were deleted. Unlike in a
//! watch, no owner is awaited.

use super::authorization::Refused;
use super::backoff::Backoff;
use super::budget::DecodeBudget;
use super::connect::Connected;
use super::failure::WatchFailure;
use super::lister::Lister;
use super::liveness::{Heartbeat, Liveness};
use super::request::Target;
use super::sink::{Sink, SourceChange};
use super::timings::Timings;
use super::{sources, target};
use crate::inventory::Source;
use crate::objects::Resource;
use crate::telemetry::{FailureReason, Telemetry};
use anyhow::{Context as _, anyhow};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// How long a failing list is retried: someone waits for it.
const PATIENCE: Duration = Duration::from_secs(15);

/// Maximum number of failures.
const MOST_FAILURES: u32 = 4;

/// A list that is missing from the snapshot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MissingList {
    /// Which.
    pub source: Source,
    /// The RBAC rule that would allow it; `None` if the cluster does not serve the resource.
    pub rule: Option<String>,
}

/// Lists everything in `namespaces`, or in all if it is empty, into `sink`. Returns forbidden and missing lists.
///
/// # Errors
///
/// Pods cannot be listed, or the API server does not respond.
pub async fn list_once<S: Sink>(
    connected: &Connected,
    namespaces: &[String],
    sink: &Arc<S>,
    timings: Timings,
) -> anyhow::Result<Vec<MissingList>> {
    let telemetry = Telemetry::new().context("cannot register podskew's own metrics")?;
    let sources = sources(namespaces);
    let liveness = Liveness::new(telemetry, &sources, &timings);
    let budget = DecodeBudget::new();
    let (pods, others): (Vec<_>, Vec<_>) = sources.into_iter().partition(|source| source.resource == Resource::Pods);
    let mut refusals = Vec::new();
    for sources in [pods, others] {
        let mut tasks = JoinSet::new();
        for source in sources {
            let (client, heartbeat) = (connected.client.clone(), Heartbeat::new(source, liveness.clone()));
            let target = target(source, namespaces);
            let lister = Lister::new(source, target, client, sink.clone(), &timings, budget.clone(), heartbeat);
            tasks.spawn(lister.list_to_end());
        }
        while let Some(looked) = tasks.join_next().await {
            let refusal = looked.context("a list was not finished")?;
            refusals.extend(refusal.map_err(|error| {
                let Connected { server, origin, .. } = connected;
                error.context(format!("cannot look at {server} ({origin})"))
            })?);
        }
    }
    refusals.sort_by_key(|refusal| refusal.source);
    Ok(refusals)
}

impl<S: Sink> Lister<S> {
    /// Lists once with retries. If the API server refuses everything, it has probably just started, and is asked again
    /// for some seconds.
    async fn list_to_end(mut self) -> anyhow::Result<Option<MissingList>> {
        let _permit = self.budget.list().await;
        let began = Instant::now();
        let mut failing_since = None;
        let mut is_lacking = false;
        let mut starting_until = None;
        let mut backoff = Backoff::new(self.timings.pause_base, self.timings.pause_most);
        loop {
            let Err(failure) = self.paged_list(began + self.timings.list_total).await else {
                self.heartbeat.allowed(true);
                if self.is_skipping() {
                    let objects = self.skipped();
                    let failure = WatchFailure::unreadable(format!("{objects} of its objects are longer than 16 MiB"));
                    return Err(self.given_up(&failure));
                }
                return Ok(None);
            };
            self.abandon();
            self.count_unreadable(&failure);
            if let Some(refused) = Refused::from_reason(failure.reason)
                && self.source.resource != Resource::Pods
            {
                return Ok(Some(self.without(refused)));
            }
            if failure.reason == FailureReason::Forbidden
                && !is_lacking
                && Instant::now() + self.timings.forbidden_again
                    < *starting_until.get_or_insert_with(|| Instant::now() + self.timings.forbidden_look)
            {
                if self.everything_is_forbidden().await {
                    sleep(self.timings.forbidden_again).await;
                } else {
                    // The server may have become ready between two requests: the next refusal counts.
                    is_lacking = true;
                }
                continue;
            }
            let pause = failure.retry_after.unwrap_or_default() + backoff.pause();
            let failed_for = failing_since.get_or_insert_with(Instant::now).elapsed();
            // A list that outlasted its continue token took too long already.
            let patient = failed_for + pause <= PATIENCE || failure.reason == FailureReason::Expired;
            let hopeless = failure.lasting
                || matches!(
                    failure.reason,
                    FailureReason::Forbidden
                        | FailureReason::NotFound
                        | FailureReason::Unauthorized
                        | FailureReason::Rejected
                );
            if hopeless || !patient || backoff.failures() >= MOST_FAILURES {
                return Err(self.given_up(&failure));
            }
            sleep(pause).await;
        }
    }

    /// Whether the API server refuses every other resource, too, as it does from its start until it has read its own
    /// roles.
    async fn everything_is_forbidden(&mut self) -> bool {
        let Target { resource: own, namespace } = self.target.clone();
        for resource in Resource::ALL.into_iter().filter(|resource| *resource != own) {
            if self.heartbeat.anything_allowed() {
                return false;
            }
            let other = Target { resource, namespace: namespace.clone() };
            if !matches!(self.open(&other.newest()).await, Err(failure) if failure.reason == FailureReason::Forbidden) {
                return false;
            }
        }
        true
    }

    fn without(&self, refused: Refused) -> MissingList {
        let rule = match refused {
            Refused::Forbidden => {
                self.sink.take(self.source, SourceChange::Forbidden);
                Some(self.target.rule(&["list"]))
            }
            Refused::NotServed => {
                self.sink.take(self.source, SourceChange::NotServed);
                None
            }
        };
        MissingList { source: self.source, rule }
    }

    /// The error with its remedy.
    fn given_up(&self, failure: &WatchFailure) -> anyhow::Error {
        let what = match &self.target.namespace {
            Some(namespace) => format!("{} in namespace {namespace}", self.source.resource),
            None => self.source.resource.to_string(),
        };
        if failure.lasting {
            return anyhow!("{}", failure.message).context(format!("cannot list {what}"));
        }
        let remedy = match failure.reason {
            FailureReason::Forbidden => format!("grant {}", self.target.rule(&["list"])),
            FailureReason::Unauthorized => {
                "log in again, or name another user's context with --context; kubectl auth whoami says who you are"
                    .to_owned()
            }
            FailureReason::Connection | FailureReason::Timeout => {
                "check that the API server runs and can be reached from here: kubectl version asks it too".to_owned()
            }
            FailureReason::Throttled | FailureReason::ServerError => {
                "try again when the API server has recovered".to_owned()
            }
            FailureReason::NotFound => "check that the address is that of a Kubernetes API server".to_owned(),
            FailureReason::Expired | FailureReason::TimelineLost | FailureReason::Rejected | FailureReason::Decode => {
                "try again".to_owned()
            }
        };
        anyhow!("{}", failure.message).context(format!("cannot list {what}; {remedy}"))
    }
}
