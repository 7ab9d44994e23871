//! What the inventory leaves out and what it looks at more closely, as configured.

use std::time::Duration;

/// The options that decide which objects count.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Namespaces whose objects are left out.
    pub exclude_namespaces: Vec<String>,
    /// Names of containers that are left out of every comparison.
    pub ignore_containers: Vec<String>,
    /// Label keys of pods and templates whose values become `label_*`.
    pub pod_labels: Vec<PodLabel>,
    /// Whether Jobs are workloads.
    pub jobs: bool,
    /// Kinds that are workloads although their pods carry no hash label.
    pub workload_kinds: Vec<CustomKind>,
    /// How long a StatefulSet or DaemonSet may stand still in the middle of a rollout before it is stalled.
    pub stalled_after: Duration,
    /// Whether to keep the images of templates in the history of Deployments, which nothing but that history tells.
    pub images_of_history: bool,
    /// Whether to keep what pods and workloads say in words about why they wait. Commands print it, and the page shows it where it
    /// may.
    pub messages: bool,
}

impl Settings {
    /// Whether a container is left out of every comparison.
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
    /// The key as it stands on pods: `app.kubernetes.io/version`.
    pub key: String,
    /// The label's name on the metric: `label_app_kubernetes_io_version`.
    pub metric_label: String,
}

/// A kind of owner in the form `KIND.GROUP`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CustomKind {
    /// The kind, as in `ownerReferences[].kind`; compared without regard to case.
    pub kind: String,
    /// The API group without its version; empty for the core group. Compared without regard to case.
    pub group: String,
}
