//! A container registry in this process: the pulling half of the OCI distribution API, over real HTTP.
//!
//! Its tags move by script, it asks for Basic or Bearer authorization, and it can be told to misbehave as registries do.
#![allow(clippy::must_use_candidate, reason = "who pushes by a tag needs no digest")]

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

/// How a registry asks who is there.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Authorization {
    /// It does not ask.
    #[default]
    None,
    /// A user and a password.
    Basic(String, String),
    /// A token of its own token server, which wants this user and password, or nobody's where there are none.
    Bearer(Option<(String, String)>),
    /// A token of the token server at this URL.
    Realm(String),
}

/// What a registry does instead of answering.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Misbehaviour {
    /// This status, with these headers.
    Status(u16, Vec<(&'static str, String)>),
    /// HEAD answers without a digest.
    NoDigest,
    /// This digest instead of its own.
    Digest(String),
    /// Another body than the one that has the digest.
    OtherBody(Vec<u8>),
    /// A body without an end.
    Endless,
    /// No answer.
    Hangs,
    /// A byte of the body each time this has passed.
    Slow(Duration),
    /// Something that is no HTTP.
    Garbage,
    /// The connection is closed.
    Closes,
}

/// A request that came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AskedFor {
    /// Its method.
    pub method: String,
    /// Its path, with the query.
    pub path: String,
    /// Its credentials.
    pub authorization: Option<String>,
    /// The media types that it takes.
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

/// What all connections share.
#[derive(Debug, Default)]
struct State {
    content: Mutex<Content>,
    authorization: Mutex<Authorization>,
    faults: Mutex<VecDeque<Fault>>,
    asked: Mutex<Vec<AskedFor>>,
    /// Tokens that were handed out and are still good.
    tokens: Mutex<Vec<String>>,
    base: Mutex<String>,
    followed: Mutex<Followed>,
}

/// Resolver for tags that were not pushed.
#[derive(Default)]
struct Followed(Option<Box<Resolve>>);

type Resolve = dyn Fn(&str, &str) -> Option<String> + Send + Sync;

impl std::fmt::Debug for Followed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Followed" } else { "Nobody" })
    }
}

/// A fault for the requests whose method and path contain this.
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
        registry.named(&registry.url());
        Ok(registry)
    }

    /// Where it listens: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}", if self.is_secure { "https" } else { "http" }, self.address)
    }

    /// Where it listens, as image references name it.
    #[must_use]
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// The port that it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Names this URL as that of its token server.
    pub fn named(&self, url: &str) {
        url.clone_into(&mut lock(&self.state.base));
    }

    /// Asks who is there from now on; tokens that were handed out are not good any more.
    pub fn set_authorization(&self, authorization: Authorization) {
        *lock(&self.state.authorization) = authorization;
        self.expire_tokens();
    }

    /// Tokens that were handed out are not good any more.
    pub fn expire_tokens(&self) {
        lock(&self.state.tokens).clear();
    }

    /// Pushes an image of one platform; the digest of its manifest.
    pub fn push(&self, repository: &str, tag: Option<&str>, image: &Image) -> String {
        lock(&self.state.content).push(repository, tag, image)
    }

    /// Pushes an index of images that were pushed before; its digest. With `provenance`, an attestation of this text beside them.
    pub fn push_index(
        &self,
        repository: &str,
        tag: Option<&str>,
        children: &[(Platform, String)],
        provenance: Option<&str>,
    ) -> String {
        lock(&self.state.content).push_index(repository, tag, children, provenance)
    }

    /// Puts a manifest as it is; its digest.
    pub fn put_manifest(&self, repository: &str, tag: Option<&str>, media_type: &str, body: &[u8]) -> String {
        lock(&self.state.content).put_manifest(repository, tag, media_type, body)
    }

    /// Stores a blob and returns its digest.
    pub fn put_blob(&self, repository: &str, body: &[u8]) -> String {
        lock(&self.state.content).put_blob(repository, body)
    }

    /// Lets a tag stand for a digest that was pushed.
    pub fn tag(&self, repository: &str, tag: &str, digest: &str) {
        lock(&self.state.content).tag(repository, tag, digest);
    }

    /// Sets a resolver for tags that were not pushed. It gets repository and tag; the registry serves no content for these digests.
    pub fn follow(&self, resolve: impl Fn(&str, &str) -> Option<String> + Send + Sync + 'static) {
        lock(&self.state.followed).0 = Some(Box::new(resolve));
    }

    /// Deletes a tag or a digest.
    pub fn delete(&self, repository: &str, reference: &str) {
        lock(&self.state.content).delete(repository, reference);
    }

    /// Misbehaves for every request whose path contains `path`, the next `times` times or until the faults are cleared.
    pub fn inject(&self, path: &str, misbehaviour: Misbehaviour, times: Option<u32>) {
        self.inject_for(None, path, misbehaviour, times);
    }

    /// The same for one method.
    pub fn inject_for(&self, method: Option<&'static str>, path: &str, misbehaviour: Misbehaviour, times: Option<u32>) {
        lock(&self.state.faults).push_back(Fault { method, path: path.to_owned(), misbehaviour, times });
    }

    /// Switches all faults off.
    pub fn clear_faults(&self) {
        lock(&self.state.faults).clear();
    }

    /// The requests that came, oldest first.
    #[must_use]
    pub fn asked(&self) -> Vec<AskedFor> {
        lock(&self.state.asked).clone()
    }

    /// Forgets them.
    pub fn forget_asked(&self) {
        lock(&self.state.asked).clear();
    }
}

impl Drop for ImageRegistry {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut.send_replace(());
    }
}

impl State {
    /// What to do instead of answering a request.
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
