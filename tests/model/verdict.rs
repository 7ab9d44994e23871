//! The verdict of an audit, for each row of docs/audit.md.
#![allow(clippy::unwrap_used, clippy::panic, clippy::needless_pass_by_value, missing_docs, reason = "tests")]

use crate::common::world::*;
use podskew::advice::Finding;
use podskew::commands::audit::{Strictness, Verdict, findings, findings_while_waiting, is_done};
use podskew::objects::Resource;
use podskew::report::Name;
use podskew::report::registry::{Build, Config, ImageFact, Manifest, RegistryEvidence, TagFact};
use podskew::time::UnixTime;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

fn document() -> String {
    std::fs::read_to_string(format!("{}/docs/audit.md", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// The cells of the table between two comments.
fn table(name: &str) -> Vec<Vec<String>> {
    let document = document();
    let (_, rest) = document.split_once(&format!("<!-- {name} -->\n")).unwrap();
    let (table, _) = rest.split_once(&format!("<!-- /{name} -->")).unwrap();
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    table.lines().skip(2).map(cells).collect()
}

/// A Deployment `web` with one hash, one digest, two pods.
fn uniform() -> World {
    let mut world = World::new();
    world.put(&deployment("web:1")).put(&replica_set("h1", "web:1", 1, -4000)).put(&pod("p1")).put(&pod("p2"));
    world
}

/// The same with a second digest.
fn skewed() -> World {
    let mut world = uniform();
    world.put(&pod("p3").image_id(&image_id('b')));
    world
}

/// Two ReplicaSets, the second of which is current.
fn rolling(reason_of_it: &str) -> World {
    let mut world = uniform();
    world
        .put(&reason(deployment("web:2"), reason_of_it, -50))
        .put(&replica_set("h2", "web:2", 2, -100))
        .put(&pod("p3").hash("h2").image("web:2").image_id(&image_id('c')));
    world
}

/// The same for the states of an Argo Rollout; `None` for any other case.
fn argo_case(name: &str) -> Option<(World, &'static str)> {
    Some(match name {
        "a canary that pauses at a step" => {
            (rollout(json!({"canary": {"steps": [{"pause": {}}]}}), "Paused"), "rollout/shop")
        }
        "a blue-green preview" => (rollout(json!({"blueGreen": {}}), "Paused"), "rollout/shop"),
        "a Rollout that is complete and keeps its old pods for a while" => (promoted(30), "rollout/shop"),
        "a Rollout that is complete, and old pods past their scale-down deadline" => (promoted(-30), "rollout/shop"),
        "a Degraded Rollout with one hash" => {
            let mut world = rollout(json!({"canary": {}}), "Degraded");
            world.delete(&pod("h1"));
            (world, "rollout/shop")
        }
        "an Experiment of two templates" => {
            let mut world = World::new();
            for hash in ["h1", "h2"] {
                let mut set = replica_set(hash, "web:1", 1, -500);
                set["metadata"]["ownerReferences"] = json!([owner("argoproj.io/v1alpha1", "Experiment", "compare")]);
                world.put(&set).put(&pod(hash).hash(hash));
            }
            (world, "experiment/compare")
        }
        _ => return None,
    })
}

/// The second column of the document, as a cluster.
fn case(name: &str) -> (World, &'static str) {
    let web = "deployment/web";
    if let Some(case) = argo_case(name).or_else(|| Some((registry_case(name)?, web))) {
        return case;
    }
    match name {
        "two digests of a container of the template, under one hash" => (skewed(), web),
        "the same, in the middle of a paused rollout" => {
            let mut world = skewed();
            world.put(&deployment("web:2").with("/spec/paused", true)).put(&replica_set("h2", "web:2", 2, -100));
            world.put(&pod("p4").hash("h2").image("web:2").image_id(&image_id('c')));
            (world, web)
        }
        "a rollout that has exceeded its deadline" => (rolling("ProgressDeadlineExceeded"), web),
        "pods of the old hash and of the new one, and a rollout in progress" => (rolling("ReplicaSetUpdated"), web),
        "a rollout in progress with one hash" => {
            let mut world = uniform();
            world.put(&reason(deployment("web:1"), "ReplicaSetUpdated", -50));
            (world, web)
        }
        "a changed template that its controller has not seen yet" => {
            let mut world = uniform();
            world.put(&deployment("web:2").with("/metadata/generation", 2));
            (world, web)
        }
        "two hashes, and an owner of a kind whose rollouts podskew does not know" => {
            let mut world = World::new();
            let of = |pod: Value| {
                pod.with("/metadata/ownerReferences/0", owner("apps.kruise.io/v1beta1", "StatefulSet", "web"))
            };
            world.put(&of(pod("p1"))).put(&of(pod("p2").hash("h2")));
            (world, "statefulset.apps.kruise.io/web")
        }
        "two hashes, and a StatefulSet that cannot be read" => {
            let mut world = World::new();
            world.forbid(Resource::StatefulSets);
            world.put(&db_pod(0, "db-old", &image_id('a'))).put(&db_pod(1, "db-new", &image_id('b')));
            (world, "statefulset/db")
        }
        "two digests of a container that the template does not have" => {
            let mut world = uniform();
            world.put(&pod("p1").sidecar("istio-proxy", &image_id('d')));
            world.put(&pod("p2").sidecar("istio-proxy", &image_id('e')));
            (world, web)
        }
        "two digests, and a ReplicaSet that cannot be read" => {
            let mut world = World::new();
            world.put(&pod("p1")).put(&pod("p2").image_id(&image_id('b')));
            // An audit does not wait, but the exporter waits for the ReplicaSet.
            world.wait(60);
            (world, "replicaset/web-h1")
        }
        "a paused Deployment with two hashes" => {
            let mut world = rolling("DeploymentPaused");
            world.put(&deployment("web:2").with("/spec/paused", true));
            (world, web)
        }
        "a StatefulSet split at its partition" => {
            let mut world = World::new();
            world.put(&stateful_set(json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 1}})));
            world.put(&revision("StatefulSet", "db", "db-old", "db:1", 1, -5000));
            world.put(&revision("StatefulSet", "db", "db-new", "db:2", 2, -500));
            world.put(&db_pod(0, "db-old", &image_id('a')).image("db:1"));
            world.put(&db_pod(1, "db-new", &image_id('b')).image("db:2"));
            (world, "statefulset/db")
        }
        "a DaemonSet with OnDelete and pods of two revisions" => (daemon_set(), "daemonset/agent"),
        "a pod that runs, and whose node reports no imageID" => {
            let mut world = uniform();
            world.put(&pod("p3").image_id(""));
            (world, web)
        }
        "imageIDs of two kinds" => {
            let mut world = uniform();
            world.put(&pod("p3").image_id(&digest('b')));
            (world, web)
        }
        "a pod without an imageID, and no rollout in progress" => {
            let mut world = uniform();
            world.put(&pod("p3").image_id("").pending());
            (world, web)
        }
        "one hash, and a Deployment that cannot be read" => {
            let mut world = uniform();
            world.forbid(Resource::Deployments);
            (world, web)
        }
        "one hash and one digest" => (uniform(), web),
        "one hash, one digest, and a pod that is not ready" => {
            let mut world = uniform();
            world.put(&pod("p2").unready());
            (world, web)
        }
        "no pods at all" => {
            let mut world = World::new();
            world.put(&deployment("web:1").with("/spec/replicas", 0)).put(&replica_set("h1", "web:1", 1, -4000));
            (world, web)
        }
        other => panic!("docs/audit.md has a row without a test: {other}"),
    }
}

/// The same with answers of a registry; `None` for any other case.
fn registry_case(name: &str) -> Option<World> {
    Some(match name {
        "an image of its template that is gone from its registry, with `--registry`" => {
            asked(|evidence, image, since| evidence.gone = [(image, since)].into())
        }
        "a tag of its template that now points to another image, with `--registry`" => {
            let tag = |evidence: &mut RegistryEvidence, image, since| {
                for (letter, config) in [('a', '1'), ('b', '2')] {
                    let manifest = Manifest { config: digest(config).into(), build: Build::default() };
                    evidence.facts.insert(digest(letter).into(), Arc::new(ImageFact::Manifest(manifest)));
                    let content = Some(u64::from(u32::from(config)));
                    let config_fact = Config { platform: "linux/amd64".into(), content, build: Build::default() };
                    evidence.facts.insert(digest(config).into(), Arc::new(ImageFact::Config(config_fact)));
                }
                evidence.tags.insert(image, TagFact { digest: digest('b').into(), since });
            };
            asked(tag)
        }
        "a tag of its template about which its registry did not answer, with `--registry`" => {
            asked(|evidence, image, _| evidence.unanswered = [(image, "no answer in time")].into())
        }
        _ => return None,
    })
}

/// A uniform Deployment with a registry's answers about its only image.
fn asked(said: impl Fn(&mut RegistryEvidence, Name, UnixTime)) -> World {
    let mut world = uniform();
    let mut evidence = RegistryEvidence::default();
    let now = world.moment();
    said(&mut evidence, "web:1".into(), now);
    world.inventory.take_registry_evidence(&Arc::new(evidence), now);
    world
}

fn daemon_set() -> World {
    let mut world = World::new();
    let set = json!({
        "kind": "DaemonSet",
        "metadata": {"name": "agent", "namespace": "shop", "uid": "DaemonSet-agent", "generation": 2},
        "spec": {"template": template("agent:2"), "updateStrategy": {"type": "OnDelete"}},
        "status": {"observedGeneration": 2, "desiredNumberScheduled": 2, "numberAvailable": 2}
    });
    let of = |name: &str, hash: &str| {
        pod(name)
            .with("/metadata/labels", json!({"controller-revision-hash": hash}))
            .with("/metadata/ownerReferences/0", owner("apps/v1", "DaemonSet", "agent"))
    };
    world.put(&set);
    world.put(&revision("DaemonSet", "agent", "agent-old", "agent:1", 1, -5000));
    world.put(&revision("DaemonSet", "agent", "agent-new", "agent:2", 2, -500));
    world.put(&of("a1", "old")).put(&of("a2", "new").image_id(&image_id('b')));
    world
}

/// A complete Argo Rollout that keeps pods of an older hash until `seconds` from now.
fn promoted(seconds: i64) -> World {
    let mut world = rollout(json!({"blueGreen": {}}), "Healthy");
    let mut kept = replica_set("h1", "web:1", 1, -500).with("/metadata/annotations/scale-down-deadline", at(seconds));
    kept["metadata"]["ownerReferences"] = json!([owner("argoproj.io/v1alpha1", "Rollout", "shop")]);
    world.put(&kept);
    world
}

fn rollout(strategy: Value, phase: &str) -> World {
    let mut world = World::new();
    let stable = if phase == "Healthy" { "h2" } else { "h1" };
    let set = json!({
        "kind": "Rollout",
        "metadata": {"name": "shop", "namespace": "shop", "uid": "Rollout-shop", "generation": 2},
        "spec": {"replicas": 2, "strategy": strategy, "template": template("web:2")},
        "status": {"phase": phase, "currentPodHash": "h2", "stableRS": stable, "currentStepIndex": 0,
            "observedGeneration": "2", "availableReplicas": 2}
    });
    world.put(&set);
    for (hash, image) in [("h1", "web:1"), ("h2", "web:2")] {
        let mut replica_set = replica_set(hash, image, 1, -500);
        replica_set["metadata"]["ownerReferences"] = json!([owner("argoproj.io/v1alpha1", "Rollout", "shop")]);
        world.put(&replica_set).put(&pod(hash).hash(hash).image(image));
    }
    world
}

const BY_ITSELF: Strictness =
    Strictness { strict: false, no_deliberate: false, injected: false, moved: false, gone: false, allow_empty: false };

const SWITCHES: [Strictness; 4] = [
    BY_ITSELF,
    Strictness { no_deliberate: true, ..BY_ITSELF },
    Strictness { injected: true, ..BY_ITSELF },
    Strictness { strict: true, ..BY_ITSELF },
];

#[test]
fn a_moved_tag_and_a_gone_image_fail_only_with_fail_on() {
    let both = [Strictness { moved: true, ..BY_ITSELF }, Strictness { gone: true, ..BY_ITSELF }];
    for (name, codes) in [
        ("a tag of its template that now points to another image, with `--registry`", [1, 0]),
        ("an image of its template that is gone from its registry, with `--registry`", [0, 1]),
    ] {
        let (mut world, workload) = case(name);
        let found = findings(world.report(workload));
        let exit_codes = both.map(|switch| Verdict::of(1, found.iter().copied(), false, switch).exit_code());
        assert_eq!(exit_codes, codes, "{name}");
    }
}

#[test]
fn each_row_of_the_document_is_so() {
    let rows = table("findings");
    assert!(rows.len() > 20);
    let mut worst = Vec::new();
    for row in &rows {
        let [documented, name, codes @ ..] = row.as_slice() else { panic!("{row:?}") };
        let (mut world, workload) = case(name);
        let found = findings(world.report(workload));
        let names: Vec<String> = found.iter().map(|finding| format!("`{}`", finding.as_str())).collect();
        let expected = if documented == "–" { "" } else { documented.as_str() };
        assert_eq!(names.join(", "), expected, "{name}: {}", world.said(workload));
        let verdicts = SWITCHES.map(|switch| Verdict::of(1, found.iter().copied(), false, switch));
        let exit_codes = verdicts.map(|verdict| verdict.exit_code().to_string());
        assert_eq!(exit_codes.as_slice(), codes, "{name}");
        worst.extend(found.first().copied());
    }
    let mut sorted = worst.clone();
    sorted.sort();
    assert_eq!(worst, sorted, "the rows must be in the order of an audit: worst first");
}

#[test]
fn codes_come_in_the_order_of_the_document() {
    let rows = table("codes");
    let documented: Vec<(String, String)> =
        rows.iter().map(|row| (row[0].clone(), row[1].trim_matches('`').to_owned())).collect();
    let all = [Verdict::TimedOut, Verdict::NotUniform, Verdict::Empty, Verdict::NotCompared, Verdict::Uniform];
    assert_eq!(documented, all.map(|verdict| (verdict.exit_code().to_string(), verdict.as_str().to_owned())));

    let strict = SWITCHES[3];
    let of = |selected, findings: &[Finding], gaps| Verdict::of(selected, findings.iter().copied(), gaps, strict);
    assert_eq!(of(2, &[Finding::NotCompared, Finding::DigestSkew], true), Verdict::NotUniform);
    assert_eq!(of(0, &[], true), Verdict::Empty);
    assert_eq!(of(1, &[Finding::NotCompared], false), Verdict::NotCompared);
    assert_eq!(of(1, &[], true), Verdict::NotCompared, "unreadable objects were not compared either");
    assert_eq!(of(1, &[Finding::InjectedSkew, Finding::Held], false), Verdict::Uniform);
    let lenient = Strictness { allow_empty: true, ..Strictness::default() };
    assert_eq!(Verdict::of(0, [], true, lenient), Verdict::Uniform);
    assert_eq!(Verdict::of(1, [], true, Strictness::default()), Verdict::Uniform);
}

#[test]
fn every_finding_of_an_audit_is_documented() {
    let document = document();
    let mut named: BTreeSet<String> = BTreeSet::new();
    for row in table("findings") {
        named.extend(row[0].split(", ").map(|name| name.trim_matches('`').to_owned()));
    }
    for finding in [
        Finding::DigestSkew,
        Finding::Stalled,
        Finding::UnderWay,
        Finding::HashesMixed,
        Finding::InjectedSkew,
        Finding::UnknownSkew,
        Finding::Held,
        Finding::NotCompared,
    ] {
        assert!(named.contains(finding.as_str()), "{}", finding.as_str());
    }
    assert!(document.contains("`unavailable_pods`"));
}

/// A workload with all its pods available.
fn available() -> World {
    let mut world = uniform();
    world.put(&deployment("web:1").with("/status/availableReplicas", 2));
    world
}

#[test]
fn wait_includes_pods() {
    let done = |world: &mut World| is_done(world.report("deployment/web"), Strictness::default());
    assert!(done(&mut available()));
    let mut world = available();
    world.put(&deployment("web:1").with("/status/availableReplicas", 2).with("/metadata/generation", 2));
    assert!(!done(&mut world), "its controller has not seen the newest spec");
    let mut world = available();
    world.put(&pod("p2").unready());
    assert!(!done(&mut world), "the status is behind the pods");
    assert_eq!(findings_while_waiting(world.report("deployment/web"), Strictness::default()), [Finding::NotAvailable]);
    let mut world = available();
    world.put(&deployment("web:1").with("/status/availableReplicas", 1));
    assert!(!done(&mut world), "the pods are behind the status");
    let mut world = available();
    world.delete(&pod("p2"));
    assert!(!done(&mut world), "a pod is missing");
    assert!(!done(&mut skewed()));
    assert!(!done(&mut rolling("ReplicaSetUpdated")));
    let mut world = available();
    world.forbid(Resource::Deployments);
    assert!(!done(&mut world), "whether it is rolled out cannot be known");
}

#[test]
fn wait_covers_rollouts_in_progress_but_not_held_ones() {
    let no_deliberate = Strictness { no_deliberate: true, ..Strictness::default() };
    for (name, done) in [
        ("a canary that pauses at a step", false),
        ("a blue-green preview", false),
        ("a DaemonSet with OnDelete and pods of two revisions", true),
    ] {
        let (mut world, workload) = case(name);
        assert_eq!(is_done(world.report(workload), Strictness::default()), done, "{name}");
        assert!(!is_done(world.report(workload), no_deliberate), "{name}");
    }
}
