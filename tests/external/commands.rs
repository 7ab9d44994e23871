//! Every command that podskew prints, run by kubectl and by Argo Rollouts' plugin with the simulator: it is accepted, and
//! has the promised effect.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use crate::common;
use crate::common::commands::shape;
use crate::common::demo::Demo;
use crate::common::snapshot_options::snapshot_options;
use crate::needs::{Test, tests};
use crate::programs;
use podskew::advice::{Finding, Remedy, remedy};
use podskew::inventory::Settings;
use podskew::report::WorkloadReport;
use podskew::snapshot::{Namespaces, SnapshotOptions, SnapshotSource, list_cluster};
use podskew::watch::{Connection, Timings as WatchTimings, connect};
use serde_json::{Value, json};
use simulator::{
    Controllers, ControllersConfig, DemoConfig, Registry, Resource, Simulator, SimulatorConfig, Store, Time, Timings,
    Trouble, Webhook,
};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

const NODES: usize = 6;

/// Timeout for a promised effect: many times the usual duration.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Maximum time until the controllers see a change.
const SETTLING: Duration = Duration::from_secs(3);

/// The shapes of the commands that were run here, by all tests.
#[derive(Clone, Default)]
struct Shapes(Arc<Mutex<BTreeSet<String>>>);

/// A cluster with controllers and kubelets, a folder with its kubeconfig, and a namespace for each scene.
struct Cluster {
    simulator: Simulator,
    registry: Registry,
    folder: tempfile::TempDir,
    shapes: Shapes,
}

/// A namespace of the cluster.
struct Scene<'a> {
    cluster: &'a Cluster,
    namespace: &'static str,
}

impl Cluster {
    async fn start(shapes: &Shapes) -> Self {
        let config = SimulatorConfig { rollouts_served: true, ..SimulatorConfig::default() };
        let simulator = Simulator::start(config).await.unwrap();
        let registry = Registry::with_everything();
        let folder = tempfile::tempdir().unwrap();
        simulator.write_kubeconfig(&folder.path().join("kubeconfig")).unwrap();
        let sidecar = json!({"name": "proxy", "image": "r.example/mesh/proxy:1", "imagePullPolicy": "Always"});
        let config = ControllersConfig {
            nodes: (0..NODES).map(|number| format!("node-{number}")).collect(),
            // kubectl waits for the deletion of a pod by its name: it must see that before another pod has the name.
            timings: Timings { creating: 0, ready: 0, back_off: 1, crash: 0, stop: 2 },
            registry: registry.clone(),
            webhooks: vec![Webhook { namespace: "meshed".to_owned(), container: sidecar }],
        };
        let mut controllers = Controllers::new(simulator.store().clone(), config, simulator::Time::now());
        tokio::spawn(async move {
            controllers.run().await;
            unreachable!("controllers run for ever")
        });
        Self { simulator, registry, folder, shapes: shapes.clone() }
    }

    fn scene(&self, namespace: &'static str) -> Scene<'_> {
        Scene { cluster: self, namespace }
    }

    /// Namespace, name, uid, creation and deletion of each pod.
    fn pods(&self) -> Vec<[String; 5]> {
        let fields = ["namespace", "name", "uid", "creationTimestamp", "deletionTimestamp"];
        let pods = self.simulator.store().list(Resource::Pods);
        pods.iter().map(|pod| fields.map(|field| json!(pod)["metadata"][field].to_string())).collect()
    }

    /// Runs a command in a user's shell.
    async fn shell(&self, command: &str, input: &str) -> Output {
        let path = format!("{}:{}", programs::kubectl().display(), std::env::var("PATH").unwrap());
        let mut child = Command::new("sh")
            .args(["-c", command])
            .env("PATH", path)
            .env("KUBECONFIG", self.folder.path().join("kubeconfig"))
            .env("HOME", self.folder.path())
            .env("EDITOR", "true")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).await.unwrap();
        drop(stdin);
        let ended = tokio::time::timeout(TIMEOUT, child.wait_with_output()).await;
        ended.unwrap_or_else(|_| panic!("{command} hangs: {:?}", self.pods())).unwrap()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Scene<'_> {
    /// Runs a command that must succeed, and returns its output.
    async fn run(&self, command: &str) -> String {
        self.run_with(command, "").await
    }

    async fn run_with(&self, command: &str, input: &str) -> String {
        let output = self.cluster.shell(command, input).await;
        assert!(output.status.success(), "{command}\n{}{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout)
    }

    async fn kubectl(&self, arguments: &str) -> String {
        self.run(&format!("kubectl -n {} {arguments}", self.namespace)).await
    }

    async fn create(&self, object: &Value) {
        self.run_with(&format!("kubectl -n {} create -f -", self.namespace), &object.to_string()).await;
    }

    /// podskew's current report of the workload.
    async fn report(&self, kind: &str, name: &str) -> Option<WorkloadReport> {
        let kubeconfig = Some(self.cluster.folder.path().join("kubeconfig"));
        let connected = connect(&Connection { kubeconfig, context: None }).await.unwrap();
        let place = SnapshotSource::Cluster { connection: Connection::default(), namespaces: Namespaces::All };
        let settings = Settings { stalled_after: Duration::from_secs(6), ..Settings::default() };
        let options = SnapshotOptions { settings, ..snapshot_options(place) };
        let namespaces = [self.namespace.to_owned()];
        let looked = list_cluster(&connected, &namespaces, &options, None, WatchTimings::for_snapshot()).await;
        let mut found = None;
        looked.unwrap().reports(&mut |report| {
            if *report.workload.workload_type == *kind && *report.workload.name == *name {
                found = Some(report);
            }
        });
        found
    }

    /// Waits until podskew has this finding, with all wanted pods active.
    async fn until_found(&self, kind: &str, name: &str, finding: Finding) -> WorkloadReport {
        self.until(kind, name, |report| Finding::all(report).contains(&finding)).await
    }

    async fn until(&self, kind: &str, name: &str, holds: impl Fn(&WorkloadReport) -> bool) -> WorkloadReport {
        let begun = Instant::now();
        loop {
            let report = self.report(kind, name).await;
            if let Some(report) = report.as_ref().filter(|report| holds(report)) {
                return report.clone();
            }
            if begun.elapsed() > TIMEOUT {
                let pods = self.kubectl("get all -o wide").await;
                panic!("{}/{kind}/{name} does not reach the expected state: {report:?}\n{pods}", self.namespace);
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Waits for this finding, runs the commands of its remedy, and waits until the finding is gone. Repeats this as long
    /// as the remedy says so, each time with the current remedy.
    async fn mends(&self, kind: &str, name: &str, finding: Finding) -> WorkloadReport {
        // While no new pod is Ready, the only remedy is to wait.
        let can_be_mended = |report: &WorkloadReport| {
            Finding::all(report).contains(&finding) && !remedy(report, finding).action.commands.is_empty()
        };
        let mut report = self.until(kind, name, can_be_mended).await;
        for _ in 0..8 {
            let Remedy { look, action, .. } = remedy(&report, finding);
            self.looks_at(&look).await;
            assert!(!action.commands.is_empty(), "{}/{name}: there is nothing to do: {action}", self.namespace);
            for command in &action.commands {
                self.run(command).await;
                self.did(command);
            }
            let begun = Instant::now();
            while begun.elapsed() < TIMEOUT {
                let Some(now) = self.report(kind, name).await else { return report };
                let found = Finding::all(&now);
                let goes_on = [Finding::UnderWay, Finding::HashesMixed, Finding::Stalled]
                    .iter()
                    .any(|it| *it != finding && found.contains(it));
                if !found.contains(&finding) && !goes_on && is_settled(&now) {
                    return now;
                }
                // One pod after another, or the reason of a new pod that fails: podskew says what is next.
                let is_next = remedy(&now, finding).action.commands != action.commands;
                if is_next && !goes_on && is_settled(&now) && begun.elapsed() > SETTLING {
                    report = now;
                    break;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
        let pods = self.kubectl("get pods -o wide").await;
        panic!("{} {kind}/{name} stays {}: {}\n{pods}", self.namespace, finding.as_str(), remedy(&report, finding));
    }

    /// Pushes a tag again after two nodes have pulled it.
    async fn on_old_nodes(&self, image: &str) {
        self.cluster.registry.push(image, &digest('a'));
        let mut before = workload("Deployment", "before", &template("before", image, "IfNotPresent"));
        before["spec"]["replicas"] = 2.into();
        self.create(&before).await;
        self.until("deployment", "before", |report| ready(report) == 2).await;
        self.cluster.registry.push(image, &digest('b'));
    }

    /// Runs the command that shows a finding; its output must not be empty.
    async fn looks_at(&self, look: &str) {
        let shown = self.run(look).await;
        let header = usize::from(look.contains("custom-columns"));
        assert!(shown.lines().count() > header, "{look} shows nothing:\n{shown}");
        self.did(look);
    }

    /// Deploys another image, like a pipeline.
    async fn set_image(&self, of: &str, name: &str, image: &str) {
        if of == "rollout" {
            self.run(&format!("kubectl argo rollouts -n {} set image {name} app={image}", self.namespace)).await;
        } else {
            self.kubectl(&format!("set image {of}/{name} app={image}")).await;
        }
    }

    /// Waits until the current rollout has ended with this image.
    async fn ends_with(&self, kind: &str, name: &str, _: &WorkloadReport, image: &str) {
        let wanted = BTreeSet::from([image.to_owned()]);
        self.until(kind, name, |report| images(report) == wanted && Finding::all(report).is_empty()).await;
    }

    fn did(&self, command: &str) {
        self.cluster.shapes.0.lock().unwrap().insert(shape(command));
    }

    /// A workload whose tag is pushed again between its first pods and the others, which are on other nodes.
    async fn skewed(&self, mut workload: Value, image: &str) -> String {
        let kind = workload["kind"].as_str().unwrap().to_ascii_lowercase();
        let name = workload["metadata"]["name"].as_str().unwrap().to_owned();
        self.cluster.registry.push(image, &digest('a'));
        workload["spec"]["replicas"] = 2.into();
        self.create(&workload).await;
        self.until(&kind, &name, |report| ready(report) == 2).await;
        self.cluster.registry.push(image, &digest('b'));
        self.kubectl(&format!("scale {kind}/{name} --replicas=5")).await;
        self.until_found(&kind, &name, Finding::DigestSkew).await;
        name
    }
}

/// A digest of equal digits.
fn digest(digit: char) -> String {
    format!("sha256:{}", digit.to_string().repeat(64))
}

fn ready(report: &WorkloadReport) -> u32 {
    report.hashes.iter().map(|hash| hash.ready_pods).sum()
}

/// Whether no pod is starting or terminating.
fn is_settled(report: &WorkloadReport) -> bool {
    report.hashes.iter().all(|hash| hash.pods == hash.ready_pods && hash.terminating_pods == 0)
}

/// The digests of the template's container.
fn digests(report: &WorkloadReport) -> BTreeSet<String> {
    let of_app = report.containers.iter().filter(|container| &*container.container == "app");
    of_app.flat_map(|container| &container.by_hash).flat_map(|it| &it.digests).map(|it| it.digest.to_string()).collect()
}

/// The images in the pods' specs.
fn images(report: &WorkloadReport) -> BTreeSet<String> {
    let of_app = report.containers.iter().filter(|container| &*container.container == "app");
    of_app.flat_map(|container| &container.by_hash).flat_map(|it| &it.digests).map(|it| it.image.to_string()).collect()
}

fn a_shape_is_a_command_without_its_names() {
    for (command, expected) in [
        (
            "kubectl -n shop rollout undo deployment/web --to-revision=7",
            "kubectl -n NAMESPACE rollout undo deployment/NAME --to-revision=N",
        ),
        ("kubectl -n shop delete pod web-0", "kubectl -n NAMESPACE delete pod NAME"),
        (
            "kubectl argo rollouts -n shop set image web a=r/b@sha256:aa",
            "kubectl argo rollouts -n NAMESPACE set image NAME CONTAINER=IMAGE",
        ),
        ("kubectl argo rollouts -n 'a b' get rollout web", "kubectl argo rollouts -n NAMESPACE get rollout NAME"),
        ("kubectl -n shop get pods a b -o 'x y'", "kubectl -n NAMESPACE get pods NAME -o x y"),
        (
            "kubectl -n shop describe pods -l pod-template-hash=5d59",
            "kubectl -n NAMESPACE describe pods -l pod-template-hash=HASH",
        ),
        (
            "kubectl -n shop scale replicaset web-1 --replicas=0",
            "kubectl -n NAMESPACE scale replicaset NAME --replicas=0",
        ),
    ] {
        assert_eq!(shape(command), expected);
    }
}

fn template(name: &str, image: &str, policy: &str) -> Value {
    json!({
        "metadata": {"labels": {"app": name}},
        "spec": {"terminationGracePeriodSeconds": 3, "containers": [{"name": "app", "image": image, "imagePullPolicy": policy}]},
    })
}

fn workload(kind: &str, name: &str, template: &Value) -> Value {
    let api_version = if kind == "Rollout" { "argoproj.io/v1alpha1" } else { "apps/v1" };
    let mut workload = json!({
        "apiVersion": api_version, "kind": kind, "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": {"app": name}}, "template": template},
    });
    match kind {
        "StatefulSet" => workload["spec"]["serviceName"] = name.into(),
        "Rollout" => workload["spec"]["strategy"] = json!({"canary": {}}),
        _ => {}
    }
    if kind != "DaemonSet" {
        workload["spec"]["replicas"] = 3.into();
    }
    workload
}

/// A tag that is pushed again, with `IfNotPresent` and with `Always`.
async fn digest_skew(cluster: &Cluster) {
    let scene = cluster.scene("pinned");
    for kind in ["Deployment", "StatefulSet", "Rollout"] {
        let of = kind.to_ascii_lowercase();
        let name = format!("a-{of}");
        let image = format!("r.example/pinned/{name}:1");
        scene.skewed(workload(kind, &name, &template(&name, &image, "IfNotPresent")), &image).await;
        let report = scene.mends(&of, &name, Finding::DigestSkew).await;
        assert_eq!(digests(&report).len(), 1, "{report:?}");
    }
    let scene = cluster.scene("pulled");
    for kind in ["Deployment", "StatefulSet", "Rollout"] {
        let of = kind.to_ascii_lowercase();
        let name = format!("a-{of}");
        let image = format!("r.example/pulled/{name}:1");
        scene.skewed(workload(kind, &name, &template(&name, &image, "Always")), &image).await;
        let report = scene.mends(&of, &name, Finding::DigestSkew).await;
        assert_eq!(digests(&report), BTreeSet::from([digest('b')]), "what the tag is now");
    }
    // A restart uses the caches again, like on a real cluster, so it is not a remedy here, and podskew does not advise it.
    let scene = cluster.scene("cached");
    let image = "r.example/cached/web:1";
    scene.skewed(workload("Deployment", "web", &template("web", image, "IfNotPresent")), image).await;
    scene.kubectl("rollout restart deployment/web").await;
    scene.kubectl("rollout status deployment/web --timeout=60s").await;
    scene.until_found("deployment", "web", Finding::DigestSkew).await;
}

/// DaemonSets: some nodes pulled a tag before it was pushed again, others after.
async fn daemon_sets(cluster: &Cluster) {
    let scene = cluster.scene("agents");
    let image = "r.example/agents/pinned:1";
    scene.on_old_nodes(image).await;
    scene.create(&workload("DaemonSet", "pinned", &template("pinned", image, "IfNotPresent"))).await;
    let report = scene.mends("daemonset", "pinned", Finding::DigestSkew).await;
    assert_eq!(digests(&report).len(), 1, "{report:?}");

    let image = "r.example/agents/pulled:1";
    cluster.registry.push(image, &digest('a'));
    scene.create(&workload("DaemonSet", "pulled", &template("pulled", image, "Always"))).await;
    let all = u32::try_from(NODES).unwrap();
    scene.until("daemonset", "pulled", |report| ready(report) == all).await;
    cluster.registry.push(image, &digest('b'));
    let pods = scene.kubectl("get pods -l app=pulled -o name --field-selector spec.nodeName=node-0").await;
    scene.kubectl(&format!("delete {}", pods.trim())).await;
    let report = scene.mends("daemonset", "pulled", Finding::DigestSkew).await;
    assert_eq!(digests(&report), BTreeSet::from([digest('b')]));
}

/// A new image that cannot be pulled, and one that never becomes Ready.
async fn stuck(cluster: &Cluster) {
    let scene = cluster.scene("stuck");
    cluster.registry.remove("r.example/stuck/app:2");
    for kind in ["Deployment", "StatefulSet", "DaemonSet", "Rollout"] {
        let of = kind.to_ascii_lowercase();
        let name = format!("a-{of}");
        let mut wanted = workload(kind, &name, &template(&name, "r.example/stuck/app:1", "IfNotPresent"));
        if matches!(kind, "Deployment" | "Rollout") {
            wanted["spec"]["progressDeadlineSeconds"] = 2.into();
        }
        scene.create(&wanted).await;
        scene.until(&of, &name, |report| ready(report) >= 3 && Finding::all(report).is_empty()).await;
        scene.set_image(&of, &name, "r.example/stuck/app:2").await;
        let report = scene.mends(&of, &name, Finding::Stalled).await;
        assert_eq!(images(&report), BTreeSet::from(["r.example/stuck/app:1".to_owned()]), "the revision is back");
    }
}

/// Mixes that are held by a setting.
async fn held(cluster: &Cluster) {
    let scene = cluster.scene("held");
    let old = |name: &str| template(name, "r.example/held/app:1", "IfNotPresent");
    scene.create(&workload("Deployment", "paused", &old("paused"))).await;
    scene.until("deployment", "paused", |report| ready(report) == 3).await;
    let hold = "{\"spec\":{\"paused\":true}}";
    // Halfway: new pods are not Ready, so that the rollout can be paused while two templates run.
    cluster.registry.set_trouble("r.example/held/app:2", Some(Trouble::NeverReady));
    scene.set_image("deployment", "paused", "r.example/held/app:2").await;
    scene.until_found("deployment", "paused", Finding::UnderWay).await;
    scene.kubectl(&format!("patch deployment/paused --type merge -p '{hold}'")).await;
    cluster.registry.set_trouble("r.example/held/app:2", None);
    let report = scene.mends("deployment", "paused", Finding::Held).await;
    scene.ends_with("deployment", "paused", &report, "r.example/held/app:2").await;

    let mut partitioned = workload("StatefulSet", "partitioned", &old("partitioned"));
    partitioned["spec"]["updateStrategy"] = json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 2}});
    scene.create(&partitioned).await;
    scene.until("statefulset", "partitioned", |report| ready(report) == 3).await;
    scene.set_image("statefulset", "partitioned", "r.example/held/app:3").await;
    let report = scene.mends("statefulset", "partitioned", Finding::Held).await;
    scene.ends_with("statefulset", "partitioned", &report, "r.example/held/app:3").await;

    for kind in ["StatefulSet", "DaemonSet"] {
        let name = format!("{}-on-delete", kind.to_ascii_lowercase());
        let mut on_delete = workload(kind, &name, &old(&name));
        on_delete["spec"]["updateStrategy"] = json!({"type": "OnDelete"});
        scene.create(&on_delete).await;
        let kind = kind.to_ascii_lowercase();
        scene.until(&kind, &name, |report| ready(report) >= 3).await;
        scene.set_image(&kind, &name, "r.example/held/app:4").await;
        // Until the controller has created the revision, the outdated pods are unknown.
        scene.until(&kind, &name, |report| report.outdated_pods > Some(0)).await;
        let report = scene.mends(&kind, &name, Finding::Held).await;
        scene.ends_with(&kind, &name, &report, "r.example/held/app:4").await;
    }

    let mut canary = workload("Rollout", "canary", &old("canary"));
    canary["spec"]["strategy"]["canary"]["steps"] = json!([{"setWeight": 34}, {"pause": {}}]);
    scene.create(&canary).await;
    scene.until("rollout", "canary", |report| ready(report) == 3 && Finding::all(report).is_empty()).await;
    scene.set_image("rollout", "canary", "r.example/held/app:5").await;
    let report = scene.mends("rollout", "canary", Finding::Held).await;
    scene.ends_with("rollout", "canary", &report, "r.example/held/app:5").await;
}

/// Containers added by a webhook, and images with the tag `latest`.
async fn others(cluster: &Cluster) {
    let scene = cluster.scene("meshed");
    for kind in ["Deployment", "StatefulSet", "Rollout"] {
        let of = kind.to_ascii_lowercase();
        let name = format!("a-{of}");
        let sidecar = "r.example/mesh/proxy:1";
        cluster.registry.push(sidecar, &digest('a'));
        scene.create(&workload(kind, &name, &template(&name, "r.example/meshed/app:1", "IfNotPresent"))).await;
        scene.until(&of, &name, |report| ready(report) == 3).await;
        cluster.registry.push(sidecar, &digest('b'));
        scene.kubectl(&format!("scale {of}/{name} --replicas=4")).await;
        scene.mends(&of, &name, Finding::InjectedSkew).await;
    }
    let scene = cluster.scene("latest");
    for kind in ["Deployment", "StatefulSet", "DaemonSet", "Rollout"] {
        let of = kind.to_ascii_lowercase();
        let name = format!("a-{of}");
        scene.create(&workload(kind, &name, &template(&name, "r.example/latest/app", "Always"))).await;
        scene.until(&of, &name, |report| ready(report) >= 3).await;
        let report = scene.mends(&of, &name, Finding::LatestTag).await;
        assert!(report.image_references.iter().all(|image| image.image.contains("@sha256:")), "{report:?}");
    }
}

/// Skew of a paused workload: nothing is replaced until it is resumed.
async fn skew_while_paused(cluster: &Cluster) {
    let scene = cluster.scene("paused-skew");
    for (name, policy) in [("pinned", "IfNotPresent"), ("pulled", "Always")] {
        let image = format!("r.example/paused/{name}:1");
        let mut paused = workload("Deployment", name, &template(name, &image, policy));
        cluster.registry.push(&image, &digest('a'));
        paused["spec"]["replicas"] = 2.into();
        scene.create(&paused).await;
        scene.until("deployment", name, |report| ready(report) == 2).await;
        cluster.registry.push(&image, &digest('b'));
        scene.kubectl(&format!("scale deployment/{name} --replicas=5")).await;
        scene.until_found("deployment", name, Finding::DigestSkew).await;
        scene.kubectl(&format!("rollout pause deployment/{name}")).await;
        scene.kubectl(&format!("set env deployment/{name} A=1")).await;
        scene.until_found("deployment", name, Finding::Held).await;
        scene.mends("deployment", name, Finding::DigestSkew).await;
    }
}

/// Skew among pods of an older template during a rollout: it ends with them.
async fn skew_of_outdated_pods(cluster: &Cluster) {
    let scene = cluster.scene("outdated");
    cluster.registry.set_trouble("r.example/outdated/app:2", Some(Trouble::NeverReady));
    for kind in ["Deployment", "StatefulSet", "DaemonSet", "Rollout"] {
        let of = kind.to_ascii_lowercase();
        let name = format!("a-{of}");
        let image = format!("r.example/outdated/{of}:1");
        let wanted = workload(kind, &name, &template(&name, &image, "IfNotPresent"));
        if kind == "DaemonSet" {
            scene.on_old_nodes(&image).await;
            scene.create(&wanted).await;
            scene.until_found(&of, &name, Finding::DigestSkew).await;
        } else {
            scene.skewed(wanted, &image).await;
        }
        scene.set_image(&of, &name, "r.example/outdated/app:2").await;
        let report =
            scene.until(&of, &name, |report| report.hashes.iter().filter(|hash| hash.pods > 0).count() > 1).await;
        assert!(Finding::all(&report).contains(&Finding::UnderWay), "{report:?}");
        let advice = remedy(&report, Finding::DigestSkew);
        scene.looks_at(&advice.look).await;
        // The command waits for the end of the rollout, which the new pods make possible.
        let lets = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            cluster.registry.set_trouble("r.example/outdated/app:2", None);
        };
        let acts = async {
            for command in &advice.action.commands {
                scene.run(command).await;
                scene.did(command);
            }
        };
        tokio::join!(lets, acts);
        scene.until(&of, &name, |report| !Finding::all(report).contains(&Finding::DigestSkew)).await;
        cluster.registry.set_trouble("r.example/outdated/app:2", Some(Trouble::NeverReady));
    }
}

/// Commands that show something if pods have no information, and kinds that podskew cannot change.
async fn looks(cluster: &Cluster) {
    let scene = cluster.scene("looks");
    let pod = |name: &str, restart: &str| {
        let mut template = template(name, "r.example/looks/app", "Always");
        template["spec"]["restartPolicy"] = restart.into();
        template
    };
    for kind in ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"] {
        let of = kind.to_ascii_lowercase();
        scene.create(&workload(kind, &of, &pod(&of, "Always"))).await;
        let mut report = scene.until(&of, &of, |report| ready(report) >= 3).await;
        // The state before the controller has seen a change.
        report.hashes.iter_mut().for_each(|hash| hash.current = None);
        for finding in [Finding::NotAvailable, Finding::LatestTag] {
            scene.looks_at(&remedy(&report, finding).look).await;
        }
        // The state while the ReplicaSet cannot create a pod.
        report.hashes.iter_mut().for_each(|hash| (hash.current, hash.pods) = (Some(true), 0));
        scene.looks_at(&remedy(&report, Finding::NotAvailable).look).await;
    }
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "job"},
        "spec": {"template": pod("job", "Never"), "suspend": true},
    });
    scene.create(&job).await;
    let clone_set = json!({
        "apiVersion": "apps.kruise.io/v1alpha1", "kind": "CloneSet", "metadata": {"name": "job"},
        "spec": {
            "replicas": 0, "selector": {"matchLabels": {"app": "job"}}, "template": pod("job", "Always"),
        },
    });
    scene.create(&clone_set).await;
    // The simulator has no controllers for Jobs and CloneSets.
    let deployment = scene.report("deployment", "deployment").await.unwrap();
    for kind in ["job", "cloneset.apps.kruise.io"] {
        let mut report = deployment.clone();
        report.workload.workload_type = kind.into();
        report.workload.name = "job".into();
        report.rollout = None;
        report.hashes.iter_mut().for_each(|hash| hash.current = None);
        for finding in [Finding::NotCompared, Finding::LatestTag, Finding::HashesMixed] {
            let Remedy { look, action, .. } = remedy(&report, finding);
            for command in std::iter::once(&look).chain(&action.commands) {
                let output = cluster.shell(command, "").await;
                let refusal = text(&output.stderr);
                assert!(output.status.success(), "{command}\n{refusal}");
                scene.did(command);
            }
        }
    }
}

/// A complete Deployment, one of whose replaced pods cannot pull its image.
async fn not_compared(cluster: &Cluster) {
    let scene = cluster.scene("not-compared");
    let image = "r.example/away/app:1";
    scene.create(&workload("Deployment", "web", &template("web", image, "Always"))).await;
    let report = scene.until("deployment", "web", |report| ready(report) == 3 && Finding::all(report).is_empty()).await;
    cluster.registry.remove(image);
    scene.kubectl(&format!("delete pod {}", report.pods[0].pod)).await;
    let report = scene.until_found("deployment", "web", Finding::NotCompared).await;
    let Remedy { look, action, .. } = remedy(&report, Finding::NotCompared);
    scene.looks_at(&look).await;
    let [describe] = &action.commands[..] else { panic!("{action}") };
    // The output is about that one pod only.
    let said = scene.run(describe).await;
    assert!(said.contains("ImagePullBackOff") || said.contains("ErrImagePull"), "{said}");
    assert_eq!(said.lines().filter(|line| line.starts_with("Name:")).count(), 1, "{said}");
    scene.did(describe);
    cluster.registry.push(image, &digest('a'));
    scene.until("deployment", "web", |report| ready(report) == 3 && is_settled(report)).await;
}

/// A mix that a Rollout's controller has left: the field case c02.
async fn leftover(cluster: &Cluster) {
    let scene = cluster.scene("leftover");
    let image = "r.example/leftover/web:1";
    scene.create(&workload("Rollout", "web", &template("web", image, "IfNotPresent"))).await;
    let report = scene.until("rollout", "web", |report| ready(report) == 3 && Finding::all(report).is_empty()).await;
    let mut mixed = report.clone();
    mixed.hashes[0].current = Some(false);
    let advice = remedy(&mixed, Finding::HashesMixed);
    for command in &advice.action.commands {
        let said = scene.run(&format!("{command} --dry-run=server")).await;
        assert!(said.contains("scaled"), "{said}");
        scene.did(command);
    }
}

/// A StatefulSet whose template was fixed while a pod is stuck on the wrong one: Kubernetes' "forced rollback".
async fn forced_rollback(cluster: &Cluster) {
    let scene = cluster.scene("forced");
    let right = template("db", "r.example/forced/db:1", "IfNotPresent");
    scene.create(&workload("StatefulSet", "db", &right)).await;
    scene.until("statefulset", "db", |report| ready(report) == 3).await;
    cluster.registry.remove("r.example/forced/db:2");
    scene.set_image("statefulset", "db", "r.example/forced/db:2").await;
    scene.until("statefulset", "db", |report| ready(report) == 2 && report.blocking_pod.is_some()).await;
    scene.set_image("statefulset", "db", "r.example/forced/db:1").await;
    scene.until("statefulset", "db", |report| report.outdated_pods == Some(1)).await;
    let report = scene.mends("statefulset", "db", Finding::Stalled).await;
    assert_eq!(images(&report), BTreeSet::from(["r.example/forced/db:1".to_owned()]));
}

/// Undo of a rollout in progress, and of one that was superseded.
async fn under_way(cluster: &Cluster) {
    let scene = cluster.scene("under-way");
    cluster.registry.set_trouble("r.example/slow/app:2", Some(Trouble::NeverReady));
    for kind in ["Deployment", "DaemonSet", "Rollout"] {
        let of = kind.to_ascii_lowercase();
        let name = format!("a-{of}");
        scene.create(&workload(kind, &name, &template(&name, "r.example/slow/app:1", "IfNotPresent"))).await;
        scene.until(&of, &name, |report| ready(report) >= 3 && Finding::all(report).is_empty()).await;
        scene.set_image(&of, &name, "r.example/slow/app:2").await;
        scene.until(&of, &name, |report| report.hashes.len() > 1).await;
        let report = scene.mends(&of, &name, Finding::UnderWay).await;
        assert_eq!(images(&report), BTreeSet::from(["r.example/slow/app:1".to_owned()]), "the revision is back");
    }
}

/// A Rollout with the template of a Deployment: a rollback changes that Deployment.
async fn of_a_deployment(cluster: &Cluster) {
    let scene = cluster.scene("referring");
    let mut deployment = workload("Deployment", "web", &template("web", "r.example/ref/web:1", "IfNotPresent"));
    deployment["spec"]["replicas"] = 0.into();
    scene.create(&deployment).await;
    let mut rollout = workload("Rollout", "web", &json!({}));
    rollout["spec"].as_object_mut().unwrap().remove("template");
    rollout["spec"]["workloadRef"] = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
    rollout["spec"]["progressDeadlineSeconds"] = 2.into();
    scene.create(&rollout).await;
    scene.until("rollout", "web", |report| ready(report) == 3 && Finding::all(report).is_empty()).await;
    cluster.registry.remove("r.example/ref/web:2");
    scene.set_image("deployment", "web", "r.example/ref/web:2").await;
    let report = scene.mends("rollout", "web", Finding::Stalled).await;
    assert_eq!(images(&report), BTreeSet::from(["r.example/ref/web:1".to_owned()]), "the revision is back");
}

/// Mixes caused by Argo Rollouts.
async fn of_argo(cluster: &Cluster) {
    let scene = cluster.scene("experiments");
    let one = |name: &str, image: &str| {
        let selector = json!({"matchLabels": {"app": name}});
        json!({"name": name, "replicas": 1, "selector": selector, "template": template(name, image, "IfNotPresent")})
    };
    let templates = [one("a", "r.example/exp/app:1"), one("b", "r.example/exp/app:2")];
    let experiment = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Experiment", "metadata": {"name": "compare"},
        "spec": {"templates": templates},
    });
    scene.create(&experiment).await;
    scene.mends("experiment", "compare", Finding::Held).await;
}

/// A ReplicaSet without an owner, whose pods are not replaced by anything.
async fn replica_sets(cluster: &Cluster) {
    let scene = cluster.scene("bare");
    let image = "r.example/bare/web:1";
    scene.skewed(workload("ReplicaSet", "web", &template("web", image, "IfNotPresent")), image).await;
    let report = scene.until_found("replicaset", "web", Finding::DigestSkew).await;
    let advice = remedy(&report, Finding::DigestSkew);
    scene.looks_at(&advice.look).await;
    for command in &advice.action.commands {
        scene.run(command).await;
        scene.did(command);
    }
    assert!(advice.action.then.contains("delete its pods"), "{}", advice.action);
    scene.kubectl("delete pods -l app=web").await;
    scene.until("replicaset", "web", |report| is_settled(report) && Finding::all(report).is_empty()).await;
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn podskews_advice_fixes_each_exhibit() {
    let shapes = Shapes::default();
    let cluster = Cluster::start(&shapes).await;
    tokio::join!(
        digest_skew(&cluster),
        daemon_sets(&cluster),
        stuck(&cluster),
        held(&cluster),
        others(&cluster),
        skew_while_paused(&cluster),
        skew_of_outdated_pods(&cluster),
        looks(&cluster),
        not_compared(&cluster),
        leftover(&cluster),
        forced_rollback(&cluster),
        under_way(&cluster),
        of_a_deployment(&cluster),
        of_argo(&cluster),
        replica_sets(&cluster),
    );
    let ran = shapes.0.lock().unwrap().iter().fold(String::new(), |text, shape| {
        text + shape
            + "
"
    });
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(common::commands::path(), &ran).unwrap();
    }
    let known = std::fs::read_to_string(common::commands::path()).unwrap_or_default();
    assert_eq!(ran, known, "if that is intended: UPDATE_GOLDEN=1 cargo test --test external commands");
}

/// The initial objects of the demo, and their states during ten minutes.
fn every_object_of_the_demo_fits_the_schema_of_its_kind() {
    let store = Store::new(1000);
    let now = Time::now();
    let mut demo = simulator::Demo::begin(&store, &DemoConfig::default(), now);
    for second in 0..600 {
        demo.tick(now.plus(second));
    }
    let objects: Vec<Value> = Resource::ALL.into_iter().flat_map(|resource| store.list(resource)).collect();
    assert!(objects.len() > 300, "{}", objects.len());
    let manifest = objects.iter().map(Value::to_string).collect::<Vec<_>>().join("\n---\n");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (script, crds) = (root.join("tests/programs/schemas.py"), root.join("target/tools/crds/argo.yaml"));
    let arguments = [script.to_str().unwrap(), crds.to_str().unwrap(), "1.34"];
    let python = root.join("target/openmetrics-venv/bin/python");
    let output = programs::run(&python, &arguments, manifest.as_bytes(), "make target/openmetrics-venv/done");
    assert!(output.status.success(), "{}", text(&output.stderr).chars().take(4000).collect::<String>());
    assert!(text(&output.stdout).contains(" objects hold against Kubernetes 1.3"), "{}", text(&output.stdout));
}

/// `podskew demo` as a new user runs it: the commands of its audit, until there are no findings.
#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn the_remedies_of_the_demos_audit_fix_it() {
    let demo = Demo::start(programs::kubectl(), &[]).await;
    let mended = [
        "shop deployment/web",
        "payments deployment/ledger",
        "search deployment/query",
        "data statefulset/ledger-db",
        "kube-system daemonset/cni",
        "identity deployment/login",
        "growth rollout/landing",
    ];
    let before = demo.run("podskew audit -A").await;
    for workload in mended {
        assert!(before.contains(&format!("\n{workload}: ")), "{workload}\n{before}");
    }
    futures::future::join_all(mended.map(|workload| mend(&demo, workload))).await;
    let after = demo.run("podskew audit -A").await;
    for workload in mended {
        assert!(!after.contains(&format!("\n{workload}: ")), "{workload}\n{after}");
    }
}

/// Runs the commands of a workload's audit, each time they change, until there are no findings.
async fn mend(demo: &Demo, workload: &str) {
    let (mut done, mut done_at, begun) = (String::new(), Instant::now(), Instant::now());
    loop {
        let audit = demo.run(&format!("podskew audit -n {workload}")).await;
        let said = |what: &str| audit.lines().find_map(|line| line.trim().strip_prefix(what));
        let Some(advice) = said("Do: ") else {
            assert!(audit.contains("1 uniform") || !audit.contains(workload), "{audit}");
            return;
        };
        // A rollout in progress is left alone, as its Why says. Takes only the command from the text.
        let command = advice.find("kubectl ").map(|at| advice[at..].split(" (").next().unwrap().to_owned());
        let moves = audit.contains(": rollout in progress\n");
        // A canary may wait at several steps.
        let again = done_at.elapsed() > 2 * SETTLING;
        if let Some(command) = command.filter(|command| (*command != done || again) && !moves) {
            let output = demo.shell(&format!("{} && {command}", said("Look: ").unwrap())).await;
            assert!(output.status.success(), "{command}\n{}{}", text(&output.stdout), text(&output.stderr));
            (done, done_at) = (command, Instant::now());
        }
        assert!(begun.elapsed() < TIMEOUT, "{workload} is not fixed by {done}\n{audit}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// The tests and their requirements.
pub fn tests() -> Vec<Test> {
    tests![
        a_shape_is_a_command_without_its_names: [],
        podskews_advice_fixes_each_exhibit: [KUBECTL],
        every_object_of_the_demo_fits_the_schema_of_its_kind: [PYTHON, CRDS],
        the_remedies_of_the_demos_audit_fix_it: [KUBECTL],
    ]
}
