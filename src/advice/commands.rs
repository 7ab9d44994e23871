//! Builds the commands of the remedies for each kind of workload.

use super::command_target::{CommandTarget, shell_quote};
use super::pins::{PinReason, PinScope};
use super::{Action, DRIVEN_TEMPLATE, GIVE, LOADED, OUTDATED, PINNED_ANY, PINNED_MOST, PINNED_NEWEST, PULLED, skewed};
use crate::kinds::WorkloadKind;
use crate::report::{HashReport, Name, Origin, PodReport, RolloutState, UpdateHold};

pub(super) const ON_DELETE: &str =
    "delete its pods, one after another: OnDelete replaces a pod only when it is deleted.";
/// Maximum number of pods in a command.
const MOST_NAMES: usize = 10;
const BELOW_PARTITION: &str = "pods below its partition keep their template.";

impl<'a> CommandTarget<'a> {
    /// Whether the current template has pods and none of them is Ready, so that more of them would only reduce the Ready pods.
    pub(super) fn new_pods_fail(&self) -> bool {
        self.current().is_some_and(|current| current.pods > 0 && current.ready_pods == 0)
    }

    /// The command that shows the different imageIDs: for pods by hash, or by name where no label selects them.
    pub(super) fn look_at_digests(&self, origin: Origin) -> String {
        let hash = skewed(self.report, origin).map(|(_, of_hash)| &of_hash.hash).max();
        let skewed = skewed(self.report, origin);
        let pods = match hash {
            Some(hash) if !self.kind.hash_label().is_empty() && !hash.is_empty() => {
                format!(" -l {}={}", self.kind.hash_label(), shell_quote(hash))
            }
            _ => {
                let digests = skewed.flat_map(|(_, of_hash)| &of_hash.digests);
                self.names(digests.flat_map(|digest| &digest.skewed))
            }
        };
        format!(
            "{} get pods{pods} -o 'custom-columns=POD:.metadata.name,NODE:.spec.nodeName,\
             IMAGE_ID:.status.containerStatuses[*].imageID,SIDECAR:.status.initContainerStatuses[*].imageID'",
            self.kubectl
        )
    }

    /// The names of the first pods at these positions, each preceded by a space.
    fn names<'p>(&self, pods: impl Iterator<Item = &'p u32>) -> String {
        let mut names: Vec<&Name> = pods.filter_map(|at| Some(&self.report.pods.get(*at as usize)?.pod)).collect();
        names.sort_unstable();
        names.dedup();
        let mut words = String::new();
        for name in names.into_iter().take(MOST_NAMES) {
            words.push(' ');
            words.push_str(&shell_quote(name));
        }
        words
    }

    /// The names of the first pods without a comparable digest.
    fn unresolved(&self) -> String {
        self.names(self.report.containers.iter().flat_map(|container| &container.unresolved))
    }

    pub(super) fn look_at_image_ids(&self) -> String {
        format!(
            "{} get pods{} -o 'custom-columns=POD:.metadata.name,NODE:.spec.nodeName,\
             IMAGE_ID:.status.containerStatuses[*].imageID'",
            self.kubectl,
            self.unresolved()
        )
    }

    pub(super) fn describe_unresolved(&self) -> Action {
        Action::command(format!("{} describe pods{}", self.kubectl, self.unresolved()))
    }

    /// The command that shows pods that are not Ready, by a hash that has some, preferably the current one.
    pub(super) fn look_at_unready(&self) -> String {
        let unready = self.report.hashes.iter().filter(|hash| hash.ready_pods < hash.pods && !hash.hash.is_empty());
        match unready.max_by_key(|hash| hash.current == Some(true)).filter(|_| !self.kind.hash_label().is_empty()) {
            Some(hash) if self.kind != WorkloadKind::Rollout => {
                format!("{} describe pods -l {}={}", self.kubectl, self.kind.hash_label(), shell_quote(&hash.hash))
            }
            _ => self.look_at_rollout(),
        }
    }

    pub(super) fn look_at_rollout(&self) -> String {
        let selector = |hash: &HashReport| format!("-l {}={}", self.kind.hash_label(), shell_quote(&hash.hash));
        match self.current().filter(|_| !self.kind.hash_label().is_empty()) {
            _ if self.kind == WorkloadKind::Rollout => format!("{} get rollout {}", self.argo, self.name),
            Some(current) if current.pods > 0 => format!("{} describe pods {}", self.kubectl, selector(current)),
            // It has no pods; its own status says why it could not create any.
            Some(current) if self.kind == WorkloadKind::Deployment => {
                format!("{} describe replicasets {}", self.kubectl, selector(current))
            }
            _ => format!("{} describe {}", self.kubectl, self.object),
        }
    }

    pub(super) fn look_at_pod(&self, pod: &PodReport) -> String {
        format!("{} describe pod {}", self.kubectl, shell_quote(&pod.pod))
    }

    /// The command that shows the template's images. A Rollout may take its template from a Deployment.
    pub(super) fn look_at_template(&self) -> String {
        let object = match &self.report.template_of {
            Some(deployment) => format!("deployment/{}", shell_quote(deployment)),
            None => self.object.clone(),
        };
        format!("{} get {object} -o 'jsonpath={{.spec.template.spec.containers[*].image}}'", self.kubectl)
    }

    pub(super) fn look_at_history(&self) -> String {
        match self.kind {
            WorkloadKind::CloneSet => format!("{} describe {}", self.kubectl, self.object),
            kind if kind.is_argo() => format!("{} get {} {}", self.argo, kind.label(), self.name),
            _ => format!("{} rollout history {}", self.kubectl, self.object),
        }
    }

    /// The pod that its rollout waits for.
    fn blocking_pod(&self) -> Option<&'a PodReport> {
        self.report.pods.get(self.report.blocking_pod? as usize)
    }

    /// The pod that its rollout waits for, if its template is no longer wanted.
    pub(super) fn pod_to_delete(&self) -> Option<&'a PodReport> {
        let current = self.current().map(|current| &current.hash);
        self.blocking_pod().filter(|pod| current.is_some_and(|current| pod.hash != *current))
    }

    /// "Forced rollback" in Kubernetes' documentation of StatefulSets.
    pub(super) fn delete_pod(&self, pod: &PodReport) -> Action {
        Action::command(format!("{} delete pod {}", self.kubectl, shell_quote(&pod.pod)))
    }

    /// Rolls back to a revision whose pods have this hash.
    pub(super) fn undo(&self, hash: &str, revision: u64) -> Action {
        if self.kind == WorkloadKind::Rollout {
            // For a Rollout with `spec.workloadRef` this changes the Deployment (since Argo Rollouts 1.1).
            return Action::command(format!("{} undo {} --to-revision={revision}", self.argo, self.name));
        }
        if self.kind == WorkloadKind::CloneSet {
            // kubectl cannot roll back custom resources; OpenKruise's plugin can.
            return Action::command(format!(
                "{} rollout undo cloneset/{} --to-revision={revision}",
                self.kubectl.replacen("kubectl", "kubectl kruise", 1),
                self.name
            ));
        }
        let mut action =
            Action::command(format!("{} rollout undo {} --to-revision={revision}", self.kubectl, self.object));
        if let Some(pod) = self.blocking_pod().filter(|pod| *pod.hash != *hash) {
            // The rollback would wait for this pod, whose template is then no longer wanted.
            action.commands.extend(self.delete_pod(pod).commands);
        }
        action
    }

    /// Adds commands that apply a template change to all pods if a setting would prevent that.
    pub(super) fn reach_all(&self, action: Action) -> Action {
        let paused = self.state() == Some(RolloutState::Paused);
        let then = match self.report.update_hold {
            _ if paused => return action.behind(self.resume_all()),
            Some(UpdateHold::Paused) => return action.behind(self.resume_all()),
            Some(UpdateHold::OnDelete) => ON_DELETE,
            Some(UpdateHold::Partition) => BELOW_PARTITION,
            None => return action,
        };
        // The other commands of the change run first.
        let parts = [action.then.as_str(), then].into_iter().filter(|part| !part.is_empty());
        Action { then: parts.collect::<Vec<_>>().join(" Then "), ..action }
    }

    /// Resumes a paused workload.
    fn resume_all(&self) -> Vec<String> {
        vec![match self.kind {
            WorkloadKind::Rollout => format!("{} promote {}", self.argo, self.name),
            WorkloadKind::CloneSet => self.patch_update_strategy("\"paused\":false"),
            _ => format!("{} rollout resume {}", self.kubectl, self.object),
        }]
    }

    /// `LeaderWorkerSet llm`: the object that controls the workload.
    fn driver(&self) -> Option<String> {
        self.report.driver.as_ref().map(|driver| format!("{} {}", shell_quote(&driver.kind), shell_quote(&driver.name)))
    }

    /// A change of the workload's template with its reason; or where to make it, if another object controls the
    /// workload and would undo it.
    pub(super) fn change(&self, action: Action, why: &'static str) -> (Action, &'static str) {
        match self.driver() {
            Some(driver) => (Action::words(format!("change it in {driver}")), DRIVEN_TEMPLATE),
            None => (action, why),
        }
    }

    /// Ends a mix that is not held on purpose: scales down the ReplicaSets of older hashes.
    pub(super) fn delete_older(&self) -> Action {
        let older = self.report.hashes.iter().filter(|hash| hash.pods > 0 && hash.current == Some(false));
        let scale = |hash: &HashReport| {
            format!("{} scale replicaset {}-{} --replicas=0", self.kubectl, self.name, shell_quote(&hash.hash))
        };
        Action { commands: older.map(scale).collect(), ..Action::default() }
    }

    /// Continues a held mix, or a rollout, to its end.
    pub(super) fn go_on(&self) -> Action {
        use RolloutState::{BlueGreen, Canary, OnDelete, Partitioned, Paused};
        let Self { kubectl, argo, object, name, .. } = self;
        Action::command(match self.state() {
            Some(Paused | Canary | BlueGreen) if self.kind == WorkloadKind::Rollout => format!("{argo} promote {name}"),
            Some(Paused) if self.kind == WorkloadKind::CloneSet => self.patch_update_strategy("\"paused\":false"),
            Some(Paused) => format!("{kubectl} rollout resume {object}"),
            Some(state @ (Partitioned | OnDelete)) if self.report.driver.is_some() => {
                let driver = self.driver().unwrap_or_default();
                let what = if state == Partitioned { "moves the partition" } else { "replaces the pods" };
                return Action::words(format!("let {driver} continue, or change it: it {what} itself"));
            }
            Some(Partitioned) if self.kind == WorkloadKind::CloneSet => self.patch_update_strategy("\"partition\":0"),
            Some(Partitioned) => self.patch_update_strategy("\"rollingUpdate\":{\"partition\":0}"),
            Some(OnDelete) => {
                let current = self.current().map(|current| &current.hash);
                let outdated =
                    self.report.pods.iter().filter(|pod| current.is_some_and(|current| pod.hash != *current));
                let Some(pod) = outdated.max_by_key(|pod| &pod.pod) else {
                    let delete = "delete its pods of the older template, one after another: OnDelete replaces a pod only when it is deleted";
                    return Action::words(delete.to_owned());
                };
                return Action {
                    then: "the next, until all are replaced: OnDelete replaces a pod only when it is deleted."
                        .to_owned(),
                    ..self.delete_pod(pod)
                };
            }
            _ if self.kind == WorkloadKind::Experiment => {
                format!("{argo} terminate experiment {name}")
            }
            _ if self.kind == WorkloadKind::Rollout => format!("{argo} status {name}"),
            _ if self.kind.kubectl_rolls() => format!("{kubectl} rollout status {object}"),
            _ => format!("{kubectl} get {object} --watch"),
        })
    }

    /// Changes a field of `spec.updateStrategy`.
    fn patch_update_strategy(&self, field: &str) -> String {
        let Self { kubectl, object, .. } = self;
        format!("{kubectl} patch {object} --type merge -p '{{\"spec\":{{\"updateStrategy\":{{{field}}}}}}}'")
    }

    /// Resumes a paused rollout.
    pub(super) fn resume(&self) -> Vec<String> {
        match self.kind {
            // Argo can undo while paused.
            WorkloadKind::Rollout => Vec::new(),
            // So can OpenKruise's plugin; the template then waits for the end of the pause.
            WorkloadKind::CloneSet => vec![self.patch_update_strategy("\"paused\":false")],
            _ => vec![format!("{} rollout resume {}", self.kubectl, self.object)],
        }
    }

    pub(super) fn restart(&self) -> Action {
        match self.kind {
            WorkloadKind::Rollout => Action::command(format!("{} restart {}", self.argo, self.name)),
            WorkloadKind::Job => Action::words("create it again (a Job cannot be restarted)".to_owned()),
            _ if self.kind.kubectl_rolls() => {
                Action::command(format!("{} rollout restart {}", self.kubectl, self.object))
            }
            _ => Action::words(format!(
                "delete the pods above, one after another, and let {} create new ones",
                self.object
            )),
        }
    }

    /// Ends a digest skew. Only the template's own containers under a hash that is not outdated count: a skew among
    /// outdated pods ends with their rollout.
    pub(super) fn end_skew(&self) -> (Action, &'static str) {
        let outdated =
            |hash: &Name| self.report.hashes.iter().any(|known| known.hash == *hash && known.current == Some(false));
        let skewed = || skewed(self.report, Origin::Template);
        let Some(hash) = skewed().map(|(_, of_hash)| &of_hash.hash).filter(|hash| !outdated(hash)).max() else {
            let stalled = self.state() == Some(RolloutState::Stalled);
            return (if stalled { Action::words(GIVE.to_owned()) } else { self.go_on() }, OUTDATED);
        };
        let containers = skewed().filter(|(_, of_hash)| of_hash.hash == *hash).map(|(container, _)| container);
        let pins = self.pin(containers, Some(hash), PinScope::WhatIsNotPulledAgain);
        let (action, why) = if !pins.images.is_empty() {
            let why = match pins.choice {
                PinReason::Newest => PINNED_NEWEST,
                PinReason::Only | PinReason::Most => PINNED_MOST,
                PinReason::Any => PINNED_ANY,
            };
            (self.reach_all(self.set_images(&pins)), why)
        } else if pins.unpullable {
            (self.reach_all(self.restart()), LOADED)
        } else {
            (self.reach_all(self.restart()), PULLED)
        };
        self.change(action, why)
    }
}
