//! Events about changes for open pages, rendered once for all of them, and only while a page is open.

use crate::exposition::PublishBatch;
use crate::report::Workload;
use crate::sync::lock;
use crate::ui::{event, event_key, hello};
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt as _, once, unfold};
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tokio::sync::broadcast;

/// Minimum interval between two events.
const BETWEEN: Duration = Duration::from_secs(1);

/// Maximum number of workloads in an event. An event about more workloads does not name them.
const MOST_NAMES: usize = 100;

/// Number of events by which a stream may lag before it is closed.
const BEHIND: usize = 4;

/// Broadcasts events to open pages.
pub(super) struct EventHub {
    sender: broadcast::Sender<Bytes>,
    pending: Mutex<Pending>,
}

#[derive(Default)]
struct Pending {
    changed: BTreeSet<String>,
    /// Whether more workloads changed than an event may name, or something that concerns every page.
    everything: bool,
    generation: u64,
    /// podskew's own state.
    own_state: Vec<bool>,
    sent: Option<Instant>,
}

impl EventHub {
    pub(super) fn new() -> Self {
        Self { sender: broadcast::channel(BEHIND).0, pending: Mutex::default() }
    }

    /// Whether a page is open.
    pub(super) fn are_watched(&self) -> bool {
        self.sender.receiver_count() > 0
    }

    /// Records changes. It costs nothing while no page is open.
    pub(super) fn note(&self, part: &PublishBatch) {
        if !self.are_watched() {
            return;
        }
        let mut pending = self.lock();
        let workloads = part.reports.iter().map(|report| &report.workload).chain(&part.gone);
        for workload in workloads {
            if pending.everything {
                return;
            }
            pending.add(workload);
        }
    }

    /// Sends the recorded changes, at most once a second. A change of `own_state` concerns every page.
    pub(super) fn send(&self, generation: u64, own_state: impl FnOnce() -> Vec<bool>) {
        let mut pending = self.lock();
        if !self.are_watched() {
            *pending = Pending { generation, ..Pending::default() };
            return;
        }
        if pending.sent.is_some_and(|sent| sent.elapsed() < BETWEEN) {
            return;
        }
        let own_state = own_state();
        pending.everything |= !pending.own_state.is_empty() && pending.own_state != own_state;
        pending.own_state = own_state;
        let changed = std::mem::take(&mut pending.changed);
        let everything = std::mem::take(&mut pending.everything);
        let is_news = everything || pending.generation != generation;
        pending.generation = generation;
        if is_news {
            pending.sent = Some(Instant::now());
            let event = event(generation, (!everything).then_some(&changed));
            // It fails only if the last receiver has just gone.
            let _ = self.sender.send(event.into());
        }
    }

    /// Returns the events from now on, after one with the current generation. The stream ends if the client lags too
    /// far behind.
    pub(super) fn subscribe(&self) -> BoxStream<'static, Bytes> {
        let receiver = self.sender.subscribe();
        let generation = self.lock().generation;
        let hello = Bytes::from(hello(generation));
        let events = unfold(receiver, |mut receiver| async { Some((receiver.recv().await.ok()?, receiver)) });
        once(std::future::ready(hello)).chain(events).boxed()
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        lock(&self.pending)
    }
}

impl Pending {
    fn add(&mut self, workload: &Workload) {
        self.changed.insert(event_key(workload));
        if self.changed.len() > MOST_NAMES {
            self.changed.clear();
            self.everything = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{EventHub, MOST_NAMES};
    use crate::exposition::PublishBatch;
    use crate::report::Workload;
    use futures::stream::StreamExt as _;

    fn gone(names: impl Iterator<Item = String>) -> PublishBatch {
        let workload = |name: String| Workload { namespace: "a".into(), workload_type: "b".into(), name: name.into() };
        PublishBatch { reports: Vec::new(), gone: names.map(workload).collect() }
    }

    #[tokio::test(start_paused = true)]
    async fn changes_are_sent_once_to_every_stream() {
        let events = EventHub::new();
        events.note(&gone(std::iter::once("unseen".to_owned())));
        events.send(6, Vec::new);
        let (mut one, mut other) = (events.subscribe(), events.subscribe());
        let next = async |stream: &mut futures::stream::BoxStream<'static, bytes::Bytes>| {
            String::from_utf8(stream.next().await.unwrap().to_vec()).unwrap()
        };
        assert_eq!(next(&mut one).await, "event: hello\ndata: {\"generation\":6,\"changed\":[]}\n\n");
        next(&mut other).await;
        events.note(&gone(["x\n\ndata: y".to_owned(), "w".to_owned()].into_iter()));
        events.send(7, Vec::new);
        let expected = "data: {\"generation\":7,\"changed\":[\"a/b/w\",\"a/b/x\\n\\ndata: y\"]}\n\n";
        assert_eq!((next(&mut one).await.as_str(), next(&mut other).await.as_str()), (expected, expected));
        // No further event within a second, and nothing is lost.
        events.note(&gone((0..=MOST_NAMES).map(|number| number.to_string())));
        events.send(8, Vec::new);
        std::thread::sleep(super::BETWEEN);
        events.send(8, Vec::new);
        assert_eq!(next(&mut one).await, "data: {\"generation\":8,\"changed\":null}\n\n");
    }

    #[tokio::test]
    async fn a_stream_that_is_too_far_behind_ends() {
        let events = EventHub::new();
        let mut slow = events.subscribe();
        for generation in 1..=10 {
            events.lock().sent = None;
            events.send(generation, Vec::new);
        }
        assert!(slow.next().await.is_some(), "the greeting");
        assert!(slow.next().await.is_none());
    }
}
