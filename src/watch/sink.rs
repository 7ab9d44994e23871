//! Where a watch hands over what it has decoded.

use crate::inventory::{Inventory, Source};
use crate::objects::Object;
use crate::sync::lock;
use crate::time::UnixTime;
use std::sync::{Mutex, MutexGuard, TryLockError};

/// What a watch says of its source.
#[derive(Clone, Copy, Debug)]
pub enum SourceChange<'c, 'o> {
    /// An object was added or changed.
    Applied(&'c Object<'o>),
    /// An object is gone.
    Deleted(&'c Object<'o>),
    /// A list begins; what is known stays until it is complete.
    ListBegins,
    /// Some objects of that list.
    Listed(&'c [Object<'o>]),
    /// The list is complete, and these of its objects are gone already: a streaming list may name an object first and its deletion
    /// after. No one may see them in between.
    ListEnds {
        /// The objects that are gone.
        gone: &'c [Object<'o>],
    },
    /// The list broke off.
    ListBreaksOff,
    /// Whether what is known of the source is complete and its watch stands.
    Live(bool),
    /// The source is forbidden.
    Forbidden,
    /// The cluster does not serve the source.
    NotServed,
}

/// Takes what the watches bring. Every call is short and does no I/O; a watch waits for it.
pub trait Sink: Send + Sync + 'static {
    /// Takes what a watch says of its source.
    fn take(&self, source: Source, change: SourceChange<'_, '_>);

    /// Takes objects of a list, unless another thread holds the sink; returns whether it took them.
    fn list_unless_busy(&self, source: Source, objects: &[Object<'_>]) -> bool {
        self.take(source, SourceChange::Listed(objects));
        true
    }

    /// Whether it reads the pages of lists: then they come in JSON.
    fn reads_pages(&self) -> bool {
        false
    }

    /// Takes a page of a list as it came, before its objects: for whoever shows more of an object than podskew keeps.
    fn page(&self, source: Source, page: &[u8]) {
        let _ = (source, page);
    }
}

/// The lock is taken for some dozens of objects at most, and never while the network is waited for or anything is decoded.
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
