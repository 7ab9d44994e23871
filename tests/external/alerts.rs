//! The alerts: generated from one source, and tested with promtool: when they fire, when not, and their texts.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use crate::needs::{Test, tests};
use crate::programs;
use crate::rules;
use crate::rules::{Texts, path, source};
use podskew::exposition::FAMILIES;
use podskew::telemetry::families::{HEALTH_FAMILIES, REGISTRY_FAMILIES, WEB_CONFIG_FAMILIES};
use regex::Regex;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Compares a generated file with the expected text, or writes it with `UPDATE_DOCS`.
#[track_caller]
fn generated(file: &str, text: &str) {
    let path = path(file);
    if std::env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1") {
        // Replaces the file at once, because other tests read it meanwhile.
        let new = path.with_extension("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(&new, &path).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == text, "{file} differs from alerts/source.yaml: make docs");
}

fn the_rules_are_what_their_source_says() {
    for (name, text) in source().files() {
        generated(&format!("alerts/{name}"), &text);
    }
}

/// The chart's part: the texts of the alerts, and a block of its values.
fn the_chart_has_the_alerts_of_the_source() {
    generated(rules::CHART, &source().chart());
    let values = std::fs::read_to_string(path(rules::CHART_VALUES)).unwrap();
    let begin = "    # <alerts> generated from alerts/source.yaml: make docs\n";
    let (before, rest) = values.split_once(begin).unwrap();
    let (_, after) = rest.split_once("    # </alerts>\n").unwrap();
    let block = source().chart_values();
    generated(rules::CHART_VALUES, &format!("{before}{begin}{block}    # </alerts>\n{after}"));
}

#[track_caller]
fn promtool_agrees(arguments: &[&str]) {
    let output = programs::promtool(arguments, b"");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

/// The names of the files in a folder, without the extension.
fn names(folder: &str, ending: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(path(folder)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter_map(|name| Some(name.strip_suffix(ending)?.to_owned())).collect()
}

fn promtool_accepts_the_rules() {
    for file in [rules::PLAIN, rules::CLUSTERS] {
        promtool_agrees(&["check", "rules", path("alerts").join(file).to_str().unwrap()]);
    }
}

/// Configurations in documents for Prometheus, or for a collector that accepts the same.
fn promtool_accepts_the_configurations_of_documents() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("prometheus.yml");
    std::fs::copy(path("alerts/podskew.rules.yaml"), directory.path().join("podskew.rules.yaml")).unwrap();
    let block = Regex::new("(?s)```yaml\n(.*?)```").unwrap();
    let mut checked = 0;
    for document in ["README.md", "docs/clusters.md", "docs/scraping.md"] {
        let text = std::fs::read_to_string(path(document)).unwrap();
        for found in block.captures_iter(&text) {
            let shown: Value = serde_saphyr::from_str(&found[1]).unwrap();
            // The OpenTelemetry Collector's receiver contains one.
            let of_receiver = shown.pointer("/receivers/prometheus/config");
            if !found[1].starts_with("# prometheus.yml\n") && of_receiver.is_none() {
                continue;
            }
            let mut configuration = of_receiver.unwrap_or(&shown).clone();
            // Debian's promtool does not support Kubernetes service discovery.
            for job in configuration["scrape_configs"].as_array_mut().into_iter().flatten() {
                job.as_object_mut().unwrap().remove("kubernetes_sd_configs");
            }
            std::fs::write(&config, configuration.to_string()).unwrap();
            promtool_agrees(&["check", "config", config.to_str().unwrap()]);
            checked += 1;
        }
    }
    assert_eq!(checked, 3);
}

/// Just before an alert fires, just after, its end, and cases in which it must not fire: see the files.
fn every_alert_fires_when_it_should_and_only_then() {
    let files = names("alerts/tests", ".yaml").into_iter().map(|name| path("alerts/tests").join(name + ".yaml"));
    let files: Vec<String> = files.map(|file| file.to_str().unwrap().to_owned()).collect();
    let mut arguments = vec!["test", "rules"];
    arguments.extend(files.iter().map(String::as_str));
    promtool_agrees(&arguments);
}

/// All combinations of podskew's metrics about one workload at one moment, with the duration of each, sensible or not.
fn moments() -> Vec<[(String, u32); 5]> {
    let states = ["complete", "progressing", "stalled", "paused", "partitioned", "on_delete", "canary", "blue_green"];
    let mut moments = Vec::new();
    for state in states {
        for (hashes, mixed) in [(1, 0), (2, 100), (2, 2_000), (2, 90_000)] {
            for rollout in [0, 100, 4_000] {
                for (digests, skew) in [(1, 0), (2, 0), (2, 100), (2, 700)] {
                    moments.push([
                        (format!("rollout_state{{@,state=\"{state}\"}}"), 1),
                        ("distinct_template_hashes_per_workload{@}".to_owned(), hashes),
                        ("mixed_template_hashes_age_seconds{@}".to_owned(), mixed),
                        ("rollout_age_seconds{@}".to_owned(), rollout),
                        (format!("digests and skew {digests}"), skew),
                    ]);
                }
            }
        }
    }
    moments
}

/// One incident, one alert: for all metrics about a workload, and for any that follow.
fn no_workload_is_in_two_alerts_at_once() {
    let moments = moments();
    let mut series = vec![json!({ "series": "podskew_build_info", "values": "1x90" })];
    for (number, now) in moments.iter().enumerate() {
        // Another of the moments follows after half an hour. A step without a common factor with their number reaches all.
        let next = &moments[(number * 7 + 101) % moments.len()];
        let workload = format!("namespace=\"n\",workload_type=\"deployment\",workload=\"w{number}\"");
        let mut put = |name: &str, values: String| {
            let name = name.replace('@', &workload);
            series.push(json!({ "series": format!("podskew_{name}"), "values": values }));
        };
        if now[0].0 == next[0].0 {
            put(&now[0].0, "1x90".to_owned());
        } else {
            put(&now[0].0, "1x29 stale".to_owned());
            put(&next[0].0, "_x30 1x60".to_owned());
        }
        for (before, after) in now[1..4].iter().zip(&next[1..4]) {
            put(&before.0, format!("{}x29 {}x60", before.1, after.1));
        }
        let digests = |moment: &[(String, u32); 5]| moment[4].0.rsplit_once(' ').unwrap().1.to_owned();
        let of_container = "@,container=\"c\",origin=\"template\"";
        let counts = format!("{}x29 {}x60", digests(now), digests(next));
        put(&format!("distinct_digests_per_workload{{{of_container}}}"), counts.clone());
        put(&format!("digest_skew_age_seconds{{{of_container}}}"), format!("{}x29 {}x60", now[4].1, next[4].1));
        // At the end one digest is left, and the series is gone.
        if counts.ends_with(" 1x60") {
            put("image_gone_age_seconds{@,container=\"c\",image=\"i\",origin=\"template\"}", "_x50 700x40".to_owned());
        }
    }
    let workloads = "ALERTS{alertstate=\"firing\",workload!=\"\"}";
    // promtool has a limit for a subquery over this number of workloads.
    let at_once = format!("count by (workload) ({workloads}) > 1");
    let mut asked: Vec<Value> = (0..90)
        .map(|minute| json!({ "eval_time": format!("{minute}m"), "expr": at_once, "exp_samples": [] }))
        .collect();
    let kinds = format!("count(count by (alertname) ({workloads}))");
    asked.push(json!({ "eval_time": "89m", "expr": kinds, "exp_samples": [{ "labels": "{}", "value": 6 }] }));
    let test = json!({ "interval": "1m", "input_series": series, "promql_expr_test": asked });
    let mut source = source();
    // Without the texts, whose queries take most of the time.
    for alert in &mut source.alerts {
        (alert.summary, alert.description, alert.short) = (String::new(), String::new(), String::new());
    }
    promtool_tests(&source.rules(), &test);
}

/// A threshold is a field of its alert, so that it can be changed in one place.
fn no_expression_has_a_threshold_of_its_own() {
    let source = source();
    let literal = Regex::new(r"(?m)(?:^|\s)(?:>=?|<=?|==) ([0-9][0-9.]*)").unwrap();
    for text in source.alerts.iter().map(|alert| &alert.expr).chain(source.parts.values()) {
        for found in literal.captures_iter(text) {
            assert!(matches!(&found[1], "0" | "1"), "{} in {text}", &found[0]);
        }
    }
    for alert in source.alerts.iter().filter(|alert| alert.threshold.is_some()) {
        let expanded = source.expand(&alert.expr);
        let threshold = format!("> {}", alert.threshold.unwrap());
        let ends = |line: &str| line.ends_with(&threshold);
        assert!(expanded.lines().any(ends), "{threshold} does not end a line of {expanded}");
    }
}

/// A text does not say how long its alert waits either, because the chart can change that.
fn no_text_has_a_duration_of_its_own() {
    let duration = Regex::new(r"(?m)^Since: (?:an|[a-z]+|[0-9]+) (?:minutes?|hours?)").unwrap();
    for alert in source().alerts {
        assert!(!duration.is_match(&alert.description), "{}", alert.name);
    }
}

/// Number of queries in a text, as written. A query that is only made while podskew is absent counts, too.
fn asked(text: &str) -> usize {
    Regex::new(r"\bquery\b").unwrap().find_iter(text).count()
}

/// Each is a query at every evaluation, for every pending or firing alert.
fn no_text_has_more_than_three_queries() {
    let block = Regex::new(r"\{\{-? *(range|if|with|end)\b([^}]*)").unwrap();
    let source = source();
    for alert in &source.alerts {
        let name = &alert.name;
        assert_eq!(asked(&source.expand(&alert.summary)), 0, "the summary of {name}");
        assert_eq!(asked(&source.expand(&alert.short)), 0, "the short description of {name}");
        let full = asked(&source.expand(&alert.description));
        // There is one info alert for each namespace, for any number of workloads.
        let most = if alert.severity == "info" { 1 } else { 3 };
        assert!(full <= most, "{name} has {full} queries");
        let by_namespace = format!("by ({}, namespace)", source.settings.cluster);
        assert!(alert.severity != "info" || source.expand(&alert.expr).contains(&by_namespace), "{name}");
        // No query is made in a loop.
        let mut open = Vec::new();
        let text = source.expand(&alert.description);
        for found in block.captures_iter(&text) {
            assert!(asked(&found[2]) == 0 || !open.contains(&"range"), "{name} has a query in a loop: {}", &found[2]);
            match found.get(1).unwrap().as_str() {
                "end" => drop(open.pop()),
                word => open.push(word),
            }
        }
        assert!(open.is_empty(), "{name}");
    }
    let groups: BTreeSet<&str> = source.alerts.iter().map(|alert| &*alert.group).collect();
    assert!(groups.iter().eq(source.groups.keys()), "{groups:?}");
}

/// A workload with the same name in two clusters, with a skew in one and a stall in the other, and no podskew in a third:
/// for any cluster label, each alert is about its own cluster, and names it in every command.
fn clusters_are_told_apart_by_whatever_label() {
    for (label, context) in [("cluster", ""), ("k8s_cluster", "admin@$cluster")] {
        let mut source = source();
        source.settings.cluster = label.into();
        source.settings.context = context.into();
        let rules = source.rules();
        let of = |cluster: &str| {
            format!("{label}=\"{cluster}\",namespace=\"n\",workload_type=\"deployment\",workload=\"w\"")
        };
        let (north, south) = (of("north"), of("south"));
        let remedy = "look=\"kubectl -n n get pods\",do=\"kubectl argo rollouts -n n restart w\",why=\"so.\"";
        let series = [
            (format!("podskew_digest_skew_age_seconds{{{north},container=\"c\",origin=\"template\"}}"), "900x30"),
            (format!("podskew_rollout_state{{{north},state=\"complete\"}}"), "1x30"),
            (format!("podskew_remedy_info{{{north},finding=\"digest_skew\",{remedy}}}"), "1x30"),
            (format!("podskew_rollout_state{{{south},state=\"stalled\"}}"), "1x30"),
            (format!("podskew_build_info{{{label}=\"north\"}}"), "1x30"),
            (format!("podskew_build_info{{{label}=\"south\"}}"), "1x30"),
            (format!("podskew_build_info{{{label}=\"west\"}}"), "1x5 stale"),
        ];
        let series: Vec<Value> =
            series.iter().map(|(name, values)| json!({ "series": name, "values": values })).collect();
        let sample = |alert: &str, cluster: &str| json!({ "labels": format!("{{alertname=\"{alert}\", {label}=\"{cluster}\"}}"), "value": 1 });
        let fires = json!({
            "eval_time": "20m", "expr": format!("count by (alertname, {label}) (ALERTS{{alertstate=\"firing\"}})"),
            "exp_samples": [
                sample("PodskewDigestSkew", "north"), sample("PodskewRolloutStalled", "south"), sample("PodskewDown", "west"),
            ],
        });
        let context = |cluster: &str| context.replace("$cluster", cluster);
        let option = |cluster: &str| {
            Some(context(cluster)).filter(|c| !c.is_empty()).map_or_else(String::new, |c| format!(" --context {c}"))
        };
        let description = format!(
            "Running under this template hash:\nSince: 1970-01-01 00:05 UTC (15m 0s)\nLook in cluster north: kubectl{0} -n n get pods\n\
             Do in cluster north: kubectl argo rollouts{0} -n n restart w\nWhy: so. Where GitOps owns the object, make the change there.",
            option("north"),
        );
        let mut labels =
            json!({ "namespace": "n", "workload_type": "deployment", "workload": "w", "severity": "critical" });
        labels[label] = json!("north");
        let says = json!({
            "eval_time": "20m", "alertname": "PodskewDigestSkew",
            "exp_alerts": [{ "exp_labels": labels, "exp_annotations": {
                "summary": "Replicas of deployment n/w in cluster north have run different image digests under one template hash for 15m 0s.",
                "description": description, "runbook_url": format!("{}/PodskewDigestSkew.md", source.runbooks),
            } }],
        });
        let mut test =
            json!({ "interval": "1m", "input_series": series, "promql_expr_test": [fires], "alert_rule_test": [says] });
        promtool_tests(&rules, &test);
        // The external label of the ruler in one cluster, whose series do not have it.
        let mut inside = test.clone();
        for series in inside["input_series"].as_array_mut().unwrap() {
            let name = series["series"].as_str().unwrap();
            series["series"] =
                json!(name.replace(&format!("{label}=\"north\","), "").replace(&format!("{label}=\"north\""), ""));
        }
        inside["input_series"]
            .as_array_mut()
            .unwrap()
            .retain(|series| !series["series"].as_str().unwrap().contains(label));
        inside["external_labels"] = json!({ label: "north" });
        inside["promql_expr_test"] = json!([]);
        inside["alert_rule_test"][0]["exp_alerts"][0]["exp_labels"].as_object_mut().unwrap().remove(label);
        promtool_tests(&rules, &inside);
        // Short texts make no queries, and contain a link.
        source.settings.texts = Texts::Short;
        let look = format!("Look in cluster north: podskew explain{} -n n deployment/w", option("north"));
        test["alert_rule_test"][0]["exp_alerts"][0]["exp_annotations"]["description"] = json!(look);
        promtool_tests(&source.rules(), &test);
        source.settings.page = "https://podskew.example/$cluster?ns=$namespace&name=$workload_type/$workload".into();
        test["alert_rule_test"][0]["exp_alerts"][0]["exp_annotations"]["description"] =
            json!("Look: https://podskew.example/north?ns=n&name=deployment/w");
        promtool_tests(&source.rules(), &test);
    }
}

/// Tests rules with a test file of promtool.
#[track_caller]
fn promtool_tests(rules: &str, test: &Value) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("rules.yaml"), rules).unwrap();
    let tests = json!({ "rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": [test] });
    let file = directory.path().join("test.yaml");
    std::fs::write(&file, tests.to_string()).unwrap();
    promtool_agrees(&["test", "rules", file.to_str().unwrap()]);
}

/// The Operator's form has the same groups.
fn the_operators_form_is_the_same() {
    let read = |name: &str| -> Value {
        serde_saphyr::from_str(&std::fs::read_to_string(path("alerts").join(name)).unwrap()).unwrap()
    };
    let operator = read(rules::OPERATOR);
    assert_eq!(operator["kind"], "PrometheusRule");
    assert_eq!(operator["spec"], read(rules::PLAIN));
}

fn every_alert_has_a_test_and_a_runbook() {
    let alerts: BTreeSet<String> = source().alerts.into_iter().map(|alert| alert.name).collect();
    assert!(alerts.len() >= 14, "{alerts:?}");
    assert_eq!(names("alerts/tests", ".yaml"), alerts, "a file of tests for each alert");
    let mut runbooks = names("docs/runbooks", ".md");
    assert!(runbooks.remove("README"), "docs/runbooks/README.md, about causes and prevention");
    assert_eq!(runbooks, alerts, "a runbook for each alert");
    let overview = std::fs::read_to_string(path("docs/runbooks/README.md")).unwrap();
    for alert in source().alerts {
        let row = format!("| [{0}]({0}.md) | {1} |", alert.name, alert.severity);
        assert!(overview.contains(&row), "docs/runbooks/README.md has no row {row}");
    }
    for alert in &alerts {
        let tests = std::fs::read_to_string(path("alerts/tests").join(format!("{alert}.yaml"))).unwrap();
        for needed in [
            format!("alertname: {alert}\n    exp_alerts:\n    - exp_labels"),
            format!("alertname=\"{alert}\""),
            "exp_samples: []".to_owned(),
            "never fire".to_owned(),
            "a gap".to_owned(),
        ] {
            assert!(tests.contains(&needed), "alerts/tests/{alert}.yaml has no {needed:?}");
        }
        let runbook = std::fs::read_to_string(path("docs/runbooks").join(format!("{alert}.md"))).unwrap();
        let headings: Vec<&str> = runbook.lines().filter(|line| line.starts_with('#')).collect();
        let expected = [&format!("# {alert}")[..], "## Meaning", "## Impact", "## Diagnosis", "## Remedy"];
        assert_eq!(headings, expected, "docs/runbooks/{alert}.md");
        assert!(runbook.contains("](README.md"), "docs/runbooks/{alert}.md has no link to causes and prevention");
    }
}

/// Labels that a scrape or a central store adds.
const FROM_OUTSIDE: [&str; 5] = ["cluster", "namespace", "exported_namespace", "pod", "instance"];

fn every_metric_and_label_of_the_rules_exists() {
    let rules = source().rules_of(&|_| true);
    let selector = Regex::new(r"(podskew_[a-z_]+[a-z])(?:\{([^}]*)\})?").unwrap();
    let matcher = Regex::new(r#"([a-z_]+)(?:=~|!=|!~|=)[\\"%]"#).unwrap();
    let mut seen = 0;
    for found in selector.captures_iter(&rules) {
        let name = &found[1];
        let family = FAMILIES.iter().find(|family| family.name == name);
        let mut health = HEALTH_FAMILIES.iter().chain(WEB_CONFIG_FAMILIES).chain(REGISTRY_FAMILIES);
        let health = health.find(|family| family.name == name);
        let mut labels: Vec<&str> = FROM_OUTSIDE.to_vec();
        match (family, health) {
            (Some(family), _) => labels.extend(family.subject_labels().iter().chain(family.labels)),
            (_, Some(health)) => labels.extend(health.labels),
            _ => panic!("{name} is not a metric of podskew"),
        }
        for found in matcher.captures_iter(found.get(2).map_or("", |matchers| matchers.as_str())) {
            assert!(labels.contains(&found.get(1).unwrap().as_str()), "{name} has no label {}", &found[1]);
            seen += 1;
        }
    }
    assert!(seen > 50, "{seen}");
}

/// The overview shows how long each alert waits: its threshold, if that is an age, its `for`, and its lookback.
fn the_runbooks_say_how_long_each_alert_waits() {
    let source = source();
    let minutes = |text: &str| -> f64 {
        let (number, unit) = text.split_at(text.len() - 1);
        number.parse::<f64>().unwrap()
            * match unit {
                "s" => 1.0 / 60.0,
                "m" => 1.0,
                "h" => 60.0,
                _ => 1440.0,
            }
    };
    let overview = std::fs::read_to_string(path("docs/runbooks/README.md")).unwrap();
    let said = Regex::new(r"(an hour|a day|[0-9]+ minutes)[^|]*\|$").unwrap();
    for alert in &source.alerts {
        let is_age = alert.threshold.is_some_and(|threshold| threshold >= 60.0);
        let age = if is_age { alert.threshold.unwrap() / 60.0 } else { 0.0 };
        let of_past = alert.expr.contains("absent_over_time") || alert.expr.contains("<<not_synced>>") && !is_age;
        let held = if of_past && alert.name != "PodskewWatchFailing" { minutes(&source.parts["hold"]) } else { 0.0 };
        // A mix older than a day waits a little longer, so that a change of its state does not fire an alert.
        let waits = if alert.name == "PodskewMixForgotten" { age } else { age + minutes(&alert.r#for) + held };
        let row = overview.lines().find(|line| line.starts_with(&format!("| [{}]", alert.name))).unwrap();
        let words = said.captures(row).unwrap_or_else(|| panic!("{row}"))[1].to_owned();
        let told = match words.as_str() {
            "an hour" => 60.0,
            "a day" => 1440.0,
            number => number.split(' ').next().unwrap().parse().unwrap(),
        };
        assert!((told - waits).abs() < 0.01, "{}: {waits} minutes, but the overview has {words}", alert.name);
    }
}

/// The tests and their requirements.
pub fn tests() -> Vec<Test> {
    tests![
        the_rules_are_what_their_source_says: [],
        the_chart_has_the_alerts_of_the_source: [],
        promtool_accepts_the_rules: [PROMTOOL],
        promtool_accepts_the_configurations_of_documents: [PROMTOOL],
        every_alert_fires_when_it_should_and_only_then: [PROMTOOL],
        no_workload_is_in_two_alerts_at_once: [PROMTOOL],
        no_expression_has_a_threshold_of_its_own: [],
        no_text_has_a_duration_of_its_own: [],
        no_text_has_more_than_three_queries: [],
        clusters_are_told_apart_by_whatever_label: [PROMTOOL],
        the_operators_form_is_the_same: [],
        every_alert_has_a_test_and_a_runbook: [],
        every_metric_and_label_of_the_rules_exists: [],
        the_runbooks_say_how_long_each_alert_waits: [],
    ]
}
