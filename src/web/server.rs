//! Accepts connections, up to a limit, and lets those in flight finish when it is told to stop.

use super::deadline::Timed;
use super::limits::Admission;
use super::slots::{ConnectionSlot, ConnectionSlots};
use super::stream::Stream;
use super::{Limits, Site, routes};
use crate::access::AccessControl;
use futures::FutureExt as _;
use futures::future::Either;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::error::Error;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Room for the request's header, and for what of the answer waits for the socket. hyper's default of 400 KiB each
/// would let 256 slow readers hold 200 MiB.
const BUFFER_BYTES: usize = 64 * 1024;

/// The HTTP server.
pub struct Server {
    listener: TcpListener,
    site: Arc<dyn Site>,
    limits: Limits,
    slots: Arc<ConnectionSlots>,
    access: Option<Arc<AccessControl>>,
}

impl Server {
    /// A server of `site` on a listener that [`bind`](super::bind) made.
    #[must_use]
    pub fn new(listener: TcpListener, site: Arc<dyn Site>, limits: Limits) -> Self {
        Self { listener, site, limits, slots: Arc::new(ConnectionSlots::new(limits)), access: None }
    }

    /// Restricts access; `None` serves everybody.
    #[must_use]
    pub fn with_access(mut self, access: Option<Arc<AccessControl>>) -> Self {
        self.access = access;
        self
    }

    /// Where it listens; tells the port if port 0 was asked for.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` is done, then refuses new connections, finishes the answers in flight within
    /// [`Limits::grace`], and returns. Dropping this future cuts every connection at once.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        let mut connections = JoinSet::new();
        let (closing, _) = watch::channel(false);
        let mut pause = Pause::default();
        loop {
            let stream = tokio::select! {
                biased;
                () = &mut stop => break,
                // Reaps. A pause that this cuts short was waiting for exactly this: a file descriptor to become free.
                Some(_) = connections.join_next() => continue,
                stream = self.accept(&mut pause) => stream,
            };
            let mut slot = tokio::select! {
                biased;
                () = &mut stop => break,
                slot = self.slots.take() => slot,
            };
            slot.peer = stream.peer_addr().ok().map(|address| address.ip().to_canonical());
            let site = Arc::clone(&self.site);
            let closing = closing.subscribe();
            let access = self.access.clone();
            connections.spawn(async move {
                if let Err(error) = serve_connection(stream, site, slot, access, closing).await {
                    tracing::debug!(error = &*error as &dyn std::error::Error, "a connection ended early");
                }
            });
        }
        drop(self.listener);
        closing.send_replace(true);
        self.slots.streams.close();
        let drained =
            tokio::time::timeout(self.limits.grace, async { while connections.join_next().await.is_some() {} });
        if drained.await.is_err() {
            tracing::warn!(connections = connections.len(), "cut the answers that did not finish in time");
            connections.shutdown().await;
        }
    }

    /// The next connection.
    async fn accept(&self, pause: &mut Pause) -> TcpStream {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    pause.reset();
                    return stream;
                }
                Err(error) if concerns_one_connection(&error) => {}
                Err(error) => {
                    let closed = self.slots.close_idlest();
                    tracing::debug!(
                        error = &error as &dyn std::error::Error,
                        closed,
                        "cannot accept connections at the moment"
                    );
                    pause.wait().await;
                }
            }
        }
    }
}

/// The client gave up between its connect and our accept.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused)
}

/// How long to wait after accepting failed, most often for want of file descriptors: longer each time, up to a second.
struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(Self::SHORTEST)
    }
}

impl Pause {
    const SHORTEST: Duration = Duration::from_millis(10);
    const LONGEST: Duration = Duration::from_secs(1);

    fn reset(&mut self) {
        self.0 = Self::SHORTEST;
    }

    async fn wait(&mut self) {
        let now = self.0;
        self.0 = (now * 2).min(Self::LONGEST);
        tokio::time::sleep(now).await;
    }
}

async fn serve_connection(
    stream: TcpStream,
    site: Arc<dyn Site>,
    slot: ConnectionSlot,
    access: Option<Arc<AccessControl>>,
    mut closing: watch::Receiver<bool>,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    // Without it the last, small segment of an answer would wait for an acknowledgement. If it fails, it waits.
    let _ = stream.set_nodelay(true);
    let clock = &slot.clock;
    let stream = Timed::new(stream, Arc::clone(clock));
    let stream = match access.as_ref().and_then(|access| access.tls()) {
        None => Stream::Plain(stream),
        // The deadline of the first request's header includes the handshake.
        Some(acceptor) => tokio::select! {
            biased;
            () = clock.evicted() => return Ok(()),
            handshake = Box::pin(acceptor.accept(stream)) => Stream::Tls(Box::new(handshake?)),
            () = is_closing(&mut closing) => return Ok(()),
        },
    };
    let has_certificate = stream.has_certificate();
    let (site, slot, access) = (&site, &slot, access.as_deref());
    let service = service_fn(move |request: Request<Incoming>| {
        clock.answering();
        let answer = match access {
            None => Either::Left(routes::answer(site, &request, slot)),
            Some(access) => Either::Right(Box::pin(async move {
                routes::controlled_answer(access, site, &request, slot, has_certificate).await
            })),
        };
        answer.map(|answer| Ok::<_, Infallible>(answer.map(|body| body.timed(Arc::clone(clock)))))
    });
    let mut connection = pin!(
        http1::Builder::new()
            // `Clock` keeps this time and the others.
            .header_read_timeout(None)
            .keep_alive(slot.admission == Admission::Served)
            // A client may say that it has nothing more to ask before it reads the answer.
            .half_close(true)
            .max_buf_size(BUFFER_BYTES)
            .serve_connection(TokioIo::new(stream), service)
    );
    tokio::select! {
        biased;
        () = clock.evicted() => return Ok(()),
        ended = connection.as_mut() => return Ok(ended?),
        () = is_closing(&mut closing) => connection.as_mut().graceful_shutdown(),
    }
    Ok(connection.await?)
}

/// Waits until the server is told to stop.
async fn is_closing(closing: &mut watch::Receiver<bool>) {
    // An error means that the server is gone, which is the same.
    let _ = closing.wait_for(|closing| *closing).await;
}
