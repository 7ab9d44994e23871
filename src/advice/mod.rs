//! Remedies for workloads that are not as they should be: a command to inspect each, and a command to fix it.
//!
//! Alerts use the same text, from `podskew_remedy_info`.

mod command_target;
mod commands;
mod pins;
mod unready;

pub use command_target::shell_quote;

use crate::report::history::History;
use crate::report::{HashDigests, Name, Origin, ReferenceKind, RolloutState, WorkloadReport};
use crate::time::UnixTime;
use command_target::CommandTarget;
use commands::ON_DELETE;
use pins::{PinReason, PinScope};
use std::borrow::Cow;
use std::fmt;
use unready::{give_first, on_or_back};

/// A finding about a workload. The variants are ordered from the worst.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Finding {
    /// Different images of the template's own container under one hash.
    DigestSkew,
    /// A rollout that does not continue by itself.
    Stalled,
    /// A rollout in progress; it may be slow.
    UnderWay,
    /// Rollouts that follow each other so fast that two hashes persist.
    HashesPersist,
    /// Several hashes, but podskew cannot read whether that is a rollout or deliberate.
    HashesMixed,
    /// Wanted pods are missing or not available. This is not a rollout, but waiting for a rollout includes waiting for
    /// them.
    NotAvailable,
    /// Different images of a container that an admission webhook added.
    InjectedSkew,
    /// Different images under one hash; podskew cannot tell whether they should be equal.
    UnknownSkew,
    /// An image of the template is gone from its registry.
    ImageGone,
    /// A tag of the template points to another image than its pods run.
    TagMoved,
    /// Held on purpose between two templates.
    Held,
    /// The images of pods, or the state of their rollout, are unknown.
    NotCompared,
    /// The template names an image by `latest`, or without a tag.
    LatestTag,
}

/// A remedy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Remedy {
    /// A command that shows the problem.
    pub look: String,
    /// The fix.
    pub action: Action,
    /// Why this fixes it, and what to consider.
    pub why: Option<Cow<'static, str>>,
}

/// A fix: commands, or text where no command does it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Action {
    /// The fix in words, where no command does it.
    pub words: String,
    /// Commands to run in sequence while they succeed.
    pub commands: Vec<String>,
    /// A sentence about what remains after the commands.
    pub then: String,
}

/// Applies to every change.
pub const GITOPS: &str = "Where GitOps owns the object, make the change there.";

pub(super) const PINNED_NEWEST: &str = "the pods that run this digest started last, so it is most likely the newer image; or take another from \
                             above. A restart would read each node's cache again.";
pub(super) const PINNED_MOST: &str = "most of its pods run this digest, and their ages do not tell which one is newer. Ask the registry, or take \
                           another from above. A restart would read each node's cache again.";
pub(super) const PINNED_ANY: &str = "no digest has most of its pods, and their ages do not tell which one is newer. Ask the registry, and take \
                          another from above if this is not the one. A restart would read each node's cache again.";
pub(super) const LOADED: &str = "these images are not pulled, so each node runs what was loaded onto it: load one image onto every node first. Better, \
     push it to a registry.";
pub(super) const PULLED: &str =
    "new pods ask the registry even if their node has the image, so they all get the same image.";
pub(super) const OUTDATED: &str = "only pods of an older template differ, and the difference ends with them. If new pods differ too, podskew reports that.";
const BLOCKED: &str = "the StatefulSet waits for this pod to be Ready, and does not replace it, although its template is no longer current.";
pub(super) const GIVE: &str = "give the new pods what they lack";
const ASK_FIRST: &str = "this ends the mix with the new template. Somebody held it, so ask first.";
const NEXT_PAUSE: &str =
    "this promotes the canary to its next pause, or to its end if there is none. Somebody held it, so ask first.";
const LEFT_OVER: &str = "their scale-down deadline has passed, so this mix does not end by itself.";
const ON_PURPOSE: &str = "an Experiment compares templates on purpose, and ends after its duration. This ends it now.";
const DRIVEN: &str = "that object holds the mix, and reverts patches of the StatefulSet.";
pub(super) const DRIVEN_TEMPLATE: &str = "that object sets the template of the StatefulSet, and reverts changes there.";
const KEPT: &str =
    "it keeps the pods of the older template until their scale-down deadline, so that a rollback is quick.";
const INJECTED_NOW: &str = "every new pod gets what the webhook injects now.";
const CANNOT_MOVE: &str = "this is what its pods run now, by a name that cannot move. Better still, deploy by digest or by a tag \
                           that is never pushed twice.";
const ONE_CANNOT_MOVE: &str = "its pods run more than one digest, so ask the registry first whether this is the one. Better still, deploy by \
                               digest or by a tag that is never pushed twice.";
const LOOK_CLOSER: &str = "let podskew read the object that owns the pods";
const SAY_MORE: &str = "only that object shows whether a rollout is in progress, or whether the mix is intended.";
const NOT_STARTED: &str =
    "what a container runs is known only after it has started. Give these pods what they lack; their events show what.";
const ASK_THE_NODE: &str = "ask the provider of the node, often a virtual one, which image it runs; or pin the digest";
const NOT_REPORTED: &str =
    "a node that reports no imageID leaves nothing to compare. A digest in the template needs no comparison.";
const GIVE_PODS: &str = "give the pods that are missing or not ready what they lack";
const NOT_READY: &str = "the rollout has completed, so they lack something that changed since, or are being replaced. Their events show what.";
const PULL_AGAIN: &str =
    "pods that pull from a registry have a digest. Imported or preloaded images have none: push them to a registry.";
const MAY_BE_ONE: &str = "CRI-O may name one image by different digests on nodes of different architectures, and Docker does not say of \
                          what its ids are.";
const ASK_THE_REGISTRY: &str =
    "find out why the registry does not answer: check its name, the credentials and its limits";
const COMPARE_BY_HAND: &str = "compare by hand what the registry has under both digests, or set the image by digest";
const DOUBTFUL: &str =
    "nodes and the registry contradict one another, and podskew does not guess which of them is right.";
const UNANSWERED: &str = "what a tag points to is known only when its registry answers.";
const PUSH_AGAIN: &str = "push the image again, or roll out one that the registry has";
const CANNOT_PULL: &str = "a pod that starts on a node without the image cannot pull it.";
const ON_PURPOSE_OR_PINNED: &str = "roll out the new image on purpose, or use a digest in the template";
const WILL_DIFFER: &str = "a pod that starts now may run another image than the others.";
const MAY_BE_INJECTED: &str =
    "podskew cannot read it. If it does not, a webhook added the container, which may differ on purpose.";

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line())?;
        if self.then.is_empty() { Ok(()) } else { write!(f, "\nThen: {}", self.then) }
    }
}

/// `Look: … Do: … Why: …`, a line each.
impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Look: {}\nDo: {}", self.look, self.action)?;
        match &self.why {
            Some(why) => write!(f, "\nWhy: {why} {GITOPS}"),
            None => write!(f, " {GITOPS}"),
        }
    }
}

impl Action {
    /// The commands as one line for a shell, or the text where no command does it.
    #[must_use]
    pub fn line(&self) -> String {
        format!("{}{}", self.words, self.commands.join(" && "))
    }

    pub(super) fn command(command: String) -> Self {
        Self { commands: vec![command], ..Self::default() }
    }

    pub(super) fn words(words: String) -> Self {
        Self { words, ..Self::default() }
    }

    /// The same with other commands before it.
    pub(super) fn behind(self, mut commands: Vec<String>) -> Self {
        commands.extend(self.commands);
        Self { commands, ..self }
    }
}

impl Finding {
    /// The name in JSON and in labels. It never changes.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DigestSkew => "digest_skew",
            Self::Stalled => "stalled_rollout",
            Self::UnderWay => "rollout_in_progress",
            Self::HashesPersist => "persisting_template_hashes",
            Self::HashesMixed => "mixed_template_hashes",
            Self::NotAvailable => "unavailable_pods",
            Self::NotCompared => "not_compared",
            Self::Held => "deliberate_mix",
            Self::InjectedSkew => "injected_digest_skew",
            Self::UnknownSkew => "unknown_digest_skew",
            Self::ImageGone => "image_gone",
            Self::TagMoved => "tag_moved",
            Self::LatestTag => "latest_tag",
        }
    }

    /// Returns all findings of this workload, worst first.
    #[must_use]
    pub fn all(report: &WorkloadReport) -> Vec<Self> {
        let mut findings = Vec::new();
        let skewed = |origin| skewed(report, origin).next().is_some();
        if skewed(Origin::Template) {
            findings.push(Self::DigestSkew);
        }
        let mixed = report.distinct_hashes > 1;
        findings.extend(match report.rollout.map(|rollout| rollout.state) {
            Some(RolloutState::Stalled) => Some(Self::Stalled),
            Some(RolloutState::Progressing) => Some(Self::UnderWay),
            Some(
                RolloutState::Paused
                | RolloutState::Partitioned
                | RolloutState::OnDelete
                | RolloutState::Canary
                | RolloutState::BlueGreen,
            ) => (report.distinct_hashes > 0).then_some(Self::Held),
            // Argo keeps the old pods for a while after promotion, and an Experiment's pods differ on purpose.
            Some(RolloutState::Complete) | None if report.deliberate => Some(Self::Held),
            Some(RolloutState::Complete) | None => mixed.then_some(Self::HashesMixed),
        });
        if skewed(Origin::Injected) {
            findings.push(Self::InjectedSkew);
        }
        if skewed(Origin::Unknown) {
            findings.push(Self::UnknownSkew);
        }
        if let Some(registry) = &report.registry {
            findings.extend(registry.gone_in_template().next().map(|_| Self::ImageGone));
            findings.extend(registry.moved_in_template().next().map(|_| Self::TagMoved));
        }
        if is_not_compared(report) {
            findings.push(Self::NotCompared);
        }
        if report.image_references.iter().any(|image| image.reference == ReferenceKind::Latest) {
            findings.push(Self::LatestTag);
        }
        findings.sort_unstable();
        findings
    }

    /// Since when, if known.
    #[must_use]
    pub fn since(self, report: &WorkloadReport) -> Option<UnixTime> {
        let skewed_since = |origin| skewed(report, origin).filter_map(|(_, of_hash)| of_hash.began()).min();
        match self {
            Self::DigestSkew => skewed_since(Origin::Template),
            Self::InjectedSkew => skewed_since(Origin::Injected),
            Self::UnknownSkew => skewed_since(Origin::Unknown),
            Self::Stalled | Self::UnderWay => report.rollout.and_then(|rollout| rollout.began()),
            Self::HashesPersist | Self::HashesMixed => report.mix_began(),
            Self::Held => report.mix_began().or(report.rollout.and_then(|rollout| rollout.began())),
            Self::ImageGone => report.registry.as_ref()?.gone_in_template().map(|gone| gone.since).min(),
            Self::TagMoved => report.registry.as_ref()?.moved_in_template().filter_map(|tag| tag.since).min(),
            Self::NotAvailable | Self::NotCompared | Self::LatestTag => None,
        }
    }
}

/// Returns the remedy for a finding.
#[must_use]
pub fn remedy(report: &WorkloadReport, finding: Finding) -> Remedy {
    let of = CommandTarget::of(report);
    let (look, action, why) = match finding {
        Finding::DigestSkew => {
            let (action, why) = of.end_skew();
            (of.look_at_digests(Origin::Template), action, why)
        }
        Finding::Stalled | Finding::UnderWay | Finding::HashesPersist => {
            if let Some(pod) = of.pod_to_delete() {
                (of.look_at_pod(pod), of.delete_pod(pod), BLOCKED)
            } else {
                return on_or_back(&of, finding);
            }
        }
        Finding::NotAvailable => (of.look_at_unready(), Action::words(GIVE_PODS.to_owned()), NOT_READY),
        Finding::NotCompared if report.containers.iter().any(|container| container.image_id_only > 0) => {
            let (action, why) = of.change(of.reach_all(of.restart()), PULL_AGAIN);
            (of.look_at_image_ids(), action, why)
        }
        Finding::NotCompared if report.containers.iter().any(|container| container.not_reported > 0) => {
            (of.look_at_image_ids(), Action::words(ASK_THE_NODE.to_owned()), NOT_REPORTED)
        }
        Finding::NotCompared if report.containers.iter().any(|container| container.not_started > 0) => {
            (of.look_at_image_ids(), of.describe_unresolved(), NOT_STARTED)
        }
        Finding::NotCompared if is_unanswered(report) && !is_not_comparable(report) => {
            (of.look_at_template(), Action::words(ASK_THE_REGISTRY.to_owned()), UNANSWERED)
        }
        Finding::NotCompared if is_doubtful(report) && !is_not_comparable(report) => {
            (of.look_at_image_ids(), Action::words(COMPARE_BY_HAND.to_owned()), DOUBTFUL)
        }
        Finding::ImageGone => (of.look_at_template(), Action::words(PUSH_AGAIN.to_owned()), CANNOT_PULL),
        Finding::TagMoved => (of.look_at_template(), Action::words(ON_PURPOSE_OR_PINNED.to_owned()), WILL_DIFFER),
        Finding::HashesMixed if report.rollout.is_some() => (of.look_at_history(), of.delete_older(), LEFT_OVER),
        Finding::HashesMixed | Finding::NotCompared => {
            (of.look_at_rollout(), Action::words(LOOK_CLOSER.to_owned()), SAY_MORE)
        }
        Finding::Held if report.workload.is_experiment() => (of.look_at_history(), of.go_on(), ON_PURPOSE),
        Finding::Held if report.driver.is_some() => (of.look_at_history(), of.go_on(), DRIVEN),
        Finding::Held
            if report.deliberate && report.rollout.is_some_and(|rollout| rollout.state == RolloutState::Complete) =>
        {
            let wait = "nothing: Argo Rollouts scales them down by itself".to_owned();
            (of.look_at_history(), Action::words(wait), KEPT)
        }
        Finding::Held if of.new_pods_fail() => return give_first(&of),
        Finding::Held => {
            let steps = report.rollout.is_some_and(|rollout| rollout.state == RolloutState::Canary);
            (of.look_at_history(), of.go_on(), if steps { NEXT_PAUSE } else { ASK_FIRST })
        }
        Finding::InjectedSkew => {
            let (action, why) = of.change(of.reach_all(of.restart()), INJECTED_NOW);
            (of.look_at_digests(Origin::Injected), action, why)
        }
        Finding::UnknownSkew => {
            let may_be_one = skewed(report, Origin::Unknown).any(|(_, of_hash)| of_hash.may_be_one_image);
            let (ask, why) = if may_be_one {
                let index =
                    "ask the registry whether one of the digests is the index of the others: then they are one image";
                (index.to_owned(), MAY_BE_ONE)
            } else {
                (format!("check whether the template of {} has that container", of.object), MAY_BE_INJECTED)
            };
            (of.look_at_digests(Origin::Unknown), Action::words(ask), why)
        }
        Finding::LatestTag => {
            let latest = report.image_references.iter().filter(|image| image.reference == ReferenceKind::Latest);
            let current = report.hashes.iter().rfind(|hash| hash.current == Some(true)).map(|hash| &*hash.hash);
            let pins = of.pin(latest.map(|image| &image.container), current, PinScope::All);
            let look = of.look_at_template();
            if pins.images.is_empty() {
                let name = "use a tag that is never pushed twice, or a digest, in its template.";
                return Remedy { look, action: Action::words(name.to_owned()), why: None };
            }
            let why = if pins.choice == PinReason::Only { CANNOT_MOVE } else { ONE_CANNOT_MOVE };
            let (action, why) = of.change(of.set_images(&pins), why);
            (look, action, why)
        }
    };
    Remedy { look, action, why: Some(why.into()) }
}

/// Rolls a workload back to a revision of its history whose pods have this hash.
#[must_use]
pub fn roll_back(report: &WorkloadReport, history: &History, hash: &str, revision: u64) -> Action {
    let of = CommandTarget::of(report);
    let mut action = of.undo(hash, revision);
    if history.on_delete {
        ON_DELETE.clone_into(&mut action.then);
    } else if let Some(partition) = history.partition {
        action.then = format!("pods below ordinal {partition}, its partition, keep their template.");
    }
    // kubectl refuses: "cannot rollback a paused deployment; resume it first".
    if history.paused {
        action = action.behind(of.resume());
    }
    of.change(action, "").0
}

/// Replaces movable references by the digests that most pods of a hash run; `None` if none is movable, or none of the
/// digests can be pulled.
#[must_use]
pub fn pin(report: &WorkloadReport, hash: &str) -> Option<Action> {
    let of = CommandTarget::of(report);
    let moving = report.image_references.iter().filter(|image| image.reference != ReferenceKind::Digest);
    let pins = of.pin(moving.map(|image| &image.container), Some(hash), PinScope::All);
    (!pins.images.is_empty()).then(|| of.change(of.reach_all(of.set_images(&pins)), "").0)
}

/// Whether a registry did not answer about an image.
fn is_unanswered(report: &WorkloadReport) -> bool {
    report.registry.as_ref().is_some_and(|registry| !registry.unanswered.is_empty())
}

/// Whether nodes and a registry disagree about an image.
fn is_doubtful(report: &WorkloadReport) -> bool {
    report.registry.as_ref().is_some_and(|registry| !registry.doubtful.is_empty())
}

fn is_not_compared(report: &WorkloadReport) -> bool {
    is_unanswered(report) || is_doubtful(report) || is_not_comparable(report)
}

/// Whether something about the workload is unknown. Pods of a rollout in progress have yet to start.
fn is_not_comparable(report: &WorkloadReport) -> bool {
    let state = report.rollout.map(|rollout| rollout.state);
    let starting = matches!(state, Some(RolloutState::Progressing | RolloutState::Stalled));
    (report.workload.rolls() && state.is_none())
        || report
            .containers
            .iter()
            .any(|c| c.image_id_only > 0 || c.not_reported > 0 || (c.not_started > 0 && !starting))
}

/// Returns each container and hash in skew with this origin.
pub(super) fn skewed(report: &WorkloadReport, origin: Origin) -> impl Iterator<Item = (&Name, &HashDigests)> {
    let all = report.containers.iter().flat_map(|of| of.by_hash.iter().map(move |by_hash| (&of.container, by_hash)));
    all.filter(move |(_, by_hash)| by_hash.origin == origin && by_hash.distinct_digests > 1)
}
