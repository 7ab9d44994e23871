//! kube-state-metrics on the same cluster, limited to families with the same information.
//!
//! It also requests and gets protobuf.

use crate::cluster::{Cluster, RATE, RESTARTED};
use crate::figures::{Figures, percentile};
use crate::http::Connection;
use crate::podskew::{free_port, wait_for};
use crate::process::Process;
use crate::scrapes::{scrape, series};
use crate::{Outcome, progress};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const RESOURCES: &str = "pods,replicasets,deployments,statefulsets,daemonsets";
const FAMILIES: &str = "kube_pod_info,kube_pod_container_info,kube_pod_owner,kube_pod_status_ready,\
    kube_pod_deletion_timestamp,kube_replicaset_owner,kube_replicaset_status_replicas,\
    kube_replicaset_metadata_generation,kube_deployment_status_replicas,kube_deployment_status_replicas_updated,\
    kube_deployment_status_observed_generation,kube_deployment_status_condition,kube_deployment_spec_replicas,\
    kube_deployment_metadata_generation";
const SCRAPES: usize = 40;
/// Time after its start when its memory is read.
const SETTLED: Duration = Duration::from_secs(180);
/// A process with less CPU time than this over some seconds is at rest.
const AT_REST_SECONDS: f64 = 0.03;

/// A kube-state-metrics that has listed the cluster.
pub(crate) struct Peer {
    pub(crate) process: Process,
    /// `HOST:PORT` of its metrics.
    pub(crate) host: String,
    /// From the start until it uses no CPU.
    pub(crate) ready: Duration,
}

impl Peer {
    /// Starts it and waits until it has listed the cluster; `None` if it is not installed.
    pub(crate) fn start(binary: &Path, kubeconfig: &Path) -> Outcome<Option<Self>> {
        if !binary.is_file() {
            let remedy = "make bench builds it if Go is installed";
            progress(&format!("SKIPPED: no kube-state-metrics at {}; {remedy}", binary.display()));
            return Ok(None);
        }
        let (host, own) = (format!("127.0.0.1:{}", free_port()?), free_port()?.to_string());
        let mut command = Command::new(binary);
        command.arg("--kubeconfig").arg(kubeconfig);
        command.args(["--resources", RESOURCES, "--metric-allowlist", FAMILIES, "--enable-gzip-encoding"]);
        command.args(["--host", "127.0.0.1", "--port", host.rsplit(':').next().unwrap_or_default()]);
        command.args(["--telemetry-host", "127.0.0.1", "--telemetry-port", &own]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let begun = Instant::now();
        let mut process = Process::start(&mut command)?;
        wait_for(&mut process, &host, "/healthz", begun, Duration::from_millis(20))?;
        let ready = until_rest(&process, begun)?;
        Ok(Some(Self { process, host, ready }))
    }
}

/// Measures it, or prints why it is skipped.
pub(crate) fn measure(binary: &Path, cluster: &mut Cluster, figures: &mut Figures) -> Outcome<()> {
    let Some(Peer { process, host, ready }) = Peer::start(binary, cluster.kubeconfig.path())? else { return Ok(()) };
    let begun = Instant::now();
    let (series, known) = series(&host, "kube_pod_info{")?;
    progress(&format!("kube-state-metrics: at rest after {:.2} s with {known} pods", ready.as_secs_f64()));
    if known < f64::from(cluster.pods) {
        return Err(format!("kube-state-metrics has {known} of {} pods", cluster.pods).into());
    }
    figures.put("ksm-ready-seconds", ready.as_secs_f64());
    figures.put("ksm-peak", process.peak_mib()?);
    figures.put("ksm-series", series);
    // Go collects its garbage at least every two minutes.
    std::thread::sleep(SETTLED.saturating_sub(ready + begun.elapsed()));
    figures.put("ksm-steady", process.resident_mib()?);
    scrapes(&host, figures)?;
    let before = process.cpu_seconds()?;
    cluster.update(RESTARTED, RATE)?;
    std::thread::sleep(Duration::from_secs(2));
    figures.put("ksm-cpu-restart", process.cpu_seconds()? - before);
    for (ratio, above, below) in [
        ("ksm-ready-ratio", "ksm-ready-seconds", "ready-seconds"),
        ("ksm-peak-ratio", "ksm-peak", "peak-sync"),
        ("ksm-steady-ratio", "ksm-steady", "steady"),
        ("ksm-gzip-ratio", "ksm-gzip-p50", "idle-gzip-p50"),
        ("ksm-identity-ratio", "ksm-identity-p50", "idle-identity-p50"),
        ("restart-share", "cpu-restart", "ksm-cpu-restart"),
    ] {
        figures.put_ratio(ratio, above, below);
    }
    Ok(())
}

/// `/readyz` succeeds before the initial list is complete, so this waits until the process is at rest.
fn until_rest(process: &Process, begun: Instant) -> Outcome<Duration> {
    let (mut worked, mut last) = (begun.elapsed(), process.cpu_seconds()?);
    while begun.elapsed() < worked + Duration::from_secs(3) {
        std::thread::sleep(Duration::from_millis(100));
        let now = process.cpu_seconds()?;
        if now - last > AT_REST_SECONDS {
            (worked, last) = (begun.elapsed(), now);
        }
    }
    Ok(worked)
}

fn scrapes(host: &str, figures: &mut Figures) -> Outcome<()> {
    for (encoding, [p50, p99, size]) in [
        (Some("gzip"), ["ksm-gzip-p50", "ksm-gzip-p99", "ksm-gzip"]),
        (None, ["ksm-identity-p50", "ksm-identity-p99", "ksm-plain"]),
    ] {
        let (mut times, bytes) = scrape(&mut Connection::open(host)?, encoding, SCRAPES)?;
        figures.put(p50, percentile(&mut times, 50));
        figures.put(p99, percentile(&mut times, 99));
        figures.put(size, bytes as f64 / 1e6);
    }
    Ok(())
}
