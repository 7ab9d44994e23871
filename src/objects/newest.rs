//! The newest timestamp in objects: a lower bound for the time at which they were read from their cluster.
//!
//! Only timestamps of past events count: creation, writes of managers, changes of conditions, starts and ends of
//! containers. Future times (`deletionTimestamp`), values that anybody may write (annotations) and heartbeats do not.

use super::members::{Members, elements, member};
use crate::time::UnixTime;
use memchr::memmem::Finder;

/// Finds the newest timestamp in objects that is not after the reader's own clock.
#[derive(Clone, Debug)]
pub struct Newest {
    not_after: UnixTime,
    found: Option<UnixTime>,
    /// The same as text, up to the second: text that sorts before it is not newer.
    written: [u8; LENGTH],
    centuries: Finder<'static>,
}

/// `2006-01-02T15:04:05`.
const LENGTH: usize = 19;

impl Newest {
    /// A state without a timestamp.
    #[must_use]
    pub fn not_after(not_after: UnixTime) -> Self {
        Self { not_after, found: None, written: [b'0'; LENGTH], centuries: Finder::new("\"20") }
    }

    /// The newest timestamp so far.
    #[must_use]
    pub fn found(&self) -> Option<UnixTime> {
        self.found
    }

    /// Reads an object. Almost no object has a newer timestamp than those before it, and a scan of its text finds that at
    /// memory speed.
    pub fn take(&mut self, object: &[u8]) {
        let is_newer = |at: usize| self.may_be_newer(object.get(at + 1..).unwrap_or_default());
        if self.centuries.find_iter(object).any(is_newer) {
            for text in moments(object) {
                self.take_moment(text);
            }
        }
    }

    fn may_be_newer(&self, text: &[u8]) -> bool {
        let Some(moment) = text.first_chunk::<LENGTH>() else { return false };
        let is_moment = moment[4] == b'-' && moment[7] == b'-' && moment[13] == b':' && moment[16] == b':';
        // With an offset, the order is not that of the text.
        let in_utc = matches!(text.get(LENGTH), Some(b'Z' | b'.'));
        is_moment && (!in_utc || *moment > self.written)
    }

    fn take_moment(&mut self, text: &[u8]) {
        let text = text.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\"")).unwrap_or_default();
        let moment = std::str::from_utf8(text).ok().and_then(UnixTime::parse);
        let Some(moment) = moment.filter(|moment| *moment <= self.not_after && Some(*moment) > self.found) else {
            return;
        };
        self.found = Some(moment);
        if let Some(written) = text.first_chunk().filter(|_| text.ends_with(b"Z")) {
            self.written = *written;
        }
    }
}

/// All timestamps of an object that count, as JSON text.
fn moments(object: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    for (key, value) in Members::of(object) {
        match key {
            b"metadata" => {
                for (key, value) in Members::of(value) {
                    match key {
                        b"creationTimestamp" => found.push(value),
                        b"managedFields" => found.extend(elements(value).filter_map(|by| member(by, &["time"]))),
                        _ => {}
                    }
                }
            }
            b"status" => of_status(value, &mut found),
            _ => {}
        }
    }
    found
}

fn of_status<'j>(status: &'j [u8], found: &mut Vec<&'j [u8]>) {
    for (key, value) in Members::of(status) {
        match key {
            b"conditions" => {
                let times = elements(value)
                    .flat_map(Members::of)
                    .filter(|(key, _)| matches!(*key, b"lastTransitionTime" | b"lastUpdateTime" | b"lastProbeTime"));
                found.extend(times.map(|(_, value)| value));
            }
            b"containerStatuses" | b"initContainerStatuses" | b"ephemeralContainerStatuses" => {
                let is_state = |member: &(&[u8], &[u8])| matches!(member.0, b"state" | b"lastState");
                let each = elements(value).flat_map(Members::of).filter(is_state);
                let ways = each.flat_map(|(_, state)| Members::of(state)).flat_map(|(_, way)| Members::of(way));
                let times = ways.filter(|(key, _)| matches!(*key, b"startedAt" | b"finishedAt"));
                found.extend(times.map(|(_, value)| value));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Newest;
    use crate::time::UnixTime;
    use serde_json::json;

    fn newest(objects: &[serde_json::Value]) -> Option<String> {
        let mut newest = Newest::not_after(UnixTime::parse("2026-12-01T00:00:00Z").unwrap());
        for object in objects {
            newest.take(object.to_string().as_bytes());
        }
        newest.found().map(|moment| jiff::Timestamp::from_second(moment.seconds().into()).unwrap().to_string())
    }

    #[test]
    fn each_moment_that_counts_counts() {
        let at = "2026-11-30T08:00:00Z";
        let old = "2026-11-01T00:00:00Z";
        for counts in [
            json!({"metadata": {"creationTimestamp": at}}),
            json!({"metadata": {"creationTimestamp": old, "managedFields": [{"manager": "x"}, {"time": at, "fieldsV1": {}}]}}),
            json!({"status": {"conditions": [{"lastTransitionTime": old}, {"lastTransitionTime": at}]}}),
            json!({"status": {"conditions": [{"lastUpdateTime": at, "lastTransitionTime": old}]}}),
            json!({"status": {"containerStatuses": [{"state": {"running": {"startedAt": at}}}]}}),
            json!({"status": {"initContainerStatuses": [{"lastState": {"terminated": {"startedAt": old, "finishedAt": at}}}]}}),
            json!({"metadata": {"creationTimestamp": "2026-11-30T10:00:00+02:00"}}),
            json!({"metadata": {"creationTimestamp": "2026-11-30T08:00:00.123456Z"}}),
        ] {
            assert_eq!(
                newest(&[json!({"metadata": {"creationTimestamp": old}}), counts.clone()]).as_deref(),
                Some(at),
                "{counts}"
            );
        }
    }

    #[test]
    fn nothing_else_does() {
        let old = "2026-11-01T00:00:00Z";
        let at = "2026-11-30T08:00:00Z";
        for other in [
            json!({"metadata": {"deletionTimestamp": at}}),
            json!({"metadata": {"annotations": {"creationTimestamp": at, "time": at}}}),
            json!({"status": {"conditions": [{"type": "Ready", "lastHeartbeatTime": at}]}}),
            json!({"spec": {"template": {"metadata": {"creationTimestamp": at}}}}),
            json!({"data": {"metadata": {"creationTimestamp": at}}}),
            json!({"spec": {"renewTime": at}, "lastTimestamp": at}),
            json!({"metadata": {"creationTimestamp": "2099-01-01T00:00:00Z"}}),
            json!({"metadata": {"creationTimestamp": 7, "managedFields": "x"}, "status": [at]}),
        ] {
            assert_eq!(
                newest(&[other.clone(), json!({"metadata": {"creationTimestamp": old}})]).as_deref(),
                Some(old),
                "{other}"
            );
            assert_eq!(newest(std::slice::from_ref(&other)), None, "{other}");
        }
    }
}
