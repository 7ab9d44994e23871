//! The dashboards: Grafana accepts them, every query uses podskew's metrics correctly, and every panel shows data of the
//! demo cluster, in real Prometheus servers.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use crate::needs::{Test, tests};
use crate::programs;
use crate::promql;
use crate::scraping::{Prometheus, demo, eventually, serve};
use podskew::exposition::FAMILIES;
use podskew::telemetry::families::HEALTH_FAMILIES;
use regex::Regex;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

const NAMES: [&str; 3] = ["canary", "fleet", "workload"];

/// Default metrics of the application in the canary dashboard.
const APPLICATION: [promql::Foreign<'static>; 2] = [
    ("http_requests_total", &["namespace", "pod", "code"]),
    ("http_request_duration_seconds_bucket", &["namespace", "pod", "le"]),
];

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn dashboard(name: &str) -> Value {
    serde_json::from_str(&read(&format!("dashboards/{name}.json"))).unwrap()
}

fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or("")
}

/// Every panel that shows data.
fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    list(dashboard, "/panels").iter().filter(|panel| text(panel, "type") != "row")
}

/// Every query of a dashboard: its panel, its reference there, and its text.
fn queries(dashboard: &Value) -> impl Iterator<Item = (&str, &str, &str)> {
    panels(dashboard).flat_map(|panel| {
        let targets = list(panel, "/targets").iter();
        targets.map(move |target| (text(panel, "title"), text(target, "refId"), text(target, "expr")))
    })
}

/// Values of variables that differ from the defaults.
type Choice = [(&'static str, &'static str)];

const ALL: &Choice = &[("cluster", ".*"), ("namespace", ".*"), ("workload_type", ".*"), ("workload", ".*")];

fn of_workload(
    namespace: &'static str,
    kind: &'static str,
    workload: &'static str,
) -> [(&'static str, &'static str); 4] {
    [("cluster", ".*"), ("namespace", namespace), ("workload_type", kind), ("workload", workload)]
}

/// A query as Grafana sends it, with its own variables replaced. Panics if one is left.
fn filled(query: &str, dashboard: &Value, choice: &Choice) -> String {
    let variables = list(dashboard, "/templating/list").iter();
    let defaults =
        variables.filter(|variable| text(variable, "type") == "textbox").map(|v| (text(v, "name"), text(v, "query")));
    let mut filled = query.replace("$__rate_interval", "30s");
    for (name, value) in defaults.chain(choice.iter().copied()) {
        filled =
            filled.replace(&format!("${{{name}:raw}}"), value).replace(&format!("${name}\""), &format!("{value}\""));
    }
    let left = Regex::new(r"\$\{?[a-z_]+").unwrap();
    assert!(!left.is_match(&filled), "a variable is left in {filled}");
    filled
}

fn grafana_can_take_them_as_they_are() {
    let label_values = Regex::new(r"^label_values\((.*), (\w+)\)$").unwrap();
    let folder = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards")).unwrap();
    let mut files: Vec<_> = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    assert_eq!(files, NAMES.map(|name| format!("{name}.json")));
    for name in NAMES {
        let dashboard = dashboard(name);
        assert_eq!(dashboard["uid"], format!("podskew-{name}"));
        assert_eq!(dashboard["timezone"], "utc");
        assert!(list(&dashboard, "/tags").contains(&json!("podskew")));
        assert!(
            dashboard.get("id").is_none() && dashboard.get("__inputs").is_none(),
            "{name} asks before it is imported"
        );
        assert!(!text(&dashboard, "description").is_empty());
        let links = list(&dashboard, "/links");
        let between = links.iter().find(|link| link["type"] == "dashboards").unwrap();
        assert_eq!(
            (&between["tags"], &between["includeVars"], &between["keepTime"]),
            (&json!(["podskew"]), &json!(true), &json!(true))
        );
        assert!(links.iter().any(|link| text(link, "url").ends_with("/docs/runbooks")));

        let variables = list(&dashboard, "/templating/list");
        let order: Vec<_> = variables.iter().map(|variable| text(variable, "name")).take(5).collect();
        assert_eq!(order, ["datasource", "cluster", "namespace", "workload_type", "workload"]);
        // Without a label `cluster` there is nothing to choose from: `.*`, and an empty value, match series without it. A
        // workload belongs to one cluster: another with its name elsewhere is another one.
        let cluster = &variables[1];
        if name == "fleet" {
            assert_eq!((&cluster["includeAll"], &cluster["allValue"]), (&json!(true), &json!(".*")));
            assert_eq!(cluster["current"]["value"], json!(["$__all"]));
        } else {
            assert_eq!((&cluster["includeAll"], &cluster["multi"]), (&json!(false), &json!(false)));
            assert_eq!(cluster.get("allValue"), None);
        }
        // The values of each variable are queried within those before it.
        for (index, variable) in variables.iter().enumerate().take(5).skip(1) {
            let query = text(&variable["query"], "query");
            let found = label_values.captures(query).unwrap_or_else(|| panic!("{query}"));
            assert_eq!(&found[2], order[index], "{query}");
            let selector = filled(&found[1], &dashboard, ALL);
            assert_eq!(promql::fault(&selector, &[]), None, "{query}");
            for before in &order[1..index] {
                assert!(query.contains(&format!("\"${before}\"")), "{query} is not restricted by {before}");
            }
        }
    }
}

fn every_panel_is_whole_and_none_overlaps() {
    let names_a_source = Regex::new(r#""uid": "([^"]*)""#).unwrap();
    for name in NAMES {
        let dashboard = dashboard(name);
        let mut ids = BTreeSet::new();
        let mut taken = BTreeMap::new();
        for panel in list(&dashboard, "/panels") {
            let title = text(panel, "title");
            assert!(
                !title.is_empty() && ids.insert(panel["id"].as_u64().unwrap()),
                "{name}: {title} and another have one id"
            );
            let [x, y, w, h] = ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().unwrap());
            assert!(w > 0 && h > 0 && x + w <= 24, "{name}: {title} is outside the grid");
            for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
                if let Some(other) = taken.insert(cell, title) {
                    panic!("{name}: {title} covers {other}");
                }
            }
        }
        for panel in panels(&dashboard) {
            let title = text(panel, "title");
            assert!(text(panel, "description").ends_with('.'), "{name}: {title} has no description");
            assert!(!text(&panel["fieldConfig"]["defaults"], "unit").is_empty(), "{name}: {title} has no unit");
            if matches!(text(panel, "type"), "stat" | "table") {
                assert!(
                    !list(panel, "/fieldConfig/defaults/thresholds/steps").is_empty(),
                    "{name}: {title} has no thresholds"
                );
            }
            let references: BTreeSet<_> = list(panel, "/targets").iter().map(|target| text(target, "refId")).collect();
            assert_eq!(references.len(), list(panel, "/targets").len(), "{name}: {title}");
            assert!(!references.is_empty(), "{name}: {title} has no query");
        }
        for source in
            names_a_source.captures_iter(&read(&format!("dashboards/{name}.json"))).map(|found| found[1].to_owned())
        {
            assert!(
                source == "${datasource}" || source == format!("podskew-{name}"),
                "{name} names the data source {source}"
            );
        }
    }
}

/// Meanings of names, with one colour each.
const COLOURS: [(&str, &[&str]); 9] = [
    ("red", &["digest skew", "1 digest skew", "in digest skew", "Digest skew", "Digest skew for"]),
    ("light-red", &["5 injected skew", "Injected skew"]),
    ("orange", &["stalled", "rollout stalled", "2 rollout stalled", "Rollout stalled"]),
    (
        "light-orange",
        &["3 rollout slow", "4 hashes mixed", "mixed over 30 min", "Mixed over 30 min", "Rollout in progress for"],
    ),
    ("yellow", &["latest", "on latest", "On latest"]),
    (
        "purple",
        &[
            "paused",
            "partitioned",
            "on_delete",
            "canary",
            "blue_green",
            "OnDelete",
            "blue-green",
            "mixed on purpose",
            "6 paused",
            "6 canary",
        ],
    ),
    ("blue", &["progressing", "outdated", "Outdated pods", "rollout", "false"]),
    ("dark-yellow", &["not ready", "Not ready"]),
    ("green", &["complete", "ready", "synced", "true"]),
];

/// The colour of a panel's highest threshold: that of the subject in its title.
fn worst(panel: &Value) -> Option<&str> {
    list(panel, "/fieldConfig/defaults/thresholds/steps").last().map(|step| text(step, "color"))
}

/// Colours of names: of series by overrides, and of values by mappings.
fn coloured(value: &Value, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(object) => {
            let name = value.pointer("/matcher/options").and_then(Value::as_str);
            for property in list(value, "/properties").iter().filter(|property| property["id"] == "color") {
                found.push((name.unwrap_or("").to_owned(), text(&property["value"], "fixedColor").to_owned()));
            }
            if object.get("type") == Some(&json!("value")) {
                for (key, option) in object["options"].as_object().unwrap() {
                    let colour = text(option, "color").to_owned();
                    found.extend([(key.clone(), colour.clone()), (text(option, "text").to_owned(), colour)]);
                }
            }
            object.values().for_each(|inner| coloured(inner, found));
        }
        Value::Array(list) => list.iter().for_each(|inner| coloured(inner, found)),
        _ => {}
    }
}

/// One colour for each meaning, in all three.
fn equal_meanings_have_equal_colours() {
    let mut checked = BTreeSet::new();
    for dashboard_name in NAMES {
        let dashboard = dashboard(dashboard_name);
        let mut found = Vec::new();
        coloured(&dashboard, &mut found);
        let stats = panels(&dashboard).filter(|panel| text(panel, "type") == "stat");
        found.extend(stats.filter_map(|panel| Some((text(panel, "title").to_owned(), worst(panel)?.to_owned()))));
        for (name, colour) in found {
            let Some((expected, _)) = COLOURS.iter().find(|(_, names)| names.contains(&name.as_str())) else {
                continue;
            };
            assert_eq!(&colour, expected, "{dashboard_name}: {name}");
            checked.insert(name);
        }
    }
    assert!(checked.len() >= 25, "{checked:?}");
}

/// As short as in the audit: a digest is shortened for display, but not where a query compares it.
fn digests_are_as_short_as_the_audits() {
    let digest = format!("sha256:{}", "0123456789abcdef".repeat(4));
    let short = Regex::new("^(.*:.{12}).*$").unwrap().replace(&digest, "$1").into_owned();
    assert_eq!(short, "sha256:0123456789ab");
    let mut shown = 0;
    for name in NAMES {
        let dashboard = dashboard(name);
        for panel in panels(&dashboard) {
            let title = text(panel, "title");
            for target in list(panel, "/targets") {
                if text(target, "legendFormat").contains("{{digest}}") {
                    let shortens = r#""digest", "$1", "digest", "(.*:.{12}).*""#;
                    assert!(text(target, "expr").contains(shortens), "{name}: {title}");
                    shown += 1;
                }
            }
            if panel["transformations"].to_string().contains("\"Digest\"") {
                let overrides = list(panel, "/fieldConfig/overrides").iter();
                let of_digest = overrides.filter(|of| of["matcher"]["options"] == "Digest").collect::<Vec<_>>();
                assert!(json!(of_digest).to_string().contains("(.*:.{12}).*"), "{name}: {title}");
                shown += 1;
            }
        }
    }
    assert_eq!(shown, 5);
}

/// A workload of six pods with two containers has six pods: counts of containers are not stacked, and a legend names each.
fn pods_by_digest_are_counted_for_each_container() {
    let dashboard = dashboard("workload");
    let panel = panels(&dashboard).find(|panel| text(panel, "title") == "Pods by digest").unwrap();
    assert_eq!(panel.pointer("/fieldConfig/defaults/custom/stacking/mode"), Some(&json!("none")));
    assert_eq!(panel.pointer("/targets/0/legendFormat"), Some(&json!("{{container}} {{digest}}")));
    assert!(text(&panel["targets"][0], "expr").starts_with("sum by (container, digest) ("), "{panel}");
}

/// One series shows every state, so that one ends where the next begins.
fn the_states_of_a_rollout_are_one_row_without_gaps() {
    let dashboard = dashboard("workload");
    let panel = panels(&dashboard).find(|panel| text(panel, "type") == "state-timeline").unwrap();
    let targets = list(panel, "/targets");
    assert_eq!(targets.len(), 1, "{panel}");
    let mappings = panel.pointer("/fieldConfig/defaults/mappings/0/options").unwrap();
    let states = ["complete", "progressing", "stalled", "paused", "partitioned", "on_delete", "canary", "blue_green"];
    for (index, state) in states.iter().enumerate() {
        let of_state = format!("max(podskew_rollout_state{{state=\"{state}\"");
        let value = if index == 0 { of_state } else { format!(" or {} * {of_state}", index + 1) };
        assert!(text(&targets[0], "expr").contains(&value), "{state}");
        let shown = text(&mappings[(index + 1).to_string()], "text").to_lowercase().replace(['-', '_'], "");
        assert_eq!(shown, state.replace('_', ""));
    }
    assert_eq!(mappings.as_object().unwrap().len(), states.len());
}

/// Targets of our links: a dashboard, or a runbook with an alert's name.
fn every_link_leads_to_a_dashboard_or_a_document() {
    let internal = Regex::new(r#""url": "/d/([a-z-]+)/"#).unwrap();
    let external = Regex::new(r#""url": "(https?:[^"]*)""#).unwrap();
    let documents = "https://github.com/podskew/podskew/blob/main/docs/";
    let runbook = Regex::new(r"^runbooks/(Podskew[A-Za-z]+|\$\{__value\.raw\})\.md$").unwrap();
    let mut found = 0;
    for name in NAMES {
        let json = read(&format!("dashboards/{name}.json"));
        for link in internal.captures_iter(&json) {
            assert!(NAMES.iter().any(|name| link[1] == format!("podskew-{name}")), "{name}: {}", &link[1]);
            found += 1;
        }
        for link in external.captures_iter(&json).filter(|link| !link[1].ends_with("/tree/main/docs/runbooks")) {
            let document = link[1].strip_prefix(documents).unwrap_or_else(|| panic!("{name}: {}", &link[1]));
            assert!(runbook.is_match(document) || document == "metrics.md", "{name}: {document}");
            found += 1;
        }
    }
    assert!(found > 20, "{found}");
}

fn every_query_names_metrics_and_labels_that_exist() {
    let span = Regex::new(r"rate\([^\[]*\[([^\]]*)\]").unwrap();
    for name in NAMES {
        let dashboard = dashboard(name);
        for (panel, reference, query) in queries(&dashboard) {
            let filled = filled(query, &dashboard, ALL);
            assert_eq!(promql::fault(&filled, &APPLICATION), None, "{name}: {panel} {reference}: {query}");
            // A counter is never queried over a fixed range that may be shorter than two scrapes.
            for span in span.captures_iter(query) {
                assert_eq!(&span[1], "$__rate_interval", "{name}: {panel} {reference}");
            }
        }
    }
}

fn the_lint_finds_wrong_queries() {
    for (query, fault) in [
        ("podskew_pods_by_digset", "there is no metric podskew_pods_by_digset"),
        ("podskew_pods_by_digest{pod=\"a\"}", "podskew_pods_by_digest has no label pod"),
        ("max by (digest) (podskew_pods_by_template_hash)", "podskew_pods_by_template_hash has no label digest"),
        ("podskew_pod_info * on (pod) podskew_rollout_state", "podskew_rollout_state has no label pod"),
        ("sum by (le) (podskew_scrape_duration_seconds)", "there is no metric podskew_scrape_duration_seconds"),
    ] {
        assert_eq!(promql::fault(query, &[]).as_deref(), Some(fault));
    }
    assert!(promql::fault("max by (workload) podskew_pod_info)", &[]).is_some());
}

/// The demo's exhibits: each choice, and what it shows.
fn choices(name: &str) -> Vec<Vec<(&'static str, &'static str)>> {
    match name {
        "fleet" => vec![ALL.to_vec()],
        "workload" => vec![
            of_workload("payments", "deployment", "ledger").to_vec(),
            of_workload("shop", "deployment", "web").to_vec(),
            of_workload("data", "statefulset", "ledger-db").to_vec(),
            of_workload("growth", "rollout", "landing").to_vec(),
        ],
        _ => vec![of_workload("growth", "rollout", "landing").to_vec()],
    }
}

/// Request metrics of every pod of `growth`, like those of an application without template hashes.
fn application(exposition: &str, seconds: f64) -> String {
    let pod = Regex::new(r#"(?m)^podskew_pod_info\{namespace="(growth)",.*?pod="([^"]*)""#).unwrap();
    let mut metrics = String::new();
    for found in pod.captures_iter(exposition) {
        let of_pod = format!("namespace=\"{}\",pod=\"{}\"", &found[1], &found[2]);
        for (code, each_second) in [("200", 10.0), ("503", 0.5)] {
            writeln!(metrics, "http_requests_total{{{of_pod},code=\"{code}\"}} {}", each_second * seconds).unwrap();
        }
        for (le, each_second) in [("0.1", 5.0), ("0.5", 9.0), ("+Inf", 10.5)] {
            let name = "http_request_duration_seconds_bucket";
            writeln!(metrics, "{name}{{{of_pod},le=\"{le}\"}} {}", each_second * seconds).unwrap();
        }
    }
    assert!(metrics.len() > 100, "{exposition}");
    metrics
}

#[track_caller]
fn every_panel_shows_something(program: &Path) {
    let demo = demo();
    let exposition = demo.get("/metrics", "text/plain").unwrap().1;
    let begun = Instant::now();
    let application = serve(move || application(&exposition, begun.elapsed().as_secs_f64()));
    // A second cluster, where one release has not arrived; the first has no label `cluster`.
    let behind = json!([{
        "source_labels": ["workload", "digest"], "regex": "orders;sha256:.{8}(.*)",
        "target_label": "digest", "replacement": "sha256:0ddba11c$1",
    }]);
    let elsewhere = json!({ "targets": [demo.address], "labels": { "cluster": "elsewhere" } });
    let prometheus = Prometheus::start_with(
        program,
        &json!([
            { "job_name": "podskew", "static_configs": [{ "targets": [demo.address] }] },
            { "job_name": "application", "static_configs": [{ "targets": [application] }] },
            { "job_name": "podskew-2", "static_configs": [elsewhere], "metric_relabel_configs": behind },
        ]),
    );
    prometheus.answers("up");
    for name in NAMES {
        let dashboard = dashboard(name);
        for (panel, reference, query) in queries(&dashboard) {
            eventually(&format!("{name}: {panel} {reference} shows something"), || {
                let mut shown = 0;
                for choice in choices(name) {
                    let filled = filled(query, &dashboard, &choice);
                    shown += prometheus.series(&filled).unwrap_or_else(|error| panic!("{filled}: {error}")).len();
                }
                if shown > 0 { Ok(()) } else { Err(format!("no series for {query}")) }
            });
        }
    }
}

fn every_panel_shows_something_in_debians_prometheus() {
    every_panel_shows_something(Path::new("prometheus"));
}

fn every_panel_shows_something_in_prometheus_3() {
    every_panel_shows_something(&programs::prometheus3());
}

/// Two podskews give the same numbers as one, and no query fails when they disagree for a moment.
fn a_second_podskew_changes_nothing() {
    let demo = demo();
    let exposition = demo.get("/metrics", "text/plain").unwrap().1;
    let pods = application(&exposition, 1000.0);
    let [one, other, pods] = [exposition.clone(), exposition, pods].map(|metrics| serve(move || metrics.clone()));
    let job = |name: &str, cluster: &str, target: &str, relabel: Value| {
        json!({
            "job_name": name, "metric_relabel_configs": relabel,
            "static_configs": [{ "targets": [target], "labels": { "cluster": cluster } }],
        })
    };
    let rewrite = |label: &str, regex: &str, replacement: &str| json!({ "source_labels": ["__name__", label], "regex": regex, "target_label": label, "replacement": replacement });
    // Differences between two podskews during a change.
    let behind = json!([
        rewrite("current", "podskew_template_hash_info;(true|false)", "true"),
        rewrite("revision", "podskew_template_hash_info;.*", "1"),
        rewrite("state", "podskew_rollout_state;.*", "progressing"),
        rewrite("pod_template_hash", "podskew_pod_info;.*", "before"),
        rewrite("node", "podskew_pod_info;.*", "before"),
        rewrite("pull_policy", "podskew_image_reference_info;.*", "Always"),
        rewrite("origin", "podskew_d.*;template", "unknown"),
        rewrite("version", "podskew_build_info;.*", "0.0.9"),
    ]);
    let nothing = json!([]);
    let prometheus = Prometheus::start_with(
        Path::new("prometheus"),
        &json!([
            job("single", "single", &one, nothing.clone()),
            job("pair-0", "pair", &one, nothing.clone()),
            job("pair-1", "pair", &other, nothing.clone()),
            job("torn-0", "torn", &one, nothing.clone()),
            job("torn-1", "torn", &other, behind),
            job("pods-single", "single", &pods, nothing.clone()),
            job("pods-pair", "pair", &pods, nothing.clone()),
            job("pods-torn", "torn", &pods, nothing),
        ]),
    );
    // Until every target has been scraped twice.
    eventually("all targets are there", || {
        let counts = prometheus.query("count(count_over_time(up[1m]) > 1)")?;
        if counts == [8.0] { Ok(()) } else { Err(format!("{counts:?}")) }
    });
    // So do the documented examples.
    let examples = FAMILIES.iter().map(|family| family.example);
    for example in examples.chain(HEALTH_FAMILIES.iter().map(|family| family.example)) {
        assert_eq!(promql::fault(example, &APPLICATION), None, "{example}");
        prometheus.series(example).unwrap_or_else(|error| panic!("{example}: {error}"));
    }
    for name in NAMES {
        let dashboard = dashboard(name);
        for (panel, reference, query) in queries(&dashboard) {
            for choice in choices(name) {
                let [single, pair, torn] = ["single", "pair", "torn"].map(|cluster| {
                    let mut choice = choice.clone();
                    choice[0] = ("cluster", cluster);
                    let filled = filled(query, &dashboard, &choice);
                    let mut series = prometheus
                        .series(&filled)
                        .unwrap_or_else(|error| panic!("{name}: {panel} {reference}: {error}"));
                    for (labels, _) in &mut series {
                        labels.as_object_mut().unwrap().remove("cluster");
                    }
                    series.sort_by_key(|(labels, _)| labels.to_string());
                    series
                });
                // These depend on the podskew, or on the time of the query.
                let differs =
                    query.contains("instance") || query.contains("time()") || panel.contains("fields not understood");
                assert!(differs || single == pair, "{name}: {panel} {reference}: {single:?} is not {pair:?}");
                assert!(single.is_empty() || !torn.is_empty(), "{name}: {panel} {reference} shows nothing");
            }
        }
    }
}

/// Grafana's own types of a dashboard, of its panels' options and of their fields, in version 10 and in a recent one.
fn grafanas_types_take_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let modules = root.join("target/tools/grafana/node_modules");
    assert!(modules.exists(), "Grafana's types are missing: make target/tools/grafana/done");
    let script = root.join("tests/programs/grafana/check.cjs");
    let files: Vec<_> = NAMES.iter().map(|name| root.join(format!("dashboards/{name}.json"))).collect();
    let mut arguments = vec![script.to_str().unwrap(), modules.to_str().unwrap()];
    arguments.extend(files.iter().map(|file| file.to_str().unwrap()));
    let output = programs::run(Path::new("node"), &arguments, b"", "install Node 20 or newer");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("6 read"), "{said}");
}

/// The tests and their requirements.
pub fn tests() -> Vec<Test> {
    tests![
        grafana_can_take_them_as_they_are: [],
        every_panel_is_whole_and_none_overlaps: [],
        equal_meanings_have_equal_colours: [],
        digests_are_as_short_as_the_audits: [],
        pods_by_digest_are_counted_for_each_container: [],
        the_states_of_a_rollout_are_one_row_without_gaps: [],
        every_link_leads_to_a_dashboard_or_a_document: [],
        every_query_names_metrics_and_labels_that_exist: [],
        the_lint_finds_wrong_queries: [],
        every_panel_shows_something_in_debians_prometheus: [PROMETHEUS],
        every_panel_shows_something_in_prometheus_3: [PROMETHEUS3],
        a_second_podskew_changes_nothing: [PROMETHEUS],
        grafanas_types_take_them: [GRAFANA, NODE],
    ]
}
