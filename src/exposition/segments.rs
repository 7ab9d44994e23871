//! Segments: fragments that are served in sequence are stored in sequence, so that a scrape sends few large frames.
//!
//! 150 000 pods have about 1500 fragments, and sending each by itself took a quarter of a scrape. Fragments are never
//! stored twice: one in a segment is a slice of it. A rewritten fragment is separate, until there are so many that the
//! family is laid out again.

use super::fragment::Fragment;
use bytes::Bytes;

/// Maximum bytes of a segment, unless one fragment has more.
const RUN: usize = 256 * 1024;
/// Number of separate pieces that costs a scrape almost nothing. Most families stay below it in a cluster of less than
/// 50 000 pods, and are never copied there.
const FEW: usize = 32;
/// Fragments per piece that are acceptable in a large family.
const FRAGMENTS_A_PIECE: usize = 16;

/// The segments of one family.
#[derive(Default)]
pub(super) struct Segments(Vec<Bytes>);

impl Segments {
    /// Lays the fragments out again if they are too scattered, or if too much of the segments is no longer served.
    pub(super) fn tidy(&mut self, fragments: &mut [&mut Fragment]) {
        let alone = fragments.windows(2).filter(|pair| self.run_of(&pair[0].deflated, &pair[1].deflated).is_none());
        let scattered = alone.count() >= FEW + fragments.len() / FRAGMENTS_A_PIECE;
        let held = self.0.iter().map(Bytes::len).sum::<usize>();
        let used = fragments.iter().map(|fragment| fragment.deflated.len()).sum::<usize>();
        if scattered || held > used + used / 4 + RUN {
            self.lay_out(fragments);
        }
    }

    /// The fragments as served: adjacent ones joined.
    pub(super) fn pieces<'a>(&self, fragments: impl Iterator<Item = &'a Fragment>) -> Vec<Fragment> {
        let mut pieces: Vec<Fragment> = Vec::new();
        for fragment in fragments {
            if let Some(last) = pieces.last_mut()
                && let Some(deflated) = self.together(&last.deflated, &fragment.deflated)
            {
                *last = Fragment { deflated, sum: last.sum.then(fragment.sum) };
            } else {
                pieces.push(fragment.clone());
            }
        }
        pieces
    }

    /// Joins two fragments that are adjacent in a segment.
    fn together(&self, first: &Bytes, second: &Bytes) -> Option<Bytes> {
        let run = self.run_of(first, second)?;
        let start = first.as_ptr().addr() - run.as_ptr().addr();
        Some(run.slice(start..start + first.len() + second.len()))
    }

    /// The segment in which two fragments are adjacent.
    fn run_of(&self, first: &Bytes, second: &Bytes) -> Option<&Bytes> {
        let (start, end) = (first.as_ptr().addr(), second.as_ptr().addr() + second.len());
        if start + first.len() != second.as_ptr().addr() {
            return None;
        }
        // Bytes within a segment are a slice of it, since the segment is alive.
        let within = |run: &&Bytes| run.as_ptr().addr() <= start && end <= run.as_ptr().addr() + run.len();
        self.0.iter().find(within)
    }

    fn lay_out(&mut self, mut fragments: &mut [&mut Fragment]) {
        self.0.clear();
        while !fragments.is_empty() {
            let mut length = 0;
            let fits = |fragment: &&&mut Fragment| {
                length += fragment.deflated.len();
                length <= RUN
            };
            let count = fragments.iter().take_while(fits).count().max(1);
            let (these, others) = fragments.split_at_mut(count);
            let run = Bytes::from(these.iter().map(|fragment| &fragment.deflated[..]).collect::<Vec<_>>().concat());
            let mut start = 0;
            for fragment in these {
                let end = start + fragment.deflated.len();
                fragment.deflated = run.slice(start..end);
                start = end;
            }
            self.0.push(run);
            fragments = others;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Bytes, FEW, FRAGMENTS_A_PIECE, Fragment, RUN, Segments};
    use crate::exposition::fragment::{Checksum, Deflater, Inflater};

    fn text(number: usize) -> String {
        let line = |line: usize| format!("{number} has {}\n", (line + 1) * (number + 7919) % 10_007);
        (0..300).map(line).collect()
    }

    fn fragments(count: usize) -> Vec<Fragment> {
        let mut deflater = Deflater::new();
        (0..count).map(|number| Fragment::new(&text(number), &mut deflater)).collect()
    }

    fn pieces(runs: &mut Segments, fragments: &mut [Fragment]) -> Vec<Fragment> {
        runs.tidy(&mut fragments.iter_mut().collect::<Vec<_>>());
        let pieces = runs.pieces(fragments.iter());
        let expected = fragments.iter().fold(Checksum::default(), |sum, fragment| sum.then(fragment.sum));
        let (mut inflater, mut all) = (Inflater::new(), String::new());
        for piece in &pieces {
            let text = inflater.inflate(piece);
            assert_eq!(piece.sum, Checksum::of(text.as_bytes()));
            all.push_str(&text);
        }
        assert_eq!(expected, Checksum::of(all.as_bytes()));
        pieces
    }

    fn held(runs: &Segments) -> usize {
        runs.0.iter().map(Bytes::len).sum()
    }

    fn length(fragments: &[Fragment]) -> usize {
        fragments.iter().map(|fragment| fragment.deflated.len()).sum()
    }

    #[test]
    fn few_fragments_stay_where_they_are() {
        let (mut runs, mut fragments) = (Segments::default(), fragments(FEW));
        let before: Vec<_> = fragments.iter().map(|fragment| fragment.deflated.as_ptr()).collect();
        assert_eq!(pieces(&mut runs, &mut fragments).len(), FEW);
        assert!(fragments.iter().map(|fragment| fragment.deflated.as_ptr()).eq(before));
    }

    #[test]
    fn many_fragments_are_few_pieces_and_lie_there_once() {
        let (mut runs, mut fragments) = (Segments::default(), fragments(1000));
        let few = pieces(&mut runs, &mut fragments);
        let length = length(&fragments);
        assert!(length > 3 * RUN && few.len() <= length / RUN + 2, "{length} bytes in {}", few.len());
        assert!(few.iter().all(|piece| piece.deflated.len() <= RUN));
        assert_eq!(held(&runs), length);
        for fragment in &fragments {
            let (start, end) = (fragment.deflated.as_ptr(), fragment.deflated.as_ptr_range().end);
            assert!(runs.0.iter().any(|run| run.as_ptr() <= start && end <= run.as_ptr_range().end));
        }
    }

    #[test]
    fn rewritten_fragments_are_separate_until_there_are_many() {
        let (mut runs, mut fragments) = (Segments::default(), fragments(1000));
        let mut deflater = Deflater::new();
        let mut last = pieces(&mut runs, &mut fragments).len();
        let first = last;
        let mut laid_out = 0;
        for change in 0..200 {
            let at = change * 379 % 1000;
            fragments[at] = Fragment::new(&text(change + 5000), &mut deflater);
            let count = pieces(&mut runs, &mut fragments).len();
            assert!(count <= last + 2 && count <= FEW + 1000 / FRAGMENTS_A_PIECE, "{count} after {last}");
            if count < last {
                laid_out += 1;
                assert!(count <= first + 1, "{count}");
            }
            last = count;
        }
        assert!((3..=8).contains(&laid_out), "{laid_out}");
    }

    #[test]
    fn segments_that_are_no_longer_served_are_freed() {
        let (mut runs, mut fragments) = (Segments::default(), fragments(1000));
        pieces(&mut runs, &mut fragments);
        while fragments.len() > 1 {
            fragments.truncate(fragments.len() - fragments.len().div_ceil(10));
            pieces(&mut runs, &mut fragments);
            let length = length(&fragments);
            assert!(held(&runs) <= length + length / 4 + RUN, "{} for {length}", held(&runs));
        }
        let (start, end) = (fragments[0].deflated.as_ptr(), fragments[0].deflated.as_ptr_range().end);
        assert!(runs.0.iter().any(|run| run.as_ptr() <= start && end <= run.as_ptr_range().end));
    }

    #[test]
    fn fragments_that_only_happen_to_follow_are_not_joined() {
        let (mut runs, mut fragments) = (Segments::default(), fragments(100));
        pieces(&mut runs, &mut fragments);
        fragments.reverse();
        assert!(pieces(&mut runs, &mut fragments).len() <= 2, "laid out anew");
        fragments.swap(10, 50);
        assert!(pieces(&mut runs, &mut fragments).len() >= 5);
    }
}
