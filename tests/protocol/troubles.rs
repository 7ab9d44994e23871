//! Problems caused by the simulator's controllers and kubelets: what a rollout waits for, and the remedy.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use crate::common::snapshot_options::snapshot_options;
use podskew::advice::{Finding, remedy};
use podskew::report::WorkloadReport;
use podskew::snapshot::{Namespaces, SnapshotSource, list_cluster};
use podskew::watch::{Connection, Timings as WatchTimings, connect};
use serde_json::{Value, json};
use simulator::{
    Controllers, ControllersConfig, Registry, Resource, Simulator, SimulatorConfig, Time, Timings, Trouble,
};
use std::time::{Duration, Instant};

/// Timeout for a problem to appear: many times the usual duration.
const TIMEOUT: Duration = Duration::from_secs(60);

struct Cluster {
    simulator: Simulator,
    registry: Registry,
    folder: tempfile::TempDir,
}

impl Cluster {
    async fn start(nodes: usize) -> Self {
        let simulator = Simulator::start(SimulatorConfig::default()).await.unwrap();
        let registry = Registry::with_everything();
        let folder = tempfile::tempdir().unwrap();
        simulator.write_kubeconfig(&folder.path().join("kubeconfig")).unwrap();
        let config = ControllersConfig {
            nodes: (0..nodes).map(|number| format!("node-{number}")).collect(),
            timings: Timings { creating: 0, ready: 0, back_off: 1, crash: 0, stop: 1 },
            registry: registry.clone(),
            webhooks: Vec::new(),
        };
        let mut controllers = Controllers::new(simulator.store().clone(), config, Time::now());
        tokio::spawn(async move { controllers.run().await });
        Self { simulator, registry, folder }
    }

    fn deploy(&self, name: &str, image: &str, replicas: u32) {
        let labels = json!({"app": name});
        let deployment = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"namespace": "shop", "name": name, "uid": name, "generation": 1,
                "creationTimestamp": Time::now().to_string()},
            "spec": {
                "replicas": replicas, "selector": {"matchLabels": labels}, "revisionHistoryLimit": 10,
                "progressDeadlineSeconds": 600,
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": [
                    {"name": "app", "image": image, "imagePullPolicy": "IfNotPresent"},
                ]}},
            },
        });
        self.simulator.store().put(Resource::Deployments, deployment);
    }

    async fn report(&self, name: &str) -> Option<WorkloadReport> {
        let kubeconfig = Some(self.folder.path().join("kubeconfig"));
        let connected = connect(&Connection { kubeconfig, context: None }).await.unwrap();
        let place = SnapshotSource::Cluster { connection: Connection::default(), namespaces: Namespaces::All };
        let mut options = snapshot_options(place);
        options.settings.messages = true;
        let looked = list_cluster(&connected, &["shop".to_owned()], &options, None, WatchTimings::for_snapshot()).await;
        let mut found = None;
        looked.unwrap().reports(&mut |report| {
            if *report.workload.name == *name {
                found = Some(report);
            }
        });
        found
    }

    /// Waits until the rollout waits only for this, and returns the remedy.
    async fn waits_for(&self, name: &str, waits: &str) -> String {
        let begun = Instant::now();
        loop {
            let report = self.report(name).await;
            let said = report.as_ref().and_then(WorkloadReport::what_waits);
            if said.as_deref() == Some(waits) {
                return remedy(&report.unwrap(), Finding::Stalled).to_string();
            }
            let pods = || Value::from(self.simulator.store().list(Resource::Pods)).to_string();
            assert!(begun.elapsed() < TIMEOUT, "{name} waits for {said:?}, not for {waits:?}: {}", pods());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollout_waits_for_what_kubelets_report() {
    let cluster = Cluster::start(2).await;
    cluster.registry.remove("r.example/shop/missing:1");
    cluster.registry.set_trouble("r.example/shop/crashes:1", Some(Trouble::Crashes));
    cluster.registry.set_trouble("r.example/shop/unready:1", Some(Trouble::NeverReady));
    for name in ["missing", "crashes", "unready"] {
        cluster.deploy(name, &format!("r.example/shop/{name}:1"), 2);
    }
    let missing = cluster.waits_for("missing", "2 pods wait: ImagePullBackOff (r.example/shop/missing:1)").await;
    assert!(missing.contains("\nDo: push r.example/shop/missing:1, or correct its name"), "{missing}");
    let crashes = cluster.waits_for("crashes", "2 pods wait: CrashLoopBackOff").await;
    assert!(crashes.contains("\nDo: fix what ends container app repeatedly\n"), "{crashes}");
    assert!(crashes.contains(" -c app --previous shows its output."), "{crashes}");
    let unready = cluster.waits_for("unready", "2 pods wait: not ready").await;
    assert!(unready.contains("\nDo: make container app pass its readiness probe\n"), "{unready}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_pods_are_named_with_the_quota() {
    let cluster = Cluster::start(2).await;
    cluster.simulator.store().limit_pods(3);
    cluster.deploy("web", "r.example/shop/web:1", 5);
    let refused = cluster.waits_for("web", "2 pods of 5 wait: FailedCreate").await;
    assert!(refused.contains("\nDo: raise quota simulated-cluster of the namespace"), "{refused}");
    assert!(refused.starts_with("Look: kubectl -n shop describe replicasets -l pod-template-hash="), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_without_a_node_is_unschedulable() {
    let cluster = Cluster::start(0).await;
    cluster.deploy("web", "r.example/shop/web:1", 1);
    let lost = cluster.waits_for("web", "1 pod waits: Unschedulable").await;
    assert!(lost.contains("shows what each node lacks."), "{lost}");
}
