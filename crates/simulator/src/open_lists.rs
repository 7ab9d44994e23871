//! Lists whose next page may still be requested.

use super::store::Snapshot;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Maximum number per resource.
const MOST: usize = 8;

/// How long a list can be continued, as with etcd's compaction. Its objects stay in memory that long.
const EXPIRES: Duration = Duration::from_secs(300);

/// The lists of one resource, oldest first.
#[derive(Debug, Default)]
pub(super) struct OpenLists {
    lists: VecDeque<(Instant, Arc<Snapshot>)>,
}

impl OpenLists {
    /// Remembers a list.
    pub(super) fn keep(&mut self, list: &Arc<Snapshot>, now: Instant) {
        if self.all().any(|known| known.version == list.version) {
            return;
        }
        self.lists.push_back((now, list.clone()));
        if self.lists.len() > MOST {
            self.lists.pop_front();
        }
    }

    /// Drops lists that began too long ago.
    pub(super) fn expire(&mut self, now: Instant) {
        while self.lists.front().is_some_and(|(begun, _)| now.duration_since(*begun) > EXPIRES) {
            self.lists.pop_front();
        }
    }

    pub(super) fn clear(&mut self) {
        self.lists.clear();
    }

    /// The list that began at a version.
    pub(super) fn at(&self, version: u64) -> Option<Arc<Snapshot>> {
        self.all().find(|list| list.version == version).cloned()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Snapshot>> {
        self.lists.iter().map(|(_, list)| list)
    }
}

#[cfg(test)]
mod tests {
    use super::{EXPIRES, MOST, OpenLists, Snapshot};
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    #[test]
    fn lists_are_forgotten_when_they_are_old_or_many() {
        let list = |version| Arc::new(Snapshot { version, objects: Vec::new() });
        let (mut open, begun) = (OpenLists::default(), Instant::now());
        let most = MOST as u64;
        for version in 0..=most {
            open.keep(&list(version), begun + Duration::from_secs(version));
        }
        assert!(open.at(0).is_none() && open.at(1).is_some());
        open.expire(begun + EXPIRES + Duration::from_secs(3));
        assert!(open.at(2).is_none() && open.at(3).is_some());
        assert_eq!(open.all().count(), MOST - 2);
    }
}
