//! `podskew explain` and `podskew diff`, through the real binary: on what kubectl printed of real clusters, and on a cluster.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

mod common;

use common::command::{Ended, fed, podskew, podskew_on};
use common::tape::path;
use common::watching::{fill, fill_from, objects, simulator};
use podskew::objects::Resource;
use podskew::simulator::{Demo, DemoConfig, Fault, Simulator};
use podskew::time::UnixTime;
use regex::Regex;
use serde_json::{Value, json};

const WORKLOADS: [(&str, &str); 6] = [
    ("digest-skew", "deployment/web"),
    ("stuck", "deployment/api"),
    ("paused", "deployment/api"),
    ("statefulset-partition", "statefulset/db"),
    ("daemonset", "daemonset/agent"),
    ("daemonset", "daemonset/cni"),
];

/// Without what depends on when and where it was asked.
fn timeless(text: &str) -> String {
    let text = text.replace(&path(""), "");
    let ages = Regex::new(r"\((\d+[smhd])+\)|(\d+[smhd])+ old").unwrap();
    ages.replace_all(
        &text,
        |found: &regex::Captures<'_>| {
            if found[0].starts_with('(') { "(AGE)".to_owned() } else { "AGE old".to_owned() }
        },
    )
    .into_owned()
}

/// Compares with a file under `tests/data/explain/`.
#[track_caller]
fn check_golden(file: &str, actual: &str) {
    let path = format!("{}/tests/data/explain/{file}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(std::path::Path::new(&path).parent().unwrap()).unwrap();
        std::fs::write(&path, actual).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(actual, expected, "{path} reads differently; if that is meant: UPDATE_GOLDEN=1 cargo test");
}

fn dump(scenario: &str) -> String {
    path(&format!("{scenario}.dump.json"))
}

#[test]
fn real_workloads_are_explained_and_compared() {
    for (scenario, workload) in WORKLOADS {
        let name = workload.replace('/', "-");
        let explained = podskew(&["explain", "-f", &dump(scenario), workload]);
        assert_eq!((explained.code, explained.stderr.as_str()), (0, ""), "{scenario}");
        check_golden(&format!("{scenario}.{name}.txt"), &timeless(&explained.stdout));
        let compared = podskew(&["diff", "-f", &dump(scenario), workload]);
        check_golden(&format!("{scenario}.{name}.diff"), &timeless(&(compared.stdout + &compared.stderr)));
        let expected = if scenario == "digest-skew" { 2 } else { 1 };
        assert_eq!(compared.code, expected, "{scenario}");
    }
}

#[test]
fn a_workload_is_seen_from_a_pod() {
    let explained = podskew(&["explain", "-f", &dump("digest-skew"), "po/web-658465cf6d-4hz9f"]);
    assert_eq!(explained.code, 0, "{}", explained.stderr);
    check_golden("digest-skew.pod.txt", &timeless(&explained.stdout));
    let outdated = podskew(&["explain", "-f", &dump("paused"), "pod", "api-cf4479f4d-8jkc5"]).stdout;
    assert!(outdated.contains("  hash     cf4479f4d, revision 1, not current\n"), "{outdated}");
}

#[test]
fn the_json_has_its_shape() {
    let explained = podskew(&["explain", "-o", "json", "-f", &dump("stuck"), "deploy/api"]);
    let mut document: Value = serde_json::from_str(&explained.stdout).unwrap();
    assert!(UnixTime::parse(document["taken"].as_str().unwrap()).is_some());
    document["taken"] = "NOW".into();
    check_golden("stuck.json", &format!("{document:#}\n"));
    let pod = podskew(&["explain", "-o", "json", "-f", &dump("digest-skew"), "pod/web-658465cf6d-4hz9f"]).stdout;
    let document: Value = serde_json::from_str(&pod).unwrap();
    let pod = &document["workloads"][0]["pod"];
    assert_eq!((pod["node"].as_str(), pod["containers"][0]["origin"].as_str()), (Some("node-0001"), Some("template")));
}

/// Each example of `docs/explain.md` says what podskew says; `make docs` writes anew what does not.
#[test]
fn the_examples_are_what_podskew_prints() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/explain.md");
    let document = std::fs::read_to_string(file).unwrap();
    let example = Regex::new(r"(?s)```console\n\$ podskew ([^\n]*)\n(.*?)```").unwrap();
    let mut examples = 0;
    let written = example.replace_all(&document, |found: &regex::Captures<'_>| {
        examples += 1;
        let command = &found[1];
        let arguments: Vec<String> =
            command.split(' ').map(|word| if word.ends_with(".json") { path(word) } else { word.to_owned() }).collect();
        let said = podskew_on(120, &arguments);
        let said = (said.stdout + &said.stderr).replace(&path(""), "");
        // An age alone is no difference: then what stands there may stay.
        let said = if timeless(&said) == timeless(&found[2]) { found[2].to_owned() } else { said };
        format!("```console\n$ podskew {command}\n{said}```")
    });
    assert!(examples >= 3, "{examples}");
    if std::env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1") {
        std::fs::write(file, written.as_bytes()).unwrap();
    } else {
        assert_eq!(written, document, "make docs");
    }
}

/// The dump without some of its kinds.
fn without(scenario: &str, kinds: &[&str]) -> String {
    let items: Vec<Value> =
        objects(scenario).into_iter().filter(|item| !kinds.contains(&item["kind"].as_str().unwrap())).collect();
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

#[test]
fn what_cannot_be_seen_is_said_and_not_guessed() {
    let explain = |workload: &str, input: &str| fed(&["explain", "-f", "-", workload], input);
    let unseen = explain("deploy/api", &without("paused", &["Deployment"]));
    assert_eq!(unseen.code, 0, "{}", unseen.stderr);
    assert!(unseen.stdout.contains("  rollout  not known\n") && unseen.stdout.contains("no deployments in it"));
    assert!(!unseen.stdout.contains("current)") && !unseen.stdout.contains("to roll back"), "{}", unseen.stdout);
    let alone = explain("rs/api-cf4479f4d", &without("paused", &["Deployment", "ReplicaSet"]));
    assert!(alone.stdout.contains("a list of pods alone"), "{}{}", alone.stdout, alone.stderr);
    let revisions = explain("sts/db", &without("statefulset-partition", &[])).stdout;
    assert!(revisions.contains("managedFields"), "{revisions}");
    // Templates need no pods, and two hashes no Deployment.
    let input = without("paused", &["Pod"]);
    assert_eq!(fed(&["diff", "-f", "-", "deploy/api"], &input).code, 1);
    let input = without("paused", &["Deployment"]);
    let unknown = fed(&["diff", "-f", "-", "deploy/api"], &input);
    assert_eq!(unknown.code, 2);
    assert!(unknown.stderr.contains("name two") && unknown.stderr.contains("no deployments"), "{}", unknown.stderr);
    assert_eq!(fed(&["diff", "-f", "-", "deploy/api", "cf44", "765f"], &input).code, 1);
}

#[test]
fn hashes_are_named_as_people_have_them() {
    let diff = |scenario: &str, workload: &str, hashes: &[&str]| {
        let file = dump(scenario);
        podskew(&[&["diff", "-f", &file, workload], hashes].concat())
    };
    let paused = |hashes: &[&str]| diff("paused", "deploy/api", hashes);
    let expected = paused(&[]);
    assert!(
        expected
            .stdout
            .starts_with("--- deployment/api cf4479f4d (revision 1)\n+++ deployment/api 765f5f5f9c (revision 2)\n")
    );
    // A hash, its beginning, a ReplicaSet's name; two of them; and in the other order.
    for hashes in [&["cf4479f4d"][..], &["cf"], &["api-cf4479f4d"], &["cf", "765f5f5f9c"], &["c", "7"]] {
        assert_eq!(paused(hashes).stdout, expected.stdout, "{hashes:?}");
    }
    let back = paused(&["7", "c"]);
    assert!(back.code == 1 && back.stdout.starts_with("--- deployment/api 765f"), "{}", back.stdout);
    let same = paused(&["7"]);
    assert_eq!((same.code, same.stdout.as_str(), same.stderr.as_str()), (0, "", ""));
    for hash in ["db-b6cf5499c", "b6cf5499c", "b6", "db-b6"] {
        let found = diff("statefulset-partition", "sts/db", &[hash]);
        assert_eq!(found.code, 1, "{hash}: {}", found.stderr);
    }
    for hash in ["6f5d48fb6b", "agent-6f5d48fb6b", "6f"] {
        assert_eq!(diff("daemonset", "ds/agent", &[hash]).code, 1, "{hash}");
    }
    for hash in ["zz", "", "db-", "cf4479f4dx"] {
        let unknown = paused(&[hash]);
        assert_eq!((unknown.code, unknown.stdout.as_str()), (2, ""), "{hash}");
        let said = unknown.stderr;
        assert!(said.contains("765f5f5f9c, revision 2") && said.contains(" old, current\n"), "{said}");
    }
}

#[test]
fn context_is_as_wide_as_asked() {
    let lines = |context: &str| podskew(&["diff", "-U", context, "-f", &dump("paused"), "deploy/api"]).stdout;
    assert_eq!(lines("0").lines().count(), 5);
    assert!(lines("100").lines().count() > lines("3").lines().count());
}

#[track_caller]
fn refused(ended: &Ended, words: &[&str]) {
    assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{}", ended.stderr);
    for word in words {
        assert!(ended.stderr.contains(word), "{word:?} is missing in: {}", ended.stderr);
    }
}

#[test]
fn who_cannot_look_says_why_and_ends_with_2() {
    let file = dump("stuck");
    for command in ["explain", "diff"] {
        refused(
            &podskew(&[command, "-f", &file, "deploy/ap"]),
            &["no deployment/ap in", "did you mean deployment/api?"],
        );
        refused(&podskew(&[command, "-f", &file, "sts/nothing"]), &["no statefulset/nothing"]);
        refused(&podskew(&[command, "-f", &file, "api"]), &["'api' is not TYPE/NAME", "deployment/api"]);
        refused(&podskew(&[command, "-f", &file, "wheel/api"]), &["'wheel' is no type of workload"]);
        refused(&podskew(&[command]), &["<TYPE/NAME>"]);
        refused(&podskew(&[command, "-f", "/no/such.json", "deploy/api"]), &["/no/such.json", "No such file"]);
        refused(&fed(&[command, "-f", "-", "deploy/api"], "{\"kind\": \"List\", \"items\": [{"), &["cut short"]);
        refused(&fed(&[command, "-f", "-", "deploy/api"], "kind: List\n"), &["YAML"]);
        refused(&fed(&[command, "-f", "-", "deploy/api"], ""), &["empty"]);
        refused(&podskew(&[command, "--kubeconfig", "/no/such", "deploy/api"]), &["/no/such"]);
    }
    refused(&podskew(&["explain", "-f", &file, "pod/api-x"]), &["no pod/api-x of a workload", "mean deployment/api?"]);
    let near = podskew(&["explain", "-f", &file, "pod/api-66df86594d-7qw7"]);
    refused(&near, &["did you mean deployment/api or pod/api-66df86594d-7qw75?"]);
    refused(&podskew(&["diff", "-f", &file, "pod/api-x"]), &["one template", "podskew explain pod/api-x"]);
    refused(&podskew(&["diff", "-f", &file, "job/api"]), &["a job keeps no templates", "deployment"]);
    refused(&podskew(&["diff", "-f", &file, "deploy/api", "a", "b", "c"]), &["'c'"]);
    refused(&podskew(&["explain", "-o", "yaml", "-f", &file, "deploy/api"]), &["yaml", "json"]);
}

/// Everything a template can hold that may be a secret, in every object that has a template or a spec. Another in each
/// template, and the same in a Deployment's and its ReplicaSet's.
fn with_secrets(scenario: &str) -> Vec<Value> {
    let mut objects = objects(scenario);
    for object in &mut objects {
        object["metadata"]["annotations"]["example.org/secret"] = "SECRET-of-the-object".into();
        let template = match object["kind"].as_str().unwrap() {
            "Pod" => object,
            "ControllerRevision" => &mut object["data"]["spec"]["template"],
            _ => &mut object["spec"]["template"],
        };
        let image = template["spec"]["containers"][0]["image"].as_str().unwrap().to_owned();
        let secret = |name: &str| format!("SECRET-{name}-{image}");
        template["metadata"]["annotations"]["example.org/secret"] = secret("annotation").into();
        let container = &mut template["spec"]["containers"][0];
        container["env"] = json!([{"name": "TOKEN", "value": secret("env")}]);
        container["args"] = json!([secret("argument")]);
        container["command"] = json!([secret("command")]);
        container["lifecycle"] = json!({"preStop": {"exec": {"command": [secret("lifecycle")]}}});
        let headers = json!([{"name": "a", "value": secret("header")}]);
        container["livenessProbe"] = json!({"httpGet": {"port": 80, "httpHeaders": headers}});
    }
    objects
}

#[test]
fn no_output_ever_holds_what_may_be_a_secret_unless_it_is_asked_for() {
    for (scenario, workload) in WORKLOADS {
        let objects = with_secrets(scenario);
        let pod = objects.iter().find(|object| object["kind"] == "Pod").unwrap();
        let pod = format!("pod/{}", pod["metadata"]["name"].as_str().unwrap());
        let input = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
        let commands: [&[&str]; 6] = [
            &["explain", "-f", "-", workload],
            &["explain", "-f", "-", "-o", "json", workload],
            &["explain", "-f", "-", &pod],
            &["diff", "-f", "-", workload],
            &["diff", "-f", "-", workload, "no-such-hash"],
            &["diff", "-f", "-", "-U", "1000", workload],
        ];
        for arguments in commands {
            for level in ["error", "trace"] {
                let ended = fed(&[arguments, &["--log-level", level]].concat(), &input);
                let said = ended.stdout + &ended.stderr;
                assert!(!said.contains("SECRET"), "{arguments:?}: {said}");
                assert!(!said.is_empty(), "{arguments:?}");
            }
        }
        let shown = fed(&["diff", "-f", "-", "--show-values", workload], &input);
        for name in ["annotation", "env", "argument", "command", "lifecycle", "header"] {
            let found = shown.stdout.contains(&format!("SECRET-{name}"));
            assert_eq!(found, scenario != "digest-skew", "{name}: {}{}", shown.stdout, shown.stderr);
        }
        // What is cut off in the middle of one does not quote it either.
        let end = input.find("SECRET").unwrap() + 8;
        let cut = fed(&["explain", "-f", "-", workload], &input[..end]);
        assert!(cut.code == 2 && !cut.stderr.contains("SECRET"), "{}", cut.stderr);
    }
}

/// Runs a command against a simulated cluster.
async fn on(simulator: &Simulator, arguments: &[&str]) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kubeconfig");
    simulator.write_kubeconfig(&file).unwrap();
    let arguments: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
    tokio::task::spawn_blocking(move || {
        let kubeconfig = ["--kubeconfig".to_owned(), file.to_str().unwrap().to_owned()];
        let ended = podskew(&[arguments.as_slice(), &kubeconfig].concat());
        drop(folder);
        ended
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_says_the_same_as_its_dump_and_is_only_listed() {
    let simulator = simulator().await;
    fill_from(simulator.store(), "paused");
    for command in ["explain", "diff"] {
        let live = on(&simulator, &[command, "-n", "paused", "deploy/api"]).await;
        let file = podskew(&[command, "-f", &dump("paused"), "deploy/api"]);
        let where_from = |text: &str| timeless(text).replace("-f paused.dump.json ", "");
        assert_eq!((live.code, live.stderr.as_str()), (file.code, ""));
        assert_eq!(where_from(&live.stdout), where_from(&file.stdout));
    }
    for request in simulator.requests() {
        assert!(request.path.contains("/namespaces/paused/") && !request.path.contains("watch"), "{request:?}");
        assert!(!request.path.contains("/api-"), "podskew may list, and not get: {request:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demos_exhibits_are_explained() {
    let simulator = simulator().await;
    let _demo = Demo::begin(simulator.store(), &DemoConfig::default(), UnixTime::now());
    for (namespace, workload, words) in [
        (
            "shop",
            "deploy/web",
            &["digest skew", "2 digests since", "set image deployment/web web=registry.example/shop/web@sha256:"][..],
        ),
        ("payments", "deploy/ledger", &["stalled, begun", "--to-revision=7", "4.12.0-rc1"]),
    ] {
        let explained = on(&simulator, &["explain", "-n", namespace, workload]).await;
        assert_eq!(explained.code, 0, "{}", explained.stderr);
        for word in words {
            assert!(explained.stdout.contains(word), "{word}: {}", explained.stdout);
        }
        assert!(!explained.stdout.contains('\u{1b}'), "colours in a pipe: {}", explained.stdout);
    }
    let compared = on(&simulator, &["diff", "-n", "payments", "deploy/ledger"]).await;
    assert_eq!(compared.code, 1, "{}", compared.stderr);
    assert!(compared.stdout.contains("+    image: registry.example/payments/ledger:4.12.0-rc1"), "{}", compared.stdout);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_cannot_be_looked_at_ends_with_2() {
    let simulator = simulator().await;
    fill(simulator.store());
    for command in ["explain", "diff"] {
        let everywhere = on(&simulator, &[command, "-A", "deploy/api"]).await;
        if command == "explain" {
            let titles = ["deployment paused/api\n", "deployment stuck/api\n"];
            assert!(titles.iter().all(|title| everywhere.stdout.contains(title)), "{}", everywhere.stdout);
        } else {
            refused(&everywhere, &["in each of", "paused", "stuck", "--namespace"]);
        }
        let nowhere = on(&simulator, &[command, "-n", "empty", "deploy/api"]).await;
        refused(&nowhere, &["no deployment/api in namespace empty", "is it the right namespace?"]);
        simulator.inject(Some(Resource::Pods), Fault::Status(403));
        refused(
            &on(&simulator, &[command, "-n", "paused", "deploy/api"]).await,
            &["pods", "grant", "verbs: [\"list\"]"],
        );
        simulator.clear_faults();
        simulator.inject(None, Fault::Status(401));
        refused(&on(&simulator, &[command, "-n", "paused", "deploy/api"]).await, &["cannot list", "log in"]);
        simulator.clear_faults();
        simulator.inject(Some(Resource::ReplicaSets), Fault::Status(403));
        refused(&on(&simulator, &[command, "-n", "paused", "deploy/api"]).await, &["replicaset"]);
        simulator.clear_faults();
    }
}
