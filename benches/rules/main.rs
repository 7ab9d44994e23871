//! Cost of the alerts in a real Prometheus: `make rules-cost`.
//!
//! A thousand workloads with problems, in twenty namespaces, are served to Prometheus 3 with the rules to measure. The CPU
//! time of some evaluations, minus that without rules, is the cost of one evaluation. The machine is shared, and other
//! programs only add to that time. So the minimum of several windows counts, and times never fail the command. One case has
//! one static word as each text, the lowest cost of a text.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs, reason = "a program")]

#[path = "../../tests/external/rules.rs"]
#[allow(dead_code, reason = "it is the tests', and a part of it is used")]
mod rules;
#[path = "../../tests/external/scraping.rs"]
#[allow(dead_code, reason = "it is the tests', and a part of it is used")]
mod scraping;

use regex::Regex;
use rules::{Source, Texts};
use serde_json::json;
use std::fmt::Write as _;
use std::process::Command;
use std::time::Duration;

const WORKLOADS: usize = 1_000;
const NAMESPACES: usize = 20;
const INTERVAL: u64 = 5;
const EVALUATIONS: u64 = 4;
const WINDOWS: usize = 3;

/// The metrics served and the rules evaluated.
struct Case {
    name: &'static str,
    series: String,
    alerts: &'static [&'static str],
    texts: Texts,
    /// Replaces each text by a static word.
    is_static: bool,
    /// Maximum CPU seconds of an evaluation.
    target: f64,
}

fn main() {
    let program = rules::path("target/tools/prometheus");
    assert!(program.exists(), "there is no {}: make target/tools/prometheus", program.display());
    let mut cases = Vec::new();
    for (name, alerts, target) in [
        ("PodskewLatestTag", &["PodskewLatestTag"][..], 0.05),
        ("PodskewMixForgotten", &["PodskewMixForgotten"], 0.05),
        ("PodskewInjectedContainerSkew", &["PodskewInjectedContainerSkew"], 0.05),
        ("PodskewDigestUnresolved", &["PodskewDigestUnresolved"], 0.05),
        ("PodskewDigestSkew", &["PodskewDigestSkew"], 0.5),
        ("PodskewRolloutStalled", &["PodskewRolloutStalled"], 0.5),
        ("PodskewRolloutSlow", &["PodskewRolloutSlow"], 0.5),
        ("PodskewTemplateHashesPersist", &["PodskewTemplateHashesPersist"], 0.5),
        ("PodskewDistinctDigestsPersist", &["PodskewDistinctDigestsPersist"], 0.5),
    ] {
        let case = |texts, is_static, target| Case { name, series: series(name), alerts, texts, is_static, target };
        cases.push(case(Texts::Full, false, target));
        if target > 0.1 {
            cases.push(case(Texts::Short, false, 0.1));
        }
        if name == "PodskewDigestSkew" {
            cases.push(case(Texts::Short, true, 0.1));
        }
    }
    // Each workload is in at most one of the other cases: a thousand workloads for each.
    let all: String = cases.iter().filter(|case| case.texts == Texts::Full).map(|case| case.series.as_str()).collect();
    cases.push(Case {
        name: "all at once",
        series: all,
        alerts: &[],
        texts: Texts::Short,
        is_static: false,
        target: 1.0,
    });
    println!("CPU of an evaluation, of {WORKLOADS} workloads in {NAMESPACES} namespaces, in Prometheus 3:\n");
    println!("| alert | texts | alerts firing | seconds | target | met |");
    println!("|---|---|---:|---:|---:|---|");
    // `-- PodskewDigestSkew` measures the cases with this text in their names.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    cases.retain(|case| wanted.is_empty() || wanted.iter().any(|name| case.name.contains(name.as_str())));
    let mut alone: Option<(&str, f64)> = None;
    for case in cases {
        // The series are the same in all cases of one name.
        let without = match alone {
            Some((name, seconds)) if name == case.name => seconds,
            _ => measure(&program, &case, false).0,
        };
        alone = Some((case.name, without));
        let (with, firing) = measure(&program, &case, true);
        let (cost, target) = ((with - without).max(0.0), case.target);
        let met = if cost <= target { "yes" } else { "NO" };
        let texts = match (case.is_static, case.texts) {
            (true, _) => "static",
            (false, Texts::Full) => "full",
            (false, Texts::Short) => "short",
        };
        println!("| {} | {texts} | {firing} | {cost:.3} | {target} | {met} |", case.name);
    }
}

/// The rules of a case, with a short interval and without `for`.
fn rules_of(case: &Case) -> String {
    let mut source: Source = rules::source();
    source.settings.texts = case.texts;
    // Thresholds may refer to other alerts, so the other alerts stay in the source, in a group that is not loaded.
    for alert in &mut source.alerts {
        let is_wanted = case.alerts.is_empty() || case.alerts.contains(&alert.name.as_str());
        if alert.group == "self" || !is_wanted {
            alert.group = rules::OPT_IN.into();
        }
        if case.is_static {
            (alert.summary, alert.short) = ("static".into(), "static".into());
        }
    }
    let mut text = source.rules();
    for (line, replacement) in [("interval: .*", format!("interval: {INTERVAL}s")), ("for: .*", "for: 0s".to_owned())] {
        text = Regex::new(&format!(r"(?m)^(  |    ){line}$"))
            .unwrap()
            .replace_all(&text, format!("${{1}}{replacement}"))
            .into_owned();
    }
    text
}

/// Minimum CPU seconds per interval, and number of firing alerts.
fn measure(program: &std::path::Path, case: &Case, with_rules: bool) -> (f64, usize) {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let body = case.series.clone();
    let target = scraping::serve(move || body.clone());
    std::fs::write(at("rules.yaml"), if with_rules { rules_of(case) } else { "groups: []\n".to_owned() }).unwrap();
    let interval = format!("{INTERVAL}s");
    let config = json!({
        "global": { "scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval },
        "rule_files": ["rules.yaml"],
        "scrape_configs": [{ "job_name": "podskew", "honor_labels": true, "static_configs": [{ "targets": [target] }] }],
    });
    std::fs::write(at("prometheus.yml"), config.to_string()).unwrap();
    let mut command = Command::new(program);
    command
        .arg(format!("--config.file={}", at("prometheus.yml").display()))
        .arg(format!("--storage.tsdb.path={}", at("data").display()))
        .args(["--web.listen-address=127.0.0.1:0", "--log.level=info"]);
    let server = scraping::Running::start(
        &mut command,
        &Regex::new(r#"msg="Listening on".*address=127\.0\.0\.1:(\d+)"#).unwrap(),
    );
    let firing = || {
        let (_, body) = server.get("/api/v1/alerts", "application/json").unwrap();
        body.matches("\"state\":\"firing\"").count()
    };
    // The first evaluation that fires creates the alerts; the later ones are measured.
    if with_rules {
        scraping::eventually("the alerts fire", || if firing() > 0 { Ok(()) } else { Err("none".to_owned()) });
    }
    std::thread::sleep(Duration::from_secs(2 * INTERVAL));
    let mut least = f64::INFINITY;
    for _ in 0..WINDOWS {
        let before = cpu_seconds(server.id());
        std::thread::sleep(Duration::from_secs(EVALUATIONS * INTERVAL));
        least = least.min(cpu_seconds(server.id()) - before);
    }
    (least / EVALUATIONS as f64, if with_rules { firing() } else { 0 })
}

/// CPU time of a process.
fn cpu_seconds(process: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / 100.0
}

/// A thousand workloads for which this alert fires, and no more severe one.
fn series(alert: &str) -> String {
    let mut text = String::new();
    for number in 0..WORKLOADS {
        let namespace = number % NAMESPACES;
        let workload = format!("web-{}-{number}", alert.to_lowercase());
        let of = format!("namespace=\"shop-{namespace}\",workload_type=\"deployment\",workload=\"{workload}\"");
        let mut put = |family: &str, labels: &str, value: u32| {
            let comma = if labels.is_empty() { "" } else { "," };
            writeln!(text, "podskew_{family}{{{of}{comma}{labels}}} {value}").unwrap();
        };
        let (hash, older) = (format!("7d9f{number:05}"), format!("5c8e{number:05}"));
        let mixed = matches!(
            alert,
            "PodskewRolloutStalled" | "PodskewRolloutSlow" | "PodskewTemplateHashesPersist" | "PodskewMixForgotten"
        );
        let (state, age, mix) = match alert {
            "PodskewRolloutStalled" => ("stalled", 7_000, 7_000),
            "PodskewRolloutSlow" => ("progressing", 7_000, 7_000),
            "PodskewTemplateHashesPersist" => ("progressing", 2_000, 2_000),
            "PodskewMixForgotten" => ("paused", 100_000, 100_000),
            _ => ("complete", 0, 0),
        };
        put("rollout_state", &format!("state=\"{state}\""), 1);
        put("rollout_age_seconds", "", age);
        put("mixed_template_hashes_age_seconds", "", mix);
        put("distinct_template_hashes_per_workload", "", 1 + u32::from(mixed));
        for (hash, revision, is_current) in
            [(&hash, 8, true), (&older, 7, false)].into_iter().take(1 + usize::from(mixed))
        {
            let of_hash = format!("pod_template_hash=\"{hash}\"");
            put("template_hash_info", &format!("{of_hash},revision=\"{revision}\",current=\"{is_current}\""), 1);
            put("pods_by_template_hash", &of_hash, 5);
            put("ready_pods_by_template_hash", &of_hash, 5);
        }
        let (distinct, skew, origin) = match alert {
            "PodskewDigestSkew" => (2, 1_200, "template"),
            "PodskewDistinctDigestsPersist" => (2, 60, "template"),
            "PodskewInjectedContainerSkew" => (2, 7_000, "injected"),
            _ => (1, 0, "template"),
        };
        let reference = if alert == "PodskewLatestTag" { "latest" } else { "tag" };
        for container in ["web", "proxy"] {
            let of_container = format!("container=\"{container}\"");
            let image = format!("registry.example/shop/{container}:v8");
            put(
                "image_reference_info",
                &format!("{of_container},image=\"{image}\",reference=\"{reference}\",pull_policy=\"IfNotPresent\""),
                1,
            );
            put("distinct_digests_per_workload", &format!("{of_container},origin=\"{origin}\""), distinct);
            put("digest_skew_age_seconds", &format!("{of_container},origin=\"{origin}\""), skew);
            put(
                "distinct_digests_per_template_hash",
                &format!("{of_container},pod_template_hash=\"{hash}\",origin=\"{origin}\""),
                distinct,
            );
            for digest in 0..distinct {
                let digest = format!("sha256:{number:032}{digest:032}");
                let labels = format!(
                    "{of_container},pod_template_hash=\"{hash}\",image=\"{image}\",digest=\"{digest}\",digest_kind=\"manifest\""
                );
                put("pods_by_digest", &labels, 5);
            }
            if alert == "PodskewDigestUnresolved" {
                put("unresolved_digest_pods", &format!("{of_container},reason=\"image_id_only\""), 5);
            }
        }
        let finding = match alert {
            "PodskewDigestSkew" | "PodskewDistinctDigestsPersist" => Some("digest_skew"),
            "PodskewRolloutStalled" => Some("stalled_rollout"),
            "PodskewRolloutSlow" | "PodskewTemplateHashesPersist" => Some("rollout_in_progress"),
            _ => None,
        };
        if let Some(finding) = finding {
            let look = format!("kubectl -n shop-{namespace} describe pods -l pod-template-hash={hash}");
            let action = format!(
                "kubectl -n shop-{namespace} set image deployment/{workload} web=registry.example/shop/web@sha256:{number:064}"
            );
            let why = "the pods that run this digest started last, so it is most likely the newer image; or take another from above.";
            put("remedy_info", &format!("finding=\"{finding}\",look=\"{look}\",do=\"{action}\",why=\"{why}\""), 1);
        }
        for pod in 0..5 {
            put(
                "pod_info",
                &format!("pod=\"{workload}-{hash}-{pod}\",pod_template_hash=\"{hash}\",node=\"n{pod}\""),
                1,
            );
        }
    }
    text
}
