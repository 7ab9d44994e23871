//! A demo workload that changes often: a pipeline deploys its next version every two minutes.

use super::controllers::Registry;
use super::fleet::ago;
use super::parts::{Container, Stage};
use super::random::Random;
use super::service::{Counts, Progress, Revision, Rollout, Service};
use super::store::Store;
use super::write::{self, Writer};
use crate::resource::Resource;
use crate::time::Time;

/// Number of pods between rollouts.
pub(super) const REPLICAS: u32 = 6;
const DEPLOY_EVERY_SECONDS: u32 = 120;
/// Revisions to keep for a rollback.
const HISTORY: u32 = 10;
/// The revision at the start.
const FIRST: u32 = 40;

/// The pipeline of `shop/checkout`.
#[derive(Debug)]
pub(super) struct Checkout {
    store: Store,
    service: Service,
    /// The revision deployed last.
    number: u32,
    deployed: Time,
}

impl Checkout {
    /// Creates the service in its state between two deployments.
    pub(super) fn begin(store: &Store, now: Time) -> Self {
        let service = Service::new("shop", "checkout", ago(now, 90 * 86_400));
        let deployed = ago(now, DEPLOY_EVERY_SECONDS - 10);
        let checkout = Self { store: store.clone(), service, number: FIRST, deployed };
        for number in FIRST - HISTORY..FIRST {
            let old = checkout.revision(number, ago(now, (FIRST + 1 - number) * DEPLOY_EVERY_SECONDS));
            checkout.put_replica_set(&old, Counts::default());
        }
        let current = checkout.revision(FIRST, deployed);
        let counts = Counts { active: REPLICAS, ready: REPLICAS, terminating: 0 };
        checkout.put_replica_set(&current, counts);
        for index in 0..REPLICAS {
            let suffix = Random::of(&format!("{}{index}", current.uid)).suffix();
            let created = deployed.plus(index * 5);
            let pod = checkout.service.pod(&current, &suffix, created, Stage::Running(created.plus(6)));
            store.put(Resource::Pods, pod.object());
        }
        let rollout = Rollout {
            current: &current,
            replicas: REPLICAS,
            generation: FIRST,
            updated: REPLICAS,
            counts,
            progress: Progress::Available,
            progressed: deployed.plus(40),
        };
        store.put(Resource::Deployments, checkout.service.deployment(&rollout));
        checkout
    }

    /// Deploys the next version when it is time.
    pub(super) fn tick(&mut self, now: Time, registry: &Registry) {
        if now.since(self.deployed) < DEPLOY_EVERY_SECONDS {
            return;
        }
        self.number += 1;
        self.deployed = now;
        registry.push_any(&image(self.number));
        // The registry keeps what a rollback may need.
        registry.prune(&image(self.number - HISTORY - 2));
        let template = self.revision(self.number, now).template;
        let names = (self.service.namespace.as_str(), self.service.name.as_str());
        let writer = Writer { manager: "argocd-controller", now };
        write::object(&self.store, Resource::Deployments, names, writer, |deployment| {
            deployment["spec"]["template"] = template.clone();
        });
    }

    fn revision(&self, number: u32, created: Time) -> Revision {
        let containers = vec![
            Container::new("checkout", &image(number)),
            Container::new("log-shipper", "registry.example/platform/log-shipper:2.4.0"),
        ];
        self.service.revision(number, containers, created)
    }

    fn put_replica_set(&self, revision: &Revision, counts: Counts) {
        let object = self.service.replica_set(revision, counts.active, REPLICAS, counts);
        self.store.put(Resource::ReplicaSets, object);
    }
}

fn image(number: u32) -> String {
    format!("registry.example/shop/checkout:v2.{number}.0")
}
