//! Who the objects go to.

use crate::inventory::{Inventory, Source};
use crate::objects::Object;
use crate::time::UnixTime;
use std::sync::{Mutex, PoisonError, TryLockError};

/// Takes what the watches bring. Every call is short and does no I/O; a watch waits for it.
pub trait Sink: Send + Sync + 'static {
    /// An object was added or changed.
    fn apply(&self, source: Source, object: &Object<'_>);
    /// An object is gone.
    fn delete(&self, source: Source, object: &Object<'_>);
    /// A list begins; what is known stays until it is complete.
    fn begin_relist(&self, source: Source);
    /// Whether it reads the pages of lists: then they come in JSON.
    fn reads_pages(&self) -> bool {
        false
    }
    /// A page of that list as it came, before its objects: for whoever shows more of an object than podskew keeps.
    fn page(&self, source: Source, page: &[u8]) {
        let _ = (source, page);
    }
    /// Some objects of that list.
    fn relist(&self, source: Source, objects: &[Object<'_>]);
    /// The same, unless somebody else is at it: says whether it took them.
    fn relist_unless_busy(&self, source: Source, objects: &[Object<'_>]) -> bool {
        self.relist(source, objects);
        true
    }
    /// The list is complete, and these of its objects are gone already: a streaming list may name an object first and its
    /// deletion after. No one may see them in between.
    fn finish_relist(&self, source: Source, gone: &[Object<'_>]);
    /// The list broke off.
    fn abandon_relist(&self, source: Source);
    /// Whether what is known of the source is complete and its watch stands.
    fn live(&self, source: Source, live: bool) {
        let _ = (source, live);
    }
    /// The source is forbidden.
    fn forbid(&self, source: Source);
    /// The cluster does not serve the source.
    fn not_served(&self, source: Source);
}

/// The lock is taken for some dozens of objects at most, and never while the network is waited for or anything is decoded.
impl Sink for Mutex<Inventory> {
    fn apply(&self, source: Source, object: &Object<'_>) {
        locked(self, |inventory| inventory.apply(source, object, UnixTime::now()));
    }

    fn delete(&self, source: Source, object: &Object<'_>) {
        locked(self, |inventory| inventory.delete(source, object, UnixTime::now()));
    }

    fn begin_relist(&self, source: Source) {
        locked(self, |inventory| inventory.begin_relist(source));
    }

    fn relist(&self, source: Source, objects: &[Object<'_>]) {
        locked(self, |inventory| inventory.relist_all(source, objects, UnixTime::now()));
    }

    fn relist_unless_busy(&self, source: Source, objects: &[Object<'_>]) -> bool {
        let mut inventory = match self.try_lock() {
            Ok(inventory) => inventory,
            Err(TryLockError::Poisoned(error)) => error.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        inventory.relist_all(source, objects, UnixTime::now());
        true
    }

    fn finish_relist(&self, source: Source, gone: &[Object<'_>]) {
        let now = UnixTime::now();
        locked(self, |inventory| {
            inventory.finish_relist(source, now);
            for object in gone {
                inventory.delete(source, object, now);
            }
        });
    }

    fn abandon_relist(&self, source: Source) {
        locked(self, |inventory| inventory.abandon_relist(source, UnixTime::now()));
    }

    fn live(&self, source: Source, live: bool) {
        locked(self, |inventory| inventory.live(source, live, UnixTime::now()));
    }

    fn forbid(&self, source: Source) {
        locked(self, |inventory| inventory.forbid(source, UnixTime::now()));
    }

    fn not_served(&self, source: Source) {
        locked(self, |inventory| inventory.not_served(source, UnixTime::now()));
    }
}

/// A poisoned lock is taken all the same: the release build aborts on a panic, so only tests ever see one.
fn locked(inventory: &Mutex<Inventory>, change: impl FnOnce(&mut Inventory)) {
    change(&mut inventory.lock().unwrap_or_else(PoisonError::into_inner));
}
