//! From a request to an answer: who may ask, what goes wrong on purpose, and which part of the server speaks.

use super::discovery;
use super::fault::Fault;
use super::negotiate::Form;
use super::request::{Request, Target, Verb, decode_percent};
use super::requests::{SeenRequest, kind_of};
use super::server::Cluster;
use super::status::Refusal;
use super::{list, watch};
use crate::resource::Resource;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Method, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
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
    let Some(form) = cluster.form(resource, &head.headers) else {
        return refuse(&Refusal::not_acceptable(), Form::Json);
    };
    if head.method != Method::GET {
        return refuse(&Refusal::of_status(StatusCode::METHOD_NOT_ALLOWED.as_u16(), None), form);
    }
    if !cluster.admits(&head.headers) {
        return refuse(&Refusal::unauthorized(), form);
    }
    let request = match target.map(|target| Request::new(target, query)).transpose() {
        Ok(request) => request,
        Err(refusal) => return refuse(&refusal, form),
    };
    match cluster.faults.strike(resource, Fault::replaces_answer) {
        Some(Fault::NeverAnswers) => return std::future::pending().await,
        Some(Fault::TooManyRequests { retry_after_seconds }) => return busy(retry_after_seconds, form),
        Some(Fault::Status(429)) => return busy(1, form),
        Some(Fault::Status(code)) => return refuse(&Refusal::of_status(code, request.as_ref()), form),
        _ => {}
    }
    match request {
        Some(request) if request.resource == Resource::Rollouts && !cluster.serves_rollouts() => page_not_found(),
        Some(request) => about_objects(&cluster, &request, form).unwrap_or_else(|refusal| refuse(&refusal, form)),
        None if path == list::NAMESPACES => {
            with_body(200, Form::Json, format!("{}\n", list::namespaces(&cluster.store)).into_bytes())
        }
        None => discovery::document(path, cluster.serves_rollouts())
            .map_or_else(page_not_found, |body| with_body(200, Form::Json, format!("{body}\n").into_bytes())),
    }
}

fn about_objects(cluster: &Arc<Cluster>, request: &Request, form: Form) -> Result<Response<Body>, Refusal> {
    match &request.verb {
        Verb::Get(name) => {
            let namespace = request.selection.namespace.as_deref().unwrap_or_default();
            let stored = cluster.store.stored(request.resource, &super::encoded::key(namespace, name));
            let stored = stored.ok_or_else(|| Refusal::not_found(request, name))?;
            let form = cluster.store.form_of(request.resource, form, std::iter::once(&*stored));
            Ok(with_body(200, form, stored.to_bytes(form, request.resource)))
        }
        Verb::List(options) => list::answer(cluster, request, options, form),
        Verb::Watch(options) => watch::answer(cluster, request, options, form),
    }
}

/// A refusal as an answer.
fn refuse(refusal: &Refusal, form: Form) -> Response<Body> {
    with_body(refusal.code, form, refusal.to_bytes(form))
}

fn busy(retry_after_seconds: u32, form: Form) -> Response<Body> {
    let mut response = refuse(&Refusal::too_many_requests(retry_after_seconds), form);
    response.headers_mut().insert(RETRY_AFTER, retry_after_seconds.into());
    response
}

/// What the API server says to a path it does not know, such as that of a custom resource nobody has defined.
fn page_not_found() -> Response<Body> {
    let mut response = with_body(404, Form::Json, b"404 page not found\n".to_vec());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn with_body(code: u16, form: Form, body: Vec<u8>) -> Response<Body> {
    response(code, form.content_type(), Full::from(body).map_err(|never| match never {}).boxed_unsync())
}

/// An answer, whole or as a stream.
pub(super) fn response(code: u16, content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    response
}
