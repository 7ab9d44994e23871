//! Finds events that repeat the last event of their object in everything that podskew reads.

use crate::objects::Gist;
use std::sync::atomic::{AtomicU64, Ordering};

/// Size of the table, 32 KiB in all. An object replaces another one with the same place.
const PLACES: usize = 4096;

/// The last event of each object that changed recently.
pub(super) struct Repeats(Box<[AtomicU64]>);

impl Repeats {
    pub(super) fn new() -> Self {
        Self((0..PLACES).map(|_| AtomicU64::new(0)).collect())
    }

    /// Whether the event repeats the last one of its object.
    pub(super) fn is_known(&self, gist: &Gist<'_>) -> bool {
        !gist.deleted && self.place(gist).load(Ordering::Relaxed) == gist.read
    }

    /// Remembers an event that was put into the inventory.
    pub(super) fn taken(&self, gist: &Gist<'_>) {
        self.place(gist).store(if gist.deleted { 0 } else { gist.read }, Ordering::Relaxed);
    }

    /// Forgets all events, because a list may change any object.
    pub(super) fn forget(&self) {
        self.0.iter().for_each(|place| place.store(0, Ordering::Relaxed));
    }

    fn place(&self, gist: &Gist<'_>) -> &AtomicU64 {
        // The remainder is less than the number of places.
        &self.0[usize::try_from(gist.object % PLACES as u64).unwrap_or(0)]
    }
}

#[cfg(test)]
mod tests {
    use super::{PLACES, Repeats};
    use crate::objects::Gist;

    #[test]
    fn only_what_the_last_event_of_an_object_said_is_known() {
        let gist = |object, read| Gist { object, read, resource_version: "1", deleted: false };
        let repeats = Repeats::new();
        assert!(!repeats.is_known(&gist(1, 7)));
        repeats.taken(&gist(1, 7));
        assert!(repeats.is_known(&gist(1, 7)) && !repeats.is_known(&gist(1, 8)) && !repeats.is_known(&gist(2, 7)));
        repeats.taken(&gist(1, 8));
        assert!(!repeats.is_known(&gist(1, 7)), "it was so before");
        repeats.taken(&gist(1 + PLACES as u64, 9));
        assert!(!repeats.is_known(&gist(1, 8)), "another one took its place");
        repeats.taken(&gist(1, 8));
        let gone = Gist { deleted: true, ..gist(1, 8) };
        assert!(!repeats.is_known(&gone));
        repeats.taken(&gone);
        assert!(!repeats.is_known(&gist(1, 8)));
        repeats.taken(&gist(1, 8));
        repeats.forget();
        assert!(!repeats.is_known(&gist(1, 8)));
    }
}
