//! Fields of a node: its hardware, and the images it holds.

use super::lenient::fields;
use std::borrow::Cow;

/// Fields of a node's `status`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Node<'a> {
    /// `nodeInfo.architecture` in Go's names: `amd64`, `arm64`; empty if not reported.
    pub architecture: Cow<'a, str>,
    /// `nodeInfo.operatingSystem`: `linux` or `windows`; empty if not reported.
    pub os: Cow<'a, str>,
    /// `nodeInfo.kernelVersion`: on Windows the build, which selects the image of an index.
    pub kernel: Cow<'a, str>,
    /// `images`: the 50 largest on the node; the kubelet reports no others.
    pub images: Vec<NodeImage<'a>>,
}

/// An image on a node.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NodeImage<'a> {
    /// `names`: `repository@digest` first, then `repository:tag`; at most five together.
    pub names: Vec<Cow<'a, str>>,
}

#[derive(Default)]
pub(super) struct Status<'a> {
    info: Info<'a>,
    images: Vec<NodeImage<'a>>,
}
#[derive(Default)]
struct Info<'a> {
    kernel: Cow<'a, str>,
    os: Cow<'a, str>,
    architecture: Cow<'a, str>,
}
fields!('de Status<'de> { "nodeInfo" = 7 => info, "images" = 8 => images });
fields!('de Info<'de> { "kernelVersion" = 4 => kernel, "operatingSystem" = 9 => os, "architecture" = 10 => architecture });
fields!('de NodeImage<'de> { "names" = 1 => names });

impl<'a> From<Status<'a>> for Node<'a> {
    fn from(status: Status<'a>) -> Self {
        let Info { kernel, os, architecture } = status.info;
        Self { architecture, os, kernel, images: status.images }
    }
}
