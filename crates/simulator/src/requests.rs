//! What clients have asked for, so that tests can say how a client behaved.

use crate::resource::Resource;
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many requests are remembered word for word; the counters go on.
const REMEMBERED: usize = 10_000;

/// What sort of request it was.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RequestKind {
    /// A list, or its first page.
    List,
    /// A further page of a list.
    NextPage,
    /// A watch.
    Watch,
    /// A watch that asks for the initial events too.
    StreamingList,
    /// One object by its name.
    Get,
    /// Discovery and the rest.
    Other,
}

/// One request that reached the server, whatever became of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SeenRequest {
    /// The resource it was about, if any.
    pub resource: Option<Resource>,
    /// What sort of request it was.
    pub kind: RequestKind,
    /// The path as sent.
    pub path: String,
    /// The query with its escapes undone.
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

/// The sort of a request, read from its raw query, so that refused requests are told apart too.
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
