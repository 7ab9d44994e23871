//! Which watch an object came from.

use crate::objects::Resource;

/// Which watch an object came from: a resource, in one namespace or in all.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Source {
    /// What is watched.
    pub resource: Resource,
    /// Which of the configured namespaces, by its position; 0 where all namespaces are watched at once.
    pub namespace: u8,
}
