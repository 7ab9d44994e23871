//! A rolling update that runs again and again, as the Deployment controller, the scheduler and the kubelets would do it
//! (recording `rollout`): one pod more than wanted, one fewer, until all are new; a rest; the next version.

use super::fleet::ago;
use super::parts::{Container, Pod, Stage};
use super::random::Random;
use super::service::{Counts, Progress, Revision, Rollout, Service};
use super::store::Store;
use crate::resource::Resource;
use crate::time::Time;
use serde_json::Value;
use std::collections::BTreeMap;

const REPLICAS: u32 = 6;
/// How many pods there may be beyond the wanted ones, and how many of the wanted ones may be missing.
const SURGE: u32 = 1;
const UNAVAILABLE: u32 = 1;
/// From creation to Ready.
const STARTS_IN_SECONDS: u32 = 6;
/// From deletion to the end.
const GRACE_SECONDS: u32 = 5;
/// Between two versions.
const REST_SECONDS: u32 = 60;
const HISTORY: usize = 10;

/// The service whose rollout never rests for long.
#[derive(Debug)]
pub(super) struct Rolling {
    store: Store,
    service: Service,
    /// Oldest first; the last is current.
    revisions: Vec<Revision>,
    pods: Vec<LivePod>,
    progress: Progress,
    progressed: Time,
    generation: u32,
    random: Random,
    /// What the ReplicaSets and the Deployment said last, so that only changes are put.
    said_of_revisions: BTreeMap<u32, Counts>,
    said_of_all: Option<Value>,
}

#[derive(Debug)]
struct LivePod {
    revision: u32,
    pod: Pod,
}

impl LivePod {
    fn is_active(&self) -> bool {
        self.pod.deletion.is_none()
    }

    fn is_ready(&self) -> bool {
        self.is_active() && matches!(self.pod.stage, Stage::Running(_))
    }
}

impl Rolling {
    /// Puts the service as it stands between two rollouts.
    pub(super) fn begin(store: &Store, now: Time) -> Self {
        let service = Service::new("shop", "checkout", ago(now, 90 * 86_400));
        let mut rolling = Self {
            store: store.clone(),
            revisions: Vec::new(),
            pods: Vec::new(),
            progress: Progress::Available,
            progressed: ago(now, REST_SECONDS - 10),
            generation: 40,
            random: Random::of("checkout"),
            said_of_revisions: BTreeMap::new(),
            said_of_all: None,
            service,
        };
        for number in 30..=40 {
            let created = ago(now, (41 - number) * 120);
            rolling.revisions.push(rolling.service.revision(number, containers(number), created));
        }
        for _ in 0..REPLICAS {
            let created = ago(now, 100);
            rolling.create_pod(created, Stage::Running(created.plus(STARTS_IN_SECONDS)));
        }
        rolling.update_books();
        rolling
    }

    /// How many pods it has when nothing is rolled out.
    pub(super) fn steady_pods() -> u32 {
        REPLICAS
    }

    /// Does what is due; called about once a second.
    pub(super) fn tick(&mut self, now: Time) {
        self.end_pods(now);
        self.start_pods(now);
        let current = self.current();
        let active = self.count(LivePod::is_active);
        let ready = self.count(LivePod::is_ready);
        let old = self.count(|live| live.is_active() && live.revision != current);
        let new = active - old;
        if self.progress == Progress::Available {
            if now.since(self.progressed) >= REST_SECONDS {
                self.begin_rollout(now);
            }
        } else if new < REPLICAS && active < REPLICAS + SURGE {
            self.create_pod(now, Stage::Creating);
            self.progress = Progress::Updated;
        } else if old > 0 && ready > REPLICAS - UNAVAILABLE {
            self.terminate_one(now);
        } else if old == 0 && ready == REPLICAS {
            self.progress = Progress::Available;
            self.progressed = now;
        }
        self.update_books();
    }

    fn begin_rollout(&mut self, now: Time) {
        let number = self.current() + 1;
        self.revisions.push(self.service.revision(number, containers(number), now));
        if self.revisions.len() > HISTORY + 1 {
            let oldest = self.revisions.remove(0);
            let name = self.service.replica_set_name(&oldest);
            self.store.delete(Resource::ReplicaSets, &self.service.namespace, &name);
            self.said_of_revisions.remove(&oldest.number);
        }
        self.generation += 1;
        self.progress = Progress::Created;
        self.progressed = now;
    }

    fn create_pod(&mut self, now: Time, stage: Stage) {
        let suffix = self.random.suffix();
        if let Some(revision) = self.revisions.last() {
            let pod = self.service.pod(revision, &suffix, now, stage);
            self.store.put(Resource::Pods, pod.object());
            self.pods.push(LivePod { revision: revision.number, pod });
        }
    }

    fn terminate_one(&mut self, now: Time) {
        let current = self.current();
        let old = |live: &&mut LivePod| live.is_active() && live.revision != current;
        if let Some(live) = self.pods.iter_mut().find(old) {
            live.pod.deletion = Some(now.plus(GRACE_SECONDS));
            self.store.put(Resource::Pods, live.pod.object());
        }
    }

    fn end_pods(&mut self, now: Time) {
        let (gone, left) = std::mem::take(&mut self.pods)
            .into_iter()
            .partition(|live: &LivePod| live.pod.deletion.is_some_and(|deletion| deletion <= now));
        self.pods = left;
        let gone: Vec<LivePod> = gone;
        for live in gone {
            self.store.delete(Resource::Pods, &live.pod.namespace, &live.pod.name);
        }
    }

    fn start_pods(&mut self, now: Time) {
        for live in &mut self.pods {
            if live.pod.stage == Stage::Creating && now.since(live.pod.created) >= STARTS_IN_SECONDS {
                live.pod.stage = Stage::Running(now);
                self.progressed = now;
                self.store.put(Resource::Pods, live.pod.object());
            }
        }
    }

    /// Brings ReplicaSets and Deployment up to date with the pods.
    fn update_books(&mut self) {
        let Some(current) = self.revisions.last() else {
            return;
        };
        let mut all = Counts::default();
        for revision in &self.revisions {
            let counts = self.counts(revision.number);
            all.active += counts.active;
            all.ready += counts.ready;
            all.terminating += counts.terminating;
            if self.said_of_revisions.insert(revision.number, counts) != Some(counts) {
                let object = self.service.replica_set(revision, counts.active, REPLICAS, counts);
                self.store.put(Resource::ReplicaSets, object);
            }
        }
        let deployment = self.service.deployment(&Rollout {
            current,
            replicas: REPLICAS,
            generation: self.generation,
            updated: self.counts(current.number).active,
            counts: all,
            progress: self.progress,
            progressed: self.progressed,
        });
        if self.said_of_all.as_ref() != Some(&deployment) {
            self.store.put(Resource::Deployments, deployment.clone());
            self.said_of_all = Some(deployment);
        }
    }

    fn counts(&self, revision: u32) -> Counts {
        Counts {
            active: self.count(|live| live.revision == revision && live.is_active()),
            ready: self.count(|live| live.revision == revision && live.is_ready()),
            terminating: self.count(|live| live.revision == revision && !live.is_active()),
        }
    }

    fn current(&self) -> u32 {
        self.revisions.last().map_or(0, |revision| revision.number)
    }

    fn count(&self, what: impl Fn(&LivePod) -> bool) -> u32 {
        self.pods.iter().map(|live| u32::from(what(live))).sum()
    }
}

fn containers(number: u32) -> Vec<Container> {
    vec![
        Container::new("checkout", &format!("registry.example/shop/checkout:v2.{number}.0")),
        Container::new("log-shipper", "registry.example/platform/log-shipper:2.4.0"),
    ]
}

#[cfg(test)]
mod tests {
    use super::{REPLICAS, Rolling};
    use crate::resource::Resource;
    use crate::store::Store;
    use crate::time::Time;
    use serde_json::Value;
    use std::collections::BTreeSet;

    fn reason(store: &Store) -> String {
        let deployment = store.get(Resource::Deployments, "shop", "checkout").unwrap();
        deployment["status"]["conditions"][1]["reason"].as_str().unwrap().to_owned()
    }

    #[test]
    fn one_rollout_follows_another() {
        let store = Store::new(10_000);
        let start = Time::now();
        let mut rolling = Rolling::begin(&store, start);
        let (mut reasons, mut hashes) = (Vec::new(), BTreeSet::new());
        for second in 0..400 {
            rolling.tick(start.plus(second));
            let now = reason(&store);
            if reasons.last() != Some(&now) {
                reasons.push(now);
            }
            let pods = store.list(Resource::Pods);
            let is_active = |pod: &&Value| pod["metadata"].get("deletionTimestamp").is_none();
            let active: Vec<_> = pods.iter().filter(is_active).collect();
            let count = u32::try_from(active.len()).unwrap();
            assert!((REPLICAS - 1..=REPLICAS + 1).contains(&count), "{count}");
            let here: BTreeSet<String> =
                active.iter().map(|pod| pod["metadata"]["labels"]["pod-template-hash"].to_string()).collect();
            assert!(here.len() <= 2);
            hashes.extend(here);
        }
        assert!(hashes.len() >= 3, "{hashes:?}");
        let cycle = ["NewReplicaSetAvailable", "NewReplicaSetCreated", "ReplicaSetUpdated", "NewReplicaSetAvailable"];
        assert_eq!(reasons[..4], cycle);
        assert_eq!(store.count(Resource::ReplicaSets), 11, "the history is bounded");
    }
}
