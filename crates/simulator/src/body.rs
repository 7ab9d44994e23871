//! Response bodies that are made piece by piece as the connection takes them, and truncated bodies.

use super::answer::Body;
use super::negotiate::Form;
use bytes::Bytes;
use futures::stream;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Bytes per piece: enough that the work between two pieces is negligible.
pub(super) const PIECE_BYTES: usize = 256 * 1024;

/// How long a connection that will be cut stays idle, so that everything written before is sent.
const BEFORE_CUT: Duration = Duration::from_millis(20);

/// A body in pieces. It is dropped when the client disconnects.
pub(super) trait Pieces: Send + 'static {
    /// The next piece; `None` at the end, an error to cut the connection.
    fn next_piece(&mut self) -> impl Future<Output = Option<io::Result<Bytes>>> + Send;
}

/// Makes an HTTP body of pieces.
pub(super) fn streamed(pieces: impl Pieces, pace: Arc<Pace>) -> Body {
    let frames = stream::unfold((pieces, pace), |(mut pieces, pace)| async move {
        let piece = pieces.next_piece().await?;
        pace.wait_for(piece.as_ref().map_or(0, Bytes::len)).await;
        Some((piece.map(Frame::data), (pieces, pace)))
    });
    StreamBody::new(frames).boxed_unsync()
}

/// Limits the rate of all responses together.
#[derive(Default, Debug)]
pub(super) struct Pace(Mutex<Option<Paced>>);

#[derive(Debug)]
struct Paced {
    bytes_a_second: f64,
    /// When everything released so far will have been sent.
    until: Instant,
}

/// A timer may wake a millisecond or more late; up to this much is compensated.
const MADE_UP_FOR: Duration = Duration::from_millis(20);

impl Pace {
    /// Limits the rate from now on; `None` for no limit.
    pub(super) fn set(&self, bytes_a_second: Option<f64>) {
        let paced = bytes_a_second.map(|bytes_a_second| Paced { bytes_a_second, until: Instant::now() });
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = paced;
    }

    async fn wait_for(&self, bytes: usize) {
        let until = self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut().map(|paced| paced.next(bytes));
        if let Some(until) = until.filter(|until| *until > Instant::now()) {
            tokio::time::sleep_until(until).await;
        }
    }
}

impl Paced {
    fn next(&mut self, bytes: usize) -> Instant {
        let from = Instant::now().checked_sub(MADE_UP_FOR).map_or(self.until, |earliest| self.until.max(earliest));
        self.until = from + Duration::from_secs_f64(bytes as f64 / self.bytes_a_second);
        self.until
    }
}

/// Ends a body by cutting its connection.
pub(super) async fn cut() -> io::Error {
    tokio::time::sleep(BEFORE_CUT).await;
    io::Error::new(io::ErrorKind::ConnectionAborted, "cut on purpose")
}

/// The first half of a response to truncate; never whole lines or frames.
pub(super) fn first_half(form: Form, mut answer: Vec<u8>) -> Vec<u8> {
    let half = answer.len() / 2;
    let is_whole = match form {
        Form::Json | Form::Table => answer[..half].ends_with(b"\n"),
        Form::Protobuf => ends_with_frame(&answer[..half]),
    };
    answer.truncate(if is_whole { half.saturating_sub(32) } else { half });
    answer
}

/// Whether these are whole frames, each with its length. No frame is as short as the part that is cut off.
fn ends_with_frame(mut frames: &[u8]) -> bool {
    while let Some((length, rest)) = frames.split_first_chunk() {
        match rest.get(u32::from_be_bytes(*length) as usize..) {
            Some(rest) => frames = rest,
            None => return false,
        }
    }
    frames.is_empty()
}
