//! Decodes the objects of a list in parallel with reading it.
//!
//! One task reads a connection, so a single core decoded the list while the others waited. The initial objects of a
//! list come in no particular order. While only such objects arrive, they go to other tasks in batches of a few hundred
//! kilobytes, and from there to the inventory. The reader must [`drain`](DecodePool::drain) before anything else, and
//! before the list ends in any way.

use super::sink::{Sink, SourceChange};
use crate::inventory::Source;
use crate::objects::{DecodeError, Object, Resource, WatchEvent, decode_event, decode_list, take_wrong_types};
use crate::sync::lock;
use bytes::{Bytes, BytesMut};
use std::sync::{Arc, Mutex};
use tokio::runtime::Handle;
use tokio::task::{JoinError, JoinSet};

/// Bytes per batch: enough that the task's overhead is negligible, and few enough that a scrape waits at most some
/// hundred microseconds for a core.
const BATCH: usize = 128 << 10;

/// Maximum number of decoding tasks: one task reads the connection, and more than these would idle.
const MOST_LANES: usize = 4;

/// Maximum size of a buffer to reuse: after a long object, a buffer is larger than the next pieces need.
const MOST_SPARED: usize = 1 << 20;

/// Number of objects to add at once, if the inventory is free.
const AT_ONCE: usize = 16;

/// Number of objects that may wait until it is.
const AT_MOST: usize = 64;

/// Decodes one list.
pub(super) struct DecodePool<S> {
    source: Source,
    sink: Arc<S>,
    /// Number of concurrent tasks.
    cores: usize,
    /// Events that do not fill a batch yet.
    batch: Vec<Bytes>,
    batch_bytes: usize,
    /// Buffers to reuse for the next pieces, because fresh memory costs as much as decoding.
    spare_pages: Arc<Mutex<Vec<BytesMut>>>,
    running: JoinSet<DecodeCounts>,
    threads: Handle,
    decoded: DecodeCounts,
}

/// Counts of decoded objects.
#[derive(Default)]
pub(super) struct DecodeCounts {
    /// Objects added to the inventory.
    pub(super) objects: u64,
    /// Unreadable objects.
    pub(super) unreadable: u64,
    /// Fields with a value of a wrong type.
    pub(super) wrong_types: u64,
    /// Error of the first unreadable object.
    pub(super) error: Option<DecodeError>,
}

/// Whether a watch event is ADDED, in the spelling of every known API server. Another spelling works, too, but is
/// decoded by one task.
pub(super) fn is_added(event: &[u8]) -> bool {
    event.starts_with(b"{\"type\":\"ADDED\",") || event.starts_with(b"\x0A\x05ADDED\x12")
}

impl<S: Sink> DecodePool<S> {
    /// Decodes on `threads`.
    pub(super) fn new(source: Source, sink: Arc<S>, threads: &Handle) -> Self {
        Self {
            source,
            sink,
            threads: threads.clone(),
            // The runtime has asked the system for the number of cores; asking again takes a dozen system calls.
            cores: threads.metrics().num_workers().min(MOST_LANES),
            batch: Vec::new(),
            batch_bytes: 0,
            spare_pages: Arc::default(),
            running: JoinSet::new(),
            decoded: DecodeCounts::default(),
        }
    }

    /// Adds an event for which [`is_added`] is true. Waits while all tasks are busy.
    pub(super) async fn event(&mut self, event: Bytes) {
        self.batch_bytes += event.len();
        self.batch.push(event);
        if self.batch_bytes >= BATCH {
            self.flush().await;
        }
    }

    /// Decodes the incomplete batch: no further event is available.
    pub(super) async fn flush(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        self.batch_bytes = 0;
        let (source, sink, batch) = (self.source, self.sink.clone(), std::mem::take(&mut self.batch));
        self.start(self.cores, move || events(source, sink.as_ref(), &batch)).await;
    }

    /// Adds a page, or a piece of one. It is decoded while the next one is read; at most two are decoded at once.
    pub(super) async fn page(&mut self, page: BytesMut) {
        let (source, sink, spare_pages) = (self.source, self.sink.clone(), self.spare_pages.clone());
        self.start(self.cores.min(2), move || {
            let decoded = self::page(source, sink.as_ref(), &page);
            if page.capacity() <= MOST_SPARED {
                lock(&spare_pages).push(page);
            }
            decoded
        })
        .await;
    }

    /// A buffer for the next piece.
    pub(super) fn spare_page(&self) -> BytesMut {
        lock(&self.spare_pages).pop().unwrap_or_default()
    }

    /// Returns the counts so far.
    pub(super) fn decoded(&mut self) -> DecodeCounts {
        while let Some(decoded) = self.running.try_join_next() {
            self.decoded.add(joined(self.source.resource, decoded));
        }
        std::mem::take(&mut self.decoded)
    }

    /// Waits until everything is decoded.
    pub(super) async fn drain(&mut self) -> DecodeCounts {
        self.flush().await;
        while let Some(decoded) = self.running.join_next().await {
            self.decoded.add(joined(self.source.resource, decoded));
        }
        std::mem::take(&mut self.decoded)
    }

    async fn start(&mut self, most: usize, work: impl FnOnce() -> DecodeCounts + Send + 'static) {
        while self.running.len() >= most
            && let Some(decoded) = self.running.join_next().await
        {
            self.decoded.add(joined(self.source.resource, decoded));
        }
        self.running.spawn_on(async move { work() }, &self.threads);
    }
}

impl DecodeCounts {
    fn add(&mut self, other: Self) {
        self.objects += other.objects;
        self.unreadable += other.unreadable;
        self.wrong_types += other.wrong_types;
        self.error = self.error.take().or(other.error);
    }

    fn unreadable(&mut self, error: DecodeError) {
        self.unreadable += 1;
        self.error.get_or_insert(error);
    }
}

/// Propagates a panic of a task: an unfinished batch must not look like a complete list.
fn joined(resource: Resource, decoded: Result<DecodeCounts, JoinError>) -> DecodeCounts {
    decoded.unwrap_or_else(|error| {
        if let Ok(panic) = error.try_into_panic() {
            std::panic::resume_unwind(panic);
        }
        let error = DecodeError { resource, what: "podskew is shutting down", byte: 0 };
        DecodeCounts { unreadable: 1, error: Some(error), ..DecodeCounts::default() }
    })
}

/// Decoded objects that are not in the inventory yet.
struct DecodedBatch<'s, 'a, S> {
    source: Source,
    sink: &'s S,
    objects: Vec<Object<'a>>,
    decoded: DecodeCounts,
}

impl<'s, 'a, S: Sink> DecodedBatch<'s, 'a, S> {
    fn new(source: Source, sink: &'s S, most: usize) -> Self {
        Self { source, sink, objects: Vec::with_capacity(most.min(AT_MOST)), decoded: DecodeCounts::default() }
    }

    /// Adds the objects whenever there are some and the inventory is free: a waiting thread sleeps and wakes late.
    fn push(&mut self, object: Object<'a>) {
        self.decoded.objects += 1;
        self.objects.push(object);
        if self.objects.len() >= AT_MOST {
            self.sink.take(self.source, SourceChange::Listed(&self.objects));
        } else if !self.objects.len().is_multiple_of(AT_ONCE) || !self.sink.list_unless_busy(self.source, &self.objects)
        {
            return;
        }
        self.objects.clear();
    }

    fn end(mut self) -> DecodeCounts {
        if !self.objects.is_empty() {
            self.sink.take(self.source, SourceChange::Listed(&self.objects));
        }
        self.decoded.wrong_types = take_wrong_types();
        self.decoded
    }
}

fn events<S: Sink>(source: Source, sink: &S, events: &[Bytes]) -> DecodeCounts {
    let mut gathered = DecodedBatch::new(source, sink, events.len());
    for event in events {
        match decode_event(source.resource, event) {
            Ok(WatchEvent::Applied(object)) => gathered.push(object),
            Ok(_) => {
                let error = DecodeError { resource: source.resource, what: "an event of two types", byte: 0 };
                gathered.decoded.unreadable(error);
            }
            Err(error) => gathered.decoded.unreadable(error),
        }
    }
    gathered.end()
}

fn page<S: Sink>(source: Source, sink: &S, page: &[u8]) -> DecodeCounts {
    sink.page(source, page);
    let mut gathered = DecodedBatch::new(source, sink, AT_MOST);
    let read = decode_list(source.resource, page, &mut |object| gathered.push(object));
    if let Err(error) = read {
        gathered.decoded.unreadable(error);
    }
    gathered.end()
}

#[cfg(test)]
mod tests {
    use super::{BATCH, DecodePool, is_added};
    use crate::inventory::Source;
    use crate::objects::{Object, Resource};
    use crate::watch::{Sink, SourceChange};
    use bytes::{Bytes, BytesMut};
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};
    use tokio::runtime::Handle;

    const PODS: Source = Source { resource: Resource::Pods, namespace: 0 };

    /// How often each name was received. The sink reports busy in two of three calls.
    #[derive(Default)]
    struct Names(Mutex<BTreeMap<String, u32>>, AtomicUsize);

    const PANICS: &str = "a sink that panics";

    impl Sink for Names {
        fn take(&self, _: Source, change: SourceChange<'_, '_>) {
            let SourceChange::Listed(objects) = change else { return };
            for object in objects {
                assert_ne!(object.meta.name, "pod-13", "{PANICS}");
                *self.0.lock().unwrap().entry(object.meta.name.to_string()).or_default() += 1;
            }
        }
        fn list_unless_busy(&self, source: Source, objects: &[Object<'_>]) -> bool {
            let busy = !self.1.fetch_add(1, Ordering::Relaxed).is_multiple_of(3);
            if !busy {
                self.take(source, SourceChange::Listed(objects));
            }
            !busy
        }
    }

    fn object(number: usize) -> String {
        // Some dozens of such objects fill a batch.
        format!("{{\"metadata\":{{\"name\":\"pod-{number}\",\"note\":\"{}\"}}}}", "x".repeat(BATCH / 40))
    }

    fn line(number: usize) -> Bytes {
        format!("{{\"type\":\"ADDED\",\"object\":{}}}", object(number)).into()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn every_object_is_received_once_and_unreadable_ones_are_reported() {
        let names = Arc::new(Names::default());
        let mut pool = DecodePool::new(PODS, names.clone(), &Handle::current());
        let mut broken = 0;
        for number in 100..1_100 {
            let mut line = line(number);
            assert!(is_added(&line));
            if number % 250 == 7 {
                line.truncate(line.len() - 1);
                broken += 1;
            }
            pool.event(line).await;
            if number % 333 == 0 {
                pool.flush().await;
            }
        }
        let decoded = pool.drain().await;
        assert_eq!((decoded.objects, decoded.unreadable), (1_000 - broken, broken));
        assert!(decoded.error.is_some());
        let names = std::mem::take(&mut *names.0.lock().unwrap());
        assert_eq!(names.len() as u64, 1_000 - broken);
        assert!(names.values().all(|times| *times == 1));
        assert_eq!(pool.drain().await.objects, 0, "it is reported once");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn pages_are_decoded_beside_each_other() {
        let names = Arc::new(Names::default());
        let mut pool = DecodePool::new(PODS, names.clone(), &Handle::current());
        for page in 0..20 {
            let items: Vec<String> = (100 + page * 50..150 + page * 50).map(object).collect();
            let text = format!("{{\"metadata\":{{\"resourceVersion\":\"7\"}},\"items\":[{}]}}", items.join(","));
            pool.page(BytesMut::from(text.as_str())).await;
        }
        pool.page(BytesMut::from("{\"items\":[{}")).await;
        let decoded = pool.drain().await;
        assert_eq!((decoded.objects, decoded.unreadable), (1_001, 1));
        assert_eq!(names.0.lock().unwrap().len(), 1_001);
    }

    #[tokio::test]
    #[should_panic(expected = "a sink that panics")]
    async fn a_panic_does_not_pass_for_a_complete_list() {
        let mut pool = DecodePool::new(PODS, Arc::new(Names::default()), &Handle::current());
        pool.event(line(13)).await;
        pool.drain().await;
    }

    #[test]
    fn only_added_events_are_decoded_in_parallel() {
        for other in
            ["", "{\"type\":\"MODIFIED\",\"object\":{}}", "{ \"type\": \"ADDED\", \"object\": {}}", "{\"type\":\"ADDED"]
        {
            assert!(!is_added(other.as_bytes()), "{other}");
        }
    }
}
