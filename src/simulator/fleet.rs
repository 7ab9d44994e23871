//! Healthy services in any number, for the demo's background and for benchmarks: nothing about them ever changes.

use super::encoded::Encoded;
use super::parts::{Container, Stage};
use super::random::{Random, digest};
use super::recording::rfc3339;
use super::service::{Counts, Progress, Revision, Rollout, Service, node};
use super::store::Store;
use super::template::Template;
use crate::objects::Resource;
use crate::time::UnixTime;

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

/// What stands in a pod's template where each pod has a word of its own.
const POD_BLANKS: [&str; 7] = [SUFFIX, UID, NODE, IP, CREATED, CONTAINER_A, CONTAINER_B];
/// The same for old ReplicaSets.
const REPLICA_SET_BLANKS: [&str; 5] = [HASH, UID, TAG, NUMBER, CREATED];
const SUFFIX: &str = "@@SUFFIX@@";
const UID: &str = "@@UID@@";
const NODE: &str = "@@NODE@@";
const IP: &str = "@@IP@@";
const CONTAINER_A: &str = "@@CONTAINER-A@@";
const CONTAINER_B: &str = "@@CONTAINER-B@@";
const HASH: &str = "@@HASH@@";
const TAG: &str = "@@TAG@@";
const NUMBER: &str = "@@NUMBER@@";
/// A moment no pod was created at, so that it can stand for the one it was.
const CREATED: &str = "1970-01-01T00:00:01Z";

/// What a service of a fleet is like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Size {
    pub(super) replicas: u32,
    /// Old ReplicaSets, scaled to 0.
    pub(super) history: u32,
    /// Whether each pod has a second container.
    pub(super) sidecar: bool,
    /// Whether the last pod runs another image than the others under the same tag.
    pub(super) skewed: bool,
}

/// Files the service of this number, its ReplicaSets and its pods. No two numbers share a name.
pub(super) fn add_service(store: &Store, number: u32, size: Size, now: UnixTime) {
    let mut random = Random::new(u64::from(number) << 20 | u64::from(size.replicas));
    let age = 3600 + random.below(200 * 86_400);
    let created = ago(now, age);
    let service = Service::new(&namespace(number), &name(number), created);
    let (major, minor) = (1 + random.below(4), random.below(40) + size.history);
    let revisions = size.history + 1;
    let tag = |revision: u32| format!("v{major}.{}.{}", minor + revision - size.history, revision % 7);
    let containers = |tag: &str| {
        let repository = format!("registry.example/{}/{}", service.namespace, service.name);
        let mut containers = vec![Container::new("app", &format!("{repository}:{tag}"))];
        if size.sidecar {
            containers.push(Container::new(
                "log-shipper",
                &format!("registry.example/platform/log-shipper:2.{}.0", number % 5),
            ));
        }
        containers
    };
    let rolled_out = ago(now, random.below(age.min(14 * 86_400)).max(600));
    let current = service.revision(revisions, containers(&tag(revisions)), rolled_out);
    let counts = Counts { active: size.replicas, ready: size.replicas, terminating: 0 };
    let rollout = Rollout {
        current: &current,
        replicas: size.replicas,
        generation: revisions,
        updated: size.replicas,
        counts,
        progress: Progress::Available,
        progressed: rolled_out,
    };
    store.fill(Resource::Deployments, [Encoded::new(service.deployment(&rollout))]);
    let in_use = Encoded::new(service.replica_set(&current, size.replicas, size.replicas, counts));
    let mut old = service.revision(1, containers(TAG), blank_time());
    HASH.clone_into(&mut old.hash);
    UID.clone_into(&mut old.uid);
    let mut old = service.replica_set(&old, 0, size.replicas, Counts::default());
    old["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = NUMBER.into();
    let template = Template::new(old, &REPLICA_SET_BLANKS);
    let history = (1..revisions).map(|revision| {
        let (hash, uid) = (random.hash(), random.uid());
        let name = format!("{}-{hash}", service.name);
        let created = rfc3339(ago(now, age - age / revisions * (revision - 1)));
        template.fill(&service.namespace, &name, &[&hash, &uid, &tag(revision), &revision.to_string(), &created])
    });
    store.fill(Resource::ReplicaSets, std::iter::once(in_use).chain(history));
    add_pods(store, &service, &current, size, rolled_out);
}

fn add_pods(store: &Store, service: &Service, revision: &Revision, size: Size, rolled_out: UnixTime) {
    let template = |tag: &str| {
        let mut pod = service.pod(revision, SUFFIX, blank_time(), Stage::Running(blank_time()));
        UID.clone_into(&mut pod.uid);
        NODE.clone_into(&mut pod.node);
        if !tag.is_empty() {
            pod.digests[0] = digest(&format!("{}{tag}", revision.containers[0].image));
        }
        let mut pod = pod.object();
        pod["status"]["podIP"] = IP.into();
        pod["status"]["podIPs"][0]["ip"] = IP.into();
        let statuses = pod["status"]["containerStatuses"].as_array_mut();
        for (status, blank) in statuses.into_iter().flatten().zip([CONTAINER_A, CONTAINER_B]) {
            status["containerID"] = format!("containerd://{blank}").into();
        }
        Template::new(pod, &POD_BLANKS)
    };
    let usual = template("");
    let moved = size.skewed.then(|| template(" pushed again"));
    let mut random = Random::of(&revision.uid);
    let base = service.replica_set_name(revision);
    let pods = (0..size.replicas).map(|index| {
        let suffix = random.suffix();
        // A suffix of five letters repeats now and then among many: the number keeps names apart.
        let suffix = format!("{}{index:x}", &suffix[..suffix.len() - 1]);
        let ip = format!("10.{}.{}.{}", random.below(256), random.below(256), 1 + random.below(254));
        let words = [
            suffix.as_str(),
            &random.uid(),
            &node(random.below(5000)),
            &ip,
            &rfc3339(rolled_out.plus(index % 60)),
            &random.hex64(),
            &random.hex64(),
        ];
        let template = moved.as_ref().filter(|_| index + 1 == size.replicas).unwrap_or(&usual);
        template.fill(&service.namespace, &format!("{base}-{suffix}"), &words)
    });
    store.fill(Resource::Pods, pods.collect::<Vec<_>>());
}

/// 320 names before the namespaces change.
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

/// So many seconds before a moment.
pub(super) fn ago(now: UnixTime, seconds: u32) -> UnixTime {
    UnixTime::from_seconds(i64::from(now.seconds()) - i64::from(seconds)).unwrap_or(now)
}

fn blank_time() -> UnixTime {
    // `CREATED`; a second after the epoch is a moment, so the fallback is never taken.
    UnixTime::from_seconds(1).unwrap_or_else(UnixTime::now)
}
