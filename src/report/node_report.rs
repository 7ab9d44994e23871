//! Evidence of nodes about the digest skew of one workload.

use super::evidence::{CachedImage, Evidence};
use super::facts::WorkloadFacts;
use super::{ContainerReport, HashDigests, Name, ReferenceKind, WorkloadReport};

/// Evidence of nodes about a workload in digest skew.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeReport {
    /// Architecture of each pod's node, in the order of [`WorkloadReport::pods`](super::WorkloadReport::pods); `None`
    /// if unknown.
    pub architectures: Vec<Option<Name>>,
    /// Skews by architecture: all pods of one architecture run one digest.
    pub by_architecture: Vec<ByArchitecture>,
    /// Images that nodes hold under the tags in skew, sorted by image; the one on most nodes first.
    pub cached: Vec<CachedImage>,
}

/// A digest skew between architectures.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ByArchitecture {
    /// The template hash.
    pub hash: Name,
    /// The container.
    pub container: Name,
    /// Each architecture with the digest of its pods, sorted.
    pub digests: Vec<(Name, Name)>,
}

/// Number of nodes to name before the rest is only counted.
const NAMED: usize = 5;

impl NodeReport {
    /// The architecture of a pod's node, if known.
    #[must_use]
    pub fn architecture(&self, report: &WorkloadReport, pod: &str) -> Option<&Name> {
        let at = report.pods.iter().position(|known| *known.pod == *pod)?;
        self.architectures.get(at)?.as_ref()
    }

    /// Describes the skew of a container under one hash, one sentence per item, without the full stop.
    #[must_use]
    pub fn describe_skew(&self, report: &WorkloadReport, container: &str, of_hash: &HashDigests) -> Vec<String> {
        let mut lines = Vec::new();
        let by = self.by_architecture.iter().find(|by| *by.container == *container && by.hash == of_hash.hash);
        if let Some(by) = by {
            let digests: Vec<String> =
                by.digests.iter().map(|(architecture, digest)| format!("{architecture} runs {digest}")).collect();
            lines.push(format!("container {container} differs only by architecture: {}", digests.join(", ")));
        }
        for cached in self.cached.iter().filter(|cached| of_hash.digests.iter().any(|it| it.image == cached.image)) {
            let CachedImage { image, digest, nodes } = cached;
            let named = nodes.iter().take(NAMED).map(|node| &**node).collect::<Vec<_>>().join(", ");
            let more = match nodes.len().saturating_sub(NAMED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let (count, verb) =
                if nodes.len() == 1 { ("1 node", "holds") } else { (&*format!("{} nodes", nodes.len()), "hold") };
            let next = match policy(report, container) {
                Some("IfNotPresent") => ": the next pod there runs it",
                Some("Always") => "; the next pod there asks the registry",
                _ => "",
            };
            lines.push(format!("{count} {verb} {digest} as {image} ({named}{more}){next}"));
        }
        lines
    }
}

/// The pull policy of a container in the current template.
fn policy<'r>(report: &'r WorkloadReport, container: &str) -> Option<&'r str> {
    let reference = report.image_references.iter().find(|image| *image.container == *container)?;
    Some(&reference.pull_policy)
}

/// Returns the evidence of nodes about a workload; `None` without digest skew or without `--nodes`.
pub(super) fn node_report(facts: &WorkloadFacts<'_>, containers: &[ContainerReport]) -> Option<Box<NodeReport>> {
    let evidence = facts.evidence?;
    let skews = || {
        let by_hash = containers.iter().flat_map(|container| container.by_hash.iter().map(move |it| (container, it)));
        by_hash.filter(|(_, of_hash)| of_hash.skewed_since.is_some())
    };
    skews().next()?;
    let architectures: Vec<Option<Name>> =
        facts.pods.iter().map(|pod| evidence.architecture(pod.node).cloned()).collect();
    let by_architecture = skews().filter_map(|(container, of_hash)| {
        let digests = by_architecture(of_hash, &architectures)?;
        Some(ByArchitecture { hash: of_hash.hash.clone(), container: container.container.clone(), digests })
    });
    let by_architecture = by_architecture.collect();
    Some(Box::new(NodeReport { by_architecture, cached: cached(evidence, skews().map(|(_, it)| it)), architectures }))
}

/// The digest of each architecture; `None` unless each pod's architecture is known, there are several, and each has one
/// digest.
fn by_architecture(of_hash: &HashDigests, architectures: &[Option<Name>]) -> Option<Vec<(Name, Name)>> {
    let mut digests: Vec<(Name, Name)> = Vec::new();
    for pods in &of_hash.digests {
        for pod in &pods.skewed {
            digests.push((architectures.get(*pod as usize)?.clone()?, pods.digest.clone()));
        }
    }
    digests.sort_unstable();
    digests.dedup();
    let is_divided = digests.len() > 1 && digests.windows(2).all(|pair| pair[0].0 != pair[1].0);
    is_divided.then_some(digests)
}

fn cached<'a>(evidence: &Evidence, skews: impl Iterator<Item = &'a HashDigests>) -> Vec<CachedImage> {
    let mut images: Vec<&Name> = skews
        .flat_map(|of_hash| &of_hash.digests)
        .filter(|pods| !pods.skewed.is_empty() && ReferenceKind::of(&pods.image) != ReferenceKind::Digest)
        .map(|pods| &pods.image)
        .collect();
    images.sort_unstable();
    images.dedup();
    images.into_iter().flat_map(|image| evidence.cached(image)).collect()
}
