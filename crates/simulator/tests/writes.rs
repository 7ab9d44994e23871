//! Writes and selectors over HTTP, without kubectl.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use reqwest::{Client, Method};
use serde_json::{Value, json};
use simulator::{Resource, Simulator, SimulatorConfig};

const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/shop/deployments";
const PODS: &str = "/api/v1/namespaces/shop/pods";
const JSON_PATCH: &str = "application/json-patch+json";
const MERGE_PATCH: &str = "application/merge-patch+json";
const STRATEGIC_PATCH: &str = "application/strategic-merge-patch+json";

struct Server(Simulator);

impl Server {
    async fn start() -> Self {
        Self(Simulator::start(SimulatorConfig::default()).await.unwrap())
    }

    async fn ask(&self, method: Method, path: &str, content_type: &str, body: &Value) -> (u16, Value) {
        let request = Client::new().request(method, format!("{}{path}", self.0.url()));
        let answer = request.header("content-type", content_type).body(body.to_string()).send().await.unwrap();
        (answer.status().as_u16(), serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap())
    }

    async fn get(&self, path: &str, accept: &str) -> Value {
        let answer =
            Client::new().get(format!("{}{path}", self.0.url())).header("accept", accept).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200, "{path}");
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    }

    async fn create(&self, path: &str, body: &Value) -> (u16, Value) {
        self.ask(Method::POST, path, "application/json", body).await
    }

    async fn patch(&self, path: &str, content_type: &str, body: &Value) -> (u16, Value) {
        self.ask(Method::PATCH, path, content_type, body).await
    }
}

fn deployment(name: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "replicas": 2, "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "app", "image": "r.example/app:1"}, {"name": "log", "image": "r.example/log:1"}]},
            },
        },
    })
}

fn pod(name: &str, labels: &Value, node: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "shop", "labels": labels},
        "spec": {"nodeName": node, "containers": [{"name": "app", "image": "r.example/app:1"}]},
    })
}

#[tokio::test]
async fn a_created_object_is_complete_and_exists_once() {
    let server = Server::start().await;
    let (code, created) = server.create(DEPLOYMENTS, &deployment("web")).await;
    assert_eq!(code, 201);
    let metadata = &created["metadata"];
    assert_eq!((&metadata["namespace"], &metadata["generation"]), (&json!("shop"), &json!(1)));
    assert!(metadata["uid"].is_string() && metadata["resourceVersion"].is_string());
    assert_eq!(created["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"], "IfNotPresent");
    let (code, refusal) = server.create(DEPLOYMENTS, &deployment("web")).await;
    assert_eq!((code, &refusal["reason"]), (409, &json!("AlreadyExists")));
    let mut nameless = pod("x", &json!({}), "node-0");
    nameless["metadata"] = json!({"generateName": "job-"});
    let (_, named) = server.create(PODS, &nameless).await;
    assert!(named["metadata"]["name"].as_str().unwrap().starts_with("job-"), "{named}");
}

#[tokio::test]
async fn invalid_values_are_refused_with_their_name() {
    let server = Server::start().await;
    let mut broken = deployment("web");
    broken["spec"]["template"]["metadata"]["labels"]["app"] = "other".into();
    let (code, refusal) = server.create(DEPLOYMENTS, &broken).await;
    assert_eq!(code, 422);
    assert!(refusal["message"].as_str().unwrap().contains("`selector` does not match template `labels`"), "{refusal}");
    let mut unknown = deployment("web");
    unknown["spec"]["replica"] = 3.into();
    let (code, refusal) = server.create(&format!("{DEPLOYMENTS}?fieldValidation=Strict"), &unknown).await;
    assert_eq!(code, 400);
    assert!(refusal["message"].as_str().unwrap().contains("unknown field \"spec.replica\""), "{refusal}");
    let (code, _) = server.create(PODS, &deployment("web")).await;
    assert_eq!(code, 400, "a Deployment is not a Pod");
    let (code, refusal) = server.patch(&format!("{DEPLOYMENTS}/none"), MERGE_PATCH, &json!({})).await;
    assert_eq!((code, &refusal["reason"]), (404, &json!("NotFound")));
    let (code, _) = server.ask(Method::POST, DEPLOYMENTS, "application/vnd.kubernetes.protobuf", &json!({})).await;
    assert_eq!(code, 415);
    let (code, _) = server.ask(Method::DELETE, DEPLOYMENTS, "application/json", &json!({})).await;
    assert_eq!(code, 405);
}

#[tokio::test]
async fn three_kinds_of_patches_and_a_replacement() {
    let server = Server::start().await;
    server.create(DEPLOYMENTS, &deployment("web")).await;
    let path = format!("{DEPLOYMENTS}/web?fieldManager=kubectl-set");
    let image = json!({"spec": {"template": {"spec": {"containers": [{"name": "app", "image": "r.example/app:2"}]}}}});
    let (code, patched) = server.patch(&path, STRATEGIC_PATCH, &image).await;
    assert_eq!(code, 200);
    let containers = patched["spec"]["template"]["spec"]["containers"].as_array().unwrap();
    assert_eq!((&containers[0]["image"], containers.len()), (&json!("r.example/app:2"), 2));
    assert_eq!(patched["metadata"]["generation"], 2);
    assert!(patched["metadata"]["managedFields"].to_string().contains("kubectl-set"));

    let pause = json!([{"op": "add", "path": "/spec/paused", "value": true}]);
    assert_eq!(server.patch(&path, JSON_PATCH, &pause).await.1["spec"]["paused"], true);
    let nowhere = json!([{"op": "replace", "path": "/spec/nothing/here", "value": 1}]);
    assert_eq!(server.patch(&path, JSON_PATCH, &nowhere).await.0, 422);

    let (_, merged) = server.patch(&path, MERGE_PATCH, &json!({"spec": {"paused": null}})).await;
    assert_eq!(merged["spec"].get("paused"), None);
    assert_eq!(server.patch(&path, "application/apply-patch+yaml", &json!({})).await.0, 415);

    let mut stale = merged.clone();
    server.patch(&path, MERGE_PATCH, &json!({"metadata": {"labels": {"a": "b"}}})).await;
    stale["spec"]["replicas"] = 5.into();
    let (code, refusal) = server.ask(Method::PUT, &path, "application/json", &stale).await;
    assert_eq!((code, &refusal["reason"]), (409, &json!("Conflict")));
    stale["metadata"]["resourceVersion"] = json!("");
    assert_eq!(server.ask(Method::PUT, &path, "application/json", &stale).await.1["spec"]["replicas"], 5);
}

#[tokio::test]
async fn a_dry_run_and_a_write_of_the_status_leave_the_spec() {
    let server = Server::start().await;
    server.create(DEPLOYMENTS, &deployment("web")).await;
    let change = json!({"spec": {"replicas": 9}, "status": {"replicas": 7}});
    let (code, dry) = server.patch(&format!("{DEPLOYMENTS}/web?dryRun=All"), MERGE_PATCH, &change).await;
    assert_eq!((code, &dry["spec"]["replicas"]), (200, &json!(9)));
    let (_, written) = server.patch(&format!("{DEPLOYMENTS}/web/status"), MERGE_PATCH, &change).await;
    assert_eq!((&written["spec"]["replicas"], &written["status"]["replicas"]), (&json!(2), &json!(7)));
    let kept = server.0.store().get(Resource::Deployments, "shop", "web").unwrap();
    assert_eq!((&kept["spec"]["replicas"], &kept["metadata"]["generation"]), (&json!(2), &json!(1)));
}

#[tokio::test]
async fn a_scale_is_a_part_of_its_workload() {
    let server = Server::start().await;
    server.create(DEPLOYMENTS, &deployment("web")).await;
    let path = format!("{DEPLOYMENTS}/web/scale");
    let scale = server.get(&path, "application/json").await;
    assert_eq!(
        (&scale["kind"], &scale["spec"]["replicas"], &scale["status"]["selector"]),
        (&json!("Scale"), &json!(2), &json!("app=web"))
    );
    let (code, scaled) = server.patch(&path, MERGE_PATCH, &json!({"spec": {"replicas": 4}})).await;
    assert_eq!((code, &scaled["spec"]["replicas"]), (200, &json!(4)));
    assert_eq!(server.0.store().get(Resource::Deployments, "shop", "web").unwrap()["spec"]["replicas"], 4);
    assert_eq!(server.patch(&path, MERGE_PATCH, &json!({"spec": {"replicas": -1}})).await.0, 422);
}

#[tokio::test]
async fn a_pod_terminates_gracefully_unless_deleted_with_force() {
    let server = Server::start().await;
    for name in ["slow", "fast", "never-scheduled"] {
        server.create(PODS, &pod(name, &json!({}), "node-0")).await;
    }
    let (code, ending) = server.ask(Method::DELETE, &format!("{PODS}/slow"), "application/json", &json!({})).await;
    assert_eq!((code, &ending["metadata"]["deletionGracePeriodSeconds"]), (200, &json!(30)));
    assert!(server.0.store().get(Resource::Pods, "shop", "slow").is_some());
    let at_once = json!({"gracePeriodSeconds": 0});
    let (code, gone) = server.ask(Method::DELETE, &format!("{PODS}/fast"), "application/json", &at_once).await;
    assert_eq!((code, &gone["status"]), (200, &json!("Success")));
    assert!(server.0.store().get(Resource::Pods, "shop", "fast").is_none());
    let other = json!({"preconditions": {"uid": "another"}});
    assert_eq!(server.ask(Method::DELETE, &format!("{PODS}/slow"), "application/json", &other).await.0, 409);
}

#[tokio::test]
async fn labels_fields_and_tables_select_what_kubectl_prints() {
    let server = Server::start().await;
    server.create(PODS, &pod("a", &json!({"app": "web"}), "node-0")).await;
    server.create(PODS, &pod("b", &json!({"app": "web"}), "node-1")).await;
    server.create(PODS, &pod("c", &json!({"app": "api"}), "node-1")).await;
    let names = |list: &Value| -> Vec<String> {
        let items = list["items"].as_array().unwrap().iter();
        items.map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    };
    let list = async |query: &str| names(&server.get(&format!("{PODS}?{query}"), "application/json").await);
    assert_eq!(list("labelSelector=app%3Dweb").await, ["a", "b"]);
    assert_eq!(list("labelSelector=app%20notin%20(web)").await, ["c"]);
    assert_eq!(list("fieldSelector=spec.nodeName%3Dnode-1&labelSelector=app").await, ["b", "c"]);
    assert_eq!(list("fieldSelector=metadata.name%3Da").await, ["a"]);
    let first = server.get(&format!("{PODS}?labelSelector=app%3Dweb&limit=1"), "application/json").await;
    assert!(first["metadata"]["continue"].is_string() && first["metadata"].get("remainingItemCount").is_none());

    let accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
    let table = server.get(&format!("{PODS}?labelSelector=app%3Dapi"), accept).await;
    assert_eq!((&table["kind"], &table["rows"][0]["cells"][0]), (&json!("Table"), &json!("c")));
    assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    let whole = server.get(&format!("{PODS}?includeObject=Object"), accept).await;
    assert_eq!(whole["rows"][0]["object"]["spec"]["nodeName"], "node-0");
}
