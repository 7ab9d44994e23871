//! Decides whether containers of a group run the same image: the comparison behind every digest count.

use super::Name;
use super::digest::{DigestKind, content};
use super::evidence::{ImageCandidate as Joinable, OnNodes, joined};
use super::facts::{ContainerFacts, ImageIdentity};
use super::registry::{RegistryEvidence, join};
use crate::time::UnixTime;

/// Result of comparing the containers of one name in a group of pods.
#[derive(Debug, Default)]
pub(super) struct Comparison<'a> {
    /// The distinguishable images, each under the digest that most of its pods report; sorted by digest. More than one
    /// is a difference.
    pub(super) images: Vec<ImageClass<'a>>,
    /// Containers without an `imageID` that do not run.
    pub(super) not_started: u32,
    /// Containers without an `imageID` that run.
    pub(super) not_reported: u32,
    /// Containers whose `imageID` is not comparable with the others'.
    pub(super) image_id_only: u32,
}

/// Known equivalences of digests.
#[derive(Clone, Copy, Debug)]
pub struct Equivalences<'k> {
    /// Pairs of digests that name the same bytes everywhere.
    pub aliases: &'k [(Name, Name)],
    /// Evidence of nodes.
    pub nodes: Option<OnNodes<'k>>,
    /// Whether evidence of nodes is still awaited.
    pub awaits_nodes: bool,
    /// Evidence of registries.
    pub registry: Option<&'k RegistryEvidence>,
}

/// Containers that run the same image. Equal digits in any two forms of an `imageID` are one image (row 57).
#[derive(Debug)]
pub(super) struct ImageClass<'a> {
    pub(super) kind: DigestKind,
    pub(super) digest: &'a Name,
    pub(super) members: Vec<ContainerFacts<'a>>,
}

impl ImageClass<'_> {
    /// The earliest start among the members. Members without a start are ignored; if none has one, the class counts as
    /// started now.
    fn start(&self, now: UnixTime) -> UnixTime {
        self.members.iter().filter_map(|member| member.started).min().unwrap_or(now)
    }
}

impl<'a> Comparison<'a> {
    /// Compares the containers of a group, with the known equivalences of digests.
    pub(super) fn of(group: impl Iterator<Item = ContainerFacts<'a>>, same: Equivalences<'_>) -> Self {
        let mut comparison = Self::default();
        let mut classes: Vec<DigestGroup<'a>> = Vec::new();
        for container in group {
            match container.identity {
                ImageIdentity::NotStarted => comparison.not_started += 1,
                ImageIdentity::NotReported => comparison.not_reported += 1,
                ImageIdentity::Unreadable => comparison.image_id_only += 1,
                ImageIdentity::Known(kind, digest) => {
                    match classes.iter_mut().find(|class| class.is_of(digest)) {
                        Some(class) => {
                            // The most specific form names the class.
                            if kind < class.kind {
                                (class.kind, class.digest, class.kinds) = (kind, digest, DigestKinds::of(kind));
                            }
                            class.members.push(container);
                        }
                        None => {
                            classes.push(DigestGroup {
                                kind,
                                kinds: DigestKinds::of(kind),
                                digest,
                                members: vec![container],
                            });
                        }
                    }
                }
            }
        }
        merge_aliases(&mut classes, same.aliases);
        join_by_nodes(&mut classes, same.nodes);
        join_by_registry(&mut classes, same.registry);
        classes.sort_unstable_by(|a, b| (a.kind, a.digest).cmp(&(b.kind, b.digest)));

        let chosen = comparable(&classes);
        for (at, class) in classes.into_iter().enumerate() {
            if chosen.contains(&at) {
                comparison.images.push(ImageClass { kind: class.kind, digest: class.digest, members: class.members });
            } else {
                comparison.image_id_only += u32::try_from(class.members.len()).unwrap_or(u32::MAX);
            }
        }
        comparison
    }

    /// Number of distinguishable images.
    pub(super) fn distinct(&self) -> u32 {
        u32::try_from(self.images.len()).unwrap_or(u32::MAX)
    }

    /// Since when two images have run side by side: the second smallest start of the classes. It survives a restart of
    /// podskew, and errs only towards a shorter time.
    pub(super) fn side_by_side_since(&self, now: UnixTime) -> Option<UnixTime> {
        second_smallest(self.images.iter().map(|image| image.start(now)))
    }

    /// Whether the time since when two images run side by side is unknown.
    pub(super) fn start_is_unknown(&self) -> bool {
        let has_start = |image: &&ImageClass<'_>| image.members.iter().any(|member| member.started.is_some());
        self.images.iter().filter(has_start).count() < 2
    }

    /// Whether both may be one image: Docker ids do not show what they identify and depend on the node's image store, or
    /// the group mixes architectures.
    pub(super) fn may_be_one_image(&self, same: Equivalences<'_>) -> bool {
        let by_docker =
            self.images.len() > 1 && self.images.iter().any(|image| image.kind == DigestKind::ManifestOrConfig);
        by_docker || (same.awaits_nodes && self.images.len() > 1) || self.may_be_architectures(same.nodes)
    }

    /// Whether the difference may be a mix of architectures (row 9). CRI-O reports the alphabetically first of index
    /// and platform manifest, so nodes of different architectures may name one tag by different digests. Two digests on
    /// one architecture exclude that.
    fn may_be_architectures(&self, nodes: Option<OnNodes<'_>>) -> bool {
        let mut groups: Vec<usize> = (0..self.images.len()).collect();
        for (a, one) in self.images.iter().enumerate() {
            for (b, other) in self.images.iter().enumerate().skip(a + 1) {
                if looks_like_one_tag(one, other) && !nodes.is_some_and(|nodes| share_architecture(one, other, nodes)) {
                    let (keep, drop) = (groups[a], groups[b]);
                    groups.iter_mut().filter(|group| **group == drop).for_each(|group| *group = keep);
                }
            }
        }
        self.images.len() > 1 && groups.iter().all(|group| *group == groups[0])
    }
}

/// The second smallest time: when the second group joined the first.
pub(super) fn second_smallest(moments: impl Iterator<Item = UnixTime>) -> Option<UnixTime> {
    let (mut first, mut second) = (None, None);
    for moment in moments {
        if first.is_none_or(|first| moment < first) {
            second = first.replace(moment);
        } else if second.is_none_or(|second| moment < second) {
            second = Some(moment);
        }
    }
    second
}

#[derive(Debug)]
struct DigestGroup<'a> {
    kind: DigestKind,
    /// The kinds in which it is comparable: its own, and with evidence of registries those of the digests it was joined
    /// with.
    kinds: DigestKinds,
    digest: &'a Name,
    members: Vec<ContainerFacts<'a>>,
}

/// A set of [`DigestKind`]s.
#[derive(Clone, Copy, Debug)]
struct DigestKinds(u8);

impl DigestKinds {
    fn of(kind: DigestKind) -> Self {
        Self(1 << kind as u8)
    }

    fn contains(self, kind: DigestKind) -> bool {
        self.0 & Self::of(kind).0 != 0
    }

    fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }
}

impl DigestGroup<'_> {
    fn is_of(&self, digest: &Name) -> bool {
        self.digest == digest || content(self.digest) == content(digest)
    }
}

impl<'a> DigestGroup<'a> {
    /// Adds the containers of another class of the same image. The most specific form names the result.
    fn absorb(&mut self, other: DigestGroup<'a>) {
        if other.kind < self.kind {
            (self.kind, self.digest, self.kinds) = (other.kind, other.digest, other.kinds);
        }
        self.members.extend(other.members);
    }

    fn joinable(&self, nodes: OnNodes<'_>) -> Joinable {
        let mut own: Vec<&Name> = self.members.iter().filter_map(ContainerFacts::digest).collect();
        own.sort_unstable();
        own.dedup();
        let pods = self.members.iter().map(|member| member.pod);
        Joinable { names: nodes.names_of_all(&own, pods), weight: self.members.len() }
    }
}

/// Joins classes that are one image according to nodes (rows 4 and 9), under the digest that most pods report.
fn join_by_nodes(classes: &mut Vec<DigestGroup<'_>>, nodes: Option<OnNodes<'_>>) {
    let Some(nodes) = nodes.filter(|_| classes.len() > 1) else { return };
    classes.sort_by(|a, b| b.members.len().cmp(&a.members.len()).then_with(|| a.digest.cmp(b.digest)));
    let joinable: Vec<Joinable> = classes.iter().map(|class| class.joinable(nodes)).collect();
    let own: Vec<Name> = classes.iter().map(|class| class.digest.clone()).collect();
    let images = joined(&joinable, &|name| own.contains(name));
    regroup(classes, images.into_iter().map(|(_, positions)| positions), DigestGroup::absorb);
}

/// Merges the classes at these positions, each group into its first class. Classes are sorted, largest first.
fn regroup<'a>(
    classes: &mut Vec<DigestGroup<'a>>,
    groups: impl IntoIterator<Item = Vec<usize>>,
    join: impl Fn(&mut DigestGroup<'a>, DigestGroup<'a>),
) {
    let mut taken: Vec<Option<DigestGroup<'a>>> = std::mem::take(classes).into_iter().map(Some).collect();
    for positions in groups {
        let mut own = positions.into_iter().filter_map(|at| taken[at].take());
        if let Some(mut image) = own.next() {
            own.for_each(|other| join(&mut image, other));
            classes.push(image);
        }
    }
    classes.extend(taken.into_iter().flatten());
}

/// Joins classes that are one image according to registries, under the digest that most pods report. The other digests
/// stay comparable, so no difference is lost.
fn join_by_registry<'a>(classes: &mut Vec<DigestGroup<'a>>, registry: Option<&RegistryEvidence>) {
    let Some(evidence) = registry.filter(|_| classes.len() > 1) else { return };
    classes.sort_by(|a, b| b.members.len().cmp(&a.members.len()).then_with(|| a.digest.cmp(b.digest)));
    let known = |member: &ContainerFacts<'a>| match member.identity {
        ImageIdentity::Known(kind, digest) => Some((kind, digest)),
        _ => None,
    };
    let names_of = |class: &DigestGroup<'a>| {
        let mut names: Vec<(DigestKind, &'a Name)> = class.members.iter().filter_map(known).collect();
        names.sort_unstable();
        names.dedup();
        names
    };
    let names: Vec<_> = classes.iter().map(names_of).collect();
    let members = classes.iter().flat_map(|class| &class.members);
    let mut tags: Vec<Name> =
        members.filter_map(|member| evidence.tags.get(member.image)).map(|tag| tag.digest.clone()).collect();
    tags.sort_unstable();
    tags.dedup();
    regroup(classes, join(evidence, &names, &tags), |image, other| {
        let kinds = image.kinds.and(other.kinds);
        image.absorb(other);
        image.kinds = kinds;
    });
}

/// Joins classes whose digests are linked by aliases, also through digests that no pod reports any more. The result is
/// named by the digest that most pods report.
fn merge_aliases(classes: &mut Vec<DigestGroup<'_>>, aliases: &[(Name, Name)]) {
    if aliases.is_empty() || classes.len() < 2 {
        return;
    }
    classes.sort_by(|a, b| b.members.len().cmp(&a.members.len()).then_with(|| a.digest.cmp(b.digest)));
    let mut at = 0;
    while at < classes.len() {
        let mut linked: Vec<&Name> = vec![classes[at].digest];
        let mut next = 0;
        while next < linked.len() {
            for (a, b) in aliases {
                for (from, to) in [(a, b), (b, a)] {
                    if from == linked[next] && !linked.contains(&to) {
                        linked.push(to);
                    }
                }
            }
            next += 1;
        }
        let names: Vec<Name> = linked.into_iter().cloned().collect();
        let mut other = at + 1;
        while other < classes.len() {
            if names.iter().any(|name| classes[other].is_of(name)) {
                let joined = classes.remove(other);
                classes[at].absorb(joined);
            } else {
                other += 1;
            }
        }
        at += 1;
    }
}

/// Positions of the classes that are comparable with each other: those of the kind with the most different digests.
/// Each opaque id is a kind of its own, because another opaque id may be the same image.
fn comparable(classes: &[DigestGroup<'_>]) -> Vec<usize> {
    let of_kind = |kind: DigestKind| -> Vec<usize> {
        (0..classes.len()).filter(|at| classes[*at].kinds.contains(kind)).collect()
    };
    let opaque = of_kind(DigestKind::Opaque).into_iter().filter(|at| classes[*at].kind == DigestKind::Opaque);
    let kinds = [DigestKind::Manifest, DigestKind::Config, DigestKind::ManifestOrConfig].map(of_kind);
    let kinds = kinds.into_iter().filter(|positions| !positions.is_empty());
    let pods = |positions: &[usize]| positions.iter().map(|at| classes[*at].members.len()).sum::<usize>();
    // Classes are sorted, manifests first, so the first maximum wins.
    let mut best: Option<(Vec<usize>, usize)> = None;
    for positions in kinds.chain(opaque.map(|at| vec![at])) {
        let pods = pods(&positions);
        if best.as_ref().is_none_or(|best| (positions.len(), pods) > (best.0.len(), best.1)) {
            best = Some((positions, pods));
        }
    }
    best.map_or_else(Vec::new, |(positions, _)| positions)
}

/// Whether both have containers on nodes known to be of one architecture.
fn share_architecture(one: &ImageClass<'_>, other: &ImageClass<'_>, nodes: OnNodes<'_>) -> bool {
    let mut of_one = one.members.iter().filter_map(|member| nodes.architecture(member.pod));
    of_one.any(|architecture| other.members.iter().any(|member| nodes.architecture(member.pod) == Some(architecture)))
}

fn looks_like_one_tag(one: &ImageClass<'_>, other: &ImageClass<'_>) -> bool {
    let all_cri_o = |class: &ImageClass<'_>| class.members.iter().all(|member| member.cri_o);
    (all_cri_o(one) || all_cri_o(other))
        && one.members.iter().any(|a| {
            !a.repository.is_empty() && other.members.iter().any(|b| a.repository == b.repository && a.image == b.image)
        })
}
