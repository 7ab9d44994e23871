//! Moments as the API server writes them: whole seconds since the Unix epoch.

use std::num::NonZeroU32;
use std::time::{SystemTime, UNIX_EPOCH};

/// A moment in whole seconds since 1970, from 1970-01-01T00:00:01Z to 2106. Four bytes, also as an `Option`.
///
/// Kubernetes writes its timestamps in whole seconds. A moment outside that range is absurd in a cluster and reads as
/// *unknown* (`None` where it is parsed), never as a guess.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct UnixTime(NonZeroU32);

impl UnixTime {
    /// The moment `seconds` after the epoch, if a cluster can have seen it.
    #[must_use]
    pub fn from_seconds(seconds: i64) -> Option<Self> {
        u32::try_from(seconds).ok().and_then(NonZeroU32::new).map(Self)
    }

    /// The moment an RFC 3339 text names, as in `metadata.creationTimestamp`; fractions of a second are cut off.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let moment: jiff::Timestamp = text.parse().ok()?;
        Self::from_seconds(moment.as_second())
    }

    /// Now, by this machine's clock.
    #[must_use]
    pub fn now() -> Self {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_secs());
        i64::try_from(seconds).ok().and_then(Self::from_seconds).unwrap_or(Self(NonZeroU32::MAX))
    }

    /// Seconds since the epoch.
    #[must_use]
    pub fn seconds(self) -> u32 {
        self.0.get()
    }

    /// Seconds from `earlier` to this moment; 0 if `earlier` lies ahead, as it may when two clocks disagree.
    #[must_use]
    pub fn since(self, earlier: Self) -> u32 {
        self.seconds().saturating_sub(earlier.seconds())
    }

    /// This moment and `seconds` more.
    #[must_use]
    pub fn plus(self, seconds: u32) -> Self {
        Self(self.0.saturating_add(seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::UnixTime;

    #[test]
    fn reads_what_the_api_server_writes() {
        let at = |text| UnixTime::parse(text).map(UnixTime::seconds);
        assert_eq!(at("2026-11-21T06:26:48Z"), Some(1_795_242_408));
        assert_eq!(at("2026-11-21T06:26:48.999999Z"), Some(1_795_242_408));
        assert_eq!(at("1969-12-31T23:59:59Z"), None, "before the epoch is unknown");
        assert_eq!(at("9999-01-01T00:00:00Z"), None, "an absurd year is unknown");
        assert_eq!(at("yesterday"), None);
    }
}
