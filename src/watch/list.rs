//! A whole list: as a stream where the server can, in pages where it cannot.
//!
//! Streaming is on by default from Kubernetes 1.34. A server says in four ways that it cannot: 400 or 422 (the gate is
//! off, up to 1.33), an ERROR event with 500 before any object (its etcd is too old: recorded in `protocol/`), an ordinary
//! bookmark before the closing one, or silence after the objects (before 1.27 the parameter is unknown and ignored). Each
//! leads to pages, at once or with the next attempt, and streaming is tried again after an hour.

use super::budget::Budget;
use super::decode_pool::{Decoded, Lanes, is_added};
use super::failure::Failure;
use super::framing::{Encoding, Events};
use super::http_exchange::{Answer, Patience};
use super::pagination::Course;
use super::request::watch_length;
use super::sink::{Change, Sink};
use super::watcher::{End, Watcher};
use crate::objects::{ListMeta, Object, Pieces, WatchEvent, decode_event, decode_list_meta, take_wrong_types};
use crate::telemetry::FailureReason;
use bytes::Bytes;
use futures::FutureExt as _;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// As many as kubectl and client-go ask for.
const FIRST_LIMIT: u32 = 500;

/// The most a page is let grow to when continue tokens expire before the list ends.
const LAST_LIMIT: u32 = 8_000;

/// Lists in a row that may fail over something unreadable before that is left out. A broken transfer mends itself in the
/// next list; what is broken three times would keep the whole resource from ever being known. What came in protobuf is asked
/// for in JSON before anything is left out.
const UNREADABLE_LISTS: u32 = 3;

/// What a watch remembers of its lists.
#[derive(Debug)]
pub(super) struct Listing {
    /// Pages until then; streams after it.
    pages_until: Option<Instant>,
    limit: u32,
    /// Lists in a row that failed over something unreadable.
    unreadable: u32,
    /// What the list that runs, or the last one, left out.
    skipped: u64,
    /// The objects of the list that runs, or of the last one.
    objects: u64,
    /// Whether a list was ever begun.
    begun: bool,
    /// Whether the list that is about to begin is a further one, and not yet counted as such.
    again: bool,
    /// Whether a list is begun and neither finished nor abandoned.
    open: bool,
}

/// Why there is no streaming list.
enum NoStream {
    /// The server cannot: pages, at once.
    Unsupported(Failure),
    /// It failed like anything fails.
    Failed(Failure),
}

impl From<Failure> for NoStream {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Listing {
    pub(super) fn new() -> Self {
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

    /// Whether something that cannot be read was left out of the last list.
    pub(super) fn is_skipping(&self) -> bool {
        self.skipped > 0
    }

    /// How many objects that is.
    pub(super) fn skipped(&self) -> u64 {
        self.skipped
    }

    fn may_stream(&self) -> bool {
        self.pages_until.is_none_or(|until| until <= Instant::now())
    }
}

impl<S: Sink> Watcher<S> {
    /// Lists everything, and follows the stream if the list came as one.
    pub(super) async fn list(&mut self) -> End {
        let permit = self.budget.list().await;
        let began = Instant::now();
        let until = began + self.timings.list_total;
        let length = watch_length(&self.timings) + self.timings.list_total;
        // Pages after a stream that could not be had are the same list.
        self.listing.again = self.listing.begun;
        if self.listing.may_stream() {
            match self.streaming_list(until, length).await {
                Ok((answer, events, version)) => {
                    drop(permit);
                    self.listed(began, &version);
                    return self.follow(answer, events, version, length).await;
                }
                Err(NoStream::Failed(failure)) => return self.unlisted(failure),
                Err(NoStream::Unsupported(failure)) => {
                    self.abandon();
                    self.journal.pages_instead(&failure);
                    self.use_pages();
                }
            }
        }
        match self.paged_list(until).await {
            Ok(version) => {
                self.listed(began, &version);
                End::Listed { version }
            }
            Err(failure) => self.unlisted(failure),
        }
    }

    async fn streaming_list(&mut self, until: Instant, length: Duration) -> Result<(Answer, Events, String), NoStream> {
        let uri = self.target.streaming_list(length);
        let mut answer = match self.open(&uri).await {
            Ok(answer) => answer,
            Err(failure) if failure.reason == FailureReason::Rejected => return Err(NoStream::Unsupported(failure)),
            Err(failure) => return Err(NoStream::Failed(failure)),
        };
        self.begin();
        let mut decoding = Lanes::new(self.source, self.sink.clone());
        let mut gone = Vec::new();
        let read = self.initial_events(&mut answer, until, &mut decoding, &mut gone).await;
        // Nothing of this list may reach the inventory once it has ended.
        let rest = self.take(decoding.drain().await);
        let (events, version) = read?;
        rest?;
        self.finish(&gone);
        Ok((answer, events, version))
    }

    /// Reads a streaming list to its closing bookmark, and gives its version, and the events that have come behind it.
    async fn initial_events(
        &mut self,
        answer: &mut Answer,
        until: Instant,
        decoding: &mut Lanes<S>,
        gone: &mut Vec<Bytes>,
    ) -> Result<(Events, String), NoStream> {
        let patience = Patience::for_list(self.timings.list_idle, until);
        let mut events = Events::new(answer.encoding());
        let mut permit = None;
        loop {
            loop {
                let event = match events.next() {
                    Ok(Some(event)) => event,
                    Ok(None) => break,
                    Err(error) if error.is_passed_over => {
                        self.pass_over(1);
                        continue;
                    }
                    Err(error) => return Err(Failure::from(error).into()),
                };
                if is_added(&event) {
                    decoding.event(event).await;
                    continue;
                }
                // It may be about an object that is on its way.
                self.take(decoding.drain().await)?;
                if let Some(version) = self.initial_event(event, gone)? {
                    return Ok((events, version));
                }
            }
            self.take(decoding.decoded())?;
            if Budget::is_spare(events.held(), permit.as_ref()) {
                self.take(decoding.drain().await)?;
                permit = None;
            }
            self.budget.hold(events.held(), &mut permit).await;
            let read = if let Some(read) = answer.events(&mut events, patience, &mut self.pulse).now_or_never() {
                read
            } else {
                decoding.flush().await;
                answer.events(&mut events, patience, &mut self.pulse).await
            };
            match read {
                Ok(true) => {}
                Ok(false) => {
                    let message = "the streaming list ended before its closing bookmark";
                    return Err(NoStream::Failed(Failure::connection(message)));
                }
                Err(failure) => {
                    if failure.reason == FailureReason::Timeout {
                        // It may be a server that knows no streaming lists and waits for changes.
                        self.use_pages();
                    }
                    return Err(NoStream::Failed(failure));
                }
            }
        }
    }

    /// Takes an initial event. Gives the version if it is the bookmark that closes them.
    fn initial_event(&mut self, event: Bytes, gone: &mut Vec<Bytes>) -> Result<Option<String>, NoStream> {
        if event.is_empty() {
            return Ok(None);
        }
        let decoded = decode_event(self.target.resource, &event);
        self.pulse.wrong_types(take_wrong_types());
        match decoded {
            Ok(WatchEvent::Applied(object)) => {
                self.listing.objects += 1;
                self.sink.take(self.source, Change::Listed(&[object]));
                Ok(None)
            }
            // What changed while the server sent its list comes before the closing bookmark. A deletion can only take
            // effect once the list stands, so it is kept until then.
            Ok(WatchEvent::Deleted(_)) => {
                gone.push(event);
                Ok(None)
            }
            Ok(WatchEvent::Bookmark { resource_version, initial_events_end: true }) => {
                if resource_version.is_empty() {
                    return Err(NoStream::Failed(Failure::unreadable("the closing bookmark has no version")));
                }
                Ok(Some(resource_version))
            }
            Ok(WatchEvent::Bookmark { .. }) => {
                let message = "an ordinary bookmark came before the closing one";
                Err(NoStream::Unsupported(Failure::unreadable(message)))
            }
            Ok(WatchEvent::Error(status)) => {
                let failure = Failure::event(status);
                let cannot = matches!(failure.reason, FailureReason::ServerError | FailureReason::Rejected);
                Err(if cannot && self.listing.objects == 0 {
                    NoStream::Unsupported(failure)
                } else {
                    NoStream::Failed(failure)
                })
            }
            Err(error) => {
                self.take(Decoded { unreadable: 1, error: Some(error), ..Decoded::default() })?;
                Ok(None)
            }
        }
    }

    /// Counts what was decoded, and says whether the list may go on.
    fn take(&mut self, decoded: Decoded) -> Result<(), Failure> {
        self.listing.objects += decoded.objects;
        self.pulse.wrong_types(decoded.wrong_types);
        if let Some(error) = decoded.error {
            if self.listing.unreadable < UNREADABLE_LISTS {
                return Err(error.into());
            }
            self.listing.skipped += decoded.unreadable;
            for _ in 0..decoded.unreadable {
                self.pulse.failure(FailureReason::Decode);
            }
        }
        Ok(())
    }

    pub(super) async fn paged_list(&mut self, until: Instant) -> Result<String, Failure> {
        let mut decoding = Lanes::new(self.source, self.sink.clone());
        let read = self.pages(until, &mut decoding).await;
        // Nothing of this list may reach the inventory once it has ended.
        let rest = decoding.drain().await;
        let version = read?;
        self.page_decoded(rest)?;
        self.finish(&[]);
        Ok(version)
    }

    /// Reads all pages, and gives their version.
    async fn pages(&mut self, until: Instant, decoding: &mut Lanes<S>) -> Result<String, Failure> {
        let patience = Patience::for_list(self.timings.list_idle, until);
        let mut token = String::new();
        let mut course = Course::new(&self.timings);
        loop {
            let uri = self.target.page(self.listing.limit, &token);
            let answer = match self.open(&uri).await {
                Ok(answer) => answer,
                Err(failure) => {
                    if failure.reason == FailureReason::Expired && !token.is_empty() {
                        // The list took longer than etcd keeps a version: fewer, larger pages have a better chance. The
                        // token that comes with the 410 would give an inconsistent list, which podskew would take for skew.
                        self.listing.limit = (self.listing.limit * 4).min(LAST_LIMIT);
                    }
                    return Err(failure);
                }
            };
            if token.is_empty() {
                self.begin();
            }
            let (meta, page_bytes) = self.page(answer, patience, decoding).await?;
            if meta.resource_version.is_empty() {
                return Err(Failure::unreadable("the list has no version"));
            }
            if meta.continue_token.is_empty() {
                return Ok(meta.resource_version);
            }
            let pause = course.goes_on(&meta.continue_token, self.listing.objects, page_bytes)?;
            sleep(pause).await;
            token = meta.continue_token;
        }
    }

    /// Reads a page, and hands it on piece by piece. Gives its metadata and its length.
    async fn page(
        &mut self,
        mut answer: Answer,
        patience: Patience,
        decoding: &mut Lanes<S>,
    ) -> Result<(ListMeta, usize), Failure> {
        let resource = self.target.resource;
        let mut pieces = Pieces::default();
        let (mut meta, mut bytes, mut permit) = (ListMeta::default(), 0, None);
        while let Some(frame) = answer.chunk(patience, &mut self.pulse).await? {
            bytes += frame.len();
            pieces.push(&frame);
            while let Some(piece) = pieces.take(|| decoding.spare_page()) {
                if meta.resource_version.is_empty() {
                    meta = decode_list_meta(resource, &piece)?;
                }
                decoding.page(piece).await;
                self.page_decoded(decoding.decoded())?;
            }
            if pieces.is_too_long() {
                return Err(Failure::unreadable("what stands around the objects of a list is too long"));
            }
            if Budget::is_spare(pieces.held(), permit.as_ref()) {
                self.page_decoded(decoding.drain().await)?;
                permit = None;
            }
            self.budget.hold(pieces.held(), &mut permit).await;
        }
        self.pass_over(pieces.passed_over());
        let rest = pieces.rest();
        if meta.resource_version.is_empty() {
            meta = decode_list_meta(resource, &rest)?;
        }
        self.page_decoded(decoding.decoded())?;
        decoding.page(rest).await;
        Ok((meta, bytes))
    }

    /// Objects are too long to be read.
    pub(super) fn pass_over(&mut self, objects: u64) {
        self.listing.skipped += objects;
        for _ in 0..objects {
            self.pulse.failure(FailureReason::Decode);
        }
    }

    /// Counts what was decoded of pages. One that cannot be read is never left out: a token may be lost with it.
    fn page_decoded(&mut self, decoded: Decoded) -> Result<(), Failure> {
        self.listing.objects += decoded.objects;
        self.pulse.wrong_types(decoded.wrong_types);
        decoded.error.map_or(Ok(()), |error| Err(error.into()))
    }

    /// The server has begun to answer a list.
    fn begin(&mut self) {
        if std::mem::take(&mut self.listing.again) {
            self.pulse.restart();
        }
        self.listing.begun = true;
        self.listing.open = true;
        self.listing.objects = 0;
        self.listing.skipped = 0;
        self.sink.take(self.source, Change::ListBegins);
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
        self.sink.take(self.source, Change::ListEnds { gone: &gone });
        self.pulse.answered();
    }

    pub(super) fn abandon(&mut self) {
        if std::mem::take(&mut self.listing.open) {
            self.sink.take(self.source, Change::ListBreaksOff);
        }
    }

    fn use_pages(&mut self) {
        self.listing.pages_until = Some(Instant::now() + self.timings.streaming_retry);
    }

    /// A list is complete, but for what had to be left out.
    fn listed(&mut self, began: Instant, version: &str) {
        self.answered.listed();
        self.compare_versions(version);
        // Whatever was lost until now, this list has not lost.
        let began = if self.pulse.timeline().is_lost(self.heard) { Instant::now() } else { began };
        self.pulse.allowed(true);
        (self.list_began, self.heard) = (began, Instant::now());
        self.journal.listed(self.listing.objects, began.elapsed());
        if self.listing.is_skipping() {
            self.journal.skipping(self.listing.skipped);
        } else {
            self.listing.unreadable = 0;
            self.synced(self.is_complete());
        }
    }

    fn unlisted(&mut self, failure: Failure) -> End {
        self.abandon();
        self.count_unreadable(&failure);
        End::Failed { version: None, failure, lived: Duration::ZERO }
    }

    /// A list has failed. If that was because something in it cannot be read, for the third time in a row, the next one is
    /// another.
    pub(super) fn count_unreadable(&mut self, failure: &Failure) {
        if failure.reason != FailureReason::Decode {
            return;
        }
        self.listing.unreadable = self.listing.unreadable.saturating_add(1);
        if self.listing.unreadable < UNREADABLE_LISTS {
            return;
        }
        if self.answered_in == Encoding::Protobuf {
            // What stands between podskew and the API server may know only JSON.
            self.asks_for = Encoding::Json;
            self.listing.unreadable = 0;
            self.journal.json_instead(failure);
        } else {
            // An event of a stream can be left out; a page with a fault is lost as a whole, its token with it.
            self.listing.pages_until = None;
        }
    }
}
