//! Response bodies: the fragments of a picture, current ages, and the framing of one gzip member.

use super::family::push_running;
use super::fragment::{Checksum, Deflater, GZIP_HEADER, Inflater};
use super::picture::{FamilyPicture, Picture};
use super::{Encoding, Format, health};
use crate::time::UnixTime;
use bytes::Bytes;
use prometheus::proto::MetricFamily;
use std::sync::Arc;

/// Maximum bytes to inflate at a time for a client without gzip.
const PIECE: usize = 64 * 1024;

/// A scrape's response body, frame by frame, without copying the picture. It keeps its picture alive.
pub struct ResponseBody {
    /// The total length, if known in advance (gzip).
    pub content_length: Option<u64>,
    picture: Arc<Picture>,
    format: Format,
    /// The header of the gzip member; empty without gzip.
    head: Bytes,
    /// The age series of each family, encoded.
    ages: Vec<Bytes>,
    /// Own health and the end of the body, encoded.
    tail: Bytes,
    next: Position,
    inflate: Option<Inflating>,
}

/// The next part to send.
enum Position {
    Head,
    Header { family: usize },
    Fragment { family: usize, fragment: usize },
    Ages { family: usize },
    Tail,
    Nothing,
}

/// A fragment that is being inflated for a client without gzip.
struct Inflating {
    inflater: Inflater,
    rest: Bytes,
    /// Bytes of its text not yet sent.
    left: usize,
}

impl Picture {
    /// Returns the body of one scrape. `own_health` comes from the `prometheus` crate.
    #[must_use]
    pub fn answer(
        self: &Arc<Self>,
        own_health: &[MetricFamily],
        format: Format,
        encoding: Encoding,
        now: UnixTime,
    ) -> ResponseBody {
        let mut deflater = (encoding == Encoding::Gzip).then(Deflater::new);
        let mut encode = |text: String| match &mut deflater {
            Some(deflater) if !text.is_empty() => deflater.deflate(text.as_bytes()),
            _ => text.into(),
        };
        let mut sum = Checksum::default();
        let mut ages = Vec::with_capacity(self.families.len());
        for family in &self.families {
            let text = family.ages(now);
            sum = sum.then(family.headers.of(format).sum).then(family.sum).then(Checksum::of(text.as_bytes()));
            ages.push(encode(text));
        }
        let mut text = String::new();
        health::encode(own_health, &self.selection, format, &mut text);
        if format == Format::OpenMetrics {
            text.push_str("# EOF\n");
        }
        sum = sum.then(Checksum::of(text.as_bytes()));
        let mut tail = encode(text);
        let mut head = Bytes::new();
        if encoding == Encoding::Gzip {
            head = Bytes::from_static(&GZIP_HEADER);
            tail = [&tail[..], &sum.gzip_trailer()].concat().into();
        }
        let fresh = head.len() + tail.len() + ages.iter().map(Bytes::len).sum::<usize>();
        let at_rest = |family: &Arc<FamilyPicture>| family.headers.of(format).deflated.len() as u64 + family.deflated;
        let at_rest = self.families.iter().map(at_rest).sum::<u64>();
        ResponseBody {
            content_length: (encoding == Encoding::Gzip).then_some(at_rest + fresh as u64),
            picture: Arc::clone(self),
            format,
            head,
            ages,
            tail,
            next: Position::Head,
            inflate: (encoding == Encoding::Identity).then(|| Inflating {
                inflater: Inflater::new(),
                rest: Bytes::new(),
                left: 0,
            }),
        }
    }
}

impl FamilyPicture {
    fn ages(&self, now: UnixTime) -> String {
        let mut text = String::new();
        for ages in &self.ages {
            push_running(&mut text, ages, now);
        }
        text
    }
}

impl ResponseBody {
    /// Returns the next frame, with the text's length if it is a deflated fragment. Everything else is encoded already.
    fn next_frame(&mut self) -> Option<(Bytes, Option<u64>)> {
        match self.next {
            Position::Head => {
                self.next = Position::Header { family: 0 };
                Some((self.head.clone(), None))
            }
            Position::Header { family } => {
                let Some(of_family) = self.picture.families.get(family) else {
                    self.next = Position::Tail;
                    return self.next_frame();
                };
                let header = of_family.headers.of(self.format);
                self.next = Position::Fragment { family, fragment: 0 };
                Some((header.deflated.clone(), Some(header.sum.length)))
            }
            Position::Fragment { family, fragment } => {
                let of_family = self.picture.families.get(family);
                let Some(found) = of_family.and_then(|of_family| of_family.fragments.get(fragment)) else {
                    self.next = Position::Ages { family };
                    return self.next_frame();
                };
                self.next = Position::Fragment { family, fragment: fragment + 1 };
                Some((found.deflated.clone(), Some(found.sum.length)))
            }
            Position::Ages { family } => {
                self.next = Position::Header { family: family + 1 };
                Some((self.ages.get(family).cloned().unwrap_or_default(), None))
            }
            Position::Tail => {
                self.next = Position::Nothing;
                Some((self.tail.clone(), None))
            }
            Position::Nothing => None,
        }
    }
}

impl Inflating {
    /// Returns the next piece of the fragment's text, in memory of just that size; `None` at its end.
    fn next_piece(&mut self) -> Option<Vec<u8>> {
        if self.rest.is_empty() && self.left == 0 {
            return None;
        }
        // One byte more, to read the sync flush, too.
        let piece = self.inflater.inflate_piece(&mut self.rest, PIECE.min(self.left.saturating_add(1)));
        self.left = self.left.saturating_sub(piece.len());
        (!piece.is_empty()).then_some(piece)
    }
}

impl Iterator for ResponseBody {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(piece) = self.inflate.as_mut().and_then(Inflating::next_piece) {
                return Some(piece.into());
            }
            let (frame, text) = self.next_frame()?;
            match (&mut self.inflate, text) {
                (Some(inflating), Some(length)) => {
                    inflating.rest = frame;
                    inflating.left = usize::try_from(length).unwrap_or(usize::MAX);
                }
                // An empty frame would end a chunked body.
                _ if frame.is_empty() => {}
                _ => return Some(frame),
            }
        }
    }
}
