//! A cluster that consists only of reports.

use podskew::report::facts::WaitingFacts;
use podskew::report::history::{ContainerDetail, History, PodDetail, Revision};
use podskew::report::{DigestKind, Name, Workload, WorkloadReport};
use podskew::time::UnixTime;
use podskew::ui::{Board, BoardList, Cluster, Exposure, OwnState, Request, Response, Ui, WatchedResource};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The data of the pages.
pub struct Fixed {
    board: Board,
    reports: BTreeMap<Workload, WorkloadReport>,
    pub own: OwnState,
}

pub const NOW: u32 = 100_000;

pub fn at(seconds: u32) -> UnixTime {
    UnixTime::from_seconds(i64::from(seconds)).unwrap()
}

impl Fixed {
    pub fn new(reports: Vec<WorkloadReport>, exposure: Exposure) -> Self {
        let board = Board::new(exposure);
        board.take(&reports, &[]);
        board.publish(at(NOW - 60));
        let watched = WatchedResource { resource: "pods", synced: true, last_activity: Some(at(NOW - 5)) };
        Self {
            board,
            reports: reports.into_iter().map(|report| (report.workload.clone(), report)).collect(),
            own: OwnState { resources: vec![watched], pods: 10, ..OwnState::default() },
        }
    }

    /// The response to a GET of a client that does not accept gzip.
    pub fn ask(&self, ui: &Ui, path: &str, query: &str) -> (u16, String) {
        let request = Request { path, query, if_none_match: None, gzip: false };
        let Response { status, body, .. } = ui.answer(request, self, at(NOW));
        (status, String::from_utf8(body).unwrap())
    }

    /// The history for the list of a workload's pods.
    fn history(report: &WorkloadReport) -> History {
        let waiting = |pod: &Name| WaitingFacts {
            container: Arc::clone(pod),
            reason: Arc::clone(pod),
            exit_code: Some(1),
            message: Arc::clone(pod),
        };
        let containers = |pod: &Name| {
            let container = |container: &podskew::report::ContainerReport| ContainerDetail {
                container: container.container.clone(),
                image: Arc::clone(pod),
                digest: Some((DigestKind::Manifest, Arc::clone(pod))),
                started: None,
            };
            report.containers.iter().map(container).collect()
        };
        let detail = |pod: &podskew::report::PodReport| PodDetail {
            created: pod.created,
            ready: false,
            terminating: pod.terminating,
            containers: containers(&pod.pod),
            waiting: vec![waiting(&pod.pod)],
        };
        let revision = |hash: &podskew::report::HashReport| Revision {
            hash: hash.hash.clone(),
            revision: hash.revision,
            created: Some(at(1)),
            current: hash.current,
            worked: true,
            images: report.image_references.clone(),
        };
        History {
            revisions: report.hashes.iter().map(revision).collect(),
            paused: false,
            on_delete: false,
            partition: None,
            pods: report.pods.iter().map(detail).collect(),
        }
    }
}

impl Cluster for Fixed {
    fn listed(&self) -> BoardList {
        self.board.listed()
    }

    fn published(&self) -> (u64, Option<UnixTime>) {
        self.board.published()
    }

    fn workload_count(&self) -> usize {
        self.reports.len()
    }

    fn workloads(&self) -> Vec<Arc<Workload>> {
        self.reports.keys().cloned().map(Arc::new).collect()
    }

    fn explained(&self, workload: &Workload) -> Option<(WorkloadReport, History)> {
        let report = self.reports.get(workload)?;
        Some((report.clone(), Self::history(report)))
    }

    fn running(&self, image: &str) -> Vec<Workload> {
        let runs = |report: &&WorkloadReport| {
            let by_hash = report.containers.iter().flat_map(|container| &container.by_hash);
            by_hash.flat_map(|of_hash| &of_hash.digests).any(|digest| *digest.image == *image)
        };
        self.reports.values().filter(runs).map(|report| report.workload.clone()).collect()
    }

    fn own_state(&self) -> OwnState {
        self.own.clone()
    }
}
