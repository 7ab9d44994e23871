//! Kubernetes quantities: `100m`, `1Gi`, `1e3` (`k8s.io/apimachinery/pkg/api/resource`).

/// A quantity in billionths, so that two spellings compare as equal. `None` if `text` is not a quantity, or not exact in
/// billionths.
pub(super) fn billionths(text: &str) -> Option<i128> {
    plain(text.as_bytes()).or_else(|| any(text))
}

/// Parses the usual form: a few digits and one of these suffixes. Each ReplicaSet has a dozen.
fn plain(text: &[u8]) -> Option<i128> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, suffix) = text.split_at(digits);
    if !(1..=9).contains(&digits) {
        return None;
    }
    let unit: i128 = match suffix {
        b"" => 1_000_000_000,
        b"m" => 1_000_000,
        b"Ki" => 1_000_000_000 << 10,
        b"Mi" => 1_000_000_000 << 20,
        b"Gi" => 1_000_000_000 << 30,
        _ => return None,
    };
    Some(unit * i128::from(number.iter().fold(0, |number, digit| number * 10 + u32::from(digit - b'0'))))
}

fn any(text: &str) -> Option<i128> {
    let negative = text.starts_with('-');
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let digits = text.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
    let (number, suffix) = text.split_at(digits);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let (binary, decimal) = powers(suffix)?;
    let mut value: i128 = 0;
    for digit in whole.bytes().chain(fraction.bytes()) {
        value = value.checked_mul(10)?.checked_add(i128::from(char::from(digit).to_digit(10)?))?;
    }
    value = value.checked_mul(1_i128.checked_shl(binary)?)?;
    let tens = decimal + 9 - i32::try_from(fraction.len()).ok()?;
    if value == 0 {
        return Some(0);
    }
    let power = 10_i128.checked_pow(tens.unsigned_abs())?;
    if tens >= 0 {
        value = value.checked_mul(power)?;
    } else if value % power == 0 {
        value /= power;
    } else {
        return None;
    }
    Some(if negative { -value } else { value })
}

/// The powers of two and ten of a suffix.
fn powers(suffix: &str) -> Option<(u32, i32)> {
    Some(match suffix {
        "" => (0, 0),
        "n" => (0, -9),
        "u" => (0, -6),
        "m" => (0, -3),
        "k" => (0, 3),
        "M" => (0, 6),
        "G" => (0, 9),
        "T" => (0, 12),
        "P" => (0, 15),
        "E" => (0, 18),
        "Ki" => (10, 0),
        "Mi" => (20, 0),
        "Gi" => (30, 0),
        "Ti" => (40, 0),
        "Pi" => (50, 0),
        "Ei" => (60, 0),
        // No quantity has more digits than that.
        _ => (0, suffix.strip_prefix(['e', 'E'])?.parse().ok().filter(|power| (-40..=40).contains(power))?),
    })
}

#[cfg(test)]
mod tests {
    use super::{any, billionths, plain};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_read_the_short_way_reads_the_same_the_long_way(text in "[0-9]{1,10}(|m|Ki|Mi|Gi|Ti|k|\\.5)") {
            if let Some(plain) = plain(text.as_bytes()) {
                prop_assert_eq!(Some(plain), any(&text));
            }
        }
    }

    #[test]
    fn different_spellings_are_one_quantity() {
        for same in [
            &["1Gi", "1024Mi", "1073741824", "1048576Ki", "1073741824000m", "1.073741824G"][..],
            &["1", "1e0", "1E0", "1000m", "1.0", "+1", "01", "0.001k", "1000000u", "1000000000n", "10e-1", "1."],
            &["0", "0m", "0Gi", "-0", ".0", "0e5", "0e40", "0e-40"],
            &["-500m", "-.5", "-0.5"],
            &["8Ei", "9223372036854775808"],
            &["1.5Gi", "1536Mi"],
            &["1n", "0.000000001", "1e-9"],
        ] {
            let values: Vec<_> = same.iter().map(|text| billionths(text)).collect();
            assert!(values[0].is_some() && values.iter().all(|value| *value == values[0]), "{same:?}: {values:?}");
        }
        assert_ne!(billionths("1G"), billionths("1Gi"));
        assert_ne!(billionths("1m"), billionths("1M"));
        assert_ne!(billionths("1"), billionths("-1"));
    }

    #[test]
    fn invalid_and_inexact_quantities_have_no_value() {
        for text in [
            "",
            ".",
            "-",
            "m",
            "1x",
            "1 Gi",
            "1.2.3",
            "1e",
            "1ee3",
            "0.1n",
            "1e99",
            "1Gi1",
            "९",
            "9".repeat(40).as_str(),
        ] {
            assert_eq!(billionths(text), None, "{text}");
        }
    }
}
