//! Answers the requests of clients that pull.

use super::content::{MANIFEST, digest_of};
use super::{Authorization, Misbehaviour, ReceivedRequest, State, lock};
use crate::server::Tls;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

type Body = BoxBody<Bytes, io::Error>;

pub(super) async fn accept(listener: TcpListener, tls: Option<Tls>, state: Arc<State>, cut: watch::Sender<()>) {
    let tls = tls.map(|tls| TlsAcceptor::from(tls.config()));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let mut is_cut = cut.subscribe();
        let (tls, state) = (tls.clone(), Arc::clone(&state));
        tokio::spawn(async move {
            let connection = async {
                match tls {
                    None => serve(stream, state).await,
                    Some(acceptor) => {
                        if let Ok(stream) = acceptor.accept(stream).await {
                            serve(stream, state).await;
                        }
                    }
                }
            };
            tokio::select! {
                () = connection => {}
                _ = is_cut.changed() => {}
            }
        });
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, state: Arc<State>) {
    let service = service_fn(move |request| answer(Arc::clone(&state), request));
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// An error closes the connection.
async fn answer(state: Arc<State>, request: Request<Incoming>) -> io::Result<Response<Body>> {
    let (head, body) = request.into_parts();
    let path = head.uri.path_and_query().map_or("", |path| path.as_str()).to_owned();
    let header = |name| head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let accept = head.headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok().map(str::to_owned));
    let authorization = header(AUTHORIZATION);
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let body = String::from_utf8_lossy(&body).into_owned();
    lock(&state.requests).push(ReceivedRequest {
        method: head.method.to_string(),
        path: path.clone(),
        authorization: authorization.clone(),
        accept: accept.collect(),
        body: body.clone(),
    });
    let fault = state.fault(head.method.as_str(), &path);
    match &fault {
        Some(Misbehaviour::Status(status, headers)) => {
            let mut response = Response::builder().status(*status);
            for (name, value) in headers {
                response = response.header(*name, value);
            }
            return built(response, Bytes::new());
        }
        Some(Misbehaviour::Hangs) => std::future::pending::<()>().await,
        Some(Misbehaviour::Closes) => return Err(io::Error::other("closed")),
        _ => {}
    }
    if head.uri.path() == "/token" {
        return token(&state, head.uri.query().unwrap_or_default(), authorization.as_deref(), &body);
    }
    if let Some(refusal) = refused(&state, authorization.as_deref()) {
        return refusal;
    }
    let found = find(&state, head.uri.path());
    let found = found.or_else(|| if head.method == Method::HEAD { resolve_tag(&state, head.uri.path()) } else { None });
    let Some((digest, media_type, body)) = found else {
        let error = json!({"errors": [{"code": "MANIFEST_UNKNOWN"}]}).to_string();
        return built(Response::builder().status(StatusCode::NOT_FOUND), Bytes::from(error));
    };
    let is_head = head.method == Method::HEAD;
    let digest = match &fault {
        Some(Misbehaviour::Digest(other)) => Some(other.clone()),
        Some(Misbehaviour::NoDigest) => None,
        _ => Some(digest),
    };
    let mut response = Response::builder().header(CONTENT_TYPE, media_type);
    if let Some(digest) = digest {
        response = response.header("Docker-Content-Digest", digest);
    }
    if is_head {
        return built(response.header(CONTENT_LENGTH, body.len()), Bytes::new());
    }
    match fault {
        Some(Misbehaviour::OtherBody(other)) => built(response, Bytes::from(other)),
        Some(Misbehaviour::Endless) => {
            let chunk = Bytes::from(vec![b' '; 64 * 1024]);
            streamed(response, stream::repeat(chunk).boxed())
        }
        Some(Misbehaviour::Slow(pause)) => {
            let bytes = stream::iter(body).then(move |byte| async move {
                tokio::time::sleep(pause).await;
                Bytes::from(vec![byte])
            });
            streamed(response, bytes.boxed())
        }
        Some(Misbehaviour::Garbage) => built(response, Bytes::from_static(b"\x00\xff<html>")),
        _ => built(response, Bytes::from(body)),
    }
}

/// Digest, media type and text of the manifest or blob at a path.
fn find(state: &State, path: &str) -> Option<(String, String, Vec<u8>)> {
    let rest = path.strip_prefix("/v2/")?;
    let content = lock(&state.content);
    if let Some((repository, reference)) = rest.rsplit_once("/manifests/") {
        return content.manifest(repository, reference);
    }
    let (repository, digest) = rest.rsplit_once("/blobs/")?;
    let body = content.blob(repository, digest)?;
    Some((digest_of(&body), "application/octet-stream".to_owned(), body))
}

/// Resolves a tag that was not pushed.
fn resolve_tag(state: &State, path: &str) -> Option<(String, String, Vec<u8>)> {
    let (repository, tag) = path.strip_prefix("/v2/")?.rsplit_once("/manifests/")?;
    let digest = lock(&state.resolver).0.as_ref()?(repository, tag)?;
    Some((digest, MANIFEST.to_owned(), Vec::new()))
}

/// The refusal of a request without valid credentials.
fn refused(state: &State, authorization: Option<&str>) -> Option<io::Result<Response<Body>>> {
    let wanted = lock(&state.authorization).clone();
    let challenge = match &wanted {
        Authorization::None => return None,
        Authorization::Basic(user, password) => {
            let is_it = authorization == Some(&*basic(user, password));
            return (!is_it).then(|| unauthorized("Basic realm=\"registry\""));
        }
        Authorization::Bearer(_) => format!("Bearer realm=\"{}/token\",service=\"simulator\"", lock(&state.base)),
        Authorization::Realm(realm) => format!("Bearer realm=\"{realm}\",service=\"simulator\""),
    };
    let given = authorization.and_then(|value| value.strip_prefix("Bearer "));
    let is_good = given.is_some_and(|given| lock(&state.tokens).iter().any(|token| token == given));
    (!is_good).then(|| unauthorized(&challenge))
}

fn unauthorized(challenge: &str) -> io::Result<Response<Body>> {
    built(Response::builder().status(StatusCode::UNAUTHORIZED).header(WWW_AUTHENTICATE, challenge), Bytes::new())
}

/// Issues a token.
fn token(state: &State, query: &str, authorization: Option<&str>, body: &str) -> io::Result<Response<Body>> {
    let wanted = lock(&state.authorization).clone();
    let is_welcome = match &wanted {
        Authorization::Bearer(Some((user, password))) => {
            authorization == Some(&*basic(user, password)) || body.contains(&format!("refresh_token={password}"))
        }
        _ => true,
    };
    let scope = format!("{query}&{body}");
    if !is_welcome || !scope.contains("scope=repository") {
        return built(Response::builder().status(StatusCode::UNAUTHORIZED), Bytes::new());
    }
    let mut tokens = lock(&state.tokens);
    let token = format!("s3cr3t-token-{}-{}", tokens.len(), scope.len());
    tokens.push(token.clone());
    built(Response::builder(), Bytes::from(json!({"token": token, "expires_in": 300}).to_string()))
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

fn built(response: http::response::Builder, body: Bytes) -> io::Result<Response<Body>> {
    response.body(Full::new(body).map_err(|never| match never {}).boxed()).map_err(io::Error::other)
}

fn streamed(
    response: http::response::Builder,
    chunks: stream::BoxStream<'static, Bytes>,
) -> io::Result<Response<Body>> {
    let body = StreamBody::new(SyncStream(std::sync::Mutex::new(chunks)).map(|chunk| Ok(Frame::data(chunk))));
    response.body(http_body_util::BodyExt::boxed(body)).map_err(io::Error::other)
}

/// A stream that is `Sync`, though only one thread polls it.
struct SyncStream(std::sync::Mutex<stream::BoxStream<'static, Bytes>>);

impl stream::Stream for SyncStream {
    type Item = Bytes;

    fn poll_next(
        self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Bytes>> {
        let mut inner = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        inner.as_mut().poll_next(context)
    }
}
