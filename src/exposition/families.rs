//! The workload families, in the order they are served. This is their only declaration.

use super::family::{Family, FamilyScope, Rows};
use super::registry_families as registry;
use super::rollout_families as rollout;
use crate::advice::{Finding, remedy};
use crate::kinds::WorkloadKind;
use crate::report::{ContainerReport, Origin, Workload, WorkloadReport};
use crate::terminal::humanize::encoded;

/// Every workload family.
pub static FAMILIES: &[Family] = &[
    Family {
        name: "podskew_distinct_digests_per_deployment",
        help: "Number of distinct image digests among the active pods of a Deployment, by container.",
        labels: &["container"],
        pod_labels: false,
        sparse: false,
        example: "max by (cluster, namespace, deployment, container) (podskew_distinct_digests_per_deployment) > 1",
        series: "1 per Deployment and container",
        subject: FamilyScope::Deployment(|report, rows| {
            for container in &report.containers {
                rows.value(&[&container.container], container.distinct_digests);
            }
        }),
    },
    Family {
        name: "podskew_distinct_digests_per_workload",
        help: "Number of distinct image digests among the active pods of a workload, by container.",
        labels: &["container", "origin"],
        pod_labels: false,
        sparse: false,
        example: "max by (cluster, namespace, workload_type, workload, container) \
                  (podskew_distinct_digests_per_workload{origin=\"template\"}) > 1",
        series: "1 per workload and container",
        subject: FamilyScope::Workload(|report, rows| {
            for container in &report.containers {
                rows.value(&[&container.container, container.origin.as_str()], container.distinct_digests);
            }
        }),
    },
    Family {
        name: "podskew_distinct_digests_per_template_hash",
        help: "Number of distinct image digests among the active pods of one template hash, by container; above 1 is \
               digest skew.",
        labels: &["pod_template_hash", "container", "origin"],
        pod_labels: false,
        sparse: false,
        example: "max by (cluster, namespace, workload_type, workload, pod_template_hash, container) \
                  (podskew_distinct_digests_per_template_hash{origin=\"template\"}) > 1",
        series: "1 per template hash with active pods, and container",
        subject: FamilyScope::Workload(|report, rows| {
            for (container, of_hash) in by_hash(report) {
                let labels = [&*of_hash.hash, &container.container, of_hash.origin.as_str()];
                rows.value(&labels, of_hash.distinct_digests);
            }
        }),
    },
    Family {
        name: "podskew_digest_skew_age_seconds",
        help: "Seconds for which active pods of one template hash have run different image digests in a container; 0 \
               without digest skew.",
        labels: &["container", "origin"],
        pod_labels: false,
        sparse: false,
        example: "max by (cluster, namespace, workload_type, workload, container) \
                  (podskew_digest_skew_age_seconds{origin=\"template\"}) > 600",
        series: "1 per workload, container and origin",
        subject: FamilyScope::Workload(|report, rows| report.containers.iter().for_each(|c| skew_ages(c, rows))),
    },
    Family {
        name: "podskew_pods_by_digest",
        help: "Number of active pods by image digest and by the image in their spec. digest_kind says what the \
               digest identifies: registries know manifest digests, only nodes know config digests.",
        labels: &["pod_template_hash", "container", "image", "digest", "digest_kind"],
        pod_labels: false,
        sparse: false,
        example: "max by (cluster, namespace, workload, container, image, digest) (podskew_pods_by_digest{workload=\"web\"})",
        series: "1 per template hash with active pods, container, image and digest",
        subject: FamilyScope::Workload(|report, rows| {
            for (container, of_hash) in by_hash(report) {
                for pods in &of_hash.digests {
                    let kind = pods.kind.as_str();
                    rows.value(&[&of_hash.hash, &container.container, &pods.image, &pods.digest, kind], pods.pods);
                }
            }
        }),
    },
    Family {
        name: "podskew_newest_digest_info",
        help: "The newest of the digests in skew under one template hash: its pods were all created after the \
               containers of all others had started; always 1.",
        labels: &["pod_template_hash", "container", "digest"],
        pod_labels: false,
        sparse: true,
        example: "max by (cluster, namespace, workload, container, digest) (podskew_newest_digest_info)",
        series: "1 per container and template hash in digest skew, if the ages of the pods show which digest is \
                 newest",
        subject: FamilyScope::Workload(|report, rows| {
            for (container, of_hash) in by_hash(report) {
                if let Some(digest) = &of_hash.newest_digest {
                    rows.value(&[&of_hash.hash, &container.container, digest], 1);
                }
            }
        }),
    },
    Family {
        name: "podskew_pods_awaiting_owner",
        help: "Number of pods that all other metrics leave out until podskew sees their owner.",
        labels: &[],
        pod_labels: false,
        sparse: true,
        example: "max by (cluster, namespace) (min_over_time(podskew_pods_awaiting_owner[5m])) > 0",
        series: "1 per namespace with such pods; usually none",
        subject: FamilyScope::AwaitingOwner,
    },
    Family {
        name: "podskew_unresolved_digest_pods",
        help: "Number of active pods whose image digest cannot be compared, by reason: not_started (no digest yet), \
               not_reported (the container runs, but its node reports no digest) or image_id_only (another kind of \
               identifier than that of the other pods).",
        labels: &["container", "reason"],
        pod_labels: false,
        sparse: true,
        example: "max by (cluster, namespace, workload_type, workload, container) \
                  (podskew_unresolved_digest_pods{reason=\"image_id_only\"})",
        series: "at most 3 per workload and container; usually none",
        subject: FamilyScope::Workload(|report, rows| {
            for container in &report.containers {
                rows.value_above_zero(&[&container.container, "not_started"], container.not_started);
                rows.value_above_zero(&[&container.container, "not_reported"], container.not_reported);
                rows.value_above_zero(&[&container.container, "image_id_only"], container.image_id_only);
            }
        }),
    },
    Family {
        name: "podskew_tag_cached_nodes",
        help: "Number of nodes that hold an image digest under a tag that workloads use, if the tag has other \
               digests on other nodes. With pull policy IfNotPresent, a pod that starts on such a node runs the \
               digest that the node holds. Only with --nodes.",
        labels: &["digest"],
        pod_labels: false,
        sparse: true,
        example: "max by (cluster, image, digest) (podskew_tag_cached_nodes)",
        series: "1 per digest of a tag that has several; usually none",
        subject: FamilyScope::CachedTags,
    },
    registry::TAG_MOVED,
    registry::IMAGE_GONE,
    registry::SKEW_CONTENT,
    registry::TAG_DIGEST,
    registry::BUILD,
    registry::CREATED,
    Family {
        name: "podskew_pods_by_template_hash",
        help: "Number of active pods of a template hash.",
        labels: &["pod_template_hash"],
        pod_labels: false,
        sparse: false,
        example: "max by (cluster, namespace, workload_type, workload, pod_template_hash) (podskew_pods_by_template_hash)",
        series: "1 per template hash with pods, and the current one",
        subject: FamilyScope::Workload(|report, rows| {
            report.hashes.iter().for_each(|hash| rows.value(&[&hash.hash], hash.pods));
        }),
    },
    Family {
        name: "podskew_ready_pods_by_template_hash",
        help: "Number of active pods of a template hash that are Ready.",
        labels: &["pod_template_hash"],
        pod_labels: false,
        sparse: false,
        example: "max by (cluster, namespace, workload_type, workload, pod_template_hash) \
                  (podskew_pods_by_template_hash - podskew_ready_pods_by_template_hash) > 0",
        series: "1 per template hash with pods, and the current one",
        subject: FamilyScope::Workload(|report, rows| {
            report.hashes.iter().for_each(|hash| rows.value(&[&hash.hash], hash.ready_pods));
        }),
    },
    Family {
        name: "podskew_terminating_pods",
        help: "Number of pods of a template hash that are being deleted; they do not count as active.",
        labels: &["pod_template_hash"],
        pod_labels: false,
        sparse: true,
        example: "max by (cluster, namespace, workload_type, workload) (min_over_time(podskew_terminating_pods[15m])) > 0",
        series: "1 per template hash with such pods; usually none",
        subject: FamilyScope::Workload(|report, rows| {
            report.hashes.iter().for_each(|hash| rows.value_above_zero(&[&hash.hash], hash.terminating_pods));
        }),
    },
    Family {
        name: "podskew_distinct_template_hashes_per_workload",
        help: "Number of distinct template hashes among the active pods of a workload.",
        labels: &[],
        pod_labels: false,
        sparse: false,
        example: "max by (cluster, namespace, workload_type, workload) (podskew_distinct_template_hashes_per_workload) > 2",
        series: "1 per workload",
        subject: FamilyScope::Workload(|report, rows| rows.value(&[], report.distinct_hashes)),
    },
    Family {
        name: "podskew_mixed_template_hashes_age_seconds",
        help: "Seconds for which active pods of a workload have had different template hashes; 0 if all have the \
               same.",
        labels: &[],
        pod_labels: false,
        sparse: false,
        example: "max by (cluster, namespace, workload_type, workload) (podskew_mixed_template_hashes_age_seconds) > 3600",
        series: "1 per workload",
        subject: FamilyScope::Workload(|report, rows| rows.age(&[], report.mixed_since)),
    },
    Family {
        name: "podskew_outdated_pods",
        help: "Number of active pods that should have the current template hash and do not; pods below the partition \
               of a StatefulSet are not outdated.",
        labels: &[],
        pod_labels: false,
        sparse: false,
        example: "max by (cluster, namespace, workload_type, workload) (podskew_outdated_pods) > 0",
        series: "1 per workload whose current template hash is known",
        subject: FamilyScope::Workload(|report, rows| {
            report.outdated_pods.iter().for_each(|pods| rows.value(&[], *pods));
        }),
    },
    Family {
        name: "podskew_template_hash_info",
        help: "Revision of a template hash, and whether it is the hash of the workload's current template; always 1.",
        labels: &["pod_template_hash", "revision", "current"],
        pod_labels: true,
        sparse: false,
        example: "max by (cluster, namespace, workload, pod_template_hash, revision) (podskew_template_hash_info{current=\"true\"})",
        series: "1 per template hash with pods, and the current one",
        subject: FamilyScope::Workload(|report, rows| {
            for hash in report.hashes.iter().filter(|hash| !hash.hash.is_empty()) {
                let revision = hash.revision.map(|revision| revision.to_string()).unwrap_or_default();
                let current = hash.current.map_or("", |current| if current { "true" } else { "false" });
                rows.info(&[&hash.hash, &revision, current], &hash.labels);
            }
        }),
    },
    rollout::AGE,
    rollout::STATE,
    rollout::LAST_DURATION,
    rollout::LAST_HELD,
    rollout::LAST_COMPLETED,
    rollout::ENDED,
    rollout::ROLLBACK_TARGET,
    rollout::BLOCKING_POD,
    rollout::BLOCKED_PODS,
    rollout::UPDATE_HOLD,
    Family {
        name: "podskew_template_owner_info",
        help: "The object that sets a workload's template: the controller of a StatefulSet, or the Deployment that a \
               Rollout's workloadRef names; always 1.",
        labels: &["owner_kind", "owner_name"],
        pod_labels: false,
        sparse: true,
        example: "count by (cluster, owner_kind) (max by (cluster, namespace, workload, owner_kind) (podskew_template_owner_info))",
        series: "1 per such workload; usually none",
        subject: FamilyScope::Workload(|report, rows| {
            let driver = report.driver.iter().map(|driver| (&*driver.kind, &*driver.name));
            let deployment = report.template_of.iter().map(|name| (WorkloadKind::Deployment.kind(), &**name));
            driver.chain(deployment).for_each(|(kind, name)| rows.value(&[kind, name], 1));
        }),
    },
    Family {
        name: "podskew_remedy_info",
        help: "What to do about digest skew, or about a rollout that is stalled or in progress, as podskew audit \
               prints it: a command that shows the problem (look), the fix (do) and the reason (why); always 1. \
               Alerts show it.",
        labels: &["finding", "look", "do", "why"],
        pod_labels: false,
        sparse: true,
        example: "max by (cluster, namespace, workload_type, workload, look, do) (podskew_remedy_info{finding=\"digest_skew\"})",
        series: "1 per workload in digest skew, and 1 per rollout stalled or in progress; usually none",
        subject: FamilyScope::Workload(remedies),
    },
    Family {
        name: "podskew_image_reference_info",
        help: "How the current template refers to the image of a container: by digest, by tag or by latest; always 1.",
        labels: &["container", "image", "reference", "pull_policy"],
        pod_labels: false,
        sparse: false,
        example: "count(max by (cluster, namespace, workload_type, workload, container) \
                  (podskew_image_reference_info{reference=\"latest\"}))",
        series: "1 per workload and container of its template",
        subject: FamilyScope::Workload(|report, rows| {
            for image in &report.image_references {
                rows.value(&[&image.container, &image.image, image.reference.as_str(), &image.pull_policy], 1);
            }
        }),
    },
    Family {
        name: "podskew_pod_info",
        help: "A pod of a workload, with its node and template hash; always 1. Joined on namespace and pod, it \
               splits any metric of an application by template hash.",
        labels: &["pod", "node", "pod_template_hash"],
        pod_labels: true,
        sparse: false,
        // Two podskews may see a StatefulSet's recreated pod under two hashes: topk keeps one.
        example: "sum by (cluster, namespace, workload, pod_template_hash) (rate(http_requests_total[5m]) \
                  * on (cluster, namespace, pod) group_left (workload, pod_template_hash) topk by (cluster, namespace, pod) \
                  (1, max by (cluster, namespace, pod, workload, pod_template_hash) (podskew_pod_info)))",
        series: "1 per pod",
        subject: FamilyScope::Workload(|report, rows| {
            report.pods.iter().for_each(|pod| rows.info(&[&pod.pod, &pod.node, &pod.hash], &pod.labels));
        }),
    },
    Family {
        name: "podskew_skewed_pod_info",
        help: "A pod in digest skew, with the image digest that it runs; always 1.",
        labels: &["pod", "node", "pod_template_hash", "container", "origin", "digest"],
        pod_labels: false,
        sparse: true,
        example: "max by (cluster, namespace, workload, container, pod, node, digest) (podskew_skewed_pod_info)",
        series: "1 per pod and container in digest skew; usually none",
        subject: FamilyScope::Workload(skewed_pods),
    },
];

/// Returns each container with its state under each template hash.
fn by_hash(report: &WorkloadReport) -> impl Iterator<Item = (&ContainerReport, &crate::report::HashDigests)> {
    report.containers.iter().flat_map(|container| container.by_hash.iter().map(move |of_hash| (container, of_hash)))
}

/// A container may be the template's under one hash and injected under another. One series per origin lets the main
/// alert select the template's own only.
fn skew_ages(container: &ContainerReport, rows: &mut Rows<'_>) {
    if container.by_hash.is_empty() {
        return rows.age(&[&container.container, container.origin.as_str()], None);
    }
    for origin in [Origin::Template, Origin::Injected, Origin::Unknown] {
        let of_origin = container.by_hash.iter().filter(|of_hash| of_hash.origin == origin);
        if let Some(oldest) = of_origin.map(|of_hash| of_hash.skewed_since).reduce(|a, b| a.into_iter().chain(b).min())
        {
            rows.age(&[&container.container, origin.as_str()], oldest);
        }
    }
}

fn skewed_pods(report: &WorkloadReport, rows: &mut Rows<'_>) {
    for (container, of_hash) in by_hash(report).filter(|(_, of_hash)| of_hash.skewed_since.is_some()) {
        for digest in &of_hash.digests {
            for pod in digest.skewed.iter().filter_map(|index| report.pods.get(*index as usize)) {
                rows.value(
                    &[
                        &pod.pod,
                        &pod.node,
                        &of_hash.hash,
                        &container.container,
                        of_hash.origin.as_str(),
                        &digest.digest,
                    ],
                    1,
                );
            }
        }
    }
}

/// Maximum label value that every store accepts: Mimir rejects series with one above 2 048 bytes.
const LABEL_VALUE_MAX: usize = 2_000;

/// Appends a link to the workload's page.
fn linked(why: &str, page_url: &str, workload: &Workload) -> String {
    let Workload { namespace, workload_type, name } = workload;
    let [namespace, workload_type, name] = [namespace, workload_type, name].map(|segment| encoded(segment));
    format!("{why} Seen at {page_url}/workload/{namespace}/{workload_type}/{name} (podskew's page).")
}

fn remedies(report: &WorkloadReport, rows: &mut Rows<'_>) {
    for finding in Finding::all(report) {
        if !matches!(finding, Finding::DigestSkew | Finding::Stalled | Finding::UnderWay) {
            continue;
        }
        let remedy = remedy(report, finding);
        let action = remedy.action.to_string();
        let why = remedy.why.unwrap_or_default();
        if remedy.look.len().max(action.len()).max(why.len()) <= LABEL_VALUE_MAX {
            let linked = rows.page_url().map(|url| linked(&why, url, &report.workload));
            rows.value(&[finding.as_str(), &remedy.look, &action, linked.as_deref().unwrap_or(&why)], 1);
        }
    }
}
