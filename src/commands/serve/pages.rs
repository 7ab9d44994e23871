//! The page and the JSON API of a running podskew.

use super::events::EventHub;
use super::live::Live;
use super::readers::Readers;
use crate::access::AccessControl;
use crate::exposition::Exposition;
use crate::inventory::Inventory;
use crate::objects::Resource;
use crate::report::history::History;
use crate::report::{Workload, WorkloadReport};
use crate::sync::lock;
use crate::time::UnixTime;
use crate::ui::{Board, BoardList, Cluster, OwnState, Request, Response, Ui, WatchedResource, is_served};
use crate::web::{PageRequest, PageResponse, Pages};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use http::{HeaderName, HeaderValue, StatusCode};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Number of pages that are rendered at the same time.
const AT_ONCE: usize = 2;

/// Maximum wait of a request for its turn before it gets 503. A page takes milliseconds.
const TURN: Duration = Duration::from_secs(1);

/// Answers requests for the page.
pub(super) struct LivePages {
    ui: Ui,
    hosts: Vec<String>,
    cluster: Arc<LiveCluster>,
    turns: Arc<Semaphore>,
    events: Arc<EventHub>,
    readers: Arc<Readers>,
    /// Set if authenticated clients see more than others, so that authentication must stay enabled.
    access: Option<Arc<AccessControl>>,
}

/// Data of the pages.
pub(super) struct LiveCluster {
    pub(super) inventory: Arc<Mutex<Inventory>>,
    pub(super) exposition: Arc<Exposition>,
    pub(super) board: Arc<Board>,
    pub(super) live: Arc<Live>,
    pub(super) asks_registries: bool,
}

impl LivePages {
    /// Pages for clients that `access` admits.
    pub(super) fn new(
        ui: Ui,
        hosts: Vec<String>,
        cluster: LiveCluster,
        events: Arc<EventHub>,
        readers: Arc<Readers>,
        access: Option<Arc<AccessControl>>,
    ) -> Self {
        let access = access.filter(|access| access.authenticates());
        Self {
            ui,
            hosts,
            cluster: Arc::new(cluster),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            events,
            readers,
            access,
        }
    }
}

impl LivePages {
    /// Whether it shows data for authenticated clients although authentication is no longer required.
    fn is_unguarded(&self) -> bool {
        self.access.as_ref().is_some_and(|access| !access.authenticates())
    }
}

impl Pages for LivePages {
    fn serves_host(&self, host: Option<&str>) -> bool {
        is_served(&self.hosts, host)
    }

    fn answer(self: Arc<Self>, request: PageRequest) -> BoxFuture<'static, PageResponse> {
        Box::pin(async move {
            if let Some(asset) = Ui::asset(as_asked(&request)) {
                return response(asset);
            }
            if self.is_unguarded() {
                return unavailable(UNGUARDED);
            }
            if let Some(freshened) = self.readers.freshened() {
                freshened.await;
            }
            let Ok(Ok(turn)) = timeout(TURN, Arc::clone(&self.turns).acquire_owned()).await else {
                return unavailable(BUSY);
            };
            // The report of a large workload would block a thread that serves sockets for too long.
            let made = tokio::task::spawn_blocking(move || {
                let answer = self.ui.answer(as_asked(&request), &*self.cluster, UnixTime::now());
                drop(turn);
                answer
            });
            made.await.map_or_else(|_| unavailable(BUSY), response)
        })
    }

    fn events(&self) -> Option<BoxStream<'static, Bytes>> {
        (!self.is_unguarded()).then(|| self.events.subscribe())
    }
}

fn as_asked(request: &PageRequest) -> Request<'_> {
    Request {
        path: &request.path,
        query: &request.query,
        if_none_match: request.if_none_match.as_deref(),
        gzip: request.gzip,
    }
}

fn response(answer: Response) -> PageResponse {
    let header = |(name, value): (&'static str, String)| {
        Some((HeaderName::from_static(name), HeaderValue::try_from(value).ok()?))
    };
    PageResponse {
        status: StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        headers: answer.headers.into_iter().filter_map(header).collect(),
        body: answer.body.into(),
    }
}

const BUSY: &str = "too many requests for pages at the same time; try again soon\n";

const UNGUARDED: &str = "the web configuration file no longer requires credentials, but this podskew started with a page for \
                         authenticated users; restart podskew, or restore the users in the file\n";

fn unavailable(message: &'static str) -> PageResponse {
    let headers = [("content-type", "text/plain; charset=utf-8"), ("retry-after", "1"), ("cache-control", "no-store")];
    let header = |(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
    PageResponse {
        status: StatusCode::SERVICE_UNAVAILABLE,
        headers: headers.map(header).to_vec(),
        body: Bytes::from_static(message.as_bytes()),
    }
}

impl Cluster for LiveCluster {
    fn listed(&self) -> BoardList {
        self.board.listed()
    }

    fn published(&self) -> (u64, Option<UnixTime>) {
        self.board.published()
    }

    fn workload_count(&self) -> usize {
        self.exposition.workload_count()
    }

    fn workloads(&self) -> Vec<Arc<Workload>> {
        self.exposition.workloads()
    }

    /// Holds the inventory's lock for one report.
    fn explained(&self, workload: &Workload) -> Option<(WorkloadReport, History)> {
        lock(&self.inventory).explained(workload, UnixTime::now())
    }

    fn running(&self, image: &str) -> Vec<Workload> {
        lock(&self.inventory).running(image)
    }

    fn own_state(&self) -> OwnState {
        let watched = |resource: Resource| WatchedResource {
            resource: resource.plural(),
            synced: self.live.is_synced(resource),
            last_activity: self.live.last_activity(resource),
        };
        OwnState {
            waiting_for: self.live.waiting_for(),
            namespaces: self.live.namespaces().to_vec(),
            excluded_namespaces: self.live.excluded_namespaces().to_vec(),
            resources: Resource::ALL.map(watched).to_vec(),
            pods: self.live.pods(),
            asks_registries: self.asks_registries,
        }
    }
}
