//! The data of a request, and a page or document of the API before compression.

use super::exposure::Exposure;
use super::links::Link;
use super::view::Cluster;
use crate::report::Workload;
use crate::time::UnixTime;
use maud::Markup;
use percent_encoding::percent_decode_str;

/// A page or document before compression.
pub(super) enum UnencodedPage {
    Page(u16, Markup),
    /// A body of the API.
    Json(String),
    Refused(u16, String),
}

/// The data of one request.
pub(super) struct View<'a> {
    pub exposure: Exposure,
    pub links: &'a [Link],
    pub cluster: &'a dyn Cluster,
    pub generation: u64,
    pub published: Option<UnixTime>,
    pub now: UnixTime,
}

impl View<'_> {
    /// What podskew cannot read in the cluster now.
    pub(super) fn notes(&self) -> Vec<String> {
        let own = self.cluster.own_state();
        let unseen = own.resources.iter().filter(|watched| !watched.synced);
        unseen.map(|watched| format!("what happened to {} since their watch failed", watched.resource)).collect()
    }
}

/// The workload that three segments of a path name; `None` if a segment is empty or not UTF-8.
pub(super) fn named(namespace: &str, workload_type: &str, name: &str) -> Option<Workload> {
    Some(Workload {
        namespace: decoded(namespace)?.into(),
        workload_type: decoded(workload_type)?.into(),
        name: decoded(name)?.into(),
    })
}

/// A segment of a path, percent-decoded; `None` if it is empty or not UTF-8.
pub(super) fn decoded(segment: &str) -> Option<String> {
    let text = percent_decode_str(segment).decode_utf8().ok()?;
    (!text.is_empty()).then(|| text.into_owned())
}
