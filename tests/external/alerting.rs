//! Real Prometheus servers with the shipped rules scrape the real binary on its demo cluster: which alerts fire, and
//! whether their texts are those in the runbooks.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use crate::needs::{Test, tests};
use crate::programs;
use crate::rules;
use crate::scraping::{Running, eventually};
use regex::Regex;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Expected alerts of the demo; the last field says whether a runbook shows the text.
const EXPECTED: [(&str, &str, &str, bool); 6] = [
    ("PodskewDigestSkew", "shop", "web", true),
    // Info alerts are per namespace.
    ("PodskewInjectedContainerSkew", "search", "", true),
    ("PodskewLatestTag", "internal", "", true),
    ("PodskewMixForgotten", "data", "", false),
    ("PodskewMixForgotten", "kube-system", "", true),
    ("PodskewRolloutStalled", "payments", "ledger", true),
];

/// A Prometheus with the rules, where only `for` and the interval are shortened to seconds. It scrapes like with the
/// Operator, with the labels of podskew's own pod on every series.
fn prometheus(program: &Path, target: &str, directory: &Path) -> Running {
    let rules = std::fs::read_to_string(rules::path("alerts").join(rules::PLAIN)).unwrap();
    let waits = Regex::new(r"(?m)^    for: .*$").unwrap();
    assert!(waits.find_iter(&rules).count() >= 8);
    let rules = waits.replace_all(&rules, "    for: 5s");
    let intervals = Regex::new(r"(?m)^  interval: .*$").unwrap();
    assert_eq!(intervals.find_iter(&rules).count(), 3);
    std::fs::write(directory.join("rules.yaml"), &*intervals.replace_all(&rules, "  interval: 1s")).unwrap();
    let labels = json!({ "namespace": "monitoring", "pod": "podskew-0", "container": "podskew", "node": "a" });
    let config = json!({
        "global": { "scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s" },
        "rule_files": ["rules.yaml"],
        "scrape_configs": [{
            "job_name": "podskew", "honor_labels": true,
            "static_configs": [{ "targets": [target], "labels": labels }],
        }],
    });
    // JSON is valid YAML.
    std::fs::write(directory.join("prometheus.yml"), config.to_string()).unwrap();
    let mut command = Command::new(program);
    command
        .arg(format!("--config.file={}", directory.join("prometheus.yml").display()))
        .arg(format!("--storage.tsdb.path={}", directory.join("data").display()))
        .args(["--web.listen-address=127.0.0.1:0", "--log.level=info"]);
    Running::start(&mut command, &Regex::new(r#"msg="Listening on".*address=127\.0\.0\.1:(\d+)"#).unwrap())
}

/// `podskew demo` at this address, ready.
fn demo_at(address: &str) -> Running {
    let mut command = Command::new(env!("CARGO_BIN_EXE_podskew"));
    // Without settings from the environment of the test.
    command.env_clear().args(["demo", "--listen-address", address]);
    let demo = Running::start(&mut command, &Regex::new(r"serving http://127\.0\.0\.1:(\d+)/metrics").unwrap());
    eventually("the demo is ready", || match demo.get("/readyz", "*/*") {
        Ok((200, _)) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    demo
}

type Who = (String, String, String);

/// The alerts that are pending or firing.
fn alerts(prometheus: &Running) -> Result<BTreeMap<Who, Value>, String> {
    let (_, body) = prometheus.get("/api/v1/alerts", "application/json").map_err(|error| error.to_string())?;
    let answer: Value = serde_json::from_str(&body).map_err(|error| format!("{body}: {error}"))?;
    let alerts = answer["data"]["alerts"].as_array().ok_or("no list of alerts")?;
    let label = |alert: &Value, label: &str| alert["labels"][label].as_str().unwrap_or_default().to_owned();
    let who = |alert: &Value| (label(alert, "alertname"), label(alert, "namespace"), label(alert, "workload"));
    let read: BTreeMap<Who, Value> = alerts.iter().map(|alert| (who(alert), alert.clone())).collect();
    if read.len() == alerts.len() { Ok(read) } else { Err(format!("one workload, two alerts of one name: {body}")) }
}

/// Replaces times and durations, which change.
fn timeless(text: &str) -> String {
    let moment = Regex::new(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC").unwrap();
    let length = Regex::new(r"(?:\d+d )?(?:\d+h )?(?:\d+m )?\b\d+s\b").unwrap();
    length.replace_all(&moment.replace_all(text, "MOMENT"), "LENGTH").into_owned()
}

/// The example of a runbook.
fn example(alert: &str) -> String {
    let runbook = std::fs::read_to_string(rules::path("docs/runbooks").join(format!("{alert}.md"))).unwrap();
    let block = Regex::new("(?s)```text\n(.*?)\n```").unwrap();
    block.captures(&runbook).unwrap_or_else(|| panic!("docs/runbooks/{alert}.md shows no example"))[1].to_owned()
}

#[track_caller]
fn fires_the_expected_alerts(program: &Path) {
    let demo = demo_at("127.0.0.1:0");
    let directory = tempfile::tempdir().unwrap();
    let prometheus = prometheus(program, &demo.address, directory.path());
    let expected: Vec<Who> =
        EXPECTED.map(|(alert, namespace, workload, _)| (alert.into(), namespace.into(), workload.into())).into();
    let exactly = || {
        let alerts = alerts(&prometheus)?;
        let firing = alerts.values().all(|alert| alert["state"] == "firing");
        let as_expected = firing && alerts.keys().eq(&expected);
        as_expected.then_some(alerts).ok_or_else(|| format!("not these: {:?}", prometheus.get("/api/v1/alerts", "*/*")))
    };
    let told = eventually("exactly the expected alerts fire", exactly);
    let stays_so = |seconds| {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(seconds) {
            let now = exactly().unwrap();
            for (who, alert) in &told {
                assert_eq!(now[who]["activeAt"], alert["activeAt"], "{who:?} ended and started again");
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    };
    // shop/checkout rolls out meanwhile.
    stays_so(12);
    // There is no podskew for a while, then another one.
    let address = demo.address.clone();
    drop(demo);
    stays_so(4);
    let _again = demo_at(&address);
    stays_so(6);
    for (alert, namespace, workload, has_example) in EXPECTED {
        let told = &told[&(alert.to_owned(), namespace.to_owned(), workload.to_owned())]["annotations"];
        let text = |annotation: &str| told[annotation].as_str().unwrap();
        let text = format!("{}\n{}", text("summary"), text("description"));
        assert!(!text.contains('<') && !text.contains("error"), "{text}");
        assert!(!has_example || timeless(&text) == timeless(&example(alert)), "the text of {alert} is:\n{text}");
        let runbook = told["runbook_url"].as_str().unwrap().rsplit_once('/').unwrap().1;
        assert!(rules::path("docs/runbooks").join(runbook).exists(), "{runbook}");
    }
}

fn debians_prometheus_fires_the_expected_alerts() {
    fires_the_expected_alerts(Path::new("prometheus"));
}

fn prometheus_3_fires_the_expected_alerts() {
    fires_the_expected_alerts(&programs::prometheus3());
}

/// The tests and their requirements.
pub fn tests() -> Vec<Test> {
    tests![
        debians_prometheus_fires_the_expected_alerts: [PROMETHEUS],
        prometheus_3_fires_the_expected_alerts: [PROMETHEUS3],
    ]
}
