//! Detects a paged list that never ends.
//!
//! While another page follows, a page is full (apiserver storage/etcd3, `GetList`): it has as many objects as
//! requested. A server that repeats pages, or sends only empty ones, would be asked forever.

use super::backoff::Backoff;
use super::failure::WatchFailure;
use super::timings::Timings;
use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

/// Maximum consecutive pages without an object; decoding lags by at most three pages.
const MOST_EMPTY: u32 = 8;

/// A page with fewer bytes is not full: objects take several hundred bytes each.
const SHORT: usize = 16 << 10;

/// The progress of one list.
pub(super) struct Pagination {
    /// Hashes of the continue tokens so far.
    tokens: HashSet<u64>,
    hasher: RandomState,
    objects: u64,
    empty: u32,
    backoff: Backoff,
}

impl Pagination {
    pub(super) fn new(timings: &Timings) -> Self {
        Self {
            tokens: HashSet::new(),
            hasher: RandomState::new(),
            objects: 0,
            empty: 0,
            backoff: Backoff::new(timings.pause_base, timings.pause_most),
        }
    }

    /// Records a page of `bytes` bytes with a continue token; `objects` were decoded so far. Returns the pause before
    /// the next page.
    ///
    /// # Errors
    ///
    /// The list does not end.
    pub(super) fn goes_on(&mut self, token: &str, objects: u64, bytes: usize) -> Result<Duration, WatchFailure> {
        if !self.tokens.insert(self.hasher.hash_one(token)) {
            return Err(WatchFailure::unreadable("the list repeats itself: a page continues at an earlier one"));
        }
        self.empty = if objects == self.objects { self.empty + 1 } else { 0 };
        self.objects = objects;
        if self.empty >= MOST_EMPTY {
            return Err(WatchFailure::unreadable("the list does not end: page after page is empty"));
        }
        if bytes >= SHORT {
            self.backoff.reset();
            return Ok(Duration::ZERO);
        }
        Ok(self.backoff.pause())
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST_EMPTY, Pagination, SHORT, Timings};
    use std::time::Duration;

    fn course() -> Pagination {
        Pagination::new(&Timings::default())
    }

    #[test]
    fn full_pages_are_asked_for_without_a_pause() {
        let mut course = course();
        for page in 0..1_000 {
            let objects = u64::from(page / 4 * 4_u32) * 500;
            assert_eq!(course.goes_on(&page.to_string(), objects, SHORT).unwrap(), Duration::ZERO);
        }
    }

    #[test]
    fn a_list_that_repeats_itself_is_noticed() {
        for length in 1..5 {
            let mut course = course();
            for page in 0..length {
                course.goes_on(&page.to_string(), page, SHORT).unwrap();
            }
            let failure = course.goes_on("0", length, SHORT).unwrap_err();
            assert!(failure.message.contains("repeats itself"), "{}", failure.message);
        }
    }

    #[test]
    fn empty_pages_end_the_list_and_short_ones_slow_it_down() {
        let mut empty = course();
        let ended = (0..100).position(|page: u32| empty.goes_on(&page.to_string(), 0, SHORT).is_err());
        assert_eq!(ended, Some(MOST_EMPTY as usize - 1));
        let mut short = course();
        let took: Duration = (0..40_u64).map(|page| short.goes_on(&page.to_string(), page + 1, 100).unwrap()).sum();
        assert!(took > Duration::from_secs(60), "{took:?}");
    }
}
