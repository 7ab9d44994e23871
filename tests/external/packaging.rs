//! Files for users' own setups: the mixin, Alertmanager's example, Jobs for Argo CD and Flux, GitHub's action and GitLab's
//! component. Each is checked by the program that will read it.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use crate::chart;
use crate::chart::{objects, path, read, the};
use crate::common::exporter::shop;
use crate::needs::{Test, tests};
use crate::programs;
use crate::rules;
use crate::rules::Texts;
use clap::Parser;
use podskew::cli::Arguments;
use regex::Regex;
use serde_json::{Value, json};
use simulator::Simulator;
use std::path::Path;
use std::process::Command;

/// Output of jsonnet for the mixin with this configuration.
#[track_caller]
fn mixin(config: &str, field: &str) -> Value {
    let program = path("target/tools/jsonnet");
    let file = path("deploy/mixin/mixin.libsonnet");
    let text = format!("((import '{}') + {{ _config+:: {config} }}).{field}", file.display());
    let output = programs::run(&program, &["-e", &text], b"", "make target/tools/jsonnet");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn the_mixins_alerts_are_the_plain_ones() {
    assert_eq!(mixin("{}", "prometheusAlerts"), yaml(&read("alerts/podskew.rules.yaml")));
    let mut source = rules::source();
    source.settings.cluster = "k8s_cluster".into();
    source.settings.context = "admin@$cluster".into();
    source.settings.texts = Texts::Short;
    source.runbooks = "https://wiki.example".into();
    let config = "{ clusterLabel: 'k8s_cluster', kubectlContext: 'admin@$cluster', texts: 'short', \
                  runbookUrl: 'https://wiki.example', multiClusterAlerts: true }";
    assert_eq!(mixin(config, "prometheusAlerts"), yaml(&source.rules_of(&|_| true)));
}

/// In every metric of every expression; promtool still accepts the rules.
fn the_mixins_selector_is_in_every_expression() {
    let alerts = mixin(r#"{ selector: 'job="podskew"', multiClusterAlerts: true }"#, "prometheusAlerts");
    let metric = Regex::new(r#"podskew_[a-z_]+(\{job="podskew"[,}])?"#).unwrap();
    let mut found = 0;
    for group in alerts["groups"].as_array().unwrap() {
        for rule in group["rules"].as_array().unwrap() {
            let expression = rule["expr"].as_str().unwrap();
            for metric in metric.captures_iter(expression) {
                assert!(metric.get(1).is_some(), "{} in {expression}", &metric[0]);
                found += 1;
            }
        }
    }
    assert!(found > 50, "{found}");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), alerts.to_string()).unwrap();
    let output = programs::promtool(&["check", "rules", file.path().to_str().unwrap()], b"");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn the_mixins_dashboards_are_the_plain_ones_and_the_charts() {
    let names = ["fleet", "workload", "canary"];
    let plain = mixin("{}", "grafanaDashboards");
    assert_eq!(plain.as_object().unwrap().len(), names.len());
    let renamed = mixin("{ clusterLabel: 'k8s_cluster' }", "grafanaDashboards");
    let set = "dashboards.enabled=true,clusterLabel=k8s_cluster";
    let of_chart = objects(&chart::rendered(&["--set", set]));
    for name in names {
        let file = format!("podskew-{name}.json");
        let json: Value = serde_json::from_str(&read(&format!("dashboards/{name}.json"))).unwrap();
        assert_eq!(plain[&file], json);
        let map = of_chart.iter().find(|object| object["data"].get(&file).is_some()).unwrap();
        let json: Value = serde_json::from_str(map["data"][&file].as_str().unwrap()).unwrap();
        assert_eq!(renamed[&file], json, "{file}");
    }
    let one = mixin("{ showMultiCluster: false, grafanaTags: ['mine'] }", "grafanaDashboards");
    assert_eq!(one["podskew-fleet.json"].pointer("/templating/list/1/hide"), Some(&json!(2)));
    assert_eq!(one["podskew-fleet.json"]["tags"], json!(["mine"]));
}

#[track_caller]
fn amtool(arguments: &[&str]) -> String {
    let output = programs::run(&path("target/tools/amtool"), arguments, b"", "make target/tools/amtool");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    said.into_owned()
}

fn alertmanager_takes_the_example_and_routes_by_it() {
    let config = path("deploy/alertmanager/alertmanager.example.yaml");
    let config = config.to_str().unwrap();
    let said = amtool(&["check-config", config]);
    assert!(said.contains("3 inhibit rules") && said.contains("1 templates"), "{said}");
    let file = format!("--config.file={config}");
    for alert in rules::source().alerts {
        let name = format!("alertname={}", alert.name);
        let severity = format!("severity={}", alert.severity);
        let routed = amtool(&["config", "routes", "test", &file, &name, &severity]);
        let expected = if alert.severity == "critical" { "podskew-page" } else { "podskew" };
        assert_eq!(routed.trim(), expected, "{}", alert.name);
    }
    let routed = amtool(&["config", "routes", "test", &file, "alertname=Other", "severity=critical"]);
    assert_eq!(routed.trim(), "default");
    // Every alert in an inhibition rule exists.
    let names = Regex::new("Podskew[A-Za-z]+").unwrap();
    for name in names.find_iter(&read("deploy/alertmanager/alertmanager.example.yaml")) {
        rules::source().alert(name.as_str());
    }
}

/// The texts as in the runbooks: each command is unchanged, in a code block of its own.
fn slack_shows_commands_in_code_blocks() {
    let template = path("deploy/alertmanager/podskew.tmpl");
    let glob = format!("--template.glob={}", template.display());
    let command = Regex::new(r"(?m)^((?:Look|Do)[^:\n]*): ((?:kubectl|podskew) .*)$").unwrap();
    let mut blocks = 0;
    for alert in rules::source().alerts {
        let runbook = read(&format!("docs/runbooks/{}.md", alert.name));
        let Some((_, rest)) = runbook.split_once("```text\n") else { continue };
        let (example, _) = rest.split_once("\n```").unwrap();
        for cluster in ["", " in cluster north"] {
            let example =
                example.replace("\nLook:", &format!("\nLook{cluster}:")).replace("\nDo:", &format!("\nDo{cluster}:"));
            let (summary, description) = example.split_once('\n').unwrap();
            let annotations =
                json!({ "summary": summary, "description": description, "runbook_url": "https://runbook" });
            let labels = json!({ "alertname": alert.name, "severity": alert.severity, "namespace": "shop" });
            let data = json!({
                "receiver": "podskew", "status": "firing", "groupLabels": labels, "commonLabels": labels,
                "commonAnnotations": {}, "externalURL": "",
                "alerts": [{ "status": "firing", "labels": labels, "annotations": annotations }],
            });
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), data.to_string()).unwrap();
            let data = format!("--template.data={}", file.path().display());
            let rendered = |name: &str| {
                let text = format!("--template.text={{{{ template \"podskew.{name}\" . }}}}");
                amtool(&["template", "render", &glob, &text, &data])
            };
            let text = rendered("text");
            for command in command.captures_iter(description) {
                let block = format!("*{}:*\n```{}```\n", &command[1], &command[2]);
                assert!(text.contains(&block), "{block} is not in {text}");
                blocks += 1;
            }
            assert!(text.contains("<https://runbook|Runbook>"), "{text}");
            assert_eq!(rendered("title").trim(), format!("[FIRING:1] {}, namespace shop", alert.name));
        }
    }
    assert!(blocks >= 12, "{blocks}");
}

/// The Jobs are valid for an API server and allowed by the restricted Pod Security Standard, their arguments are podskew's,
/// and their rules are those of the chart's Role.
fn the_jobs_of_argo_cd_and_flux_audit_and_may_do_nothing_else() {
    let role = objects(&chart::rendered(&["--set", "namespaces={shop}"]));
    let role = role.iter().find(|object| object["kind"] == "Role").unwrap();
    let mut all = Vec::new();
    for (file, annotation, value) in [
        ("argocd-postsync", "argocd.argoproj.io/hook", "PostSync"),
        ("flux-job", "kustomize.toolkit.fluxcd.io/force", "enabled"),
    ] {
        let found = objects(&read(&format!("deploy/gitops/{file}.yaml")));
        assert_eq!(found.len(), 4);
        assert_eq!(the(&found, "Role")["rules"], role["rules"], "{file}");
        let job = the(&found, "Job");
        assert_eq!(job["metadata"]["annotations"][annotation], value);
        let pod = &job["spec"]["template"];
        assert_eq!(pod["spec"]["serviceAccountName"], the(&found, "ServiceAccount")["metadata"]["name"]);
        let container = &pod["spec"]["containers"][0];
        let version = format!("ghcr.io/podskew/podskew:{}", env!("CARGO_PKG_VERSION"));
        assert_eq!(container["image"], version);
        let arguments = chart::texts(&container["args"]);
        Arguments::try_parse_from(["podskew"].iter().chain(&arguments)).unwrap_or_else(|error| panic!("{error}"));
        let seconds = job["spec"]["activeDeadlineSeconds"].as_u64().unwrap();
        assert!(arguments.contains(&"--wait=10m") && seconds > 600, "{arguments:?}");
        let answer = chart::ask("podsecurity", &[], format!("{pod}\n").as_bytes()).unwrap();
        assert_eq!(answer.trim(), "allowed");
        all.extend(found);
    }
    let manifest = all.iter().map(Value::to_string).collect::<Vec<_>>().join("\n---\n");
    let script = path("tests/programs/schemas.py");
    let crds = path("target/tools/install/crds.yaml");
    let python = path("target/openmetrics-venv/bin/python");
    let arguments = [script.to_str().unwrap(), crds.to_str().unwrap()];
    let output = programs::run(&python, &arguments, manifest.as_bytes(), "make target/openmetrics-venv/done");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[track_caller]
fn fits(schema: &str, text: &str) {
    let file = tempfile::NamedTempFile::with_suffix(".yml").unwrap();
    std::fs::write(file.path(), text).unwrap();
    let checker = path("target/openmetrics-venv/bin/check-jsonschema");
    let arguments = ["--builtin-schema", schema, file.path().to_str().unwrap()];
    let output = programs::run(&checker, &arguments, b"", "make target/openmetrics-venv/done");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// Runs a pipeline's script with podskew in `PATH`; returns its exit code and output.
async fn run(simulator: &Simulator, folder: &Path, script: &str, variables: &[(&str, &str)]) -> (i32, String) {
    let binary = Path::new(env!("CARGO_BIN_EXE_podskew"));
    let path = format!("{}:{}", binary.parent().unwrap().display(), std::env::var("PATH").unwrap());
    simulator.write_kubeconfig(&folder.join("kubeconfig")).unwrap();
    let mut shell = Command::new("bash");
    shell.args(["-e", "-o", "pipefail", "-c", script]).current_dir(folder).env("PATH", path);
    shell.env("KUBECONFIG", folder.join("kubeconfig")).env("GITHUB_STEP_SUMMARY", folder.join("summary.md"));
    shell.envs(variables.iter().copied());
    let output = tokio::task::spawn_blocking(move || shell.output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap(), said.into_owned())
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn githubs_action_waits_and_fails_where_the_audit_does() {
    let text = read("action.yml");
    fits("vendor.github-actions", &text);
    let action = yaml(&text);
    assert_eq!(action["inputs"]["version"]["default"], env!("CARGO_PKG_VERSION"));
    let steps = action["runs"]["steps"].as_array().unwrap();
    let script = steps[1]["run"].as_str().unwrap();
    // No input is inserted into the text of a script.
    assert!(steps.iter().all(|step| !step["run"].as_str().unwrap().contains("${{")), "{text}");
    for (skewed, code) in [(false, 0), (true, 4)] {
        let folder = tempfile::tempdir().unwrap();
        let simulator = shop(skewed).await;
        let variables = [("NAMESPACE", "shop"), ("WORKLOADS", "deployment/web"), ("WAIT", "1s"), ("CONTEXT", "")];
        let (status, said) = run(&simulator, folder.path(), script, &variables).await;
        assert_eq!(status, code, "{said}");
        let summary = std::fs::read_to_string(folder.path().join("summary.md")).unwrap();
        assert_eq!(summary.contains("### shop deployment/web: digest skew"), skewed, "{summary}");
        // If podskew is installed, nothing is downloaded.
        let (status, said) = run(&simulator, folder.path(), steps[0]["run"].as_str().unwrap(), &[]).await;
        assert_eq!((status, said.as_str()), (0, ""));
    }
    // An audit of the current state of the whole namespace.
    let folder = tempfile::tempdir().unwrap();
    let simulator = shop(true).await;
    let variables = [("NAMESPACE", "shop"), ("WORKLOADS", ""), ("WAIT", ""), ("CONTEXT", "simulator")];
    let (status, said) = run(&simulator, folder.path(), script, &variables).await;
    assert_eq!(status, 1, "{said}");
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn gitlabs_component_waits_and_keeps_a_report() {
    let text = read("templates/audit.yml");
    let (_, job) = text.split_once("\n---\n").unwrap();
    fits("vendor.gitlab-ci", job);
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
    let inputs = documents[0]["spec"]["inputs"].as_object().unwrap();
    let used = Regex::new(r"\$\[\[ inputs\.(\w+) \]\]").unwrap();
    let used: std::collections::BTreeSet<&str> =
        used.captures_iter(job).map(|found| found.get(1).unwrap().as_str()).collect();
    assert!(used.iter().copied().eq(inputs.keys().map(String::as_str)), "{used:?}");
    let job = &documents[1]["podskew audit"];
    let variables = [
        ("PODSKEW_AUDIT_NAMESPACE", "shop"),
        ("PODSKEW_AUDIT_WORKLOADS", "deployment/web"),
        ("PODSKEW_AUDIT_WAIT", "1s"),
    ];
    for (skewed, code) in [(false, 0), (true, 4)] {
        let folder = tempfile::tempdir().unwrap();
        let simulator = shop(skewed).await;
        let (status, said) = run(&simulator, folder.path(), job["script"][0].as_str().unwrap(), &variables).await;
        assert_eq!(status, code, "{said}");
        run(&simulator, folder.path(), job["after_script"][0].as_str().unwrap(), &variables).await;
        let report = std::fs::read_to_string(folder.path().join("podskew-audit.xml")).unwrap();
        assert!(report.contains(&format!("tests=\"1\" failures=\"{}\"", u8::from(skewed))), "{report}");
    }
}

/// The tests and their requirements.
pub fn tests() -> Vec<Test> {
    tests![
        the_mixins_alerts_are_the_plain_ones: [JSONNET],
        the_mixins_selector_is_in_every_expression: [PROMTOOL, JSONNET],
        the_mixins_dashboards_are_the_plain_ones_and_the_charts: [HELM, JSONNET],
        alertmanager_takes_the_example_and_routes_by_it: [AMTOOL],
        slack_shows_commands_in_code_blocks: [HELM, AMTOOL],
        the_jobs_of_argo_cd_and_flux_audit_and_may_do_nothing_else: [PYTHON, HELM, PODSECURITY, OPERATOR_CRDS],
        githubs_action_waits_and_fails_where_the_audit_does: [PYTHON, BASH],
        gitlabs_component_waits_and_keeps_a_report: [PYTHON, BASH],
    ]
}
