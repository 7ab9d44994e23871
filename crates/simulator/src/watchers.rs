//! The open watches and their progress, so that a producer of events can wait for the readers.

use crate::resource::Resource;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// All open watches.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    open: Mutex<Vec<Weak<Watcher>>>,
}

/// One watch.
#[derive(Debug)]
pub(super) struct Watcher {
    pub(super) resource: Resource,
    seen: AtomicU64,
    live: AtomicBool,
}

impl Watchers {
    /// Registers a watch that has seen everything up to a version.
    pub(super) fn open(&self, resource: Resource, seen: u64) -> Arc<Watcher> {
        let watcher = Arc::new(Watcher { resource, seen: AtomicU64::new(seen), live: AtomicBool::new(false) });
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|known| known.strong_count() > 0);
        open.push(Arc::downgrade(&watcher));
        watcher
    }

    /// The watches that are open now.
    pub(super) fn all(&self) -> Vec<Arc<Watcher>> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.iter().filter_map(Weak::upgrade).collect()
    }
}

impl Watchers {
    /// The version up to which every open watch of a resource has been sent everything; `None` if none is open.
    pub(super) fn slowest(&self, resource: Resource) -> Option<u64> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let watchers = open.iter().filter_map(Weak::upgrade).filter(|watcher| watcher.resource == resource);
        watchers.map(|watcher| watcher.seen()).min()
    }
}

impl Watcher {
    /// Records that everything up to a version has been handed to the connection.
    pub(super) fn saw(&self, version: u64) {
        self.seen.store(version, Ordering::Relaxed);
    }

    /// Records that all initial objects have been sent.
    pub(super) fn note_initial_events_sent(&self) {
        self.live.store(true, Ordering::Relaxed);
    }

    pub(super) fn seen(&self) -> u64 {
        self.seen.load(Ordering::Relaxed)
    }

    pub(super) fn is_live(&self) -> bool {
        self.live.load(Ordering::Relaxed)
    }
}
