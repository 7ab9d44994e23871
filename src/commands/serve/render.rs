//! Takes changes out of the inventory and renders them, about once a second.

use super::events::EventHub;
use super::live::Live;
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
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};

/// Pause after a rendering. With the time of the rendering, a scrape lags at most one second.
const AFTER_CHANGES: Duration = Duration::from_millis(800);

/// Pause while nothing changes, so that the first change after a quiet time shows at once.
const WHILE_QUIET: Duration = Duration::from_millis(100);

/// Number of pods whose reports are taken at once, about 1 MB. While the initial state is rendered, a few such batches
/// are in memory.
const PODS_AT_ONCE: usize = 2_500;

/// Renders as long as it is polled; it ends only if rendering fails, which is a bug. The initial state is rendered as
/// soon as the last source has `answered`, because clients wait for it.
pub(super) async fn keep_rendering(
    inventory: Arc<Mutex<Inventory>>,
    exposition: Arc<Exposition>,
    telemetry: Telemetry,
    live: Arc<Live>,
    shown: Option<PageState>,
    watches: &Watches,
) -> anyhow::Result<()> {
    let (answered, health) = (watches.answered(), Some(watches.health()));
    let begun = Instant::now();
    let (published, cached_tags, registry) = (None, Vec::new(), None);
    let mut renderer =
        Renderer { inventory, exposition, telemetry, live, shown, health, begun, published, cached_tags, registry };
    loop {
        // Rendering the initial state of a large cluster would block a thread that serves sockets for too long.
        let published;
        (renderer, published) = tokio::task::spawn_blocking(move || {
            let published = renderer.publish();
            renderer.send_events();
            (renderer, published)
        })
        .await
        .context("rendering the metrics failed")?;
        if published {
            sleep(AFTER_CHANGES).await;
        } else if renderer.published.is_some() {
            sleep(WHILE_QUIET).await;
        } else {
            let _ = timeout(WHILE_QUIET, answered.notified()).await;
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
    /// The tags that stand for several digests on nodes, as last published.
    cached_tags: Vec<CachedTag>,
    /// The evidence of registries, as last published.
    registry: Option<Arc<RegistryEvidence>>,
}

impl Renderer {
    /// Publishes changes; returns whether there were any.
    fn publish(&mut self) -> bool {
        let mut changes = self.take_changes();
        let is_long = changes.more || (changes.complete && self.published.is_none());
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

    /// Holds the inventory's lock while reports are built, and not while they are rendered.
    fn take_changes(&self) -> Changes {
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
        inventory.take_some_changes(UnixTime::now(), PODS_AT_ONCE)
    }

    /// Moves the changes into a batch; the page's board has seen them.
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
    use crate::web::{ConnectionCounts, Site};

    #[test]
    fn a_picture_that_is_not_complete_any_more_is_taken_back() {
        let sources = Resource::ALL.map(|resource| Source { resource, namespace: 0 });
        let inventory = Arc::new(Mutex::new(Inventory::new(Settings::default(), &sources)));
        let exposition = Arc::new(Exposition::new(Selection::default(), Vec::new()));
        let telemetry = Telemetry::new().unwrap();
        let live = Arc::new(Live::new(Arc::clone(&exposition), telemetry.clone(), Vec::new(), Vec::new(), None));
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
        assert!(!renderer.publish(), "it is told once");
        assert!(!live.status().ready && !series(&live));
        assert_eq!(live.status().waiting_for, ["pods"]);

        list();
        assert!(renderer.publish());
        assert!(live.status().ready && series(&live));
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
