//! Explanations as JSON: a workload's report as in every command, with its history.
#![allow(clippy::struct_field_names, reason = "the names are those of the labels")]

use super::Explanation;
use super::unready::Reason;
use crate::advice::{pin, roll_back};
use crate::json::{Done, Head, Image, Workload, moment, printed};
use crate::report::history::{ContainerDetail, History, PodDetail, Revision};
use crate::report::{PodReport, WorkloadReport};
use crate::snapshot::Snapshot;
use serde::Serialize;

#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    workloads: Vec<Explained<'a>>,
}

/// A workload with its history.
#[derive(Serialize)]
pub struct Explained<'a> {
    #[serde(flatten)]
    workload: Workload<'a>,
    held_by: Option<String>,
    history: Vec<PastTemplate<'a>>,
    /// The commands that pin all replicas to one digest, if an image reference may move.
    pin: Option<Done>,
    /// The named pod.
    pod: Option<Pod<'a>>,
    /// Pods of the current hash that are not Ready.
    not_ready: Vec<NotReady<'a>>,
    not_known: &'a [String],
}

#[derive(Serialize)]
struct NotReady<'a> {
    pod: &'a str,
    node: &'a str,
    pod_template_hash: &'a str,
    reasons: Vec<Reason<'a>>,
}

#[derive(Serialize)]
struct PastTemplate<'a> {
    pod_template_hash: &'a str,
    revision: Option<u64>,
    created: Option<String>,
    current: Option<bool>,
    /// Whether it is known to have worked.
    worked: bool,
    images: Vec<Image<'a>>,
    roll_back: Option<Done>,
}

#[derive(Serialize)]
struct Pod<'a> {
    pod: &'a str,
    node: &'a str,
    pod_template_hash: &'a str,
    created: Option<String>,
    ready: bool,
    terminating: bool,
    containers: Vec<Container<'a>>,
}

#[derive(Serialize)]
struct Container<'a> {
    container: &'a str,
    origin: Option<&'static str>,
    image: &'a str,
    digest: Option<&'a str>,
    digest_kind: Option<&'static str>,
    started: Option<String>,
}

/// Returns all explanations as one document.
pub(super) fn json(snapshot: &Snapshot, explanations: &[Explanation]) -> serde_json::Result<String> {
    printed(&Document {
        head: Head::new(snapshot.taken, &snapshot.of),
        workloads: explanations.iter().map(Explained::from).collect(),
    })
}

impl<'a> From<&'a Explanation> for Explained<'a> {
    fn from(explanation: &'a Explanation) -> Self {
        let Explanation { report, history, notes, .. } = explanation;
        let back = explanation.ways_back();
        let current = report.hashes.iter().find(|hash| hash.current == Some(true));
        Self {
            workload: report.into(),
            held_by: explanation.hold(),
            history: history
                .revisions
                .iter()
                .map(|revision| PastTemplate::of(report, history, revision, &back))
                .collect(),
            pin: current.and_then(|current| pin(report, &current.hash)).map(Done::from),
            pod: explanation.pod().map(|(pod, detail)| Pod::of(explanation, pod, detail)),
            not_ready: explanation.unready().into_iter().map(NotReady::from).collect(),
            not_known: notes,
        }
    }
}

impl<'a> From<(&'a PodReport, &'a PodDetail)> for NotReady<'a> {
    fn from((pod, detail): (&'a PodReport, &'a PodDetail)) -> Self {
        let reasons = detail.waiting.iter().map(Reason::of).collect();
        Self { pod: &pod.pod, node: &pod.node, pod_template_hash: &pod.hash, reasons }
    }
}

impl<'a> PastTemplate<'a> {
    fn of(report: &WorkloadReport, history: &History, revision: &'a Revision, back: &[(&Revision, u64)]) -> Self {
        let number = back.iter().find(|(it, _)| it.hash == revision.hash).map(|(_, number)| *number);
        Self {
            pod_template_hash: &revision.hash,
            revision: revision.revision,
            created: revision.created.map(moment),
            current: revision.current,
            worked: revision.worked,
            images: revision.images.iter().map(Image::from).collect(),
            roll_back: number.map(|number| roll_back(report, history, &revision.hash, number).into()),
        }
    }
}

impl<'a> Pod<'a> {
    fn of(explanation: &'a Explanation, pod: &'a PodReport, detail: &'a PodDetail) -> Self {
        let container = |container: &'a ContainerDetail| Container {
            container: &container.container,
            origin: explanation.of_hash(&container.container, &pod.hash).map(|of_hash| of_hash.origin.as_str()),
            image: &container.image,
            digest: container.digest.as_ref().map(|(_, digest)| &**digest),
            digest_kind: container.digest.as_ref().map(|(kind, _)| kind.as_str()),
            started: container.started.map(moment),
        };
        Self {
            pod: &pod.pod,
            node: &pod.node,
            pod_template_hash: &pod.hash,
            created: detail.created.map(moment),
            ready: detail.ready,
            terminating: detail.terminating,
            containers: detail.containers.iter().map(container).collect(),
        }
    }
}
