//! Answers requests for the page and the API.

use super::api;
use super::assets::{Asset, gzip};
use super::exposure::Exposure;
use super::links::Link;
use super::markup::{Depth, PageFrame, Text};
use super::node_and_image::{image_page, node_page};
use super::overview::{Overview, warnings};
use super::query::Query;
use super::request_view::{UnencodedPage, View, decoded, named};
use super::view::{Cluster, OwnState, select};
use super::workload::WorkloadPage;
use crate::report::Workload;
use crate::time::UnixTime;
use flate2::Compression;
use maud::html;
use std::hash::{BuildHasher, RandomState};

/// A parsed request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Its path, percent-encoded.
    pub path: &'a str,
    /// Its query; empty without one.
    pub query: &'a str,
    /// `If-None-Match`.
    pub if_none_match: Option<&'a str>,
    /// Whether the client takes gzip.
    pub gzip: bool,
}

/// A response.
#[derive(Debug)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Header fields: lower-case names, and values.
    pub headers: Vec<(&'static str, String)>,
    /// Body.
    pub body: Vec<u8>,
}

/// Renders pages and API documents.
pub struct Ui {
    exposure: Exposure,
    links: Vec<Link>,
    /// Makes validators unique to this process.
    hasher: RandomState,
}

const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";

impl Ui {
    /// Pages that show what `exposure` permits.
    #[must_use]
    pub fn new(exposure: Exposure, links: Vec<Link>) -> Self {
        Self { exposure, links, hasher: RandomState::new() }
    }

    /// The response for a static file, which needs no data of the cluster.
    #[must_use]
    pub fn asset(request: Request<'_>) -> Option<Response> {
        let asset = Asset::find(request.path)?;
        let mut headers = vec![
            ("content-type", asset.content_type.to_owned()),
            ("cache-control", "public, max-age=31536000, immutable".to_owned()),
            ("vary", "Accept-Encoding".to_owned()),
        ];
        let body = if request.gzip {
            headers.push(("content-encoding", "gzip".to_owned()));
            asset.gzip().to_vec()
        } else {
            asset.text.as_bytes().to_vec()
        };
        Some(Response { status: 200, headers, body })
    }

    /// The response to any other request.
    #[must_use]
    pub fn answer(&self, request: Request<'_>, cluster: &dyn Cluster, now: UnixTime) -> Response {
        let is_api = request.path.starts_with("/api/");
        let (generation, published) = cluster.published();
        let view = View { exposure: self.exposure, links: &self.links, cluster, generation, published, now };
        let document = match Query::parse(request.query) {
            Err(message) if is_api => UnencodedPage::Refused(400, message),
            Err(message) => view.problem(400, Depth::TOP, "Invalid query", &message),
            Ok(query) => view.document(request.path, &query),
        };
        match document {
            UnencodedPage::Page(status, markup) => {
                encoded(status, HTML, "no-store", markup.into_string().into_bytes(), request.gzip)
            }
            UnencodedPage::Refused(status, message) => {
                encoded(status, JSON, "no-store", api::error(&message).into_bytes(), request.gzip)
            }
            UnencodedPage::Json(body) => self.with_validator(request, generation, body),
        }
    }

    /// The document, or 304 if the client already has it. A report on demand may be newer than the published picture,
    /// and podskew's own state changes independently, so the validator includes a hash of the body.
    fn with_validator(&self, request: Request<'_>, generation: u64, body: String) -> Response {
        let query = Query::parse(request.query).map(|query| query.normalised()).unwrap_or_default();
        let hash = self.hasher.hash_one((generation, &body, request.path, query, request.gzip));
        let tag = format!("\"{hash:016x}\"");
        let is_known = request.if_none_match.is_some_and(|known| {
            known.split(',').map(str::trim).any(|it| it == "*" || it.strip_prefix("W/").unwrap_or(it) == tag)
        });
        let mut answer = if is_known {
            Response { status: 304, headers: vec![("cache-control", "no-cache".to_owned())], body: Vec::new() }
        } else {
            encoded(200, JSON, "no-cache", body.into_bytes(), request.gzip)
        };
        if is_known {
            answer.headers.push(("vary", "Accept-Encoding".to_owned()));
        }
        answer.headers.push(("etag", tag));
        answer
    }
}

fn encoded(status: u16, content_type: &str, cache: &str, body: Vec<u8>, compress: bool) -> Response {
    let mut headers = vec![
        ("content-type", content_type.to_owned()),
        ("cache-control", cache.to_owned()),
        ("vary", "Accept-Encoding".to_owned()),
    ];
    if !compress {
        return Response { status, headers, body };
    }
    headers.push(("content-encoding", "gzip".to_owned()));
    Response { status, headers, body: gzip(&body, Compression::fast()) }
}

impl View<'_> {
    fn document(&self, path: &str, query: &Query) -> UnencodedPage {
        let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        match segments.as_slice() {
            [""] => self.overview(query),
            ["workload", namespace, workload_type, name] => match named(namespace, workload_type, name) {
                Some(workload) => self.workload(&workload),
                None => self.no_page(Depth::WORKLOAD),
            },
            ["node", node] => match decoded(node) {
                Some(node) => node_page(self, &node),
                None => self.no_page(Depth::NODE),
            },
            ["image"] => image_page(self, &query.reference),
            ["api", "v1", rest @ ..] => api::document(self, rest, query),
            // The depth of the path determines the relative link to the overview.
            ["workload" | "static", _] => self.no_page(Depth::NODE),
            ["workload", ..] => self.no_page(Depth::WORKLOAD),
            _ => self.no_page(Depth::TOP),
        }
    }

    fn overview(&self, query: &Query) -> UnencodedPage {
        let (listed, own) = (self.cluster.listed(), self.cluster.own_state());
        let rows = match self.published {
            Some(_) => select(query, &listed, self.cluster, self.exposure, self.now),
            None => super::view::Rows::default(),
        };
        let overview = Overview {
            query,
            listed: &listed,
            rows: &rows,
            own: &own,
            workloads: self.cluster.workload_count(),
            generation: self.generation,
            published: self.published,
            now: self.now,
        };
        UnencodedPage::Page(200, overview.render())
    }

    fn workload(&self, workload: &Workload) -> UnencodedPage {
        let own = self.cluster.own_state();
        if let Some((report, history)) = super::view::explained(self.cluster, workload, self.exposure) {
            return UnencodedPage::Page(200, WorkloadPage::new(self, own, report, history).render());
        }
        let what = format!("{} {}/{}", workload.workload_type, workload.namespace, workload.name);
        let message = format!("There is no {what}, or podskew counts none of its pods.");
        self.problem(404, Depth::WORKLOAD, "No such workload", &message)
    }

    fn no_page(&self, depth: Depth) -> UnencodedPage {
        self.problem(404, depth, "No such page", "The overview links to every page.")
    }

    /// An error page.
    pub(super) fn problem(&self, status: u16, depth: Depth, title: &str, message: &str) -> UnencodedPage {
        let own: OwnState = self.cluster.own_state();
        let main = html! {
            h1 { (title) }
            p.lead { (Text(message)) }
            (warnings(&own, self.published, self.now))
            p { a href=(depth.0) { "Overview" } }
        };
        UnencodedPage::Page(
            status,
            PageFrame { title, depth, search: "", generation: self.generation, now: self.now, workload: None, main }
                .render(),
        )
    }
}
