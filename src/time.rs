//! Times as the API server writes them: whole seconds since the Unix epoch.

use std::num::NonZeroU32;
use std::time::{SystemTime, UNIX_EPOCH};

/// Whole seconds since 1970, from 1970-01-01T00:00:01Z to 2106. Four bytes, also as an `Option`.
///
/// Kubernetes writes timestamps in whole seconds. A time outside that range cannot occur in a cluster, so it parses as
/// `None`, which means unknown.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct UnixTime(NonZeroU32);

impl UnixTime {
    /// Earlier than every time in a cluster.
    pub const FIRST: Self = Self(NonZeroU32::MIN);

    /// Later than every time in a cluster.
    pub const LAST: Self = Self(NonZeroU32::MAX);

    /// The time `seconds` after the epoch; `None` outside the range.
    #[must_use]
    pub fn from_seconds(seconds: i64) -> Option<Self> {
        u32::try_from(seconds).ok().and_then(NonZeroU32::new).map(Self)
    }

    /// Parses an RFC 3339 time, as in `metadata.creationTimestamp`; fractions of a second are cut off.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        parse_as_written(text).or_else(|| {
            let moment: jiff::Timestamp = text.parse().ok()?;
            Self::from_seconds(moment.as_second())
        })
    }

    /// The current time by this machine's clock.
    #[must_use]
    pub fn now() -> Self {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_secs());
        i64::try_from(seconds).ok().and_then(Self::from_seconds).unwrap_or(Self::LAST)
    }

    /// Seconds since the epoch.
    #[must_use]
    pub fn seconds(self) -> u32 {
        self.0.get()
    }

    /// Seconds from `earlier` to this time; 0 if `earlier` is later, as it may be when two clocks disagree.
    #[must_use]
    pub fn since(self, earlier: Self) -> u32 {
        self.seconds().saturating_sub(earlier.seconds())
    }

    /// The day in UTC: `2 Nov 2026`.
    #[must_use]
    pub fn day(self) -> String {
        let moment = jiff::Timestamp::from_second(i64::from(self.seconds()));
        moment.map(|moment| moment.strftime("%-d %b %Y").to_string()).unwrap_or_default()
    }

    /// This time plus `seconds`.
    #[must_use]
    pub fn plus(self, seconds: u32) -> Self {
        Self(self.0.saturating_add(seconds))
    }
}

/// When a snapshot was taken, and where that time comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ObservationTime {
    /// The moment.
    pub at: UnixTime,
    /// The source of this time.
    pub from: TimeSource,
}

/// Where an observation time comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TimeSource {
    /// This machine's clock, for a snapshot of now.
    Clock,
    /// The option `--taken`.
    Option,
    /// The newest timestamp in the input. The input is that old or older, so every age is a lower bound.
    Contents,
}

impl ObservationTime {
    /// Now, by this machine's clock.
    #[must_use]
    pub fn now() -> Self {
        Self { at: UnixTime::now(), from: TimeSource::Clock }
    }

    /// Whether ages at this time are lower bounds.
    #[must_use]
    pub fn is_lower_bound(self) -> bool {
        self.from == TimeSource::Contents
    }
}

impl TimeSource {
    /// The name in JSON documents.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Clock => "clock",
            Self::Option => "option",
            Self::Contents => "contents",
        }
    }
}

/// Parses `2006-01-02T15:04:05Z`, the form that API servers write, in a tenth of the time of the general parser: each
/// pod has half a dozen timestamps.
fn parse_as_written(text: &str) -> Option<UnixTime> {
    let text: &[u8; 20] = text.as_bytes().try_into().ok()?;
    let two = |at: usize| match (text[at].wrapping_sub(b'0'), text[at + 1].wrapping_sub(b'0')) {
        (tens @ 0..=9, ones @ 0..=9) => Some(i8::try_from(tens * 10 + ones).ok()?),
        _ => None,
    };
    if [text[4], text[7], text[10], text[13], text[16], text[19]] != *b"--T::Z" {
        return None;
    }
    let year = i16::from(two(0)?) * 100 + i16::from(two(2)?);
    let date = jiff::civil::Date::new(year, two(5)?, two(8)?).ok()?;
    let (hour, minute, second) = (two(11)?, two(14)?, two(17)?);
    // jiff parses a leap second.
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let days = jiff::civil::date(1970, 1, 1).duration_until(date).as_secs();
    UnixTime::from_seconds(days + i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second))
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
        assert_eq!(at("2024-02-29T23:59:59Z"), Some(1_709_251_199));
        for absurd in ["2023-02-29T00:00:00Z", "2023-01-01T24:00:00Z", "2023-00-01T00:00:00Z", "20x3-01-01T00:00:00Z"] {
            assert_eq!(at(absurd), None, "{absurd}");
        }
    }

    proptest::proptest! {
        #[test]
        fn reads_the_usual_form_as_jiff_does(seconds in -100_000_000_i64..5_000_000_000) {
            let text = jiff::Timestamp::from_second(seconds).unwrap().to_string();
            let read = super::parse_as_written(&text).map(|moment| i64::from(moment.seconds()));
            proptest::prop_assert_eq!(read, u32::try_from(seconds).ok().map(i64::from).filter(|seconds| *seconds > 0));
        }
    }
}
