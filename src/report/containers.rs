//! Reports on a workload's containers: digests by template hash, origin, and since when digests differ.

use super::compare::{Comparison, Equivalences, ImageClass};
use super::evidence::OnNodes;
use super::facts::{ContainerFacts, WorkloadFacts};
use super::{ContainerReport, DigestPods, HashDigests, Name, Origin, by_name};
use crate::time::UnixTime;
use std::collections::BTreeSet;

/// Reports each container of the workload's active pods.
pub(super) fn containers(facts: &WorkloadFacts<'_>, now: UnixTime) -> Vec<ContainerReport> {
    let nodes: Vec<&Name> = facts.evidence.iter().flat_map(|_| facts.pods.iter().map(|pod| pod.node)).collect();
    let nodes = facts.evidence.map(|evidence| OnNodes { evidence, nodes: &nodes });
    let (aliases, registry) = (facts.memory.aliases, facts.registry);
    let same = Equivalences { aliases, nodes, awaits_nodes: facts.awaits_evidence, registry };
    let mut all = facts.containers.clone();
    let hash_of = |container: &ContainerFacts<'_>| facts.pods.get(container.pod as usize).map(|pod| pod.hash);
    all.sort_by(|a, b| {
        let by_hash = || match (hash_of(a), hash_of(b)) {
            (Some(a), Some(b)) => by_name(a, b),
            (a, b) => a.cmp(&b),
        };
        by_name(a.name, b.name).then_with(by_hash).then_with(|| by_name(a.image, b.image)).then(a.pod.cmp(&b.pod))
    });

    let mut reports = Vec::new();
    for group in all.chunk_by(|a, b| a.name == b.name) {
        let by_hash: Vec<HashDigests> = group
            .chunk_by(|a, b| hash_of(a) == hash_of(b))
            .filter_map(|pods| Some((hash_of(pods.first()?)?, pods)))
            .map(|(hash, pods)| hash_digests(facts, same, hash, pods, now))
            .collect();
        reports.push(container(facts, same, group, by_hash));
    }
    reports
}

fn container(
    facts: &WorkloadFacts<'_>,
    same: Equivalences<'_>,
    group: &[ContainerFacts<'_>],
    by_hash: Vec<HashDigests>,
) -> ContainerReport {
    let name = group.first().map_or_else(|| Name::from(""), |first| first.name.clone());
    let comparisons = compare(group, facts.within_image, same);
    let origins = || by_hash.iter().map(|digests| origin_in_template(facts, &digests.hash, &name));
    let origin = if widest(&comparisons).is_some_and(|widest| widest.may_be_one_image(same))
        || origins().any(|origin| origin == Origin::Unknown)
    {
        Origin::Unknown
    } else if origins().any(|origin| origin == Origin::Template) {
        Origin::Template
    } else {
        Origin::Injected
    };
    ContainerReport {
        origin,
        distinct_digests: widest(&comparisons).map_or(0, Comparison::distinct),
        not_started: comparisons.iter().map(|comparison| comparison.not_started).sum(),
        not_reported: comparisons.iter().map(|comparison| comparison.not_reported).sum(),
        image_id_only: comparisons.iter().map(|comparison| comparison.image_id_only).sum(),
        unresolved: unresolved(group, &comparisons),
        container: name,
        by_hash,
    }
}

/// Returns the pods without a comparable digest.
fn unresolved(group: &[ContainerFacts<'_>], comparisons: &[Comparison<'_>]) -> Vec<u32> {
    let known = || comparisons.iter().flat_map(|comparison| &comparison.images).flat_map(|image| &image.members);
    if known().count() == group.len() {
        return Vec::new();
    }
    let known: BTreeSet<u32> = known().map(|member| member.pod).collect();
    group.iter().map(|member| member.pod).filter(|pod| !known.contains(pod)).collect()
}

fn hash_digests(
    facts: &WorkloadFacts<'_>,
    same: Equivalences<'_>,
    hash: &Name,
    pods: &[ContainerFacts<'_>],
    now: UnixTime,
) -> HashDigests {
    let container = pods.first().map_or_else(|| Name::from(""), |first| first.name.clone());
    let comparisons = compare(pods, facts.within_image, same);
    let widest = widest(&comparisons);
    let distinct_digests = widest.map_or(0, Comparison::distinct);

    let derived = comparisons.iter().filter_map(|comparison| comparison.side_by_side_since(now)).min();
    // A crash loop moves `startedAt`. A skew that podskew saw without a gap keeps its start.
    let seen = facts.memory.skews.iter().find(|skew| skew.hash == *hash && skew.container == container);
    let skewed_since = derived.map(|derived| seen.map_or(derived, |skew| skew.since.min(derived)));
    let in_skew = |comparison: &&Comparison<'_>| comparison.distinct() > 1;
    let noticed = comparisons.iter().any(|comparison| in_skew(&comparison))
        && comparisons.iter().filter(in_skew).all(Comparison::start_is_unknown)
        && seen.is_none_or(|skew| skew.since >= now);
    let may_be_one_image = widest.is_some_and(|widest| widest.may_be_one_image(same));
    let origin = if may_be_one_image { Origin::Unknown } else { origin_in_template(facts, hash, &container) };
    HashDigests {
        hash: hash.clone(),
        origin,
        distinct_digests,
        skewed_since,
        noticed,
        newest_digest: match comparisons.as_slice() {
            [comparison] => newest_digest(facts, comparison),
            _ => None,
        },
        may_be_one_image,
        digests: digests(&comparisons),
    }
}

/// Returns the digest whose pods were all created after the containers of every other digest had started. A container
/// asks its node or the registry for its image when it starts.
fn newest_digest(facts: &WorkloadFacts<'_>, comparison: &Comparison<'_>) -> Option<Name> {
    let of_pod = |member: &ContainerFacts<'_>| facts.pods.get(member.pod as usize)?.created;
    let is_newest = |candidate: &&ImageClass<'_>| {
        let created = candidate.members.iter().map(of_pod).min().flatten();
        let mut others = comparison.images.iter().filter(|other| other.digest != candidate.digest);
        let mut before = |other: &ImageClass<'_>| {
            other.members.iter().all(|member| member.started.is_some() && member.started < created)
        };
        others.all(&mut before)
    };
    let several = comparison.images.len() > 1;
    comparison.images.iter().filter(|_| several).find(is_newest).map(|newest| newest.digest.clone())
}

/// Compares all containers at once, or per image string where pods may differ on purpose.
fn compare<'a>(group: &[ContainerFacts<'a>], within_image: bool, same: Equivalences<'_>) -> Vec<Comparison<'a>> {
    if !within_image {
        return vec![Comparison::of(group.iter().copied(), same)];
    }
    let mut images: Vec<&Name> = group.iter().map(|container| container.image).collect();
    images.sort_unstable();
    images.dedup();
    let within = |image| Comparison::of(group.iter().copied().filter(move |container| container.image == image), same);
    images.into_iter().map(within).collect()
}

/// Since when two images have run side by side among containers of one name and template hash; `None` without skew.
#[must_use]
pub fn skewed_since(
    group: &[ContainerFacts<'_>],
    within_image: bool,
    same: Equivalences<'_>,
    now: UnixTime,
) -> Option<UnixTime> {
    compare(group, within_image, same).iter().filter_map(|comparison| comparison.side_by_side_since(now)).min()
}

fn widest<'c, 'a>(comparisons: &'c [Comparison<'a>]) -> Option<&'c Comparison<'a>> {
    comparisons.iter().max_by_key(|comparison| comparison.distinct())
}

fn digests(comparisons: &[Comparison<'_>]) -> Vec<DigestPods> {
    let mut digests: Vec<DigestPods> = Vec::new();
    for comparison in comparisons {
        let skewed = comparison.distinct() > 1;
        for class in &comparison.images {
            for member in &class.members {
                let known =
                    digests.iter_mut().find(|known| known.image == *member.image && known.digest == *class.digest);
                let entry = if let Some(entry) = known {
                    entry
                } else {
                    let (image, digest) = (member.image.clone(), class.digest.clone());
                    digests.push(DigestPods { image, digest, kind: class.kind, pods: 0, skewed: Vec::new() });
                    let Some(entry) = digests.last_mut() else { continue };
                    entry
                };
                entry.pods += 1;
                if skewed {
                    entry.skewed.push(member.pod);
                }
            }
        }
    }
    digests.sort_unstable_by(|a, b| (&a.image, &a.digest).cmp(&(&b.image, &b.digest)));
    digests
}

pub(super) fn origin_in_template(facts: &WorkloadFacts<'_>, hash: &Name, container: &Name) -> Origin {
    let template = facts.template(hash);
    match template.and_then(|template| template.has_container(container)) {
        None => Origin::Unknown,
        Some(true) => Origin::Template,
        Some(false) => Origin::Injected,
    }
}
