//! The simulated cluster's process: serves objects encoded in advance, and executes commands from standard input.
//!
//! A command is one line, and so is its answer: `done` and numbers. The process ends when its input ends.

use crate::Outcome;
use crate::inside_registries::Registries;
use simulator::{BulkConfig, Detail, Fault, Fleet, Simulator, SimulatorConfig, Store, Tls, bulk, put_nodes};
use std::io::BufRead as _;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Maximum number of changes of each resource by which a watch may lag.
const HISTORY: usize = 8192;
/// Lag at which the simulator waits for a watch.
const MOST_UNSENT: usize = 2048;
/// Number of services to update at a time, so that events come from the whole cluster.
const AT_ONCE: usize = 100;
/// An update of a service of 25 pods has about 430 events in 80 seconds.
const SECONDS_OF_AN_EVENT: f64 = 80.0 / 430.0;

/// Fills a cluster of `pods` pods, prints its address, and executes commands.
pub(crate) fn run(pods: u32) -> Outcome<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let store = Store::new(HISTORY);
    store.encode_protobuf_on_put();
    let fleet = bulk(&store, &BulkConfig { pods, ..BulkConfig::default() });
    let config = SimulatorConfig { history: HISTORY, ..SimulatorConfig::default() };
    let simulator = runtime.block_on(Simulator::start_with(config, store))?;
    say(&simulator.url());
    let mut cluster =
        Cluster { runtime, simulator, over_tls: None, fleet, registries: None, pods_changed: 0, changes: 0 };
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        cluster.obey(&words)?;
    }
    Ok(())
}

struct Cluster {
    runtime: tokio::runtime::Runtime,
    simulator: Simulator,
    /// The same objects as a real API server sends them: over TLS, and one event at a time.
    over_tls: Option<(Simulator, tempfile::NamedTempFile)>,
    fleet: Fleet,
    registries: Option<Registries>,
    pods_changed: u64,
    changes: u64,
}

impl Cluster {
    fn obey(&mut self, words: &[&str]) -> Outcome<()> {
        (self.pods_changed, self.changes) = (0, 0);
        let begun = Instant::now();
        match *words {
            ["streaming"] => self.simulator.clear_faults(),
            ["paged"] => self.simulator.inject(None, Fault::StreamingListUnsupported),
            ["protobuf"] => self.simulator.set_protobuf_served(true),
            ["json"] => self.simulator.set_protobuf_served(false),
            ["pace", "0"] => self.simulator.set_pace(None),
            ["pace", megabytes] => self.simulator.set_pace(Some(megabytes.parse::<u32>()? * 1_000_000)),
            ["nodes", count] => put_nodes(self.simulator.store(), count.parse()?),
            ["registries", references, count, file] => {
                let (references, count) = (references.parse()?, count.parse()?);
                let store = self.simulator.store();
                let registries = self.runtime.block_on(Registries::start(store, references, count))?;
                std::fs::write(file, registries.references())?;
                say(&format!("done {}", registries.hosts().join(" ")));
                self.registries = Some(registries);
                return Ok(());
            }
            ["requests"] => {
                let counts = self.registries.as_ref().ok_or("no registries")?.requests();
                let counts: Vec<String> = counts.iter().map(ToString::to_string).collect();
                say(&format!("done {}", counts.join(" ")));
                return Ok(());
            }
            ["move-tags", every] => self.registries.as_ref().ok_or("no registries")?.move_tags(every.parse()?),
            ["relist"] => self.runtime.block_on(self.simulator.relist()),
            ["touch"] => {
                let nanos = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
                self.fleet.touch();
                say(&format!("done {nanos}"));
                return Ok(());
            }
            ["tls"] => {
                let kubeconfig = self.serve_over_tls()?;
                say(&format!("done {}", kubeconfig.display()));
                return Ok(());
            }
            ["restart", services, rate] => {
                (0..services.parse()?).for_each(|_: u32| self.fleet.update_next(Detail::Every));
                let (begun, rate) = (Instant::now(), rate.parse()?);
                while self.step() {
                    keep_rate(self.changes, begun, rate);
                }
                self.wait_for_watches();
            }
            ["flow", rate, seconds] => self.flow(rate.parse()?, Duration::from_secs_f64(seconds.parse()?)),
            ["add", replicas] => {
                self.fleet.add_service(replicas.parse()?);
                self.wait_for_watches();
            }
            ["churn", rate, seconds] => self.churn(rate.parse()?, Duration::from_secs_f64(seconds.parse()?)),
            ["update", services, rate] => {
                (0..services.parse()?).for_each(|_: u32| self.fleet.update_next(Detail::Full));
                self.finish(rate.parse()?);
            }
            ["update-last", rate] => {
                self.fleet.update_last(Detail::Full);
                self.finish(rate.parse()?);
            }
            ["roll", times] => (0..times.parse()?).for_each(|_: u32| self.roll()),
            _ => return Err(format!("no such command: {words:?}").into()),
        }
        let seconds = begun.elapsed().as_secs_f64();
        say(&format!("done {} {} {seconds}", self.pods_changed, self.changes));
        Ok(())
    }

    /// Makes `rate` pod events per second by continuous updates.
    fn churn(&mut self, rate: f64, time: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < time {
            while self.fleet.updates_running() < AT_ONCE.min(self.fleet.service_count().div_ceil(2)) {
                self.fleet.update_next(Detail::Full);
            }
            self.step();
            self.keep_pace(begun, rate);
        }
    }

    /// Makes `rate` events of any object per second. Each service is updated in more than a minute.
    fn flow(&mut self, rate: f64, time: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < time {
            while (self.fleet.updates_running() as f64) < rate * SECONDS_OF_AN_EVENT {
                self.fleet.update_next(Detail::Every);
            }
            self.step();
            keep_rate(self.changes, begun, rate);
        }
    }

    /// Serves the cluster over TLS as well, one event at a time.
    fn serve_over_tls(&mut self) -> Outcome<std::path::PathBuf> {
        if let Some((_, kubeconfig)) = &self.over_tls {
            return Ok(kubeconfig.path().to_owned());
        }
        let certified = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()])?;
        let certificate = certified.cert.pem();
        let tls = Tls::from_pem(&certificate, &certified.signing_key.serialize_pem(), &certificate)?;
        let config =
            SimulatorConfig { history: HISTORY, tls: Some(tls), events_one_by_one: true, ..SimulatorConfig::default() };
        let store = self.simulator.store().clone();
        let simulator = self.runtime.block_on(Simulator::start_with(config, store))?;
        let kubeconfig = simulator.temporary_kubeconfig()?;
        let path = kubeconfig.path().to_owned();
        self.over_tls = Some((simulator, kubeconfig));
        Ok(path)
    }

    /// Finishes all updates; with rate 0 as fast as clients read.
    fn finish(&mut self, rate: f64) {
        let begun = Instant::now();
        while self.step() {
            self.keep_pace(begun, rate);
        }
        self.wait_for_watches();
    }

    /// Updates every service once.
    fn roll(&mut self) {
        self.fleet.resume();
        for _ in 0..self.fleet.service_count() {
            while self.fleet.updates_running() >= AT_ONCE && self.step() {
                self.keep_pace(Instant::now(), 0.0);
            }
            self.fleet.update_next(Detail::Brief);
        }
        self.finish(0.0);
    }

    /// Makes the next change. Returns false if there is none.
    fn step(&mut self) -> bool {
        let Some(of_pod) = self.fleet.step() else {
            return false;
        };
        self.changes += 1;
        self.pods_changed += u64::from(of_pod);
        true
    }

    fn keep_pace(&self, begun: Instant, rate: f64) {
        if rate > 0.0 {
            let due = Duration::from_secs_f64(self.pods_changed as f64 / rate);
            std::thread::sleep(due.saturating_sub(begun.elapsed()));
        } else if self.changes.is_multiple_of(256) {
            while self.simulator.unsent_changes() > MOST_UNSENT {
                std::thread::sleep(Duration::from_micros(500));
            }
        }
    }

    fn wait_for_watches(&self) {
        while self.simulator.unsent_changes() > 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn keep_rate(done: u64, begun: Instant, rate: f64) {
    std::thread::sleep(Duration::from_secs_f64(done as f64 / rate).saturating_sub(begun.elapsed()));
}

#[allow(clippy::print_stdout, reason = "the answer")]
fn say(line: &str) {
    println!("{line}");
}
