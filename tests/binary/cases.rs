//! Cases from real clusters, each with the correct answer: the audit of the file, word for word.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use regex::Regex;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn cases() -> Vec<PathBuf> {
    let folder = format!("{}/tests/data/cases", env!("CARGO_MANIFEST_DIR"));
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.is_file() && path.extension().is_none_or(|extension| extension != "txt"));
    paths.sort();
    assert!(paths.len() >= 10, "{paths:?}");
    paths
}

/// The audit of a case, and its exit code.
fn audited(case: &Path) -> String {
    audited_with(case, &[])
}

fn audited_with(case: &Path, options: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_podskew"));
    command
        .arg("audit")
        .args(options)
        .arg("-f")
        .arg(case.file_name().unwrap())
        .current_dir(case.parent().unwrap())
        .env_clear();
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let when = Regex::new(r"(?m)^\d{4}-\d\d-\d\dT\S+ +").unwrap();
    let log = when.replace_all(&text(&output.stderr), "").into_owned();
    format!("{}{log}exit code {}\n", text(&output.stdout), output.status.code().unwrap())
}

#[test]
fn every_case_has_its_right_answer() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    for case in cases() {
        let answer = case.with_extension("txt");
        let printed = audited(&case);
        if update {
            std::fs::write(&answer, &printed).unwrap();
        }
        let expected = std::fs::read_to_string(&answer).unwrap_or_default();
        assert_eq!(
            printed,
            expected,
            "{}: if that is right: UPDATE_GOLDEN=1 cargo test --test binary cases",
            case.display()
        );
    }
}

/// The answers in short form, to prevent an update of a snapshot to a wrong one.
#[test]
fn the_answers_are_what_they_have_to_be() {
    for (case, code, words) in [
        // Row 53: a first rollout has no rollback target.
        (
            "c03-first-rollout-stalled.json",
            1,
            &["stalled rollout", "Do: push registry.example/ingest:1, or correct its name"][..],
        ),
        ("c04-daemonset-only.json", 2, &["holds no pods"]),
        (
            "c05-get-all-daemonset.json",
            0,
            &["add what kubectl get controllerrevisions -A -o json --show-managed-fields prints"],
        ),
        ("c05d-ondelete-no-revisions.json", 0, &["daemonset/agent: deliberate mix", "OnDelete"]),
        ("c06-extensions-v1beta1.json", 1, &["deployment/web: digest skew", "3 pods"]),
        ("c07-no-uids-two-uniform.json", 0, &["2 workloads with 5 pods", "2 uniform"]),
        ("c07e-uids-redacted.json", 1, &["deployment/web: digest skew", "3 pods, 2 digests"]),
        ("c08-watch-events.json", 0, &["1 workload with 2 pods"]),
        (
            "c108-two-clusters.json",
            2,
            &["Deployment pp/web", "816c4c91-4525-568f-8def-851c45823d51", "1ca79761-5fee-5bcc-953b-8322c8b60dcd"],
        ),
        (
            "c111-crio-one-arch-moved-tag.json",
            0,
            &["unknown digest skew", "CRI-O may name one image by different digests"],
        ),
        // Row 54: the stuck pod is deleted, and nothing is rolled back to a template that never ran.
        (
            "c13-sts-forced-rollback.json",
            1,
            &[
                "it waits for db-2, which is not ready: ImagePullBackOff (registry.example/db:typo)",
                "Look: kubectl -n data describe pod db-2",
                "Do: kubectl -n data delete pod db-2",
            ],
        ),
        (
            "c133-index-vs-platform-nodes-know.json",
            1,
            &["digest skew", "no digest has most of its pods, and their ages do not tell which one is newer"],
        ),
        ("c14-sts-first-wrong.json", 1, &["rollout in progress", "Do: kubectl -n data delete pod db-0"]),
        ("c19-pod-without-kind.json", 0, &["1 workload with 1 pod"]),
        ("c20-items-before-kind.json", 0, &["1 workload with 3 pods"]),
        ("c20c-bare-array-no-kind.json", 0, &["1 workload with 3 pods"]),
        ("c21-cluster-info-dump-stdout.out", 0, &["1 workload with 3 pods", "logs between lists skipped containers=1"]),
        ("c60-utf16le-bom.json", 1, &["deployment/web: digest skew"]),
        ("c61-support-bundle.tar.gz", 1, &["deployment/web: digest skew"]),
        ("c71-lws-rollout.json", 0, &["deliberate mix", "Do: let LeaderWorkerSet llm continue, or change it"]),
        (
            "c75-quota.json",
            1,
            &[
                "1 pod of 3 waits: FailedCreate",
                "Look: kubectl -n q describe replicasets -l pod-template-hash=7d9c8b6f4",
                "raise quota q of the namespace, or request less in the template",
                "Do: kubectl -n q rollout undo deployment/web --to-revision=1",
            ],
        ),
        ("c82-argo-degraded-single.json", 1, &["stalled rollout", "Do: give the new pods what they lack"]),
        ("c84-replicaset-create-error.json", 1, &["rollout in progress", "--to-revision=1"]),
        (
            "live/aborted-canary.json",
            1,
            &["stalled rollout", "Do: kubectl argo rollouts -n aborted undo shop --to-revision=1"],
        ),
        ("live/experiment.json", 0, &["Do: kubectl argo rollouts -n exp2 terminate experiment shop-df97bfcd7-2-0"]),
        ("live/scaledown-delay.json", 0, &["Do: nothing: Argo Rollouts scales them down by itself"]),
    ] {
        let path = PathBuf::from(format!("{}/tests/data/cases/{case}", env!("CARGO_MANIFEST_DIR")));
        let printed = audited(&path);
        assert!(printed.ends_with(&format!("exit code {code}\n")), "{case}: {printed}");
        for word in words {
            assert!(printed.to_lowercase().contains(&word.to_lowercase()), "{case}: {word}: {printed}");
        }
    }
}

/// The audit of these objects.
fn audited_of(items: &serde_json::Value) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dump.json");
    std::fs::write(&file, serde_json::json!({"kind": "List", "apiVersion": "v1", "items": items}).to_string()).unwrap();
    audited(&file)
}

fn items_of(case: &str) -> serde_json::Value {
    let path = format!("{}/tests/data/cases/{case}", env!("CARGO_MANIFEST_DIR"));
    let dump: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    dump["items"].clone()
}

/// A start that cannot be derived is unknown, and never the time of the audit.
#[test]
fn an_unknown_start_is_unknown() {
    // A skew of crashing pods; a mix of pods without creation times.
    let mut crashing = items_of("c133-index-vs-platform-nodes-know.json");
    let mut ageless = items_of("c09-old-dump-daemonset.json");
    for item in crashing.as_array_mut().unwrap() {
        if item["kind"] == "Pod" {
            item["status"]["containerStatuses"][0]["state"] =
                serde_json::json!({"waiting": {"reason": "CrashLoopBackOff"}});
        }
    }
    for item in ageless.as_array_mut().unwrap() {
        item["metadata"].as_object_mut().unwrap().remove("creationTimestamp");
        if item["kind"] == "DaemonSet" {
            item["spec"]["updateStrategy"] = serde_json::json!({"type": "OnDelete"});
        }
    }
    for (items, found) in [(crashing, "digest skew"), (ageless, "deliberate mix")] {
        let printed = audited_of(&items);
        assert!(printed.contains(found) && printed.contains("  Since: unknown\n"), "{printed}");
        assert!(!printed.contains("(at least 0s)") && !printed.contains("(0s)"), "{printed}");
    }
}

/// Without pods there is no mix, nor with a single hash.
#[test]
fn held_workloads_are_counted_correctly() {
    let deployment = |items: &serde_json::Value| {
        let mut deployment = items[0].clone();
        assert_eq!(deployment["kind"], "Deployment");
        deployment["spec"]["paused"] = true.into();
        deployment
    };
    let items = items_of("c84-replicaset-create-error.json");
    let paused = deployment(&items);
    // With another workload and its pods, because a file without any pod is refused.
    let mut without = items_of("c10d-same-hex-two-schemes.json");
    without.as_array_mut().unwrap().push(paused.clone());
    let printed = audited_of(&without);
    assert!(!printed.contains("mix") && printed.contains("2 uniform"), "{printed}");
    let mut waiting = items;
    waiting[0] = paused;
    let printed = audited_of(&waiting);
    let held = "Held by spec.paused: no pod of the newest template exists yet";
    assert!(printed.contains("deliberate mix") && printed.contains(held), "{printed}");
}

/// Reports of nodes count only with `--nodes`.
#[test]
fn nodes_in_a_file_count_with_the_option() {
    let path = |case: &str| PathBuf::from(format!("{}/tests/data/cases/{case}", env!("CARGO_MANIFEST_DIR")));
    let case = path("c133-index-vs-platform-nodes-know.json");
    let alone = audited(&case);
    assert!(alone.contains("deployment/web: digest skew") && alone.ends_with("exit code 1\n"), "{alone}");
    let known = audited_with(&case, &["--nodes"]);
    assert!(known.contains("1 uniform") && known.ends_with("exit code 0\n"), "{known}");
    // All nodes have one architecture, so a mix of architectures cannot explain CRI-O's digests.
    let case = path("c111-crio-one-arch-moved-tag.json");
    let alone = audited(&case);
    assert!(alone.contains("unknown digest skew") && alone.ends_with("exit code 0\n"), "{alone}");
    let known = audited_with(&case, &["--nodes"]);
    assert!(known.contains("deployment/web: digest skew") && known.ends_with("exit code 1\n"), "{known}");
    // A file without nodes is reported as such.
    let case = path("c07e-uids-redacted.json");
    let known = audited_with(&case, &["--nodes"]);
    assert!(known.contains("there are no nodes in it") && known.contains("kubectl get nodes -o json"), "{known}");
}
