//! A cluster of any size for benchmarks, the same in every run.

use super::fleet::{Size, add_service};
use super::store::Store;
use crate::time::UnixTime;

/// How large the cluster is to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BulkConfig {
    /// Pods in total, of about 9 KB each.
    pub pods: u32,
    /// How many of them belong to one Deployment; the last one gets what is left.
    pub pods_per_deployment: u32,
    /// Old ReplicaSets of each Deployment, scaled to 0.
    pub history: u32,
    /// In every so many Deployments one pod runs another digest; 0 for none.
    pub skewed_every: u32,
}

impl Default for BulkConfig {
    fn default() -> Self {
        Self { pods: 150_000, pods_per_deployment: 25, history: 10, skewed_every: 100 }
    }
}

/// Fills a store before anything watches it. Names, digests and versions depend on the configuration alone, times on now.
pub fn bulk(store: &Store, config: &BulkConfig) {
    bulk_at(store, config, UnixTime::now());
}

/// The same with times that depend on `now`: byte for byte the same cluster in every run.
pub fn bulk_at(store: &Store, config: &BulkConfig, now: UnixTime) {
    let each = config.pods_per_deployment.max(1);
    for number in 0..config.pods.div_ceil(each) {
        let size = Size {
            replicas: each.min(config.pods - number * each),
            history: config.history,
            sidecar: true,
            skewed: config.skewed_every > 0 && number % config.skewed_every == config.skewed_every / 2,
        };
        add_service(store, number, size, now);
    }
}

#[cfg(test)]
mod tests {
    use super::{BulkConfig, bulk};
    use crate::objects::Resource;
    use crate::simulator::Store;
    use std::collections::BTreeSet;

    #[test]
    fn a_bulk_cluster_is_whole_and_honest_in_size() {
        let store = Store::new(10);
        let config = BulkConfig { pods: 1010, history: 3, skewed_every: 10, ..BulkConfig::default() };
        bulk(&store, &config);
        assert_eq!(store.count(Resource::Pods), 1010);
        assert_eq!(store.count(Resource::Deployments), 41);
        assert_eq!(store.count(Resource::ReplicaSets), 41 * 4);
        let pods = store.list(Resource::Pods);
        let text = pods[0].to_string();
        assert!((8_000..11_500).contains(&text.len()), "{} bytes", text.len());
        assert!(pods.iter().all(|pod| !pod.to_string().contains("@@")));
        let replica_sets = store.list(Resource::ReplicaSets);
        assert!(replica_sets.iter().all(|set| !set.to_string().contains("@@")));
        let distinct =
            |pointer: &str| pods.iter().map(|pod| pod.pointer(pointer).unwrap().clone().to_string()).collect();
        let uids: BTreeSet<String> = distinct("/metadata/uid");
        let hashes: BTreeSet<String> = distinct("/metadata/labels/pod-template-hash");
        let digests: BTreeSet<String> = distinct("/status/containerStatuses/0/imageID");
        assert_eq!((uids.len(), hashes.len(), digests.len()), (1010, 41, 41 + 4));
        for pod in &pods {
            let owner = &pod["metadata"]["ownerReferences"][0];
            let set = store.get(
                Resource::ReplicaSets,
                pod["metadata"]["namespace"].as_str().unwrap(),
                owner["name"].as_str().unwrap(),
            );
            assert_eq!(set.unwrap()["metadata"]["uid"], owner["uid"]);
        }
    }
}
