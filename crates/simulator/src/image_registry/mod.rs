//! A container registry in this process: the pull API of the OCI distribution specification, over real HTTP.
//!
//! Tests move its tags, can require Basic or Bearer authorization, and can inject faults.
#![allow(clippy::must_use_candidate, reason = "a push by tag needs no digest")]

mod content;
mod server;

pub use content::{Image, Platform};

use super::server::Tls;
use content::Content;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Authorization that a registry requires.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Authorization {
    /// None.
    #[default]
    None,
    /// A user and a password.
    Basic(String, String),
    /// A token of its own token server, which requires this user and password, if any.
    Bearer(Option<(String, String)>),
    /// A token of the token server at this URL.
    Realm(String),
}

/// A fault of a registry, instead of an answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Misbehaviour {
    /// Answers with this status and these headers.
    Status(u16, Vec<(&'static str, String)>),
    /// Answers HEAD without a digest.
    NoDigest,
    /// Reports this digest instead of the right one.
    Digest(String),
    /// Sends this body instead of the one with the digest.
    OtherBody(Vec<u8>),
    /// Sends an endless body.
    Endless,
    /// Does not answer.
    Hangs,
    /// Sends a byte of the body in each period of this duration.
    Slow(Duration),
    /// Sends something that is not HTTP.
    Garbage,
    /// Closes the connection.
    Closes,
}

/// A request that the registry received.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReceivedRequest {
    /// Its method.
    pub method: String,
    /// Its path, with the query.
    pub path: String,
    /// Its credentials.
    pub authorization: Option<String>,
    /// Accepted media types.
    pub accept: Vec<String>,
    /// Its body.
    pub body: String,
}

/// A running registry. Dropping it closes the listener and cuts every connection.
#[derive(Debug)]
pub struct ImageRegistry {
    state: Arc<State>,
    address: SocketAddr,
    is_secure: bool,
    cut: watch::Sender<()>,
    accepting: JoinHandle<()>,
}

/// State that all connections share.
#[derive(Debug, Default)]
struct State {
    content: Mutex<Content>,
    authorization: Mutex<Authorization>,
    faults: Mutex<VecDeque<Fault>>,
    requests: Mutex<Vec<ReceivedRequest>>,
    /// Valid tokens.
    tokens: Mutex<Vec<String>>,
    base: Mutex<String>,
    resolver: Mutex<TagResolver>,
}

/// Resolver of tags that were not pushed.
#[derive(Default)]
struct TagResolver(Option<Box<Resolve>>);

type Resolve = dyn Fn(&str, &str) -> Option<String> + Send + Sync;

impl std::fmt::Debug for TagResolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "TagResolver" } else { "None" })
    }
}

/// A fault for the requests with this method whose path contains this text.
#[derive(Debug)]
struct Fault {
    method: Option<&'static str>,
    path: String,
    misbehaviour: Misbehaviour,
    times: Option<u32>,
}

impl ImageRegistry {
    /// Starts an empty registry on a free port of this machine.
    pub async fn start(tls: Option<Tls>) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(State::default());
        let cut = watch::Sender::new(());
        let is_secure = tls.is_some();
        let accepting = tokio::spawn(server::accept(listener, tls, Arc::clone(&state), cut.clone()));
        let registry = Self { state, address, is_secure, cut, accepting };
        registry.set_token_server(&registry.url());
        Ok(registry)
    }

    /// Its URL: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}", if self.is_secure { "https" } else { "http" }, self.address)
    }

    /// Its host and port, as in image references.
    #[must_use]
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// The port that it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Sets the URL of its token server.
    pub fn set_token_server(&self, url: &str) {
        url.clone_into(&mut lock(&self.state.base));
    }

    /// Requires this authorization from now on, and revokes all tokens.
    pub fn set_authorization(&self, authorization: Authorization) {
        *lock(&self.state.authorization) = authorization;
        self.expire_tokens();
    }

    /// Revokes all tokens.
    pub fn expire_tokens(&self) {
        lock(&self.state.tokens).clear();
    }

    /// Pushes an image of one platform; returns the digest of its manifest.
    pub fn push(&self, repository: &str, tag: Option<&str>, image: &Image) -> String {
        lock(&self.state.content).push(repository, tag, image)
    }

    /// Pushes an index of images that were pushed before; returns its digest. With `provenance`, adds an attestation that
    /// has this text.
    pub fn push_index(
        &self,
        repository: &str,
        tag: Option<&str>,
        children: &[(Platform, String)],
        provenance: Option<&str>,
    ) -> String {
        lock(&self.state.content).push_index(repository, tag, children, provenance)
    }

    /// Puts a manifest as it is; returns its digest.
    pub fn put_manifest(&self, repository: &str, tag: Option<&str>, media_type: &str, body: &[u8]) -> String {
        lock(&self.state.content).put_manifest(repository, tag, media_type, body)
    }

    /// Stores a blob and returns its digest.
    pub fn put_blob(&self, repository: &str, body: &[u8]) -> String {
        lock(&self.state.content).put_blob(repository, body)
    }

    /// Makes a tag point to a digest that was pushed.
    pub fn tag(&self, repository: &str, tag: &str, digest: &str) {
        lock(&self.state.content).tag(repository, tag, digest);
    }

    /// Sets a resolver for tags that were not pushed. Its parameters are repository and tag. The registry has no content
    /// for these digests.
    pub fn set_resolver(&self, resolve: impl Fn(&str, &str) -> Option<String> + Send + Sync + 'static) {
        lock(&self.state.resolver).0 = Some(Box::new(resolve));
    }

    /// Deletes a tag or a digest.
    pub fn delete(&self, repository: &str, reference: &str) {
        lock(&self.state.content).delete(repository, reference);
    }

    /// Injects a fault for every request whose path contains `path`: for the next `times` requests, or until the faults are
    /// cleared.
    pub fn inject(&self, path: &str, misbehaviour: Misbehaviour, times: Option<u32>) {
        self.inject_for(None, path, misbehaviour, times);
    }

    /// Like [`Self::inject`], for one method.
    pub fn inject_for(&self, method: Option<&'static str>, path: &str, misbehaviour: Misbehaviour, times: Option<u32>) {
        lock(&self.state.faults).push_back(Fault { method, path: path.to_owned(), misbehaviour, times });
    }

    /// Switches all faults off.
    pub fn clear_faults(&self) {
        lock(&self.state.faults).clear();
    }

    /// The requests received, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        lock(&self.state.requests).clone()
    }

    /// Clears the record of requests.
    pub fn forget_requests(&self) {
        lock(&self.state.requests).clear();
    }
}

impl Drop for ImageRegistry {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut.send_replace(());
    }
}

impl State {
    /// The fault for a request, if any.
    fn fault(&self, method: &str, path: &str) -> Option<Misbehaviour> {
        let mut faults = lock(&self.faults);
        let at = faults.iter().position(|it| path.contains(&it.path) && it.method.is_none_or(|only| only == method))?;
        let fault = &mut faults[at];
        let misbehaviour = fault.misbehaviour.clone();
        if let Some(times) = &mut fault.times {
            *times -= 1;
            if *times == 0 {
                faults.remove(at);
            }
        }
        Some(misbehaviour)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
