//! Response bodies: frames, pulled one by one as the socket accepts them.

use super::Scrape;
use super::deadline::Clock;
use bytes::{Buf, Bytes};
use futures::stream::BoxStream;
use http_body::{Frame, SizeHint};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// Called with the number of bytes after the last one; never called for a truncated response.
type Completed = Box<dyn FnOnce(u64) + Send>;

/// Bytes per piece for frames that are created while sending. hyper passes each piece to the kernel by itself, and most
/// frames have a few KiB. Each piece takes memory.
const PIECE: usize = 64 * 1024;

/// Bytes per piece for existing frames, which take no memory.
const PIECE_AT_REST: usize = 512 * 1024;

/// Frames that are sent as one, without copying.
#[derive(Default)]
pub(super) struct FrameRun {
    frames: VecDeque<Bytes>,
    remaining: usize,
}

/// A response body. Nothing is rendered ahead of the reader, so a slow reader costs the memory of one piece.
pub(super) struct Body {
    frames: Box<dyn Iterator<Item = Bytes> + Send>,
    /// An event stream, instead of frames.
    stream: Option<BoxStream<'static, Bytes>>,
    content_length: Option<u64>,
    sent: u64,
    completed: Option<Completed>,
    clock: Option<Arc<Clock>>,
}

impl Body {
    pub(super) fn text(text: impl Into<Bytes>) -> Self {
        let text = text.into();
        let content_length = Some(text.len() as u64);
        Self {
            frames: Box::new(std::iter::once(text)),
            stream: None,
            content_length,
            sent: 0,
            completed: None,
            clock: None,
        }
    }

    pub(super) fn scrape(scrape: Scrape, completed: Completed) -> Self {
        Self {
            frames: scrape.frames,
            stream: None,
            content_length: scrape.content_length,
            sent: 0,
            completed: Some(completed),
            clock: None,
        }
    }

    /// A body of frames that are sent as they arrive.
    pub(super) fn stream(stream: BoxStream<'static, Bytes>) -> Self {
        Self {
            frames: Box::new(std::iter::empty()),
            stream: Some(stream),
            content_length: None,
            sent: 0,
            completed: None,
            clock: None,
        }
    }

    /// Reports to `clock` when hyper drops this body, whether or not it was read to its end.
    pub(super) fn timed(mut self, clock: Arc<Clock>) -> Self {
        if self.stream.is_some() {
            clock.streaming();
        }
        self.clock = Some(clock);
        self
    }

    fn complete(&mut self) {
        if let Some(completed) = self.completed.take() {
            completed(self.sent);
        }
    }
}

impl FrameRun {
    fn push(&mut self, frame: Bytes) {
        if !frame.is_empty() {
            self.remaining += frame.len();
            self.frames.push_back(frame);
        }
    }
}

impl Buf for FrameRun {
    fn remaining(&self) -> usize {
        self.remaining
    }

    fn chunk(&self) -> &[u8] {
        self.frames.front().map_or(&[], |frame| frame)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let chunks = self.frames.iter().zip(slices.iter_mut());
        chunks.map(|(frame, slice)| *slice = IoSlice::new(frame)).count()
    }

    fn advance(&mut self, mut count: usize) {
        self.remaining = self.remaining.saturating_sub(count);
        while let Some(frame) = self.frames.front_mut() {
            if count < frame.len() {
                frame.advance(count);
                return;
            }
            count -= frame.len();
            self.frames.pop_front();
        }
    }
}

impl http_body::Body for Body {
    type Data = FrameRun;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<FrameRun>, Infallible>>> {
        let body = self.get_mut();
        let mut piece = FrameRun::default();
        if let Some(stream) = &mut body.stream {
            let Some(frame) = ready!(stream.as_mut().poll_next(cx)) else { return Poll::Ready(None) };
            if let Some(clock) = &body.clock {
                clock.streaming();
            }
            piece.push(frame);
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        let most = if body.content_length.is_some() { PIECE_AT_REST } else { PIECE };
        while piece.remaining < most
            && let Some(frame) = body.frames.next()
        {
            piece.push(frame);
        }
        if piece.remaining == 0 {
            body.complete();
            return Poll::Ready(None);
        }
        body.sent += piece.remaining as u64;
        // hyper does not poll again after the last byte of a known length.
        if body.is_end_stream() {
            body.complete();
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
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

#[cfg(test)]
mod tests {
    use super::{Buf, Bytes, FrameRun, IoSlice};
    use proptest::prelude::*;

    proptest! {
        /// However many bytes a socket takes at a time, it gets every byte once and in order.
        #[test]
        fn a_piece_is_its_frames(
            frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..9), 0..9),
            steps in proptest::collection::vec((1_usize..20, 1_usize..5), 1..80),
        ) {
            let expected = frames.concat();
            let mut piece = FrameRun::default();
            frames.into_iter().map(Bytes::from).for_each(|frame| piece.push(frame));
            let mut read = Vec::new();
            for (most, vectors) in steps {
                prop_assert_eq!(piece.remaining(), expected.len() - read.len());
                let mut slices = vec![IoSlice::new(&[]); vectors];
                let filled = piece.chunks_vectored(&mut slices);
                let seen = slices[..filled].iter().flat_map(|slice| slice.iter().copied()).collect::<Vec<u8>>();
                prop_assert!(seen.starts_with(piece.chunk()) && piece.has_remaining() != piece.chunk().is_empty());
                let taken = most.min(seen.len());
                read.extend_from_slice(&seen[..taken]);
                piece.advance(taken);
            }
            prop_assert!(expected.starts_with(&read));
            read.extend_from_slice(&piece.copy_to_bytes(piece.remaining()));
            prop_assert_eq!(read, expected);
        }
    }
}
