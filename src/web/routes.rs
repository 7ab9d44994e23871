//! Routes requests to responses.

use super::body::Body;
use super::landing::page as landing_page;
use super::limits::Admission;
use super::pages::{self, EVENTS, PageRequest, PageResponse, Pages};
use super::slots::ConnectionSlot;
use super::{ConnectionCounts, Site};
use crate::access::{AccessControl, AccessRequest, Rejection};
use crate::exposition::{Encoding, negotiate};
use futures::future::{BoxFuture, Either, Ready, ready};
use http::header::{
    ACCEPT, ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    HOST, IF_NONE_MATCH, REFERRER_POLICY, RETRY_AFTER, VARY, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

/// The response to a request. HEAD is answered like GET; hyper drops its body.
pub(super) fn answer<B>(
    site: &Arc<dyn Site>,
    request: &Request<B>,
    slot: &ConnectionSlot,
) -> impl Future<Output = Response<Body>> + Send + use<B> {
    match public(site, request, slot) {
        Some(response) => Either::Left(ready(response)),
        None => content(site, request, slot),
    }
}

/// The response under access control. `has_certificate`: the connection has a verified client certificate.
pub(super) async fn controlled_answer<B>(
    access: &AccessControl,
    site: &Arc<dyn Site>,
    request: &Request<B>,
    slot: &ConnectionSlot,
    has_certificate: bool,
) -> Response<Body> {
    let mut response = if let Some(response) = public(site, request, slot) {
        response
    } else {
        let path = request.uri().path();
        let route = if path == METRICS { METRICS } else { pages::pattern(path).unwrap_or("/") };
        let asked = AccessRequest { headers: request.headers(), route, has_certificate };
        match access.check(&asked).await {
            Ok(()) => content(site, request, slot).await,
            Err(denial) => denied(denial),
        }
    };
    access.add_headers(response.headers_mut());
    response
}

const METRICS: &str = "/metrics";

/// The response to a request that needs no credentials: probes, because the kubelet has none, and errors. `None` for
/// content.
fn public<B>(site: &Arc<dyn Site>, request: &Request<B>, slot: &ConnectionSlot) -> Option<Response<Body>> {
    // RFC 9112 (3.2): exactly one Host from HTTP/1.1 on, and never two, because a proxy may use the other one.
    let hosts = request.headers().get_all(HOST).iter().count();
    if hosts > 1 || (hosts == 0 && request.version() > Version::HTTP_10) {
        return Some(text(StatusCode::BAD_REQUEST, "a request must have exactly one Host header\n"));
    }
    let path = request.uri().path();
    let pages = site.pages().filter(|_| pages::pattern(path).is_some());
    let is_known = match path {
        METRICS => site.has_metrics(),
        "/livez" | "/healthz" | "/readyz" => true,
        "/" => pages.is_some() || site.has_metrics(),
        _ => pages.is_some(),
    };
    if !is_known {
        return Some(text(StatusCode::NOT_FOUND, "not found; / lists all paths\n"));
    }
    if let Some(pages) = pages
        && !pages.serves_host(request.headers().get(HOST).and_then(|host| host.to_str().ok()))
    {
        let message = "podskew does not serve its page under this host name; add it with --page-host\n";
        return Some(text(StatusCode::MISDIRECTED_REQUEST, message));
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let refusal = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        return Some(with(refusal, ALLOW, "GET, HEAD"));
    }
    if matches!(path, "/livez" | "/healthz") {
        return Some(text(StatusCode::OK, "ok\n"));
    }
    if path == "/readyz" {
        return Some(readiness(site.as_ref()));
    }
    if slot.admission == Admission::Probe {
        slot.slots().refuse();
        return Some(refused());
    }
    None
}

/// The content of a known path.
fn content<B>(
    site: &Arc<dyn Site>,
    request: &Request<B>,
    slot: &ConnectionSlot,
) -> Either<Ready<Response<Body>>, BoxFuture<'static, Response<Body>>> {
    let path = request.uri().path();
    if path == METRICS {
        let begun = Instant::now();
        let Some(freshened) = site.freshened() else {
            return Either::Left(ready(metrics(site, request.headers(), slot.slots().counts(), begun)));
        };
        let (site, headers, connections) = (Arc::clone(site), request.headers().clone(), slot.slots().counts());
        return Either::Right(Box::pin(async move {
            freshened.await;
            metrics(&site, &headers, connections, begun)
        }));
    }
    let Some(pages) = site.pages() else { return Either::Left(ready(landing(site.as_ref()))) };
    if path == EVENTS {
        return Either::Left(ready(events(pages, slot, request.method())));
    }
    let headers = request.headers();
    let (_, encoding) = negotiate(None, joined(headers, &ACCEPT_ENCODING).as_deref());
    let asked = PageRequest {
        path: path.to_owned(),
        query: request.uri().query().unwrap_or_default().to_owned(),
        if_none_match: joined(headers, &IF_NONE_MATCH),
        gzip: encoding == Encoding::Gzip,
    };
    let answer = Arc::clone(pages).answer(asked);
    Either::Right(Box::pin(async move { page(answer.await) }))
}

/// An event stream; 204 if all slots are taken, which tells clients to poll instead.
fn events(pages: &Arc<dyn Pages>, slot: &ConnectionSlot, method: &Method) -> Response<Body> {
    let taken = slot.peer.and_then(|peer| slot.slots().streams.take(peer));
    let Some(taken) = taken else {
        let mut response = Response::new(Body::text(""));
        *response.status_mut() = StatusCode::NO_CONTENT;
        return with(response, CACHE_CONTROL, "no-store");
    };
    let Some(events) = pages.events() else {
        return text(StatusCode::SERVICE_UNAVAILABLE, "there are no events at the moment\n");
    };
    let body = if method == Method::HEAD {
        Body::text("")
    } else {
        slot.give_back();
        Body::stream(taken.frames(events))
    };
    let mut response = with(Response::new(body), CONTENT_TYPE, "text/event-stream");
    // Its slot is gone, so the connection must close after the stream.
    response = with(with(response, CACHE_CONTROL, "no-store"), CONNECTION, "close");
    // nginx would buffer the stream.
    response = with(response, HeaderName::from_static("x-accel-buffering"), "no");
    with(response, X_CONTENT_TYPE_OPTIONS, "nosniff")
}

/// Adds the headers of every page and API document.
fn page(answer: PageResponse) -> Response<Body> {
    let mut response = Response::new(Body::text(answer.body));
    *response.status_mut() = answer.status;
    // Only resources from podskew itself. The search form leads back to the page.
    response = with(
        response,
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; \
         base-uri 'none'; frame-ancestors 'none'",
    );
    response = with(response, X_CONTENT_TYPE_OPTIONS, "nosniff");
    response = with(response, REFERRER_POLICY, "no-referrer");
    for (name, value) in answer.headers {
        response.headers_mut().insert(name, value);
    }
    response
}

fn metrics(site: &Arc<dyn Site>, headers: &HeaderMap, connections: ConnectionCounts, begun: Instant) -> Response<Body> {
    let accept = joined(headers, &ACCEPT);
    let accept_encoding = joined(headers, &ACCEPT_ENCODING);
    let (format, encoding) = negotiate(accept.as_deref(), accept_encoding.as_deref());
    let scrape = site.scrape(format, encoding, connections);
    let site = Arc::clone(site);
    let completed = Box::new(move |bytes| site.scraped(encoding, bytes, begun.elapsed()));
    let mut response = Response::new(Body::scrape(scrape, completed));
    response = with(response, CONTENT_TYPE, format.content_type());
    // On the uncompressed response, too: a cache must know that other clients get other responses.
    response = with(response, VARY, "Accept, Accept-Encoding");
    match encoding {
        Encoding::Gzip => with(response, CONTENT_ENCODING, "gzip"),
        Encoding::Identity => response,
    }
}

/// Joins all lines of a header, as RFC 9110 (5.3) permits; `None` without any.
fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let mut lines = headers.get_all(name).iter();
    let mut all = String::from_utf8_lossy(lines.next()?.as_bytes()).into_owned();
    for line in lines {
        all.push(',');
        all.push_str(&String::from_utf8_lossy(line.as_bytes()));
    }
    Some(all)
}

fn readiness(site: &dyn Site) -> Response<Body> {
    let status = site.status();
    if status.ready {
        return text(StatusCode::OK, "ready\n");
    }
    let mut lines = "not ready: the initial sync is not complete\n".to_owned();
    for missing in &status.waiting_for {
        let _ = writeln!(lines, "waiting for {missing}");
    }
    text(StatusCode::SERVICE_UNAVAILABLE, lines)
}

fn landing(site: &dyn Site) -> Response<Body> {
    let mut response = Response::new(Body::text(landing_page(&site.status())));
    response = with(response, CONTENT_TYPE, "text/html; charset=utf-8");
    response = with(response, CACHE_CONTROL, "no-store");
    // The page has no script and loads nothing. Its names come from people with access to the cluster.
    response = with(
        response,
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    );
    with(response, X_CONTENT_TYPE_OPTIONS, "nosniff")
}

fn refused() -> Response<Body> {
    let full = text(StatusCode::SERVICE_UNAVAILABLE, "too many requests at the same time; try again soon\n");
    with(with(full, RETRY_AFTER, "5"), CONNECTION, "close")
}

fn denied(denial: Rejection) -> Response<Body> {
    let mut response = text(denial.status, format!("{}\n", denial.message));
    if let Some(challenge) = denial.challenge {
        response = with(response, WWW_AUTHENTICATE, challenge);
    }
    if let Some(wait) = denial.retry_after {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn text(status: StatusCode, text: impl Into<bytes::Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::text(text));
    *response.status_mut() = status;
    response = with(response, CONTENT_TYPE, "text/plain; charset=utf-8");
    with(response, X_CONTENT_TYPE_OPTIONS, "nosniff")
}

fn with(mut response: Response<Body>, name: HeaderName, value: &'static str) -> Response<Body> {
    response.headers_mut().insert(name, HeaderValue::from_static(value));
    response
}
