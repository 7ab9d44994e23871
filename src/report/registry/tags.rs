//! Compares a workload's images with what registries hold now.

use super::{Build, Comparer, RegistryEvidence, Sameness, TagFact};
use crate::report::containers::origin_in_template;
use crate::report::digest::DigestKind;
use crate::report::facts::{ContainerFacts, ImageIdentity, WorkloadFacts};
use crate::report::{ContainerReport, DigestPods, HashDigests, ImageReference, Name, Origin, ReferenceKind};
use crate::time::UnixTime;
use std::collections::{BTreeMap, BTreeSet};

/// Seconds after a tag moved until every starting container gets the new image, if its node asks the registry.
/// Registries serve a moved tag from caches for a while.
const PULLS_WITHIN: u32 = 600;

/// Evidence of registries about a workload.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RegistryReport {
    /// Known tags of its current containers; sorted by container and image.
    pub tags: Vec<TagReport>,
    /// Containers and images whose nodes resolve the tag elsewhere, so that podskew reports nothing about them.
    pub contradicted: Vec<(Name, Name)>,
    /// Its current images that the registry no longer has.
    pub gone: Vec<GoneImage>,
    /// How the digests of each digest skew differ.
    pub skews: Vec<SkewContent>,
    /// Its current images without an answer of their registry, with the reason.
    pub unanswered: Vec<(Name, &'static str)>,
    /// Its current images for which nodes report two digests as one image while the registry has different content under them.
    pub doubtful: Vec<Name>,
    /// Build details of the digests in skew and of moved tags; sorted by digest.
    pub builds: Vec<(Name, Build)>,
}

/// A tag, compared with what the containers run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TagReport {
    /// Label `container`.
    pub container: Name,
    /// Label `image`.
    pub image: Name,
    /// Label `origin`.
    pub origin: Origin,
    /// Label `change`: what a container that pulls the tag now would run.
    pub change: ContentChange,
    /// Since when the tag has moved; `None` while it is current.
    pub since: Option<UnixTime>,
    /// The digest of the tag.
    pub digest: Name,
    /// The pull policy in the template; empty if unknown.
    pub pull_policy: Name,
    /// The digests of the containers, sorted.
    pub running: Vec<RunningDigest>,
}

/// Containers with one digest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RunningDigest {
    /// The digest.
    pub digest: Name,
    /// Number of containers.
    pub pods: u32,
    /// Whether it is a different image than the tag's.
    pub differs: bool,
}

/// How the tag's current image differs from the running ones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ContentChange {
    /// No difference.
    None,
    /// Same layers and start command under another digest.
    Rebuilt,
    /// Different content.
    Different,
}

impl ContentChange {
    /// The value of the label `change`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Rebuilt => "rebuilt",
            Self::Different => "different",
        }
    }
}

/// An image that the registry no longer has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GoneImage {
    /// Label `container`.
    pub container: Name,
    /// Label `image`.
    pub image: Name,
    /// Label `origin`.
    pub origin: Origin,
    /// Since when.
    pub since: UnixTime,
}

/// How the digests of one digest skew differ.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SkewContent {
    /// The template hash.
    pub hash: Name,
    /// Label `container`.
    pub container: Name,
    /// Label `origin`.
    pub origin: Origin,
    /// Label `content`: [`Sameness::One`] never occurs.
    pub content: Sameness,
}

impl SkewContent {
    /// The value of the label `content`.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self.content {
            Sameness::SameContent => "same_content",
            Sameness::Different => "different",
            Sameness::One | Sameness::Unknown => "unknown",
        }
    }
}

impl RegistryReport {
    /// How the digests of a container under one hash differ.
    #[must_use]
    pub fn content(&self, container: &str, hash: &str) -> Option<Sameness> {
        let skew = self.skews.iter().find(|skew| *skew.container == *container && *skew.hash == *hash)?;
        Some(skew.content)
    }

    /// Tags of the template's own containers with other content than the pods run.
    pub fn moved_in_template(&self) -> impl Iterator<Item = &TagReport> {
        self.tags.iter().filter(|tag| tag.change == ContentChange::Different && tag.origin == Origin::Template)
    }

    /// Images of the template's own containers that are gone.
    pub fn gone_in_template(&self) -> impl Iterator<Item = &GoneImage> {
        self.gone.iter().filter(|gone| gone.origin == Origin::Template)
    }

    /// Build details of a digest.
    #[must_use]
    pub fn build(&self, digest: &str) -> Option<&Build> {
        let at = self.builds.binary_search_by(|(known, _)| (**known).cmp(digest)).ok()?;
        Some(&self.builds[at].1)
    }
}

/// Returns the evidence of registries about a workload; `None` without `--registry`.
pub(in crate::report) fn registry_report(
    facts: &WorkloadFacts<'_>,
    current: Option<&Name>,
    containers: &[ContainerReport],
    references: &[ImageReference],
) -> Option<Box<RegistryReport>> {
    let evidence = facts.registry?;
    let mut report = RegistryReport::default();
    for container in containers {
        for of_hash in container.by_hash.iter().filter(|of_hash| of_hash.skewed_since.is_some()) {
            report.skews.push(SkewContent {
                hash: of_hash.hash.clone(),
                container: container.container.clone(),
                origin: of_hash.origin,
                content: content_of_skew(evidence, of_hash, facts.within_image),
            });
        }
    }
    if let Some(current) = current {
        compare_tags(facts, evidence, current, references, &mut report);
    }
    let in_skew = containers.iter().flat_map(|container| &container.by_hash).filter(|it| it.skewed_since.is_some());
    let in_skew = in_skew.flat_map(|of_hash| of_hash.digests.iter().map(|pods| &pods.digest));
    let moved = report.tags.iter().filter(|tag| tag.change != ContentChange::None);
    let moved = moved.flat_map(|tag| tag.running.iter().map(|running| &running.digest).chain([&tag.digest]));
    let builds: BTreeMap<Name, Build> =
        in_skew.chain(moved).map(|digest| (digest.clone(), evidence.build(digest))).collect();
    report.builds = builds.into_iter().filter(|(_, build)| *build != Build::default()).collect();
    Some(Box::new(report))
}

/// How the images of one skew differ: by content if any two do; as rebuilt only if all are known to be.
fn content_of_skew(evidence: &RegistryEvidence, of_hash: &HashDigests, within_image: bool) -> Sameness {
    let skewed = || of_hash.digests.iter().filter(|pods| !pods.skewed.is_empty());
    // A manifest of unknown content is not known to differ, so it needs no comparison with the others.
    let is_known = |pods: &&DigestPods| pods.kind != DigestKind::Manifest || evidence.fact(&pods.digest).is_some();
    let known: Vec<&DigestPods> = skewed().filter(is_known).collect();
    let mut worst = (known.len() < skewed().count()).then_some(Sameness::Unknown);
    let mut comparer = Comparer::new(evidence);
    for (at, one) in known.iter().enumerate() {
        for other in &known[at + 1..] {
            if one.digest != other.digest && (!within_image || one.image == other.image) {
                let answer = comparer.compare((one.kind, &one.digest), (other.kind, &other.digest));
                if answer == Sameness::Different {
                    return answer;
                }
                worst = worst.max(Some(answer));
            }
        }
    }
    worst.unwrap_or(Sameness::Unknown)
}

/// Compares the tags and images of the current template, and adds the results to `report`.
fn compare_tags(
    facts: &WorkloadFacts<'_>,
    evidence: &RegistryEvidence,
    current: &Name,
    references: &[ImageReference],
    report: &mut RegistryReport,
) {
    let is_current =
        |container: &&ContainerFacts<'_>| facts.pods.get(container.pod as usize).is_some_and(|it| it.hash == current);
    let mut groups: BTreeMap<(&Name, &Name), Vec<&ContainerFacts<'_>>> = BTreeMap::new();
    for container in facts.containers.iter().filter(is_current) {
        if container.identity != ImageIdentity::NotStarted {
            groups.entry((container.name, container.image)).or_default().push(container);
        }
    }
    for ((container, image), members) in groups {
        let origin = origin_in_template(facts, current, container);
        if let Some(since) = evidence.gone.get(image) {
            let (container, image, since) = (container.clone(), image.clone(), *since);
            report.gone.push(GoneImage { container, image, origin, since });
            continue;
        }
        let policy = references.iter().find(|reference| reference.container == *container);
        let pull_policy = policy.map_or_else(|| Name::from(""), |reference| reference.pull_policy.clone());
        // With this pull policy or reference, starting containers do not request the image from a registry.
        if &*pull_policy == "Never" || ReferenceKind::of(image) == ReferenceKind::Digest {
            continue;
        }
        if doubtful(facts, evidence, &members, evidence.tags.get(image)) {
            if !report.doubtful.contains(image) {
                report.doubtful.push(image.clone());
            }
            continue;
        }
        if let Some(why) = evidence.unanswered.get(image)
            && !report.unanswered.iter().any(|(known, _)| known == image)
        {
            report.unanswered.push((image.clone(), why));
        }
        let Some(tag) = evidence.tags.get(image) else { continue };
        match compare_tag(evidence, tag, &members, &pull_policy) {
            TagComparison::Unknown => {}
            TagComparison::Contradicted => report.contradicted.push((container.clone(), image.clone())),
            TagComparison::Known(change) => report.tags.push(TagReport {
                container: container.clone(),
                image: image.clone(),
                origin,
                change,
                since: (change != ContentChange::None).then_some(tag.since),
                digest: tag.digest.clone(),
                pull_policy,
                running: running(evidence, tag, &members),
            }),
        }
    }
}

/// Whether nodes report two digests as one image while the registry has different content under them. The two are digests that these
/// containers run, or one of those and the digest of the tag.
fn doubtful(
    facts: &WorkloadFacts<'_>,
    evidence: &RegistryEvidence,
    members: &[&ContainerFacts<'_>],
    tag: Option<&TagFact>,
) -> bool {
    let Some(nodes) = facts.evidence else { return false };
    let digest_of = |member: &&ContainerFacts<'_>| match member.identity {
        ImageIdentity::Known(DigestKind::Manifest, digest) => Some(digest.clone()),
        _ => None,
    };
    let known: BTreeSet<Name> = members.iter().filter_map(digest_of).chain(tag.map(|tag| tag.digest.clone())).collect();
    let placed = members.iter().filter_map(|member| {
        let pod = facts.pods.get(member.pod as usize)?;
        Some((digest_of(member)?, nodes.platform(pod.node)?))
    });
    let mut comparer = Comparer::new(evidence);
    let mut differs = |one: &Name, other: &Name| {
        let kind = DigestKind::Manifest;
        comparer.compare((kind, one), (kind, other)) == Sameness::Different
    };
    // Containers of one digest on one platform give the same result.
    placed.collect::<BTreeSet<_>>().iter().any(|(digest, platform)| {
        let names = nodes.names_of(*platform, digest).iter().filter(|name| *name != digest && known.contains(*name));
        names.into_iter().any(|name| differs(digest, name))
    })
}

enum TagComparison {
    Known(ContentChange),
    Unknown,
    /// Containers that pulled the tag after it moved run its old content.
    Contradicted,
}

fn compare_tag(
    evidence: &RegistryEvidence,
    tag: &TagFact,
    members: &[&ContainerFacts<'_>],
    pull_policy: &str,
) -> TagComparison {
    let mut comparer = Comparer::new(evidence);
    let (mut is_one, mut is_unknown, mut worst) = (false, false, ContentChange::None);
    for member in members {
        let ImageIdentity::Known(kind, digest) = member.identity else { continue };
        let answer = comparer.compare((DigestKind::Manifest, &tag.digest), (kind, digest));
        match answer {
            Sameness::One => is_one = true,
            Sameness::SameContent => worst = worst.max(ContentChange::Rebuilt),
            Sameness::Different => worst = ContentChange::Different,
            // An unmatched local id cannot be compared with a tag.
            Sameness::Unknown => is_unknown |= kind == DigestKind::Manifest,
        }
        if pull_policy == "Always" && contradicts(tag, answer, member.started) {
            return TagComparison::Contradicted;
        }
    }
    match worst {
        ContentChange::Different => TagComparison::Known(ContentChange::Different),
        _ if is_unknown => TagComparison::Unknown,
        ContentChange::Rebuilt => TagComparison::Known(ContentChange::Rebuilt),
        ContentChange::None if is_one => TagComparison::Known(ContentChange::None),
        ContentChange::None => TagComparison::Unknown,
    }
}

/// Whether a container with the pull policy `Always` proves that its node resolves the tag elsewhere: it started after
/// the tag moved and runs the tag's old content.
#[must_use]
pub fn contradicts(tag: &TagFact, answer: Sameness, started: Option<UnixTime>) -> bool {
    matches!(answer, Sameness::SameContent | Sameness::Different)
        && started.is_some_and(|started| started > tag.since.plus(PULLS_WITHIN))
}

fn running(evidence: &RegistryEvidence, tag: &TagFact, members: &[&ContainerFacts<'_>]) -> Vec<RunningDigest> {
    let mut running: BTreeMap<(&Name, DigestKind), u32> = BTreeMap::new();
    for member in members {
        if let ImageIdentity::Known(kind, digest) = member.identity {
            *running.entry((digest, kind)).or_default() += 1;
        }
    }
    let of = |((digest, kind), pods): ((&Name, DigestKind), u32)| {
        let answer = Comparer::new(evidence).compare((DigestKind::Manifest, &tag.digest), (kind, digest));
        let differs = matches!(answer, Sameness::SameContent | Sameness::Different);
        RunningDigest { digest: digest.clone(), pods, differs }
    };
    running.into_iter().map(of).collect()
}
