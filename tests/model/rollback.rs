//! Rollback targets, the pod that a StatefulSet waits for, and which of two digests is newer (rows 1, 53 and 54).
#![allow(clippy::unwrap_used, clippy::panic, clippy::needless_pass_by_value, missing_docs, reason = "tests")]

use crate::common::world::*;
use podskew::advice::{Finding, remedy};
use podskew::report::WorkloadReport;
use serde_json::{Value, json};

/// The revision to go back to, and how many of its pods are Ready.
fn target(report: &WorkloadReport) -> Option<(u64, u32)> {
    report.rollback_target.as_ref().map(|target| (target.revision, target.ready_pods))
}

fn blocking(report: &WorkloadReport) -> Option<String> {
    report.blocking_pod.map(|at| report.pods[at as usize].pod.to_string())
}

#[track_caller]
fn advice(world: &mut World, workload: &str, finding: Finding) -> Vec<String> {
    let report = world.report(workload);
    let remedy = remedy(report, finding);
    // It has only the command for the rollback.
    assert!(!remedy.action.to_string().is_empty());
    remedy.action.commands
}

fn stuck(image: &str) -> Value {
    reason(deployment(image), "ProgressDeadlineExceeded", -20)
}

#[test]
fn row_53_a_template_that_never_ran_is_not_a_rollback_target() {
    let mut world = World::new();
    let first = replica_set("h1", "web:1", 1, -4000);
    world.put(&stuck("web:1")).put(&first).put(&pod("p1").pending());
    assert_eq!(target(world.report("deployment/web")), None, "a first rollout");
    assert_eq!(advice(&mut world, "deployment/web", Finding::Stalled), [""; 0]);
    // A second one, while pods of the first still exist and are not Ready.
    world.put(&stuck("web:2")).put(&replica_set("h2", "web:2", 2, -100)).put(&pod("p2").hash("h2").pending());
    assert_eq!(target(world.report("deployment/web")), None);
    assert_eq!(advice(&mut world, "deployment/web", Finding::Stalled), [""; 0]);
    // One Ready pod is sufficient, now or earlier.
    world.put(&pod("p1"));
    assert_eq!(target(world.report("deployment/web")), Some((1, 1)));
    let undo = "kubectl -n shop rollout undo deployment/web --to-revision=1";
    assert_eq!(advice(&mut world, "deployment/web", Finding::Stalled), [undo]);
    world.put(&pod("p1").unready());
    assert_eq!(target(world.report("deployment/web")), Some((1, 0)));
    world.delete(&pod("p1"));
    assert_eq!(target(world.report("deployment/web")), Some((1, 0)), "it is remembered");
    world.put(&first.clone().with("/spec/replicas", 0));
    assert_eq!(target(world.report("deployment/web")), Some((1, 0)), "as long as it is there");
    world.delete(&first);
    assert_eq!(target(world.report("deployment/web")), None);
}

/// The order of events and the duration do not matter, and a relist forgets nothing.
#[test]
fn readiness_is_remembered_in_any_order_of_events() {
    let (first, second) = (replica_set("h1", "web:1", 1, -4000), replica_set("h2", "web:2", 2, -100));
    let mut world = World::new();
    world.put(&pod("p1")).put(&first).put(&second).put(&stuck("web:2")).delete(&pod("p1"));
    assert_eq!(target(world.report("deployment/web")), Some((1, 0)), "a pod before its ReplicaSet");
    let new = pod("p2").hash("h2").pending();
    world.list_all(&[&stuck("web:2"), &first, &second, &new]);
    assert_eq!(target(world.report("deployment/web")), Some((1, 0)), "listed again");
    // The same for the revisions of a StatefulSet.
    let mut world = World::new();
    let ready = db_pod(0, "db-old", &image_id('a'));
    let set = stateful_set(json!({"type": "RollingUpdate"}));
    world.put(&ready).put(&set);
    world.put(&revision("StatefulSet", "db", "db-old", "db:1", 1, -5000));
    world.put(&revision("StatefulSet", "db", "db-new", "db:2", 2, -100));
    world.put(&db_pod(1, "db-new", "").created(-90).pending());
    assert_eq!(target(world.report("statefulset/db")), Some((1, 1)));
    world.put(&ready.unready());
    assert_eq!(target(world.report("statefulset/db")), Some((1, 0)));
    // An object that was recreated with its name is another one.
    world.delete(&set).put(&set.with("/metadata/uid", "another").with("/metadata/creationTimestamp", at(1)));
    assert_eq!(target(world.report("statefulset/db")), None);
}

#[test]
fn the_revision_whose_pods_serve_comes_before_one_that_only_served() {
    let mut world = World::new();
    world.put(&replica_set("h1", "web:1", 1, -4000)).put(&replica_set("h3", "web:3", 3, -2000));
    world.put(&pod("p3").hash("h3")).delete(&pod("p3")).put(&pod("p1")).put(&pod("p2"));
    world.put(&stuck("web:4")).put(&replica_set("h4", "web:4", 4, -100)).put(&pod("p4").hash("h4").pending());
    assert_eq!(target(world.report("deployment/web")), Some((1, 2)));
    world.delete(&pod("p1")).delete(&pod("p2"));
    assert_eq!(target(world.report("deployment/web")), Some((3, 0)), "and then the newest");
    // kubectl refuses to undo a paused rollout.
    world.put(&stuck("web:4").with("/spec/paused", true));
    assert_eq!(target(world.report("deployment/web")), None);
    // There is no rollout in progress, so there is nothing to roll back.
    world.put(&reason(deployment("web:4"), "NewReplicaSetAvailable", -5));
    assert_eq!(target(world.report("deployment/web")), None);
}

/// `status.currentRevision` and `status.stableRS` have the first template before any of its pods ran.
#[test]
fn a_revision_that_completed_is_good_unless_it_is_the_first() {
    let pods = [db_pod(0, "db-old", "").pending(), db_pod(1, "db-new", "").created(-90).pending()];
    let set = stateful_set(json!({"type": "RollingUpdate"}));
    let revision = |name, number, created| revision("StatefulSet", "db", name, name, number, created);
    let (old, current) = (revision("db-old", 1, -5000), revision("db-new", 2, -100));
    let mut world = World::listed(&[&set, &old, &current, &pods[0], &pods[1]]);
    assert_eq!(target(world.report("statefulset/db")), None, "it may be named from the beginning");
    let older = revision("db-older", 0, -6000);
    let mut world = World::listed(&[&set, &older, &old, &current, &pods[0], &pods[1]]);
    assert_eq!(target(world.report("statefulset/db")), Some((1, 0)), "it was promoted");

    let rollout = |conditions: Value| {
        json!({"kind": "Rollout",
            "metadata": {"name": "web", "namespace": "shop", "uid": "Rollout-web", "creationTimestamp": at(-5000)},
            "spec": {"replicas": 2, "template": template("web:2"), "strategy": {"canary": {}}},
            "status": {"phase": "Degraded", "currentPodHash": "h2", "stableRS": "h1", "conditions": conditions}})
    };
    let set = |hash: &str, revision: &str, created| {
        replica_set(hash, hash, 0, created)
            .with("/metadata/labels", json!({"rollouts-pod-template-hash": hash}))
            .with("/metadata/annotations", json!({"rollout.argoproj.io/revision": revision}))
            .with("/metadata/ownerReferences/0", owner("argoproj.io/v1alpha1", "Rollout", "web"))
    };
    let pod = pod("new").hash("h2").with("/metadata/labels", json!({"rollouts-pod-template-hash": "h2"})).pending();
    let progressing = json!({"type": "Progressing", "status": "False"});
    let healthy = json!({"type": "Healthy", "status": "False"});
    let sets = [set("h1", "1", -4000), set("h2", "2", -100), set("h0", "0", -6000)];
    let never = rollout(json!([progressing.clone()]));
    let mut world = World::listed(&[&never, &sets[0], &sets[1], &pod]);
    assert_eq!(target(world.report("rollout/web")), None, "a Rollout's first revision");
    assert_eq!(advice(&mut world, "rollout/web", Finding::Stalled), [""; 0]);
    let mut world = World::listed(&[&rollout(json!([progressing, healthy])), &sets[0], &sets[1], &pod]);
    assert_eq!(target(world.report("rollout/web")), Some((1, 0)), "it was Healthy once");
    let undo = "kubectl argo rollouts -n shop undo web --to-revision=1";
    assert_eq!(advice(&mut world, "rollout/web", Finding::Stalled), [undo]);
    let mut world = World::listed(&[&never, &sets[0], &sets[1], &sets[2], &pod]);
    assert_eq!(target(world.report("rollout/web")), Some((1, 0)), "it was promoted");
    // The command changes the Deployment that `workloadRef` refers to.
    let referring = never.with("/spec/workloadRef", json!({"kind": "Deployment", "name": "web-template"}));
    let mut world = World::listed(&[&referring, &sets[0], &sets[1], &sets[2], &pod]);
    assert_eq!(advice(&mut world, "rollout/web", Finding::Stalled), [undo]);
}

/// A StatefulSet with three replicas, whose `db-2` is stuck.
fn hanging(set: &Value) -> World {
    let revision = |name, number, created| revision("StatefulSet", "db", name, name, number, created);
    World::listed(&[
        set,
        &revision("db-old", 1, -5000),
        &revision("db-new", 2, -100),
        &db_pod(0, "db-old", &image_id('a')),
        &db_pod(1, "db-old", &image_id('a')),
        &db_pod(2, "db-new", "").created(-90).pending(),
    ])
}

#[test]
fn row_54_the_pod_that_a_statefulset_waits_for_is_named() {
    let set = stateful_set(json!({"type": "RollingUpdate"}));
    // The pod has the wanted template: after an undo it has to be deleted.
    let mut world = hanging(&set);
    assert_eq!(blocking(world.report("statefulset/db")).as_deref(), Some("db-2"));
    let undo = "kubectl -n shop rollout undo statefulset/db --to-revision=1";
    assert_eq!(advice(&mut world, "statefulset/db", Finding::UnderWay), [undo, "kubectl -n shop delete pod db-2"]);
    // The pod does not have the wanted template any more: deleting it continues the rollout.
    let reverted = set.clone().with("/status/updateRevision", "db-old");
    let mut world = hanging(&reverted);
    world.put(&revision("StatefulSet", "db", "db-old", "db-old", 3, -5000));
    assert_eq!(blocking(world.report("statefulset/db")).as_deref(), Some("db-2"));
    assert_eq!(advice(&mut world, "statefulset/db", Finding::UnderWay), ["kubectl -n shop delete pod db-2"]);
    world.put(&db_pod(2, "db-old", &image_id('a')).with("/metadata/uid", "again"));
    world.delete(&db_pod(2, "db-new", ""));
    assert_eq!(blocking(world.report("statefulset/db")), None);

    // The report names the first of several such pods, and none that is terminating or missing.
    let mut world = hanging(&reverted);
    world.put(&db_pod(1, "db-old", "").pending());
    assert_eq!(blocking(world.report("statefulset/db")).as_deref(), Some("db-1"));
    world.put(&db_pod(1, "db-old", "").pending().terminating());
    assert_eq!(blocking(world.report("statefulset/db")), None);
    world.delete(&db_pod(1, "db-old", ""));
    assert_eq!(blocking(world.report("statefulset/db")), None);
    // Parallel waits for no pod, and OnDelete replaces none.
    let mut world = hanging(&reverted.clone().with("/spec/podManagementPolicy", "Parallel"));
    assert_eq!(blocking(world.report("statefulset/db")), None);
    let mut world = hanging(&reverted.with("/spec/updateStrategy", json!({"type": "OnDelete"})));
    assert_eq!(blocking(world.report("statefulset/db")), None);
    // The older template is wanted below the partition.
    let split = set.with("/spec/updateStrategy", json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}));
    let mut world = hanging(&split);
    world.put(&db_pod(0, "db-old", "").pending());
    assert_eq!(blocking(world.report("statefulset/db")), None);
    // With another first ordinal.
    let mut world =
        hanging(&stateful_set(json!({"type": "RollingUpdate"})).with("/spec/ordinals", json!({"start": 1})));
    world.delete(&db_pod(0, "db-old", ""));
    assert_eq!(blocking(world.report("statefulset/db")).as_deref(), Some("db-2"));
}

#[test]
fn row_01_the_newer_digest_is_reported_if_ages_do_not_overlap() {
    let newest = |pods: &[Value]| {
        let mut world = World::new();
        world.put(&deployment("web:1")).put(&replica_set("h1", "web:1", 1, -4000));
        for pod in pods {
            world.put(pod);
        }
        let of_hash = &world.report("deployment/web").containers[0].by_hash[0];
        of_hash.newest_digest.as_ref().map(|digest| digest[7..8].to_owned())
    };
    let of =
        |name: &str, letter, created, started| pod(name).image_id(&image_id(letter)).created(created).started(started);
    let (a1, a2) = (of("a1", 'a', -900, -890), of("a2", 'a', -800, -790));
    assert_eq!(newest(&[a1.clone(), a2.clone(), of("b1", 'b', -700, -690)]).as_deref(), Some("b"));
    assert_eq!(newest(&[a1.clone(), a2.clone()]), None, "there is only one");
    assert_eq!(newest(&[a1.clone(), a2.clone(), of("b1", 'b', -850, -690)]), None, "they overlap");
    // A restart pulls the image again, so the age of the first pods means nothing any more.
    assert_eq!(newest(&[of("a1", 'a', -900, -600), of("b1", 'b', -700, -690)]), None);
    let crashing = a1.clone().with("/status/containerStatuses/0/state", json!({"waiting": {}}));
    assert_eq!(newest(&[crashing, of("b1", 'b', -700, -690)]), None, "a crashing container means nothing either");
    assert_eq!(newest(&[a1.clone(), of("b1", 'b', -890, -880)]), None, "at the same time");
    let third = [a1, of("b1", 'b', -700, -690), of("c1", 'c', -500, -490)];
    assert_eq!(newest(&third).as_deref(), Some("c"));
    let without = a2.with("/metadata/creationTimestamp", Value::Null);
    assert_eq!(newest(&[of("b1", 'b', -900, -890), without]), None, "of unknown age");
}
