//! Parses manifests, indexes and configurations.

use super::failure::RegistryFailure;
use crate::report::Name;
use crate::report::registry::{Build, Child, Config, ImageFact, Index, Manifest, believable, platform};
use crate::time::UnixTime;
use ring::digest::{Context, SHA256, SHA384, SHA512, digest};
use serde::Deserialize;
use serde_json::{Map, Value};

/// The requested media types. For other lists some registries return other digests.
pub(super) const ACCEPTED: [&str; 4] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

/// Maximum length of a label in characters.
const LONGEST_LABEL: usize = 128;

/// Whether `body` has this digest; an unknown algorithm confirms nothing.
pub(super) fn has_digest(body: &[u8], wanted: &str) -> bool {
    let algorithm = match wanted.split_once(':') {
        Some(("sha256", _)) => &SHA256,
        Some(("sha384", _)) => &SHA384,
        Some(("sha512", _)) => &SHA512,
        _ => return false,
    };
    wanted.split_once(':').is_some_and(|(_, hex)| hex == to_hex(digest(algorithm, body).as_ref()))
}

/// The sha256 digest of a body.
pub(super) fn sha256(body: &[u8]) -> String {
    format!("sha256:{}", to_hex(digest(&SHA256, body).as_ref()))
}

fn to_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Infallible: writing to a `String`.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ManifestDocument {
    media_type: Option<String>,
    manifests: Option<Vec<Descriptor>>,
    config: Option<Descriptor>,
    annotations: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: Option<String>,
    digest: Option<String>,
    platform: Option<PlatformDocument>,
    annotations: Option<Value>,
}

#[derive(Deserialize, Default)]
struct PlatformDocument {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    variant: String,
    #[serde(default, rename = "os.version")]
    os_version: String,
}

#[derive(Deserialize)]
struct ConfigDocument {
    #[serde(flatten)]
    platform: PlatformDocument,
    created: Option<String>,
    config: Option<Start>,
    rootfs: Option<RootFs>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase")]
struct Start {
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    env: Option<Vec<String>>,
    user: Option<String>,
    working_dir: Option<String>,
    labels: Option<Value>,
}

#[derive(Deserialize)]
struct RootFs {
    diff_ids: Option<Vec<String>>,
}

/// Parses a response from `/manifests/`.
pub(super) fn manifest(body: &[u8], content_type: &str) -> Result<ImageFact, RegistryFailure> {
    let text = String::from_utf8_lossy(body);
    let document: ManifestDocument =
        serde_json::from_str(&text).map_err(|_| RegistryFailure::Unreadable("something that is not a manifest"))?;
    let content_type = content_type.split(';').next().unwrap_or_default().trim();
    let media_type = document.media_type.as_deref().unwrap_or(content_type);
    if !ACCEPTED.contains(&media_type) {
        return Err(RegistryFailure::Unreadable("a manifest of another kind than OCI or Docker v2"));
    }
    let build = build(document.annotations.as_ref(), None);
    match (document.manifests, document.config) {
        (Some(manifests), None) if media_type == ACCEPTED[0] || media_type == ACCEPTED[1] => {
            Ok(ImageFact::Index(index(manifests, build)?))
        }
        (None, Some(config)) if media_type == ACCEPTED[2] || media_type == ACCEPTED[3] => {
            let config = config
                .digest
                .ok_or(RegistryFailure::Unreadable("a manifest without the digest of its configuration"))?;
            Ok(ImageFact::Manifest(Manifest { config: Name::from(config), build }))
        }
        _ => Err(RegistryFailure::Unreadable("a manifest that is neither an index nor an image")),
    }
}

fn index(manifests: Vec<Descriptor>, build: Build) -> Result<Index, RegistryFailure> {
    let mut complete = true;
    let mut children = Vec::new();
    for descriptor in manifests {
        let digest =
            descriptor.digest.ok_or(RegistryFailure::Unreadable("an index with a child that has no digest"))?;
        let found = descriptor.platform.unwrap_or_default();
        let annotation = |key: &str| descriptor.annotations.as_ref().and_then(|it| it.get(key)).is_some();
        // BuildKit's attestations are not images.
        let is_unknown = found.os == "unknown" && found.architecture == "unknown";
        if is_unknown || annotation("vnd.docker.reference.type") {
            continue;
        }
        let nested = descriptor.media_type.as_deref().is_some_and(|it| ACCEPTED[..2].contains(&it));
        let platform = platform(&found.os, &found.architecture, &found.variant, &found.os_version);
        complete &= !nested && !platform.is_empty();
        let platform = if nested { Name::from("") } else { Name::from(platform) };
        children.push(Child { platform, digest: Name::from(digest) });
    }
    children.sort_unstable();
    children.dedup();
    Ok(Index { children: children.into_boxed_slice(), complete, build })
}

/// Parses an image configuration.
pub(super) fn config(body: &[u8]) -> Result<ImageFact, RegistryFailure> {
    let text = String::from_utf8_lossy(body);
    let document: ConfigDocument = serde_json::from_str(&text)
        .map_err(|_| RegistryFailure::Unreadable("something that is not an image configuration"))?;
    let start = document.config.unwrap_or_default();
    let layers = document.rootfs.and_then(|rootfs| rootfs.diff_ids).unwrap_or_default();
    let PlatformDocument { os, architecture, variant, os_version } = &document.platform;
    let created = document.created.as_deref().and_then(UnixTime::parse).and_then(believable);
    Ok(ImageFact::Config(Config {
        platform: Name::from(platform(os, architecture, variant, os_version)),
        content: content(&layers, architecture, &start),
        build: build(start.labels.as_ref(), created),
    }))
}

/// Hash of everything in an image that matters to a container.
fn content(layers: &[String], architecture: &str, start: &Start) -> Option<u64> {
    let mut hash = Context::new(&SHA256);
    let mut is_readable = !layers.is_empty();
    let mut add = |texts: &[String]| {
        hash.update(&(texts.len() as u64).to_le_bytes());
        for text in texts {
            is_readable &= !text.contains(char::REPLACEMENT_CHARACTER);
            hash.update(&(text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        }
    };
    let one = |text: Option<&String>| text.cloned().into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>();
    add(layers);
    add(&[architecture.to_owned()]);
    for texts in [&start.entrypoint, &start.cmd, &start.env] {
        add(texts.as_deref().unwrap_or_default());
    }
    add(&one(start.user.as_ref()));
    add(&one(start.working_dir.as_ref()));
    let bytes = hash.finish();
    let first = bytes.as_ref().first_chunk::<8>().map(|bytes| u64::from_le_bytes(*bytes));
    first.filter(|_| is_readable)
}

/// Build details in annotations or labels.
fn build(labels: Option<&Value>, created: Option<UnixTime>) -> Build {
    let empty = Map::new();
    let labels = labels.and_then(Value::as_object).unwrap_or(&empty);
    let label = |name: &str| -> Option<Name> {
        let text = labels.get(&format!("org.opencontainers.image.{name}"))?.as_str()?.trim();
        let is_readable =
            !text.is_empty() && !text.contains(|it: char| it == char::REPLACEMENT_CHARACTER || it.is_control());
        is_readable.then(|| Name::from(text.chars().take(LONGEST_LABEL).collect::<String>()))
    };
    let annotated = || {
        let text = labels.get("org.opencontainers.image.created")?.as_str()?;
        UnixTime::parse(text.trim()).and_then(believable)
    };
    Build {
        revision: label("revision"),
        version: label("version"),
        source: label("source"),
        created: created.or_else(annotated),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn digest_of(letter: char) -> String {
        format!("sha256:{}", letter.to_string().repeat(64))
    }

    #[test]
    fn attestations_are_not_images() {
        let child = |digest: String, platform: Value, annotations: Value| json!({"digest": digest, "platform": platform, "annotations": annotations});
        let body = json!({"mediaType": ACCEPTED[0], "manifests": [
            child(digest_of('a'), json!({"os": "linux", "architecture": "amd64"}), json!({})),
            child(digest_of('b'), json!({"os": "linux", "architecture": "arm64", "variant": "v8"}), json!({})),
            child(digest_of('c'), json!({"os": "unknown", "architecture": "unknown"}), json!({})),
            child(digest_of('d'), json!({"os": "linux", "architecture": "amd64"}), json!({"vnd.docker.reference.type": "x"})),
        ]});
        let ImageFact::Index(index) = manifest(body.to_string().as_bytes(), "").unwrap() else { panic!() };
        let platforms: Vec<_> = index.children.iter().map(|child| &*child.platform).collect();
        assert_eq!((platforms, index.complete), (vec!["linux/amd64", "linux/arm64"], true));
    }

    #[test]
    fn invalid_manifests_are_refused() {
        for (body, content_type) in [
            ("", ACCEPTED[0]),
            ("[]", ACCEPTED[0]),
            ("{}", ACCEPTED[2]),
            (r#"{"manifests":[],"config":{"digest":"x"}}"#, ACCEPTED[0]),
            (r#"{"manifests":[]}"#, ACCEPTED[2]),
            (r#"{"config":{}}"#, ACCEPTED[2]),
            (r#"{"schemaVersion":1,"fsLayers":[]}"#, "application/vnd.docker.distribution.manifest.v1+prettyjws"),
            (r#"{"config":{"digest":"x"}}"#, "text/html"),
        ] {
            assert!(manifest(body.as_bytes(), content_type).is_err(), "{body} {content_type}");
        }
    }

    fn config_of(start: Value, labels: Value, created: &str) -> Config {
        let mut start = start;
        start["Labels"] = labels;
        let body = json!({"os": "linux", "architecture": "amd64", "created": created, "config": start,
            "rootfs": {"type": "layers", "diff_ids": [digest_of('1'), digest_of('2')]}});
        let ImageFact::Config(config) = config(body.to_string().as_bytes()).unwrap() else { panic!() };
        config
    }

    #[test]
    fn labels_and_dates_are_not_content_and_everything_a_process_sees_is() {
        let start = || json!({"Cmd": ["a", "b"], "Env": ["A=1"], "User": "1", "WorkingDir": "/"});
        let first = config_of(start(), json!({"x": "1"}), "2026-11-01T10:00:00Z");
        let other = config_of(start(), json!({"x": "2"}), "2026-11-02T10:00:00Z");
        assert_eq!(first.content, other.content);
        assert!(first.content.is_some());
        for (field, value) in [
            ("Cmd", json!(["ab"])),
            ("Cmd", json!(["a", "b", ""])),
            ("Env", json!([])),
            ("User", json!("0")),
            ("WorkingDir", json!("/x")),
            ("Entrypoint", json!(["a"])),
        ] {
            let mut changed = start();
            changed[field] = value;
            assert_ne!(config_of(changed, json!({}), "").content, first.content, "{field}");
        }
        assert_eq!(
            config_of(json!({"Entrypoint": []}), json!({}), "").content,
            config_of(json!({"Entrypoint": null}), json!({}), "").content,
        );
        let ImageFact::Config(empty) = config(b"{}").unwrap() else { panic!() };
        assert_eq!((empty.content, &*empty.platform), (None, ""));
    }

    /// R21.
    #[test]
    fn labels_are_cut_or_left_out() {
        let labels = json!({
            "org.opencontainers.image.revision": "x".repeat(5000), "org.opencontainers.image.version": 7,
            "org.opencontainers.image.source": "a\nb",
        });
        let build = config_of(json!({}), labels, "1980-01-01T00:00:00Z").build;
        assert_eq!(build.revision.map(|it| it.len()), Some(128));
        assert_eq!((build.version, build.source, build.created), (None, None, None));
        let body = b"{\"config\":{\"Labels\":{\"org.opencontainers.image.revision\":\"\xff\",\"org.opencontainers.image.version\":\"1\"}}}";
        let ImageFact::Config(config) = config(body).unwrap() else { panic!() };
        assert_eq!((config.build.revision, config.build.version.as_deref()), (None, Some("1")));
    }

    #[test]
    fn a_digest_is_that_of_the_bytes() {
        assert!(has_digest(b"abc", &sha256(b"abc")) && !has_digest(b"abd", &sha256(b"abc")));
        assert!(!has_digest(b"abc", "md5:900150983cd24fb0d6963f7d28e17f72") && !has_digest(b"abc", "abc"));
        let sha512 = "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";
        assert!(has_digest(b"abc", sha512));
    }
}
