//! What registries say of images: which of it is asked for, and what changes with it.

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

/// What registries are asked for.
#[derive(Clone, Default, Debug)]
pub struct AskedImages {
    /// Each image that a started container runs, as pods have it; sorted by image.
    pub images: Vec<AskedImage>,
    /// What the containers of one name and template hash run, where that is more than one digest.
    pub skews: Vec<Vec<AskedDigest>>,
}

/// An image that started containers run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AskedImage {
    /// The image as pods have it.
    pub image: Name,
    /// What runs under it.
    pub running: Vec<(DigestKind, Name)>,
    /// Whether some of its containers are in digest skew.
    pub in_skew: bool,
    /// Whether a template has it with the pull policy `Always`.
    pub always: bool,
    /// Whether nodes are known to resolve its tag elsewhere than the registry that was asked.
    pub contradicted: bool,
}

/// A digest that runs under an image.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct AskedDigest {
    /// What kind of digest it is.
    pub kind: DigestKind,
    /// The digest.
    pub digest: Name,
    /// The image, whose repository has it.
    pub image: Name,
}

/// What is known of an image while the pods are gone through.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct ImageUsage {
    /// What runs under it, and when the last container of each started.
    digests: BTreeMap<(DigestKind, Name), Option<UnixTime>>,
    in_skew: bool,
    always: bool,
    /// Whether the reference means the repository that it names.
    confirmed: bool,
    /// Whether a node pulled a short name from another registry than docker.io.
    elsewhere: bool,
}

impl Inventory {
    /// What workloads run, as registries are asked for it; `None` until there is a complete picture.
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

    /// Takes in what the containers of one name run under one template hash.
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
            // A digest beside the tag does not make the name less short.
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

    /// Whether a container asked for the image's tag after it moved, and runs what it stood for before.
    fn is_contradicted(&self, image: Symbol, digests: &BTreeMap<(DigestKind, Name), Option<UnixTime>>) -> bool {
        let Some(evidence) = &self.registry else { return false };
        let Some(tag) = evidence.tags.get(self.strings.name(image)) else { return false };
        let mut comparer = Comparer::new(evidence);
        digests.iter().any(|((kind, digest), latest)| {
            let answer = comparer.compare((DigestKind::Manifest, &tag.digest), (*kind, digest));
            contradicts(tag, answer, *latest)
        })
    }

    /// Marks registries as asked. Until they answer, two digests are no skew of a template: they may be two builds of one image, and
    /// an alert would fire at each start of podskew.
    pub fn await_registry(&mut self) {
        self.awaits_registry = self.registry.is_none();
    }

    /// Ends the wait for registries that do not answer: reports are as without them.
    pub fn give_up_registry(&mut self, now: UnixTime) {
        if std::mem::take(&mut self.awaits_registry) {
            self.catch_up(now);
            self.evidence_changed(now);
        }
    }

    /// The latest evidence of registries.
    #[must_use]
    pub fn registry_evidence(&self) -> Option<&Arc<RegistryEvidence>> {
        self.registry.as_ref()
    }

    /// Takes over what registries say. Every workload that it may concern counts as changed.
    pub fn take_registry_evidence(&mut self, evidence: &Arc<RegistryEvidence>, now: UnixTime) {
        self.catch_up(now);
        let before = self.registry.replace(Arc::clone(evidence)).unwrap_or_default();
        if std::mem::take(&mut self.awaits_registry) {
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
