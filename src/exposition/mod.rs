//! The exposition: renders families into compressed fragments, and response bodies from them.
//!
//! It knows reports and the formats of Prometheus, but not Kubernetes.
//!
//! ```text
//!  reports ──publish──▶ buckets ──▶ fragments ──▶ segments ──▶ picture ──answer──▶ one gzip member, or the same text inflated
//! ```

#![allow(clippy::doc_markdown, reason = "OpenMetrics is the name of a format, not of an item")]

mod answer;
mod bucket;
pub mod docs;
mod families;
mod family;
mod fragment;
mod health;
mod negotiate;
mod picture;
mod publish;
mod registry_families;
mod rollout_families;
mod segments;
mod selection;
mod text;
mod work_queue;

pub use answer::ResponseBody;
pub use families::FAMILIES;
pub use family::Family;
pub use negotiate::negotiate;
pub use picture::Picture;
pub use publish::{Exposition, PublishBatch};
pub use selection::Selection;

/// Text formats that a scraper can request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// Prometheus text 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

/// Content encoding of a response.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoding {
    /// One gzip member.
    Gzip,
    /// No compression.
    Identity,
}

impl Format {
    /// The `Content-Type` header.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}
