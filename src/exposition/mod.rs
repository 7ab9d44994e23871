//! The exposition: families rendered by hand into compressed fragments, and answers stitched from them.
//!
//! It knows reports and how Prometheus reads; it does not know Kubernetes.
//!
//! ```text
//!  reports ──publish──▶ buckets ──▶ fragments ──▶ runs ──▶ picture ──answer──▶ one gzip member, or the same text inflated
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

impl Format {
    /// The value of the header `Content-Type`.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}
