//! Headers, label values and numbers as both text formats write them.

use super::Format;
use std::fmt::Write;

/// Writes HELP and TYPE of a family and, in OpenMetrics, its UNIT. `name` is the family's name in that format.
///
/// OpenMetrics requires the name of a family with a unit to end in the unit. Prometheus text has no UNIT line.
pub(super) fn push_header(text: &mut String, name: &str, help: &str, kind: &str, format: Format) {
    // Infallible: writing to a `String` cannot fail.
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    if format == Format::OpenMetrics
        && let Some(unit) = ["seconds", "bytes"].into_iter().find(|unit| has_unit(name, unit))
    {
        let _ = writeln!(text, "# UNIT {name} {unit}");
    }
}

fn has_unit(name: &str, unit: &str) -> bool {
    name.strip_suffix(unit).is_some_and(|rest| rest.ends_with('_'))
}

/// Writes a label value with backslash, double quote and line feed escaped.
pub(super) fn push_escaped(text: &mut String, value: &str) {
    // Almost no value needs escaping. Most are so short that checking every byte costs less than stopping at the first
    // match.
    if !value.bytes().fold(false, |found, byte| found | matches!(byte, b'\\' | b'"' | b'\n')) {
        text.push_str(value);
        return;
    }
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            other => text.push(other),
        }
    }
}

/// Writes an integer, faster than `write!`: every series has one.
pub(super) fn push_integer(text: &mut String, mut value: u32) {
    let mut digits = [0_u8; 10];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    text.extend(digits[start..].iter().copied().map(char::from));
}

#[cfg(test)]
mod tests {
    use super::{push_escaped, push_integer};

    #[test]
    fn label_values_of_any_script_survive() {
        let escaped = |value| {
            let mut text = String::new();
            push_escaped(&mut text, value);
            text
        };
        assert_eq!(escaped("plain"), "plain");
        assert_eq!(escaped("a\\b\"c\nd"), r#"a\\b\"c\nd"#);
        assert_eq!(escaped("日本 🦀 \u{0}\t\r\\"), "日本 🦀 \u{0}\t\r\\\\");
    }

    #[test]
    fn numbers_are_written_whole() {
        for value in [0, 7, 10, 1_234_567_890, u32::MAX] {
            let mut text = String::new();
            push_integer(&mut text, value);
            assert_eq!(text, value.to_string());
        }
    }
}
