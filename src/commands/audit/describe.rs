//! Describes findings in sentences and lists, for every format that people read.

use super::{AuditedWorkload, object, state};
use crate::advice::{Finding, Remedy, remedy};
use crate::report::registry::{GoneImage, RegistryReport};
use crate::report::{
    DigestKind, DigestPods, HashDigests, HashReport, Name, Origin, PodReport, RolloutState, WorkloadReport,
};
use crate::terminal::humanize::{old, one_line, pods, since};
use crate::time::ObservationTime;
use std::collections::BTreeSet;
use std::fmt::{self, Write as _};

/// Number of pods of a group to name; the others are counted.
const NAMED: usize = 20;

/// Number of hex digits of a digest to show.
const DIGITS: usize = 12;

/// A finding in words.
pub(super) struct FindingText {
    /// `digest skew`.
    pub(super) title: String,
    /// A sentence that describes it.
    pub(super) what: String,
    /// Start, if known.
    pub(super) since: Option<String>,
    /// Pods and nodes, grouped by what they run.
    pub(super) groups: Vec<PodGroup>,
    pub(super) remedy: Remedy,
}

/// Pods that run one image or template.
pub(super) struct PodGroup {
    /// Lines that describe what they run.
    pub(super) lines: Vec<String>,
    /// The first pods by name.
    pub(super) pods: Vec<GroupPod>,
    /// Number of pods that are not named.
    pub(super) more: usize,
}

impl PodGroup {
    /// A group that is only a line.
    fn line(line: String) -> Self {
        Self { lines: vec![line], pods: Vec::new(), more: 0 }
    }
}

pub(super) struct GroupPod {
    pub(super) pod: Name,
    /// Its node; empty while it is not scheduled.
    pub(super) node: Name,
    /// `, 3h old, terminating`: the age where it is informative.
    pub(super) notes: String,
}

/// `web-1 on node-1, 3h old, terminating`.
impl fmt::Display for GroupPod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.pod)?;
        if !self.node.is_empty() {
            write!(f, " on {}", self.node)?;
        }
        f.write_str(&self.notes)
    }
}

/// Describes all findings of a workload.
pub(super) fn stories(found: &AuditedWorkload, taken: ObservationTime) -> Vec<FindingText> {
    let story = |finding: &Finding| FindingText {
        title: title(*finding),
        what: what(&found.report, *finding),
        since: since_when(&found.report, *finding, taken),
        groups: groups(&found.report, *finding, taken),
        remedy: remedy(&found.report, *finding),
    };
    found.findings.iter().map(story).collect()
}

fn since_when(report: &WorkloadReport, finding: Finding, taken: ObservationTime) -> Option<String> {
    match finding.since(report) {
        Some(moment) => Some(since(moment, taken)),
        None => has_unknown_start(report, finding).then(|| "unknown".to_owned()),
    }
}

/// Whether its start is unknown.
#[must_use]
pub fn has_unknown_start(report: &WorkloadReport, finding: Finding) -> bool {
    let noticed = match finding {
        Finding::Stalled | Finding::UnderWay => report.rollout.is_some_and(|rollout| rollout.noticed),
        Finding::HashesPersist | Finding::HashesMixed | Finding::Held => {
            report.mixed_noticed || report.rollout.is_some_and(|rollout| rollout.noticed)
        }
        Finding::DigestSkew | Finding::InjectedSkew | Finding::UnknownSkew => true,
        Finding::NotAvailable | Finding::NotCompared | Finding::LatestTag | Finding::ImageGone | Finding::TagMoved => {
            false
        }
    };
    noticed && finding.since(report).is_none()
}

/// `digest skew`.
#[must_use]
pub fn title(finding: Finding) -> String {
    finding.as_str().replace('_', " ")
}

/// `shop deployment/web`.
pub(super) fn subject(report: &WorkloadReport) -> String {
    format!("{} {}", report.workload.namespace, object(report))
}

/// Describes a finding in a sentence, without the full stop.
#[must_use]
pub fn what(report: &WorkloadReport, finding: Finding) -> String {
    match finding {
        Finding::DigestSkew => skew(report, Origin::Template, " under one template hash"),
        Finding::InjectedSkew => skew(report, Origin::Injected, " of an injected container"),
        Finding::UnknownSkew if skewed(report, Origin::Unknown).any(|(_, of_hash)| of_hash.may_be_one_image) => {
            skew(report, Origin::Unknown, ", which may be names of one image")
        }
        Finding::UnknownSkew => {
            skew(report, Origin::Unknown, ", and it is unknown whether the template has that container")
        }
        Finding::Stalled if report.aborted => format!("the rollout was aborted{}", left(report)),
        Finding::Stalled => format!("the rollout is stalled{}", left(report)),
        Finding::UnderWay => format!("a rollout is in progress{}", left(report)),
        Finding::HashesMixed if state(report) == Some(RolloutState::Complete) => format!(
            "the rollout is complete, and pods of an older template still exist although nothing holds them, {} template \
             hashes",
            report.distinct_hashes
        ),
        Finding::HashesPersist | Finding::HashesMixed => {
            format!("{} template hashes run side by side, and podskew could not see why", report.distinct_hashes)
        }
        Finding::Held if report.distinct_hashes == 1 => {
            format!("{}: no pod of the newest template exists yet", held(report))
        }
        // The template changed during a pause, while two other templates have pods.
        Finding::Held if report.awaits_template() => format!(
            "{}, {} template hashes, and the newest template has no pod yet",
            held(report),
            report.distinct_hashes
        ),
        Finding::Held => format!("{}, {} template hashes", held(report), report.distinct_hashes),
        Finding::NotAvailable => {
            let (all, ready) =
                report.hashes.iter().fold((0, 0), |(all, ready), hash| (all + hash.pods, ready + hash.ready_pods));
            let held = match state(report) {
                Some(state) if state.is_deliberate() => format!(", {}", held(report)),
                _ => String::new(),
            };
            format!("desired pods are missing or not available: {} exist, {ready} ready{held}", pods(all))
        }
        Finding::NotCompared => not_compared(report),
        Finding::ImageGone => "an image of the template is gone from its registry".to_owned(),
        Finding::TagMoved => "a tag of the template points to another image than its pods run".to_owned(),
        Finding::LatestTag => "the template uses the tag latest or no tag".to_owned(),
    }
}

/// Digests differ, which need not mean different images: one build may have several digests.
fn skew(report: &WorkloadReport, origin: Origin, which: &str) -> String {
    let kinds: BTreeSet<DigestKind> = skewed(report, origin)
        .flat_map(|(_, of_hash)| &of_hash.digests)
        .filter(|of_digest| !of_digest.skewed.is_empty())
        .map(|of_digest| of_digest.kind)
        .collect();
    let kind = match (kinds.first(), kinds.len()) {
        (Some(DigestKind::Manifest), 1) => "manifest ",
        (Some(DigestKind::Config), 1) => "config ",
        _ => "",
    };
    let mut names: BTreeSet<u32> = BTreeSet::new();
    let mut digests: BTreeSet<&Name> = BTreeSet::new();
    for (_, of_hash) in skewed(report, origin) {
        for of_digest in &of_hash.digests {
            digests.insert(&of_digest.digest);
            names.extend(&of_digest.skewed);
        }
    }
    format!(
        "replicas run different {kind}digests{which}: {}, {} digests",
        pods(u32::try_from(names.len()).unwrap_or(u32::MAX)),
        digests.len()
    )
}

fn left(report: &WorkloadReport) -> String {
    let all: u32 = report.hashes.iter().map(|hash| hash.pods).sum();
    let left = match report.outdated_pods {
        None => ": no pod of the newest template exists yet".to_owned(),
        Some(0) => ": no pod of an older template is left, and it has not completed".to_owned(),
        Some(1) => format!(": 1 of {} still has an older template", pods(all)),
        Some(outdated) => format!(": {outdated} of {} still have an older template", pods(all)),
    };
    let left = match report.what_blocks() {
        Some(blocks) => format!("{left}, and {blocks}"),
        None => left,
    };
    match report.what_waits() {
        Some(waits) => format!("{left}; {waits}"),
        None => left,
    }
}

fn held(report: &WorkloadReport) -> String {
    let held = match state(report) {
        Some(RolloutState::Paused) => "held by spec.paused",
        Some(RolloutState::Partitioned) => match &report.driver {
            Some(driver) => return format!("held by its partition, which {} {} moves", driver.kind, driver.name),
            None => "held by its partition",
        },
        Some(RolloutState::OnDelete) => "held by its update strategy OnDelete",
        Some(RolloutState::Canary) => "held by the steps of its canary",
        Some(RolloutState::BlueGreen) => "held by its blue-green preview",
        None => "an Experiment runs several templates side by side",
        _ => "the rollout is complete, and older pods are kept for a while",
    };
    held.to_owned()
}

fn not_compared(report: &WorkloadReport) -> String {
    let mut parts = Vec::new();
    for container in &report.containers {
        let name = &container.container;
        if container.image_id_only > 0 {
            let count = pods(container.image_id_only);
            parts.push(format!("container {name} of {count} has an imageID that cannot be compared with the others': it is of another kind"));
        }
        if container.not_reported > 0 {
            let count = pods(container.not_reported);
            parts.push(format!("container {name} of {count} runs, and its node reports no imageID for it"));
        }
        if container.not_started > 0 {
            parts.push(format!("container {name} of {} does not run, and has no imageID", pods(container.not_started)));
        }
    }
    let unknown = report.registry.iter().flat_map(|registry| registry.unknown());
    parts.extend(unknown.map(|(image, why)| format!("what {image} points to in its registry is unknown: {why}")));
    if report.workload.rolls() && report.rollout.is_none() {
        parts.push("the state of its rollout is unknown".to_owned());
    }
    parts.join("; ")
}

fn groups(report: &WorkloadReport, finding: Finding, taken: ObservationTime) -> Vec<PodGroup> {
    let skewed_groups = |origin| {
        skewed(report, origin).flat_map(|(container, of_hash)| digest_groups(report, container, of_hash, taken))
    };
    match finding {
        Finding::DigestSkew => skewed_groups(Origin::Template).chain(evidence(report, Origin::Template)).collect(),
        Finding::InjectedSkew => skewed_groups(Origin::Injected).chain(evidence(report, Origin::Injected)).collect(),
        Finding::UnknownSkew => skewed_groups(Origin::Unknown).chain(evidence(report, Origin::Unknown)).collect(),
        Finding::Stalled | Finding::UnderWay => {
            messages(report).chain(report.hashes.iter().map(|hash| hash_group(report, hash))).collect()
        }
        Finding::HashesPersist | Finding::HashesMixed | Finding::NotAvailable | Finding::Held => {
            report.hashes.iter().map(|hash| hash_group(report, hash)).collect()
        }
        Finding::ImageGone => of_registry(report, |it| it.gone_in_template().map(GoneImage::describe).collect()),
        Finding::TagMoved => of_registry(report, |it| it.moved_in_template().map(|tag| tag.describe(it)).collect()),
        Finding::NotCompared | Finding::LatestTag => Vec::new(),
    }
}

pub(super) fn skewed(report: &WorkloadReport, origin: Origin) -> impl Iterator<Item = (&Name, &HashDigests)> {
    let all = report.containers.iter().flat_map(|of| of.by_hash.iter().map(move |by_hash| (&of.container, by_hash)));
    all.filter(move |(_, by_hash)| by_hash.origin == origin && by_hash.distinct_digests > 1)
}

/// The pods of one hash, grouped by what one of their containers runs.
fn digest_groups(
    report: &WorkloadReport,
    container: &Name,
    of_hash: &HashDigests,
    taken: ObservationTime,
) -> Vec<PodGroup> {
    let group = |of_digest: &DigestPods| {
        let skewed = of_digest.skewed.iter().filter_map(|at| report.pods.get(*at as usize));
        let (named, more) = first(skewed, Some(taken));
        let newest = if of_hash.newest_digest.as_ref() == Some(&of_digest.digest) { ", and started last" } else { "" };
        let under = if of_hash.hash.is_empty() { String::new() } else { format!(" under hash {}", of_hash.hash) };
        PodGroup {
            lines: vec![
                format!(
                    "{} {} {}{newest}",
                    pods(of_digest.pods),
                    verb(of_digest.pods),
                    short(report, &of_digest.digest)
                ),
                format!("as {} in container {container}{under}", of_digest.image),
            ],
            pods: named,
            more,
        }
    };
    of_hash.digests.iter().map(group).collect()
}

/// The API's messages about the pods that a rollout waits for.
fn messages(report: &WorkloadReport) -> impl Iterator<Item = PodGroup> {
    let all = report.blocked.iter().chain(report.blocking.as_deref());
    let with_message = all.filter(|blocked| !blocked.message.is_empty());
    with_message.map(|blocked| PodGroup::line(format!("{}: {}", blocked.reason.in_words(), one_line(&blocked.message))))
}

/// Evidence of registries and nodes about the skew.
fn evidence(report: &WorkloadReport, origin: Origin) -> Vec<PodGroup> {
    let mut lines: Vec<String> = Vec::new();
    for (container, of_hash) in skewed(report, origin) {
        lines.extend(report.registry.iter().flat_map(|registry| registry.describe_skew(container, of_hash)));
    }
    let nodes = report.nodes.iter();
    let of_nodes =
        nodes.flat_map(|nodes| skewed(report, origin).flat_map(|(name, of)| nodes.describe_skew(report, name, of)));
    let of_nodes: BTreeSet<String> = of_nodes.collect();
    lines.into_iter().chain(of_nodes).map(PodGroup::line).collect()
}

/// Lines about evidence of registries.
fn of_registry(report: &WorkloadReport, describe: impl Fn(&RegistryReport) -> Vec<String>) -> Vec<PodGroup> {
    let lines = report.registry.iter().flat_map(|registry| describe(registry));
    lines.map(PodGroup::line).collect()
}

fn verb(count: u32) -> &'static str {
    if count == 1 { "runs" } else { "run" }
}

/// The pods of one hash, with what they run.
fn hash_group(report: &WorkloadReport, hash: &HashReport) -> PodGroup {
    let mut line = if hash.hash.is_empty() { "no hash".to_owned() } else { format!("hash {}", hash.hash) };
    if let Some(revision) = hash.revision {
        let _ = write!(line, ", revision {revision}");
    }
    if hash.current == Some(true) {
        line.push_str(" (current)");
    }
    let _ = write!(line, ": {}, {} ready", pods(hash.pods), hash.ready_pods);
    if hash.terminating_pods > 0 {
        let _ = write!(line, ", {} terminating", hash.terminating_pods);
    }
    let mut lines = vec![line];
    for container in &report.containers {
        for of_hash in container.by_hash.iter().filter(|of_hash| of_hash.hash == hash.hash) {
            lines.extend(of_hash.digests.iter().map(|of_digest| {
                let (name, image) = (&container.container, &of_digest.image);
                format!("container {name}: {image} is {}", short(report, &of_digest.digest))
            }));
        }
    }
    let (named, more) = first(report.pods.iter().filter(|pod| pod.hash == hash.hash), None);
    PodGroup { lines, pods: named, more }
}

/// The first pods, with their ages if `taken` is given, and the number of the others.
fn first<'p>(all: impl Iterator<Item = &'p PodReport>, taken: Option<ObservationTime>) -> (Vec<GroupPod>, usize) {
    let member = |pod: &PodReport| {
        let age = taken.map(|taken| old(pod.created, taken));
        let mut notes = age.map(|age| format!(", {age}")).unwrap_or_default();
        if pod.terminating {
            notes.push_str(", terminating");
        }
        GroupPod { pod: pod.pod.clone(), node: pod.node.clone(), notes }
    };
    let all: Vec<&PodReport> = all.collect();
    (all.iter().take(NAMED).map(|pod| member(pod)).collect(), all.len().saturating_sub(NAMED))
}

/// The shortest prefix of a digest that is unique in its workload.
fn short(report: &WorkloadReport, digest: &str) -> String {
    let digits = |digest: &str| digest.find(':').map_or(0, |colon| colon + 1) + DIGITS;
    let mut length = digits(digest);
    let all = report.containers.iter().flat_map(|container| &container.by_hash).flat_map(|of_hash| &of_hash.digests);
    for other in all.map(|of_digest| &*of_digest.digest).filter(|other| *other != digest) {
        let alike = other.chars().zip(digest.chars()).take_while(|(a, b)| a == b).count();
        if alike >= length {
            length = alike + 1;
        }
    }
    digest.chars().take(length).collect()
}

/// The line of totals.
pub(super) fn totals(audit: &super::Audit) -> String {
    let totals = &audit.totals;
    let plural = |count: u64, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let mut line =
        format!("{} with {} in {}", plural(totals.workloads, "workload"), plural(totals.pods, "pod"), audit.of);
    let _ = write!(line, ": {} uniform", totals.uniform);
    for (finding, count) in &totals.findings {
        let _ = write!(line, ", {count} {}", title(*finding));
    }
    let verdict = match audit.verdict {
        super::Verdict::Uniform if totals.found_any() => "uniform, except for findings that do not fail an audit",
        super::Verdict::Uniform => "uniform",
        super::Verdict::NotUniform => "not uniform",
        super::Verdict::Empty => "nothing was selected",
        super::Verdict::NotCompared => "something could not be compared",
        super::Verdict::TimedOut => "time ran out",
    };
    format!("{line}. Verdict: {verdict}.")
}
