//! Chooses the documents to fetch.

use super::cache::RegistryCache;
use crate::inventory::AskedDigest;
use crate::report::Name;
use crate::report::digest::DigestKind;
use crate::report::registry::{Comparer, DocumentKind, ImageFact, MissingDocument};
use std::collections::HashSet;

impl RegistryCache {
    /// Missing documents in an image's repository that decide how the running digests relate to the tag and to each
    /// other.
    pub(super) fn missing(&self, image: &str) -> Vec<MissingDocument> {
        let Some(entry) = self.entry(image) else { return Vec::new() };
        let repository = &entry.reference.repository;
        let mut comparer = Comparer::new(&self.evidence);
        if let Some((tag, _)) = &entry.seen {
            for (kind, digest) in &entry.running {
                comparer.compare((DigestKind::Manifest, tag), (*kind, digest));
            }
        }
        let own = |asked: &&AskedDigest| {
            let other = self.entry(&asked.image).map(|it| &it.reference);
            other.is_some_and(|it| it.host == entry.reference.host && it.repository == *repository)
        };
        let mut elsewhere: HashSet<&Name> = HashSet::new();
        for skew in self.skews.iter().filter(|skew| skew.iter().any(|asked| *asked.image == *image)) {
            elsewhere.extend(skew.iter().filter(|asked| !own(asked)).map(|asked| &asked.digest));
            comparer.note_for_all(skew.iter().map(|asked| (asked.kind, &asked.digest)));
        }
        let mut missing = comparer.missing();
        // Build details of each digest in skew.
        if entry.in_skew {
            missing.extend(entry.running.iter().filter_map(|(_, digest)| self.lacking_build(digest)));
        }
        missing.retain(|it| {
            let key = (repository.clone(), it.digest.clone());
            !elsewhere.contains(&it.digest) && !self.absent.contains_key(&key)
        });
        missing
    }

    /// The next document between a digest and the labels of its image.
    fn lacking_build(&self, digest: &Name) -> Option<MissingDocument> {
        let of = |digest: &Name, part| Some(MissingDocument { digest: digest.clone(), part });
        match self.evidence.fact(digest)? {
            ImageFact::Manifest(manifest) if self.evidence.fact(&manifest.config).is_none() => {
                of(&manifest.config, DocumentKind::Config)
            }
            ImageFact::Manifest(_) | ImageFact::Config(_) => None,
            ImageFact::Index(index) => {
                let amd64 = index.children.iter().find(|child| &*child.platform == "linux/amd64");
                let child = amd64.or(index.children.first())?;
                match self.evidence.fact(&child.digest) {
                    None => of(&child.digest, DocumentKind::Manifest),
                    Some(ImageFact::Manifest(_)) => self.lacking_build(&child.digest),
                    Some(_) => None,
                }
            }
        }
    }
}
