//! A consistent, compressed state of all families.

use super::Format;
use super::family::{AgeSeries, Family};
use super::fragment::{Checksum, Deflater, Fragment};
use super::selection::Selection;
use std::sync::Arc;

/// A consistent, compressed state of all families. It is immutable, and scrapes share it.
pub struct Picture {
    /// In serving order; empty before the initial sync.
    pub(super) families: Vec<Arc<FamilyPicture>>,
    /// Which of podskew's own families to serve.
    pub(super) selection: Arc<Selection>,
}

/// One family in a picture.
pub(super) struct FamilyPicture {
    /// HELP, TYPE and, in OpenMetrics, UNIT.
    pub headers: Headers,
    /// The fragments; adjacent ones are joined.
    pub fragments: Box<[Fragment]>,
    /// The age series, which are rendered for each response.
    pub ages: Box<[Arc<[AgeSeries]>]>,
    /// Checksum over all fragments, computed once: combining thousands of checksums per response would cost
    /// milliseconds.
    pub sum: Checksum,
    /// Length of all fragments.
    pub deflated: u64,
}

/// The header lines of a family, in Prometheus text and in OpenMetrics.
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
