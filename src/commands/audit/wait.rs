//! `--wait`: watches until the selected workloads are rolled out and uniform, or until the timeout.

use super::describe::title;
use super::empty_hint::empty_hint;
use super::{Audit, AuditFormat, Auditor, Strictness, Verdict, fails, findings_while_waiting, is_done, object};
use crate::advice::Finding;
use crate::registry::RegistryOptions;
use crate::report::{HashReport, Origin, Workload, WorkloadReport};
use crate::snapshot::{
    Cause, Gap, SnapshotOptions, SnapshotSource, WatchedSnapshot, WorkloadRef, is_any_of, list_cluster,
};
use crate::telemetry::Telemetry;
use crate::time::{ObservationTime, UnixTime};
use crate::watch::{self, Timings};
use anyhow::{Context as _, bail};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Interval between two checks for changes.
const PACE: Duration = Duration::from_millis(200);

/// Interval between two lists of nodes.
const NODES_AGAIN: Duration = Duration::from_secs(30);

/// Options of a wait.
#[derive(Clone, Debug)]
pub struct WaitOptions {
    /// What to audit.
    pub snapshot_options: SnapshotOptions,
    /// The named workloads; empty for all.
    pub names: Vec<WorkloadRef>,
    /// Options that change the verdict.
    pub strictness: Strictness,
    /// Output format of the audit.
    pub format: AuditFormat,
    /// Timeout.
    pub patience: Duration,
}

/// Progress of a wait.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WaitProgress {
    /// Number of workloads that are rolled out and uniform.
    pub done: usize,
    /// Number of selected workloads.
    pub workloads: usize,
    /// Ready pods of the wanted templates.
    pub new_pods: u32,
    /// All active pods.
    pub pods: u32,
    /// What is missing: pods by hash of the first workload that is not done, or a name that does not exist yet.
    pub next: String,
    /// Time since the start.
    pub elapsed: Duration,
}

/// Waits, reports its progress after each check, and returns the audit.
///
/// # Errors
///
/// The cluster cannot be read.
pub async fn wait(waiting: &WaitOptions, report_progress: &mut dyn FnMut(&WaitProgress)) -> anyhow::Result<Audit> {
    let WaitOptions { snapshot_options, names, strictness, format, patience } = waiting;
    let began = Instant::now();
    let SnapshotSource::Cluster { connection, namespaces } = &snapshot_options.source else {
        bail!("--wait needs a cluster: a file does not change");
    };
    let connected = watch::connect(connection).await?;
    let namespaces = namespaces.names(&connected);
    // A cluster that cannot be read fails at once, not at the timeout. Registries are asked once, at the end.
    let first = SnapshotOptions { registry: RegistryOptions::default(), ..snapshot_options.clone() };
    let mut snapshot = list_cluster(&connected, &namespaces, &first, None, Timings::for_snapshot()).await?;
    let mut state = WaitState::new(names, *strictness);
    snapshot.reports(&mut |report| state.put(report));
    state.check_knowable(&snapshot.gaps)?;
    let nothing_to_wait_for = names.is_empty() && state.is_empty();
    let mut timed_out = false;
    if nothing_to_wait_for || state.is_done() {
        snapshot.ask_registries(&snapshot_options.registry).await?;
        snapshot.reports(&mut |report| state.put(report));
    } else {
        let sources = watch::sources(&namespaces);
        let telemetry = Telemetry::new().context("cannot register podskew's own metrics")?;
        let watched = Arc::new(WatchedSnapshot::new(
            snapshot_options.settings.clone(),
            snapshot_options.selector.clone(),
            &sources,
        ));
        let _watches = watch::run(&connected.client, &namespaces, &watched, &telemetry, Timings::default());
        let mut nodes = JoinSet::new();
        if snapshot_options.nodes {
            let timings = Timings { nodes: NODES_AGAIN, ..Timings::default() };
            nodes.spawn(watch::keep_listing_nodes(connected.client.clone(), Arc::clone(&watched), telemetry, timings));
        }
        while !state.is_done() {
            report_progress(&state.progress(began.elapsed()));
            let left = patience.saturating_sub(began.elapsed());
            if left.is_zero() {
                timed_out = true;
                break;
            }
            tokio::time::sleep(left.min(PACE)).await;
            state.follow(&watched);
        }
        snapshot.without_registry = watched.ask_registries(&snapshot_options.registry).await?;
        state.follow(&watched);
        // Registries may know digests as one image; then there is nothing left to wait for.
        timed_out &= !state.is_done();
    }
    report_progress(&state.progress(began.elapsed()));
    let mut auditor = Auditor::new(*strictness, *format, true);
    let missing: Vec<String> =
        state.unseen().map(|named| format!("there is still no {named} in {}", snapshot.of)).collect();
    for report in state.into_reports() {
        auditor.take(report);
    }
    let mut audit =
        auditor.finish_with(snapshot.of.clone(), ObservationTime::now(), &snapshot.gaps, snapshot.unwritten_revisions);
    audit.notes.extend(snapshot.without_nodes.clone());
    audit.notes.extend(snapshot.without_registry.clone());
    if audit.verdict == Verdict::Empty {
        audit.empty_hint = empty_hint(snapshot_options, Some(&connected), &|resource| snapshot.objects(resource)).await;
    }
    if timed_out {
        audit.verdict = Verdict::TimedOut;
        audit.notes.extend(missing);
    }
    Ok(audit)
}

/// State of the selected workloads.
struct WaitState<'w> {
    names: &'w [WorkloadRef],
    strictness: Strictness,
    /// Workloads that are not done.
    open: BTreeMap<Workload, WorkloadReport>,
    /// Workloads that are done; without their pods if they have no findings.
    done: BTreeMap<Workload, WorkloadReport>,
    /// Whether the watches are complete and everything they delivered was applied.
    settled: bool,
    /// Whether the watches have delivered everything at least once.
    followed: bool,
}

impl<'w> WaitState<'w> {
    fn new(names: &'w [WorkloadRef], strictness: Strictness) -> Self {
        Self { names, strictness, open: BTreeMap::new(), done: BTreeMap::new(), settled: true, followed: false }
    }

    fn put(&mut self, mut report: WorkloadReport) {
        self.forget(&report.workload);
        if !is_any_of(self.names, &report) {
            return;
        }
        if is_done(&report, self.strictness) {
            // A workload with findings keeps its pods for the audit, even if the wait does not depend on them.
            if findings_while_waiting(&report, self.strictness).is_empty() {
                report.pods = Vec::new();
            }
            self.done.insert(report.workload.clone(), report);
        } else {
            self.open.insert(report.workload.clone(), report);
        }
    }

    fn forget(&mut self, workload: &Workload) {
        self.open.remove(workload);
        self.done.remove(workload);
    }

    /// Applies what the watches delivered.
    fn follow(&mut self, watched: &WatchedSnapshot) {
        loop {
            let changes = watched.changes(UnixTime::now());
            if !changes.complete {
                return;
            }
            if !self.followed {
                // From now on the watches determine which workloads exist; those deleted since the first snapshot are
                // dropped.
                (self.open, self.done, self.followed) = (BTreeMap::new(), BTreeMap::new(), true);
            }
            for workload in &changes.gone {
                self.forget(workload);
            }
            for report in changes.reports {
                if watched.is_chosen(&report.workload) {
                    self.put(report);
                } else {
                    self.forget(&report.workload);
                }
            }
            // A pod whose owner is missing may belong to any of them.
            self.settled = !changes.more && changes.awaiting_owner.is_empty();
            if !changes.more {
                return;
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.open.is_empty() && self.done.is_empty()
    }

    fn is_done(&self) -> bool {
        self.settled && self.open.is_empty() && !self.is_empty() && self.unseen().next().is_none()
    }

    /// Names that match nothing yet. A named pod may be gone from a workload that is done.
    fn unseen(&self) -> impl Iterator<Item = &WorkloadRef> {
        let seen = |named: &WorkloadRef| self.open.values().chain(self.done.values()).any(|report| named.names(report));
        let by_pod = |named: &WorkloadRef| named.is_pod() && !self.is_empty();
        self.names.iter().filter(move |named| !seen(named) && !by_pod(named))
    }

    /// Fails if a condition can never be known.
    fn check_knowable(&self, gaps: &[Gap]) -> anyhow::Result<()> {
        let unknown = self.open.values().find(|report| report.rollout.is_none());
        let forbidden = gaps.iter().find(|gap| matches!(gap.cause, Cause::Forbidden { .. }));
        match (unknown, forbidden) {
            (Some(report), Some(gap)) => bail!("cannot tell when {} is rolled out: {gap}", object(report)),
            _ => Ok(()),
        }
    }

    fn progress(&self, elapsed: Duration) -> WaitProgress {
        let all = || self.open.values().chain(self.done.values());
        let hashes = || all().flat_map(|report| &report.hashes);
        let next = match (self.unseen().next(), self.open.values().next()) {
            (Some(named), _) => format!("{named} does not exist yet"),
            (None, Some(report)) => describe(report, self.strictness),
            (None, None) if self.is_empty() => "no workload exists yet".to_owned(),
            (None, None) => "rolled out and uniform".to_owned(),
        };
        WaitProgress {
            done: self.done.len(),
            workloads: self.open.len() + self.done.len() + self.unseen().count(),
            new_pods: hashes().filter(|hash| hash.current != Some(false)).map(|hash| hash.ready_pods).sum(),
            pods: hashes().map(|hash| hash.pods).sum(),
            next,
            elapsed,
        }
    }

    fn into_reports(self) -> impl Iterator<Item = WorkloadReport> {
        self.open.into_values().chain(self.done.into_values())
    }
}

/// `deployment/web complete, digest skew in web (5 and 3 pods): 8j2cvr6q 8 pods, 8 ready (current)`.
fn describe(report: &WorkloadReport, strictness: Strictness) -> String {
    let hash = |hash: &HashReport| {
        let asked_for = if hash.current == Some(true) { " (current)" } else { "" };
        let name = if hash.hash.is_empty() { "no hash" } else { &*hash.hash };
        format!("{name} {}, {} ready{asked_for}", crate::terminal::humanize::pods(hash.pods), hash.ready_pods)
    };
    let mut hashes: Vec<&HashReport> = report.hashes.iter().collect();
    hashes.sort_by_key(|hash| hash.current != Some(true));
    let hashes: Vec<String> = hashes.into_iter().map(hash).collect();
    let state = report.rollout.map_or("state unknown", |rollout| rollout.state.as_str());
    // The state already includes these two findings.
    let is_told = |finding: &Finding| matches!(finding, Finding::Stalled | Finding::UnderWay);
    let reasons = findings_while_waiting(report, strictness)
        .into_iter()
        .filter(|finding| fails(*finding, strictness) && !is_told(finding))
        .fold(String::new(), |text, finding| text + ", " + &title(finding) + &skewed(report, finding));
    let hashes = if hashes.is_empty() { "no pods".to_owned() } else { hashes.join("; ") };
    format!("{} {state}{reasons}: {hashes}", object(report))
}

/// ` in web (5 and 3 pods)`, for digest skew.
fn skewed(report: &WorkloadReport, finding: Finding) -> String {
    let origin = match finding {
        Finding::DigestSkew => Origin::Template,
        Finding::InjectedSkew => Origin::Injected,
        Finding::UnknownSkew => Origin::Unknown,
        _ => return String::new(),
    };
    let all = super::describe::skewed(report, origin).map(|(container, of_hash)| {
        let counts: Vec<String> = of_hash.digests.iter().map(|digest| digest.pods.to_string()).collect();
        format!("{container} ({} pods)", counts.join(" and "))
    });
    format!(" in {}", all.collect::<Vec<_>>().join(", "))
}
