//! Event streams: their slots, and a body that lasts until the stream ends.

use crate::sync::lock;
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt as _, unfold};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::sleep;

/// Interval of heartbeats on a quiet stream: proxies close connections that are silent for a minute.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// A comment line, which clients ignore.
const SIGN_OF_LIFE: Bytes = Bytes::from_static(b":\n\n");

/// The open event streams, which are counted separately from connections.
pub(super) struct Streams {
    most: usize,
    most_of_an_address: usize,
    open: Mutex<HashMap<IpAddr, usize>>,
    closing: watch::Sender<bool>,
}

/// The slot of a stream. Dropping it frees the slot.
pub(super) struct StreamSlot {
    streams: Arc<Streams>,
    address: IpAddr,
}

impl Streams {
    pub(super) fn new(most: usize, most_of_an_address: usize) -> Self {
        Self { most, most_of_an_address, open: Mutex::default(), closing: watch::channel(false).0 }
    }

    /// A slot for a stream to this address; `None` if all are taken.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr) -> Option<StreamSlot> {
        let mut open = self.lock();
        if open.values().sum::<usize>() >= self.most {
            return None;
        }
        let of_address = open.entry(address).or_default();
        if *of_address >= self.most_of_an_address {
            return None;
        }
        *of_address += 1;
        Some(StreamSlot { streams: Arc::clone(self), address })
    }

    /// Ends all streams.
    pub(super) fn close(&self) {
        self.closing.send_replace(true);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        lock(&self.open)
    }
}

impl StreamSlot {
    /// The events with heartbeats, until the stream or the server ends.
    pub(super) fn frames(self, events: BoxStream<'static, Bytes>) -> BoxStream<'static, Bytes> {
        let closing = self.streams.closing.subscribe();
        let next = |(mut events, mut closing, slot): (BoxStream<'static, Bytes>, watch::Receiver<bool>, Self)| async move {
            let frame = tokio::select! {
                biased;
                // An error means that the server is gone, which is a shutdown, too.
                _ = closing.wait_for(|closing| *closing) => None,
                event = events.next() => event,
                () = sleep(HEARTBEAT) => Some(SIGN_OF_LIFE),
            };
            frame.map(|frame| (frame, (events, closing, slot)))
        };
        unfold((events, closing, self), next).boxed()
    }
}

impl Drop for StreamSlot {
    fn drop(&mut self) {
        let mut open = self.streams.lock();
        if let Some(of_address) = open.get_mut(&self.address) {
            *of_address -= 1;
            if *of_address == 0 {
                open.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Streams;
    use std::net::IpAddr;
    use std::sync::Arc;

    #[test]
    fn places_are_limited_in_all_and_by_address() {
        let streams = Arc::new(Streams::new(3, 2));
        let address = |last| IpAddr::from([10, 0, 0, last]);
        let first = streams.take(address(1)).unwrap();
        let second = streams.take(address(1)).unwrap();
        assert!(streams.take(address(1)).is_none(), "two of an address");
        let third = streams.take(address(2)).unwrap();
        assert!(streams.take(address(3)).is_none(), "three in all");
        drop(first);
        assert!(streams.take(address(3)).is_some());
        drop((second, third));
        assert!(streams.lock().is_empty(), "nothing is left behind");
    }
}
