//! Backoff after failures: exponential, with full jitter.
//!
//! Full jitter (from zero to the whole step) spreads the clients of a recovering API server over the step. Equal pauses
//! would make all of them reconnect at the same time, repeatedly.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

/// The backoff of one watch.
#[derive(Debug)]
pub(super) struct Backoff {
    base: Duration,
    most: Duration,
    failures: u32,
}

impl Backoff {
    pub(super) fn new(base: Duration, most: Duration) -> Self {
        Self { base, most, failures: 0 }
    }

    /// Returns the pause after another failure.
    pub(super) fn pause(&mut self) -> Duration {
        let step = self.base.saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX));
        self.failures = self.failures.saturating_add(1).min(31);
        between(Duration::ZERO, step.min(self.most))
    }

    /// Number of failures since the last reset.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// Resets the backoff: the next failure counts as the first.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

/// A random duration between `least` and `most`.
///
/// `RandomState` takes its keys from the system's randomness once per thread, then increments them, and hashes them. That
/// is random enough to spread clients, without another crate.
pub(super) fn between(least: Duration, most: Duration) -> Duration {
    let random = RandomState::new().build_hasher().finish();
    // 32 bits are exact in an f64; the quotient is in [0, 1].
    let fraction = f64::from(u32::try_from(random >> 32).unwrap_or(0)) / f64::from(u32::MAX);
    least + most.saturating_sub(least).mul_f64(fraction)
}

#[cfg(test)]
mod tests {
    use super::{Backoff, between};
    use proptest::prelude::*;
    use std::time::Duration;

    #[test]
    fn steps_double_up_to_the_most() {
        let (base, most) = (Duration::from_millis(800), Duration::from_secs(30));
        let longest = |failures: u32| {
            let pauses = (0..200).map(|_| Backoff { base, most, failures }.pause());
            pauses.max().unwrap()
        };
        assert!(longest(0) <= base && longest(0) > base / 2);
        assert!(longest(1) <= base * 2 && longest(1) > base);
        assert!(longest(5) <= base * 32 && longest(5) > base * 16);
        assert!(longest(31) <= most && longest(31) > most / 2);
    }

    #[test]
    fn a_reset_starts_with_the_first_pause() {
        let mut backoff = Backoff::new(Duration::from_millis(1), Duration::from_secs(30));
        for _ in 0..100 {
            backoff.pause();
        }
        backoff.reset();
        assert!(backoff.pause() <= Duration::from_millis(1));
    }

    proptest! {
        #[test]
        fn stays_between(least in 0_u64..10_000, more in 0_u64..10_000) {
            let (least, most) = (Duration::from_millis(least), Duration::from_millis(least + more));
            let drawn = between(least, most);
            prop_assert!(least <= drawn && drawn <= most);
        }
    }
}
