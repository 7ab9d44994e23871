//! The deadlines of one connection.
//!
//! hyper's own header timeout also runs while a kept-alive connection rests between two requests, so it cannot be
//! short for a slow header and long for a scraper that returns once a minute; and hyper has none for a response. One
//! clock a connection covers every phase, and the socket itself fails when the time is up: whichever side of it hyper
//! waits for, it learns of it.

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

/// How long a stream may rest; signs of life come far sooner.
const BETWEEN_FRAMES: Duration = Duration::from_secs(3600);

/// What a connection is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// Resting between two requests.
    Idle,
    /// A request's header is on its way. A new connection begins here: who connects and says nothing is cut early.
    Header,
    /// The request is being answered.
    Answering,
    /// A stream of events is open. Only what is on its way has a deadline.
    Streaming,
    /// The answer is complete, and parts of it still wait for the socket.
    Flushing,
    /// The connection is to be closed: another needs its place.
    Evicted,
}

/// What a connection does, as others see it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Activity {
    /// Nothing, since then.
    Idle(Instant),
    /// A header arrives; the last of it then.
    Reading(Instant),
    /// An answer is on its way.
    Answering,
}

#[derive(Clone, Copy)]
struct PhaseState {
    phase: Phase,
    deadline: Instant,
    /// When the client was last heard, or was answered.
    since: Instant,
}

impl PhaseState {
    fn begin(phase: Phase, length: Duration) -> Self {
        let since = Instant::now();
        Self { phase, deadline: since + length, since }
    }
}

/// The phase of one connection and when it must end. Hardly anybody but the connection's own task touches it.
pub(super) struct Clock {
    limits: Limits,
    now: Mutex<PhaseState>,
    evicted: Notify,
}

impl Clock {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, now: Mutex::new(PhaseState::begin(Phase::Header, limits.header)), evicted: Notify::new() }
    }

    /// A request was read completely. If the connection was to be closed, it stays: nothing that is asked is lost.
    pub(super) fn answering(&self) {
        *self.lock() = PhaseState::begin(Phase::Answering, self.limits.response);
    }

    /// The last frame of the answer was handed over, or nobody wants the rest.
    pub(super) fn answered(&self) {
        let mut now = self.lock();
        if now.phase == Phase::Streaming {
            *now = PhaseState::begin(Phase::Flushing, self.limits.frame);
        }
        now.phase = Phase::Flushing;
    }

    /// The answer is a stream, or another frame of it was handed over.
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
            // What is about to go is closed once.
            Phase::Answering | Phase::Streaming | Phase::Flushing | Phase::Evicted => Activity::Answering,
        }
    }

    /// Has the connection closed, unless an answer is on its way.
    pub(super) fn evict(&self) -> bool {
        let mut now = self.lock();
        if !matches!(now.phase, Phase::Idle | Phase::Header) {
            return false;
        }
        now.phase = Phase::Evicted;
        self.evicted.notify_one();
        true
    }

    /// Waits until the connection has to be closed.
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

    /// Everything is with the system. `true` if that was the end of an answer.
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
            Phase::Evicted => "another connection needs the place",
        };
        io::Error::new(ErrorKind::TimedOut, message)
    }

    fn lock(&self) -> MutexGuard<'_, PhaseState> {
        lock(&self.now)
    }
}

/// A socket that fails when its [`Clock`] runs out.
///
/// From the first byte of an answer to its last it is armed: a connection that ends in between is reset. An answer without a
/// length, as HTTP/1.0 has them, ends with its connection, and a cut one must not look whole.
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

    /// Fails if the time is up, else wakes the task when it will be.
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

    /// What hyper says of a request it cannot read is whole at once.
    fn arm_for_answer(&mut self) -> io::Result<()> {
        let is_answering = self.clock.activity() == Activity::Answering;
        if is_answering { self.arm(true) } else { Ok(()) }
    }

    /// Fails if the client of a stream has closed the connection, or sends something: it does not read the stream any more.
    /// hyper would learn of it only from a failed write, and that is a sign of life or two later.
    fn check_reader(&self, cx: &mut Context<'_>) -> io::Result<()> {
        let mut byte = [0; 1];
        match self.socket.poll_peek(cx, &mut ReadBuf::new(&mut byte)) {
            Poll::Pending => Ok(()),
            Poll::Ready(Ok(_)) => Err(io::Error::new(ErrorKind::ConnectionReset, "the client left the stream")),
            Poll::Ready(Err(error)) => Err(error),
        }
    }

    /// Says what the system does with the connection when it is closed, however that happens: reset it, or end it.
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

    /// hyper flushes the socket only once its own buffers are empty: after the last frame, that ends the answer.
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
