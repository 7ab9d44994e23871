//! Buckets of one family: its text in parts of tens of KiB, each deflated on its own.
//!
//! Buckets are ordered by workload, like the leaves of a B-tree: a large bucket is split, and a small one is merged with the
//! next. A change rewrites only its own bucket, regardless of the number and sizes of workloads.
//!
//! Reports are not kept. To rewrite a bucket, the text of its other workloads is read from its own fragment, where
//! their lengths are known. Inflating it costs a quarter of deflating the new one. 53 MB of text take 3.5 MB this way,
//! where their reports would take 19 MB (6 000 workloads, 150 000 pods).
//!
//! The initial state comes in parts, ordered by workload. The last bucket of a part stays open for the next
//! part: rewriting it with each part took a third of the time of all deflating.

use super::family::{Additions, AgeSeries, Family, SeriesLines};
use super::fragment::{Deflater, Fragment, Inflater};
use crate::report::{Workload, WorkloadReport};
use hashbrown::DefaultHashBuilder;
use std::hash::BuildHasher;
use std::sync::Arc;

/// Maximum text of a bucket; a larger one is split in two.
const LARGE: usize = 64 * 1024;
/// Minimum text of a rewritten bucket; a smaller one is merged with the next.
const SMALL: usize = LARGE / 5;

/// All buckets of one family, ordered by workload.
#[derive(Default)]
pub(super) struct Buckets {
    buckets: Vec<Bucket>,
    /// The last bucket while more parts follow. It is not served yet.
    open: BucketBuilder,
}

/// A workload that is new, changed, or gone (without a report).
pub(super) struct WorkloadChange {
    pub workload: Arc<Workload>,
    pub report: Option<WorkloadReport>,
}

/// State for writing fragments, shared by all families.
pub(super) struct Compressor {
    pub additions: Additions,
    pub deflater: Deflater,
    pub inflater: Inflater,
    hasher: DefaultHashBuilder,
}

/// Consecutive workloads; at least one.
struct Bucket {
    first: Arc<Workload>,
    sections: Box<[Section]>,
    fragment: Fragment,
    ages: Arc<[AgeSeries]>,
}

/// The part of a bucket about one workload.
struct Section {
    workload: Arc<Workload>,
    /// Hash of its text, to detect whether a new report changes it.
    hash: u64,
    /// Its length in the bucket's text.
    length: u32,
    /// Number of its age series.
    ages: u32,
}

/// A bucket under construction.
#[derive(Default)]
struct BucketBuilder {
    lines: SeriesLines,
    sections: Vec<Section>,
    /// Bytes of all lines, without the values of ages.
    size: usize,
}

impl Compressor {
    pub(super) fn new(additions: Additions) -> Self {
        Self { additions, deflater: Deflater::new(), inflater: Inflater::new(), hasher: DefaultHashBuilder::default() }
    }

    /// A compressor with the same settings, for another thread.
    pub(super) fn another(&self) -> Self {
        Self {
            additions: self.additions.clone(),
            deflater: Deflater::new(),
            inflater: Inflater::new(),
            hasher: self.hasher.clone(),
        }
    }

    fn hash(&self, text: &str, ages: &[AgeSeries]) -> u64 {
        self.hasher.hash_one((text, ages))
    }
}

impl Buckets {
    /// The fragments, in order.
    pub(super) fn fragments(&self) -> impl Iterator<Item = &Fragment> {
        self.buckets.iter().map(|bucket| &bucket.fragment).filter(|fragment| fragment.sum.length > 0)
    }

    /// The same, mutable.
    pub(super) fn fragments_mut(&mut self) -> impl Iterator<Item = &mut Fragment> {
        self.buckets.iter_mut().map(|bucket| &mut bucket.fragment).filter(|fragment| fragment.sum.length > 0)
    }

    /// The age series, in order.
    pub(super) fn ages(&self) -> impl Iterator<Item = &Arc<[AgeSeries]>> {
        self.buckets.iter().map(|bucket| &bucket.ages).filter(|ages| !ages.is_empty())
    }

    /// Applies changes, sorted by workload and one per workload; returns whether the text changed. With `more`, the
    /// last bucket may stay open until an update without `more`.
    pub(super) fn update(
        &mut self,
        family: &Family,
        changes: &[WorkloadChange],
        more: bool,
        compressor: &mut Compressor,
    ) -> bool {
        let mut open = std::mem::take(&mut self.open);
        let mut differs = !open.sections.is_empty();
        if open.ends_before(changes) {
            open.merge(None, changes, family, compressor, &mut self.buckets);
        } else {
            open.finish(compressor, &mut self.buckets);
            differs |= self.rewrite(family, changes, compressor, &mut open);
        }
        if more {
            self.open = open;
        } else {
            open.finish(compressor, &mut self.buckets);
        }
        differs
    }

    /// Rewrites the buckets that changes touch; changes after all buckets stay in `builder`.
    fn rewrite(
        &mut self,
        family: &Family,
        mut changes: &[WorkloadChange],
        compressor: &mut Compressor,
        builder: &mut BucketBuilder,
    ) -> bool {
        let mut written = Vec::with_capacity(self.buckets.len() + 1);
        let mut differs = false;
        let mut old = std::mem::take(&mut self.buckets).into_iter().peekable();
        if old.peek().is_none() {
            builder.merge(None, changes, family, compressor, &mut written);
            differs = !builder.sections.is_empty();
        }
        while let Some(bucket) = old.next() {
            let end = old.peek().map_or(changes.len(), |next| changes.partition_point(|c| c.workload < next.first));
            let (own, others) = changes.split_at(end);
            changes = others;
            let touched = bucket.differs(own, family, compressor);
            differs |= touched;
            if touched || !builder.sections.is_empty() {
                builder.merge(Some(bucket), own, family, compressor, &mut written);
                if builder.size >= SMALL {
                    builder.finish(compressor, &mut written);
                }
            } else {
                written.push(bucket);
            }
        }
        self.buckets = written;
        differs
    }
}

impl Bucket {
    /// Whether these changes alter the bucket's text.
    fn differs(&self, changes: &[WorkloadChange], family: &Family, compressor: &Compressor) -> bool {
        let mut lines = SeriesLines::default();
        changes.iter().any(|change| {
            lines.text.clear();
            lines.ages.clear();
            if let Some(report) = &change.report {
                family.render(report, &compressor.additions, &mut lines);
            }
            let known = self.sections.binary_search_by(|section| section.workload.cmp(&change.workload));
            let known = known.ok().and_then(|index| self.sections.get(index));
            match known {
                Some(section) => change.report.is_none() || section.hash != compressor.hash(&lines.text, &lines.ages),
                None => !lines.text.is_empty() || !lines.ages.is_empty(),
            }
        })
    }
}

impl Section {
    /// Bytes of the text, and of the lines with ages.
    fn size(&self, ages: &[AgeSeries]) -> usize {
        self.length as usize + ages.iter().map(|row| row.series.len()).sum::<usize>()
    }
}

impl BucketBuilder {
    /// Whether it is not empty and ends before these changes.
    fn ends_before(&self, changes: &[WorkloadChange]) -> bool {
        let (last, first) = (self.sections.last(), changes.first());
        last.zip(first).is_some_and(|(last, first)| last.workload < first.workload)
    }

    /// Merges a bucket's workloads with changes, in order. It finishes buckets whenever the builder grows too large.
    fn merge(
        &mut self,
        bucket: Option<Bucket>,
        changes: &[WorkloadChange],
        family: &Family,
        compressor: &mut Compressor,
        written: &mut Vec<Bucket>,
    ) {
        let (sections, text, ages) = match bucket {
            Some(bucket) => (bucket.sections, compressor.inflater.inflate(&bucket.fragment), bucket.ages),
            None => (Box::default(), String::new(), Arc::default()),
        };
        let (mut text, mut ages) = (text.as_str(), &*ages);
        let mut changes = changes.iter().peekable();
        for section in sections {
            let (old_text, old_running);
            (old_text, text) = text.split_at_checked(section.length as usize).unwrap_or((text, ""));
            (old_running, ages) = ages.split_at_checked(section.ages as usize).unwrap_or((ages, &[]));
            let mut replaced = false;
            while let Some(change) = changes.next_if(|change| change.workload <= section.workload) {
                replaced |= change.workload == section.workload;
                self.render(change, family, compressor);
                self.split(compressor, written);
            }
            if !replaced {
                self.keep(section, old_text, old_running);
                self.split(compressor, written);
            }
        }
        for change in changes {
            self.render(change, family, compressor);
            self.split(compressor, written);
        }
    }

    fn keep(&mut self, section: Section, text: &str, ages: &[AgeSeries]) {
        self.size += section.size(ages);
        self.lines.text.push_str(text);
        self.lines.ages.extend_from_slice(ages);
        self.sections.push(section);
    }

    fn render(&mut self, change: &WorkloadChange, family: &Family, compressor: &Compressor) {
        let Some(report) = &change.report else { return };
        let (text, ages) = (self.lines.text.len(), self.lines.ages.len());
        family.render(report, &compressor.additions, &mut self.lines);
        let (text, ages) = (&self.lines.text[text..], &self.lines.ages[ages..]);
        if text.is_empty() && ages.is_empty() {
            return;
        }
        let section = Section {
            workload: Arc::clone(&change.workload),
            hash: compressor.hash(text, ages),
            length: out_of_reach_of_u32(text.len()),
            ages: out_of_reach_of_u32(ages.len()),
        };
        self.size += section.size(ages);
        self.sections.push(section);
    }

    /// Finishes the front half as a bucket, while the builder is too large.
    fn split(&mut self, compressor: &mut Compressor, written: &mut Vec<Bucket>) {
        while self.size > LARGE && self.sections.len() > 1 {
            let (mut sections, mut text, mut ages, mut size) = (0, 0, 0, 0);
            for section in &self.sections[..self.sections.len() - 1] {
                let next = ages + section.ages as usize;
                size += section.size(&self.lines.ages[ages..next]);
                text += section.length as usize;
                ages = next;
                sections += 1;
                if size >= self.size / 2 {
                    break;
                }
            }
            let back = Self {
                lines: SeriesLines::new(self.lines.text.split_off(text), self.lines.ages.split_off(ages)),
                sections: self.sections.split_off(sections),
                size: self.size - size,
            };
            self.finish(compressor, written);
            *self = back;
        }
    }

    /// Writes the bucket and empties the builder.
    fn finish(&mut self, compressor: &mut Compressor, written: &mut Vec<Bucket>) {
        let Self { lines, sections, .. } = std::mem::take(self);
        let Some(first) = sections.first().map(|section| Arc::clone(&section.workload)) else {
            return;
        };
        written.push(Bucket {
            first,
            sections: sections.into(),
            fragment: Fragment::new(&lines.text, &mut compressor.deflater),
            ages: lines.ages.into(),
        });
        // Lets a scrape that waits for this core run between two buckets.
        std::thread::yield_now();
    }
}

/// A length in a section: the text of one workload is far below 4 GiB.
#[allow(clippy::cast_possible_truncation, reason = "see above")]
fn out_of_reach_of_u32(length: usize) -> u32 {
    debug_assert!(u32::try_from(length).is_ok());
    length as u32
}

#[cfg(test)]
mod tests {
    use super::{Additions, Buckets, Compressor, Fragment, LARGE, SMALL, WorkloadChange};
    use crate::exposition::FAMILIES;
    use crate::report::{Workload, WorkloadReport};
    use crate::time::UnixTime;
    use std::sync::Arc;

    /// Reports with lines of about `length` bytes in their only age family; every third is an age.
    fn reports(names: std::ops::Range<usize>, length: usize) -> Vec<WorkloadReport> {
        let report = |index: usize| WorkloadReport {
            workload: Workload {
                namespace: "n".repeat(length).into(),
                workload_type: "deployment".into(),
                name: format!("w{index:05}").into(),
            },
            hashes: Vec::new(),
            distinct_hashes: 0,
            mixed_since: if index.is_multiple_of(3) { UnixTime::from_seconds(7) } else { None },
            mixed_noticed: false,
            containers: Vec::new(),
            outdated_pods: None,
            rollout: None,
            rollback_target: None,
            blocking_pod: None,
            blocking: None,
            last_rollout: None,
            rollouts: None,
            blocked: Vec::new(),
            wanted_pods: None,
            deliberate: false,
            aborted: false,
            driver: None,
            update_hold: None,
            template_of: None,
            available: None,
            image_references: Vec::new(),
            pods: Vec::new(),
            nodes: None,
            registry: None,
            changes_at: None,
        };
        names.map(report).collect()
    }

    /// Applies the reports, or the removal of their workloads.
    fn update(buckets: &mut Buckets, reports: &[WorkloadReport], here: bool, compressor: &mut Compressor) -> bool {
        update_of(buckets, reports, here, false, compressor)
    }

    fn update_of(
        buckets: &mut Buckets,
        reports: &[WorkloadReport],
        here: bool,
        more: bool,
        compressor: &mut Compressor,
    ) -> bool {
        let family = FAMILIES.iter().find(|family| family.name.ends_with("mixed_template_hashes_age_seconds"));
        let change = |report| WorkloadChange {
            workload: Arc::new(WorkloadReport::clone(report).workload),
            report: here.then(|| report.clone()),
        };
        let changes: Vec<_> = reports.iter().map(change).collect();
        family.is_some_and(|family| buckets.update(family, &changes, more, compressor))
    }

    fn sizes(buckets: &Buckets) -> Vec<usize> {
        let of_running = |bucket: &super::Bucket| bucket.ages.iter().map(|row| row.series.len()).sum::<usize>();
        let of_text = |bucket: &super::Bucket| usize::try_from(bucket.fragment.sum.length).unwrap_or(usize::MAX);
        buckets.buckets.iter().map(|bucket| of_text(bucket) + of_running(bucket)).collect()
    }

    #[test]
    fn buckets_keep_their_size_while_workloads_come_and_go() {
        let (mut buckets, mut compressor) = (Buckets::default(), Compressor::new(Additions::default()));
        assert!(update(&mut buckets, &reports(0..4000, 100), true, &mut compressor));
        assert!(sizes(&buckets).iter().all(|size| (LARGE / 3..=LARGE).contains(size)), "{:?}", sizes(&buckets));
        for start in (4000..8000).step_by(10) {
            update(&mut buckets, &reports(start..start + 10, 100), true, &mut compressor);
        }
        let lines = buckets.buckets.iter().map(|bucket| bucket.sections.len()).sum::<usize>();
        assert_eq!(lines, 8000);
        assert!(sizes(&buckets).iter().all(|size| (LARGE / 3..=LARGE).contains(size)), "{:?}", sizes(&buckets));
        for start in (0..7900).step_by(10) {
            update(&mut buckets, &reports(start..start + 10, 100), false, &mut compressor);
            let small = sizes(&buckets).iter().filter(|size| **size < SMALL).count();
            assert!(small <= 1, "{:?}", sizes(&buckets));
        }
        assert_eq!(sizes(&buckets).len(), 1);
        update(&mut buckets, &reports(7900..8000, 100), false, &mut compressor);
        assert_eq!(sizes(&buckets), [0; 0]);
    }

    #[test]
    fn parts_in_order_are_written_once_and_as_if_they_were_one() {
        let (mut at_once, mut in_parts, mut compressor) =
            (Buckets::default(), Buckets::default(), Compressor::new(Additions::default()));
        update(&mut at_once, &reports(0..4000, 100), true, &mut compressor);
        let mut written = Vec::new();
        for start in (0..4000).step_by(50) {
            assert!(update_of(&mut in_parts, &reports(start..start + 50, 100), true, true, &mut compressor));
            let now: Vec<_> = in_parts.fragments().map(|fragment| fragment.deflated.as_ptr()).collect();
            assert!(now.starts_with(&written), "what was written is written again");
            written = now;
        }
        assert!(update(&mut in_parts, &[], true, &mut compressor), "the last bucket was still open");
        let deflated = |buckets: &Buckets| buckets.fragments().map(|part| part.deflated.clone()).collect::<Vec<_>>();
        assert!(deflated(&in_parts) == deflated(&at_once));
        assert!(!update(&mut in_parts, &[], true, &mut compressor));
        // A part that does not continue where the previous one ended.
        update_of(&mut in_parts, &reports(5000..5010, 100), true, true, &mut compressor);
        update_of(&mut in_parts, &reports(4000..5000, 100), true, true, &mut compressor);
        update(&mut in_parts, &reports(5005..5006, 100), false, &mut compressor);
        let sections = in_parts.buckets.iter().flat_map(|bucket| &bucket.sections);
        let names: Vec<_> = sections.map(|section| section.workload.name.to_string()).collect();
        assert!(names.is_sorted() && names.len() == 5009, "{}", names.len());
    }

    #[test]
    fn a_workload_larger_than_a_bucket_has_one_of_its_own() {
        let (mut buckets, mut compressor) = (Buckets::default(), Compressor::new(Additions::default()));
        update(&mut buckets, &reports(0..5, LARGE + 1), true, &mut compressor);
        assert_eq!(sizes(&buckets).len(), 5);
    }

    #[test]
    fn unchanged_text_is_not_written_again() {
        let (mut buckets, mut compressor) = (Buckets::default(), Compressor::new(Additions::default()));
        update(&mut buckets, &reports(0..1000, 100), true, &mut compressor);
        let before: Vec<_> = buckets.fragments().cloned().collect();
        assert!(!update(&mut buckets, &reports(0..1000, 100), true, &mut compressor));
        assert!(!update(&mut buckets, &reports(2000..2001, 100), false, &mut compressor), "it was never here");
        let mut other = reports(500..501, 100);
        other[0].mixed_since = UnixTime::from_seconds(9);
        assert!(update(&mut buckets, &other, true, &mut compressor));
        let written = |(old, new): &(&Fragment, &Fragment)| old.deflated.as_ptr() != new.deflated.as_ptr();
        assert_eq!(before.iter().zip(buckets.fragments()).filter(written).count(), 1);
    }
}
