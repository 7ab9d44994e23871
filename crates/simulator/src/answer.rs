//! Handles a request: authorization, faults, and dispatch.

use super::fault::Fault;
use super::negotiate::Form;
use super::request::{Request, Subresource, Target, Verb, decode_percent};
use super::requests::{SeenRequest, kind_of};
use super::scale;
use super::server::Cluster;
use super::status::Refusal;
use super::{discovery, edit, table};
use super::{list, reviews, watch};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use serde_json::Value;
use std::io;
use std::sync::Arc;

/// Maximum size of a request body, as in a real API server.
const MOST_BODY_BYTES: usize = 3 * 1024 * 1024;

/// The body of a complete response or of a stream.
pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Answers one request; it is recorded before anything else.
pub(super) async fn answer(cluster: Arc<Cluster>, request: http::Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
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
    let is_review = head.method == Method::POST && reviews::is_path(path);
    if resource.is_none() && head.method != Method::GET && !is_review {
        return refuse(&Refusal::method_not_allowed(), form);
    }
    if !cluster.admits(&head.headers) {
        return refuse(&Refusal::unauthorized(), form);
    }
    let request = match target.map(|target| Request::new(target, &head.method, query)).transpose() {
        Ok(request) => request,
        Err(refusal) => return refuse(&refusal, form),
    };
    let of_reviews = if is_review { cluster.reviews.note(path) } else { None };
    match of_reviews.or_else(|| cluster.faults.strike(resource, Fault::replaces_answer)) {
        Some(Fault::NeverAnswers) => return std::future::pending().await,
        Some(Fault::TooManyRequests { retry_after_seconds }) => return busy(retry_after_seconds, form),
        Some(Fault::Status(429)) => return busy(1, form),
        Some(Fault::Status(code)) => return refuse(&Refusal::of_status(code, request.as_ref()), form),
        _ => {}
    }
    if is_review {
        return reviews::answer(&cluster.reviews, path, body).await;
    }
    match request {
        Some(request) if request.resource.is_custom() && !cluster.serves_rollouts() => page_not_found(),
        Some(request) if head.method == Method::GET => {
            about_objects(&cluster, &request, form).unwrap_or_else(|refusal| refuse(&refusal, form))
        }
        Some(request) => {
            let written = written(&cluster, &request, &head.headers, body).await;
            written.unwrap_or_else(|refusal| refuse(&refusal, Form::Json))
        }
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
            let object = || serde_json::from_slice(&stored.to_json(request.resource)).unwrap_or_default();
            if request.subresource == Some(Subresource::Scale) {
                return Ok(with_body(200, Form::Json, scale::of(request.resource, &object()).to_string().into_bytes()));
            }
            if form == Form::Table {
                let table = table::of(request.resource, &[object()], request.table, &Value::Null);
                return Ok(with_body(200, form, table.to_string().into_bytes()));
            }
            let form = cluster.store.form_of(request.resource, form, std::iter::once(&*stored));
            Ok(with_body(200, form, stored.to_bytes(form, request.resource)))
        }
        Verb::List(options) => list::answer(cluster, request, options, form),
        Verb::Watch(options) => watch::answer(cluster, request, options, form),
        Verb::Create | Verb::Replace(_) | Verb::Patch(_) | Verb::Delete(_) => Err(Refusal::method_not_allowed()),
    }
}

/// Reads the body of a write request, and executes it.
async fn written(
    cluster: &Cluster,
    request: &Request,
    headers: &HeaderMap,
    body: Incoming,
) -> Result<Response<Body>, Refusal> {
    let body = Limited::new(body, MOST_BODY_BYTES).collect().await;
    let body = body.map_err(|error| Refusal::bad_request(&format!("the body cannot be read: {error}")))?.to_bytes();
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("application/json");
    let content_type = content_type.split(';').next().unwrap_or_default().trim();
    edit::answer(cluster, request, content_type, &body)
}

/// A refusal as a response.
fn refuse(refusal: &Refusal, form: Form) -> Response<Body> {
    with_body(refusal.code, form, refusal.to_bytes(form))
}

fn busy(retry_after_seconds: u32, form: Form) -> Response<Body> {
    let mut response = refuse(&Refusal::too_many_requests(retry_after_seconds), form);
    response.headers_mut().insert(RETRY_AFTER, retry_after_seconds.into());
    response
}

/// The API server's response for an unknown path, such as that of an undefined custom resource.
fn page_not_found() -> Response<Body> {
    let mut response = with_body(404, Form::Json, b"404 page not found\n".to_vec());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

pub(super) fn with_body(code: u16, form: Form, body: Vec<u8>) -> Response<Body> {
    response(code, form.content_type(), Full::from(body).map_err(|never| match never {}).boxed_unsync())
}

/// A complete response or a stream.
pub(super) fn response(code: u16, content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    response
}
