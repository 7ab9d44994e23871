//! Misbehaviour on demand: what a client has to live through, switched on and off while the server runs.

use crate::resource::Resource;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// One way in which an API server, or the network before it, goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// Every request is answered with this HTTP status: 401, 403, 500, 503…
    Status(u16),
    /// Every request is answered with 429 and told when to come back.
    TooManyRequests {
        /// The value of `Retry-After`.
        retry_after_seconds: u32,
    },
    /// The request is taken, and nothing comes back.
    NeverAnswers,
    /// A streaming list is refused by an ERROR event with code 500, as where etcd is too old.
    StreamingListUnsupported,
    /// A streaming list is refused with HTTP status 422, as by servers that do not know `sendInitialEvents`.
    StreamingListInvalid,
    /// Continue tokens have expired: 410 with a token for the rest.
    ContinueExpired,
    /// A list stops in the middle of an item; the connection stays open. Streaming lists too.
    ListStalls,
    /// A list ends in the middle of an item with the connection. Streaming lists too.
    ListCut,
    /// A watch that names the version to start from is answered with HTTP status 410.
    WatchGone,
    /// A watch, new or running, gets an ERROR event with code 410 and ends.
    WatchExpires,
    /// A watch, new or running, says nothing any more: no event, no bookmark, no end. It stays so when the fault is cleared,
    /// as a connection does whose other end is forgotten.
    WatchSilent,
    /// A watch, new or running, ends in the middle of a line with the connection.
    WatchCut,
    /// A watch, new or running, sends a line that is no JSON, and goes on. In a streaming list it takes the place of the
    /// first object.
    WatchGarbage,
    /// A watch, new or running, sends the first half of an event as if it were a line, and goes on. In a streaming list it is
    /// the first object's.
    WatchTruncatedLine,
}

impl Fault {
    /// Takes the place of an answer, whatever was asked for.
    pub(super) fn replaces_answer(self) -> bool {
        matches!(self, Self::Status(_) | Self::TooManyRequests { .. } | Self::NeverAnswers)
    }

    /// Breaks a list while it is written.
    pub(super) fn breaks_list(self) -> bool {
        matches!(self, Self::ListStalls | Self::ListCut)
    }

    /// Breaks a single line of a watch or of a streaming list.
    pub(super) fn breaks_line(self) -> bool {
        matches!(self, Self::WatchGarbage | Self::WatchTruncatedLine)
    }

    /// Refuses a streaming list.
    pub(super) fn refuses_streaming_list(self) -> bool {
        matches!(self, Self::StreamingListUnsupported | Self::StreamingListInvalid)
    }

    /// Strikes a watch that runs.
    pub(super) fn breaks_watch(self) -> bool {
        self.breaks_line() || matches!(self, Self::WatchExpires | Self::WatchSilent | Self::WatchCut)
    }
}

/// The faults that are switched on.
#[derive(Debug)]
pub(super) struct Faults {
    active: Mutex<Vec<Active>>,
    changed: watch::Sender<()>,
}

#[derive(Debug)]
struct Active {
    /// None: all resources, and discovery.
    resource: Option<Resource>,
    fault: Fault,
    /// How many more times it strikes; none: until it is cleared.
    left: Option<u32>,
}

impl Faults {
    pub(super) fn new() -> Self {
        Self { active: Mutex::new(Vec::new()), changed: watch::Sender::new(()) }
    }

    pub(super) fn add(&self, resource: Option<Resource>, fault: Fault, times: Option<u32>) {
        self.active().push(Active { resource, fault, left: times });
        self.changed.send_replace(());
    }

    pub(super) fn clear(&self) {
        self.active().clear();
    }

    /// The first fault of this sort that strikes a request for this resource (`None`: for discovery). It has then struck.
    pub(super) fn strike(&self, resource: Option<Resource>, sort: impl Fn(Fault) -> bool) -> Option<Fault> {
        let mut active = self.active();
        let strikes = |entry: &Active| (entry.resource.is_none() || entry.resource == resource) && sort(entry.fault);
        let found = active.iter().position(strikes)?;
        let entry = &mut active[found];
        let fault = entry.fault;
        if let Some(left) = &mut entry.left {
            *left = left.saturating_sub(1);
            if *left == 0 {
                active.remove(found);
            }
        }
        Some(fault)
    }

    /// Wakes running watches when a fault is switched on.
    pub(super) fn subscribe(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    fn active(&self) -> MutexGuard<'_, Vec<Active>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
