//! Renders many batches on several cores. Each family processes every batch in order. A core works on the family that is
//! furthest behind, or fetches the next batch.
//!
//! The threads are kept for all batches. A new thread starts on its creator's core. For the few milliseconds of a batch the
//! kernel did not move it, and another core was idle a third of the time.

use crate::sync::lock;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// Maximum number of batches in memory. With fewer, a core may wait for a batch while another one works on the family
/// that is furthest behind.
const MOST_PARTS: usize = 4;

/// The shared state of the threads.
struct WorkQueue<'p, T, P> {
    source: PartSource<'p, P>,
    /// Batches that some family still needs.
    parts: VecDeque<Arc<P>>,
    /// Number of batches before them.
    passed: usize,
    takers: Vec<Worker<T>>,
}

/// Where batches come from.
enum PartSource<'p, P> {
    Here(&'p mut (dyn Iterator<Item = P> + Send)),
    /// A thread fetches the next one.
    Asked,
    Ended,
}

struct Worker<T> {
    /// `None` while a thread works on it.
    taker: Option<T>,
    /// Number of batches it has taken.
    taken: usize,
}

enum Task<'p, T, P> {
    Fetch(&'p mut (dyn Iterator<Item = P> + Send)),
    TakeOver { at: usize, taker: T, part: Arc<P> },
}

/// Lets each of `takers` process all `parts` in order, with one of `tools` per core.
pub(super) fn take_over<'t, T: Send, P: Send + Sync, S: Send + 't>(
    takers: impl Iterator<Item = T>,
    parts: &mut (dyn Iterator<Item = P> + Send),
    tools: impl Iterator<Item = &'t mut S>,
    take_over: impl Fn(&mut T, &P, &mut S) + Sync,
) {
    let takers = takers.map(|taker| Worker { taker: Some(taker), taken: 0 }).collect();
    let work = Mutex::new(WorkQueue { source: PartSource::Here(parts), parts: VecDeque::new(), passed: 0, takers });
    let changed = Condvar::new();
    let run = |tool: &mut S| {
        while let Some(task) = next_task(&work, &changed) {
            match task {
                Task::Fetch(source) => {
                    let part = source.next();
                    let mut work = lock(&work);
                    work.source = if part.is_some() { PartSource::Here(source) } else { PartSource::Ended };
                    work.parts.extend(part.map(Arc::new));
                    work.forget_taken();
                }
                Task::TakeOver { at, mut taker, part } => {
                    take_over(&mut taker, &part, tool);
                    drop(part);
                    lock(&work).took_over(at, taker);
                }
            }
            changed.notify_all();
        }
    };
    let run = &run;
    std::thread::scope(|scope| {
        let mut tools = tools;
        let Some(own) = tools.next() else { return };
        for tool in tools {
            // If no thread can be started, the others do all the work.
            let _ = std::thread::Builder::new().spawn_scoped(scope, move || run(tool));
        }
        run(own);
    });
}

/// Waits for work; `None` once everything is done or in progress.
fn next_task<'p, T, P>(work: &Mutex<WorkQueue<'p, T, P>>, changed: &Condvar) -> Option<Task<'p, T, P>> {
    let mut work = lock(work);
    loop {
        if let Some(task) = work.next_task() {
            return Some(task);
        }
        if matches!(work.source, PartSource::Ended) && work.parts.is_empty() {
            return None;
        }
        work = changed.wait(work).unwrap_or_else(PoisonError::into_inner);
    }
}

impl<'p, T, P> WorkQueue<'p, T, P> {
    fn next_task(&mut self) -> Option<Task<'p, T, P>> {
        if self.parts.len() < MOST_PARTS {
            match std::mem::replace(&mut self.source, PartSource::Asked) {
                PartSource::Here(source) => return Some(Task::Fetch(source)),
                other => self.source = other,
            }
        }
        let end = self.passed + self.parts.len();
        let free = self.takers.iter_mut().enumerate().filter(|(_, taker)| taker.taker.is_some() && taker.taken < end);
        let (at, found) = free.min_by_key(|(_, taker)| taker.taken)?;
        let part = Arc::clone(self.parts.get(found.taken - self.passed)?);
        found.taker.take().map(|taker| Task::TakeOver { at, taker, part })
    }

    fn took_over(&mut self, at: usize, taker: T) {
        if let Some(of) = self.takers.get_mut(at) {
            of.taker = Some(taker);
            of.taken += 1;
        }
        self.forget_taken();
    }

    /// Drops batches that every family has taken; without families, all.
    fn forget_taken(&mut self) {
        let fetched = self.passed + self.parts.len();
        let taken_by_all = self.takers.iter().map(|taker| taker.taken).min().unwrap_or(fetched);
        self.parts.drain(..taken_by_all - self.passed);
        self.passed = taken_by_all;
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST_PARTS, take_over};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    /// A batch, counted while it exists.
    struct PublishBatch<'c>(usize, &'c AtomicUsize);

    impl Drop for PublishBatch<'_> {
        fn drop(&mut self) {
            self.1.fetch_sub(1, Ordering::SeqCst);
        }
    }

    fn run(takers: usize, parts: usize, cores: usize) {
        let held = AtomicUsize::new(0);
        let mut all = (0..parts).map(|number| {
            assert!(held.fetch_add(1, Ordering::SeqCst) < MOST_PARTS);
            PublishBatch(number, &held)
        });
        let (mut taken, mut tools) = (vec![Vec::new(); takers], vec![0; cores]);
        take_over(taken.iter_mut(), &mut all, tools.iter_mut(), |taken, part, tool| {
            if part.0.is_multiple_of(3) {
                std::thread::sleep(Duration::from_micros(100 * taken.len() as u64));
            }
            taken.push(part.0);
            *tool += 1;
        });
        let expected: Vec<usize> = (0..parts).collect();
        assert!(taken.iter().all(|taken| *taken == expected), "{taken:?}");
        assert_eq!(tools.iter().sum::<usize>(), takers * parts);
        assert_eq!(held.into_inner(), 0);
    }

    #[test]
    fn each_takes_over_every_part_in_order_whoever_does_it() {
        for cores in 1..4 {
            for (takers, parts) in [(1, 20), (5, 12), (20, 1), (3, 0), (0, 9)] {
                run(takers, parts, cores);
            }
        }
    }
}
