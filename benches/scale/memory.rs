//! Memory of podskew: at the initial list, settled, during a relist, and after ten updates of everything.

use crate::cluster::Cluster;
use crate::figures::Figures;
use crate::podskew::Podskew;
use crate::scrapes::InFlight;
use crate::{Outcome, progress};
use std::time::Duration;

const ROLLS: u32 = 10;

/// Measures a podskew that has just become ready: the peak of the initial list, and the settled memory.
pub(crate) fn first(podskew: &Podskew, pods: u32, figures: &mut Figures) -> Outcome<()> {
    figures.put("peak-sync", podskew.process.peak_mib()?);
    let steady = podskew.process.settled_mib()?;
    figures.put("steady", steady);
    figures.put("steady-pod", steady * 1_048_576.0 / f64::from(pods));
    figures.put("binary", std::fs::metadata(crate::podskew::BINARY)?.len() as f64 / 1e6);
    progress(&format!("steady at {steady:.1} MiB"));
    Ok(())
}

/// Measures the peak of a relist of everything during an uncompressed scrape.
pub(crate) fn relist(cluster: &mut Cluster, podskew: &Podskew, figures: &mut Figures) -> Outcome<()> {
    podskew.process.forget_peak()?;
    let scrapes = InFlight::start(&podskew.host, None)?;
    cluster.relist()?;
    // The relist replaces the old objects after its last byte.
    std::thread::sleep(Duration::from_secs(3));
    let count = scrapes.stop()?.len();
    let peak = podskew.process.peak_mib()?;
    figures.put("peak-relist", peak);
    progress(&format!(
        "relist: peak {peak:.1} MiB under {count} identity scrapes, then {:.1} MiB",
        podskew.process.settled_mib()?
    ));
    Ok(())
}

/// Measures the memory after ten rolling updates of everything.
pub(crate) fn rolls(cluster: &mut Cluster, podskew: &Podskew, figures: &mut Figures) -> Outcome<()> {
    podskew.process.forget_peak()?;
    let before = podskew.process.cpu_seconds()?;
    for roll in 1..=ROLLS {
        let done = cluster.roll(1)?;
        progress(&format!(
            "rolling update {roll} of everything: {:.0} events in {:.1} s; {:.1} MiB",
            done.all,
            done.seconds,
            podskew.process.resident_mib()?
        ));
    }
    progress(&format!("{:.1} s of CPU", podskew.process.cpu_seconds()? - before));
    figures.put("peak-rolling", podskew.process.peak_mib()?);
    let after = podskew.process.settled_mib()?;
    figures.put("rolled", after);
    figures.put_ratio("rolled-ratio", "rolled", "steady");
    figures.put("simulator", cluster.resident_mib()?);
    progress(&format!("after {ROLLS} rolling updates of everything {after:.1} MiB"));
    Ok(())
}
