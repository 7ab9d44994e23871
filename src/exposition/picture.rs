//! One consistent picture of the cluster, as fragments.

use super::Format;
use super::family::{AgeSeries, Family};
use super::fragment::{Checksum, Deflater, Fragment};
use super::selection::Selection;
use std::sync::Arc;

/// One consistent picture of the cluster, already compressed. It never changes.
pub struct Picture {
    /// In the order they are served. None before the first complete picture.
    pub(super) families: Vec<Arc<FamilyPicture>>,
    /// Which of podskew's own families are served.
    pub(super) selection: Arc<Selection>,
}

/// What a picture holds of one family.
pub(super) struct FamilyPicture {
    /// HELP, TYPE and, in OpenMetrics, UNIT.
    pub headers: Headers,
    /// The buckets; of those that lie side by side, one for all.
    pub fragments: Box<[Fragment]>,
    /// The series whose ages run; rendered for each answer.
    pub ages: Box<[Arc<[AgeSeries]>]>,
    /// Of all fragments. Combined here, once: at each answer, thousands of combinations would cost milliseconds.
    pub sum: Checksum,
    /// Length of all fragments.
    pub deflated: u64,
}

/// The lines that open a family's block, in Prometheus text and in OpenMetrics.
#[derive(Clone)]
pub(super) struct Headers {
    text: Fragment,
    open_metrics: Fragment,
}

impl Headers {
    pub(super) fn new(family: &Family, deflater: &mut Deflater) -> Self {
        let mut header = |format| Fragment::new(&family.header(format), deflater);
        Self { text: header(Format::Text), open_metrics: header(Format::OpenMetrics) }
    }

    pub(super) fn of(&self, format: Format) -> &Fragment {
        match format {
            Format::Text => &self.text,
            Format::OpenMetrics => &self.open_metrics,
        }
    }
}

impl FamilyPicture {
    pub(super) fn new(headers: &Headers, pieces: Vec<Fragment>, ages: Box<[Arc<[AgeSeries]>]>) -> Self {
        let fragments = pieces.into_boxed_slice();
        Self {
            headers: headers.clone(),
            sum: fragments.iter().fold(Checksum::default(), |sum, fragment| sum.then(fragment.sum)),
            deflated: fragments.iter().map(|fragment| fragment.deflated.len() as u64).sum(),
            fragments,
            ages,
        }
    }
}
