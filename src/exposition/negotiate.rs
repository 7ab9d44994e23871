//! Content negotiation by RFC 9110: `Accept` and `Accept-Encoding` with quality values.

use super::{Encoding, Format};

/// A quality value in thousandths.
type Quality = u16;

/// An entry of a header: name, parameters and quality.
struct AcceptEntry<'a> {
    name: &'a str,
    parameters: &'a str,
    quality: Quality,
}

/// Chooses format and encoding by the request's `Accept` and `Accept-Encoding` (several lines joined by commas).
///
/// OpenMetrics is chosen if the client names it in a supported version, and prefers it to text or is indifferent. If
/// nothing is acceptable, the response is text, which RFC 9110 allows: then a person with an unusual client sees something.
/// gzip is used only if the client names it or `*`.
#[must_use]
pub fn negotiate(accept: Option<&str>, accept_encoding: Option<&str>) -> (Format, Encoding) {
    (format(accept.unwrap_or_default()), encoding(accept_encoding.unwrap_or_default()))
}

fn format(accept: &str) -> Format {
    let (mut open_metrics, mut text) = (None, None);
    for wanted in entries(accept) {
        let version = wanted.parameter("version");
        if wanted.name.eq_ignore_ascii_case("application/openmetrics-text") {
            // 0.0.1 was Prometheus' name for the draft of 1.0.0. The entry with the highest quality counts.
            if matches!(version, None | Some("1.0.0" | "0.0.1")) {
                open_metrics = open_metrics.max(Some(wanted.quality));
            }
        } else if let Some(specific) = text_range(wanted.name, version) {
            let better = (specific, wanted.quality);
            text = text.max(Some(better));
        }
    }
    match (open_metrics, text.map(|(_, quality)| quality)) {
        (Some(open_metrics), text) if open_metrics > 0 && open_metrics >= text.unwrap_or(0) => Format::OpenMetrics,
        _ => Format::Text,
    }
}

/// How specifically a media range matches text 0.0.4; `None` if it does not match.
fn text_range(name: &str, version: Option<&str>) -> Option<u8> {
    match name.to_ascii_lowercase().as_str() {
        "text/plain" if version == Some("0.0.4") => Some(3),
        "text/plain" if version.is_none() => Some(2),
        "text/*" => Some(1),
        "*/*" => Some(0),
        _ => None,
    }
}

fn encoding(accept_encoding: &str) -> Encoding {
    let quality = |coding: &str| {
        entries(accept_encoding).find(|wanted| wanted.name.eq_ignore_ascii_case(coding)).map(|wanted| wanted.quality)
    };
    let any = quality("*");
    let gzip = quality("gzip").or_else(|| quality("x-gzip")).or(any).unwrap_or(0);
    // Identity is acceptable unless excluded, but preferred only if named.
    let identity = quality("identity").unwrap_or(0);
    if gzip > 0 && gzip >= identity { Encoding::Gzip } else { Encoding::Identity }
}

fn entries(header: &str) -> impl Iterator<Item = AcceptEntry<'_>> {
    header.split(',').filter_map(|entry| {
        let (name, parameters) = entry.split_once(';').unwrap_or((entry, ""));
        let mut wanted = AcceptEntry { name: name.trim(), parameters, quality: 1000 };
        if let Some(quality) = wanted.parameter("q") {
            wanted.quality = thousandths(quality)?;
        }
        (!wanted.name.is_empty()).then_some(wanted)
    })
}

/// `None` if it is not a quality value. The entry is then ignored.
fn thousandths(quality: &str) -> Option<Quality> {
    let quality: f32 = quality.parse().ok()?;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1000")]
    (0.0..=1.0).contains(&quality).then_some((quality * 1000.0).round() as Quality)
}

impl<'a> AcceptEntry<'a> {
    fn parameter(&self, name: &str) -> Option<&'a str> {
        self.parameters.split(';').find_map(|parameter| {
            let (key, value) = parameter.split_once('=')?;
            key.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"'))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::negotiate;
    use crate::exposition::{Encoding, Format};

    #[track_caller]
    fn check_format(accept: &str, expected: Format) {
        assert_eq!(negotiate(Some(accept), None).0, expected, "{accept}");
    }

    #[track_caller]
    fn check_encoding(accept_encoding: &str, expected: Encoding) {
        assert_eq!(negotiate(None, Some(accept_encoding)).1, expected, "{accept_encoding}");
    }

    #[test]
    fn without_headers_it_is_plain_text() {
        assert_eq!(negotiate(None, None), (Format::Text, Encoding::Identity));
        assert_eq!(negotiate(Some(""), Some("")), (Format::Text, Encoding::Identity));
    }

    #[test]
    fn prometheus_gets_openmetrics() {
        // Prometheus 2.42, scrape/scrape.go
        check_format(
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
             text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            Format::OpenMetrics,
        );
        // Prometheus 3.x, scrape/scrape_test.go
        check_format(
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
             application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
             text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            Format::OpenMetrics,
        );
        // Prometheus 3.x with native histograms, which offers protobuf first
        check_format(
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,\
             application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
             application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,\
             text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
            Format::OpenMetrics,
        );
        // Prometheus 3.x configured for the text format only
        check_format("text/plain;version=0.0.4;q=0.2,*/*;q=0.1", Format::Text);
    }

    #[test]
    fn people_get_text() {
        check_format("*/*", Format::Text);
        check_format("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8", Format::Text);
    }

    #[test]
    fn the_highest_quality_wins() {
        check_format("application/openmetrics-text;q=0.4, text/plain;q=0.5", Format::Text);
        check_format("application/openmetrics-text;q=0.5, text/plain;q=0.4", Format::OpenMetrics);
        check_format("text/plain, application/openmetrics-text", Format::OpenMetrics);
        check_format("Application/OpenMetrics-Text ; Version=\"1.0.0\" ; Q=1", Format::OpenMetrics);
    }

    #[test]
    fn the_most_specific_range_speaks_for_text() {
        check_format("application/openmetrics-text;q=0.5,text/plain;version=0.0.4;q=0.4,*/*", Format::OpenMetrics);
        check_format("application/openmetrics-text;q=0.5,text/*;q=0.4,*/*", Format::OpenMetrics);
        check_format("application/openmetrics-text;q=0.5,text/html,*/*;q=0.9", Format::Text);
    }

    #[test]
    fn nothing_is_answered_that_is_excluded_or_unknown() {
        check_format("application/openmetrics-text;q=0", Format::Text);
        check_format("application/openmetrics-text;version=2.0.0", Format::Text);
        check_format("application/openmetrics-text;q=much", Format::Text);
        check_format("application/json", Format::Text);
        check_format(";;,,=;q", Format::Text);
    }

    #[test]
    fn gzip_is_used_only_if_the_client_accepts_it() {
        check_encoding("gzip", Encoding::Gzip);
        check_encoding("deflate, gzip;q=1.0, *;q=0.5", Encoding::Gzip);
        check_encoding("GZip", Encoding::Gzip);
        check_encoding("*", Encoding::Gzip);
        check_encoding("identity;q=0", Encoding::Identity);
        check_encoding("identity;q=0, *", Encoding::Gzip);
        check_encoding("gzip;q=0", Encoding::Identity);
        check_encoding("gzip;q=0, *", Encoding::Identity);
        check_encoding("gzip;q=0.1", Encoding::Gzip);
        check_encoding("gzip;q=0.5, identity", Encoding::Identity);
        check_encoding("br, zstd", Encoding::Identity);
    }
}
