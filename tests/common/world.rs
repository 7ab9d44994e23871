//! A cluster in a few lines: builders for pods and owners, an inventory that receives them, and its reports.
//!
//! Objects are JSON, and are decoded as in production, so that a test covers everything but the connection.

use podskew::inventory::{Changes, EvidenceBuilder, Inventory, Settings, Source, take_node};
use podskew::objects::{Body, Resource, WatchEvent, decode_event, decode_object};
use podskew::report::{RolloutState, WorkloadReport};
use podskew::time::UnixTime;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The time at which every test begins: 2026-11-21T12:00:00Z.
pub const START: u32 = 1_795_262_400;

/// The time `seconds` after the start (negative: before it), as the API server writes it.
pub fn at(seconds: i64) -> String {
    let moment = jiff::Timestamp::from_second(i64::from(START) + seconds).expect("a moment");
    moment.to_string()
}

/// A digest that is easy to recognize.
pub fn digest(letter: char) -> String {
    format!("sha256:{}", letter.to_string().repeat(64))
}

/// An imageID of form F1.
pub fn image_id(letter: char) -> String {
    format!("registry.example/shop/web@{}", digest(letter))
}

/// An inventory, its time, and its latest reports.
pub struct World {
    pub inventory: Inventory,
    pub now: u32,
    reports: BTreeMap<String, WorkloadReport>,
    pub awaiting: Vec<(String, u32)>,
    pub complete: bool,
}

impl World {
    /// An empty cluster, with every resource listed.
    pub fn new() -> Self {
        Self::with(Settings::default())
    }

    pub fn with(settings: Settings) -> Self {
        let mut world = Self::unsynced(settings);
        for resource in Resource::ALL {
            world.list(resource, &[]);
        }
        world
    }

    /// A cluster whose initial lists have these objects.
    pub fn listed(objects: &[&Value]) -> Self {
        let mut world = Self::unsynced(Settings::default());
        world.list_all(objects);
        world
    }

    /// Lists every resource, with these objects.
    pub fn list_all(&mut self, objects: &[&Value]) -> &mut Self {
        for resource in Resource::ALL {
            let of_resource = objects.iter().copied().filter(|object| resource_of(object) == resource);
            self.list(resource, &of_resource.collect::<Vec<_>>());
        }
        self
    }

    pub fn unsynced(settings: Settings) -> Self {
        let sources: Vec<Source> = Resource::ALL.into_iter().map(source).collect();
        let inventory = Inventory::new(settings, &sources);
        Self { inventory, now: START, reports: BTreeMap::new(), awaiting: Vec::new(), complete: false }
    }

    pub fn moment(&self) -> UnixTime {
        UnixTime::from_seconds(i64::from(self.now)).expect("a moment")
    }

    /// Advances the time by `seconds`.
    pub fn wait(&mut self, seconds: u32) -> &mut Self {
        self.now += seconds;
        self
    }

    /// Adds or changes an object.
    pub fn put(&mut self, object: &Value) -> &mut Self {
        let resource = resource_of(object);
        let line = json!({"type": "MODIFIED", "object": object}).to_string();
        let Ok(WatchEvent::Applied(object)) = decode_event(resource, line.as_bytes()) else { panic!("{line}") };
        self.inventory.apply(source(resource), &object, self.moment());
        self
    }

    pub fn delete(&mut self, object: &Value) -> &mut Self {
        let resource = resource_of(object);
        let line = json!({"type": "DELETED", "object": object}).to_string();
        let Ok(WatchEvent::Deleted(object)) = decode_event(resource, line.as_bytes()) else { panic!("{line}") };
        self.inventory.delete(source(resource), &object, self.moment());
        self
    }

    /// Relists a resource, with these objects.
    pub fn list(&mut self, resource: Resource, objects: &[&Value]) -> &mut Self {
        self.begin(resource);
        for object in objects {
            self.item(object);
        }
        self.inventory.finish_relist(source(resource), self.moment());
        self
    }

    pub fn begin(&mut self, resource: Resource) {
        self.inventory.begin_relist(source(resource));
    }

    pub fn item(&mut self, object: &Value) {
        let resource = resource_of(object);
        let line = json!({"type": "ADDED", "object": object}).to_string();
        let Ok(WatchEvent::Applied(object)) = decode_event(resource, line.as_bytes()) else { panic!("{line}") };
        let now = self.moment();
        self.inventory.relist(source(resource), &object, now);
    }

    pub fn forbid(&mut self, resource: Resource) -> &mut Self {
        self.inventory.forbid(source(resource), self.moment());
        self
    }

    /// Lists the nodes, and derives evidence from them.
    pub fn nodes(&mut self, nodes: &[Value]) -> &mut Self {
        let mut builder = EvidenceBuilder::of(self.inventory.asked().expect("a complete initial sync"));
        for node in nodes {
            let text = node.to_string();
            let object = decode_object(Resource::Nodes, text.as_bytes()).expect("a node");
            let Body::Node(read) = &object.body else { panic!("{text}") };
            take_node(&mut builder, &object, read);
        }
        let evidence = builder.finish(None, self.inventory.evidence().map(|before| &**before));
        let now = self.moment();
        self.inventory.take_evidence(evidence.into(), now);
        self
    }

    /// Takes the changed reports from the inventory.
    pub fn look(&mut self) -> &mut Self {
        let Changes { complete, reports, gone, awaiting_owner, .. } = self.inventory.take_changes(self.moment());
        for workload in gone {
            self.reports.remove(&key(&workload));
        }
        for report in reports {
            self.reports.insert(key(&report.workload), report);
        }
        self.awaiting = awaiting_owner.into_iter().map(|(namespace, pods)| (namespace.to_string(), pods)).collect();
        self.complete = complete;
        self
    }

    /// The report of `type/name`, up to date.
    pub fn report(&mut self, workload: &str) -> &WorkloadReport {
        self.look();
        let names: Vec<&String> = self.reports.keys().collect();
        self.reports.get(workload).unwrap_or_else(|| panic!("no {workload} among {names:?}"))
    }

    /// The names of all workloads, up to date.
    pub fn workloads(&mut self) -> Vec<String> {
        self.look();
        self.reports.keys().cloned().collect()
    }

    /// The report of `type/name` in a few lines.
    pub fn said(&mut self, workload: &str) -> String {
        let now = self.moment();
        say(self.report(workload), now)
    }

    /// All reports in a few lines each.
    pub fn everything(&mut self) -> String {
        self.look();
        let now = self.moment();
        self.reports.values().map(|report| say(report, now)).collect()
    }

    pub fn state(&mut self, workload: &str) -> (RolloutState, u32) {
        let now = self.moment();
        let rollout = self.report(workload).rollout.expect("a rollout");
        (rollout.state, rollout.started.map_or(0, |started| now.since(started)))
    }
}

fn key(workload: &podskew::report::Workload) -> String {
    format!("{}/{}", workload.workload_type, workload.name)
}

pub fn source(resource: Resource) -> Source {
    Source { resource, namespace: 0 }
}

pub fn resource_of(object: &Value) -> Resource {
    match object["kind"].as_str().expect("a kind") {
        "Pod" => Resource::Pods,
        "ReplicaSet" => Resource::ReplicaSets,
        "Deployment" => Resource::Deployments,
        "StatefulSet" => Resource::StatefulSets,
        "DaemonSet" => Resource::DaemonSets,
        "ControllerRevision" => Resource::ControllerRevisions,
        "Rollout" => Resource::Rollouts,
        "CloneSet" => Resource::CloneSets,
        kind => panic!("{kind}"),
    }
}

/// A report in a few lines, with ages instead of times.
pub fn say(report: &WorkloadReport, now: UnixTime) -> String {
    let mut text = key(&report.workload);
    if let Some(rollout) = report.rollout {
        let _ = write!(text, " {}", rollout.state.as_str());
        if let Some(started) = rollout.started {
            let _ = write!(text, " {}s", now.since(started));
        }
    }
    if let Some(since) = report.mixed_since {
        let _ = write!(text, ", {} hashes for {}s", report.distinct_hashes, now.since(since));
    }
    match report.outdated_pods {
        Some(0) => {}
        Some(pods) => {
            let _ = write!(text, ", {pods} outdated");
        }
        None if report.rollout.is_some() => text.push_str(", no current hash"),
        None => {}
    }
    for hash in &report.hashes {
        let _ = write!(text, "\n  hash {}", hash.hash);
        if hash.current == Some(true) {
            text.push_str(" (current)");
        }
        let _ = write!(text, ": {} pods, {} ready", hash.pods, hash.ready_pods);
        if hash.terminating_pods > 0 {
            let _ = write!(text, ", {} terminating", hash.terminating_pods);
        }
    }
    for container in &report.containers {
        let _ = write!(
            text,
            "\n  {} ({}): {} digests",
            container.container,
            container.origin.as_str(),
            container.distinct_digests
        );
        for (count, reason) in [(container.not_started, "not started"), (container.image_id_only, "id only")] {
            if count > 0 {
                let _ = write!(text, ", {count} {reason}");
            }
        }
        for by_hash in &container.by_hash {
            let _ = write!(text, "\n    {} ({}):", by_hash.hash, by_hash.origin.as_str());
            for digest in &by_hash.digests {
                let hex = digest.digest.rsplit(':').next().expect("hex");
                let _ = write!(text, " {}×{} {}", digest.pods, digest.image, &hex[..1]);
            }
            if let Some(since) = by_hash.skewed_since {
                let _ = write!(text, ", skewed for {}s", now.since(since));
            }
            assert_eq!(by_hash.skewed_since.is_some(), by_hash.distinct_digests > 1);
        }
    }
    text.push('\n');
    text
}

/// A pod of `web` on hash `h1` that runs digest `a`, created 1000 s before the start and started 10 s later.
pub fn pod(name: &str) -> Value {
    json!({
        "kind": "Pod",
        "metadata": {
            "name": name, "namespace": "shop", "uid": format!("pod-{name}"), "resourceVersion": "1",
            "creationTimestamp": at(-1000), "labels": {"app": "web", "pod-template-hash": "h1"},
            "ownerReferences": [owner("apps/v1", "ReplicaSet", "web-h1")]
        },
        "spec": {"nodeName": "node-1", "containers": [{"name": "app", "image": "web:1"}]},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": at(-980)}],
            "containerStatuses": [status("app", &image_id('a'), &format!("containerd://{name}"), Some(-990))]
        }
    })
}

pub fn owner(api_version: &str, kind: &str, name: &str) -> Value {
    json!({"apiVersion": api_version, "kind": kind, "name": name, "uid": format!("{kind}-{name}"), "controller": true})
}

pub fn status(container: &str, image_id: &str, container_id: &str, started: Option<i64>) -> Value {
    let state = started.map_or(json!({"waiting": {}}), |started| json!({"running": {"startedAt": at(started)}}));
    json!({"name": container, "imageID": image_id, "containerID": container_id, "state": state})
}

/// Changes to a JSON object, in the order of a sentence.
pub trait With {
    fn with(self, pointer: &str, value: impl Into<Value>) -> Self;
    fn created(self, seconds: i64) -> Self;
    /// The pod's hash and ReplicaSet.
    fn hash(self, hash: &str) -> Self;
    fn image(self, image: &str) -> Self;
    fn image_id(self, image_id: &str) -> Self;
    fn started(self, seconds: i64) -> Self;
    fn pending(self) -> Self;
    fn terminating(self) -> Self;
    fn unready(self) -> Self;
    /// Created at this time, seen by its kubelet a second later, and never Ready since.
    fn never_ready(self, created: i64) -> Self;
    /// Another container after the first.
    fn sidecar(self, name: &str, image_id: &str) -> Self;
}

impl With for Value {
    fn with(mut self, pointer: &str, value: impl Into<Value>) -> Self {
        let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
        let place = self.pointer_mut(parent).unwrap_or_else(|| panic!("no {parent}"));
        match place {
            Value::Object(map) => {
                map.insert(key.replace("~1", "/"), value.into());
            }
            Value::Array(items) => items[key.parse::<usize>().expect("an index")] = value.into(),
            other => panic!("{other}"),
        }
        self
    }
    fn created(self, seconds: i64) -> Self {
        self.with("/metadata/creationTimestamp", at(seconds))
    }
    fn hash(self, hash: &str) -> Self {
        self.with("/metadata/labels/pod-template-hash", hash)
            .with("/metadata/ownerReferences/0", owner("apps/v1", "ReplicaSet", &format!("web-{hash}")))
    }
    fn image(self, image: &str) -> Self {
        self.with("/spec/containers/0/image", image)
    }
    fn image_id(self, image_id: &str) -> Self {
        self.with("/status/containerStatuses/0/imageID", image_id)
    }
    fn started(self, seconds: i64) -> Self {
        self.with("/status/containerStatuses/0/state", json!({"running": {"startedAt": at(seconds)}}))
    }
    fn pending(self) -> Self {
        self.with("/status", json!({"phase": "Pending"}))
    }
    fn terminating(self) -> Self {
        self.with("/metadata/deletionTimestamp", at(0))
    }
    fn unready(self) -> Self {
        self.with("/status/conditions/0/status", "False")
    }
    fn never_ready(self, created: i64) -> Self {
        let since = at(created + 1);
        let condition = json!([{"type": "Ready", "status": "False", "lastTransitionTime": since}]);
        self.created(created).with("/status/startTime", since).with("/status/conditions", condition)
    }
    fn sidecar(mut self, name: &str, image_id: &str) -> Self {
        let started = self["status"]["containerStatuses"][0]["state"].clone();
        let id = format!("{}-{name}", self["status"]["containerStatuses"][0]["containerID"].as_str().expect("an id"));
        let push = |list: &mut Value, item: Value| list.as_array_mut().expect("a list").push(item);
        push(&mut self["spec"]["containers"], json!({"name": name, "image": format!("{name}:1")}));
        let status = json!({"name": name, "imageID": image_id, "containerID": id, "state": started});
        push(&mut self["status"]["containerStatuses"], status);
        self
    }
}

/// A node with this architecture and the names of each of its images.
pub fn node(name: &str, architecture: &str, images: &[&[String]]) -> Value {
    let images: Vec<Value> = images.iter().map(|names| json!({"names": names, "sizeBytes": 1})).collect();
    json!({
        "kind": "Node",
        "metadata": {"name": name, "uid": format!("node-{name}")},
        "status": {"nodeInfo": {"architecture": architecture, "operatingSystem": "linux"}, "images": images}
    })
}

/// A pod template with one container.
pub fn template(image: &str) -> Value {
    json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "app", "image": image}]}})
}

/// The ReplicaSet `web-HASH` of the Deployment `web`.
pub fn replica_set(hash: &str, image: &str, revision: u32, created: i64) -> Value {
    let mut template = template(image);
    template["metadata"]["labels"]["pod-template-hash"] = json!(hash);
    json!({
        "kind": "ReplicaSet",
        "metadata": {
            "name": format!("web-{hash}"), "namespace": "shop", "uid": format!("ReplicaSet-web-{hash}"),
            "creationTimestamp": at(created), "labels": {"pod-template-hash": hash},
            "annotations": {"deployment.kubernetes.io/revision": revision.to_string()},
            "ownerReferences": [owner("apps/v1", "Deployment", "web")]
        },
        "spec": {"replicas": 1, "template": template}
    })
}

/// The Deployment `web`, with a complete rollout.
pub fn deployment(image: &str) -> Value {
    json!({
        "kind": "Deployment",
        "metadata": {
            "name": "web", "namespace": "shop", "uid": "Deployment-web", "generation": 1,
            "creationTimestamp": at(-5000), "annotations": {"deployment.kubernetes.io/revision": "1"}
        },
        "spec": {"replicas": 2, "template": template(image)},
        "status": {
            "observedGeneration": 1, "replicas": 2, "updatedReplicas": 2,
            "conditions": [{"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable",
                "lastUpdateTime": at(-4000)}]
        }
    })
}

/// The Deployment's condition Progressing.
pub fn reason(deployment: Value, reason: &str, updated: i64) -> Value {
    let condition = json!({"type": "Progressing", "reason": reason, "lastUpdateTime": at(updated)});
    deployment.with("/status/conditions/0", condition)
}

/// A pod of the StatefulSet `db`.
pub fn db_pod(ordinal: u32, hash: &str, image_id: &str) -> Value {
    pod(&format!("db-{ordinal}"))
        .with("/metadata/labels", json!({"controller-revision-hash": hash}))
        .with("/metadata/ownerReferences/0", owner("apps/v1", "StatefulSet", "db"))
        .image_id(image_id)
}

/// The StatefulSet `db`, during a rollout to `db-new`.
pub fn stateful_set(strategy: Value) -> Value {
    json!({
        "kind": "StatefulSet",
        "metadata": {"name": "db", "namespace": "shop", "uid": "StatefulSet-db", "generation": 2,
            "creationTimestamp": at(-5000)},
        "spec": {"replicas": 4, "template": template("db:2"), "updateStrategy": strategy},
        "status": {"observedGeneration": 2, "updateRevision": "db-new", "currentRevision": "db-old"}
    })
}

/// A ControllerRevision of a StatefulSet or DaemonSet.
pub fn revision(kind: &str, owner_name: &str, name: &str, image: &str, number: u32, created: i64) -> Value {
    let hash = name.rsplit('-').next().expect("a hash");
    json!({
        "kind": "ControllerRevision",
        "metadata": {"name": name, "namespace": "shop", "uid": format!("revision-{name}"),
            "creationTimestamp": at(created), "labels": {"controller-revision-hash": hash},
            "ownerReferences": [owner("apps/v1", kind, owner_name)]},
        "data": {"spec": {"template": template(image).with("/$patch", "replace")}},
        "revision": number
    })
}
