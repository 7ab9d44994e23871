//! How an object that owns pods brings a new template to them.

use super::lenient::{FromJson, fields};
use std::borrow::Cow;

/// How a StatefulSet or DaemonSet brings a new template to its pods.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct UpdateStrategy {
    /// `OnDelete`: somebody has to delete the pods.
    pub on_delete: bool,
    /// `rollingUpdate.partition`: StatefulSet pods below it stay as they are.
    pub partition: i64,
}

/// A number of pods, or a part of all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Partition {
    /// A number of pods.
    Pods(i64),
    /// A part of all pods, in percent.
    Percent(i64),
}

impl Default for Partition {
    fn default() -> Self {
        Self::Pods(0)
    }
}

impl Partition {
    /// How many of `replicas` pods that is (`CalculatePartitionReplicas` in OpenKruise's `pkg/util/partition.go`): a part is rounded up,
    /// so that any above 0 % keeps a pod back, and one below 100 % of several pods lets one go on.
    #[must_use]
    pub fn pods(self, replicas: i64) -> i64 {
        let pods = match self {
            Self::Pods(pods) => pods,
            Self::Percent(percent) => {
                let rounded_up = percent.saturating_mul(replicas).saturating_add(99) / 100;
                if replicas > 1 && percent != 100 { rounded_up.min(replicas - 1) } else { rounded_up }
            }
        };
        pods.clamp(0, replicas.max(0))
    }
}

impl FromJson<'_> for Partition {
    fn from_integer(number: i64) -> Option<Self> {
        Some(Self::Pods(number))
    }
    fn from_text(text: Cow<'_, str>) -> Option<Self> {
        Some(Self::Percent(text.strip_suffix('%')?.parse().ok()?))
    }
}

/// `spec.updateStrategy` as it is written.
#[derive(Default)]
pub(super) struct RawUpdateStrategy<'a> {
    kind: Cow<'a, str>,
    rolling_update: RollingUpdate,
    pub(super) paused: bool,
    /// Of a CloneSet; a StatefulSet has it below `rollingUpdate`.
    pub(super) partition: Partition,
}
#[derive(Default)]
struct RollingUpdate {
    partition: Option<i64>,
}
fields!('de RawUpdateStrategy<'de> {
    "type" => kind,
    "rollingUpdate" => rolling_update,
    "paused" => paused,
    "partition" => partition,
});
fields!('de RollingUpdate { "partition" => partition });

impl From<RawUpdateStrategy<'_>> for UpdateStrategy {
    fn from(raw: RawUpdateStrategy<'_>) -> Self {
        Self { on_delete: raw.kind == "OnDelete", partition: raw.rolling_update.partition.unwrap_or(0) }
    }
}
