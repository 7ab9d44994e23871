//! Connection slots: admits connections, and closes idle ones when all slots are taken.

use super::Limits;
use super::deadline::{Activity, Clock};
use super::limits::Admission;
use super::streams::Streams;
use crate::sync::lock;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

/// Number of connections by activity, and of rejected requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ConnectionCounts {
    /// Idle connections.
    pub idle: usize,
    /// Connections receiving a request's header, new silent ones included.
    pub reading: usize,
    /// Connections sending a response.
    pub answering: usize,
    /// Requests answered with 503 since the start, because every slot was sending a response.
    pub refused: u64,
}

/// The slots and their connections.
pub(super) struct ConnectionSlots {
    limits: Limits,
    served: Arc<Semaphore>,
    probes: Arc<Semaphore>,
    open: Mutex<OpenConnections>,
    pub(super) streams: Arc<Streams>,
    refused: AtomicU64,
}

#[derive(Default)]
struct OpenConnections {
    connections: HashMap<u64, (Admission, Arc<Clock>)>,
    next: u64,
    /// Since the last log line.
    closed: u64,
    refused: u64,
    logged: Option<Instant>,
}

/// A slot. Dropping it frees the slot.
pub(super) struct ConnectionSlot {
    slots: Arc<ConnectionSlots>,
    number: u64,
    pub(super) admission: Admission,
    pub(super) clock: Arc<Clock>,
    /// The client's address.
    pub(super) peer: Option<IpAddr>,
    permit: Mutex<Option<OwnedSemaphorePermit>>,
}

/// Maximum time for a closed connection to end.
const EVICTION: Duration = Duration::from_millis(100);

/// Minimum interval between two log lines.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

impl ConnectionSlots {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            served: Arc::new(Semaphore::new(limits.connections)),
            probes: Arc::new(Semaphore::new(limits.probes)),
            open: Mutex::default(),
            streams: Arc::new(Streams::new(limits.streams, limits.streams_of_an_address)),
            refused: AtomicU64::new(0),
        }
    }

    /// Returns a slot for a new connection. If all are taken, it closes the connection that has been idle longest. If
    /// all are sending responses, it returns a probe slot, and without those it waits.
    pub(super) async fn take(self: &Arc<Self>) -> ConnectionSlot {
        loop {
            for (semaphore, admission) in [(&self.served, Admission::Served), (&self.probes, Admission::Probe)] {
                if let Some(permit) = self.permit(semaphore, admission).await {
                    return self.slot(permit, admission);
                }
            }
            // A response ends, or a connection becomes idle.
            tokio::select! {
                permit = Arc::clone(&self.served).acquire_owned() => if let Ok(permit) = permit {
                    return self.slot(permit, Admission::Served);
                },
                permit = Arc::clone(&self.probes).acquire_owned() => if let Ok(permit) = permit {
                    return self.slot(permit, Admission::Probe);
                },
                () = tokio::time::sleep(EVICTION) => {}
            }
        }
    }

    /// Closes the connection that has been idle longest, in any slot. Returns `false` if there is none.
    pub(super) fn close_idlest(&self) -> bool {
        self.evict(None)
    }

    pub(super) fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        let mut open = self.lock();
        open.refused += 1;
        self.log(&mut open);
    }

    pub(super) fn counts(&self) -> ConnectionCounts {
        let mut counts =
            ConnectionCounts { refused: self.refused.load(Ordering::Relaxed), ..ConnectionCounts::default() };
        for (_, clock) in self.lock().connections.values() {
            match clock.activity() {
                Activity::Idle(_) => counts.idle += 1,
                Activity::Reading(_) => counts.reading += 1,
                Activity::Answering => counts.answering += 1,
            }
        }
        counts
    }

    async fn permit(&self, semaphore: &Arc<Semaphore>, admission: Admission) -> Option<OwnedSemaphorePermit> {
        loop {
            if let Ok(permit) = Arc::clone(semaphore).try_acquire_owned() {
                return Some(permit);
            }
            if !self.evict(Some(admission)) {
                return None;
            }
            // If a request arrived just now, the connection stays open, and the next one is closed.
            if let Ok(Ok(permit)) = timeout(EVICTION, Arc::clone(semaphore).acquire_owned()).await {
                return Some(permit);
            }
        }
    }

    fn evict(&self, of: Option<Admission>) -> bool {
        let mut open = self.lock();
        loop {
            let candidates = open.connections.values().filter(|(admission, _)| of.is_none_or(|of| *admission == of));
            let since = candidates.filter_map(|(_, clock)| match clock.activity() {
                Activity::Idle(since) | Activity::Reading(since) => Some((since, clock)),
                Activity::Answering => None,
            });
            let Some((_, idlest)) = since.min_by_key(|(since, _)| *since) else { return false };
            // A request that came between the two checks keeps it.
            if idlest.evict() {
                break;
            }
        }
        open.closed += 1;
        self.log(&mut open);
        true
    }

    fn slot(self: &Arc<Self>, permit: OwnedSemaphorePermit, admission: Admission) -> ConnectionSlot {
        let clock = Arc::new(Clock::new(self.limits.for_admission(admission)));
        let mut open = self.lock();
        let number = open.next;
        open.next += 1;
        open.connections.insert(number, (admission, Arc::clone(&clock)));
        ConnectionSlot {
            slots: Arc::clone(self),
            number,
            admission,
            clock,
            peer: None,
            permit: Mutex::new(Some(permit)),
        }
    }

    fn log(&self, open: &mut OpenConnections) {
        if open.logged.is_some_and(|logged| logged.elapsed() < LOG_INTERVAL) {
            return;
        }
        open.logged = Some(Instant::now());
        tracing::warn!(
            connections = open.connections.len(),
            limit = self.limits.connections,
            closed_idle = std::mem::take(&mut open.closed),
            refused = std::mem::take(&mut open.refused),
            "all connection slots taken, closing idle connections and rejecting further requests"
        );
    }

    fn lock(&self) -> MutexGuard<'_, OpenConnections> {
        lock(&self.open)
    }
}

impl ConnectionSlot {
    pub(super) fn slots(&self) -> &Arc<ConnectionSlots> {
        &self.slots
    }

    /// Frees the slot: streams have slots of their own.
    pub(super) fn give_back(&self) {
        self.slots.lock().connections.remove(&self.number);
        lock(&self.permit).take();
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.slots.lock().connections.remove(&self.number);
    }
}
