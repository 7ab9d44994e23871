//! Splits the frames of a response into watch events.
//!
//! A JSON event is a line; a protobuf event is preceded by its length in four bytes. An event within one frame, the
//! usual case, is returned without copying. Only an event across frames is assembled.

use crate::objects::{LONGEST_OBJECT, make_room};
use bytes::{Buf as _, Bytes, BytesMut};

/// Maximum length of an event. No object needs a longer one.
const LONGEST_EVENT: usize = LONGEST_OBJECT;

/// Maximum plausible length: text read as a length is at least half a gigabyte.
const MOST_PASSED_OVER: usize = 256 << 20;

/// An event exceeded the maximum length of an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("an event of more than {} MiB", LONGEST_EVENT >> 20)]
pub(super) struct EventTooLong {
    /// Whether the next event can be read.
    pub(super) is_passed_over: bool,
}

const PASSED_OVER: EventTooLong = EventTooLong { is_passed_over: true };
const NONSENSE: EventTooLong = EventTooLong { is_passed_over: false };

/// Encoding of a response.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum WireFormat {
    #[default]
    Json,
    Protobuf,
}

/// Reads the events of one response.
#[derive(Default, Debug)]
pub(super) struct EventReader {
    encoding: WireFormat,
    /// Rest of the last frame.
    frame: Bytes,
    /// Beginning of an event that continues in the next frame.
    carried: BytesMut,
    /// What to skip of an event that is too long: a number of bytes, or the rest of the line.
    passing: usize,
}

impl EventReader {
    pub(super) fn new(encoding: WireFormat) -> Self {
        Self { encoding, ..Self::default() }
    }

    /// Adds a frame. All events of the previous frame must have been taken.
    pub(super) fn push(&mut self, frame: Bytes) {
        debug_assert!(self.frame.is_empty(), "a frame was pushed before the last one was read");
        self.frame = frame;
    }

    /// The next complete event; `None` until another frame is added.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, EventTooLong> {
        match self.encoding {
            WireFormat::Json => self.line(),
            WireFormat::Protobuf => self.message(),
        }
    }

    /// Whether the response would be truncated if it ended here.
    pub(super) fn is_partial(&self) -> bool {
        !self.carried.is_empty() || self.passing > 0
    }

    /// Bytes held of an incomplete event.
    pub(super) fn held(&self) -> usize {
        self.carried.len()
    }

    /// A line without its newline.
    fn line(&mut self) -> Result<Option<Bytes>, EventTooLong> {
        let end = memchr::memchr(b'\n', &self.frame);
        if self.passing > 0 {
            let Some(end) = end else {
                self.frame.clear();
                return Ok(None);
            };
            self.passing = 0;
            self.frame.advance(end + 1);
            return self.line();
        }
        if self.carried.len() + end.unwrap_or(self.frame.len()) > LONGEST_EVENT {
            self.carried = BytesMut::new();
            self.passing = 1;
            return Err(PASSED_OVER);
        }
        let Some(end) = end else {
            make_room(&mut self.carried, self.frame.len());
            self.carried.extend_from_slice(&std::mem::take(&mut self.frame));
            return Ok(None);
        };
        let mut line = self.frame.split_to(end + 1);
        line.truncate(end);
        if self.carried.is_empty() {
            return Ok(Some(line));
        }
        self.carried.extend_from_slice(&line);
        Ok(Some(self.carried.split().freeze()))
    }

    /// A message without its length.
    fn message(&mut self) -> Result<Option<Bytes>, EventTooLong> {
        let passed = self.passing.min(self.frame.len());
        self.frame.advance(passed);
        self.passing -= passed;
        if self.passing > 0 {
            return Ok(None);
        }
        if self.carried.is_empty() {
            match message_length(&self.frame)? {
                Some(length) if length > LONGEST_EVENT => return self.pass_over(length),
                Some(length) if self.frame.len() >= LENGTH + length => {
                    self.frame.advance(LENGTH);
                    return Ok(Some(self.frame.split_to(length)));
                }
                // The rest is still on its way.
                Some(length) => self.carried.reserve(LENGTH + length),
                None => {}
            }
        }
        loop {
            let length = message_length(&self.carried)?;
            if let Some(length) = length.filter(|length| *length > LONGEST_EVENT) {
                return self.pass_over(length);
            }
            let whole = length.map_or(LENGTH, |length| LENGTH + length);
            if self.carried.len() >= LENGTH && self.carried.len() == whole {
                self.carried.advance(LENGTH);
                return Ok(Some(self.carried.split().freeze()));
            }
            if self.frame.is_empty() {
                return Ok(None);
            }
            let more = (whole - self.carried.len()).min(self.frame.len());
            self.carried.extend_from_slice(&self.frame.split_to(more));
        }
    }

    /// Skips a message of this length, of which at most the length was read.
    fn pass_over(&mut self, length: usize) -> Result<Option<Bytes>, EventTooLong> {
        self.passing = LENGTH + length - std::mem::take(&mut self.carried).len();
        Err(PASSED_OVER)
    }
}

/// Size of the length field.
const LENGTH: usize = 4;

/// The length at the beginning of `bytes`, if it is complete.
fn message_length(bytes: &[u8]) -> Result<Option<usize>, EventTooLong> {
    let Some(length) = bytes.first_chunk::<LENGTH>() else { return Ok(None) };
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| NONSENSE)?;
    if length > MOST_PASSED_OVER { Err(NONSENSE) } else { Ok(Some(length)) }
}

#[cfg(test)]
mod tests {
    use super::{EventReader, EventTooLong, LONGEST_EVENT, NONSENSE, PASSED_OVER, WireFormat};
    use bytes::Bytes;
    use proptest::prelude::*;

    fn read(encoding: WireFormat, frames: &[&[u8]]) -> Result<(Vec<Vec<u8>>, bool), EventTooLong> {
        let mut events = EventReader::new(encoding);
        let mut read = Vec::new();
        for frame in frames {
            events.push(Bytes::copy_from_slice(frame));
            while let Some(event) = events.next()? {
                read.push(event.to_vec());
            }
        }
        Ok((read, events.is_partial()))
    }

    #[test]
    fn an_end_within_a_line_is_seen() {
        let read = |frames: &[&[u8]]| read(WireFormat::Json, frames).unwrap();
        assert_eq!(read(&[b"one\ntwo\n"]), (vec![b"one".to_vec(), b"two".to_vec()], false));
        assert_eq!(read(&[b"one\ntw"]), (vec![b"one".to_vec()], true));
        assert_eq!(read(&[b"on", b"e\n"]), (vec![b"one".to_vec()], false));
        assert_eq!(read(&[]), (vec![], false));
    }

    #[test]
    fn an_end_within_a_message_is_seen() {
        let read = |frames: &[&[u8]]| read(WireFormat::Protobuf, frames).unwrap();
        assert_eq!(read(&[b"\0\0\0\x03one\0\0\0\x03two"]), (vec![b"one".to_vec(), b"two".to_vec()], false));
        assert_eq!(read(&[b"\0\0\0\x03one\0"]), (vec![b"one".to_vec()], true));
        assert_eq!(read(&[b"\0\0\0\x03one\0\0\0\x03tw"]), (vec![b"one".to_vec()], true));
        assert_eq!(read(&[b"\0\0", b"\0\x03on", b"e"]), (vec![b"one".to_vec()], false));
        assert_eq!(read(&[b"\0\0\0\0", b"\0\0\0\x01x"]), (vec![vec![], b"x".to_vec()], false));
    }

    #[test]
    fn an_endless_event_is_refused() {
        let mut events = EventReader::new(WireFormat::Json);
        let frame = Bytes::from(vec![b'x'; LONGEST_EVENT / 4 + 1]);
        let taken = (0..4).all(|_| {
            events.push(frame.clone());
            events.next().is_ok_and(|event| event.is_none())
        });
        assert!(!taken);
        assert_eq!(read(WireFormat::Protobuf, &[b"\x02\0\0\0x"]), Err(PASSED_OVER), "as soon as its length is known");
        assert_eq!(read(WireFormat::Protobuf, &[b"\x02\0", b"\0\0x"]), Err(PASSED_OVER));
        assert_eq!(read(WireFormat::Protobuf, &[b"<html>"]), Err(NONSENSE));
    }

    #[test]
    fn behind_an_event_that_is_too_long_the_next_one_is_read() {
        let long = vec![b'x'; LONGEST_EVENT + 1];
        let json = [b"one\n", &long[..], b"\ntwo\n"].concat();
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap().to_be_bytes();
        let protobuf = [b"\0\0\0\x03one", &length(&long)[..], &long, b"\0\0\0\x03two"].concat();
        for (encoding, text) in [(WireFormat::Json, json), (WireFormat::Protobuf, protobuf)] {
            for frame in [1_000_003, LONGEST_EVENT * 2] {
                let mut events = EventReader::new(encoding);
                let (mut read, mut passed_over) = (Vec::new(), 0);
                for frame in text.chunks(frame) {
                    events.push(Bytes::copy_from_slice(frame));
                    loop {
                        match events.next() {
                            Ok(Some(event)) => read.push(event),
                            Ok(None) => break,
                            Err(error) => passed_over += u32::from(error.is_passed_over),
                        }
                    }
                    assert!(events.held() <= LONGEST_EVENT);
                }
                assert_eq!((read, passed_over, events.is_partial()), (vec!["one".into(), "two".into()], 1, false));
            }
        }
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_lines(
            text in proptest::collection::vec(prop_oneof![3 => any::<u8>(), 1 => Just(b'\n')], 0..300),
            cuts in proptest::collection::vec(0_usize..300, 0..20),
        ) {
            let mut expected: Vec<Vec<u8>> = text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
            let rest = expected.pop().unwrap_or_default();
            prop_assert_eq!(read(WireFormat::Json, &frames(&text, cuts)), Ok((expected, !rest.is_empty())));
        }

        #[test]
        fn any_chunking_gives_the_same_messages(
            messages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..30), 0..20),
            lost in 0_usize..10,
            cuts in proptest::collection::vec(0_usize..700, 0..20),
        ) {
            let mut text = Vec::new();
            let mut expected = Vec::new();
            let mut whole = 0;
            let all: usize = messages.iter().map(|message| message.len() + 4).sum();
            for message in messages {
                text.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
                text.extend_from_slice(&message);
                if text.len() <= all.saturating_sub(lost) {
                    whole = text.len();
                    expected.push(message);
                }
            }
            text.truncate(all.saturating_sub(lost));
            prop_assert_eq!(read(WireFormat::Protobuf, &frames(&text, cuts)), Ok((expected, text.len() > whole)));
        }
    }

    fn frames(text: &[u8], cuts: Vec<usize>) -> Vec<&[u8]> {
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
        cuts.extend([0, text.len()]);
        cuts.sort_unstable();
        cuts.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect()
    }
}
