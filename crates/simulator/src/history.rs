//! The bounded history of one resource, from which watches are served.

use super::encoded::{Selection, Stored};
use std::collections::VecDeque;
use std::sync::Arc;

/// Limit for changes that an open watch has not been sent, in bytes of JSON, if the history is bounded in bytes.
const UNSENT_BYTES: usize = 64 << 20;

/// One change of one object.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) version: u64,
    pub(super) deleted: bool,
    pub(super) object: Arc<Stored>,
    pub(super) previous: Option<Arc<Stored>>,
}

impl Change {
    fn bytes(&self) -> usize {
        self.object.encoded.text().0.len()
    }

    /// The event for a watch with this selection, if any. An object that leaves the selection is DELETED in its previous
    /// state, and one that enters it is ADDED.
    pub(super) fn as_seen_by(&self, selection: &Selection) -> Option<(&'static str, &Stored)> {
        let holds = |object: &Arc<Stored>| selection.holds(&object.encoded);
        let was_in = self.previous.as_ref().is_some_and(holds);
        let is_in = !self.deleted && holds(&self.object);
        match (was_in, is_in, &self.previous) {
            (true, true, _) => Some(("MODIFIED", &self.object)),
            (false, true, _) => Some(("ADDED", &self.object)),
            (true, false, _) if self.deleted => Some(("DELETED", &self.object)),
            (true, false, Some(previous)) => Some(("DELETED", previous)),
            _ => None,
        }
    }
}

/// Changes of a resource after a version.
pub(super) enum Since {
    /// The history does not reach back that far.
    Expired,
    /// The changes, oldest first; `version` is the position of a watch after all of them.
    Changes { changes: Vec<Arc<Change>>, version: u64 },
}

/// The latest changes, oldest first.
#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) changes: VecDeque<Arc<Change>>,
    /// Size of the changes in bytes of JSON.
    pub(super) bytes: usize,
    /// Newest version whose change was dropped: a watch from before it has missed something.
    pub(super) forgotten: u64,
}

impl History {
    /// An empty history that starts after a version.
    pub(super) fn since_version(version: u64) -> Self {
        Self { forgotten: version, ..Self::default() }
    }

    pub(super) fn push(&mut self, change: Change) {
        self.bytes += change.bytes();
        self.changes.push_back(Arc::new(change));
    }

    /// Drops the oldest changes beyond `count` changes or `bytes` bytes of JSON. Changes that the slowest open watch has not
    /// been sent are dropped beyond [`UNSENT_BYTES`].
    pub(super) fn trim(&mut self, count: usize, bytes: usize, slowest: impl Fn() -> Option<u64>) {
        while let Some(oldest) = self.changes.front() {
            let is_unsent = || slowest().is_some_and(|seen| seen < oldest.version);
            let is_full = self.changes.len() > count
                || self.bytes > bytes.max(UNSENT_BYTES)
                || self.bytes > bytes && !is_unsent();
            if !is_full {
                break;
            }
            self.bytes -= oldest.bytes();
            self.forgotten = self.forgotten.max(oldest.version);
            self.changes.pop_front();
        }
    }

    /// At most `limit` changes after a version; `newest` is the version of the whole cluster.
    pub(super) fn since(&self, version: u64, limit: usize, newest: u64) -> Since {
        if version < self.forgotten {
            return Since::Expired;
        }
        let first = self.changes.partition_point(|change| change.version <= version);
        let changes: Vec<_> = self.changes.iter().skip(first).take(limit).cloned().collect();
        let version = match changes.last() {
            Some(last) if changes.len() == limit => last.version,
            _ => newest,
        };
        Since::Changes { changes, version }
    }

    /// Number of changes after a version, as far as the history reaches.
    pub(super) fn count_since(&self, version: u64) -> usize {
        self.changes.len() - self.changes.partition_point(|change| change.version <= version)
    }

    /// Every object in the history, before and after each change.
    pub(super) fn objects(&self) -> impl Iterator<Item = &Arc<Stored>> {
        self.changes.iter().flat_map(|change| std::iter::once(&change.object).chain(&change.previous))
    }
}
