//! Parses the `imageID` of a container status, and determines what it identifies.
//!
//! The kubelet copies the runtime's image reference into `imageID`, so its form depends on the runtime, and what it
//! identifies depends on the form:
//!
//! | form | literal | identifies | seen on |
//! |---|---|---|---|
//! | F1 | `[host/]repo@sha256:X` | manifest or index digest | containerd, CRI-O |
//! | F2 | `docker-pullable://repo@sha256:X` | manifest or index digest | dockershim, cri-dockerd |
//! | F3 | `docker://sha256:C` | config; with Docker 29's containerd store a manifest or index | dockershim, cri-dockerd |
//! | F4 | `sha256:C` | config | containerd: imported or preloaded images |
//! | F5 | `C`, 64 hex digits | config or a layer-TOC id | CRI-O without a digest |
//! | F6 | `docker.io/library/import-2026-09-11@sha256:M` | manifest of an imported archive | kind, `ctr import` |
//! | F7 | empty | nothing known | not started yet, or the container is gone |

/// What an `imageID` identifies. Ids of different kinds are not comparable. Ordered from the most to the least
/// specific.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum DigestKind {
    /// A manifest or index in a registry.
    Manifest,
    /// An image configuration: the image's id on a node.
    Config,
    /// Either of the two: Docker writes both in the same form, depending on its image store.
    ManifestOrConfig,
    /// An id that is local to the node. Equal ids are one image; different ids may be one image, too.
    Opaque,
}

impl DigestKind {
    /// The value of the label `digest_kind`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::Config => "config",
            Self::ManifestOrConfig => "manifest_or_config",
            Self::Opaque => "opaque",
        }
    }
}

/// A parsed `imageID`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ImageId<'a> {
    /// What it identifies.
    pub kind: DigestKind,
    /// `algorithm:hex`, or the bare hex digits of an opaque id; a slice of the parsed text.
    pub digest: &'a str,
    /// The repository before the `@`, or empty. It does not identify the image: containerd reports the alphabetically
    /// first `repo@digest` that the node knows for the content.
    pub repository: &'a str,
}

impl<'a> ImageId<'a> {
    /// Parses an `imageID`; `None` if it is empty or in no form of the table above.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let by_docker = text.strip_prefix("docker-pullable://").or_else(|| text.strip_prefix("docker://"));
        let (text, without_repository) = match by_docker {
            Some(text) => (text, DigestKind::ManifestOrConfig),
            None => (text, DigestKind::Config),
        };
        if text.contains("://") {
            return None;
        }
        if let Some((repository, digest)) = text.rsplit_once('@') {
            let read = !repository.is_empty() && is_digest(digest);
            return read.then_some(Self { kind: DigestKind::Manifest, digest, repository });
        }
        if is_digest(text) {
            return Some(Self { kind: without_repository, digest: text, repository: "" });
        }
        let opaque = by_docker.is_none() && text.len() == 64 && is_hex(text);
        opaque.then_some(Self { kind: DigestKind::Opaque, digest: text, repository: "" })
    }
}

/// The hex digits of a digest, which are the same in every form: CRI-O omits the algorithm in its image ids.
#[must_use]
pub fn content(digest: &str) -> &str {
    digest.strip_prefix("sha256:").unwrap_or(digest)
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether `text` is `algorithm:hex` as in the OCI image specification, which allows other algorithms than sha256.
fn is_digest(text: &str) -> bool {
    let Some((algorithm, hex)) = text.split_once(':') else {
        return false;
    };
    let length = match algorithm {
        "sha256" => hex.len() == 64,
        "sha384" => hex.len() == 96,
        "sha512" => hex.len() == 128,
        _ => hex.len() >= 32,
    };
    let named = !algorithm.is_empty()
        && algorithm.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'+' | b'.' | b'_' | b'-'));
    length && named && is_hex(hex)
}

#[cfg(test)]
mod tests {
    use super::{DigestKind, ImageId};
    use proptest::prelude::*;

    const X: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    fn check(text: &str, kind: DigestKind, digest: &str, repository: &str) {
        assert_eq!(ImageId::parse(text), Some(ImageId { kind, digest, repository }), "{text}");
    }

    #[test]
    fn every_form_the_runtimes_write() {
        check(&format!("registry.example/a/b@{X}"), DigestKind::Manifest, X, "registry.example/a/b");
        check(&format!("localhost:5000/b@{X}"), DigestKind::Manifest, X, "localhost:5000/b");
        check(&format!("docker-pullable://b@{X}"), DigestKind::Manifest, X, "b");
        check(&format!("docker://{X}"), DigestKind::ManifestOrConfig, X, "");
        check(X, DigestKind::Config, X, "");
        check(&X[7..], DigestKind::Opaque, &X[7..], "");
        let import = "docker.io/library/import-2026-09-11";
        check(&format!("{import}@{X}"), DigestKind::Manifest, X, import);
        let sha512 = format!("sha512:{}", "b".repeat(128));
        check(&format!("r@{sha512}"), DigestKind::Manifest, &sha512, "r");
    }

    #[test]
    fn what_is_not_in_the_table_is_unknown() {
        for text in
            ["", "nginx", "nginx:1.27", "r@sha256:abc", "@", X.to_uppercase().as_str(), "sha256:", "cri-o://x", "ab12"]
        {
            assert_eq!(ImageId::parse(text), None, "{text}");
        }
        assert_eq!(ImageId::parse(&format!("@{X}")), None, "no repository");
        assert_eq!(ImageId::parse(&format!("r@{X}0")), None, "one digit too many");
    }

    proptest! {
        #[test]
        fn never_panics_and_never_invents(text in "\\PC{0,90}|[a-f0-9]{64}|[a-z/.:]{0,20}@sha256:[a-f0-9]{60,66}") {
            if let Some(read) = ImageId::parse(&text) {
                prop_assert!(text.ends_with(read.digest));
                prop_assert!(text.contains(read.repository));
                prop_assert!(!read.digest.is_empty());
            }
        }
    }
}
