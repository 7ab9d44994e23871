//! podskew without its web server, in this process: watches, inventory and exposition with a simulated API server, and with
//! timings that are short enough for a test.

use super::exposition::Parsed;
use super::running::TIMEOUT;
use super::summary::{View, disagreement};
use super::tape::path;
use podskew::exposition::{Encoding, Exposition, Format, PublishBatch, Selection};
use podskew::inventory::{Inventory, Settings};
use podskew::objects;
use podskew::telemetry::{FailureReason, Telemetry};
use podskew::time::UnixTime;
use podskew::watch::{self, Connection, Timings, Watches, connect};
use serde_json::Value;
use simulator::{Resource, Simulator, SimulatorConfig, Store};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Short pauses, and deadlines that a busy machine meets.
pub fn quick() -> Timings {
    let milliseconds = Duration::from_millis;
    Timings {
        answer: milliseconds(1500),
        list_idle: milliseconds(1500),
        list_total: milliseconds(20_000),
        watch_idle: milliseconds(3000),
        watch_length: milliseconds(60_000),
        pause_base: milliseconds(20),
        pause_most: milliseconds(100),
        healthy: milliseconds(10_000),
        forbidden: milliseconds(50),
        not_served: milliseconds(50),
        refusal_grace: milliseconds(60_000),
        forbidden_settles: milliseconds(2_000),
        forbidden_again: milliseconds(50),
        forbidden_look: milliseconds(2_000),
        outage: milliseconds(10_000),
        probe_shared: milliseconds(1_000),
        log_window: milliseconds(60_000),
        nodes: Duration::from_millis(200),
        nodes_again: Duration::from_millis(100),
        nodes_awaited: Duration::from_millis(500),
        nodes_pause: Duration::from_millis(50),
        streaming_retry: milliseconds(60_000),
    }
}

/// An API server that sends several bookmarks per second.
pub async fn simulator() -> Simulator {
    let config = SimulatorConfig { bookmark_interval: Duration::from_millis(200), ..SimulatorConfig::default() };
    Simulator::start(config).await.unwrap()
}

/// Puts objects of real clusters into the store: digest skew, a stuck, a paused and a partitioned rollout, two DaemonSets.
pub fn fill(store: &Store) {
    for scenario in ["digest-skew", "stuck", "paused", "statefulset-partition", "daemonset"] {
        fill_from(store, scenario);
    }
}

/// Puts the final objects of one recording into the store.
pub fn fill_from(store: &Store, scenario: &str) {
    for object in objects(scenario) {
        store.put(resource_of(&object), object);
    }
}

/// The objects at the end of a recording, as kubectl prints them.
pub fn objects(scenario: &str) -> Vec<Value> {
    let dump = std::fs::read_to_string(path(&format!("{scenario}.dump.json"))).unwrap();
    let mut dump: Value = serde_json::from_str(&dump).unwrap();
    let Value::Array(objects) = dump["items"].take() else { panic!("{scenario} is not a list") };
    objects
}

pub fn resource_of(object: &Value) -> Resource {
    let plural = format!("{}s", object["kind"].as_str().unwrap().to_ascii_lowercase());
    Resource::ALL.into_iter().find(|resource| resource.plural() == plural).unwrap()
}

/// The resources of the simulator that podskew watches.
pub fn watched() -> impl Iterator<Item = Resource> {
    let is_watched =
        |resource: &Resource| objects::Resource::ALL.iter().any(|known| known.plural() == resource.plural());
    Resource::ALL.into_iter().filter(is_watched)
}

/// A resource of podskew or of the simulator.
pub trait Plural {
    fn plural(&self) -> &'static str;
}

impl Plural for objects::Resource {
    fn plural(&self) -> &'static str {
        (*self).plural()
    }
}

impl Plural for Resource {
    fn plural(&self) -> &'static str {
        (*self).plural()
    }
}

/// A running podskew without its web server.
pub struct Exporter {
    pub telemetry: Telemetry,
    inventory: Arc<Mutex<Inventory>>,
    exposition: Exposition,
    _watches: Watches,
}

/// Its exposition at one time.
pub struct Look {
    pub parsed: Parsed,
    pub at: UnixTime,
    /// Whether every source has been listed.
    pub complete: bool,
}

impl Look {
    pub fn view(&self) -> View<'_> {
        View { parsed: &self.parsed, at: self.at, start: self.at }
    }
}

impl Exporter {
    pub async fn start(simulator: &Simulator) -> Self {
        Self::start_with(simulator, &[], quick()).await
    }

    #[allow(clippy::large_types_passed_by_value, reason = "tests start few of them")]
    pub async fn start_with(simulator: &Simulator, namespaces: &[&str], timings: Timings) -> Self {
        let kubeconfig = tempfile::NamedTempFile::new().unwrap();
        simulator.write_kubeconfig(kubeconfig.path()).unwrap();
        let connection = Connection { kubeconfig: Some(kubeconfig.path().to_owned()), context: None };
        let client = connect(&connection).await.unwrap().client;
        let namespaces: Vec<String> = namespaces.iter().map(|&namespace| namespace.to_owned()).collect();
        let telemetry = Telemetry::new().unwrap();
        let sources = watch::sources(&namespaces);
        let inventory = Arc::new(Mutex::new(Inventory::new(Settings::default(), &sources)));
        let watches = watch::run(&client, &namespaces, &inventory, &telemetry, timings);
        let exposition = Exposition::new(Selection::default(), Vec::new());
        Self { telemetry, inventory, exposition, _watches: watches }
    }

    /// Renders the changes, checks the assertions for every exposition, and returns it.
    pub fn look(&self) -> Look {
        let at = UnixTime::now();
        let changes = self.inventory.lock().unwrap().take_changes(at);
        let complete = changes.complete;
        if complete || !changes.gone.is_empty() {
            self.exposition
                .publish(PublishBatch { reports: changes.reports, gone: changes.gone }, &changes.awaiting_owner);
        }
        let own_health = self.telemetry.gather();
        let answer = self.exposition.picture().answer(&own_health, Format::Text, Encoding::Identity, at);
        let parsed = Parsed::read(&String::from_utf8(answer.flatten().collect()).unwrap());
        let look = Look { parsed, at, complete };
        look.view().holds_together();
        look
    }

    /// Repeats [`Self::look`] until `seen` returns true.
    pub async fn until(&self, what: &str, mut seen: impl FnMut(&Look) -> bool) -> Look {
        let begun = Instant::now();
        loop {
            let look = self.look();
            if seen(&look) {
                return look;
            }
            assert!(
                begun.elapsed() < TIMEOUT,
                "timeout waiting for {what}:\n{}\n{:?}",
                look.view().summary(),
                self.troubles()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits for the initial sync, and for every watch.
    pub async fn until_synced(&self) -> Look {
        self.until("every watch", |look| {
            look.complete && objects::Resource::ALL.into_iter().all(|resource| self.synced(resource))
        })
        .await
    }

    /// Waits until it agrees with one that has just started.
    pub async fn until_it_agrees_with_a_fresh_one(&self, simulator: &Simulator) -> Look {
        let fresh = Self::start(simulator).await;
        fresh.until_synced().await;
        let mut last = None;
        let begun = Instant::now();
        loop {
            let (known, fresh) = (self.look(), fresh.look());
            match disagreement(&known.parsed, &fresh.parsed) {
                // A synced resource has received everything.
                None if objects::Resource::ALL.into_iter().all(|resource| self.synced(resource)) => return known,
                None => {}
                other => last = other,
            }
            assert!(begun.elapsed() < TIMEOUT, "no agreement with a fresh one: {last:?} {:?}", self.troubles());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub fn synced(&self, resource: impl Plural) -> bool {
        self.telemetry.watch_synced.with_label_values(&[resource.plural()]).get() == 1
    }

    pub fn failures(&self, resource: impl Plural, reason: FailureReason) -> u64 {
        self.telemetry.watch_failures.with_label_values(&[resource.plural(), reason.as_str()]).get()
    }

    pub fn restarts(&self, resource: impl Plural) -> u64 {
        self.telemetry.watch_restarts.with_label_values(&[resource.plural()]).get()
    }

    /// All failures and restarts of any resource.
    pub fn troubles(&self) -> Vec<String> {
        let mut troubles = Vec::new();
        for resource in objects::Resource::ALL {
            for reason in FailureReason::ALL.into_iter().filter(|reason| self.failures(resource, *reason) > 0) {
                troubles.push(format!("{resource} {reason}"));
            }
            if self.restarts(resource) > 0 {
                troubles.push(format!("{resource} restarted"));
            }
        }
        troubles
    }
}

/// A cluster with `deployment/web` in `shop`, whose pods have one digest, or two.
pub async fn shop(skewed: bool) -> Simulator {
    let simulator = simulator().await;
    for object in objects("digest-skew") {
        let mut object: Value =
            serde_json::from_str(&object.to_string().replace("\"digest-skew\"", "\"shop\"")).unwrap();
        if !skewed && object["kind"] == "Pod" {
            let digest = format!("registry.example/skew/web@sha256:{}", "a".repeat(64));
            object["status"]["containerStatuses"][0]["imageID"] = digest.into();
        }
        simulator.store().put(resource_of(&object), object);
    }
    simulator
}
