//! Conditions of Deployments and Rollouts, and the rules for their timestamps.

use super::sets::{meta_time, time_of};
use crate::time::Time;
use k8s_openapi::api::apps::v1::DeploymentCondition;

/// The conditions of one object. A Rollout's conditions have the same fields.
#[derive(Clone, Debug)]
pub(super) struct Conditions {
    list: Vec<DeploymentCondition>,
    now: Time,
}

/// The condition `Progressing`.
pub(super) fn progressing(status: &str, reason: &str, message: &str) -> DeploymentCondition {
    condition("Progressing", status, reason, message)
}

pub(super) fn condition(kind: &str, status: &str, reason: &str, message: &str) -> DeploymentCondition {
    DeploymentCondition {
        type_: Some(kind.to_owned()),
        status: Some(status.to_owned()),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        ..DeploymentCondition::default()
    }
}

impl Conditions {
    pub(super) fn new(list: Option<Vec<DeploymentCondition>>, now: Time) -> Self {
        Self { list: list.unwrap_or_default(), now }
    }

    pub(super) fn get(&self, kind: &str) -> Option<&DeploymentCondition> {
        self.list.iter().find(|condition| condition.type_.as_deref() == Some(kind))
    }

    fn of_type_of(&self, condition: &DeploymentCondition) -> Option<&DeploymentCondition> {
        self.get(condition.type_.as_deref()?)
    }

    pub(super) fn reason(&self, kind: &str) -> Option<&str> {
        self.get(kind)?.reason.as_deref()
    }

    /// Sets a condition. If it has this status and reason already, its message and times stay. Returns whether it was set.
    pub(super) fn set(&mut self, condition: DeploymentCondition) -> bool {
        let is_same =
            |known: &DeploymentCondition| known.status == condition.status && known.reason == condition.reason;
        let changes = !self.of_type_of(&condition).is_some_and(is_same);
        if changes {
            self.replace(condition);
        }
        changes
    }

    /// Sets a condition and its update time. Its transition time changes only with its status.
    pub(super) fn replace(&mut self, mut condition: DeploymentCondition) {
        let known = self.of_type_of(&condition).filter(|known| known.status == condition.status);
        let now = meta_time(self.now);
        let transition = known.and_then(|known| known.last_transition_time.clone());
        condition.last_transition_time = Some(transition.unwrap_or_else(|| now.clone()));
        condition.last_update_time = Some(now);
        self.list.retain(|known| known.type_ != condition.type_);
        self.list.push(condition);
    }

    pub(super) fn remove(&mut self, kind: &str) {
        self.list.retain(|condition| condition.type_.as_deref() != Some(kind));
    }

    /// Sets a condition, or removes the one of this type.
    pub(super) fn set_or_remove(&mut self, kind: &str, condition: Option<DeploymentCondition>) {
        match condition {
            Some(condition) => drop(self.set(condition)),
            None => self.remove(kind),
        }
    }

    pub(super) fn list(&self) -> &[DeploymentCondition] {
        &self.list
    }

    /// When the condition was updated.
    pub(super) fn updated(&self, kind: &str) -> Option<Time> {
        time_of(self.get(kind)?.last_update_time.as_ref())
    }
}
