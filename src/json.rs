//! A workload's report as JSON. Every command prints this one shape.
//!
//! Field names are those of the metrics' labels and families. A name stays once it is released; new ones may be added.

#![allow(clippy::struct_field_names, reason = "the names are those of the labels")]

mod registry;

use crate::advice::{Action, Finding, Remedy, remedy};
use crate::report::{
    BlockedPods, ContainerReport, DigestPods, HashDigests, HashReport, ImageReference, LastRollout, Name, NodeReport,
    PodReport, RollbackTarget, RolloutReport, WorkloadReport,
};
use crate::terminal::humanize::visible;
use crate::time::{ObservationTime, UnixTime};
use serde::Serialize;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Version of every document that podskew prints. It rises when a name is removed or changes its meaning, not when
/// one is added.
pub const VERSION: u32 = 1;

/// The first fields of a document.
#[derive(Serialize, Debug)]
pub struct Head<'a> {
    version: u32,
    podskew: &'static str,
    taken: String,
    taken_from: &'static str,
    of: &'a str,
}

impl<'a> Head<'a> {
    /// For a snapshot of `of`, a cluster or files, that was taken at `taken`.
    #[must_use]
    pub fn new(taken: ObservationTime, of: &'a str) -> Self {
        Self {
            version: VERSION,
            podskew: env!("CARGO_PKG_VERSION"),
            taken: moment(taken.at),
            taken_from: taken.from.as_str(),
            of,
        }
    }
}

/// A workload.
#[derive(Serialize, Debug)]
pub struct Workload<'a> {
    namespace: &'a str,
    workload_type: &'a str,
    workload: &'a str,
    rollout: Option<Rollout>,
    /// The last rollout that completed, where that is known.
    last_rollout: Option<LastRolloutDone>,
    rollback_target: Option<Target<'a>>,
    blocking_pod: Option<&'a str>,
    /// Why the blocking pod is not Ready, if its template hash is not the current one.
    blocking: Option<Blocked<'a>>,
    blocked: Vec<Blocked<'a>>,
    distinct_template_hashes: u32,
    mixed_since: Option<String>,
    outdated_pods: Option<u32>,
    template_hashes: Vec<Hash<'a>>,
    containers: Vec<Container<'a>>,
    driver: Option<DrivenBy<'a>>,
    image_references: Vec<Image<'a>>,
    pods: Vec<Pod<'a>>,
    /// Evidence of nodes about the digest skew; only with `--nodes` and digest skew.
    #[serde(skip_serializing_if = "Option::is_none")]
    nodes: Option<Nodes<'a>>,
    /// Evidence of registries about the images; only with `--registry`.
    #[serde(skip_serializing_if = "Option::is_none")]
    registry: Option<registry::Evidence<'a>>,
    findings: Vec<Found>,
}

#[derive(Serialize, Debug)]
struct Rollout {
    state: &'static str,
    /// `None` if the start is unknown.
    started: Option<String>,
}

#[derive(Serialize, Debug)]
struct LastRolloutDone {
    completed: String,
    /// `None` if the start is unknown.
    duration_seconds: Option<u32>,
    /// Seconds of the duration in which the rollout was held on purpose; `None` unless podskew saw it.
    held_seconds: Option<u32>,
}

/// Pods that a rollout in progress waits for, grouped by reason.
#[derive(Serialize, Debug)]
struct Blocked<'a> {
    reason: &'static str,
    pods: u32,
    pod: Option<&'a str>,
    container: Option<&'a str>,
    image: Option<&'a str>,
    message: Option<&'a str>,
}

/// The revision that an unfinished or stalled rollout can go back to.
#[derive(Serialize, Debug)]
struct Target<'a> {
    pod_template_hash: &'a str,
    revision: u64,
}

/// The controller of the workload's own object.
#[derive(Serialize, Debug)]
struct DrivenBy<'a> {
    kind: &'a str,
    name: &'a str,
}

#[derive(Serialize, Debug)]
struct Hash<'a> {
    pod_template_hash: &'a str,
    revision: Option<u64>,
    current: Option<bool>,
    pods: u32,
    ready_pods: u32,
    terminating_pods: u32,
}

#[derive(Serialize, Debug)]
struct Container<'a> {
    container: &'a str,
    origin: &'static str,
    distinct_digests: u32,
    not_started: u32,
    not_reported: u32,
    image_id_only: u32,
    template_hashes: Vec<Digests<'a>>,
}

#[derive(Serialize, Debug)]
struct Digests<'a> {
    pod_template_hash: &'a str,
    origin: &'static str,
    distinct_digests: u32,
    skewed_since: Option<String>,
    newest_digest: Option<&'a str>,
    digests: Vec<Digest<'a>>,
}

#[derive(Serialize, Debug)]
struct Digest<'a> {
    image: &'a str,
    digest: &'a str,
    digest_kind: &'static str,
    pods: u32,
    /// Names of the pods; only with digest skew.
    skewed_pods: Vec<&'a str>,
}

/// Image reference and pull policy of one container in a template.
#[derive(Serialize, Debug)]
pub struct Image<'a> {
    container: &'a str,
    image: &'a str,
    reference: &'static str,
    pull_policy: &'a str,
}

#[derive(Serialize, Debug)]
struct Pod<'a> {
    pod: &'a str,
    node: &'a str,
    created: Option<String>,
    pod_template_hash: &'a str,
}

/// Evidence of nodes about a workload in digest skew.
#[derive(Serialize, Debug)]
struct Nodes<'a> {
    /// Architecture of each pod's node; pods on nodes of unknown architecture are left out.
    architectures: BTreeMap<&'a str, &'a str>,
    /// Skews in which each architecture runs one digest.
    by_architecture: Vec<ByArchitecture<'a>>,
    /// The images that nodes hold under the tags in skew.
    cached: Vec<Cached<'a>>,
}

#[derive(Serialize, Debug)]
struct ByArchitecture<'a> {
    pod_template_hash: &'a str,
    container: &'a str,
    digests: BTreeMap<&'a str, &'a str>,
}

#[derive(Serialize, Debug)]
struct Cached<'a> {
    image: &'a str,
    digest: &'a str,
    nodes: Vec<&'a str>,
}

#[derive(Serialize, Debug)]
struct Found {
    finding: &'static str,
    look: String,
    r#do: Done,
    why: Option<Cow<'static, str>>,
}

/// A remedy: one line for people, and the commands in it.
#[derive(Serialize, Debug)]
pub struct Done {
    text: String,
    commands: Vec<String>,
}

impl<'a> From<&'a WorkloadReport> for Workload<'a> {
    fn from(report: &'a WorkloadReport) -> Self {
        let crate::report::Workload { namespace, workload_type, name } = &report.workload;
        Self {
            namespace,
            workload_type,
            workload: name,
            rollout: report.rollout.map(Rollout::from),
            last_rollout: report.last_rollout.map(LastRolloutDone::from),
            rollback_target: report.rollback_target.as_ref().map(Target::from),
            blocking_pod: report.blocking_pod.and_then(|at| report.pods.get(at as usize)).map(|pod| &*pod.pod),
            blocking: report.blocking.as_ref().map(|blocking| Blocked::of(report, blocking)),
            blocked: report.blocked.iter().map(|blocked| Blocked::of(report, blocked)).collect(),
            distinct_template_hashes: report.distinct_hashes,
            mixed_since: report.mix_began().map(moment),
            outdated_pods: report.outdated_pods,
            template_hashes: report.hashes.iter().map(Hash::from).collect(),
            containers: report.containers.iter().map(|container| Container::of(report, container)).collect(),
            driver: report.driver.as_ref().map(|driver| DrivenBy { kind: &driver.kind, name: &driver.name }),
            image_references: report.image_references.iter().map(Image::from).collect(),
            pods: report.pods.iter().map(Pod::from).collect(),
            nodes: report.nodes.as_ref().map(|nodes| Nodes::of(report, nodes)),
            registry: report.registry.as_ref().map(|registry| registry::Evidence::from(&**registry)),
            findings: Finding::all(report)
                .into_iter()
                .map(|finding| Found::of(finding, remedy(report, finding)))
                .collect(),
        }
    }
}

impl<'a> Blocked<'a> {
    fn of(report: &'a WorkloadReport, blocked: &'a BlockedPods) -> Self {
        let known = |text: &'a Name| (!text.is_empty()).then_some(&**text);
        Self {
            reason: blocked.reason.as_str(),
            pods: blocked.pods,
            pod: blocked.pod.and_then(|at| report.pods.get(at as usize)).map(|pod| &*pod.pod),
            container: known(&blocked.container),
            image: known(&blocked.image),
            message: known(&blocked.message),
        }
    }
}

impl<'a> Nodes<'a> {
    fn of(report: &'a WorkloadReport, nodes: &'a NodeReport) -> Self {
        let pods = report.pods.iter().zip(&nodes.architectures);
        let by_architecture = nodes.by_architecture.iter().map(|by| ByArchitecture {
            pod_template_hash: &by.hash,
            container: &by.container,
            digests: by.digests.iter().map(|(architecture, digest)| (&**architecture, &**digest)).collect(),
        });
        let cached = nodes.cached.iter().map(|cached| Cached {
            image: &cached.image,
            digest: &cached.digest,
            nodes: cached.nodes.iter().map(|node| &**node).collect(),
        });
        Self {
            architectures: pods.filter_map(|(pod, known)| Some((&*pod.pod, &**known.as_ref()?))).collect(),
            by_architecture: by_architecture.collect(),
            cached: cached.collect(),
        }
    }
}

impl From<RolloutReport> for Rollout {
    fn from(rollout: RolloutReport) -> Self {
        Self { state: rollout.state.as_str(), started: rollout.began().map(moment) }
    }
}

impl From<LastRollout> for LastRolloutDone {
    fn from(last: LastRollout) -> Self {
        Self { completed: moment(last.completed), duration_seconds: last.duration, held_seconds: last.held }
    }
}

impl<'a> From<&'a RollbackTarget> for Target<'a> {
    fn from(target: &'a RollbackTarget) -> Self {
        Self { pod_template_hash: &target.hash, revision: target.revision }
    }
}

impl<'a> From<&'a HashReport> for Hash<'a> {
    fn from(hash: &'a HashReport) -> Self {
        Self {
            pod_template_hash: &hash.hash,
            revision: hash.revision,
            current: hash.current,
            pods: hash.pods,
            ready_pods: hash.ready_pods,
            terminating_pods: hash.terminating_pods,
        }
    }
}

impl<'a> Container<'a> {
    fn of(report: &'a WorkloadReport, container: &'a ContainerReport) -> Self {
        Self {
            container: &container.container,
            origin: container.origin.as_str(),
            distinct_digests: container.distinct_digests,
            not_started: container.not_started,
            not_reported: container.not_reported,
            image_id_only: container.image_id_only,
            template_hashes: container.by_hash.iter().map(|of_hash| Digests::of(report, of_hash)).collect(),
        }
    }
}

impl<'a> Digests<'a> {
    fn of(report: &'a WorkloadReport, of_hash: &'a HashDigests) -> Self {
        Self {
            pod_template_hash: &of_hash.hash,
            origin: of_hash.origin.as_str(),
            distinct_digests: of_hash.distinct_digests,
            skewed_since: of_hash.began().map(moment),
            newest_digest: of_hash.newest_digest.as_deref(),
            digests: of_hash.digests.iter().map(|pods| Digest::of(report, pods)).collect(),
        }
    }
}

impl<'a> Digest<'a> {
    fn of(report: &'a WorkloadReport, pods: &'a DigestPods) -> Self {
        let skewed = pods.skewed.iter().filter_map(|at| report.pods.get(*at as usize));
        Self {
            image: &pods.image,
            digest: &pods.digest,
            digest_kind: pods.kind.as_str(),
            pods: pods.pods,
            skewed_pods: skewed.map(|pod| &*pod.pod).collect(),
        }
    }
}

impl<'a> From<&'a ImageReference> for Image<'a> {
    fn from(image: &'a ImageReference) -> Self {
        Self {
            container: &image.container,
            image: &image.image,
            reference: image.reference.as_str(),
            pull_policy: &image.pull_policy,
        }
    }
}

impl<'a> From<&'a PodReport> for Pod<'a> {
    fn from(pod: &'a PodReport) -> Self {
        Self { pod: &pod.pod, node: &pod.node, created: pod.created.map(moment), pod_template_hash: &pod.hash }
    }
}

impl Found {
    fn of(finding: Finding, remedy: Remedy) -> Self {
        Self { finding: finding.as_str(), look: remedy.look, r#do: remedy.action.into(), why: remedy.why }
    }
}

impl From<Action> for Done {
    fn from(action: Action) -> Self {
        Self { text: action.to_string(), commands: action.commands }
    }
}

/// Serializes a document. `serde_json` escapes most control characters. Those above ASCII also move a terminal's
/// cursor, so they are replaced as in tables.
pub fn printed(document: &impl Serialize) -> serde_json::Result<String> {
    Ok(serde_json::to_string_pretty(document)?.chars().map(visible).collect())
}

/// Formats a time as Kubernetes does.
#[must_use]
pub fn moment(moment: UnixTime) -> String {
    jiff::Timestamp::from_second(i64::from(moment.seconds())).map(|moment| moment.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::printed;

    #[test]
    fn no_text_moves_the_cursor_of_whoever_reads_the_json() {
        let controls: String = ('\0'..='\u{a0}').chain(['\u{202e}']).collect();
        let text = printed(&[&controls]).unwrap();
        assert!(text.chars().all(|character| character == '\n' || !character.is_control()), "{text:?}");
        assert!(!text.contains('\u{202e}'));
        let read: Vec<String> = serde_json::from_str(&text).unwrap();
        assert_eq!(read[0].chars().count(), controls.chars().count());
        assert!(read[0].starts_with("\0\u{1}") && read[0].contains("~\u{fffd}\u{fffd}"), "{read:?}");
    }
}
