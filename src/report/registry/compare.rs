//! Decides from evidence of registries whether two digests are one image.

use super::{Child, Config, ImageFact, Index, Manifest, RegistryEvidence};
use crate::report::Name;
use crate::report::digest::{DigestKind, content};
use std::collections::{BTreeMap, BTreeSet};

/// Relation of two digests. Ordered by severity: over several platforms the worst counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Sameness {
    /// One image.
    One,
    /// Two images with the same layers and start command: only labels or dates differ.
    SameContent,
    /// Unknown.
    Unknown,
    /// Two images with different content.
    Different,
}

/// A document that would decide a comparison.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MissingDocument {
    /// Its digest.
    pub digest: Name,
    /// The kind of document, and so its path in the registry.
    pub part: DocumentKind,
}

/// The kind of a registry's document.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum DocumentKind {
    /// Under `/manifests/`.
    Manifest,
    /// Under `/blobs/`.
    Config,
}

/// Compares digests, and collects the documents that would decide open comparisons.
#[derive(Debug)]
pub struct Comparer<'e> {
    evidence: &'e RegistryEvidence,
    missing: Vec<MissingDocument>,
}

/// The known content of a digest.
#[derive(Clone, Copy)]
enum DigestContent<'e> {
    Index(&'e Index),
    Manifest(&'e Name, &'e Manifest),
    Config,
    /// An id that is local to a node.
    Opaque,
    /// A manifest or index of unknown content.
    Nothing,
}

impl<'e> Comparer<'e> {
    /// A comparer with this evidence.
    #[must_use]
    pub fn new(evidence: &'e RegistryEvidence) -> Self {
        Self { evidence, missing: Vec::new() }
    }

    /// Returns the missing documents, without duplicates.
    #[must_use]
    pub fn missing(mut self) -> Vec<MissingDocument> {
        self.missing.sort_unstable();
        self.missing.dedup();
        self.missing
    }

    /// Collects the documents that would decide how any two of `digests` relate. It reads each digest once, not each
    /// pair, because a workload may run thousands of digests.
    pub fn note_for_all<'d>(&mut self, digests: impl IntoIterator<Item = (DigestKind, &'d Name)>) {
        let mut distinct: BTreeMap<(&str, DigestKind), (DigestKind, &Name)> = BTreeMap::new();
        for (kind, digest) in digests {
            distinct.entry((content(digest), kind)).or_insert((kind, digest));
        }
        let contents = |key: Option<(&(&'d str, DigestKind), _)>| key.map(|((content, _), _)| *content);
        if contents(distinct.first_key_value()) == contents(distinct.last_key_value()) {
            return;
        }
        let (mut indexes, mut manifests, mut ids) = (Vec::new(), Vec::new(), Vec::new());
        for asked in distinct.into_values() {
            match self.known(asked) {
                DigestContent::Index(index) => indexes.push(index),
                DigestContent::Manifest(digest, manifest) => manifests.push((digest, manifest)),
                DigestContent::Config => ids.push((asked.1, true)),
                DigestContent::Opaque => ids.push((asked.1, false)),
                DigestContent::Nothing => {}
            }
        }
        // Groups of digests to compare: the images of one platform, and manifests of any platform.
        let mut groups: BTreeMap<Name, BTreeSet<&Name>> = BTreeMap::new();
        for child in indexes.iter().flat_map(|index| &index.children).filter(|child| !child.platform.is_empty()) {
            groups.entry(child.platform.clone()).or_default().insert(&child.digest);
        }
        let all: BTreeSet<&Name> = manifests.iter().map(|(digest, _)| *digest).collect();
        // An index and a manifest in it are one image, regardless of the platform.
        let mut containing: BTreeMap<&str, usize> = BTreeMap::new();
        for index in &indexes {
            let children: BTreeSet<&str> = index.children.iter().map(|child| content(&child.digest)).collect();
            for child in children {
                *containing.entry(child).or_default() += 1;
            }
        }
        for (digest, manifest) in &manifests {
            let is_in_all = containing.get(content(digest)).copied().unwrap_or(0) == indexes.len();
            if !is_in_all && let Some(platform) = self.platform_of(manifest) {
                groups.entry(platform).or_default().insert(digest);
            }
        }
        for group in groups.into_values().chain([all]).filter(|group| group.len() > 1) {
            let known: Vec<&Manifest> = group.into_iter().filter_map(|digest| self.manifest(digest)).collect();
            self.note_configs(known.into_iter().map(|manifest| &manifest.config).collect());
        }
        self.note_for_ids(&ids, &indexes, &manifests);
    }

    /// Adds the configurations, if there is more than one.
    fn note_configs(&mut self, configs: BTreeSet<&Name>) {
        if configs.len() > 1 {
            for config in configs {
                self.config(config);
            }
        }
    }

    /// Adds the documents that show which image a node's id belongs to. The flag of an id says whether it can be the id of
    /// a configuration.
    fn note_for_ids(&mut self, ids: &[(&Name, bool)], indexes: &[&Index], manifests: &[(&Name, &Manifest)]) {
        if ids.is_empty() {
            return;
        }
        // Number of images that have each configuration.
        let mut held: BTreeMap<&str, usize> = BTreeMap::new();
        let mut of_platform: BTreeMap<&Name, BTreeSet<&Name>> = BTreeMap::new();
        for index in indexes {
            let mut own: BTreeSet<&str> = BTreeSet::new();
            for child in &index.children {
                if let Some(manifest) = self.manifest(&child.digest) {
                    own.insert(content(&manifest.config));
                    of_platform.entry(&child.platform).or_default().insert(&manifest.config);
                }
            }
            for config in own {
                *held.entry(config).or_default() += 1;
            }
        }
        for (_, manifest) in manifests {
            *held.entry(content(&manifest.config)).or_default() += 1;
        }
        let images = indexes.len() + manifests.len();
        let of_manifests: BTreeSet<&Name> = manifests.iter().map(|(_, manifest)| &manifest.config).collect();
        let several = ids.iter().filter(|(_, is_config)| *is_config).count() > 1;
        let mut platforms: BTreeSet<Name> = BTreeSet::new();
        for (id, _) in ids.iter().filter(|(_, is_config)| *is_config) {
            let is_in_all = held.get(content(id)).copied().unwrap_or(0) == images;
            if (several || !is_in_all)
                && let Some(own) = self.config(id)
                && !is_in_all
            {
                platforms.insert(own.platform.clone());
            }
        }
        if !platforms.is_empty() {
            for config in of_manifests {
                self.config(config);
            }
        }
        for platform in &platforms {
            for config in of_platform.get(platform).into_iter().flatten() {
                self.config(config);
            }
        }
    }

    /// Compares two digests. The first rule that applies decides.
    pub fn compare(&mut self, one: (DigestKind, &Name), other: (DigestKind, &Name)) -> Sameness {
        if content(one.1) == content(other.1) {
            return Sameness::One;
        }
        if self.contains(one.1, other.1) || self.contains(other.1, one.1) {
            return Sameness::One;
        }
        let (a, b) = (self.known(one), self.known(other));
        match (a, b) {
            (DigestContent::Index(a), DigestContent::Index(b)) => self.indexes(a, b),
            (DigestContent::Index(index), DigestContent::Manifest(digest, manifest))
            | (DigestContent::Manifest(digest, manifest), DigestContent::Index(index)) => {
                match self.platform_of(manifest).and_then(|platform| child(index, &platform)) {
                    Some(child) => self.manifests(&child.digest.clone(), digest),
                    None => Sameness::Unknown,
                }
            }
            (DigestContent::Manifest(a, _), DigestContent::Manifest(b, _)) => self.manifests(a, b),
            (DigestContent::Config | DigestContent::Opaque, DigestContent::Config | DigestContent::Opaque) => {
                self.ids((one, a), (other, b))
            }
            (DigestContent::Config | DigestContent::Opaque, image) => self.id_and_image((one, a), image),
            (image, DigestContent::Config | DigestContent::Opaque) => self.id_and_image((other, b), image),
            (DigestContent::Nothing, _) | (_, DigestContent::Nothing) => Sameness::Unknown,
        }
    }

    fn contains(&self, index: &str, digest: &str) -> bool {
        match self.evidence.fact(index) {
            Some(ImageFact::Index(index)) => {
                index.children.iter().any(|child| content(&child.digest) == content(digest))
            }
            _ => false,
        }
    }

    fn known(&mut self, (kind, digest): (DigestKind, &Name)) -> DigestContent<'e> {
        match (kind, self.evidence.facts.get_key_value(digest)) {
            (DigestKind::Opaque, _) => DigestContent::Opaque,
            (_, Some((digest, fact))) => match &**fact {
                ImageFact::Index(index) => DigestContent::Index(index),
                ImageFact::Manifest(manifest) => DigestContent::Manifest(digest, manifest),
                ImageFact::Config(_) => DigestContent::Config,
            },
            (DigestKind::Manifest, None) => {
                self.note(digest, DocumentKind::Manifest);
                DigestContent::Nothing
            }
            (DigestKind::Config | DigestKind::ManifestOrConfig, None) => DigestContent::Config,
        }
    }

    fn note(&mut self, digest: &Name, part: DocumentKind) {
        self.missing.push(MissingDocument { digest: digest.clone(), part });
    }

    fn manifest(&mut self, digest: &Name) -> Option<&'e Manifest> {
        match self.evidence.fact(digest) {
            Some(ImageFact::Manifest(manifest)) => Some(manifest),
            Some(_) => None,
            None => {
                self.note(digest, DocumentKind::Manifest);
                None
            }
        }
    }

    fn config(&mut self, digest: &Name) -> Option<&'e Config> {
        match self.evidence.fact(digest) {
            Some(ImageFact::Config(config)) => Some(config),
            Some(_) => None,
            None => {
                self.note(digest, DocumentKind::Config);
                None
            }
        }
    }

    /// The platform of a manifest, according to its configuration.
    fn platform_of(&mut self, manifest: &Manifest) -> Option<Name> {
        self.config(&manifest.config).map(|config| config.platform.clone()).filter(|platform| !platform.is_empty())
    }

    /// Compares two indexes. They are one image if they have the same image for each platform that both have.
    fn indexes(&mut self, a: &Index, b: &Index) -> Sameness {
        let mut worst = None;
        for one in &a.children {
            let (own, others) = (child(a, &one.platform), child(b, &one.platform));
            let answer = match (own, others) {
                (Some(own), Some(other)) => self.manifests(&own.digest, &other.digest),
                // Both indexes have the platform, and one of them has it several times.
                _ if b.children.iter().any(|other| other.platform == one.platform) => Sameness::Unknown,
                _ => continue,
            };
            worst = worst.max(Some(answer));
        }
        match worst {
            Some(Sameness::One | Sameness::SameContent) if !a.complete || !b.complete => Sameness::Unknown,
            Some(worst) => worst,
            None => Sameness::Unknown,
        }
    }

    fn manifests(&mut self, a: &Name, b: &Name) -> Sameness {
        if a == b {
            return Sameness::One;
        }
        let (Some(a), Some(b)) = (self.manifest(a), self.manifest(b)) else { return Sameness::Unknown };
        if a.config == b.config {
            return Sameness::One;
        }
        let (a, b) = (self.config(&a.config), self.config(&b.config));
        same_content(a, b)
    }

    /// Compares two local ids. An id of a configuration can be read if a registry has the configuration.
    fn ids(
        &mut self,
        a: ((DigestKind, &Name), DigestContent<'e>),
        b: ((DigestKind, &Name), DigestContent<'e>),
    ) -> Sameness {
        if matches!(a.1, DigestContent::Opaque) || matches!(b.1, DigestContent::Opaque) {
            return Sameness::Unknown;
        }
        let (a, b) = (self.config(a.0.1), self.config(b.0.1));
        same_content(a, b)
    }

    /// Compares a local id with an image. They are one image if the id is that of the image's configuration, on any
    /// platform.
    fn id_and_image(
        &mut self,
        (id, known): ((DigestKind, &Name), DigestContent<'e>),
        image: DigestContent<'e>,
    ) -> Sameness {
        let digests: Vec<(Name, Name)> = match image {
            DigestContent::Index(index) => {
                index.children.iter().map(|it| (it.digest.clone(), it.platform.clone())).collect()
            }
            DigestContent::Manifest(digest, _) => vec![(digest.clone(), Name::from(""))],
            _ => return Sameness::Unknown,
        };
        let manifests: Vec<(&Manifest, Name)> =
            digests.into_iter().filter_map(|(digest, platform)| Some((self.manifest(&digest)?, platform))).collect();
        if manifests.iter().any(|(manifest, _)| content(&manifest.config) == content(id.1)) {
            return Sameness::One;
        }
        if matches!(known, DigestContent::Opaque) {
            return Sameness::Unknown;
        }
        let Some(own) = self.config(id.1) else { return Sameness::Unknown };
        let is_it = |(_, platform): &&(&Manifest, Name)| {
            matches!(image, DigestContent::Manifest(..)) || *platform == own.platform
        };
        let mut suiting = manifests.iter().filter(is_it);
        match (suiting.next(), suiting.next()) {
            (Some((manifest, _)), None) => {
                let other = self.config(&manifest.config);
                same_content(Some(own), other)
            }
            _ => Sameness::Unknown,
        }
    }
}

fn same_content(a: Option<&Config>, b: Option<&Config>) -> Sameness {
    match (a.and_then(|config| config.content), b.and_then(|config| config.content)) {
        (Some(a), Some(b)) if a == b => Sameness::SameContent,
        (Some(_), Some(_)) => Sameness::Different,
        _ => Sameness::Unknown,
    }
}

/// The only image of an index for a platform.
fn child<'i>(index: &'i Index, platform: &str) -> Option<&'i Child> {
    let mut suiting = index.children.iter().filter(|child| !platform.is_empty() && *child.platform == *platform);
    let first = suiting.next()?;
    suiting.all(|other| other.digest == first.digest).then_some(first)
}
