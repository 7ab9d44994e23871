//! Data of the pages, and the rows that a query selects.

use super::board::{BoardEntry, BoardList};
use super::exposure::Exposure;
use super::query::{Query, SortKey, StateFilter};
use crate::advice::Finding;
use crate::report::history::History;
use crate::report::{Workload, WorkloadReport};
use crate::time::UnixTime;
use std::collections::HashSet;
use std::sync::Arc;

/// The cluster and podskew's own state.
pub trait Cluster {
    /// Workloads with findings.
    fn listed(&self) -> BoardList;

    /// Generation and time of the last publication; `None` before the first.
    fn published(&self) -> (u64, Option<UnixTime>);

    /// Number of workloads.
    fn workload_count(&self) -> usize;

    /// Every workload, sorted by name.
    fn workloads(&self) -> Vec<Arc<Workload>>;

    /// A workload's report and history as of now; `None` if no workload has this name.
    fn explained(&self, workload: &Workload) -> Option<(WorkloadReport, History)>;

    /// Workloads with active pods of an image reference, by name.
    fn running(&self, image: &str) -> Vec<Workload>;

    /// podskew's own state.
    fn own_state(&self) -> OwnState;
}

/// podskew's own state.
#[derive(Clone, Default, Debug)]
pub struct OwnState {
    /// What the initial sync still waits for, one line each.
    pub waiting_for: Vec<String>,
    /// The namespaces to watch; empty for all.
    pub namespaces: Vec<String>,
    /// Excluded namespaces.
    pub excluded_namespaces: Vec<String>,
    /// Each watched resource.
    pub resources: Vec<WatchedResource>,
    /// Number of pods held.
    pub pods: u64,
    /// Whether registries are asked.
    pub asks_registries: bool,
}

/// A watched resource.
#[derive(Clone, Copy, Debug)]
pub struct WatchedResource {
    /// Its plural name in the API.
    pub resource: &'static str,
    /// Whether its objects are complete and its watch is alive.
    pub synced: bool,
    /// When the API server last sent something about it.
    pub last_activity: Option<UnixTime>,
}

/// Seconds without a byte after which a watch is stale: the threshold of the alert `PodskewStale`.
const STALE: u32 = 600;

impl WatchedResource {
    /// Whether its objects may be outdated.
    #[must_use]
    pub fn is_stale(&self, now: UnixTime) -> bool {
        !self.synced || self.last_activity.is_some_and(|last| now.since(last) > STALE)
    }
}

/// Selected rows.
#[derive(Default)]
pub(super) struct Rows {
    pub shown: Vec<Arc<BoardEntry>>,
    /// Number of rows on all pages.
    pub all: usize,
    /// Position of the next page.
    pub next: Option<SortKey>,
}

/// A workload's report as of now, without hidden details.
pub(super) fn explained(
    cluster: &dyn Cluster,
    workload: &Workload,
    exposure: Exposure,
) -> Option<(WorkloadReport, History)> {
    let (mut report, mut history) = cluster.explained(workload)?;
    exposure.withhold(&mut report);
    exposure.withhold_of_history(&mut history);
    Some((report, history))
}

/// Selects the rows of a page.
pub(super) fn select(
    query: &Query,
    listed: &BoardList,
    cluster: &dyn Cluster,
    exposure: Exposure,
    now: UnixTime,
) -> Rows {
    let is_asked = |entry: &&Arc<BoardEntry>| query.names(&entry.workload) && query.state.holds(entry, now);
    let mut entries: Vec<Arc<BoardEntry>> = listed.found.iter().filter(is_asked).cloned().collect();
    entries.extend(without_difference(query, listed, cluster));
    let all = entries.len();
    entries.retain(|entry| query.is_after(entry));
    entries.sort_by(|a, b| query.compare(a, b));
    let skipped = if query.after.is_none() { (query.page - 1).saturating_mul(query.limit) } else { 0 };
    let mut rest = entries.into_iter().skip(skipped);
    let rows: Vec<Arc<BoardEntry>> = rest.by_ref().take(query.limit).collect();
    let next = rest.next().and_then(|_| rows.last().map(|last| SortKey::of(last, query.sort)));
    Rows { shown: rows.into_iter().map(|row| filled(row, cluster, exposure)).collect(), all, next }
}

/// Entries of uniform workloads, without their pods, which are added only for the rows of one page.
fn without_difference(query: &Query, listed: &BoardList, cluster: &dyn Cluster) -> Vec<Arc<BoardEntry>> {
    let entry = |workload: &Workload, findings: &[Finding]| {
        Arc::new(BoardEntry {
            workload: workload.clone(),
            findings: findings.into(),
            what: Box::default(),
            next: Box::default(),
            since: None,
            unknown_start: false,
            groups: Box::default(),
        })
    };
    let on_latest = listed.on_latest.iter().filter(|workload| query.names(workload));
    if query.state == StateFilter::Latest {
        return on_latest.map(|workload| entry(workload, &[Finding::LatestTag])).collect();
    }
    if !query.state.lists_uniform() {
        return Vec::new();
    }
    let found: HashSet<&Workload> = listed.found.iter().map(|entry| &entry.workload).collect();
    let on_latest: HashSet<&Workload> = on_latest.collect();
    let workloads = cluster.workloads();
    let uniform = workloads.iter().filter(|workload| query.names(workload) && !found.contains(&***workload));
    let findings = |workload: &Workload| if on_latest.contains(workload) { &[Finding::LatestTag][..] } else { &[] };
    uniform.map(|workload| entry(workload, findings(workload))).collect()
}

/// The row with its pods.
fn filled(row: Arc<BoardEntry>, cluster: &dyn Cluster, exposure: Exposure) -> Arc<BoardEntry> {
    if row.worst().is_some() {
        return row;
    }
    match explained(cluster, &row.workload, exposure) {
        Some((report, _)) => Arc::new(BoardEntry::of(&report)),
        None => row,
    }
}

/// Number of workloads in a state.
pub(super) fn count(state: StateFilter, listed: &BoardList, workloads: usize, now: UnixTime) -> usize {
    let found = listed.found.iter().filter(|entry| state.holds(entry, now)).count();
    match state {
        StateFilter::Latest => found + listed.on_latest.len(),
        StateFilter::Uniform => workloads.saturating_sub(listed.found.len()),
        StateFilter::All => workloads,
        _ => found,
    }
}
