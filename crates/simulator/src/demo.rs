//! The cluster of `podskew demo`: healthy services, exhibits with one finding each, and one workload that rolls out
//! regularly.

use super::checkout::{self, Checkout};
use super::controllers::{Controllers, ControllersConfig, Registry, Webhook, each_tick};
use super::demo_images;
use super::fleet::{Member, Size, ago};
use super::image_registry::ImageRegistry;
use super::parts::Container;
use super::showcase;
use super::store::Store;
use crate::time::Time;

/// Limit for the history of each resource, in bytes of JSON, because a demo may run for days. The histories of all
/// resources take about 5 MiB, including protobuf and replaced objects.
const HISTORY_BYTES: usize = 512 << 10;

/// Limit for the number of pods: 150 000 take about 3 GB.
const MOST_PODS: u32 = 150_000;

/// Minimum number of nodes, and pods per node of a larger demo.
const LEAST_NODES: u32 = 12;
const PODS_PER_NODE: u32 = 30;

/// An image of `shop/web` that is in the registry but not in use.
pub const DEMO_RELEASE: &str = "registry.example/shop/web:2026.12.0";

/// Size of the demo.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DemoConfig {
    /// Workloads in total; the exhibits are always included.
    pub workloads: u32,
    /// Pods in total; those of the exhibits are always included.
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
    /// Puts all workloads, with times before `now`.
    #[must_use]
    pub fn begin(store: &Store, config: &DemoConfig, now: Time) -> Self {
        Self::begin_maybe_with(store, *config, now, None)
    }

    /// Like [`Self::begin`], with a registry that has the images of the pods.
    #[must_use]
    pub fn begin_with(store: &Store, config: &DemoConfig, now: Time, images: &ImageRegistry) -> Self {
        Self::begin_maybe_with(store, *config, now, Some(images))
    }

    fn begin_maybe_with(store: &Store, config: DemoConfig, now: Time, images: Option<&ImageRegistry>) -> Self {
        store.limit_history(HISTORY_BYTES);
        // Rollouts of a larger demo need more room.
        store.limit_pods(MOST_PODS.max(config.pods.saturating_add(config.pods / 4)) as usize);
        let shown = showcase::WORKLOADS + 1;
        let healthy = config.workloads.saturating_sub(shown);
        let pods = config.pods.saturating_sub(showcase::PODS + checkout::REPLICAS);
        for number in 0..healthy {
            let size = Size {
                // The first services get the remainder.
                replicas: pods / healthy + u32::from(number < pods % healthy),
                history: 1 + number % 10,
                sidecar: number % 3 == 0,
                skewed: false,
                nodes: LEAST_NODES.max(config.pods / PODS_PER_NODE),
            };
            Member::new(number, size, now).file(store);
        }
        showcase::put(store, now);
        if let Some(images) = images {
            demo_images::push(images, store);
        }
        let checkout = Checkout::begin(store, now);
        let proxy = Container::new("istio-proxy", showcase::PROXY);
        let webhook = Webhook { namespace: "search".to_owned(), container: proxy.spec(false) };
        let config = ControllersConfig { webhooks: vec![webhook], ..ControllersConfig::default() };
        let controllers = Controllers::new(store.clone(), config, now);
        controllers.register_nodes(ago(now, 300 * 86_400));
        controllers.registry().push_any(DEMO_RELEASE);
        if let Some(images) = images {
            demo_images::follow(images, controllers.registry());
        }
        Self { checkout, controllers }
    }

    /// The registry that the demo's images come from.
    #[must_use]
    pub fn registry(&self) -> Registry {
        self.controllers.registry()
    }

    /// Performs what is due now. Returns whether work is left for the next tick.
    #[allow(clippy::must_use_candidate, reason = "what is left stays due")]
    pub fn tick(&mut self, now: Time) -> bool {
        self.checkout.tick(now, &self.controllers.registry());
        self.controllers.tick(now)
    }

    /// Keeps the cluster running, until it is dropped.
    pub async fn run(&mut self) {
        each_tick(|now| self.tick(now)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::{Demo, DemoConfig, HISTORY_BYTES};
    use crate::resource::Resource;
    use crate::store::Store;
    use crate::time::Time;
    use crate::write::{self, Writer};
    use serde_json::Value;
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
    fn the_demo_has_the_requested_size() {
        for (asked_workloads, asked_pods) in [(24, 160), (50, 999)] {
            let store = demo(asked_workloads, asked_pods);
            assert_eq!(
                (workloads(&store), store.count(Resource::Pods)),
                (asked_workloads as usize, asked_pods as usize)
            );
        }
        assert_eq!((workloads(&demo(0, 0)), demo(0, 0).count(Resource::Pods)), (9, 53));
    }

    /// Maximum number of bytes held during `minutes` minutes with restarts in each of them.
    fn most_kept(store: &Store, demo: &mut Demo, now: &mut Time, minutes: u32) -> usize {
        // A rollout that never ends keeps all its ReplicaSets, as on a real cluster.
        let ends = |object: &Value| object["metadata"]["name"] != "ledger" && object["spec"]["paused"] != true;
        let deployments: Vec<Value> = store.list(Resource::Deployments).into_iter().filter(ends).collect();
        let names =
            |object: &Value| ["namespace", "name"].map(|field| object["metadata"][field].as_str().unwrap().to_owned());
        let mut most = 0;
        for minute in 0..minutes {
            for at in 0..3 {
                let [namespace, name] = names(&deployments[(minute as usize * 3 + at) % deployments.len()]);
                let writer = Writer { manager: "kubectl-rollout", now: *now };
                write::object(store, Resource::Deployments, (&namespace, &name), writer, |object| {
                    let annotations = &mut object["spec"]["template"]["metadata"]["annotations"];
                    annotations["kubectl.kubernetes.io/restartedAt"] = now.to_string().into();
                });
            }
            for _ in 0..60 {
                demo.tick(*now);
                *now = now.plus(1);
            }
            most = most.max(store.kept_bytes());
        }
        most
    }

    /// Counts bytes, because resident memory also depends on the allocator.
    #[test]
    fn memory_does_not_grow_with_the_number_of_changes() {
        let store = Store::new(usize::MAX);
        // As when a watch asks for protobuf.
        store.encode_protobuf_on_put();
        let mut now = Time::parse("2026-11-30T12:00:00Z").unwrap();
        let mut demo = Demo::begin(&store, &DemoConfig { workloads: 0, pods: 0 }, now);
        // Full after minutes instead of hours.
        let history = HISTORY_BYTES / 4;
        store.limit_history(history);
        let begun = store.kept_bytes();
        // Until the histories are full, and every workload has as many revisions as allowed.
        let first = most_kept(&store, &mut demo, &mut now, 16);
        let version = store.version();
        let second = most_kept(&store, &mut demo, &mut now, 16);
        assert!(store.version() - version > 1_000, "{} changes", store.version() - version);
        assert!(second < first + first / 50, "{begun} bytes at first, at most {first}, then {second}");
        // Objects of four resources change. The history has them in JSON and in protobuf, before and after each change.
        assert!(second < 2 * begun + 4 * 2 * 2 * history, "{begun} bytes at first, then {second}");
        let kept = demo.controllers.kept();
        assert_eq!(kept.objects, Resource::ALL.into_iter().map(|resource| store.count(resource)).sum::<usize>());
        assert!(kept.timers < 2_000 && kept.images_of_a_node <= 60, "{kept:?}");
        let tags = demo.registry().tag_count();
        most_kept(&store, &mut demo, &mut now, 4);
        assert_eq!(demo.registry().tag_count(), tags, "the pipeline deletes as many tags as it pushes");
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
