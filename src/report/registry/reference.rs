//! Image references, split into registry, repository and target.

use crate::report::digest::ImageId;
use crate::report::reference::TagReference;

/// A parsed image reference.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Reference {
    /// The registry's host and port; `docker.io` by default.
    pub host: String,
    /// The repository in the registry.
    pub repository: String,
    /// Tag or digest.
    pub target: ReferenceTarget,
}

/// The part of a reference after the repository.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ReferenceTarget {
    /// A tag, which may move.
    Tag(String),
    /// A digest, which never moves. A tag beside it is ignored.
    Digest(String),
}

impl Reference {
    /// Parses an image reference; `None` if the text is not one.
    #[must_use]
    pub fn parse(image: &str) -> Option<Self> {
        let (name, digest) = match image.split_once('@') {
            Some((name, _)) => (name, Some(ImageId::parse(image)?.digest.to_owned())),
            None => (image, None),
        };
        let full = TagReference::parse(name)?.full;
        let (path, tag) = full.rsplit_once(':')?;
        let (host, repository) = path.split_once('/')?;
        let is_part = |part: &str| {
            let of_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
            !matches!(part, "" | "." | "..") && part.bytes().all(of_name)
        };
        let of_tag = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let is_valid = repository.split('/').all(is_part) && tag.bytes().all(of_tag) && !matches!(tag, "" | "." | "..");
        is_valid.then(|| Self {
            host: host.to_owned(),
            repository: repository.to_owned(),
            target: digest.map_or_else(|| ReferenceTarget::Tag(tag.to_owned()), ReferenceTarget::Digest),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Reference, ReferenceTarget};

    #[test]
    fn a_reference_is_completed_and_taken_apart() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let pinned = |name: &str| format!("{name}@{digest}");
        for (image, host, repository, target) in [
            ("nginx", "docker.io", "library/nginx", ReferenceTarget::Tag("latest".to_owned())),
            ("team/web:1", "docker.io", "team/web", ReferenceTarget::Tag("1".to_owned())),
            ("localhost:5000/a/b", "localhost:5000", "a/b", ReferenceTarget::Tag("latest".to_owned())),
            (&pinned("r.example/web:1"), "r.example", "web", ReferenceTarget::Digest(digest.clone())),
            (&pinned("nginx"), "docker.io", "library/nginx", ReferenceTarget::Digest(digest.clone())),
        ] {
            let expected = Reference { host: host.to_owned(), repository: repository.to_owned(), target };
            assert_eq!(Reference::parse(image), Some(expected), "{image}");
        }
    }

    #[test]
    fn invalid_references_are_not_parsed() {
        for image in [
            "",
            "r.example/../x:1",
            "r.example/a//b",
            "r.example/a?b:1",
            "r.example/a:1#x",
            "r.example/A:1",
            "r.example/a:..",
            "r.example/a@sha256:zz",
            "r.example/a b:1",
            "r.example/a%2f:1",
            "r.example/",
        ] {
            assert_eq!(Reference::parse(image), None, "{image}");
        }
    }
}
