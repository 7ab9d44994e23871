//! Takes the changed workloads out of the inventory and renders them, when a reader asks for a picture.

use super::events::EventHub;
use super::live::Live;
use super::readers::Readers;
use crate::exposition::{Exposition, PublishBatch};
use crate::inventory::{CachedTag, Changes, Inventory, RegistryEvidence, Source};
use crate::objects::Resource;
use crate::report::Name;
use crate::sync::lock;
use crate::telemetry::{FailureReason, Telemetry};
use crate::time::UnixTime;
use crate::ui::Board;
use crate::watch::{WatchHealth, Watches};
use anyhow::Context;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// Interval of checks for a first complete picture.
const WHILE_INCOMPLETE: Duration = Duration::from_millis(100);

/// Interval of checks for a rendering without readers.
const WHILE_NOBODY_READS: Duration = Duration::from_secs(1);

/// The same while a page is open, so that the first change after a quiet time shows at once.
const WHILE_WATCHED: Duration = Duration::from_millis(100);

/// Minimum time between two renderings for open pages.
const BETWEEN: Duration = Duration::from_millis(800);

/// Maximum time between two renderings without readers. A workload that is gone takes memory until the next rendering.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Number of changed workloads that are rendered without readers. It limits how long the next reader waits.
const MOST_UNREAD: usize = 256;

/// Number of pods whose reports are rendered at once, about 1 MB. While the initial state is rendered, a few such batches
/// are in memory.
const PODS_AT_ONCE: usize = 2_500;

/// Number of pods whose reports are made per lock of the inventory: a third of a millisecond.
const PODS_A_LOCK: usize = 250;

/// Number of changed workloads above which a second thread helps to render them.
const MANY_WORKLOADS: usize = 16;

/// Renders as long as it is polled; it ends only if rendering fails, which is a bug. The initial state is rendered as
/// soon as the last source has `answered`, because clients wait for it; any other one when `readers` ask for it.
///
/// The inventory records observations with each event, so nothing is lost without readers.
pub(super) async fn keep_rendering(
    inventory: Arc<Mutex<Inventory>>,
    exposition: Arc<Exposition>,
    telemetry: Telemetry,
    live: Arc<Live>,
    shown: Option<PageState>,
    watches: &Watches,
    readers: &Readers,
) -> anyhow::Result<()> {
    let (answered, health) = (watches.answered(), Some(watches.health()));
    let begun = Instant::now();
    let (published, cached_tags, registry) = (None, Vec::new(), None);
    let mut renderer =
        Renderer { inventory, exposition, telemetry, live, shown, health, begun, published, cached_tags, registry };
    loop {
        let begun = Instant::now();
        // Rendering would block a thread that serves sockets for too long.
        renderer = tokio::task::spawn_blocking(move || {
            renderer.publish();
            renderer.send_events();
            renderer
        })
        .await
        .context("rendering the metrics failed")?;
        let is_complete = renderer.published.is_some();
        readers.rendered(is_complete.then_some(begun));
        if is_complete {
            tokio::select! {
                () = readers.want_more() => {}
                () = renderer.is_due(begun) => {}
            }
        } else {
            let _ = timeout(WHILE_INCOMPLETE, answered.notified()).await;
        }
    }
}

/// Data of the page.
pub(super) struct PageState {
    pub(super) board: Arc<Board>,
    pub(super) events: Arc<EventHub>,
}

struct Renderer {
    inventory: Arc<Mutex<Inventory>>,
    exposition: Arc<Exposition>,
    telemetry: Telemetry,
    live: Arc<Live>,
    /// Data of the page, if it is served.
    shown: Option<PageState>,
    /// Health of the watches, to explain missing answers.
    health: Option<WatchHealth>,
    begun: Instant,
    /// The pods awaiting their owner as last published; `None` before the first publication.
    published: Option<Vec<(Name, u32)>>,
    /// The tags that have several digests on nodes, as last published.
    cached_tags: Vec<CachedTag>,
    /// The evidence of registries, as last published.
    registry: Option<Arc<RegistryEvidence>>,
}

impl Renderer {
    /// Waits until a rendering is due without readers. The last one started at `begun`.
    async fn is_due(&self, begun: Instant) {
        loop {
            let is_watched = self.shown.as_ref().is_some_and(|shown| shown.events.are_watched());
            sleep(if is_watched { WHILE_WATCHED } else { WHILE_NOBODY_READS }).await;
            // This thread serves sockets, so it does not wait for the lock.
            let Ok(mut inventory) = self.inventory.try_lock() else { continue };
            let unreported = inventory.unreported(UnixTime::now());
            drop(inventory);
            let passed = begun.elapsed();
            let is_due = match unreported {
                // The picture has to be withdrawn.
                None => true,
                Some(0) if is_watched => passed >= WHILE_NOBODY_READS,
                Some(_) if is_watched => passed >= BETWEEN,
                Some(workloads) => workloads >= MOST_UNREAD || passed >= LONGEST_PAUSE,
            };
            if is_due {
                return;
            }
        }
    }

    /// Publishes changes; returns whether there were any.
    fn publish(&mut self) -> bool {
        let mut changes = self.take_changes();
        let is_long = changes.more
            || (changes.complete && self.published.is_none())
            || (changes.complete && changes.reports.len() > MANY_WORKLOADS);
        if is_long {
            // Each batch is rendered while the next ones are taken.
            let mut next = Some(self.part_of(&mut changes));
            self.exposition.prepare(&mut std::iter::from_fn(|| {
                let part = next.take()?;
                if changes.more {
                    changes = self.take_changes();
                    next = changes.complete.then(|| self.part_of(&mut changes));
                }
                Some(part)
            }));
        }
        if !changes.complete {
            return self.withdraw(changes);
        }
        if !is_long && !self.is_news(&changes) {
            return false;
        }
        self.exposition.take_cached_tags(&changes.cached_tags);
        self.cached_tags = std::mem::take(&mut changes.cached_tags);
        if let Some(evidence) = changes.registry.take().filter(|evidence| !self.is_published(evidence)) {
            self.exposition.take_registry(&evidence);
            self.registry = Some(evidence);
        }
        let part = self.part_of(&mut changes);
        self.exposition.publish(part, &changes.awaiting_owner);
        if let Some(shown) = &self.shown {
            shown.board.publish(UnixTime::now());
        }
        if self.published.replace(changes.awaiting_owner).is_none() {
            self.live.is_ready();
            let seconds = self.begun.elapsed().as_secs_f64();
            tracing::info!(seconds, "initial sync complete");
        }
        true
    }

    /// Sends events about the changes to open pages.
    fn send_events(&self) {
        if let Some(PageState { board, events }) = &self.shown {
            let own_state = || Resource::ALL.map(|resource| self.live.is_synced(resource)).to_vec();
            events.send(board.published().0, own_state);
        }
    }

    /// Withdraws everything published: the state is incomplete since pods are forbidden.
    fn withdraw(&mut self, mut changes: Changes) -> bool {
        let published = self.published.take().is_some();
        if published {
            self.exposition.take_cached_tags(&[]);
            self.cached_tags.clear();
            self.exposition.take_registry(&RegistryEvidence::default());
            self.registry = None;
            self.exposition.publish(part_of(&mut changes), &[]);
            if let Some(shown) = &self.shown {
                shown.board.withdraw();
            }
            tracing::error!("not ready, initial sync incomplete again");
        } else if !changes.gone.is_empty() {
            // Drops what was prepared for an initial state that will not be published.
            self.exposition.prepare(&mut std::iter::once(part_of(&mut changes)));
        }
        published
    }

    /// Takes reports of up to [`PODS_AT_ONCE`] pods. Each lock of the inventory covers a few reports, so that events wait
    /// only for those.
    fn take_changes(&self) -> Changes {
        let mut changes = self.take_few_changes();
        let pods = |changes: &Changes| changes.reports.iter().map(|report| report.pods.len()).sum::<usize>();
        let mut taken = pods(&changes);
        while changes.more && taken < PODS_AT_ONCE {
            let mut next = self.take_few_changes();
            taken += pods(&next);
            next.gone.append(&mut changes.gone);
            // Without a complete picture there are no reports.
            if next.complete {
                changes.reports.append(&mut next.reports);
                next.reports = std::mem::take(&mut changes.reports);
            }
            changes = next;
        }
        changes
    }

    fn take_few_changes(&self) -> Changes {
        let mut inventory = lock(&self.inventory);
        for resource in Resource::ALL {
            let objects = i64::try_from(inventory.objects(resource)).unwrap_or(i64::MAX);
            self.telemetry.objects.with_label_values(&[resource.plural()]).set(objects);
        }
        self.live.holds_pods(inventory.objects(Resource::Pods));
        if self.published.is_none() {
            let unanswered = inventory.unanswered();
            let trouble = |source| self.health.as_ref().and_then(|health| health.failure(source));
            let named = |source: &Source| described(*source, self.live.namespaces(), trouble(*source));
            self.live.waits_for(unanswered.iter().map(named).collect());
        }
        inventory.take_some_changes(UnixTime::now(), PODS_A_LOCK)
    }

    /// Moves the changes into a batch. The board has taken them already.
    fn part_of(&self, changes: &mut Changes) -> PublishBatch {
        let part = part_of(changes);
        if let Some(shown) = &self.shown {
            shown.board.take(&part.reports, &part.gone);
            shown.events.note(&part);
        }
        part
    }

    fn is_published(&self, evidence: &Arc<RegistryEvidence>) -> bool {
        self.registry.as_ref().is_some_and(|published| Arc::ptr_eq(published, evidence))
    }

    fn is_news(&self, changes: &Changes) -> bool {
        !changes.reports.is_empty()
            || !changes.gone.is_empty()
            || self.published.as_ref() != Some(&changes.awaiting_owner)
            || self.cached_tags != changes.cached_tags
            || changes.registry.as_ref().is_some_and(|evidence| !self.is_published(evidence))
    }
}

fn part_of(changes: &mut Changes) -> PublishBatch {
    PublishBatch { reports: std::mem::take(&mut changes.reports), gone: std::mem::take(&mut changes.gone) }
}

fn described(source: Source, namespaces: &[String], trouble: Option<FailureReason>) -> String {
    let mut text = match namespaces.get(usize::from(source.namespace)) {
        Some(namespace) => format!("{} in namespace {namespace}", source.resource),
        None => source.resource.to_string(),
    };
    if let Some(reason) = trouble {
        text.push_str(": ");
        text.push_str(match reason {
            FailureReason::Unauthorized => {
                "unauthorized: the credentials are missing, or the API server does not accept them"
            }
            FailureReason::Forbidden => "forbidden: a rule is missing, which the log names",
            FailureReason::Connection => "unreachable: no connection to the API server; the log has the error",
            FailureReason::Timeout => "unreachable: the API server does not answer in time",
            other => other.as_str(),
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::{Encoding, Format, Selection};
    use crate::inventory::Settings;
    use crate::objects::decode_event;
    use crate::ui::Exposure;
    use crate::watch::{self, Timings};
    use crate::web::{ConnectionCounts, Site};
    use futures::future::join_all;
    use simulator::{BulkConfig, Simulator, SimulatorConfig, Store, bulk};

    #[test]
    fn a_picture_that_is_not_complete_any_more_is_taken_back() {
        let sources = Resource::ALL.map(|resource| Source { resource, namespace: 0 });
        let inventory = Arc::new(Mutex::new(Inventory::new(Settings::default(), &sources)));
        let exposition = Arc::new(Exposition::new(Selection::default(), Vec::new()));
        let telemetry = Telemetry::new().unwrap();
        let readers = Arc::new(Readers::new());
        let live =
            Arc::new(Live::new(Arc::clone(&exposition), readers, telemetry.clone(), Vec::new(), Vec::new(), None));
        let (begun, published, health) = (Instant::now(), None, None);
        let mut renderer = Renderer {
            inventory: inventory.clone(),
            exposition,
            telemetry,
            live: live.clone(),
            shown: None,
            health,
            begun,
            published,
            cached_tags: Vec::new(),
            registry: None,
        };
        let series = |live: &Live| {
            let frames = live.scrape(Format::Text, Encoding::Identity, ConnectionCounts::default()).frames;
            let text = String::from_utf8(frames.flatten().collect()).unwrap();
            text.contains("podskew_pods_by_template_hash{")
        };
        let now = UnixTime::now();
        let list = || {
            let text = br#"{"type":"ADDED","object":{"metadata":{"name":"db-0","namespace":"shop","uid":"a",
                "labels":{"controller-revision-hash":"db-1"},"ownerReferences":[{"apiVersion":"apps/v1",
                "kind":"StatefulSet","name":"db","uid":"b","controller":true}]}}}"#;
            let Ok(crate::objects::WatchEvent::Applied(pod)) = decode_event(Resource::Pods, text) else { panic!() };
            let mut inventory = inventory.lock().unwrap();
            inventory.begin_relist(sources[0]);
            inventory.relist(sources[0], &pod, now);
            inventory.finish_relist(sources[0], now);
        };
        list();
        for source in &sources[1..] {
            inventory.lock().unwrap().forbid(*source, now);
        }
        assert!(renderer.publish());
        assert!(live.status().ready && series(&live));

        inventory.lock().unwrap().forbid(sources[0], now);
        assert!(renderer.publish());
        assert!(!renderer.publish(), "it is reported once");
        assert!(!live.status().ready && !series(&live));
        assert_eq!(live.status().waiting_for, ["pods"]);

        list();
        assert!(renderer.publish());
        assert!(live.status().ready && series(&live));
    }

    async fn until(what: &str, mut holds: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !holds() {
            assert!(begun.elapsed() < Duration::from_secs(60), "{what} does not come");
            sleep(Duration::from_millis(20)).await;
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn readers_that_wait_share_one_rendering_and_without_readers_there_is_none() {
        let store = Store::new(100);
        bulk(&store, &BulkConfig { pods: 50, rolling_every: 0, ..BulkConfig::default() });
        let simulator = Simulator::start_with(SimulatorConfig::default(), store.clone()).await.unwrap();
        let client = watch::client(kube::Config::new(simulator.url().parse().unwrap())).unwrap();
        let telemetry = Telemetry::new().unwrap();
        let inventory = Arc::new(Mutex::new(Inventory::new(Settings::default(), &watch::sources(&[]))));
        let watches = watch::run(&client, &[], &inventory, &telemetry, Timings::default());
        let exposition = Arc::new(Exposition::new(Selection::default(), Vec::new()));
        let readers = Arc::new(Readers::new());
        let live = Live::new(Arc::clone(&exposition), readers.clone(), telemetry.clone(), vec![], vec![], None);
        let (live, events) = (Arc::new(live), Arc::new(EventHub::new()));
        let board = Arc::new(Board::new(Exposure { pods: true, messages: true }));
        let shown = PageState { board: Arc::clone(&board), events: Arc::clone(&events) };
        let (of_cluster, of_live, of_readers) = (Arc::clone(&inventory), Arc::clone(&live), Arc::clone(&readers));
        let to_publish = Arc::clone(&exposition);
        let _rendering = tokio::spawn(async move {
            keep_rendering(of_cluster, to_publish, telemetry, of_live, Some(shown), &watches, &of_readers).await
        });
        until("the first picture", || live.status().ready).await;
        let first = exposition.picture();

        let mut pods = store.list(simulator::Resource::Pods).into_iter();
        let mut deletes_one = || {
            let metadata = pods.next().unwrap()["metadata"].take();
            let [namespace, name] = ["namespace", "name"].map(|field| metadata[field].as_str().unwrap().to_owned());
            assert!(store.delete(simulator::Resource::Pods, &namespace, &name));
        };
        let knows = |pods: u64| lock(&inventory).objects(Resource::Pods) == pods;
        deletes_one();
        until("the deletion", || knows(49)).await;
        sleep(2 * WHILE_NOBODY_READS).await;
        assert!(Arc::ptr_eq(&first, &exposition.picture()), "nobody reads");

        let reads = async || {
            if let Some(freshened) = live.freshened() {
                freshened.await;
            }
            exposition.picture()
        };
        let pictures = join_all((0..8).map(|_| reads())).await;
        assert!(pictures.iter().all(|picture| Arc::ptr_eq(picture, &pictures[0])), "they get one rendering");
        assert!(!Arc::ptr_eq(&first, &pictures[0]), "it shows the deletion");
        let frames = live.scrape(Format::Text, Encoding::Identity, ConnectionCounts::default()).frames;
        let text = String::from_utf8(frames.flatten().collect()).unwrap();
        assert_eq!(text.matches("\npodskew_pod_info{").count(), 49);
        assert!(text.contains("podskew_objects{resource=\"pods\"} 49"), "{text}");

        // An open page is a reader.
        let watching = events.subscribe();
        deletes_one();
        let generation = board.published().0;
        until("the next picture", || board.published().0 > generation).await;
        assert!(!Arc::ptr_eq(&pictures[0], &exposition.picture()) && knows(48));
        drop(watching);
    }

    #[test]
    fn a_source_is_named_with_its_namespace_where_it_has_one() {
        let pods = |namespace| Source { resource: Resource::Pods, namespace };
        let namespaces = ["shop".to_owned(), "blog".to_owned()];
        assert_eq!(described(pods(1), &namespaces, None), "pods in namespace blog");
        assert_eq!(described(pods(0), &[], None), "pods");
        for (reason, word) in [
            (FailureReason::Unauthorized, "pods: unauthorized: "),
            (FailureReason::Forbidden, "pods: forbidden: "),
            (FailureReason::Connection, "pods: unreachable: "),
            (FailureReason::Timeout, "pods: unreachable: "),
            (FailureReason::Throttled, "pods: throttled"),
        ] {
            let text = described(pods(0), &[], Some(reason));
            assert!(text.starts_with(word), "{text}");
        }
    }
}
