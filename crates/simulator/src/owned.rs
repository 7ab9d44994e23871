//! StatefulSets and DaemonSets: workloads that own their pods without a `ReplicaSet` between.

use super::parts::{Container, Owner, Pod, Stage, extend, managed, template, with_label};
use super::random::{Random, digest};
use super::recording::rfc3339;
use super::service::node;
use super::store::Store;
use crate::resource::Resource;
use crate::time::Time;
use serde_json::{Value, json};

const REVISION_LABEL: &str = "controller-revision-hash";

/// A StatefulSet or a DaemonSet.
pub(super) struct Owned {
    pub(super) kind: &'static str,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) created: Time,
}

/// A ControllerRevision.
pub(super) struct OwnedRevision {
    pub(super) number: u32,
    pub(super) hash: String,
    pub(super) name: String,
    pub(super) created: Time,
    pub(super) image: String,
    pub(super) template: Value,
}

impl Owned {
    pub(super) fn new(kind: &'static str, namespace: &str, name: &str, created: Time) -> Self {
        Self {
            kind,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            uid: Random::of(&format!("{kind} {namespace}/{name}")).uid(),
            created,
        }
    }

    fn owner(&self) -> Owner {
        Owner { api_version: "apps/v1", kind: self.kind, name: self.name.clone(), uid: self.uid.clone() }
    }

    pub(super) fn revision(&self, number: u32, image: &str, created: Time) -> OwnedRevision {
        let hash = Random::of(image).hash();
        OwnedRevision {
            number,
            name: format!("{}-{hash}", self.name),
            hash,
            created,
            image: image.to_owned(),
            template: template(&json!({"app": self.name}), &[Container::new(&self.name, image)]),
        }
    }

    pub(super) fn pod(&self, revision: &OwnedRevision, name: &str, label: &str, created: Time) -> Pod {
        let mut random = Random::of(&format!("{}/{name}", self.namespace));
        Pod {
            namespace: self.namespace.clone(),
            name: name.to_owned(),
            uid: random.uid(),
            owner: self.owner(),
            template: with_label(&revision.template, REVISION_LABEL, label),
            node: node(random.below(12)),
            created,
            stage: Stage::Running(created.plus(9)),
            digests: vec![digest(&revision.image)],
            injected: None,
            deletion: None,
        }
    }

    pub(super) fn object(&self, current: &OwnedRevision, spec: &Value, status: &Value) -> Value {
        let mut spec = spec.clone();
        extend(
            &mut spec,
            json!({
                "selector": {"matchLabels": {"app": self.name}}, "template": current.template, "revisionHistoryLimit": 10,
            }),
        );
        json!({
            "metadata": {
                "name": self.name, "namespace": self.namespace, "uid": self.uid, "generation": current.number,
                "creationTimestamp": rfc3339(self.created), "labels": {"app": self.name},
                "managedFields": [
                    managed("argocd-controller", "apps/v1", current.created, &json!({"spec": spec})),
                    managed("kube-controller-manager", "apps/v1", current.created, &json!({"status": status})),
                ],
            },
            "spec": spec,
            "status": status,
        })
    }

    pub(super) fn put_revisions(&self, store: &Store, revisions: &[&OwnedRevision]) {
        for revision in revisions {
            let mut random = Random::of(&revision.name);
            // A revision stores the template as a patch that restores it.
            let mut template = revision.template.clone();
            template["$patch"] = "replace".into();
            let label = if self.kind == "DaemonSet" { REVISION_LABEL } else { "controller.kubernetes.io/hash" };
            store.put(Resource::ControllerRevisions, json!({
                "metadata": {
                    "name": revision.name, "namespace": self.namespace, "uid": random.uid(),
                    "creationTimestamp": rfc3339(revision.created), "labels": {"app": self.name, label: revision.hash},
                    "ownerReferences": self.owner().references(),
                },
                "data": {"spec": {"template": template}},
                "revision": revision.number,
            }));
        }
    }
}
