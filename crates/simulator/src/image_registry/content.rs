//! Manifests and blobs of a registry.

use serde_json::{Value, json};
use std::collections::HashMap;
use std::fmt::Write as _;

/// A platform, as in an image index.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Platform {
    /// Its operating system.
    pub os: &'static str,
    /// Its architecture.
    pub architecture: &'static str,
    /// The variant of the architecture, or empty.
    pub variant: &'static str,
}

impl Platform {
    /// linux/amd64.
    pub const AMD64: Self = Self { os: "linux", architecture: "amd64", variant: "" };
    /// linux/arm64/v8.
    pub const ARM64: Self = Self { os: "linux", architecture: "arm64", variant: "v8" };
}

/// An image of one platform.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Image {
    /// Its platform.
    pub platform: Platform,
    /// Digests of its uncompressed layers, which depend on their content.
    pub layers: Vec<String>,
    /// Compression of its layers: images that differ only in this have the same configuration.
    pub compression: String,
    /// The command.
    pub command: Vec<String>,
    /// Its labels.
    pub labels: Vec<(String, String)>,
    /// When it was built, in RFC 3339.
    pub created: String,
}

impl Image {
    /// An image for amd64 with one layer that has this content.
    #[must_use]
    pub fn of(layer: &str) -> Self {
        Self {
            platform: Platform::AMD64,
            layers: vec![layer.to_owned()],
            compression: "gzip".to_owned(),
            command: vec!["/app".to_owned()],
            labels: Vec::new(),
            created: "2026-11-01T10:00:00Z".to_owned(),
        }
    }

    /// The same image, built from this commit.
    #[must_use]
    pub fn revision(mut self, revision: &str) -> Self {
        self.labels.push(("org.opencontainers.image.revision".to_owned(), revision.to_owned()));
        self
    }
}

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Manifests, blobs and tags of a registry.
#[derive(Default, Debug)]
pub(super) struct Content {
    repositories: HashMap<String, Repository>,
}

#[derive(Default, Debug)]
struct Repository {
    tags: HashMap<String, String>,
    manifests: HashMap<String, (String, Vec<u8>)>,
    blobs: HashMap<String, Vec<u8>>,
}

impl Content {
    pub(super) fn push(&mut self, name: &str, tag: Option<&str>, image: &Image) -> String {
        let labels: serde_json::Map<String, Value> =
            image.labels.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
        let layers: Vec<String> = image.layers.iter().map(|layer| digest_of(layer.as_bytes())).collect();
        let mut config = json!({
            "os": image.platform.os, "architecture": image.platform.architecture, "created": image.created,
            "config": {"Cmd": image.command, "Env": ["PATH=/bin"], "Labels": labels},
            "rootfs": {"type": "layers", "diff_ids": layers},
        });
        if !image.platform.variant.is_empty() {
            config["variant"] = json!(image.platform.variant);
        }
        let config = config.to_string().into_bytes();
        let config_digest = digest_of(&config);
        let compressed = |layer: &String| {
            let digest = digest_of(format!("{} {layer}", image.compression).as_bytes());
            json!({"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest, "size": 1})
        };
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config_digest, "size": config.len()},
            "layers": image.layers.iter().map(compressed).collect::<Vec<_>>(),
        });
        self.repository(name).blobs.insert(config_digest, config);
        self.put_manifest(name, tag, MANIFEST, manifest.to_string().as_bytes())
    }

    pub(super) fn push_index(
        &mut self,
        name: &str,
        tag: Option<&str>,
        children: &[(Platform, String)],
        provenance: Option<&str>,
    ) -> String {
        let mut manifests: Vec<Value> = children
            .iter()
            .map(|(Platform { os, architecture, variant }, digest)| {
                let mut platform = json!({"os": os, "architecture": architecture});
                if !variant.is_empty() {
                    platform["variant"] = json!(variant);
                }
                json!({"mediaType": MANIFEST, "digest": digest, "size": 1, "platform": platform})
            })
            .collect();
        if let Some((text, (_, first))) = provenance.zip(children.first()) {
            // In the form that BuildKit writes.
            manifests.push(json!({
                "mediaType": MANIFEST, "digest": digest_of(text.as_bytes()), "size": 1,
                "platform": {"os": "unknown", "architecture": "unknown"},
                "annotations": {
                    "vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": first,
                },
            }));
        }
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests});
        self.put_manifest(name, tag, INDEX, index.to_string().as_bytes())
    }

    pub(super) fn put_manifest(&mut self, name: &str, tag: Option<&str>, media_type: &str, body: &[u8]) -> String {
        let digest = digest_of(body);
        let repository = self.repository(name);
        repository.manifests.insert(digest.clone(), (media_type.to_owned(), body.to_owned()));
        if let Some(tag) = tag {
            repository.tags.insert(tag.to_owned(), digest.clone());
        }
        digest
    }

    pub(super) fn put_blob(&mut self, name: &str, body: &[u8]) -> String {
        let digest = digest_of(body);
        self.repository(name).blobs.insert(digest.clone(), body.to_owned());
        digest
    }

    pub(super) fn tag(&mut self, name: &str, tag: &str, digest: &str) {
        self.repository(name).tags.insert(tag.to_owned(), digest.to_owned());
    }

    pub(super) fn delete(&mut self, name: &str, reference: &str) {
        let repository = self.repository(name);
        repository.tags.remove(reference);
        if repository.manifests.remove(reference).is_some() {
            repository.tags.retain(|_, digest| digest != reference);
        }
    }

    /// Digest, media type and text of a manifest.
    pub(super) fn manifest(&self, name: &str, reference: &str) -> Option<(String, String, Vec<u8>)> {
        let repository = self.repositories.get(name)?;
        let digest = repository.tags.get(reference).map_or(reference, String::as_str);
        let (media_type, body) = repository.manifests.get(digest)?;
        Some((digest.to_owned(), media_type.clone(), body.clone()))
    }

    pub(super) fn blob(&self, name: &str, digest: &str) -> Option<Vec<u8>> {
        self.repositories.get(name)?.blobs.get(digest).cloned()
    }

    fn repository(&mut self, name: &str) -> &mut Repository {
        self.repositories.entry(name.to_owned()).or_default()
    }
}

/// The digest of content.
pub(super) fn digest_of(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    digest.as_ref().iter().fold("sha256:".to_owned(), |mut text, byte| {
        // Infallible: writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
