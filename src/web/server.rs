//! Accepts connections up to a limit, and finishes responses in flight at shutdown.

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

/// Buffer per connection for the request's header and unsent parts of the response. With hyper's default of 400 KiB,
/// 256 slow readers would hold 200 MiB.
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
    /// A server for `site` on a listener from [`bind`](super::bind).
    #[must_use]
    pub fn new(listener: TcpListener, site: Arc<dyn Site>, limits: Limits) -> Self {
        Self { listener, site, limits, slots: Arc::new(ConnectionSlots::new(limits)), access: None }
    }

    /// Restricts access; `None` admits everybody.
    #[must_use]
    pub fn with_access(mut self, access: Option<Arc<AccessControl>>) -> Self {
        self.access = access;
        self
    }

    /// The listening address, with the actual port for port 0.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` completes. Then it refuses new connections, finishes responses in flight within
    /// [`Limits::grace`], and returns. Dropping this future closes every connection at once.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        let mut connections = JoinSet::new();
        let (closing, _) = watch::channel(false);
        let mut pause = Pause::default();
        loop {
            let stream = tokio::select! {
                biased;
                () = &mut stop => break,
                // Reaps finished connections. Interrupting a pause is fine: it waited for a file descriptor.
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
                    tracing::debug!(error = &*error as &dyn std::error::Error, "connection ended early");
                }
            });
        }
        drop(self.listener);
        closing.send_replace(true);
        self.slots.streams.close();
        let drained =
            tokio::time::timeout(self.limits.grace, async { while connections.join_next().await.is_some() {} });
        if drained.await.is_err() {
            tracing::warn!(
                connections = connections.len(),
                "closed connections whose responses did not finish in time"
            );
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
                        "cannot accept connections, retrying"
                    );
                    pause.wait().await;
                }
            }
        }
    }
}

/// The client gave up before the connection was accepted.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused)
}

/// Pause after a failed accept, most often for lack of file descriptors. It grows up to one second.
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
    // Otherwise the last small segment of a response waits for an acknowledgement. A failure is harmless.
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
            // `Clock` enforces this timeout and the others.
            .header_read_timeout(None)
            .keep_alive(slot.admission == Admission::Served)
            // A client may close its sending side before it reads the response.
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

/// Waits for the shutdown signal.
async fn is_closing(closing: &mut watch::Receiver<bool>) {
    // An error means that the server is gone, which is a shutdown, too.
    let _ = closing.wait_for(|closing| *closing).await;
}
