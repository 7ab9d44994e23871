//! The resources of the API server, and their entries in discovery.

/// A resource of the API.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Resource {
    /// `v1` pods.
    Pods,
    /// `apps/v1` replicasets.
    ReplicaSets,
    /// `apps/v1` deployments.
    Deployments,
    /// `apps/v1` statefulsets.
    StatefulSets,
    /// `apps/v1` daemonsets.
    DaemonSets,
    /// `apps/v1` controllerrevisions.
    ControllerRevisions,
    /// `argoproj.io/v1alpha1` rollouts.
    Rollouts,
    /// `apps.kruise.io/v1alpha1` clonesets. The simulator has no controller for them.
    CloneSets,
    /// `argoproj.io/v1alpha1` experiments.
    Experiments,
    /// `argoproj.io/v1alpha1` analysisruns.
    AnalysisRuns,
    /// `batch/v1` jobs.
    Jobs,
    /// `v1` events.
    Events,
    /// `v1` nodes.
    Nodes,
}

impl Resource {
    /// Every resource.
    pub const ALL: [Self; 13] = [
        Self::Pods,
        Self::ReplicaSets,
        Self::Deployments,
        Self::StatefulSets,
        Self::DaemonSets,
        Self::ControllerRevisions,
        Self::Rollouts,
        Self::CloneSets,
        Self::Experiments,
        Self::AnalysisRuns,
        Self::Jobs,
        Self::Events,
        Self::Nodes,
    ];

    /// The plural, as in URLs.
    #[must_use]
    pub fn plural(self) -> &'static str {
        self.row().plural
    }

    /// The `kind` of its objects.
    #[must_use]
    pub fn kind(self) -> &'static str {
        self.row().kind
    }

    /// The `kind` of a list of its objects.
    pub(crate) fn list_kind(self) -> &'static str {
        self.row().list_kind
    }

    /// The `apiVersion` of its objects.
    pub(crate) fn api_version(self) -> &'static str {
        self.row().api_version
    }

    /// The API group; the core group is the empty string.
    pub(crate) fn group(self) -> &'static str {
        self.api_version().split_once('/').map_or("", |(group, _)| group)
    }

    /// The path of its group and version.
    #[must_use]
    pub fn api_path(self) -> &'static str {
        match self.api_version() {
            "v1" => "/api/v1",
            "apps/v1" => "/apis/apps/v1",
            "batch/v1" => "/apis/batch/v1",
            "apps.kruise.io/v1alpha1" => "/apis/apps.kruise.io/v1alpha1",
            _ => "/apis/argoproj.io/v1alpha1",
        }
    }

    /// The name that kubectl accepts in place of the plural.
    pub(crate) fn short_name(self) -> Option<&'static str> {
        self.row().short_name
    }

    /// Whether its objects have `/scale`.
    pub(crate) fn is_scalable(self) -> bool {
        matches!(self, Self::ReplicaSets | Self::Deployments | Self::StatefulSets | Self::Rollouts)
    }

    /// Whether its objects live in namespaces.
    pub(crate) fn is_namespaced(self) -> bool {
        self != Self::Nodes
    }

    /// Whether `protobuf/schema.txt` has the type of its objects.
    #[must_use]
    pub fn has_protobuf(self) -> bool {
        self.api_version() == "apps/v1" || matches!(self, Self::Pods | Self::Nodes)
    }

    /// The resource whose objects have this `apiVersion` and `kind`.
    #[must_use]
    pub fn of_kind(api_version: &str, kind: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|resource| resource.kind() == kind && resource.api_version() == api_version)
    }

    /// Whether the resource is defined by a CustomResourceDefinition.
    pub(crate) fn is_custom(self) -> bool {
        self.group().contains('.')
    }

    fn row(self) -> Row {
        let (plural, kind, list_kind, api_version, short_name) = match self {
            Self::Pods => ("pods", "Pod", "PodList", "v1", Some("po")),
            Self::ReplicaSets => ("replicasets", "ReplicaSet", "ReplicaSetList", "apps/v1", Some("rs")),
            Self::Deployments => ("deployments", "Deployment", "DeploymentList", "apps/v1", Some("deploy")),
            Self::StatefulSets => ("statefulsets", "StatefulSet", "StatefulSetList", "apps/v1", Some("sts")),
            Self::DaemonSets => ("daemonsets", "DaemonSet", "DaemonSetList", "apps/v1", Some("ds")),
            Self::ControllerRevisions => {
                ("controllerrevisions", "ControllerRevision", "ControllerRevisionList", "apps/v1", None)
            }
            Self::Rollouts => ("rollouts", "Rollout", "RolloutList", "argoproj.io/v1alpha1", Some("ro")),
            Self::CloneSets => ("clonesets", "CloneSet", "CloneSetList", "apps.kruise.io/v1alpha1", Some("clone")),
            Self::Experiments => ("experiments", "Experiment", "ExperimentList", "argoproj.io/v1alpha1", Some("exp")),
            Self::AnalysisRuns => {
                ("analysisruns", "AnalysisRun", "AnalysisRunList", "argoproj.io/v1alpha1", Some("ar"))
            }
            Self::Jobs => ("jobs", "Job", "JobList", "batch/v1", None),
            Self::Events => ("events", "Event", "EventList", "v1", Some("ev")),
            Self::Nodes => ("nodes", "Node", "NodeList", "v1", Some("no")),
        };
        Row { plural, kind, list_kind, api_version, short_name }
    }
}

/// The plural.
impl std::fmt::Display for Resource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.plural())
    }
}

struct Row {
    plural: &'static str,
    kind: &'static str,
    list_kind: &'static str,
    api_version: &'static str,
    short_name: Option<&'static str>,
}
