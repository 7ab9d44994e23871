//! The families about registries. They have series only with `--registry`.

use super::family::{Family, FamilyScope};
use crate::report::registry::{RegistryReport, SkewContent};
use crate::report::{Name, Origin, WorkloadReport};
use std::collections::BTreeMap;

pub(super) const TAG_MOVED: Family = Family {
    name: "podskew_tag_moved_age_seconds",
    help: "Seconds since podskew first saw the tag of a container point to another image than its pods run; 0 while \
           it points to what they run, absent while that is unknown. change says what a container that pulls the tag \
           would run: none (the same), rebuilt (the same content under another digest) or different. Only with \
           --registry.",
    labels: &["container", "image", "origin", "change"],
    pod_labels: false,
    sparse: false,
    example: "max by (cluster, namespace, workload_type, workload, container, image) \
              (podskew_tag_moved_age_seconds{origin=\"template\",change=\"different\"}) > 0",
    series: "1 per container whose tag a registry has resolved; none without --registry",
    subject: FamilyScope::Workload(|report, rows| {
        for tag in evidence(report).flat_map(|registry| &registry.tags) {
            rows.age(&[&tag.container, &tag.image, tag.origin.as_str(), tag.change.as_str()], tag.since);
        }
    }),
};

pub(super) const IMAGE_GONE: Family = Family {
    name: "podskew_image_gone_age_seconds",
    help: "Seconds since the registry no longer has the image of a container; a pod that starts on a node without \
           the image cannot pull it. Only with --registry.",
    labels: &["container", "image", "origin"],
    pod_labels: false,
    sparse: true,
    example: "max by (cluster, namespace, workload_type, workload, container, image) (podskew_image_gone_age_seconds)",
    series: "1 per container whose image is gone; usually none",
    subject: FamilyScope::Workload(|report, rows| {
        for gone in evidence(report).flat_map(|registry| &registry.gone) {
            rows.age(&[&gone.container, &gone.image, gone.origin.as_str()], Some(gone.since));
        }
    }),
};

pub(super) const SKEW_CONTENT: Family = Family {
    name: "podskew_digest_skew_content_info",
    help: "How the images of a container in digest skew differ: different (in content), same_content (only labels or \
           dates differ) or unknown; always 1. Only with --registry.",
    labels: &["container", "origin", "content"],
    pod_labels: false,
    sparse: true,
    example: "max by (cluster, namespace, workload_type, workload, container) \
              (podskew_digest_skew_content_info{content=\"same_content\"})",
    series: "1 per container and origin in digest skew; usually none",
    subject: FamilyScope::Workload(|report, rows| {
        // The worst over several template hashes.
        let mut worst: BTreeMap<(&Name, Origin), &SkewContent> = BTreeMap::new();
        for skew in evidence(report).flat_map(|registry| &registry.skews) {
            let known = worst.entry((&skew.container, skew.origin)).or_insert(skew);
            if skew.content > known.content {
                *known = skew;
            }
        }
        for ((container, origin), skew) in worst {
            rows.value(&[container, origin.as_str(), skew.as_str()], 1);
        }
    }),
};

pub(super) const TAG_DIGEST: Family = Family {
    name: "podskew_image_tag_digest_info",
    help: "The digest that the tag of an image points to in its registry; always 1. Only with --registry.",
    labels: &["digest"],
    pod_labels: false,
    sparse: true,
    example: "max by (cluster, image, digest) (podskew_image_tag_digest_info)",
    series: "1 per image with a tag that started containers run; none without --registry",
    subject: FamilyScope::Registry(&["image"], |evidence, row| {
        let mut tags: Vec<_> = evidence.tags.iter().collect();
        tags.sort_unstable_by_key(|(image, _)| *image);
        for (image, tag) in tags {
            row(image, &[&tag.digest], 1);
        }
    }),
};

pub(super) const BUILD: Family = Family {
    name: "podskew_image_build_info",
    help: "Revision, version and source of an image in digest skew or with a moved tag, from the image's labels \
           org.opencontainers.image.revision, version and source; always 1. Only with --registry.",
    labels: &["revision", "version", "source"],
    pod_labels: false,
    sparse: true,
    example: "max by (cluster, namespace, workload, container, digest, pod) (podskew_skewed_pod_info) * on (cluster, digest) \
              group_left (revision) max by (cluster, digest, revision) (podskew_image_build_info)",
    series: "1 per digest in skew or of a moved tag whose image has such labels; usually none",
    subject: FamilyScope::Registry(&["digest"], |evidence, row| {
        for (digest, build) in &evidence.builds {
            let labels = [&build.revision, &build.version, &build.source];
            if labels.iter().any(|label| label.is_some()) {
                row(digest, &labels.map(|label| label.as_deref().unwrap_or_default()), 1);
            }
        }
    }),
};

pub(super) const CREATED: Family = Family {
    name: "podskew_image_created_timestamp_seconds",
    help: "Build time of an image in digest skew or with a moved tag, as the image states it; no registry tells when \
           an image was pushed. Only with --registry.",
    labels: &[],
    pod_labels: false,
    sparse: true,
    example: "max by (cluster, digest) (podskew_image_created_timestamp_seconds)",
    series: "1 per digest in skew or of a moved tag with a believable date; usually none",
    subject: FamilyScope::Registry(&["digest"], |evidence, row| {
        for (digest, created) in evidence.builds.iter().filter_map(|(digest, build)| Some((digest, build.created?))) {
            row(digest, &[], created.seconds());
        }
    }),
};

fn evidence(report: &WorkloadReport) -> impl Iterator<Item = &RegistryReport> {
    report.registry.iter().map(|registry| &**registry)
}
