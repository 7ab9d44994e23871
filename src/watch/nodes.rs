//! Lists nodes periodically, as evidence about images.
//!
//! A watch of 5 000 nodes brings 17 updates per second, each with the whole status. A list from the server's cache
//! every ten minutes suffices; nodes are read one by one and never all held. Nothing waits for the list. A failure
//! is reported only in the log and in `podskew_watch_failures_total`, and the previous evidence stays.

use super::backoff::{Backoff, between};
use super::connect::Connected;
use super::failure::WatchFailure;
use super::framing::WireFormat;
use super::http_exchange::{ReadTimeouts, get};
use super::request::Target;
use super::timings::Timings;
use crate::inventory::{Evidence, EvidenceBuilder, Inventory, WantedImages, take_node};
use crate::objects::{Body, Object, PageSplitter, Resource, decode_list};
use crate::sync::lock;
use crate::telemetry::{FailureReason, Telemetry};
use crate::time::UnixTime;
use bytes::BytesMut;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The images in use are known after the initial sync; until then, check at this interval.
const WHILE_INCOMPLETE: Duration = Duration::from_millis(250);

/// Receives evidence of nodes. Every call is short and does no I/O.
pub trait NodeSink: Send + Sync + 'static {
    /// The images in use; `None` before the initial sync.
    fn asked(&self) -> Option<WantedImages>;
    /// The latest evidence.
    fn evidence(&self) -> Option<Arc<Evidence>>;
    /// Sets new evidence.
    fn take_evidence(&self, evidence: Evidence);
    /// Reports that no evidence is available for now.
    fn give_up_evidence(&self);
    /// Whether a skew began after the latest evidence.
    fn wants_evidence(&self) -> bool;
}

impl NodeSink for Mutex<Inventory> {
    fn asked(&self) -> Option<WantedImages> {
        lock(self).asked()
    }

    fn evidence(&self) -> Option<Arc<Evidence>> {
        lock(self).evidence().cloned()
    }

    fn take_evidence(&self, evidence: Evidence) {
        let mut inventory = lock(self);
        inventory.take_evidence(Arc::new(evidence), UnixTime::now());
    }

    fn give_up_evidence(&self) {
        lock(self).give_up_evidence(UnixTime::now());
    }

    fn wants_evidence(&self) -> bool {
        lock(self).wants_evidence()
    }
}

/// Lists the nodes forever, and passes the evidence to `sink`.
pub async fn keep_listing_nodes<S: NodeSink>(
    client: kube::Client,
    sink: Arc<S>,
    telemetry: Telemetry,
    timings: Timings,
) {
    let mut lister = NodeLister::new(client, &timings);
    let mut backoff = Backoff::new(timings.nodes_pause, timings.nodes);
    let mut logged: Option<FailureReason> = None;
    let mut is_known = false;
    let mut first_asked = None;
    loop {
        let Some(asked) = sink.asked() else {
            sleep(WHILE_INCOMPLETE).await;
            continue;
        };
        let began = Instant::now();
        let first_asked = *first_asked.get_or_insert(began);
        match lister.list(asked, sink.evidence()).await {
            Ok(evidence) => {
                backoff.reset();
                telemetry
                    .objects
                    .with_label_values(&["nodes"])
                    .set(i64::try_from(evidence.nodes()).unwrap_or(i64::MAX));
                if !std::mem::replace(&mut is_known, true) || logged.take().is_some() {
                    tracing::info!(nodes = evidence.nodes(), seconds = began.elapsed().as_secs_f64(), "nodes listed");
                }
                sink.take_evidence(evidence);
                wait_for_next(&*sink, &timings).await;
            }
            Err(failure) => {
                telemetry.watch_failures.with_label_values(&["nodes", failure.reason.as_str()]).inc();
                if logged.replace(failure.reason) != Some(failure.reason) {
                    let remedy = remedy(failure.reason);
                    tracing::warn!(reason = %failure.reason, error = failure.message, remedy, "nodes not listed, retrying");
                }
                if first_asked.elapsed() >= timings.nodes_awaited {
                    sink.give_up_evidence();
                }
                sleep(failure.retry_after.unwrap_or_default() + backoff.pause()).await;
            }
        }
    }
}

/// Waits for the next list. If a skew begins meanwhile, the next list comes earlier, because nodes may show that the
/// digests are one image.
async fn wait_for_next<S: NodeSink>(sink: &S, timings: &Timings) {
    let until = Instant::now() + between(timings.nodes, timings.nodes + timings.nodes / 5);
    loop {
        sleep(timings.nodes_again.min(until.saturating_duration_since(Instant::now()))).await;
        if Instant::now() >= until || sink.wants_evidence() {
            return;
        }
    }
}

/// Lists the nodes once.
///
/// # Errors
///
/// Why there is no evidence.
pub async fn list_nodes(connected: &Connected, asked: WantedImages, timings: Timings) -> Result<Evidence, String> {
    let mut lister = NodeLister::new(connected.client.clone(), &timings);
    lister.list(asked, None).await.map_err(|failure| match failure.reason {
        FailureReason::Forbidden => format!("nodes may not be listed; grant {}", rule()),
        _ => format!("nodes could not be listed: {}", failure.message),
    })
}

fn target() -> Target {
    Target { resource: Resource::Nodes, namespace: None }
}

fn rule() -> String {
    target().rule(&["list"])
}

fn remedy(reason: FailureReason) -> String {
    match reason {
        FailureReason::Forbidden => format!("grant {}, or remove --nodes", rule()),
        _ => "none: podskew keeps what it knows about nodes".to_owned(),
    }
}

struct NodeLister {
    client: kube::Client,
    timings: Timings,
    /// The requested encoding: JSON after something was unreadable.
    encoding: WireFormat,
}

impl NodeLister {
    fn new(client: kube::Client, timings: &Timings) -> Self {
        Self { client, timings: *timings, encoding: WireFormat::Protobuf }
    }

    async fn list(&mut self, asked: WantedImages, before: Option<Arc<Evidence>>) -> Result<Evidence, WatchFailure> {
        let read = self.read(asked).await;
        if matches!(&read, Err(failure) if failure.reason == FailureReason::Decode) {
            // A proxy may support only JSON.
            self.encoding = WireFormat::Json;
        }
        let builder = read?;
        // For a large cluster this would block a thread that serves sockets for too long.
        let made = tokio::task::spawn_blocking(move || builder.finish(None, before.as_deref())).await;
        made.map_err(|error| WatchFailure::unreadable(format!("cannot make evidence of the nodes: {error}")))
    }

    async fn read(&self, asked: WantedImages) -> Result<EvidenceBuilder, WatchFailure> {
        let until = Instant::now() + self.timings.list_total;
        let patience = ReadTimeouts::for_list(self.timings.list_idle, until);
        let mut answer = get(&self.client, &target().cached(), self.encoding, self.timings.answer).await?;
        let mut pieces = PageSplitter::default();
        let mut builder = EvidenceBuilder::of(asked);
        let mut spare = BytesMut::new();
        while let Some(frame) = answer.frame(patience).await? {
            pieces.push(&frame);
            while let Some(piece) = pieces.take(|| std::mem::take(&mut spare)) {
                take(&mut builder, &piece)?;
                spare = piece;
            }
            if pieces.is_too_long() {
                return Err(WatchFailure::unreadable("the list has too much data outside of its nodes"));
            }
        }
        if pieces.passed_over() > 0 {
            tracing::warn!(nodes = pieces.passed_over(), "nodes of more than 16 MiB skipped");
        }
        take(&mut builder, &pieces.rest())?;
        Ok(builder)
    }
}

fn take(builder: &mut EvidenceBuilder, piece: &[u8]) -> Result<(), WatchFailure> {
    let mut each = |object: Object<'_>| {
        if let Body::Node(node) = &object.body {
            take_node(builder, &object, node);
        }
    };
    let meta = decode_list(Resource::Nodes, piece, &mut each)?;
    if meta.continue_token.is_empty() {
        Ok(())
    } else {
        Err(WatchFailure::unreadable("the list of nodes has further pages, which podskew did not request"))
    }
}
