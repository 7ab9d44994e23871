//! Nodes with their caches: what the kubelet of each reports of the images it holds.

use super::store::Store;
use crate::resource::Resource;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// As many images as a kubelet reports (`nodeStatusMaxImages`).
const MOST_IMAGES: usize = 50;

/// An image: the tag that a pod asks for, and the reference with its digest that the runtime reports.
type Image = (String, String);

/// Puts so many nodes into the store: those that pods run on, and further ones. Each holds what its pods run, and images of
/// other pods, as many as a kubelet reports.
pub fn put_nodes(store: &Store, count: usize) {
    let mut held: BTreeMap<String, BTreeSet<Image>> = BTreeMap::new();
    let mut images: BTreeSet<Image> = BTreeSet::new();
    for pod in store.list(Resource::Pods) {
        let node = pod["spec"]["nodeName"].as_str().unwrap_or_default();
        let of_node = held.entry(node.to_owned()).or_default();
        for image in images_of(&pod) {
            images.insert(image.clone());
            of_node.insert(image);
        }
    }
    held.remove("");
    let further = (0..).map(|number| format!("node-x-{number:05}"));
    let names: Vec<String> = held.keys().cloned().chain(further).take(count).collect();
    let images: Vec<Image> = images.into_iter().collect();
    for (at, name) in names.iter().enumerate() {
        let mut own = held.remove(name).unwrap_or_default();
        // Some in a row, each node at another place.
        let others = images.iter().cycle().skip(at * 7 % images.len().max(1)).take(images.len());
        for image in others {
            if own.len() >= MOST_IMAGES {
                break;
            }
            own.insert(image.clone());
        }
        store.put(Resource::Nodes, node(name, own.iter().take(MOST_IMAGES)));
    }
}

fn images_of(pod: &Value) -> Vec<Image> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let statuses = pod["status"]["containerStatuses"].as_array().into_iter().flatten();
    let images = statuses.filter_map(|status| {
        let containers = pod["spec"]["containers"].as_array()?;
        let container = containers.iter().find(|container| container["name"] == status["name"])?;
        Some((text(&container["image"]), text(&status["imageID"])))
    });
    images.filter(|(image, id)| !image.is_empty() && id.contains('@')).collect()
}

fn node<'i>(name: &str, images: impl Iterator<Item = &'i Image>) -> Value {
    let images: Vec<Value> = images
        .enumerate()
        .map(|(at, (image, id))| json!({"names": [id, image], "sizeBytes": 900_000_000 - 10_000_000 * at}))
        .collect();
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux"}},
        "spec": {"podCIDR": "10.0.0.0/24"},
        "status": {
            "capacity": {"cpu": "16", "memory": "64Gi", "pods": "110"},
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
            "nodeInfo": {
                "architecture": "amd64", "operatingSystem": "linux", "kernelVersion": "6.12.0",
                "osImage": "Debian GNU/Linux 13 (trixie)", "containerRuntimeVersion": "containerd://2.1.4",
                "kubeletVersion": "v1.36.3"
            },
            "images": images
        }
    })
}

#[cfg(test)]
mod tests {
    use super::{MOST_IMAGES, put_nodes};
    use crate::{BulkConfig, Resource, Store, bulk};

    #[test]
    fn nodes_hold_what_their_pods_run_and_no_more_than_a_kubelet_reports() {
        let store = Store::new(10);
        bulk(&store, &BulkConfig { pods: 300, ..BulkConfig::default() });
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
