//! The frames of the stream of events.

use crate::report::Workload;
use serde::Serialize;
use std::collections::BTreeSet;

#[derive(Serialize)]
struct Event<'a> {
    generation: u64,
    /// The workloads that changed; `None` if every page has to be asked for again.
    changed: Option<&'a BTreeSet<String>>,
}

/// A workload as events name it: `shop/deployment/web`.
#[must_use]
pub fn event_key(workload: &Workload) -> String {
    format!("{}/{}/{}", workload.namespace, workload.workload_type, workload.name)
}

/// The first event of a stream: which picture is the latest.
#[must_use]
pub fn hello(generation: u64) -> String {
    format!("event: hello\n{}", event(generation, Some(&BTreeSet::new())))
}

/// An event: which picture is the latest, and the workloads that changed; `None` if every page has to be asked for again.
#[must_use]
pub fn event(generation: u64, changed: Option<&BTreeSet<String>>) -> String {
    // Infallible: every field serializes. A line break in a name is escaped in JSON, so it ends no event.
    let data = serde_json::to_string(&Event { generation, changed }).unwrap_or_default();
    format!("data: {data}\n\n")
}
