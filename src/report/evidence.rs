//! Evidence of nodes: which digests name one image, the architecture of each node, and the images it holds.
//!
//! Evidence is one immutable snapshot. It joins digests and never splits them: two digests in one entry of a node's
//! `status.images` are one image on that node's platform. A missing entry means unknown, because the kubelet reports
//! only the 50 largest images with five names each.
//!
//! # Platforms
//!
//! An index names a different image for each platform, so an entry applies only to its node's platform. Digests of
//! pods on several platforms are one image if one digest equals each of them on that pod's platform. That digest is
//! then the one that all of them run. A chain over several digests does not suffice across platforms: two indexes may
//! share the image of one platform and differ on another.

use super::Name;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Evidence of a cluster's nodes. It is immutable.
#[derive(Default, Debug)]
pub struct Evidence {
    /// Sorted by name.
    pub(super) nodes: Box<[KnownNode]>,
    pub(super) platforms: Vec<Platform>,
    /// Images that nodes hold under each tag; one entry per image.
    pub(super) held: Vec<Box<[TaggedImage]>>,
    /// Positions in `held`, by the tag as templates write it.
    pub(super) tags: HashMap<Name, u32>,
    /// Tags that name several images.
    pub(super) divided: Vec<CachedTag>,
}

#[derive(Debug)]
pub(super) struct KnownNode {
    pub(super) name: Name,
    pub(super) platform: u32,
}

/// A group of nodes on which an index names the same image.
#[derive(Debug)]
pub(super) struct Platform {
    /// Operating system and architecture; for a lone node, its name.
    pub(super) key: Name,
    /// Empty where the node does not report it.
    pub(super) architecture: Name,
    /// The only node of this platform; `None` if all nodes of the operating system and architecture share it.
    pub(super) lone_node: Option<Name>,
    /// Positions in `images`, by digest.
    pub(super) image_of: HashMap<Name, u32>,
    /// Sets of digests that are one image.
    pub(super) images: Vec<Box<[Name]>>,
}

/// An image that nodes hold under a tag.
#[derive(Debug)]
pub(super) struct TaggedImage {
    pub(super) digest: Name,
    pub(super) nodes: Box<[u32]>,
}

/// Number of nodes that hold an image under a tag with which other nodes hold another image.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct CachedTag {
    /// Label `image`, as templates write it.
    pub image: Name,
    /// Label `digest`.
    pub digest: Name,
    /// Number of nodes.
    pub nodes: u32,
}

/// The nodes that hold one image under a tag.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CachedImage {
    /// The image as templates write it.
    pub image: Name,
    /// The digest under that tag on these nodes.
    pub digest: Name,
    /// Their names, sorted.
    pub nodes: Vec<Name>,
}

impl Evidence {
    /// The platform of a node; `None` if the node is unknown.
    #[must_use]
    pub fn platform(&self, node: &str) -> Option<u32> {
        let at = self.nodes.binary_search_by(|known| (*known.name).cmp(node)).ok()?;
        Some(self.nodes[at].platform)
    }

    /// The architecture of a node, if known.
    #[must_use]
    pub fn architecture(&self, node: &str) -> Option<&Name> {
        let platform = self.platforms.get(self.platform(node)? as usize)?;
        (!platform.architecture.is_empty()).then_some(&platform.architecture)
    }

    /// The digests that name the same image as `digest` on a platform, itself included; empty if no node of the
    /// platform has it.
    #[must_use]
    pub fn names_of(&self, platform: u32, digest: &str) -> &[Name] {
        let Some(platform) = self.platforms.get(platform as usize) else { return &[] };
        let image = platform.image_of.get(digest).and_then(|at| platform.images.get(*at as usize));
        image.map_or(&[], |names| names)
    }

    /// Tags in use that name several images, with the number of nodes that hold each.
    #[must_use]
    pub fn divided_tags(&self) -> &[CachedTag] {
        &self.divided
    }

    /// The images that nodes hold under a tag; empty for a reference by digest, and where no node has it.
    #[must_use]
    pub fn cached(&self, image: &Name) -> Vec<CachedImage> {
        let held = self.tags.get(image).and_then(|at| self.held.get(*at as usize));
        let cached = |held: &TaggedImage| CachedImage {
            image: image.clone(),
            digest: held.digest.clone(),
            nodes: held.nodes.iter().filter_map(|at| Some(self.nodes.get(*at as usize)?.name.clone())).collect(),
        };
        held.into_iter().flatten().map(cached).collect()
    }

    /// Number of known nodes.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }
}

/// A candidate for one image: all digests that are known to be equal to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct ImageCandidate {
    pub(super) names: Vec<Name>,
    /// Its weight, such as its number of pods.
    pub(super) weight: usize,
}

/// Joins candidates that equal one digest. Returns that digest and the positions of its candidates, the heaviest image
/// first. Candidates without names are left out.
///
/// There may be several solutions: candidates go to the digest with the most remaining weight. Whether everything is
/// one image does not depend on that choice.
pub(super) fn joined(candidates: &[ImageCandidate], preferred: &dyn Fn(&Name) -> bool) -> Vec<(Name, Vec<usize>)> {
    let mut images = Vec::new();
    let mut left: Vec<usize> = (0..candidates.len()).filter(|at| !candidates[*at].names.is_empty()).collect();
    while !left.is_empty() {
        let mut weights: BTreeMap<&Name, usize> = BTreeMap::new();
        for at in &left {
            let names: HashSet<&Name> = candidates[*at].names.iter().collect();
            for name in names {
                *weights.entry(name).or_default() += candidates[*at].weight;
            }
        }
        let rank = |(name, weight): &(&Name, usize)| (*weight, preferred(name));
        // Ties go to the first in the order of the digests.
        let best = weights.into_iter().rev().max_by_key(rank);
        let Some((name, _)) = best else { break };
        let (own, others): (Vec<usize>, Vec<usize>) =
            left.into_iter().partition(|at| candidates[*at].names.contains(name));
        images.push((name.clone(), own));
        left = others;
    }
    images
}

/// The nodes of a workload's containers, with the evidence about them.
#[derive(Clone, Copy, Debug)]
pub struct OnNodes<'a> {
    /// The evidence of nodes.
    pub evidence: &'a Evidence,
    /// The node of each pod, by the position that containers give for it.
    pub nodes: &'a [&'a Name],
}

impl<'a> OnNodes<'a> {
    pub(super) fn platform(&self, pod: u32) -> Option<u32> {
        self.evidence.platform(self.nodes.get(pod as usize)?)
    }

    pub(super) fn architecture(&self, pod: u32) -> Option<&'a Name> {
        self.evidence.architecture(self.nodes.get(pod as usize)?)
    }

    /// Returns every digest that equals what all of these pods run. Each pod is given with the digest of its `imageID`.
    /// `own` are digests that name the same bytes on every platform.
    pub(super) fn names_of_all(&self, own: &[&Name], pods: impl Iterator<Item = u32>) -> Vec<Name> {
        let platforms: HashSet<Option<u32>> = pods.map(|pod| self.platform(pod)).collect();
        let mut names: Option<Vec<Name>> = None;
        for platform in platforms {
            let mut here: Vec<Name> = own.iter().map(|name| (*name).clone()).collect();
            if let Some(platform) = platform {
                here.extend(own.iter().flat_map(|name| self.evidence.names_of(platform, name)).cloned());
            }
            names = Some(match names {
                None => here,
                Some(names) => names.into_iter().filter(|name| here.contains(name)).collect(),
            });
        }
        let mut names = names.unwrap_or_default();
        names.sort_unstable();
        names.dedup();
        names
    }
}
