//! Which watch an object came from.

use crate::objects::Resource;

/// A watch's scope: a resource, in one namespace or in all.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Source {
    /// What is watched.
    pub resource: Resource,
    /// Position among the configured namespaces; 0 if all namespaces are watched at once.
    pub namespace: u8,
}
