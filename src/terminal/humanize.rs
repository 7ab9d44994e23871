//! Formats ages, counts and names for people.

use crate::time::{ObservationTime, UnixTime};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};

/// Formats a duration: `45s`, `23m`, `5h12m`, `3d4h`, `41d`.
#[must_use]
pub fn age(seconds: u32) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, 1..=9) if !seconds.is_multiple_of(60) => format!("{minutes}m{}s", seconds % 60),
        (0, 0, _) => format!("{minutes}m"),
        (0, 1..=9, _) if !minutes.is_multiple_of(60) => format!("{hours}h{}m", minutes % 60),
        (0, ..) => format!("{hours}h"),
        (1..=9, ..) if !hours.is_multiple_of(24) => format!("{days}d{}h", hours % 24),
        _ => format!("{days}d"),
    }
}

/// Formats the age of `moment`: `23m`, or `at least 23m` where the observation time is a lower bound.
#[must_use]
pub fn age_since(moment: UnixTime, taken: ObservationTime) -> String {
    format!("{}{}", if taken.is_lower_bound() { "at least " } else { "" }, age(taken.at.since(moment)))
}

/// `2026-11-21 12:00 UTC (23m)`, in the form that the alerts use.
#[must_use]
pub fn since(moment: UnixTime, taken: ObservationTime) -> String {
    let written = jiff::Timestamp::from_second(i64::from(moment.seconds()))
        .map(|moment| moment.strftime("%Y-%m-%d %H:%M UTC").to_string())
        .unwrap_or_default();
    format!("{written} ({})", age_since(moment, taken))
}

/// `23m old`.
#[must_use]
pub fn old(created: Option<UnixTime>, taken: ObservationTime) -> String {
    created.map_or_else(|| "of unknown age".to_owned(), |created| format!("{} old", age_since(created, taken)))
}

/// `1 pod`, `3 pods`.
#[must_use]
pub fn pods(count: u32) -> String {
    if count == 1 { "1 pod".to_owned() } else { format!("{count} pods") }
}

/// Joins the lines of a message.
#[must_use]
pub fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Everything that RFC 3986 (2.3) does not call unreserved.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Percent-encodes a text for one segment of a URL's path, or one value of its query.
#[must_use]
pub fn encoded(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, ENCODED)
}

/// Replaces characters that would move the cursor or change the direction of text: names in a file may hold anything.
#[must_use]
pub fn visible(character: char) -> char {
    match character {
        '\n' | '\t' => character,
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => char::REPLACEMENT_CHARACTER,
        control if control.is_control() => char::REPLACEMENT_CHARACTER,
        plain => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::{age, since};
    use crate::time::{ObservationTime, TimeSource, UnixTime};

    #[test]
    fn ages_have_the_two_units_that_matter() {
        for (seconds, expected) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (61, "1m1s"),
            (600, "10m"),
            (3599, "59m"),
            (3600, "1h"),
            (5400, "1h30m"),
            (36_000, "10h"),
            (86_400, "1d"),
            (90_000, "1d1h"),
            (864_000, "10d"),
            (900_000, "10d"),
        ] {
            assert_eq!(age(seconds), expected);
        }
        let at = |text| UnixTime::parse(text).unwrap();
        let said = |from| since(at("2026-11-21T12:00:59Z"), ObservationTime { at: at("2026-11-21T12:24:00Z"), from });
        assert_eq!(said(TimeSource::Clock), "2026-11-21 12:00 UTC (23m)");
        assert_eq!(said(TimeSource::Option), "2026-11-21 12:00 UTC (23m)");
        assert_eq!(said(TimeSource::Contents), "2026-11-21 12:00 UTC (at least 23m)");
    }
}
