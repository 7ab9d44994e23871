//! Evidence of nodes: which images to ask for, and which workloads it changes.

use super::Inventory;
use super::container_identity::{ContainerIdentity, IdentityId};
use super::ended::ObservedBy;
use super::intern::Symbol;
use super::memory::WorkloadMemory;
use super::owners::Owner;
use super::workloads::WorkloadRecord;
use crate::objects::{Node, Object, Uid};
use crate::report::Name;
use crate::report::evidence::{CachedTag, Evidence};
use crate::report::evidence_builder::{EvidenceBuilder, NodeFacts, WantedImages};
use crate::report::facts::ContainerFacts;
use crate::report::reference::TagReference;
use crate::time::UnixTime;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Seconds after which a node has reported a pulled image: its kubelet lists images every 30 s (`imageGCManager.Start`)
/// and reports changes every 10 s.
const REPORTED_WITHIN: u32 = 120;

/// Gives a node to the evidence builder.
pub fn take_node(builder: &mut EvidenceBuilder, object: &Object<'_>, node: &Node<'_>) {
    let facts =
        NodeFacts { name: &object.meta.name, os: &node.os, architecture: &node.architecture, kernel: &node.kernel };
    builder.node(facts, node.images.iter().map(|image| image.names.iter().map(|name| &**name)));
}

/// The evidence of nodes, with `--nodes`.
#[derive(Default, Debug)]
pub(super) struct NodeEvidence {
    latest: Option<Arc<Evidence>>,
    /// When it was taken.
    at: Option<UnixTime>,
    /// Whether evidence of nodes is still awaited.
    awaited: bool,
}

impl NodeEvidence {
    pub(super) fn latest(&self) -> Option<&Evidence> {
        self.latest.as_deref()
    }

    pub(super) fn is_awaited(&self) -> bool {
        self.awaited
    }
}

impl Inventory {
    /// The images in use, to select evidence of nodes by; `None` before the initial sync.
    #[must_use]
    pub fn asked(&self) -> Option<WantedImages> {
        let is_complete = self.sources.have_answered();
        is_complete.then(|| self.images_in_use())
    }

    fn images_in_use(&self) -> WantedImages {
        let mut asked = WantedImages::default();
        let mut references: HashMap<Symbol, Option<TagReference>> = HashMap::new();
        let mut elsewhere: BTreeSet<Name> = BTreeSet::new();
        for identity in self.identities_in_use() {
            let digest = self.strings.name(identity.digest);
            if !digest.is_empty() && !asked.digests.contains(digest) {
                asked.digests.insert(digest.clone());
            }
            let image = self.strings.name(identity.image);
            let tag = references.entry(identity.image).or_insert_with(|| TagReference::parse(image));
            let Some(tag) = tag.as_ref().filter(|_| !digest.is_empty()) else { continue };
            if tag.is_of(self.strings.name(identity.repository)) {
                asked.tags.entry(Name::from(tag.full.as_str())).or_default().insert(image.clone());
            } else {
                elsewhere.insert(image.clone());
            }
        }
        // If some node pulls a short name from another registry, other nodes may do so too.
        for images in asked.tags.values_mut() {
            images.retain(|image| !elsewhere.contains(image));
        }
        asked.tags.retain(|_, images| !images.is_empty());
        asked
    }

    /// The identities of all containers, each once.
    fn identities_in_use(&self) -> impl Iterator<Item = &ContainerIdentity> {
        let mut seen = Vec::new();
        let containers = self.pods.iter().flat_map(|(_, entry)| &entry.record.containers);
        containers.filter_map(move |container| {
            let at = container.identity.index();
            if seen.len() <= at {
                seen.resize(at + 1, false);
            }
            let is_new = !std::mem::replace(&mut seen[at], true);
            self.identities.get(container.identity).filter(|_| is_new)
        })
    }

    /// The latest evidence.
    #[must_use]
    pub fn evidence(&self) -> Option<&Arc<Evidence>> {
        self.nodes.latest.as_ref()
    }

    /// Sets the evidence of nodes. Every workload that it may concern counts as changed.
    pub fn take_evidence(&mut self, evidence: Arc<Evidence>, now: UnixTime) {
        self.catch_up(now);
        self.nodes = NodeEvidence { latest: Some(evidence), at: Some(now), awaited: false };
        self.evidence_changed(now);
    }

    /// Marks evidence of nodes as awaited. Until it arrives, two digests are not skew of a template, because they may name
    /// one image.
    pub fn await_evidence(&mut self) {
        self.nodes.awaited = self.nodes.latest.is_none();
    }

    /// Ends the wait for nodes that do not respond: reports are as without `--nodes`.
    pub fn give_up_evidence(&mut self, now: UnixTime) {
        if std::mem::take(&mut self.nodes.awaited) {
            self.catch_up(now);
            self.evidence_changed(now);
        }
    }

    /// Whether a skew began after the latest evidence.
    #[must_use]
    pub fn wants_evidence(&self) -> bool {
        let Some(at) = self.nodes.at else { return true };
        self.workloads
            .iter()
            .any(|(_, record)| record.memory.skews().iter().any(|skew| skew.since.plus(REPORTED_WITHIN) >= at))
    }

    /// Marks every workload that evidence may concern as changed.
    pub(super) fn evidence_changed(&mut self, now: UnixTime) {
        let concerned: Vec<u32> =
            self.workloads.iter().filter(|(_, record)| self.is_divided(&record.memory)).map(|(at, _)| at).collect();
        for at in concerned {
            if let Some(record) = self.workloads.get_mut(at) {
                record.memory.images_changed();
            }
            self.workloads.queue_update(at);
        }
        self.take_in(now, ObservedBy::Event);
    }

    /// Whether two containers of one name run an image with two digests, or have not been compared yet.
    pub(super) fn is_divided(&self, memory: &WorkloadMemory) -> bool {
        let mut known: Vec<(Symbol, Symbol)> = Vec::new();
        !memory.observed
            || memory.identities().filter_map(|identity| self.identities.get(identity)).any(|identity| {
                let first = known.iter().find(|(name, _)| *name == identity.name);
                let divided = first.is_some_and(|(_, digest)| *digest != identity.digest);
                known.push((identity.name, identity.digest));
                divided
            })
    }

    /// Containers that represent all of their image under a template hash, once per node; and those nodes. Without
    /// `--nodes`, the containers unchanged.
    pub(super) fn on_their_nodes<'a>(
        &'a self,
        record: &WorkloadRecord,
        uid: Uid,
        hash: Symbol,
        containers: Vec<ContainerFacts<'a>>,
    ) -> (Vec<ContainerFacts<'a>>, Vec<&'a Name>) {
        if self.nodes.latest.is_none() {
            return (containers, Vec::new());
        }
        let mut placed: BTreeSet<(Symbol, IdentityId)> = BTreeSet::new();
        for owner in record.groups.iter().filter(|owner| self.top_uid(**owner) == Some(uid)) {
            let pods = self.owners.get(*owner).map_or(&[][..], Owner::pods);
            let pods = pods.iter().filter_map(|pod| self.pods.get(*pod)).map(|entry| &entry.record);
            for pod in pods.filter(|pod| pod.hash == hash && !pod.terminating) {
                placed.extend(pod.containers.iter().map(|container| (pod.node, container.identity)));
            }
        }
        let (mut on_nodes, mut nodes) = (Vec::new(), Vec::new());
        for (node, identity) in placed {
            let Some(identity) = self.identities.get(identity) else { continue };
            let described = self.container_facts(0, identity, None);
            let is_it = |other: &&ContainerFacts<'_>| {
                other.name == described.name && other.image == described.image && other.identity == described.identity
            };
            if let (Some(facts), Ok(pod)) = (containers.iter().find(is_it), u32::try_from(nodes.len())) {
                on_nodes.push(ContainerFacts { pod, ..*facts });
                nodes.push(self.strings.name(node));
            }
        }
        (on_nodes, nodes)
    }

    /// Tags in use that name several images on nodes.
    pub(super) fn cached_tags(&self) -> Vec<CachedTag> {
        self.nodes.latest().map(|evidence| evidence.divided_tags().to_vec()).unwrap_or_default()
    }
}
