//! Faults that can be switched on and off while the server runs.

use crate::resource::Resource;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// One fault of an API server, or of the network before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// Every request is answered with this HTTP status: 401, 403, 500, 503…
    Status(u16),
    /// Every request is answered with 429 and `Retry-After`.
    TooManyRequests {
        /// The value of `Retry-After`.
        retry_after_seconds: u32,
    },
    /// The request is accepted but never answered.
    NeverAnswers,
    /// A streaming list is refused by an ERROR event with code 500, as by servers with an old etcd.
    StreamingListUnsupported,
    /// A streaming list is refused with HTTP status 422, as by servers that do not know `sendInitialEvents`.
    StreamingListInvalid,
    /// Continue tokens have expired: 410 with a token for the rest.
    ContinueExpired,
    /// A list stops in the middle of an item; the connection stays open. Streaming lists too.
    ListStalls,
    /// A list ends in the middle of an item, and the connection closes. Streaming lists too.
    ListCut,
    /// A watch that names the version to start from is answered with HTTP status 410.
    WatchGone,
    /// A watch, new or running, gets an ERROR event with code 410 and ends.
    WatchExpires,
    /// A watch, new or running, sends nothing more: no event, no bookmark, no end. It stays silent when the fault is
    /// cleared, like a connection whose other end is gone.
    WatchSilent,
    /// A watch, new or running, ends in the middle of a line, and the connection closes.
    WatchCut,
    /// A watch, new or running, sends a line that is not JSON, and continues. In a streaming list this line replaces the
    /// first object.
    WatchGarbage,
    /// A watch, new or running, sends the first half of an event as if it were a line, and continues. In a streaming list
    /// it is half of the first object's event.
    WatchTruncatedLine,
}

impl Fault {
    /// Whether it replaces the answer to any request.
    pub(super) fn replaces_answer(self) -> bool {
        matches!(self, Self::Status(_) | Self::TooManyRequests { .. } | Self::NeverAnswers)
    }

    /// Whether it breaks a list while it is written.
    pub(super) fn breaks_list(self) -> bool {
        matches!(self, Self::ListStalls | Self::ListCut)
    }

    /// Whether it breaks a single line of a watch or of a streaming list.
    pub(super) fn breaks_line(self) -> bool {
        matches!(self, Self::WatchGarbage | Self::WatchTruncatedLine)
    }

    /// Whether it refuses a streaming list.
    pub(super) fn refuses_streaming_list(self) -> bool {
        matches!(self, Self::StreamingListUnsupported | Self::StreamingListInvalid)
    }

    /// Whether it affects a running watch.
    pub(super) fn breaks_watch(self) -> bool {
        self.breaks_line() || matches!(self, Self::WatchExpires | Self::WatchSilent | Self::WatchCut)
    }
}

/// The active faults.
#[derive(Debug)]
pub(super) struct Faults {
    active: Mutex<Vec<Active>>,
    changed: watch::Sender<()>,
}

#[derive(Debug)]
struct Active {
    /// `None` for all resources, and discovery.
    resource: Option<Resource>,
    fault: Fault,
    /// How many more requests it affects; `None` for no limit.
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

    /// The first fault of this sort for a request for this resource (`None`: for discovery). Counts as one use of the
    /// fault.
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
