//! The list of what is not uniform, kept as reports pass by: it takes memory for problems, and none for uniform workloads.

use super::exposure::Exposure;
use crate::advice::{Finding, remedy};
use crate::commands::audit::{Strictness, fails, has_unknown_start, what};
use crate::report::{HashReport, Name, Workload, WorkloadReport};
use crate::sync::lock;
use crate::time::UnixTime;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

/// A workload in which something was found, as a list shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BoardEntry {
    /// Whose it is.
    pub workload: Workload,
    /// What was found, worst first. A tag that may move is the last of it, and alone it is no difference.
    pub findings: Box<[Finding]>,
    /// The worst finding in a sentence, without its end; empty for a uniform workload.
    pub what: Box<str>,
    /// What to do about it: a command, or words.
    pub next: Box<str>,
    /// Since when, where that can be told.
    pub since: Option<UnixTime>,
    /// Whether it began at some time, and nothing tells when.
    pub unknown_start: bool,
    /// Its pods by what tells them apart.
    pub groups: Box<[BoardGroup]>,
}

/// Pods that have one thing in common.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BoardGroup {
    /// What: a template hash, or a digest where pods of one hash run several.
    pub name: Name,
    /// Whether it is the current one; unknown where that cannot be told.
    pub current: Option<bool>,
    /// Active pods.
    pub pods: u32,
}

impl BoardEntry {
    /// The entry of a report.
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

    /// The worst finding; a tag that may move is none.
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

    /// Worst first, then what has lasted longest, then by name: the order of an audit.
    #[must_use]
    pub fn rank(&self) -> (u8, u32) {
        let worst = self.findings.first().map_or(u8::MAX, |finding| *finding as u8);
        (worst, self.since.unwrap_or(UnixTime::LAST).seconds())
    }
}

/// Pods by template hash; by digest, where it is digests that differ.
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

/// The list, and what of it changed last.
pub struct Board {
    exposure: Exposure,
    state: Mutex<BoardState>,
}

#[derive(Default)]
struct BoardState {
    found: BTreeMap<Workload, Arc<BoardEntry>>,
    /// Workloads that are uniform and ask for an image by `latest`.
    on_latest: BTreeSet<Workload>,
    generation: u64,
    published: Option<UnixTime>,
}

/// The list at one moment.
#[derive(Clone, Debug, Default)]
pub struct BoardList {
    /// Everything that was found, by name.
    pub found: Vec<Arc<BoardEntry>>,
    /// Workloads that are uniform and ask for an image by `latest`; by name.
    pub on_latest: Vec<Workload>,
}

impl Board {
    /// An empty list, of which `exposure` says what may stand in it.
    #[must_use]
    pub fn new(exposure: Exposure) -> Self {
        Self { exposure, state: Mutex::default() }
    }

    /// What may be shown.
    #[must_use]
    pub fn exposure(&self) -> Exposure {
        self.exposure
    }

    /// Takes over what is new of some workloads, and which are gone. One that is both was made again.
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

    /// `None` of a workload in which nothing was found.
    fn entry(&self, report: &WorkloadReport) -> Option<BoardEntry> {
        if Finding::all(report).is_empty() {
            return None;
        }
        Some(match self.exposure.withheld(report) {
            Some(report) => BoardEntry::of(&report),
            None => BoardEntry::of(report),
        })
    }

    /// What was taken over is published now.
    pub fn publish(&self, now: UnixTime) -> u64 {
        let mut state = self.lock();
        state.generation += 1;
        state.published = Some(now);
        state.generation
    }

    /// The picture is not complete any more: nothing is listed until the next one.
    pub fn withdraw(&self) {
        let mut state = self.lock();
        let generation = state.generation + 1;
        *state = BoardState { generation, ..BoardState::default() };
    }

    /// How often something was published, and when last; `None` while there is no complete picture.
    #[must_use]
    pub fn published(&self) -> (u64, Option<UnixTime>) {
        let state = self.lock();
        (state.generation, state.published)
    }

    /// The list as it is now.
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
