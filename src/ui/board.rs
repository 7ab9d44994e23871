//! The list of workloads with findings, updated from reports. Uniform workloads take no memory.

use super::exposure::Exposure;
use crate::advice::{Finding, remedy};
use crate::commands::audit::{Strictness, fails, has_unknown_start, what};
use crate::report::{HashReport, Name, Workload, WorkloadReport};
use crate::sync::lock;
use crate::time::UnixTime;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

/// A workload with findings, as listed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BoardEntry {
    /// The workload.
    pub workload: Workload,
    /// Its findings, worst first. A tag that may move comes last. It is not a difference if it is the only finding.
    pub findings: Box<[Finding]>,
    /// The worst finding as a sentence without its full stop; empty for a uniform workload.
    pub what: Box<str>,
    /// The remedy: a command, or text.
    pub next: Box<str>,
    /// Start of the worst finding, if known.
    pub since: Option<UnixTime>,
    /// Whether the start is unknown.
    pub unknown_start: bool,
    /// Its pods, grouped.
    pub groups: Box<[BoardGroup]>,
}

/// Pods with the same template hash or digest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BoardGroup {
    /// The template hash, or the digest if pods of one hash run several.
    pub name: Name,
    /// Whether it is the current hash; `None` if unknown.
    pub current: Option<bool>,
    /// Active pods.
    pub pods: u32,
}

impl BoardEntry {
    /// The entry for a report.
    #[must_use]
    pub fn of(report: &WorkloadReport) -> Self {
        let findings = Finding::all(report);
        let worst = findings.first().copied().filter(|finding| *finding != Finding::LatestTag);
        let next = worst.map(|finding| remedy(report, finding).action.line()).unwrap_or_default();
        Self {
            workload: report.workload.clone(),
            what: worst.map(|finding| what(report, finding)).unwrap_or_default().into(),
            next: next.into(),
            since: worst.and_then(|finding| finding.since(report)),
            unknown_start: worst.is_some_and(|finding| has_unknown_start(report, finding)),
            groups: groups(report, worst),
            findings: findings.into(),
        }
    }

    /// The worst finding, apart from a tag that may move.
    #[must_use]
    pub fn worst(&self) -> Option<Finding> {
        self.findings.first().copied().filter(|finding| *finding != Finding::LatestTag)
    }

    /// Whether an audit would fail on it.
    #[must_use]
    pub fn fails(&self) -> bool {
        self.findings.iter().any(|finding| fails(*finding, Strictness::default()))
    }

    /// Its active pods.
    #[must_use]
    pub fn pods(&self) -> u32 {
        self.groups.iter().map(|group| group.pods).sum()
    }

    /// Sort key in the order of an audit: worst first, then oldest, then by name.
    #[must_use]
    pub fn rank(&self) -> (u8, u32) {
        let worst = self.findings.first().map_or(u8::MAX, |finding| *finding as u8);
        (worst, self.since.unwrap_or(UnixTime::LAST).seconds())
    }
}

/// Pods by template hash, or by digest if digests differ.
fn groups(report: &WorkloadReport, worst: Option<Finding>) -> Box<[BoardGroup]> {
    let differs = matches!(worst, Some(Finding::DigestSkew | Finding::InjectedSkew | Finding::UnknownSkew));
    if differs && report.distinct_hashes <= 1 {
        let skewed = report.containers.iter().flat_map(|container| &container.by_hash);
        if let Some(of_hash) =
            skewed.filter(|of_hash| of_hash.distinct_digests > 1).min_by_key(|of_hash| of_hash.origin)
        {
            let mut groups: Vec<BoardGroup> = Vec::new();
            for digest in &of_hash.digests {
                match groups.iter_mut().find(|group| group.name == digest.digest) {
                    Some(group) => group.pods += digest.pods,
                    None => groups.push(BoardGroup {
                        name: digest.digest.clone(),
                        current: of_hash.newest_digest.as_ref().map(|newest| *newest == digest.digest),
                        pods: digest.pods,
                    }),
                }
            }
            return groups.into();
        }
    }
    let of_hash = |hash: &HashReport| BoardGroup { name: hash.hash.clone(), current: hash.current, pods: hash.pods };
    report.hashes.iter().filter(|hash| hash.pods > 0).map(of_hash).collect()
}

/// The list, with its last changes.
pub struct Board {
    exposure: Exposure,
    state: Mutex<BoardState>,
}

#[derive(Default)]
struct BoardState {
    found: BTreeMap<Workload, Arc<BoardEntry>>,
    /// Uniform workloads with an image by `latest`.
    on_latest: BTreeSet<Workload>,
    generation: u64,
    published: Option<UnixTime>,
}

/// The list at one moment.
#[derive(Clone, Debug, Default)]
pub struct BoardList {
    /// Workloads with findings, by name.
    pub found: Vec<Arc<BoardEntry>>,
    /// Uniform workloads with an image by `latest`, by name.
    pub on_latest: Vec<Workload>,
}

impl Board {
    /// An empty list, which keeps only details that `exposure` permits.
    #[must_use]
    pub fn new(exposure: Exposure) -> Self {
        Self { exposure, state: Mutex::default() }
    }

    /// The details that may be shown.
    #[must_use]
    pub fn exposure(&self) -> Exposure {
        self.exposure
    }

    /// Applies new reports and removals. A workload in both was recreated.
    pub fn take(&self, reports: &[WorkloadReport], gone: &[Workload]) {
        if reports.is_empty() && gone.is_empty() {
            return;
        }
        let news: Vec<(&WorkloadReport, Option<BoardEntry>)> =
            reports.iter().map(|report| (report, self.entry(report))).collect();
        let mut state = self.lock();
        for workload in gone {
            state.found.remove(workload);
            state.on_latest.remove(workload);
        }
        for (report, entry) in news {
            match entry {
                Some(entry) if entry.worst().is_some() => {
                    state.on_latest.remove(&report.workload);
                    if state.found.get(&report.workload).is_none_or(|known| **known != entry) {
                        state.found.insert(entry.workload.clone(), Arc::new(entry));
                    }
                }
                Some(entry) => {
                    state.found.remove(&report.workload);
                    state.on_latest.insert(entry.workload);
                }
                None => {
                    state.found.remove(&report.workload);
                    state.on_latest.remove(&report.workload);
                }
            }
        }
    }

    /// `None` for a workload without findings.
    fn entry(&self, report: &WorkloadReport) -> Option<BoardEntry> {
        if Finding::all(report).is_empty() {
            return None;
        }
        Some(match self.exposure.withheld(report) {
            Some(report) => BoardEntry::of(&report),
            None => BoardEntry::of(report),
        })
    }

    /// Publishes the applied changes; returns the generation.
    pub fn publish(&self, now: UnixTime) -> u64 {
        let mut state = self.lock();
        state.generation += 1;
        state.published = Some(now);
        state.generation
    }

    /// Empties the list, because the state is incomplete.
    pub fn withdraw(&self) {
        let mut state = self.lock();
        let generation = state.generation + 1;
        *state = BoardState { generation, ..BoardState::default() };
    }

    /// Generation and time of the last publication; `None` while the state is incomplete.
    #[must_use]
    pub fn published(&self) -> (u64, Option<UnixTime>) {
        let state = self.lock();
        (state.generation, state.published)
    }

    /// The current list.
    #[must_use]
    pub fn listed(&self) -> BoardList {
        let state = self.lock();
        BoardList {
            found: state.found.values().cloned().collect(),
            on_latest: state.on_latest.iter().cloned().collect(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BoardState> {
        lock(&self.state)
    }
}
