//! Why a rollout waits: pods of the current hash that are not Ready, and replicas that were not created, grouped by
//! reason.

use super::facts::{PodFacts, WorkloadFacts};
use super::rollout::{CurrentHash, RolloutProgress};
use super::{Name, RolloutState, WorkloadReport};

/// Pods that a rollout in progress waits for, for one reason.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BlockedPods {
    /// Label `reason`.
    pub reason: BlockReason,
    /// Number of pods; a replica that was not created counts as one.
    pub pods: u32,
    /// Position in [`WorkloadReport::pods`] of the first such pod by name; `None` for replicas that were not created.
    pub pod: Option<u32>,
    /// The waiting container of that pod; empty if the pod itself waits.
    pub container: Name,
    /// That container's image in the pod's spec; empty if unknown.
    pub image: Name,
    /// Message of the API; empty if there is none, and where messages are not kept.
    pub message: Name,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $label:literal,)+) => {
        /// Why a pod is missing or not Ready. Reasons of the API keep their spelling; podskew's own are in lower case.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum BlockReason {
            $($(#[$doc])* $name,)+
        }

        impl BlockReason {
            /// Every reason.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The name in labels and JSON.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $label,)+
                }
            }
        }
    };
}

reasons! {
    /// The image could not be pulled.
    ErrImagePull = "ErrImagePull",
    /// The same; the kubelet waits before it retries.
    ImagePullBackOff = "ImagePullBackOff",
    /// The image reference is invalid.
    InvalidImageName = "InvalidImageName",
    /// The pull policy is Never, and the node lacks the image.
    ErrImageNeverPull = "ErrImageNeverPull",
    /// The runtime could not read the image.
    ImageInspectError = "ImageInspectError",
    /// The registry does not respond.
    RegistryUnavailable = "RegistryUnavailable",
    /// The node rejects the image's signature.
    SignatureValidationFailed = "SignatureValidationFailed",
    /// A `ConfigMap`, a Secret or a key of one is missing.
    CreateContainerConfigError = "CreateContainerConfigError",
    /// The runtime could not create the container.
    CreateContainerError = "CreateContainerError",
    /// The runtime could not start the container.
    RunContainerError = "RunContainerError",
    /// The container keeps crashing.
    CrashLoopBackOff = "CrashLoopBackOff",
    /// The container is being created.
    ContainerCreating = "ContainerCreating",
    /// Init containers still run.
    PodInitializing = "PodInitializing",
    /// An init container failed.
    InitContainerFailed = "init_container_failed",
    /// No node fits.
    Unschedulable = "Unschedulable",
    /// A scheduling gate holds the pod.
    SchedulingGated = "SchedulingGated",
    /// The API server refused to create the replica: a quota, an admission webhook.
    FailedCreate = "FailedCreate",
    /// The replica is missing, for an unknown reason.
    NotCreated = "not_created",
    /// All containers run, but the pod is not Ready.
    NotReady = "not_ready",
    /// Anything else.
    Other = "other",
}

impl BlockReason {
    /// Parses a reason of a pod; unknown ones are `Other`.
    #[must_use]
    pub fn parse(reason: &str) -> Self {
        Self::ALL.iter().copied().find(|known| known.as_str() == reason).unwrap_or(Self::Other)
    }

    /// Whether the image could not be pulled.
    #[must_use]
    pub fn is_about_the_image(self) -> bool {
        self <= Self::SignatureValidationFailed
    }
}

/// Returns what the rollout waits for, largest group first; empty unless a rollout is in progress, held or not.
pub(super) fn blocked(facts: &WorkloadFacts<'_>, progress: &RolloutProgress<'_>) -> Vec<BlockedPods> {
    let state = progress.rollout.map(|rollout| rollout.state);
    let CurrentHash::Hash(current) = progress.current else { return Vec::new() };
    if matches!(state, None | Some(RolloutState::Complete)) {
        return Vec::new();
    }
    let mut blocked: Vec<BlockedPods> = Vec::new();
    let mut unready: Vec<(&PodFacts<'_>, u32)> =
        facts.pods.iter().zip(0..).filter(|(pod, _)| !pod.terminating && !pod.ready && pod.hash == current).collect();
    unready.sort_by_key(|(pod, _)| pod.name);
    for (pod, at) in unready {
        let reason = reason_of(pod);
        match blocked.iter_mut().find(|known| known.reason == reason) {
            Some(known) => known.pods += 1,
            None => blocked.push(one_pod(facts, pod, at)),
        }
    }
    blocked.extend(not_created(facts, progress));
    blocked.sort_by_key(|blocked| (std::cmp::Reverse(blocked.pods), blocked.reason));
    blocked
}

/// Returns why the pod that a StatefulSet's rollout waits for is not Ready, if it has another hash than the current one. Pods of the
/// current hash are in [`blocked`].
pub(super) fn blocking(
    facts: &WorkloadFacts<'_>,
    progress: &RolloutProgress<'_>,
    at: Option<u32>,
) -> Option<Box<BlockedPods>> {
    let (at, CurrentHash::Hash(current)) = (at?, progress.current) else { return None };
    let pod = facts.pods.get(at as usize).filter(|pod| pod.hash != current)?;
    Some(Box::new(one_pod(facts, pod, at)))
}

fn reason_of(pod: &PodFacts<'_>) -> BlockReason {
    pod.waiting.first().map_or(BlockReason::Other, |waiting| BlockReason::parse(&waiting.reason))
}

fn one_pod(facts: &WorkloadFacts<'_>, pod: &PodFacts<'_>, at: u32) -> BlockedPods {
    let first = pod.waiting.first();
    let container = first.map_or_else(|| Name::from(""), |waiting| waiting.container.clone());
    let of_pod = facts.containers.iter().filter(|it| it.pod == at && !container.is_empty());
    let image = of_pod.filter(|it| *it.name == container).map(|it| it.image.clone()).next();
    BlockedPods {
        reason: reason_of(pod),
        pods: 1,
        pod: Some(at),
        container,
        image: image.unwrap_or_else(|| Name::from("")),
        message: first.map_or_else(|| Name::from(""), |waiting| waiting.message.clone()),
    }
}

/// Returns the replicas of the current hash that do not exist.
fn not_created(facts: &WorkloadFacts<'_>, progress: &RolloutProgress<'_>) -> Option<BlockedPods> {
    let controller = facts.controller.as_ref()?;
    let CurrentHash::Hash(current) = progress.current else { return None };
    let number = |pods: usize| u32::try_from(pods).unwrap_or(u32::MAX);
    let (missing, reason, message) = if controller.kind.makes_pods() {
        // A terminating pod counts: it makes room for its replacement.
        let missing = controller.replicas.wanted.saturating_sub(number(facts.pods.len()));
        (missing, BlockReason::NotCreated, Name::from(""))
    } else {
        // A ReplicaSet creates its pods at once, unless its condition says otherwise.
        let (_, message) = controller.failure.filter(|(reason, _)| ***reason == *BlockReason::FailedCreate.as_str())?;
        let there = facts.active_pods(current).count();
        let wanted = progress.current.template(facts)?.replicas?;
        (wanted.saturating_sub(number(there)), BlockReason::FailedCreate, message.clone())
    };
    let empty = || Name::from("");
    let blocked = BlockedPods { reason, pods: missing, pod: None, container: empty(), image: empty(), message };
    (missing > 0).then_some(blocked)
}

impl BlockedPods {
    /// `ImagePullBackOff (ledger:4.12.0-rc1)`.
    fn why(&self) -> String {
        match &*self.image {
            image if self.reason.is_about_the_image() && !image.is_empty() => {
                format!("{} ({image})", self.reason.in_words())
            }
            _ => self.reason.in_words(),
        }
    }
}

impl WorkloadReport {
    /// `it waits for db-2, which is not ready: ImagePullBackOff (db:typo)`; `None` unless a StatefulSet's rollout waits
    /// for one of its pods of an older hash. For pods of the current hash see [`Self::what_waits`].
    #[must_use]
    pub fn what_blocks(&self) -> Option<String> {
        let pod = self.pods.get(self.blocking_pod? as usize)?;
        let why = self.blocking.as_ref().map(|blocking| format!(": {}", blocking.why()));
        Some(format!("it waits for {}, which is not ready{}", pod.pod, why.unwrap_or_default()))
    }

    /// `5 pods of 7 wait: ImagePullBackOff (ledger:4.12.0-rc1)`; `None` if no pod is known to wait.
    #[must_use]
    pub fn what_waits(&self) -> Option<String> {
        let all: u32 = self.blocked.iter().map(|blocked| blocked.pods).sum();
        let of = self.wanted_pods.filter(|wanted| *wanted > all).map(|wanted| format!(" of {wanted}"));
        let several = self.blocked.len() > 1;
        let reason = |blocked: &BlockedPods| {
            let count = if several { format!("{} ", blocked.pods) } else { String::new() };
            format!("{count}{}", blocked.why())
        };
        let reasons: Vec<String> = self.blocked.iter().map(reason).collect();
        let (pods, verb) = if all == 1 { ("pod", "waits") } else { ("pods", "wait") };
        (all > 0).then(|| format!("{all} {pods}{} {verb}: {}", of.unwrap_or_default(), reasons.join(", ")))
    }
}

impl BlockReason {
    /// The reason as prose: podskew's own reasons are written with spaces.
    #[must_use]
    pub fn in_words(self) -> String {
        self.as_str().replace('_', " ")
    }
}

#[cfg(test)]
mod tests {
    use super::BlockReason;

    #[test]
    fn a_reason_is_known_by_its_word() {
        assert_eq!(BlockReason::parse("a webhook's own"), BlockReason::Other);
        assert!(BlockReason::ALL.iter().all(|reason| BlockReason::parse(reason.as_str()) == *reason));
    }
}
