//! Decoded responses of the API server.

use super::Object;

/// One event of a watch.
#[derive(Debug)]
pub enum WatchEvent<'a> {
    /// ADDED or MODIFIED.
    Applied(Object<'a>),
    /// DELETED.
    Deleted(Object<'a>),
    /// BOOKMARK.
    Bookmark {
        /// The resource version from which a watch may resume.
        resource_version: String,
        /// Whether it ends the initial events of a streaming list (`k8s.io/initial-events-end`).
        initial_events_end: bool,
    },
    /// ERROR.
    Error(ApiStatus),
}

/// An error of the API server (`kind: Status`).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ApiStatus {
    /// The HTTP status.
    pub code: u16,
    /// The reason: `Expired`, `Forbidden`, …
    pub reason: String,
    /// The message.
    pub message: String,
    /// `details.retryAfterSeconds`, if present.
    pub retry_after_seconds: Option<u32>,
}

/// The `metadata` of a list.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ListMeta {
    /// The resource version from which a watch may start.
    pub resource_version: String,
    /// The token of the next page; empty on the last.
    pub continue_token: String,
}
