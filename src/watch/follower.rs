//! One watch, for ever: list, follow, and come back from every kind of failure.
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
//! A watch goes on from the last version it saw as long as nothing was lost: when its time is up, after a broken
//! connection, after a refusal. Unless its time was up, it first proves that the API server is still in the timeline of
//! that version (`timeline`). It lists again when something may have been lost: the version expired (410), a line could
//! not be read, the server went back to an older state, nothing was answered for so long that it may have done so unseen,
//! a watch was silent from its beginning to the idle timeout, or several ended at once without an event or a bookmark.

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
use crate::objects::{WatchEvent, decode_event, take_wrong_types};
use crate::telemetry::{EventType, FailureReason};
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

/// A server that ends a watch with an error this often in a row is asked for a list: client-go asks after the first, but
/// an etcd that elects a leader fails every watch for seconds, and that loses nothing.
const FRUITLESS_WATCHES: u32 = 3;

/// Barren watches in a row after which a resource is listed: whatever changes meanwhile goes unseen.
const BARREN_WATCHES: u32 = 3;

/// What the log says of them.
const BARREN: &str = "several watches in a row ended at once and brought nothing";

/// Follows one source: lists it, watches it, and lists it again.
pub(super) struct Follower<S> {
    pub(super) lister: Lister<S>,
    /// When the last list was complete, or its watch last brought something.
    pub(super) heard: Instant,
    /// When the last complete list was begun.
    list_began: Instant,
    answered: AuthorizationTracker,
    backoff: Backoff,
    /// Watches in a row that the server ended with an error.
    fruitless: u32,
    /// Watches in a row that the server ended at once, and in good order, without an event or a bookmark.
    barren: u32,
    /// The version that the last watch had reached, if nothing has been concluded from it yet.
    known: Option<u64>,
    /// Whether the last failure was an expired version.
    expired: bool,
}

/// What is known when an attempt begins.
enum FollowerState {
    /// Nothing, or nothing to go on from.
    Unlisted,
    /// Everything up to a version, which the API server may have lost since.
    Unproven { version: String },
    /// Everything up to a version.
    Listed { version: String },
}

/// How an attempt ended.
pub(super) enum End {
    /// A list is complete, and its watch has not begun.
    Listed { version: String },
    /// The server ended the watch in good order; `in_time` if that was when it was asked to, `is_barren` if it brought
    /// neither an event nor a bookmark.
    Closed { version: String, lived: Duration, in_time: bool, is_barren: bool },
    /// A watch may go on.
    Proven { version: String },
    /// Whether it may could not be found out.
    Unproven { version: String, failure: WatchFailure },
    /// There is no way to find out.
    Unprovable,
    /// It failed. Without a version there is nothing to go on from.
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

    /// Never ends.
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

    /// A list is complete. One of an older version than was known tells of a restored etcd: a watch that was away for long lists in
    /// any case, and finds out only now.
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

    /// A list is complete, but for what had to be left out.
    fn listed(&mut self, began: Instant, version: &str) {
        self.answered.listed();
        self.compare_versions(version);
        // Whatever was lost until now, this list has not lost.
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

    /// Watches what comes after `version`.
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

    /// Reads a watch to its end, whichever that is.
    async fn follow(
        &mut self,
        mut answer: ResponseBody,
        mut events: EventReader,
        mut version: String,
        length: Duration,
    ) -> End {
        let began = Instant::now();
        // Two clocks may differ a little.
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
            // Bytes of an event that never ends are no sign of life.
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

    /// Takes the events that are there. Says whether there were any.
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
                    // A list would pass it over as well. The next one may not.
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
            let decoded = decode_event(self.lister.target.resource, &event);
            self.lister.heartbeat.wrong_types(take_wrong_types());
            match decoded {
                Ok(WatchEvent::Applied(object)) => {
                    advance(version, &object.meta.resource_version, base)?;
                    self.lister.heartbeat.event(EventType::Applied);
                    self.lister.sink.take(self.lister.source, SourceChange::Applied(&object));
                }
                Ok(WatchEvent::Deleted(object)) => {
                    advance(version, &object.meta.resource_version, base)?;
                    self.lister.heartbeat.event(EventType::Deleted);
                    self.lister.sink.take(self.lister.source, SourceChange::Deleted(&object));
                }
                Ok(WatchEvent::Bookmark { resource_version, .. }) => {
                    advance(version, &resource_version, base)?;
                    self.lister.heartbeat.event(EventType::Bookmark);
                }
                Ok(WatchEvent::Error(status)) => {
                    self.lister.heartbeat.event(EventType::Error);
                    return Err(WatchFailure::event(status));
                }
                // Listing again would not make it readable: it was left out of the list as well.
                Err(_) if self.lister.is_skipping() => self.lister.heartbeat.failure(FailureReason::Decode),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// What follows from how an attempt ended, and after which pause.
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
                        return self.after_failure(None, &WatchFailure::connection(BARREN), lived);
                    }
                }
                // A server, or something before it, that ends every watch at once is not asked in a tight loop.
                let pause = if self.was_healthy(lived) { Duration::ZERO } else { self.backoff.pause() };
                // What was left out may be readable by now.
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
                // The inventory has let go of what it knew: a watch alone would not bring it back.
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
        // What a version expired for is over: the server is back, and the pauses of its absence are no measure for it.
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
            // There are none, and that is all there is to know.
            let known = self.answered.is_not_served();
            self.synced(known);
            self.lister.log.not_served();
            return self.lister.timings.not_served;
        }
        self.synced(false);
        self.lister.heartbeat.failure(failure.reason);
        // A server that has just started refuses everybody until it has read its own roles.
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

    /// Says so in the metrics, and to the inventory, which expects nothing new from a source that is not followed.
    fn synced(&mut self, synced: bool) {
        self.lister.heartbeat.synced(synced);
        self.lister.sink.take(self.lister.source, SourceChange::Live(synced));
    }

    /// Whether what is known is complete, and a watch is expected to keep it so.
    fn is_complete(&self) -> bool {
        !self.lister.is_skipping() && self.barren < BARREN_WATCHES
    }

    /// A watch brought something, or has lived long enough to bring something later.
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

/// Remembers the version of an event. One below that the watch began with means that the server was set back to an older
/// state: what it knew since then never happened. (Versions of built-in and custom resources are numbers that can be
/// compared, KEP-5504; where they are none, nothing is concluded.)
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
