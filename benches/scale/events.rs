//! Cost of events, and their delay during scrapes.

use crate::cluster::{Cluster, RESTARTED};
use crate::figures::{Figures, percentile};
use crate::podskew::{Health, Podskew};
use crate::scrapes::{CHURN_RATE, InFlight};
use crate::{Outcome, progress};
use std::time::{Duration, SystemTime};

const CHURN: Duration = Duration::from_secs(15);
const LARGE_PODS: u32 = 5000;
const TOUCHES: usize = 50;

/// Measures CPU under 500 pod events a second, and of a restart of 40 workloads.
pub(crate) fn cpu(cluster: &mut Cluster, podskew: &Podskew, figures: &mut Figures) -> Outcome<()> {
    let before = podskew.process.cpu_seconds()?;
    let done = cluster.churn(CHURN_RATE, CHURN)?;
    let share = (podskew.process.cpu_seconds()? - before) / done.seconds;
    figures.put("churn-share", share * 100.0);
    progress(&format!("{:.0} pod events a second: {:.1} % of a core", done.pods / done.seconds, share * 100.0));
    // The updates of the churn end before the next measurement.
    cluster.update(0, 0)?;
    let (seconds, pod_events) = restart(cluster, podskew, RESTARTED)?;
    figures.put("cpu-restart", seconds);
    figures.put("restart-events", pod_events);
    figures.put("cpu-restart-event", seconds / pod_events * 1e6);
    Ok(())
}

/// Measures a rolling update of one large workload, compared with as many pods in workloads of 25.
pub(crate) fn large(cluster: &mut Cluster, podskew: &Podskew, figures: &mut Figures) -> Outcome<()> {
    let (seconds, pod_events) = restart(cluster, podskew, LARGE_PODS / 25)?;
    figures.put("cpu-spread-event", seconds / pod_events * 1e6);
    cluster.add(LARGE_PODS)?;
    std::thread::sleep(Duration::from_secs(2));
    let before = (podskew.process.cpu_seconds()?, podskew.events()?.0);
    cluster.update_last(2000)?;
    std::thread::sleep(Duration::from_secs(2));
    let seconds = podskew.process.cpu_seconds()? - before.0;
    figures.put("cpu-large-event", seconds / (podskew.events()?.0 - before.1) * 1e6);
    figures.put_ratio("large-ratio", "cpu-large-event", "cpu-spread-event");
    Ok(())
}

/// Measures the cost of events up to the inventory, in a podskew that serves almost nothing.
pub(crate) fn into_inventory(cluster: &mut Cluster, figures: &mut Figures) -> Outcome<()> {
    let podskew = Podskew::start(cluster, &["--metric-allowlist", "podskew_(build_info|watch_events_total)"])?;
    std::thread::sleep(Duration::from_secs(1));
    let before = (podskew.process.cpu_seconds()?, podskew.events()?.1);
    let done = cluster.roll(1)?;
    let (seconds, events) = (podskew.process.cpu_seconds()? - before.0, podskew.events()?.1 - before.1);
    figures.put("cpu-event", seconds / events * 1e6);
    progress(&format!("{events:.0} of {:.0} events in {:.1} s: {seconds:.2} s of CPU", done.all, done.seconds));
    Ok(())
}

/// Measures the delay of an event from the simulator into podskew, with and without a concurrent scrape.
pub(crate) fn delay(cluster: &mut Cluster, podskew: &Podskew, figures: &mut Figures) -> Outcome<()> {
    let mut quiet = delays(cluster, podskew)?;
    figures.put("delay-p50", percentile(&mut quiet, 50));
    figures.put("delay-max", percentile(&mut quiet, 100));
    let scrapes = InFlight::start(&podskew.host, None)?;
    let mut busy = delays(cluster, podskew)?;
    scrapes.stop()?;
    figures.put("delay-scrape-p50", percentile(&mut busy, 50));
    figures.put("delay-scrape-max", percentile(&mut busy, 100));
    Ok(())
}

/// CPU seconds for a restart of `workloads` workloads in parallel, and the number of pod events.
pub(crate) fn restart(cluster: &mut Cluster, podskew: &Podskew, workloads: u32) -> Outcome<(f64, f64)> {
    let before = (podskew.process.cpu_seconds()?, podskew.events()?.0);
    cluster.update(workloads, if workloads > RESTARTED { 2000 } else { CHURN_RATE })?;
    std::thread::sleep(Duration::from_secs(2));
    Ok((podskew.process.cpu_seconds()? - before.0, podskew.events()?.0 - before.1))
}

/// Milliseconds from writing an event until a scrape has counted it, including the scrape.
fn delays(cluster: &mut Cluster, podskew: &Podskew) -> Outcome<Vec<f64>> {
    let mut connection = podskew.connect()?;
    let mut health = Health::default();
    let series = "podskew_watch_events_total{event=\"applied\",resource=\"pods\"}";
    let mut count =
        || -> Outcome<f64> { Ok(*health.read(&mut connection)?.get(series).ok_or("no count of pod events")?) };
    let mut delays = Vec::with_capacity(TOUCHES);
    for _ in 0..TOUCHES {
        let before = count()?;
        let written = cluster.touch()?;
        while count()? <= before {}
        delays.push(SystemTime::now().duration_since(written)?.as_secs_f64() * 1000.0);
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(delays)
}
