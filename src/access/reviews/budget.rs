//! The limit on requests to the API server.

use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// Maximum number of requests within any second.
const A_SECOND: usize = 10;

/// Maximum number of concurrent reviews.
const AT_ONCE: usize = 4;

/// Share of both limits that is reserved for tokens with a recent allow.
const KEPT: (usize, usize) = (2, 1);

/// Maximum number of requests in a review: `TokenReview` and `SubjectAccessReview`.
const REQUESTS: usize = 2;

/// The budget. Reserved requests count until they are sent or given back.
#[derive(Default)]
pub(super) struct ReviewBudget {
    sent: VecDeque<Instant>,
    reserved: usize,
    open: usize,
}

impl ReviewBudget {
    /// Reserves the requests of a review; `false` if the limit is reached.
    pub(super) fn begin(&mut self, is_known: bool, now: Instant) -> bool {
        while self.sent.front().is_some_and(|sent| now.duration_since(*sent) >= Duration::from_secs(1)) {
            self.sent.pop_front();
        }
        let (kept, kept_open) = if is_known { (0, 0) } else { KEPT };
        let has_room = self.open < AT_ONCE - kept_open && self.sent.len() + self.reserved + REQUESTS <= A_SECOND - kept;
        if has_room {
            self.open += 1;
            self.reserved += REQUESTS;
        }
        has_room
    }

    /// Records that a reserved request is sent.
    pub(super) fn send(&mut self, now: Instant) {
        self.reserved = self.reserved.saturating_sub(1);
        self.sent.push_back(now);
    }

    /// Ends a review that sent this number of requests.
    pub(super) fn end(&mut self, sent: usize) {
        self.open = self.open.saturating_sub(1);
        self.reserved = self.reserved.saturating_sub(REQUESTS.saturating_sub(sent));
    }
}

#[cfg(test)]
mod tests {
    use super::ReviewBudget;
    use std::time::Duration;
    use tokio::time::Instant;

    #[test]
    fn no_second_has_more_than_ten_requests() {
        let begun = Instant::now();
        let mut budget = ReviewBudget::default();
        let mut sent = Vec::new();
        // Every token is wrong: one request each, as fast as can be, for five seconds.
        for millisecond in 0..5_000 {
            let now = begun + Duration::from_millis(millisecond);
            if budget.begin(false, now) {
                budget.send(now);
                sent.push(millisecond);
                budget.end(1);
            }
        }
        assert!(sent.len() >= 35, "{sent:?}");
        for second in sent.windows(11) {
            assert!(second[10] - second[0] >= 1_000, "{second:?}");
        }
    }

    #[test]
    fn something_is_kept_for_tokens_that_are_known() {
        let now = Instant::now();
        let mut budget = ReviewBudget::default();
        let begun = |budget: &mut ReviewBudget, known| (0..9).filter(|_| budget.begin(known, now)).count();
        assert_eq!((begun(&mut budget, false), begun(&mut budget, true), begun(&mut budget, true)), (3, 1, 0));
        for _ in 0..4 {
            budget.end(0);
        }
        assert_eq!(begun(&mut budget, false), 3);
    }
}
