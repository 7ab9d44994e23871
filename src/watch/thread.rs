//! The thread of the watches: what comes is read, decrypted, decoded and taken into the inventory by one thread, without a hand-over.
//!
//! A real API server sends each event by itself. Each woke a thread that waits for sockets, and that woke others: two and a half
//! changes of threads an event, which cost more than the event. While events are many, this thread sleeps for some tens of
//! milliseconds between two looks at its sockets, and takes what has come meanwhile at once.

use super::budget::DecodeBudget;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// How long the thread lets events gather. A scrape is at most a second behind: `commands/serve/readers` leaves room for this.
const GATHERING: Duration = Duration::from_millis(50);

/// Events are many where this many times in a row some came ...
const TIMES: u32 = 20;

/// ... within this time.
const SOON: Duration = Duration::from_millis(200);

/// So few events in [`GATHERING`] are not many any more.
const FEW: u64 = 4;

/// So many are taken without a pause: more of them would fill the buffers of their sockets.
const MOST: u64 = 64;

/// A thread with a runtime of its own. It ends when this is dropped.
pub(super) struct WatchThread {
    pub(super) handle: Handle,
    _stop: oneshot::Sender<()>,
}

impl WatchThread {
    /// Starts it. No events are gathered while a list of `budget` is read.
    pub(super) fn start(budget: Arc<DecodeBudget>) -> io::Result<Self> {
        let rhythm = Mutex::new(Rhythm::new(Instant::now()));
        let before_park = move || {
            let (events, is_listing) = (budget.events(), budget.is_listing());
            let pause = crate::sync::lock(&rhythm).pause(events, is_listing, Instant::now());
            if let Some(pause) = pause {
                std::thread::sleep(pause);
            }
        };
        let runtime = Builder::new_current_thread().enable_all().on_thread_park(before_park).build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        std::thread::Builder::new().name("watches".to_owned()).spawn(move || {
            // An error means that the sender was dropped, which is how it is told to stop.
            let _ = runtime.block_on(stopped);
            runtime.shutdown_background();
        })?;
        Ok(Self { handle, _stop: stop })
    }
}

/// Whether events are many.
struct Rhythm {
    /// Events until the last time.
    events: u64,
    /// How many times some came, and since when.
    times: u32,
    since: Instant,
    /// Whether they gather.
    gathers: bool,
}

impl Rhythm {
    fn new(now: Instant) -> Self {
        Self { events: 0, times: 0, since: now, gathers: false }
    }

    /// How long to let events gather, before the thread waits for more. There have been so many until `now`.
    fn pause(&mut self, events: u64, is_listing: bool, now: Instant) -> Option<Duration> {
        let came = events - std::mem::replace(&mut self.events, events);
        if came == 0 {
            return None;
        }
        if self.gathers {
            self.gathers = came > FEW;
        } else {
            self.times += 1;
            if self.times == TIMES {
                self.gathers = now.duration_since(self.since) < SOON;
                (self.times, self.since) = (0, now);
            }
        }
        (self.gathers && came <= MOST && !is_listing).then_some(GATHERING)
    }
}

#[cfg(test)]
mod tests {
    use super::{GATHERING, Rhythm, SOON, TIMES};
    use std::time::{Duration, Instant};

    /// One event each time, so long after the one before; the times at which a pause was made.
    fn pauses(rhythm: &mut Rhythm, now: &mut Instant, events: u32, gap: Duration) -> u32 {
        let paused = |_: &u32| {
            *now += gap;
            rhythm.pause(rhythm.events + 1, false, *now).is_some()
        };
        (0..events).filter(paused).count().try_into().unwrap()
    }

    #[test]
    fn events_gather_while_they_are_many() {
        let (mut rhythm, mut now) = (Rhythm::new(Instant::now()), Instant::now());
        assert_eq!(pauses(&mut rhythm, &mut now, 1000, SOON / TIMES), 0, "50 and 100 a second are taken at once");
        let gap = SOON / TIMES / 2;
        assert_eq!(pauses(&mut rhythm, &mut now, TIMES, gap), 1, "the last of them");
        let mut next = |rhythm: &mut Rhythm, came: u64, is_listing| {
            now += GATHERING;
            rhythm.pause(rhythm.events + came, is_listing, now)
        };
        for _ in 0..100 {
            assert_eq!(next(&mut rhythm, 10, false), Some(GATHERING));
        }
        assert_eq!(next(&mut rhythm, 0, false), None, "something else woke the thread");
        assert_eq!(next(&mut rhythm, 1000, false), None, "there is more where they come from");
        assert_eq!(next(&mut rhythm, 10, true), None, "somebody waits for a list");
        assert_eq!(next(&mut rhythm, 10, false), Some(GATHERING));
        assert_eq!(next(&mut rhythm, 4, false), None);
        assert_eq!(next(&mut rhythm, 10, false), None, "it begins again");
    }
}
