//! What the API server answers, read.

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
        /// The version a later watch may start from.
        resource_version: String,
        /// Whether it closes the initial events of a streaming list (`k8s.io/initial-events-end`).
        initial_events_end: bool,
    },
    /// ERROR.
    Error(ApiStatus),
}

/// What the API server says went wrong (`kind: Status`).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ApiStatus {
    /// The HTTP status.
    pub code: u16,
    /// A reason in one word: `Expired`, `Forbidden`, …
    pub reason: String,
    /// A sentence for a person.
    pub message: String,
    /// `details.retryAfterSeconds`, where the server gives one.
    pub retry_after_seconds: Option<u32>,
}

/// The `metadata` of a list.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ListMeta {
    /// The version a watch may start from.
    pub resource_version: String,
    /// The token of the next page; empty on the last.
    pub continue_token: String,
}
