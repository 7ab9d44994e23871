//! Whatever happens, the final report is that of a fresh list of the final state.
//!
//! Only memory may add to it: an age may be greater, and a digest may be known where a fresh list reports it as unresolved
//! (rows 6 and 7). Never the reverse.
#![allow(clippy::expect_used, reason = "tests")]

use crate::common::world::*;
use podskew::inventory::Settings;
use podskew::objects::Resource;
use podskew::report::{LastRollout, RollbackTarget, RolloutCounts, RolloutState, WorkloadReport};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Something that happens in the cluster or in a watch.
#[derive(Clone, Debug)]
enum Op {
    Put(Box<Value>),
    /// Deletes the object at this position of the list of all objects, if there is any.
    Delete(prop::sample::Index),
    /// Relists a resource, in another order if true.
    Relist(Resource, bool),
    /// A list that is interrupted.
    Abandon(Resource),
    Wait(u32),
    /// Makes reports, with all that has to be remembered for them.
    Look,
}

fn moment() -> impl Strategy<Value = i64> {
    -2000_i64..0
}

fn any_pod(rename: bool) -> impl Strategy<Value = Value> {
    let ids = prop_oneof![
        6 => prop::sample::select(vec!['a', 'b', 'c']).prop_map(image_id),
        1 => Just("f".repeat(64)),
        1 => Just(digest('e')),
        1 => Just(String::new()),
    ];
    let pod = (0..6_u32, prop::bool::ANY, ids, moment(), moment(), 0..8_u32);
    pod.prop_map(move |(number, second, id, created, started, oddity)| {
        let (hash, image) = if second { ("h2", "web:2") } else { ("h1", "web:1") };
        let mut object = pod_of(number, hash, image).created(created).started(started).image_id(&id);
        // Another image means another container, unless names of running ones may change.
        let container = if rename { format!("c://{number}") } else { format!("c://{number}-{id}") };
        object = object.with("/status/containerStatuses/0/containerID", container);
        match oddity {
            0 => object.terminating(),
            1 => object.unready(),
            2 => object.with("/status/phase", "Failed"),
            3 => object.sidecar("istio-proxy", &image_id('d')),
            _ => object,
        }
    })
}

/// A pod belongs to one ReplicaSet for good: its number and hash are its identity.
fn pod_of(number: u32, hash: &str, image: &str) -> Value {
    pod(&format!("{hash}-{number}")).hash(hash).image(image)
}

fn any_db_pod() -> impl Strategy<Value = Value> {
    (0..4_u32, prop::bool::ANY, moment(), 0..4_u32).prop_map(|(ordinal, new, created, oddity)| {
        let hash = if new { "db-new" } else { "db-old" };
        let pod = db_pod(ordinal, hash, &image_id(if new { 'b' } else { 'a' }))
            .with("/metadata/uid", format!("db-{ordinal}-{hash}"))
            .with("/metadata/name", format!("db-{ordinal}"))
            .with("/status/containerStatuses/0/containerID", format!("c://{ordinal}-{hash}"));
        if oddity == 0 { pod.never_ready(created) } else { pod.created(created) }
    })
}

fn any_owner() -> impl Strategy<Value = Value> {
    let deployments =
        (prop::bool::ANY, 0..5_usize, prop::bool::ANY, moment()).prop_map(|(second, why, paused, when)| {
            let reasons =
                ["NewReplicaSetAvailable", "ReplicaSetUpdated", "ProgressDeadlineExceeded", "DeploymentPaused", "Odd"];
            reason(deployment(if second { "web:2" } else { "web:1" }), reasons[why], when).with("/spec/paused", paused)
        });
    let sets = (prop::bool::ANY, moment(), 1..5_u32, prop::bool::ANY).prop_map(|(second, created, number, reused)| {
        let set =
            replica_set(if second { "h2" } else { "h1" }, if second { "web:2" } else { "web:1" }, number, created);
        let history = "/metadata/annotations/deployment.kubernetes.io~1revision-history";
        if reused { set.with(history, "1") } else { set }
    });
    let strategies = prop::sample::select(vec![
        json!({"type": "RollingUpdate"}),
        json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}),
        json!({"type": "OnDelete"}),
    ]);
    let stateful_sets = (strategies, prop::bool::ANY, 0..4_u32).prop_map(|(strategy, promoted, replicas)| {
        let current = if promoted { "db-new" } else { "db-old" };
        stateful_set(strategy).with("/status/currentRevision", current).with("/spec/replicas", replicas)
    });
    let revisions = (prop::bool::ANY, moment(), 1..5_u32).prop_map(|(new, created, number)| {
        let (name, image) = if new { ("db-new", "db:2") } else { ("db-old", "db:1") };
        revision("StatefulSet", "db", name, image, number, created)
    });
    prop_oneof![deployments, sets, stateful_sets, revisions]
}

fn ops(rename: bool) -> impl Strategy<Value = Vec<Op>> {
    let resource = || prop::sample::select(Resource::ALL.to_vec());
    let op = prop_oneof![
        8 => any_pod(rename).prop_map(|object| Op::Put(Box::new(object))),
        3 => any_db_pod().prop_map(|object| Op::Put(Box::new(object))),
        6 => any_owner().prop_map(|object| Op::Put(Box::new(object))),
        4 => any::<prop::sample::Index>().prop_map(Op::Delete),
        2 => (resource(), prop::bool::ANY).prop_map(|(resource, reversed)| Op::Relist(resource, reversed)),
        1 => resource().prop_map(Op::Abandon),
        2 => (1..700_u32).prop_map(Op::Wait),
        3 => Just(Op::Look),
    ];
    prop::collection::vec(op, 1..60)
}

/// The objects in the cluster.
type Cluster = BTreeMap<(String, String), Value>;

fn identity(object: &Value) -> (String, String) {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    (text(&object["kind"]), text(&object["metadata"]["uid"]))
}

fn of(cluster: &Cluster, resource: Resource) -> Vec<&Value> {
    let kind = |object: &&Value| resource_of(object) == resource;
    cluster.values().filter(kind).collect()
}

fn live(ops: &[Op]) -> (World, Cluster) {
    let mut world = World::new();
    let mut cluster = Cluster::new();
    for op in ops {
        match op {
            Op::Put(object) => {
                // The API server has one object of a name at a time, so another uid means that the first was deleted.
                let name = object["metadata"]["name"].clone();
                let namesake = |other: &&Value| {
                    other["kind"] == object["kind"]
                        && other["metadata"]["name"] == name
                        && other["metadata"]["uid"] != object["metadata"]["uid"]
                };
                if let Some(before) = cluster.values().find(namesake).cloned() {
                    world.delete(&before);
                    cluster.remove(&identity(&before));
                }
                world.put(object);
                cluster.insert(identity(object), (**object).clone());
            }
            Op::Delete(index) => {
                if !cluster.is_empty() {
                    let key = index.get(&cluster.keys().cloned().collect::<Vec<_>>()).clone();
                    let object = cluster.remove(&key).expect("the object exists");
                    // Its pods are deleted first. If a ReplicaSet is deleted before its pods, their owner is remembered
                    // (row 35), which a fresh list cannot know.
                    let owner = &object["metadata"]["uid"];
                    let its_pod = |pod: &&Value| pod["metadata"]["ownerReferences"][0]["uid"] == *owner;
                    for pod in of(&cluster, Resource::Pods).into_iter().filter(its_pod).cloned().collect::<Vec<_>>() {
                        world.delete(&pod);
                        cluster.remove(&identity(&pod));
                    }
                    world.delete(&object);
                }
            }
            Op::Relist(resource, reversed) => {
                let mut objects = of(&cluster, *resource);
                if *reversed {
                    objects.reverse();
                }
                world.list(*resource, &objects);
            }
            Op::Abandon(resource) => {
                world.begin(*resource);
                for object in of(&cluster, *resource).into_iter().take(2) {
                    world.item(object);
                }
                let now = world.moment();
                world.inventory.abandon_relist(source(*resource), now);
            }
            Op::Wait(seconds) => drop(world.wait(*seconds)),
            Op::Look => drop(world.look()),
        }
    }
    (world, cluster)
}

fn fresh(cluster: &Cluster, now: u32, reversed: bool) -> World {
    let mut world = World::unsynced(Settings::default());
    world.now = now;
    let mut resources = Resource::ALL;
    if reversed {
        resources.reverse();
    }
    for resource in resources {
        let objects = of(cluster, resource);
        // A list that is interrupted, and one that never ends, leave nothing behind.
        world.begin(resource);
        for object in objects.iter().rev().take(3) {
            world.item(object);
            let name = format!("{}-gone", object["metadata"]["name"]);
            world.item(&(*object).clone().with("/metadata/uid", name.clone()).with("/metadata/name", name));
        }
        if reversed {
            let now = world.moment();
            world.inventory.abandon_relist(source(resource), now);
            assert_eq!(world.inventory.objects(resource), 0);
        }
        world.list(resource, &objects);
    }
    world
}

/// The live and the fresh world, once every owner that will appear has appeared.
fn both(ops: &[Op], reversed: bool) -> (World, World) {
    let (mut live, cluster) = live(ops);
    let mut fresh = fresh(&cluster, live.now, reversed);
    live.look();
    fresh.look();
    live.wait(31).look();
    fresh.wait(31).look();
    (live, fresh)
}

/// Checks and removes everything in a report that memory may add.
fn ages_are_at_least(live: &mut WorkloadReport, fresh: &WorkloadReport) {
    let fresh_type = &*fresh.workload.workload_type;
    // Only a podskew that saw the completion of a StatefulSet's rollout knows it for sure.
    let is_complete = |report: &WorkloadReport| report.rollout.map(|rollout| rollout.state == RolloutState::Complete);
    if fresh_type == "statefulset" && is_complete(live) != is_complete(fresh) {
        assert_eq!((live.outdated_pods, live.distinct_hashes.min(1)), (Some(0), fresh.distinct_hashes));
        live.rollout = fresh.rollout;
        live.blocking_pod = fresh.blocking_pod;
        live.blocking.clone_from(&fresh.blocking);
        live.blocked.clone_from(&fresh.blocked);
        live.rollback_target.clone_from(&fresh.rollback_target);
    }
    if let (Some(live), Some(fresh)) = (&mut live.rollout, &fresh.rollout) {
        assert!(live.started <= fresh.started && live.started.is_some() == fresh.started.is_some());
        // A start that was seen is known.
        assert!(fresh.noticed || !live.noticed);
        (live.started, live.noticed) = (fresh.started, fresh.noticed);
        // A rollout that has been without progress for longer may be stalled already.
        if (live.state, fresh.state) == (RolloutState::Stalled, RolloutState::Progressing) {
            live.state = RolloutState::Progressing;
        }
        // A podskew that saw the undo of a stalled rollout knows that the reason is of the previous rollout.
        let deployment = fresh_type == "deployment";
        if deployment && (live.state, fresh.state) == (RolloutState::Progressing, RolloutState::Stalled) {
            live.state = RolloutState::Stalled;
        }
    }
    for (live, fresh) in live.containers.iter_mut().zip(&fresh.containers) {
        for (live, fresh) in live.by_hash.iter_mut().zip(&fresh.by_hash) {
            assert!(live.skewed_since <= fresh.skewed_since);
            live.skewed_since = fresh.skewed_since;
        }
    }
    // The start of a hash's pods is remembered, even if its first pods were replaced.
    assert!(live.mixed_since <= fresh.mixed_since && live.mixed_since.is_some() == fresh.mixed_since.is_some());
    live.mixed_since = fresh.mixed_since;
    live.changes_at = fresh.changes_at;
    // The end of a rollout is counted when it happens. The duration of the last one is known for good, once it is known.
    assert!(fresh.rollouts.is_none_or(|counts| counts == RolloutCounts::default()));
    assert_eq!(live.rollouts.is_some(), fresh.rollouts.is_some());
    live.rollouts = fresh.rollouts;
    if let Some(known) = fresh.last_rollout {
        let last = live.last_rollout.expect("known to a fresh one");
        assert_eq!(
            (last.completed, known.duration.or(last.duration), known.held),
            (known.completed, last.duration, None)
        );
    }
    live.last_rollout = fresh.last_rollout;
    // A template without pods may have been seen Ready before. What is Ready now is known to both.
    if live.rollback_target != fresh.rollback_target {
        let no_pod_of_it = |target: &RollbackTarget| target.ready_pods == 0;
        assert!(live.rollback_target.as_ref().is_some_and(no_pod_of_it), "{:?}", live.rollback_target);
        assert!(fresh.rollback_target.as_ref().is_none_or(no_pod_of_it), "{:?}", fresh.rollback_target);
        live.rollback_target.clone_from(&fresh.rollback_target);
    }
}

/// This number of histories, or `PROPTEST_CASES`.
fn histories(cases: u32) -> ProptestConfig {
    let config = ProptestConfig::default();
    if std::env::var_os("PROPTEST_CASES").is_some() { config } else { ProptestConfig { cases, ..config } }
}

proptest! {
    #![proptest_config(histories(200))]

    #[test]
    fn any_history_ends_like_a_fresh_list(ops in ops(false), reversed: bool) {
        let (mut live, mut fresh) = both(&ops, reversed);
        prop_assert_eq!(live.workloads(), fresh.workloads());
        prop_assert_eq!(&live.awaiting, &fresh.awaiting);
        for workload in fresh.workloads() {
            let mut said = live.report(&workload).clone();
            let expected = fresh.report(&workload).clone();
            ages_are_at_least(&mut said, &expected);
            prop_assert_eq!(said, expected);
        }
        for resource in Resource::ALL {
            prop_assert_eq!(live.inventory.objects(resource), fresh.inventory.objects(resource), "{}", resource);
        }
    }

    #[test]
    fn a_known_digest_of_a_running_container_stays(ops in ops(true), reversed: bool) {
        let (mut live, mut fresh) = both(&ops, reversed);
        prop_assert_eq!(live.workloads(), fresh.workloads());
        for workload in fresh.workloads() {
            let (said, expected) = (live.report(&workload).clone(), fresh.report(&workload));
            for (said, expected) in said.containers.iter().zip(&expected.containers) {
                prop_assert_eq!(said.not_started, expected.not_started);
            }
            prop_assert_eq!(&said.hashes, &expected.hashes);
            prop_assert_eq!(said.pods, expected.pods.clone());
        }
    }

    #[test]
    fn when_everything_is_gone_nothing_is_left(ops in ops(true)) {
        let (mut live, cluster) = live(&ops);
        for object in cluster.values() {
            live.delete(object);
        }
        live.wait(60);
        prop_assert_eq!(live.workloads(), Vec::<String>::new());
        prop_assert_eq!(&live.awaiting, &Vec::new());
        for resource in Resource::ALL {
            prop_assert_eq!(live.inventory.objects(resource), 0);
        }
        prop_assert_eq!(live.inventory.held(), 0, "a node or a workload is left");
    }
}

/// The ops with reports at other times: every `every` seconds, or never.
fn looked_at(ops: &[Op], every: Option<u32>) -> World {
    let mut elapsed = 0;
    let mut timed = Vec::new();
    for op in ops {
        match op {
            Op::Look => {}
            Op::Wait(seconds) => {
                for _ in 0..*seconds {
                    timed.push(Op::Wait(1));
                    elapsed += 1;
                    if every.is_some_and(|every| elapsed % every == 0) {
                        timed.push(Op::Look);
                    }
                }
            }
            other => timed.push(other.clone()),
        }
    }
    live(&timed).0
}

/// The same objects with new uids.
fn made_again(cluster: &Cluster) -> Vec<Value> {
    let other = |uid: &mut Value| *uid = format!("{}-again", uid.as_str().expect("a uid")).into();
    let again = |object: &Value| {
        let mut object = object.clone();
        other(&mut object["metadata"]["uid"]);
        let owners = object["metadata"]["ownerReferences"].as_array_mut();
        owners.into_iter().flatten().for_each(|owner| other(&mut owner["uid"]));
        let statuses = object["status"]["containerStatuses"].as_array_mut();
        statuses.into_iter().flatten().for_each(|status| other(&mut status["containerID"]));
        object
    };
    cluster.values().map(again).collect()
}

proptest! {
    #![proptest_config(histories(100))]

    /// The times of scrapes do not matter: memory depends only on events.
    #[test]
    fn memory_does_not_depend_on_the_time_of_reports(ops in ops(true)) {
        let mut worlds: Vec<World> =
            [Some(1), Some(15), Some(60), None].iter().map(|every| looked_at(&ops, *every)).collect();
        let expected = worlds[0].everything();
        for world in &mut worlds[1..] {
            prop_assert_eq!(&world.everything(), &expected);
        }
    }

    /// Row 51: objects that were recreated with their names are reported as by a podskew that starts now. The watches are
    /// not ordered among each other, and the old objects are deleted before the new ones are created, or with them.
    #[test]
    fn nothing_that_is_remembered_survives_a_new_uid(
        ops in ops(true),
        resources in Just(Resource::ALL.to_vec()).prop_shuffle(),
        gone_first: bool,
    ) {
        let (mut world, cluster) = live(&ops);
        let objects = made_again(&cluster);
        if gone_first {
            for resource in &resources {
                for before in of(&cluster, *resource) {
                    world.delete(before);
                }
            }
        }
        for resource in &resources {
            let of_resource = objects.iter().filter(|object| resource_of(object) == *resource);
            world.list(*resource, &of_resource.collect::<Vec<_>>());
        }
        let mut fresh = World::unsynced(Settings::default());
        fresh.now = world.now;
        fresh.list_all(&objects.iter().collect::<Vec<_>>());
        prop_assert_eq!(world.everything(), fresh.everything());
        prop_assert_eq!(world.wait(31).everything(), fresh.wait(31).everything());
    }

    /// Neither scaling, nor readiness, nor pods that replace others of their template change the last rollout. No duration
    /// is negative, and none is shorter than the time held.
    #[test]
    fn the_duration_of_a_rollout_never_changes(
        ops in ops(false),
        noise in prop::collection::vec((0..4_u32, any::<prop::sample::Index>(), 0..9_u32), 1..12),
    ) {
        let (mut world, mut cluster) = live(&ops);
        world.look();
        world.wait(31).look();
        let expected = complete(&mut world);
        for (kind, index, number) in noise {
            let resource = if kind == 0 { Resource::Deployments } else { Resource::Pods };
            let objects: Vec<Value> = of(&cluster, resource).into_iter().cloned().collect();
            if objects.is_empty() {
                continue;
            }
            let object = index.get(&objects).clone();
            world.wait(number);
            let now = at(i64::from(world.now - START));
            let changed = match kind {
                0 => object
                    .with("/spec/replicas", number)
                    .with("/metadata/generation", 7 + number)
                    .with("/status/observedGeneration", 7 + number),
                1 => object.unready(),
                _ => {
                    world.delete(&object);
                    cluster.remove(&identity(&object));
                    let other = format!("{}-{number}", object["metadata"]["uid"].as_str().expect("a uid"));
                    // A replaced pod of a StatefulSet has the same name.
                    let is_set = object["metadata"]["ownerReferences"][0]["kind"] == "StatefulSet";
                    let name = if is_set { object["metadata"]["name"].clone() } else { json!(other) };
                    object.with("/metadata/name", name).with("/metadata/uid", other).with("/metadata/creationTimestamp", now)
                }
            };
            world.put(&changed);
            cluster.insert(identity(&changed), changed);
            let said = complete(&mut world);
            // If the newest template cannot be read, its completion may be unknown again.
            for (workload, last) in said {
                prop_assert!(expected.get(&workload).is_none_or(|known| *known == last), "{workload} after {kind}: {last:?}");
            }
        }
    }
}

/// The last rollout of every workload whose rollout is complete.
fn complete(world: &mut World) -> BTreeMap<String, Option<LastRollout>> {
    let now = world.moment();
    let mut complete = BTreeMap::new();
    for workload in world.workloads() {
        let report = world.report(&workload);
        if let Some(LastRollout { completed, duration: Some(duration), held }) = report.last_rollout {
            assert!(completed <= now && duration < 1_000_000, "{workload}: {:?}", report.last_rollout);
            assert!(held.is_none_or(|held| held <= duration), "{workload}: {:?}", report.last_rollout);
        }
        if report.rollout.is_some_and(|rollout| rollout.state == RolloutState::Complete) {
            complete.insert(workload, report.last_rollout);
        }
    }
    complete
}
