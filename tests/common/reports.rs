//! Reports written by hand, and random reports.

use podskew::report::{
    ContainerReport, DigestKind, DigestPods, HashDigests, HashReport, ImageReference, Name, Origin, PodReport,
    ReferenceKind, RolloutReport, RolloutState, Workload, WorkloadReport,
};
use podskew::time::UnixTime;
use proptest::collection::vec;
use proptest::prelude::*;

/// A time.
pub fn at(seconds: u32) -> UnixTime {
    UnixTime::from_seconds(i64::from(seconds)).unwrap()
}

/// A workload's name.
pub fn workload(namespace: &str, workload_type: &str, name: &str) -> Workload {
    Workload { namespace: namespace.into(), workload_type: workload_type.into(), name: name.into() }
}

/// A report without any facts.
pub fn empty(workload: Workload) -> WorkloadReport {
    WorkloadReport {
        workload,
        hashes: Vec::new(),
        distinct_hashes: 0,
        mixed_since: None,
        mixed_noticed: false,
        containers: Vec::new(),
        outdated_pods: None,
        rollout: None,
        rollback_target: None,
        blocking_pod: None,
        blocking: None,
        last_rollout: None,
        rollouts: None,
        blocked: Vec::new(),
        wanted_pods: None,
        deliberate: false,
        aborted: false,
        driver: None,
        update_hold: None,
        template_of: None,
        available: None,
        image_references: Vec::new(),
        pods: Vec::new(),
        nodes: None,
        registry: None,
        changes_at: None,
    }
}

/// A pod without labels.
pub fn pod(name: &str, node: &str, hash: &str, labels: &[Option<&str>]) -> PodReport {
    PodReport {
        pod: name.into(),
        node: node.into(),
        created: None,
        terminating: false,
        hash: hash.into(),
        labels: names(labels),
    }
}

/// A Deployment during a rollout, one of whose hashes has had digest skew since 400.
pub fn skewed_deployment() -> WorkloadReport {
    let digest = |digest: &str, pods, skewed: &[u32]| DigestPods {
        image: "registry.example/shop/web:1.4".into(),
        digest: digest.into(),
        kind: DigestKind::Manifest,
        pods,
        skewed: skewed.to_vec(),
    };
    let of_hash = |hash: &str, skewed_since: Option<u32>, digests: Vec<DigestPods>| HashDigests {
        hash: hash.into(),
        origin: Origin::Template,
        distinct_digests: if skewed_since.is_some() { 2 } else { 1 },
        skewed_since: skewed_since.map(at),
        noticed: false,
        newest_digest: skewed_since.map(|_| "sha256:bb".into()),
        may_be_one_image: false,
        digests,
    };
    let hash = |hash: &str, revision, current, pods, ready_pods, terminating_pods, label: Option<&str>| HashReport {
        hash: Name::from(hash),
        revision: Some(revision),
        current: Some(current),
        pods,
        ready_pods,
        terminating_pods,
        labels: names(&[label]),
    };
    WorkloadReport {
        hashes: vec![hash("5d4f", 7, true, 2, 1, 0, Some("1.4")), hash("7c9b", 6, false, 1, 1, 1, None)],
        distinct_hashes: 2,
        mixed_since: Some(at(900)),
        containers: vec![
            ContainerReport {
                container: "proxy".into(),
                origin: Origin::Injected,
                distinct_digests: 0,
                by_hash: Vec::new(),
                not_started: 3,
                not_reported: 0,
                image_id_only: 0,
                unresolved: Vec::new(),
            },
            ContainerReport {
                container: "web".into(),
                origin: Origin::Template,
                distinct_digests: 2,
                by_hash: vec![
                    of_hash("5d4f", Some(400), vec![digest("sha256:aa", 1, &[0]), digest("sha256:bb", 1, &[1])]),
                    of_hash("7c9b", None, vec![digest("sha256:aa", 1, &[])]),
                ],
                not_started: 0,
                not_reported: 0,
                image_id_only: 1,
                unresolved: Vec::new(),
            },
        ],
        outdated_pods: Some(1),
        rollout: Some(RolloutReport { state: RolloutState::Progressing, started: Some(at(940)), noticed: false }),
        available: None,
        image_references: vec![ImageReference {
            container: "web".into(),
            image: "registry.example/shop/web:1.4".into(),
            reference: ReferenceKind::Tag,
            pull_policy: "IfNotPresent".into(),
        }],
        pods: vec![
            pod("web-5d4f-1", "node-a", "5d4f", &[Some("1.4")]),
            pod("web-5d4f-2", "node-b", "5d4f", &[Some("1.4-rc\"1\"\\\n日本")]),
            pod("web-7c9b-1", "node-a", "7c9b", &[None]),
            pod("web-7c9b-2", "", "7c9b", &[None]),
        ],
        ..empty(workload("shop", "deployment", "web"))
    }
}

/// A steady workload of a custom kind, whose pods have no hash.
pub fn plain_workload() -> WorkloadReport {
    WorkloadReport {
        hashes: vec![HashReport {
            hash: "".into(),
            revision: None,
            current: None,
            pods: 1,
            ready_pods: 1,
            terminating_pods: 0,
            labels: names(&[None]),
        }],
        distinct_hashes: 0,
        containers: vec![ContainerReport {
            container: "db".into(),
            origin: Origin::Unknown,
            distinct_digests: 1,
            by_hash: vec![HashDigests {
                hash: "".into(),
                origin: Origin::Unknown,
                distinct_digests: 1,
                skewed_since: None,
                noticed: false,
                newest_digest: None,
                may_be_one_image: false,
                digests: vec![DigestPods {
                    image: "db:15".into(),
                    digest: "sha256:cc".into(),
                    kind: DigestKind::Manifest,
                    pods: 1,
                    skewed: Vec::new(),
                }],
            }],
            not_started: 0,
            not_reported: 0,
            image_id_only: 0,
            unresolved: Vec::new(),
        }],
        pods: vec![pod("db-1", "node-b", "", &[None])],
        ..empty(workload("data", "cluster.postgresql.cnpg.io", "db"))
    }
}

/// A random report of one of a few workloads. Some have enough text to fill a bucket alone.
pub fn any_report() -> impl Strategy<Value = WorkloadReport> {
    let containers = vec(any_container(), 0..3);
    let numbers = (0..5_u32, proptest::option::of(0..3_u32), any_since(), any_rollout());
    (any_workload(), vec(any_hash(), 0..3), containers, vec(any_text(), 0..8), 0..3000_usize, numbers).prop_map(
        |(workload, mut hashes, mut containers, mut pods, padding, numbers)| {
            let (distinct_hashes, outdated_pods, mixed_since, rollout) = numbers;
            hashes.sort_by(|a, b| a.hash.cmp(&b.hash));
            hashes.dedup_by(|a, b| a.hash == b.hash);
            containers.sort_by(|a, b| a.container.cmp(&b.container));
            containers.dedup_by(|a, b| a.container == b.container);
            pods.sort();
            pods.dedup();
            let node = "n".repeat(padding);
            let pods: Vec<PodReport> = pods.iter().map(|name| pod(name, &node, "h1", &[Some(name)])).collect();
            for of_hash in containers.iter_mut().flat_map(|container| &mut container.by_hash) {
                let skewed = of_hash.skewed_since.is_some();
                let indexes = (0..u32::try_from(pods.len()).unwrap()).filter(|_| skewed);
                if let Some(first) = of_hash.digests.first_mut() {
                    first.skewed = indexes.collect();
                }
            }
            WorkloadReport {
                hashes,
                distinct_hashes,
                mixed_since,
                containers,
                outdated_pods,
                rollout,
                pods,
                ..empty(workload)
            }
        },
    )
}

/// A random workload out of a few dozen.
pub fn any_workload() -> impl Strategy<Value = Workload> {
    let types = prop_oneof![Just("deployment"), Just("statefulset"), Just("cloneset.apps.kruise.io")];
    (0..3_u8, types, 0..12_u8).prop_map(|(n, kind, w)| workload(&format!("ns{n}"), kind, &format!("w{w}")))
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[a-c]{1,4}", 1 => ".{0,12}", 1 => "[\"\\\\\n,{}= #]{1,5}"]
}

fn any_since() -> impl Strategy<Value = Option<UnixTime>> {
    proptest::option::of((1..2000_u32).prop_map(at))
}

fn any_rollout() -> impl Strategy<Value = Option<RolloutReport>> {
    let states = prop_oneof![Just(RolloutState::Complete), Just(RolloutState::Stalled), Just(RolloutState::OnDelete)];
    proptest::option::of((states, any_since()).prop_map(|(state, started)| RolloutReport {
        state,
        started,
        noticed: false,
    }))
}

fn any_origin() -> impl Strategy<Value = Origin> {
    prop_oneof![Just(Origin::Template), Just(Origin::Injected), Just(Origin::Unknown)]
}

fn any_hash() -> impl Strategy<Value = HashReport> {
    let texts = ("(h[1-3])?", proptest::option::of(any_text()));
    let numbers = (proptest::option::of(any::<u64>()), proptest::option::of(any::<bool>()), 0..9_u32, 0..2_u32);
    (texts, numbers).prop_map(|((hash, label), (revision, current, pods, terminating_pods))| HashReport {
        hash: hash.into(),
        revision,
        current,
        pods,
        ready_pods: pods / 2,
        terminating_pods,
        labels: names(&[label.as_deref()]),
    })
}

fn any_container() -> impl Strategy<Value = ContainerReport> {
    let by_hash = (any_origin(), any_since(), vec(any_text(), 1..4));
    (any_text(), any_origin(), vec(by_hash, 0..3), 0..3_u32).prop_map(|(container, origin, by_hash, count)| {
        let by_hash = by_hash.into_iter().enumerate().map(|(index, (origin, skewed_since, mut digests))| {
            digests.sort();
            digests.dedup();
            let pods = |digest: String| DigestPods {
                image: "i".into(),
                digest: digest.into(),
                kind: DigestKind::Manifest,
                pods: count,
                skewed: Vec::new(),
            };
            HashDigests {
                hash: format!("h{index}").into(),
                origin,
                distinct_digests: 1 + u32::from(skewed_since.is_some()),
                skewed_since,
                noticed: false,
                newest_digest: digests.last().filter(|_| skewed_since.is_some()).map(|digest| digest.as_str().into()),
                may_be_one_image: false,
                digests: digests.into_iter().map(pods).collect(),
            }
        });
        ContainerReport {
            container: container.into(),
            origin,
            distinct_digests: count,
            by_hash: by_hash.collect(),
            not_started: count,
            not_reported: count / 3,
            image_id_only: count / 2,
            unresolved: Vec::new(),
        }
    })
}

fn names(values: &[Option<&str>]) -> Box<[Option<Name>]> {
    values.iter().map(|value| value.map(Name::from)).collect()
}
