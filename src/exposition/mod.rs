//! The exposition: families rendered by hand into compressed fragments, and answers stitched from them.
//!
//! It knows reports and how Prometheus reads; it does not know Kubernetes.

use crate::report::{Name, Workload, WorkloadReport};
use crate::time::UnixTime;
use bytes::Bytes;
use std::sync::Arc;

/// The text formats a scraper can ask for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// Prometheus text 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

/// How the answer is encoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoding {
    /// One gzip member.
    Gzip,
    /// As it is.
    Identity,
}

/// Renders reports; the latest picture can be taken from it at any time, by any number of scrapes.
pub struct Exposition {}

/// One consistent picture of the cluster, already compressed. It never changes.
pub struct Picture {}

/// An answer: what to send, frame by frame, without a copy of the picture.
pub struct Answer {
    /// The total length, where it is known beforehand (gzip).
    pub content_length: Option<u64>,
}

impl Iterator for Answer {
    type Item = Bytes;
    fn next(&mut self) -> Option<Bytes> {
        todo!()
    }
}

impl Exposition {
    /// Takes over what changed, renders what it touches and publishes the new picture.
    pub fn publish(&self, reports: Vec<WorkloadReport>, gone: &[Workload], awaiting_owner: &[(Name, u32)]) {
        let _ = (reports, gone, awaiting_owner);
        todo!()
    }

    /// The latest picture; without any workload series until something was published.
    #[must_use]
    pub fn picture(&self) -> Arc<Picture> {
        todo!()
    }
}

impl Picture {
    /// The answer to one scrape. `own_health` is what the `prometheus` crate gathered.
    #[must_use]
    pub fn answer(
        self: &Arc<Self>,
        own_health: &[prometheus::proto::MetricFamily],
        format: Format,
        encoding: Encoding,
        now: UnixTime,
    ) -> Answer {
        let _ = (own_health, format, encoding, now);
        todo!()
    }
}

/// Chooses format and encoding by the request's `Accept` and `Accept-Encoding` (several lines joined by commas).
#[must_use]
pub fn negotiate(accept: Option<&str>, accept_encoding: Option<&str>) -> (Format, Encoding) {
    let _ = (accept, accept_encoding);
    todo!()
}
