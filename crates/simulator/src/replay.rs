//! Replays a recording into a store: at its own speed, faster, or event by event.

use super::encoded::Encoded;
use super::recording::Recording;
use super::store::Store;
use crate::time::Time;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// A recording that is being replayed into a store.
#[derive(Debug)]
pub struct Replay {
    store: Store,
    recording: Recording,
    next: usize,
}

impl Replay {
    /// Puts the initial objects of a recording into a store, with their recorded versions, as if the recording began at
    /// `start`. To assert ages, choose `start` so that the event of interest is now.
    #[must_use]
    pub fn begin(store: &Store, recording: Recording, start: Time) -> Self {
        let recording = recording.moved_to(start);
        store.begin_at(recording.version);
        let mut replay = Self { store: store.clone(), recording, next: 0 };
        let initial = std::mem::take(&mut replay.recording.initial);
        for event in initial {
            let encoded = Encoded::new(event.object);
            replay.store.apply(event.resource, encoded, event.deleted, Some(event.version));
        }
        replay
    }

    /// When the next event is due, in seconds since the start; `None` after the last.
    #[must_use]
    pub fn next_at(&self) -> Option<f64> {
        self.recording.events.get(self.next).map(|event| event.at)
    }

    /// Applies the next event; returns its time in the recording.
    pub fn step(&mut self) -> Option<f64> {
        let event = self.recording.events.get(self.next)?;
        self.next += 1;
        let encoded = Encoded::new(event.object.clone());
        self.store.apply(event.resource, encoded, event.deleted, Some(event.version));
        Some(event.at)
    }

    /// Applies all events up to this many seconds after the start; returns their number.
    pub fn advance_to(&mut self, seconds: f64) -> usize {
        let before = self.next;
        while self.next_at().is_some_and(|at| at <= seconds) {
            self.step();
        }
        self.next - before
    }

    /// Applies all remaining events at once; returns their number.
    pub fn finish(&mut self) -> usize {
        self.advance_to(f64::INFINITY)
    }

    /// Applies each event when it is due, `speed` times as fast as recorded, from now and the next event on.
    pub async fn play(&mut self, speed: f64) {
        let begun = Instant::now();
        let skipped = self.next.checked_sub(1).map_or(0.0, |last| self.recording.events[last].at);
        while let Some(at) = self.next_at() {
            let due = (at - skipped).max(0.0) / speed.max(f64::EPSILON);
            sleep_until(begun + Duration::try_from_secs_f64(due).unwrap_or(Duration::MAX / 4)).await;
            self.step();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Recording, Replay};
    use crate::resource::Resource;
    use crate::store::Store;
    use crate::time::Time;
    use std::path::Path;

    fn begin(name: &str) -> (Store, Replay) {
        let path = format!("{}/../../tests/data/recordings/{name}.jsonl", env!("CARGO_MANIFEST_DIR"));
        let recording = Recording::load(Path::new(&path)).unwrap();
        let store = Store::new(1000);
        let replay = Replay::begin(&store, recording, Time::now());
        (store, replay)
    }

    #[test]
    fn versions_are_kept_and_content_follows_the_clock() {
        let (store, mut replay) = begin("digest-skew");
        assert_eq!((store.version(), store.count(Resource::Pods)), (320, 2));
        replay.advance_to(4.5);
        assert_eq!(store.count(Resource::Pods), 8);
        assert!(replay.finish() > 0);
        assert_eq!(replay.step(), None);
    }

    #[test]
    fn events_before_the_last_initial_list_belong_to_the_start() {
        // In this recording pods were listed at version 847 and everything else at 850.
        let (store, replay) = begin("statefulset-partition");
        assert_eq!(store.version(), 850);
        assert!(replay.recording.events.iter().all(|event| event.version > 850));
    }

    #[tokio::test]
    async fn a_recording_plays_to_its_end() {
        let (store, mut replay) = begin("rollout");
        replay.play(1000.0).await;
        assert_eq!(store.count(Resource::Pods), 4);
        assert_eq!(replay.next_at(), None);
    }
}
