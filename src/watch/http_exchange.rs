//! HTTP requests to the API server and their responses, each with a deadline.
//!
//! kube's client has no read timeout, because it would end quiet watches. So every wait here has its own deadline.

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

/// Maximum bytes to read of an error body. A Status takes a few hundred bytes; a proxy's error page is truncated.
const LONGEST_REFUSAL: usize = 64 << 10;

/// Maximum length of a URI. A URL takes a few hundred bytes, and so does a continue token. kube prepends the server's
/// path, and panics if both together exceed the 64 KiB of `http`.
const LONGEST_URI: usize = 32 << 10;

/// The body of a successful response.
pub(super) struct ResponseBody {
    body: Body,
    encoding: WireFormat,
}

/// Deadlines for the rest of a response.
#[derive(Clone, Copy)]
pub(super) struct ReadTimeouts {
    /// Maximum time between two bytes.
    pub(super) idle: Duration,
    /// Deadline of the whole response.
    pub(super) until: Instant,
    /// Error message after that deadline.
    pub(super) late: &'static str,
}

impl ReadTimeouts {
    /// For a list that must complete by `until`.
    pub(super) fn for_list(idle: Duration, until: Instant) -> Self {
        Self { idle, until, late: "the list took too long" }
    }
}

/// Sends a GET, and returns the response once its header has arrived.
///
/// `Accept-Encoding: identity`: API servers from 1.37 on compress each watch event by itself, and compressed lists cost
/// both sides more time than they save on a cluster's network.
///
/// A server asked for protobuf may reply in JSON (custom resources, some proxies).
///
/// # Errors
///
/// The server does not respond in time, or with an error status.
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
        // A proxy responds with 503 for an API server that is down.
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

/// Sends a GET that belongs to no watch, and returns the response once its header has arrived.
pub(super) async fn get(
    client: &kube::Client,
    uri: &str,
    encoding: WireFormat,
    patience: Duration,
) -> Result<ResponseBody, WatchFailure> {
    send(client, uri, encoding, patience).await?.or_refused(patience).await
}

/// Header and body of a response.
struct Response {
    head: http::response::Parts,
    body: Body,
}

impl Response {
    /// Returns the body of a successful response, and the failure of any other.
    async fn or_refused(self, patience: Duration) -> Result<ResponseBody, WatchFailure> {
        let Self { head, body } = self;
        let mut answer = ResponseBody { body, encoding: encoding_of(&head.headers) };
        if head.status.is_success() {
            return Ok(answer);
        }
        // The status code suffices; the body only adds details.
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
    /// The next bytes; `None` at a clean end.
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

    /// The same, for a response that belongs to no watch.
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
                    // Trailers and empty frames do not end the body.
                    if let Ok(bytes) = frame.into_data()
                        && !bytes.is_empty()
                    {
                        return Ok(Some(bytes));
                    }
                }
            }
        }
    }

    pub(super) fn encoding(&self) -> WireFormat {
        self.encoding
    }

    /// Reads the events of the next frame. Returns `false` at a clean end; an end within an event is a broken
    /// connection.
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
            None if events.is_partial() => Err(WatchFailure::connection("the answer ended in the middle of an event")),
            None => Ok(false),
        }
    }

    /// Reads the whole body, or its first `most` bytes.
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

/// Protobuf only if the header names it; a watch appends `;stream=watch`.
fn encoding_of(headers: &HeaderMap) -> WireFormat {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()?.split(';').next());
    match media_type {
        Some(media_type) if media_type.trim().eq_ignore_ascii_case(PROTOBUF) => WireFormat::Protobuf,
        _ => WireFormat::Json,
    }
}
