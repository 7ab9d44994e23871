//! Pins: digests that a remedy uses instead of tags, chosen among those that pods run.

use super::Action;
use super::command_target::{CommandTarget, shell_quote};
use crate::kinds::WorkloadKind;
use crate::report::{DigestKind, ImageReference, Name, ReferenceKind};
use std::collections::BTreeMap;

/// Which images to pin.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum PinScope {
    All,
    WhatIsNotPulledAgain,
}

/// Why this digest was chosen among those that pods run; the most certain first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) enum PinReason {
    /// They run no other.
    #[default]
    Only,
    /// Its pods started last.
    Newest,
    /// Most pods run it.
    Most,
    /// No digest has a majority.
    Any,
}

/// References to use instead of tags.
#[derive(Default)]
pub(super) struct PinnedImages {
    /// `CONTAINER=REPOSITORY@DIGEST`.
    pub(super) images: Vec<String>,
    /// The least certain reason among the choices.
    pub(super) choice: PinReason,
    /// Whether a container's image cannot be pulled.
    pub(super) unpullable: bool,
}

impl<'a> CommandTarget<'a> {
    /// Pins containers. The repository is the spec's: the one in an imageID is any that the node knows for the content.
    /// The digest is one that pods of `hash` run, or any pods. A config digest is local to a node and cannot be pulled.
    pub(super) fn pin<'n>(
        &self,
        containers: impl Iterator<Item = &'n Name>,
        hash: Option<&str>,
        which: PinScope,
    ) -> PinnedImages {
        let mut pins = PinnedImages::default();
        for container in containers {
            let reference = self.reference(container);
            let (found, digest) = self.best_of(container, hash);
            let image = reference.map(|reference| &reference.image).or(found).map_or("", |image| &**image);
            let policy = reference.map_or("", |reference| &*reference.pull_policy);
            let by = reference.map(|reference| reference.reference);
            let by = by.or_else(|| image.contains('@').then_some(ReferenceKind::Digest));
            let pulls = by == Some(ReferenceKind::Digest)
                || policy == "Always"
                || (policy.is_empty() && by == Some(ReferenceKind::Latest));
            match digest {
                Some((digest, choice)) if policy != "Never" && is_reference(image) => {
                    if which == PinScope::All || !pulls {
                        pins.images.push(format!(
                            "{}={}@{}",
                            shell_quote(container),
                            repository(image),
                            shell_quote(digest)
                        ));
                        pins.choice = pins.choice.max(choice);
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

    /// The image in the spec of most pods of a container. Among its manifests' digests, the one whose pods started
    /// last, or else the one that most pods run.
    fn best_of(&self, container: &str, hash: Option<&str>) -> (Option<&'a Name>, Option<(&'a Name, PinReason)>) {
        let mut images: BTreeMap<&Name, u32> = BTreeMap::new();
        let mut digests: BTreeMap<&Name, u32> = BTreeMap::new();
        let container = self.report.containers.iter().find(|it| *it.container == *container);
        let by_hash = container.into_iter().flat_map(|container| &container.by_hash);
        let by_hash = || by_hash.clone().filter(|it| hash.is_none_or(|hash| *it.hash == *hash));
        for pods in by_hash().flat_map(|it| &it.digests) {
            *images.entry(&pods.image).or_default() += pods.pods;
            if pods.kind == DigestKind::Manifest {
                *digests.entry(&pods.digest).or_default() += pods.pods;
            }
        }
        // Ties go to the first.
        let most =
            |counts: &BTreeMap<&'a Name, u32>| counts.iter().rev().max_by_key(|(_, pods)| **pods).map(|(it, _)| *it);
        let newest = by_hash().filter(|_| hash.is_some()).find_map(|it| it.newest_digest.as_ref());
        let digest = match (newest.filter(|newest| digests.contains_key(newest)), most(&digests)) {
            (Some(newest), _) => Some((newest, PinReason::Newest)),
            (None, Some(most)) if digests.len() == 1 => Some((most, PinReason::Only)),
            (None, Some(most)) => {
                let is_majority = 2 * digests[most] > digests.values().sum();
                Some((most, if is_majority { PinReason::Most } else { PinReason::Any }))
            }
            (None, None) => None,
        };
        (most(&images), digest)
    }

    pub(super) fn set_images(&self, pins: &PinnedImages) -> Action {
        let Self { kubectl, argo, object, name, .. } = self;
        let images = pins.images.join(" ");
        match self.kind {
            // Argo's command takes one container.
            WorkloadKind::Rollout => Action {
                commands: pins.images.iter().map(|image| format!("{argo} set image {name} {image}")).collect(),
                ..Action::default()
            },
            WorkloadKind::ReplicaSet | WorkloadKind::ReplicationController => Action {
                then: "delete its pods that run another image: nothing else replaces them.".to_owned(),
                ..Action::command(format!("{kubectl} set image {object} {images}"))
            },
            WorkloadKind::Job => {
                Action::words(format!("create it again with {images} (the template of a Job cannot be changed)"))
            }
            _ if self.kind.kubectl_rolls() => Action::command(format!("{kubectl} set image {object} {images}")),
            _ => Action { then: format!("set {images} there."), ..Action::command(format!("{kubectl} edit {object}")) },
        }
    }
}

/// Whether an image has only the characters of references. The API server accepts any text, which could add further
/// words to a command.
fn is_reference(image: &str) -> bool {
    !image.is_empty() && image.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-:/@[]".contains(&byte))
}

/// An image without tag and digest. A colon before the last slash belongs to the registry's port.
fn repository(image: &str) -> &str {
    let image = image.split_once('@').map_or(image, |(image, _)| image);
    match image.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => image,
    }
}
