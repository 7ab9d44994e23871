//! Conditions of objects that own pods. A few of them describe the state of a rollout.

use super::lenient::{FromJson, Lenient, fields};
use super::protobuf::{FromProtobuf, ProtobufError, Value, read};
use crate::time::UnixTime;
use serde::de::SeqAccess;
use std::borrow::Cow;

/// The condition Progressing of a Deployment.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Progressing<'a> {
    /// Its reason: `NewReplicaSetAvailable`, `ProgressDeadlineExceeded`, …
    pub reason: Cow<'a, str>,
    /// `lastUpdateTime`.
    pub updated: Option<UnixTime>,
    /// Whether its status changed at that time, according to `lastTransitionTime`.
    pub turned: bool,
}

/// The condition `ReplicaFailure`, if True: replicas could not be created or deleted. A Deployment copies it from its
/// ReplicaSets.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ReplicaFailure<'a> {
    /// `FailedCreate` or `FailedDelete`.
    pub reason: Cow<'a, str>,
    /// The API server's error: which quota, which admission webhook.
    pub message: Cow<'a, str>,
}

/// The array of conditions. It keeps only the first Progressing, and some fields of a Rollout's Completed and Healthy.
#[derive(Default)]
pub(super) struct Conditions<'a> {
    pub(super) progressing: Option<Progressing<'a>>,
    pub(super) completed: Option<UnixTime>,
    pub(super) has_healthy: bool,
    pub(super) replica_failure: Option<ReplicaFailure<'a>>,
}

#[derive(Default)]
struct Condition<'a> {
    kind: Cow<'a, str>,
    status: Cow<'a, str>,
    reason: Cow<'a, str>,
    message: Cow<'a, str>,
    updated: Option<UnixTime>,
    since: Option<UnixTime>,
}
fields!('de Condition<'de> {
    "type" = 1 => kind,
    "status" = 2 => status,
    "reason" = 4 => reason,
    "message" = 5 => message,
    "lastUpdateTime" = 6 => updated,
    "lastTransitionTime" = 7 => since,
});

impl<'a> Conditions<'a> {
    fn take(&mut self, condition: Condition<'a>) {
        if condition.kind == "Progressing" && self.progressing.is_none() {
            let Condition { reason, updated, since, .. } = condition;
            self.progressing = Some(Progressing { reason, updated, turned: since.is_some() && since == updated });
        } else if condition.kind == "Completed" && condition.status == "True" {
            self.completed = condition.since;
        } else if condition.kind == "Healthy" {
            self.has_healthy = true;
        } else if condition.kind == "ReplicaFailure" && condition.status == "True" {
            let Condition { reason, message, .. } = condition;
            self.replica_failure = Some(ReplicaFailure { reason, message });
        }
    }
}

impl<'de> FromJson<'de> for Conditions<'de> {
    fn from_seq<A: SeqAccess<'de>>(mut seq: A) -> Result<Option<Self>, A::Error> {
        let mut conditions = Self::default();
        while let Some(Lenient(condition)) = seq.next_element()? {
            conditions.take(condition);
        }
        Ok(Some(conditions))
    }
}

impl<'a> FromProtobuf<'a> for Conditions<'a> {
    fn merge(&mut self, value: Value<'a>) -> Result<(), ProtobufError> {
        self.take(read(value)?);
        Ok(())
    }
}
