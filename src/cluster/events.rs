//! From the frames of an answer to its lines.
//!
//! A line that lies within one frame, as most do, is handed out where it lies; only one that crosses from a frame into
//! the next is put together.

use bytes::{Bytes, BytesMut};

/// etcd takes objects of 1.5 MiB, which JSON may blow up a few times over. A longer line is not a line.
const LONGEST_LINE: usize = 16 << 20;

/// A line went on for longer than any object can.
#[derive(Debug, thiserror::Error)]
#[error("a line of more than {} MiB", LONGEST_LINE >> 20)]
pub(super) struct LineTooLong;

/// The lines of one answer.
#[derive(Default, Debug)]
pub(super) struct Lines {
    /// What is left of the last frame.
    frame: Bytes,
    /// The beginning of a line that ends in a frame to come.
    carried: BytesMut,
}

impl Lines {
    /// Adds a frame. All lines of the frame before must have been taken.
    pub(super) fn push(&mut self, frame: Bytes) -> Result<(), LineTooLong> {
        debug_assert!(self.frame.is_empty(), "a frame was pushed before the last one was read");
        if self.carried.len() + frame.len() > LONGEST_LINE && memchr::memchr(b'\n', &frame).is_none() {
            return Err(LineTooLong);
        }
        self.frame = frame;
        Ok(())
    }

    /// The next whole line without its newline, or nothing until another frame is there.
    pub(super) fn next(&mut self) -> Option<Bytes> {
        let Some(end) = memchr::memchr(b'\n', &self.frame) else {
            self.carried.extend_from_slice(&std::mem::take(&mut self.frame));
            return None;
        };
        let mut line = self.frame.split_to(end + 1);
        line.truncate(end);
        if self.carried.is_empty() {
            return Some(line);
        }
        self.carried.extend_from_slice(&line);
        Some(self.carried.split().freeze())
    }

    /// Whether the answer, should it end here, ends in the middle of a line.
    pub(super) fn is_cut(&self) -> bool {
        !self.carried.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::{LONGEST_LINE, Lines};
    use bytes::Bytes;
    use proptest::prelude::*;

    fn read(frames: &[&[u8]]) -> (Vec<Vec<u8>>, bool) {
        let mut lines = Lines::default();
        let mut read = Vec::new();
        for frame in frames {
            lines.push(Bytes::copy_from_slice(frame)).unwrap();
            while let Some(line) = lines.next() {
                read.push(line.to_vec());
            }
        }
        (read, lines.is_cut())
    }

    #[test]
    fn an_end_within_a_line_is_seen() {
        assert_eq!(read(&[b"one\ntwo\n"]), (vec![b"one".to_vec(), b"two".to_vec()], false));
        assert_eq!(read(&[b"one\ntw"]), (vec![b"one".to_vec()], true));
        assert_eq!(read(&[b"on", b"e\n"]), (vec![b"one".to_vec()], false));
        assert_eq!(read(&[]), (vec![], false));
    }

    #[test]
    fn an_endless_line_is_refused() {
        let mut lines = Lines::default();
        let frame = Bytes::from(vec![b'x'; LONGEST_LINE / 4 + 1]);
        let pushed = (0..4).all(|_| lines.push(frame.clone()).map(|()| assert!(lines.next().is_none())).is_ok());
        assert!(!pushed);
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_lines(
            text in proptest::collection::vec(prop_oneof![3 => any::<u8>(), 1 => Just(b'\n')], 0..300),
            cuts in proptest::collection::vec(0_usize..300, 0..20),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let frames: Vec<&[u8]> = cuts.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect();
            let mut expected: Vec<Vec<u8>> = text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
            let rest = expected.pop().unwrap_or_default();
            prop_assert_eq!(read(&frames), (expected, !rest.is_empty()));
        }
    }
}
