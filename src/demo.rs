//! `podskew demo`: the exporter on a simulated cluster, in one process.

use crate::cli::DemoOptions;
use crate::serve::Signals;
use crate::web::bind;
use anyhow::{Context, bail};

/// Simulates a cluster and serves its metrics, until a signal says to stop.
pub async fn demo(options: DemoOptions) -> anyhow::Result<()> {
    let signals = Signals::listen().context("cannot listen for signals")?;
    let listener = bind(options.listen_address).await?;
    // At the merge: start the simulator with options.workloads and options.pods, print the addresses and what to look
    // at, and serve::watch_and_serve(options.into(), the simulator's client, listener, signals).
    let _ = (listener, signals);
    bail!("the simulator is not built yet")
}
