//! How a controller updates its pods to a new template.

use super::lenient::{FromJson, fields};
use std::borrow::Cow;

/// Update strategy of a StatefulSet or DaemonSet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct UpdateStrategy {
    /// `OnDelete`: pods are replaced only after somebody deletes them.
    pub on_delete: bool,
    /// `rollingUpdate.partition`: StatefulSet pods below it stay unchanged.
    pub partition: i64,
}

/// A number of pods, or a percentage.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Partition {
    /// A number of pods.
    Pods(i64),
    /// A percentage of all pods.
    Percent(i64),
}

impl Default for Partition {
    fn default() -> Self {
        Self::Pods(0)
    }
}

impl Partition {
    /// The number of pods out of `replicas` (`CalculatePartitionReplicas` in OpenKruise's `pkg/util/partition.go`). It
    /// rounds up, so that above 0 % at least one pod stays, and below 100 % of several pods at least one is updated.
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

/// The raw `spec.updateStrategy`.
#[derive(Default)]
pub(super) struct RawUpdateStrategy<'a> {
    kind: Cow<'a, str>,
    rolling_update: RollingUpdate,
    pub(super) paused: bool,
    /// For a CloneSet; a StatefulSet has it in `rollingUpdate`.
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
