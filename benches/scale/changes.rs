//! Events as a real API server sends them: over TLS, one at a time, and all that controllers and kubelets write.

use crate::cluster::{Cluster, RATE, RESTARTED};
use crate::figures::{Figures, percentile};
use crate::http::Connection;
use crate::peer::Peer;
use crate::podskew::Podskew;
use crate::process::Process;
use crate::{Outcome, progress};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Scrape interval of Prometheus.
const INTERVAL: Duration = Duration::from_secs(15);
/// Duration of a steady flow of events, with four scrapes.
const FLOW: Duration = Duration::from_secs(60);
/// Pause before a first scrape, after which podskew has to render again.
const PAUSE: Duration = Duration::from_millis(1_300);
/// Time after which podskew has processed all events.
const SETTLE: Duration = Duration::from_secs(3);

/// Measures a restart of 40 workloads in podskew, in a podskew that does not render, and in kube-state-metrics; a steady
/// flow; and first scrapes.
pub(crate) fn measure(peer: &Path, cluster: &mut Cluster, figures: &mut Figures) -> Outcome<()> {
    let kubeconfig = cluster.over_tls()?;
    let podskew = Podskew::start_with(&kubeconfig, &[])?;
    std::thread::sleep(SETTLE);
    let scraping = Scraping::start(&podskew.host, INTERVAL);
    let restart = Cost::of(&podskew.process, || Ok(cluster.restart(RESTARTED, RATE)?.all))?;
    scraping.stop()?;
    figures.put("restart-all", restart.events);
    figures.put("restart-all-cpu", restart.seconds);
    figures.put("restart-all-event", restart.seconds / restart.events * 1e6);
    figures.put("restart-all-switches", restart.switches / restart.events);
    progress(&format!("restart of {RESTARTED} workloads: {restart:?}"));
    for (rate, name) in [(200, "flow-200"), (RATE, "flow-500")] {
        let scraping = Scraping::start(&podskew.host, INTERVAL);
        let begun = Instant::now();
        let spent = Cost::of(&podskew.process, || Ok(cluster.flow(rate, FLOW)?.all))?;
        let share = spent.seconds / begun.elapsed().as_secs_f64() * 100.0;
        scraping.stop()?;
        figures.put(name, share);
        progress(&format!("{rate} events a second: {share:.2} % of a core, {spent:?}"));
    }
    let first = Scraping::start(&podskew.host, PAUSE);
    cluster.flow(RATE, FLOW)?;
    let mut times = first.stop()?;
    progress(&format!("{} first scrapes", times.len()));
    figures.put("first-scrape-p50", percentile(&mut times, 50));
    figures.put("first-scrape-p99", percentile(&mut times, 99));
    // Finishes the restarts of the flow before the next measurement.
    cluster.restart(0, RATE)?;
    drop(podskew);

    let podskew = Podskew::start_with(
        &kubeconfig,
        &["--metric-allowlist", "podskew_(build_info|watch_events_total)", "--page", "off"],
    )?;
    std::thread::sleep(SETTLE);
    let decoding = Cost::of(&podskew.process, || Ok(cluster.restart(RESTARTED, RATE)?.all))?;
    figures.put("restart-all-decoding", decoding.seconds / decoding.events * 1e6);
    figures.put("restart-all-decoding-switches", decoding.switches / decoding.events);
    progress(&format!("the same without rendering: {decoding:?}"));
    drop(podskew);

    if let Some(peer) = Peer::start(peer, &kubeconfig)? {
        let spent = Cost::of(&peer.process, || Ok(cluster.restart(RESTARTED, RATE)?.all))?;
        figures.put("ksm-restart-all-cpu", spent.seconds);
        figures.put_ratio("restart-all-share", "restart-all-cpu", "ksm-restart-all-cpu");
        progress(&format!("kube-state-metrics: {spent:?}"));
    }
    Ok(())
}

/// What a process spent on some events.
#[derive(Debug)]
struct Cost {
    events: f64,
    seconds: f64,
    switches: f64,
}

impl Cost {
    /// Measures the cost of `work`, which returns its number of events, including the seconds after it.
    fn of(process: &Process, work: impl FnOnce() -> Outcome<f64>) -> Outcome<Self> {
        let (seconds, switches) = (process.cpu_seconds()?, process.context_switches()?);
        let events = work()?;
        std::thread::sleep(SETTLE);
        Ok(Self { events, seconds: process.cpu_seconds()? - seconds, switches: process.context_switches()? - switches })
    }
}

/// Continuous scrapes, each on a new connection, because podskew closes idle ones.
struct Scraping {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Vec<f64>, String>>,
}

impl Scraping {
    fn start(host: &str, interval: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, host) = (Arc::clone(&stop), host.to_owned());
        let scrape = move || -> Outcome<Vec<f64>> {
            let (mut times, mut next) = (Vec::new(), Instant::now() + interval);
            while !stopped.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(20));
                if Instant::now() < next {
                    continue;
                }
                let begun = Instant::now();
                let answer = Connection::open(&host)?.get("/metrics", Some("gzip"))?;
                if answer.status != 200 {
                    return Err(format!("a scrape was answered with {}", answer.status).into());
                }
                times.push(begun.elapsed().as_secs_f64() * 1000.0);
                next = begun + interval;
            }
            Ok(times)
        };
        let thread = std::thread::spawn(move || scrape().map_err(|error| error.to_string()));
        Self { stop, thread }
    }

    /// Stops, and returns the duration of each scrape in milliseconds.
    fn stop(self) -> Outcome<Vec<f64>> {
        self.stop.store(true, Ordering::Relaxed);
        Ok(self.thread.join().map_err(|_| "the scraper panicked")??)
    }
}
