//! Any number of services, for the demo's background and for benchmarks.

use super::encoded::Encoded;
use super::patterns::{Manner, PodStage, Version, containers, old_replica_set, pod};
use super::random::Random;
use super::service::{Counts, Progress, Revision, Rollout, Service};
use super::store::Store;
use crate::resource::Resource;
use crate::time::Time;

const NAMES: [&str; 40] = [
    "search",
    "catalog",
    "cart",
    "pricing",
    "inventory",
    "recommendations",
    "reviews",
    "orders",
    "invoices",
    "refunds",
    "shipping",
    "tracking",
    "returns",
    "accounts",
    "sessions",
    "profiles",
    "consents",
    "notifications",
    "mailer",
    "sms",
    "push",
    "images",
    "thumbnails",
    "video",
    "translations",
    "currency",
    "taxes",
    "fraud",
    "loyalty",
    "vouchers",
    "campaigns",
    "feeds",
    "exports",
    "imports",
    "reports",
    "audit-log",
    "webhooks",
    "graphql",
    "bff",
    "sitemap",
];
const ROLES: [&str; 8] = ["", "-api", "-worker", "-gateway", "-consumer", "-cache", "-indexer", "-cron"];
const NAMESPACES: [&str; 12] = [
    "shop",
    "payments",
    "fulfilment",
    "identity",
    "messaging",
    "media",
    "growth",
    "platform",
    "data",
    "partners",
    "legal",
    "internal",
];

/// Parameters of a service.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Size {
    pub(super) replicas: u32,
    /// Old ReplicaSets, scaled to 0.
    pub(super) history: u32,
    /// Whether each pod has a second container.
    pub(super) sidecar: bool,
    /// Whether the last pod runs another image than the others under the same tag.
    pub(super) skewed: bool,
    /// Number of nodes for its pods.
    pub(super) nodes: u32,
}

/// One service of a fleet. It does not store its pods: they are derived from its numbers on demand.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) service: Service,
    pub(super) size: Size,
    pub(super) current: Version,
    major: u32,
    minor: u32,
    sidecar_tag: Option<String>,
}

impl Member {
    /// The service with this number. No two numbers have the same name.
    pub(super) fn new(number: u32, size: Size, now: Time) -> Self {
        let mut random = Random::new(u64::from(number) << 20 | u64::from(size.replicas));
        let age = 3600 + random.below(200 * 86_400);
        let service = Service::new(&namespace(number), &name(number), ago(now, age));
        let (major, minor) = (1 + random.below(4), random.below(40));
        let sidecar_tag = size.sidecar.then(|| format!("2.{}.0", number % 5));
        let rolled_out = ago(now, random.below(age.min(14 * 86_400)).max(600));
        let identity = service.identity(0, "");
        let current = Version { number: 0, tag: String::new(), sidecar_tag: None, identity, rolled_out };
        let mut member = Self { service, size, current, major, minor, sidecar_tag };
        member.current = member.version(size.history + 1, rolled_out);
        member
    }

    /// A version of the service, with the time of its rollout.
    pub(super) fn version(&self, number: u32, rolled_out: Time) -> Version {
        let tag = format!("v{}.{}.{}", self.major, self.minor + number, number % 7);
        let image = format!("registry.example/{}/{}:{tag}", self.service.namespace, self.service.name);
        let identity = self.service.identity(number, &image);
        Version { number, tag, sidecar_tag: self.sidecar_tag.clone(), identity, rolled_out }
    }

    /// A version with everything that its ReplicaSet and the Deployment need.
    pub(super) fn revision(&self, version: &Version) -> Revision {
        let containers = containers(&self.service, &version.tag, version.sidecar_tag.as_deref());
        self.service.revision(version.number, containers, version.rolled_out)
    }

    /// Stores the service, its ReplicaSets and its pods without events, as if they were old.
    pub(super) fn file(&self, store: &Store) {
        for (resource, objects) in self.objects(store.encodes_on_put()) {
            store.fill(resource, objects);
        }
    }

    /// Like [`Self::file`], with an event for each object.
    pub(super) fn put(&self, store: &Store) {
        for (resource, objects) in self.objects(store.encodes_on_put()) {
            for object in objects {
                store.apply(resource, object, false, None);
            }
        }
    }

    fn objects(&self, in_protobuf: bool) -> [(Resource, Vec<Encoded>); 3] {
        let (service, size, current) = (&self.service, self.size, &self.current);
        let counts = Counts { active: size.replicas, ready: size.replicas, terminating: 0 };
        let revision = self.revision(current);
        let deployment = service.deployment(&Rollout {
            current: &revision,
            replicas: size.replicas,
            generation: current.number,
            updated: size.replicas,
            counts,
            progress: Progress::Available,
            progressed: current.rolled_out,
        });
        let in_use = Encoded::new(service.replica_set(&revision, size.replicas, size.replicas, counts));
        let age = current.rolled_out.since(service.created);
        let history = (1..current.number).map(|number| {
            let rolled_out = service.created.plus(age / current.number * (number - 1));
            old_replica_set(service, &self.version(number, rolled_out), size.replicas, in_protobuf)
        });
        let pods = (0..size.replicas).map(|index| self.pod(current, index, PodStage::Ready, in_protobuf));
        [
            (Resource::Deployments, vec![Encoded::new(deployment)]),
            (Resource::ReplicaSets, std::iter::once(in_use).chain(history).collect()),
            (Resource::Pods, pods.collect()),
        ]
    }

    /// A pod of one of its versions.
    pub(super) fn pod(&self, version: &Version, index: u32, stage: PodStage, in_protobuf: bool) -> Encoded {
        let moved = self.size.skewed && index + 1 == self.size.replicas && version.number == self.size.history + 1;
        pod(&self.service, version, index, stage, Manner { moved, in_protobuf, nodes: self.size.nodes })
    }
}

/// Name of a service. The namespaces change after 320 names.
fn name(number: u32) -> String {
    let number = number as usize;
    format!("{}{}", NAMES[number % NAMES.len()], ROLES[number / NAMES.len() % ROLES.len()])
}

fn namespace(number: u32) -> String {
    let number = number as usize;
    let base = NAMESPACES[number % NAMESPACES.len()];
    match number / (NAMES.len() * ROLES.len()) {
        0 => base.to_owned(),
        round => format!("{base}-{round}"),
    }
}

/// The time `seconds` before `now`.
pub(super) fn ago(now: Time, seconds: u32) -> Time {
    now.minus(seconds)
}
