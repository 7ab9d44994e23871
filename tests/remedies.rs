//! What an alert tells its reader to do, for every kind of workload, pull policy and state: promtool fills in the text.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

mod programs;
mod rules;

use serde_json::{Value, json};

/// Its name, the image of its spec, the pull policy, and how many pods run which digest.
type Container = (&'static str, &'static str, &'static str, &'static [(&'static str, u32)]);

/// A workload in trouble: what podskew says of it.
#[derive(Clone)]
struct Case {
    kind: &'static str,
    containers: Vec<Container>,
    state: &'static str,
    /// Whether the hash in digest skew is the one the workload asks for; unknown for kinds podskew does not know.
    current: &'static str,
    /// Revision, hash, and how many of its pods are ready, for each other hash with pods.
    older: Vec<(&'static str, &'static str, u32)>,
    /// Whether podskew can read the template.
    template_known: bool,
    digest_kind: &'static str,
}

fn case(kind: &'static str, image: &'static str, policy: &'static str) -> Case {
    Case {
        kind,
        containers: vec![("app", image, policy, &[("sha256:aa", 5), ("sha256:bb", 2)])],
        state: "complete",
        current: "true",
        older: Vec::new(),
        template_known: true,
        digest_kind: "manifest",
    }
}

fn reference(image: &str) -> &'static str {
    podskew::report::ReferenceKind::of(image).as_str()
}

impl Case {
    fn series(&self) -> Vec<Value> {
        let workload = format!("namespace=\"ns\",workload_type=\"{}\",workload=\"w\"", self.kind);
        let mut series = Vec::new();
        let mut put = |family: &str, labels: &str, value: u32| {
            let name = format!("podskew_{family}{{{workload}{labels}}}");
            series.push(json!({ "series": name, "values": value.to_string() }));
        };
        let hash = ",pod_template_hash=\"h\"";
        put("pods_by_template_hash", hash, 7);
        put("ready_pods_by_template_hash", hash, 0);
        if !self.state.is_empty() {
            put("rollout_state", &format!(",state=\"{}\"", self.state), 1);
        }
        put("template_hash_info", &format!("{hash},revision=\"9\",current=\"{}\"", self.current), 1);
        for (revision, older, ready) in &self.older {
            let labels = format!(",pod_template_hash=\"{older}\"");
            put("pods_by_template_hash", &labels, ready + 1);
            put("ready_pods_by_template_hash", &labels, *ready);
            let current = if self.current == "false" { "true" } else { "false" };
            put("template_hash_info", &format!("{labels},revision=\"{revision}\",current=\"{current}\""), 1);
            put("pod_info", &format!("{labels},pod=\"w-{older}\",node=\"n\""), 1);
        }
        put("pod_info", &format!("{hash},pod=\"w-h\",node=\"n\""), 1);
        for (container, image, policy, digests) in &self.containers {
            let of = format!(",container=\"{container}\"");
            let distinct = u32::try_from(digests.len()).unwrap();
            put("distinct_digests_per_template_hash", &format!("{hash}{of},origin=\"template\""), distinct);
            for (digest, pods) in *digests {
                put(
                    "pods_by_digest",
                    &format!("{hash}{of},image=\"{image}\",digest=\"{digest}\",digest_kind=\"{}\"", self.digest_kind),
                    *pods,
                );
            }
            if self.template_known {
                let reference = reference(image);
                let labels = format!("{of},image=\"{image}\",reference=\"{reference}\",pull_policy=\"{policy}\"");
                put("image_reference_info", &labels, 1);
            }
        }
        series
    }
}

/// Fills `text` in for each case, and compares.
#[track_caller]
fn check(text: &str, cases: &[(Case, &str)]) {
    let source = rules::source();
    let text = source.expand(&format!("<<facts>>\n{text}"));
    let rule = json!({
        "alert": "Remedy",
        "expr": "max by (namespace, workload_type, workload) (podskew_pods_by_template_hash)",
        "annotations": { "remedy": text },
    });
    let tests: Vec<Value> = cases
        .iter()
        .map(|(case, expected)| {
            let labels = json!({ "namespace": "ns", "workload_type": case.kind, "workload": "w" });
            json!({
                "input_series": case.series(),
                "alert_rule_test": [{
                    "eval_time": "0m", "alertname": "Remedy",
                    "exp_alerts": [{ "exp_labels": labels, "exp_annotations": { "remedy": expected } }],
                }],
            })
        })
        .collect();
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, content: Value| std::fs::write(directory.path().join(name), content.to_string()).unwrap();
    // YAML reads JSON.
    write("rules.yaml", json!({ "groups": [{ "name": "remedies", "rules": [rule] }] }));
    write("test.yaml", json!({ "rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": tests }));
    let output = programs::promtool(&["test", "rules", directory.path().join("test.yaml").to_str().unwrap()], b"");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

const PINNED: &str = "Why: this is the digest that most of its pods run; or take another from above. \
                      A restart would read each node's cache again. Where GitOps owns the object, make the change there.";
const PULLED: &str = "Why: new pods ask the registry, whatever their node has, and so get the same image. \
                      Where GitOps owns the object, make the change there.";
const LOADED: &str = "Why: these images are not pulled, so each node runs what was loaded onto it. Better, push them to a registry. \
                      Where GitOps owns the object, make the change there.";
const OUTDATED: &str = "Why: the difference is among pods of an older template, and ends with them when the rollout is \
                        done. Where GitOps owns the object, make the change there.";

#[track_caller]
fn skew(cases: Vec<(Case, &str, &str)>) {
    let expected: Vec<(Case, String)> =
        cases.into_iter().map(|(case, line, why)| (case, format!("-\nDo: {line}\n{why}"))).collect();
    let cases: Vec<(Case, &str)> = expected.iter().map(|(case, text)| (case.clone(), text.as_str())).collect();
    check("-<<remedy_skew>>", &cases);
}

#[test]
fn the_repository_is_the_specs_whatever_it_is_called() {
    let repositories = [
        ("nginx", "nginx"),
        ("nginx:1.27", "nginx"),
        ("registry.example/shop/web:live", "registry.example/shop/web"),
        ("host:5000/x", "host:5000/x"),
        ("host:5000/x:tag", "host:5000/x"),
        ("[::1]:5000/a/b:tag", "[::1]:5000/a/b"),
    ];
    let lines =
        repositories.map(|(_, repository)| format!("kubectl -n ns set image deployment/w app={repository}@sha256:aa"));
    let cases = repositories.iter().zip(&lines);
    skew(cases.map(|((image, _), line)| (case("deployment", image, "IfNotPresent"), line.as_str(), PINNED)).collect());
}

#[test]
fn each_kind_has_its_own_command() {
    let of = |kind| case(kind, "r/w:t", "IfNotPresent");
    skew(vec![
        (of("statefulset"), "kubectl -n ns set image statefulset/w app=r/w@sha256:aa", PINNED),
        (of("daemonset"), "kubectl -n ns set image daemonset/w app=r/w@sha256:aa", PINNED),
        (of("rollout"), "kubectl argo rollouts -n ns set image w app=r/w@sha256:aa", PINNED),
        (
            of("replicaset"),
            "kubectl -n ns set image replicaset/w app=r/w@sha256:aa (then delete its pods that run another: nothing else replaces them)",
            PINNED,
        ),
        (of("job"), "create it anew with app=r/w@sha256:aa (the template of a Job cannot be changed)", PINNED),
        (
            Case { template_known: false, state: "", current: "", ..of("cloneset.apps.kruise.io") },
            "kubectl -n ns edit cloneset.apps.kruise.io/w (and ask for app=r/w@sha256:aa)",
            PINNED,
        ),
    ]);
}

#[test]
fn a_restart_is_the_remedy_only_where_it_pulls_again() {
    skew(vec![
        (case("deployment", "r/w:t", "Always"), "kubectl -n ns rollout restart deployment/w", PULLED),
        (case("daemonset", "r/w", "Always"), "kubectl -n ns rollout restart daemonset/w", PULLED),
        (case("rollout", "r/w:t", "Always"), "kubectl argo rollouts -n ns restart w", PULLED),
        // Nobody fills in the defaults of a custom resource: without a tag it is Always, with one IfNotPresent.
        (case("rollout", "r/w", ""), "kubectl argo rollouts -n ns restart w", PULLED),
        (case("rollout", "r/w:t", ""), "kubectl argo rollouts -n ns set image w app=r/w@sha256:aa", PINNED),
        // A digest that pods differ from: somebody changed the pods.
        (case("deployment", "r/w@sha256:cc", "IfNotPresent"), "kubectl -n ns rollout restart deployment/w", PULLED),
        (
            case("replicaset", "r/w:t", "Always"),
            "delete the pods above, one after another, and let replicaset/w make new ones",
            PULLED,
        ),
        (case("job", "r/w:t", "Always"), "create it anew (a Job is not restarted)", PULLED),
        (
            case("deployment", "r/w:t", "Never"),
            "load one image onto every node, then kubectl -n ns rollout restart deployment/w",
            LOADED,
        ),
        // An image id of the node's own: nobody could pull it.
        (
            Case { digest_kind: "config", ..case("deployment", "r/w:t", "IfNotPresent") },
            "load one image onto every node, then kubectl -n ns rollout restart deployment/w",
            LOADED,
        ),
    ]);
}

#[test]
fn containers_in_skew_are_pinned_in_one_line() {
    let containers = vec![
        ("app", "r/w:t", "IfNotPresent", &[("sha256:aa", 2), ("sha256:bb", 5)][..]),
        ("same", "r/same:t", "IfNotPresent", &[("sha256:cc", 7)][..]),
        ("proxy", "host:5000/p", "IfNotPresent", &[("sha256:ee", 3), ("sha256:dd", 3)][..]),
        // The new pods of the others' line pull this one again anyway.
        ("pulled", "r/p", "Always", &[("sha256:ff", 3), ("sha256:gg", 3)][..]),
    ];
    let both = Case { containers: containers.clone(), ..case("deployment", "", "") };
    let argo = Case { containers, ..case("rollout", "", "") };
    skew(vec![
        (both, "kubectl -n ns set image deployment/w app=r/w@sha256:bb proxy=host:5000/p@sha256:dd", PINNED),
        (
            argo,
            "kubectl argo rollouts -n ns set image w app=r/w@sha256:bb && kubectl argo rollouts -n ns set image w proxy=host:5000/p@sha256:dd",
            PINNED,
        ),
    ]);
}

#[test]
fn what_is_paused_is_resumed_first() {
    let paused = |kind, policy| Case { state: "paused", older: vec![("8", "old", 4)], ..case(kind, "r/w:t", policy) };
    skew(vec![
        (
            paused("deployment", "IfNotPresent"),
            "kubectl -n ns rollout resume deployment/w && kubectl -n ns set image deployment/w app=r/w@sha256:aa",
            PINNED,
        ),
        (
            paused("deployment", "Always"),
            "kubectl -n ns rollout resume deployment/w && kubectl -n ns rollout restart deployment/w",
            PULLED,
        ),
        (
            paused("rollout", "Always"),
            "kubectl argo rollouts -n ns promote w && kubectl argo rollouts -n ns restart w",
            PULLED,
        ),
    ]);
}

#[test]
fn a_skew_among_outdated_pods_ends_with_their_rollout() {
    let outdated = |kind, state| Case {
        state,
        current: "false",
        older: vec![("10", "new", 3)],
        ..case(kind, "r/w:t", "IfNotPresent")
    };
    skew(vec![
        (outdated("deployment", "progressing"), "kubectl -n ns rollout status deployment/w", OUTDATED),
        (outdated("deployment", "paused"), "kubectl -n ns rollout resume deployment/w", OUTDATED),
        (outdated("rollout", "canary"), "kubectl argo rollouts -n ns promote w", OUTDATED),
        (outdated("rollout", "progressing"), "kubectl argo rollouts -n ns status w", OUTDATED),
        (
            outdated("statefulset", "partitioned"),
            r#"kubectl -n ns patch statefulset/w --type merge -p '{"spec":{"updateStrategy":{"rollingUpdate":{"partition":0}}}}'"#,
            OUTDATED,
        ),
        (
            outdated("daemonset", "on_delete"),
            "kubectl -n ns delete pod w-h (then the next: OnDelete replaces a pod only when it is deleted)",
            OUTDATED,
        ),
    ]);
}

#[test]
fn a_rollout_is_undone_to_the_revision_that_serves() {
    let stalled = |kind, older| Case { state: "stalled", older, ..case(kind, "r/w:t", "Always") };
    check(
        "<<back>>\n<<undo>>",
        &[
            (stalled("deployment", vec![("7", "old", 5)]), "kubectl -n ns rollout undo deployment/w --to-revision=7"),
            // Two rollouts got stuck one after the other: the one that still serves, not the one before.
            (
                stalled("deployment", vec![("7", "old", 5), ("8", "stuck", 0)]),
                "kubectl -n ns rollout undo deployment/w --to-revision=7",
            ),
            (stalled("deployment", vec![]), "kubectl -n ns rollout undo deployment/w"),
            (stalled("daemonset", vec![("3", "old", 5)]), "kubectl -n ns rollout undo daemonset/w --to-revision=3"),
            (
                stalled("statefulset", vec![("3", "old", 5)]),
                "kubectl -n ns rollout undo statefulset/w --to-revision=3 (then delete its pod that is not Ready: a StatefulSet does not replace it)",
            ),
            (stalled("rollout", vec![("3", "old", 5)]), "kubectl argo rollouts -n ns undo w --to-revision=3"),
        ],
    );
}
