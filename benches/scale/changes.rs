//! Events as a real API server sends them: over TLS, each by itself, and all that controllers and kubelets write.

use crate::cluster::Cluster;
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

const RESTARTED: u32 = 40;
const RATE: u32 = 500;
/// How often Prometheus scrapes.
const INTERVAL: Duration = Duration::from_secs(15);
/// Four scrapes of each flow are counted.
const FLOW: Duration = Duration::from_secs(60);
/// Between two first scrapes: nobody has looked for longer than a picture lasts.
const PAUSE: Duration = Duration::from_millis(1_300);
/// What is begun is done by then.
const REST: Duration = Duration::from_secs(3);

/// Measures a restart of 40 workloads all in, into the inventory alone, and in kube-state-metrics; a steady flow; and first scrapes.
pub(crate) fn measure(peer: &Path, cluster: &mut Cluster, figures: &mut Figures) -> Outcome<()> {
    let kubeconfig = cluster.over_tls()?;
    let podskew = Podskew::start_with(&kubeconfig, &[])?;
    std::thread::sleep(REST);
    let scraping = Scraping::start(&podskew.host, INTERVAL)?;
    let all_in = Spent::on(&podskew.process, || Ok(cluster.restart(RESTARTED, RATE)?.all))?;
    scraping.stop()?;
    figures.put("restart-all", all_in.events);
    figures.put("restart-all-cpu", all_in.seconds);
    figures.put("restart-all-event", all_in.seconds / all_in.events * 1e6);
    figures.put("restart-all-switches", all_in.switches / all_in.events);
    progress(&format!("restart of {RESTARTED} workloads: {all_in:?}"));
    for (rate, name) in [(200, "flow-200"), (RATE, "flow-500")] {
        let scraping = Scraping::start(&podskew.host, INTERVAL)?;
        let begun = Instant::now();
        let spent = Spent::on(&podskew.process, || Ok(cluster.flow(rate, FLOW)?.all))?;
        let share = spent.seconds / begun.elapsed().as_secs_f64() * 100.0;
        scraping.stop()?;
        figures.put(name, share);
        progress(&format!("{rate} events a second: {share:.2} % of a core, {spent:?}"));
    }
    let first = Scraping::start(&podskew.host, PAUSE)?;
    cluster.flow(RATE, FLOW)?;
    let mut times = first.stop()?;
    progress(&format!("{} first scrapes", times.len()));
    figures.put("first-scrape-p50", percentile(&mut times, 50));
    figures.put("first-scrape-p99", percentile(&mut times, 99));
    // What was begun is done before the next is measured.
    cluster.restart(0, RATE)?;
    drop(podskew);

    let podskew = Podskew::start_with(
        &kubeconfig,
        &["--metric-allowlist", "podskew_(build_info|watch_events_total)", "--page", "off"],
    )?;
    std::thread::sleep(REST);
    let decoding = Spent::on(&podskew.process, || Ok(cluster.restart(RESTARTED, RATE)?.all))?;
    figures.put("restart-all-decoding", decoding.seconds / decoding.events * 1e6);
    figures.put("restart-all-decoding-switches", decoding.switches / decoding.events);
    progress(&format!("the same, nothing rendered: {decoding:?}"));
    drop(podskew);

    if let Some(peer) = Peer::start(peer, &kubeconfig)? {
        let spent = Spent::on(&peer.process, || Ok(cluster.restart(RESTARTED, RATE)?.all))?;
        figures.put("ksm-restart-all-cpu", spent.seconds);
        figures.put_ratio("restart-all-share", "restart-all-cpu", "ksm-restart-all-cpu");
        progress(&format!("kube-state-metrics: {spent:?}"));
    }
    Ok(())
}

/// What some events took of a process.
#[derive(Debug)]
struct Spent {
    events: f64,
    seconds: f64,
    switches: f64,
}

impl Spent {
    /// Measures what `happens`, which tells how many events that was, and what follows within some seconds.
    fn on(process: &Process, happens: impl FnOnce() -> Outcome<f64>) -> Outcome<Self> {
        let (seconds, switches) = (process.cpu_seconds()?, process.context_switches()?);
        let events = happens()?;
        std::thread::sleep(REST);
        Ok(Self { events, seconds: process.cpu_seconds()? - seconds, switches: process.context_switches()? - switches })
    }
}

/// Scrapes one after the other, each on a connection of its own: podskew closes those that are idle for long.
struct Scraping {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Vec<f64>, String>>,
}

impl Scraping {
    fn start(host: &str, interval: Duration) -> Outcome<Self> {
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
        Ok(Self { stop, thread })
    }

    /// Ends; how many milliseconds each took.
    fn stop(self) -> Outcome<Vec<f64>> {
        self.stop.store(true, Ordering::Relaxed);
        Ok(self.thread.join().map_err(|_| "the scraper panicked")??)
    }
}
