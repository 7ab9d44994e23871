//! Recordings of a real API server, and how to shift them in time.
//!
//! A recording does not contain its start time, only how many seconds after it each event arrived. An event cannot arrive
//! before the times in it: `start + at >= timestamp` for each timestamp, so the start is at least the greatest
//! `timestamp - at` of the recording. Controllers write a current timestamp into most events, so this bound is exact to
//! within a second, the precision of the timestamps. It is rounded up to a whole second, so that no event of a replay has a
//! timestamp in the future. `deletionTimestamp` does not count: it is when a pod *must be* gone, which is in the future.

use crate::resource::Resource;
use crate::time::Time;
use serde_json::Value;
use std::collections::HashMap;
use std::io;
use std::path::Path;

/// About half a minute of events from a real API server: one scenario of `tests/data/recordings`.
#[derive(Clone, Debug)]
pub struct Recording {
    /// Objects at the start.
    pub(super) initial: Vec<RecordedEvent>,
    /// Changes after the start, in the order of their versions.
    pub(super) events: Vec<RecordedEvent>,
    /// The version of the cluster at the start.
    pub(super) version: u64,
    start: Time,
}

/// One event of a watch.
#[derive(Clone, Debug)]
pub(super) struct RecordedEvent {
    /// Seconds since the start of the recording.
    pub(super) at: f64,
    pub(super) resource: Resource,
    pub(super) deleted: bool,
    pub(super) version: u64,
    pub(super) object: Value,
}

/// A recording that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The file cannot be read.
    #[error("cannot read the recording: {0}")]
    Io(#[from] io::Error),
    /// A line is not in the format of `tests/data/recordings`.
    #[error("line {line} of the recording is not as expected: {problem}")]
    Line {
        /// Line number, from 1.
        line: usize,
        /// The problem with it.
        problem: String,
    },
    /// There is no timestamp from which the start can be computed.
    #[error("the recording has no timestamp, so it cannot be shifted in time")]
    NoTimestamp,
}

impl Recording {
    /// Reads `SCENARIO.jsonl`.
    pub fn load(path: &Path) -> Result<Self, RecordingError> {
        Self::parse(&std::fs::read_to_string(path)?)
    }

    /// Parses the text of such a file.
    pub fn parse(text: &str) -> Result<Self, RecordingError> {
        let mut events = Vec::new();
        let mut synced: HashMap<Resource, u64> = HashMap::new();
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let problem = |problem: &str| RecordingError::Line { line: index + 1, problem: problem.to_owned() };
            let mut line: Value = serde_json::from_str(line).map_err(|error| problem(&error.to_string()))?;
            let resource = resource(&line).ok_or_else(|| problem("it names no known resource"))?;
            if let Some(version) = line.get("synced") {
                let version = number(version).ok_or_else(|| problem("`synced` is not a version"))?;
                synced.insert(resource, version);
                continue;
            }
            let at = line.get("at").and_then(Value::as_f64).ok_or_else(|| problem("it has no `at`"))?;
            let event_type = line.pointer("/event/type").and_then(Value::as_str).unwrap_or_default().to_owned();
            let object = line.pointer_mut("/event/object").ok_or_else(|| problem("it has no object"))?.take();
            if event_type == "BOOKMARK" {
                continue;
            }
            let version = object.pointer("/metadata/resourceVersion").and_then(number);
            events.push(RecordedEvent {
                at,
                resource,
                deleted: event_type == "DELETED",
                version: version.ok_or_else(|| problem("its object has no version"))?,
                object,
            });
        }
        Self::of(events, synced.into_values().max().unwrap_or(0))
    }

    /// Versions order the events of all resources. Events up to the version of the last initial list happened before that
    /// list, and belong to the start, although another watch received them a little later.
    fn of(mut events: Vec<RecordedEvent>, version: u64) -> Result<Self, RecordingError> {
        let start = start_of(&events).ok_or(RecordingError::NoTimestamp)?;
        events.sort_by_key(|event| event.version);
        let first = events.partition_point(|event| event.version <= version);
        let mut later = events.split_off(first);
        // Two watches may differ by milliseconds.
        let mut latest = 0.0_f64;
        for event in &mut later {
            latest = latest.max(event.at);
            event.at = latest;
        }
        Ok(Self { initial: events, events: later, version, start })
    }

    /// Start time of the recording.
    #[must_use]
    pub fn start(&self) -> Time {
        self.start
    }

    /// Seconds from the start to the last event.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.events.last().map_or(0.0, |event| event.at)
    }

    /// The same recording, shifted to another start: every timestamp in every object is moved by whole seconds.
    #[must_use]
    pub fn moved_to(mut self, start: Time) -> Self {
        let by = start.seconds() - self.start.seconds();
        for event in self.initial.iter_mut().chain(&mut self.events) {
            move_timestamps(&mut event.object, by);
        }
        self.start = start;
        self
    }
}

fn resource(line: &Value) -> Option<Resource> {
    let plural = line.get("resource")?.as_str()?;
    Resource::ALL.into_iter().find(|resource| resource.plural() == plural)
}

fn number(version: &Value) -> Option<u64> {
    version.as_str()?.parse().ok()
}

fn start_of(events: &[RecordedEvent]) -> Option<Time> {
    let bounds = events.iter().filter_map(|event| {
        let latest = latest_timestamp(&event.object)?;
        Some(latest.seconds() as f64 - event.at)
    });
    let start = bounds.fold(f64::NEG_INFINITY, f64::max);
    #[expect(clippy::cast_possible_truncation, reason = "seconds since 1970")]
    start.is_finite().then(|| Time::from_seconds(start.ceil() as i64))
}

fn latest_timestamp(value: &Value) -> Option<Time> {
    match value {
        Value::String(text) => timestamp(text).map(|(moment, _)| moment),
        Value::Array(items) => items.iter().filter_map(latest_timestamp).max(),
        Value::Object(fields) => {
            let fields = fields.iter().filter(|(name, _)| *name != "deletionTimestamp");
            fields.filter_map(|(_, value)| latest_timestamp(value)).max()
        }
        _ => None,
    }
}

/// Shifts every timestamp in a JSON value by a number of seconds.
fn move_timestamps(value: &mut Value, by: i64) {
    match value {
        Value::String(text) => {
            if let Some(moved) = moved(text, by) {
                *text = moved;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| move_timestamps(item, by)),
        Value::Object(fields) => fields.values_mut().for_each(|field| move_timestamps(field, by)),
        _ => {}
    }
}

fn moved(text: &str, by: i64) -> Option<String> {
    let (moment, fraction) = timestamp(text)?;
    let moved = Time::from_seconds(moment.seconds() + by);
    let seconds = rfc3339(moved);
    Some(format!("{}{fraction}Z", seconds.trim_end_matches('Z')))
}

/// A time and its fraction of a second as text, such as `.123456`, if the text is exactly a timestamp.
fn timestamp(text: &str) -> Option<(Time, &str)> {
    let shaped = text.is_ascii() && text.get(10..11) == Some("T") && text.ends_with('Z');
    let fraction = text.get(19..text.len().checked_sub(1)?)?;
    let fraction_shaped = fraction.is_empty() || fraction.starts_with('.');
    (shaped && fraction_shaped).then(|| Time::parse(text))?.map(|moment| (moment, fraction))
}

/// A time as the API server writes it.
pub(super) fn rfc3339(time: Time) -> String {
    time.to_string()
}

#[cfg(test)]
mod tests {
    use super::{Recording, Time, moved, rfc3339};
    use std::path::Path;

    fn recording(name: &str) -> Recording {
        let path = format!("{}/../../tests/data/recordings/{name}.jsonl", env!("CARGO_MANIFEST_DIR"));
        Recording::load(Path::new(&path)).unwrap()
    }

    #[test]
    fn only_timestamps_move() {
        assert_eq!(moved("2026-11-21T06:26:48Z", 60).unwrap(), "2026-11-21T06:27:48Z");
        assert_eq!(moved("2026-11-21T23:59:59.120Z", 1).unwrap(), "2026-11-22T00:00:00.120Z");
        assert_eq!(moved("2026-11-21T06:26:48Z", -48).unwrap(), "2026-11-21T06:26:00Z");
        for other in ["v1.2.3", "", "2026-11-21", "restarted 2026-11-21T06:26:48Z", "ééééééééééTZ"] {
            assert_eq!(moved(other, 60), None, "{other}");
        }
    }

    #[test]
    fn the_start_is_derived_from_the_events() {
        // Observed during the recording: `set image` at about 06:26:59 came 1.6 s after the start of `rollout`.
        let starts = [
            ("rollout", "2026-11-21T06:26:58Z"),
            ("stuck", "2026-11-21T06:26:58Z"),
            ("digest-skew", "2026-11-21T06:26:55Z"),
            ("paused", "2026-11-21T06:27:47Z"),
            ("recreate", "2026-11-21T06:27:47Z"),
            ("daemonset", "2026-11-21T06:27:47Z"),
            ("statefulset-partition", "2026-11-21T06:27:49Z"),
            ("restart-moved-tag", "2026-11-21T06:26:58Z"),
        ];
        for (name, start) in starts {
            assert_eq!(rfc3339(recording(name).start()), start, "{name}");
        }
    }

    #[test]
    fn a_shifted_recording_has_its_new_start() {
        let now = Time::parse("2031-02-03T04:05:06Z").unwrap();
        let moved = recording("rollout").moved_to(now);
        let all = || moved.initial.iter().chain(&moved.events);
        assert!(all().all(|event| !event.object.to_string().contains("\"2026-11-21T")));
        let again = super::start_of(&all().cloned().collect::<Vec<_>>()).unwrap();
        assert!(again.seconds().abs_diff(now.seconds()) <= 1, "within the second that the events leave open");
    }
}
