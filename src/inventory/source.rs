//! The watch from which an object came.

use crate::objects::Resource;

/// A watch's scope: a resource, in one namespace or in all.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Source {
    /// The resource.
    pub resource: Resource,
    /// Position among the configured namespaces; 0 if all namespaces are watched at once.
    pub namespace: u8,
}
