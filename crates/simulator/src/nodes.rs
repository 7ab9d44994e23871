//! Nodes with the images that their kubelets report.

use super::random::Random;
use super::recording::rfc3339;
use super::service::node;
use super::store::Store;
use crate::controllers::ImageReference;
use crate::resource::Resource;
use crate::time::Time;
use serde_json::{Value, json};
use std::collections::HashMap;

/// Maximum number of images that a kubelet reports (`nodeStatusMaxImages`).
pub(super) const MOST_IMAGES: usize = 50;

/// An image on a node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct CachedImage {
    pub(super) repository: String,
    pub(super) digest: String,
    /// The references by tag that point to it.
    pub(super) tags: Vec<String>,
}

impl CachedImage {
    pub(super) fn new(repository: &str, digest: &str) -> Self {
        Self { repository: repository.to_owned(), digest: digest.to_owned(), tags: Vec::new() }
    }

    pub(super) fn is(&self, repository: &str, digest: &str) -> bool {
        self.repository == repository && self.digest == digest
    }

    /// The `imageID` of a container that runs it.
    pub(super) fn id(&self) -> String {
        format!("{}@{}", self.repository, self.digest)
    }

    /// Its size, always the same for one image: between 20 MB and 900 MB.
    fn bytes(&self) -> u32 {
        20_000_000 + Random::of(&self.digest).below(880_000_000)
    }
}

/// `status.images` of a node, the largest first, up to the limit of a kubelet.
pub(super) fn images(cached: &[CachedImage]) -> Value {
    let mut cached: Vec<&CachedImage> = cached.iter().collect();
    cached.sort_by_cached_key(|image| (std::cmp::Reverse(image.bytes()), image.id()));
    let entry = |image: &&CachedImage| {
        let names: Vec<String> = std::iter::once(image.id()).chain(image.tags.iter().cloned()).collect();
        json!({"names": names, "sizeBytes": image.bytes()})
    };
    cached.iter().take(MOST_IMAGES).map(entry).collect()
}

/// Puts the first nodes of a fleet into the store. Each has the images of its pods, and images of other pods up to the
/// limit of a kubelet.
pub fn put_nodes(store: &Store, count: u32) {
    let mut held: HashMap<String, Vec<CachedImage>> = HashMap::new();
    let mut all: Vec<CachedImage> = Vec::new();
    for pod in store.list(Resource::Pods) {
        let name = pod["spec"]["nodeName"].as_str().unwrap_or_default();
        let of_node = held.entry(name.to_owned()).or_default();
        for image in images_of(&pod) {
            of_node.push(image.clone());
            all.push(image);
        }
    }
    sort(&mut all);
    for number in 0..count {
        let name = node(number);
        let mut own = held.remove(&name).unwrap_or_default();
        sort(&mut own);
        // Consecutive images, from a different position for each node.
        let others = all.iter().cycle().skip(number as usize * 7 % all.len().max(1)).take(all.len());
        for image in others {
            if own.len() >= MOST_IMAGES {
                break;
            }
            if !own.contains(image) {
                own.push(image.clone());
            }
        }
        store.put(Resource::Nodes, object(&name, Time::now(), &own));
    }
}

fn sort(images: &mut Vec<CachedImage>) {
    images.sort_by_cached_key(CachedImage::id);
    images.dedup();
}

fn images_of(pod: &Value) -> Vec<CachedImage> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let statuses = pod["status"]["containerStatuses"].as_array().into_iter().flatten();
    let images = statuses.filter_map(|status| {
        let containers = pod["spec"]["containers"].as_array()?;
        let container = containers.iter().find(|container| container["name"] == status["name"])?;
        let id = text(&status["imageID"]);
        let (repository, digest) = id.split_once('@')?;
        let mut image = CachedImage::new(repository, digest);
        let reference = ImageReference::parse(container["image"].as_str()?);
        image.tags.extend(reference.digest.is_none().then(|| reference.tagged()));
        Some(image)
    });
    images.collect()
}

/// A node as its kubelet registers it.
pub(super) fn object(name: &str, created: Time, cached: &[CachedImage]) -> Value {
    let mut random = Random::of(&format!("node {name}"));
    let [uid, machine, boot] = std::array::from_fn(|_| random.uid());
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name, "uid": uid, "creationTimestamp": rfc3339(created),
            "labels": {
                "kubernetes.io/arch": "amd64", "kubernetes.io/hostname": name, "kubernetes.io/os": "linux",
            },
        },
        "spec": {"podCIDR": "10.0.0.0/24"},
        "status": {
            "capacity": {"cpu": "16", "memory": "64Gi", "pods": "110"},
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
            "nodeInfo": {
                "architecture": "amd64", "operatingSystem": "linux", "kernelVersion": "6.12.0",
                "osImage": "Debian GNU/Linux 13 (trixie)", "containerRuntimeVersion": "containerd://2.1.4",
                "kubeletVersion": "v1.36.3", "kubeProxyVersion": "", "machineID": machine.replace('-', ""),
                "systemUUID": machine, "bootID": boot,
            },
            "images": images(cached)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::{MOST_IMAGES, put_nodes};
    use crate::{BulkConfig, Resource, Store, bulk};

    #[test]
    fn nodes_have_the_images_of_their_pods_up_to_the_kubelets_limit() {
        let store = Store::new(10);
        bulk(&store, &BulkConfig { pods: 300, nodes: 400, ..BulkConfig::default() });
        put_nodes(&store, 400);
        let nodes = store.list(Resource::Nodes);
        assert_eq!(nodes.len(), 400);
        let pod = &store.list(Resource::Pods)[0];
        let (name, id) = (&pod["spec"]["nodeName"], &pod["status"]["containerStatuses"][0]["imageID"]);
        let node = nodes.iter().find(|node| node["metadata"]["name"] == *name).unwrap();
        let images = node["status"]["images"].as_array().unwrap();
        assert!(images.iter().any(|image| image["names"][0] == *id), "{id} {node}");
        assert!(nodes.iter().all(|node| node["status"]["images"].as_array().unwrap().len() <= MOST_IMAGES));
    }
}
