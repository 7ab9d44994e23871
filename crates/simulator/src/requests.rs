//! A record of clients' requests, for assertions in tests.

use crate::resource::Resource;
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many requests are kept; the counters continue beyond that.
const REMEMBERED: usize = 10_000;

/// The type of a request.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RequestKind {
    /// A list, or its first page.
    List,
    /// A further page of a list.
    NextPage,
    /// A watch.
    Watch,
    /// A watch that also asks for the initial events.
    StreamingList,
    /// One object by name.
    Get,
    /// Discovery and other requests.
    Other,
}

/// One request that reached the server, regardless of its result.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SeenRequest {
    /// Its resource, if any.
    pub resource: Option<Resource>,
    /// Its type.
    pub kind: RequestKind,
    /// The path as sent.
    pub path: String,
    /// The percent-decoded query.
    pub query: String,
}

#[derive(Debug, Default)]
pub(super) struct Requests {
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    latest: VecDeque<SeenRequest>,
    counts: HashMap<(Option<Resource>, RequestKind), usize>,
}

impl Requests {
    pub(super) fn record(&self, request: SeenRequest) {
        let mut seen = self.seen();
        *seen.counts.entry((request.resource, request.kind)).or_default() += 1;
        seen.latest.push_back(request);
        if seen.latest.len() > REMEMBERED {
            seen.latest.pop_front();
        }
    }

    pub(super) fn count(&self, resource: Resource, kind: RequestKind) -> usize {
        self.seen().counts.get(&(Some(resource), kind)).copied().unwrap_or(0)
    }

    pub(super) fn latest(&self) -> Vec<SeenRequest> {
        self.seen().latest.iter().cloned().collect()
    }

    pub(super) fn forget(&self) {
        *self.seen() = Seen::default();
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The type of a request, from its raw query, so that invalid requests are classified too.
pub(super) fn kind_of(resource: Option<Resource>, named: bool, query: &str) -> RequestKind {
    let has = |text: &str| query.split('&').any(|pair| pair.starts_with(text));
    match resource {
        None => RequestKind::Other,
        Some(_) if named => RequestKind::Get,
        Some(_) if has("watch=true") && has("sendInitialEvents=true") => RequestKind::StreamingList,
        Some(_) if has("watch=true") || has("watch=1") => RequestKind::Watch,
        Some(_) if has("continue=") && !query.contains("continue=&") => RequestKind::NextPage,
        Some(_) => RequestKind::List,
    }
}
