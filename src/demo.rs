//! `podskew demo`: the exporter on a simulated cluster, in one process.

use crate::cli::{DemoOptions, terminal};
use crate::cluster;
use crate::serve::{Signals, watch_and_serve};
use crate::simulator::{Demo, DemoConfig, Simulator, SimulatorConfig, highlights};
use crate::time::UnixTime;
use crate::web::bind;
use anyhow::Context;
use std::fmt::Write as _;

/// Simulates a cluster and serves its metrics, until a signal says to stop.
pub async fn demo(options: DemoOptions) -> anyhow::Result<()> {
    let signals = Signals::listen().context("cannot listen for signals")?;
    let listener = bind(options.listen_address).await?;
    let address = listener.local_addr().context("cannot tell the address podskew listens on")?;
    let config = SimulatorConfig { rollouts_served: true, ..SimulatorConfig::default() };
    let simulator = Simulator::start(config).await.context("cannot start the simulated cluster")?;
    let size = DemoConfig { workloads: options.workloads, pods: options.pods };
    let mut cluster = Demo::begin(simulator.store(), &size, UnixTime::now());

    // The same door as for any other cluster: over HTTP.
    let server = simulator.url().parse().context("the simulated cluster has no address")?;
    let client = cluster::client(kube::Config::new(server))?;

    terminal::print(&banner(address.port(), &simulator.url(), size))?;
    tokio::select! {
        outcome = watch_and_serve(options.into(), client, listener, signals) => outcome,
        () = cluster.run() => Ok(()),
    }
}

/// Where to look, and what there is to see.
fn banner(port: u16, cluster: &str, size: DemoConfig) -> String {
    let mut text = format!(
        "podskew watches a simulated cluster ({cluster}): {} workloads, {} pods. No real cluster is touched.\n\n  \
         metrics  http://localhost:{port}/metrics\n  overview http://localhost:{port}/\n\nWhat there is to see:\n",
        size.workloads, size.pods
    );
    let width = highlights().iter().map(|highlight| highlight.workload.len()).max().unwrap_or(0);
    for highlight in highlights() {
        let _ = writeln!(
            text,
            "  {:width$}  {}\n  {:width$}  {}",
            highlight.workload, highlight.what, "", highlight.metric
        );
    }
    let _ = writeln!(text, "\nTry: curl -s localhost:{port}/metrics | grep digest_skew_age\nStop with Ctrl-C.\n\n");
    text
}
