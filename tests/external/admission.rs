//! Decisions of the admission policies in `deploy/policy` about pods and templates, by an API server's own code.
#![allow(clippy::unwrap_used, clippy::panic, clippy::needless_pass_by_value, missing_docs, reason = "tests")]

use crate::needs::{Test, tests};
use crate::programs;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const NATIVE: &str = "deploy/policy/images-by-digest.yaml";
const KYVERNO: &str = "deploy/policy/images-by-digest.kyverno.yaml";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The documents of a file.
fn documents(file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(root().join(file)).unwrap();
    let read = |document| serde_saphyr::from_str(document).unwrap_or_else(|error| panic!("{file}: {error}"));
    text.split("\n---\n").map(read).collect()
}

/// The policies of a file.
fn policies(file: &str) -> Vec<Value> {
    let is_policy = |document: &Value| document["kind"].as_str().unwrap().ends_with("Policy");
    documents(file).into_iter().filter(is_policy).collect()
}

/// The response of a policy to each request.
#[track_caller]
fn ask(policy: &Value, requests: &[Value]) -> Vec<String> {
    let program: PathBuf = root().join("target/tools/admission");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("policy.yaml");
    std::fs::write(&file, policy.to_string()).unwrap();
    let input = requests.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
    let output = programs::run(&program, &[file.to_str().unwrap()], input.as_bytes(), "make target/tools/admission");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// Checks that both forms of a policy respond like this. An empty response admits; another lists the images without a
/// digest.
#[track_caller]
fn check(name: &str, cases: &[(&str, Value, &str)]) {
    for file in [NATIVE, KYVERNO] {
        let policies = policies(file);
        let policy = policies.iter().find(|policy| policy["metadata"]["name"] == name);
        let policy = policy.unwrap_or_else(|| panic!("{file} has no policy {name}"));
        let requests: Vec<Value> = cases.iter().map(|(_, request, _)| request.clone()).collect();
        let mut forms = vec![requests.clone()];
        if file == KYVERNO {
            // On creation, Kyverno's engine has an empty object where an API server has none.
            let with_empty = |mut request: Value| {
                request.as_object_mut().unwrap().entry("oldObject").or_insert_with(|| json!({}));
                request
            };
            forms.push(requests.into_iter().map(with_empty).collect());
        }
        for requests in forms {
            let answers = ask(policy, &requests);
            assert_eq!(answers.len(), cases.len());
            for ((what, _, expected), answer) in cases.iter().zip(answers) {
                let expected = if expected.is_empty() {
                    "admitted".to_owned()
                } else {
                    format!("denied: not by digest: {expected}")
                };
                assert_eq!(answer, expected, "{file}, {name}: {what}");
            }
        }
    }
}

const DIGEST: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn by_digest(name: &str) -> String {
    format!("{name}@{DIGEST}")
}

fn container(name: &str, image: &str) -> Value {
    json!({ "name": name, "image": image })
}

fn pod(spec: &Value) -> Value {
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "web-1", "namespace": "shop" }, "spec": spec })
}

fn deployment(spec: &Value) -> Value {
    let metadata = json!({ "name": "web", "namespace": "shop" });
    let spec = json!({ "replicas": 2, "template": { "spec": spec } });
    json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec })
}

fn created(object: Value) -> Value {
    json!({ "object": object })
}

fn updated(from: &Value, to: &Value) -> Value {
    json!({ "object": to, "oldObject": from })
}

/// A spec with one container.
fn one(image: &str) -> Value {
    json!({ "containers": [container("web", image)] })
}

fn a_pod_names_every_image_by_digest() {
    let digest = by_digest("registry.example/shop/web");
    let sha512 = format!("web@sha512:{}", "b".repeat(128));
    let with = |field: &str, image: &str| {
        let mut spec = one(&digest);
        spec[field] = json!([container("second", image)]);
        created(pod(&spec))
    };
    let debugged = |image: &str| {
        let mut spec = one("web:1.2");
        spec["ephemeralContainers"] = json!([container("debugger", image)]);
        updated(&pod(&one("web:1.2")), &pod(&spec))
    };
    check(
        "pods-by-digest",
        &[
            ("a digest", created(pod(&one(&digest))), ""),
            ("a tag and a digest", created(pod(&one(&by_digest("host:5000/web:1.2")))), ""),
            ("sha512", created(pod(&one(&sha512))), ""),
            ("a tag", created(pod(&one("registry.example/shop/web:1.2"))), "web=registry.example/shop/web:1.2"),
            ("a port and no tag", created(pod(&one("host:5000/web"))), "web=host:5000/web"),
            ("latest", created(pod(&one("web:latest"))), "web=web:latest"),
            ("a digest cut short", created(pod(&one("web@sha256:abc"))), "web=web@sha256:abc"),
            ("a digest and more", created(pod(&one(&format!("{digest}:1")))), &format!("web={digest}:1")),
            ("no image", created(pod(&json!({ "containers": [{ "name": "web" }] }))), "web="),
            ("an init container by tag", with("initContainers", "busybox:1"), "second=busybox:1"),
            ("an init container by digest", with("initContainers", &by_digest("busybox")), ""),
            ("an ephemeral container by tag", debugged("busybox"), "debugger=busybox"),
            ("an ephemeral container by digest", debugged(&by_digest("busybox")), ""),
            (
                "two of three",
                created(pod(&json!({ "containers": [
                    container("a", "a:1"), container("b", &digest), container("c", "c") ] }))),
                "a=a:1, c=c",
            ),
        ],
    );
}

fn running_pods_are_not_refused() {
    let old = pod(&one("web:1.2"));
    let mut labelled = old.clone();
    labelled["metadata"]["finalizers"] = json!([]);
    let scaled = {
        let mut scaled = deployment(&one("web:1.2"));
        scaled["spec"]["replicas"] = 5.into();
        scaled
    };
    check(
        "pods-by-digest",
        &[
            ("a finalizer is removed", updated(&old, &labelled), ""),
            ("another tag in place", updated(&old, &pod(&one("web:1.3"))), "web=web:1.3"),
            ("a digest in place", updated(&old, &pod(&one(&by_digest("web")))), ""),
        ],
    );
    check(
        "templates-by-digest",
        &[
            ("it is scaled", updated(&deployment(&one("web:1.2")), &scaled), ""),
            ("it goes to a digest", updated(&deployment(&one("web:1.2")), &deployment(&one(&by_digest("web")))), ""),
            ("it goes to a tag", updated(&deployment(&one("web:1.2")), &deployment(&one("web:1.3"))), "web=web:1.3"),
        ],
    );
}

fn a_template_names_every_image_by_digest() {
    let mut with_init = one(&by_digest("web"));
    with_init["initContainers"] = json!([container("migrate", "web:1.2")]);
    let mut child = deployment(&one("web:1.2"));
    child["kind"] = "ReplicaSet".into();
    let bare = child.clone();
    child["metadata"]["ownerReferences"] = json!([{ "kind": "Deployment", "name": "web", "controller": true }]);
    check(
        "templates-by-digest",
        &[
            ("a digest", created(deployment(&one(&by_digest("web")))), ""),
            ("a tag", created(deployment(&one("web:1.2"))), "web=web:1.2"),
            ("an init container by tag", created(deployment(&with_init)), "migrate=web:1.2"),
            ("a bare ReplicaSet", created(bare), "web=web:1.2"),
            ("what a controller makes of a template that was looked at", created(child), ""),
        ],
    );
}

fn nothing_is_denied_unless_somebody_says_so() {
    let bindings: Vec<Value> = documents(NATIVE)
        .into_iter()
        .filter(|document| document["kind"] == "ValidatingAdmissionPolicyBinding")
        .collect();
    for policy in policies(NATIVE) {
        let binding = bindings.iter().find(|binding| binding["spec"]["policyName"] == policy["metadata"]["name"]);
        assert_eq!(binding.unwrap()["spec"]["validationActions"], json!(["Warn", "Audit"]));
    }
    for policy in policies(KYVERNO) {
        assert_eq!(policy["spec"]["validationActions"], json!(["Warn", "Audit"]));
    }
}

/// Except for the empty object that Kyverno has where an API server has none.
fn kyvernos_form_decides_the_same() {
    let (native, kyverno) = (policies(NATIVE), policies(KYVERNO));
    let as_native = |policy: &Value| -> Value {
        let text = policy.to_string();
        assert_eq!(text.matches(" || !has(oldObject.spec)").count(), 1);
        serde_json::from_str(&text.replace(" || !has(oldObject.spec)", "")).unwrap()
    };
    let kyverno: Vec<Value> = kyverno.iter().map(as_native).collect();
    assert_eq!((native.len(), kyverno.len()), (2, 2));
    for (native, kyverno) in native.iter().zip(&kyverno) {
        assert_eq!(native["metadata"], kyverno["metadata"]);
        for field in ["failurePolicy", "matchConditions", "variables", "validations"] {
            assert_eq!(native["spec"][field], kyverno["spec"][field], "{field}");
        }
        let constraints = "resourceRules";
        assert_eq!(native["spec"]["matchConstraints"][constraints], kyverno["spec"]["matchConstraints"][constraints]);
    }
}

/// The tests and their requirements.
pub fn tests() -> Vec<Test> {
    tests![
        a_pod_names_every_image_by_digest: [ADMISSION],
        running_pods_are_not_refused: [ADMISSION],
        a_template_names_every_image_by_digest: [ADMISSION],
        nothing_is_denied_unless_somebody_says_so: [],
        kyvernos_form_decides_the_same: [],
    ]
}
