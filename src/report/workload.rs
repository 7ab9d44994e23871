//! Builds the report of one workload.

use super::blocked::{blocked, blocking};
use super::containers::containers;
use super::facts::{Controller, ControllerKind, ImageFacts, Observed, ObservedRollout, Replicas, WorkloadFacts};
use super::node_report::node_report;
use super::outcome::last_rollout;
use super::registry::registry_report;
use super::rollback;
use super::rollout::{CurrentHash, mixed_since, progress};
use super::{Driver, HashReport, ImageReference, Name, PodReport, ReferenceKind, UpdateHold, WorkloadReport, by_name};
use crate::time::UnixTime;

/// Returns the report of a workload. `course` is the result of [`observe`](super::observe) for the same facts.
#[must_use]
pub fn report(facts: &WorkloadFacts<'_>, course: &ObservedRollout, now: UnixTime) -> WorkloadReport {
    let containers = containers(facts, now);
    let progress = progress(facts, course, now);
    let hashes = hashes(facts, progress.current);
    let blocking_pod = rollback::blocking_pod(facts, &progress);
    let (mixed_since, mixed_noticed) = mixed_since(facts, now);
    let image_references = image_references(facts, progress.current);
    let current = match progress.current {
        CurrentHash::Hash(hash) => Some(hash),
        CurrentHash::None | CurrentHash::Unknown => None,
    };
    let distinct = hashes.iter().filter(|hash| hash.pods > 0 && !hash.hash.is_empty()).count();
    WorkloadReport {
        nodes: node_report(facts, &containers),
        registry: registry_report(facts, current, &containers, &image_references),
        workload: facts.workload.clone(),
        distinct_hashes: u32::try_from(distinct).unwrap_or(u32::MAX),
        mixed_since,
        mixed_noticed,
        containers,
        outdated_pods: progress.outdated_pods,
        rollout: progress.rollout,
        rollback_target: rollback::target(facts, &progress),
        blocking_pod,
        blocking: blocking(facts, &progress, blocking_pod),
        last_rollout: last_rollout(facts, &progress),
        rollouts: facts.controller.as_ref().map(|_| facts.memory.rollout_counts),
        blocked: blocked(facts, &progress),
        wanted_pods: facts.controller.as_ref().map(|controller| controller.replicas.wanted),
        deliberate: progress.deliberate && distinct > 1,
        aborted: is_aborted(facts),
        driver: driver(facts),
        update_hold: update_hold(facts),
        template_of: template_of(facts),
        available: facts.controller.as_ref().map(|controller| is_available(facts, controller)),
        image_references,
        pods: facts
            .pods
            .iter()
            .map(|pod| PodReport {
                pod: pod.name.clone(),
                node: pod.node.clone(),
                created: pod.created,
                terminating: pod.terminating,
                hash: pod.hash.clone(),
                labels: pod.labels.clone(),
            })
            .collect(),
        changes_at: progress.changes_at,
        hashes,
    }
}

fn is_aborted(facts: &WorkloadFacts<'_>) -> bool {
    matches!(facts.controller.as_ref().map(|controller| &controller.kind), Some(ControllerKind::Rollout(rollout)) if rollout.aborted)
}

fn driver(facts: &WorkloadFacts<'_>) -> Option<Driver> {
    match &facts.controller.as_ref()?.kind {
        ControllerKind::StatefulSet { driver: Some((kind, name)), .. } => {
            Some(Driver { kind: (*kind).clone(), name: (*name).clone() })
        }
        _ => None,
    }
}

fn update_hold(facts: &WorkloadFacts<'_>) -> Option<UpdateHold> {
    facts.controller.as_ref()?.kind.update_hold()
}

/// The Deployment whose template an Argo Rollout uses.
pub(super) fn template_of(facts: &WorkloadFacts<'_>) -> Option<Name> {
    match &facts.controller.as_ref()?.kind {
        ControllerKind::Rollout(rollout) if !rollout.deployment.is_empty() => Some(Name::clone(rollout.deployment)),
        _ => None,
    }
}

/// Whether all wanted pods are available. The status may be behind the pods, and the pods behind the status, so both have
/// to agree.
fn is_available(facts: &WorkloadFacts<'_>, controller: &Controller<'_>) -> bool {
    let ready = facts.pods.iter().filter(|pod| !pod.terminating && pod.ready).count();
    let Replicas { wanted, available } = controller.replicas;
    controller.observed == Observed::Now
        && available >= wanted
        && u32::try_from(ready).is_ok_and(|ready| ready >= wanted)
}

/// Returns each hash that has pods, and the current hash.
fn hashes(facts: &WorkloadFacts<'_>, current: CurrentHash<'_>) -> Vec<HashReport> {
    let mut names: Vec<&Name> = facts.pods.iter().map(|pod| pod.hash).collect();
    if let CurrentHash::Hash(hash) = current {
        names.push(hash);
    }
    names.sort_unstable_by(|a, b| by_name(a, b));
    names.dedup();
    let mut hashes: Vec<HashReport> = names
        .into_iter()
        .map(|hash| {
            let template = facts.template(hash);
            HashReport {
                hash: hash.clone(),
                revision: template.and_then(|template| template.revision),
                current: match current {
                    CurrentHash::Hash(current) => Some(current == hash),
                    CurrentHash::None => Some(false),
                    CurrentHash::Unknown => None,
                },
                pods: 0,
                ready_pods: 0,
                terminating_pods: 0,
                labels: template.map(|template| template.labels.clone()).unwrap_or_default(),
            }
        })
        .collect();
    for pod in &facts.pods {
        let Ok(at) = hashes.binary_search_by(|report| by_name(&report.hash, pod.hash)) else {
            continue;
        };
        let report = &mut hashes[at];
        if pod.terminating {
            report.terminating_pods += 1;
        } else {
            report.pods += 1;
            report.ready_pods += u32::from(pod.ready);
        }
    }
    hashes
}

/// Returns the images of the current template.
fn image_references(facts: &WorkloadFacts<'_>, current: CurrentHash<'_>) -> Vec<ImageReference> {
    let (Some(controller), CurrentHash::Hash(hash)) = (facts.controller.as_ref(), current) else {
        return Vec::new();
    };
    let kept = facts.template(hash).map(|template| &template.images);
    let images = match &controller.kind {
        // The current ReplicaSet keeps no copy: it equals the Deployment's template by definition.
        ControllerKind::Deployment(_) => &controller.images,
        // Only if the revision cannot be read, and no newer template waits.
        kind if kind.makes_pods() && kept.is_none() && controller.observed == Observed::Now => &controller.images,
        _ => match kept {
            Some(images) => images,
            None => return Vec::new(),
        },
    };
    let mut references: Vec<ImageReference> = images.iter().map(image_reference).collect();
    references.sort_unstable_by(|a, b| a.container.cmp(&b.container));
    references.dedup_by(|a, b| a.container == b.container);
    references
}

pub(super) fn image_reference(image: &ImageFacts<'_>) -> ImageReference {
    ImageReference {
        container: image.container.clone(),
        image: image.image.clone(),
        reference: ReferenceKind::of(image.image),
        pull_policy: image.pull_policy.clone(),
    }
}

impl ReferenceKind {
    /// How an image string names its image.
    #[must_use]
    pub fn of(image: &str) -> Self {
        if image.contains('@') {
            return Self::Digest;
        }
        // A colon before the last slash belongs to the registry's port.
        let name = image.rsplit_once('/').map_or(image, |(_, name)| name);
        match name.rsplit_once(':') {
            Some((_, tag)) if tag != "latest" => Self::Tag,
            _ => Self::Latest,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ReferenceKind;

    #[test]
    fn a_port_is_not_a_tag_and_a_missing_tag_is_latest() {
        assert_eq!(ReferenceKind::of("nginx"), ReferenceKind::Latest);
        assert_eq!(ReferenceKind::of("localhost:5000/nginx"), ReferenceKind::Latest);
        assert_eq!(ReferenceKind::of("localhost:5000/nginx:latest"), ReferenceKind::Latest);
        assert_eq!(ReferenceKind::of("localhost:5000/nginx:1.27"), ReferenceKind::Tag);
        assert_eq!(ReferenceKind::of("nginx:1.27@sha256:aa"), ReferenceKind::Digest);
    }
}
