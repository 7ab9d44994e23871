//! Limits on undecoded data in memory, over all lists and watches.
//!
//! A list usually holds a few hundred kilobytes, because it is decoded while it is read. A single object may have up to
//! [`LONGEST_OBJECT`](crate::objects::LONGEST_OBJECT); only one such object is read at a time. With [`LISTS_AT_ONCE`]
//! lists this is less than 32 MiB.

use super::repeats::Repeats;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Number of concurrent lists. Otherwise fifty namespaces of eight resources would start 400.
const LISTS_AT_ONCE: usize = 16;

/// Bytes that a list or watch may hold without a permit.
const SHORT: usize = 512 << 10;

/// State that all lists and watches share: limits on undecoded answers, threads that decode lists, and recent events.
pub(super) struct DecodeBudget {
    lists: Arc<Semaphore>,
    long: Arc<Semaphore>,
    decoding: Handle,
    /// Number of watch events.
    events: AtomicU64,
    repeats: Repeats,
}

/// The right to list, or to hold a long object. Dropping it returns the right.
pub(super) type Permit = OwnedSemaphorePermit;

impl DecodeBudget {
    /// Decodes lists on the current runtime.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            lists: Arc::new(Semaphore::new(LISTS_AT_ONCE)),
            long: Arc::new(Semaphore::new(1)),
            decoding: Handle::current(),
            events: AtomicU64::new(0),
            repeats: Repeats::new(),
        })
    }

    /// The runtime that decodes lists.
    pub(super) fn decoding(&self) -> &Handle {
        &self.decoding
    }

    /// Whether a list is being read.
    pub(super) fn is_listing(&self) -> bool {
        self.lists.available_permits() < LISTS_AT_ONCE
    }

    /// Counts a watch event.
    pub(super) fn event(&self) {
        self.events.fetch_add(1, Ordering::Relaxed);
    }

    /// Number of watch events.
    pub(super) fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    /// The last events of watches.
    pub(super) fn repeats(&self) -> &Repeats {
        &self.repeats
    }

    /// Waits for the right to list.
    pub(super) async fn list(&self) -> Option<Permit> {
        // The semaphore is never closed.
        self.lists.clone().acquire_owned().await.ok()
    }

    /// Waits for the right to hold `bytes` bytes, if one is needed.
    pub(super) async fn hold(&self, bytes: usize, permit: &mut Option<Permit>) {
        if bytes > SHORT && permit.is_none() {
            *permit = self.long.clone().acquire_owned().await.ok();
        }
    }

    /// Whether `bytes` bytes may be held without a permit.
    pub(super) fn is_spare(bytes: usize, permit: Option<&Permit>) -> bool {
        permit.is_some() && bytes <= SHORT
    }
}

#[cfg(test)]
mod tests {
    use super::{DecodeBudget, SHORT};
    use std::time::Duration;
    use tokio::time::timeout;

    #[tokio::test]
    async fn one_long_object_is_read_at_a_time_and_short_ones_do_not_wait() {
        let budget = DecodeBudget::new();
        let (mut first, mut second, mut third) = (None, None, None);
        budget.hold(SHORT + 1, &mut first).await;
        budget.hold(16 << 20, &mut first).await;
        assert!(first.is_some() && !DecodeBudget::is_spare(16 << 20, first.as_ref()));
        budget.hold(SHORT, &mut second).await;
        assert!(second.is_none() && !DecodeBudget::is_spare(0, second.as_ref()));
        assert!(timeout(Duration::from_millis(20), budget.hold(SHORT + 1, &mut third)).await.is_err());
        assert!(DecodeBudget::is_spare(0, first.as_ref()));
        drop(first);
        budget.hold(SHORT + 1, &mut third).await;
        assert!(third.is_some());
    }
}
