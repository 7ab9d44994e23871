//! Pods and old ReplicaSets of a fleet, encoded once for all services, with a blank for each part that differs.
//!
//! Ten rolling updates of a large cluster create millions of objects. This way each of them costs a copy.

use super::encoded::Encoded;
use super::parts::{Container, Pod, Stage};
use super::random::{Random, digest};
use super::recording::rfc3339;
use super::service::{Counts, Identity, Revision, Service, node};
use super::template::Template;
use crate::resource::Resource;
use crate::time::Time;
use serde_json::{Value, json};
use std::sync::LazyLock;

const NAMESPACE: &str = "@@NAMESPACE@@";
const APP: &str = "@@APP@@";
const TAG: &str = "@@TAG@@";
const SIDECAR_TAG: &str = "@@SIDECAR-TAG@@";
const COMMIT: &str = "@@COMMIT@@";
const HASH: &str = "@@HASH@@";
const OWNER: &str = "@@OWNER@@";
const UID: &str = "@@UID@@";
const SUFFIX: &str = "@@SUFFIX@@";
const NODE: &str = "@@NODE@@";
const DIGEST_A: &str = "@@DIGEST-A@@";
const DIGEST_B: &str = "@@DIGEST-B@@";
const IP: &str = "@@IP@@";
const CONTAINER_A: &str = "@@CONTAINER-A@@";
const CONTAINER_B: &str = "@@CONTAINER-B@@";
const NUMBER: &str = "@@NUMBER@@";
const DESIRED: &str = "@@DESIRED@@";
const MOST: &str = "@@MOST@@";
/// Times at which nothing was created, so they can be placeholders for the times of creation.
const CREATED: &str = "1970-01-01T00:00:01Z";
const READY: &str = "1970-01-01T00:00:02Z";
const DELETED: &str = "1970-01-01T00:00:03Z";

const POD_BLANKS: [&str; 18] = [
    NAMESPACE,
    APP,
    TAG,
    SIDECAR_TAG,
    COMMIT,
    HASH,
    OWNER,
    UID,
    SUFFIX,
    NODE,
    DIGEST_A,
    DIGEST_B,
    IP,
    CONTAINER_A,
    CONTAINER_B,
    CREATED,
    READY,
    DELETED,
];
const REPLICA_SET_BLANKS: [&str; 12] =
    [NAMESPACE, APP, TAG, SIDECAR_TAG, COMMIT, HASH, OWNER, UID, NUMBER, DESIRED, MOST, CREATED];

/// The stages of a pod in a rolling update; each is one event of a watch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum PodStage {
    /// The ReplicaSet controller has created it.
    Created,
    /// The scheduler has bound it to a node.
    Scheduled,
    /// The kubelet creates its containers.
    Starting,
    /// The kubelet has made its sandbox, and reports that in a condition.
    Sandboxed,
    /// Its containers run; none of them is Ready yet.
    Started,
    Ready,
    /// It is being deleted.
    Terminating,
    /// Its containers have ended, so its phase is a finished one. The deletion follows.
    Stopped,
}

impl PodStage {
    const ALL: [Self; 8] = [
        Self::Created,
        Self::Scheduled,
        Self::Starting,
        Self::Sandboxed,
        Self::Started,
        Self::Ready,
        Self::Terminating,
        Self::Stopped,
    ];
}

/// One version of a service: the parts that differ between its objects.
#[derive(Clone, Debug)]
pub(super) struct Version {
    /// Its revision.
    pub(super) number: u32,
    pub(super) tag: String,
    pub(super) sidecar_tag: Option<String>,
    pub(super) identity: Identity,
    pub(super) rolled_out: Time,
}

/// The encoded pods of services with one container and with two.
struct Patterns {
    pods: [[Template; PodStage::ALL.len()]; 2],
    replica_sets: [Template; 2],
}

static PATTERNS: LazyLock<Patterns> = LazyLock::new(|| {
    let of = |sidecar: bool| PodStage::ALL.map(|stage| pod_pattern(sidecar, stage));
    Patterns { pods: [of(false), of(true)], replica_sets: [false, true].map(replica_set_pattern) }
});

/// The container of a service, and its sidecar.
pub(super) fn containers(service: &Service, tag: &str, sidecar_tag: Option<&str>) -> Vec<Container> {
    let image = format!("registry.example/{}/{}:{tag}", service.namespace, service.name);
    let sidecar = sidecar_tag.map(|tag| Container::new("log-shipper", &sidecar_image(tag)));
    std::iter::once(Container::new("app", &image)).chain(sidecar).collect()
}

fn sidecar_image(tag: &str) -> String {
    format!("registry.example/platform/log-shipper:{tag}")
}

/// Name of a version's pod. Random suffixes of five letters would repeat now and then, so the index is part of the suffix.
pub(super) fn pod_name(service: &Service, version: &Version, index: u32) -> String {
    let random = &mut pod_random(version, index);
    format!("{}-{}-{}", service.name, version.identity.hash, suffix(random, index))
}

/// How to encode an object of a fleet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Manner {
    /// Whether the tag resolves to another image for this pod.
    pub(super) moved: bool,
    /// Whether protobuf is encoded at once instead of on demand.
    pub(super) in_protobuf: bool,
    /// Number of nodes for its pods.
    pub(super) nodes: u32,
}

/// The pod of a version with this index, the same in each call.
pub(super) fn pod(service: &Service, version: &Version, index: u32, stage: PodStage, manner: Manner) -> Encoded {
    let random = &mut pod_random(version, index);
    let suffix = suffix(random, index);
    let name = format!("{}-{}-{suffix}", service.name, version.identity.hash);
    let image = format!("registry.example/{}/{}:{}", service.namespace, service.name, version.tag);
    let digest_a = if manner.moved { digest(&format!("{image} pushed again")) } else { digest(&image) };
    let sidecar_tag = version.sidecar_tag.as_deref().unwrap_or_default();
    let created = version.rolled_out.plus(index % 60);
    let values = [
        &service.namespace,
        &service.name,
        &version.tag,
        sidecar_tag,
        &version.identity.commit,
        &version.identity.hash,
        &version.identity.uid,
        &random.uid(),
        &suffix,
        &node(random.below(manner.nodes)),
        &digest_a,
        &digest(&sidecar_image(sidecar_tag)),
        &format!("10.{}.{}.{}", random.below(256), random.below(256), 1 + random.below(254)),
        &random.hex64(),
        &random.hex64(),
        &rfc3339(created),
        &rfc3339(created.plus(9)),
        &rfc3339(Time::now().plus(5)),
    ];
    let pattern = &PATTERNS.pods[usize::from(version.sidecar_tag.is_some())][stage as usize];
    pattern.fill(&service.namespace, &name, &values, manner.in_protobuf)
}

/// The ReplicaSet of a version that has no pods any more.
pub(super) fn old_replica_set(service: &Service, version: &Version, desired: u32, in_protobuf: bool) -> Encoded {
    let name = format!("{}-{}", service.name, version.identity.hash);
    let values = [
        &service.namespace,
        &service.name,
        &version.tag,
        version.sidecar_tag.as_deref().unwrap_or_default(),
        &version.identity.commit,
        &version.identity.hash,
        &service.uid,
        &version.identity.uid,
        &version.number.to_string(),
        &desired.to_string(),
        &(desired + desired.div_ceil(4)).to_string(),
        &rfc3339(version.rolled_out),
    ];
    let pattern = &PATTERNS.replica_sets[usize::from(version.sidecar_tag.is_some())];
    pattern.fill(&service.namespace, &name, &values, in_protobuf)
}

/// The random parts of a pod depend on its ReplicaSet and its index.
fn pod_random(version: &Version, index: u32) -> Random {
    let mut random = Random::of(&version.identity.uid);
    Random::new(random.next() ^ u64::from(index).wrapping_mul(0xd134_2543_de82_ef95))
}

fn suffix(random: &mut Random, index: u32) -> String {
    let mut suffix = random.suffix();
    suffix.pop();
    format!("{suffix}{index:x}")
}

fn pattern_service() -> Service {
    let mut service = Service::new(NAMESPACE, APP, blank_time(1));
    OWNER.clone_into(&mut service.uid);
    service
}

fn pattern_revision(service: &Service, sidecar: bool) -> Revision {
    let mut revision = service.revision(1, containers(service, TAG, sidecar.then_some(SIDECAR_TAG)), blank_time(1));
    HASH.clone_into(&mut revision.hash);
    revision.template["metadata"]["labels"]["git-commit"] = COMMIT.into();
    revision
}

fn replica_set_pattern(sidecar: bool) -> Template {
    let service = pattern_service();
    let mut revision = pattern_revision(&service, sidecar);
    UID.clone_into(&mut revision.uid);
    let mut object = service.replica_set(&revision, 0, 0, Counts::default());
    let annotations = &mut object["metadata"]["annotations"];
    annotations["deployment.kubernetes.io/revision"] = NUMBER.into();
    annotations["deployment.kubernetes.io/desired-replicas"] = DESIRED.into();
    annotations["deployment.kubernetes.io/max-replicas"] = MOST.into();
    Template::new(Resource::ReplicaSets, object, &REPLICA_SET_BLANKS)
}

fn pod_pattern(sidecar: bool, stage: PodStage) -> Template {
    let service = pattern_service();
    let mut revision = pattern_revision(&service, sidecar);
    OWNER.clone_into(&mut revision.uid);
    let begun = if stage < PodStage::Started { Stage::Creating } else { Stage::Running(blank_time(2)) };
    let mut pod = Pod {
        uid: UID.to_owned(),
        node: NODE.to_owned(),
        digests: vec![DIGEST_A.to_owned(), DIGEST_B.to_owned()],
        ..service.pod(&revision, SUFFIX, blank_time(1), begun)
    };
    pod.digests.truncate(revision.containers.len());
    pod.deletion = (stage >= PodStage::Terminating).then(|| blank_time(3));
    let mut object = pod.object();
    match stage {
        PodStage::Created | PodStage::Scheduled => without_kubelet(&mut object, stage),
        PodStage::Starting => set_condition(&mut object, "PodReadyToStartContainers", "False"),
        PodStage::Started => start(&mut object),
        PodStage::Stopped => stop(&mut object),
        _ => {}
    }
    // These texts are from this pod. As blanks, they are also replaced in its managed fields.
    let texts = ["/status/podIP", "/status/containerStatuses/0/containerID", "/status/containerStatuses/1/containerID"]
        .map(|pointer| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned());
    let mut blanks = POD_BLANKS;
    for (blank, text) in [IP, CONTAINER_A, CONTAINER_B].into_iter().zip(&texts) {
        let text = text.trim_start_matches("containerd://");
        let blank = blanks.iter_mut().find(|known| **known == blank);
        if let Some(blank) = blank.filter(|_| !text.is_empty()) {
            *blank = text;
        }
    }
    Template::new(Resource::Pods, object, &blanks)
}

/// Removes what the kubelet writes, and from a pod that was just created also what the scheduler writes.
fn without_kubelet(pod: &mut Value, stage: PodStage) {
    let mut status = json!({"phase": "Pending", "qosClass": "Burstable"});
    if stage == PodStage::Scheduled {
        status["conditions"] = json!([{
            "type": "PodScheduled", "status": "True", "observedGeneration": 1, "lastProbeTime": null,
            "lastTransitionTime": CREATED,
        }]);
    } else if let Some(spec) = pod["spec"].as_object_mut() {
        spec.remove("nodeName");
    }
    pod["status"] = status;
    if let Some(managers) = pod["metadata"]["managedFields"].as_array_mut() {
        managers.truncate(1);
    }
}

/// Sets the status of a pod whose containers run, but were not found Ready yet.
fn start(pod: &mut Value) {
    set_condition(pod, "Ready", "False");
    set_condition(pod, "ContainersReady", "False");
    for container in pod["status"]["containerStatuses"].as_array_mut().into_iter().flatten() {
        container["ready"] = false.into();
    }
}

fn set_condition(pod: &mut Value, kind: &str, status: &str) {
    let conditions = pod["status"]["conditions"].as_array_mut().into_iter().flatten();
    for condition in conditions.filter(|condition| condition["type"] == kind) {
        condition["status"] = status.into();
    }
}

/// Sets the status of a pod whose containers ended in time.
fn stop(pod: &mut Value) {
    let status = &mut pod["status"];
    status["phase"] = "Succeeded".into();
    for condition in status["conditions"].as_array_mut().into_iter().flatten() {
        if condition["type"] == "Ready" || condition["type"] == "ContainersReady" {
            condition["status"] = "False".into();
            condition["reason"] = "PodCompleted".into();
        }
    }
    for container in status["containerStatuses"].as_array_mut().into_iter().flatten() {
        container["ready"] = false.into();
        container["started"] = false.into();
        container["state"] = json!({"terminated": {
            "exitCode": 0, "reason": "Completed", "startedAt": READY, "finishedAt": DELETED,
            "containerID": container["containerID"],
        }});
    }
}

fn blank_time(second: i64) -> Time {
    Time::from_seconds(second)
}
