//! Accepts connections, up to a limit, and lets those in flight finish when it is told to stop.

use super::deadline::{Clock, Timed};
use super::{Site, routes};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

/// How long and how many.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long a request's header may take, from its first byte, or from the start of the connection.
    pub header: Duration,
    /// How long an answer may take until the client's system has taken its last byte.
    pub response: Duration,
    /// How long a connection may rest between two requests. Scrapers come back every 15 to 120 seconds.
    pub idle: Duration,
    /// How many connections are served at once.
    pub connections: usize,
    /// How many connections beyond those are told so: `/livez` answers still, everything else with 503. That says more
    /// than a connection that hangs, and keeps the kubelet from restarting a podskew that is only busy. Beyond these,
    /// new ones wait in the kernel's queue.
    pub turned_away: usize,
    /// How long answers in flight may take once the server is told to stop.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header: Duration::from_secs(10),
            response: Duration::from_secs(30),
            idle: Duration::from_secs(180),
            connections: 256,
            turned_away: 64,
            // The whole shutdown has 5 s.
            grace: Duration::from_millis(4_500),
        }
    }
}

impl Limits {
    /// Who is turned away shall make room soon.
    fn for_admission(self, admission: Admission) -> Self {
        match admission {
            Admission::Served => self,
            Admission::TurnedAway => Self {
                header: self.header.min(Duration::from_secs(2)),
                response: self.response.min(Duration::from_secs(2)),
                ..self
            },
        }
    }
}

/// Whether a connection found a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Admission {
    /// It has one of the places.
    Served,
    /// All places are taken; it is answered once, briefly.
    TurnedAway,
}

/// Room for the request's header, and for what of the answer waits for the socket. hyper's default of 400 KiB each
/// would let 256 slow readers hold 200 MiB.
const BUFFER_BYTES: usize = 64 * 1024;

/// The HTTP server.
pub struct Server {
    listener: TcpListener,
    site: Arc<dyn Site>,
    limits: Limits,
    /// One permit for each connection that is served.
    places: Arc<Semaphore>,
    /// One permit for each connection that is turned away, and one for the next to come.
    doorway: Arc<Semaphore>,
}

impl Server {
    /// A server of `site` on a listener that [`bind`](super::bind) made.
    #[must_use]
    pub fn new(listener: TcpListener, site: Arc<dyn Site>, limits: Limits) -> Self {
        Self {
            listener,
            site,
            limits,
            places: Arc::new(Semaphore::new(limits.connections)),
            doorway: Arc::new(Semaphore::new(limits.turned_away + 1)),
        }
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
            let (stream, permit, admission) = tokio::select! {
                biased;
                () = &mut stop => break,
                // Reaps. A pause that this cuts short was waiting for exactly this: a file descriptor to become free.
                Some(_) = connections.join_next() => continue,
                accepted = self.accept(&mut pause) => accepted,
            };
            let site = Arc::clone(&self.site);
            let limits = self.limits.for_admission(admission);
            let closing = closing.subscribe();
            connections.spawn(async move {
                let _permit = permit;
                if let Err(error) = serve_connection(stream, site, limits, admission, closing).await {
                    tracing::debug!(error = &error as &dyn std::error::Error, "a connection ended early");
                }
            });
        }
        drop(self.listener);
        closing.send_replace(true);
        let drained =
            tokio::time::timeout(self.limits.grace, async { while connections.join_next().await.is_some() {} });
        if drained.await.is_err() {
            tracing::warn!(connections = connections.len(), "cut the answers that did not finish in time");
            connections.shutdown().await;
        }
    }

    /// The next connection, with the permit it holds as long as it lives.
    async fn accept(&self, pause: &mut Pause) -> (TcpStream, Option<OwnedSemaphorePermit>, Admission) {
        // None of the semaphores is ever closed, so the permit is always there.
        let at_the_door = Arc::clone(&self.doorway).acquire_owned().await.ok();
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    pause.reset();
                    return match Arc::clone(&self.places).try_acquire_owned() {
                        Ok(place) => (stream, Some(place), Admission::Served),
                        Err(_) => (stream, at_the_door, Admission::TurnedAway),
                    };
                }
                Err(error) if concerns_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "cannot accept connections at the moment");
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
    limits: Limits,
    admission: Admission,
    mut closing: watch::Receiver<bool>,
) -> hyper::Result<()> {
    // Without it the last, small segment of an answer would wait for an acknowledgement. If it fails, it waits.
    let _ = stream.set_nodelay(true);
    let clock = Arc::new(Clock::new(limits));
    let io = TokioIo::new(Timed::new(stream, Arc::clone(&clock)));
    let service = service_fn(|request| {
        clock.answering();
        let answer = routes::answer(&site, &request, admission).map(|body| body.timed(Arc::clone(&clock)));
        std::future::ready(Ok::<_, Infallible>(answer))
    });
    let mut connection = pin!(
        http1::Builder::new()
            // `Clock` keeps this time and the others.
            .header_read_timeout(None)
            .keep_alive(admission == Admission::Served)
            .max_buf_size(BUFFER_BYTES)
            .serve_connection(io, service)
    );
    let told_to_close = async {
        // An error means that the server is gone, which is the same.
        let _ = closing.wait_for(|closing| *closing).await;
    };
    tokio::select! {
        ended = connection.as_mut() => return ended,
        () = told_to_close => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}
