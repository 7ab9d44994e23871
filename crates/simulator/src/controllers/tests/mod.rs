//! Tests of the controllers on a store: an hour takes milliseconds.

mod daemon_sets;
mod deployments;
mod exhibits;
mod images;
mod recorded;
mod rollouts;
mod scale;
mod stateful_sets;

use super::{Controllers, ControllersConfig, Registry};
use crate::resource::Resource;
use crate::store::Store;
use crate::time::Time;
use crate::write::{self, Writer};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A cluster and its clock.
pub(super) struct Bench {
    pub(super) store: Store,
    pub(super) controllers: Controllers,
    pub(super) now: Time,
}

impl Bench {
    pub(super) fn new(objects: Vec<(Resource, Value)>) -> Self {
        Self::with(objects, ControllersConfig::default())
    }

    pub(super) fn with(objects: Vec<(Resource, Value)>, mut config: ControllersConfig) -> Self {
        let store = Store::new(10_000);
        let now = Time::parse("2026-11-21T06:00:00Z").unwrap();
        for (resource, object) in objects {
            store.put(resource, object);
        }
        // Only the tests of images use a registry with limited content.
        config.registry = Registry::with_everything();
        config.nodes.extend(["a", "b", "c"].map(str::to_owned));
        Self { controllers: Controllers::new(store.clone(), config, now), store, now }
    }

    /// Runs for a number of seconds.
    pub(super) fn run(&mut self, seconds: u32) {
        for _ in 0..seconds {
            self.controllers.tick(self.now);
            self.now = self.now.plus(1);
        }
        self.controllers.tick(self.now);
    }

    /// Writes as `kubectl edit` does.
    pub(super) fn edit(&self, resource: Resource, name: &str, change: impl FnMut(&mut Value)) {
        let writer = Writer { manager: "kubectl-edit", now: self.now };
        write::object(&self.store, resource, ("shop", name), writer, change).unwrap();
    }

    pub(super) fn edit_status(&self, resource: Resource, name: &str, change: impl FnMut(&mut Value)) {
        let writer = Writer { manager: "kubectl-edit", now: self.now };
        write::status(&self.store, resource, ("shop", name), writer, change).unwrap();
    }

    pub(super) fn set_image(&self, resource: Resource, name: &str, image: &str) {
        self.edit(resource, name, |object| {
            object["spec"]["template"]["spec"]["containers"][0]["image"] = image.into();
        });
    }

    pub(super) fn delete_pod(&self, name: &str) {
        let now = self.now;
        let deleted = self.store.update(Resource::Pods, "shop", name, |pod| write::begin_deletion(pod, 5, now));
        deleted.unwrap();
    }

    pub(super) fn get(&self, resource: Resource, name: &str) -> Value {
        self.store.get(resource, "shop", name).unwrap()
    }

    /// The pods of the workload that are not terminating.
    pub(super) fn pods(&self) -> Vec<Value> {
        let pods = self.store.list(Resource::Pods).into_iter();
        pods.filter(|pod| pod["metadata"].get("deletionTimestamp").is_none()).collect()
    }

    /// Number of active pods by image; a `!` marks pods that are not Ready.
    pub(super) fn images(&self) -> BTreeMap<String, usize> {
        let mut images = BTreeMap::new();
        for pod in self.pods() {
            let image = pod["spec"]["containers"][0]["image"].as_str().unwrap();
            let is_ready =
                super::index::condition(&pod["status"], "Ready").is_some_and(|ready| ready["status"] == "True");
            let mark = if is_ready { "" } else { "!" };
            *images.entry(format!("{}{mark}", image.rsplit('/').next().unwrap())).or_default() += 1;
        }
        images
    }

    pub(super) fn progressing(&self, name: &str) -> String {
        let deployment = self.get(Resource::Deployments, name);
        let condition = super::index::condition(&deployment["status"], "Progressing");
        condition.map(|condition| condition["reason"].as_str().unwrap().to_owned()).unwrap_or_default()
    }
}

/// A workload with one container, as the API server stores it after `kubectl apply`.
pub(super) fn workload(name: &str, image: &str, more: &Value) -> Value {
    let mut object = json!({
        "metadata": {
            "name": name, "namespace": "shop", "uid": format!("uid-of-{name}"), "generation": 1,
            "creationTimestamp": "2026-11-21T06:00:00Z",
        },
        "spec": {
            "replicas": 4, "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {
                    "containers": [{"name": name, "image": image, "resources": {}, "imagePullPolicy": "IfNotPresent"}],
                    "restartPolicy": "Always", "terminationGracePeriodSeconds": 5, "dnsPolicy": "ClusterFirst",
                    "securityContext": {}, "schedulerName": "default-scheduler",
                },
            },
            "revisionHistoryLimit": 10,
        },
    });
    for (field, value) in more.as_object().unwrap() {
        object["spec"][field] = value.clone();
    }
    object
}

pub(super) fn deployment(more: &Value) -> (Resource, Value) {
    let mut object = workload("web", "registry.example/web:v1", more);
    for (field, value) in [
        ("progressDeadlineSeconds", json!(600)),
        ("strategy", json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}})),
    ] {
        if object["spec"].get(field).is_none() {
            object["spec"][field] = value;
        }
    }
    (Resource::Deployments, object)
}

pub(super) fn counts<const N: usize>(images: [(&str, usize); N]) -> BTreeMap<String, usize> {
    images.into_iter().map(|(image, count)| (image.to_owned(), count)).collect()
}

/// Adds fields to an object.
pub(super) fn merge(object: &mut Value, fields: &Value) {
    for (field, value) in fields.as_object().unwrap() {
        object[field] = value.clone();
    }
}
