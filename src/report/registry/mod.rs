//! What registries say of images: which digest a tag stands for, and what a digest is.
//!
//! Evidence is one immutable snapshot. It joins digests and never splits them, and it tells of a difference only where both sides
//! are known.

mod compare;
mod describe;
mod join;
mod reference;
mod standing;

pub use compare::{Comparer, DocumentKind, MissingDocument, Sameness};
pub use join::join;
pub use reference::{Reference, ReferenceTarget};
pub(super) use standing::registry_report;
pub use standing::{ContentChange, GoneImage, RegistryReport, RunningDigest, SkewContent, TagReport, contradicts};

use super::Name;
use crate::time::UnixTime;
use std::collections::HashMap;
use std::sync::Arc;

/// What registries say. It never changes.
#[derive(Clone, Default, Debug)]
pub struct RegistryEvidence {
    /// Facts by digest. They are immutable, since a digest stands for its content.
    pub facts: HashMap<Name, Arc<ImageFact>>,
    /// Tag references by the image as pods have it.
    pub tags: HashMap<Name, TagFact>,
    /// Images that the registry does not hold any more, and since when; by the image as pods have it.
    pub gone: HashMap<Name, UnixTime>,
    /// What images say of their build: those that run and those that tags stand for, as far as it is known; sorted by digest.
    pub builds: Vec<(Name, Build)>,
    /// Images of which a registry that was asked once did not say what they stand for, and why.
    pub unanswered: HashMap<Name, &'static str>,
}

/// What a tag stands for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TagFact {
    /// The digest: confirmed by its content, or one that a pod runs.
    pub digest: Name,
    /// The first look that saw the tag stand for it.
    pub since: UnixTime,
}

/// The content of a digest, as far as podskew needs it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ImageFact {
    /// An OCI index or Docker manifest list.
    Index(Index),
    /// An image manifest.
    Manifest(Manifest),
    /// An image configuration.
    Config(Config),
}

/// An OCI index or Docker manifest list.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Index {
    /// Its images; attestations are left out.
    pub children: Box<[Child]>,
    /// Whether every child is an image of a known platform.
    pub complete: bool,
    /// What its annotations say of its build.
    pub build: Build,
}

/// An image in an index.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Child {
    /// Its platform, as [`platform`] writes it; empty where it is not known.
    pub platform: Name,
    /// The digest of its manifest.
    pub digest: Name,
}

/// An image manifest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Manifest {
    /// The digest of its configuration.
    pub config: Name,
    /// What its annotations say of its build.
    pub build: Build,
}

/// An image configuration.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Config {
    /// Its platform, as [`platform`] writes it; empty where it is not known.
    pub platform: Name,
    /// A hash of what a container sees of it: layers, architecture, entrypoint, command, environment, user and directory. `None`
    /// where it names no layers.
    pub content: Option<u64>,
    /// What its labels say of its build.
    pub build: Build,
}

/// What an image says of its build.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Build {
    /// `org.opencontainers.image.revision`.
    pub revision: Option<Name>,
    /// `org.opencontainers.image.version`.
    pub version: Option<Name>,
    /// `org.opencontainers.image.source`.
    pub source: Option<Name>,
    /// When it was built, as it says itself; `None` for a date that build tools write to be reproducible.
    pub created: Option<UnixTime>,
}

impl Build {
    /// This, with what it leaves out taken from `other`.
    fn or(mut self, other: &Self) -> Self {
        self.revision = self.revision.or_else(|| other.revision.clone());
        self.version = self.version.or_else(|| other.version.clone());
        self.source = self.source.or_else(|| other.source.clone());
        self.created = self.created.or(other.created);
        self
    }
}

/// The platform of an image, written the same way for every spelling that means the same.
#[must_use]
pub fn platform(os: &str, architecture: &str, variant: &str, os_version: &str) -> String {
    if os.is_empty() || architecture.is_empty() || os == "unknown" || architecture == "unknown" {
        return String::new();
    }
    // As containerd normalises them: these variants are what an architecture means without one.
    let variant = match (architecture, variant) {
        ("arm64", "8" | "v8") | ("amd64", "v1") => "",
        ("arm", "") => "v7",
        ("arm", "5" | "6" | "7" | "8") => return format!("{os}/arm/v{variant}"),
        (_, variant) => variant,
    };
    let mut text = format!("{os}/{architecture}");
    for (separator, part) in [('/', variant), (' ', os_version)] {
        if !part.is_empty() {
            text.push(separator);
            text.push_str(part);
        }
    }
    text
}

impl RegistryEvidence {
    /// What is known of a digest.
    #[must_use]
    pub fn fact(&self, digest: &str) -> Option<&ImageFact> {
        self.facts.get(digest).map(|fact| &**fact)
    }

    /// What an image says of its build. Of an index that is what all of its images say, as far as they are known.
    #[must_use]
    pub fn build(&self, digest: &str) -> Build {
        match self.fact(digest) {
            None => Build::default(),
            Some(ImageFact::Config(config)) => config.build.clone(),
            Some(ImageFact::Manifest(manifest)) => match self.fact(&manifest.config) {
                Some(ImageFact::Config(config)) => config.build.clone().or(&manifest.build),
                _ => manifest.build.clone(),
            },
            Some(ImageFact::Index(index)) => {
                let is_image = |child: &&Child| matches!(self.fact(&child.digest), Some(ImageFact::Manifest(_)));
                let known = index.children.iter().filter(is_image);
                let mut builds = known.map(|child| self.build(&child.digest));
                let Some(first) = builds.next() else { return index.build.clone() };
                let common = builds.fold(first, |all, other| Build {
                    revision: all.revision.filter(|it| other.revision.as_ref() == Some(it)),
                    version: all.version.filter(|it| other.version.as_ref() == Some(it)),
                    source: all.source.filter(|it| other.source.as_ref() == Some(it)),
                    // Platforms are built one after the other: the index is as old as the last of them.
                    created: all.created.max(other.created),
                });
                common.or(&index.build)
            }
        }
    }
}

/// Which of two images was built later: `None` where their dates do not tell.
#[must_use]
pub fn is_newer(one: &Build, other: &Build) -> Option<bool> {
    let (one, other) = (one.created?, other.created?);
    (one != other).then_some(one > other)
}

/// A date of build, unless it is one that build tools write so that builds are reproducible.
#[must_use]
pub fn believable(created: UnixTime) -> Option<UnixTime> {
    /// 2000-01-01T00:00:00Z.
    const FIRST: u32 = 946_684_800;
    (created.seconds() > FIRST).then_some(created)
}

#[cfg(test)]
mod tests {
    use super::platform;

    #[test]
    fn spellings_of_one_platform_are_one() {
        for (os, architecture, variant, expected) in [
            ("linux", "amd64", "", "linux/amd64"),
            ("linux", "amd64", "v1", "linux/amd64"),
            ("linux", "amd64", "v3", "linux/amd64/v3"),
            ("linux", "arm64", "v8", "linux/arm64"),
            ("linux", "arm", "", "linux/arm/v7"),
            ("linux", "arm", "6", "linux/arm/v6"),
            ("unknown", "unknown", "", ""),
            ("", "amd64", "", ""),
        ] {
            assert_eq!(platform(os, architecture, variant, ""), expected, "{os}/{architecture}/{variant}");
        }
        assert_eq!(platform("windows", "amd64", "", "10.0.20348.1"), "windows/amd64 10.0.20348.1");
    }
}
