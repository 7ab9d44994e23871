//! One watch that runs forever: lists, follows, and recovers from every kind of failure.
//!
//! ```text
//!                    streaming list ─────────────┐
//!   Unlisted ──▶ ╱                               ▼
//!       ▲        ╲── pages ──▶ Listed ──watch──▶ follow ──its time is up──▶ Listed
//!       │                        ▲                 │
//!       │                      proven              │ any other end, pause
//!       │                        │                 ▼
//!       ├──timeline lost───── Unproven ◀──version known
//!       └──version lost────────────────────────────┘
//! ```
//!
//! A watch resumes from the last version it saw if no events were lost: after its requested duration, a broken connection or a
//! refusal. Except after its requested duration, it first proves that the API server is still on the timeline of that version
//! (`timeline`). It lists again if events may have been lost: the version expired (410), a line was unreadable, the server went back
//! to an older state, the server was silent for so long that it may have gone back unnoticed, a watch was silent from its start to
//! the idle timeout, or several watches ended at once without an event or bookmark.

use super::authorization::{AuthorizationTracker, Refused};
use super::backoff::{Backoff, between};
use super::budget::DecodeBudget;
use super::failure::WatchFailure;
use super::framing::EventReader;
use super::http_exchange::{ReadTimeouts, ResponseBody};
use super::lister::{Listed, Lister, OpenWatch};
use super::request::watch_length;
use super::sink::{Sink, SourceChange};
use super::timeline::FOUND_BY_ANOTHER;
use crate::objects::{EventFingerprint, WatchEvent, decode_event, take_wrong_types};
use crate::telemetry::{EventType, FailureReason};
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

/// Consecutive watches that the server ends with an error before a relist. client-go relists after the first, but an
/// etcd that elects a leader fails every watch for seconds without losing events.
const FRUITLESS_WATCHES: u32 = 3;

/// Consecutive watches without events before a relist: podskew does not see changes between them.
const BARREN_WATCHES: u32 = 3;
const BARREN_MESSAGE: &str = "several watches in a row ended at once without an event";

/// Follows one source: lists it, watches it, and lists it again.
pub(super) struct Follower<S> {
    pub(super) lister: Lister<S>,
    /// When the last list completed, or its watch last received something.
    pub(super) heard: Instant,
    /// When the last complete list began.
    list_began: Instant,
    answered: AuthorizationTracker,
    backoff: Backoff,
    /// Consecutive watches that the server ended with an error.
    fruitless: u32,
    /// Consecutive watches that the server closed at once and properly, without an event or bookmark.
    barren: u32,
    /// The version that the last watch had reached, until it was compared with a list.
    known: Option<u64>,
    /// Whether the last failure was an expired version.
    expired: bool,
}

/// State before an attempt.
enum FollowerState {
    /// Nothing is known, or nothing to resume from.
    Unlisted,
    /// Known up to a version that the API server may have lost since.
    Unproven { version: String },
    /// Known up to a version.
    Listed { version: String },
}

/// Result of an attempt.
pub(super) enum End {
    /// The list is complete; its watch has not begun.
    Listed { version: String },
    /// The server closed the watch properly: `in_time` if after its requested duration, `is_barren` if without an event or bookmark.
    Closed { version: String, lived: Duration, in_time: bool, is_barren: bool },
    /// The watch may resume.
    Proven { version: String },
    /// Whether the watch may resume is not determined yet.
    Unproven { version: String, failure: WatchFailure },
    /// Whether the watch may resume cannot be determined.
    Unprovable,
    /// The attempt failed. Without a version there is nothing to resume from.
    Failed { version: Option<String>, failure: WatchFailure, lived: Duration },
}

impl<S: Sink> Follower<S> {
    pub(super) fn new(lister: Lister<S>) -> Self {
        Self {
            heard: Instant::now(),
            list_began: Instant::now(),
            answered: AuthorizationTracker::new(),
            backoff: Backoff::new(lister.timings.pause_base, lister.timings.pause_most),
            fruitless: 0,
            barren: 0,
            known: None,
            expired: false,
            lister,
        }
    }

    pub(super) async fn run(mut self) {
        let mut state = FollowerState::Unlisted;
        loop {
            let end = match state {
                FollowerState::Unlisted => self.list().await,
                FollowerState::Unproven { version } => self.prove(version).await,
                FollowerState::Listed { version } => self.watch(version).await,
            };
            let pause;
            (state, pause) = self.after(end);
            sleep(pause).await;
        }
    }

    /// Compares the version of a completed list with the known one. An older version shows that etcd was restored. A watch
    /// that was interrupted for long lists anyway, and detects this only here.
    fn compare_versions(&mut self, listed: &str) {
        if let (Some(known), Ok(listed)) = (self.known.take(), listed.parse::<u64>())
            && listed < known
        {
            self.lister.heartbeat.timeline().lose(self.heard);
            self.lister.heartbeat.failure(FailureReason::TimelineLost);
            self.lister.log.went_back(known, listed);
        }
    }

    /// Lists everything, and follows the stream if the list came as one.
    async fn list(&mut self) -> End {
        self.lister.budget.repeats().forget();
        let Listed { began, version, stream } = match self.lister.list().await {
            Ok(listed) => listed,
            Err(failure) => return End::Failed { version: None, failure, lived: Duration::ZERO },
        };
        self.listed(began, &version);
        match stream {
            Some(OpenWatch { answer, events, length }) => self.follow(answer, events, version, length).await,
            None => End::Listed { version },
        }
    }

    /// Records a completed list, apart from unreadable objects.
    fn listed(&mut self, began: Instant, version: &str) {
        self.answered.listed();
        self.compare_versions(version);
        // This list is newer than everything lost so far.
        let began = if self.lister.heartbeat.timeline().is_lost(self.heard) { Instant::now() } else { began };
        self.lister.heartbeat.allowed(true);
        (self.list_began, self.heard) = (began, Instant::now());
        self.lister.log.listed(self.lister.objects(), began.elapsed());
        if self.lister.is_skipping() {
            self.lister.log.skipping(self.lister.skipped());
        } else {
            self.lister.was_readable();
            self.synced(self.is_complete());
        }
    }

    /// Watches changes after `version`.
    async fn watch(&mut self, version: String) -> End {
        let length = watch_length(&self.lister.timings);
        let uri = self.lister.target.watch(&version, length);
        match self.lister.open(&uri).await {
            Ok(answer) => {
                let events = EventReader::new(answer.encoding());
                self.follow(answer, events, version, length).await
            }
            Err(failure) => {
                End::Failed { version: (!failure.relist).then_some(version), failure, lived: Duration::ZERO }
            }
        }
    }

    /// Reads a watch to its end.
    async fn follow(
        &mut self,
        mut answer: ResponseBody,
        mut events: EventReader,
        mut version: String,
        length: Duration,
    ) -> End {
        let began = Instant::now();
        // Two clocks may differ slightly.
        let time_is_up = self.lister.asked + length.mul_f64(0.99);
        let timeline = self.lister.heartbeat.timeline();
        let base = version.parse().ok();
        let idle = self.lister.timings.watch_idle;
        let mut last_event = None;
        let mut permit = None;
        self.synced(self.is_complete());
        self.lister.heartbeat.allowed(true);
        self.lister.log.watching();
        let failure = loop {
            match self.take_events(&mut events, base, &mut version) {
                Ok(true) => {
                    last_event = Some(Instant::now());
                    self.fruitful();
                }
                Ok(false) => {}
                Err(failure) => break failure,
            }
            if DecodeBudget::is_spare(events.held(), permit.as_ref()) {
                permit = None;
            }
            self.lister.budget.hold(events.held(), &mut permit).await;
            // Bytes of an endless event do not count as activity.
            let until = last_event.unwrap_or(began) + idle;
            let patience = ReadTimeouts { idle, until, late: "no whole event came in time" };
            let read = tokio::select! {
                read = answer.events(&mut events, patience, &mut self.lister.heartbeat) => read,
                () = timeline.lost_since(self.list_began) => Err(WatchFailure::timeline_lost(FOUND_BY_ANOTHER)),
                () = sleep_until(began + self.lister.timings.healthy), if self.barren > 0 => {
                    self.fruitful();
                    continue;
                }
            };
            match read {
                Ok(true) => self.heard = Instant::now(),
                Ok(false) => {
                    self.heard = Instant::now();
                    self.known = version.parse().ok();
                    let (lived, in_time) = (began.elapsed(), self.heard >= time_is_up);
                    return End::Closed { version, lived, in_time, is_barren: last_event.is_none() };
                }
                Err(failure) => break failure,
            }
        };
        self.known = version.parse().ok();
        let silent = failure.reason == FailureReason::Timeout && last_event.is_none();
        End::Failed { version: (!failure.relist && !silent).then_some(version), failure, lived: began.elapsed() }
    }

    /// Applies the available events; returns whether there were any.
    fn take_events(
        &mut self,
        events: &mut EventReader,
        base: Option<u64>,
        version: &mut String,
    ) -> Result<bool, WatchFailure> {
        let mut any = false;
        loop {
            let event = match events.next() {
                Ok(Some(event)) => event,
                Ok(None) => return Ok(any),
                Err(error) if error.is_passed_over => {
                    // The current list would skip it, too. The next list may be able to read it.
                    self.lister.pass_over(1);
                    self.lister.log.skipping(1);
                    self.synced(false);
                    any = true;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            if event.is_empty() {
                continue;
            }
            any = true;
            self.lister.budget.event();
            let fingerprint = EventFingerprint::of(self.lister.target.resource, &event);
            if let Some(repeat) = fingerprint.filter(|it| self.lister.budget.repeats().is_repeat(it)) {
                advance(version, repeat.resource_version, base)?;
                self.lister.heartbeat.event(EventType::Applied);
                continue;
            }
            let decoded = decode_event(self.lister.target.resource, &event);
            self.lister.heartbeat.wrong_types(take_wrong_types());
            match decoded {
                Ok(WatchEvent::Applied(object)) => {
                    advance(version, &object.meta.resource_version, base)?;
                    self.lister.heartbeat.event(EventType::Applied);
                    self.lister.sink.take(self.lister.source, SourceChange::Applied(&object));
                    fingerprint.inspect(|fingerprint| self.lister.budget.repeats().record(fingerprint));
                }
                Ok(WatchEvent::Deleted(object)) => {
                    advance(version, &object.meta.resource_version, base)?;
                    self.lister.heartbeat.event(EventType::Deleted);
                    self.lister.sink.take(self.lister.source, SourceChange::Deleted(&object));
                    fingerprint.inspect(|fingerprint| self.lister.budget.repeats().record(fingerprint));
                }
                Ok(WatchEvent::Bookmark { resource_version, .. }) => {
                    advance(version, &resource_version, base)?;
                    self.lister.heartbeat.event(EventType::Bookmark);
                }
                Ok(WatchEvent::Error(status)) => {
                    self.lister.heartbeat.event(EventType::Error);
                    return Err(WatchFailure::event(status));
                }
                // A relist would not make it readable: the list skipped it, too.
                Err(_) if self.lister.is_skipping() => self.lister.heartbeat.failure(FailureReason::Decode),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Returns the next state and the pause before it.
    fn after(&mut self, end: End) -> (FollowerState, Duration) {
        match end {
            End::Listed { version } | End::Proven { version } => (FollowerState::Listed { version }, Duration::ZERO),
            End::Unproven { version, failure } => self.after_failure(Some(version), &failure, Duration::ZERO),
            End::Unprovable => {
                self.lister.log.unprovable();
                (FollowerState::Unlisted, Duration::ZERO)
            }
            End::Closed { version, lived, in_time, is_barren } => {
                self.answered.not_refused();
                self.fruitless = 0;
                if is_barren && lived < self.lister.timings.healthy {
                    self.barren += 1;
                    if self.barren.is_multiple_of(BARREN_WATCHES) {
                        return self.after_failure(None, &WatchFailure::connection(BARREN_MESSAGE), lived);
                    }
                }
                // A server or proxy that ends every watch at once must not be asked in a tight loop.
                let pause = if self.was_healthy(lived) { Duration::ZERO } else { self.backoff.pause() };
                // Skipped objects may be readable by now.
                let state = match (self.lister.is_skipping(), in_time) {
                    (true, _) => FollowerState::Unlisted,
                    (false, true) => FollowerState::Listed { version },
                    (false, false) => {
                        self.synced(false);
                        FollowerState::Unproven { version }
                    }
                };
                (state, pause)
            }
            End::Failed { version, failure, lived } => {
                let in_error = failure.reason == FailureReason::ServerError && lived < self.lister.timings.healthy;
                self.fruitless = if in_error { self.fruitless + 1 } else { 0 };
                let version = version.filter(|_| self.fruitless < FRUITLESS_WATCHES);
                self.after_failure(version, &failure, lived)
            }
        }
    }

    fn after_failure(
        &mut self,
        version: Option<String>,
        failure: &WatchFailure,
        lived: Duration,
    ) -> (FollowerState, Duration) {
        self.was_healthy(lived);
        self.lister.heartbeat.allowed(false);
        let mut state = version.map_or(FollowerState::Unlisted, |version| FollowerState::Unproven { version });
        if let Some(refused) = Refused::from_reason(failure.reason) {
            let other_allowed_since = self.lister.heartbeat.other_allowed_since();
            if self.answered.refused(
                refused,
                self.lister.asked,
                other_allowed_since,
                &self.lister.timings,
                Instant::now(),
            ) {
                let change = match refused {
                    Refused::Forbidden => SourceChange::Forbidden,
                    Refused::NotServed => SourceChange::NotServed,
                };
                self.lister.sink.take(self.lister.source, change);
                self.lister.heartbeat.answered();
                // The inventory dropped its objects: a watch alone would not restore them.
                state = FollowerState::Unlisted;
            }
            return (state, self.after_refusal(refused, failure));
        }
        self.answered.not_refused();
        self.synced(false);
        self.lister.heartbeat.failure(failure.reason);
        if failure.reason == FailureReason::TimelineLost {
            self.known = None;
        }
        // An expired version means that the server is back, so its earlier pauses do not count.
        let expired = matches!(failure.reason, FailureReason::Expired | FailureReason::TimelineLost);
        let pause = if expired && !std::mem::replace(&mut self.expired, expired) {
            between(Duration::ZERO, self.lister.timings.pause_base)
        } else {
            self.expired = expired;
            failure.retry_after.unwrap_or_default() + self.backoff.pause()
        };
        self.lister.log.failed(failure, self.backoff.failures(), pause);
        (state, pause)
    }

    fn after_refusal(&mut self, refused: Refused, failure: &WatchFailure) -> Duration {
        if refused == Refused::NotServed && self.lister.target.resource.is_optional() {
            // The resource is not served: it has no objects.
            self.synced(self.answered.is_not_served());
            self.lister.log.not_served();
            return self.lister.timings.not_served;
        }
        self.synced(false);
        self.lister.heartbeat.failure(failure.reason);
        // A server that has just started refuses everything until it has read its own roles.
        let again = self.lister.timings.forbidden_again;
        if self.answered.is_unsettled() || self.answered.may_be_starting(self.lister.timings.forbidden, Instant::now())
        {
            let pause = between(again * 3 / 4, again * 5 / 4);
            self.lister.log.may_be_starting(failure, pause);
            return pause;
        }
        let pause = match refused {
            Refused::Forbidden => between(self.lister.timings.forbidden, self.lister.timings.forbidden * 2),
            Refused::NotServed => self.lister.timings.not_served,
        };
        self.lister.log.failed(failure, 1, pause);
        pause
    }

    /// Reports to metrics and inventory whether the source is synced. The inventory awaits no objects of an unsynced source.
    fn synced(&mut self, synced: bool) {
        self.lister.heartbeat.synced(synced);
        self.lister.sink.take(self.lister.source, SourceChange::Live(synced));
    }

    /// Whether the known objects are complete, and a watch keeps them up to date.
    fn is_complete(&self) -> bool {
        !self.lister.is_skipping() && self.barren < BARREN_WATCHES
    }

    /// Records that a watch received something, or lasted long enough.
    fn fruitful(&mut self) {
        if std::mem::take(&mut self.barren) >= BARREN_WATCHES {
            self.synced(self.is_complete());
        }
    }

    fn was_healthy(&mut self, lived: Duration) -> bool {
        let healthy = lived >= self.lister.timings.healthy;
        if healthy {
            self.backoff.reset();
        }
        healthy
    }
}

/// Sets the version to that of an event. A version below the watch's first one means that the server was restored to an
/// older state, and that everything it reported since then is undone. (Versions of built-in and custom resources are
/// comparable numbers, KEP-5504; otherwise nothing is concluded.)
fn advance(version: &mut String, to: &str, base: Option<u64>) -> Result<(), WatchFailure> {
    if let (Some(base), Ok(to)) = (base, to.parse::<u64>())
        && to < base
    {
        return Err(WatchFailure::timeline_lost(format!("the API server went back from version {base} to {to}")));
    }
    if !to.is_empty() {
        version.clear();
        version.push_str(to);
    }
    Ok(())
}
