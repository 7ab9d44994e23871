//! Finds events that repeat the last event of their object in everything that podskew reads.

use crate::objects::EventFingerprint;
use std::sync::atomic::{AtomicU64, Ordering};

/// Number of entries in the table, which takes 32 KiB. An object replaces another object with the same entry.
const ENTRIES: usize = 4096;

/// The last events of objects that changed recently.
pub(super) struct Repeats(Box<[AtomicU64]>);

impl Repeats {
    pub(super) fn new() -> Self {
        Self((0..ENTRIES).map(|_| AtomicU64::new(0)).collect())
    }

    /// Whether the event repeats the last event of its object.
    pub(super) fn is_repeat(&self, fingerprint: &EventFingerprint<'_>) -> bool {
        !fingerprint.deleted && self.entry(fingerprint).load(Ordering::Relaxed) == fingerprint.content
    }

    /// Records an event that was applied to the inventory.
    pub(super) fn record(&self, fingerprint: &EventFingerprint<'_>) {
        self.entry(fingerprint).store(if fingerprint.deleted { 0 } else { fingerprint.content }, Ordering::Relaxed);
    }

    /// Forgets all events, because a list may change any object.
    pub(super) fn forget(&self) {
        self.0.iter().for_each(|entry| entry.store(0, Ordering::Relaxed));
    }

    fn entry(&self, fingerprint: &EventFingerprint<'_>) -> &AtomicU64 {
        // The remainder is less than the number of entries.
        &self.0[usize::try_from(fingerprint.object % ENTRIES as u64).unwrap_or(0)]
    }
}

#[cfg(test)]
mod tests {
    use super::{ENTRIES, Repeats};
    use crate::objects::EventFingerprint;

    #[test]
    fn only_repeats_of_the_last_event_of_an_object_are_found() {
        let fingerprint = |object, content| EventFingerprint { object, content, resource_version: "1", deleted: false };
        let repeats = Repeats::new();
        assert!(!repeats.is_repeat(&fingerprint(1, 7)));
        repeats.record(&fingerprint(1, 7));
        assert!(
            repeats.is_repeat(&fingerprint(1, 7))
                && !repeats.is_repeat(&fingerprint(1, 8))
                && !repeats.is_repeat(&fingerprint(2, 7))
        );
        repeats.record(&fingerprint(1, 8));
        assert!(!repeats.is_repeat(&fingerprint(1, 7)), "it was so before");
        repeats.record(&fingerprint(1 + ENTRIES as u64, 9));
        assert!(!repeats.is_repeat(&fingerprint(1, 8)), "another object replaced it");
        repeats.record(&fingerprint(1, 8));
        let gone = EventFingerprint { deleted: true, ..fingerprint(1, 8) };
        assert!(!repeats.is_repeat(&gone));
        repeats.record(&gone);
        assert!(!repeats.is_repeat(&fingerprint(1, 8)));
        repeats.record(&fingerprint(1, 8));
        repeats.forget();
        assert!(!repeats.is_repeat(&fingerprint(1, 8)));
    }
}
