//! Tables, which `kubectl get` requests instead of objects.

use crate::resource::Resource;
use crate::time::Time;
use serde_json::{Value, json};

/// What a row includes of its object beside the cells.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) enum Include {
    #[default]
    Metadata,
    Object,
    None,
}

/// One column: name, type, and whether it is shown only with `-o wide`.
struct Column {
    name: &'static str,
    kind: &'static str,
    wide: bool,
    cell: fn(&Value) -> Value,
}

const fn column(name: &'static str, kind: &'static str, cell: fn(&Value) -> Value) -> Column {
    Column { name, kind, wide: false, cell }
}

const fn wide(name: &'static str, cell: fn(&Value) -> Value) -> Column {
    Column { name, kind: "string", wide: true, cell }
}

/// The table of these objects; `metadata` is that of the list.
pub(crate) fn of(resource: Resource, objects: &[Value], include: Include, metadata: &Value) -> Value {
    let columns = columns(resource);
    let definitions: Vec<Value> = columns
        .iter()
        .map(|column| {
            let format = if column.name == "Name" { "name" } else { "" };
            let priority = u8::from(column.wide);
            json!({"name": column.name, "type": column.kind, "format": format, "description": "", "priority": priority})
        })
        .collect();
    let row = |object: &Value| {
        let cells: Vec<Value> = columns.iter().map(|column| (column.cell)(object)).collect();
        let object = match include {
            Include::Metadata => json!({
                "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"],
            }),
            Include::Object => object.clone(),
            Include::None => Value::Null,
        };
        json!({"cells": cells, "object": object})
    };
    let metadata = if metadata.is_null() { json!({}) } else { metadata.clone() };
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "columnDefinitions": definitions,
        "rows": objects.iter().map(row).collect::<Vec<_>>(),
    })
}

fn columns(resource: Resource) -> Vec<Column> {
    let name = column("Name", "string", |object| object["metadata"]["name"].clone());
    let age = column("Age", "string", age);
    let containers = [
        wide("Containers", |object| list(&object["spec"]["template"]["spec"]["containers"], "name")),
        wide("Images", |object| list(&object["spec"]["template"]["spec"]["containers"], "image")),
    ];
    let selector = wide("Selector", |object| labels(&object["spec"]["selector"]["matchLabels"]));
    let mut columns = vec![name];
    match resource {
        Resource::Pods => columns.extend([
            column("Ready", "string", pod_ready),
            column("Status", "string", pod_status),
            column("Restarts", "string", |pod| {
                sum(&pod["status"]["containerStatuses"], "restartCount").to_string().into()
            }),
            age,
            wide("IP", |pod| text(&pod["status"]["podIP"])),
            wide("Node", |pod| text(&pod["spec"]["nodeName"])),
            wide("Nominated Node", |pod| text(&pod["status"]["nominatedNodeName"])),
            wide("Readiness Gates", |_| "<none>".into()),
        ]),
        Resource::ReplicaSets => {
            columns.extend([
                column("Desired", "integer", |set| number(&set["spec"]["replicas"])),
                column("Current", "integer", |set| number(&set["status"]["replicas"])),
                column("Ready", "integer", |set| number(&set["status"]["readyReplicas"])),
                age,
            ]);
            columns.extend(containers);
            columns.push(selector);
        }
        Resource::Deployments => {
            columns.extend([
                column("Ready", "string", ready_of_wanted),
                column("Up-to-date", "integer", |it| number(&it["status"]["updatedReplicas"])),
                column("Available", "integer", |it| number(&it["status"]["availableReplicas"])),
                age,
            ]);
            columns.extend(containers);
            columns.push(selector);
        }
        Resource::StatefulSets | Resource::CloneSets => {
            columns.extend([column("Ready", "string", ready_of_wanted), age]);
            columns.extend(containers);
        }
        Resource::DaemonSets => {
            columns.extend([
                column("Desired", "integer", |it| number(&it["status"]["desiredNumberScheduled"])),
                column("Current", "integer", |it| number(&it["status"]["currentNumberScheduled"])),
                column("Ready", "integer", |it| number(&it["status"]["numberReady"])),
                column("Up-to-date", "integer", |it| number(&it["status"]["updatedNumberScheduled"])),
                column("Available", "integer", |it| number(&it["status"]["numberAvailable"])),
                column("Node Selector", "string", |it| labels(&it["spec"]["template"]["spec"]["nodeSelector"])),
                age,
            ]);
            columns.extend(containers);
            columns.push(selector);
        }
        Resource::ControllerRevisions => columns.extend([
            column("Controller", "string", controller),
            column("Revision", "string", |it| it["revision"].clone()),
            age,
        ]),
        Resource::Rollouts => columns.extend([
            column("Desired", "integer", |it| it["spec"]["replicas"].clone()),
            column("Current", "integer", |it| it["status"]["replicas"].clone()),
            column("Up-to-date", "integer", |it| it["status"]["updatedReplicas"].clone()),
            column("Available", "integer", |it| it["status"]["availableReplicas"].clone()),
            age,
        ]),
        Resource::Experiments | Resource::AnalysisRuns => {
            columns.extend([column("Status", "string", |it| it["status"]["phase"].clone()), age]);
        }
        Resource::Events => columns.extend([
            column("Type", "string", |it| it["type"].clone()),
            column("Reason", "string", |it| it["reason"].clone()),
            column("Message", "string", |it| it["message"].clone()),
        ]),
        Resource::Nodes => columns.extend([
            column("Status", "string", |_| "Ready".into()),
            age,
            column("Version", "string", |it| it["status"]["nodeInfo"]["kubeletVersion"].clone()),
        ]),
        Resource::Jobs => columns.push(age),
    }
    columns
}

fn age(object: &Value) -> Value {
    let created = object["metadata"]["creationTimestamp"].as_str().and_then(Time::parse);
    created.map_or("<unknown>".into(), |created| duration(Time::now().since(created)).into())
}

/// Formats a duration like kubectl: `95s`, `10m`, `3h12m`, `2d`.
fn duration(seconds: u32) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 if !seconds.is_multiple_of(60) => format!("{minutes}m{}s", seconds % 60),
        120..10_800 => format!("{minutes}m"),
        10_800..28_800 if minutes % 60 != 0 => format!("{hours}h{}m", minutes % 60),
        10_800..172_800 => format!("{hours}h"),
        172_800..691_200 if hours % 24 != 0 => format!("{days}d{}h", hours % 24),
        _ => format!("{days}d"),
    }
}

fn pod_ready(pod: &Value) -> Value {
    let statuses = pod["status"]["containerStatuses"].as_array().map_or(&[][..], Vec::as_slice);
    let ready = statuses.iter().filter(|status| status["ready"] == true).count();
    let all = pod["spec"]["containers"].as_array().map_or(0, Vec::len);
    format!("{ready}/{all}").into()
}

/// The phase, or the reason why a container waits or ended.
fn pod_status(pod: &Value) -> Value {
    if pod["metadata"].get("deletionTimestamp").is_some() {
        return "Terminating".into();
    }
    let mut statuses = pod["status"]["containerStatuses"].as_array().into_iter().flatten();
    let reason = |status: &Value| {
        let state = &status["state"];
        let reason = state["waiting"]["reason"].as_str().or_else(|| state["terminated"]["reason"].as_str());
        reason.map(str::to_owned)
    };
    let reason = statuses.find_map(reason);
    let reason = reason.or_else(|| pod["status"]["reason"].as_str().map(str::to_owned));
    reason.map_or_else(|| pod["status"]["phase"].clone(), Value::from)
}

fn ready_of_wanted(object: &Value) -> Value {
    let ready = object["status"]["readyReplicas"].as_u64().unwrap_or(0);
    format!("{ready}/{}", object["spec"]["replicas"].as_u64().unwrap_or(0)).into()
}

fn controller(object: &Value) -> Value {
    let owners = object["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    let controller = owners.into_iter().find(|owner| owner["controller"] == true);
    controller.map_or("<none>".into(), |owner| {
        let word = |field: &str| owner[field].as_str().unwrap_or_default().to_owned();
        let (kind, name) = (word("kind").to_lowercase(), word("name"));
        let api_version = word("apiVersion");
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        if group.is_empty() { format!("{kind}/{name}") } else { format!("{kind}.{group}/{name}") }.into()
    })
}

fn list(items: &Value, field: &str) -> Value {
    let items = items.as_array().into_iter().flatten().filter_map(|item| item[field].as_str());
    items.collect::<Vec<_>>().join(",").into()
}

fn labels(labels: &Value) -> Value {
    let labels = labels.as_object().into_iter().flatten();
    let labels: Vec<String> =
        labels.map(|(label, value)| format!("{label}={}", value.as_str().unwrap_or_default())).collect();
    if labels.is_empty() { "<none>".into() } else { labels.join(",").into() }
}

fn text(value: &Value) -> Value {
    if value.is_string() { value.clone() } else { "<none>".into() }
}

fn number(value: &Value) -> Value {
    value.as_u64().unwrap_or(0).into()
}

fn sum(items: &Value, field: &str) -> u64 {
    items.as_array().into_iter().flatten().filter_map(|item| item[field].as_u64()).sum()
}

#[cfg(test)]
mod tests {
    use super::{Include, duration, of};
    use crate::Resource;
    use serde_json::{Value, json};

    #[test]
    fn a_pod_is_a_row_of_kubectls_table() {
        let waiting =
            json!([{"ready": false, "restartCount": 2, "state": {"waiting": {"reason": "ImagePullBackOff"}}}]);
        let pod = json!({
            "metadata": {"name": "web-1"}, "spec": {"containers": [{}]},
            "status": {"phase": "Pending", "containerStatuses": waiting},
        });
        let table = of(Resource::Pods, &[pod], Include::None, &Value::Null);
        let cells = ["web-1", "0/1", "ImagePullBackOff", "2", "<unknown>", "<none>", "<none>", "<none>", "<none>"];
        assert_eq!(table["rows"][0]["cells"], json!(cells));
        assert_eq!(table["columnDefinitions"].as_array().unwrap().len(), cells.len());
    }

    #[test]
    fn durations_are_written_as_kubectl_writes_them() {
        let seconds = [0, 119, 120, 125, 600, 3600, 10_800, 11_000, 90_000, 176_400, 864_000];
        let written = ["0s", "119s", "2m", "2m5s", "10m", "60m", "3h", "3h3m", "25h", "2d1h", "10d"];
        assert_eq!(seconds.map(duration), written);
    }
}
