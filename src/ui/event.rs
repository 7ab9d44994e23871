//! Messages of the event stream.

use crate::report::Workload;
use serde::Serialize;
use std::collections::BTreeSet;

#[derive(Serialize)]
struct Event<'a> {
    generation: u64,
    /// The changed workloads; `None` if every page must reload.
    changed: Option<&'a BTreeSet<String>>,
}

/// Name of a workload in events: `shop/deployment/web`.
#[must_use]
pub fn event_key(workload: &Workload) -> String {
    format!("{}/{}/{}", workload.namespace, workload.workload_type, workload.name)
}

/// The first message of a stream, with the current generation.
#[must_use]
pub fn hello(generation: u64) -> String {
    format!("event: hello\n{}", event(generation, Some(&BTreeSet::new())))
}

/// A message with the generation and the changed workloads; `None` if every page must reload.
#[must_use]
pub fn event(generation: u64, changed: Option<&BTreeSet<String>>) -> String {
    // Infallible: every field serializes. JSON escapes line breaks in names, so none ends the message.
    let data = serde_json::to_string(&Event { generation, changed }).unwrap_or_default();
    format!("data: {data}\n\n")
}
