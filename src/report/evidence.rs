//! What nodes say of images: which digests name one image, on which architecture a node runs, and which image it would start.
//!
//! Evidence is one immutable snapshot. It joins digests and never splits them: two digests that one entry of a node's
//! `status.images` names together are one image on that node's platform. What no entry says is unknown, because the kubelet
//! reports the 50 largest images with five names each, and no others.
//!
//! # Platforms
//!
//! An index stands for another image on every platform, so an entry speaks of the platform of its node alone. Digests of pods
//! on several platforms are one image where there is one digest that each of the pods' digests is known to be the same as, each
//! on its own platform: that digest is then what all of them run. A chain over several digests does not suffice across
//! platforms, since two indexes may share the image of one platform and differ in that of another.

use super::Name;
use std::collections::{BTreeMap, HashMap, HashSet};

/// What the nodes of a cluster say. It never changes.
#[derive(Default, Debug)]
pub struct Evidence {
    /// Sorted by name.
    pub(super) nodes: Box<[KnownNode]>,
    pub(super) platforms: Vec<Platform>,
    /// What nodes hold under each tag; one entry for each image.
    pub(super) held: Vec<Box<[TaggedImage]>>,
    /// Positions in `held`, by the name that templates have for the tag.
    pub(super) tags: HashMap<Name, u32>,
    /// Tags that stand for several images.
    pub(super) divided: Vec<CachedTag>,
}

#[derive(Debug)]
pub(super) struct KnownNode {
    pub(super) name: Name,
    pub(super) platform: u32,
}

/// Nodes on which an index stands for the same image.
#[derive(Debug)]
pub(super) struct Platform {
    /// Operating system and architecture; of a lone node, its name.
    pub(super) key: Name,
    /// Empty where the node does not report it.
    pub(super) architecture: Name,
    /// The one node that this is about; `None` for all of an operating system and architecture.
    pub(super) lone_node: Option<Name>,
    /// Positions in `images`, by digest.
    pub(super) image_of: HashMap<Name, u32>,
    /// Digests that are one image.
    pub(super) images: Vec<Box<[Name]>>,
}

/// An image that nodes hold under a tag.
#[derive(Debug)]
pub(super) struct TaggedImage {
    pub(super) digest: Name,
    pub(super) nodes: Box<[u32]>,
}

/// How many nodes hold an image under a tag that stands for another image on other nodes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct CachedTag {
    /// Label `image`, as templates have it.
    pub image: Name,
    /// Label `digest`.
    pub digest: Name,
    /// How many nodes.
    pub nodes: u32,
}

/// The nodes that hold one image under a tag.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CachedImage {
    /// The image as templates have it.
    pub image: Name,
    /// What it stands for on these nodes.
    pub digest: Name,
    /// Their names, sorted.
    pub nodes: Vec<Name>,
}

impl Evidence {
    /// The platform of a node; `None` if nothing was heard of the node.
    #[must_use]
    pub fn platform(&self, node: &str) -> Option<u32> {
        let at = self.nodes.binary_search_by(|known| (*known.name).cmp(node)).ok()?;
        Some(self.nodes[at].platform)
    }

    /// The architecture of a node, where the node reports it.
    #[must_use]
    pub fn architecture(&self, node: &str) -> Option<&Name> {
        let platform = self.platforms.get(self.platform(node)? as usize)?;
        (!platform.architecture.is_empty()).then_some(&platform.architecture)
    }

    /// The digests that name the same image as `digest` on a platform, itself included; empty where no node says anything.
    #[must_use]
    pub fn names_of(&self, platform: u32, digest: &str) -> &[Name] {
        let Some(platform) = self.platforms.get(platform as usize) else { return &[] };
        let image = platform.image_of.get(digest).and_then(|at| platform.images.get(*at as usize));
        image.map_or(&[], |names| names)
    }

    /// The tags that workloads run and that stand for several images, with the number of nodes that hold each.
    #[must_use]
    pub fn divided_tags(&self) -> &[CachedTag] {
        &self.divided
    }

    /// The images that nodes hold under a tag; none for a reference by digest, and where no node says anything.
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

    /// How many nodes were heard of.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }
}

/// Something that stands for one image: every digest that it is known to be the same as.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct ImageCandidate {
    pub(super) names: Vec<Name>,
    /// How much it counts for.
    pub(super) weight: usize,
}

/// Joins candidates that are the same as one digest. Each joint image is given as that digest and the positions of its
/// candidates, the image that counts for most first. A candidate without names stays out.
///
/// There may be several ways to join them: candidates go to the digest that stands for most of what is left. Whether one image
/// is all there is does not depend on that.
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
        // The first of the best, in the order of the digests.
        let best = weights.into_iter().rev().max_by_key(rank);
        let Some((name, _)) = best else { break };
        let (own, others): (Vec<usize>, Vec<usize>) =
            left.into_iter().partition(|at| candidates[*at].names.contains(name));
        images.push((name.clone(), own));
        left = others;
    }
    images
}

/// Where the containers of a workload run, as nodes report it.
#[derive(Clone, Copy, Debug)]
pub struct OnNodes<'a> {
    /// What is known of nodes.
    pub evidence: &'a Evidence,
    /// The node of each pod, by the position that containers have for it.
    pub nodes: &'a [&'a Name],
}

impl<'a> OnNodes<'a> {
    pub(super) fn platform(&self, pod: u32) -> Option<u32> {
        self.evidence.platform(self.nodes.get(pod as usize)?)
    }

    pub(super) fn architecture(&self, pod: u32) -> Option<&'a Name> {
        self.evidence.architecture(self.nodes.get(pod as usize)?)
    }

    /// Every digest that stands for what all of these run: each gives the pod and the digest that its `imageID` names. `own`
    /// are digests that are known to name the same bytes on every platform.
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
