//! The body of every answer: frames, pulled one by one as the socket takes them.

use super::Scrape;
use super::deadline::Clock;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Told the number of bytes when the last of them is handed over; never told of an answer that was cut short.
type Completed = Box<dyn FnOnce(u64) + Send>;

/// A body. Nothing is rendered ahead of the reader, so a slow one costs a frame of memory and no more.
pub(super) struct Body {
    frames: Box<dyn Iterator<Item = Bytes> + Send>,
    content_length: Option<u64>,
    sent: u64,
    completed: Option<Completed>,
    clock: Option<Arc<Clock>>,
}

impl Body {
    pub(super) fn text(text: impl Into<Bytes>) -> Self {
        let text = text.into();
        let content_length = Some(text.len() as u64);
        Self { frames: Box::new(std::iter::once(text)), content_length, sent: 0, completed: None, clock: None }
    }

    pub(super) fn scrape(scrape: Scrape, completed: Completed) -> Self {
        Self {
            frames: scrape.frames,
            content_length: scrape.content_length,
            sent: 0,
            completed: Some(completed),
            clock: None,
        }
    }

    /// Tells `clock` when hyper is done with this body, read to its end or not.
    pub(super) fn timed(mut self, clock: Arc<Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    fn complete(&mut self) {
        if let Some(completed) = self.completed.take() {
            completed(self.sent);
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let body = self.get_mut();
        let Some(frame) = body.frames.next() else {
            body.complete();
            return Poll::Ready(None);
        };
        body.sent += frame.len() as u64;
        // hyper asks for nothing after the last byte of a known length.
        if body.is_end_stream() {
            body.complete();
        }
        Poll::Ready(Some(Ok(Frame::data(frame))))
    }

    fn is_end_stream(&self) -> bool {
        self.content_length.is_some_and(|length| self.sent >= length)
    }

    fn size_hint(&self) -> SizeHint {
        self.content_length
            .map_or_else(SizeHint::default, |length| SizeHint::with_exact(length.saturating_sub(self.sent)))
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if let Some(clock) = &self.clock {
            clock.answered();
        }
    }
}
