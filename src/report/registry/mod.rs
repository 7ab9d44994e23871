//! Evidence of registries: the digest of a tag, and the content of a digest.
//!
//! Evidence is one immutable snapshot. It joins digests and never splits them. It reports a difference only if both
//! sides are known.

mod compare;
mod describe;
mod join;
mod reference;
mod tags;

pub use compare::{Comparer, DocumentKind, MissingDocument, Sameness};
pub use join::join;
pub use reference::{Reference, ReferenceTarget};
pub(super) use tags::registry_report;
pub use tags::{ContentChange, GoneImage, RegistryReport, RunningDigest, SkewContent, TagReport, contradicts};

use super::Name;
use crate::time::UnixTime;
use std::collections::HashMap;
use std::sync::Arc;

/// Evidence of registries. It is immutable.
#[derive(Clone, Default, Debug)]
pub struct RegistryEvidence {
    /// Facts by digest. They never change, because a digest names its content.
    pub facts: HashMap<Name, Arc<ImageFact>>,
    /// Tags, by the image as pods write it.
    pub tags: HashMap<Name, TagFact>,
    /// Images that the registry no longer has, and since when; by the image as pods write it.
    pub gone: HashMap<Name, UnixTime>,
    /// Build details of running images and of images that tags point to, where known; sorted by digest.
    pub builds: Vec<(Name, Build)>,
    /// Images without an answer of their registry, with the reason.
    pub unanswered: HashMap<Name, &'static str>,
}

/// The digest of a tag.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TagFact {
    /// The digest: confirmed by its content, or one that a pod runs.
    pub digest: Name,
    /// The first request that returned this digest.
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
    /// Its images, without attestations.
    pub children: Box<[Child]>,
    /// Whether every child is an image of a known platform.
    pub complete: bool,
    /// Build details in its annotations.
    pub build: Build,
}

/// An image in an index.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Child {
    /// Its platform, in the form of [`platform`]; empty if unknown.
    pub platform: Name,
    /// The digest of its manifest.
    pub digest: Name,
}

/// An image manifest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Manifest {
    /// The digest of its configuration.
    pub config: Name,
    /// Build details in its annotations.
    pub build: Build,
}

/// An image configuration.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Config {
    /// Its platform, in the form of [`platform`]; empty if unknown.
    pub platform: Name,
    /// Hash of everything that matters to a container: layers, architecture, entrypoint, command, environment, user and
    /// directory. `None` if it names no layers.
    pub content: Option<u64>,
    /// Build details in its labels.
    pub build: Build,
}

/// An image's build details, as the image declares them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Build {
    /// `org.opencontainers.image.revision`.
    pub revision: Option<Name>,
    /// `org.opencontainers.image.version`.
    pub version: Option<Name>,
    /// `org.opencontainers.image.source`.
    pub source: Option<Name>,
    /// Time of the build; `None` for the fixed dates of reproducible builds.
    pub created: Option<UnixTime>,
}

impl Build {
    /// Fills missing details from `other`.
    fn or(mut self, other: &Self) -> Self {
        self.revision = self.revision.or_else(|| other.revision.clone());
        self.version = self.version.or_else(|| other.version.clone());
        self.source = self.source.or_else(|| other.source.clone());
        self.created = self.created.or(other.created);
        self
    }
}

/// The platform of an image in one canonical spelling.
#[must_use]
pub fn platform(os: &str, architecture: &str, variant: &str, os_version: &str) -> String {
    if os.is_empty() || architecture.is_empty() || os == "unknown" || architecture == "unknown" {
        return String::new();
    }
    // As containerd normalises them: these variants are an architecture's default.
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
    /// The known content of a digest.
    #[must_use]
    pub fn fact(&self, digest: &str) -> Option<&ImageFact> {
        self.facts.get(digest).map(|fact| &**fact)
    }

    /// Build details of an image. For an index, the details that all of its known images share.
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
                    // Platforms are built one after another, so the index is as old as its last image.
                    created: all.created.max(other.created),
                });
                common.or(&index.build)
            }
        }
    }
}

/// Whether `one` was built later than `other`; `None` if their dates do not show it.
#[must_use]
pub fn is_newer(one: &Build, other: &Build) -> Option<bool> {
    let (one, other) = (one.created?, other.created?);
    (one != other).then_some(one > other)
}

/// Returns a build date, unless it is a fixed date of reproducible builds.
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
