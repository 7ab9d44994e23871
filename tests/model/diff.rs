//! Differences of two pod templates, and which values are hidden.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use podskew::commands::diff::{DiffSide, ValueDisplay, pod_template, unified};
use proptest::prelude::*;
use serde_json::{Value, json};

fn template(spec: &Value) -> Value {
    pod_template(json!({"spec": {"template": spec}})).unwrap()
}

fn diff(old: &Value, new: &Value, values: ValueDisplay) -> Option<String> {
    let (old, new) = (template(old), template(new));
    let (old, new) = (DiffSide { title: "old", template: &old }, DiffSide { title: "new", template: &new });
    unified(old, new, values, 3)
}

#[test]
fn two_templates_as_a_diff() {
    let old = json!({
        "metadata": {"labels": {"app": "api", "pod-template-hash": "5d4f"}, "annotations": {"commit": "aaa"}},
        "spec": {
            "terminationGracePeriodSeconds": 30,
            "containers": [{
                "image": "registry.example/api:1", "name": "api",
                "args": ["--token=t1", "--verbose"],
                "env": [
                    {"name": "PASSWORD", "value": "p1"},
                    {"name": "SAME", "value": "p1"},
                    {"name": "REF", "valueFrom": {"secretKeyRef": {"name": "api", "key": "password"}}}
                ],
                "ports": [{"containerPort": 8080}]
            }]
        }
    });
    let mut new = old.clone();
    new["metadata"]["labels"]["pod-template-hash"] = "7c9b".into();
    new["metadata"]["annotations"]["commit"] = "bbb".into();
    new["spec"]["containers"][0]["image"] = "registry.example/api:2".into();
    new["spec"]["containers"][0]["args"][0] = "--token=t2".into();
    new["spec"]["containers"][0]["env"][0]["value"] = "p2".into();
    let expected = "\
--- old
+++ new
@@ -1,17 +1,17 @@
 metadata:
   annotations:
-    commit: (hidden 1)
+    commit: (hidden 5)
   labels:
     app: api
 spec:
   containers:
   - name: api
     args:
-    - (hidden 2)
+    - (hidden 6)
     - (hidden 3)
     env:
     - name: PASSWORD
-      value: (hidden 4)
+      value: (hidden 7)
     - name: SAME
       value: (hidden 4)
     - name: REF
@@ -19,7 +19,7 @@
         secretKeyRef:
           name: api
           key: password
-    image: registry.example/api:1
+    image: registry.example/api:2
     ports:
     - containerPort: 8080
   terminationGracePeriodSeconds: 30
";
    assert_eq!(diff(&old, &new, ValueDisplay::Hidden).unwrap(), expected);
    let shown = diff(&old, &new, ValueDisplay::Shown).unwrap();
    for line in ["-    commit: aaa", "+    commit: bbb", "-    - --token=t1", "+      value: p2"] {
        assert!(shown.lines().any(|shown| shown == line), "{line}: {shown}");
    }
    let mut only_the_hash = old.clone();
    only_the_hash["metadata"]["labels"]["pod-template-hash"] = "7c9b".into();
    assert_eq!(diff(&old, &only_the_hash, ValueDisplay::Hidden), None);
}

/// No text of a template moves the cursor or hides a line, regardless of the file's content.
#[test]
fn a_template_cannot_play_tricks_on_a_terminal() {
    let of = |image: &str| json!({"spec": {"containers": [{"image": image}]}});
    let text = diff(&of("a"), &of("\u{1b}[2Jb\r\u{202e}c\u{9b}d\ne"), ValueDisplay::Shown).unwrap();
    assert!(text.ends_with("+  - image: \"\\e[2Jb\\r\u{fffd}c\\x9Bd\\ne\"\n"), "{text:?}");
}

/// A template in which every secret value begins with `SECRET`, and many others with `plain`. `chosen` selects its fields.
fn marked(chosen: &[bool], salt: &str) -> Value {
    let secret = |name: &str| format!("SECRET-{name}{salt}");
    let all = [
        json!({"env": [{"name": "plain-env", "value": secret("value")}, {"name": "n", "value": secret("n"), "more": secret("more")}]}),
        json!({"env": [{"name": "plain-ref", "valueFrom": {"secretKeyRef": {"name": "plain-secret", "key": "plain-key"}}}]}),
        json!({"env": [secret("bare")]}),
        json!({"env": secret("no list")}),
        json!({"command": ["sh", "-c", secret("command")], "args": [secret("arg"), 5]}),
        json!({"args": secret("no list"), "command": {"nested": [secret("map")]}}),
        json!({"lifecycle": {"postStart": {"exec": {"command": [secret("start")]}}, "preStop": {"httpGet": {
            "path": "/plain-path", "port": 80, "httpHeaders": [{"name": "plain-header", "value": secret("header")}]}}}}),
        json!({"livenessProbe": {"exec": {"command": [secret("probe")]}, "periodSeconds": 5}}),
        json!({"readinessProbe": {"httpGet": {"path": format!("/?token={}", secret("query"))}}}),
        json!({"securityContext": {"windowsOptions": {"gmsaCredentialSpec": secret("gmsa"), "runAsUserName": "plain-user"}}}),
        json!({"image": "plain-image", "workingDir": "plain-dir"}),
    ];
    let mut containers: Vec<Value> = Vec::new();
    for (at, (part, _)) in all.iter().zip(chosen).filter(|(_, chosen)| **chosen).enumerate() {
        let mut container = part.clone();
        container["name"] = format!("plain-{at}").into();
        containers.push(container);
    }
    let third = containers.len() / 3;
    json!({
        "metadata": {"annotations": {"plain-annotation": secret("annotation")}, "labels": {"app": "plain-label"}},
        "spec": {
            "containers": containers[third..], "initContainers": containers[..third], "ephemeralContainers": containers[..third],
            "volumes": [
                {"name": "csi", "csi": {"driver": "plain-driver", "volumeAttributes": {"plain-attribute": secret("csi")}}},
                {"name": "flex", "flexVolume": {"driver": "plain-flex", "options": {"plain-option": secret("flex")}}},
                {"name": "own", "ephemeral": {"volumeClaimTemplate": {"metadata": {"annotations": {"a": secret("claim")}}}}}
            ],
            "dnsConfig": {"options": [{"name": "ndots", "value": "plain-2"}]},
            "tolerations": [{"key": "plain-taint", "value": "plain-value"}]
        }
    })
}

proptest! {
    #[test]
    fn possible_secrets_are_never_shown(chosen in proptest::collection::vec(any::<bool>(), 11), salt in "[a-z]{0,3}") {
        let (old, new) = (marked(&chosen, ""), marked(&chosen, &salt));
        let empty = json!({"spec": {}});
        for (old, new) in [(&old, &new), (&old, &empty), (&empty, &new)] {
            let hidden = diff(old, new, ValueDisplay::Hidden);
            prop_assert_eq!(hidden.is_none(), old == new);
            prop_assert!(!hidden.unwrap_or_default().contains("SECRET"));
        }
        // Whole templates: everything that is not secret is shown, and with permission the secrets too.
        let (hidden, shown) = (diff(&empty, &new, ValueDisplay::Hidden).unwrap(), diff(&empty, &new, ValueDisplay::Shown).unwrap());
        let words = |text: &str, of: &str| text.matches(of).count();
        prop_assert_eq!(words(&hidden, "plain"), words(&shown, "plain"));
        prop_assert!(words(&shown, "SECRET") >= 4);
        prop_assert!(words(&hidden, "(hidden ") >= words(&shown, "SECRET"));
    }
}
