//! What podskew reports without access to a resource, or to all namespaces except some.
#![allow(clippy::unwrap_used, clippy::panic, clippy::float_cmp, reason = "tests")]

use crate::common::exporter::{Exporter, Look, fill, fill_from, quick, simulator};
use crate::common::running::Running;
use podskew::telemetry::FailureReason;
use podskew::watch::Timings;
use serde_json::json;
use simulator::Resource;
use simulator::{Fault, Simulator};
use std::time::Duration;

async fn cluster() -> Simulator {
    let simulator = simulator().await;
    fill(simulator.store());
    simulator
}

/// `type/name` of every workload that has series.
fn workloads(look: &Look) -> Vec<String> {
    let named = look.view().workloads().into_iter();
    named.map(|named| format!("{}/{}/{}", named.namespace, named.workload_type, named.workload)).collect()
}

const EVERYTHING: [&str; 6] = [
    "daemonset/daemonset/agent",
    "daemonset/daemonset/cni",
    "digest-skew/deployment/web",
    "paused/deployment/api",
    "statefulset-partition/statefulset/db",
    "stuck/deployment/api",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forbidden_resource_stops_no_other_and_is_listed_once_granted() {
    for resource in [Resource::StatefulSets, Resource::DaemonSets, Resource::ControllerRevisions, Resource::Rollouts] {
        let simulator = cluster().await;
        simulator.inject(Some(resource), Fault::Status(403));
        let exporter = Exporter::start(&simulator).await;
        let look = exporter.until("the initial sync", |look| look.complete).await;
        // The pods name their owners, and the ReplicaSets theirs.
        assert_eq!(workloads(&look), EVERYTHING, "{resource}");
        assert!(!exporter.synced(resource), "{resource}");
        assert!(exporter.failures(resource, FailureReason::Forbidden) > 0, "{resource}");
        let others = exporter.troubles().into_iter().find(|trouble| !trouble.starts_with(resource.plural()));
        assert_eq!(others, None, "{resource}");
        simulator.clear_faults();
        exporter.until_it_agrees_with_a_fresh_one(&simulator).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_deployments_forbidden_their_names_are_still_known_and_their_states_are_not() {
    let simulator = cluster().await;
    simulator.inject(Some(Resource::Deployments), Fault::Status(403));
    let exporter = Exporter::start(&simulator).await;
    let look = exporter.until("the initial sync", |look| look.complete).await;
    assert_eq!(workloads(&look), EVERYTHING);
    for family in ["podskew_rollout_state", "podskew_outdated_pods", "podskew_image_reference_info"] {
        assert!(look.parsed.series(family, &[("workload_type", "deployment")]).is_empty(), "{family}");
        assert!(!look.parsed.series(family, &[("workload_type", "statefulset")]).is_empty(), "{family}");
    }
    let skew = look.parsed.series("podskew_distinct_digests_per_deployment", &[("namespace", "digest-skew")]);
    assert_eq!(skew[0].1, 2.0);
    simulator.clear_faults();
    exporter.until_it_agrees_with_a_fresh_one(&simulator).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_replica_sets_deployments_are_not_reported_and_nothing_is_renamed() {
    let simulator = cluster().await;
    simulator.inject(Some(Resource::ReplicaSets), Fault::Status(403));
    let exporter = Exporter::start(&simulator).await;
    let look = exporter.until("the initial sync", |look| look.complete).await;
    let expected = ["daemonset/daemonset/agent", "daemonset/daemonset/cni", "statefulset-partition/statefulset/db"];
    assert_eq!(workloads(&look), expected);
    assert!(look.parsed.series("podskew_distinct_digests_per_deployment", &[]).is_empty());
    assert!(look.parsed.series("podskew_pods_awaiting_owner", &[]).is_empty());
    simulator.clear_faults();
    let look = exporter.until_it_agrees_with_a_fresh_one(&simulator).await;
    assert_eq!(workloads(&look), EVERYTHING);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_permanently_revoked_resource_is_given_up() {
    let simulator = cluster().await;
    let timings = Timings { refusal_grace: Duration::from_secs(2), ..quick() };
    let exporter = Exporter::start_with(&simulator, &[], timings).await;
    assert_eq!(workloads(&exporter.until_synced().await), EVERYTHING);
    simulator.inject(Some(Resource::Pods), Fault::Status(403));
    simulator.cut_connections();
    // Without pods nothing can be reported, not even a part.
    let look = exporter.until("nothing", |look| !look.complete).await;
    assert_eq!(workloads(&look), Vec::<String>::new());
    simulator.clear_faults();
    exporter.until_it_agrees_with_a_fresh_one(&simulator).await;

    simulator.inject(Some(Resource::ReplicaSets), Fault::Status(403));
    simulator.cut_connections();
    exporter.until("no Deployment", |look| workloads(look).len() == 3).await;
    simulator.clear_faults();
    let look = exporter.until_it_agrees_with_a_fresh_one(&simulator).await;
    assert_eq!(workloads(&look), EVERYTHING);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rollouts_are_picked_up_when_their_definition_is_installed_and_given_up_when_it_is_removed() {
    let simulator = cluster().await;
    let timings = Timings { refusal_grace: Duration::from_millis(300), ..quick() };
    let exporter = Exporter::start_with(&simulator, &[], timings).await;
    let look = exporter.until_synced().await;
    assert!(exporter.troubles().is_empty(), "{:?}", exporter.troubles());
    assert_eq!(workloads(&look), EVERYTHING);

    simulator.set_rollouts_served(true);
    let rollout = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
        "metadata": {"name": "shop", "namespace": "argo", "uid": "rollout-shop", "generation": 1},
        "spec": {"replicas": 0, "strategy": {"canary": {}}, "template": {"spec": {"containers": []}}},
        "status": {"phase": "Healthy", "currentPodHash": "abc", "stableRS": "abc", "observedGeneration": "1"}
    });
    simulator.store().put(Resource::Rollouts, rollout);
    exporter.until("the Rollout", |look| workloads(look).contains(&"argo/rollout/shop".to_owned())).await;
    exporter.until_it_agrees_with_a_fresh_one(&simulator).await;

    simulator.set_rollouts_served(false);
    exporter.until("no Rollout", |look| workloads(look) == EVERYTHING).await;
    exporter.until_it_agrees_with_a_fresh_one(&simulator).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_names_every_missing_rule_and_the_rest_is_served() {
    let simulator = cluster().await;
    for resource in [Resource::Deployments, Resource::ControllerRevisions] {
        simulator.inject(Some(resource), Fault::Status(403));
    }
    let podskew = Running::start(&simulator, &[]);
    podskew.until_ready().await;
    for resource in ["deployments", "controllerrevisions"] {
        let rule = format!(
            r#"a ClusterRole with {{apiGroups: ["apps"], resources: ["{resource}"], verbs: ["list", "watch"]}}"#
        );
        podskew.until_logged(&rule).await;
        assert_eq!(podskew.log().matches(&rule).count(), 1, "{}", podskew.log());
    }
    let scrape = podskew.scrape();
    assert_eq!(scrape.parsed.value("podskew_watch_synced", &[("resource", "deployments")]), Some(0.0));
    assert_eq!(scrape.parsed.value("podskew_watch_synced", &[("resource", "pods")]), Some(1.0));
    let forbidden = [("resource", "deployments"), ("reason", "forbidden")];
    assert!(scrape.parsed.value("podskew_watch_failures_total", &forbidden).unwrap() >= 1.0);
    assert_eq!(scrape.parsed.series("podskew_distinct_digests_per_deployment", &[]).len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_pods_it_is_not_ready_and_gives_the_reason() {
    let simulator = cluster().await;
    simulator.inject(Some(Resource::Pods), Fault::Status(403));
    let podskew = Running::start(&simulator, &[]);
    podskew
        .until_logged(r#"a ClusterRole with {apiGroups: [""], resources: ["pods"], verbs: ["list", "watch"]}"#)
        .await;
    // All other resources are listed.
    podskew
        .until("all but the pods", |scrape| {
            scrape.parsed.series("podskew_watch_synced", &[]).iter().filter(|(_, synced)| *synced == 1.0).count() == 7
        })
        .await;
    podskew
        .until_answered("/readyz", |status, body| status == 503 && body.contains("\nwaiting for pods: forbidden: "))
        .await;
    let scrape = podskew.scrape();
    assert!(scrape.has_only_own_metrics(), "{}", scrape.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_selected_namespaces_are_watched_with_namespaced_paths() {
    let simulator = cluster().await;
    let podskew = Running::start(&simulator, &["--namespace", "stuck", "--namespace", "statefulset-partition"]);
    podskew.until_ready().await;
    let scrape = podskew.scrape();
    let mut namespaces: Vec<&str> =
        scrape.parsed.samples.keys().filter_map(|(_, labels)| labels.get("namespace")).map(String::as_str).collect();
    namespaces.dedup();
    namespaces.sort_unstable();
    namespaces.dedup();
    assert_eq!(namespaces, ["statefulset-partition", "stuck"]);
    fill_from(simulator.store(), "paused");
    let store = simulator.store();
    let pod = store.list(Resource::Pods).into_iter().find(|pod| pod["metadata"]["namespace"] == "stuck").unwrap();
    store.delete(Resource::Pods, "stuck", pod["metadata"]["name"].as_str().unwrap());
    let pods = [("namespace", "stuck")];
    podskew.until("one pod less", |scrape| scrape.parsed.series("podskew_pod_info", &pods).len() == 4).await;
    for seen in simulator.requests() {
        let own =
            ["stuck", "statefulset-partition"].iter().any(|name| seen.path.contains(&format!("/namespaces/{name}/")));
        assert!(own, "{seen:?}");
    }
    assert_eq!(scrape.parsed.value("podskew_watch_synced", &[("resource", "pods")]), Some(1.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rule_that_is_missing_in_a_namespace_is_named_with_it() {
    let simulator = cluster().await;
    simulator.inject(Some(Resource::DaemonSets), Fault::Status(403));
    let podskew = Running::start(&simulator, &["--namespace", "stuck"]);
    podskew.until_ready().await;
    podskew.until_logged(r#"a Role in namespace stuck with {apiGroups: ["apps"], resources: ["daemonsets"]"#).await;
}
