//! The remedies for every kind of workload, pull policy and state: in the alerts, whose texts promtool fills in, and
//! everywhere else.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use crate::common;
use crate::common::reports::{at, empty, pod, workload};
use crate::needs::{Test, tests};
use crate::programs;
use crate::rules;
use podskew::advice::{Finding, remedy};
use podskew::exposition::{Encoding, Exposition, Format, PublishBatch, Selection};
use podskew::report::RolloutState::{
    self, BlueGreen, Canary, Complete, OnDelete, Partitioned, Paused, Progressing, Stalled,
};
use podskew::report::{
    BlockReason, BlockedPods, ContainerReport, DigestKind, DigestPods, Driver, HashDigests, HashReport, ImageReference,
    Name, Origin, PodReport, ReferenceKind, RollbackTarget, RolloutReport, UpdateHold, WorkloadReport,
};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;

/// Name, image in the spec, pull policy, and number of pods by running digest.
type Container = (&'static str, &'static str, &'static str, &'static [(&'static str, u32)]);

/// A workload with a finding.
#[derive(Clone)]
struct Case {
    kind: &'static str,
    containers: Vec<Container>,
    state: Option<RolloutState>,
    /// How many of its seven pods are Ready.
    ready: u32,
    /// Whether the hash in digest skew is the current one; unknown for kinds that podskew does not know.
    current: Option<bool>,
    /// Revision, hash and number of ready pods of each other hash with pods.
    older: Vec<(u64, &'static str, u32)>,
    /// Whether podskew can read the template.
    template_known: bool,
    digest_kind: DigestKind,
    origin: Origin,
    /// Revision and hash of the rollback target.
    target: Option<(u64, &'static str)>,
    /// Index of the pod that its rollout waits for.
    waits_for: Option<usize>,
    /// The object that has its template: the Deployment of a Rollout; for other kinds the owner that manages the workload.
    owner: Option<&'static str>,
    /// The setting that holds a change of its template.
    hold: Option<UpdateHold>,
    /// Index of the newest digest of each container.
    newest: Option<usize>,
}

fn case(kind: &'static str, image: &'static str, policy: &'static str) -> Case {
    Case {
        kind,
        containers: vec![("app", image, policy, &[("sha256:aa", 5), ("sha256:bb", 2)])],
        state: Some(Complete),
        ready: 0,
        current: Some(true),
        older: Vec::new(),
        template_known: true,
        digest_kind: DigestKind::Manifest,
        origin: Origin::Template,
        target: None,
        waits_for: None,
        owner: None,
        hold: None,
        newest: None,
    }
}

impl Case {
    fn report(&self) -> WorkloadReport {
        let hash = |hash: &str, revision, current, pods, ready_pods| HashReport {
            hash: hash.into(),
            revision: Some(revision),
            current,
            pods,
            ready_pods,
            terminating_pods: 0,
            labels: Box::default(),
        };
        let mut hashes = vec![hash("h", 9, self.current, 7, self.ready)];
        let mut pods: Vec<PodReport> = (0..7).map(|at| pod(&format!("w-h-{at}"), "n", "h", &[])).collect();
        for (revision, older, ready) in &self.older {
            let newest = self.older.last().is_some_and(|(_, last, _)| last == older);
            let current = self.current.map(|current| newest && !current);
            hashes.push(hash(older, *revision, current, ready + 1, *ready));
            pods.push(pod(&format!("w-{older}"), "n", older, &[]));
        }
        hashes.sort_by(|a, b| a.hash.cmp(&b.hash));
        let mut report = WorkloadReport {
            distinct_hashes: u32::try_from(hashes.len()).unwrap(),
            hashes,
            rollout: self.state.map(|state| RolloutReport { state, started: None, noticed: false }),
            rollback_target: self.target.map(|(revision, hash)| RollbackTarget {
                hash: hash.into(),
                revision,
                ready_pods: self.older.iter().find(|(_, older, _)| *older == hash).map_or(0, |(_, _, ready)| *ready),
            }),
            blocking_pod: self.waits_for.filter(|at| *at < pods.len()).map(|at| u32::try_from(at).unwrap()),
            driver: self
                .owner
                .filter(|_| self.kind != "rollout")
                .map(|name| Driver { kind: "LeaderWorkerSet".into(), name: name.into() }),
            update_hold: self.hold,
            template_of: self.owner.filter(|_| self.kind == "rollout").map(Name::from),
            pods,
            ..empty(workload("ns", self.kind, "w"))
        };
        for (container, image, policy, digests) in &self.containers {
            let mut next = 0;
            let distinct = u32::try_from(digests.len()).unwrap();
            let digests = digests.iter().map(|(digest, pods)| {
                let skewed = if distinct > 1 { (next..next + pods).collect() } else { Vec::new() };
                next += pods;
                let (image, digest) = ((*image).into(), (*digest).into());
                DigestPods { image, digest, kind: self.digest_kind, pods: *pods, skewed }
            });
            let mut digests: Vec<DigestPods> = digests.collect();
            digests.sort_by(|a, b| a.digest.cmp(&b.digest));
            let newest = self.newest.and_then(|at| digests.get(at)).filter(|_| distinct > 1);
            report.containers.push(ContainerReport {
                container: (*container).into(),
                origin: self.origin,
                distinct_digests: distinct,
                by_hash: vec![HashDigests {
                    hash: "h".into(),
                    origin: self.origin,
                    distinct_digests: distinct,
                    skewed_since: (distinct > 1).then(|| at(1)),
                    noticed: false,
                    newest_digest: newest.map(|newest| newest.digest.clone()),
                    may_be_one_image: false,
                    digests,
                }],
                not_started: 0,
                not_reported: 0,
                image_id_only: 0,
                unresolved: Vec::new(),
            });
            if self.template_known {
                report.image_references.push(ImageReference {
                    container: (*container).into(),
                    image: (*image).into(),
                    reference: ReferenceKind::of(image),
                    pull_policy: (*policy).into(),
                });
            }
        }
        report.image_references.sort_by(|a, b| a.container.cmp(&b.container));
        report.containers.sort_by(|a, b| a.container.cmp(&b.container));
        report
    }
}

/// The metrics about a workload, as input for promtool.
fn series(report: &WorkloadReport) -> Vec<Value> {
    let exposition = Exposition::new(Selection::default(), Vec::new());
    exposition.publish(PublishBatch { reports: vec![report.clone()], gone: Vec::new() }, &[]);
    let answer = exposition.picture().answer(&[], Format::Text, Encoding::Identity, at(2));
    let text = String::from_utf8(answer.flatten().collect()).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            json!({ "series": series, "values": value })
        })
        .collect()
}

/// Expands each text for its report, and compares.
#[track_caller]
fn promtool_says(annotations: &[String], cases: &[(WorkloadReport, Vec<String>)]) {
    let source = rules::source();
    let rules: Vec<Value> = annotations
        .iter()
        .enumerate()
        .map(|(number, text)| {
            json!({
                "alert": format!("Remedy{number}"),
                "expr": "max by (namespace, workload_type, workload) (podskew_pods_by_template_hash)",
                "annotations": { "remedy": source.expand(text) },
            })
        })
        .collect();
    let tests: Vec<Value> = cases
        .iter()
        .map(|(report, expected)| {
            let workload = &report.workload;
            let labels = json!({
                "namespace": *workload.namespace, "workload_type": *workload.workload_type, "workload": *workload.name,
            });
            let asked: Vec<Value> = expected
                .iter()
                .enumerate()
                .map(|(number, expected)| {
                    json!({
                        "eval_time": "0m", "alertname": format!("Remedy{number}"),
                        "exp_alerts": [{ "exp_labels": labels, "exp_annotations": { "remedy": expected } }],
                    })
                })
                .collect();
            json!({ "input_series": series(report), "alert_rule_test": asked })
        })
        .collect();
    let directory = tempfile::tempdir().unwrap();
    // JSON is valid YAML, except for control characters.
    let write = |name: &str, content: Value| {
        let mut text = String::new();
        for character in content.to_string().chars() {
            if character.is_ascii() {
                text.push(character);
            } else {
                character.encode_utf16(&mut [0; 2]).iter().for_each(|unit| write!(text, "\\u{unit:04x}").unwrap());
            }
        }
        std::fs::write(directory.path().join(name), text).unwrap();
    };
    write("rules.yaml", json!({ "groups": [{ "name": "remedies", "rules": rules }] }));
    write("test.yaml", json!({ "rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": tests }));
    let output = programs::promtool(&["test", "rules", directory.path().join("test.yaml").to_str().unwrap()], b"");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}", said.chars().take(6000).collect::<String>());
}

/// The end of an alert about a finding, with the queries that it needs. Other findings have no alert per workload.
fn tail_of_alert(finding: Finding) -> Option<String> {
    let facts = match finding {
        Finding::DigestSkew => "<<facts_of_skew>>".to_owned(),
        Finding::Stalled | Finding::UnderWay => {
            let since = "{{- $since := \"vector(%[3]f)\" -}}";
            format!("{{{{- $finding := {:?} -}}}}{since}<<facts_of_rollout>>", finding.as_str())
        }
        _ => return None,
    };
    Some(format!("{facts}\n-<<remedy>>"))
}

/// The end of an alert that agrees with podskew.
fn said_in_alert(report: &WorkloadReport, finding: Finding) -> String {
    if Finding::all(report).contains(&finding) {
        return format!("-\n{}", remedy(report, finding));
    }
    // Prometheus only has names that an API server accepted, so names are not quoted here.
    let workload = &report.workload;
    format!("-\nLook: podskew explain -n {} {}/{}", workload.namespace, workload.workload_type, workload.name)
}

/// Findings with an alert per workload.
const IN_ALERTS: [Finding; 3] = [Finding::DigestSkew, Finding::Stalled, Finding::UnderWay];

const FINDINGS: [Finding; 7] = [
    Finding::DigestSkew,
    Finding::Stalled,
    Finding::UnderWay,
    Finding::HashesPersist,
    Finding::Held,
    Finding::InjectedSkew,
    Finding::LatestTag,
];

/// For any workload, the alerts and the function for remedies have the same text, word for word.
fn alerts_and_the_command_line_have_the_same_remedies() {
    let cases = any_cases(150);
    let texts: Vec<String> = IN_ALERTS.into_iter().filter_map(tail_of_alert).collect();
    let said = |report: &WorkloadReport| IN_ALERTS.map(|finding| said_in_alert(report, finding)).to_vec();
    let waiting = cases.iter().map(Case::report).zip(BlockReason::ALL.iter().cycle()).enumerate();
    // Half of them have the pod that they wait for.
    let reports =
        waiting.map(|(at, (report, reason))| if at % 2 == 0 { report } else { waits_for(report, *reason, "m") });
    let cases: Vec<(WorkloadReport, Vec<String>)> = reports.map(|report| (report.clone(), said(&report))).collect();
    promtool_says(&texts, &cases);
}

/// Names that are not a single word in a shell. promtool cannot parse those with U+FFFD in the remedy.
fn both_quote_names_that_are_no_plain_words() {
    let names = ["we'b; reboot", "$(id)", "a b", "`id`", "plain.name-1:2", "'"];
    let texts: Vec<String> = IN_ALERTS.into_iter().filter_map(tail_of_alert).collect();
    let said = |report: &WorkloadReport| IN_ALERTS.map(|finding| said_in_alert(report, finding)).to_vec();
    // This test is not about mixes of complete rollouts.
    let cases = any_cases(80).into_iter().filter(|case| !matches!(case.state, None | Some(Complete)));
    let cases = cases.zip(names.iter().cycle()).map(|(case, name)| {
        let mut report = case.report();
        let prefixed = |text: &str| format!("{name}{text}");
        report.workload.name = prefixed("").into();
        report.workload.namespace = prefixed("ns").into();
        report.pods.iter_mut().for_each(|pod| pod.pod = prefixed(&pod.pod).into());
        report.driver.iter_mut().for_each(|driver| driver.name = prefixed(&driver.name).into());
        report.template_of.iter_mut().for_each(|deployment| *deployment = prefixed(deployment).into());
        report.containers.iter_mut().for_each(|container| container.container = prefixed(&container.container).into());
        let references = report.image_references.iter_mut();
        references.for_each(|reference| reference.container = prefixed(&reference.container).into());
        let said = said(&report);
        (report, said)
    });
    promtool_says(&texts, &cases.collect::<Vec<_>>());
}

/// Random workloads of every kind, state, pull policy and form of image.
fn any_cases(count: usize) -> Vec<Case> {
    let mut random = 7_u64;
    let mut below = |most: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(random >> 33).unwrap() % most
    };
    let kinds = ["deployment", "statefulset", "daemonset", "rollout", "replicaset", "job", "cloneset.apps.kruise.io"];
    let images =
        ["r/w:t", "h:5000/w", "w@sha256:cc", "[::1]:5000/a/b:t", "w:t@sha256:cc", "x;id", "x\nDo: $(id)", "w w"];
    let policies = ["", "Always", "IfNotPresent", "Never"];
    let digests: [&[(&str, u32)]; 6] = [
        &[("sha256:aa", 5), ("sha256:bb", 2)],
        &[("sha256:aa", 2), ("sha256:bb", 5)],
        &[("sha256:bb", 3), ("sha256:cc", 3)],
        &[("sha256:aa", 2), ("sha256:bb", 3), ("sha256:cc", 2)],
        &[("sha256:aa", 7)],
        &[],
    ];
    let older: [&[(u64, &str, u32)]; 4] =
        [&[], &[(7, "old", 4)], &[(7, "a", 3), (8, "old", 3)], &[(6, "a", 0), (8, "old", 2)]];
    let states = [Complete, Progressing, Stalled, Paused, Partitioned, OnDelete, Canary, BlueGreen];
    let one = |below: &mut dyn FnMut(usize) -> usize| {
        let kind = kinds[below(kinds.len())];
        let states = match kind {
            "deployment" => &states[..4],
            "rollout" | "statefulset" | "daemonset" => &states[..],
            _ => &[],
        };
        let containers = ["app", "proxy"].into_iter().take(1 + below(2));
        Case {
            kind,
            containers: containers
                .map(|name| (name, images[below(images.len())], policies[below(4)], digests[below(digests.len())]))
                .collect(),
            state: states.get(below(states.len() + 1)).copied(),
            ready: [0, 5, 7][below(3)],
            current: [Some(true), Some(true), Some(false), None][below(4)],
            older: older[below(older.len())].to_vec(),
            template_known: below(4) > 0,
            digest_kind: [DigestKind::Manifest, DigestKind::Manifest, DigestKind::Config][below(3)],
            origin: [Origin::Template, Origin::Template, Origin::Injected, Origin::Unknown][below(4)],
            target: [None, Some((7, "old")), Some((6, "a")), Some((3, "gone"))][below(4)],
            waits_for: [None, Some(3), Some(7), Some(8)][below(4)].filter(|_| kind == "statefulset"),
            owner: [None, None, None, Some("its-owner")][below(4)]
                .filter(|_| matches!(kind, "statefulset" | "rollout")),
            hold: match kind {
                "deployment" | "rollout" => [None, Some(UpdateHold::Paused)][below(2)],
                "statefulset" => [None, Some(UpdateHold::OnDelete), Some(UpdateHold::Partition)][below(3)],
                "daemonset" => [None, Some(UpdateHold::OnDelete)][below(2)],
                _ => None,
            },
            newest: [None, None, Some(0), Some(1)][below(4)],
        }
    };
    (0..count).map(|_| one(&mut below)).collect()
}

const PINNED: &str = "Why: most of its pods run this digest, and their ages do not tell which one is newer. Ask the registry, or take \
                      another from above. A restart would read each node's cache again. Where GitOps owns the object, make the \
                      change there.";
const NEWEST: &str = "Why: the pods that run this digest started last, so it is most likely the newer image; or take another from \
                      above. A restart would read each node's cache again. Where GitOps owns the object, make the change there.";
const AS_MANY: &str = "Why: no digest has most of its pods, and their ages do not tell which one is newer. Ask the registry, and take \
                       another from above if this is not the one. A restart would read each node's cache again. Where GitOps \
                       owns the object, make the change there.";
const PULLED: &str = "Why: new pods ask the registry even if their node has the image, so they all get the same image. \
                      Where GitOps owns the object, make the change there.";
const LOADED: &str = "Why: these images are not pulled, so each node runs what was loaded onto it: load one image onto every node first. Better, push it to a registry. \
                      Where GitOps owns the object, make the change there.";
const OUTDATED: &str = "Why: only pods of an older template differ, and the difference ends with them. If new pods differ too, podskew reports that. Where GitOps owns the object, make the change there.";

/// Checks that the alert and the function have this text about a digest skew.
#[track_caller]
fn skew(cases: Vec<(Case, &str, &str)>) {
    let cases: Vec<(WorkloadReport, Vec<String>)> = cases
        .into_iter()
        .map(|(case, action, why)| {
            let report = case.report();
            let remedy = remedy(&report, Finding::DigestSkew).to_string();
            let (_, said) = remedy.split_once('\n').unwrap();
            assert_eq!(said, format!("Do: {action}\n{why}"));
            (report, vec![format!("-\n{remedy}")])
        })
        .collect();
    promtool_says(&[tail_of_alert(Finding::DigestSkew).unwrap()], &cases);
}

fn the_repository_is_that_of_the_spec_under_any_name() {
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

fn each_kind_has_its_own_command() {
    let of = |kind| case(kind, "r/w:t", "IfNotPresent");
    skew(vec![
        (of("statefulset"), "kubectl -n ns set image statefulset/w app=r/w@sha256:aa", PINNED),
        (of("daemonset"), "kubectl -n ns set image daemonset/w app=r/w@sha256:aa", PINNED),
        (of("rollout"), "kubectl argo rollouts -n ns set image w app=r/w@sha256:aa", PINNED),
        (
            of("replicaset"),
            "kubectl -n ns set image replicaset/w app=r/w@sha256:aa\nThen: delete its pods that run another image: nothing else replaces them.",
            PINNED,
        ),
        (of("job"), "create it again with app=r/w@sha256:aa (the template of a Job cannot be changed)", PINNED),
        (
            Case { template_known: false, state: None, current: None, ..of("cloneset.apps.kruise.io") },
            "kubectl -n ns edit cloneset.apps.kruise.io/w\nThen: set app=r/w@sha256:aa there.",
            PINNED,
        ),
    ]);
}

fn a_restart_is_the_remedy_only_where_it_pulls_again() {
    skew(vec![
        (case("deployment", "r/w:t", "Always"), "kubectl -n ns rollout restart deployment/w", PULLED),
        (case("daemonset", "r/w", "Always"), "kubectl -n ns rollout restart daemonset/w", PULLED),
        (case("rollout", "r/w:t", "Always"), "kubectl argo rollouts -n ns restart w", PULLED),
        // A custom resource has no defaults from the API server: without a tag the policy is Always, with one IfNotPresent.
        (case("rollout", "r/w", ""), "kubectl argo rollouts -n ns restart w", PULLED),
        (case("rollout", "r/w:t", ""), "kubectl argo rollouts -n ns set image w app=r/w@sha256:aa", PINNED),
        // A digest that differs from the running one: the pods were changed directly.
        (case("deployment", "r/w@sha256:cc", "IfNotPresent"), "kubectl -n ns rollout restart deployment/w", PULLED),
        (
            case("replicaset", "r/w:t", "Always"),
            "delete the pods above, one after another, and let replicaset/w create new ones",
            PULLED,
        ),
        (case("job", "r/w:t", "Always"), "create it again (a Job cannot be restarted)", PULLED),
        (case("deployment", "r/w:t", "Never"), "kubectl -n ns rollout restart deployment/w", LOADED),
        // An image id that is local to a node cannot be pulled.
        (
            Case { digest_kind: DigestKind::Config, ..case("deployment", "r/w:t", "IfNotPresent") },
            "kubectl -n ns rollout restart deployment/w",
            LOADED,
        ),
    ]);
}

fn containers_in_skew_are_pinned_in_one_line() {
    let containers = vec![
        ("app", "r/w:t", "IfNotPresent", &[("sha256:aa", 2), ("sha256:bb", 5)][..]),
        ("same", "r/same:t", "IfNotPresent", &[("sha256:cc", 7)][..]),
        ("proxy", "host:5000/p", "IfNotPresent", &[("sha256:ee", 3), ("sha256:dd", 3)][..]),
        // The new pods from the others' command pull this one again anyway.
        ("pulled", "r/p", "Always", &[("sha256:ff", 3), ("sha256:gg", 3)][..]),
    ];
    let both = Case { containers: containers.clone(), ..case("deployment", "", "") };
    let argo = Case { containers, ..case("rollout", "", "") };
    skew(vec![
        (both, "kubectl -n ns set image deployment/w app=r/w@sha256:bb proxy=host:5000/p@sha256:dd", AS_MANY),
        (
            argo,
            "kubectl argo rollouts -n ns set image w app=r/w@sha256:bb && kubectl argo rollouts -n ns set image w proxy=host:5000/p@sha256:dd",
            AS_MANY,
        ),
    ]);
}

/// The digest whose pods started last, even if they are few. With 1:1 there is no majority.
fn the_newest_digest_is_pinned_if_ages_show_it() {
    let one_to_one = &[("sha256:aa", 1), ("sha256:bb", 1)][..];
    let equal = Case { containers: vec![("app", "r/w:t", "IfNotPresent", one_to_one)], ..case("deployment", "", "") };
    let newest = |newest| Case { newest: Some(newest), ..case("deployment", "r/w:t", "IfNotPresent") };
    skew(vec![
        (newest(1), "kubectl -n ns set image deployment/w app=r/w@sha256:bb", NEWEST),
        (newest(0), "kubectl -n ns set image deployment/w app=r/w@sha256:aa", NEWEST),
        (equal.clone(), "kubectl -n ns set image deployment/w app=r/w@sha256:aa", AS_MANY),
        (Case { newest: Some(1), ..equal }, "kubectl -n ns set image deployment/w app=r/w@sha256:bb", NEWEST),
    ]);
}

/// A setting that holds a change, during a rollout or not.
fn a_change_reaches_the_pods_that_a_setting_would_keep_it_from() {
    let held = |kind, hold, policy| Case { hold: Some(hold), ..case(kind, "r/w:t", policy) };
    skew(vec![
        (
            held("deployment", UpdateHold::Paused, "Always"),
            "kubectl -n ns rollout resume deployment/w && kubectl -n ns rollout restart deployment/w",
            PULLED,
        ),
        (
            held("rollout", UpdateHold::Paused, "IfNotPresent"),
            "kubectl argo rollouts -n ns promote w && kubectl argo rollouts -n ns set image w app=r/w@sha256:aa",
            PINNED,
        ),
        (
            held("daemonset", UpdateHold::OnDelete, "IfNotPresent"),
            "kubectl -n ns set image daemonset/w app=r/w@sha256:aa\nThen: delete its pods, one after another: OnDelete replaces a pod only when it is deleted.",
            PINNED,
        ),
        (
            held("statefulset", UpdateHold::Partition, "Always"),
            "kubectl -n ns rollout restart statefulset/w\nThen: pods below its partition keep their template.",
            PULLED,
        ),
    ]);
}

/// The owner of a managed StatefulSet would undo a change of it.
fn nothing_of_a_driven_statefulset_is_changed() {
    let driven = |policy| Case { owner: Some("llm"), ..case("statefulset", "r/w:t", policy) };
    let why = "Why: that object sets the template of the StatefulSet, and reverts changes there. Where GitOps owns \
               the object, make the change there.";
    skew(
        ["IfNotPresent", "Always", "Never"]
            .map(|policy| (driven(policy), "change it in LeaderWorkerSet llm", why))
            .into(),
    );
    for state in [Progressing, Stalled, Partitioned, OnDelete] {
        let report =
            Case { state: Some(state), older: vec![(7, "old", 5)], target: Some((7, "old")), ..driven("Always") };
        for finding in FINDINGS {
            let remedy = remedy(&report.report(), finding);
            let changes = |command: &String| !command.contains(" rollout status ");
            assert!(!remedy.action.commands.iter().any(changes), "{state:?} {finding:?} {remedy}");
        }
    }
}

fn a_paused_workload_is_resumed_first() {
    let paused = |kind, policy| Case { state: Some(Paused), older: vec![(8, "old", 4)], ..case(kind, "r/w:t", policy) };
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

fn a_skew_among_outdated_pods_ends_with_their_rollout() {
    let outdated = |kind, state| Case {
        state: Some(state),
        current: Some(false),
        older: vec![(10, "new", 3)],
        ..case(kind, "r/w:t", "IfNotPresent")
    };
    skew(vec![
        (outdated("deployment", Progressing), "kubectl -n ns rollout status deployment/w", OUTDATED),
        (outdated("deployment", Paused), "kubectl -n ns rollout resume deployment/w", OUTDATED),
        (outdated("rollout", Canary), "kubectl argo rollouts -n ns promote w", OUTDATED),
        (outdated("rollout", Progressing), "kubectl argo rollouts -n ns status w", OUTDATED),
        (
            outdated("statefulset", Partitioned),
            r#"kubectl -n ns patch statefulset/w --type merge -p '{"spec":{"updateStrategy":{"rollingUpdate":{"partition":0}}}}'"#,
            OUTDATED,
        ),
        (
            outdated("daemonset", OnDelete),
            "kubectl -n ns delete pod w-h-6\nThen: the next, until all are replaced: OnDelete replaces a pod only when it is deleted.",
            OUTDATED,
        ),
    ]);
}

fn a_rollout_is_undone_to_a_revision_that_worked() {
    let stalled = |kind, target, older| Case { state: Some(Stalled), target, older, ..case(kind, "r/w:t", "Always") };
    let waits = |case, pod| Case { waits_for: Some(pod), ..case };
    let old = || vec![(3, "old", 5)];
    let describe = "kubectl -n ns describe pods -l pod-template-hash=h";
    let cases = [
        (
            stalled("deployment", Some((3, "old")), old()),
            describe,
            "kubectl -n ns rollout undo deployment/w --to-revision=3",
            "it does not continue by itself, and the old pods still serve.",
        ),
        // It was Ready before, and has no pods any more.
        (
            stalled("deployment", Some((2, "gone")), vec![(8, "stuck", 0)]),
            describe,
            "kubectl -n ns rollout undo deployment/w --to-revision=2",
            "it does not continue by itself. Give",
        ),
        // Row 53: no template is known to have been Ready, with older pods or without.
        (
            stalled("deployment", None, vec![]),
            describe,
            "give the new pods what they lack",
            "there is none to go back to",
        ),
        (
            stalled("deployment", None, vec![(8, "stuck", 0)]),
            describe,
            "give the new pods what they lack",
            "no other revision is known to have worked",
        ),
        (
            stalled("rollout", None, vec![]),
            "kubectl argo rollouts -n ns get rollout w",
            "give the new pods what they lack",
            "there is none to go back to",
        ),
        (
            stalled("daemonset", Some((3, "old")), old()),
            "kubectl -n ns describe pods -l controller-revision-hash=h",
            "kubectl -n ns rollout undo daemonset/w --to-revision=3",
            "go back",
        ),
        (
            stalled("statefulset", Some((3, "old")), old()),
            "kubectl -n ns describe pods -l controller-revision-hash=h",
            "kubectl -n ns rollout undo statefulset/w --to-revision=3",
            "go back",
        ),
        // A pod of the current template: it is wanted until the undo, and blocks the rollback after it.
        (
            waits(stalled("statefulset", Some((3, "old")), old()), 4),
            "kubectl -n ns describe pods -l controller-revision-hash=h",
            "kubectl -n ns rollout undo statefulset/w --to-revision=3 && kubectl -n ns delete pod w-h-4",
            "go back",
        ),
        // Row 54: a pod of a template that is not wanted any more.
        (
            waits(stalled("statefulset", None, old()), 7),
            "kubectl -n ns describe pod w-old",
            "kubectl -n ns delete pod w-old",
            "the StatefulSet waits for this pod to be Ready, and does not replace it",
        ),
        (
            stalled("rollout", Some((3, "old")), old()),
            "kubectl argo rollouts -n ns get rollout w",
            "kubectl argo rollouts -n ns undo w --to-revision=3",
            "go back",
        ),
    ];
    let stalled = tail_of_alert(Finding::Stalled).unwrap();
    let cases: Vec<(WorkloadReport, Vec<String>)> = cases
        .into_iter()
        .map(|(case, look, action, why)| {
            let report = case.report();
            let remedy = remedy(&report, Finding::Stalled);
            assert_eq!((&*remedy.look, &*remedy.action.to_string()), (look, action));
            assert!(remedy.why.as_ref().unwrap().contains(why), "{remedy}");
            (report, vec![format!("-\n{remedy}")])
        })
        .collect();
    promtool_says(&[stalled], &cases);
}

/// The same workload, with two pods that wait for a reason.
fn waits_for(mut report: WorkloadReport, reason: BlockReason, message: &str) -> WorkloadReport {
    let of_pod = !matches!(reason, BlockReason::FailedCreate | BlockReason::NotCreated);
    let of_container = of_pod && !matches!(reason, BlockReason::Unschedulable | BlockReason::SchedulingGated);
    let named = |name: &str| Name::from(if of_container { name } else { "" });
    let pod = of_pod.then_some(0).filter(|_| !report.pods.is_empty());
    report.blocked = vec![BlockedPods {
        reason,
        pods: 2,
        pod,
        container: named("app"),
        image: named("r/w:2"),
        message: message.into(),
    }];
    report
}

/// The remedy for waiting pods, for each reason, and its text.
fn the_remedy_follows_the_reason() {
    use BlockReason as Why;
    let pull =
        ["push r/w:2, or correct its name or its pull secret", "docker manifest inspect r/w:2 asks its registry"];
    let describe = "kubectl -n ns describe pod w-h-0";
    let cases = [
        (Why::ErrImagePull, pull),
        (Why::ImagePullBackOff, pull),
        (Why::InvalidImageName, ["correct the image name r/w:2 in the template", "not a valid reference"]),
        (Why::ErrImageNeverPull, ["load r/w:2 onto the nodes", "The pull policy is Never"]),
        (Why::ImageInspectError, ["remove r/w:2 from the node", "cannot read its copy of the image"]),
        (
            Why::RegistryUnavailable,
            ["find out why the registry of r/w:2 does not answer", "docker manifest inspect r/w:2"],
        ),
        (Why::SignatureValidationFailed, ["sign r/w:2", "refuses its signature"]),
        (Why::CreateContainerConfigError, ["create the ConfigMap, the Secret or the key", describe]),
        (Why::CreateContainerError, ["what the container runtime refuses in the template of container app", describe]),
        (Why::RunContainerError, ["what the container runtime refuses in the template of container app", describe]),
        (Why::CrashLoopBackOff, ["fix what ends container app", "kubectl -n ns logs w-h-0 -c app --previous shows"]),
        (Why::InitContainerFailed, ["init container app", "kubectl -n ns logs w-h-0 -c app shows"]),
        (Why::Unschedulable, ["give the pod a node", "kubectl -n ns describe pod w-h-0 shows what each node lacks"]),
        (Why::SchedulingGated, ["scheduling gates", describe]),
        (Why::FailedCreate, ["a quota, a policy or a missing object", "The message of its ReplicaSet"]),
        (Why::NotCreated, ["keeps its pods from being created", "The events of deployment/w"]),
        (Why::NotReady, ["make container app pass its readiness probe", "kubectl -n ns logs w-h-0 -c app shows"]),
        (Why::ContainerCreating, ["a volume, a Secret or a network address", describe]),
        (Why::PodInitializing, ["let the init containers complete", describe]),
        (Why::Other, ["give the new pods what they lack", ""]),
    ];
    assert_eq!(cases.len(), BlockReason::ALL.len());
    let stalled = Case { state: Some(Stalled), ..case("deployment", "r/w:2", "Always") };
    let older = vec![(3, "old", 5)];
    let back = Case { older: older.clone(), target: Some((3, "old")), ..stalled.clone() };
    for (reason, [give, check]) in cases {
        // Without a rollback target it is the remedy; with one it is the alternative.
        let only = remedy(&waits_for(stalled.report(), reason, ""), Finding::Stalled);
        assert!(only.action.words.contains(give), "{reason:?}: {only}");
        assert!(only.why.as_ref().unwrap().contains(check), "{reason:?}: {only}");
        let or = remedy(&waits_for(back.report(), reason, ""), Finding::Stalled);
        assert_eq!(or.action.commands, ["kubectl -n ns rollout undo deployment/w --to-revision=3"]);
        let why = or.why.as_ref().unwrap();
        assert!(why.to_lowercase().contains(&give.to_lowercase()) && why.contains(", or go back."), "{reason:?}: {or}");
        assert!(why.contains(check), "{reason:?}: {or}");
        // A rollout that just began is not a problem yet, unless its pods report one.
        let early = remedy(&waits_for(back.report(), reason, ""), Finding::UnderWay);
        let passes = matches!(reason, Why::ContainerCreating | Why::PodInitializing | Why::NotReady | Why::Other);
        assert_eq!(early.why.as_ref().unwrap().contains("if you cannot wait"), passes, "{reason:?}: {early}");
        // The object that creates the pods has the reason why it cannot.
        let look = match reason {
            Why::FailedCreate | Why::NotCreated => "kubectl -n ns describe replicasets -l pod-template-hash=h",
            _ => "kubectl -n ns describe pods -l pod-template-hash=h",
        };
        assert_eq!((&*only.look, &*or.look), (look, look), "{reason:?}");
        let held = Case { state: Some(Paused), ..stalled.clone() };
        let held = Case { older: older.clone(), ..held };
        let held = remedy(&waits_for(held.report(), reason, ""), Finding::Held);
        assert!(held.action.words.contains(give) && held.why.as_ref().unwrap().contains(check), "{reason:?}: {held}");
    }
}

/// The API server's message names the quota or the policy, and so does the remedy. It contains nothing else of the message.
fn the_remedy_names_the_quota_or_policy_that_refuses_the_pods() {
    let stalled = Case { state: Some(Stalled), ..case("deployment", "r/w:2", "Always") };
    for (message, give, check) in [
        (
            "pods \"w-h-\" is forbidden: exceeded quota: compute, requested: limits.cpu=1, used: limits.cpu=3, limited: limits.cpu=3",
            "raise quota compute of the namespace, or request less in the template",
            "kubectl -n ns describe resourcequota compute shows it.",
        ),
        (
            "admission webhook \"validation.gatekeeper.sh\" denied the request: [must-have-owner] you must provide labels",
            "change the template as policy must-have-owner requires, or have the policy changed",
            "The message of its ReplicaSet says more.",
        ),
        (
            "pods \"w-h-x\" is forbidden: violates PodSecurity \"restricted:latest\": privileged (container \"app\")",
            "make the template meet the Pod Security level restricted:latest of the namespace",
            "The label pod-security.kubernetes.io/enforce of the namespace sets it.",
        ),
        (
            "exceeded quota: $(touch owned), requested: pods=1",
            "fix what the API server refuses a pod for: a quota, a policy or a missing object",
            "The message of its ReplicaSet says more.",
        ),
    ] {
        let remedy = remedy(&waits_for(stalled.report(), BlockReason::FailedCreate, message), Finding::Stalled);
        assert_eq!(remedy.action.words, give);
        assert!(remedy.why.as_ref().unwrap().ends_with(check), "{remedy}");
        assert!(!remedy.to_string().contains("requested") && !remedy.to_string().contains("touch"), "{remedy}");
    }
}

/// The most informative reason counts. One that may pass by itself counts only if there is no other.
fn pods_that_may_be_on_their_way_do_not_hide_those_that_are_not() {
    let stalled = Case { state: Some(Stalled), ..case("deployment", "r/w:2", "Always") };
    let mut report = waits_for(stalled.report(), BlockReason::ContainerCreating, "");
    report.blocked[0].pods = 5;
    report.blocked.extend(waits_for(stalled.report(), BlockReason::ErrImagePull, "").blocked);
    let action = remedy(&report, Finding::Stalled).action.words;
    assert!(action.starts_with("push r/w:2"), "{action}");
    // A StatefulSet that waits for one of its pods does not create the next. That is not a separate cause.
    let set = Case { waits_for: Some(0), ..Case { kind: "statefulset", ..stalled } };
    let mut report = waits_for(set.report(), BlockReason::NotCreated, "");
    report.blocked[0].pods = 5;
    report.blocked.extend(waits_for(set.report(), BlockReason::CrashLoopBackOff, "").blocked);
    let action = remedy(&report, Finding::Stalled).action.words;
    assert!(action.starts_with("fix what ends container app"), "{action}");
}

/// In a file the name of an image is arbitrary, but it never starts a line or a word.
fn the_name_of_an_image_stays_one_word() {
    let stalled = Case { state: Some(Stalled), ..case("deployment", "r/w:2", "Always") };
    let mut report = waits_for(stalled.report(), BlockReason::ImagePullBackOff, "");
    report.blocked[0].image = "r/w\nDo: $(touch owned)".into();
    let remedy = remedy(&report, Finding::Stalled);
    assert!(remedy.action.words.starts_with("push 'r/w\u{fffd}Do: $(touch owned)', or"), "{remedy}");
    assert!(remedy.why.as_ref().unwrap().contains("docker manifest inspect 'r/w\u{fffd}Do: $(touch owned)' asks"));
}

/// A selector without pods would show nothing.
fn a_look_selects_something() {
    let without_pods = |kind| {
        let mut report = Case {
            state: Some(Progressing),
            target: Some((3, "old")),
            older: vec![(3, "old", 5)],
            ..case(kind, "r/w:t", "Always")
        }
        .report();
        report.hashes.iter_mut().filter(|hash| hash.current == Some(true)).for_each(|hash| hash.pods = 0);
        report
    };
    let mut cases = Vec::new();
    for (kind, look) in [
        ("deployment", "kubectl -n ns describe replicasets -l pod-template-hash=h"),
        ("statefulset", "kubectl -n ns describe statefulset/w"),
        ("daemonset", "kubectl -n ns describe daemonset/w"),
        ("rollout", "kubectl argo rollouts -n ns get rollout w"),
    ] {
        let report = without_pods(kind);
        let remedy = remedy(&report, Finding::UnderWay);
        assert_eq!(remedy.look, look);
        cases.push((report, vec![format!("-\n{remedy}")]));
    }
    promtool_says(&[tail_of_alert(Finding::UnderWay).unwrap()], &cases);
    // The template of a Rollout with `workloadRef` is in a Deployment.
    let report = Case { owner: Some("web"), ..case("rollout", "r/w", "Always") }.report();
    let look = remedy(&report, Finding::LatestTag).look;
    assert_eq!(look, "kubectl -n ns get deployment/web -o 'jsonpath={.spec.template.spec.containers[*].image}'");
}

/// Names from a cluster are plain. In a file they are arbitrary, and users paste commands without reading them.
fn nothing_from_a_file_is_more_than_one_word_of_a_command() {
    let older = vec![(7, "old", 5)];
    let case = Case { state: Some(Stalled), older, target: Some((7, "old")), ..case("statefulset", "r/w:t", "Never") };
    let mut report = Case { waits_for: Some(0), ..case }.report();
    report.workload = workload("--as=me", "statefulset", "w'; id #\u{202e}\u{1b}[2J");
    report.hashes[0].hash = "$(id)".into();
    (report.pods[0].pod, report.pods[0].hash) = ("--all;id".into(), "$(id)".into());
    let undo = remedy(&report, Finding::Stalled);
    assert_eq!(undo.look, "kubectl -n '\u{fffd}-as=me' describe pods -l controller-revision-hash='$(id)'");
    assert_eq!(
        undo.action.commands,
        [
            "kubectl -n '\u{fffd}-as=me' rollout undo statefulset/'w'\\''; id #\u{fffd}\u{fffd}[2J' --to-revision=7",
            "kubectl -n '\u{fffd}-as=me' delete pod '\u{fffd}-all;id'",
        ]
    );
    report.pods[0].hash = "old".into();
    let delete = remedy(&report, Finding::Stalled);
    assert_eq!(delete.look, "kubectl -n '\u{fffd}-as=me' describe pod '\u{fffd}-all;id'");
    assert_eq!(delete.action.commands, ["kubectl -n '\u{fffd}-as=me' delete pod '\u{fffd}-all;id'"]);
}

fn findings_are_sorted_worst_first() {
    let of = |case: Case| Finding::all(&case.report());
    let two = &[("sha256:aa", 1), ("sha256:bb", 1)][..];
    let case = case("deployment", "r/w", "Always");
    assert_eq!(of(case.clone()), [Finding::DigestSkew, Finding::LatestTag]);
    assert_eq!(of(Case { origin: Origin::Injected, ..case.clone() }), [Finding::InjectedSkew, Finding::LatestTag]);
    let containers = vec![("app", "r/w:t", "Always", two)];
    let paused = Case { containers: containers.clone(), state: Some(Paused), ..case.clone() };
    assert_eq!(of(paused), [Finding::DigestSkew, Finding::Held]);
    let unknown = Case { containers, state: Some(Progressing), origin: Origin::Unknown, ..case.clone() };
    assert_eq!(of(unknown), [Finding::UnderWay, Finding::UnknownSkew]);
    let whole = Case { containers: vec![("app", "r/w:t", "Always", &two[..1])], ..case };
    assert_eq!(of(whole), []);
}

/// The commands of all findings of these reports.
fn commands(reports: impl IntoIterator<Item = WorkloadReport>) -> Vec<String> {
    let mut commands = Vec::new();
    for report in reports {
        let mut found = Finding::all(&report);
        // Findings that only `audit --wait` and an alert have.
        if found.contains(&Finding::UnderWay) {
            found.push(Finding::HashesPersist);
        }
        if report.rollout.is_some_and(|rollout| rollout.state == Complete) {
            found.push(Finding::NotAvailable);
        }
        for finding in found {
            let remedy = remedy(&report, finding);
            commands.push(remedy.look);
            commands.extend(remedy.action.commands);
        }
    }
    commands
}

fn every_command_is_one_that_kubectl_ran() {
    let can_be = |case: &Case| match case.kind {
        "statefulset" => !matches!(case.state, Some(Paused | Canary | BlueGreen)),
        "daemonset" => !matches!(case.state, Some(Paused | Partitioned | Canary | BlueGreen)),
        "rollout" => !matches!(case.state, Some(Partitioned | OnDelete)),
        "deployment" => true,
        // podskew does not know the current template of these.
        _ => case.current.is_none(),
    };
    let cases = any_cases(2000).into_iter().filter(can_be);
    common::commands::are_known(&commands(cases.map(|case| case.report())));
}

/// In a shell, a command passes each name as one word, and runs nothing in it.
fn a_hostile_name_never_reaches_a_shell() {
    let folder = tempfile::tempdir().unwrap();
    let (kubectl, record) = (folder.path().join("kubectl"), folder.path().join("record"));
    std::fs::write(&kubectl, "#!/bin/sh\nprintf '%s\\0' \"$@\" >> \"$RECORD\"\n").unwrap();
    std::fs::set_permissions(&kubectl, PermissionsExt::from_mode(0o755)).unwrap();
    let names = [
        "we'b; touch owned",
        "$(touch owned)",
        "`touch owned`",
        "a b",
        "x\ntouch owned",
        "' && touch owned '",
        "*",
        "~",
        "#",
    ];
    for (case, name) in any_cases(90).iter().zip(names.iter().cycle()) {
        let mut report = case.report();
        report.workload.name = (*name).into();
        report.workload.namespace = format!("{name}ns").into();
        report.pods.iter_mut().for_each(|pod| pod.pod = format!("{name}{}", pod.pod).into());
        report.hashes.iter_mut().for_each(|hash| hash.hash = format!("{name}{}", hash.hash).into());
        for command in commands([report]) {
            std::fs::write(&record, "").unwrap();
            let mut shell = std::process::Command::new("/bin/sh");
            // There is no other program that it could run.
            shell.args(["-c", &command]).env_clear().env("PATH", folder.path()).env("RECORD", &record);
            let output = shell.current_dir(folder.path()).output().unwrap();
            let refusal = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && refusal.is_empty(), "{command}\n{refusal}");
            let words = std::fs::read_to_string(&record).unwrap();
            let namespace = words.split('\0').skip_while(|word| *word != "-n").nth(1).unwrap();
            // Names in the API have no control characters, so none is printed.
            assert_eq!(namespace, format!("{name}ns").replace('\n', "\u{fffd}"), "{command}");
        }
    }
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.len() == 2 && left.iter().all(|name| name == "kubectl" || name == "record"), "{left:?}");
}

/// No remedy deletes a Ready pod, or allows more pods to be replaced, while no pod of the new template is Ready.
fn harmful_commands_are_not_advised() {
    for (kind, state) in [
        ("deployment", Paused),
        ("statefulset", Partitioned),
        ("statefulset", OnDelete),
        ("daemonset", OnDelete),
        ("rollout", Canary),
        ("rollout", BlueGreen),
    ] {
        let older = vec![(7, "old", 4)];
        let held = Case { state: Some(state), older, ..case(kind, "r/w:t", "Always") };
        let failing = remedy(&held.report(), Finding::Held);
        assert!(failing.action.commands.is_empty(), "{kind} {state:?}: {failing}");
        assert_eq!(failing.action.words, "give the new pods what they lack");
        let ready = remedy(&Case { ready: 1, ..held }.report(), Finding::Held);
        assert_eq!(ready.action.commands.len(), 1, "{kind} {state:?}: {ready}");
    }
}

/// The tests and their requirements.
pub fn tests() -> Vec<Test> {
    tests![
        alerts_and_the_command_line_have_the_same_remedies: [PROMTOOL],
        both_quote_names_that_are_no_plain_words: [PROMTOOL],
        the_repository_is_that_of_the_spec_under_any_name: [PROMTOOL],
        each_kind_has_its_own_command: [PROMTOOL],
        a_restart_is_the_remedy_only_where_it_pulls_again: [PROMTOOL],
        containers_in_skew_are_pinned_in_one_line: [PROMTOOL],
        the_newest_digest_is_pinned_if_ages_show_it: [PROMTOOL],
        a_change_reaches_the_pods_that_a_setting_would_keep_it_from: [PROMTOOL],
        nothing_of_a_driven_statefulset_is_changed: [PROMTOOL],
        a_paused_workload_is_resumed_first: [PROMTOOL],
        a_skew_among_outdated_pods_ends_with_their_rollout: [PROMTOOL],
        a_rollout_is_undone_to_a_revision_that_worked: [PROMTOOL],
        the_remedy_follows_the_reason: [],
        the_remedy_names_the_quota_or_policy_that_refuses_the_pods: [],
        pods_that_may_be_on_their_way_do_not_hide_those_that_are_not: [],
        the_name_of_an_image_stays_one_word: [],
        a_look_selects_something: [PROMTOOL],
        nothing_from_a_file_is_more_than_one_word_of_a_command: [],
        findings_are_sorted_worst_first: [],
        every_command_is_one_that_kubectl_ran: [],
        a_hostile_name_never_reaches_a_shell: [],
        harmful_commands_are_not_advised: [],
    ]
}
