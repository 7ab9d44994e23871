//! Deadlines of one connection.
//!
//! hyper's header timeout also runs while a kept-alive connection is idle, so it cannot be short for a slow header and
//! long for a scraper that returns once a minute. hyper has no response timeout. One clock per connection covers every
//! phase, and the socket itself fails at the deadline, so hyper learns of it on both sides.

use super::Limits;
use crate::sync::lock;
use socket2::SockRef;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep_until};

/// Maximum pause of an event stream; heartbeats come far sooner.
const BETWEEN_FRAMES: Duration = Duration::from_secs(3600);

/// State of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// Idle between two requests.
    Idle,
    /// Receiving a request's header. A new connection starts here, so one that sends nothing is closed early.
    Header,
    /// Answering the request.
    Answering,
    /// An event stream is open. Only bytes being sent have a deadline.
    Streaming,
    /// The response is complete, but parts of it still wait for the socket.
    Flushing,
    /// Being closed: another connection needs its slot.
    Evicted,
}

/// Activity of a connection, as seen from outside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Activity {
    /// Idle since then.
    Idle(Instant),
    /// Receiving a header since then.
    Reading(Instant),
    /// Sending a response.
    Answering,
}

#[derive(Clone, Copy)]
struct PhaseState {
    phase: Phase,
    deadline: Instant,
    /// When the client last sent something, or got a response.
    since: Instant,
}

impl PhaseState {
    fn begin(phase: Phase, length: Duration) -> Self {
        let since = Instant::now();
        Self { phase, deadline: since + length, since }
    }
}

/// Phase and deadline of a connection. Almost only the connection's own task uses it.
pub(super) struct Clock {
    limits: Limits,
    now: Mutex<PhaseState>,
    evicted: Notify,
}

impl Clock {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, now: Mutex::new(PhaseState::begin(Phase::Header, limits.header)), evicted: Notify::new() }
    }

    /// Records that a request was read completely. A connection being closed stays open, so that no request is lost.
    pub(super) fn answering(&self) {
        *self.lock() = PhaseState::begin(Phase::Answering, self.limits.response);
    }

    /// Records that the last frame was passed on, or that the rest is not wanted.
    pub(super) fn answered(&self) {
        let mut now = self.lock();
        if now.phase == Phase::Streaming {
            *now = PhaseState::begin(Phase::Flushing, self.limits.frame);
        }
        now.phase = Phase::Flushing;
    }

    /// Records that the response is a stream, or that another frame was passed on.
    pub(super) fn streaming(&self) {
        *self.lock() = PhaseState::begin(Phase::Streaming, self.limits.frame);
    }

    fn is_streaming(&self) -> bool {
        self.lock().phase == Phase::Streaming
    }

    pub(super) fn activity(&self) -> Activity {
        let now = self.lock();
        match now.phase {
            Phase::Idle => Activity::Idle(now.since),
            Phase::Header => Activity::Reading(now.since),
            // A connection that is about to end is closed once.
            Phase::Answering | Phase::Streaming | Phase::Flushing | Phase::Evicted => Activity::Answering,
        }
    }

    /// Closes the connection, unless a response is being sent.
    pub(super) fn evict(&self) -> bool {
        let mut now = self.lock();
        if !matches!(now.phase, Phase::Idle | Phase::Header) {
            return false;
        }
        now.phase = Phase::Evicted;
        self.evicted.notify_one();
        true
    }

    /// Waits until the connection must be closed.
    pub(super) async fn evicted(&self) {
        loop {
            self.evicted.notified().await;
            if self.lock().phase == Phase::Evicted {
                return;
            }
        }
    }

    fn received(&self) {
        let mut now = self.lock();
        match now.phase {
            Phase::Idle => *now = PhaseState::begin(Phase::Header, self.limits.header),
            Phase::Header => now.since = Instant::now(),
            Phase::Answering | Phase::Streaming | Phase::Flushing | Phase::Evicted => {}
        }
    }

    /// Records that everything was passed to the kernel; returns whether a response ended.
    fn flushed(&self) -> bool {
        let mut now = self.lock();
        if now.phase == Phase::Streaming {
            *now = PhaseState::begin(Phase::Streaming, BETWEEN_FRAMES);
        }
        let is_answered = now.phase == Phase::Flushing;
        if is_answered {
            *now = PhaseState::begin(Phase::Idle, self.limits.idle);
        }
        is_answered
    }

    fn deadline(&self) -> Instant {
        self.lock().deadline
    }

    fn overdue(&self) -> io::Error {
        let message = match self.lock().phase {
            Phase::Idle => "no further request came",
            Phase::Header => "the request's header did not arrive in time",
            Phase::Answering | Phase::Streaming | Phase::Flushing => "the client did not read the answer in time",
            Phase::Evicted => "another connection needs the slot",
        };
        io::Error::new(ErrorKind::TimedOut, message)
    }

    fn lock(&self) -> MutexGuard<'_, PhaseState> {
        lock(&self.now)
    }
}

/// A socket that fails when its [`Clock`] runs out.
///
/// From the first byte of a response to its last, closing resets the connection. A response without a length, as in
/// HTTP/1.0, ends with its connection, and a truncated one must not look complete.
pub(super) struct Timed {
    socket: TcpStream,
    clock: Arc<Clock>,
    alarm: Pin<Box<Sleep>>,
    armed: bool,
}

impl Timed {
    pub(super) fn new(socket: TcpStream, clock: Arc<Clock>) -> Self {
        let alarm = Box::pin(sleep_until(clock.deadline()));
        Self { socket, clock, alarm, armed: false }
    }

    /// Fails after the deadline; otherwise schedules a wake-up for it.
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let deadline = self.clock.deadline();
        if self.alarm.deadline() != deadline {
            self.alarm.as_mut().reset(deadline);
        }
        match self.alarm.as_mut().poll(cx) {
            Poll::Ready(()) => Err(self.clock.overdue()),
            Poll::Pending => Ok(()),
        }
    }

    /// hyper's response to an unreadable request is complete at once.
    fn arm_for_answer(&mut self) -> io::Result<()> {
        let is_answering = self.clock.activity() == Activity::Answering;
        if is_answering { self.arm(true) } else { Ok(()) }
    }

    /// Fails if a stream's client closed the connection or sends something: it no longer reads. hyper would learn of it
    /// only from a failed write, one or two heartbeats later.
    fn check_reader(&self, cx: &mut Context<'_>) -> io::Result<()> {
        let mut byte = [0; 1];
        match self.socket.poll_peek(cx, &mut ReadBuf::new(&mut byte)) {
            Poll::Pending => Ok(()),
            Poll::Ready(Ok(_)) => Err(io::Error::new(ErrorKind::ConnectionReset, "the client left the stream")),
            Poll::Ready(Err(error)) => Err(error),
        }
    }

    /// Sets whether the kernel resets or ends the connection when it is closed.
    fn arm(&mut self, armed: bool) -> io::Result<()> {
        if self.armed != armed {
            SockRef::from(&self.socket).set_linger(armed.then_some(Duration::ZERO))?;
            self.armed = armed;
        }
        Ok(())
    }
}

impl AsyncRead for Timed {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            self.clock.received();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Timed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        self.arm_for_answer()?;
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        self.arm_for_answer()?;
        Pin::new(&mut self.socket).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    /// hyper flushes the socket only when its own buffers are empty: after the last frame, that ends the response.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.socket).poll_flush(cx))?;
        if self.clock.flushed() {
            self.arm(false)?;
        }
        if self.clock.is_streaming() {
            self.check_reader(cx)?;
        }
        Poll::Ready(self.check(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
