//! The JSON API under `/api/v1`: the documents of `audit -o json` and `explain -o json`, without clock-dependent
//! fields. docs/api.md documents it.

use super::board::BoardEntry;
use super::query::Query;
use super::request_view::{UnencodedPage, View, named};
use super::view::{OwnState, Rows, explained, select};
use crate::advice::Finding;
use crate::commands::audit::{Audited, Strictness, Totals, Verdict, audited, findings};
use crate::commands::explain::{Explained, Explanation};
use crate::json::{VERSION, printed};
use crate::report::{Workload, WorkloadReport};
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;

#[derive(Serialize)]
struct Summary<'a> {
    version: u32,
    podskew: &'static str,
    ready: bool,
    waiting_for: &'a [String],
    verdict: Option<&'static str>,
    totals: Option<Totals>,
    resources: Vec<Resource>,
}

#[derive(Serialize)]
struct Resource {
    resource: &'static str,
    synced: bool,
}

#[derive(Serialize)]
struct Listing {
    version: u32,
    podskew: &'static str,
    /// Number of selected workloads on all pages.
    selected: u64,
    workloads: Reports,
    r#continue: Option<String>,
}

/// Serialized one by one, so that they are never all in memory twice.
struct Reports(Vec<WorkloadReport>);

#[derive(Serialize)]
struct Single<'a> {
    version: u32,
    podskew: &'static str,
    workloads: [Explained<'a>; 1],
}

#[derive(Serialize)]
struct Failure<'a> {
    error: &'a str,
}

impl Serialize for Reports {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let one = |report| -> Audited<'_> { audited(report, &findings(report), Strictness::default()) };
        serializer.collect_seq(self.0.iter().map(one))
    }
}

/// The body of an error.
pub(super) fn error(message: &str) -> String {
    text(&Failure { error: message })
}

/// The document for a path below `/api/v1/`.
pub(super) fn document(view: &View<'_>, path: &[&str], query: &Query) -> UnencodedPage {
    match path {
        ["summary"] => summary(view),
        ["workloads", ..] if view.published.is_none() => UnencodedPage::Refused(
            503,
            "the initial sync is not complete yet; /api/v1/summary lists what is missing".to_owned(),
        ),
        ["workloads"] => workloads(view, query),
        ["workloads", namespace, workload_type, name] => match named(namespace, workload_type, name) {
            Some(workload) => single(view, &workload),
            None => UnencodedPage::Refused(404, "a name is empty, or not percent-encoded UTF-8".to_owned()),
        },
        _ => UnencodedPage::Refused(
            404,
            "the paths are /api/v1/summary, /api/v1/workloads and /api/v1/workloads/{namespace}/{type}/{name}"
                .to_owned(),
        ),
    }
}

fn summary(view: &View<'_>) -> UnencodedPage {
    let own = view.cluster.own_state();
    let listed = view.cluster.listed();
    let resources = resources(&own);
    let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let totals = view.published.map(|_| {
        let mut by_finding = BTreeMap::new();
        let all = listed.found.iter().flat_map(|entry| entry.findings.iter().copied());
        // The findings of an audit: a tag that may move is not a difference.
        for finding in all.filter(|finding| *finding != Finding::LatestTag) {
            *by_finding.entry(finding).or_default() += 1;
        }
        let workloads = view.cluster.workload_count();
        Totals {
            workloads: count(workloads),
            pods: own.pods,
            uniform: count(workloads.saturating_sub(listed.found.len())),
            failed: count(listed.found.iter().filter(|entry| entry.fails()).count()),
            findings: by_finding,
        }
    });
    let found = |entry: &std::sync::Arc<BoardEntry>| entry.findings.to_vec();
    let verdict = totals.as_ref().map(|totals| {
        let all = listed.found.iter().flat_map(found).filter(|finding| *finding != Finding::LatestTag);
        Verdict::of(totals.workloads, all, false, Strictness::default()).as_str()
    });
    let summary = Summary {
        version: VERSION,
        podskew: env!("CARGO_PKG_VERSION"),
        ready: view.published.is_some(),
        waiting_for: if view.published.is_some() { &[] } else { &own.waiting_for },
        verdict,
        totals,
        resources,
    };
    UnencodedPage::Json(text(&summary))
}

fn resources(own: &OwnState) -> Vec<Resource> {
    own.resources.iter().map(|it| Resource { resource: it.resource, synced: it.synced }).collect()
}

fn workloads(view: &View<'_>, query: &Query) -> UnencodedPage {
    let listed = view.cluster.listed();
    let Rows { shown: rows, all, next } = select(query, &listed, view.cluster, view.exposure, view.now);
    let report = |entry: &std::sync::Arc<BoardEntry>| Some(explained(view.cluster, &entry.workload, view.exposure)?.0);
    let reports: Vec<WorkloadReport> = rows.iter().filter_map(report).collect();
    let listing = Listing {
        version: VERSION,
        podskew: env!("CARGO_PKG_VERSION"),
        selected: u64::try_from(all).unwrap_or(u64::MAX),
        workloads: Reports(reports),
        r#continue: next.map(|next| next.token()),
    };
    UnencodedPage::Json(text(&listing))
}

fn single(view: &View<'_>, workload: &Workload) -> UnencodedPage {
    let Some((report, history)) = explained(view.cluster, workload, view.exposure) else {
        let Workload { namespace, workload_type, name } = workload;
        return UnencodedPage::Refused(
            404,
            format!("there is no {workload_type} {namespace}/{name}, or podskew counts none of its pods"),
        );
    };
    let explanation = Explanation::of_now(report, history, view.now, view.notes());
    let document =
        Single { version: VERSION, podskew: env!("CARGO_PKG_VERSION"), workloads: [Explained::from(&explanation)] };
    UnencodedPage::Json(text(&document))
}

fn text(document: &impl Serialize) -> String {
    // Infallible: every field serializes, and writing to a `String` cannot fail.
    printed(document).map(|text| text + "\n").unwrap_or_default()
}
