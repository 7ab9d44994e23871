//! The rules on other engines, two clusters into Thanos and into VictoriaMetrics, and the page in Chromium. Only
//! `make engines` builds or fetches the programs and runs these tests.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use crate::needs::{Test, tests};
use crate::programs;
use crate::rules;
use crate::scraping;
use crate::scraping::{Running, demo, eventually};
use podskew::exposition::FAMILIES;
use regex::Regex;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// Expected alerts of the demo in one cluster; info alerts are per namespace.
const EXPECTED: [(&str, &str, &str); 6] = [
    ("PodskewDigestSkew", "shop", "web"),
    ("PodskewInjectedContainerSkew", "search", ""),
    ("PodskewLatestTag", "internal", ""),
    ("PodskewMixForgotten", "data", ""),
    ("PodskewMixForgotten", "kube-system", ""),
    ("PodskewRolloutStalled", "payments", "ledger"),
];
const CLUSTERS: [&str; 2] = ["north", "south"];

#[track_caller]
fn engine(name: &str) -> PathBuf {
    let path = rules::path("target/tools/engines").join(name);
    assert!(path.exists(), "there is no {}: make engines", path.display());
    path
}

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// A program that serves at an address, until it is dropped.
struct Server {
    process: Child,
    address: String,
    log: PathBuf,
}

impl Server {
    #[track_caller]
    fn start(command: &mut Command, address: &str, ready: &str, log: PathBuf) -> Self {
        let file = std::fs::File::create(&log).unwrap();
        let process = command.stdout(Stdio::null()).stderr(file).spawn().unwrap();
        let server = Self { process, address: address.to_owned(), log };
        eventually("the engine is ready", || match scraping::get(&server.address, ready) {
            Ok((200, _)) => Ok(()),
            other => Err(format!("{other:?}\n{}", std::fs::read_to_string(&server.log).unwrap())),
        });
        server
    }

    /// The response to a GET, or an error.
    fn ask(&self, path: &str) -> Result<Value, String> {
        let (status, body) = scraping::get(&self.address, path).map_err(|error| error.to_string())?;
        let answer: Value = serde_json::from_str(&body).map_err(|error| format!("{status} {body}: {error}"))?;
        if answer["status"] == "success" { Ok(answer["data"].clone()) } else { Err(body) }
    }

    /// The series of a query, by their labels.
    fn query(&self, query: &str, more: &str) -> Result<BTreeMap<String, f64>, String> {
        let mut path = format!("/api/v1/query?{more}query=");
        for byte in query.bytes() {
            write!(path, "%{byte:02x}").unwrap();
        }
        let data = self.ask(&path)?;
        let series = data["result"].as_array().ok_or("no list of series")?;
        let value = |value: &Value| value.as_str().unwrap_or_default().parse().unwrap_or(f64::NAN);
        if data["resultType"] == "scalar" {
            return Ok(BTreeMap::from([(String::new(), value(&series[1]))]));
        }
        Ok(series.iter().map(|series| (series["metric"].to_string(), value(&series["value"][1]))).collect())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The rules with this cluster label, with `for` and interval shortened to a second.
fn quick_rules(label: &str) -> String {
    let mut source = rules::source();
    source.settings.cluster = label.into();
    let rules = source.rules_of(&|_| true);
    let rules = Regex::new(r"(?m)^    for: .*$").unwrap().replace_all(&rules, "    for: 1s").into_owned();
    Regex::new(r"(?m)^  interval: .*$").unwrap().replace_all(&rules, "  interval: 1s").into_owned()
}

/// Two clusters in both stores, distinguished by `cluster` and by `k8s_cluster`.
struct Stores {
    directory: tempfile::TempDir,
    _demos: Vec<Running>,
    _of_cluster: Vec<Server>,
    thanos: Server,
    victoria: Server,
}

impl Stores {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let demos: Vec<Running> = CLUSTERS.map(|_| demo()).into();
        let mut of_cluster = Vec::new();
        let (victoria, thanos) = (free_address(), free_address());
        let mut query = Command::new(engine("thanos"));
        query.args(["query", "--http-address", &thanos, "--grpc-address", &free_address()]);
        let mut jobs = Vec::new();
        for (cluster, demo) in CLUSTERS.iter().zip(&demos) {
            let labels = json!({ "cluster": cluster, "k8s_cluster": cluster });
            let global = json!({ "scrape_interval": "1s", "scrape_timeout": "1s", "external_labels": labels });
            let job = |labels: Value| {
                let targets = json!([{ "targets": [demo.address], "labels": labels }]);
                json!({ "job_name": "podskew", "honor_labels": true, "static_configs": targets })
            };
            let mut of_victoria = job(labels.clone());
            of_victoria["job_name"] = json!(format!("podskew-{cluster}"));
            jobs.push(of_victoria);
            let config = at(&format!("{cluster}.yml"));
            std::fs::write(&config, json!({ "global": global, "scrape_configs": [job(json!({}))] }).to_string())
                .unwrap();
            let (address, data) = (free_address(), at(&format!("{cluster}.data")));
            let mut prometheus = Command::new(programs::prometheus3());
            prometheus
                .arg(format!("--config.file={}", config.display()))
                .arg(format!("--storage.tsdb.path={}", data.display()))
                .arg(format!("--web.listen-address={address}"))
                .args(["--storage.tsdb.min-block-duration=2h", "--storage.tsdb.max-block-duration=2h"]);
            of_cluster.push(Server::start(&mut prometheus, &address, "/-/ready", at(&format!("{cluster}.log"))));
            let (http, grpc) = (free_address(), free_address());
            let mut sidecar = Command::new(engine("thanos"));
            sidecar
                .args(["sidecar", "--http-address", &http, "--grpc-address", &grpc])
                .arg(format!("--prometheus.url=http://{address}"))
                .arg(format!("--tsdb.path={}", data.display()));
            of_cluster.push(Server::start(&mut sidecar, &http, "/-/ready", at(&format!("{cluster}.sidecar.log"))));
            query.arg(format!("--endpoint={grpc}"));
        }
        let scrape = at("victoria.yml");
        let global = json!({ "scrape_interval": "1s", "scrape_timeout": "1s" });
        std::fs::write(&scrape, json!({ "global": global, "scrape_configs": jobs }).to_string()).unwrap();
        let mut store = Command::new(engine("victoria-metrics"));
        store
            .args([
                "-httpListenAddr",
                &victoria,
                "-search.latencyOffset=0s",
                "-retentionPeriod=1d",
                "-memory.allowedPercent=5",
            ])
            .arg(format!("-storageDataPath={}", at("victoria").display()))
            .arg(format!("-promscrape.config={}", scrape.display()));
        let victoria = Server::start(&mut store, &victoria, "/health", at("victoria.log"));
        let thanos = Server::start(&mut query, &thanos, "/-/ready", at("query.log"));
        let both = |server: &Server| {
            let clusters = server.query("count by (cluster, k8s_cluster) (podskew_build_info)", "")?;
            if clusters.len() == 2 { Ok(()) } else { Err(format!("{clusters:?}")) }
        };
        eventually("both clusters are in Thanos", || both(&thanos));
        eventually("both clusters are in VictoriaMetrics", || both(&victoria));
        Self { directory, _demos: demos, _of_cluster: of_cluster, thanos, victoria }
    }

    fn log(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn rules(&self, label: &str) -> PathBuf {
        let path = self.directory.path().join(format!("{label}.rules.yaml"));
        std::fs::write(&path, quick_rules(label)).unwrap();
        path
    }

    fn thanos_rule(&self, label: &str) -> Server {
        let address = free_address();
        let mut command = Command::new(engine("thanos"));
        command
            .args(["rule", "--http-address", &address, "--grpc-address", &free_address(), "--label", "ruler=\"one\""])
            .args(["--eval-interval=1s", "--for-grace-period=1s", "--alert.label-drop=ruler"])
            .arg(format!("--query={}", self.thanos.address))
            .arg(format!("--data-dir={}", self.log(&format!("{label}.ruler")).display()))
            .arg(format!("--rule-file={}", self.rules(label).display()));
        Server::start(&mut command, &address, "/-/ready", self.log(&format!("{label}.rule.log")))
    }

    fn vmalert(&self, label: &str) -> Server {
        let address = free_address();
        let mut command = Command::new(engine("vmalert"));
        let datasource = format!("http://{}", self.victoria.address);
        command
            .args(["-httpListenAddr", &address, "-notifier.blackhole", "-evaluationInterval=1s", "-rule.evalDelay=0s"])
            .arg(format!("-datasource.url={datasource}"))
            .arg(format!("-remoteWrite.url={datasource}"))
            .arg(format!("-rule={}", self.rules(label).display()));
        Server::start(&mut command, &address, "/health", self.log(&format!("{label}.vmalert.log")))
    }
}

type Who = (String, String, String, String);

/// Replaces times and durations.
fn timeless(text: &str) -> String {
    let moment = Regex::new(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC").unwrap();
    let length = Regex::new(r"(?:\d+d )?(?:\d+h )?(?:\d+m )?\b\d+s\b").unwrap();
    length.replace_all(&moment.replace_all(text, "MOMENT"), "LENGTH").into_owned()
}

/// Firing alerts: their subject and their texts.
fn firing(ruler: &Server, cluster: &str) -> Result<BTreeMap<Who, (String, String)>, String> {
    let answer = ruler.ask("/api/v1/alerts")?;
    // Thanos writes this field with a capital letter.
    let alerts = answer["alerts"].as_array().or(answer["Alerts"].as_array()).ok_or_else(|| {
        format!("no list of alerts: {answer}\n{}", std::fs::read_to_string(&ruler.log).unwrap_or_default())
    })?;
    let mut found = BTreeMap::new();
    for alert in alerts.iter().filter(|alert| alert["state"] == "firing") {
        let label = |name: &str| alert["labels"][name].as_str().unwrap_or_default().to_owned();
        let text = |name: &str| timeless(alert["annotations"][name].as_str().unwrap_or_default());
        let who = (label("alertname"), label(cluster), label("namespace"), label("workload"));
        if found.insert(who.clone(), (text("summary"), text("description"))).is_some() {
            return Err(format!("{who:?} fires twice"));
        }
    }
    Ok(found)
}

fn expected() -> BTreeSet<Who> {
    let of = |cluster: &str| {
        EXPECTED.map(|(alert, namespace, workload)| (alert.into(), cluster.into(), namespace.into(), workload.into()))
    };
    CLUSTERS.iter().flat_map(|cluster| of(cluster)).collect()
}

/// Every expression of the alerts, every example of a family, and every query of the dashboards.
fn queries() -> BTreeSet<String> {
    let left = Regex::new(r"\$\{?[a-z_]").unwrap();
    let source = rules::source();
    let mut queries: BTreeSet<String> = source.alerts.iter().map(|alert| source.expand(&alert.expr)).collect();
    queries.extend(FAMILIES.iter().map(|family| family.example.to_owned()));
    for name in ["canary", "fleet", "workload"] {
        let text = std::fs::read_to_string(rules::path(&format!("dashboards/{name}.json"))).unwrap();
        let dashboard: Value = serde_json::from_str(&text).unwrap();
        for target in dashboard["panels"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|panel| panel["targets"].as_array().into_iter().flatten())
        {
            let mut query = target["expr"].as_str().unwrap().replace("$__rate_interval", "1m");
            for (variable, value) in [("namespace", "shop"), ("workload_type", "deployment"), ("workload", "web")] {
                query = query.replace(&format!("=\"${variable}\""), &format!("=\"{value}\""));
            }
            for variable in ["cluster", "namespace", "workload_type", "workload"] {
                query = query.replace(&format!("\"${variable}\""), "\".*\"");
            }
            for (variable, value) in
                [("requests", "http_requests_total"), ("errors", "code=~\"5..\""), ("latency", "http_seconds_bucket")]
            {
                query = query.replace(&format!("${{{variable}:raw}}"), value);
            }
            assert!(!left.is_match(&query), "a variable is left in {query}");
            queries.insert(query);
        }
    }
    assert!(queries.len() > 100, "{}", queries.len());
    queries
}

/// The first difference between both stores, if any: other series, or values that differ by more than seconds allow.
fn differ(thanos: &BTreeMap<String, f64>, victoria: &BTreeMap<String, f64>) -> Option<String> {
    let names = |series: &BTreeMap<String, f64>| -> BTreeSet<String> {
        let of_scrape = Regex::new(r#""(?:job|instance)":"[^"]*",?|,(?:"(?:job|instance)":"[^"]*")"#).unwrap();
        series.keys().map(|labels| of_scrape.replace_all(labels, "").into_owned()).collect()
    };
    let (of_thanos, of_victoria) = (names(thanos), names(victoria));
    if of_thanos != of_victoria {
        return Some(format!("Thanos {of_thanos:?}\nVictoriaMetrics {of_victoria:?}"));
    }
    for (labels, value) in thanos {
        let Some(other) = victoria.get(labels) else { continue };
        // The scrapes are a second or two apart; timestamps in milliseconds are larger.
        let tolerated = if *value > 1e11 { 5_000.0 } else { 5.0 };
        if (value - other).abs() > tolerated && !(value.is_nan() && other.is_nan()) {
            return Some(format!("{labels}: {value} and {other}"));
        }
    }
    None
}

/// Two clusters, one central ruler: every alert fires once for the right cluster, with the same text on both engines, for
/// either label. Both engines return the same for every query.
fn thanos_and_victoria_metrics_say_the_same_of_two_clusters() {
    let stores = Stores::start();
    for label in ["cluster", "k8s_cluster"] {
        let (thanos, victoria) = (stores.thanos_rule(label), stores.vmalert(label));
        let all = |ruler: &Server| {
            let firing = firing(ruler, label)?;
            let who: BTreeSet<Who> = firing.keys().cloned().collect();
            if who == expected() { Ok(firing) } else { Err(format!("not these: {who:?}")) }
        };
        let on_thanos = eventually("all alerts fire on Thanos", || all(&thanos));
        let on_victoria = eventually("all alerts fire on VictoriaMetrics", || all(&victoria));
        for (who, texts) in &on_thanos {
            assert_eq!(texts, &on_victoria[who], "{label} {who:?}");
            assert!(texts.0.contains(&format!("in cluster {}", who.1)), "{texts:?}");
            let commands: Vec<&str> =
                texts.1.lines().filter(|line| line.starts_with("Look") || line.starts_with("Do")).collect();
            assert!(
                !commands.is_empty() && commands.iter().all(|line| line.contains(&format!(" in cluster {}: ", who.1))),
                "{texts:?}"
            );
        }
        // vmalert's own label is not on other alerts.
        let answer = victoria.ask("/api/v1/alerts").unwrap();
        assert!(answer["alerts"].as_array().unwrap().iter().all(|alert| alert["labels"]["alertgroup"].is_string()));
    }
    let mut compared = 0;
    for query in queries() {
        let of_thanos = |query: &str| stores.thanos.query(query, "dedup=true&partial_response=false&");
        let answers = || -> Result<(), String> {
            let (thanos, victoria) = (of_thanos(&query)?, stores.victoria.query(&query, "")?);
            // VictoriaMetrics does not extrapolate, and process metrics come from the scrape.
            let extrapolates =
                query.contains("rate(") || query.contains("increase(") || query.contains("histogram_quantile(");
            match differ(&thanos, &victoria).filter(|_| !extrapolates && !query.contains("topk(")) {
                Some(difference) => Err(difference),
                None => Ok(()),
            }
        };
        eventually(&query, answers);
        compared += 1;
    }
    assert!(compared > 100, "{compared}");
}

/// The unit tests of the alerts in VictoriaMetrics' tool. It begins at 2000-01-01, so absolute times in the tests are
/// shifted. PodskewStale, which compares podskew's clock with the ruler's, cannot be tested: its times are in series.
fn the_unit_tests_hold_in_vmalert_tool() {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().join("tests");
    std::fs::create_dir(&folder).unwrap();
    for file in [rules::PLAIN, rules::CLUSTERS] {
        std::fs::copy(rules::path("alerts").join(file), directory.path().join(file)).unwrap();
    }
    let since = Regex::new(r"(?m)(expr: max\(ALERTS_FOR_STATE[^)]*\)\s+exp_samples:\s+- \{labels: '\{\}', value: )0\}")
        .unwrap();
    let mut held = 0;
    for entry in std::fs::read_dir(rules::path("alerts/tests")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let moments = ["podskew_last_activity_timestamp_seconds", "podskew_registry_last_success_timestamp_seconds"];
        if moments.iter().any(|family| text.contains(family)) {
            continue;
        }
        let text = text.replace("promql_expr_test:", "metricsql_expr_test:");
        let text = text.replace("1970-01-01", "2000-01-01").replace("1969-12", "1999-12");
        let text = since.replace_all(&text, "${1}946684800}");
        std::fs::write(folder.join(path.file_name().unwrap()), &*text).unwrap();
        held += 1;
    }
    assert!(held >= 13, "{held}");
    let files = format!("--files={}/*.yaml", folder.display());
    let output =
        programs::run(&engine("vmalert-tool"), &["unittest", "--disableAlertgroupLabel", &files], b"", "make engines");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

/// Kyverno's own engine, which provides an empty `oldObject` on creation.
fn kyverno_judges_what_is_created() {
    let directory = tempfile::tempdir().unwrap();
    let digest = format!("web@sha256:{}", "a".repeat(64));
    let mut resources = Vec::new();
    for (name, image) in [("tag", "web:1.2"), ("digest", digest.as_str())] {
        let metadata = json!({ "name": name, "namespace": "shop" });
        let spec = json!({ "containers": [{ "name": "web", "image": image }] });
        let template = json!({ "metadata": { "labels": { "app": "web" } }, "spec": spec });
        resources.push(json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec }));
        let spec = json!({ "selector": { "matchLabels": { "app": "web" } }, "template": template });
        resources.push(json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec }));
    }
    let file = directory.path().join("resources.yaml");
    std::fs::write(&file, resources.iter().map(Value::to_string).collect::<Vec<_>>().join("\n---\n")).unwrap();
    let policy = rules::path("deploy/policy/images-by-digest.kyverno.yaml");
    let arguments = ["apply", policy.to_str().unwrap(), "--resource", file.to_str().unwrap(), "--policy-report"];
    let output = programs::run(&engine("kyverno"), &arguments, b"", "make engines");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    let count = |line: &str| said.matches(line).count();
    assert_eq!(count("message: 'not by digest: web=web:1.2'"), 2, "{said}");
    for summary in ["  error: 0\n", "  fail: 2\n", "  pass: 2\n"] {
        assert_eq!(count(summary), 1, "{summary} {said}");
    }
}

/// The tests and their requirements.
pub fn tests() -> Vec<Test> {
    tests![
        thanos_and_victoria_metrics_say_the_same_of_two_clusters: [PROMETHEUS3, THANOS, VICTORIA_METRICS, VMALERT],
        the_unit_tests_hold_in_vmalert_tool: [VMALERT_TOOL],
        kyverno_judges_what_is_created: [KYVERNO],
    ]
}
