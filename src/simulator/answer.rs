//! From a request to an answer: who may ask, what goes wrong on purpose, and which part of the server speaks.

use super::discovery;
use super::fault::Fault;
use super::request::{Request, Target, Verb, decode_percent};
use super::requests::{SeenRequest, kind_of};
use super::server::Cluster;
use super::status::Refusal;
use super::{list, watch};
use crate::objects::Resource;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Method, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use serde_json::Value;
use std::io;
use std::sync::Arc;

/// Whole answers and streams alike.
pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Answers one request; how it was asked is on record before anything else happens.
pub(super) async fn answer(cluster: Arc<Cluster>, head: http::request::Parts) -> Response<Body> {
    let path = head.uri.path();
    let query = head.uri.query().unwrap_or_default();
    let target = Target::of(path);
    let resource = target.as_ref().map(|target| target.resource);
    cluster.requests.record(SeenRequest {
        resource,
        kind: kind_of(resource, target.as_ref().is_some_and(Target::is_one_object), query),
        path: path.to_owned(),
        query: decode_percent(query),
    });
    if head.method != Method::GET {
        return refuse(&Refusal::of_status(StatusCode::METHOD_NOT_ALLOWED.as_u16(), None));
    }
    if !cluster.admits(&head.headers) {
        return refuse(&Refusal::unauthorized());
    }
    let request = match target.map(|target| Request::new(target, query)).transpose() {
        Ok(request) => request,
        Err(refusal) => return refuse(&refusal),
    };
    match cluster.faults.strike(resource, Fault::replaces_answer) {
        Some(Fault::NeverAnswers) => return std::future::pending().await,
        Some(Fault::TooManyRequests { retry_after_seconds }) => return busy(retry_after_seconds),
        Some(Fault::Status(429)) => return busy(1),
        Some(Fault::Status(code)) => return refuse(&Refusal::of_status(code, request.as_ref())),
        _ => {}
    }
    match request {
        Some(request) if request.resource == Resource::Rollouts && !cluster.serves_rollouts() => page_not_found(),
        Some(request) => about_objects(&cluster, &request).unwrap_or_else(|refusal| refuse(&refusal)),
        None => {
            discovery::document(path, cluster.serves_rollouts()).map_or_else(page_not_found, |body| json(200, &body))
        }
    }
}

fn about_objects(cluster: &Arc<Cluster>, request: &Request) -> Result<Response<Body>, Refusal> {
    match &request.verb {
        Verb::Get(name) => {
            let namespace = request.selection.namespace.as_deref().unwrap_or_default();
            let stored = cluster.store.stored(request.resource, &super::encoded::key(namespace, name));
            let stored = stored.ok_or_else(|| Refusal::not_found(request, name))?;
            Ok(with_body(200, Full::from(stored.to_json(request.resource))))
        }
        Verb::List(options) => list::answer(cluster, request, options),
        Verb::Watch(options) => watch::answer(cluster, request, options),
    }
}

/// A refusal as an answer.
pub(super) fn refuse(refusal: &Refusal) -> Response<Body> {
    json(refusal.code, &refusal.body)
}

fn busy(retry_after_seconds: u32) -> Response<Body> {
    let mut response = refuse(&Refusal::too_many_requests(retry_after_seconds));
    response.headers_mut().insert(RETRY_AFTER, retry_after_seconds.into());
    response
}

/// What the API server says to a path it does not know, such as that of a custom resource nobody has defined.
fn page_not_found() -> Response<Body> {
    let mut response = with_body(404, Full::from("404 page not found\n"));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn json(code: u16, body: &Value) -> Response<Body> {
    with_body(code, Full::from(format!("{body}\n")))
}

fn with_body(code: u16, body: Full<Bytes>) -> Response<Body> {
    response(code, body.map_err(|never| match never {}).boxed_unsync())
}

/// An answer in JSON, whole or as a stream.
pub(super) fn response(code: u16, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    response
}
