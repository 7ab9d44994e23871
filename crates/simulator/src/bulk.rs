//! A cluster of any size for benchmarks, the same in every run, and its updates.

use super::fleet::{Member, Size, ago};
use super::patterns::PodStage;
use super::store::Store;
use super::update::{Detail, Update};
use crate::resource::Resource;
use crate::time::Time;

/// Seconds since the start of the updates that are in progress at the beginning.
const HALFWAY_SECONDS: u32 = 300;

/// Size of the cluster.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BulkConfig {
    /// Pods in total, of about 9 KB each.
    pub pods: u32,
    /// Pods per Deployment; the last one gets the rest.
    pub pods_per_deployment: u32,
    /// Old ReplicaSets of each Deployment, scaled to 0.
    pub history: u32,
    /// Every n-th Deployment has a pod with another digest; 0 for none.
    pub skewed_every: u32,
    /// Every n-th Deployment is in the middle of a rolling update; 0 for none.
    pub rolling_every: u32,
    /// Number of nodes, also for pods created later.
    pub nodes: u32,
}

impl Default for BulkConfig {
    fn default() -> Self {
        Self { pods: 150_000, pods_per_deployment: 25, history: 10, skewed_every: 100, rolling_every: 100, nodes: 5000 }
    }
}

/// Fills a store before anything watches it. Names, digests and versions depend only on the configuration, times on the
/// clock.
#[allow(clippy::must_use_candidate, reason = "the store is filled, and not everyone wants it to move")]
pub fn bulk(store: &Store, config: &BulkConfig) -> Fleet {
    bulk_at(store, config, Time::now())
}

/// The same with times that depend on `now`: byte for byte the same cluster in every run.
#[allow(clippy::must_use_candidate, reason = "the store is filled, and not everyone wants it to move")]
pub fn bulk_at(store: &Store, config: &BulkConfig, now: Time) -> Fleet {
    let each = config.pods_per_deployment.max(1);
    let chosen = |number: u32, every: u32, offset: u32| every > 0 && number % every == offset;
    let mut fleet = Fleet {
        store: store.clone(),
        members: Vec::new(),
        next: 0,
        touched: 0,
        running: Vec::new(),
        turn: 0,
        halfway: Vec::new(),
        config: *config,
    };
    for number in 0..config.pods.div_ceil(each) {
        let size = Size {
            replicas: each.min(config.pods - number * each),
            history: config.history,
            sidecar: true,
            skewed: chosen(number, config.skewed_every, config.skewed_every / 2),
            nodes: config.nodes,
        };
        let mut member = Member::new(number, size, now);
        member.file(store);
        if chosen(number, config.rolling_every, config.rolling_every / 4) {
            let mut update = Update::begin(&mut member, Detail::Full, ago(now, HALFWAY_SECONDS));
            for _ in 0..update.left() / 2 {
                update.step(store);
            }
            fleet.halfway.push(update);
        }
        fleet.members.push(member);
    }
    fleet
}

/// The services of a bulk cluster, and their updates.
#[derive(Debug)]
pub struct Fleet {
    store: Store,
    members: Vec<Member>,
    /// The service to update next.
    next: usize,
    touched: u32,
    /// Updates in progress, which advance in turn.
    running: Vec<Update>,
    turn: usize,
    /// Halted updates.
    halfway: Vec<Update>,
    config: BulkConfig,
}

impl Fleet {
    /// How many services there are.
    #[must_use]
    pub fn service_count(&self) -> usize {
        self.members.len()
    }

    /// Number of rolling updates in progress, without halted ones.
    #[must_use]
    pub fn updates_running(&self) -> usize {
        self.running.len()
    }

    /// Resumes the halted updates.
    pub fn resume(&mut self) {
        self.running.append(&mut self.halfway);
    }

    /// Begins a rolling update of the next service, in a cycle. It skips services in the middle of one.
    pub fn update_next(&mut self, detail: Detail) {
        for _ in 0..self.members.len() {
            let chosen = self.next % self.members.len();
            self.next = chosen + 1;
            if !self.stands_still(chosen) {
                self.update(chosen, detail);
                return;
            }
        }
    }

    /// Begins a rolling update of the last service.
    pub fn update_last(&mut self, detail: Detail) {
        if let Some(last) = self.members.len().checked_sub(1) {
            self.update(last, detail);
        }
    }

    /// Adds a service of `replicas` pods, which is then the last.
    pub fn add_service(&mut self, replicas: u32) {
        let number = u32::try_from(self.members.len()).unwrap_or(u32::MAX);
        let size =
            Size { replicas, history: self.config.history, sidecar: true, skewed: false, nodes: self.config.nodes };
        let member = Member::new(number, size, Time::now());
        member.put(&self.store);
        self.members.push(member);
    }

    /// Makes the next change of the updates in progress, in turn. Returns whether it was a pod's, or `None` if all are
    /// done.
    pub fn step(&mut self) -> Option<bool> {
        while !self.running.is_empty() {
            self.turn = (self.turn + 1) % self.running.len();
            match self.running[self.turn].step(&self.store) {
                Some(of_pod) => return Some(of_pod),
                None => drop(self.running.swap_remove(self.turn)),
            }
            // The one that took its place is as good as any.
            self.turn = self.turn.saturating_sub(1);
        }
        None
    }

    /// Writes a pod again, as its kubelet does when an irrelevant field changed.
    pub fn touch(&mut self) {
        self.touched += 1;
        let chosen = (self.touched as usize * 7) % self.members.len().max(1);
        if let Some(member) = self.members.get(chosen).filter(|_| !self.stands_still(chosen)) {
            let pod = member.pod(
                &member.current,
                self.touched % member.size.replicas.max(1),
                PodStage::Ready,
                self.store.encodes_on_put(),
            );
            self.store.apply(Resource::Pods, pod, false, None);
        } else {
            self.touch();
        }
    }

    fn stands_still(&self, member: usize) -> bool {
        let every = self.config.rolling_every as usize;
        !self.halfway.is_empty() && every > 0 && member % every == every / 4
    }

    fn update(&mut self, member: usize, detail: Detail) {
        if let Some(member) = self.members.get_mut(member) {
            self.running.push(Update::begin(member, detail, Time::now()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BulkConfig, Fleet, bulk};
    use crate::resource::Resource;
    use crate::{Detail, Store};
    use serde_json::Value;
    use std::collections::BTreeSet;

    #[test]
    fn a_bulk_cluster_is_whole_and_honest_in_size() {
        let store = Store::new(10);
        let config = BulkConfig { pods: 1010, history: 3, skewed_every: 10, rolling_every: 0, ..BulkConfig::default() };
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

    fn small() -> (Store, Fleet) {
        let store = Store::new(10);
        let config = BulkConfig { pods: 100, rolling_every: 4, skewed_every: 0, ..BulkConfig::default() };
        let fleet = bulk(&store, &config);
        (store, fleet)
    }

    fn hashes(objects: &[Value]) -> BTreeSet<String> {
        objects.iter().map(|object| object["metadata"]["labels"]["pod-template-hash"].to_string()).collect()
    }

    #[test]
    fn an_update_replaces_every_pod_and_keeps_the_books() {
        for (detail, events) in [(Detail::Every, 9 * 25), (Detail::Full, 7 * 25), (Detail::Brief, 4 * 25)] {
            let (store, mut fleet) = small();
            fleet.resume();
            while fleet.step().is_some() {}
            let before = hashes(&store.list(Resource::Pods));
            (0..4).for_each(|_| fleet.update_next(detail));
            let changes: Vec<bool> = std::iter::from_fn(|| fleet.step()).collect();
            assert_eq!(changes.iter().filter(|of_pod| **of_pod).count(), 4 * events);
            let pods = store.list(Resource::Pods);
            let after = hashes(&pods);
            assert_eq!((pods.len(), after.len(), after.is_disjoint(&before)), (100, 4, true));
            assert!(pods.iter().all(|pod| !pod.to_string().contains("@@") && !pod.to_string().contains("1970-")));
            let sets = store.list(Resource::ReplicaSets);
            assert_eq!(sets.len(), 4 * 11, "as many are forgotten as are made");
            let in_use: Vec<Value> = sets.into_iter().filter(|set| set["status"]["readyReplicas"] == 25).collect();
            assert_eq!(hashes(&in_use), after);
            for deployment in store.list(Resource::Deployments) {
                let [wanted, updated] = ["/spec/replicas", "/status/updatedReplicas"].map(|at| deployment.pointer(at));
                assert_eq!(wanted, updated);
                assert_eq!(deployment["status"]["terminatingReplicas"], 0);
            }
        }
    }

    #[test]
    fn a_halted_update_has_pods_of_two_versions() {
        let (store, mut fleet) = small();
        let pods = store.list(Resource::Pods);
        assert_eq!(hashes(&pods).len(), 5, "one of four services is in the middle of an update");
        (0..4).for_each(|_| fleet.update_next(Detail::Brief));
        while fleet.step().is_some() {}
        let after = hashes(&store.list(Resource::Pods));
        assert_eq!(after.intersection(&hashes(&pods)).count(), 2, "and stays in it");
    }
}
