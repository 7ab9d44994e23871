//! The only writer to stderr: log, progress and errors go through one thread.
//!
//! A full pipe blocks its writer. Only this thread writes, so only it waits. Everybody else appends to a bounded queue;
//! a line that does not fit is dropped and counted.

use crate::sync::lock;
use std::io::{self, ErrorKind, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Capacity of the queue in bytes: thousands of lines, 16 times the capacity of a pipe.
const QUEUE_BYTES: usize = 1 << 20;

/// How long the process waits for the queue at its end. A shutdown takes at most 5 s, of which responses may take 4.5
/// s.
const FLUSH_DEADLINE: Duration = Duration::from_millis(400);

/// Pause before another attempt where stderr is non-blocking and full.
const RETRY: Duration = Duration::from_millis(10);

static WRITER: LazyLock<Writer> = LazyLock::new(Writer::default);

/// Whether the thread runs. Without it, callers write their lines themselves.
static HAS_THREAD: LazyLock<bool> = LazyLock::new(|| {
    let write = || WRITER.write_forever(&mut io::stderr());
    thread::Builder::new().name("stderr".to_owned()).spawn(write).is_ok()
});

/// A writer to stderr that never waits for the reader.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if *HAS_THREAD {
            WRITER.append(bytes);
            Ok(bytes.len())
        } else {
            io::stderr().write(bytes)
        }
    }

    /// Does not wait either; the function [`flush`] does.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Waits until the queue is empty, for 0.4 s at most.
pub fn flush() {
    if *HAS_THREAD {
        WRITER.flush(FLUSH_DEADLINE);
    }
}

/// Number of lines dropped since the process began.
#[must_use]
pub fn dropped_lines() -> u64 {
    WRITER.dropped.load(Ordering::Relaxed)
}

#[derive(Default)]
struct Writer {
    queue: Mutex<Queue>,
    /// Signals that a line was appended or written.
    changed: Condvar,
    dropped: AtomicU64,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<u8>,
    is_writing: bool,
}

impl Writer {
    /// Appends whole lines, so that no line is truncated.
    fn append(&self, lines: &[u8]) {
        let mut queue = self.lock();
        if queue.waiting.len() + lines.len() > QUEUE_BYTES {
            self.count_dropped(lines);
            return;
        }
        queue.waiting.extend_from_slice(lines);
        drop(queue);
        self.changed.notify_all();
    }

    fn write_forever(&self, sink: &mut impl Write) {
        loop {
            let mut queue = self.lock();
            queue.is_writing = false;
            self.changed.notify_all();
            let mut queue = self
                .changed
                .wait_while(queue, |queue| queue.waiting.is_empty())
                .unwrap_or_else(PoisonError::into_inner);
            queue.is_writing = true;
            let lines = std::mem::take(&mut queue.waiting);
            drop(queue);
            self.write(&lines, sink);
        }
    }

    fn write(&self, mut lines: &[u8], sink: &mut impl Write) {
        while !lines.is_empty() {
            match sink.write(lines) {
                Ok(written) if written > 0 => lines = &lines[written..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(RETRY),
                // The reader is gone, or the disk is full.
                Ok(_) | Err(_) => return self.count_dropped(lines),
            }
        }
    }

    fn flush(&self, within: Duration) {
        let deadline = Instant::now() + within;
        let mut queue = self.lock();
        while queue.is_writing || !queue.waiting.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            queue = self.changed.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn count_dropped(&self, lines: &[u8]) {
        let count = memchr::memchr_iter(b'\n', lines).count().max(1);
        self.dropped.fetch_add(count as u64, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        lock(&self.queue)
    }
}

#[cfg(test)]
mod tests {
    use super::{QUEUE_BYTES, Writer};
    use std::io::{self, ErrorKind, Write};
    use std::sync::atomic::Ordering;
    use std::sync::{Arc, Condvar, Mutex};
    use std::time::{Duration, Instant};

    /// A pipe that takes what fits, and then blocks until it is read.
    #[derive(Clone, Default)]
    struct Pipe(Arc<(Mutex<State>, Condvar)>);

    #[derive(Default)]
    struct State {
        taken: Vec<u8>,
        is_open: bool,
    }

    impl Pipe {
        fn open(&self) {
            self.0.0.lock().unwrap().is_open = true;
            self.0.1.notify_all();
        }

        fn text(&self) -> String {
            String::from_utf8(self.0.0.lock().unwrap().taken.clone()).unwrap()
        }
    }

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut state = self.0.1.wait_while(self.0.0.lock().unwrap(), |state| !state.is_open).unwrap();
            let taken = bytes.len().min(7);
            state.taken.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn running(mut sink: impl Write + Send + 'static) -> Arc<Writer> {
        let writer = Arc::new(Writer::default());
        let thread = Arc::clone(&writer);
        std::thread::spawn(move || thread.write_forever(&mut sink));
        writer
    }

    #[test]
    fn a_full_pipe_blocks_nothing_and_every_line_is_written_or_counted() {
        let pipe = Pipe::default();
        let writer = running(pipe.clone());
        let line = format!("{}\n", "x".repeat(999));
        let begun = Instant::now();
        let all = 3 * QUEUE_BYTES / line.len();
        (0..all).for_each(|_| writer.append(line.as_bytes()));
        writer.flush(Duration::from_millis(50));
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        assert_eq!(pipe.text(), "");
        pipe.open();
        writer.append(b"the end\n");
        writer.flush(Duration::from_secs(60));
        let text = pipe.text();
        let dropped = writer.dropped.load(Ordering::Relaxed);
        assert!(dropped > 0);
        let written = text.lines().filter(|written| written.len() == 999).count() as u64;
        let ended = u64::from(text.ends_with("the end\n"));
        assert_eq!(written + ended + dropped, all as u64 + 1, "no line is cut");
    }

    #[test]
    fn what_was_appended_is_written_before_a_flush_returns() {
        let pipe = Pipe::default();
        pipe.open();
        let writer = running(pipe.clone());
        for count in 0..100 {
            writer.append(format!("line {count}\n").as_bytes());
        }
        writer.flush(Duration::from_secs(60));
        assert_eq!(pipe.text().lines().count(), 100);
        assert_eq!(writer.dropped.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_closed_stderr_counts_and_one_that_would_block_is_tried_again() {
        struct Closed(ErrorKind, u8);
        impl Write for Closed {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.1 += 1;
                if self.1 > 3 { Ok(bytes.len()) } else { Err(self.0.into()) }
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        for (kind, dropped) in [(ErrorKind::BrokenPipe, 2), (ErrorKind::WouldBlock, 0), (ErrorKind::Interrupted, 0)] {
            let writer = Writer::default();
            writer.write(b"one\ntwo\n", &mut Closed(kind, 0));
            assert_eq!(writer.dropped.load(Ordering::Relaxed), dropped, "{kind}");
        }
    }
}
