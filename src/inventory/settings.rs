//! Options of the inventory.

use std::time::Duration;

/// The options that decide which objects count.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Namespaces to exclude.
    pub exclude_namespaces: Vec<String>,
    /// Names of containers to exclude from every comparison.
    pub ignore_containers: Vec<String>,
    /// Label keys of pods and templates whose values become `label_*`.
    pub pod_labels: Vec<PodLabel>,
    /// Whether Jobs are workloads.
    pub jobs: bool,
    /// Kinds that are workloads although their pods have no hash label.
    pub workload_kinds: Vec<CustomKind>,
    /// Time without progress after which a StatefulSet's or DaemonSet's rollout is stalled.
    pub stalled_after: Duration,
    /// Whether to keep the images of templates in the history of Deployments.
    pub images_of_history: bool,
    /// Whether to keep the messages of pods and workloads about why they wait. Commands print them, and the page shows
    /// them to those who may see them.
    pub messages: bool,
}

impl Settings {
    /// Whether a container is excluded from every comparison.
    pub(super) fn ignores(&self, container: &str) -> bool {
        self.ignore_containers.iter().any(|ignored| ignored == container)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            exclude_namespaces: Vec::new(),
            ignore_containers: Vec::new(),
            pod_labels: Vec::new(),
            jobs: false,
            workload_kinds: Vec::new(),
            stalled_after: Duration::from_secs(600),
            images_of_history: false,
            messages: false,
        }
    }
}

/// A Kubernetes label key and the metric label it becomes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PodLabel {
    /// The key on pods: `app.kubernetes.io/version`.
    pub key: String,
    /// The metric label: `label_app_kubernetes_io_version`.
    pub metric_label: String,
}

/// A kind of owner in the form `KIND.GROUP`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CustomKind {
    /// `kind` in `ownerReferences`; compared case-insensitively.
    pub kind: String,
    /// API group without its version; empty for the core group. Compared case-insensitively.
    pub group: String,
}
