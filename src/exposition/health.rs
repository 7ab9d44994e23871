//! Encodes podskew's own health, as gathered by the `prometheus` crate.
//!
//! The crate's encoder supports only Prometheus text. In OpenMetrics a counter's family has no `_total`, and histogram
//! bounds are floats.

use super::text::{push_escaped, push_header};
use super::{Format, Selection};
use prometheus::proto::{Histogram, LabelPair, MetricFamily, MetricType};
use std::fmt::{self, Display, Write};

/// Encodes the selected families, in the given order.
pub(super) fn encode(families: &[MetricFamily], selection: &Selection, format: Format, text: &mut String) {
    for family in families.iter().filter(|family| selection.contains(family.name())) {
        let (kind, kind_name) = match family.get_field_type() {
            kind @ MetricType::COUNTER => (kind, "counter"),
            kind @ MetricType::GAUGE => (kind, "gauge"),
            kind @ MetricType::HISTOGRAM => (kind, "histogram"),
            // podskew has none of these.
            MetricType::SUMMARY | MetricType::UNTYPED => continue,
        };
        let mut name = family.name();
        let mut total = "";
        if kind == MetricType::COUNTER && format == Format::OpenMetrics {
            name = name.strip_suffix("_total").unwrap_or(name);
            total = "_total";
        }
        let mut out = Samples { text, name, format };
        out.header(family.help(), kind_name);
        for metric in family.get_metric() {
            let labels = metric.get_label();
            match kind {
                MetricType::COUNTER => out.sample(total, labels, None, Number(metric.get_counter().get_value())),
                MetricType::HISTOGRAM => out.histogram(labels, metric.get_histogram()),
                _ => out.sample("", labels, None, Number(metric.get_gauge().get_value())),
            }
        }
    }
}

/// Writes one family.
struct Samples<'a> {
    text: &'a mut String,
    name: &'a str,
    format: Format,
}

impl Samples<'_> {
    fn header(&mut self, help: &str, kind: &str) {
        let mut help = help.replace('\\', "\\\\").replace('\n', "\\n");
        if self.format == Format::OpenMetrics {
            help = help.replace('"', "\\\"");
        }
        push_header(self.text, self.name, &help, kind, self.format);
    }

    fn sample(&mut self, suffix: &str, labels: &[LabelPair], bound: Option<&str>, value: impl Display) {
        self.text.push_str(self.name);
        self.text.push_str(suffix);
        let pairs = labels.iter().map(|label| (label.name(), label.value()));
        for (index, (name, value)) in pairs.chain(bound.map(|bound| ("le", bound))).enumerate() {
            self.text.push(if index == 0 { '{' } else { ',' });
            self.text.push_str(name);
            self.text.push_str("=\"");
            push_escaped(self.text, value);
            self.text.push('"');
        }
        if !labels.is_empty() || bound.is_some() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }

    fn histogram(&mut self, labels: &[LabelPair], histogram: &Histogram) {
        for bucket in histogram.get_bucket().iter().filter(|bucket| bucket.upper_bound().is_finite()) {
            let bound = match self.format {
                Format::Text => bucket.upper_bound().to_string(),
                // Debug formats whole numbers with `.0`, as OpenMetrics requires for bounds.
                Format::OpenMetrics => format!("{:?}", bucket.upper_bound()),
            };
            self.sample("_bucket", labels, Some(&bound), bucket.cumulative_count());
        }
        self.sample("_bucket", labels, Some("+Inf"), histogram.get_sample_count());
        self.sample("_sum", labels, None, Number(histogram.get_sample_sum()));
        self.sample("_count", labels, None, histogram.get_sample_count());
    }
}

/// A float in the syntax of both formats.
struct Number(f64);

impl Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            f64::INFINITY => f.write_str("+Inf"),
            f64::NEG_INFINITY => f.write_str("-Inf"),
            // Rust formats NaN in the same way.
            number => number.fmt(f),
        }
    }
}
