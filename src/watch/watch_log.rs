//! Log of one watch: a problem is logged when it begins, occasionally while it lasts, and when it ends, within the
//! limit of `line_limit`.
//!
//! No part of an object is logged; a message is podskew's own or the API server's Status.

use super::failure::WatchFailure;
use super::line_limit::LineLimit;
use super::request::Target;
use crate::telemetry::FailureReason;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Interval after which a lasting problem is logged again.
const REPEAT_INTERVAL: Duration = Duration::from_secs(60);

/// The same for a missing RBAC rule.
const RULE_REPEAT_INTERVAL: Duration = Duration::from_secs(600);

/// The log of one watch.
pub(super) struct WatchLog {
    target: Target,
    /// The problem logged last, and when.
    logged: Option<(FailureReason, Instant)>,
    /// Whether a problem was logged since the last recovery.
    troubled: bool,
    /// Whether a possibly temporary refusal was logged since then.
    starting: bool,
    limit: Arc<LineLimit>,
}

impl WatchLog {
    pub(super) fn new(target: Target, limit: Arc<LineLimit>) -> Self {
        Self { target, logged: None, troubled: false, starting: false, limit }
    }

    /// Logs a completed list.
    pub(super) fn listed(&mut self, objects: u64, took: Duration) {
        if self.admits("listed") {
            let (resource, namespace) = self.names();
            tracing::info!(%resource, namespace, objects, ?took, "listed");
        }
    }

    /// Logs an established watch.
    pub(super) fn watching(&mut self) {
        // A revoked rule is logged again; a server that fails now and then is not.
        let lasting = [FailureReason::Forbidden, FailureReason::NotFound];
        self.logged = self.logged.filter(|(reason, _)| !lasting.contains(reason));
        self.starting = false;
        if std::mem::take(&mut self.troubled) && self.admits("watched") {
            let (resource, namespace) = self.names();
            tracing::info!(%resource, namespace, "watch re-established");
        }
    }

    /// Logs that the server does not support streaming lists.
    pub(super) fn pages_instead(&self, failure: &WatchFailure) {
        let (resource, namespace) = self.names();
        let (reason, detail) = (failure.reason.as_str(), failure.message.as_str());
        if self.admits("pages") {
            tracing::info!(%resource, namespace, reason, detail, "streaming list unsupported, listing in pages");
        }
    }

    /// Logs that protobuf was unreadable.
    pub(super) fn json_instead(&self, failure: &WatchFailure) {
        let (resource, namespace) = self.names();
        let detail = failure.message.as_str();
        if self.admits("json") {
            tracing::info!(%resource, namespace, detail, "protobuf unreadable, requesting JSON");
        }
    }

    /// Logs that an optional resource is not served.
    pub(super) fn not_served(&mut self) {
        if self.is_news(FailureReason::NotFound, Duration::MAX) && self.admits(FailureReason::NotFound.as_str()) {
            let (resource, namespace) = self.names();
            let api = self.target.resource.api_path();
            tracing::info!(%resource, namespace, api, "not served by this cluster, checking again every minute");
        }
    }

    /// Logs a refusal that is probably temporary: no rule is missing yet.
    pub(super) fn may_be_starting(&mut self, failure: &WatchFailure, pause: Duration) {
        let logged = std::mem::replace(&mut self.starting, true);
        self.troubled = true;
        let (resource, namespace) = self.names();
        let (reason, detail) = (failure.reason.as_str(), failure.message.as_str());
        if logged || !self.admits(reason) {
            tracing::debug!(%resource, namespace, reason, detail, ?pause, "still refused");
        } else {
            let message = "refused, API server may be starting, retrying";
            tracing::info!(%resource, namespace, reason, detail, ?pause, "{message}");
        }
    }

    /// Logs that the API server was silent for so long that it may have been restored from a backup.
    pub(super) fn unprovable(&self) {
        if self.admits("unprovable") {
            let (resource, namespace) = self.names();
            tracing::info!(%resource, namespace, "no response for too long to resume, relisting");
        }
    }

    /// Logs a list that is older than what was known.
    pub(super) fn went_back(&self, known: u64, listed: u64) {
        if self.admits("went_back") {
            let (resource, namespace) = self.names();
            tracing::warn!(
                %resource,
                namespace,
                "the API server went back from version {known} to {listed}: its etcd was restored, relisting everything"
            );
        }
    }

    /// Logs skipped objects.
    pub(super) fn skipping(&self, objects: u64) {
        if !self.admits("skipping") {
            return;
        }
        let (resource, namespace) = self.names();
        tracing::error!(
            %resource,
            namespace,
            objects,
            "unreadable objects skipped, replicas may be missing from all metrics of this resource"
        );
    }

    /// Logs a failed list or watch.
    pub(super) fn failed(&mut self, failure: &WatchFailure, attempt: u32, pause: Duration) {
        let forbidden = failure.reason == FailureReason::Forbidden;
        let news = self.is_news(failure.reason, if forbidden { RULE_REPEAT_INTERVAL } else { REPEAT_INTERVAL });
        let (resource, namespace) = self.names();
        let (reason, detail) = (failure.reason.as_str(), failure.message.as_str());
        if !news || !self.admits(reason) {
            tracing::debug!(%resource, namespace, reason, detail, attempt, ?pause, "watch still failing");
        } else if forbidden {
            let rule = self.target.rule(&["list", "watch"]);
            tracing::warn!(%resource, namespace, reason, detail, "not allowed to list and watch {resource}, grant it {rule}");
        } else if failure.reason == FailureReason::TimelineLost {
            let message = "API server went back to an older state, relisting";
            tracing::warn!(%resource, namespace, reason, detail, "{message}");
        } else if failure.reason == FailureReason::Expired {
            tracing::info!(%resource, namespace, reason, detail, attempt, "resource version expired, relisting");
        } else {
            tracing::warn!(%resource, namespace, reason, detail, attempt, ?pause, "watch failed, retrying");
        }
        self.troubled |= news;
    }

    fn is_news(&mut self, reason: FailureReason, again_after: Duration) -> bool {
        let news = match self.logged {
            Some((logged, when)) => logged != reason || when.elapsed() >= again_after,
            None => true,
        };
        if news {
            self.logged = Some((reason, Instant::now()));
        }
        news
    }

    /// Whether the limit admits a line about this reason or keyword.
    fn admits(&self, reason: &'static str) -> bool {
        self.limit.admits(self.target.resource, reason)
    }

    fn names(&self) -> (crate::objects::Resource, Option<&str>) {
        (self.target.resource, self.target.namespace.as_deref())
    }
}
