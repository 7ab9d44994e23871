//! The workloads: which there are, which have to be reported again, and which change by the passing of time alone.

use super::intern::Symbol;
use super::memory::WorkloadMemory;
use super::slab::Slab;
use crate::time::UnixTime;
use hashbrown::HashMap;
use std::collections::BTreeSet;

/// Namespace, type and name: no two workloads have the same.
pub(super) type WorkloadName = (Symbol, Symbol, Symbol);

/// A workload: what goes by one namespace, type and name.
#[derive(Debug)]
pub(super) struct WorkloadRecord {
    pub(super) namespace: Symbol,
    pub(super) workload_type: Symbol,
    pub(super) name: Symbol,
    /// The owners whose pods count here.
    pub(super) groups: Vec<u32>,
    /// The objects of that name; more than one only while one replaces another.
    pub(super) controllers: Vec<u32>,
    pub(super) memory: WorkloadMemory,
    dirty: bool,
    published: bool,
    changes_at: Option<UnixTime>,
}

impl WorkloadRecord {
    /// Whether a report of it stands.
    pub(super) fn is_published(&self) -> bool {
        self.published
    }

    /// Whether no object and no pod belongs to it.
    pub(super) fn is_unused(&self) -> bool {
        self.groups.is_empty() && self.controllers.is_empty()
    }
}

/// All workloads, each at a position that stays while it is there.
#[derive(Default, Debug)]
pub(super) struct Workloads {
    records: Slab<WorkloadRecord>,
    by_name: HashMap<WorkloadName, u32>,
    /// Workloads that were not observed yet.
    fresh: Vec<u32>,
    /// Workloads whose memory has to follow the event that is under way.
    update_queued: Vec<u32>,
    /// Workloads whose report may differ from the last one.
    dirty: Vec<u32>,
    /// Length of the sorted prefix of `dirty`.
    sorted: usize,
    /// When reports differ although nothing happens.
    timers: BTreeSet<(UnixTime, u32)>,
}

impl Workloads {
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    pub(super) fn get(&self, at: u32) -> Option<&WorkloadRecord> {
        self.records.get(at)
    }

    pub(super) fn get_mut(&mut self, at: u32) -> Option<&mut WorkloadRecord> {
        self.records.get_mut(at)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &WorkloadRecord)> {
        self.records.iter()
    }

    /// The position of the workload of this name.
    pub(super) fn find(&self, name: WorkloadName) -> Option<u32> {
        self.by_name.get(&name).copied()
    }

    /// The same; it is made where there is none. One that is made is `fresh` where its memory has to follow events.
    pub(super) fn find_or_insert(&mut self, name: WorkloadName, is_followed: bool) -> u32 {
        if let Some(at) = self.find(name) {
            return at;
        }
        let (namespace, workload_type, own_name) = name;
        let at = self.records.insert(WorkloadRecord {
            namespace,
            workload_type,
            name: own_name,
            groups: Vec::new(),
            controllers: Vec::new(),
            memory: WorkloadMemory::default(),
            dirty: false,
            published: false,
            changes_at: None,
        });
        self.by_name.insert(name, at);
        if is_followed {
            self.fresh.push(at);
        }
        at
    }

    /// Marks a workload to be reported again.
    pub(super) fn touch(&mut self, at: u32) {
        if let Some(record) = self.records.get_mut(at)
            && !record.dirty
        {
            record.dirty = true;
            self.dirty.push(at);
        }
    }

    /// Marks a workload whose memory has to follow the event that is under way.
    pub(super) fn queue_update(&mut self, at: u32) {
        self.touch(at);
        if self.records.get_mut(at).is_some_and(|record| record.memory.queue_update()) {
            self.update_queued.push(at);
        }
    }

    /// The same where pods may have come or gone in other ways than one by one.
    pub(super) fn queue_full_update(&mut self, at: u32) {
        if let Some(record) = self.records.get_mut(at) {
            record.memory.count_again();
        }
        self.queue_update(at);
    }

    /// The next workload whose memory has to follow.
    pub(super) fn next_stirred(&mut self) -> Option<u32> {
        self.update_queued.pop().or_else(|| self.fresh.pop())
    }

    /// The workloads that were not observed yet; they count as observed from here on.
    pub(super) fn take_fresh(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.fresh)
    }

    /// Forgets everything that was observed.
    pub(super) fn forget_memories(&mut self) {
        self.update_queued.clear();
        self.fresh = self.records.iter().map(|(at, _)| at).collect();
        for (_, record) in self.records.iter_mut() {
            record.memory = WorkloadMemory::default();
        }
    }

    /// Marks the workloads whose reports differ by `now` although nothing happened.
    pub(super) fn touch_due(&mut self, now: UnixTime) {
        while let Some((at, workload)) = self.timers.first().copied().filter(|(at, _)| *at <= now) {
            self.timers.remove(&(at, workload));
            self.touch(workload);
        }
    }

    /// Takes the workloads that have to be reported again, to be popped from its end. With `key`, those that came since are sorted in
    /// among the others.
    pub(super) fn take_dirty<K: Ord>(&mut self, key: Option<impl Fn(&WorkloadRecord) -> K>) -> Vec<u32> {
        let mut dirty = std::mem::take(&mut self.dirty);
        if let Some(key) = key.filter(|_| dirty.len() > self.sorted) {
            dirty.sort_by_cached_key(|at| self.records.get(*at).map(&key));
        }
        dirty
    }

    /// Gives back what is left of them; nothing was touched in the meantime.
    pub(super) fn put_back(&mut self, dirty: Vec<u32>) {
        self.sorted = dirty.len();
        self.dirty = dirty;
    }

    /// Says that a workload is reported now, or taken back; returns whether the last report of it still stands.
    pub(super) fn begin_report(&mut self, at: u32) -> bool {
        let Some(record) = self.records.get_mut(at) else { return false };
        record.dirty = false;
        if let Some(before) = record.changes_at.take() {
            self.timers.remove(&(before, at));
        }
        std::mem::replace(&mut record.published, false)
    }

    /// Keeps that a workload was reported, and when that report differs although nothing happens.
    pub(super) fn end_report(&mut self, at: u32, changes_at: Option<UnixTime>, memory: Option<WorkloadMemory>) {
        if let Some(record) = self.records.get_mut(at) {
            record.published = true;
            record.changes_at = changes_at;
            if let Some(memory) = memory {
                record.memory = memory;
            }
        }
        if let Some(when) = changes_at {
            self.timers.insert((when, at));
        }
    }

    /// Takes back every report; returns whose they were.
    pub(super) fn withdraw_reports(&mut self) -> Vec<u32> {
        let published: Vec<u32> =
            self.records.iter().filter(|(_, record)| record.published).map(|(at, _)| at).collect();
        for at in &published {
            self.touch(*at);
            if let Some(record) = self.records.get_mut(*at) {
                record.published = false;
            }
        }
        published
    }

    pub(super) fn remove(&mut self, at: u32) {
        if let Some(record) = self.records.get(at) {
            self.by_name.remove(&(record.namespace, record.workload_type, record.name));
            self.records.remove(at);
        }
    }

    /// Gives back memory; a table keeps room for as much again.
    pub(super) fn shrink(&mut self) {
        self.by_name.shrink_to(2 * self.by_name.len());
        for list in [&mut self.dirty, &mut self.fresh, &mut self.update_queued] {
            list.shrink_to(2 * list.len());
        }
    }

    pub(super) fn mark(&self, mark: &mut dyn FnMut(Symbol)) {
        for (_, record) in self.records.iter() {
            [record.namespace, record.workload_type, record.name].into_iter().for_each(&mut *mark);
        }
    }
}
