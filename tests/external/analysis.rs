//! Canary analysis: the templates in `deploy/analysis` evaluate applications that count requests in a real Prometheus, with
//! the code of Argo Rollouts and of Flagger. Missing data never passes.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use crate::common::running::Running;
use crate::needs::{Test, tests};
use crate::programs;
use crate::promql;
use crate::scraping::{Prometheus, eventually, serve};
use regex::Regex;
use serde_json::{Value, json};
use simulator::Resource;
use simulator::Time;
use simulator::{Demo, DemoConfig, Simulator, SimulatorConfig, Store};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

const JOIN: [&str; 2] = [
    "on (namespace, pod) group_left (pod_template_hash) \
     topk by (namespace, pod) (1, max by (namespace, pod, pod_template_hash) (podskew_pod_info",
    "on (namespace, pod) group_left (workload) \
     topk by (namespace, pod) (1, max by (namespace, pod, workload) (podskew_pod_info",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn path(file: &str) -> PathBuf {
    root().join("deploy/analysis").join(file)
}

/// Every document of a file in `deploy/analysis`.
fn documents(file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(path(file)).unwrap();
    let parts = text.split("---\n").filter(|part| part.contains("kind:"));
    parts.map(|part| serde_saphyr::from_str(part).unwrap_or_else(|error| panic!("{file}: {error}"))).collect()
}

fn named<'a>(documents: &'a [Value], name: &str) -> &'a Value {
    documents.iter().find(|document| document["metadata"]["name"] == name).unwrap_or_else(|| panic!("no {name}"))
}

/// Output of the program with Argo's and Flagger's code, and whether it succeeded.
#[track_caller]
fn judge(arguments: &[&str]) -> (bool, String) {
    let program = root().join("target/tools/analysis");
    assert!(program.exists(), "there is no {}: make target/tools/analysis", program.display());
    let output = programs::run(&program, arguments, b"", "make target/tools/analysis");
    (output.status.success(), String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn every_object_fits_the_schema_of_its_kind() {
    for (schema, file, count) in [
        ("argo", "argo-rollouts.yaml", 4),
        ("argo", "argo-rollouts-labelled.yaml", 3),
        ("argo", "argo-rollout.example.yaml", 1),
        ("flagger", "flagger.yaml", 4),
        ("flagger", "flagger-canary.example.yaml", 1),
    ] {
        let crds = root().join(format!("target/tools/crds/{schema}.yaml"));
        let answer = judge(&["schema", crds.to_str().unwrap(), path(file).to_str().unwrap()]);
        assert_eq!(answer, (true, format!("{count} hold")), "{file}");
        assert_eq!(documents(file).len(), count, "{file}");
    }
}

fn every_join_is_the_one_that_survives_two_podskews() {
    let info = Regex::new(r"podskew_pod_info").unwrap();
    let spaces = Regex::new(r"\s+").unwrap();
    for file in ["argo-rollouts.yaml", "argo-rollouts-labelled.yaml", "flagger.yaml"] {
        for document in documents(file) {
            let query =
                document.pointer("/spec/metrics/0/provider/prometheus/query").or(document.pointer("/spec/query"));
            let query = spaces.replace_all(query.unwrap().as_str().unwrap(), " ").into_owned();
            let joins: usize = JOIN.iter().map(|join| query.matches(join).count()).sum();
            assert_eq!(info.find_iter(&query).count(), joins, "{query}");
        }
    }
}

fn every_query_names_metrics_and_labels_that_exist() {
    let application = [
        ("http_requests_total", &["namespace", "pod", "code", "pod_template_hash"][..]),
        ("http_request_duration_seconds_bucket", &["namespace", "pod", "le", "pod_template_hash"][..]),
    ];
    let argument = Regex::new(r"\{\{args\.([a-z-]+)\}\}").unwrap();
    for file in ["argo-rollouts.yaml", "argo-rollouts-labelled.yaml"] {
        for template in documents(file) {
            let arguments = template["spec"]["args"].as_array().unwrap();
            let value = |name: &str| {
                let declared =
                    arguments.iter().find(|argument| argument["name"] == name).unwrap_or_else(|| panic!("{name}"));
                declared["value"].as_str().unwrap_or("x").to_owned()
            };
            let metric = template["spec"]["metrics"][0].to_string();
            // Each declared argument is used.
            for declared in arguments {
                assert!(metric.contains(&format!("{{{{args.{}}}}}", declared["name"].as_str().unwrap())), "{declared}");
            }
            let query = template.pointer("/spec/metrics/0/provider/prometheus/query").unwrap().as_str().unwrap();
            let filled = argument.replace_all(query, |found: &regex::Captures<'_>| value(&found[1]));
            assert_eq!(promql::fault(&filled, &application), None, "{filled}");
        }
    }
    let fallback = Regex::new(r#"\{\{ or \(index variables "[a-z]+"\) ["`](.*?)["`] \}\}"#).unwrap();
    for template in documents("flagger.yaml") {
        let query = fallback.replace_all(template["spec"]["query"].as_str().unwrap(), "$1").into_owned();
        let filled = query.replace("{{ namespace }}", "x").replace("{{ target }}", "x").replace("{{ interval }}", "5m");
        assert_eq!(promql::fault(&filled, &application), None, "{filled}");
    }
}

/// Argo gives no verdict if both conditions are false, and continues if a template has none. So each has one condition that
/// only data can fulfil, and nothing turns an error or a failure into a pass.
fn nothing_passes_unless_a_condition_says_so() {
    for file in ["argo-rollouts.yaml", "argo-rollouts-labelled.yaml"] {
        for template in documents(file) {
            let metric = &template["spec"]["metrics"][0];
            assert!(metric["successCondition"].as_str().unwrap().starts_with("len(result) "), "{metric}");
            assert!(metric.get("failureCondition").is_none() && template["spec"].get("dryRun").is_none(), "{metric}");
            let [count, failures, errors] =
                ["count", "failureLimit", "consecutiveErrorLimit"].map(|key| metric[key].as_u64().unwrap());
            assert!(failures < count && errors < count, "{metric}");
        }
    }
}

fn the_examples_name_templates_and_arguments_that_exist() {
    let templates = documents("argo-rollouts.yaml");
    let rollout = &documents("argo-rollout.example.yaml")[0];
    let analysis = &rollout["spec"]["strategy"]["canary"]["steps"][1]["analysis"];
    let given: Vec<_> = analysis["args"].as_array().unwrap().iter().map(|argument| &argument["name"]).collect();
    let used = analysis["templates"].as_array().unwrap();
    assert_eq!(used.len(), templates.len());
    for used in used {
        let template = named(&templates, used["templateName"].as_str().unwrap());
        for argument in template["spec"]["args"].as_array().unwrap() {
            assert!(argument.get("value").is_some() || given.contains(&&argument["name"]), "{argument}");
        }
    }
    for (argument, hash) in [("canary-hash", "Latest"), ("stable-hash", "Stable")] {
        let argument = analysis["args"].as_array().unwrap().iter().find(|given| given["name"] == argument).unwrap();
        assert_eq!(argument["valueFrom"]["podTemplateHashValue"], hash);
    }
    let templates = documents("flagger.yaml");
    let canary = &documents("flagger-canary.example.yaml")[0];
    let metrics = canary["spec"]["analysis"]["metrics"].as_array().unwrap();
    assert_eq!(metrics.len(), templates.len());
    for metric in metrics {
        named(&templates, metric["templateRef"]["name"].as_str().unwrap());
        assert!(metric["thresholdRange"].is_object(), "{metric}");
    }
}

/// A copy of one Deployment of the demo with another name. Its pods keep their template hash, so the hash cannot
/// distinguish Flagger's two Deployments.
fn copy_of_wiki(store: &Store, name: &str) {
    let uid = Regex::new(r#""uid":"...."#).unwrap();
    for resource in [Resource::Deployments, Resource::ReplicaSets, Resource::Pods] {
        for object in store.list(resource) {
            if object["metadata"]["namespace"] == "internal"
                && object["metadata"]["name"].as_str().unwrap().starts_with("wiki")
            {
                let text = object.to_string().replace("wiki", name);
                let mark = format!("\"uid\":\"{:04x}", name.len());
                store.put(resource, serde_json::from_str(&uid.replace_all(&text, mark)).unwrap());
            }
        }
    }
}

/// Behaviours of applications; each counts requests under its own name.
const APPLICATIONS: [&str; 4] = ["good", "bad", "silent", "crashed"];

/// Metrics of a pod for each application. They do not contain hashes, namespaces or the pod's name.
fn requests(new: bool, seconds: f64, crashed: bool) -> String {
    let mut metrics = String::new();
    for application in APPLICATIONS {
        let worse = new && application != "good";
        let errors = if worse { 0.2 } else { 0.002 };
        let fast = if worse { 0.3 } else { 0.94 };
        let count = if application == "silent" { 10.0 } else { 100.0 * seconds };
        if crashed && new && application == "crashed" {
            continue;
        }
        for (code, part) in [("200", 1.0 - errors), ("500", errors)] {
            writeln!(metrics, "{application}_requests_total{{code=\"{code}\"}} {}", count * part).unwrap();
        }
        for (le, part) in [("0.1", fast), ("1", 0.99), ("+Inf", 1.0)] {
            writeln!(metrics, "{application}_seconds_bucket{{le=\"{le}\"}} {}", count * part).unwrap();
        }
    }
    metrics
}

/// A simulated cluster, podskew, and a Prometheus that scrapes podskew and one application for each evaluated pod.
struct Judged {
    prometheus: Prometheus,
    podskew: Option<Running>,
    store: Store,
    crashed: Arc<AtomicBool>,
    canary: String,
    stable: String,
    _simulator: Simulator,
}

async fn judged(program: &Path) -> Judged {
    let simulator =
        Simulator::start(SimulatorConfig { rollouts_served: true, ..SimulatorConfig::default() }).await.unwrap();
    let store = simulator.store().clone();
    let _ = Demo::begin(&store, &DemoConfig::default(), Time::now());
    copy_of_wiki(&store, "quote");
    copy_of_wiki(&store, "quote-primary");
    let podskew = Running::start(&simulator, &[]);
    podskew.until_ready().await;

    let rollout = store.get(Resource::Rollouts, "growth", "landing").unwrap();
    let [canary, stable] =
        ["currentPodHash", "stableRS"].map(|key| rollout["status"][key].as_str().unwrap().to_owned());
    let crashed = Arc::new(AtomicBool::new(false));
    let begun = Instant::now();
    let mut targets = Vec::new();
    for pod in store.list(Resource::Pods) {
        let [namespace, name] = ["namespace", "name"].map(|key| pod["metadata"][key].as_str().unwrap().to_owned());
        if !(namespace == "growth" && name.starts_with("landing")
            || name.starts_with("quote")
            || name.starts_with("ledger-db"))
        {
            continue;
        }
        let labels = pod["metadata"]["labels"].as_object().unwrap();
        let new = labels.get("rollouts-pod-template-hash").is_some_and(|hash| *hash == canary.as_str())
            || name.starts_with("quote-") && !name.starts_with("quote-primary");
        let crashed = Arc::clone(&crashed);
        let address = serve(move || requests(new, begun.elapsed().as_secs_f64(), crashed.load(Ordering::Relaxed)));
        let mut of_target = json!({ "namespace": namespace, "pod": name });
        // The metadata of a pod from service discovery that the relabelling uses.
        for (label, value) in labels {
            let label = label.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
            of_target[format!("__meta_kubernetes_pod_label_{label}")] = value.clone();
        }
        targets.push(json!({ "targets": [address], "labels": of_target }));
    }
    assert!(targets.len() >= 14, "{targets:?}");
    let monitor = &documents("service-monitor.example.yaml")[0];
    let relabelings = monitor["spec"]["endpoints"][0]["relabelings"].to_string();
    let relabelings = relabelings.replace("sourceLabels", "source_labels").replace("targetLabel", "target_label");
    let relabelings: Value = serde_json::from_str(&relabelings).unwrap();
    // Keeps the relabelled series apart from the plain ones.
    let renamed = json!([{ "source_labels": ["__name__"], "target_label": "__name__", "replacement": "labelled_$1" }]);
    let podskew_job = json!({
        "job_name": "podskew", "honor_labels": true,
        "static_configs": [{ "targets": [podskew.address()], "labels": { "namespace": "monitoring", "pod": "podskew-0" } }],
    });
    let prometheus = Prometheus::start_with(
        program,
        &json!([
            podskew_job,
            { "job_name": "application", "static_configs": targets },
            { "job_name": "labelled", "static_configs": targets, "relabel_configs": relabelings, "metric_relabel_configs": renamed },
        ]),
    );
    eventually("everything has been scraped for some seconds", || {
        let counts = prometheus.query("min(count_over_time(up[1m]))")?;
        if counts[0] >= 6.0 { Ok(()) } else { Err(format!("{counts:?}")) }
    });
    Judged { prometheus, podskew: Some(podskew), store, crashed, canary, stable, _simulator: simulator }
}

impl Judged {
    fn address(&self) -> String {
        format!("http://{}", self.prometheus.server.address)
    }

    /// One measurement by Argo: its phase, and its value.
    #[track_caller]
    fn argo(&self, file: &str, template: &str, application: &str, canary: &str) -> (String, String) {
        let documents = documents(file);
        let prefix = if file.contains("labelled") { "labelled_" } else { "" };
        let values = [
            ("namespace", "growth".to_owned()),
            ("workload", "landing".to_owned()),
            ("canary-hash", canary.to_owned()),
            ("stable-hash", self.stable.clone()),
            ("requests", format!("{prefix}{application}_requests_total")),
            ("latency", format!("{prefix}{application}_seconds_bucket")),
            ("window", "30s".to_owned()),
        ];
        let declared = named(&documents, template)["spec"]["args"].as_array().unwrap();
        let mut arguments =
            vec!["argo".to_owned(), path(file).display().to_string(), template.to_owned(), self.address()];
        arguments.extend(
            values
                .iter()
                .filter(|(name, _)| declared.iter().any(|argument| argument["name"] == *name))
                .map(|(name, value)| format!("{name}={value}")),
        );
        let (read, said) = judge(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(read, "{said}");
        let words: Vec<_> = said.split(' ').collect();
        (words[1].to_owned(), words[2].to_owned())
    }

    /// Flagger's value, or its error.
    fn flagger(&self, template: &str, application: &str, target: &str) -> Result<f64, String> {
        let file = path("flagger.yaml").display().to_string();
        let [requests, latency] =
            [format!("requests={application}_requests_total"), format!("latency={application}_seconds_bucket")];
        let arguments = ["flagger", &file, template, &self.address(), "internal", target, "30s", &requests, &latency];
        let (answered, said) = judge(&arguments);
        if answered { Ok(said.parse().unwrap()) } else { Err(said) }
    }
}

const COMPARED: [&str; 3] = ["podskew-success-rate", "podskew-canary-errors", "podskew-canary-latency"];

async fn argo_judges(program: &Path) {
    let mut judged = judged(program).await;
    let canary = judged.canary.clone();
    let forms = [("argo-rollouts.yaml", ""), ("argo-rollouts-labelled.yaml", "-labelled")];
    for (file, suffix) in forms {
        for template in COMPARED.map(|template| format!("{template}{suffix}")) {
            let phase = |application: &str, canary: &str| judged.argo(file, &template, application, canary);
            let (good, value) = phase("good", &canary);
            assert_eq!(good, "Successful", "{template}: {value}");
            let (bad, value) = phase("bad", &canary);
            assert!(bad == "Failed" && value != "[]" && value != "[NaN]", "{template}: {bad} {value}");
            assert_eq!(phase("silent", &canary), ("Failed".to_owned(), "[NaN]".to_owned()), "{template}");
            assert_eq!(phase("absent", &canary), ("Failed".to_owned(), "[]".to_owned()), "{template}");
            // No pod has this hash: the canary has no pods yet, or none any more.
            assert_eq!(phase("good", "0000000000"), ("Failed".to_owned(), "[]".to_owned()), "{template}");
        }
    }

    let digests = |hash: &str| judged.argo("argo-rollouts.yaml", "podskew-digest-skew", "good", hash);
    assert_eq!(digests(&canary), ("Successful".to_owned(), "[1]".to_owned()));
    assert_eq!(digests("0000000000"), ("Failed".to_owned(), "[]".to_owned()));

    // The canary's container crashes: its pod stays, its series end, and its earlier requests still count.
    let pods = judged.store.list(Resource::Pods);
    let of_canary = |pod: &&Value| pod["metadata"]["labels"]["rollouts-pod-template-hash"] == canary.as_str();
    let pod = pods.iter().find(of_canary).unwrap();
    let mut dead = pod.clone();
    dead["status"]["containerStatuses"][0]["ready"] = json!(false);
    dead["status"]["containerStatuses"][0]["state"] = json!({ "waiting": { "reason": "CrashLoopBackOff" } });
    for condition in dead["status"]["conditions"].as_array_mut().unwrap() {
        condition["status"] = json!("False");
    }
    judged.store.put(Resource::Pods, dead);
    judged.crashed.store(true, Ordering::Relaxed);
    let ready = format!("podskew_ready_pods_by_template_hash{{pod_template_hash=\"{canary}\"}}");
    eventually("no canary is ready", || match judged.prometheus.query(&ready)?[..] {
        [0.0] => Ok(()),
        ref other => Err(format!("{other:?}")),
    });
    let name = pod["metadata"]["name"].as_str().unwrap();
    eventually("the series end", || {
        let left = judged.prometheus.series(&format!("crashed_requests_total{{pod=\"{name}\"}}"))?;
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    });
    for (file, suffix) in forms {
        for template in COMPARED.map(|template| format!("{template}{suffix}")) {
            let (phase, value) = judged.argo(file, &template, "crashed", &canary);
            assert!(phase == "Failed" && value != "[]" && value != "[NaN]", "{template}: {phase} {value}");
        }
    }

    // A second pod of the canary runs another image.
    let mut other = pod.clone();
    other["metadata"]["name"] = json!("landing-other");
    other["metadata"]["uid"] = json!("other");
    let status = &mut other["status"]["containerStatuses"][0];
    status["containerID"] = json!("containerd://other");
    status["imageID"] = json!(format!("registry.example/growth/landing@sha256:{}", "b".repeat(64)));
    judged.store.put(Resource::Pods, other);
    eventually("the skew is seen", || match digests(&canary) {
        (phase, value) if phase == "Failed" && value == "[2]" => Ok(()),
        other => Err(format!("{other:?}")),
    });

    // Without podskew there is no data, and no pass.
    judged.podskew = None;
    eventually("podskew's series end", || {
        let left = judged.prometheus.series("podskew_pod_info")?;
        if left.is_empty() { Ok(()) } else { Err(format!("{} series", left.len())) }
    });
    for template in COMPARED.into_iter().chain(["podskew-digest-skew"]) {
        let answer = judged.argo("argo-rollouts.yaml", template, "good", &canary);
        assert_eq!(answer, ("Failed".to_owned(), "[]".to_owned()), "{template}");
    }
}

#[tokio::main(flavor = "multi_thread")]
async fn argo_judges_in_debians_prometheus() {
    argo_judges(Path::new("prometheus")).await;
}

#[tokio::main(flavor = "multi_thread")]
async fn argo_judges_in_prometheus_3() {
    argo_judges(&programs::prometheus3()).await;
}

#[tokio::main(flavor = "multi_thread")]
async fn flagger_judges_by_workload() {
    let judged = judged(Path::new("prometheus")).await;
    let range = |template: &str| {
        let canary = &documents("flagger-canary.example.yaml")[0];
        let metrics = canary["spec"]["analysis"]["metrics"].as_array().unwrap();
        let metric = metrics.iter().find(|metric| metric["templateRef"]["name"] == template).unwrap();
        let end = |key: &str| metric["thresholdRange"][key].as_f64();
        end("min").unwrap_or(f64::NEG_INFINITY)..=end("max").unwrap_or(f64::INFINITY)
    };
    for template in COMPARED {
        let good = judged.flagger(template, "good", "quote").unwrap();
        assert!(range(template).contains(&good), "{template}: {good}");
        let bad = judged.flagger(template, "bad", "quote").unwrap();
        assert!(!range(template).contains(&bad), "{template}: {bad}");
        for application in ["silent", "absent"] {
            assert_eq!(judged.flagger(template, application, "quote"), Err("no values found".to_owned()), "{template}");
        }
        assert_eq!(judged.flagger(template, "good", "nothing"), Err("no values found".to_owned()), "{template}");
    }
    // The primary is the other workload, and works well.
    let primary = judged.flagger("podskew-success-rate", "bad", "quote-primary").unwrap();
    assert!(range("podskew-success-rate").contains(&primary), "{primary}");
    assert_eq!(judged.flagger("podskew-digest-skew", "good", "quote"), Ok(1.0));
    assert_eq!(judged.flagger("podskew-digest-skew", "good", "nothing"), Err("no values found".to_owned()));
}

/// A StatefulSet's pod is recreated with its name, and for a moment two podskews report it under two hashes.
#[tokio::main(flavor = "multi_thread")]
async fn the_join_survives_two_podskews_that_disagree_about_a_pod() {
    let simulator = Simulator::start(SimulatorConfig::default()).await.unwrap();
    let store = simulator.store().clone();
    let _ = Demo::begin(&store, &DemoConfig::default(), Time::now());
    let podskew = Running::start(&simulator, &[]);
    podskew.until_ready().await;
    let behind = json!([{
        "source_labels": ["__name__", "pod"], "regex": "podskew_pod_info;ledger-db-4",
        "target_label": "pod_template_hash", "replacement": "ledger-db-before",
    }]);
    let begun = Instant::now();
    let pods = serve(move || {
        let count = 100.0 * begun.elapsed().as_secs_f64();
        let pod = |pod: u32| {
            format!("http_requests_total{{namespace=\"data\",pod=\"ledger-db-{pod}\",code=\"200\"}} {count}\n")
        };
        (0..5).map(pod).collect()
    });
    let job = |name: &str, target: &str, relabel: Value| json!({ "job_name": name, "static_configs": [{ "targets": [target] }], "metric_relabel_configs": relabel });
    let address = podskew.address();
    let prometheus = Prometheus::start_with(
        Path::new("prometheus"),
        &json!([
            job("podskew-0", address, json!([])),
            job("podskew-1", address, behind),
            job("application", &pods, json!([])),
        ]),
    );
    let join = |right: &str| {
        format!(
            "sum by (pod_template_hash) (rate(http_requests_total[30s]) * on (namespace, pod) group_left (pod_template_hash) {right})"
        )
    };
    let bare = "max by (namespace, pod, pod_template_hash) (podskew_pod_info)";
    let through = join(&format!("topk by (namespace, pod) (1, {bare})"));
    let counted = eventually("two hashes or three, and each pod once", || {
        let rates = prometheus.query(&through)?;
        if prometheus.query("min(count_over_time(up[1m]))")?[0] < 6.0 { Err("too early".to_owned()) } else { Ok(rates) }
    });
    let all = prometheus.query("sum(rate(http_requests_total[30s]))").unwrap()[0];
    let sum: f64 = counted.iter().sum();
    assert!((sum - all).abs() < 0.2 * all && (2..=3).contains(&counted.len()), "{counted:?} is not {all}");
    let refused = prometheus.query(&join(bare)).unwrap_err();
    assert!(refused.contains("many-to-many matching not allowed"), "{refused}");
}

/// The tests and their requirements.
pub fn tests() -> Vec<Test> {
    tests![
        every_object_fits_the_schema_of_its_kind: [ANALYSIS, CRDS],
        every_join_is_the_one_that_survives_two_podskews: [],
        every_query_names_metrics_and_labels_that_exist: [],
        nothing_passes_unless_a_condition_says_so: [],
        the_examples_name_templates_and_arguments_that_exist: [],
        argo_judges_in_debians_prometheus: [PROMETHEUS, ANALYSIS],
        argo_judges_in_prometheus_3: [PROMETHEUS3, ANALYSIS],
        flagger_judges_by_workload: [PROMETHEUS, ANALYSIS],
        the_join_survives_two_podskews_that_disagree_about_a_pod: [PROMETHEUS],
    ]
}
