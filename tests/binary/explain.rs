//! `podskew explain` and `podskew diff`, through the real binary: with kubectl's output from real clusters, and with a
//! cluster.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use crate::common::command::{Ended, fed, podskew, podskew_on};
use crate::common::exporter::{fill, fill_from, objects, simulator};
use podskew::time::UnixTime;
use regex::Regex;
use serde_json::{Value, json};
use simulator::{Demo, DemoConfig, Fault, Resource, Simulator, Time};

const WORKLOADS: [(&str, &str); 6] = [
    ("digest-skew", "deployment/web"),
    ("stuck", "deployment/api"),
    ("paused", "deployment/api"),
    ("statefulset-partition", "statefulset/db"),
    ("daemonset", "daemonset/agent"),
    ("daemonset", "daemonset/cni"),
];

/// Removes parts that depend on the time.
fn timeless(text: &str) -> String {
    let ages = Regex::new(r"\((at least )?(\d+[smhd])+\)|(at least )?(\d+[smhd])+ old").unwrap();
    ages.replace_all(
        text,
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
    assert_eq!(actual, expected, "{path} has changed; if that is intended: UPDATE_GOLDEN=1 cargo test");
}

fn dump(scenario: &str) -> String {
    format!("{scenario}.dump.json")
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

/// Each example of `docs/explain.md` is real output; `make docs` updates it.
#[test]
fn the_examples_are_what_podskew_prints() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/explain.md");
    let document = std::fs::read_to_string(file).unwrap();
    let example = Regex::new(r"(?s)```console\n\$ podskew ([^\n]*)\n(.*?)```").unwrap();
    let mut examples = 0;
    let written = example.replace_all(&document, |found: &regex::Captures<'_>| {
        examples += 1;
        let command = &found[1];
        let arguments: Vec<&str> = command.split(' ').collect();
        let said = podskew_on(120, &arguments);
        let said = said.stdout + &said.stderr;
        // If only an age differs, the old text stays.
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

/// What keeps the pods of the current template from becoming ready. Pods of older templates are omitted.
#[test]
fn pods_that_are_not_ready_are_named_with_the_reason() {
    let file = dump("stuck");
    let explained = podskew(&["explain", "-f", &file, "deploy/api"]).stdout;
    let pod = "api-55558b5db8-9bs44 on node-0001 is not ready: container app: ImagePullBackOff\n";
    assert!(explained.contains(pod), "{explained}");
    let pod = podskew(&["explain", "-f", &file, "pod/api-55558b5db8-9bs44"]).stdout;
    assert!(pod.contains("  state    not ready (container app: ImagePullBackOff), created "), "{pod}");
    let json: Value =
        serde_json::from_str(&podskew(&["explain", "-o", "json", "-f", &file, "deploy/api"]).stdout).unwrap();
    let not_ready = json["workloads"][0]["not_ready"].as_array().unwrap();
    assert_eq!(not_ready.len(), 2);
    assert_eq!(
        not_ready[0]["reasons"],
        json!([{"container": "app", "reason": "ImagePullBackOff",
            "message": "Back-off pulling image \"registry.example/stuck/api:broken\""}])
    );
    // A rollout does not wait for a stuck pod of an older template.
    let mut whole: Value = serde_json::from_str(&without("stuck", &[])).unwrap();
    for item in whole["items"].as_array_mut().unwrap() {
        if item["metadata"]["labels"]["pod-template-hash"] == "66df86594d" && item["kind"] == "Pod" {
            item["status"]["conditions"] = json!([{"type": "Ready", "status": "False"}]);
        }
    }
    let explained = fed(&["explain", "-f", "-", "deploy/api"], &whole.to_string()).stdout;
    assert_eq!(explained.matches("is not ready").count(), 2, "{explained}");
}

/// The same version field for every JSON document, and a difference as one of them.
#[test]
fn a_diff_as_json_has_the_version_of_all_documents() {
    let json = |arguments: &[&str]| -> Value { serde_json::from_str(&podskew(arguments).stdout).unwrap() };
    let (file, skewed) = (dump("paused"), dump("digest-skew"));
    let compared = podskew(&["diff", "-f", &file, "deployment/api", "-o", "json"]);
    assert_eq!(compared.code, 1, "{}", compared.stderr);
    let difference: Value = serde_json::from_str(&compared.stdout).unwrap();
    assert_eq!(difference["diff"].as_str().unwrap(), podskew(&["diff", "-f", &file, "deployment/api"]).stdout);
    assert_eq!(difference["different"], json!(true));
    assert_eq!(difference["values_shown"], json!(false));
    assert_eq!(difference["old"]["pod_template_hash"], "cf4479f4d");
    assert_eq!((&difference["new"]["revision"], &difference["new"]["current"]), (&json!(2), &json!(true)));
    assert_eq!(difference["workload_type"], "deployment");
    let same = ["diff", "-f", &file, "deployment/api", "765f", "765f", "-o", "json"];
    assert_eq!(podskew(&same).code, 0);
    assert_eq!((&json(&same)["different"], &json(&same)["diff"]), (&json!(false), &json!("")));

    let audit = json(&["audit", "-f", &skewed, "-o", "json"]);
    let explained = json(&["explain", "-f", &file, "deployment/api", "-o", "json"]);
    for document in [&audit, &explained, &difference] {
        assert_eq!((&document["version"], &document["podskew"]), (&json!(1), &json!(env!("CARGO_PKG_VERSION"))));
        assert!(document["of"].is_string() && UnixTime::parse(document["taken"].as_str().unwrap()).is_some());
    }
}

/// The dump without some of its kinds.
fn without(scenario: &str, kinds: &[&str]) -> String {
    let items: Vec<Value> =
        objects(scenario).into_iter().filter(|item| !kinds.contains(&item["kind"].as_str().unwrap())).collect();
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

#[test]
fn unreadable_facts_are_noted_and_not_guessed() {
    let explain = |workload: &str, input: &str| fed(&["explain", "-f", "-", workload], input);
    let unseen = explain("deploy/api", &without("paused", &["Deployment"]));
    assert_eq!(unseen.code, 0, "{}", unseen.stderr);
    assert!(unseen.stdout.contains("  rollout  unknown\n") && unseen.stdout.contains("no deployments in it"));
    assert!(!unseen.stdout.contains("current)") && !unseen.stdout.contains("to roll back"), "{}", unseen.stdout);
    let alone = explain("rs/api-cf4479f4d", &without("paused", &["Deployment", "ReplicaSet"]));
    assert!(alone.stdout.contains("a list of pods alone"), "{}{}", alone.stdout, alone.stderr);
    let revisions = explain("sts/db", &without("statefulset-partition", &[])).stdout;
    assert!(revisions.contains("managedFields"), "{revisions}");
    // Templates can be compared without pods, and two hashes without a Deployment.
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
    // A hash, its prefix, a ReplicaSet's name; two of them; and in the other order.
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
fn the_context_of_a_diff_is_as_wide_as_requested() {
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
fn unreadable_clusters_and_files_end_with_2_and_the_reason() {
    let file = dump("stuck");
    for command in ["explain", "diff"] {
        refused(
            &podskew(&[command, "-f", &file, "deploy/ap"]),
            &["no deployment/ap in", "did you mean deployment/api?"],
        );
        refused(&podskew(&[command, "-f", &file, "sts/nothing"]), &["no statefulset/nothing"]);
        refused(&podskew(&[command, "-f", &file, "api"]), &["'api' is not TYPE/NAME", "deployment/api"]);
        refused(&podskew(&[command, "-f", &file, "wheel/api"]), &["'wheel' is not a type of workload"]);
        refused(&podskew(&[command]), &["<TYPE/NAME>"]);
        refused(&podskew(&[command, "-f", "/no/such.json", "deploy/api"]), &["/no/such.json", "No such file"]);
        refused(&fed(&[command, "-f", "-", "deploy/api"], "{\"kind\": \"List\", \"items\": [{"), &["cut short"]);
        refused(&fed(&[command, "-f", "-", "deploy/api"], "kind: [\n"), &["broken YAML"]);
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

/// Objects with all kinds of secrets that a template or spec may have. They differ between templates, and are the same in a
/// Deployment and its ReplicaSet.
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
fn no_output_contains_possible_secrets_unless_requested() {
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
        // An error about truncated input does not quote a secret either.
        let end = input.find("SECRET").unwrap() + 8;
        let cut = fed(&["explain", "-f", "-", workload], &input[..end]);
        assert!(cut.code == 2 && !cut.stderr.contains("SECRET"), "{}", cut.stderr);
    }
}

/// Runs a command with a simulated cluster.
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
async fn a_cluster_agrees_with_its_dump_and_is_only_listed() {
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
    let _demo = Demo::begin(simulator.store(), &DemoConfig::default(), Time::now());
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
async fn an_unreadable_cluster_exits_with_2() {
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
        refused(
            &nowhere,
            &["no deployment/api in namespace empty", "name another namespace with -n, or read all with -A"],
        );
        simulator.inject(Some(Resource::Pods), Fault::Status(403));
        refused(
            &on(&simulator, &[command, "-n", "paused", "deploy/api"]).await,
            &["pods", "grant", "verbs: [\"list\"]"],
        );
        simulator.clear_faults();
        simulator.inject(None, Fault::Status(401));
        refused(&on(&simulator, &[command, "-n", "paused", "deploy/api"]).await, &["cannot list", "log in"]);
        simulator.clear_faults();
        for (forbidden, namespace, workload) in [
            (Resource::ReplicaSets, "paused", "deployment/api"),
            (Resource::Deployments, "paused", "deployment/none"),
            (Resource::StatefulSets, "statefulset-partition", "statefulset/none"),
        ] {
            simulator.inject(Some(forbidden), Fault::Status(403));
            let ended = on(&simulator, &[command, "-n", namespace, workload]).await;
            let said = format!("cannot tell whether there is a {workload} in namespace {namespace}");
            let rule = format!("resources: [\"{}\"], verbs: [\"list\"]", forbidden.plural());
            refused(&ended, &[&said, &format!("{forbidden} may not be listed"), &rule]);
            assert!(!ended.stderr.contains("there is no"), "{}", ended.stderr);
            simulator.clear_faults();
        }
    }
}

/// A Deployment or Rollout with these templates, newest last. The last is the current one.
fn history(kind: &str, revisions: &[(u64, &str, u32)], change: impl Fn(&mut Value)) -> String {
    let argo = kind == "Rollout";
    let (group, key) = if argo {
        ("argoproj.io/v1alpha1", "rollout.argoproj.io/revision")
    } else {
        ("apps/v1", "deployment.kubernetes.io/revision")
    };
    let label = if argo { "rollouts-pod-template-hash" } else { "pod-template-hash" };
    let template = |image: &str, hash: Option<&str>| {
        let mut template = json!({
            "metadata": {"labels": {"app": "api"}},
            "spec": {"containers": [{"name": "app", "image": image, "env": [{"name": "A", "value": image}]}]}
        });
        if let Some(hash) = hash {
            template["metadata"]["labels"][label] = hash.into();
        }
        template
    };
    let owner = |kind: &str, name: &str, group: &str| json!([{"apiVersion": group, "kind": kind, "name": name, "uid": format!("{kind}-{name}"), "controller": true}]);
    let mut items = Vec::new();
    for (at, (revision, image, pods)) in revisions.iter().enumerate() {
        let hash = format!("hash{at}");
        let created = format!("2026-11-{:02}T12:00:00Z", at + 1);
        let name = format!("api-{hash}");
        items.push(json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {
                "name": name, "namespace": "shop", "uid": format!("ReplicaSet-{name}"), "creationTimestamp": created,
                "labels": {label: hash}, "annotations": {key: revision.to_string()}, "ownerReferences": owner(kind, "api", group)
            },
            "spec": {"replicas": pods, "template": template(image, Some(&hash))}
        }));
        for pod in 0..*pods {
            items.push(json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {
                    "name": format!("{name}-{pod}"), "namespace": "shop", "uid": format!("{name}-{pod}"),
                    "creationTimestamp": created, "labels": {label: hash}, "ownerReferences": owner("ReplicaSet", &name, "apps/v1")
                },
                "spec": {"nodeName": "node-1", "containers": [{"name": "app", "image": image}]},
                "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}], "containerStatuses": [{
                    "name": "app", "imageID": format!("mirror.example/x@sha256:{}", at.to_string().repeat(64)), "containerID": name
                }]}
            }));
        }
    }
    let asked = revisions.iter().max_by_key(|(revision, _, _)| revision).unwrap().1;
    let current = revisions.iter().position(|(_, image, _)| *image == asked).unwrap();
    let mut object = json!({
        "apiVersion": group, "kind": kind,
        "metadata": {"name": "api", "namespace": "shop", "uid": format!("{kind}-api"), "generation": 1},
        "spec": {"replicas": 1, "template": template(asked, None)},
        "status": {"observedGeneration": 1, "currentPodHash": format!("hash{current}"), "stableRS": format!("hash{current}"), "phase": "Healthy"}
    });
    change(&mut object);
    items.push(object);
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

/// Rolled back: the oldest ReplicaSet has the highest revision, and the newest is the previous one.
#[test]
fn after_a_rollback_current_and_previous_go_by_revision() {
    let input = history("Deployment", &[(4, "r/api:1", 2), (2, "r/api:2", 0), (3, "r/api:3", 0)], |_| {});
    let explained = fed(&["explain", "-f", "-", "deploy/api"], &input).stdout;
    let order: Vec<usize> = ["hash hash0 (current), revision 4", "hash hash2, revision 3", "hash hash1, revision 2"]
        .map(|title| explained.find(title).unwrap_or_else(|| panic!("{title}: {explained}")))
        .to_vec();
    assert!(order.is_sorted(), "{explained}");
    assert!(explained.contains("asks for r/api:3") && explained.contains("--to-revision=3\n"), "{explained}");
    assert!(explained.contains("--to-revision=2\n") && !explained.contains("--to-revision=4"), "{explained}");
    assert!(explained.contains("app=r/api@sha256:0000") && !explained.contains("mirror.example"), "{explained}");
    let compared = fed(&["diff", "-f", "-", "deploy/api"], &input).stdout;
    let titles = "--- deployment/api hash2 (revision 3)\n+++ deployment/api hash0 (revision 4)\n";
    assert!(compared.starts_with(titles), "{compared}");
}

/// A webhook may make a controller create the same template again and again.
#[test]
fn the_previous_template_is_one_that_differs() {
    let input = history("Deployment", &[(1, "r/api:1", 0), (2, "r/api:2", 0), (3, "r/api:2", 1)], |_| {});
    let compared = fed(&["diff", "-f", "-", "deploy/api"], &input);
    // The older of two equal templates is current, as for the controller.
    assert!(
        compared.stdout.starts_with("--- deployment/api hash0 (revision 1)\n"),
        "{}{}",
        compared.stdout,
        compared.stderr
    );
    let same = fed(&["diff", "-f", "-", "deploy/api", "hash1", "hash2"], &input);
    assert_eq!((same.code, same.stdout.as_str()), (0, ""));
}

#[test]
fn a_paused_deployment_is_resumed_before_it_is_rolled_back() {
    let input = history("Deployment", &[(1, "r/api:1", 1), (2, "r/api:2", 1)], |object| {
        object["spec"]["paused"] = true.into();
        object["spec"]["template"]["spec"]["containers"][0]["image"] = "r/api:3".into();
    });
    let explained = fed(&["explain", "-f", "-", "deploy/api"], &input).stdout;
    assert!(explained.contains("rollout  paused") && !explained.contains("(current)"), "{explained}");
    let back = "kubectl -n shop rollout resume deployment/api && kubectl -n shop rollout undo deployment/api --to-revision=1\n";
    assert!(explained.contains(back), "{explained}");
    let compared = fed(&["diff", "-f", "-", "deploy/api"], &input);
    assert!(
        compared.code == 2 && compared.stderr.contains("name two; there are:\n  hash1, revision 2"),
        "{}",
        compared.stderr
    );
}

#[test]
fn argos_rollouts_have_their_own_commands() {
    let revisions = [(1, "r/api:1", 0), (2, "r/api:2", 2)];
    let input = history("Rollout", &revisions, |_| {});
    let explained = fed(&["explain", "-f", "-", "ro/api"], &input).stdout;
    assert!(explained.contains("kubectl argo rollouts -n shop undo api --to-revision=1\n"), "{explained}");
    assert!(explained.contains("kubectl argo rollouts -n shop set image api app=r/api@sha256:1111"), "{explained}");
    let compared = fed(&["diff", "-f", "-", "rollout/api", "hash0"], &input);
    assert!(compared.stdout.contains("\n+    image: r/api:2\n"), "{}{}", compared.stdout, compared.stderr);
    assert!(!compared.stdout.contains("rollouts-pod-template-hash"), "{}", compared.stdout);
    let referring = history("Rollout", &revisions, |object| {
        object["spec"].as_object_mut().unwrap().remove("template");
        object["spec"]["workloadRef"] = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "api-template"});
    });
    let explained = fed(&["explain", "-f", "-", "rollout/api"], &referring).stdout;
    assert!(explained.contains("its template is that of deployment/api-template"), "{explained}");
    // The command changes that Deployment.
    assert!(explained.contains("kubectl argo rollouts -n shop undo api --to-revision=1\n"), "{explained}");
    assert_eq!(fed(&["diff", "-f", "-", "rollout/api"], &referring).code, 1);
}

/// A template whose pods were never Ready is not a rollback target. About one without pods nothing is known.
#[test]
fn the_rollback_shows_whether_the_revision_was_ready() {
    let revisions = [(1, "r/api:1", 1), (2, "r/api:2", 0), (3, "r/api:3", 1)];
    let input = history("Deployment", &revisions, |_| {});
    let explained = fed(&["explain", "-f", "-", "deploy/api"], &input).stdout;
    let (_, ways) = explained.split_once("to roll back").unwrap();
    assert!(ways.contains("revision 1, hash hash0"), "{ways}");
    assert!(
        ways.contains("worked is unknown\n    kubectl -n shop rollout undo deployment/api --to-revision=2\n"),
        "{ways}"
    );
    assert_eq!(ways.matches("worked is unknown").count(), 1, "{ways}");
    let unready = input.replacen(r#""status":"True""#, r#""status":"False""#, 1);
    let explained = fed(&["explain", "-f", "-", "-o", "json", "deploy/api"], &unready).stdout;
    let json: Value = serde_json::from_str(&explained).unwrap();
    let history = json["workloads"][0]["history"].as_array().unwrap();
    let said = |at: usize| {
        (history[at]["revision"].as_u64().unwrap(), &history[at]["worked"], history[at]["roll_back"].is_null())
    };
    assert_eq!(said(0), (3, &json!(true), true), "the current one");
    assert_eq!(said(1), (2, &json!(false), false), "unknown");
    assert_eq!(said(2), (1, &json!(false), true), "it was never Ready");
}

#[test]
fn names_of_a_file_are_no_more_than_words() {
    let input =
        history("Deployment", &[(1, "r/api:1", 1), (2, "r/api:2", 1)], |_| {}).replace("hash0", "$(id)\\u001b[2J");
    let explained = fed(&["explain", "-f", "-", "deploy/api"], &input);
    assert!(!explained.stdout.contains('\u{1b}') && explained.code == 0, "{:?}", explained.stdout);
    let refused = fed(&["diff", "-f", "-", "deploy/api", "x"], &input);
    assert!(
        refused.code == 2 && !refused.stderr.contains('\u{1b}') && refused.stderr.contains("$(id)"),
        "{:?}",
        refused.stderr
    );
    let compared = fed(&["diff", "-f", "-", "deploy/api"], &input);
    assert!(compared.code == 1 && !compared.stdout.contains('\u{1b}'), "{:?}", compared.stdout);
}
