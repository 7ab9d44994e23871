//! Requests to the API server and what comes back, each within its time.
//!
//! kube's client has no read timeout, rightly: it would end quiet watches. So every wait here has a deadline of its own.

use super::failure::WatchFailure;
use super::framing::{EventReader, WireFormat};
use super::liveness::Heartbeat;
use crate::telemetry::FailureReason;
use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, Request};
use http_body_util::BodyExt as _;
use kube::client::Body;
use std::time::Duration;
use tokio::time::{Instant, timeout, timeout_at};

const JSON: &str = "application/json";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// A Status takes a few hundred bytes; a proxy's error page is cut.
const LONGEST_REFUSAL: usize = 64 << 10;

/// An address takes a few hundred bytes, and so does a continue token of the API server. kube puts the server's own path
/// before it, and panics where both together are more than the 64 KiB that `http` takes.
const LONGEST_URI: usize = 32 << 10;

/// The body of an answer that began well.
pub(super) struct ResponseBody {
    body: Body,
    /// How it is written.
    encoding: WireFormat,
}

/// How long the rest of an answer may take.
#[derive(Clone, Copy)]
pub(super) struct ReadTimeouts {
    /// From one byte to the next.
    pub(super) idle: Duration,
    /// The end of it all.
    pub(super) until: Instant,
    /// What went wrong when that has come.
    pub(super) late: &'static str,
}

impl ReadTimeouts {
    /// For a list that has to be complete at `until`.
    pub(super) fn for_list(idle: Duration, until: Instant) -> Self {
        Self { idle, until, late: "the list took too long" }
    }
}

/// Sends a GET and returns the answer once its head is there, if it is a good one.
///
/// `Accept-Encoding: identity`: API servers from 1.37 on compress each event of a watch by itself, and lists cost both
/// sides more time compressed than they save on a cluster's own network.
///
/// Who is asked for protobuf answers in JSON where it has nothing else: with custom resources, and behind some proxies.
pub(super) async fn open(
    client: &kube::Client,
    uri: &str,
    encoding: WireFormat,
    patience: Duration,
    heartbeat: &mut Heartbeat,
) -> Result<ResponseBody, WatchFailure> {
    let asked = Instant::now();
    let answer = ask(client, uri, encoding, patience, heartbeat).await;
    match &answer {
        Ok(_) => heartbeat.timeline().reached(),
        // A proxy says 503 in the name of an API server that is away.
        Err(failure) if failure.is_silence() => heartbeat.timeline().unreached(asked),
        Err(_) => {}
    }
    answer
}

async fn ask(
    client: &kube::Client,
    uri: &str,
    encoding: WireFormat,
    patience: Duration,
    heartbeat: &mut Heartbeat,
) -> Result<ResponseBody, WatchFailure> {
    let answer = send(client, uri, encoding, patience).await?;
    heartbeat.beat();
    answer.or_refused(patience).await
}

/// Sends a GET that belongs to no watch, and returns the answer once its head is there, if it is a good one.
pub(super) async fn get(
    client: &kube::Client,
    uri: &str,
    encoding: WireFormat,
    patience: Duration,
) -> Result<ResponseBody, WatchFailure> {
    send(client, uri, encoding, patience).await?.or_refused(patience).await
}

/// The head of an answer, and what follows it.
struct Response {
    head: http::response::Parts,
    body: Body,
}

impl Response {
    /// The answer, if it is a good one.
    async fn or_refused(self, patience: Duration) -> Result<ResponseBody, WatchFailure> {
        let Self { head, body } = self;
        let mut answer = ResponseBody { body, encoding: encoding_of(&head.headers) };
        if head.status.is_success() {
            return Ok(answer);
        }
        // The status alone says what is wrong; the body only says it better.
        let text = timeout(patience, answer.beginning(LONGEST_REFUSAL)).await;
        Err(WatchFailure::refused(head.status, &head.headers, &text.unwrap_or(Ok(Vec::new())).unwrap_or_default()))
    }
}

async fn send(
    client: &kube::Client,
    uri: &str,
    encoding: WireFormat,
    patience: Duration,
) -> Result<Response, WatchFailure> {
    if uri.len() > LONGEST_URI {
        return Err(WatchFailure::unreadable(format!("a continue token of more than {} KiB", LONGEST_URI >> 10)));
    }
    let accept = match encoding {
        WireFormat::Json => JSON.to_owned(),
        WireFormat::Protobuf => format!("{PROTOBUF}, {JSON}"),
    };
    let request = Request::get(uri)
        .header(ACCEPT, accept)
        .header(ACCEPT_ENCODING, "identity")
        .body(Body::empty())
        .map_err(|error| WatchFailure::connection(format!("cannot ask for {uri}: {error}")))?;
    let response = timeout(patience, client.send(request))
        .await
        .map_err(|_| WatchFailure::timeout(format!("no answer within {patience:?}")))?
        .map_err(|error| WatchFailure::transport(&error))?;
    let (head, body) = response.into_parts();
    Ok(Response { head, body })
}

impl ResponseBody {
    /// The next bytes, or nothing at a clean end.
    pub(super) async fn chunk(
        &mut self,
        patience: ReadTimeouts,
        heartbeat: &mut Heartbeat,
    ) -> Result<Option<Bytes>, WatchFailure> {
        let began = Instant::now();
        let read = self.frame(patience).await;
        match &read {
            Ok(Some(_)) => {
                heartbeat.beat();
                heartbeat.timeline().reached();
            }
            Ok(None) => {}
            Err(failure) if failure.reason == FailureReason::Timeout => heartbeat.timeline().unreached(began),
            Err(_) => heartbeat.timeline().unreached(Instant::now()),
        }
        read
    }

    /// The same of an answer that belongs to no watch.
    pub(super) async fn frame(&mut self, patience: ReadTimeouts) -> Result<Option<Bytes>, WatchFailure> {
        let idle_until = Instant::now() + patience.idle;
        let until = patience.until.min(idle_until);
        loop {
            let frame = timeout_at(until, self.body.frame()).await.map_err(|_| {
                WatchFailure::timeout(if until == idle_until {
                    format!("nothing came for {:?}", patience.idle)
                } else {
                    patience.late.to_owned()
                })
            })?;
            match frame {
                None => return Ok(None),
                Some(Err(error)) => return Err(WatchFailure::transport(&error)),
                Some(Ok(frame)) => {
                    // Trailers and empty frames are no end.
                    if let Ok(bytes) = frame.into_data()
                        && !bytes.is_empty()
                    {
                        return Ok(Some(bytes));
                    }
                }
            }
        }
    }

    /// How it is written.
    pub(super) fn encoding(&self) -> WireFormat {
        self.encoding
    }

    /// The next frame's events. `false` at a clean end; an end within an event is a broken connection.
    pub(super) async fn events(
        &mut self,
        events: &mut EventReader,
        patience: ReadTimeouts,
        heartbeat: &mut Heartbeat,
    ) -> Result<bool, WatchFailure> {
        match self.chunk(patience, heartbeat).await? {
            Some(frame) => {
                events.push(frame);
                Ok(true)
            }
            None if events.is_cut() => Err(WatchFailure::connection("the answer ended in the middle of an event")),
            None => Ok(false),
        }
    }

    /// All of it, or the first `most` bytes.
    pub(super) async fn beginning(&mut self, most: usize) -> Result<Vec<u8>, WatchFailure> {
        let mut beginning = Vec::new();
        while let Some(frame) = self.body.frame().await {
            if let Ok(bytes) = frame.map_err(|error| WatchFailure::transport(&error))?.into_data() {
                beginning.extend_from_slice(&bytes[..bytes.len().min(most - beginning.len())]);
            }
            if beginning.len() == most {
                break;
            }
        }
        Ok(beginning)
    }
}

/// In protobuf only if it says so; a watch says `;stream=watch` behind it.
fn encoding_of(headers: &HeaderMap) -> WireFormat {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()?.split(';').next());
    match media_type {
        Some(media_type) if media_type.trim().eq_ignore_ascii_case(PROTOBUF) => WireFormat::Protobuf,
        _ => WireFormat::Json,
    }
}
