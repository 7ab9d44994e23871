//! Builds evidence from nodes, one after another. It keeps only what concerns images in use.

use super::Name;
use super::digest::ImageId;
use super::evidence::{CachedTag, Evidence, ImageCandidate, KnownNode, Platform, TaggedImage, joined};
use super::reference::TagReference;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// The images in use; everything else is dropped.
#[derive(Clone, Default, Debug)]
pub struct WantedImages {
    /// Digests in `imageID`s.
    pub digests: HashSet<Name>,
    /// Tags by their full names, with the spellings in templates.
    pub tags: BTreeMap<Name, BTreeSet<Name>>,
}

/// Facts of a node.
#[derive(Clone, Copy, Default, Debug)]
pub struct NodeFacts<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its operating system; empty where the node does not report it.
    pub os: &'a str,
    /// Its architecture; empty where the node does not report it.
    pub architecture: &'a str,
    /// The version of its kernel.
    pub kernel: &'a str,
}

/// Collects nodes one by one.
#[derive(Default, Debug)]
pub struct EvidenceBuilder {
    /// `None` keeps everything until the end.
    asked: Option<WantedImages>,
    names: HashSet<Name>,
    entries: Vec<ImageEntry>,
    entry_of: HashMap<ImageEntry, u32>,
    nodes: BTreeMap<Name, Node>,
}

/// The names of one entry of `status.images`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct ImageEntry {
    digests: Box<[Name]>,
    tags: Box<[Name]>,
}

#[derive(Debug)]
struct Node {
    platform: Name,
    architecture: Name,
    is_lone: bool,
    entries: Box<[u32]>,
}

impl EvidenceBuilder {
    /// A builder that keeps only images in `asked`.
    #[must_use]
    pub fn of(asked: WantedImages) -> Self {
        Self { asked: Some(asked), ..Self::default() }
    }

    /// Adds a node with the names of each image that it holds. It replaces an earlier node of that name.
    pub fn node<'a, N: Iterator<Item = &'a str>>(&mut self, node: NodeFacts<'_>, images: impl Iterator<Item = N>) {
        let mut entries: Vec<u32> = images.filter_map(|names| self.entry(names)).collect();
        entries.sort_unstable();
        entries.dedup();
        let shared = shared_platform(node);
        let is_lone = shared.is_none();
        let platform = self.kept(&shared.unwrap_or_else(|| format!("node {}", node.name)));
        let architecture = self.kept(node.architecture);
        let entries = entries.into_boxed_slice();
        self.nodes.insert(Name::from(node.name), Node { platform, architecture, is_lone, entries });
    }

    /// Removes a node.
    pub fn remove(&mut self, name: &str) {
        self.nodes.remove(name);
    }

    fn entry<'a>(&mut self, names: impl Iterator<Item = &'a str>) -> Option<u32> {
        let (mut digests, mut tags) = (Vec::new(), Vec::new());
        for name in names {
            if name.contains('@') {
                digests.extend(ImageId::parse(name).map(|image| image.digest));
            } else {
                tags.extend(TagReference::parse(name).map(|tag| tag.full));
            }
        }
        if let Some(asked) = &self.asked {
            let counts = digests.iter().any(|digest| asked.digests.contains(*digest));
            tags.retain(|tag| asked.tags.contains_key(tag.as_str()));
            if !counts && tags.is_empty() {
                return None;
            }
        }
        // An entry without a digest does not show what the tag points to.
        if digests.is_empty() {
            return None;
        }
        digests.sort_unstable();
        digests.dedup();
        tags.sort_unstable();
        tags.dedup();
        let entry = ImageEntry {
            digests: digests.into_iter().map(|digest| self.kept(digest)).collect(),
            tags: tags.iter().map(|tag| self.kept(tag)).collect(),
        };
        if let Some(known) = self.entry_of.get(&entry) {
            return Some(*known);
        }
        let at = u32::try_from(self.entries.len()).ok()?;
        self.entries.push(entry.clone());
        self.entry_of.insert(entry, at);
        Some(at)
    }

    /// Interns a text; digests in use share the workloads' copies.
    fn kept(&mut self, text: &str) -> Name {
        if let Some(known) = self.names.get(text) {
            return Name::clone(known);
        }
        let asked = self.asked.as_ref().and_then(|asked| asked.digests.get(text));
        let name = asked.map_or_else(|| Name::from(text), Name::clone);
        self.names.insert(Name::clone(&name));
        name
    }

    /// Returns the evidence. It keeps from `before` which digests are one image, because that never changes.
    #[must_use]
    pub fn finish(mut self, asked: Option<WantedImages>, before: Option<&Evidence>) -> Evidence {
        let asked = asked.or(self.asked.take()).unwrap_or_default();
        // Whether a tag's entries are one image matters even for digests that no pod runs.
        let of_tags = self.entries.iter().filter(|entry| entry.tags.iter().any(|tag| asked.tags.contains_key(tag)));
        let of_tags: HashSet<Name> = of_tags.flat_map(|entry| entry.digests.iter().cloned()).collect();
        let counts =
            |digests: &[Name]| digests.iter().any(|digest| asked.digests.contains(digest) || of_tags.contains(digest));
        let mut platforms: BTreeMap<Name, (Name, Option<Name>, Joins)> = BTreeMap::new();
        for platform in before.iter().flat_map(|before| &before.platforms) {
            if platform.lone_node.as_ref().is_some_and(|node| !self.nodes.contains_key(node)) {
                continue;
            }
            let new = || (platform.architecture.clone(), platform.lone_node.clone(), Joins::default());
            let (_, _, joins) = platforms.entry(platform.key.clone()).or_insert_with(new);
            platform.images.iter().filter(|image| counts(image)).for_each(|image| joins.join(image));
        }
        let mut taken: HashSet<(&Name, u32)> = HashSet::new();
        for (name, node) in &self.nodes {
            let lone = || node.is_lone.then(|| name.clone());
            let new = || (node.architecture.clone(), lone(), Joins::default());
            let (_, _, joins) = platforms.entry(node.platform.clone()).or_insert_with(new);
            for at in &node.entries {
                let digests = &self.entries[*at as usize].digests;
                if digests.len() > 1 && taken.insert((&node.platform, *at)) {
                    joins.join(digests);
                }
            }
        }
        drop(taken);
        let mut evidence = Evidence::default();
        let mut position: HashMap<Name, u32> = HashMap::new();
        for (at, (key, (architecture, lone_node, joins))) in (0..).zip(platforms) {
            position.insert(key.clone(), at);
            evidence.platforms.push(joins.platform(key, architecture, lone_node, &counts));
        }
        let known = |(name, node): (&Name, &Node)| KnownNode {
            name: name.clone(),
            platform: position.get(&node.platform).copied().unwrap_or(u32::MAX),
        };
        evidence.nodes = self.nodes.iter().map(known).collect();
        self.tags(&asked, &mut evidence);
        evidence
    }

    /// Collects which image each node holds under each wanted tag.
    fn tags(&self, asked: &WantedImages, evidence: &mut Evidence) {
        // Platforms and nodes, by tag and entry.
        let mut held: BTreeMap<&Name, BTreeMap<(u32, u32), Vec<u32>>> = BTreeMap::new();
        for ((at, node), known) in (0..).zip(self.nodes.values()).zip(&*evidence.nodes) {
            let mut once: BTreeMap<&Name, Option<u32>> = BTreeMap::new();
            for entry in &node.entries {
                for tag in self.entries[*entry as usize].tags.iter().filter(|tag| asked.tags.contains_key(*tag)) {
                    // A tag in two entries of one node is ambiguous.
                    once.entry(tag).and_modify(|known| *known = None).or_insert(Some(*entry));
                }
            }
            for (tag, entry) in once {
                if let Some(entry) = entry {
                    held.entry(tag).or_default().entry((known.platform, entry)).or_default().push(at);
                }
            }
        }
        for ((tag, entries), at) in held.into_iter().zip(0..) {
            let images = self.images(asked, evidence, entries);
            for image in asked.tags.get(tag).into_iter().flatten() {
                evidence.tags.insert(image.clone(), at);
                evidence.divided.extend(images.iter().filter(|_| images.len() > 1).map(|held| CachedTag {
                    image: image.clone(),
                    digest: held.digest.clone(),
                    nodes: u32::try_from(held.nodes.len()).unwrap_or(u32::MAX),
                }));
            }
            evidence.held.push(images);
        }
        evidence.divided.sort_unstable();
    }

    fn images(
        &self,
        asked: &WantedImages,
        evidence: &Evidence,
        entries: BTreeMap<(u32, u32), Vec<u32>>,
    ) -> Box<[TaggedImage]> {
        let mut nodes_of: BTreeMap<Vec<Name>, Vec<u32>> = BTreeMap::new();
        for ((platform, entry), nodes) in entries {
            let digests = &self.entries[entry as usize].digests;
            let same = digests.first().map_or(&[][..], |digest| evidence.names_of(platform, digest));
            let names = if same.is_empty() { digests.to_vec() } else { same.to_vec() };
            nodes_of.entry(names).or_default().extend(nodes);
        }
        let (candidates, mut nodes): (Vec<ImageCandidate>, Vec<Vec<u32>>) =
            nodes_of.into_iter().map(|(names, nodes)| (ImageCandidate { names, weight: nodes.len() }, nodes)).unzip();
        let images = joined(&candidates, &|name| asked.digests.contains(name));
        let held = |(digest, candidates): (Name, Vec<usize>)| {
            let mut all: Vec<u32> = candidates.iter().flat_map(|at| std::mem::take(&mut nodes[*at])).collect();
            all.sort_unstable();
            TaggedImage { digest, nodes: all.into_boxed_slice() }
        };
        images.into_iter().map(held).collect()
    }
}

/// The platform that a node shares with others; `None` if unknown. An index may have an image for each variant of
/// 32-bit ARM, and nodes do not report their variant. For Windows the build matters, which is the kernel version.
fn shared_platform(node: NodeFacts<'_>) -> Option<String> {
    let NodeFacts { os, architecture, kernel, .. } = node;
    match (os, architecture) {
        ("", _) | (_, "" | "arm") => None,
        ("windows", _) => {
            let build: Vec<&str> = kernel.split(['.', ' ']).take(3).collect();
            (build.len() == 3).then(|| format!("windows/{architecture} {}", build.join(".")))
        }
        _ => Some(format!("{os}/{architecture}")),
    }
}

/// Digests of one platform, joined so far.
#[derive(Default)]
struct Joins {
    image_of: HashMap<Name, usize>,
    images: Vec<Vec<Name>>,
}

impl Joins {
    /// Joins digests that are one image.
    fn join(&mut self, digests: &[Name]) {
        let mut known: Vec<usize> = digests.iter().filter_map(|digest| self.image_of.get(digest).copied()).collect();
        known.sort_unstable();
        known.dedup();
        let mut image: Vec<Name> = known.iter().flat_map(|at| std::mem::take(&mut self.images[*at])).collect();
        image.extend(digests.iter().cloned());
        image.sort_unstable();
        image.dedup();
        let at = known.first().copied().unwrap_or_else(|| {
            self.images.push(Vec::new());
            self.images.len() - 1
        });
        for digest in &image {
            self.image_of.insert(digest.clone(), at);
        }
        self.images[at] = image;
    }

    /// Keeps only images with a digest in use.
    fn platform(
        self,
        key: Name,
        architecture: Name,
        lone_node: Option<Name>,
        counts: &dyn Fn(&[Name]) -> bool,
    ) -> Platform {
        let images: Vec<Box<[Name]>> =
            self.images.into_iter().filter(|image| counts(image)).map(Vec::into_boxed_slice).collect();
        let mut image_of = HashMap::new();
        for (at, image) in (0..).zip(&images) {
            image_of.extend(image.iter().map(|digest| (digest.clone(), at)));
        }
        Platform { key, architecture, lone_node, image_of, images }
    }
}
