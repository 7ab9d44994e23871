//! Detects an API server that went back to an older state.
//!
//! A restored etcd counts its versions from an older one. The API server accepts a watch from a version that it has not
//! reached yet: status 200, and silence until it passes that version (observed on Kubernetes 1.37). Changes in between
//! are never sent. So before a broken watch resumes, it requests the newest version, and lists if that is below its
//! own.
//!
//! The proof holds only if the server cannot have passed the known version unnoticed. If nothing was answered for
//! [`Timings::outage`](super::Timings), a restored server may have done so, and only a list helps.

use super::authorization::Refused;
use super::failure::WatchFailure;
use super::follower::{End, Follower};
use super::framing::WireFormat;
use super::http_exchange::open;
use super::sink::Sink;
use super::timings::Timings;
use crate::objects::{Resource, decode_list_meta};
use crate::sync::lock;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

/// Log message of a watch that did not detect this itself.
pub(super) const FOUND_BY_ANOTHER: &str = "another watch found the API server in an older state than before";

/// Maximum bytes to read of a list for its version.
const LONGEST_HEAD: usize = 64 << 10;

/// The timeline of a cluster, shared by all watches.
pub(super) struct Timeline {
    outage: Duration,
    probe_shared: Duration,
    contact: Mutex<Contact>,
    /// When the timeline was last found lost. Running watches listen to it.
    lost: watch::Sender<Option<Instant>>,
    /// The last probe of each resource, locked while it runs.
    probes: [tokio::sync::Mutex<Option<Probe>>; Resource::ALL.len()],
}

struct Contact {
    /// When the API server last answered a request, or sent a byte of a response.
    reached: Instant,
    /// Since when it has not, if a request failed.
    unreached_since: Option<Instant>,
    /// When the last long silence ended. A watch that was last heard before that must list.
    doubtful_before: Option<Instant>,
}

/// The response to a request for the newest version.
struct Probe {
    ended: Instant,
    newest: Result<u64, WatchFailure>,
}

impl Timeline {
    pub(super) fn new(timings: &Timings) -> Self {
        let contact = Contact { reached: Instant::now(), unreached_since: None, doubtful_before: None };
        Self {
            outage: timings.outage,
            probe_shared: timings.probe_shared,
            contact: Mutex::new(contact),
            lost: watch::Sender::new(None),
            probes: std::array::from_fn(|_| tokio::sync::Mutex::new(None)),
        }
    }

    /// Records that the API server sent something.
    pub(super) fn reached(&self) {
        self.contact().reached(Instant::now(), self.outage);
    }

    /// Records a request without a response, or a broken response; nothing was received since `since`.
    pub(super) fn unreached(&self, since: Instant) {
        self.contact().unreached(since);
    }

    /// Whether a restored server may have passed unnoticed the version of a watch last heard at `heard`.
    fn is_doubtful(&self, heard: Instant) -> bool {
        self.contact().is_doubtful(heard, Instant::now(), self.outage)
    }

    /// Whether a watch last heard at `heard` is on a lost timeline.
    pub(super) fn is_lost(&self, heard: Instant) -> bool {
        self.lost.borrow().is_some_and(|lost| heard < lost)
    }

    /// Records that the timeline of a watch last heard at `heard` is lost. Versions are those of one etcd. A watch of a
    /// quiet resource has an older version, which the restored server may have reached, so no watch resumes from
    /// a version before the loss.
    pub(super) fn lose(&self, heard: Instant) {
        self.lost.send_if_modified(|lost| {
            let news = lost.is_none_or(|lost| lost <= heard);
            if news {
                *lost = Some(Instant::now());
            }
            news
        });
    }

    /// Returns once a timeline is found lost after `listed`.
    pub(super) async fn lost_since(&self, listed: Instant) {
        let mut lost = self.lost.subscribe();
        // The sender outlives this borrow, so no error can occur.
        let _ = lost.wait_for(|lost| lost.is_some_and(|lost| lost > listed)).await;
    }

    fn contact(&self) -> MutexGuard<'_, Contact> {
        lock(&self.contact)
    }
}

impl Contact {
    fn reached(&mut self, now: Instant, outage: Duration) {
        self.reached = now;
        if self.unreached_since.take().is_some_and(|since| now - since >= outage) {
            self.doubtful_before = Some(now);
        }
    }

    fn unreached(&mut self, since: Instant) {
        let since = since.max(self.reached);
        self.unreached_since.get_or_insert(since);
    }

    fn is_doubtful(&self, heard: Instant, now: Instant, outage: Duration) -> bool {
        self.doubtful_before.is_some_and(|before| heard < before)
            || self.unreached_since.is_some_and(|since| now - since >= outage)
    }
}

impl<S: Sink> Follower<S> {
    /// Proves that a watch may resume from `version`.
    pub(super) async fn prove(&mut self, version: String) -> End {
        let timeline = self.lister.heartbeat.timeline();
        if timeline.is_lost(self.heard) {
            return lost(FOUND_BY_ANOTHER);
        }
        let doubtful = timeline.is_doubtful(self.heard);
        // A version that is not a number cannot be compared (KEP-5504: those of built-in and custom resources are
        // numbers).
        let Some(known) = version.parse::<u64>().ok().filter(|_| !doubtful) else {
            return End::Unprovable;
        };
        match self.newest_version().await {
            Ok(_) if timeline.is_doubtful(self.heard) => End::Unprovable,
            Ok(newest) if newest < known => {
                timeline.lose(self.heard);
                lost(format!("the API server is at version {newest} and was at {known} before"))
            }
            Ok(_) => End::Proven { version },
            Err(failure) => End::Unproven { version, failure },
        }
    }

    /// The newest version of the resource. Watches of several namespaces share a request.
    async fn newest_version(&mut self) -> Result<u64, WatchFailure> {
        let timeline = self.lister.heartbeat.timeline();
        let asked = Instant::now();
        let mut probe = timeline.probes[self.lister.target.resource as usize].lock().await;
        if let Some(Probe { ended, newest }) = &*probe {
            let shared = match newest {
                Ok(_) => ended.elapsed() <= timeline.probe_shared,
                // Another namespace may be forbidden.
                Err(failure) => *ended >= asked && Refused::from_reason(failure.reason).is_none(),
            };
            if shared {
                return newest.clone();
            }
        }
        let newest = self.probe().await;
        *probe = Some(Probe { ended: Instant::now(), newest: newest.clone() });
        newest
    }

    async fn probe(&mut self) -> Result<u64, WatchFailure> {
        let uri = self.lister.target.newest();
        let within = self.lister.timings.answer;
        let mut answer = open(&self.lister.client, &uri, WireFormat::Json, within, &mut self.lister.heartbeat).await?;
        // The version comes before the object.
        let list = timeout(within, answer.beginning(LONGEST_HEAD)).await;
        let list = list.map_err(|_| WatchFailure::timeout(format!("no version within {within:?}")))??;
        let version = decode_list_meta(self.lister.target.resource, &list)?.resource_version;
        version.parse().map_err(|_| WatchFailure::unreadable("the newest version of the resource is not a number"))
    }
}

fn lost(message: impl Into<String>) -> End {
    End::Failed { version: None, failure: WatchFailure::timeline_lost(message), lived: Duration::ZERO }
}

#[cfg(test)]
mod tests {
    use super::{Contact, Timeline, Timings};
    use std::time::Duration;
    use tokio::time::{Instant, timeout};

    const OUTAGE: Duration = Duration::from_secs(10);

    /// A contact, and the time of each second.
    fn contact() -> (Contact, impl Fn(u64) -> Instant) {
        let began = Instant::now();
        let at = move |second| began + Duration::from_secs(second);
        (Contact { reached: began, unreached_since: None, doubtful_before: None }, at)
    }

    #[test]
    fn a_short_silence_leaves_no_doubt_and_a_long_one_does() {
        let (mut contact, at) = contact();
        contact.unreached(at(1));
        assert!(!contact.is_doubtful(at(0), at(10), OUTAGE));
        contact.reached(at(10), OUTAGE);
        assert!(!contact.is_doubtful(at(0), at(100), OUTAGE));
        contact.unreached(at(100));
        contact.unreached(at(105));
        assert!(contact.is_doubtful(at(0), at(110), OUTAGE), "while it lasts");
        contact.reached(at(111), OUTAGE);
        assert!(contact.is_doubtful(at(0), at(112), OUTAGE), "and after it");
        assert!(!contact.is_doubtful(at(111), at(112), OUTAGE), "not for what was heard since");
    }

    #[test]
    fn a_silence_begins_no_sooner_than_the_last_answer() {
        let (mut contact, at) = contact();
        contact.reached(at(120), OUTAGE);
        // One of many connections was dead all along.
        contact.unreached(at(1));
        assert!(!contact.is_doubtful(at(0), at(129), OUTAGE));
        assert!(contact.is_doubtful(at(0), at(130), OUTAGE));
    }

    #[tokio::test]
    async fn a_lost_timeline_is_announced_once() {
        let timeline = Timeline::new(&Timings::default());
        let heard = Instant::now();
        timeline.lose(heard);
        let first = *timeline.lost.borrow();
        assert!(first.is_some() && timeline.is_lost(heard));
        timeline.lose(heard);
        assert_eq!(*timeline.lost.borrow(), first, "the second has seen no more than the first");
        timeline.lost_since(heard).await;
        let listed = Instant::now();
        assert!(timeout(Duration::from_millis(20), timeline.lost_since(listed)).await.is_err());
    }
}
