//! A Deployment with its ReplicaSets, one for each revision, and their pods.

use super::parts::{Container, Owner, Pod, Stage, managed, template, with_label};
use super::random::{Random, digest};
use super::recording::rfc3339;
use crate::time::Time;
use serde_json::{Value, json};

/// A service that a Deployment runs.
#[derive(Clone, Debug)]
pub(super) struct Service {
    /// Deployment, or Rollout, which uses the same scheme under other names.
    pub(super) kind: &'static str,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) created: Time,
    /// Whether rollouts replace one pod at a time instead of a quarter of them.
    pub(super) one_at_a_time: bool,
}

/// One revision of its template, and its ReplicaSet.
#[derive(Clone, Debug)]
pub(super) struct Revision {
    pub(super) number: u32,
    pub(super) hash: String,
    pub(super) uid: String,
    pub(super) created: Time,
    pub(super) containers: Vec<Container>,
    /// The Deployment's template, without the hash label.
    pub(super) template: Value,
}

/// What distinguishes a revision from others.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub(super) commit: String,
    pub(super) hash: String,
    pub(super) uid: String,
}

/// Numbers of pods, of a ReplicaSet or in total.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Counts {
    /// Pods that are not terminating.
    pub(super) active: u32,
    pub(super) ready: u32,
    pub(super) terminating: u32,
}

/// The state in the Progressing condition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Progress {
    Created,
    Updated,
    Available,
    DeadlineExceeded,
    Paused,
}

/// The state of a Deployment at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rollout<'a> {
    pub(super) current: &'a Revision,
    pub(super) replicas: u32,
    pub(super) generation: u32,
    pub(super) updated: u32,
    pub(super) counts: Counts,
    pub(super) progress: Progress,
    pub(super) progressed: Time,
}

impl Service {
    pub(super) fn new(namespace: &str, name: &str, created: Time) -> Self {
        let uid = Random::of(&format!("{namespace}/{name}")).uid();
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        Self { kind: "Deployment", namespace, name, uid, created, one_at_a_time: false }
    }

    fn hash_label(&self) -> &'static str {
        if self.kind == "Rollout" { "rollouts-pod-template-hash" } else { "pod-template-hash" }
    }

    fn owner(&self) -> Owner {
        Owner {
            api_version: if self.kind == "Rollout" { "argoproj.io/v1alpha1" } else { "apps/v1" },
            kind: self.kind,
            name: self.name.clone(),
            uid: self.uid.clone(),
        }
    }

    /// Identity of the revision with this number and first image; always the same.
    pub(super) fn identity(&self, number: u32, image: &str) -> Identity {
        let mut random = Random::of(&format!("{}/{}/{image}/{number}", self.namespace, self.name));
        let mut commit = random.hex64();
        commit.truncate(12);
        Identity { commit, hash: random.hash(), uid: random.uid() }
    }

    /// A revision, with the time of its rollout.
    pub(super) fn revision(&self, number: u32, containers: Vec<Container>, created: Time) -> Revision {
        let image = containers.first().map_or("", |container| container.image.as_str());
        let Identity { commit, hash, uid } = self.identity(number, image);
        let version = version(image);
        let labels = json!({
            "app": self.name, "app.kubernetes.io/name": self.name, "app.kubernetes.io/part-of": self.namespace,
            "version": version, "git-commit": commit,
        });
        Revision { number, hash, uid, created, template: template(&labels, &containers), containers }
    }

    /// The Deployment as JSON.
    pub(super) fn deployment(&self, rollout: &Rollout) -> Value {
        let Counts { active, ready, terminating } = rollout.counts;
        let revision = rollout.current;
        let limit: Value = if self.one_at_a_time { 1.into() } else { "25%".into() };
        let mut spec = json!({
            "replicas": rollout.replicas,
            "selector": {"matchLabels": {"app": self.name}},
            "template": revision.template,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": limit, "maxSurge": limit}},
            "revisionHistoryLimit": 10,
            "progressDeadlineSeconds": 600,
        });
        if rollout.progress == Progress::Paused {
            spec["paused"] = true.into();
        }
        let available = json!({
            "type": "Available", "status": "True", "reason": "MinimumReplicasAvailable",
            "message": "Deployment has minimum availability.",
            "lastUpdateTime": rfc3339(self.created), "lastTransitionTime": rfc3339(self.created),
        });
        let mut status = json!({
            "observedGeneration": rollout.generation, "replicas": active, "updatedReplicas": rollout.updated,
            "readyReplicas": ready, "availableReplicas": ready, "terminatingReplicas": terminating,
            "conditions": [available, self.progressing(rollout)],
        });
        let unavailable = rollout.replicas.max(active) - ready;
        if unavailable > 0 {
            status["unavailableReplicas"] = unavailable.into();
        }
        let labels = json!({"app": self.name, "app.kubernetes.io/name": self.name});
        json!({
            "metadata": {
                "name": self.name, "namespace": self.namespace, "uid": self.uid, "generation": rollout.generation,
                "creationTimestamp": rfc3339(self.created), "labels": labels,
                "annotations": {"deployment.kubernetes.io/revision": revision.number.to_string()},
                "managedFields": [
                    managed("argocd-controller", "apps/v1", revision.created, &json!({"spec": spec})),
                    managed("kube-controller-manager", "apps/v1", rollout.progressed, &json!({"status": status})),
                ],
            },
            "spec": spec,
            "status": status,
        })
    }

    fn progressing(&self, rollout: &Rollout) -> Value {
        let replica_set = self.replica_set_name(rollout.current);
        let (status, reason, message) = match rollout.progress {
            Progress::Created => ("True", "NewReplicaSetCreated", format!("Created new replica set \"{replica_set}\"")),
            Progress::Updated => ("True", "ReplicaSetUpdated", format!("ReplicaSet \"{replica_set}\" is progressing.")),
            Progress::Available => {
                ("True", "NewReplicaSetAvailable", format!("ReplicaSet \"{replica_set}\" has successfully progressed."))
            }
            Progress::DeadlineExceeded => (
                "False",
                "ProgressDeadlineExceeded",
                format!("ReplicaSet \"{replica_set}\" has timed out progressing."),
            ),
            Progress::Paused => ("Unknown", "DeploymentPaused", "Deployment is paused".to_owned()),
        };
        // A rollout does not change the transition time: the condition was true before.
        let since = if status == "True" { self.created } else { rollout.progressed };
        json!({
            "type": "Progressing", "status": status, "reason": reason, "message": message,
            "lastUpdateTime": rfc3339(rollout.progressed), "lastTransitionTime": rfc3339(since),
        })
    }

    /// The ReplicaSet of a revision as JSON; `replicas` is its size.
    pub(super) fn replica_set(&self, revision: &Revision, replicas: u32, desired: u32, counts: Counts) -> Value {
        let template = with_label(&revision.template, self.hash_label(), &revision.hash);
        let labels = template["metadata"]["labels"].clone();
        let surge = if self.one_at_a_time { 1 } else { desired.div_ceil(4) };
        let annotations = if self.kind == "Rollout" {
            json!({
                "rollout.argoproj.io/desired-replicas": desired.to_string(),
                "rollout.argoproj.io/revision": revision.number.to_string(),
            })
        } else {
            json!({
                "deployment.kubernetes.io/desired-replicas": desired.to_string(),
                "deployment.kubernetes.io/max-replicas": (desired + surge).to_string(),
                "deployment.kubernetes.io/revision": revision.number.to_string(),
            })
        };
        let spec = json!({
            "replicas": replicas, "selector": {"matchLabels": {"app": self.name, self.hash_label(): revision.hash}},
            "template": template,
        });
        let mut status = json!({
            "replicas": counts.active, "terminatingReplicas": counts.terminating, "observedGeneration": 1
        });
        if counts.active > 0 {
            status["fullyLabeledReplicas"] = counts.active.into();
        }
        if counts.ready > 0 {
            status["readyReplicas"] = counts.ready.into();
            status["availableReplicas"] = counts.ready.into();
        }
        json!({
            "metadata": {
                "name": self.replica_set_name(revision), "namespace": self.namespace, "uid": revision.uid,
                "generation": 1, "creationTimestamp": rfc3339(revision.created), "labels": labels,
                "annotations": annotations, "ownerReferences": self.owner().references(),
                "managedFields": [
                    managed("kube-controller-manager", "apps/v1", revision.created, &json!({"spec": spec})),
                ],
            },
            "spec": spec,
            "status": status,
        })
    }

    pub(super) fn replica_set_name(&self, revision: &Revision) -> String {
        format!("{}-{}", self.name, revision.hash)
    }

    /// A pod of a revision, with the digests that its tags resolve to.
    pub(super) fn pod(&self, revision: &Revision, suffix: &str, created: Time, stage: Stage) -> Pod {
        let name = format!("{}-{suffix}", self.replica_set_name(revision));
        let mut random = Random::of(&format!("{}/{name}", self.namespace));
        Pod {
            namespace: self.namespace.clone(),
            uid: random.uid(),
            owner: Owner {
                api_version: "apps/v1",
                kind: "ReplicaSet",
                name: self.replica_set_name(revision),
                uid: revision.uid.clone(),
            },
            template: with_label(&revision.template, self.hash_label(), &revision.hash),
            node: node(random.below(12)),
            created,
            stage,
            digests: revision.containers.iter().map(|container| digest(&container.image)).collect(),
            injected: None,
            deletion: None,
            name,
        }
    }
}

/// Value of the label `version` for an image: its tag, or the beginning of its digest.
fn version(image: &str) -> &str {
    match (image.split_once("@sha256:"), image.rsplit_once(':')) {
        (Some((_, digest)), _) => digest.get(..12).unwrap_or(digest),
        (None, Some((_, tag))) if !tag.contains('/') => tag,
        _ => "latest",
    }
}

/// The name of a node.
pub(super) fn node(number: u32) -> String {
    format!("node-{}-{number:04}", ["a", "b", "c"][number as usize % 3])
}
