//! The commands of the remedies: what goes into them, and how each kind of workload wants to be spoken to.

use super::remedy::{Action, LOADED, OUTDATED, PINNED, PULLED, skewed};
use super::{
    DigestKind, HashReport, ImageReference, Name, Origin, ReferenceKind, RolloutState, Workload, WorkloadReport,
};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// A workload as commands speak of it.
pub(super) struct Subject<'a> {
    report: &'a WorkloadReport,
    kind: &'a str,
    name: Cow<'a, str>,
    /// `deployment/web`.
    pub(super) object: String,
    pub(super) kubectl: String,
    argo: String,
}

/// Whether to pin what a restart would mend too.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Pin {
    All,
    WhatIsNotPulledAgain,
}

/// What to ask for instead of a tag.
#[derive(Default)]
pub(super) struct Pins {
    /// `CONTAINER=REPOSITORY@DIGEST`.
    pub(super) images: Vec<String>,
    /// Whether there are containers whose image nobody could pull.
    unpullable: bool,
}

impl<'a> Subject<'a> {
    pub(super) fn of(report: &'a WorkloadReport) -> Self {
        let Workload { namespace, workload_type, name } = &report.workload;
        let (namespace, name) = (word(namespace), word(name));
        Self {
            report,
            kind: workload_type,
            object: format!("{}/{name}", word(workload_type)),
            name,
            kubectl: format!("kubectl -n {namespace}"),
            argo: format!("kubectl argo rollouts -n {namespace}"),
        }
    }

    fn state(&self) -> Option<RolloutState> {
        self.report.rollout.map(|rollout| rollout.state)
    }

    fn current(&self) -> Option<&'a HashReport> {
        self.report.hashes.iter().rfind(|hash| hash.current == Some(true))
    }

    /// Whether kubectl knows `rollout restart`, `rollout undo` and `set image` of it, and replaces its pods.
    fn rolls(&self) -> bool {
        matches!(self.kind, "deployment" | "statefulset" | "daemonset")
    }

    fn hash_label(&self) -> &'static str {
        match self.kind {
            "statefulset" | "daemonset" => "controller-revision-hash",
            "rollout" => "rollouts-pod-template-hash",
            _ => "pod-template-hash",
        }
    }

    /// The pods whose imageIDs tell the difference: by their hash, or by name where no label is known to select them.
    pub(super) fn look_at_digests(&self, origin: Origin) -> String {
        let by_name = self.kind.contains('.') || self.kind.contains("job") || self.kind.contains("replica");
        let mut pods = String::new();
        let skewed = skewed(self.report, origin);
        if by_name {
            let mut names: Vec<&Name> = skewed
                .flat_map(|(_, of_hash)| &of_hash.digests)
                .flat_map(|digest| &digest.skewed)
                .filter_map(|at| self.report.pods.get(*at as usize).map(|pod| &pod.pod))
                .collect();
            names.sort_unstable();
            names.dedup();
            for name in names.into_iter().take(10) {
                pods.push(' ');
                pods.push_str(&word(name));
            }
        } else if let Some(hash) = skewed.map(|(_, of_hash)| &of_hash.hash).max() {
            pods = format!(" -l {}={}", self.hash_label(), word(hash));
        }
        format!(
            "{} get pods{pods} -o 'custom-columns=POD:.metadata.name,NODE:.spec.nodeName,\
             IMAGE_ID:.status.containerStatuses[*].imageID,SIDECAR:.status.initContainerStatuses[*].imageID'",
            self.kubectl
        )
    }

    pub(super) fn look_at_image_ids(&self) -> String {
        format!(
            "{} get pods -o 'custom-columns=POD:.metadata.name,NODE:.spec.nodeName,\
             IMAGE_ID:.status.containerStatuses[*].imageID'",
            self.kubectl
        )
    }

    pub(super) fn look_at_rollout(&self) -> String {
        match self.current() {
            _ if self.kind == "rollout" => format!("{} get rollout {}", self.argo, self.name),
            Some(current) => {
                format!("{} describe pods -l {}={}", self.kubectl, self.hash_label(), word(&current.hash))
            }
            None => format!("{} describe {}", self.kubectl, self.object),
        }
    }

    pub(super) fn look_at_history(&self) -> String {
        match self.kind {
            "rollout" | "experiment" => format!("{} get {} {}", self.argo, self.kind, self.name),
            _ => format!("{} rollout history {}", self.kubectl, self.object),
        }
    }

    /// The hash to go back to: of the older pods, those that are ready in the greatest number.
    pub(super) fn back(&self) -> Option<&'a HashReport> {
        let others = self.report.hashes.iter().filter(|hash| hash.pods > 0 && hash.current != Some(true));
        // The first of the best; max_by_key would take the last.
        others.rev().max_by_key(|hash| hash.ready_pods)
    }

    pub(super) fn undo(&self, revision: Option<u64>) -> Action {
        let to = revision.map(|revision| format!(" --to-revision={revision}")).unwrap_or_default();
        if self.kind == "rollout" {
            return Action::command(format!("{} undo {}{to}", self.argo, self.name));
        }
        let action = Action::command(format!("{} rollout undo {}{to}", self.kubectl, self.object));
        if self.kind == "statefulset" {
            let rest = " (then delete its pod that is not Ready: a StatefulSet does not replace it)".to_owned();
            return Action { rest, ..action };
        }
        action
    }

    /// What ends a mix that nobody holds: the ReplicaSets of older hashes are scaled down.
    pub(super) fn delete_older(&self) -> Action {
        let older = self.report.hashes.iter().filter(|hash| hash.pods > 0 && hash.current == Some(false));
        let scale = |hash: &HashReport| {
            format!("{} scale replicaset {}-{} --replicas=0", self.kubectl, self.name, word(&hash.hash))
        };
        Action { commands: older.map(scale).collect(), ..Action::default() }
    }

    /// How a mix that somebody holds, or a rollout, goes on to its end.
    pub(super) fn go_on(&self) -> Action {
        use RolloutState::{BlueGreen, Canary, OnDelete, Partitioned, Paused};
        let Self { kubectl, argo, object, name, .. } = self;
        Action::command(match self.state() {
            Some(Paused | Canary | BlueGreen) if self.kind == "rollout" => format!("{argo} promote {name}"),
            Some(Paused) => format!("{kubectl} rollout resume {object}"),
            Some(Partitioned) if self.report.driver.is_some() => {
                let driver = self.report.driver.iter().map(|driver| format!("{} {}", driver.kind, driver.name));
                let driver: String = driver.collect();
                return Action::words(format!("let {driver} go on, or change it: it moves the partition itself"));
            }
            Some(Partitioned) => format!(
                "{kubectl} patch {object} --type merge \
                 -p '{{\"spec\":{{\"updateStrategy\":{{\"rollingUpdate\":{{\"partition\":0}}}}}}}}'"
            ),
            Some(OnDelete) => {
                let current = self.current().map(|current| &current.hash);
                let outdated = self.report.pods.iter();
                let last =
                    outdated.filter(|pod| current.is_some_and(|current| pod.hash != *current)).map(|pod| &pod.pod);
                let pod = last.max().map_or(Cow::Borrowed("POD"), |pod| word(pod));
                return Action {
                    rest: " (then the next: OnDelete replaces a pod only when it is deleted)".to_owned(),
                    ..Action::command(format!("{kubectl} delete pod {pod}"))
                };
            }
            _ if self.kind == "experiment" => {
                let lead = "let it end, or end it: ".to_owned();
                return Action { lead, ..Action::command(format!("{argo} terminate experiment {name}")) };
            }
            _ if self.kind == "rollout" => format!("{argo} status {name}"),
            _ => format!("{kubectl} rollout status {object}"),
        })
    }

    /// What lets go of a paused rollout.
    pub(super) fn resume(&self) -> Vec<String> {
        match self.kind {
            // Argo takes an undo all the same.
            "rollout" => Vec::new(),
            _ => vec![format!("{} rollout resume {}", self.kubectl, self.object)],
        }
    }

    pub(super) fn restart(&self) -> Action {
        match self.kind {
            "rollout" => Action::command(format!("{} restart {}", self.argo, self.name)),
            "job" => Action::words("create it anew (a Job is not restarted)".to_owned()),
            _ if self.rolls() => Action::command(format!("{} rollout restart {}", self.kubectl, self.object)),
            _ => Action::words(format!(
                "delete the pods above, one after another, and let {} make new ones",
                self.object
            )),
        }
    }

    /// What ends a digest skew. What is skewed is asked of the template's own containers, under a hash that is not
    /// outdated: a skew among outdated pods ends with their rollout.
    pub(super) fn end_skew(&self) -> (Action, &'static str) {
        let outdated =
            |hash: &Name| self.report.hashes.iter().any(|known| known.hash == *hash && known.current == Some(false));
        let skewed = || skewed(self.report, Origin::Template);
        let Some(hash) = skewed().map(|(_, of_hash)| &of_hash.hash).filter(|hash| !outdated(hash)).max() else {
            return (self.go_on(), OUTDATED);
        };
        let containers = skewed().filter(|(_, of_hash)| of_hash.hash == *hash).map(|(container, _)| container);
        let pins = self.pin(containers, Some(hash), Pin::WhatIsNotPulledAgain);
        let first = match self.state() {
            Some(RolloutState::Paused) => self.go_on().commands,
            _ => Vec::new(),
        };
        if !pins.images.is_empty() {
            (self.set_images(&pins).after("", first), PINNED)
        } else if pins.unpullable {
            (self.restart().after("load one image onto every node, then ", first), LOADED)
        } else {
            (self.restart().after("", first), PULLED)
        }
    }

    /// The repository is the spec's: the one in an imageID is any that the node knows for that content. The digest is the
    /// one that most pods of `hash` run, or of all; one of a config is known to the node alone, and nobody could pull it.
    pub(super) fn pin<'n>(&self, containers: impl Iterator<Item = &'n Name>, hash: Option<&str>, which: Pin) -> Pins {
        let mut pins = Pins::default();
        for container in containers {
            let reference = self.reference(container);
            let (found, digest) = self.most_run(container, hash);
            let image = reference.map(|reference| &reference.image).or(found).map_or("", |image| &**image);
            let policy = reference.map_or("", |reference| &*reference.pull_policy);
            let by = reference.map(|reference| reference.reference);
            let by = by.or_else(|| image.contains('@').then_some(ReferenceKind::Digest));
            let pulls = by == Some(ReferenceKind::Digest)
                || policy == "Always"
                || (policy.is_empty() && by == Some(ReferenceKind::Latest));
            match digest {
                Some(digest) if policy != "Never" && is_reference(image) => {
                    if which == Pin::All || !pulls {
                        pins.images.push(format!("{}={}@{}", word(container), repository(image), word(digest)));
                    }
                }
                _ => pins.unpullable = true,
            }
        }
        pins
    }

    fn reference(&self, container: &str) -> Option<&'a ImageReference> {
        self.report.image_references.iter().find(|image| *image.container == *container)
    }

    /// The image that most pods of a container have in their spec, and the manifest's digest that most of them run.
    fn most_run(&self, container: &str, hash: Option<&str>) -> (Option<&'a Name>, Option<&'a Name>) {
        let mut images: BTreeMap<&Name, u32> = BTreeMap::new();
        let mut digests: BTreeMap<&Name, u32> = BTreeMap::new();
        let container = self.report.containers.iter().find(|it| *it.container == *container);
        let by_hash = container.into_iter().flat_map(|container| &container.by_hash);
        for pods in by_hash.filter(|it| hash.is_none_or(|hash| *it.hash == *hash)).flat_map(|it| &it.digests) {
            *images.entry(&pods.image).or_default() += pods.pods;
            if pods.kind == DigestKind::Manifest {
                *digests.entry(&pods.digest).or_default() += pods.pods;
            }
        }
        // The first of the best.
        let most = |counts: BTreeMap<&'a Name, u32>| counts.into_iter().rev().max_by_key(|(_, pods)| *pods);
        (most(images).map(|(image, _)| image), most(digests).map(|(digest, _)| digest))
    }

    pub(super) fn set_images(&self, pins: &Pins) -> Action {
        let Self { kubectl, argo, object, name, .. } = self;
        let images = pins.images.join(" ");
        match self.kind {
            // Argo's command takes one container.
            "rollout" => Action {
                commands: pins.images.iter().map(|image| format!("{argo} set image {name} {image}")).collect(),
                ..Action::default()
            },
            "replicaset" | "replicationcontroller" => Action {
                rest: " (then delete its pods that run another: nothing else replaces them)".to_owned(),
                ..Action::command(format!("{kubectl} set image {object} {images}"))
            },
            "job" => Action::words(format!("create it anew with {images} (the template of a Job cannot be changed)")),
            _ if self.rolls() => Action::command(format!("{kubectl} set image {object} {images}")),
            _ => Action {
                rest: format!(" (and ask for {images})"),
                ..Action::command(format!("{kubectl} edit {object}"))
            },
        }
    }
}

/// Whether an image is written with what references are written with. The API server takes any text, and a text may try to
/// be more than one word of a command.
fn is_reference(image: &str) -> bool {
    !image.is_empty() && image.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-:/@[]".contains(&byte))
}

/// An image without its tag and its digest. A colon before the last slash belongs to a registry's port.
fn repository(image: &str) -> &str {
    let image = image.split_once('@').map_or(image, |(image, _)| image);
    match image.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => image,
    }
}

/// A name as one word of a shell's command. Names from a cluster are plain; those from a file may be anything, and what no
/// name can hold is not said.
#[must_use]
pub fn word(name: &str) -> Cow<'_, str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:/".contains(&byte);
    if !name.starts_with('-') && name.bytes().all(plain) {
        return Cow::Borrowed(name);
    }
    let mut quoted = "'".to_owned();
    for (at, character) in name.chars().enumerate() {
        match character {
            '\'' => quoted.push_str("'\\''"),
            '-' if at == 0 => quoted.push(char::REPLACEMENT_CHARACTER),
            ' '..='~' => quoted.push(character),
            _ => quoted.push(char::REPLACEMENT_CHARACTER),
        }
    }
    quoted.push('\'');
    Cow::Owned(quoted)
}
