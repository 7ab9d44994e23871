//! The kinds of workloads: one table of everything that depends on the kind alone.
//!
//! To add a kind, add a variant to [`WorkloadKind`], a row to [`WorkloadKind::facts`], and follow the compiler:
//! `docs/adding-a-kind.md` names each place.

/// Label of a ReplicaSet's pods that holds the hash of its Deployment's template; a CloneSet's pods carry it too.
pub const POD_TEMPLATE_HASH: &str = "pod-template-hash";
/// Label of a StatefulSet's or DaemonSet's pods that names their ControllerRevision.
pub const CONTROLLER_REVISION_HASH: &str = "controller-revision-hash";
/// The same as [`POD_TEMPLATE_HASH`] for Argo Rollouts.
pub const ROLLOUTS_POD_TEMPLATE_HASH: &str = "rollouts-pod-template-hash";

/// All labels that may hold a pod's template hash.
pub const HASH_LABELS: [&str; 3] = [POD_TEMPLATE_HASH, CONTROLLER_REVISION_HASH, ROLLOUTS_POD_TEMPLATE_HASH];

/// The kind of a controller that owns pods, directly or through ReplicaSets.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum WorkloadKind {
    /// `apps` Deployment.
    Deployment,
    /// `apps` StatefulSet.
    StatefulSet,
    /// `apps` DaemonSet.
    DaemonSet,
    /// `argoproj.io` Rollout.
    Rollout,
    /// `apps.kruise.io` CloneSet, of OpenKruise.
    CloneSet,
    /// `argoproj.io` Experiment; podskew does not watch it.
    Experiment,
    /// `apps` ReplicaSet.
    ReplicaSet,
    /// `ReplicationController` of the core group; podskew does not watch it.
    ReplicationController,
    /// `batch` Job; podskew does not watch it.
    Job,
    /// Any other controller; podskew does not watch it.
    Other,
}

/// Where a workload's older templates are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TemplateHistory {
    /// In the ReplicaSets that it owns.
    ReplicaSets,
    /// In the ControllerRevisions that it owns.
    ControllerRevisions,
    /// Not kept.
    None,
}

/// The row of a kind.
struct Facts {
    /// `kind` in an object and in owner references.
    kind: &'static str,
    /// The API group without its version; the core group is the empty string.
    group: &'static str,
    /// The label `workload_type`.
    label: &'static str,
    /// Other names that kubectl accepts: the plural, and short names.
    aliases: &'static [&'static str],
    /// The pod label to select pods of a template hash by; empty if the kind has none.
    hash_label: &'static str,
    /// Whether podskew reports its rollouts.
    rolls: bool,
    /// Whether `kubectl rollout` and `kubectl set image` support it.
    kubectl_rolls: bool,
    history: TemplateHistory,
}

impl WorkloadKind {
    /// Every named kind, in the order of lists for people.
    pub const ALL: [Self; 9] = [
        Self::Deployment,
        Self::StatefulSet,
        Self::DaemonSet,
        Self::Rollout,
        Self::CloneSet,
        Self::Experiment,
        Self::ReplicaSet,
        Self::ReplicationController,
        Self::Job,
    ];

    const fn facts(self) -> Facts {
        let none = Facts {
            kind: "",
            group: "",
            label: "",
            aliases: &[],
            hash_label: "",
            rolls: false,
            kubectl_rolls: false,
            history: TemplateHistory::None,
        };
        match self {
            Self::Deployment => Facts {
                kind: "Deployment",
                group: "apps",
                label: "deployment",
                aliases: &["deployments", "deploy"],
                hash_label: POD_TEMPLATE_HASH,
                rolls: true,
                kubectl_rolls: true,
                history: TemplateHistory::ReplicaSets,
            },
            Self::StatefulSet => Facts {
                kind: "StatefulSet",
                group: "apps",
                label: "statefulset",
                aliases: &["statefulsets", "sts"],
                hash_label: CONTROLLER_REVISION_HASH,
                rolls: true,
                kubectl_rolls: true,
                history: TemplateHistory::ControllerRevisions,
            },
            Self::DaemonSet => Facts {
                kind: "DaemonSet",
                group: "apps",
                label: "daemonset",
                aliases: &["daemonsets", "ds"],
                hash_label: CONTROLLER_REVISION_HASH,
                rolls: true,
                kubectl_rolls: true,
                history: TemplateHistory::ControllerRevisions,
            },
            Self::Rollout => Facts {
                kind: "Rollout",
                group: "argoproj.io",
                label: "rollout",
                aliases: &["rollouts", "ro"],
                hash_label: ROLLOUTS_POD_TEMPLATE_HASH,
                rolls: true,
                history: TemplateHistory::ReplicaSets,
                ..none
            },
            Self::CloneSet => Facts {
                kind: "CloneSet",
                group: "apps.kruise.io",
                label: "cloneset.apps.kruise.io",
                aliases: &["cloneset", "clonesets", "clone"],
                hash_label: POD_TEMPLATE_HASH,
                rolls: true,
                history: TemplateHistory::ControllerRevisions,
                ..none
            },
            Self::Experiment => Facts {
                kind: "Experiment",
                group: "argoproj.io",
                label: "experiment",
                aliases: &["experiments", "exp"],
                hash_label: ROLLOUTS_POD_TEMPLATE_HASH,
                history: TemplateHistory::ReplicaSets,
                ..none
            },
            Self::ReplicaSet => Facts {
                kind: "ReplicaSet",
                group: "apps",
                label: "replicaset",
                aliases: &["replicasets", "rs"],
                ..none
            },
            Self::ReplicationController => Facts {
                kind: "ReplicationController",
                label: "replicationcontroller",
                aliases: &["replicationcontrollers", "rc"],
                ..none
            },
            Self::Job => Facts { kind: "Job", group: "batch", label: "job", aliases: &["jobs"], ..none },
            Self::Other => none,
        }
    }

    /// The kind of an object or an owner reference.
    #[must_use]
    pub fn of(kind: &str, group: &str) -> Self {
        Self::find(|facts| facts.kind == kind && facts.group == group)
    }

    /// The kind with this value of the label `workload_type`.
    #[must_use]
    pub fn of_label(label: &str) -> Self {
        Self::find(|facts| facts.label == label)
    }

    /// The kind that a person typed in lower case: its label, its plural or a short name.
    #[must_use]
    pub fn typed(name: &str) -> Self {
        Self::find(|facts| facts.label == name || facts.aliases.contains(&name))
    }

    fn find(is_it: impl Fn(&Facts) -> bool) -> Self {
        Self::ALL.into_iter().find(|kind| is_it(&kind.facts())).unwrap_or(Self::Other)
    }

    /// `kind` of its objects; empty for [`Self::Other`].
    #[must_use]
    pub const fn kind(self) -> &'static str {
        self.facts().kind
    }

    /// API group without the version; empty for the core group and for [`Self::Other`].
    #[must_use]
    pub const fn group(self) -> &'static str {
        self.facts().group
    }

    /// Value of the label `workload_type`; empty for [`Self::Other`], whose value is made of kind and group.
    #[must_use]
    pub const fn label(self) -> &'static str {
        self.facts().label
    }

    /// Other names that kubectl accepts: first the plural, then short names.
    #[must_use]
    pub const fn aliases(self) -> &'static [&'static str] {
        self.facts().aliases
    }

    /// The pod label to select pods of a template hash by; empty if the kind has none.
    #[must_use]
    pub const fn hash_label(self) -> &'static str {
        self.facts().hash_label
    }

    /// The labels that may hold the template hash of pods that it owns directly. The first that is present counts.
    #[must_use]
    pub const fn hash_labels_of_pods(self) -> &'static [&'static str] {
        match self {
            Self::ReplicaSet => &[ROLLOUTS_POD_TEMPLATE_HASH, POD_TEMPLATE_HASH],
            Self::StatefulSet | Self::DaemonSet => &[CONTROLLER_REVISION_HASH],
            Self::CloneSet => &[POD_TEMPLATE_HASH],
            _ => &HASH_LABELS,
        }
    }

    /// Whether podskew reports its rollouts.
    #[must_use]
    pub const fn rolls(self) -> bool {
        self.facts().rolls
    }

    /// Whether `kubectl rollout` and `kubectl set image` support it.
    #[must_use]
    pub const fn kubectl_rolls(self) -> bool {
        self.facts().kubectl_rolls
    }

    /// Whether Argo's kubectl plugin handles it.
    #[must_use]
    pub const fn is_argo(self) -> bool {
        matches!(self, Self::Rollout | Self::Experiment)
    }

    /// Whether it updates running pods in place, so that a pod may be older than its hash.
    #[must_use]
    pub const fn updates_in_place(self) -> bool {
        matches!(self, Self::CloneSet)
    }

    /// The template hash in the name of a ControllerRevision; `None` where a label of the revision holds it.
    #[must_use]
    pub fn hash_of_revision(self, name: &str) -> Option<&str> {
        match self {
            Self::StatefulSet => Some(name),
            // `GetShortHash` in OpenKruise's `pkg/util/revision/revision.go`.
            Self::CloneSet => Some(name.rsplit('-').next().unwrap_or(name)),
            _ => None,
        }
    }

    /// Where its older templates are kept.
    #[must_use]
    pub const fn history(self) -> TemplateHistory {
        self.facts().history
    }
}

/// The label `workload_type` of a kind: plain for Kubernetes and Argo, with the API group for all others, because
/// several groups have a kind `StatefulSet`.
#[must_use]
pub fn workload_type(kind: &str, group: &str) -> String {
    let mut name = kind.to_ascii_lowercase();
    if !matches!(group, "" | "apps" | "batch" | "argoproj.io") {
        name.push('.');
        name.push_str(&group.to_ascii_lowercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::{WorkloadKind, workload_type};
    use std::collections::BTreeSet;

    #[test]
    fn every_kind_is_found_by_each_of_its_names_and_by_no_other() {
        let mut names = BTreeSet::new();
        for kind in WorkloadKind::ALL {
            let facts = kind.facts();
            assert_eq!(WorkloadKind::of(facts.kind, facts.group), kind);
            assert_eq!(WorkloadKind::of(facts.kind, "example.org"), WorkloadKind::Other);
            assert_eq!(WorkloadKind::of_label(facts.label), kind);
            assert_eq!(facts.label, workload_type(facts.kind, facts.group));
            for name in facts.aliases.iter().chain([&facts.label]) {
                assert_eq!(WorkloadKind::typed(name), kind);
                assert!(names.insert(*name), "{name} names two kinds");
            }
            assert!(!kind.kubectl_rolls() || kind.rolls(), "{kind:?}");
        }
        assert_eq!(WorkloadKind::of("", ""), WorkloadKind::Other);
    }
}
