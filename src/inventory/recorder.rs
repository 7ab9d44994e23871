//! Creates records of objects, with the containers, labels and messages that count.

use super::container_identity::{ContainerIdentity, DescribedContainer, IdentityTable, ImageIdRecord};
use super::intern::{Interner, Symbol};
use super::messages::MessageBudget;
use super::records::{ContainerRecord, ControllerRecord, ImageRecord, PodRecord, TemplateRecord};
use super::settings::Settings;
use crate::kinds::WorkloadKind;
use crate::objects::{Body, Labels, Meta, Object, Pod, Rollout, Template, TemplateContainer, Waiting};
use crate::report::digest::ImageId;
use crate::report::facts::{
    ControllerKind, DeploymentFacts, Observed, ProgressReason, Replicas, RolloutFacts, RolloutPhase, WaitingFacts,
};
use crate::report::{Name, named_in};
use std::num::NonZeroU32;

/// Creates records.
pub(super) struct Recorder<'i> {
    pub(super) strings: &'i mut Interner,
    pub(super) identities: &'i mut IdentityTable,
    pub(super) settings: &'i Settings,
    pub(super) message_budget: &'i mut MessageBudget,
}

/// Maximum bytes of a message; the rest is cut off.
const LONGEST_MESSAGE: usize = 256;

/// Maximum bytes of a reason, which is one word by the API's convention.
const LONGEST_REASON: usize = 64;

/// The longest prefix of `text` with at most `most` bytes that ends between characters.
fn shortened(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

impl Recorder<'_> {
    pub(super) fn pod(&mut self, meta: &Meta<'_>, pod: &Pod<'_>, hash: &str) -> PodRecord {
        let mut containers = Vec::with_capacity(pod.containers.len());
        for (position, container) in pod.containers.iter().enumerate() {
            if !self.settings.ignores(&container.name) {
                containers.push(self.container(pod, position, container));
            }
        }
        PodRecord {
            name: Name::from(meta.name.as_ref()),
            node: self.strings.intern(&pod.node),
            hash: self.strings.intern(hash),
            created: meta.created,
            ready: pod.ready.is_some(),
            ready_since: pod.ready.and_then(|ready| ready.since),
            never_ready: pod.never_ready,
            terminating: meta.terminating,
            containers: containers.into_boxed_slice(),
            labels: self.labels(&meta.labels),
            waiting: (!pod.waiting.is_empty())
                .then(|| Box::new(pod.waiting.iter().map(|waiting| self.waiting(waiting)).collect())),
        }
    }

    fn waiting(&mut self, waiting: &Waiting<'_>) -> WaitingFacts {
        let [container, reason] =
            [&*waiting.container, shortened(&waiting.reason, LONGEST_REASON)].map(|text| self.strings.intern(text));
        let message = self.message(&waiting.message);
        WaitingFacts {
            container: self.strings.name(container).clone(),
            reason: self.strings.name(reason).clone(),
            exit_code: waiting.exit_code.and_then(|code| i32::try_from(code).ok()),
            message: self.strings.name(message).clone(),
        }
    }

    /// Returns the kept part of a message.
    fn message(&mut self, message: &str) -> Symbol {
        let message = shortened(message, LONGEST_MESSAGE);
        if !self.settings.messages {
            return Symbol::EMPTY;
        }
        // A message that another pod already has takes no more room.
        if let Some(known) = self.strings.find(message) {
            return known;
        }
        if self.message_budget.spend(message.len()) { self.strings.intern(message) } else { Symbol::EMPTY }
    }

    fn container(&mut self, pod: &Pod<'_>, position: usize, container: &TemplateContainer<'_>) -> ContainerRecord {
        let status = pod.statuses.iter().find(|status| status.name == container.name);
        let container_id = status.map_or("", |status| &status.container_id);
        let described = DescribedContainer {
            name: &container.name,
            image: &container.image,
            image_id: status.map_or("", |status| &status.image_id),
            runs_unnamed: status.is_some_and(|status| status.running && status.image_id.is_empty()),
            cri_o: container_id.starts_with("cri-o://"),
        };
        let identity = self.identities.recent(position, described).unwrap_or_else(|| {
            let identity = self.identity(described);
            let identity = self.identities.intern(identity);
            self.identities.remember(position, described, identity);
            identity
        });
        ContainerRecord {
            identity,
            container_id: if container_id.is_empty() { 0 } else { self.strings.hash(container_id).max(1) },
            started: status.and_then(|status| status.started),
        }
    }

    fn identity(&mut self, described: DescribedContainer<'_>) -> ContainerIdentity {
        let mut identity = ContainerIdentity {
            name: self.strings.intern(described.name),
            image: self.strings.intern(described.image),
            digest: Symbol::EMPTY,
            repository: Symbol::EMPTY,
            image_id: ImageIdRecord::NotStarted,
            cri_o: described.cri_o,
        };
        if let Some(image) = ImageId::parse(described.image_id) {
            identity.image_id = ImageIdRecord::Known(image.kind);
            identity.digest = self.strings.intern(image.digest);
            identity.repository = self.strings.intern(image.repository);
        } else if !described.image_id.is_empty() {
            identity.image_id = ImageIdRecord::Unreadable;
        } else if described.runs_unnamed {
            identity.image_id = ImageIdRecord::NotReported;
        }
        identity
    }

    /// Values of the configured labels; empty where absent.
    fn labels(&mut self, labels: &Labels<'_>) -> Symbol {
        let mut values = String::new();
        for wanted in &self.settings.pod_labels {
            values.push_str(&labels.get(&wanted.key).unwrap_or_default());
            values.push('\n');
        }
        self.strings.intern(&values)
    }

    fn images(&mut self, containers: &[TemplateContainer<'_>]) -> Box<[ImageRecord]> {
        let mut images = Vec::with_capacity(containers.len());
        for container in containers {
            if !self.settings.ignores(&container.name) {
                images.push(ImageRecord {
                    container: self.strings.intern(&container.name),
                    image: self.strings.intern(&container.image),
                    pull_policy: self.strings.intern(&container.pull_policy),
                });
            }
        }
        images.into_boxed_slice()
    }

    /// Creates the record of a template. `keep_images` only if the controller's own, equal template does not have them.
    pub(super) fn template(
        &mut self,
        meta: &Meta<'_>,
        template: &Template<'_>,
        revision: Option<u64>,
        hash: &str,
        keep_images: bool,
    ) -> TemplateRecord {
        let mut names = String::new();
        for container in &template.containers {
            names.push_str(&container.name);
            names.push('/');
        }
        TemplateRecord {
            hash: self.strings.intern(hash),
            digest: template.digest,
            revision: revision.and_then(|revision| NonZeroU32::new(u32::try_from(revision).ok()?)),
            created: meta.created,
            written: meta.written_by_controller_manager,
            reused: meta.reused,
            worked: false,
            replicas: None,
            scale_down_deadline: None,
            containers: self.strings.intern(&names),
            images: keep_images.then(|| self.images(&template.containers)),
            labels: self.labels(&template.labels),
        }
    }

    fn rollout(&mut self, rollout: &Rollout<'_>) -> RolloutFacts<Symbol> {
        use crate::objects::RolloutStrategy::{BlueGreen, Canary};
        let deployment = rollout.workload_ref.as_ref().filter(|(kind, _)| kind == WorkloadKind::Deployment.kind());
        RolloutFacts {
            current_hash: self.strings.intern(&rollout.current_hash),
            stable_hash: self.strings.intern(&rollout.stable_hash),
            phase: RolloutPhase::parse(&rollout.phase),
            paused: rollout.paused,
            aborted: rollout.aborted,
            pausing: rollout.pausing,
            between_steps: matches!((rollout.strategy, rollout.step), (Canary { steps }, Some(step))
                if usize::try_from(step).is_ok_and(|step| step < steps)),
            blue_green: rollout.strategy == BlueGreen,
            deployment: deployment.map_or(Symbol::EMPTY, |(_, name)| self.strings.intern(name)),
            scale_down_delay: rollout.scale_down_delay.map_or(SCALE_DOWN_DELAY, count),
            completed: rollout.completed,
            never_healthy: rollout.never_healthy,
            was_healthy: rollout.was_healthy,
        }
    }

    /// Creates the record of a controller; `None` for an object that owns no pods.
    pub(super) fn controller(&mut self, object: &Object<'_>) -> Option<ControllerRecord> {
        let meta = &object.meta;
        let observed = |generation: Option<i64>| match (generation, meta.generation) {
            (None, Some(_)) => Observed::Never,
            (Some(observed), Some(generation)) if observed < generation => Observed::Before,
            _ => Observed::Now,
        };
        // `spec.replicas` defaults to 1.
        let replicas = |wanted: Option<i64>, available| Replicas {
            wanted: count(wanted.unwrap_or(1)),
            available: count(available),
        };
        let (template, replicas, observed, kind) = match &object.body {
            Body::Deployment(deployment) => {
                let progressing = deployment.progressing.as_ref();
                let kind = ControllerKind::Deployment(DeploymentFacts {
                    paused: deployment.paused,
                    recreate: deployment.recreate,
                    revision: meta.revision,
                    updated_replicas: deployment.updated_replicas,
                    reason: progressing.map(|condition| ProgressReason::parse(&condition.reason)).unwrap_or_default(),
                    reason_updated: progressing.and_then(|condition| condition.updated),
                    reason_turned: progressing.is_some_and(|condition| condition.turned),
                });
                let replicas = replicas(deployment.replicas, deployment.available_replicas);
                (&deployment.template, replicas, observed(deployment.observed_generation), kind)
            }
            Body::StatefulSet(set) => {
                let driver = meta.controller.as_ref();
                let kind = ControllerKind::StatefulSet {
                    driver: driver.map(|owner| (self.strings.intern(&owner.kind), self.strings.intern(&owner.name))),
                    update_revision: self.strings.intern(&set.update_revision),
                    current_revision: self.strings.intern(&set.current_revision),
                    on_delete: set.strategy.on_delete,
                    parallel: set.parallel,
                    partition: set.strategy.partition,
                    first_ordinal: set.first_ordinal,
                };
                let replicas = replicas(set.replicas, set.available_replicas);
                (&set.template, replicas, observed(set.observed_generation), kind)
            }
            Body::DaemonSet(set) => {
                let kind = ControllerKind::DaemonSet { on_delete: set.strategy.on_delete, updated: count(set.updated) };
                let replicas = replicas(Some(set.desired.unwrap_or(0)), set.available);
                (&set.template, replicas, observed(set.observed_generation), kind)
            }
            Body::Rollout(rollout) => {
                let kind = ControllerKind::Rollout(self.rollout(rollout));
                let replicas = replicas(rollout.replicas, rollout.available_replicas);
                // Older versions wrote no number, so their lag is unknown.
                let observed = rollout.observed_generation.map_or(Observed::Now, |number| observed(Some(number)));
                (&rollout.template, replicas, observed, kind)
            }
            Body::CloneSet(set) => {
                let kind = ControllerKind::CloneSet {
                    current_hash: WorkloadKind::CloneSet
                        .hash_of_revision(&set.update_revision)
                        .map_or(Symbol::EMPTY, |hash| self.strings.intern(hash)),
                    paused: set.paused,
                    partition: set.partition.pods(set.replicas.unwrap_or(1)),
                };
                let replicas = replicas(set.replicas, set.available_replicas);
                (&set.template, replicas, observed(set.observed_generation), kind)
            }
            Body::Pod(_) | Body::ReplicaSet(_) | Body::ControllerRevision(_) | Body::Node(_) => return None,
        };
        let failure = match &object.body {
            Body::Deployment(deployment) => deployment.replica_failure.as_ref(),
            Body::Rollout(rollout) => rollout.replica_failure.as_ref(),
            _ => None,
        };
        let failure = failure.map(|failure| {
            let message = if self.settings.messages {
                self.message(&failure.message)
            } else {
                self.strings.intern(&named_in(shortened(&failure.message, LONGEST_MESSAGE)))
            };
            (self.strings.intern(shortened(&failure.reason, LONGEST_REASON)), message)
        });
        Some(ControllerRecord {
            failure,
            created: meta.created,
            template: template.digest,
            images: self.images(&template.containers),
            observed,
            unedited: meta.generation == Some(1),
            replicas,
            kind,
        })
    }
}

fn count(number: i64) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

/// Default seconds for which Argo Rollouts keeps the pods of a replaced template (`DefaultScaleDownDelaySeconds`,
/// `utils/defaults/defaults.go`).
const SCALE_DOWN_DELAY: u32 = 30;

#[cfg(test)]
mod tests {
    use super::shortened;
    use crate::objects::Waiting;
    use crate::report::BlockReason;

    #[test]
    fn podskews_own_reasons_are_known_to_the_report() {
        assert_eq!(BlockReason::parse(Waiting::NOT_READY), BlockReason::NotReady);
        assert_eq!(BlockReason::parse(Waiting::INIT_CONTAINER_FAILED), BlockReason::InitContainerFailed);
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(shortened("abc", 256), "abc");
        assert_eq!(shortened("aüb", 2), "a");
        assert_eq!(shortened("", 0), "");
    }
}
