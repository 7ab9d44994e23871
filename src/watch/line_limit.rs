//! Rate limit for log lines: ten of each kind per window, and at its end the number of suppressed lines.
//!
//! Alternating reasons would be logged each time, and fifty namespaces fail together. So the limit of a resource and reason is
//! shared by all namespaces.

use crate::objects::Resource;
use crate::sync::lock;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Maximum lines of one kind per window.
const MOST_LINES: u32 = 10;

/// The log lines of all watches.
pub(super) struct LineLimit {
    window: Duration,
    kinds: Mutex<HashMap<Kind, LineCount>>,
}

/// Kind of a line: the resource, and the reason of a failure or another keyword.
type Kind = (Resource, &'static str);

struct LineCount {
    window_ends: Instant,
    logged: u32,
    /// Suppressed lines that were not reported yet.
    left_out: u64,
}

impl LineLimit {
    pub(super) fn new(window: Duration) -> Arc<Self> {
        Arc::new(Self { window, kinds: Mutex::default() })
    }

    /// Whether a line may be logged; otherwise it is counted.
    pub(super) fn admits(self: &Arc<Self>, resource: Resource, reason: &'static str) -> bool {
        let now = Instant::now();
        let window_ends = {
            let mut kinds = self.kinds();
            let new = || LineCount { window_ends: now + self.window, logged: 0, left_out: 0 };
            let lines = kinds.entry((resource, reason)).or_insert_with(new);
            if now >= lines.window_ends {
                (lines.window_ends, lines.logged) = (now + self.window, 0);
            }
            if lines.logged < MOST_LINES {
                lines.logged += 1;
                return true;
            }
            lines.left_out += 1;
            if lines.left_out > 1 {
                return false;
            }
            lines.window_ends
        };
        let limit = Arc::clone(self);
        tokio::spawn(async move {
            sleep_until(window_ends).await;
            let left_out = limit.take_left_out((resource, reason));
            tracing::warn!(%resource, reason, left_out, "similar lines suppressed");
        });
        false
    }

    fn take_left_out(&self, kind: Kind) -> u64 {
        self.kinds().get_mut(&kind).map_or(0, |lines| std::mem::take(&mut lines.left_out))
    }

    fn kinds(&self) -> MutexGuard<'_, HashMap<Kind, LineCount>> {
        lock(&self.kinds)
    }
}

#[cfg(test)]
mod tests {
    use super::{LineLimit, MOST_LINES};
    use crate::objects::Resource::{Deployments, Pods};
    use std::time::Duration;
    use tokio::time::sleep;

    #[tokio::test]
    async fn ten_lines_in_a_window_and_the_rest_is_counted() {
        let limit = LineLimit::new(Duration::from_secs(3600));
        let admitted = |resource, reason| (0..100).filter(|_| limit.admits(resource, reason)).count();
        assert_eq!(admitted(Pods, "timeout"), MOST_LINES as usize);
        assert_eq!(admitted(Pods, "connection"), MOST_LINES as usize, "another reason");
        assert_eq!(admitted(Deployments, "timeout"), MOST_LINES as usize, "another resource");
        assert_eq!(limit.take_left_out((Pods, "timeout")), 90);
        assert_eq!(limit.take_left_out((Pods, "timeout")), 0, "it is reported once");
    }

    #[tokio::test]
    async fn a_window_ends_and_its_count_is_reported() {
        let limit = LineLimit::new(Duration::from_millis(50));
        let admitted = || (0..20).filter(|_| limit.admits(Pods, "timeout")).count();
        assert_eq!(admitted(), 10);
        sleep(Duration::from_millis(100)).await;
        assert_eq!(limit.take_left_out((Pods, "timeout")), 0, "it was reported when the window ended");
        assert_eq!(admitted(), 10);
    }
}
