//! Finds the digests of a group that are one image.
//!
//! Digests are joined only if every pair of them is known to be one image. A chain of pairs does not suffice: two indexes may
//! share the image of one platform and differ on another, and then the shared manifest does not make them equal.

use super::compare::{Comparer, Sameness};
use super::{ImageFact, Index, RegistryEvidence};
use crate::report::Name;
use crate::report::digest::{DigestKind, content};
use std::collections::HashSet;

/// Digests that were found to be one image so far.
pub type ImageDigests<'a> = Vec<(DigestKind, &'a Name)>;

/// Groups the positions of `classes` that are one image, in their order. `tags` are digests of tags: an index that no
/// pod runs may connect the manifests of two platforms.
#[must_use]
pub fn join(evidence: &RegistryEvidence, classes: &[ImageDigests<'_>], tags: &[Name]) -> Vec<Vec<usize>> {
    let own = classes.iter().flatten().map(|(_, digest)| &***digest);
    let hubs = own.chain(tags.iter().map(|tag| &**tag)).filter_map(|digest| match evidence.fact(digest) {
        Some(ImageFact::Index(index)) => Some(index),
        _ => None,
    });
    let hubs: Vec<&Index> = hubs.collect();
    let relation = |a: usize, b: usize| relation(evidence, &hubs, &classes[a], &classes[b]);
    // Digests unknown to every registry are never joined, and need no comparison with all others.
    let configs: HashSet<&str> = classes
        .iter()
        .flatten()
        .filter_map(|(_, digest)| match evidence.fact(digest) {
            Some(ImageFact::Manifest(manifest)) => Some(content(&manifest.config)),
            _ => None,
        })
        .collect();
    let is_said = |names: &ImageDigests<'_>| {
        names.iter().any(|(_, digest)| configs.contains(content(digest)) || is_known(evidence, &hubs, digest))
    };
    let (mut left, alone): (Vec<usize>, Vec<usize>) = (0..classes.len()).partition(|at| is_said(&classes[*at]));
    let mut groups: Vec<Vec<usize>> = alone.into_iter().map(|at| vec![at]).collect();
    while !left.is_empty() {
        let mut group = vec![left.remove(0)];
        while let Some(at) = left.iter().position(|other| {
            let relations = || group.iter().map(|member| relation(*member, *other));
            relations().any(|it| it == Relation::One) && relations().all(|it| it != Relation::Apart)
        }) {
            group.push(left.remove(at));
        }
        group.sort_unstable();
        groups.push(group);
    }
    groups.sort_unstable();
    groups
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Relation {
    One,
    /// The registry knows both, but does not show that they are one image.
    Apart,
    Unknown,
}

fn relation(evidence: &RegistryEvidence, hubs: &[&Index], a: &ImageDigests<'_>, b: &ImageDigests<'_>) -> Relation {
    let mut comparer = Comparer::new(evidence);
    let mut result = Relation::Unknown;
    for one in a {
        for other in b {
            if comparer.compare(*one, *other) == Sameness::One || are_siblings(evidence, hubs, one.1, other.1) {
                result = Relation::One;
            } else if is_known(evidence, hubs, one.1) && is_known(evidence, hubs, other.1) {
                return Relation::Apart;
            }
        }
    }
    result
}

fn is_known(evidence: &RegistryEvidence, hubs: &[&Index], digest: &str) -> bool {
    evidence.fact(digest).is_some() || hubs.iter().any(|hub| platform_of(evidence, hub, digest).is_some())
}

/// Whether one index has both digests, for different platforms.
fn are_siblings(evidence: &RegistryEvidence, hubs: &[&Index], a: &str, b: &str) -> bool {
    hubs.iter().any(|hub| {
        let platforms = platform_of(evidence, hub, a).zip(platform_of(evidence, hub, b));
        platforms.is_some_and(|(a, b)| !a.is_empty() && !b.is_empty() && a != b)
    })
}

/// The platform for which an index has a digest, or the image with this configuration.
fn platform_of<'i>(evidence: &RegistryEvidence, index: &'i Index, digest: &str) -> Option<&'i Name> {
    let is_it = |manifest: &Name| {
        let config = match evidence.fact(manifest) {
            Some(ImageFact::Manifest(manifest)) => Some(&manifest.config),
            _ => None,
        };
        content(manifest) == content(digest) || config.is_some_and(|config| content(config) == content(digest))
    };
    index.children.iter().find(|child| is_it(&child.digest)).map(|child| &child.platform)
}
