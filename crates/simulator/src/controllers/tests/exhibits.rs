//! The demo's exhibits: each stays as it is until podskew's advice is followed, which fixes it.

use crate::demo::{Demo, DemoConfig};
use crate::resource::Resource::{
    self, ControllerRevisions, DaemonSets, Deployments, Pods, ReplicaSets, Rollouts, StatefulSets,
};
use crate::store::Store;
use crate::time::Time;
use crate::write::{self, Writer};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const RESOURCES: [Resource; 7] =
    [Pods, ReplicaSets, Deployments, StatefulSets, DaemonSets, ControllerRevisions, Rollouts];

struct Shown {
    store: Store,
    demo: Demo,
    now: Time,
}

impl Shown {
    fn new() -> Self {
        let (store, now) = (Store::new(10_000), Time::parse("2026-11-30T12:00:00Z").unwrap());
        Self { demo: Demo::begin(&store, &DemoConfig::default(), now), store, now }
    }

    fn run(&mut self, seconds: u32) {
        for _ in 0..seconds {
            self.now = self.now.plus(1);
            self.demo.tick(self.now);
        }
    }

    fn edit(&self, resource: Resource, names: (&str, &str), change: impl FnMut(&mut Value)) {
        let writer = Writer { manager: "kubectl-patch", now: self.now };
        write::object(&self.store, resource, names, writer, change).unwrap();
    }

    /// `kubectl set image`.
    fn set_image(&self, names: (&str, &str), image: &str) {
        self.edit(Deployments, names, |object| {
            object["spec"]["template"]["spec"]["containers"][0]["image"] = image.into();
        });
    }

    fn pods(&self, (namespace, name): (&str, &str)) -> Vec<Value> {
        let pods = self.store.list(Pods).into_iter();
        let belongs = |pod: &Value| {
            let text = |field: &str| pod["metadata"][field].as_str().unwrap_or_default().to_owned();
            text("namespace") == namespace && text("name").starts_with(&format!("{name}-"))
        };
        pods.filter(belongs).collect()
    }

    /// Digests of the containers with this name, all of which must be Ready.
    fn digests(&self, names: (&str, &str), container: &str) -> BTreeSet<String> {
        let mut digests = BTreeSet::new();
        for pod in self.pods(names) {
            let statuses = pod["status"]["containerStatuses"].as_array().unwrap();
            let status = statuses.iter().find(|status| status["name"] == container).unwrap();
            assert_eq!(status["ready"], true, "{status}");
            digests.insert(status["imageID"].as_str().unwrap().to_owned());
        }
        digests
    }

    /// Number of pods by value of a label.
    fn by_label(&self, names: (&str, &str), label: &str) -> Vec<usize> {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for pod in self.pods(names) {
            *counts.entry(pod["metadata"]["labels"][label].to_string()).or_default() += 1;
        }
        let mut counts: Vec<usize> = counts.into_values().collect();
        counts.sort_unstable();
        counts
    }

    fn progressing(&self, (namespace, name): (&str, &str)) -> String {
        let object = self.store.get(Deployments, namespace, name).unwrap();
        let condition = crate::controllers::index::condition(&object["status"], "Progressing").unwrap();
        condition["reason"].as_str().unwrap().to_owned()
    }

    fn everything(&self) -> BTreeMap<String, Value> {
        let all = RESOURCES
            .into_iter()
            .flat_map(|resource| self.store.list(resource).into_iter().map(move |object| (resource, object)));
        let named = all.map(|(resource, object)| {
            let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
            (format!("{resource} {}/{}", text("namespace"), text("name")), object)
        });
        named.filter(|(key, _)| !key.contains(" shop/checkout")).collect()
    }
}

#[test]
fn nothing_changes_but_the_workload_that_is_deployed() {
    let mut shown = Shown::new();
    let before = shown.everything();
    let mut reasons = BTreeMap::new();
    for _ in 0..3600 {
        shown.run(1);
        *reasons.entry(shown.progressing(("shop", "checkout"))).or_insert(0) += 1;
    }
    let after = shown.everything();
    for (key, object) in &before {
        assert_eq!(after.get(key), Some(object), "{key}");
    }
    assert_eq!(after.len(), before.len());
    assert_eq!(reasons.keys().collect::<Vec<_>>(), ["NewReplicaSetAvailable", "ReplicaSetUpdated"]);
    let revision = |set: &Value| set["metadata"]["annotations"]["deployment.kubernetes.io/revision"].clone();
    let sets = shown.store.list(ReplicaSets);
    let of_checkout = sets.iter().filter(|set| set["metadata"]["name"].as_str().unwrap().starts_with("checkout-"));
    let revisions: Vec<Value> = of_checkout.map(revision).collect();
    assert_eq!(revisions.len(), 11, "the history is bounded");
    assert!(revisions.contains(&Value::from("70")), "{revisions:?}");
}

#[test]
fn a_digest_skew_ends_by_pinning() {
    let (mut shown, web) = (Shown::new(), ("shop", "web"));
    let digests = shown.digests(web, "web");
    assert_eq!(digests.len(), 2);
    let pinned = digests.first().unwrap().clone();
    shown.set_image(web, &pinned);
    shown.run(120);
    assert_eq!(shown.digests(web, "web"), BTreeSet::from([pinned]));
    assert_eq!(shown.pods(web).len(), 8);
}

#[test]
fn a_stuck_rollout_is_undone() {
    let (mut shown, ledger) = (Shown::new(), ("payments", "ledger"));
    let sets = shown.store.list(ReplicaSets);
    let old = sets.iter().find(|set| {
        set["metadata"]["namespace"] == "payments"
            && set["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "7"
    });
    // `kubectl rollout undo` restores the template of the revision, without its hash.
    let mut template = old.unwrap()["spec"]["template"].clone();
    template["metadata"]["labels"].as_object_mut().unwrap().remove("pod-template-hash");
    shown.edit(Deployments, ledger, |object| object["spec"]["template"] = template.clone());
    shown.run(120);
    assert_eq!(shown.progressing(ledger), "NewReplicaSetAvailable");
    assert_eq!((shown.digests(ledger, "ledger").len(), shown.pods(ledger).len()), (1, 6));
    let object = shown.store.get(Deployments, "payments", "ledger").unwrap();
    assert_eq!(object["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "9");
}

#[test]
fn a_stuck_rollout_continues_once_its_image_exists() {
    let (mut shown, ledger) = (Shown::new(), ("payments", "ledger"));
    shown.demo.registry().push("registry.example/payments/ledger:4.12.0-rc1", "sha256:12");
    shown.run(120);
    assert_eq!(shown.progressing(ledger), "NewReplicaSetAvailable");
    let ids = BTreeSet::from(["registry.example/payments/ledger@sha256:12".to_owned()]);
    assert_eq!(shown.digests(ledger, "ledger"), ids);
}

#[test]
fn a_paused_rollout_is_resumed() {
    let (mut shown, login) = (Shown::new(), ("identity", "login"));
    // `kubectl rollout resume` removes the field.
    shown.edit(Deployments, login, |object| {
        object["spec"].as_object_mut().unwrap().remove("paused");
    });
    shown.run(120);
    assert_eq!(shown.progressing(login), "NewReplicaSetAvailable");
    assert_eq!(shown.by_label(login, "pod-template-hash"), [6]);
}

#[test]
fn an_injected_sidecar_is_brought_up_to_date_by_a_restart() {
    let (mut shown, query) = (Shown::new(), ("search", "query"));
    assert_eq!(shown.digests(query, "istio-proxy").len(), 2);
    shown.edit(Deployments, query, |object| {
        let annotations = &mut object["spec"]["template"]["metadata"]["annotations"];
        annotations["kubectl.kubernetes.io/restartedAt"] = "2026-11-30T12:00:00Z".into();
    });
    shown.run(120);
    assert_eq!((shown.digests(query, "istio-proxy").len(), shown.pods(query).len()), (1, 6));
}

#[test]
fn an_untagged_image_is_pinned() {
    let (mut shown, wiki) = (Shown::new(), ("internal", "wiki"));
    let pinned = shown.digests(wiki, "wiki").first().unwrap().clone();
    shown.set_image(wiki, &pinned);
    shown.run(120);
    assert_eq!(shown.progressing(wiki), "NewReplicaSetAvailable");
    assert!(shown.pods(wiki).iter().all(|pod| pod["spec"]["containers"][0]["image"] == pinned.as_str()));
}

#[test]
fn a_partition_is_lowered() {
    let (mut shown, database) = (Shown::new(), ("data", "ledger-db"));
    shown.edit(StatefulSets, database, |set| {
        set["spec"]["updateStrategy"]["rollingUpdate"]["partition"] = 0.into();
    });
    shown.run(120);
    assert_eq!((shown.digests(database, "ledger-db").len(), shown.pods(database).len()), (1, 5));
    let status = shown.store.get(StatefulSets, "data", "ledger-db").unwrap()["status"].clone();
    assert_eq!(status["currentRevision"], status["updateRevision"]);
}

#[test]
fn the_pods_of_an_on_delete_daemon_set_are_deleted_one_after_the_other() {
    let (mut shown, cni) = (Shown::new(), ("kube-system", "cni"));
    assert_eq!(shown.by_label(cni, "controller-revision-hash"), [3, 3]);
    let update = shown.store.get(DaemonSets, "kube-system", "cni").unwrap()["spec"]["template"]["spec"]["containers"]
        [0]["image"]
        .clone();
    let old = shown.pods(cni).into_iter().filter(|pod| pod["spec"]["containers"][0]["image"] != update);
    for pod in old.collect::<Vec<_>>() {
        let (name, now) = (pod["metadata"]["name"].as_str().unwrap(), shown.now);
        shown.store.update(Pods, cni.0, name, |pod| write::begin_deletion(pod, 5, now)).unwrap();
        shown.run(30);
    }
    assert_eq!(shown.by_label(cni, "controller-revision-hash"), [6]);
    assert_eq!(shown.digests(cni, "cni").len(), 1);
    let status = shown.store.get(DaemonSets, "kube-system", "cni").unwrap()["status"].clone();
    assert_eq!((&status["updatedNumberScheduled"], &status["numberReady"]), (&6.into(), &6.into()));
}

#[test]
fn a_canary_is_promoted() {
    let (mut shown, landing) = (Shown::new(), ("growth", "landing"));
    let writer = Writer { manager: "kubectl-argo-rollouts", now: shown.now };
    let promote = |rollout: &mut Value| {
        rollout["status"].as_object_mut().unwrap().remove("pauseConditions");
    };
    write::status(&shown.store, Rollouts, landing, writer, promote).unwrap();
    shown.run(120);
    assert_eq!(shown.by_label(landing, "rollouts-pod-template-hash"), [2, 3]);
    shown.run(660);
    assert_eq!(shown.by_label(landing, "rollouts-pod-template-hash"), [5]);
    assert_eq!(shown.store.get(Rollouts, "growth", "landing").unwrap()["status"]["phase"], "Healthy");
}

/// Checks labels and image references by Kubernetes' rules.
#[test]
fn every_label_and_every_image_is_valid() {
    let shown = Shown::new();
    let is_label = |value: &str| {
        let ends = |letter: Option<char>| letter.is_none_or(|letter| letter.is_ascii_alphanumeric());
        let inside = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
        value.len() <= 63 && ends(value.chars().next()) && ends(value.chars().last()) && value.chars().all(inside)
    };
    let is_image = |image: &str| {
        let (name, digest) = image.split_once('@').unwrap_or((image, "sha256:"));
        let digest = digest.strip_prefix("sha256:").unwrap();
        let tag = name.rsplit_once(':').map_or("", |(_, tag)| tag);
        tag.len() <= 128
            && (digest.is_empty() || digest.len() == 64)
            && digest.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    for (key, object) in shown.everything() {
        for labels in [&object["metadata"]["labels"], &object["spec"]["template"]["metadata"]["labels"]] {
            for (name, value) in labels.as_object().into_iter().flatten() {
                assert!(is_label(value.as_str().unwrap()), "{key}: {name}={value}");
            }
        }
        for spec in [&object["spec"], &object["spec"]["template"]["spec"]] {
            for container in spec["containers"].as_array().into_iter().flatten() {
                assert!(is_image(container["image"].as_str().unwrap()), "{key}: {}", container["image"]);
            }
        }
    }
}
