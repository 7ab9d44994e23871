//! Durations in Go's format: `1m30s`, `1.5h`, `100ms`.

use std::time::Duration;

/// Parses a duration. `None` for a negative one, and for one beyond Go's 292 years.
pub(super) fn parse(text: &str) -> Option<Duration> {
    // Go's yaml reads a number alone as nanoseconds.
    if let Ok(nanoseconds) = text.parse::<u64>() {
        return i64::try_from(nanoseconds).is_ok().then(|| Duration::from_nanos(nanoseconds));
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let mut total = 0_u64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let (whole, after) = digits(rest);
        let (fraction, after) = after.strip_prefix('.').map_or(("", after), digits);
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let unit = nanoseconds(unit)?;
        let whole = if whole.is_empty() { 0 } else { whole.parse::<u64>().ok()? };
        total = total.checked_add(whole.checked_mul(unit)?)?.checked_add(part(fraction, unit))?;
        rest = after;
    }
    i64::try_from(total).is_ok().then(|| Duration::from_nanos(total))
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

/// A fraction of a unit in nanoseconds. Digits beyond the 18th do not matter.
fn part(fraction: &str, unit: u64) -> u64 {
    let mut scale = unit;
    let mut sum = 0;
    for digit in fraction.bytes().take(18) {
        // Exact: every unit is a power of ten, or sixty of one.
        sum += u64::from(digit - b'0') * scale / 10;
        scale /= 10;
    }
    sum
}

fn nanoseconds(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::parse;
    use std::time::Duration;

    #[test]
    fn reads_what_go_reads() {
        for (text, nanoseconds) in [
            ("0", 0),
            ("0s", 0),
            ("1s", 1_000_000_000),
            ("+5s", 5_000_000_000),
            ("1m30s", 90_000_000_000),
            ("1.5h", 5_400_000_000_000),
            (".5s", 500_000_000),
            ("1.s", 1_000_000_000),
            ("100ms", 100_000_000),
            ("3us", 3_000),
            ("3µs", 3_000),
            ("1000000", 1_000_000),
            ("0.000000001s", 1),
        ] {
            assert_eq!(parse(text), Some(Duration::from_nanos(nanoseconds)), "{text}");
        }
        for text in ["", "s", "-1s", "1d", "1 s", "one", ".s", "1s2", "9223372037s", "+", "1e3s"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
