//! The registries of the simulated cluster, and workloads whose images are in them.

use crate::Outcome;
use serde_json::{Value, json};
use simulator::{Image, ImageRegistry, Misbehaviour, Resource, Store};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

/// Tags of a repository.
const TAGS: u32 = 10;
/// Interval between two changes of the failure.
const EVERY: Duration = Duration::from_millis(250);

/// Registries, the last of which fails at random.
pub(crate) struct Registries {
    all: Vec<Arc<ImageRegistry>>,
    references: Vec<Reference>,
}

struct Reference {
    registry: usize,
    repository: String,
    tag: String,
    digest: String,
}

impl Registries {
    /// Starts them, pushes an image for each reference, and puts into the store a Deployment of one pod that runs it.
    pub(crate) async fn start(store: &Store, references: u32, registries: u32) -> Outcome<Self> {
        let mut all = Vec::new();
        for _ in 0..registries {
            all.push(Arc::new(ImageRegistry::start(None).await?));
        }
        let mut found = Vec::new();
        for number in 0..references {
            let of_repository = number / TAGS;
            let registry = usize::try_from(of_repository % registries)?;
            let (repository, tag) = (format!("team-{of_repository}/app"), format!("v{}", number % TAGS));
            let image = Image::of(&format!("layer {number}")).revision(&format!("{number:040x}"));
            let digest = all[registry].push(&repository, Some(&tag), &image);
            let host = all[registry].host();
            put(store, number, &format!("{host}/{repository}:{tag}"), &format!("{host}/{repository}@{digest}"));
            found.push(Reference { registry, repository, tag, digest });
        }
        let failing = Arc::clone(all.last().ok_or("no registry")?);
        tokio::spawn(fail_at_random(failing));
        Ok(Self { all, references: found })
    }

    pub(crate) fn hosts(&self) -> Vec<String> {
        self.all.iter().map(|registry| registry.host()).collect()
    }

    /// A line for each reference: the image and its digest.
    pub(crate) fn references(&self) -> String {
        let mut text = String::new();
        for Reference { registry, repository, tag, digest } in &self.references {
            let _ = writeln!(text, "{}/{repository}:{tag} {digest}", self.all[*registry].host());
        }
        text
    }

    /// Moves every `every`th tag to another image.
    pub(crate) fn move_tags(&self, every: usize) {
        for (number, Reference { registry, repository, tag, .. }) in self.references.iter().enumerate().step_by(every) {
            self.all[*registry].push(repository, Some(tag), &Image::of(&format!("moved {number}")));
        }
    }

    /// Number of requests that each registry received since the last call.
    pub(crate) fn requests(&self) -> Vec<usize> {
        let count = |registry: &Arc<ImageRegistry>| {
            let count = registry.requests().len();
            registry.forget_requests();
            count
        };
        self.all.iter().map(count).collect()
    }
}

/// Changes the failure of a registry every quarter of a second; sometimes there is none.
async fn fail_at_random(registry: Arc<ImageRegistry>) {
    // Lehmer's generator: the same failures in every run.
    let mut state: u64 = 7;
    loop {
        state = state * 48_271 % 0x7fff_ffff;
        registry.clear_faults();
        let misbehaviour = match state % 10 {
            0 => Some(Misbehaviour::Hangs),
            1 => Some(Misbehaviour::Closes),
            2 => Some(Misbehaviour::Status(503, Vec::new())),
            3 => Some(Misbehaviour::Status(502, Vec::new())),
            4 => Some(Misbehaviour::Status(429, vec![("Retry-After", "1".to_owned())])),
            5 => Some(Misbehaviour::NoDigest),
            6 => Some(Misbehaviour::Digest(format!("sha256:{state:064x}"))),
            7 => Some(Misbehaviour::Garbage),
            _ => None,
        };
        if let Some(misbehaviour) = misbehaviour {
            registry.inject("/v2/", misbehaviour, None);
        }
        tokio::time::sleep(EVERY).await;
    }
}

fn put(store: &Store, number: u32, image: &str, image_id: &str) {
    let (name, hash) = (format!("image-{number}"), format!("{number:010}"));
    let metadata = |name: &str, kind: u32| {
        json!({
            "name": name, "namespace": "images", "uid": format!("00000000-0000-{kind:04}-0000-{number:012}"),
            "creationTimestamp": "2026-11-01T10:00:00Z", "generation": 1,
            "labels": {"app": format!("image-{number}"), "pod-template-hash": hash},
        })
    };
    let owner = |kind: &str, name: &str, number_of_kind: u32| {
        json!([{
            "apiVersion": "apps/v1", "kind": kind, "name": name, "controller": true,
            "uid": format!("00000000-0000-{number_of_kind:04}-0000-{number:012}"),
        }])
    };
    let spec = json!({"nodeName": "node-1", "containers": [{"name": "app", "image": image, "imagePullPolicy": "IfNotPresent"}]});
    let template = json!({"metadata": {"labels": {"app": format!("image-{number}")}}, "spec": spec});
    let with = |mut object: Value, owner: Value| {
        object["metadata"]["ownerReferences"] = owner;
        object
    };
    let replica_set = format!("{name}-{hash}");
    let selector = json!({"matchLabels": {"app": format!("image-{number}")}});
    store.put(
        Resource::Deployments,
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata(&name, 1),
            "spec": {"replicas": 1, "selector": selector, "template": template},
            "status": {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1},
        }),
    );
    let set = json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata(&replica_set, 2),
        "spec": {"replicas": 1, "selector": selector, "template": template}, "status": {"replicas": 1, "readyReplicas": 1},
    });
    store.put(Resource::ReplicaSets, with(set, owner("Deployment", &name, 1)));
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": metadata(&format!("{replica_set}-x"), 3), "spec": spec,
        "status": {
            "phase": "Running", "podIP": "10.0.0.1", "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{
                "name": "app", "ready": true, "image": image, "imageID": image_id, "containerID": format!("containerd://{number}"),
                "restartCount": 0, "started": true, "state": {"running": {"startedAt": "2026-11-01T10:00:05Z"}},
            }],
        },
    });
    store.put(Resource::Pods, with(pod, owner("ReplicaSet", &replica_set, 2)));
}
