//! The remedy for a rollout in progress: it follows the reason why the rollout's pods wait.

use super::command_target::{CommandTarget, shell_quote};
use super::{Action, Finding, GIVE, Remedy};
use crate::kinds::WorkloadKind;
use crate::report::denial::Denial;
use crate::report::{BlockReason, BlockedPods, HashReport, WorkloadReport};
use std::borrow::Cow;

const STANDS: &str = "it does not continue by itself";
const NO_WAY_BACK: &str = "it does not continue by itself, and no other revision is known to have worked, so there is none to go back to. \
                           podskew explain shows its history.";
const LET_IT_END: &str =
    "no other revision is known to have worked, so there is none to go back to. podskew explain shows its history.";
const OVERTAKEN: &str = "new rollouts start before earlier ones complete, or one is very slow. Let it complete before the next one, or go back.";
const OVERTAKEN_ONLY: &str = "new rollouts start before earlier ones complete, or one is very slow. No other revision is known to have worked, so there is \
                              none to go back to.";
const NEW_PODS_FAIL: &str = "no pod of the new template is Ready, so continuing would cost pods that are. Continue when the new pods are Ready, or go back.";
const MESSAGE: &str = "The message of its ReplicaSet says more.";

/// The remedy for pods that wait for one reason.
struct UnreadyFix<'a> {
    /// The pods and their reason.
    blocked: &'a BlockedPods,
    /// The action, as the end of a sentence: "push the image, …".
    give: String,
    /// Sentences that say how to inspect the cause; may be empty.
    check: String,
}

/// Returns the remedy for a rollout in progress: a rollback to a revision that is known to have worked, or the fix that its pods need.
pub(super) fn on_or_back(of: &CommandTarget<'_>, finding: Finding) -> Remedy {
    // Pods that are being created, and those that are not Ready yet, may be on their way.
    let is_trouble = |fix: &UnreadyFix<'_>| finding == Finding::Stalled || !may_pass(fix.blocked.reason);
    let fix = fix(of).filter(is_trouble);
    let look = look(of, fix.as_ref());
    let give = fix.as_ref().map_or(GIVE, |fix| &fix.give);
    let back = of.report.rollback_target.as_ref();
    let action = match (finding, back) {
        (_, Some(target)) => of.undo(&target.hash, target.revision),
        (Finding::Stalled, None) => Action::words(give.to_owned()),
        (Finding::UnderWay, None) => Action::words(format!("if it makes progress, wait; if not, {give}")),
        _ => Action::words("let it complete before the next one begins".to_owned()),
    };
    let (action, driven) = if back.is_some() { of.change(action, "") } else { (action, "") };
    if !driven.is_empty() {
        return Remedy { look, action, why: Some(driven.into()) };
    }
    let why: Cow<'static, str> = match (finding, back) {
        (Finding::Stalled, Some(target)) => {
            let served = if target.ready_pods > 0 { ", and the old pods still serve" } else { "" };
            format!("{STANDS}{served}. {}, or go back.", sentence(give)).into()
        }
        (Finding::Stalled, None) => NO_WAY_BACK.into(),
        (Finding::UnderWay, Some(_)) => match &fix {
            Some(_) => format!("if it makes progress, wait; if not, {give}, or go back.").into(),
            None => "if it makes progress, wait; if not, or if you cannot wait, go back.".into(),
        },
        (Finding::UnderWay, None) => LET_IT_END.into(),
        (_, Some(_)) => OVERTAKEN.into(),
        (_, None) => OVERTAKEN_ONLY.into(),
    };
    Remedy { look, action, why: Some(with_check(why, fix.as_ref())) }
}

/// Returns the remedy for a held rollout that has no Ready new pod: fix these pods first.
pub(super) fn give_first(of: &CommandTarget<'_>) -> Remedy {
    let fix = fix(of);
    let give = fix.as_ref().map_or(GIVE, |fix| &fix.give);
    let why = with_check(NEW_PODS_FAIL.into(), fix.as_ref());
    Remedy { look: look(of, fix.as_ref()), action: Action::words(give.to_owned()), why: Some(why) }
}

fn with_check(why: Cow<'static, str>, fix: Option<&UnreadyFix<'_>>) -> Cow<'static, str> {
    match fix {
        Some(fix) if !fix.check.is_empty() => format!("{why} {}", fix.check).into(),
        _ => why,
    }
}

/// Returns `text` with its first letter in upper case.
fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

/// Returns the command that shows the reason: it describes the pods, or the object that creates them.
fn look(of: &CommandTarget<'_>, fix: Option<&UnreadyFix<'_>>) -> String {
    let is_about_creation = fix.is_some_and(|fix| fix.blocked.pod.is_none());
    let selector = |hash: &HashReport| format!("-l {}={}", of.kind.hash_label(), shell_quote(&hash.hash));
    match of.current().filter(|_| is_about_creation && of.kind != WorkloadKind::Rollout) {
        Some(current) if of.kind == WorkloadKind::Deployment => {
            format!("{} describe replicasets {}", of.kubectl, selector(current))
        }
        Some(_) => format!("{} describe {}", of.kubectl, of.object),
        None => of.look_at_rollout(),
    }
}

/// Returns the remedy for the main reason why pods of the current template wait; `None` if no reason is known.
fn fix<'a>(of: &CommandTarget<'a>) -> Option<UnreadyFix<'a>> {
    let blocked = main_reason(of.report)?;
    let (give, check) = match blocked.reason {
        BlockReason::FailedCreate => denied(of, blocked),
        BlockReason::NotCreated => not_created(of),
        BlockReason::Unschedulable | BlockReason::SchedulingGated => unscheduled(of, blocked),
        reason if reason.is_about_the_image() => image(of, blocked),
        _ => container(of, blocked)?,
    };
    Some(UnreadyFix { blocked, give, check })
}

/// Returns the reason that most pods have. A reason that may pass by itself counts only if there is no other.
fn main_reason(report: &WorkloadReport) -> Option<&BlockedPods> {
    // A StatefulSet that waits for one of its pods creates no other.
    let follows = |blocked: &&BlockedPods| blocked.reason == BlockReason::NotCreated && report.blocking_pod.is_some();
    let all = || report.blocked.iter().filter(|blocked| !follows(blocked));
    all().find(|blocked| !may_pass(blocked.reason)).or_else(|| all().next())
}

fn may_pass(reason: BlockReason) -> bool {
    use BlockReason::{ContainerCreating, NotReady, Other, PodInitializing};
    matches!(reason, ContainerCreating | PodInitializing | NotReady | Other)
}

fn image(of: &CommandTarget<'_>, blocked: &BlockedPods) -> (String, String) {
    let image = match &*blocked.image {
        "" => Cow::Owned(format!("the image of container {}", shell_quote(&blocked.container))),
        image => shell_quote(image),
    };
    // The name of an image is all that a registry needs to be asked.
    let ask = match &*blocked.image {
        "" => of.describe_pod(blocked).map(|describe| format!("{describe} names it.")),
        _ => Some(format!(
            "docker manifest inspect {image} asks its registry, with your credentials and not with those of the pod."
        )),
    };
    let ask = ask.unwrap_or_default();
    match blocked.reason {
        BlockReason::InvalidImageName => (
            format!("correct the image name {image} in the template"),
            "It is not a valid reference. Common causes are an unset variable and a capital letter.".to_owned(),
        ),
        BlockReason::ErrImageNeverPull => (
            format!("load {image} onto the nodes, or set the pull policy to IfNotPresent"),
            "The pull policy is Never, so a node runs only images that it has.".to_owned(),
        ),
        BlockReason::ImageInspectError => (
            format!("remove {image} from the node of the pod, so that it is pulled again"),
            "The container runtime of that node cannot read its copy of the image.".to_owned(),
        ),
        BlockReason::RegistryUnavailable => {
            (format!("find out why the registry of {image} does not answer the nodes"), ask)
        }
        BlockReason::SignatureValidationFailed => (
            format!("sign {image}, or correct the signature policy of the nodes"),
            "The container runtime refuses its signature.".to_owned(),
        ),
        _ => (format!("push {image}, or correct its name or its pull secret in the template"), ask),
    }
}

fn container(of: &CommandTarget<'_>, blocked: &BlockedPods) -> Option<(String, String)> {
    let name = shell_quote(&blocked.container);
    let logs =
        |option: &str| of.logs(blocked, option).map(|logs| format!("{logs} shows its output.")).unwrap_or_default();
    let events =
        || of.describe_pod(blocked).map(|describe| format!("{describe} shows its events.")).unwrap_or_default();
    Some(match blocked.reason {
        BlockReason::CreateContainerConfigError => (
            "create the ConfigMap, the Secret or the key that the pod's message names, or correct the template"
                .to_owned(),
            events(),
        ),
        BlockReason::CreateContainerError | BlockReason::RunContainerError => (
            format!(
                "correct what the container runtime refuses in the template of container {name}: its command, a mount or a setting"
            ),
            events(),
        ),
        BlockReason::CrashLoopBackOff => (format!("fix what ends container {name} repeatedly"), logs(" --previous")),
        BlockReason::InitContainerFailed => (format!("fix what makes init container {name} fail"), logs("")),
        BlockReason::PodInitializing => ("let the init containers complete".to_owned(), events()),
        BlockReason::ContainerCreating => {
            ("give the pod what its node waits for: a volume, a Secret or a network address".to_owned(), events())
        }
        BlockReason::NotReady if !blocked.container.is_empty() => {
            (format!("make container {name} pass its readiness probe"), logs(""))
        }
        _ => return None,
    })
}

fn unscheduled(of: &CommandTarget<'_>, blocked: &BlockedPods) -> (String, String) {
    let describe = of.describe_pod(blocked).unwrap_or_default();
    if blocked.reason == BlockReason::SchedulingGated {
        let give = "have the scheduling gates of the pod removed";
        return (give.to_owned(), format!("{describe} names them."));
    }
    let give = "give the pod a node that has room and matches its selectors, tolerations and volumes";
    (give.to_owned(), format!("{describe} shows what each node lacks."))
}

fn not_created(of: &CommandTarget<'_>) -> (String, String) {
    let give = "fix what keeps its pods from being created or scheduled";
    (give.to_owned(), format!("The events of {} show the cause.", of.object))
}

/// Returns action and check for replicas that the API server refuses to create.
fn denied(of: &CommandTarget<'_>, blocked: &BlockedPods) -> (String, String) {
    let see = |what: &str| format!("{} describe {what} shows it.", of.kubectl);
    match Denial::parse(&blocked.message) {
        Denial::Quota(name) => (
            format!("raise quota {name} of the namespace, or request less in the template"),
            see(&format!("resourcequota {name}")),
        ),
        Denial::QuotaDemands(name) => (
            format!("set the requests and limits in the template that quota {name} of the namespace requires"),
            see(&format!("resourcequota {name}")),
        ),
        Denial::LimitRange => {
            ("request in the template what the LimitRange of the namespace allows".to_owned(), see("limitranges"))
        }
        Denial::PodSecurity(level) => (
            format!("make the template meet the Pod Security level {level} of the namespace"),
            "The label pod-security.kubernetes.io/enforce of the namespace sets it.".to_owned(),
        ),
        Denial::Policy(name) => {
            (format!("change the template as policy {name} requires, or have the policy changed"), MESSAGE.to_owned())
        }
        Denial::Webhook(name) => {
            (format!("change the template as the admission webhook {name} requires"), MESSAGE.to_owned())
        }
        Denial::WebhookFails(name) => (
            format!("make the admission webhook {name} answer again"),
            "The API server calls it before it creates a pod, and gets no answer.".to_owned(),
        ),
        Denial::Missing(kind, name) => {
            (format!("create the {kind} {name}, or name another in the template"), MESSAGE.to_owned())
        }
        Denial::Other => (
            "fix what the API server refuses a pod for: a quota, a policy or a missing object".to_owned(),
            MESSAGE.to_owned(),
        ),
    }
}

impl CommandTarget<'_> {
    /// Returns `kubectl -n shop describe pod web-1` for the first pod that waits.
    fn describe_pod(&self, blocked: &BlockedPods) -> Option<String> {
        let pod = self.report.pods.get(blocked.pod? as usize)?;
        Some(self.look_at_pod(pod))
    }

    /// Returns `kubectl -n shop logs web-1 -c app --previous` for the first pod that waits.
    fn logs(&self, blocked: &BlockedPods, option: &str) -> Option<String> {
        let pod = self.report.pods.get(blocked.pod? as usize)?;
        Some(format!("{} logs {} -c {}{option}", self.kubectl, shell_quote(&pod.pod), shell_quote(&blocked.container)))
    }
}
