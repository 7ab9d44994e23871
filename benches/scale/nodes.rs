//! Cost of nodes: podskew with `--nodes` and one without, on the same cluster.

use crate::cluster::Cluster;
use crate::figures::Figures;
use crate::podskew::Podskew;
use crate::{Outcome, progress};
use std::time::{Duration, Instant};

/// As in section 7 of the design: each node has 50 images.
const NODES: u32 = 5_000;

/// Minimum interval between two lists of the nodes.
const INTERVAL_SECONDS: f64 = 600.0;

/// Measures the cost of a list of the nodes, and the memory after it.
pub(crate) fn measure(cluster: &mut Cluster, figures: &mut Figures) -> Outcome<()> {
    cluster.put_nodes(NODES)?;
    let without = Podskew::start(cluster, &[])?;
    let rest_without = without.process.settled_mib()?;
    let peak_without = without.process.peak_mib()?;
    let begun = Instant::now();
    let with = Podskew::start(cluster, &["--nodes"])?;
    let before = with.process.cpu_seconds()?;
    while !with.knows_nodes(NODES)? {
        if begun.elapsed() > Duration::from_secs(120) {
            return Err("the nodes were not listed within two minutes".into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let spent = with.process.cpu_seconds()? - before;
    let (peak, rest) = (with.process.peak_mib()?, with.process.settled_mib()?);
    figures.put("nodes-rest", rest - rest_without);
    figures.put("nodes-peak", peak - peak_without);
    figures.put("nodes-cpu", spent * 1e3);
    figures.put("nodes-share", spent / INTERVAL_SECONDS * 100.0);
    progress(&format!(
        "{NODES} nodes: {rest:.1} MiB settled, {rest_without:.1} without; peak {peak:.1} MiB, {peak_without:.1} without; {spent:.2} s of CPU per list"
    ));
    Ok(())
}
