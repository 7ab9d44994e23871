//! The main faults again, with the real binary and its real timings; and TLS.
#![allow(clippy::unwrap_used, clippy::panic, clippy::float_cmp, reason = "tests")]

use crate::common::exporter::{Exporter, fill, objects, resource_of};
use crate::common::running::{POLL_INTERVAL, Running, Scrape, TIMEOUT};
use crate::common::summary::{View, disagreement};
use simulator::Resource;
use simulator::{Fault, Simulator, SimulatorConfig, Tls};
use std::path::Path;
use std::time::{Duration, Instant};

async fn cluster(mut config: SimulatorConfig) -> Simulator {
    // On a real server this takes a minute.
    config.bookmark_interval = Duration::from_secs(1);
    let simulator = Simulator::start(config).await.unwrap();
    fill(simulator.store());
    simulator
}

/// Waits until every watch is synced, and podskew agrees with one that has just started.
async fn agrees(podskew: &Running, simulator: &Simulator) -> Scrape {
    let fresh = Exporter::start(simulator).await;
    fresh.until_synced().await;
    let begun = Instant::now();
    loop {
        let fresh = fresh.look();
        let scrape = podskew.scrape();
        let synced = scrape.parsed.series("podskew_watch_synced", &[]).iter().all(|(_, synced)| *synced == 1.0);
        let difference = disagreement(&scrape.parsed, &fresh.parsed);
        View { parsed: &scrape.parsed, at: scrape.at, start: scrape.at }.holds_together();
        if synced && difference.is_none() {
            return scrape;
        }
        assert!(begun.elapsed() < TIMEOUT, "synced: {synced}, {difference:?}\n{}", podskew.log());
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Deletes a pod.
fn something_happens(simulator: &Simulator, namespace: &str) {
    let pods = simulator.store().list(Resource::Pods);
    let pod = pods.iter().find(|pod| pod["metadata"]["namespace"] == namespace).unwrap();
    assert!(simulator.store().delete(Resource::Pods, namespace, pod["metadata"]["name"].as_str().unwrap()));
}

fn pods(scrape: &Scrape) -> usize {
    scrape.parsed.series("podskew_pod_info", &[]).len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_picture_is_never_served() {
    let simulator = cluster(SimulatorConfig::default()).await;
    simulator.inject(Some(Resource::ReplicaSets), Fault::ListStalls);
    simulator.inject(Some(Resource::DaemonSets), Fault::Status(503));
    let podskew = Running::start(&simulator, &[]);
    let has_pods = |scrape: &Scrape| {
        scrape.of_resource("podskew_watch_synced", "pods") == 1.0 && scrape.of_resource("podskew_objects", "pods") > 0.0
    };
    let half = podskew.until("the pods", has_pods).await;
    assert!(half.has_only_own_metrics(), "{}", half.text);
    podskew.until("a failure", |scrape| scrape.failures("daemonsets", "server_error") >= 2.0).await;
    assert!(podskew.scrape().has_only_own_metrics());
    assert!(!podskew.is_ready());
    simulator.clear_faults();
    simulator.cut_connections();
    podskew.until_ready().await;
    agrees(&podskew, &simulator).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_a_list_fails_the_last_complete_picture_stays() {
    let simulator = cluster(SimulatorConfig::default()).await;
    let podskew = Running::start(&simulator, &[]);
    podskew.until_ready().await;
    let before = agrees(&podskew, &simulator).await;
    simulator.inject(None, Fault::Status(500));
    simulator.store().forget_history(Resource::Pods);
    simulator.cut_connections();
    let failing = podskew.until("failures", |scrape| scrape.failures("pods", "server_error") >= 2.0).await;
    something_happens(&simulator, "stuck");
    assert_eq!(failing.of_resource("podskew_watch_synced", "pods"), 0.0);
    assert_eq!(pods(&failing), pods(&before));
    assert!(podskew.is_ready(), "the exposition is old, and complete");
    simulator.clear_faults();
    let after = agrees(&podskew, &simulator).await;
    assert_eq!(pods(&after), pods(&before) - 1);
    assert!(after.of_resource("podskew_watch_restarts_total", "pods") >= 1.0);
    podskew.until_logged("watch re-established").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_restarts_is_watched_again() {
    let simulator = cluster(SimulatorConfig::default()).await;
    let podskew = Running::start(&simulator, &[]);
    podskew.until_ready().await;
    let before = agrees(&podskew, &simulator).await;
    let (address, store) = (simulator.address(), simulator.store().clone());
    simulator.shutdown().await;
    podskew.until("no connection", |scrape| scrape.failures("pods", "connection") >= 2.0).await;
    assert_eq!(pods(&podskew.scrape()), pods(&before));
    let bookmark_interval = Duration::from_secs(1);
    let config = SimulatorConfig { listen: address, bookmark_interval, ..SimulatorConfig::default() };
    let simulator = Simulator::start_with(config, store).await.unwrap();
    something_happens(&simulator, "paused");
    let after = agrees(&podskew, &simulator).await;
    assert_eq!(pods(&after), pods(&before) - 1);
    assert_eq!(after.of_resource("podskew_watch_restarts_total", "pods"), 0.0, "nothing was lost");
}

/// Checks that podskew agrees with the server within 30 s, and that nothing is reported as synced until it is.
async fn is_restored(podskew: &Running, restored: Instant, phantoms: usize, lists: f64) {
    let mut wrong_since = None;
    podskew
        .until("the restored state", |scrape| {
            let synced = scrape.of_resource("podskew_watch_synced", "pods") == 1.0;
            if synced && pods(scrape) == phantoms {
                // The closed connection has to be noticed, or the next exposition rendered.
                let since: Instant = *wrong_since.get_or_insert_with(Instant::now);
                assert!(since.elapsed() < Duration::from_secs(4), "synced in spite of phantoms:\n{}", podskew.log());
            } else {
                wrong_since = None;
            }
            let listed = scrape.parsed.series("podskew_watch_restarts_total", &[]);
            let everything = listed.iter().filter(|(_, restarts)| *restarts >= lists).count() >= 6;
            synced && pods(scrape) == 5 && everything
        })
        .await;
    assert!(restored.elapsed() < Duration::from_secs(30), "{:?}", restored.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_etcd_that_was_restored_is_noticed() {
    let simulator = cluster(SimulatorConfig::default()).await;
    let podskew = Running::start(&simulator, &[]);
    podskew.until_ready().await;
    let before = pods(&agrees(&podskew, &simulator).await);
    let backup = || objects("stuck").into_iter().map(|object| (resource_of(&object), object)).collect();
    simulator.restart_with_older_versions(Some(backup()));
    is_restored(&podskew, Instant::now(), before, 1.0).await;
    assert!(podskew.scrape().failures("pods", "timeline_lost") >= 1.0);
    podskew.until_logged("API server went back to an older state, relisting").await;
    fill(simulator.store());
    agrees(&podskew, &simulator).await;

    // The restored server has passed every version that was known, and nothing was answered for more than ten seconds.
    let (address, store) = (simulator.address(), simulator.store().clone());
    simulator.shutdown().await;
    store.restore(store.version() + 10_000, Some(backup()));
    tokio::time::sleep(Duration::from_secs(12)).await;
    let config =
        SimulatorConfig { listen: address, bookmark_interval: Duration::from_secs(1), ..SimulatorConfig::default() };
    let simulator = Simulator::start_with(config, store).await.unwrap();
    is_restored(&podskew, Instant::now(), before, 2.0).await;
    agrees(&podskew, &simulator).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_forbids_everything_in_its_first_seconds_is_waited_for() {
    let simulator = cluster(SimulatorConfig::default()).await;
    simulator.inject(None, Fault::Status(403));
    let podskew = Running::start(&simulator, &[]);
    podskew.until("refusals", |scrape| scrape.failures("replicasets", "forbidden") >= 3.0).await;
    assert!(!podskew.is_ready());
    simulator.clear_faults();
    podskew.until_ready().await;
    let scrape = podskew.scrape();
    let synced = scrape.parsed.series("podskew_watch_synced", &[]);
    assert!(synced.iter().all(|(_, synced)| *synced == 1.0), "ready before the initial sync: {synced:?}");
    assert!(!podskew.log().contains("grant it"), "{}", podskew.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_lines_and_cut_connections_are_lived_through() {
    let simulator = cluster(SimulatorConfig::default()).await;
    let podskew = Running::start(&simulator, &[]);
    podskew.until_ready().await;
    let cases = [
        (Fault::WatchTruncatedLine, "decode"),
        (Fault::WatchGarbage, "decode"),
        (Fault::WatchCut, "connection"),
        (Fault::WatchExpires, "expired"),
    ];
    for (fault, reason) in cases {
        let failures = podskew.scrape().failures("pods", reason);
        // A single fault might affect the watch of the other podskew.
        simulator.inject(Some(Resource::Pods), fault);
        something_happens(&simulator, "daemonset");
        podskew.until(reason, |scrape| scrape.failures("pods", reason) > failures).await;
        simulator.clear_faults();
        agrees(&podskew, &simulator).await;
    }
}

/// An unknown certificate authority.
fn authority() -> rcgen::CertifiedIssuer<'static, rcgen::KeyPair> {
    let mut parameters = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    rcgen::CertifiedIssuer::self_signed(parameters, rcgen::KeyPair::generate().unwrap()).unwrap()
}

/// A server with a certificate of one authority, and a kubeconfig that trusts the same one or another.
async fn over_tls(same: bool, token_file: Option<&Path>) -> Simulator {
    let issuer = authority();
    let key = rcgen::KeyPair::generate().unwrap();
    let parameters = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = parameters.signed_by(&key, &issuer).unwrap();
    let named = if same { issuer.pem() } else { authority().pem() };
    let tls = Tls::from_pem(&certificate.pem(), &key.serialize_pem(), &named).unwrap();
    let token_file = token_file.map(Path::to_owned);
    cluster(SimulatorConfig { tls: Some(tls), token_file, ..SimulatorConfig::default() }).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_an_unknown_authority_is_refused_and_logged() {
    let simulator = over_tls(false, None).await;
    let podskew = Running::start(&simulator, &[]);
    podskew.until_logged("put the certificate of the cluster's authority into certificate-authority-data").await;
    let scrape = podskew.until("a failure", |scrape| scrape.failures("pods", "connection") >= 2.0).await;
    assert!(scrape.has_only_own_metrics());
    assert!(!podskew.is_ready());
    assert!(simulator.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_private_authority_and_a_token_that_rotates_are_enough() {
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("token");
    std::fs::write(&token, "the-first-one").unwrap();
    let simulator = over_tls(true, Some(&token)).await;
    let podskew = Running::start(&simulator, &["--log-level", "trace"]);
    podskew.until_ready().await;
    assert!(podskew.log().contains("watching server=\"https://127.0.0.1"), "{}", podskew.log());

    // The client reads the file again once a minute. A token is renewed long before the old one expires. Here it is renewed
    // at once, shortly before the end of that minute.
    tokio::time::sleep(Duration::from_secs(45)).await;
    std::fs::write(&token, "the-second-one").unwrap();
    simulator.cut_connections();
    podskew.until("a refusal", |scrape| scrape.failures("pods", "unauthorized") >= 1.0).await;
    something_happens(&simulator, "stuck");
    agrees(&podskew, &simulator).await;
    for secret in ["the-first-one", "the-second-one"] {
        assert!(!podskew.log().contains(secret), "{}", podskew.log());
    }
}
