//! The cluster that `podskew demo` shows: healthy services, one workload for each thing there is to see, and one that moves.

use super::checkout::{self, Checkout};
use super::controllers::{Controllers, ControllersConfig, Registry, Webhook, each_tick};
use super::fleet::{Member, Size, ago};
use super::parts::Container;
use super::showcase;
use super::store::Store;
use crate::time::Time;

/// Bytes of JSON that the store's memory of each resource's changes may hold: a demo may run for days.
const HISTORY_BYTES: usize = 2 << 20;

/// As many pods as the demo creates: their objects take about 2 GB.
const MOST_PODS: u32 = 150_000;

/// Minimum number of nodes, and pods per node of a larger demo.
const LEAST_NODES: u32 = 12;
const PODS_PER_NODE: u32 = 30;

/// An image of `shop/web` that the registry has and that nothing runs.
pub const DEMO_RELEASE: &str = "registry.example/shop/web:2026.12.0";

/// How large the demo is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DemoConfig {
    /// Workloads in total; those with something to see are always there.
    pub workloads: u32,
    /// Pods in total; likewise.
    pub pods: u32,
}

impl Default for DemoConfig {
    fn default() -> Self {
        Self { workloads: 24, pods: 160 }
    }
}

/// The demo's workloads in a store, the controllers that run them, and a pipeline that deploys one of them.
#[derive(Debug)]
pub struct Demo {
    checkout: Checkout,
    controllers: Controllers,
}

impl Demo {
    /// Puts all workloads, with times that look back from `now`.
    #[must_use]
    pub fn begin(store: &Store, config: &DemoConfig, now: Time) -> Self {
        store.bound_history(HISTORY_BYTES);
        // A larger demo was asked for, and its rollouts need room.
        store.bound_pods(MOST_PODS.max(config.pods.saturating_add(config.pods / 4)) as usize);
        let shown = showcase::WORKLOADS + 1;
        let healthy = config.workloads.saturating_sub(shown);
        let pods = config.pods.saturating_sub(showcase::PODS + checkout::REPLICAS);
        for number in 0..healthy {
            let size = Size {
                // What does not divide evenly goes to the first services.
                replicas: pods / healthy + u32::from(number < pods % healthy),
                history: 1 + number % 10,
                sidecar: number % 3 == 0,
                skewed: false,
                nodes: LEAST_NODES.max(config.pods / PODS_PER_NODE),
            };
            Member::new(number, size, now).file(store);
        }
        showcase::put(store, now);
        let checkout = Checkout::begin(store, now);
        let proxy = Container::new("istio-proxy", showcase::PROXY);
        let webhook = Webhook { namespace: "search".to_owned(), container: proxy.spec(false) };
        let config = ControllersConfig { webhooks: vec![webhook], ..ControllersConfig::default() };
        let controllers = Controllers::new(store.clone(), config, now);
        controllers.register_nodes(ago(now, 300 * 86_400));
        controllers.registry().push_any(DEMO_RELEASE);
        Self { checkout, controllers }
    }

    /// The registry that the demo's images come from.
    #[must_use]
    pub fn registry(&self) -> Registry {
        self.controllers.registry()
    }

    /// Does what is due at this moment. Returns whether something is left for the next tick.
    #[allow(clippy::must_use_candidate, reason = "what is left stays due")]
    pub fn tick(&mut self, now: Time) -> bool {
        self.checkout.tick(now, &self.controllers.registry());
        self.controllers.tick(now)
    }

    /// Keeps the cluster moving, until it is dropped.
    pub async fn run(&mut self) {
        each_tick(|now| self.tick(now)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::{Demo, DemoConfig};
    use crate::resource::Resource;
    use crate::store::Store;
    use crate::time::Time;
    use std::collections::BTreeSet;

    fn demo(workloads: u32, pods: u32) -> Store {
        let store = Store::new(1000);
        let _ = Demo::begin(&store, &DemoConfig { workloads, pods }, Time::now());
        store
    }

    fn workloads(store: &Store) -> usize {
        use Resource::{DaemonSets, Deployments, Rollouts, StatefulSets};
        [Deployments, StatefulSets, DaemonSets, Rollouts].map(|resource| store.count(resource)).iter().sum()
    }

    #[test]
    fn it_is_as_large_as_was_asked() {
        for (asked_workloads, asked_pods) in [(24, 160), (50, 999)] {
            let store = demo(asked_workloads, asked_pods);
            assert_eq!(
                (workloads(&store), store.count(Resource::Pods)),
                (asked_workloads as usize, asked_pods as usize)
            );
        }
        assert_eq!((workloads(&demo(0, 0)), demo(0, 0).count(Resource::Pods)), (9, 53));
    }

    #[test]
    fn every_owner_is_there_and_every_template_is_its_workloads() {
        let store = demo(24, 160);
        let objects = Resource::ALL.into_iter().flat_map(|resource| store.list(resource));
        let uids: BTreeSet<String> = objects.map(|object| object["metadata"]["uid"].to_string()).collect();
        for resource in Resource::ALL {
            for object in store.list(resource) {
                for owner in object["metadata"]["ownerReferences"].as_array().into_iter().flatten() {
                    assert!(uids.contains(&owner["uid"].to_string()), "{owner}");
                }
            }
        }
        let (namespace, name) = ("shop", "web");
        let deployment = store.get(Resource::Deployments, namespace, name).unwrap();
        let mut templates = store.list(Resource::ReplicaSets).into_iter().filter_map(|set| {
            let mut template = set["spec"]["template"].clone();
            template["metadata"]["labels"].as_object_mut().unwrap().remove("pod-template-hash");
            let current = template == deployment["spec"]["template"];
            current.then(|| set["metadata"]["name"].clone())
        });
        assert!(templates.next().is_some());
        assert_eq!(templates.next(), None);
    }
}
