//! Evidence of registries: which images to ask for, and which workloads it changes.

use super::Inventory;
use super::container_identity::{IdentityId, ImageIdRecord};
use super::ended::ObservedBy;
use super::intern::Symbol;
use super::owners::{Owner, OwnerObject};
use crate::report::Name;
use crate::report::digest::DigestKind;
use crate::report::reference::TagReference;
use crate::report::registry::{Comparer, RegistryEvidence, contradicts};
use crate::time::UnixTime;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

/// The images to ask registries about.
#[derive(Clone, Default, Debug)]
pub struct AskedImages {
    /// Each image of a started container, as pods write it; sorted.
    pub images: Vec<AskedImage>,
    /// The digests of containers of one name and template hash, where there are several.
    pub skews: Vec<Vec<AskedDigest>>,
}

/// An image of started containers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AskedImage {
    /// The image as pods write it.
    pub image: Name,
    /// The digests that run under it.
    pub running: Vec<(DigestKind, Name)>,
    /// Whether containers of it are in digest skew.
    pub in_skew: bool,
    /// Whether a template pulls it with the policy `Always`.
    pub always: bool,
    /// Whether nodes resolve its tag elsewhere than the registry that was asked.
    pub contradicted: bool,
}

/// A digest under an image.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct AskedDigest {
    /// What kind of digest it is.
    pub kind: DigestKind,
    /// The digest.
    pub digest: Name,
    /// The image, which gives the repository.
    pub image: Name,
}

/// Facts about an image, collected over all pods.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct ImageUsage {
    /// The digests under it, and the last container start of each.
    digests: BTreeMap<(DigestKind, Name), Option<UnixTime>>,
    in_skew: bool,
    always: bool,
    /// Whether the reference means the repository that it names.
    confirmed: bool,
    /// Whether a node pulled a short name from another registry than docker.io.
    elsewhere: bool,
}

/// The latest evidence of registries.
#[derive(Default, Debug)]
pub(super) struct RegistryAnswers {
    latest: Option<Arc<RegistryEvidence>>,
    /// Whether evidence is still awaited.
    awaited: bool,
}

impl RegistryAnswers {
    pub(super) fn latest(&self) -> Option<&RegistryEvidence> {
        self.latest.as_deref()
    }

    pub(super) fn is_awaited(&self) -> bool {
        self.awaited
    }
}

impl Inventory {
    /// The images to ask registries about; `None` before the initial sync.
    #[must_use]
    pub fn asked_images(&self) -> Option<AskedImages> {
        if !self.sources.have_answered() {
            return None;
        }
        let mut images: BTreeMap<Symbol, ImageUsage> = BTreeMap::new();
        let mut skews = Vec::new();
        for (_, record) in self.workloads.iter() {
            let mut groups: BTreeMap<(Symbol, Symbol), BTreeMap<IdentityId, Option<UnixTime>>> = BTreeMap::new();
            let owners = record.groups.iter().filter_map(|at| self.owners.get(*at));
            let pods = owners.flat_map(Owner::pods).filter_map(|pod| self.pods.get(*pod)).map(|entry| &entry.record);
            for pod in pods.filter(|pod| !pod.terminating) {
                for container in &pod.containers {
                    if let Some(identity) = self.identities.get(container.identity) {
                        let identities = groups.entry((pod.hash, identity.name)).or_default();
                        let latest = identities.entry(container.identity).or_default();
                        *latest = (*latest).max(container.started);
                    }
                }
            }
            for identities in groups.into_values() {
                self.ask_for(&identities, &mut images, &mut skews);
            }
            for owner in record.controllers.iter().filter_map(|at| self.owners.get(*at)) {
                let OwnerObject::Controller(controller) = &owner.object else { continue };
                for image in &controller.images {
                    if let Some(known) = images.get_mut(&image.image) {
                        known.always |= &**self.strings.name(image.pull_policy) == "Always";
                    }
                }
            }
        }
        let asked = images.into_iter().filter(|(_, running)| running.confirmed && !running.elsewhere);
        let mut images: Vec<AskedImage> = asked
            .map(|(image, running)| AskedImage {
                image: self.strings.name(image).clone(),
                contradicted: running.always && self.is_contradicted(image, &running.digests),
                running: running.digests.into_keys().collect(),
                in_skew: running.in_skew,
                always: running.always,
            })
            .collect();
        images.sort_unstable_by(|a, b| a.image.cmp(&b.image));
        Some(AskedImages { images, skews })
    }

    /// Adds the images of the containers of one name and template hash.
    fn ask_for(
        &self,
        identities: &BTreeMap<IdentityId, Option<UnixTime>>,
        images: &mut BTreeMap<Symbol, ImageUsage>,
        skews: &mut Vec<Vec<AskedDigest>>,
    ) {
        let mut digests: BTreeSet<AskedDigest> = BTreeSet::new();
        let identities =
            || identities.iter().filter_map(|(identity, latest)| Some((self.identities.get(*identity)?, *latest)));
        for (identity, latest) in identities().filter(|(identity, _)| identity.image_id != ImageIdRecord::NotStarted) {
            let image = self.strings.name(identity.image);
            let running = images.entry(identity.image).or_default();
            let repository = self.strings.name(identity.repository);
            // A short name with a digest is still a short name.
            let name = image.split_once('@').map_or(&**image, |(name, _)| name);
            if let Some(reference) = TagReference::parse(name) {
                let is_of = reference.is_of(repository);
                running.confirmed |= is_of;
                running.elsewhere |= !is_of && !repository.is_empty();
            }
            if let ImageIdRecord::Known(kind) = identity.image_id {
                let digest = self.strings.name(identity.digest).clone();
                let known = running.digests.entry((kind, digest.clone())).or_default();
                *known = (*known).max(latest);
                digests.insert(AskedDigest { kind, digest, image: image.clone() });
            }
        }
        let distinct: HashSet<&Name> = digests.iter().map(|asked| &asked.digest).collect();
        if distinct.len() > 1 {
            for (identity, _) in identities() {
                if let Some(running) = images.get_mut(&identity.image) {
                    running.in_skew = true;
                }
            }
            skews.push(digests.into_iter().collect());
        }
    }

    /// Whether a container pulled the image's tag after it moved, and runs its old content.
    fn is_contradicted(&self, image: Symbol, digests: &BTreeMap<(DigestKind, Name), Option<UnixTime>>) -> bool {
        let Some(evidence) = self.registry.latest() else { return false };
        let Some(tag) = evidence.tags.get(self.strings.name(image)) else { return false };
        let mut comparer = Comparer::new(evidence);
        digests.iter().any(|((kind, digest), latest)| {
            let answer = comparer.compare((DigestKind::Manifest, &tag.digest), (*kind, digest));
            contradicts(tag, answer, *latest)
        })
    }

    /// Marks evidence of registries as awaited. Until it arrives, two digests are not skew of a template: they may be two
    /// builds of one image, and then an alert would fire at each start of podskew.
    pub fn await_registry(&mut self) {
        self.registry.awaited = self.registry.latest.is_none();
    }

    /// Ends the wait for registries that do not respond: reports are as without `--registry`.
    pub fn give_up_registry(&mut self, now: UnixTime) {
        if std::mem::take(&mut self.registry.awaited) {
            self.catch_up(now);
            self.evidence_changed(now);
        }
    }

    /// The latest evidence of registries.
    #[must_use]
    pub fn registry_evidence(&self) -> Option<&Arc<RegistryEvidence>> {
        self.registry.latest.as_ref()
    }

    /// Sets the evidence of registries. Every workload that it may concern counts as changed.
    pub fn take_registry_evidence(&mut self, evidence: &Arc<RegistryEvidence>, now: UnixTime) {
        self.catch_up(now);
        let before = self.registry.latest.replace(Arc::clone(evidence)).unwrap_or_default();
        if std::mem::take(&mut self.registry.awaited) {
            self.evidence_changed(now);
        }
        let facts_changed = before.facts.len() != evidence.facts.len()
            || evidence.facts.keys().any(|digest| !before.facts.contains_key(digest));
        let changed = |image: &Name| {
            before.tags.get(image) != evidence.tags.get(image) || before.gone.get(image) != evidence.gone.get(image)
        };
        let mut concerned = Vec::new();
        for (at, record) in self.workloads.iter() {
            let is_divided = self.is_divided(&record.memory);
            let mut identities = record.memory.identities().filter_map(|identity| self.identities.get(identity));
            let is_concerned = (is_divided && (facts_changed || !record.memory.observed))
                || identities.any(|identity| {
                    let image = self.strings.name(identity.image);
                    let tag = evidence.tags.get(image);
                    changed(image)
                        || (facts_changed && tag.is_some_and(|tag| tag.digest != *self.strings.name(identity.digest)))
                });
            if is_concerned {
                concerned.push((at, is_divided));
            }
        }
        for (at, is_divided) in concerned {
            if is_divided && let Some(record) = self.workloads.get_mut(at) {
                record.memory.images_changed();
            }
            self.workloads.queue_update(at);
        }
        self.take_in(now, ObservedBy::Event);
    }
}
