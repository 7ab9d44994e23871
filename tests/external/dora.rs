//! The queries of docs/dora.md, with metrics of several podskews that restart, disagree and miss things.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use crate::needs::{Test, tests};
use crate::programs;
use crate::promql;
use regex::Regex;
use serde_json::{Value, json};

/// The queries of the document, in order: deployment frequency, change failure rate, time to restore, duration.
fn queries() -> [String; 4] {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/dora.md")).unwrap();
    let block = Regex::new("(?s)```promql\n(.*?)```").unwrap();
    let blocks: Vec<String> = block.captures_iter(&text).map(|found| found[1].to_owned()).collect();
    blocks.try_into().unwrap_or_else(|blocks: Vec<String>| panic!("{} queries", blocks.len()))
}

fn every_query_names_metrics_and_labels_that_exist() {
    for query in queries() {
        assert_eq!(promql::fault(&query, &[]), None, "{query}");
    }
}

/// A series of the workload `web` or `db` from one podskew: pairs of a number of minutes and a value.
fn series(name: &str, workload: &str, podskew: &str, labels: &str, values: &[(u32, &str)]) -> Value {
    let kind = if workload == "db" { "statefulset" } else { "deployment" };
    let values: Vec<String> = values
        .iter()
        // `AxN` is N + 1 values, and `_xN` is N gaps.
        .map(|(minutes, value)| match *value {
            "_" => format!("_x{minutes}"),
            "stale" => "stale".to_owned(),
            value => format!("{value}x{}", minutes - 1),
        })
        .collect();
    json!({
        "series": format!("podskew_{name}{{cluster=\"north\",namespace=\"shop\",workload_type=\"{kind}\",workload=\"{workload}\",\
                           instance=\"{podskew}\"{labels}}}"),
        "values": values.join(" "),
    })
}

#[track_caller]
fn answers(input: &[Value], asked: &[(&str, &str, &str)]) {
    let asked: Vec<Value> = asked
        .iter()
        .map(|(at, query, value)| {
            let samples =
                json!([{ "labels": "{cluster=\"north\", namespace=\"shop\"}", "value": value.parse::<f64>().ok() }]);
            json!({ "eval_time": at, "expr": query, "exp_samples": if value.is_empty() { json!([]) } else { samples } })
        })
        .collect();
    let test = json!({ "interval": "1m", "input_series": input, "promql_expr_test": asked });
    let file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
    let tests = json!({ "rule_files": [], "evaluation_interval": "1m", "tests": [test] });
    std::fs::write(file.path(), tests.to_string()).unwrap();
    let output = programs::promtool(&["test", "rules", file.path().to_str().unwrap()], b"");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

/// A Deployment's objects contain the time of its completion: two podskews agree, all restart at 302, and a scrape fails
/// for ten minutes. For a StatefulSet it is known only to a podskew that saw it: two see it a second apart, and one of them
/// restarts.
fn deployments_are_counted_once_whoever_sees_them_and_whoever_restarts() {
    let name = "last_rollout_completed_timestamp_seconds";
    let [often, ..] = queries();
    let web = |podskew, values: &[(u32, &str)]| series(name, "web", podskew, "", values);
    let db = |podskew, values: &[(u32, &str)]| series(name, "db", podskew, "", values);
    let input = [
        // From the initial sync on, and then at 60, 202 and 403.
        web("a", &[(60, "100"), (142, "3600"), (100, "12000"), (1, "stale")]),
        web("b", &[(60, "100"), (142, "3600"), (98, "12000"), (1, "stale")]),
        web("c", &[(302, "_"), (101, "12000"), (47, "24000"), (10, "_"), (140, "24000")]),
        web("d", &[(304, "_"), (99, "12000"), (197, "24000")]),
        // The first is not counted; b restarts at 120; the next is at 500.
        db("a", &[(90, "_"), (411, "5000"), (99, "30000")]),
        db("b", &[(90, "_"), (30, "5001"), (1, "stale"), (379, "_"), (100, "30000")]),
    ];
    answers(&input, &[("11m", &often, "0"), ("250m", &often, "2"), ("590m", &often, "4")]);
}

/// Two podskews count the same, restart one after the other at 302, and then start at 0 again.
fn undone_rollouts_are_a_share_of_ended_ones() {
    let [_, failing, ..] = queries();
    let count = |outcome: &str, podskew, values: &[(u32, &str)]| {
        series("rollouts_total", "web", podskew, &format!(",outcome=\"{outcome}\""), values)
    };
    let mut input = Vec::new();
    for (podskew, begins, ends) in [("a", 0, 302), ("b", 0, 304), ("c", 302, 600), ("d", 304, 600)] {
        let old = begins == 0;
        let before = |values: &[(u32, &'static str)]| -> Vec<(u32, &'static str)> {
            let mut values = values.to_vec();
            if !old {
                values.insert(0, (begins, "_"));
                values[1].0 -= begins;
            }
            let rest: u32 = values.iter().map(|(minutes, _)| minutes).sum();
            values.last_mut().unwrap().0 += ends - rest;
            if old {
                values.push((1, "stale"));
            }
            values
        };
        // Completed at 63, 123, 203; then at 403 and, after the undo at 408, at 413. Superseded at 128.
        let completed: &[_] =
            if old { &[(63, "0"), (60, "1"), (80, "2"), (1, "3")] } else { &[(403, "0"), (10, "1"), (1, "2")] };
        let undone: &[_] = if old { &[(1, "0")] } else { &[(408, "0"), (1, "1")] };
        let superseded: &[_] = if old { &[(128, "0"), (1, "1")] } else { &[(305, "0")] };
        input.push(count("completed", podskew, &before(completed)));
        input.push(count("undone", podskew, &before(undone)));
        input.push(count("superseded", podskew, &before(superseded)));
    }
    answers(&input, &[("290m", &failing, "0"), ("590m", &failing, &(1.0_f64 / 6.0).to_string())]);
}

/// Two stalls of 30 and 60 minutes. One podskew restarts during the second, and one sees its end a few minutes late.
fn the_time_to_restore_is_the_mean_of_the_stalls_that_ended() {
    let [.., restoring, _] = queries();
    let state = |state: &str, podskew, values: &[(u32, &str)]| {
        series("rollout_state", "web", podskew, &format!(",state=\"{state}\""), values)
    };
    let mut input = Vec::new();
    for (podskew, restarts) in [("a", false), ("b", true)] {
        let gap: &[(u32, &str)] = if restarts { &[(30, "1"), (1, "stale"), (4, "_"), (25, "1")] } else { &[(60, "1")] };
        let mut stalled = vec![(101, "_"), (30, "1"), (1, "stale"), (169, "_")];
        stalled.extend(gap);
        stalled.push((1, "stale"));
        input.push(state("stalled", podskew, &stalled));
        let complete = [(101, "1"), (1, "stale"), (29, "_"), (170, "1"), (1, "stale"), (59, "_"), (100, "1")];
        input.push(state("complete", podskew, &complete));
    }
    let never = String::new();
    answers(
        &input,
        &[
            ("129m", &format!("({restoring}) < +Inf"), &never),
            ("250m", &restoring, "1800"),
            ("450m", &restoring, "2700"),
        ],
    );
}

fn held_time_does_not_count_as_duration_of_a_rollout() {
    let [.., long] = queries();
    let input = [
        series("last_rollout_duration_seconds", "web", "a", "", &[(60, "100")]),
        series("last_rollout_duration_seconds", "web", "b", "", &[(60, "100")]),
        series("last_rollout_held_seconds", "web", "a", "", &[(60, "40")]),
        series("last_rollout_duration_seconds", "db", "b", "", &[(60, "300")]),
    ];
    answers(&input, &[("30m", &long, "180")]);
}

/// The tests and their requirements.
pub fn tests() -> Vec<Test> {
    tests![
        every_query_names_metrics_and_labels_that_exist: [],
        deployments_are_counted_once_whoever_sees_them_and_whoever_restarts: [PROMTOOL],
        undone_rollouts_are_a_share_of_ended_ones: [PROMTOOL],
        the_time_to_restore_is_the_mean_of_the_stalls_that_ended: [PROMTOOL],
        held_time_does_not_count_as_duration_of_a_rollout: [PROMTOOL],
    ]
}
