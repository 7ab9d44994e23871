//! `podskew demo` as a user runs it: the commands in its banner, word by word, with kubectl, and others that a user may
//! try.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use crate::common::demo::Demo;
use crate::needs::{Test, tests};
use crate::programs;
use simulator::{Resource, Simulator, SimulatorConfig};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::Command;

/// Timeout for anything that must happen: many times the usual duration.
const TIMEOUT: Duration = Duration::from_secs(300);

/// Timeout of a response while the cluster is busy: many times the usual duration, and far less than a hang.
const PROMPT: Duration = Duration::from_secs(60);

async fn demo() -> Demo {
    Demo::start(programs::kubectl(), &[]).await
}

/// The commands below a title of the banner, without their descriptions.
fn commands(banner: &str, title: &str) -> Vec<String> {
    let below = banner.split_once(&format!("\n{title}\n")).unwrap_or_else(|| panic!("no {title} in {banner}")).1;
    let lines = below.lines().take_while(|line| line.starts_with("  "));
    lines.map(|line| line.split("   # ").next().unwrap().trim().to_owned()).collect()
}

/// Repeats a command until its output is as expected.
async fn until(demo: &Demo, command: &str, holds: impl Fn(&str) -> bool) -> String {
    let begun = Instant::now();
    loop {
        let printed = demo.run(command).await;
        if holds(&printed) {
            return printed;
        }
        assert!(begun.elapsed() < TIMEOUT, "{command} still prints\n{printed}");
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn the_banner_is_true_line_by_line() {
    let demo = demo().await;
    let mend = commands(&demo.banner, "Fix shop/web from a second terminal:");
    let [export, audit, set_image, wait, curl] = mend.try_into().unwrap();
    assert!(export.starts_with("export KUBECONFIG="), "{export}");
    let skew = until(&demo, &curl, |printed| printed.lines().count() == 1).await;
    assert!(!skew.ends_with(" 0\n"), "{skew}");
    let found = demo.run(&audit).await;
    assert!(found.contains("shop deployment/web: digest skew"), "{found}");
    // Nodes have the images of their pods, and that is the cause.
    for held in ["  - 3 nodes hold sha256:", "  - 5 nodes hold sha256:"] {
        let mut lines = found.lines().filter(|line| line.starts_with(held));
        assert!(lines.any(|line| line.ends_with("the next pod there runs it")), "no {held:?} in\n{found}");
    }
    let action = found.lines().find_map(|line| line.trim().strip_prefix("Do: ")).unwrap();
    assert!(action.starts_with(set_image.trim_end_matches('…')), "{action} does not match {set_image}");
    demo.run(action).await;
    let waited = demo.run(&wait).await;
    assert!(waited.contains("1 uniform. Verdict: uniform."), "{waited}");
    until(&demo, &curl, |printed| printed.ends_with(" 0\n")).await;

    let [breaks, explain, works] = commands(&demo.banner, "Break it with a deploy, and fix that:").try_into().unwrap();
    demo.run(&breaks).await;
    until(&demo, &explain, |printed| printed.contains(": container web: ImagePullBackOff")).await;
    let pods = demo.run("kubectl -n shop get pods -o json").await;
    let image = breaks.rsplit_once("web=").unwrap().1;
    let said = format!(r#"failed to resolve reference \"{image}\": {image}: not found"#);
    assert!(pods.contains(&said), "{said} is not in {pods}");
    demo.run(&works).await;
    demo.run("kubectl -n shop rollout status deployment/web --timeout=60s").await;
    until(&demo, &audit, |printed| printed.contains("1 uniform. Verdict: uniform.")).await;
    // A node reports the images that it pulled.
    let nodes = demo.run("kubectl get nodes -o json").await;
    assert!(nodes.contains(works.rsplit_once("web=").unwrap().1) && !nodes.contains(image), "{nodes}");
    let ends = demo.run("kubectl -n shop get pods -l app=web -o jsonpath='{.items[*].spec.nodeName}'").await;
    let names = demo.run("kubectl get nodes -o jsonpath='{.items[*].metadata.name}'").await;
    for node in ends.split_whitespace() {
        assert!(names.split_whitespace().any(|name| name == node), "{node} is not in {names}");
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_replicas_do_not_block_others() {
    let demo = demo().await;
    let [.., curl] = &commands(&demo.banner, "Fix shop/web from a second terminal:")[..] else { panic!() };
    let metrics = curl.split(" | ").next().unwrap();
    demo.run("kubectl -n shop scale deployment/web --replicas=100000").await;
    let (begun, mut slowest, mut most) = (Instant::now(), Duration::ZERO, 0);
    while begun.elapsed() < Duration::from_secs(12) {
        for command in ["kubectl -n payments get pods", metrics, "kubectl -n shop get deployment/web"] {
            let asked = Instant::now();
            assert!(!demo.run(command).await.is_empty(), "{command}");
            slowest = slowest.max(asked.elapsed());
            assert!(slowest < PROMPT, "{command} took {slowest:?}");
        }
        let wide = demo.run("kubectl -n shop get deployment/web -o jsonpath='{.status.replicas}'").await;
        most = most.max(wide.parse().unwrap());
    }
    assert!((100..50_000).contains(&most), "{most} pods in {:?}", begun.elapsed());
    println!("{most} pods in {:?}, the slowest answer took {slowest:?}", begun.elapsed());
    demo.run("kubectl -n shop scale deployment/web --replicas=8").await;
    until(&demo, "kubectl -n shop get pods -l app=web -o name | wc -l", |printed| printed.trim() == "8").await;
}

/// kubectl prints each cause of an API server's error.
#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_names_every_field_and_every_limit() {
    let demo = demo().await;
    let patch = |patch: &str| format!("kubectl -n shop patch deployment/web --type merge -p '{patch}'");
    let said = demo.fails(&patch(r#"{"spec":{"replicas":-1,"selector":{"matchLabels":{"app":"api"}}}}"#)).await;
    let causes: Vec<&str> = said.lines().filter(|line| line.starts_with("* ")).collect();
    assert_eq!(causes.len(), 3, "{said}");
    assert_eq!(causes[0], "* spec.replicas: Invalid value: -1: must be greater than or equal to 0");
    assert!(causes[1].starts_with("* spec.template.metadata.labels: Invalid value: {"), "{said}");
    assert_eq!(causes[2], r#"* spec.selector: Invalid value: {"matchLabels":{"app":"api"}}: field is immutable"#);
    let said = demo.fails(&patch(r#"{"spec":{"replicas":"two"}}"#)).await;
    assert!(said.starts_with(r#"The request is invalid: patch: Invalid value: "{\"spec\""#), "{said}");

    let simulator = Simulator::start(SimulatorConfig::default()).await.unwrap();
    simulator.store().limit_pods(1);
    let kubeconfig = simulator.temporary_kubeconfig().unwrap();
    let kubectl = |arguments: &str| {
        let mut kubectl = Command::new(programs::kubectl().join("kubectl"));
        kubectl.args(arguments.split(' ')).env("KUBECONFIG", kubeconfig.path()).stdin(Stdio::null());
        async move { kubectl.output().await.unwrap() }
    };
    assert!(kubectl("run first --image=r.example/app:1").await.status.success());
    let second = kubectl("run second --image=r.example/app:1").await;
    let said = String::from_utf8(second.stderr).unwrap();
    assert_eq!(
        said.trim(),
        "Error from server (Forbidden): pods \"second\" is forbidden: exceeded quota: simulated-cluster, requested: \
         pods=1, used: pods=1, limited: pods=1"
    );
    assert!(!second.status.success());
    assert_eq!(simulator.store().count(Resource::Pods), 1);
}

/// The tests and their requirements.
pub fn tests() -> Vec<Test> {
    tests![
        the_banner_is_true_line_by_line: [KUBECTL],
        a_hundred_thousand_replicas_do_not_block_others: [KUBECTL],
        a_refusal_names_every_field_and_every_limit: [KUBECTL],
    ]
}
