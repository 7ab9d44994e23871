//! The last sections of `docs/metrics.md`: why names have their form, and what OpenTelemetry calls the same things.

pub(super) const NAMING: &str = "
## Why names have this form

**Ages, not timestamps.** podskew serves an age where the normal case is that nothing is going on: no rollout, no mix, no skew. The age
is then 0, so the series exists, and `> 600` is the whole alert. A timestamp has no value for \"nothing is going on\": with 0,
`time() - x` is more than 50 years, and a missing series could mean \"no skew\" or \"not watched\". podskew computes ages at
each scrape. A moment that stays true afterwards is a timestamp: `podskew_last_rollout_completed_timestamp_seconds`,
`podskew_image_created_timestamp_seconds`.

**`podskew_rollout_state` is one series, with the value 1.** OpenMetrics has the type StateSet for this: a series for each possible
state, 1 for the current state and 0 for the others. With eight states, that is eight series for each workload, seven of them 0.
Prometheus text has no such type. podskew serves the current state alone, as a gauge: `podskew_rollout_state{state=\"stalled\"}` finds
the workloads for which a StateSet would be 1. When the state changes, the series of the old state ends with the scrape in which the
new one begins. For this reason `avg_over_time` of a state is always 1; use `count_over_time` to see how long it was current.

**Suffixes.** `_seconds` and `_bytes` are units; `_total` marks a counter; `_info` marks a gauge that is always 1 and matters for its
labels. In OpenMetrics, families with a unit have a `# UNIT` line too.

## OpenTelemetry's names

podskew uses Prometheus' naming. An OpenTelemetry Collector that scrapes it keeps the names, and labels become attributes of data
points. To rename them, or to join them with an application's telemetry: this table has the attribute of OpenTelemetry's semantic
conventions that holds the same value. *(development)* marks attributes that the conventions do not call stable yet.

| label | OpenTelemetry attribute | note |
|---|---|---|
| `namespace` | `k8s.namespace.name` | |
| `workload`, with `workload_type` | `k8s.deployment.name`, `k8s.statefulset.name`, `k8s.daemonset.name`, `k8s.replicaset.name`, `k8s.job.name`, \
`k8s.replicationcontroller.name` *(development)* | OpenTelemetry has an attribute for each kind, and so none for `workload_type`. It has none for \
Rollouts, Experiments, CloneSets and other custom kinds. |
| `deployment` | `k8s.deployment.name` | |
| `pod` | `k8s.pod.name` | |
| `node` | `k8s.node.name` | |
| `container` | `k8s.container.name` | The name in the pod's spec. `container.name` is the name that the container runtime gave. |
| `image` | `container.image.name`, `container.image.tags` | podskew has the whole reference in one label. OpenTelemetry splits it into the \
name and a list of tags. |
| `digest`, with `digest_kind=\"manifest\"` | `oci.manifest.digest` *(development)* | Also in `container.image.repo_digests`, a list of \
`repository@digest`. The digest may be that of an image index. |
| `digest`, with another `digest_kind` | `container.image.id` *(development)* | The identifier that the container runtime has for the image. |
| `pod_template_hash` | `k8s.pod.label.<key>` | The key is `pod-template-hash`, `controller-revision-hash` or `rollouts-pod-template-hash`, \
by kind. |
| `label_*` | `k8s.pod.label.<key>` | |
| `reason` of `podskew_rollout_blocked_pods` | `k8s.container.status.reason` *(development)* | Only where the reason is that of a waiting \
container, such as `ImagePullBackOff`. |
| `version` of `podskew_build_info` | `service.version` | |
| `revision` of `podskew_build_info` and `podskew_image_build_info` | `vcs.ref.head.revision` *(development)* | |
| `cluster` in the examples | `k8s.cluster.name` | An external label that Prometheus adds, not podskew. |
| `origin`, `state`, `change`, `content`, `outcome`, `hold`, `current`, `reference`, `pull_policy`, `finding`, `look`, `do`, `why`, \
`resource`, `event`, `registry`, and the rest | none | |

No metric of the semantic conventions counts image digests or template hashes, or has the age or state of a rollout, so no family about
workloads has a counterpart. `k8s.deployment.pod.desired` and its siblings count the pods of a workload, not of a template. Only the
families about the process have counterparts, all of them in development:

| family | OpenTelemetry metric | note |
|---|---|---|
| `process_cpu_seconds_total` | `process.cpu.time` | |
| `process_resident_memory_bytes` | `process.memory.usage` | |
| `process_virtual_memory_bytes` | `process.memory.virtual` | |
| `process_open_fds` | `process.unix.file_descriptor.count` | |
| `process_threads` | `process.thread.count` | |
| `process_start_time_seconds` | `process.uptime` | A moment here, the time since then there. |
| `process_max_fds` | none | |
";
