//! The exposition, compared word by word, and properties of any exposition.
#![allow(clippy::unwrap_used, reason = "tests")]

use crate::common::exposition::{Parsed, gunzip};
use crate::common::reports::{any_report, any_workload, at, empty, plain_workload, skewed_deployment, workload};
use podskew::exposition::{Encoding, Exposition, FAMILIES, Format, PublishBatch, ResponseBody, Selection};
use podskew::report::{Name, WorkloadReport};
use prometheus::proto::MetricFamily;
use prometheus::{Gauge, Histogram, HistogramOpts, IntCounterVec, Opts, Registry};
use proptest::collection::vec;
use proptest::prelude::*;
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};

fn exposition() -> Exposition {
    Exposition::new(Selection::default(), vec!["label_version".to_owned()])
}

fn small() -> Exposition {
    let exposition = exposition();
    exposition.publish(
        PublishBatch { reports: vec![skewed_deployment(), plain_workload()], gone: Vec::new() },
        &[("jobs".into(), 2)],
    );
    exposition
}

fn bytes(answer: ResponseBody) -> Vec<u8> {
    let expected = answer.content_length;
    let bytes: Vec<u8> = answer.flatten().collect();
    assert!(expected.is_none_or(|length| length == bytes.len() as u64), "Content-Length lies");
    bytes
}

fn text(exposition: &Exposition, own_health: &[MetricFamily], format: Format) -> String {
    let answer = exposition.picture().answer(own_health, format, Encoding::Identity, at(1000));
    String::from_utf8(bytes(answer)).unwrap()
}

fn own_health() -> Vec<MetricFamily> {
    let registry = Registry::new();
    let events = IntCounterVec::new(Opts::new("podskew_watch_events_total", "Says \"events\"."), &["type"]).unwrap();
    events.with_label_values(&["a\"b"]).inc_by(3);
    registry.register(Box::new(events)).unwrap();
    let options = HistogramOpts::new("podskew_scrape_duration_seconds", "A line\nand another.").buckets(vec![0.5, 1.0]);
    let scrapes = Histogram::with_opts(options).unwrap();
    scrapes.observe(0.75);
    registry.register(Box::new(scrapes)).unwrap();
    let activity = Gauge::new("podskew_last_activity_timestamp_seconds", "Seconds.").unwrap();
    activity.set(1_795_242_408.25);
    registry.register(Box::new(activity)).unwrap();
    registry.gather()
}

/// Compares with a file under `tests/data/exposition/`.
#[track_caller]
fn check_golden(file: &str, actual: &str) {
    let path = format!("{}/tests/data/exposition/{file}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, actual).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(actual, expected, "{path} has changed; if that is intended: UPDATE_GOLDEN=1 cargo test");
}

#[test]
fn a_small_cluster_in_prometheus_text() {
    let text = text(&small(), &own_health(), Format::Text);
    Parsed::read(&text);
    check_golden("small.txt", &text);
}

#[test]
fn a_small_cluster_in_openmetrics() {
    let text = text(&small(), &own_health(), Format::OpenMetrics);
    Parsed::read(&text);
    check_golden("small.openmetrics.txt", &text);
}

#[test]
fn openmetrics_adds_units_and_nothing_else_to_the_headers() {
    let plain = Parsed::read(&text(&small(), &own_health(), Format::Text));
    assert!(plain.units.is_empty(), "Prometheus text has no units: {:?}", plain.units);
    let open_metrics = Parsed::read(&text(&small(), &own_health(), Format::OpenMetrics));
    let expected = open_metrics.families.iter().filter_map(|(name, _)| {
        let unit = name.rsplit('_').next().filter(|unit| ["seconds", "bytes"].contains(unit))?;
        Some((name.clone(), unit.to_owned()))
    });
    assert_eq!(open_metrics.units, expected.collect());
    assert_eq!(open_metrics.units.get("podskew_rollout_age_seconds").map(String::as_str), Some("seconds"));
    assert_eq!(open_metrics.units.get("podskew_scrape_duration_seconds").map(String::as_str), Some("seconds"));
}

#[test]
fn the_unit_of_a_counter_precedes_total() {
    let registry = Registry::new();
    let cpu = prometheus::Counter::new("process_cpu_seconds_total", "CPU time.").unwrap();
    registry.register(Box::new(cpu)).unwrap();
    let memory = Gauge::new("process_resident_memory_bytes", "Memory.").unwrap();
    registry.register(Box::new(memory)).unwrap();
    let text = text(&exposition(), &registry.gather(), Format::OpenMetrics);
    let expected = "# HELP process_cpu_seconds CPU time.\n# TYPE process_cpu_seconds counter\n\
                    # UNIT process_cpu_seconds seconds\nprocess_cpu_seconds_total 0\n\
                    # HELP process_resident_memory_bytes Memory.\n# TYPE process_resident_memory_bytes gauge\n\
                    # UNIT process_resident_memory_bytes bytes\nprocess_resident_memory_bytes 0\n# EOF\n";
    assert_eq!(text, expected);
}

#[test]
fn before_the_initial_sync_there_are_only_own_metrics() {
    let parsed = Parsed::read(&text(&exposition(), &own_health(), Format::Text));
    assert_eq!(parsed.families.len(), 3);
    assert_eq!(parsed.value("podskew_watch_events_total", &[("type", "a\"b")]), Some(3.0));
    assert_eq!(text(&exposition(), &[], Format::OpenMetrics), "# EOF\n");
    let nothing = exposition().picture().answer(&[], Format::Text, Encoding::Gzip, at(1));
    assert_eq!(gunzip(&bytes(nothing)), "");
}

#[test]
fn families_are_in_declared_order_and_own_metrics_follow() {
    let parsed = Parsed::read(&text(&small(), &own_health(), Format::Text));
    let names: Vec<&str> = parsed.families.iter().map(|(name, _)| name.as_str()).collect();
    let declared: Vec<&str> = FAMILIES.iter().map(|family| family.name).collect();
    assert_eq!(names[..declared.len()], declared);
    assert!(names[declared.len()..].contains(&"podskew_watch_events_total"));
}

#[test]
fn every_series_has_the_declared_labels() {
    let parsed = Parsed::read(&text(&small(), &[], Format::Text));
    for family in FAMILIES {
        let declared: BTreeSet<&str> = family.subject_labels().iter().chain(family.labels).copied().collect();
        for (labels, _) in parsed.series(family.name, &[]) {
            let further: BTreeSet<&str> = labels.keys().map(String::as_str).filter(|l| !declared.contains(l)).collect();
            assert!(declared.iter().all(|label| labels.contains_key(*label)), "{}: {labels:?}", family.name);
            assert!(
                further.is_empty() || (family.pod_labels && further == BTreeSet::from(["label_version"])),
                "{}",
                family.name
            );
        }
    }
}

#[test]
fn help_reads_the_same_in_both_formats() {
    for family in FAMILIES {
        assert!(!family.help.contains(['"', '\\', '\n']), "{}", family.help);
        assert!(family.help.ends_with('.') && !family.help.contains("  "), "{}", family.help);
    }
}

#[test]
fn ages_run_between_scrapes_without_a_publication() {
    let picture = small().picture();
    let age_at = |now| {
        let text = bytes(picture.answer(&[], Format::Text, Encoding::Identity, at(now)));
        let parsed = Parsed::read(std::str::from_utf8(&text).unwrap());
        let web = [("namespace", "shop"), ("workload_type", "deployment"), ("workload", "web")];
        parsed.value("podskew_rollout_age_seconds", &web).unwrap()
    };
    assert!((age_at(941) - 1.0).abs() < f64::EPSILON);
    assert!((age_at(1940) - 1000.0).abs() < f64::EPSILON);
    assert!(age_at(5).abs() < f64::EPSILON, "an age is never negative, even if clocks differ");
}

#[test]
fn each_origin_has_a_skew_age_of_its_own() {
    let mut report = skewed_deployment();
    let mut injected = report.containers[1].by_hash[0].clone();
    injected.hash = "6".into();
    injected.origin = podskew::report::Origin::Injected;
    injected.skewed_since = Some(at(100));
    report.containers[1].by_hash.push(injected);
    let exposition = exposition();
    exposition.publish(PublishBatch { reports: vec![report], gone: Vec::new() }, &[]);
    let parsed = Parsed::read(&text(&exposition, &[], Format::Text));
    let ages: Vec<(&str, f64)> = parsed
        .series("podskew_digest_skew_age_seconds", &[("container", "web")])
        .into_iter()
        .map(|(labels, value)| (labels["origin"].as_str(), value))
        .collect();
    assert_eq!(ages, [("injected", 900.0), ("template", 600.0)]);
}

#[test]
fn a_workload_that_is_gone_leaves_nothing() {
    let exposition = small();
    exposition.publish(PublishBatch { reports: Vec::new(), gone: vec![skewed_deployment().workload] }, &[]);
    let text = text(&exposition, &[], Format::Text);
    assert!(!text.contains("\"shop\"") && !text.contains("\"jobs\"") && text.contains("\"data\""));
}

#[test]
fn a_workload_both_gone_and_reported_was_recreated() {
    let exposition = small();
    exposition.publish(
        PublishBatch { reports: vec![skewed_deployment()], gone: vec![skewed_deployment().workload] },
        &[("jobs".into(), 2)],
    );
    assert_eq!(text(&exposition, &[], Format::Text), text(&small(), &[], Format::Text));
}

#[test]
fn an_answer_keeps_its_picture() {
    let exposition = small();
    let expected = text(&exposition, &[], Format::Text);
    let mut answer = exposition.picture().answer(&[], Format::Text, Encoding::Identity, at(1000));
    let mut received = answer.next().unwrap().to_vec();
    exposition.publish(
        PublishBatch {
            reports: vec![empty(workload("x", "deployment", "y"))],
            gone: vec![skewed_deployment().workload],
        },
        &[],
    );
    received.extend(answer.flatten());
    assert_eq!(String::from_utf8(received).unwrap(), expected);
}

#[test]
fn families_are_served_as_selected() {
    let one = |pattern: &str| [Regex::new(pattern).unwrap()];
    let selection = Selection::new(&one("podskew_.*"), &one(".*_info|podskew_watch_.*")).unwrap();
    let exposition = Exposition::new(selection, Vec::new());
    exposition.publish(PublishBatch { reports: vec![skewed_deployment()], gone: Vec::new() }, &[]);
    let parsed = Parsed::read(&text(&exposition, &own_health(), Format::Text));
    let names: BTreeSet<&str> = parsed.families.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.contains("podskew_outdated_pods") && names.contains("podskew_scrape_duration_seconds"));
    assert!(!names.contains("podskew_pod_info") && !names.contains("podskew_watch_events_total"));
}

#[test]
fn answers_can_be_sent_from_any_thread() {
    fn check<T: Send + 'static>() {}
    fn check_shared<T: Send + Sync>() {}
    check::<ResponseBody>();
    check_shared::<Exposition>();
}

/// The input of one publication.
#[derive(Clone, Debug)]
struct Publication {
    reports: Vec<WorkloadReport>,
    gone: Vec<podskew::report::Workload>,
    awaiting: u32,
    /// Number of batches that are prepared before the last.
    parts: usize,
}

fn any_publication() -> impl Strategy<Value = Publication> {
    let parts = (0..6_usize, any::<bool>());
    (vec(any_report(), 0..60), vec(any_workload(), 0..20), 0..3_u32, parts).prop_map(
        |(reports, gone, awaiting, (parts, in_order))| {
            let mut reports = one_each(reports);
            if !in_order {
                reports.sort_by_key(|report| report.workload.name.chars().rev().collect::<String>());
            }
            Publication { reports, gone, awaiting, parts }
        },
    )
}

impl Publication {
    /// Prepares some batches in one call, others in another, and publishes the last.
    fn publish(self, exposition: &Exposition) {
        let Self { mut reports, mut gone, awaiting, parts, .. } = self;
        let size = reports.len().div_ceil(parts + 1).max(1);
        let before = text(exposition, &[], Format::Text);
        let mut prepared = Vec::new();
        for _ in 0..parts {
            let rest = reports.split_off(size.min(reports.len()));
            prepared
                .push(PublishBatch { reports: std::mem::replace(&mut reports, rest), gone: std::mem::take(&mut gone) });
        }
        let mut prepared = prepared.into_iter();
        exposition.prepare(&mut prepared.by_ref().take(2));
        exposition.prepare(&mut prepared);
        assert!(text(exposition, &[], Format::Text) == before, "visible before it is published");
        exposition.publish(PublishBatch { reports, gone }, &[("n".into(), awaiting)]);
    }
}

fn one_each(reports: Vec<WorkloadReport>) -> Vec<WorkloadReport> {
    let by_workload: BTreeMap<_, _> = reports.into_iter().map(|report| (report.workload.clone(), report)).collect();
    by_workload.into_values().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn stitched_gzip_inflates_to_the_text(reports in vec(any_report(), 0..80), open_metrics in any::<bool>()) {
        let exposition = exposition();
        exposition.publish(PublishBatch { reports: one_each(reports), gone: Vec::new() }, &[("n".into(), 1)]);
        let format = if open_metrics { Format::OpenMetrics } else { Format::Text };
        let answer = exposition.picture().answer(&own_health(), format, Encoding::Gzip, at(1000));
        let plain = text(&exposition, &own_health(), format);
        prop_assert_eq!(gunzip(&bytes(answer)), plain.clone());
        Parsed::read(&plain);
    }

    #[test]
    fn any_sequence_of_publications_reads_as_one_of_their_outcome(sequence in vec(any_publication(), 1..6)) {
        let incremental = exposition();
        let mut outcome = BTreeMap::new();
        for publication in sequence {
            outcome.retain(|workload, _| !publication.gone.contains(workload));
            outcome.extend(publication.reports.iter().map(|report| (report.workload.clone(), report.clone())));
            let awaiting: [(Name, u32); 1] = [("n".into(), publication.awaiting)];
            publication.publish(&incremental);
            let scratch = exposition();
            scratch.publish(PublishBatch { reports: outcome.values().cloned().collect(), gone: Vec::new() }, &awaiting);
            let (incremental, scratch) = (text(&incremental, &[], Format::Text), text(&scratch, &[], Format::Text));
            prop_assert!(incremental == scratch, "{}", first_difference(&incremental, &scratch));
        }
    }

    #[test]
    fn label_values_survive(value in "(?s).*") {
        let exposition = exposition();
        exposition.publish(PublishBatch { reports: vec![empty(workload(&value, "deployment", "w"))], gone: Vec::new() }, &[]);
        let parsed = Parsed::read(&text(&exposition, &[], Format::Text));
        let labels = [("namespace", value.as_str()), ("workload_type", "deployment"), ("workload", "w")];
        prop_assert_eq!(parsed.value("podskew_distinct_template_hashes_per_workload", &labels), Some(0.0));
    }
}

fn first_difference(left: &str, right: &str) -> String {
    let lines = left.lines().zip(right.lines()).find(|(left, right)| left != right);
    format!("{} and {} bytes; first difference: {lines:?}", left.len(), right.len())
}
