//! The receiver of decoded objects.

use crate::inventory::{Inventory, Source};
use crate::objects::Object;
use crate::sync::lock;
use crate::time::UnixTime;
use std::sync::{Mutex, MutexGuard, TryLockError};

/// A change of a source.
#[derive(Clone, Copy, Debug)]
pub enum SourceChange<'c, 'o> {
    /// An object was added or changed.
    Applied(&'c Object<'o>),
    /// An object is gone.
    Deleted(&'c Object<'o>),
    /// A list begins; known objects stay until it is complete.
    ListBegins,
    /// Objects of the list.
    Listed(&'c [Object<'o>]),
    /// The list is complete. A streaming list may have an object first and its deletion later; these objects are
    /// `gone`. No reader may see them in between.
    ListEnds {
        /// Objects of the list that are already deleted.
        gone: &'c [Object<'o>],
    },
    /// The list failed.
    ListBreaksOff,
    /// Whether the objects are complete and the watch is established.
    Live(bool),
    /// Listing the source is forbidden.
    Forbidden,
    /// The cluster does not serve the source.
    NotServed,
}

/// Receives decoded objects from the watches. Every call is short and does no I/O; a watch waits for it.
pub trait Sink: Send + Sync + 'static {
    /// Applies a change.
    fn take(&self, source: Source, change: SourceChange<'_, '_>);

    /// Applies objects of a list, unless another thread holds the sink; returns whether it did.
    fn list_unless_busy(&self, source: Source, objects: &[Object<'_>]) -> bool {
        self.take(source, SourceChange::Listed(objects));
        true
    }

    /// Whether it reads raw pages of lists; they then come in JSON.
    fn reads_pages(&self) -> bool {
        false
    }

    /// Receives the raw page of a list, before its objects, to show more of an object than podskew keeps.
    fn page(&self, source: Source, page: &[u8]) {
        let _ = (source, page);
    }
}

/// Takes the lock for some dozens of objects at most, and never while waiting for the network or decoding.
impl Sink for Mutex<Inventory> {
    fn take(&self, source: Source, change: SourceChange<'_, '_>) {
        let now = UnixTime::now();
        let mut inventory: MutexGuard<'_, Inventory> = lock(self);
        match change {
            SourceChange::Applied(object) => inventory.apply(source, object, now),
            SourceChange::Deleted(object) => inventory.delete(source, object, now),
            SourceChange::ListBegins => inventory.begin_relist(source),
            SourceChange::Listed(objects) => inventory.relist_all(source, objects, now),
            SourceChange::ListEnds { gone } => {
                inventory.finish_relist(source, now);
                for object in gone {
                    inventory.delete(source, object, now);
                }
            }
            SourceChange::ListBreaksOff => inventory.abandon_relist(source, now),
            SourceChange::Live(live) => inventory.live(source, live, now),
            SourceChange::Forbidden => inventory.forbid(source, now),
            SourceChange::NotServed => inventory.not_served(source, now),
        }
    }

    fn list_unless_busy(&self, source: Source, objects: &[Object<'_>]) -> bool {
        let mut inventory = match self.try_lock() {
            Ok(inventory) => inventory,
            Err(TryLockError::Poisoned(error)) => error.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        inventory.relist_all(source, objects, UnixTime::now());
        true
    }
}
