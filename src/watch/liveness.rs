//! Liveness of the watches: values of `watch_synced` and `last_activity` for a resource with several watches.

use super::line_limit::LineLimit;
use super::timeline::Timeline;
use super::timings::Timings;
use crate::inventory::Source;
use crate::objects::Resource;
use crate::sync::lock;
use crate::telemetry::{EventType, FailureReason, Telemetry};
use crate::time::UnixTime;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;
use tokio::time::Instant;

/// State of one watch.
#[derive(Clone, Copy, Default, Debug)]
struct WatchState {
    synced: bool,
    last_activity: u32,
    /// Since when the API server has allowed it without a failure.
    allowed_since: Option<Instant>,
    /// How the last attempt failed, until the API server sends something again.
    failure: Option<FailureReason>,
}

/// The states of all watches. A resource has the worst state of its namespaces.
pub(super) struct Liveness {
    telemetry: Telemetry,
    lives: Mutex<BTreeMap<Source, WatchState>>,
    timeline: Arc<Timeline>,
    line_limit: Arc<LineLimit>,
    /// Notified whenever a source has answered.
    pub(super) answered: Arc<Notify>,
}

impl Liveness {
    pub(super) fn new(telemetry: Telemetry, sources: &[Source], timings: &Timings) -> Arc<Self> {
        let lives = sources.iter().map(|source| (*source, WatchState::default())).collect();
        Arc::new(Self {
            telemetry,
            lives: Mutex::new(lives),
            timeline: Arc::new(Timeline::new(timings)),
            line_limit: LineLimit::new(timings.log_window),
            answered: Arc::default(),
        })
    }

    /// Since when any source that matches has been allowed.
    fn allowed_since(&self, is_meant: impl Fn(&Source) -> bool) -> Option<Instant> {
        let lives = lock(&self.lives);
        lives.iter().filter(|(source, _)| is_meant(source)).filter_map(|(_, life)| life.allowed_since).min()
    }

    /// How the last attempt at a source failed.
    pub(super) fn failure(&self, source: Source) -> Option<FailureReason> {
        let lives = lock(&self.lives);
        lives.get(&source).and_then(|life| life.failure)
    }

    /// Whether all watches of a resource are synced, and the oldest of their last activities.
    pub(super) fn worst(&self, resource: Resource) -> (bool, u32) {
        worst(&lock(&self.lives), resource)
    }

    /// Changes a watch's state and sets the resource's metrics. They are set under the lock, so that the later of two
    /// concurrent updates counts.
    fn update(&self, source: Source, change: impl FnOnce(&mut WatchState)) {
        let mut lives = lock(&self.lives);
        change(lives.entry(source).or_default());
        let (synced, last_activity) = worst(&lives, source.resource);
        let label = [source.resource.plural()];
        self.telemetry.watch_synced.with_label_values(&label).set(i64::from(synced));
        self.telemetry.last_activity.with_label_values(&label).set(f64::from(last_activity));
    }
}

/// Whether all watches of a resource are synced, and the oldest of their last activities.
fn worst(lives: &BTreeMap<Source, WatchState>, resource: Resource) -> (bool, u32) {
    let (first, last) = (Source { resource, namespace: 0 }, Source { resource, namespace: u8::MAX });
    lives
        .range(first..=last)
        .fold((true, u32::MAX), |(synced, oldest), (_, life)| (synced && life.synced, oldest.min(life.last_activity)))
}

/// Reports the state of one watch.
pub(super) struct Heartbeat {
    source: Source,
    liveness: Arc<Liveness>,
    last_reported: u32,
    synced: bool,
}

impl Heartbeat {
    pub(super) fn new(source: Source, liveness: Arc<Liveness>) -> Self {
        Self { source, liveness, last_reported: 0, synced: false }
    }

    /// Records that the API server sent something.
    pub(super) fn beat(&mut self) {
        let now = UnixTime::now().seconds();
        // Thousands of frames arrive per second, but the gauge changes only once.
        if now != self.last_reported {
            self.last_reported = now;
            self.liveness.update(self.source, |life| (life.last_activity, life.failure) = (now, None));
        }
    }

    /// Counts fields with a value of a wrong type.
    pub(super) fn wrong_types(&self, fields: u64) {
        if fields > 0 {
            self.liveness.telemetry.unreadable_fields.inc_by(fields);
        }
    }

    /// Sets whether the objects are complete and the watch is established.
    pub(super) fn synced(&mut self, synced: bool) {
        if synced != self.synced {
            self.synced = synced;
            self.liveness.update(self.source, |life| life.synced = synced);
        }
    }

    /// Sets whether the API server allows the source. Any failed watch counts as not allowed: a recovering server has
    /// to allow it again.
    pub(super) fn allowed(&self, allowed: bool) {
        let now = allowed.then(Instant::now);
        self.liveness.update(self.source, |life| life.allowed_since = now.and(life.allowed_since.or(now)));
    }

    /// Since when another resource of the same namespace, or cluster-wide, has been allowed.
    pub(super) fn other_allowed_since(&self) -> Option<Instant> {
        let Source { resource, namespace } = self.source;
        self.liveness.allowed_since(|other| other.namespace == namespace && other.resource != resource)
    }

    /// Whether anything was ever allowed.
    pub(super) fn anything_allowed(&self) -> bool {
        self.liveness.allowed_since(|_| true).is_some()
    }

    /// The timeline of the API server, which all watches share.
    pub(super) fn timeline(&self) -> Arc<Timeline> {
        self.liveness.timeline.clone()
    }

    /// The log limit, which all watches share.
    pub(super) fn line_limit(&self) -> Arc<LineLimit> {
        self.liveness.line_limit.clone()
    }

    /// Records that the source was listed, or is known to be unavailable.
    pub(super) fn answered(&self) {
        self.liveness.answered.notify_one();
    }

    pub(super) fn event(&self, event: EventType) {
        let labels = [self.source.resource.plural(), event.as_str()];
        self.liveness.telemetry.watch_events.with_label_values(&labels).inc();
    }

    pub(super) fn failure(&self, reason: FailureReason) {
        let labels = [self.source.resource.plural(), reason.as_str()];
        self.liveness.telemetry.watch_failures.with_label_values(&labels).inc();
        self.liveness.update(self.source, |life| life.failure = Some(reason));
    }

    pub(super) fn restart(&self) {
        self.liveness.telemetry.watch_restarts.with_label_values(&[self.source.resource.plural()]).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::{Heartbeat, Liveness};
    use crate::inventory::Source;
    use crate::objects::Resource;
    use crate::telemetry::Telemetry;
    use crate::watch::Timings;

    #[test]
    fn a_resource_is_as_well_as_the_worst_of_its_namespaces() {
        let telemetry = Telemetry::new().unwrap();
        let sources = [0, 1].map(|namespace| Source { resource: Resource::Pods, namespace });
        let liveness = Liveness::new(telemetry.clone(), &sources, &Timings::default());
        let mut pulses = sources.map(|source| Heartbeat::new(source, liveness.clone()));
        let synced = || telemetry.watch_synced.with_label_values(&["pods"]).get();
        let last_activity = || telemetry.last_activity.with_label_values(&["pods"]).get();

        pulses[0].synced(true);
        pulses[0].beat();
        assert_eq!(synced(), 0, "the other namespace is not listed yet");
        assert!(last_activity() < 1.0, "the other namespace was never heard of");
        pulses[1].synced(true);
        pulses[1].beat();
        assert_eq!(synced(), 1);
        assert!(last_activity() > 1.0);
        pulses[0].synced(false);
        assert_eq!(synced(), 0);
        assert_eq!(telemetry.watch_synced.with_label_values(&["replicasets"]).get(), 0);
    }
}
