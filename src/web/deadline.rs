//! The deadlines of one connection.
//!
//! hyper's own header timeout also runs while a kept-alive connection rests between two requests, so it cannot be
//! short for a slow header and long for a scraper that returns once a minute; and hyper has none for a response. One
//! clock a connection covers every phase, and the socket itself fails when the time is up: whichever side of it hyper
//! waits for, it learns of it.

use super::Limits;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// What a connection is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// Resting between two requests.
    Idle,
    /// A request's header is on its way. A new connection begins here: who connects and says nothing is cut early.
    Header,
    /// The request is being answered.
    Answering,
    /// The answer is complete, and parts of it still wait for the socket.
    Flushing,
}

/// The phase of one connection and when it must end. Only the connection's own task touches it, so the lock is free.
pub(super) struct Clock {
    limits: Limits,
    now: Mutex<(Phase, Instant)>,
}

impl Clock {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, now: Mutex::new((Phase::Header, Instant::now() + limits.header)) }
    }

    /// A request was read completely.
    pub(super) fn answering(&self) {
        *self.lock() = (Phase::Answering, Instant::now() + self.limits.response);
    }

    /// The last frame of the answer was handed over, or nobody wants the rest.
    pub(super) fn answered(&self) {
        self.lock().0 = Phase::Flushing;
    }

    fn received(&self) {
        let mut now = self.lock();
        if now.0 == Phase::Idle {
            *now = (Phase::Header, Instant::now() + self.limits.header);
        }
    }

    fn flushed(&self) {
        let mut now = self.lock();
        if now.0 == Phase::Flushing {
            *now = (Phase::Idle, Instant::now() + self.limits.idle);
        }
    }

    fn deadline(&self) -> Instant {
        self.lock().1
    }

    fn overdue(&self) -> io::Error {
        let message = match self.lock().0 {
            Phase::Idle => "no further request came",
            Phase::Header => "the request's header did not arrive in time",
            Phase::Answering | Phase::Flushing => "the client did not read the answer in time",
        };
        io::Error::new(ErrorKind::TimedOut, message)
    }

    fn lock(&self) -> MutexGuard<'_, (Phase, Instant)> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A socket that fails when its [`Clock`] runs out.
pub(super) struct Timed<S> {
    socket: S,
    clock: Arc<Clock>,
    alarm: Pin<Box<Sleep>>,
}

impl<S> Timed<S> {
    pub(super) fn new(socket: S, clock: Arc<Clock>) -> Self {
        let alarm = Box::pin(sleep_until(clock.deadline()));
        Self { socket, clock, alarm }
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
}

impl<S: AsyncRead + Unpin> AsyncRead for Timed<S> {
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

impl<S: AsyncWrite + Unpin> AsyncWrite for Timed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.socket).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    /// hyper flushes the socket only once its own buffers are empty: after the last frame, that ends the answer.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.socket).poll_flush(cx))?;
        self.clock.flushed();
        Poll::Ready(self.check(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
