//! Parsers of single values, with errors that say what to write instead.
//!
//! clap puts the option and the value before each message.

use super::LogFormat;
use crate::inventory::{CustomKind, PodLabel};
use crate::registry::RegistryAddress;
use crate::snapshot::Selector;
use crate::time::UnixTime;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use regex::Regex;
use std::time::Duration;
use tracing::level_filters::LevelFilter;

/// Parses a non-empty text.
pub(in crate::commands) fn non_empty(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("it is empty; remove the option instead".to_owned());
    }
    Ok(text.to_owned())
}

/// Parses the name of a namespace.
pub(in crate::commands) fn namespace(text: &str) -> Result<String, String> {
    dns_label(text, "a namespace's name")
}

/// Parses the name of a container.
pub(in crate::commands) fn container(text: &str) -> Result<String, String> {
    dns_label(text, "a container's name")
}

/// Validates a label of RFC 1123 as Kubernetes does.
fn dns_label(text: &str, what: &str) -> Result<String, String> {
    if is_dns_label(text) {
        return Ok(text.to_owned());
    }
    Err(format!("{what} has 1 to 63 lower-case letters, digits and '-', and begins and ends with a letter or a digit"))
}

fn is_dns_label(text: &str) -> bool {
    let of = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    is_name(text, 63, of, |byte| of(byte) || byte == b'-')
}

fn is_dns_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_dns_label)
}

fn is_name(text: &str, longest: usize, edge: impl Fn(u8) -> bool, inner: impl Fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    let (Some(&first), Some(&last)) = (bytes.first(), bytes.last()) else {
        return false;
    };
    bytes.len() <= longest && edge(first) && edge(last) && bytes.iter().all(|&byte| inner(byte))
}

/// Parses a label key and derives its metric label.
pub(in crate::commands) fn pod_label(key: &str) -> Result<PodLabel, String> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if !is_name(name, 63, |byte| byte.is_ascii_alphanumeric(), is_inner) || !prefix.is_none_or(is_dns_subdomain) {
        return Err("it is not the key of a Kubernetes label; write one like version or app.kubernetes.io/version, \
                    without a value"
            .to_owned());
    }
    Ok(PodLabel { key: key.to_owned(), metric_label: metric_label(key) })
}

/// The metric label that kube-state-metrics derives from a label key (`labelName` in its `internal/store/utils.go`), so
/// that the two join. Characters that a metric label cannot hold become `_`, and camelCase becomes `snake_case`.
fn metric_label(key: &str) -> String {
    let mut label = "label_".to_owned();
    let mut before = '_';
    for character in key.chars() {
        if character.is_ascii_uppercase() && (before.is_ascii_lowercase() || before.is_ascii_digit()) {
            label.push('_');
        }
        label.push(if character.is_ascii_alphanumeric() { character.to_ascii_lowercase() } else { '_' });
        before = character;
    }
    label
}

/// Parses a kind of owner: `Workflow.argoproj.io`, or a kind of the core group alone.
pub(in crate::commands) fn workload_kind(text: &str) -> Result<CustomKind, String> {
    const FORM: &str = "write KIND.GROUP, like Workflow.argoproj.io; a kind of the core group needs no group";
    let (kind, group) = text.split_once('.').unwrap_or((text, ""));
    let starts_with_letter = kind.starts_with(|first: char| first.is_ascii_alphabetic());
    if !starts_with_letter || !is_name(kind, 63, |_| true, |byte| byte.is_ascii_alphanumeric()) {
        return Err(format!("'{kind}' is not a kind; {FORM}"));
    }
    if text.contains('.') && !is_dns_subdomain(&group.to_ascii_lowercase()) {
        return Err(format!("'{group}' is not an API group; {FORM}"));
    }
    // kubectl accepts KIND.VERSION.GROUP, too. Pods also name their owner's version; podskew ignores it.
    if group.split('.').next().is_some_and(is_version) {
        return Err(format!("it names a version; {FORM}"));
    }
    Ok(CustomKind { kind: kind.to_owned(), group: group.to_owned() })
}

/// `v1`, `v1alpha1`, `v2beta3`: never the first part of an API group.
fn is_version(text: &str) -> bool {
    text.strip_prefix('v').is_some_and(|rest| {
        rest.starts_with(|first: char| first.is_ascii_digit()) && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

/// Parses a duration: `90s`, `10m`, `1h30m`.
pub(in crate::commands) fn duration(text: &str) -> Result<Duration, String> {
    const FORM: &str = "write a number with a unit, like 90s, 10m or 1h30m";
    let parsed: jiff::SignedDuration = text.parse().map_err(|_| format!("it is not a duration; {FORM}"))?;
    let duration = Duration::try_from(parsed).map_err(|_| format!("it is negative; {FORM}"))?;
    if duration < Duration::from_secs(1) {
        return Err(format!("it is shorter than a second, the unit the API server counts in; {FORM}"));
    }
    if u32::try_from(duration.as_secs()).is_err() {
        return Err(format!("it is longer than a century; {FORM}"));
    }
    Ok(duration)
}

/// Parses a time in Kubernetes' format.
pub(in crate::commands) fn moment(text: &str) -> Result<UnixTime, String> {
    UnixTime::parse(text.trim()).ok_or_else(|| {
        "it is not a time with a date and a zone; write one like 2026-11-30T08:00:00Z or 2026-11-30T09:00:00+01:00"
            .to_owned()
    })
}

/// The comma-separated regular expressions of one value.
#[derive(Clone, Debug)]
pub struct FamilyPatterns(pub Vec<Regex>);

/// Parses regular expressions for metric names. Metric names have no comma, so a comma separates expressions unless it
/// is in brackets, as in `.{1,3}`.
pub(in crate::commands) fn family_patterns(text: &str) -> Result<FamilyPatterns, String> {
    const REMEDY: &str = "write one like podskew_pods_.*; it must match a metric's whole name";
    let mut patterns = Vec::new();
    for pattern in split_outside_brackets(text) {
        if pattern.is_empty() {
            return Err(format!("an expression is empty and would match nothing; {REMEDY}"));
        }
        let regex = Regex::new(pattern).map_err(|error| format!("{error}\n{REMEDY}"))?;
        patterns.push(regex);
    }
    Ok(FamilyPatterns(patterns))
}

fn split_outside_brackets(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut depth = 0_u32;
    let mut start = 0;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' | b'[' | b'(' => depth += 1,
            b'}' | b']' | b')' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// Parses a registry and its URL.
pub(in crate::commands) fn registry(text: &str) -> Result<RegistryAddress, String> {
    RegistryAddress::parse(text)
}

/// Parses the environment variable of a flag.
pub(in crate::commands) fn boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err("it is neither true nor false; write one of them".to_owned()),
    }
}

/// Parses a label selector.
pub(in crate::commands) fn selector(text: &str) -> Result<Selector, String> {
    text.parse()
}

/// Log formats.
pub(in crate::commands) fn log_format() -> impl TypedValueParser<Value = LogFormat> {
    text_or_json(LogFormat::Text, LogFormat::Json)
}

pub(in crate::commands) fn text_or_json<T: Copy + Send + Sync + 'static>(
    text: T,
    json: T,
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(["text", "json"]).map(move |format| if format == "json" { json } else { text })
}

/// Log levels, named as in the log.
pub(in crate::commands) fn log_level() -> impl TypedValueParser<Value = LevelFilter> {
    PossibleValuesParser::new(["error", "warn", "info", "debug", "trace"]).map(|level| match level.as_str() {
        "error" => LevelFilter::ERROR,
        "warn" => LevelFilter::WARN,
        "debug" => LevelFilter::DEBUG,
        "trace" => LevelFilter::TRACE,
        _ => LevelFilter::INFO,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused<T: std::fmt::Debug>(result: Result<T, String>, because: &str) {
        let message = result.expect_err(because);
        assert!(message.contains(because), "{message}");
    }

    #[test]
    fn namespaces_are_dns_labels() {
        for good in ["a", "kube-system", "7th", &"x".repeat(63)] {
            assert_eq!(namespace(good).as_deref(), Ok(good));
        }
        for bad in ["", "Shop", "-shop", "shop-", "sh_op", "shop.one", "büro", &"x".repeat(64)] {
            refused(namespace(bad), "1 to 63 lower-case letters");
        }
    }

    #[test]
    fn pod_labels_are_named_as_kube_state_metrics_names_them() {
        for (key, expected) in [
            ("version", "label_version"),
            ("git-commit", "label_git_commit"),
            ("app.kubernetes.io/version", "label_app_kubernetes_io_version"),
            ("buildNumber", "label_build_number"),
            ("Team", "label_team"),
            ("v2Beta", "label_v2_beta"),
            ("HTTPServer", "label_httpserver"),
        ] {
            let label = pod_label(key).expect(key);
            assert_eq!((label.key.as_str(), label.metric_label.as_str()), (key, expected));
        }
    }

    #[test]
    fn invalid_label_keys_are_refused() {
        for bad in ["", "version=1", "/version", "example.org/", "Example.org/x", "a/b/c", "-x", &"x".repeat(64)] {
            refused(pod_label(bad), "not the key of a Kubernetes label");
        }
    }

    #[test]
    fn kinds_are_read_with_their_group() {
        for (text, kind, group) in [
            ("Workflow.argoproj.io", "Workflow", "argoproj.io"),
            ("workflow.argoproj.io", "workflow", "argoproj.io"),
            ("Node", "Node", ""),
            ("Job.batch", "Job", "batch"),
        ] {
            let read = workload_kind(text).expect(text);
            assert_eq!((read.kind.as_str(), read.group.as_str()), (kind, group));
        }
        refused(workload_kind(""), "is not a kind");
        refused(workload_kind("argoproj.io/Workflow"), "is not an API group");
        refused(workload_kind("Work-flow.argoproj.io"), "is not a kind");
        refused(workload_kind("Workflow."), "is not an API group");
        refused(workload_kind("Workflow.v1alpha1.argoproj.io"), "names a version");
    }

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, seconds) in [("90s", 90), ("10m", 600), ("1h30m", 5400), ("2 hours", 7200), ("PT5M", 300)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        refused(duration("600"), "not a duration");
        refused(duration(""), "not a duration");
        refused(duration("-10m"), "negative");
        refused(duration("0s"), "shorter than a second");
        refused(duration("300ms"), "shorter than a second");
        refused(duration("9999999h"), "longer than a century");
    }

    #[test]
    fn moments_are_read_as_kubernetes_writes_them() {
        for text in ["2026-11-30T08:00:00Z", "2026-11-30T09:00:00+01:00", "2026-11-30T08:00:00.5Z"] {
            assert_eq!(moment(text).map(UnixTime::seconds), Ok(1_796_025_600), "{text}");
        }
        for bad in ["", "yesterday", "2026-11-30", "08:00", "1796025600", "2026-11-30T08:00:00"] {
            refused(moment(bad), "write one like");
        }
    }

    #[test]
    fn a_comma_separates_expressions_but_not_in_a_bracket() {
        let texts = |text| {
            let patterns = family_patterns(text).expect(text);
            patterns.0.iter().map(|regex| regex.as_str().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(texts("podskew_.*"), ["podskew_.*"]);
        assert_eq!(texts("a.{1,3},(b|[c,d])"), ["a.{1,3}", "(b|[c,d])"]);
        refused(family_patterns("podskew_("), "unclosed group");
        refused(family_patterns("a,,b"), "empty");
    }
}
