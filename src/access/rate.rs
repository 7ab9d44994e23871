//! `rate_limit`: a token bucket that refills by one request each interval.

use super::settings::RateLimit;
use crate::sync::lock;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// The bucket.
#[derive(Debug)]
pub(super) struct TokenBucket {
    pub(super) limit: RateLimit,
    /// When the bucket is full again. Each request moves this by one interval.
    full: Mutex<Instant>,
}

impl TokenBucket {
    pub(super) fn new(limit: RateLimit, now: Instant) -> Self {
        Self { limit, full: Mutex::new(now) }
    }

    /// Takes one token; the error is the time until the next one.
    pub(super) fn take(&self, now: Instant) -> Result<(), Duration> {
        let mut full = lock(&self.full);
        let interval = self.limit.interval;
        let capacity = interval.checked_mul(self.limit.burst).unwrap_or(Duration::MAX);
        let Some(next) = (*full).max(now).checked_add(interval) else { return Err(interval) };
        match (next - now).checked_sub(capacity) {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => {
                *full = next;
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{RateLimit, TokenBucket};
    use std::time::{Duration, Instant};

    #[test]
    fn a_burst_and_then_one_each_interval() {
        let begun = Instant::now();
        let at = |milliseconds| begun + Duration::from_millis(milliseconds);
        let bucket = TokenBucket::new(RateLimit { interval: Duration::from_secs(1), burst: 2 }, begun);
        assert!(bucket.take(at(0)).is_ok() && bucket.take(at(0)).is_ok());
        assert_eq!(bucket.take(at(0)), Err(Duration::from_secs(1)));
        assert_eq!(bucket.take(at(400)), Err(Duration::from_millis(600)));
        assert!(bucket.take(at(1_000)).is_ok());
        assert!(bucket.take(at(1_000)).is_err());
        // After any idle time, at most the burst is allowed at once.
        assert!(bucket.take(at(60_000)).is_ok() && bucket.take(at(60_000)).is_ok());
        assert!(bucket.take(at(60_000)).is_err());
    }
}
