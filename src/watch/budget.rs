//! How much of what the API server sends may lie in memory undecoded, over all lists and watches.
//!
//! What a list holds is some hundred kilobytes, as long as no object is longer than that: it is decoded while it is read.
//! An object may be long, up to [`LONGEST_OBJECT`](crate::objects::LONGEST_OBJECT); then only one of them is read at a
//! time. With [`LISTS_AT_ONCE`] lists that makes less than 32 MiB.

use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many lists run at once. Fifty namespaces of eight resources would otherwise ask for 400 at the start.
const LISTS_AT_ONCE: usize = 16;

/// What anybody may hold that has not asked for more.
const SHORT: usize = 512 << 10;

/// The limits on undecoded answers that all lists share.
pub(super) struct DecodeBudget {
    lists: Arc<Semaphore>,
    long: Arc<Semaphore>,
}

/// The right to list, or to hold an object that is long. It ends when this is dropped.
pub(super) type Permit = OwnedSemaphorePermit;

impl DecodeBudget {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { lists: Arc::new(Semaphore::new(LISTS_AT_ONCE)), long: Arc::new(Semaphore::new(1)) })
    }

    /// Waits until there is room for a list.
    pub(super) async fn list(&self) -> Option<Permit> {
        // The semaphore is never closed.
        self.lists.clone().acquire_owned().await.ok()
    }

    /// Waits until so many bytes may be held, if that is more than anybody may hold.
    pub(super) async fn hold(&self, bytes: usize, permit: &mut Option<Permit>) {
        if bytes > SHORT && permit.is_none() {
            *permit = self.long.clone().acquire_owned().await.ok();
        }
    }

    /// Whether a permit is of no more use to who holds so many bytes.
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
    async fn one_long_object_is_read_at_a_time_and_short_ones_wait_for_nobody() {
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
