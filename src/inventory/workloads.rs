//! The workloads, those to report again, and those whose reports change with time.

use super::intern::Symbol;
use super::memory::WorkloadMemory;
use super::slab::Slab;
use crate::time::UnixTime;
use hashbrown::HashMap;
use std::collections::BTreeSet;

/// Namespace, type and name, which identify a workload.
pub(super) type WorkloadName = (Symbol, Symbol, Symbol);

/// A workload: everything under one namespace, type and name.
#[derive(Debug)]
pub(super) struct WorkloadRecord {
    pub(super) namespace: Symbol,
    pub(super) workload_type: Symbol,
    pub(super) name: Symbol,
    /// The owners whose pods count here.
    pub(super) groups: Vec<u32>,
    /// The objects of that name; several only while one replaces another.
    pub(super) controllers: Vec<u32>,
    pub(super) memory: WorkloadMemory,
    dirty: bool,
    published: bool,
    changes_at: Option<UnixTime>,
}

impl WorkloadRecord {
    /// Whether its report is published.
    pub(super) fn is_published(&self) -> bool {
        self.published
    }

    /// Whether it has neither objects nor pods.
    pub(super) fn is_unused(&self) -> bool {
        self.groups.is_empty() && self.controllers.is_empty()
    }
}

/// All workloads, at stable positions.
#[derive(Default, Debug)]
pub(super) struct Workloads {
    records: Slab<WorkloadRecord>,
    by_name: HashMap<WorkloadName, u32>,
    /// Workloads that were not observed yet.
    fresh: Vec<u32>,
    /// Workloads whose observations are updated at the end of the event.
    update_queued: Vec<u32>,
    /// Workloads whose report may have changed, except those of the current round.
    dirty: Vec<u32>,
    /// Workloads that are still to be reported in this round. Workloads that change during a round belong to the next one, so that
    /// each round ends.
    round: Vec<u32>,
    /// When reports change without an event.
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

    /// The position of the workload with this name.
    pub(super) fn find(&self, name: WorkloadName) -> Option<u32> {
        self.by_name.get(&name).copied()
    }

    /// The same, and adds the workload if it is new. With `is_followed` a new workload awaits its first observation.
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

    /// Queues an update of a workload's observations at the end of the event.
    pub(super) fn queue_update(&mut self, at: u32) {
        self.touch(at);
        if self.records.get_mut(at).is_some_and(|record| record.memory.queue_update()) {
            self.update_queued.push(at);
        }
    }

    /// The same, after pods were changed in bulk.
    pub(super) fn queue_full_update(&mut self, at: u32) {
        if let Some(record) = self.records.get_mut(at) {
            record.memory.count_again();
        }
        self.queue_update(at);
    }

    /// The next workload to update: a queued one, or one that was not observed yet.
    pub(super) fn next_queued(&mut self) -> Option<u32> {
        self.update_queued.pop().or_else(|| self.fresh.pop())
    }

    /// Returns the workloads that were not observed yet. They count as observed from now on.
    pub(super) fn take_fresh(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.fresh)
    }

    /// Drops all observations.
    pub(super) fn forget_memories(&mut self) {
        self.update_queued.clear();
        self.fresh = self.records.iter().map(|(at, _)| at).collect();
        for (_, record) in self.records.iter_mut() {
            record.memory = WorkloadMemory::default();
        }
    }

    /// Marks the workloads whose reports change by `now` without an event.
    pub(super) fn touch_due(&mut self, now: UnixTime) {
        while let Some((at, workload)) = self.timers.first().copied().filter(|(at, _)| *at <= now) {
            self.timers.remove(&(at, workload));
            self.touch(workload);
        }
    }

    /// Number of workloads to report.
    pub(super) fn dirty(&self) -> usize {
        self.round.len() + self.dirty.len()
    }

    /// Takes the rest of the round, to be popped from its end. A new round begins if it is empty. With `key`, rounds are sorted.
    /// Without it, the round has all workloads that are to be reported.
    pub(super) fn take_round<K: Ord>(&mut self, key: Option<impl Fn(&WorkloadRecord) -> K>) -> Vec<u32> {
        match key {
            None => self.round.append(&mut self.dirty),
            Some(key) if self.round.is_empty() => {
                std::mem::swap(&mut self.round, &mut self.dirty);
                self.round.sort_by_cached_key(|at| self.records.get(*at).map(&key));
            }
            Some(_) => {}
        }
        std::mem::take(&mut self.round)
    }

    /// Returns the rest of the round.
    pub(super) fn put_back(&mut self, round: Vec<u32>) {
        self.round = round;
    }

    /// Marks a workload as reported or withdrawn; returns whether its last report is still published.
    pub(super) fn begin_report(&mut self, at: u32) -> bool {
        let Some(record) = self.records.get_mut(at) else { return false };
        record.dirty = false;
        if let Some(before) = record.changes_at.take() {
            self.timers.remove(&(before, at));
        }
        std::mem::replace(&mut record.published, false)
    }

    /// Records that a workload was reported, and when that report changes without an event.
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

    /// Withdraws every report; returns their workloads.
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

    /// Returns unused memory; a table keeps room to double.
    pub(super) fn shrink(&mut self) {
        self.by_name.shrink_to(2 * self.by_name.len());
        for list in [&mut self.dirty, &mut self.round, &mut self.fresh, &mut self.update_queued] {
            list.shrink_to(2 * list.len());
        }
    }

    pub(super) fn mark(&self, mark: &mut dyn FnMut(Symbol)) {
        for (_, record) in self.records.iter() {
            [record.namespace, record.workload_type, record.name].into_iter().for_each(&mut *mark);
        }
    }
}
