//! One consistent picture of the cluster, as fragments.

use super::family::Running;
use super::fragment::{Checksum, Fragment};
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
    /// HELP and TYPE, then the buckets; of those that lie side by side, one for all.
    pub fragments: Box<[Fragment]>,
    /// The series whose ages run; rendered for each answer.
    pub running: Box<[Arc<[Running]>]>,
    /// Of all fragments. Combined here, once: at each answer, thousands of combinations would cost milliseconds.
    pub sum: Checksum,
    /// Length of all fragments.
    pub deflated: u64,
}

impl FamilyPicture {
    pub(super) fn new(header: &Fragment, pieces: Vec<Fragment>, running: Box<[Arc<[Running]>]>) -> Self {
        let fragments: Box<[Fragment]> = std::iter::once(header.clone()).chain(pieces).collect();
        Self {
            sum: fragments.iter().fold(Checksum::default(), |sum, fragment| sum.then(fragment.sum)),
            deflated: fragments.iter().map(|fragment| fragment.deflated.len() as u64).sum(),
            fragments,
            running,
        }
    }
}
