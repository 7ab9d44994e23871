//! Builds the parts of workloads: containers, templates, pods and their managed fields.
//!
//! The objects are as large as real ones, including managed fields and environment: an exporter that reads them has to skip
//! all of that.

use super::controllers::ImageReference;
use super::random::Random;
use super::recording::rfc3339;
use crate::time::Time;
use serde_json::{Map, Value, json};

/// Environment of a service's first container, mostly the same for all services.
const ENVIRONMENT: [(&str, &str); 10] = [
    ("LOG_LEVEL", "info"),
    ("LOG_FORMAT", "json"),
    ("HTTP_PORT", "8080"),
    ("METRICS_PORT", "9090"),
    ("DATABASE_URL", "postgres://app@db.data.svc:5432/app?sslmode=verify-full"),
    ("CACHE_ADDRESSES", "cache-0.cache:6379,cache-1.cache:6379,cache-2.cache:6379"),
    ("KAFKA_BROKERS", "kafka-0.kafka:9092,kafka-1.kafka:9092,kafka-2.kafka:9092"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://otel-collector.observability.svc:4317"),
    ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=production,service.namespace=shop"),
    ("FEATURE_FLAGS_URL", "http://flags.platform.svc/v2/flags"),
];

/// One container of a template.
#[derive(Clone, Debug)]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) image: String,
    pub(super) pull_policy: &'static str,
}

impl Container {
    pub(super) fn new(name: &str, image: &str) -> Self {
        Self { name: name.to_owned(), image: image.to_owned(), pull_policy: "IfNotPresent" }
    }

    /// As in a template. The first container of a pod has the environment; sidecars have less.
    pub(super) fn spec(&self, first: bool) -> Value {
        let variable = |(name, value): (&str, &str)| json!({"name": name, "value": value});
        let count = if first { ENVIRONMENT.len() } else { 3 };
        let environment: Vec<Value> = ENVIRONMENT.into_iter().take(count).map(variable).collect();
        let probe = |path: &str| {
            json!({
                "httpGet": {"path": path, "port": "http", "scheme": "HTTP"},
                "timeoutSeconds": 2, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3,
            })
        };
        let mut spec = json!({
            "name": self.name,
            "image": self.image,
            "env": environment,
            "resources": {"limits": {"memory": "512Mi"}, "requests": {"cpu": "100m", "memory": "256Mi"}},
            "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File",
            "imagePullPolicy": self.pull_policy,
        });
        if first {
            spec["ports"] = json!([{"name": "http", "containerPort": 8080, "protocol": "TCP"}]);
            spec["livenessProbe"] = probe("/healthz");
            spec["readinessProbe"] = probe("/readyz");
            spec["securityContext"] = json!({
                "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": true, "allowPrivilegeEscalation": false
            });
        }
        spec
    }
}

/// The template of a workload.
pub(super) fn template(labels: &Value, containers: &[Container]) -> Value {
    let specs = containers.iter().enumerate().map(|(index, container)| container.spec(index == 0));
    json!({
        "metadata": {"labels": labels, "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "9090"}},
        "spec": {
            "containers": specs.collect::<Vec<Value>>(),
            "restartPolicy": "Always",
            "terminationGracePeriodSeconds": 5,
            "dnsPolicy": "ClusterFirst",
            "securityContext": {"runAsNonRoot": true},
            "schedulerName": "default-scheduler",
        },
    })
}

/// A template with one more label.
pub(super) fn with_label(template: &Value, label: &str, value: &str) -> Value {
    let mut template = template.clone();
    template["metadata"]["labels"][label] = value.into();
    template
}

/// The owner of an object.
#[derive(Clone, Debug)]
pub(super) struct Owner {
    pub(super) api_version: &'static str,
    pub(super) kind: &'static str,
    pub(super) name: String,
    pub(super) uid: String,
}

impl Owner {
    pub(super) fn references(&self) -> Value {
        json!([{
            "apiVersion": self.api_version, "kind": self.kind, "name": self.name, "uid": self.uid,
            "controller": true, "blockOwnerDeletion": true,
        }])
    }
}

/// The state of a pod.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// Its containers are being created.
    Creating,
    /// Its first container's image cannot be pulled.
    ImagePullBackOff,
    /// It has been running and Ready since then.
    Running(Time),
}

/// One pod, as its owner, the scheduler and the kubelet write it.
#[derive(Clone, Debug)]
pub(super) struct Pod {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) owner: Owner,
    /// Its template, including the hash label.
    pub(super) template: Value,
    pub(super) node: String,
    pub(super) created: Time,
    pub(super) stage: Stage,
    /// Digests of the containers of the template, in their order.
    pub(super) digests: Vec<String>,
    /// A container that is not in the template, and its digest.
    pub(super) injected: Option<(Container, String)>,
    /// When it must be gone.
    pub(super) deletion: Option<Time>,
}

impl Pod {
    /// The pod as JSON.
    pub(super) fn object(&self) -> Value {
        let mut random = Random::of(&self.uid);
        let ip = format!("10.{}.{}.{}", 2 + random.below(250), random.below(256), 1 + random.below(254));
        let mut metadata = json!({
            "name": self.name, "generateName": self.generate_name(), "namespace": self.namespace, "uid": self.uid,
            "generation": 1, "creationTimestamp": rfc3339(self.created), "labels": self.template["metadata"]["labels"],
            "annotations": self.template["metadata"]["annotations"], "ownerReferences": self.owner.references(),
        });
        let spec = self.spec();
        let status = self.status(&ip, &mut random);
        let changed = match self.stage {
            Stage::Running(since) => since,
            _ => self.created,
        };
        let created_with = json!({
            "metadata": {"generateName": "", "labels": metadata["labels"], "ownerReferences": ""},
            "spec": self.template["spec"],
        });
        metadata["managedFields"] = json!([
            managed("kube-controller-manager", "v1", self.created, &created_with),
            managed("kubelet", "v1", changed, &json!({"status": status})),
        ]);
        if let Some(deletion) = self.deletion {
            metadata["deletionTimestamp"] = rfc3339(deletion).into();
            metadata["deletionGracePeriodSeconds"] = 5.into();
            metadata["generation"] = 2.into();
        }
        json!({"metadata": metadata, "spec": spec, "status": status})
    }

    fn generate_name(&self) -> &str {
        let end = self.name.rfind('-').map_or(self.name.len(), |dash| dash + 1);
        &self.name[..end]
    }

    fn spec(&self) -> Value {
        let mut spec = self.template["spec"].clone();
        if let (Some((container, _)), Some(containers)) = (&self.injected, spec["containers"].as_array_mut()) {
            containers.push(container.spec(false));
        }
        let mount = json!({
            "name": "kube-api-access", "readOnly": true, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"
        });
        for container in spec["containers"].as_array_mut().into_iter().flatten() {
            container["volumeMounts"] = json!([mount]);
        }
        let tolerate = |what: &str| {
            json!({"key": format!("node.kubernetes.io/{what}"), "operator": "Exists", "effect": "NoExecute",
                "tolerationSeconds": 300})
        };
        let own = json!({
            "nodeName": self.node,
            "serviceAccountName": "default",
            "serviceAccount": "default",
            "tolerations": [tolerate("not-ready"), tolerate("unreachable")],
            "volumes": [{"name": "kube-api-access", "projected": {"defaultMode": 420, "sources": [
                {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                {"downwardAPI": {"items": [
                    {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
                ]}},
            ]}}],
            "priority": 0,
            "enableServiceLinks": true,
            "preemptionPolicy": "PreemptLowerPriority",
        });
        extend(&mut spec, own);
        spec
    }

    fn status(&self, ip: &str, random: &mut Random) -> Value {
        let containers = self.template["spec"]["containers"].as_array().map_or(&[][..], Vec::as_slice);
        let text = |container: &Value, field: &str| container[field].as_str().unwrap_or_default().to_owned();
        let in_template = containers.iter().map(|container| (text(container, "name"), text(container, "image")));
        let mut running: Vec<_> = in_template.zip(self.digests.iter().map(String::as_str)).collect();
        if let Some((container, digest)) = &self.injected {
            running.push(((container.name.clone(), container.image.clone()), digest));
        }
        let statuses = running
            .iter()
            .enumerate()
            .map(|(index, ((name, image), digest))| self.container_status(name, image, digest, index == 0, random));
        let statuses: Vec<Value> = statuses.collect();
        let (ready, changed) = match self.stage {
            Stage::Running(since) => ("True", since),
            _ => ("False", self.created),
        };
        let condition = |name: &str, status: &str, since| {
            json!({"type": name, "status": status, "observedGeneration": 1, "lastProbeTime": null,
                "lastTransitionTime": rfc3339(since)})
        };
        json!({
            "phase": if ready == "True" { "Running" } else { "Pending" },
            "observedGeneration": 1,
            "conditions": [
                condition("PodReadyToStartContainers", "True", changed),
                condition("Initialized", "True", self.created),
                condition("Ready", ready, changed),
                condition("ContainersReady", ready, changed),
                condition("PodScheduled", "True", self.created),
            ],
            "hostIP": "10.1.0.1", "hostIPs": [{"ip": "10.1.0.1"}], "podIP": ip, "podIPs": [{"ip": ip}],
            "startTime": rfc3339(self.created),
            "containerStatuses": statuses,
            "qosClass": "Burstable",
        })
    }

    fn container_status(&self, name: &str, image: &str, digest: &str, first: bool, random: &mut Random) -> Value {
        let mut status = json!({
            "name": name, "lastState": {}, "ready": false, "started": false, "restartCount": 0, "image": image,
            "imageID": "",
        });
        let runs_since = match self.stage {
            Stage::Running(since) => Some(since),
            Stage::ImagePullBackOff if !first => Some(self.created),
            _ => None,
        };
        let Some(since) = runs_since else {
            let waiting = match self.stage {
                Stage::ImagePullBackOff => {
                    json!({"reason": "ImagePullBackOff", "message": format!("Back-off pulling image \"{image}\"")})
                }
                _ => json!({"reason": "ContainerCreating"}),
            };
            status["state"] = json!({ "waiting": waiting });
            return status;
        };
        let running = json!({
            "state": {"running": {"startedAt": rfc3339(since)}},
            "ready": true,
            "started": true,
            "imageID": format!("{}@{digest}", ImageReference::parse(image).repository),
            "containerID": format!("containerd://{}", random.hex64()),
        });
        extend(&mut status, running);
        status
    }
}

/// One entry of `metadata.managedFields`: every field of `owned`, named as server-side apply names it.
pub(super) fn managed(manager: &str, api_version: &str, time: Time, owned: &Value) -> Value {
    let mut entry = json!({
        "manager": manager, "operation": "Update", "apiVersion": api_version, "time": rfc3339(time),
        "fieldsType": "FieldsV1", "fieldsV1": fields_of(owned),
    });
    if owned.get("status").is_some() {
        entry["subresource"] = "status".into();
    }
    entry
}

fn fields_of(value: &Value) -> Value {
    let mut fields = Map::new();
    match value {
        Value::Object(object) => {
            for (name, field) in object {
                fields.insert(format!("f:{name}"), fields_of(field));
            }
        }
        Value::Array(items) => {
            for (item, key) in items.iter().filter_map(|item| Some((item, key_of(item)?))) {
                let mut inside = fields_of(item);
                inside["."] = json!({});
                fields.insert(format!("k:{key}"), inside);
            }
        }
        _ => {}
    }
    Value::Object(fields)
}

/// The merge key of a list item, which identifies it.
fn key_of(item: &Value) -> Option<Value> {
    let key = ["name", "type", "ip"].into_iter().find(|key| item.get(key).is_some())?;
    Some(json!({key: item[key]}))
}

/// Adds fields to an object, or replaces them.
pub(super) fn extend(object: &mut Value, fields: Value) {
    if let (Value::Object(object), Value::Object(fields)) = (object, fields) {
        object.extend(fields);
    }
}
