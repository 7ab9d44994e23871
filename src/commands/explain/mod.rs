//! `podskew explain`: everything known about one workload.

mod command;
mod json;
mod options;
mod text;
mod unready;

pub use command::explain;
pub use json::Explained;
pub use options::{ExplainArguments, ExplainFormat, ExplainOptions};
pub use unready::in_words;

use crate::advice::shell_quote;
use crate::kinds::WorkloadKind;
use crate::report::history::{History, PodDetail, Revision};
use crate::report::{HashDigests, HashReport, ImageReference, Name, PodReport, RolloutState, Workload, WorkloadReport};
use crate::time::{ObservationTime, TimeSource, UnixTime};

/// Everything known about one workload.
#[derive(Debug)]
pub struct Explanation {
    /// Its report.
    pub report: WorkloadReport,
    /// Its history, and details of its pods.
    pub history: History,
    /// The named pod.
    pub pod: Option<Name>,
    /// When the snapshot was taken.
    pub taken: ObservationTime,
    /// The command that compares two of its templates, up to their hashes.
    pub diff: String,
    /// What could not be read, and what is unknown because of it.
    pub notes: Vec<String>,
}

/// A template with pods or in the history.
#[derive(Debug)]
pub struct Template<'a> {
    /// The hash of its pods.
    pub hash: &'a str,
    /// Its revision number.
    pub revision: Option<u64>,
    /// When its `ReplicaSet` or `ControllerRevision` was created.
    pub created: Option<UnixTime>,
    /// Whether it is the workload's current template; `None` if unknown.
    pub current: Option<bool>,
    /// Its pods; `None` without any.
    pub pods: Option<&'a HashReport>,
    /// Its images.
    pub images: &'a [ImageReference],
}

impl Explanation {
    /// The explanation of a workload in a running podskew. `notes` name what it cannot read.
    #[must_use]
    pub fn of_now(report: WorkloadReport, history: History, now: UnixTime, notes: Vec<String>) -> Self {
        let Workload { namespace, workload_type, name } = &report.workload;
        let diff =
            format!("podskew diff -n {} {}/{}", shell_quote(namespace), shell_quote(workload_type), shell_quote(name));
        Self { pod: None, history, taken: ObservationTime { at: now, from: TimeSource::Clock }, diff, notes, report }
    }

    /// The current template, then the others, newest first.
    #[must_use]
    pub fn templates(&self) -> Vec<Template<'_>> {
        let of_history = |hash: &str| self.history.revisions.iter().find(|revision| *revision.hash == *hash);
        let with_pods = self.report.hashes.iter().map(|hash| {
            let revision = of_history(&hash.hash);
            Template {
                hash: &hash.hash,
                revision: hash.revision,
                created: revision.and_then(|revision| revision.created),
                current: hash.current,
                pods: (hash.pods + hash.terminating_pods > 0).then_some(hash),
                images: match revision {
                    // A Deployment's own template replaces that of its current ReplicaSet.
                    _ if hash.current == Some(true) => &self.report.image_references,
                    Some(revision) => &revision.images,
                    None => &[],
                },
            }
        });
        let is_told = |revision: &&Revision| !self.report.hashes.iter().any(|hash| hash.hash == revision.hash);
        let without = self.history.revisions.iter().filter(is_told).map(|revision| Template {
            hash: &revision.hash,
            revision: revision.revision,
            created: revision.created,
            current: revision.current,
            pods: None,
            images: &revision.images,
        });
        let mut templates: Vec<Template<'_>> = with_pods.chain(without).collect();
        templates.sort_by(|a, b| {
            let rank = |template: &Template<'_>| (template.current == Some(true), template.revision, template.created);
            rank(b).cmp(&rank(a))
        });
        templates
    }

    /// The revisions that can be rolled back to, with their numbers: all but the current one and those whose pods never
    /// worked.
    #[must_use]
    pub fn ways_back(&self) -> Vec<(&Revision, u64)> {
        let rolls = self.report.workload.rolls();
        let way = |revision: &'_ Revision| {
            // Without a known current revision, none is known to be older.
            (revision.current == Some(false) && !self.has_failed(revision)).then_some(revision.revision).flatten()
        };
        self.history.revisions.iter().filter(|_| rolls).filter_map(|it| Some((it, way(it)?))).collect()
    }

    /// Whether a revision has pods, and none of them was ever Ready.
    fn has_failed(&self, revision: &Revision) -> bool {
        !revision.worked && self.report.hashes.iter().any(|hash| hash.hash == revision.hash && hash.pods > 0)
    }

    /// What holds the rollout.
    #[must_use]
    pub fn hold(&self) -> Option<String> {
        if self.report.workload.is_experiment() {
            return Some("an Experiment, which runs several templates on purpose".to_owned());
        }
        let state = self.report.rollout?.state;
        Some(match state {
            RolloutState::Paused if self.report.awaits_template() => {
                "spec.paused, and its newest template has no pod yet".to_owned()
            }
            RolloutState::Paused => "spec.paused".to_owned(),
            RolloutState::Partitioned => match self.history.partition {
                Some(partition) => {
                    let driver = self
                        .report
                        .driver
                        .iter()
                        .map(|driver| format!(", which {} {} moves", driver.kind, driver.name));
                    let driver: String = driver.collect();
                    format!("its partition{driver}: pods below ordinal {partition} keep their template")
                }
                None => "its partition".to_owned(),
            },
            RolloutState::OnDelete => {
                "its update strategy, OnDelete: a pod is replaced only when it is deleted".to_owned()
            }
            RolloutState::Canary => "the steps of its canary".to_owned(),
            RolloutState::BlueGreen => "its blue-green preview, until it is promoted".to_owned(),
            RolloutState::Complete if self.history.paused => "spec.paused, once its template changes".to_owned(),
            RolloutState::Stalled => match self.report.workload.kind() {
                WorkloadKind::Deployment => "no progress within its progressDeadlineSeconds".to_owned(),
                WorkloadKind::Rollout if self.report.aborted => {
                    "its abort: Argo Rollouts took it back to its stable template".to_owned()
                }
                WorkloadKind::Rollout => "Argo Rollouts calls it Degraded".to_owned(),
                _ => "no pod of the current hash was created or became Ready for too long".to_owned(),
            },
            RolloutState::Progressing if !self.report.hashes.iter().any(|hash| hash.current == Some(true)) => {
                "pods of an older template, which have to end first".to_owned()
            }
            RolloutState::Complete | RolloutState::Progressing => return None,
        })
    }

    /// The pods of the current template that are not Ready.
    #[must_use]
    pub fn unready(&self) -> Vec<(&PodReport, &PodDetail)> {
        let is_current = |hash: &Name| self.report.hashes.iter().any(|it| it.hash == *hash && it.current == Some(true));
        let pods = self.report.pods.iter().zip(&self.history.pods);
        pods.filter(|(pod, detail)| !detail.ready && !detail.terminating && is_current(&pod.hash)).collect()
    }

    /// The named pod.
    fn pod(&self) -> Option<(&PodReport, &PodDetail)> {
        let name = self.pod.as_ref()?;
        self.report.pods.iter().zip(&self.history.pods).find(|(pod, _)| pod.pod == *name)
    }

    fn of_hash(&self, container: &str, hash: &str) -> Option<&HashDigests> {
        let container = self.report.containers.iter().find(|it| *it.container == *container)?;
        container.by_hash.iter().find(|of_hash| *of_hash.hash == *hash)
    }
}

/// The digests of the other pods of this hash, with the number of pods.
fn others<'d>(of_hash: &'d HashDigests, own: &Name) -> Vec<(u32, &'d Name)> {
    let mut others: Vec<(u32, &Name)> = Vec::new();
    for pods in &of_hash.digests {
        match others.iter_mut().find(|(_, digest)| **digest == pods.digest) {
            Some((count, _)) => *count += pods.pods,
            None => others.push((pods.pods, &pods.digest)),
        }
    }
    if let Some((count, _)) = others.iter_mut().find(|(_, digest)| *digest == own) {
        *count = count.saturating_sub(1);
    }
    others.retain(|(count, _)| *count > 0);
    others
}
