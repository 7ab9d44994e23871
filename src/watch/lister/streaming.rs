//! Lists as a stream.
//!
//! Streaming is on by default from Kubernetes 1.34. A server without support shows it in four ways. It responds
//! with 400 or 422 (feature gate off, up to 1.33), or with an ERROR event with code 500 before any object (its etcd is
//! too old: recorded in `protocol/`). Or it sends an ordinary bookmark before the closing one, or is silent after the
//! objects (before 1.27 the parameter is ignored). Each leads to pages, at once or in the next attempt, and streaming
//! is tried again after an hour.

use super::{Lister, UNREADABLE_LISTS};
use crate::objects::{WatchEvent, decode_event, take_wrong_types};
use crate::telemetry::FailureReason;
use crate::watch::budget::DecodeBudget;
use crate::watch::decode_pool::{DecodeCounts, DecodePool, is_added};
use crate::watch::failure::WatchFailure;
use crate::watch::framing::EventReader;
use crate::watch::http_exchange::{ReadTimeouts, ResponseBody};
use crate::watch::sink::{Sink, SourceChange};
use bytes::Bytes;
use futures::FutureExt as _;
use std::time::Duration;
use tokio::task::yield_now;
use tokio::time::Instant;

/// Why a streaming list failed.
pub(super) enum StreamingListError {
    /// Unsupported by the server: use pages at once.
    Unsupported(WatchFailure),
    /// Any other failure.
    Failed(WatchFailure),
}

impl From<WatchFailure> for StreamingListError {
    fn from(failure: WatchFailure) -> Self {
        Self::Failed(failure)
    }
}

impl<S: Sink> Lister<S> {
    pub(super) async fn streaming_list(
        &mut self,
        until: Instant,
        length: Duration,
    ) -> Result<(ResponseBody, EventReader, String), StreamingListError> {
        let uri = self.target.streaming_list(length);
        let mut answer = match self.open(&uri).await {
            Ok(answer) => answer,
            Err(failure) if failure.reason == FailureReason::Rejected => {
                return Err(StreamingListError::Unsupported(failure));
            }
            Err(failure) => return Err(StreamingListError::Failed(failure)),
        };
        self.begin();
        let mut decoding = DecodePool::new(self.source, self.sink.clone(), self.budget.decoding());
        let mut gone = Vec::new();
        let read = self.initial_events(&mut answer, until, &mut decoding, &mut gone).await;
        // No object of this list may reach the inventory after its end.
        let rest = self.take(decoding.drain().await);
        let (events, version) = read?;
        rest?;
        self.finish(&gone);
        Ok((answer, events, version))
    }

    /// Reads a streaming list up to its closing bookmark; returns its version and the events after it.
    async fn initial_events(
        &mut self,
        answer: &mut ResponseBody,
        until: Instant,
        decoding: &mut DecodePool<S>,
        gone: &mut Vec<Bytes>,
    ) -> Result<(EventReader, String), StreamingListError> {
        let patience = ReadTimeouts::for_list(self.timings.list_idle, until);
        let mut events = EventReader::new(answer.encoding());
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
                    Err(error) => return Err(WatchFailure::from(error).into()),
                };
                if is_added(&event) {
                    decoding.event(event).await;
                    continue;
                }
                // The event may be about an object that is still being decoded.
                self.take(decoding.drain().await)?;
                if let Some(version) = self.initial_event(event, gone)? {
                    return Ok((events, version));
                }
            }
            self.take(decoding.decoded())?;
            if DecodeBudget::is_spare(events.held(), permit.as_ref()) {
                self.take(decoding.drain().await)?;
                permit = None;
            }
            self.budget.hold(events.held(), &mut permit).await;
            let mut read = answer.events(&mut events, patience, &mut self.heartbeat).now_or_never();
            if read.is_none() {
                // The connection's task may run on this thread.
                yield_now().await;
                read = answer.events(&mut events, patience, &mut self.heartbeat).now_or_never();
            }
            let read = if let Some(read) = read {
                read
            } else {
                decoding.flush().await;
                answer.events(&mut events, patience, &mut self.heartbeat).await
            };
            match read {
                Ok(true) => {}
                Ok(false) => {
                    let message = "the streaming list ended before its closing bookmark";
                    return Err(StreamingListError::Failed(WatchFailure::connection(message)));
                }
                Err(failure) => {
                    if failure.reason == FailureReason::Timeout {
                        // The server may not support streaming lists and wait for changes.
                        self.use_pages();
                    }
                    return Err(StreamingListError::Failed(failure));
                }
            }
        }
    }

    /// Reads an initial event; returns the version if it is the closing bookmark.
    fn initial_event(&mut self, event: Bytes, gone: &mut Vec<Bytes>) -> Result<Option<String>, StreamingListError> {
        if event.is_empty() {
            return Ok(None);
        }
        let decoded = decode_event(self.target.resource, &event);
        self.heartbeat.wrong_types(take_wrong_types());
        match decoded {
            Ok(WatchEvent::Applied(object)) => {
                self.listing.objects += 1;
                self.sink.take(self.source, SourceChange::Listed(&[object]));
                Ok(None)
            }
            // Changes during the list come before the closing bookmark. A deletion can be applied only after the list,
            // so it is kept until then.
            Ok(WatchEvent::Deleted(_)) => {
                gone.push(event);
                Ok(None)
            }
            Ok(WatchEvent::Bookmark { resource_version, initial_events_end: true }) => {
                if resource_version.is_empty() {
                    return Err(StreamingListError::Failed(WatchFailure::unreadable(
                        "the closing bookmark has no version",
                    )));
                }
                Ok(Some(resource_version))
            }
            Ok(WatchEvent::Bookmark { .. }) => {
                let message = "an ordinary bookmark came before the closing one";
                Err(StreamingListError::Unsupported(WatchFailure::unreadable(message)))
            }
            Ok(WatchEvent::Error(status)) => {
                let failure = WatchFailure::event(status);
                let cannot = matches!(failure.reason, FailureReason::ServerError | FailureReason::Rejected);
                Err(if cannot && self.listing.objects == 0 {
                    StreamingListError::Unsupported(failure)
                } else {
                    StreamingListError::Failed(failure)
                })
            }
            Err(error) => {
                self.take(DecodeCounts { unreadable: 1, error: Some(error), ..DecodeCounts::default() })?;
                Ok(None)
            }
        }
    }

    /// Counts decoded objects; fails if the list must not continue.
    fn take(&mut self, decoded: DecodeCounts) -> Result<(), WatchFailure> {
        self.listing.objects += decoded.objects;
        self.heartbeat.wrong_types(decoded.wrong_types);
        if let Some(error) = decoded.error {
            if self.listing.unreadable < UNREADABLE_LISTS {
                return Err(error.into());
            }
            self.listing.skipped += decoded.unreadable;
            for _ in 0..decoded.unreadable {
                self.heartbeat.failure(FailureReason::Decode);
            }
        }
        Ok(())
    }
}
