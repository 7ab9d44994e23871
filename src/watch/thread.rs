//! The thread of the watches. It reads, decrypts and decodes events and puts them into the inventory, without other threads.
//!
//! A real API server sends each event separately. With a shared pool of threads, each event caused 2.5 context switches, which cost
//! more than the event itself. While there are many events, this thread sleeps 80 ms between two reads of its sockets, so that one
//! wake-up handles several events.

use super::budget::DecodeBudget;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// Sleep between two reads while there are many events. `commands/serve/readers` leaves room for it within its second.
const GATHERING: Duration = Duration::from_millis(80);

/// There are many events after this number of wake-ups with events ...
const TIMES: u32 = 10;

/// ... within this time.
const SOON: Duration = Duration::from_millis(200);

/// Number of events within [`GATHERING`] up to which there are not many any more.
const FEW: u64 = 2;

/// Number of events within [`GATHERING`] above which the thread does not sleep: the buffers of the sockets would fill up.
const MOST: u64 = 64;

/// A thread with its own runtime. It ends when this is dropped.
pub(super) struct WatchThread {
    pub(super) handle: Handle,
    _stop: oneshot::Sender<()>,
}

impl WatchThread {
    /// Starts the thread. It never sleeps while a list of `budget` is read.
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
            // The sender is dropped to end the thread, which is an error here.
            let _ = runtime.block_on(stopped);
            runtime.shutdown_background();
        })?;
        Ok(Self { handle, _stop: stop })
    }
}

/// Decides whether there are many events.
struct Rhythm {
    /// Events until the last wake-up.
    events: u64,
    /// Wake-ups with events, and since when they are counted.
    times: u32,
    since: Instant,
    /// Whether there are many events.
    gathers: bool,
}

impl Rhythm {
    fn new(now: Instant) -> Self {
        Self { events: 0, times: 0, since: now, gathers: false }
    }

    /// Returns how long to sleep before the next read. `events` is the number of all events until `now`.
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

    /// Counts the pauses of `events` wake-ups with one event each, `gap` apart.
    fn pauses(rhythm: &mut Rhythm, now: &mut Instant, events: u32, gap: Duration) -> u32 {
        let paused = |_: &u32| {
            *now += gap;
            rhythm.pause(rhythm.events + 1, false, *now).is_some()
        };
        (0..events).filter(paused).count().try_into().unwrap()
    }

    #[test]
    fn the_thread_sleeps_while_there_are_many_events() {
        let (mut rhythm, mut now) = (Rhythm::new(Instant::now()), Instant::now());
        assert_eq!(pauses(&mut rhythm, &mut now, 1000, SOON / TIMES), 0, "50 a second are taken at once");
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
        assert_eq!(next(&mut rhythm, 2, false), None);
        assert_eq!(next(&mut rhythm, 10, false), None, "it begins again");
    }
}
