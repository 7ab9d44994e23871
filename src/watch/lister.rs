//! Lists a source: as a stream if the server supports it, otherwise in pages.

mod pages;
mod streaming;

use super::budget::DecodeBudget;
use super::failure::WatchFailure;
use super::framing::{EventReader, WireFormat};
use super::http_exchange::{ResponseBody, open};
use super::liveness::Heartbeat;
use super::request::{Target, watch_length};
use super::sink::{Sink, SourceChange};
use super::timings::Timings;
use super::watch_log::WatchLog;
use crate::inventory::Source;
use crate::objects::{Object, WatchEvent, decode_event};
use crate::telemetry::FailureReason;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use streaming::StreamingListError;
use tokio::time::Instant;

/// The page size of kubectl and client-go.
const FIRST_LIMIT: u32 = 500;

/// Maximum page size, if continue tokens expire before the list ends.
const LAST_LIMIT: u32 = 8_000;

/// Consecutive unreadable lists before the unreadable part is skipped. A broken transfer does not recur in the
/// next list, but data that is unreadable three times would block the whole resource. Data in protobuf is requested in JSON
/// before anything is skipped.
const UNREADABLE_LISTS: u32 = 3;

/// Lists one source.
pub(super) struct Lister<S> {
    pub(super) source: Source,
    pub(super) target: Target,
    pub(super) client: kube::Client,
    pub(super) sink: Arc<S>,
    pub(super) timings: Timings,
    pub(super) budget: Arc<DecodeBudget>,
    pub(super) heartbeat: Heartbeat,
    pub(super) log: WatchLog,
    /// When the last request was sent.
    pub(super) asked: Instant,
    asks_for: WireFormat,
    answered_in: WireFormat,
    listing: ListState,
}

/// A completed list.
pub(super) struct Listed {
    /// When it began.
    pub(super) began: Instant,
    /// Its resource version.
    pub(super) version: String,
    /// The stream it came as, with events after the list; `None` if it came in pages.
    pub(super) stream: Option<OpenWatch>,
}

/// A watch that began with a list.
pub(super) struct OpenWatch {
    pub(super) answer: ResponseBody,
    pub(super) events: EventReader,
    /// Its requested duration.
    pub(super) length: Duration,
}

/// State of the lists so far.
#[derive(Debug)]
struct ListState {
    /// Until when to use pages; streams after that.
    pages_until: Option<Instant>,
    limit: u32,
    /// Consecutive unreadable lists.
    unreadable: u32,
    /// Number of objects skipped in the current or last list.
    skipped: u64,
    /// Number of objects in the current or last list.
    objects: u64,
    /// Whether a list was ever begun.
    begun: bool,
    /// Whether the next list is a relist that is not counted yet.
    again: bool,
    /// Whether a list is in progress.
    open: bool,
}

impl ListState {
    fn new() -> Self {
        Self {
            pages_until: None,
            limit: FIRST_LIMIT,
            unreadable: 0,
            skipped: 0,
            objects: 0,
            begun: false,
            again: false,
            open: false,
        }
    }

    fn may_stream(&self) -> bool {
        self.pages_until.is_none_or(|until| until <= Instant::now())
    }
}

impl<S: Sink> Lister<S> {
    pub(super) fn new(
        source: Source,
        target: Target,
        client: kube::Client,
        sink: Arc<S>,
        timings: &Timings,
        budget: Arc<DecodeBudget>,
        heartbeat: Heartbeat,
    ) -> Self {
        let asks_for =
            if target.resource.in_protobuf() && !sink.reads_pages() { WireFormat::Protobuf } else { WireFormat::Json };
        Self {
            source,
            asks_for,
            answered_in: WireFormat::Json,
            asked: Instant::now(),
            log: WatchLog::new(target.clone(), heartbeat.line_limit()),
            target,
            client,
            sink,
            timings: *timings,
            budget,
            heartbeat,
            listing: ListState::new(),
        }
    }

    /// Number of objects in the last list.
    pub(super) fn objects(&self) -> u64 {
        self.listing.objects
    }

    /// Number of unreadable objects skipped in the last list.
    pub(super) fn skipped(&self) -> u64 {
        self.listing.skipped
    }

    /// Whether there are any.
    pub(super) fn is_skipping(&self) -> bool {
        self.listing.skipped > 0
    }

    /// Records that the last list was readable.
    pub(super) fn was_readable(&mut self) {
        self.listing.unreadable = 0;
    }

    /// Sends a GET.
    pub(super) async fn open(&mut self, uri: &str) -> Result<ResponseBody, WatchFailure> {
        self.asked = Instant::now();
        let answer = open(&self.client, uri, self.asks_for, self.timings.answer, &mut self.heartbeat).await?;
        self.answered_in = answer.encoding();
        Ok(answer)
    }

    /// Lists everything: as a stream if the server supports it, otherwise in pages.
    pub(super) async fn list(&mut self) -> Result<Listed, WatchFailure> {
        let listed = self.list_either_way().await;
        if let Err(failure) = &listed {
            self.abandon();
            self.count_unreadable(failure);
        }
        listed
    }

    async fn list_either_way(&mut self) -> Result<Listed, WatchFailure> {
        let _permit = self.budget.list().await;
        let began = Instant::now();
        let until = began + self.timings.list_total;
        let length = watch_length(&self.timings) + self.timings.list_total;
        // Pages after a failed stream are the same list.
        self.listing.again = self.listing.begun;
        if self.listing.may_stream() {
            match self.streaming_list(until, length).await {
                Ok((answer, events, version)) => {
                    return Ok(Listed { began, version, stream: Some(OpenWatch { answer, events, length }) });
                }
                Err(StreamingListError::Failed(failure)) => return Err(failure),
                Err(StreamingListError::Unsupported(failure)) => {
                    self.abandon();
                    self.log.pages_instead(&failure);
                    self.use_pages();
                }
            }
        }
        let version = self.paged_list(until).await?;
        Ok(Listed { began, version, stream: None })
    }

    /// Counts objects that are too long.
    pub(super) fn pass_over(&mut self, objects: u64) {
        self.listing.skipped += objects;
        for _ in 0..objects {
            self.heartbeat.failure(FailureReason::Decode);
        }
    }

    /// The server has begun to send a list.
    fn begin(&mut self) {
        if std::mem::take(&mut self.listing.again) {
            self.heartbeat.restart();
        }
        self.listing.begun = true;
        self.listing.open = true;
        self.listing.objects = 0;
        self.listing.skipped = 0;
        self.sink.take(self.source, SourceChange::ListBegins);
    }

    fn finish(&mut self, gone: &[Bytes]) {
        let gone: Vec<Object<'_>> = gone
            .iter()
            .filter_map(|event| match decode_event(self.target.resource, event) {
                Ok(WatchEvent::Deleted(object)) => Some(object),
                _ => None,
            })
            .collect();
        self.listing.open = false;
        self.sink.take(self.source, SourceChange::ListEnds { gone: &gone });
        self.heartbeat.answered();
    }

    pub(super) fn abandon(&mut self) {
        if std::mem::take(&mut self.listing.open) {
            self.sink.take(self.source, SourceChange::ListBreaksOff);
        }
    }

    fn use_pages(&mut self) {
        self.listing.pages_until = Some(Instant::now() + self.timings.streaming_retry);
    }

    /// Records that a list failed. After the third consecutive unreadable list, the next one is requested differently.
    pub(super) fn count_unreadable(&mut self, failure: &WatchFailure) {
        if failure.reason != FailureReason::Decode {
            return;
        }
        self.listing.unreadable = self.listing.unreadable.saturating_add(1);
        if self.listing.unreadable < UNREADABLE_LISTS {
            return;
        }
        if self.answered_in == WireFormat::Protobuf {
            // A proxy may support only JSON.
            self.asks_for = WireFormat::Json;
            self.listing.unreadable = 0;
            self.log.json_instead(failure);
        } else {
            // A single event of a stream can be skipped; an unreadable page is lost as a whole, with its continue
            // token.
            self.listing.pages_until = None;
        }
    }
}
