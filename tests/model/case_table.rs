//! The case table, one test per row: the report in each case. The number is that of the row.
//!
//! Row 4, and the alias of row 9, need access to nodes. Without it, both are reported as different manifest digests.
#![allow(clippy::expect_used, clippy::needless_pass_by_value, clippy::panic, reason = "tests")]

use crate::common::test_names;
use crate::common::world::*;
use podskew::inventory::{CustomKind, Settings};
use podskew::objects::Resource;
use podskew::report::{DigestKind, Origin, RolloutState};
use serde_json::{Value, json};

/// The Deployment `web` with its one ReplicaSet.
fn web() -> World {
    let mut world = World::new();
    world.put(&deployment("web:1")).put(&replica_set("h1", "web:1", 1, -4000));
    world
}

/// Two ReplicaSets: `h1` with `web:1`, and `h2` with `web:2`, created 100 s ago, which is current.
fn rolling() -> World {
    let mut world = web();
    world
        .put(&reason(deployment("web:2"), "ReplicaSetUpdated", -50))
        .put(&replica_set("h2", "web:2", 2, -100))
        .put(&pod("old"))
        .put(&pod("new").hash("h2").image("web:2").image_id(&image_id('b')).created(-90).started(-80));
    world
}

#[track_caller]
fn check(world: &mut World, workload: &str, expected: &str) {
    let said = world.said(workload);
    assert_eq!(said.trim_end(), expected, "\n--- said\n{said}--- expected\n{expected}\n");
}

#[track_caller]
fn skew(world: &mut World) -> Option<(u32, Origin)> {
    let now = world.now;
    let report = world.report("deployment/web");
    let skewed = report.containers.iter().flat_map(|c| &c.by_hash).find(|hash| hash.distinct_digests > 1)?;
    Some((now - skewed.skewed_since.expect("since").seconds(), skewed.origin))
}

#[test]
fn row_01_one_hash_and_two_digests_is_skew_since_the_second_smallest_start() {
    let mut world = web();
    world
        .put(&pod("p1").started(-900))
        .put(&pod("p2").started(-300).image_id(&image_id('b')))
        .put(&pod("p3").started(-200).image_id(&image_id('b')));
    check(
        &mut world,
        "deployment/web",
        "deployment/web complete\n  hash h1 (current): 3 pods, 3 ready\n  app (template): 2 digests\n    \
         h1 (template): 1×web:1 a 2×web:1 b, skewed for 300s",
    );
    let report = world.report("deployment/web");
    let digests = &report.containers[0].by_hash[0].digests;
    let pods = |at: usize| digests[at].skewed.iter().map(|pod| &*report.pods[*pod as usize].pod).collect::<Vec<_>>();
    assert_eq!((pods(0), pods(1)), (vec!["p1"], vec!["p2", "p3"]));
}

#[test]
fn row_01_a_crash_loop_moves_the_start_but_not_the_age() {
    let mut world = web();
    world.put(&pod("p1")).put(&pod("p2").started(-300).image_id(&image_id('b')));
    assert_eq!(skew(&mut world), Some((300, Origin::Template)));
    world.wait(60);
    let crashed = pod("p2").image_id(&image_id('b'));
    world.put(&crashed.clone().with("/status/containerStatuses/0/state", json!({"waiting": {}})));
    assert_eq!(skew(&mut world), Some((360, Origin::Template)));
    world.put(&crashed.started(60));
    assert_eq!(skew(&mut world), Some((360, Origin::Template)));
    let container = |id: &str| pod("p2").with("/status/containerStatuses/0/containerID", id);
    world.put(&container("containerd://second"));
    assert_eq!(skew(&mut world), None);
    world.put(&container("containerd://third").started(60).image_id(&image_id('b')));
    assert_eq!(skew(&mut world), Some((0, Origin::Template)), "a gap ends the skew");
}

#[test]
fn row_02_ids_of_different_kinds_are_unresolved_not_skew() {
    let hex = digest('b')[7..].to_owned();
    for other in [format!("docker://{}", digest('b')), digest('b'), hex.clone()] {
        let mut world = web();
        world.put(&pod("p1")).put(&pod("p2")).put(&pod("p3").image_id(&other));
        assert_eq!(skew(&mut world), None, "{other}");
        let container = &world.report("deployment/web").containers[0];
        assert_eq!((container.distinct_digests, container.image_id_only), (1, 1), "{other}");
    }
    let mut world = web();
    world.put(&pod("p1").image_id(&hex)).put(&pod("p2").image_id(&hex.replace('b', "c")));
    assert_eq!(skew(&mut world), None);
    let container = &world.report("deployment/web").containers[0];
    assert_eq!((container.distinct_digests, container.image_id_only), (1, 1));
}

#[test]
fn row_02_config_digests_can_be_compared_with_each_other() {
    let mut world = web();
    world.put(&pod("p1").image_id(&digest('a'))).put(&pod("p2").image_id(&digest('b')));
    assert_eq!(skew(&mut world), Some((990, Origin::Template)));
}

/// Docker 29 writes the digest of a manifest in the same form as Docker 28 that of a configuration.
#[test]
fn row_02_a_digest_from_docker_may_be_of_a_manifest_or_a_config() {
    let docker = |letter| format!("docker://{}", digest(letter));
    // Beside any other form, its meaning is unknown.
    for other in [digest('a'), image_id('a'), format!("docker-pullable://web@{}", digest('a'))] {
        let mut world = web();
        world.put(&pod("p1").image_id(&other)).put(&pod("p2").image_id(&other)).put(&pod("p3").image_id(&docker('b')));
        assert_eq!(skew(&mut world), None, "{other}");
        let container = &world.report("deployment/web").containers[0];
        assert_eq!((container.distinct_digests, container.image_id_only), (1, 1), "{other}");
    }
    // Two of them may be from nodes with different image stores. This difference does not raise the main alert.
    let mut world = web();
    world.put(&pod("p1").image_id(&docker('a'))).put(&pod("p2").image_id(&docker('b')));
    assert_eq!(skew(&mut world), Some((990, Origin::Unknown)));
    let container = &world.report("deployment/web").containers[0];
    assert_eq!((container.origin, container.distinct_digests), (Origin::Unknown, 2));
    // Known digests of other pods matter more than the number of forms.
    world.put(&pod("p3").image_id(&image_id('c'))).put(&pod("p4").image_id(&image_id('d')));
    assert_eq!(skew(&mut world), Some((990, Origin::Template)));
    let container = &world.report("deployment/web").containers[0];
    assert_eq!((container.distinct_digests, container.image_id_only), (2, 2));
}

/// A digest that is local to its node does not exist in a registry, so there is nothing to ask.
#[test]
fn row_02_the_kind_of_a_digest_is_reported() {
    let hex = "a".repeat(64);
    let forms = [
        (format!("registry.example/shop/web@{}", digest('a')), DigestKind::Manifest),
        (digest('a'), DigestKind::Config),
        (format!("docker://{}", digest('a')), DigestKind::ManifestOrConfig),
        (hex, DigestKind::Opaque),
    ];
    for (image_id, kind) in forms {
        let mut world = web();
        world.put(&pod("p1").image_id(&image_id));
        let digests = &world.report("deployment/web").containers[0].by_hash[0].digests;
        assert_eq!(digests.iter().map(|digest| digest.kind).collect::<Vec<_>>(), [kind], "{image_id}");
    }
}

#[test]
fn row_03_the_same_hex_under_another_repository_is_one_digest() {
    let mut world = web();
    for (name, prefix) in [
        ("p1", "registry.example/shop/web@"),
        ("p2", "mirror.example/cache/web@"),
        ("p3", "docker-pullable://web@"),
        ("p4", "docker.io/library/import-2026-09-11@"),
    ] {
        world.put(&pod(name).image_id(&format!("{prefix}{}", digest('a'))));
    }
    let container = &world.report("deployment/web").containers[0];
    assert_eq!((container.distinct_digests, container.image_id_only), (1, 0));
    assert_eq!(container.by_hash[0].digests[0].pods, 4);
}

/// `registry.example/shop/web@sha256:…` for each letter, and a tag, as in the images of a node.
fn names(letters: &str) -> Vec<String> {
    letters.chars().map(image_id).chain(["docker.io/library/web:1".to_owned()]).collect()
}

fn on(name: &str, node: &str, letter: char) -> Value {
    pod(name).with("/spec/nodeName", node).image_id(&image_id(letter))
}

fn crio_on(name: &str, node: &str, letter: char) -> Value {
    on(name, node, letter).with("/status/containerStatuses/0/containerID", format!("cri-o://{name}"))
}

#[test]
fn row_04_two_digests_in_one_entry_of_a_node_are_one_image_on_its_architecture() {
    let mut world = web();
    world.put(&on("p1", "n1", 'a')).put(&on("p2", "n2", 'b'));
    assert_eq!(skew(&mut world), Some((990, Origin::Template)), "without access to nodes");
    let split = [node("n1", "amd64", &[&names("a")]), node("n2", "amd64", &[&names("b")])];
    world.nodes(&split);
    assert_eq!(skew(&mut world), Some((990, Origin::Template)), "two entries are not related");
    world.nodes(&[node("n1", "amd64", &[&names("ab")]), split[1].clone()]);
    assert_eq!(skew(&mut world), None);
    let container = world.report("deployment/web").containers[0].clone();
    assert_eq!((container.distinct_digests, container.by_hash[0].digests.len()), (1, 1), "both are counted as one");
    // A fact about content stays true, even if a later list omits it.
    world.nodes(&[node("n1", "amd64", &[]), node("n2", "amd64", &[])]);
    assert_eq!(skew(&mut world), None);
    // Evidence never splits digests, and another digest means another image.
    world.put(&on("p3", "n2", 'c'));
    assert_eq!(skew(&mut world).map(|skew| skew.1), Some(Origin::Template));
    assert_eq!(world.report("deployment/web").containers[0].distinct_digests, 2);
}

/// podskew has just started, and the nodes are not listed yet. No alert may fire for digests that they will join.
#[test]
fn row_04_until_nodes_answer_two_digests_may_be_one_image() {
    let mut world = web();
    world.inventory.await_evidence();
    world.put(&on("p1", "n1", 'a')).put(&on("p2", "n2", 'b'));
    assert_eq!(skew(&mut world), Some((990, Origin::Unknown)));
    assert!(world.inventory.wants_evidence());
    world.wait(5).nodes(&[node("n1", "amd64", &[]), node("n2", "amd64", &[])]);
    assert_eq!(skew(&mut world), Some((995, Origin::Template)), "the nodes do not join them");
    assert!(!world.inventory.wants_evidence(), "the nodes were listed during the skew");
    // A kubelet reports an image some time after the pull.
    let mut world = web();
    world.put(&on("p1", "n1", 'a')).nodes(&[]).wait(60);
    assert!(!world.inventory.wants_evidence(), "there is no skew");
    world.put(&on("p2", "n2", 'b').created(55).started(60)).wait(10);
    assert!(world.inventory.wants_evidence(), "a new skew");
    assert!(world.nodes(&[]).inventory.wants_evidence(), "the nodes may not report the image yet");
    assert!(!world.wait(200).nodes(&[]).inventory.wants_evidence(), "the nodes report it now");
    // Without a list of the nodes, the result is that without access to nodes.
    let mut world = web();
    world.inventory.await_evidence();
    world.put(&on("p1", "n1", 'a')).put(&on("p2", "n2", 'b'));
    assert_eq!(skew(&mut world), Some((990, Origin::Unknown)));
    world.inventory.give_up_evidence(world.moment());
    assert_eq!(skew(&mut world), Some((990, Origin::Template)));
}

/// An index has several images for 32-bit ARM, one per variant, and for Windows, one per build.
#[test]
fn row_04_an_entry_is_valid_only_for_its_own_platform() {
    let of_windows = |name: &str, kernel: &str, letters: &str| {
        node(name, "amd64", &[&names(letters)])
            .with("/status/nodeInfo/operatingSystem", "windows")
            .with("/status/nodeInfo/kernelVersion", kernel)
    };
    // The node that names both digests runs neither pod. p1 on n1 runs b only if n1 has the right platform.
    for (n1, n3, one) in [
        (node("n1", "amd64", &[]), node("n3", "amd64", &[&names("ab")]), true),
        (node("n1", "arm64", &[]), node("n3", "amd64", &[&names("ab")]), false),
        (node("n1", "arm", &[]), node("n3", "arm", &[&names("ab")]), false),
        (node("n1", "", &[]), node("n3", "", &[&names("ab")]), false),
        (of_windows("n1", "10.0.17763.1", "c"), of_windows("n3", "10.0.17763.2", "ab"), true),
        (of_windows("n1", "10.0.17763.1", "c"), of_windows("n3", "10.0.20348.1", "ab"), false),
        (of_windows("n1", "", "c"), of_windows("n3", "", "ab"), false),
    ] {
        let mut world = web();
        let n2 = n1.clone().with("/metadata/name", "n2");
        world.put(&on("p1", "n1", 'a')).put(&on("p2", "n2", 'b')).nodes(&[n1.clone(), n2, n3]);
        assert_eq!(skew(&mut world).is_none(), one, "{n1}");
    }
    // On the node that names both, they are one image for any platform. The other pod's node need not be known.
    for architecture in ["amd64", "arm", ""] {
        let mut world = web();
        world.put(&on("p1", "n1", 'a')).put(&on("p2", "gone", 'b')).nodes(&[node("n1", architecture, &[&names("ab")])]);
        assert_eq!(skew(&mut world), None, "{architecture}");
    }
    // Nothing is known about a pod whose node is unknown.
    let mut world = web();
    world.put(&on("p1", "gone", 'a')).put(&on("p2", "lost", 'b')).nodes(&[node("n1", "amd64", &[&names("ab")])]);
    assert_eq!(skew(&mut world), Some((990, Origin::Template)));
}

/// Only the 50 largest images are listed, with five names each.
#[test]
fn images_that_no_node_lists_prove_nothing() {
    let on = |name: &str, node: &str, letter| {
        let id = format!("docker.io/library/web@{}", digest(letter));
        let container = format!("containerd://{name}-{letter}");
        pod(name).with("/spec/nodeName", node).image_id(&id).with("/status/containerStatuses/0/containerID", container)
    };
    let mut world = web();
    world
        .put(&on("p1", "n1", 'a'))
        .put(&on("p2", "n2", 'a'))
        .nodes(&[node("n1", "amd64", &[]), node("n2", "amd64", &[])]);
    assert_eq!(skew(&mut world), None, "both are known, though no node lists them");
    assert_eq!(world.inventory.evidence().expect("node evidence").divided_tags(), []);
    // One digest is listed without the other: they may be the same image or not.
    world.put(&on("p2", "n2", 'b')).nodes(&[node("n1", "amd64", &[&names("a")]), node("n2", "amd64", &[])]);
    assert_eq!(skew(&mut world).map(|skew| skew.1), Some(Origin::Template));
    let nodes = world.report("deployment/web").nodes.clone().expect("node evidence");
    let cached: Vec<_> = nodes.cached.iter().map(|it| (&*it.digest, it.nodes.len())).collect();
    assert_eq!(cached, [(&*digest('a'), 1)], "the image of n2 is unknown");
    assert_eq!(world.inventory.evidence().expect("node evidence").divided_tags(), [], "one image does not differ");
    // A name without a digest, or a tag in two entries, means nothing either.
    let tag_alone = vec!["docker.io/library/web:1".to_owned()];
    world.nodes(&[node("n1", "amd64", &[&names("a"), &names("c")]), node("n2", "amd64", &[&tag_alone])]);
    assert_eq!(world.report("deployment/web").nodes.clone().expect("node evidence").cached, []);
}

#[test]
fn nodes_are_counted_for_a_tag_with_several_digests() {
    let mut world = web();
    let nodes = [
        node("n1", "amd64", &[&names("a")]),
        node("n2", "amd64", &[&names("b")]),
        node("n3", "amd64", &[&names("b")]),
        // An index and the image of its platform count as one.
        node("n4", "amd64", &[&names("bd")]),
    ];
    let image = |name: &str| pod(name).image_id(&format!("docker.io/library/web@{}", digest('a')));
    world.put(&image("p1").with("/spec/nodeName", "n1")).nodes(&nodes);
    let counted = |world: &World| {
        let tags = world.inventory.evidence().expect("node evidence").divided_tags();
        tags.iter().map(|tag| format!("{} {} {}", tag.image, &tag.digest[7..8], tag.nodes)).collect::<Vec<_>>()
    };
    assert_eq!(counted(&world), ["web:1 a 1", "web:1 b 3"], "all three have b");
    // Removed nodes are not counted.
    world.nodes(&nodes[..2]);
    assert_eq!(counted(&world), ["web:1 a 1", "web:1 b 1"]);
    world.nodes(&nodes[1..]);
    assert_eq!(counted(&world), [""; 0]);
    // Some node pulled the short name from another registry, so its meaning is unknown.
    world.put(&pod("p2").image_id(&format!("quay.io/web@{}", digest('a')))).nodes(&nodes);
    assert_eq!(counted(&world), [""; 0]);
}

#[test]
fn row_05_two_digests_without_alias_evidence_are_skew() {
    let mut world = web();
    world.put(&pod("p1")).put(&pod("p2").image_id(&image_id('b')));
    assert_eq!(skew(&mut world), Some((990, Origin::Template)));
}

#[test]
fn row_06_another_name_for_a_running_container_is_an_alias() {
    let mut world = web();
    world.put(&pod("p1")).put(&pod("p2")).put(&pod("p3"));
    assert_eq!(skew(&mut world), None);
    world.wait(10).put(&pod("p1").image_id(&image_id('b')));
    assert_eq!(skew(&mut world), None, "p1 still runs the same container");
    // A pod that starts now gets the new name at once.
    world.put(&pod("p4").image_id(&image_id('b')));
    assert_eq!(skew(&mut world), None, "p4 is known to run the same image as p2");
    assert_eq!(world.report("deployment/web").containers[0].by_hash[0].digests.len(), 1, "under one name");
    // The same name in another container means a deployment.
    world.put(&pod("p3").image_id(&image_id('c')).with("/status/containerStatuses/0/containerID", "containerd://new"));
    assert_eq!(skew(&mut world).map(|skew| skew.1), Some(Origin::Template));
}

#[test]
fn row_07_a_digest_that_crio_forgets_is_kept_but_unresolved_after_a_restart() {
    let hex = "f".repeat(64);
    let mut world = web();
    world.put(&pod("p1")).put(&pod("p2"));
    world.put(&pod("p1").image_id(&hex));
    let container = world.report("deployment/web").containers[0].clone();
    assert_eq!((container.distinct_digests, container.image_id_only), (1, 0));
    assert_eq!(container.by_hash[0].digests[0].pods, 2);
    // After a restart of podskew only the id is known.
    let mut world = web();
    world.put(&pod("p1").image_id(&hex)).put(&pod("p2"));
    let container = &world.report("deployment/web").containers[0];
    assert_eq!((container.distinct_digests, container.image_id_only), (1, 1));
}

#[test]
fn row_08_an_index_digest_is_the_same_on_every_architecture() {
    let mut world = web();
    world.put(&pod("amd64")).put(&pod("arm64").with("/spec/nodeName", "node-arm"));
    assert_eq!(world.report("deployment/web").containers[0].distinct_digests, 1);
}

#[test]
fn row_09_crio_with_one_repository_may_be_a_mix_of_architectures() {
    let crio = |name: &str, letter: char| {
        pod(name).image_id(&image_id(letter)).with("/status/containerStatuses/0/containerID", format!("cri-o://{name}"))
    };
    let mut world = web();
    world.put(&crio("p1", 'a')).put(&crio("p2", 'b'));
    assert_eq!(skew(&mut world), Some((990, Origin::Unknown)));
    assert_eq!(world.report("deployment/web").containers[0].origin, Origin::Unknown);
    // Architectures do not explain another image string or another repository.
    world.put(&crio("p2", 'b').image("web:other"));
    assert_eq!(skew(&mut world), Some((990, Origin::Template)));
    world.put(&crio("p2", 'b').image_id(&format!("other.example/web@{}", digest('b'))));
    assert_eq!(skew(&mut world), Some((990, Origin::Template)));
}

/// CRI-O reports the alphabetically first of index and platform manifest: e is the index of 1 (amd64) and 2 (arm64).
#[test]
fn row_09_with_nodes_an_index_and_its_manifests_are_one_image() {
    let nodes = [node("n1", "amd64", &[&names("e1")]), node("n2", "arm64", &[&names("e2")])];
    for (one, other) in [('1', '2'), ('e', '2'), ('1', 'e')] {
        let mut world = web();
        world.put(&crio_on("p1", "n1", one)).put(&crio_on("p2", "n2", other));
        assert_eq!(skew(&mut world), Some((990, Origin::Unknown)), "without access to nodes");
        world.nodes(&nodes);
        assert_eq!(skew(&mut world), None, "{one} and {other}");
    }
    // Manifests of one platform do not identify what runs on the other.
    let mut world = web();
    world.put(&crio_on("p1", "n1", '1')).put(&crio_on("p2", "n2", '2'));
    world.nodes(&[node("n1", "amd64", &[]), node("n2", "arm64", &[])]);
    assert_eq!(skew(&mut world), Some((990, Origin::Unknown)), "a mix of architectures may explain it");
    let nodes = world.report("deployment/web").nodes.clone().expect("node evidence");
    let by = &nodes.by_architecture[0];
    assert_eq!((&*by.hash, &*by.container), ("h1", "app"));
    let digests: Vec<_> = by.digests.iter().map(|(architecture, digest)| (&**architecture, &digest[7..8])).collect();
    assert_eq!(digests, [("amd64", "1"), ("arm64", "2")]);
}

/// With a single architecture, a mix of architectures cannot explain a difference.
#[test]
fn row_09_two_digests_on_one_architecture_are_no_mix_of_architectures() {
    let mut world = web();
    world.put(&crio_on("p1", "n1", 'a')).put(&crio_on("p2", "n2", 'b'));
    world.nodes(&[node("n1", "amd64", &[]), node("n2", "amd64", &[])]);
    assert_eq!(skew(&mut world), Some((990, Origin::Template)));
    assert_eq!(world.report("deployment/web").nodes.clone().expect("node evidence").by_architecture, []);
    // If one node is unknown, a mix can explain it.
    world.nodes(&[node("n1", "amd64", &[])]);
    assert_eq!(skew(&mut world), Some((990, Origin::Unknown)));
    assert_eq!(world.report("deployment/web").nodes.clone().expect("node evidence").by_architecture, []);
}

/// Row R18: two indexes have the same image for amd64, and different images for arm64.
#[test]
fn row_r18_indexes_that_differ_on_one_architecture_stay_skew() {
    let nodes = [
        node("x1", "amd64", &[&names("abc")]),
        node("x2", "amd64", &[&names("abc")]),
        node("r1", "arm64", &[&names("a")]),
        node("r2", "arm64", &[&names("b")]),
    ];
    let skews = |pods: &[(&str, char)]| {
        let mut world = web();
        for (at, (node, letter)) in pods.iter().enumerate() {
            world.put(&on(&format!("p{at}"), node, *letter));
        }
        world.nodes(&nodes);
        skew(&mut world).is_some()
    };
    assert!(!skews(&[("x1", 'a'), ("x2", 'b')]), "one image on amd64");
    assert!(skews(&[("r1", 'a'), ("r2", 'b')]), "two on arm64");
    assert!(skews(&[("x1", 'a'), ("x2", 'b'), ("r1", 'a'), ("r2", 'b')]));
    assert!(skews(&[("x1", 'c'), ("r1", 'a'), ("r2", 'b')]), "c may be either of them, and they stay two");
    assert!(!skews(&[("x1", 'a'), ("r2", 'b')]), "both run the content of b");
    assert!(skews(&[("x1", 'a'), ("r1", 'a'), ("r2", 'b')]));
}

#[test]
fn row_10_an_empty_image_id_is_no_digest() {
    let mut world = web();
    let waiting = json!({"waiting": {"reason": "ContainerCreating"}});
    let starting = pod("p2").image_id("").with("/status/containerStatuses/0/state", waiting);
    world.put(&pod("p1")).put(&starting).put(&pod("p3").pending());
    let container = &world.report("deployment/web").containers[0];
    assert_eq!((container.distinct_digests, container.not_started, container.image_id_only), (1, 2, 0));
    assert_eq!(container.not_reported, 0);
}

#[test]
fn row_11_a_crash_loop_counts_and_is_not_ready() {
    let mut world = web();
    let crashing = pod("p1").unready().with("/status/containerStatuses/0/state", json!({"waiting": {}}));
    world.put(&crashing);
    check(
        &mut world,
        "deployment/web",
        "deployment/web complete\n  hash h1 (current): 1 pods, 0 ready\n  app (template): 1 digests\n    \
         h1 (template): 1×web:1 a",
    );
}

#[test]
fn row_12_terminating_pods_are_counted_apart() {
    let mut world = rolling();
    world.put(&reason(deployment("web:2"), "NewReplicaSetAvailable", -5)).put(&pod("old").terminating());
    check(
        &mut world,
        "deployment/web",
        "deployment/web complete\n  hash h1: 0 pods, 0 ready, 1 terminating\n  hash h2 (current): 1 pods, 1 ready\n  \
         app (template): 1 digests\n    h2 (template): 1×web:2 b",
    );
    assert_eq!(world.report("deployment/web").pods.len(), 2, "the API still has both");
}

#[test]
fn row_13_finished_pods_are_left_out() {
    let mut world = web();
    world.put(&pod("p1")).put(&pod("p2").image_id(&image_id('b')));
    for phase in ["Failed", "Succeeded"] {
        world.put(&pod("p2").image_id(&image_id('b')).with("/status/phase", phase));
        assert_eq!(skew(&mut world), None);
        assert_eq!(world.report("deployment/web").pods.len(), 1);
    }
}

#[test]
fn row_14_two_hashes_in_a_rollout_are_a_mix_and_no_skew() {
    let mut world = rolling();
    check(
        &mut world,
        "deployment/web",
        "deployment/web progressing 100s, 2 hashes for 90s, 1 outdated\n  hash h1: 1 pods, 1 ready\n  \
         hash h2 (current): 1 pods, 1 ready\n  app (template): 2 digests\n    h1 (template): 1×web:1 a\n    \
         h2 (template): 1×web:2 b",
    );
}

#[test]
fn row_15_a_deadline_exceeded_is_stalled() {
    let mut world = rolling();
    world.put(&reason(deployment("web:2"), "ProgressDeadlineExceeded", -20));
    assert_eq!(world.state("deployment/web"), (RolloutState::Stalled, 100));
}

#[test]
fn row_16_paused_with_two_hashes() {
    let mut world = rolling();
    let paused = |image| reason(deployment(image), "DeploymentPaused", -20).with("/spec/paused", true);
    world.put(&paused("web:2"));
    assert_eq!(world.state("deployment/web"), (RolloutState::Paused, 100));
    // A pause alone is not a state.
    let mut world = web();
    world.put(&pod("p1")).put(&paused("web:1"));
    assert_eq!(world.state("deployment/web"), (RolloutState::Complete, 0));
}

fn database(strategy: Value) -> World {
    let mut world = World::new();
    world.put(&stateful_set(strategy)).put(&revision("StatefulSet", "db", "db-old", "db:1", 1, -5000)).put(&revision(
        "StatefulSet",
        "db",
        "db-new",
        "db:2",
        2,
        -100,
    ));
    world
}

#[test]
fn row_17_a_partition_split_exactly_at_it() {
    let mut world = database(json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}));
    for ordinal in 0..4 {
        let (hash, letter) = if ordinal < 2 { ("db-old", 'a') } else { ("db-new", 'b') };
        world.put(&db_pod(ordinal, hash, &image_id(letter)));
    }
    assert_eq!(world.state("statefulset/db"), (RolloutState::Partitioned, 100));
    assert_eq!(world.report("statefulset/db").outdated_pods, Some(0));
    // One pod on the wrong side of the partition.
    world.put(&db_pod(2, "db-old", &image_id('a')));
    assert_eq!(world.state("statefulset/db").0, RolloutState::Progressing);
    assert_eq!(world.report("statefulset/db").outdated_pods, Some(1));
}

#[test]
fn row_17_ordinals_may_start_elsewhere() {
    let mut world = database(json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}));
    let moved = stateful_set(json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}));
    world.put(&moved.with("/spec/ordinals", json!({"start": 10})));
    for ordinal in 10..14 {
        world.put(&db_pod(ordinal, if ordinal < 12 { "db-old" } else { "db-new" }, &image_id('a')));
    }
    assert_eq!(world.state("statefulset/db").0, RolloutState::Partitioned);
}

#[test]
fn row_18_on_delete_counts_by_label() {
    let mut world = database(json!({"type": "OnDelete"}));
    world.put(&stateful_set(json!({"type": "OnDelete"})).with("/spec/replicas", 2));
    world.put(&db_pod(0, "db-old", &image_id('a'))).put(&db_pod(1, "db-new", &image_id('b')));
    assert_eq!(world.state("statefulset/db").0, RolloutState::OnDelete);
    let report = world.report("statefulset/db");
    let counts: Vec<_> = report.hashes.iter().map(|hash| (&*hash.hash, hash.pods, hash.current)).collect();
    assert_eq!(counts, [("db-new", 1, Some(true)), ("db-old", 1, Some(false))]);
    // With one hash there is nothing to wait for.
    world.put(&db_pod(0, "db-new", &image_id('b')));
    assert_eq!(world.state("statefulset/db"), (RolloutState::Complete, 0));
}

fn rollout(strategy: Value, status: Value) -> Value {
    json!({
        "kind": "Rollout",
        "metadata": {"name": "web", "namespace": "shop", "uid": "Rollout-web", "creationTimestamp": at(-5000)},
        "spec": {"replicas": 2, "template": template("web:2"), "strategy": strategy},
        "status": status
    })
}

fn argo_set(hash: &str, image: &str, revision: &str, created: i64) -> Value {
    replica_set(hash, image, 0, created)
        .with("/metadata/labels", json!({"rollouts-pod-template-hash": hash}))
        .with("/metadata/annotations", json!({"rollout.argoproj.io/revision": revision}))
        .with("/metadata/ownerReferences/0", owner("argoproj.io/v1alpha1", "Rollout", "web"))
}

fn argo_pod(name: &str, hash: &str, created: i64) -> Value {
    pod(name).hash(hash).created(created).with("/metadata/labels", json!({"rollouts-pod-template-hash": hash}))
}

fn argo(strategy: Value, status: Value) -> World {
    let mut world = World::new();
    world
        .put(&rollout(strategy, status))
        .put(&argo_set("h1", "web:1", "1", -4000))
        .put(&argo_set("h2", "web:2", "2", -100))
        .put(&argo_pod("old", "h1", -3000))
        .put(&argo_pod("new", "h2", -90));
    world
}

#[test]
fn row_19_argo_steps_pauses_and_previews_are_deliberate_but_not_when_degraded() {
    let canary = json!({"canary": {"steps": [{"setWeight": 20}, {"pause": {}}]}});
    let mid = json!({"currentPodHash": "h2", "stableRS": "h1", "phase": "Progressing", "currentStepIndex": 1,
        "observedGeneration": "17"});
    let state = |strategy: &Value, status: Value| argo(strategy.clone(), status).state("rollout/web");
    assert_eq!(state(&canary, mid.clone()), (RolloutState::Canary, 100));
    let paused = mid.clone().with("/pauseConditions", json!([{"reason": "CanaryPauseStep"}]));
    assert_eq!(state(&canary, paused.with("/phase", "Paused")), (RolloutState::Canary, 100));
    assert_eq!(state(&canary, mid.clone().with("/phase", "Degraded")), (RolloutState::Stalled, 100));
    assert_eq!(state(&canary, mid.clone().with("/abort", true)), (RolloutState::Stalled, 100));
    assert_eq!(state(&canary, mid.clone().with("/currentStepIndex", 2)), (RolloutState::Progressing, 100));
    assert_eq!(state(&json!({"blueGreen": {}}), mid.clone()), (RolloutState::BlueGreen, 100));
    let done = mid.with("/stableRS", "h2").with("/phase", "Healthy");
    assert_eq!(state(&json!({"blueGreen": {}}), done), (RolloutState::Complete, 0), "the old set lingers for a while");
}

#[test]
fn row_19_with_workload_ref_the_deployment_at_zero_is_no_second_workload() {
    let mut world = argo(json!({"canary": {}}), json!({"currentPodHash": "h2", "stableRS": "h2", "phase": "Healthy"}));
    let referenced = deployment("web:2").with("/spec/replicas", 0);
    world.put(&referenced);
    assert_eq!(world.workloads(), ["deployment/web", "rollout/web"]);
    let with_reference = rollout(json!({"canary": {}}), json!({"currentPodHash": "h2", "stableRS": "h2"}))
        .with("/spec/workloadRef", json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}))
        .with("/spec/template", Value::Null);
    world.put(&with_reference);
    assert_eq!(world.workloads(), ["rollout/web"]);
    let image = world.report("rollout/web").image_references[0].clone();
    assert_eq!(&*image.image, "web:2", "the ReplicaSet's template is the Rollout's");
    world.delete(&with_reference);
    assert!(world.workloads().contains(&"deployment/web".to_owned()));
}

#[test]
fn row_20_two_hashes_with_one_digest() {
    let mut world = rolling();
    world.put(&pod("new").hash("h2").image("web:2").created(-90));
    let report = world.report("deployment/web");
    assert_eq!((report.distinct_hashes, report.containers[0].distinct_digests), (2, 1));
}

#[test]
fn row_21_a_container_that_the_template_lacks_was_injected() {
    let mut world = web();
    world.put(&pod("p1").sidecar("istio-proxy", &image_id('d'))).put(&pod("p2").sidecar("istio-proxy", &image_id('e')));
    assert_eq!(skew(&mut world), Some((990, Origin::Injected)));
    let origins: Vec<_> = world
        .report("deployment/web")
        .containers
        .iter()
        .map(|c| (&*c.container, c.origin))
        .map(|(n, o)| (n.to_owned(), o))
        .collect();
    assert_eq!(origins, [("app".to_owned(), Origin::Template), ("istio-proxy".to_owned(), Origin::Injected)]);
    // Without a readable template, the origin is unknown.
    world.put(&replica_set("h1", "web:1", 1, -4000).with("/spec/template", Value::Null));
    assert_eq!(skew(&mut world), Some((990, Origin::Unknown)));
}

#[test]
fn row_22_a_patched_image_shows_both_image_strings() {
    let mut world = web();
    world.put(&pod("p1")).put(&pod("p2").image("web:hotfix").image_id(&image_id('b')));
    let report = world.report("deployment/web");
    let images: Vec<_> = report.containers[0].by_hash[0].digests.iter().map(|digest| &*digest.image).collect();
    assert_eq!(images, ["web:1", "web:hotfix"]);
    assert_eq!(skew(&mut world), Some((990, Origin::Template)));
}

fn init(name: &str, restart_policy: &str, letter: char) -> Value {
    pod(name)
        .with("/spec/initContainers", json!([{"name": "proxy", "image": "p:1", "restartPolicy": restart_policy}]))
        .with("/status/initContainerStatuses", json!([status("proxy", &image_id(letter), name, Some(-995))]))
}

#[test]
fn row_23_native_sidecars_are_compared() {
    let mut world = web();
    world.put(&init("p1", "Always", 'a')).put(&init("p2", "Always", 'b'));
    assert_eq!(skew(&mut world), Some((995, Origin::Injected)));
    let mut template = replica_set("h1", "web:1", 1, -4000);
    template["spec"]["template"]["spec"]["initContainers"] =
        json!([{"name": "proxy", "image": "p:1", "restartPolicy": "Always"}]);
    world.put(&template);
    assert_eq!(skew(&mut world), Some((995, Origin::Template)));
}

#[test]
fn rows_24_to_26_init_and_ephemeral_containers_and_image_volumes_are_ignored() {
    let mut world = web();
    for (name, letter) in [("p1", 'a'), ("p2", 'b')] {
        let ephemeral = json!([status("debug", &image_id(letter), name, Some(-5))]);
        let volumes = json!([{"name": "data", "image": {"reference": format!("data:{letter}")}}]);
        let object = init(name, "", letter)
            .with("/spec/ephemeralContainers", json!([{"name": "debug", "image": "busybox"}]))
            .with("/status/ephemeralContainerStatuses", ephemeral)
            .with("/spec/volumes", volumes);
        world.put(&object);
    }
    let report = world.report("deployment/web");
    assert_eq!(report.containers.len(), 1);
    assert_eq!(skew(&mut world), None);
}

#[test]
fn row_27_a_rollback_is_current_by_template_and_as_old_as_its_first_new_pod() {
    let mut world = rolling();
    let undone = reason(deployment("web:1"), "NewReplicaSetAvailable", -50);
    let reused = replica_set("h1", "web:1", 3, -4000)
        .with("/metadata/annotations/deployment.kubernetes.io~1revision-history", "1");
    world.put(&undone).put(&reused);
    assert_eq!(world.state("deployment/web"), (RolloutState::Progressing, 0), "the moment it was seen");
    world.wait(40).put(&pod("newer").created(-30).started(-20));
    assert_eq!(world.state("deployment/web"), (RolloutState::Progressing, 70), "the pod is older than the sight");
    // A podskew that starts later reports the same: `old` survived and means nothing.
    let mut later = web();
    later
        .put(&replica_set("h2", "web:2", 2, -100))
        .put(&undone)
        .put(&reused)
        .put(&pod("old"))
        .put(&pod("newer").created(-30))
        .put(&pod("new").hash("h2").created(-90));
    assert_eq!(later.state("deployment/web"), (RolloutState::Progressing, 30));
    assert_eq!(&*later.report("deployment/web").hashes[0].hash, "h1");
    assert_eq!(later.report("deployment/web").hashes[0].current, Some(true));
}

#[test]
fn row_27_a_second_try_starts_when_it_is_tried() {
    // h2 is the newest ReplicaSet. It was undone, and is wanted again now. Its revision is raised a moment later.
    let mut world = web();
    world
        .put(&replica_set("h2", "web:2", 2, -100))
        .put(&replica_set("h1", "web:1", 3, -4000))
        .put(&pod("p1").created(-50));
    assert_eq!(world.state("deployment/web"), (RolloutState::Complete, 0));
    world.put(&deployment("web:2"));
    assert_eq!(world.state("deployment/web"), (RolloutState::Progressing, 0));
    let history = "/metadata/annotations/deployment.kubernetes.io~1revision-history";
    world.wait(5).put(&replica_set("h2", "web:2", 4, -100).with(history, "2"));
    assert_eq!(world.state("deployment/web"), (RolloutState::Progressing, 5));
}

#[test]
fn row_27_an_undo_with_recreate_waits_for_the_old_pods_without_a_condition() {
    let mut world = World::new();
    let idle = |set: Value| set.with("/spec/replicas", 0);
    world
        .put(&deployment("web:1"))
        .put(&idle(replica_set("h1", "web:1", 3, -4000)))
        .put(&idle(replica_set("h2", "web:2", 2, -100)))
        .put(&pod("old").hash("h2").terminating());
    assert_eq!(world.state("deployment/web"), (RolloutState::Progressing, 0));
    // The same objects without old pods are a scale-up from zero.
    world.delete(&pod("old").hash("h2"));
    assert_eq!(world.state("deployment/web"), (RolloutState::Complete, 0));
}

#[test]
fn row_14_a_reason_older_than_the_replicaset_is_of_another_rollout() {
    let mut world = web();
    world
        .put(&reason(deployment("web:2"), "NewReplicaSetAvailable", -4000))
        .put(&replica_set("h2", "web:2", 2, -3))
        .put(&pod("p1").hash("h2").created(-2).pending());
    assert_eq!(world.state("deployment/web"), (RolloutState::Progressing, 3));
}

#[test]
fn new_workloads_are_progressing() {
    let mut world = World::new();
    world.put(&stateful_set(json!({})).with("/status", json!({}))).put(&db_pod(0, "db-new", "").pending());
    assert_eq!(world.state("statefulset/db").0, RolloutState::Progressing);
    let mut world = web();
    world.put(&deployment("web:1").with("/status", json!({}))).put(&pod("p1").pending());
    assert_eq!(world.state("deployment/web").0, RolloutState::Progressing);
}

#[test]
fn row_28_scaling_is_no_rollout() {
    let mut world = web();
    let scaled = |replicas: u32, generation: u32| {
        deployment("web:1").with("/spec/replicas", replicas).with("/metadata/generation", generation)
    };
    world.put(&scaled(0, 2));
    assert_eq!(world.state("deployment/web"), (RolloutState::Complete, 0));
    assert_eq!(&*world.report("deployment/web").hashes[0].hash, "h1", "the current hash, although it has no pods");
    world.put(&scaled(5, 3)).put(&pod("p1")).put(&pod("p2").pending());
    assert_eq!(world.state("deployment/web"), (RolloutState::Complete, 0));
    assert_eq!(world.report("deployment/web").outdated_pods, Some(0));
}

#[test]
fn row_29_no_current_hash_is_invented() {
    let mut world = web();
    world.put(&pod("p1"));
    world.look();
    // Recreate: the template has changed, the old pods terminate, and the annotation still has the old revision.
    world.put(&deployment("web:2").with("/metadata/generation", 2)).put(&pod("p1").terminating());
    assert_eq!(world.state("deployment/web"), (RolloutState::Progressing, 0));
    assert_eq!(world.report("deployment/web").outdated_pods, None);
    assert_eq!(world.report("deployment/web").hashes[0].current, Some(false));
    world.wait(20).put(&replica_set("h2", "web:2", 2, 20)).put(&pod("p2").hash("h2").created(20));
    world.put(&reason(deployment("web:2"), "ReplicaSetUpdated", 20));
    assert_eq!(world.state("deployment/web"), (RolloutState::Progressing, 20), "since the template changed");
    // Paused with a changed template.
    let mut world = web();
    world.put(&pod("p1")).put(&deployment("web:2").with("/spec/paused", true));
    assert_eq!(world.state("deployment/web").0, RolloutState::Paused);
    assert_eq!(world.report("deployment/web").outdated_pods, None);
}

#[test]
fn row_30_endless_replicasets_have_no_series() {
    let mut world = web();
    world.put(&pod("p1"));
    for number in 0..500 {
        let set = replica_set(&format!("x{number}"), &format!("web:x{number}"), number + 2, -3000 + i64::from(number));
        world.put(&set);
    }
    assert_eq!(world.report("deployment/web").hashes.len(), 1);
}

#[test]
fn row_31_a_bare_replicaset_is_compared_within_one_image() {
    let bare = |mut object: Value| {
        object["metadata"]["ownerReferences"] = json!([]);
        object
    };
    let mut world = World::new();
    world
        .put(&bare(replica_set("h1", "web:2", 1, -4000)))
        .put(&pod("p1"))
        .put(&pod("p2").image("web:2").image_id(&image_id('b')));
    let said = world.said("replicaset/web-h1");
    assert!(said.contains("app (template): 1 digests") && !said.contains("skewed"), "{said}");
    world.put(&pod("p3").image_id(&image_id('c')));
    let said = world.said("replicaset/web-h1");
    assert!(said.contains("app (template): 2 digests") && said.contains("skewed for 990s"), "{said}");
}

#[test]
fn row_32_static_and_bare_pods_are_left_out() {
    let mut world = World::new();
    world.put(&pod("static").with("/metadata/ownerReferences/0", owner("v1", "Node", "node-1")));
    world.put(&pod("bare").with("/metadata/ownerReferences", json!([])));
    let mut not_controlled = pod("adopted");
    not_controlled["metadata"]["ownerReferences"][0]["controller"] = json!(false);
    world.put(&not_controlled);
    assert_eq!(world.workloads(), [""; 0]);
    assert_eq!(world.inventory.objects(Resource::Pods), 0);
}

fn job_pod(name: &str, job: &str, letter: char) -> Value {
    pod(name)
        .with("/metadata/labels", json!({"job-name": job}))
        .with("/metadata/ownerReferences/0", owner("batch/v1", "Job", job))
        .image_id(&image_id(letter))
}

#[test]
fn row_33_jobs_are_compared_one_by_one_and_only_with_the_option() {
    let mut world = World::new();
    world.put(&job_pod("p1", "backup-1", 'a'));
    assert_eq!(world.workloads(), [""; 0]);
    let mut world = World::with(Settings { jobs: true, ..Settings::default() });
    world
        .put(&job_pod("p1", "backup-1", 'a'))
        .put(&job_pod("p2", "backup-2", 'b'))
        .put(&job_pod("p3", "backup-2", 'b'));
    assert_eq!(world.workloads(), ["job/backup-1", "job/backup-2"]);
    assert_eq!(world.report("job/backup-2").containers[0].distinct_digests, 1);
    assert_eq!(world.report("job/backup-2").rollout, None);
}

#[test]
fn row_34_one_replica_is_one_digest() {
    let mut world = web();
    world.put(&pod("p1"));
    assert_eq!(world.report("deployment/web").containers[0].distinct_digests, 1);
}

#[test]
fn row_35_pods_are_grouped_under_the_nearest_known_owner() {
    // Deployments are forbidden: a readable ReplicaSet has the name of its Deployment.
    let mut world = World::new();
    world.forbid(Resource::Deployments).put(&replica_set("h1", "web:1", 1, -4000)).put(&pod("p1"));
    let report = world.report("deployment/web");
    assert_eq!((report.rollout, report.outdated_pods, report.hashes[0].current), (None, None, None));
    assert_eq!(report.hashes[0].revision, Some(1), "the ReplicaSet can be read");
    // ReplicaSets are forbidden: nothing that needs an owner is reported, and no workload gets another name.
    let mut world = World::new();
    world.forbid(Resource::ReplicaSets).put(&deployment("web:1")).put(&pod("p1"));
    world.put(&stateful_set(json!({}))).put(&db_pod(0, "db-new", &image_id('a'))).wait(60);
    assert_eq!(world.workloads(), ["statefulset/db"]);
    // Forbidden later: earlier knowledge of them is dropped.
    let mut world = web();
    world.put(&pod("p1"));
    assert_eq!(world.workloads(), ["deployment/web"]);
    world.forbid(Resource::ReplicaSets);
    assert_eq!(world.workloads(), [""; 0]);
    // The owner is gone for good: only its name is left.
    let mut world = World::new();
    world.put(&pod("p1"));
    assert_eq!(world.workloads(), [""; 0]);
    world.wait(30);
    assert_eq!(world.workloads(), ["replicaset/web-h1"]);
    // The last pods of a deleted owner are not a workload of their own.
    world.put(&pod("p1").terminating());
    assert_eq!(world.workloads(), [""; 0]);
    assert_eq!(world.awaiting, []);
    // A Deployment that was seen and is gone keeps its pods, without a gap, until they are gone.
    let mut world = web();
    world.put(&pod("p1"));
    world.look();
    world.delete(&deployment("web:1")).put(&pod("p1").terminating()).delete(&replica_set("h1", "web:1", 1, -4000));
    assert_eq!(world.workloads(), ["deployment/web"]);
    assert_eq!((world.awaiting.len(), world.report("deployment/web").rollout), (0, None));
    world.delete(&pod("p1"));
    assert_eq!(world.workloads(), [""; 0]);
    assert_eq!(world.inventory.held(), 0);
    // The owner of the pods stays known while there are any, although the ReplicaSet is gone (revisionHistoryLimit: 0).
    let mut world = rolling();
    world.look();
    world.put(&pod("old").terminating()).delete(&replica_set("h1", "web:1", 1, -4000));
    world.wait(60);
    assert_eq!(world.workloads(), ["deployment/web"]);
    assert_eq!(world.report("deployment/web").hashes[0].terminating_pods, 1);
    world.delete(&pod("old"));
    assert_eq!(world.report("deployment/web").hashes.len(), 1);
}

#[test]
fn row_35_nothing_is_renamed_while_replicasets_cannot_be_followed() {
    let mut world = web();
    world.put(&pod("p1"));
    world.inventory.live(source(Resource::ReplicaSets), false, podskew::time::UnixTime::now());
    world.put(&pod("p2").hash("h2"));
    world.wait(600);
    assert_eq!(world.workloads(), ["deployment/web"], "p2 may well belong to it");
    assert_eq!(world.awaiting, [("shop".to_owned(), 1)]);
    let back = podskew::time::UnixTime::from_seconds(i64::from(world.now)).unwrap();
    world.inventory.live(source(Resource::ReplicaSets), true, back);
    world.wait(29);
    assert_eq!(world.awaiting.len(), 1, "the missed owner is still awaited");
    world.put(&replica_set("h2", "web:2", 2, -100));
    assert_eq!(world.workloads(), ["deployment/web"]);
    assert_eq!(world.report("deployment/web").pods.len(), 2);
    // A StatefulSet's pods have its name as their owner.
    world.inventory.live(source(Resource::StatefulSets), false, back);
    world.put(&db_pod(0, "db-new", &image_id('a'))).wait(30);
    assert_eq!(world.workloads(), ["deployment/web", "statefulset/db"]);
}

#[test]
fn row_36_pods_of_a_lost_node_stay_counted() {
    let mut world = web();
    world.put(&pod("p1")).put(&pod("p2").unready());
    let hash = &world.report("deployment/web").hashes[0];
    assert_eq!((hash.pods, hash.ready_pods), (2, 1));
}

#[test]
fn row_37_a_rewritten_hash_label_is_taken_at_face_value() {
    let mut world = web();
    world.put(&pod("p1")).put(&pod("p2").with("/metadata/labels/pod-template-hash", "elsewhere"));
    let report = world.report("deployment/web");
    let hashes: Vec<_> = report.hashes.iter().map(|hash| (&*hash.hash, hash.pods)).collect();
    assert_eq!(hashes, [("elsewhere", 1), ("h1", 1)]);
    assert_eq!(report.containers[0].by_hash[0].origin, Origin::Unknown, "no template has that hash");
}

#[test]
fn row_38_nothing_is_reported_before_the_initial_sync() {
    let mut world = World::unsynced(Settings::default());
    world.list(Resource::Pods, &[&pod("p1")]);
    for resource in Resource::ALL.into_iter().filter(|resource| *resource != Resource::Pods) {
        assert_eq!(world.workloads(), [""; 0], "before {resource}");
        assert!(!world.complete);
        match resource {
            Resource::Deployments => world.list(resource, &[&deployment("web:1")]),
            Resource::ReplicaSets => world.list(resource, &[&replica_set("h1", "web:1", 1, -4000)]),
            Resource::Rollouts => world.forbid(resource),
            _ => world.list(resource, &[]),
        };
    }
    assert_eq!(world.workloads(), ["deployment/web"]);
    // A later list is interrupted: the last complete state stays.
    world.begin(Resource::Pods);
    world.item(&pod("p2").image_id(&image_id('b')));
    assert_eq!(world.report("deployment/web").pods.len(), 1);
    let now = world.moment();
    world.inventory.abandon_relist(source(Resource::Pods), now);
    assert_eq!(world.report("deployment/web").pods.len(), 1);
    world.list(Resource::Pods, &[&pod("p2"), &pod("p3")]);
    let names: Vec<_> = world.report("deployment/web").pods.iter().map(|pod| pod.pod.to_string()).collect();
    assert_eq!(names, ["p2", "p3"]);
    // Without pods there is nothing to report.
    world.forbid(Resource::Pods);
    assert_eq!(world.workloads(), [""; 0]);
    assert!(!world.complete);
}

#[test]
fn row_39_a_restart_with_a_moved_tag_is_a_mix_and_no_skew_inside_a_hash() {
    let mut world = rolling();
    world
        .put(&reason(
            deployment("web:1").with("/spec/template/metadata/annotations", json!({"restartedAt": "now"})),
            "ReplicaSetUpdated",
            -50,
        ))
        .put(
            &replica_set("h2", "web:1", 2, -100)
                .with("/spec/template/metadata/annotations", json!({"restartedAt": "now"})),
        )
        .put(&pod("new").hash("h2").image_id(&image_id('b')).created(-90));
    assert_eq!(skew(&mut world), None);
    let report = world.report("deployment/web");
    assert_eq!((report.distinct_hashes, report.containers[0].distinct_digests), (2, 2));
    assert_eq!(world.state("deployment/web"), (RolloutState::Progressing, 100));
}

#[test]
fn row_40_a_recreated_pod_is_a_new_pod() {
    let mut world = database(json!({}));
    let before = db_pod(0, "db-new", &image_id('a'));
    let after = db_pod(0, "db-new", &image_id('b')).with("/metadata/uid", "another");
    world.put(&before).look();
    world.delete(&before).put(&after);
    let digests = world.report("statefulset/db").containers[0].by_hash[0].digests.clone();
    assert_eq!(digests.len(), 1, "no alias is learned from another pod");
    assert_eq!(&*digests[0].digest, digest('b'));
    // Also by a list.
    let again = db_pod(0, "db-new", &image_id('c')).with("/metadata/uid", "a third");
    world.list(Resource::Pods, &[&again]);
    assert_eq!(world.report("statefulset/db").pods.len(), 1);
}

#[test]
fn row_41_unready_pods_do_not_reopen_a_rollout() {
    let mut world = web();
    world.put(&pod("p1")).put(&pod("p2"));
    world.look();
    world.wait(400_000).put(&pod("p2").unready());
    world.put(&deployment("web:1").with("/status/availableReplicas", 1));
    assert_eq!(world.state("deployment/web"), (RolloutState::Complete, 0));
    let mut world = database(json!({}));
    world.put(&stateful_set(json!({})).with("/spec/replicas", 1));
    world.put(&db_pod(0, "db-new", &image_id('a')).unready());
    assert_eq!(world.state("statefulset/db"), (RolloutState::Complete, 0));
}

fn custom(name: &str, kind: &str, labels: Value) -> Value {
    pod(name)
        .with("/metadata/labels", labels)
        .with("/metadata/ownerReferences/0", owner("example.io/v1", kind, "thing"))
}

#[test]
fn row_42_pods_that_differ_on_purpose_are_excluded_by_default() {
    let mut world = World::new();
    world.put(&custom("p1", "Workflow", json!({})));
    assert_eq!(world.workloads(), [""; 0]);
    let kind = CustomKind { kind: "workflow".into(), group: "example.io".into() };
    let mut world = World::with(Settings { workload_kinds: vec![kind], ..Settings::default() });
    world
        .put(&custom("p1", "Workflow", json!({})))
        .put(&custom("p2", "Workflow", json!({})).image("other:1").image_id(&image_id('b')));
    assert_eq!(world.report("workflow.example.io/thing").containers[0].distinct_digests, 1, "within one image");
}

#[test]
fn row_43_other_controllers_with_a_hash_label_are_compared() {
    let clone_set = |name: &str, letter: char| {
        pod(name)
            .with("/metadata/ownerReferences/0", owner("apps.kruise.io/v1alpha1", "CloneSet", "web"))
            .image_id(&image_id(letter))
    };
    let mut world = World::new();
    world.forbid(Resource::CloneSets).put(&clone_set("p1", 'a')).put(&clone_set("p2", 'b'));
    check(
        &mut world,
        "cloneset.apps.kruise.io/web",
        "cloneset.apps.kruise.io/web\n  hash h1: 2 pods, 2 ready\n  app (unknown): 2 digests\n    \
         h1 (unknown): 1×web:1 a 1×web:1 b, skewed for 990s",
    );
}

#[test]
fn row_44_a_stuck_rollout_undone_starts_at_the_undo() {
    let mut world = rolling();
    world
        .put(&reason(deployment("web:2"), "ProgressDeadlineExceeded", -20))
        .put(&pod("new").hash("h2").created(-90).pending());
    assert_eq!(world.state("deployment/web"), (RolloutState::Stalled, 100));
    // The undo, while the condition still has the old reason.
    world.wait(500).put(&reason(deployment("web:1"), "ProgressDeadlineExceeded", -20));
    assert_eq!(world.state("deployment/web"), (RolloutState::Progressing, 0), "`old` never died and says nothing");
    world.wait(5).put(&replica_set("h1", "web:1", 3, -4000));
    assert_eq!(world.state("deployment/web"), (RolloutState::Progressing, 5), "a new revision is not a new start");
}

#[test]
fn row_45_one_name_is_one_workload() {
    // Deleted and recreated with the same name.
    let mut world = web();
    world.put(&pod("p1"));
    world.look();
    let second = |mut object: Value, uid: &str| {
        object["metadata"]["uid"] = json!(uid);
        object
    };
    let mut set = second(replica_set("h2", "web:2", 1, -10), "ReplicaSet-web-h2");
    set["metadata"]["ownerReferences"][0]["uid"] = json!("second");
    world
        .delete(&deployment("web:1"))
        .put(&second(deployment("web:2"), "second").created(-10))
        .put(&set)
        .put(&pod("p2").hash("h2").image("web:2").image_id(&image_id('b')).created(-5));
    world.wait(31);
    assert_eq!(world.workloads(), ["deployment/web"]);
    let report = world.report("deployment/web");
    assert_eq!(report.pods.len(), 2);
    assert_eq!(report.hashes.iter().find(|hash| hash.current == Some(true)).map(|hash| &*hash.hash), Some("h2"));
    // A kind with the same name in another group is another type.
    let mut world = database(json!({}));
    let kruise = owner("apps.kruise.io/v1beta1", "StatefulSet", "db").with("/uid", "kruise");
    world
        .put(&db_pod(0, "db-new", &image_id('a')))
        .put(&db_pod(9, "db-other", &image_id('b')).with("/metadata/ownerReferences/0", kruise));
    assert_eq!(world.workloads(), ["statefulset.apps.kruise.io/db", "statefulset/db"]);
}

#[test]
fn row_46_pods_wait_for_their_owner() {
    let mut world = World::new();
    world.put(&pod("p1"));
    assert_eq!(world.workloads(), [""; 0]);
    assert_eq!(world.awaiting, [("shop".to_owned(), 1)]);
    world.wait(5).put(&replica_set("h1", "web:1", 1, -4000));
    assert_eq!(world.workloads(), [""; 0], "a ReplicaSet before its Deployment");
    assert_eq!(world.awaiting, [("shop".to_owned(), 1)]);
    world.put(&deployment("web:1"));
    assert_eq!(world.workloads(), ["deployment/web"]);
    assert_eq!(world.awaiting, []);
    // An owner that never appears.
    let mut world = World::new();
    world.put(&pod("p1")).put(&db_pod(0, "db-new", &image_id('a')));
    world.wait(29);
    assert_eq!(world.workloads(), [""; 0]);
    world.wait(1);
    assert_eq!(world.workloads(), ["replicaset/web-h1", "statefulset/db"]);
    // The owner appears late.
    world.put(&replica_set("h1", "web:1", 1, -4000)).put(&deployment("web:1"));
    assert_eq!(world.workloads(), ["deployment/web", "statefulset/db"]);
}

#[test]
fn a_daemonset_follows_the_revision_with_the_highest_number() {
    let daemon = |generation, image| daemon(generation, image, "RollingUpdate", json!({"observedGeneration": 2}));
    let agent = |name: &str, hash: &str, created: i64| {
        pod(name)
            .with("/metadata/labels", json!({"controller-revision-hash": hash}))
            .with("/metadata/ownerReferences/0", owner("apps/v1", "DaemonSet", "agent"))
            .with("/status/conditions/0/lastTransitionTime", at(created + 5))
            .created(created)
    };
    let mut world = World::new();
    world
        .put(&daemon(2, "agent:2"))
        .put(&revision("DaemonSet", "agent", "agent-old", "agent:1", 1, -5000))
        .put(&revision("DaemonSet", "agent", "agent-new", "agent:2", 2, -300))
        .put(&agent("p1", "old", -4000))
        .put(&agent("p2", "new", -200));
    assert_eq!(world.state("daemonset/agent"), (RolloutState::Progressing, 300));
    // Nothing changes for ten minutes after the last pod became Ready, 195 s before the start.
    world.wait(404);
    assert_eq!(world.state("daemonset/agent").0, RolloutState::Progressing);
    world.wait(1);
    assert_eq!(world.state("daemonset/agent"), (RolloutState::Stalled, 705), "by the passing of time alone");
    // A changed template that the controller has not observed yet.
    world.put(&daemon(3, "agent:3"));
    assert_eq!(world.report("daemonset/agent").outdated_pods, None);
    // A changed label is not a changed template.
    world.put(&daemon(3, "agent:2"));
    assert_eq!(world.report("daemonset/agent").outdated_pods, Some(1));
    // A rollback gives the old revision the highest number, and managedFields has its time.
    let bumped = revision("DaemonSet", "agent", "agent-old", "agent:1", 3, -5000)
        .with("/metadata/managedFields", json!([{"manager": "kube-controller-manager", "time": at(395)}]));
    world.put(&bumped).put(&daemon(2, "agent:1"));
    assert_eq!(world.state("daemonset/agent"), (RolloutState::Progressing, 10));
    // Without ControllerRevisions the current one is unknown.
    world.forbid(Resource::ControllerRevisions);
    let report = world.report("daemonset/agent");
    assert_eq!((report.rollout, report.outdated_pods), (None, None));
    assert_eq!(report.distinct_hashes, 2);
}

#[test]
fn the_revision_annotation_decides_only_where_templates_cannot_be_had_and_is_not_believed_while_it_lags() {
    let bare = |object: Value| object.with("/spec/template", Value::Null);
    let mut world = World::new();
    world
        .put(&bare(deployment("web:1")))
        .put(&bare(replica_set("h1", "web:1", 1, -4000)))
        .put(&bare(replica_set("h2", "web:2", 2, -100)))
        .put(&pod("p1"));
    assert_eq!(world.report("deployment/web").outdated_pods, Some(0));
    world.put(&bare(deployment("web:1")).with("/metadata/generation", 2));
    assert_eq!(world.report("deployment/web").outdated_pods, None, "the status is behind");
    world.put(&bare(deployment("web:1")).with("/status/updatedReplicas", 0));
    assert_eq!(world.report("deployment/web").outdated_pods, None, "updatedReplicas contradicts");
}

#[test]
fn a_default_of_a_newer_api_server_is_no_rollout() {
    let mut world = web();
    let later = |object: Value| object.with("/spec/template/spec/restartedPolicy", "Never");
    // The Deployment was read after the upgrade, its ReplicaSet before.
    world.put(&pod("p1")).put(&later(deployment("web:1")));
    assert_eq!(world.state("deployment/web"), (RolloutState::Complete, 0));
    assert_eq!(world.report("deployment/web").outdated_pods, Some(0));
    // The controller counts no replica of the newest template, so there is none.
    world.put(&later(deployment("web:1")).with("/status/updatedReplicas", 0));
    assert_eq!(world.state("deployment/web").0, RolloutState::Progressing);
    // The controller has not observed it yet.
    world.put(&later(deployment("web:1")).with("/metadata/generation", 2));
    assert_eq!(world.state("deployment/web").0, RolloutState::Progressing);
    // The revision is that of a ReplicaSet which has not been seen yet.
    world.put(&later(deployment("web:1")).with("/metadata/annotations/deployment.kubernetes.io~1revision", "2"));
    assert_eq!(world.state("deployment/web").0, RolloutState::Progressing);
}

#[test]
fn excluded_namespaces_and_ignored_containers_are_left_out() {
    let settings = Settings { ignore_containers: vec!["istio-proxy".into()], ..Settings::default() };
    let mut world = World::with(settings);
    world.put(&deployment("web:1")).put(&replica_set("h1", "web:1", 1, -4000));
    world.put(&pod("p1").sidecar("istio-proxy", &image_id('d'))).put(&pod("p2").sidecar("istio-proxy", &image_id('e')));
    assert_eq!(world.report("deployment/web").containers.len(), 1);
    let settings = Settings { exclude_namespaces: vec!["shop".into()], ..Settings::default() };
    let mut world = World::with(settings);
    world.put(&deployment("web:1")).put(&replica_set("h1", "web:1", 1, -4000)).put(&pod("p1"));
    assert_eq!(world.workloads(), [""; 0]);
}

#[test]
fn row_47_pods_of_a_placeholder_are_left_out() {
    let of = |name: &str, kind: &str, letter: char| {
        pod(name).with("/metadata/ownerReferences/0", owner("v1", kind, "tenant")).image_id(&image_id(letter))
    };
    let mut world = World::new();
    world.put(&of("p1", "Service", 'a')).put(&of("p2", "Service", 'b')).put(&of("p3", "ConfigMap", 'c'));
    assert_eq!(world.workloads(), [""; 0]);
    assert_eq!(world.inventory.objects(Resource::Pods), 0);
    // A ReplicationController is in the same group and runs its own pods. Kinds that are named in the options count.
    let kind = CustomKind { kind: "configmap".into(), group: String::new() };
    let mut world = World::with(Settings { workload_kinds: vec![kind], ..Settings::default() });
    world.put(&of("p1", "ReplicationController", 'a')).put(&of("p2", "Service", 'b')).put(&of("p3", "ConfigMap", 'c'));
    assert_eq!(world.workloads(), ["configmap/tenant", "replicationcontroller/tenant"]);
}

#[test]
fn extensions_v1beta1_is_apps() {
    let mut world = web();
    world
        .put(&pod("p1").with("/metadata/ownerReferences/0", owner("extensions/v1beta1", "ReplicaSet", "web-h1")))
        .put(&pod("p2").image_id(&image_id('b')));
    world.put(
        &replica_set("h1", "web:1", 1, -4000)
            .with("/metadata/ownerReferences/0", owner("extensions/v1beta1", "Deployment", "web")),
    );
    assert_eq!(world.workloads(), ["deployment/web"]);
    assert_eq!(skew(&mut world), Some((990, Origin::Template)));
    world.put(
        &pod("agent")
            .with("/metadata/labels", json!({"controller-revision-hash": "x"}))
            .with("/metadata/ownerReferences/0", owner("extensions/v1beta1", "DaemonSet", "agent")),
    );
    world.wait(31);
    assert_eq!(world.workloads(), ["daemonset/agent", "deployment/web"]);
}

/// A Healthy, promoted Rollout that still has pods of `h1`.
fn promoted(strategy: Value, deadline: Option<i64>) -> World {
    let status = json!({"currentPodHash": "h2", "stableRS": "h2", "phase": "Healthy", "conditions": [
        {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"},
        {"type": "Completed", "status": "True", "lastTransitionTime": at(-10)}]});
    let mut world = argo(strategy, status);
    let mut set = argo_set("h1", "web:1", "1", -4000);
    if let Some(deadline) = deadline {
        set = set.with("/metadata/annotations/scale-down-deadline", at(deadline));
    }
    world.put(&set);
    world
}

fn complete_and_deliberate(world: &mut World) -> bool {
    let report = world.report("rollout/web");
    assert_eq!(report.rollout.map(|rollout| rollout.state), Some(RolloutState::Complete));
    assert_eq!(report.distinct_hashes, 2);
    report.deliberate
}

#[test]
fn row_48_leftover_pods_are_held_until_their_scale_down_deadline_but_not_after_it() {
    let mut world = promoted(json!({"blueGreen": {}}), Some(20));
    assert!(complete_and_deliberate(&mut world));
    assert!(complete_and_deliberate(world.wait(19)));
    assert!(!complete_and_deliberate(world.wait(1)), "only by time");
    let now = world.moment();
    assert_eq!(world.report("rollout/web").mixed_since.map(|since| now.since(since)), Some(110), "its age runs");
    // Without the annotation: the delay of the strategy, 30 s by default, or a minute, since its completion ten seconds
    // ago.
    for (strategy, delay) in [
        (json!({"blueGreen": {"scaleDownDelaySeconds": 60}}), 60),
        (json!({"canary": {"scaleDownDelaySeconds": 5}}), 5),
        (json!({"canary": {}}), 30),
    ] {
        let mut world = promoted(strategy, None);
        assert!(complete_and_deliberate(world.wait(delay + 60 - 11)), "{delay}");
        assert!(!complete_and_deliberate(world.wait(1)), "{delay}");
    }
    // Once the pods are gone, nothing is held.
    let mut world = promoted(json!({"blueGreen": {}}), Some(20));
    world.put(&argo_pod("old", "h1", -3000).terminating());
    assert!(!world.report("rollout/web").deliberate);
}

/// A Rollout with only pods of `h2`.
fn one_hash(status: Value) -> World {
    let mut world = argo(json!({"canary": {"steps": [{"setWeight": 20}, {"pause": {}}]}}), status);
    world.delete(&argo_pod("old", "h1", -3000));
    world
}

#[test]
fn row_49_degraded_or_aborted_with_one_hash_is_stalled() {
    let stable = json!({"currentPodHash": "h2", "stableRS": "h2", "phase": "Healthy"});
    for failed in [stable.clone().with("/phase", "Degraded"), stable.clone().with("/abort", true)] {
        let mut world = one_hash(failed.clone());
        assert_eq!(world.state("rollout/web").0, RolloutState::Stalled, "{failed}");
        assert!(world.report("rollout/web").rollout.unwrap().noticed, "nothing tells since when");
        // If podskew saw the beginning, the rollout began then, and ends when the phase is Healthy again.
        let mut world = one_hash(stable.clone());
        assert_eq!(world.state("rollout/web"), (RolloutState::Complete, 0));
        let strategy = json!({"canary": {}});
        world.wait(50).put(&rollout(strategy.clone(), failed.clone()));
        assert_eq!(world.wait(7).state("rollout/web"), (RolloutState::Stalled, 7), "{failed}");
        assert!(!world.report("rollout/web").rollout.unwrap().noticed);
        world.put(&rollout(strategy, stable.clone()));
        assert_eq!(world.state("rollout/web"), (RolloutState::Complete, 0));
    }
}

#[test]
fn rows_28_41_and_64_a_complete_rollout_stays_complete() {
    let stable = json!({"currentPodHash": "h2", "stableRS": "h2", "phase": "Healthy"});
    let progressing = stable.clone().with("/phase", "Progressing");
    // A podskew that starts later reports the same.
    assert_eq!(one_hash(progressing.clone()).state("rollout/web"), (RolloutState::Complete, 0));
    assert_eq!(one_hash(stable.clone().with("/phase", "Paused")).state("rollout/web"), (RolloutState::Complete, 0));
    // Also with pods of an older hash that are still kept.
    let strategy = json!({"blueGreen": {}});
    let mut world = promoted(strategy.clone(), Some(20));
    assert!(complete_and_deliberate(&mut world));
    world.put(&rollout(strategy.clone(), progressing.clone()).with("/spec/replicas", 5));
    world.put(&argo_pod("scaled", "h2", 1).pending());
    assert!(complete_and_deliberate(&mut world));
    // Another current hash means another rollout.
    world.put(&rollout(strategy, progressing.with("/currentPodHash", "h3")));
    world.put(&argo_set("h3", "web:3", "3", 2)).wait(5);
    assert_eq!(world.state("rollout/web"), (RolloutState::BlueGreen, 5));
    // A podskew that starts while old pods terminate and the phase is not Healthy cannot know that the rollout was
    // complete.
    let late = json!({"currentPodHash": "h2", "stableRS": "h2", "phase": "Progressing"});
    let mut world = World::listed(&[
        &rollout(json!({"canary": {}}), late),
        &argo_set("h1", "web:1", "1", -4000),
        &argo_set("h2", "web:2", "2", -100),
        &argo_pod("old", "h1", -3000),
        &argo_pod("new", "h2", -90),
    ]);
    assert_eq!(world.state("rollout/web"), (RolloutState::Progressing, 100));
}

#[test]
fn row_50_an_experiment_differs_on_purpose() {
    let set = |hash: &str| {
        argo_set(hash, "web:2", "", -60)
            .with("/metadata/ownerReferences/0", owner("argoproj.io/v1alpha1", "Experiment", "compare"))
    };
    let mut world = World::new();
    world
        .put(&set("base"))
        .put(&set("test"))
        .put(&argo_pod("p1", "base", -50))
        .put(&argo_pod("p2", "test", -40).image_id(&image_id('b')));
    let report = world.report("experiment/compare");
    assert_eq!((report.rollout, report.deliberate, report.distinct_hashes), (None, true, 2));
    let now = world.moment();
    assert_eq!(world.report("experiment/compare").mixed_since.map(|since| now.since(since)), Some(40));
    // An Experiment of another group is a different kind.
    let katib = |name: &str, hash: &str| {
        argo_pod(name, hash, -50).with("/metadata/ownerReferences/0", owner("kubeflow.org/v1", "Experiment", "tune"))
    };
    world.put(&katib("p3", "a")).put(&katib("p4", "b"));
    assert!(!world.report("experiment.kubeflow.org/tune").deliberate);
}

/// The same object recreated with its name.
fn again(mut object: Value) -> Value {
    let uid = object["metadata"]["uid"].as_str().expect("a uid").to_owned();
    object["metadata"]["uid"] = json!(format!("{uid}-again"));
    for owner in object["metadata"]["ownerReferences"].as_array_mut().into_iter().flatten() {
        let uid = owner["uid"].as_str().expect("a uid").to_owned();
        owner["uid"] = json!(format!("{uid}-again"));
    }
    object
}

#[test]
fn row_51_an_object_recreated_with_its_name_starts_without_history() {
    // During a stuck rollout.
    let mut world = rolling();
    assert_eq!(world.wait(40).state("deployment/web"), (RolloutState::Progressing, 140));
    world.delete(&deployment("web:2"));
    let (old_sets, old_pods) = (
        [replica_set("h1", "web:1", 1, -4000), replica_set("h2", "web:2", 2, -100)],
        [pod("old"), pod("new").hash("h2").image("web:2").image_id(&image_id('b')).created(-90).started(-80)],
    );
    world.put(&again(reason(deployment("web:2"), "ReplicaSetUpdated", 40)).created(40));
    world.put(&again(replica_set("h2", "web:2", 1, 40)));
    for pod in &old_pods {
        world.put(&pod.clone().terminating());
    }
    world.put(&again(pod("first").hash("h2").image("web:2").created(40).started(41)));
    for object in old_pods.iter().chain(&old_sets) {
        world.delete(object);
    }
    assert_eq!(world.wait(4).state("deployment/web"), (RolloutState::Progressing, 4));
    // During a skew and a mix: the pods of the old object exist until those of the new one are there.
    let mut world = web();
    world.put(&pod("p1")).put(&pod("p2").started(-300).image_id(&image_id('b')));
    assert_eq!(skew(&mut world), Some((300, Origin::Template)));
    world.delete(&deployment("web:1")).delete(&replica_set("h1", "web:1", 1, -4000));
    world.put(&again(deployment("web:1"))).put(&again(replica_set("h1", "web:1", 1, 0)));
    world.put(&again(pod("q1").created(0).started(1))).wait(30);
    world.put(&again(pod("q2").created(30).started(30).image_id(&image_id('b'))));
    world.delete(&pod("p1")).delete(&pod("p2"));
    assert_eq!(skew(&mut world), Some((0, Origin::Template)));
    // Through a list that has the new object, before the old one is known to be deleted.
    let mut world = database(json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}));
    world.put(&db_pod(0, "db-old", &image_id('a'))).put(&db_pod(1, "db-new", &image_id('b')));
    assert_eq!(world.state("statefulset/db"), (RolloutState::Partitioned, 100));
    let set = again(stateful_set(json!({"rollingUpdate": {"partition": 1}})).created(-2));
    world.list(Resource::StatefulSets, &[&set]);
    let revisions = [
        again(revision("StatefulSet", "db", "db-old", "db:1", 1, -2)),
        again(revision("StatefulSet", "db", "db-new", "db:2", 2, -1)),
    ];
    world.list(Resource::ControllerRevisions, &revisions.iter().collect::<Vec<_>>());
    let pods = [
        again(db_pod(0, "db-old", &image_id('a')).created(-2)),
        again(db_pod(1, "db-new", &image_id('b')).created(-1)),
    ];
    world.list(Resource::Pods, &pods.iter().collect::<Vec<_>>());
    assert_eq!(world.state("statefulset/db"), (RolloutState::Partitioned, 1));
    let now = world.moment();
    assert_eq!(world.report("statefulset/db").mixed_since.map(|since| now.since(since)), Some(1));
}

#[test]
fn row_52_a_rollout_after_a_pause_begins_at_its_replicaset() {
    let waiting = |reason_: &str| {
        reason(deployment("web:2"), reason_, 44).with("/status/updatedReplicas", 0).with("/metadata/generation", 2)
    };
    let (paused, resumed) = (waiting("DeploymentPaused").with("/spec/paused", true), waiting("DeploymentResumed"));
    let mut world = web();
    world.put(&pod("p1")).put(&paused);
    assert_eq!(world.state("deployment/web"), (RolloutState::Paused, 0));
    assert_eq!(world.wait(44).state("deployment/web"), (RolloutState::Paused, 44), "a pause has an age of its own");
    // Resumed, but the controller has not reacted yet.
    world.put(&resumed);
    assert_eq!(world.wait(2).state("deployment/web"), (RolloutState::Progressing, 2), "since it was resumed");
    world.put(&replica_set("h2", "web:2", 2, 46)).wait(2);
    assert_eq!(world.state("deployment/web"), (RolloutState::Progressing, 2), "since its ReplicaSet");
    // The same without a report in between.
    let mut world = web();
    world.put(&pod("p1")).put(&paused).wait(44).put(&resumed);
    world.wait(2).put(&replica_set("h2", "web:2", 2, 46)).wait(2);
    assert_eq!(world.state("deployment/web"), (RolloutState::Progressing, 2));
}

#[test]
fn row_52_a_waiting_template_that_changes_again_begins_again() {
    let paused = |image: &str| reason(deployment(image), "DeploymentPaused", -20).with("/spec/paused", true);
    let mut world = web();
    world.put(&pod("p1")).put(&paused("web:2")).wait(30);
    assert_eq!(world.state("deployment/web"), (RolloutState::Paused, 30));
    world.put(&paused("web:3"));
    assert_eq!(world.wait(5).state("deployment/web"), (RolloutState::Paused, 5));
    // Scaling does not change the template.
    world.put(&paused("web:3").with("/spec/replicas", 9));
    assert_eq!(world.wait(5).state("deployment/web"), (RolloutState::Paused, 10));
    // Recreate waits for the old pods, and its template changes meanwhile.
    let mut world = web();
    let waiting = |image: &str| deployment(image).with("/status/updatedReplicas", 0);
    world.put(&pod("p1")).put(&waiting("web:2")).wait(20).put(&waiting("web:3")).wait(5);
    assert_eq!(world.state("deployment/web"), (RolloutState::Progressing, 5));
    // Changed back, the rollout is complete. Changed again, it begins again.
    world.put(&deployment("web:1"));
    assert_eq!(world.state("deployment/web"), (RolloutState::Complete, 0));
    world.put(&waiting("web:3")).wait(3);
    assert_eq!(world.state("deployment/web"), (RolloutState::Progressing, 3));
}

#[test]
fn row_52_a_pause_in_the_middle_of_a_rollout_is_part_of_it() {
    let mut world = rolling();
    let held = reason(deployment("web:2"), "DeploymentPaused", 0).with("/spec/paused", true);
    world.put(&held).wait(30);
    assert_eq!(world.state("deployment/web"), (RolloutState::Paused, 130));
    world.put(&reason(deployment("web:2"), "ReplicaSetUpdated", 30)).wait(5);
    assert_eq!(world.state("deployment/web"), (RolloutState::Progressing, 135));
    // Rolled back during a pause: the ReplicaSet exists, and nothing of the rollback has begun.
    let mut world = rolling();
    world.look();
    let back = |reason_: &str, paused: bool| reason(deployment("web:1"), reason_, 0).with("/spec/paused", paused);
    world.put(&back("DeploymentPaused", true)).wait(60);
    assert_eq!(world.state("deployment/web"), (RolloutState::Paused, 60));
    world.put(&back("DeploymentResumed", false)).wait(4);
    assert_eq!(world.state("deployment/web"), (RolloutState::Progressing, 4));
}

#[test]
fn row_53_a_first_rollout_that_never_completed_is_stalled() {
    let mut world = web();
    world.put(&reason(deployment("web:1"), "ProgressDeadlineExceeded", -20)).put(&pod("p1").pending());
    assert_eq!(world.state("deployment/web"), (RolloutState::Stalled, 4000));
}

/// The StatefulSet `db` with three replicas, created with the template `db-first`.
fn first_set() -> Value {
    stateful_set(json!({"type": "RollingUpdate"}))
        .with("/metadata/generation", 1)
        .with("/spec/replicas", 3)
        .with("/status/observedGeneration", 1)
        .with("/status/updateRevision", "db-first")
        .with("/status/currentRevision", "db-first")
}

fn first_revision(created: i64) -> Value {
    revision("StatefulSet", "db", "db-first", "db:2", 1, created)
}

fn first_pod(ordinal: u32, created: i64) -> Value {
    db_pod(ordinal, "db-first", &image_id('a'))
        .created(created)
        .with("/status/conditions/0/lastTransitionTime", at(created))
}

#[test]
fn row_53_a_statefulset_whose_first_pods_never_became_ready() {
    let set = first_set().created(-900);
    let (first, hangs) = (first_pod(0, -899), first_pod(1, -890).never_ready(-890));
    let mut world = World::listed(&[&set, &first_revision(-899), &first, &hangs]);
    assert_eq!(world.state("statefulset/db"), (RolloutState::Stalled, 899), "one of three hangs");
    let report = world.report("statefulset/db");
    assert_eq!((report.outdated_pods, report.rollback_target.as_ref()), (Some(0), None));
    assert_eq!(&*report.pods[report.blocking_pod.unwrap() as usize].pod, "db-1");
    // It gets its missing pods: in progress until all are there, then complete for good.
    world.put(&first_pod(1, 0));
    assert_eq!(world.state("statefulset/db"), (RolloutState::Progressing, 899));
    world.put(&first_pod(2, 1).never_ready(1));
    assert_eq!(world.state("statefulset/db"), (RolloutState::Progressing, 899));
    world.put(&first_pod(2, 1));
    assert_eq!(world.state("statefulset/db"), (RolloutState::Complete, 0));
    world.put(&first_pod(2, 2).with("/metadata/uid", "another").never_ready(2));
    assert_eq!(world.state("statefulset/db"), (RolloutState::Complete, 0), "row 41");
    world.put(&set.with("/spec/replicas", 5).with("/metadata/generation", 2));
    assert_eq!(world.state("statefulset/db"), (RolloutState::Complete, 0), "row 28");
}

#[test]
fn row_53_a_first_rollout_without_any_pod() {
    let set = first_set().created(-900);
    let mut world = World::listed(&[&set, &first_revision(-899)]);
    assert_eq!(world.state("statefulset/db"), (RolloutState::Stalled, 899));
    // Scaled from zero in the meantime: the time is unknown, and so is whether it ever had pods.
    let mut world = World::listed(&[&set.with("/metadata/generation", 2), &first_revision(-899)]);
    assert_eq!(world.state("statefulset/db"), (RolloutState::Complete, 0));
}

#[test]
fn row_53_seen_from_its_beginning() {
    let new = first_set().created(0).with("/status", json!({}));
    let mut world = World::listed(&[&new]);
    assert_eq!(world.state("statefulset/db").0, RolloutState::Progressing);
    world.put(&first_revision(0)).put(&first_set().created(0));
    assert_eq!(world.state("statefulset/db").0, RolloutState::Progressing, "no pod yet");
    world.put(&first_pod(0, 1).never_ready(1)).put(&first_pod(0, 1));
    assert_eq!(world.state("statefulset/db").0, RolloutState::Progressing, "one of three");
    world.wait(900);
    assert_eq!(world.state("statefulset/db"), (RolloutState::Stalled, 900));
}

#[test]
fn row_53_a_daemonset_with_a_revision_before_its_status() {
    let set = |status: Value| daemon(1, "agent:1", "RollingUpdate", status).with("/metadata/creationTimestamp", at(0));
    let told = json!({"observedGeneration": 1, "desiredNumberScheduled": 2, "updatedNumberScheduled": 1});
    let agent = |name: &str| {
        pod(name)
            .with("/metadata/labels", json!({"controller-revision-hash": "h1"}))
            .with("/metadata/ownerReferences/0", owner("apps/v1", "DaemonSet", "agent"))
            .created(0)
            .with("/status/conditions/0/lastTransitionTime", at(0))
    };
    let mut world = World::new();
    world.put(&set(json!({}))).put(&revision("DaemonSet", "agent", "agent-h1", "agent:1", 1, 0));
    assert_eq!(world.state("daemonset/agent").0, RolloutState::Progressing, "the wanted number is unknown");
    world.put(&agent("p1").never_ready(0)).put(&set(told.clone()));
    assert_eq!(world.state("daemonset/agent").0, RolloutState::Progressing);
    world.wait(900);
    assert_eq!(world.state("daemonset/agent"), (RolloutState::Stalled, 900));
    world.put(&agent("p1")).put(&agent("p2"));
    assert_eq!(world.state("daemonset/agent"), (RolloutState::Complete, 0));
}

#[test]
fn row_53_a_first_rollout_without_wanted_pods_does_not_wait() {
    let none = first_set().created(-900).with("/spec/replicas", 0);
    let left = first_pod(0, -890).never_ready(-890);
    let mut listed = World::listed(&[&none, &first_revision(-899), &left]);
    assert_eq!(listed.state("statefulset/db"), (RolloutState::Complete, 0), "the pod only has to go");
    let mut watched = World::listed(&[&none, &first_revision(-899)]);
    watched.put(&left);
    assert_eq!(watched.state("statefulset/db"), (RolloutState::Complete, 0), "whichever watch is ahead");
}

#[test]
fn row_53_without_its_revision_a_set_that_waits_for_pods_is_unknown() {
    let set = first_set().created(-20);
    let [first, second] = [first_pod(0, -19), first_pod(1, -10)];
    let mut world = World::listed(&[&set, &first, &second]);
    assert_eq!(world.report("statefulset/db").rollout, None, "one of three is missing: still, or again?");
    // The revision's watch was behind.
    world.put(&first_revision(-20));
    assert_eq!(world.state("statefulset/db").0, RolloutState::Progressing);
    world.put(&first_pod(2, -5));
    assert_eq!(world.state("statefulset/db"), (RolloutState::Complete, 0));
    // Where nothing is missing, no revision is needed.
    let mut world = World::listed(&[&set, &first, &second, &first_pod(2, -5)]);
    assert_eq!(world.state("statefulset/db"), (RolloutState::Complete, 0));
}

#[test]
fn row_53_a_set_seems_complete_only_until_the_watch_of_pods_shows_one_that_hangs() {
    // A set that was created while podskew had no connection: its pods are listed last.
    let set = first_set().created(-900);
    let mut world = World::listed(&[&set.with("/metadata/generation", 2), &first_revision(-899)]);
    assert_eq!(world.state("statefulset/db"), (RolloutState::Complete, 0), "perhaps it was scaled from zero");
    world.put(&first_pod(0, -899));
    assert_eq!(world.state("statefulset/db"), (RolloutState::Complete, 0), "perhaps the others were lost");
    world.put(&first_pod(1, -890).never_ready(-890));
    assert_eq!(world.state("statefulset/db"), (RolloutState::Stalled, 899));
}

#[test]
fn rows_28_and_41_after_a_restart_of_podskew() {
    let set = || first_set().created(-9000);
    let [a, b] = [first_pod(0, -8999), first_pod(1, -8990)];
    // The third pod replaces a lost one, or was wanted later; it never became Ready.
    let late = first_pod(2, -600).never_ready(-600);
    let mut world = World::listed(&[&set(), &first_revision(-8999), &a, &b, &late]);
    assert_eq!(world.state("statefulset/db"), (RolloutState::Complete, 0));
    // It was Ready before: its condition changed later than its kubelet saw it first.
    let lost = first_pod(2, -8980).never_ready(-8980).with("/status/conditions/0/lastTransitionTime", at(-600));
    let mut world = World::listed(&[&set(), &first_revision(-8999), &a, &b, &lost]);
    assert_eq!(world.state("statefulset/db"), (RolloutState::Complete, 0));
    // The pod does not exist.
    let mut world = World::listed(&[&set(), &first_revision(-8999), &a, &b]);
    assert_eq!(world.state("statefulset/db"), (RolloutState::Complete, 0));
}

#[test]
fn row_53_every_pod_was_replaced_by_a_broken_one() {
    // A single replica: no pod has the old template, and the controller has not promoted the new one.
    let set = stateful_set(json!({"type": "RollingUpdate"})).with("/spec/replicas", 1);
    let old = revision("StatefulSet", "db", "db-old", "db:1", 2, -5000);
    let new = revision("StatefulSet", "db", "db-new", "db:2", 3, -700);
    let broken = db_pod(0, "db-new", "").never_ready(-650);
    let mut world = World::listed(&[&set, &old, &new, &broken]);
    assert_eq!(world.state("statefulset/db"), (RolloutState::Stalled, 700));
    let report = world.report("statefulset/db");
    assert_eq!(report.rollback_target.as_ref().map(|target| (&*target.hash, target.revision)), Some(("db-old", 2)));
    // Promoted: the rollout was complete, and one pod was replaced later.
    let promoted = set.with("/status/currentRevision", "db-new");
    let mut world = World::listed(&[&promoted, &old, &new, &broken]);
    assert_eq!(world.state("statefulset/db"), (RolloutState::Complete, 0));

    // A DaemonSet whose maxUnavailable allowed replacing all pods at once.
    let agent = |revision: u32, created: i64| {
        self::revision("DaemonSet", "agent", &format!("agent-h{revision}"), "agent:1", revision, created)
    };
    let set = json!({
        "kind": "DaemonSet",
        "metadata": {"name": "agent", "namespace": "shop", "uid": "DaemonSet-agent", "generation": 2,
            "creationTimestamp": at(-5000)},
        "spec": {"template": template("agent:1"), "updateStrategy": {"type": "RollingUpdate"}},
        "status": {"observedGeneration": 2, "desiredNumberScheduled": 2, "updatedNumberScheduled": 2}
    });
    let pod = |name: &str, hash: &str| {
        pod(name)
            .with("/metadata/labels", json!({"controller-revision-hash": hash}))
            .with("/metadata/ownerReferences/0", owner("apps/v1", "DaemonSet", "agent"))
    };
    let broken = [pod("agent-a", "h2").never_ready(-690), pod("agent-b", "h2").never_ready(-690)];
    let mut world = World::listed(&[&set, &agent(1, -5000), &agent(2, -700), &broken[0], &broken[1]]);
    assert_eq!(world.state("daemonset/agent"), (RolloutState::Stalled, 700));
    // A pod of a steady DaemonSet on a node that joined later.
    let steady = pod("agent-a", "h2").created(-690).with("/status/conditions/0/lastTransitionTime", at(-680));
    let joined = pod("agent-b", "h2").never_ready(-100);
    let mut world = World::listed(&[&set, &agent(1, -5000), &agent(2, -700), &steady, &joined]);
    assert_eq!(world.state("daemonset/agent"), (RolloutState::Complete, 0), "row 41");
}

#[test]
fn a_pod_that_is_replaced_is_no_rollout_where_an_upgrade_added_a_default() {
    // No ReplicaSet has the template of the Deployment, which the controller counts by its revision.
    let counted = deployment("web:2").with("/status/updatedReplicas", 1);
    let mut world = World::listed(&[&counted, &replica_set("h1", "web:1", 1, -4000), &pod("p1").hash("h1")]);
    assert_eq!(world.state("deployment/web"), (RolloutState::Complete, 0));
    let before = world.report("deployment/web").clone();
    world.delete(&pod("p1").hash("h1"));
    assert_eq!(world.report("deployment/web").rollout, None, "its status counts a pod that is gone");
    world.put(&pod("p2").hash("h1"));
    assert_eq!(world.state("deployment/web"), (RolloutState::Complete, 0));
    let after = world.report("deployment/web");
    assert_eq!((after.rollouts, after.last_rollout), (before.rollouts, before.last_rollout));
}

/// Completion, duration and held seconds of the last rollout.
fn last(world: &mut World, workload: &str) -> Option<(u32, Option<u32>, Option<u32>)> {
    let now = world.moment();
    let last = world.report(workload).last_rollout?;
    Some((now.since(last.completed), last.duration, last.held))
}

/// Completed, superseded and undone rollouts.
fn ended(world: &mut World, workload: &str) -> (u32, u32, u32) {
    let counts = world.report(workload).rollouts.expect("a workload with rollouts");
    (counts.completed, counts.superseded, counts.undone)
}

#[test]
fn a_deployments_objects_keep_how_long_its_last_rollout_took() {
    let rolled_out = || reason(deployment("web:2"), "NewReplicaSetAvailable", -40);
    let (old, new) = (replica_set("h1", "web:1", 1, -5000), replica_set("h2", "web:2", 2, -100));
    let mut world = World::listed(&[&rolled_out(), &old, &new, &pod("p2").hash("h2")]);
    assert_eq!(last(&mut world, "deployment/web"), Some((40, Some(60), None)), "whoever looks");
    assert_eq!(ended(&mut world, "deployment/web"), (0, 0, 0), "nothing is counted at the start");
    // Neither scaling, nor other pods, nor readiness, nor time changes the last rollout.
    world.put(&rolled_out().with("/spec/replicas", 9).with("/metadata/generation", 3));
    world.put(&pod("p3").hash("h2").created(0)).put(&pod("p2").hash("h2").unready()).wait(500);
    assert_eq!(last(&mut world, "deployment/web"), Some((540, Some(60), None)));
    assert_eq!(ended(&mut world, "deployment/web"), (0, 0, 0));
    // Rolled back: the ReplicaSet is older than the rollout, so the duration is known only to a podskew that saw it begin.
    let back = replica_set("h1", "web:1", 3, -5000)
        .with("/metadata/annotations/deployment.kubernetes.io~1revision-history", "1");
    let done = reason(deployment("web:1"), "NewReplicaSetAvailable", 530);
    let mut late = World::listed(&[&done, &back, &new, &pod("p1")]);
    assert_eq!(late.report("deployment/web").last_rollout.map(|last| last.duration), Some(None));
    world.put(&reason(deployment("web:1"), "ReplicaSetUpdated", 500)).put(&back).put(&pod("p1").created(505));
    world.wait(30).put(&pod("p2").hash("h2").terminating()).put(&pod("p3").hash("h2").terminating()).put(&done);
    assert_eq!(last(&mut world, "deployment/web"), Some((0, Some(30), Some(0))));
    assert_eq!(ended(&mut world, "deployment/web"), (1, 0, 1), "undone, and that completed");
}

#[test]
fn the_end_of_a_pause_is_not_the_end_of_a_rollout() {
    let (old, new) = (replica_set("h1", "web:1", 1, -9000), replica_set("h2", "web:2", 2, -5000));
    let with = |reason_: &str, when: i64, turned: i64| {
        let turned = json!(at(turned));
        reason(deployment("web:2"), reason_, when).with("/status/conditions/0/lastTransitionTime", turned)
    };
    let done = with("NewReplicaSetAvailable", -4940, -9000);
    let mut world = World::listed(&[&done, &old, &new, &pod("p2").hash("h2")]);
    assert_eq!(last(&mut world, "deployment/web"), Some((4940, Some(60), None)));
    // The conditions of a pause and of its end, with the same pods.
    world.put(&with("DeploymentPaused", 0, 0).with("/spec/paused", true)).wait(100);
    world.put(&with("DeploymentResumed", 100, 0)).put(&with("NewReplicaSetAvailable", 100, 100));
    assert_eq!(last(&mut world, "deployment/web"), None, "nothing took more than an hour");
    assert_eq!(ended(&mut world, "deployment/web"), (0, 0, 0));
}

#[test]
fn a_recreated_deployment_took_longer_than_its_new_pods() {
    let recreate = |object: Value| object.with("/spec/strategy", json!({"type": "Recreate"}));
    let (old, new) = (replica_set("h1", "web:1", 1, -5000), replica_set("h2", "web:2", 2, 40));
    let before = recreate(reason(deployment("web:1"), "NewReplicaSetAvailable", -4900));
    let mut world = World::listed(&[&before, &old, &pod("p1")]);
    assert_eq!(last(&mut world, "deployment/web").map(|(ago, ..)| ago), Some(4900));
    world.put(&recreate(reason(deployment("web:2"), "NewReplicaSetAvailable", -4900)).with("/metadata/generation", 2));
    world.wait(40).delete(&pod("p1")).put(&new).put(&pod("p2").hash("h2").created(40)).wait(20);
    let done = recreate(reason(deployment("web:2"), "NewReplicaSetAvailable", 60)).with("/metadata/generation", 2);
    world.put(&done);
    assert_eq!(last(&mut world, "deployment/web"), Some((0, Some(60), Some(0))), "from the change on");
    // A podskew that starts later knows when the rollout ended, but not when it began.
    let mut late = World::listed(&[&done, &old, &new, &pod("p2").hash("h2")]);
    assert_eq!(late.report("deployment/web").last_rollout.map(|last| last.duration), Some(None));
}

#[test]
fn how_rollouts_end_is_counted_as_it_happens_and_never_from_a_list() {
    let mut world = World::listed(&[&deployment("web:1"), &replica_set("h1", "web:1", 1, -4000), &pod("p1")]);
    assert_eq!(ended(&mut world, "deployment/web"), (0, 0, 0));
    // A rollout to h2, superseded by one to h3, which completes.
    world.put(&reason(deployment("web:2"), "ReplicaSetUpdated", 0).with("/metadata/generation", 2));
    world.put(&replica_set("h2", "web:2", 2, 0)).put(&pod("p2").hash("h2").created(0)).wait(10);
    world.put(&reason(deployment("web:3"), "ReplicaSetUpdated", 10).with("/metadata/generation", 3));
    world.put(&replica_set("h3", "web:3", 3, 10)).put(&pod("p3").hash("h3").created(10));
    assert_eq!(ended(&mut world, "deployment/web"), (0, 1, 0));
    world.wait(20).delete(&pod("p1")).delete(&pod("p2").hash("h2"));
    world.put(&reason(deployment("web:3"), "NewReplicaSetAvailable", 30).with("/metadata/generation", 3));
    assert_eq!(ended(&mut world, "deployment/web"), (1, 1, 0));
    assert_eq!(last(&mut world, "deployment/web"), Some((0, Some(20), Some(0))));
    // A list shows the current state, not what happened.
    let undone = reason(deployment("web:2"), "NewReplicaSetAvailable", 30).with("/metadata/generation", 4);
    world.list(Resource::Deployments, &[&undone]);
    assert_eq!(ended(&mut world, "deployment/web"), (1, 1, 0));
    // Another object with this name has had no rollouts.
    world.delete(&undone);
    world.put(&reason(deployment("web:2"), "NewReplicaSetAvailable", 30).with("/metadata/uid", "another"));
    assert_eq!(ended(&mut world, "deployment/web"), (0, 0, 0));
}

#[test]
fn held_time_of_a_rollout_is_separate() {
    let partition = |partition: u32| json!({"type": "RollingUpdate", "rollingUpdate": {"partition": partition}});
    let old = revision("StatefulSet", "db", "db-old", "db:1", 1, -5000);
    let set = |partition_: u32| stateful_set(partition(partition_)).with("/spec/replicas", 2);
    let before = set(1).with("/status/updateRevision", "db-old").with("/spec/template", template("db:1"));
    let pod = |ordinal: u32, hash: &str| {
        db_pod(ordinal, hash, &image_id('a')).with("/metadata/uid", format!("{ordinal}{hash}"))
    };
    let mut world = World::listed(&[&before, &old, &pod(0, "db-old"), &pod(1, "db-old")]);
    assert_eq!(last(&mut world, "statefulset/db"), None, "nothing keeps when it was");
    world.put(&revision("StatefulSet", "db", "db-new", "db:2", 2, 0)).put(&set(1));
    world.wait(10).delete(&pod(1, "db-old"));
    world.put(&pod(1, "db-new").created(10));
    assert_eq!(world.state("statefulset/db").0, RolloutState::Partitioned);
    world.wait(100).put(&set(0)).wait(5).delete(&pod(0, "db-old"));
    world.put(&pod(0, "db-new").created(115));
    assert_eq!(world.state("statefulset/db").0, RolloutState::Complete);
    assert_eq!(last(&mut world, "statefulset/db"), Some((0, Some(115), Some(100))));
    assert_eq!(ended(&mut world, "statefulset/db"), (1, 0, 0));
}

/// The Deployment `web` during a rollout to `h2`, whose ReplicaSet wants three pods.
fn waiting_rollout() -> World {
    let mut world = World::new();
    world
        .put(&reason(deployment("web:2"), "ReplicaSetUpdated", -90).with("/spec/replicas", 7))
        .put(&replica_set("h1", "web:1", 1, -5000))
        .put(&replica_set("h2", "web:2", 2, -100).with("/spec/replicas", 3))
        .put(&pod("p1"));
    world
}

/// What `web` waits for: reason, number of pods, and image of the first.
fn blocked(world: &mut World) -> Vec<(&'static str, u32, String)> {
    let blocked = &world.report("deployment/web").blocked;
    blocked.iter().map(|it| (it.reason.as_str(), it.pods, it.image.to_string())).collect()
}

fn waits(name: &str, state: Value) -> Value {
    let unready = json!([{"type": "Ready", "status": "False", "reason": "ContainersNotReady"}]);
    pod(name)
        .hash("h2")
        .image("web:2")
        .with("/status/conditions", unready)
        .with("/status/containerStatuses", json!([{"name": "app", "ready": false, "imageID": "", "state": state}]))
}

#[test]
fn a_rollout_reports_why_its_pods_wait() {
    for known in podskew::report::BlockReason::ALL.iter().map(|reason| reason.as_str()).chain(["ErrNeverHeardOf"]) {
        let mut world = waiting_rollout();
        world.put(&waits("n1", json!({"waiting": {"reason": known, "message": "in words"}})));
        let expected = if known == "ErrNeverHeardOf" { "other" } else { known };
        assert_eq!(blocked(&mut world), [(expected, 1, "web:2".to_owned())]);
    }
    let mut world = waiting_rollout();
    world
        .put(&waits("n1", json!({"waiting": {"reason": "ImagePullBackOff"}})))
        .put(&waits("n2", json!({"waiting": {"reason": "ImagePullBackOff"}})))
        .put(&waits("n3", json!({"running": {"startedAt": at(-5)}})));
    let image = || "web:2".to_owned();
    assert_eq!(blocked(&mut world), [("ImagePullBackOff", 2, image()), ("not_ready", 1, image())]);
    let said = world.report("deployment/web").what_waits();
    assert_eq!(said.as_deref(), Some("3 pods of 7 wait: 2 ImagePullBackOff (web:2), 1 not ready"));
    // Pods that are Ready or terminating do not block, nor do pods of the older hash.
    world.put(&pod("n1").hash("h2")).put(&waits("n2", json!({})).terminating()).put(&pod("p1").unready());
    assert_eq!(blocked(&mut world), [("not_ready", 1, image())]);
    assert_eq!(world.report("deployment/web").what_waits().as_deref(), Some("1 pod of 7 waits: not ready"));
    // A complete rollout: an unready pod belongs to no rollout (row 41).
    let mut world = web();
    world.put(&waits("n1", json!({"waiting": {"reason": "CrashLoopBackOff"}})).hash("h1"));
    assert_eq!(blocked(&mut world), []);
}

#[test]
fn the_most_telling_reason_of_a_pod_counts() {
    let unscheduled = |reason: &str| {
        let condition = json!([{"type": "PodScheduled", "status": "False", "reason": reason, "message": "0/3 nodes"}]);
        waits("n1", json!({})).with("/status", json!({"phase": "Pending", "conditions": condition}))
    };
    let with_init = |state: Value| {
        waits("n1", json!({"waiting": {"reason": "PodInitializing"}}))
            .with("/status/initContainerStatuses", json!([{"name": "migrate", "ready": false, "state": state}]))
    };
    for (pod, expected) in [
        (unscheduled("Unschedulable"), "Unschedulable"),
        (unscheduled("SchedulingGated"), "SchedulingGated"),
        (with_init(json!({"waiting": {"reason": "CrashLoopBackOff"}})), "CrashLoopBackOff"),
        (with_init(json!({"terminated": {"exitCode": 3, "reason": "Error"}})), "init_container_failed"),
        (with_init(json!({"terminated": {"exitCode": 0, "reason": "Completed"}})), "PodInitializing"),
        (with_init(json!({"running": {}})), "not_ready"),
        (waits("n1", json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}})), "other"),
        (waits("n1", json!({})).with("/status", json!({"phase": "Pending"})), "other"),
        // A readiness gate.
        (waits("n1", json!({"running": {}})).with("/status/containerStatuses/0/ready", true), "other"),
    ] {
        let mut world = waiting_rollout();
        world.put(&pod);
        assert_eq!(blocked(&mut world).first().map(|(reason, ..)| *reason), Some(expected), "{pod}");
    }
}

#[test]
fn a_replica_that_could_not_be_created_counts() {
    let mut world = waiting_rollout();
    let quota = json!({"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate",
        "message": "pods \"web-h2-\" is forbidden: exceeded quota: pods, requested: pods=1, used: pods=4, limited: pods=4"});
    let progressing = json!({"type": "Progressing", "reason": "ReplicaSetUpdated", "lastUpdateTime": at(-90)});
    let refused = |status: &str| {
        let quota = quota.clone().with("/status", status);
        deployment("web:2").with("/spec/replicas", 7).with("/status/conditions", json!([progressing, quota]))
    };
    world.put(&refused("True")).put(&pod("n1").hash("h2"));
    assert_eq!(blocked(&mut world), [("FailedCreate", 2, String::new())], "three are wanted, and one is there");
    // `serve` keeps only the names in a message, not the message.
    assert_eq!(&*world.report("deployment/web").blocked[0].message, "exceeded quota: pods,");
    let told = podskew::advice::remedy(world.report("deployment/web"), podskew::advice::Finding::UnderWay);
    assert!(told.why.unwrap().contains("raise quota pods of the namespace"));
    world.put(&refused("False"));
    assert_eq!(blocked(&mut world), []);
    // A StatefulSet has no such condition.
    let mut world = World::listed(&[&first_set().created(-900), &first_revision(-899), &first_pod(0, -899)]);
    world.put(&first_set().created(-900)).put(&first_pod(1, 0).never_ready(0));
    let blocked = &world.report("statefulset/db").blocked;
    let blocked: Vec<_> = blocked.iter().map(|it| (it.reason.as_str(), it.pods)).collect();
    assert_eq!(blocked, [], "the rollout was complete when podskew started");
    let hangs = first_pod(1, -890).never_ready(-890);
    let mut world = World::listed(&[&first_set().created(-900), &first_revision(-899), &first_pod(0, -899), &hangs]);
    let blocked = &world.report("statefulset/db").blocked;
    let blocked: Vec<_> = blocked.iter().map(|it| (it.reason.as_str(), it.pods)).collect();
    assert_eq!(blocked, [("not_created", 1), ("not_ready", 1)]);
}

#[test]
fn row_54_a_pod_that_hangs_on_a_reverted_template_keeps_the_rollout_in_progress() {
    let reverted = stateful_set(json!({"type": "RollingUpdate"})).with("/status/updateRevision", "db-old");
    let old = |number: u32| revision("StatefulSet", "db", "db-old", "db:2", number, -5000);
    let broken = revision("StatefulSet", "db", "db-new", "db:broken", 2, -100);
    let good = [db_pod(0, "db-old", &image_id('a')), db_pod(1, "db-old", &image_id('a'))];
    let hanging = db_pod(2, "db-new", "").created(-90).pending();
    let mut world = World::listed(&[&reverted, &old(3), &broken, &good[0], &good[1], &hanging]);
    assert_eq!(world.state("statefulset/db").0, RolloutState::Progressing);
    let report = world.report("statefulset/db");
    assert_eq!((report.outdated_pods, report.rollout.unwrap().noticed), (Some(1), true), "the start is unknown");
    world.wait(600);
    assert_eq!(world.state("statefulset/db").0, RolloutState::Stalled, "by the passing of time alone");
    // If podskew saw the revert, the rollout began then.
    let mut world = World::new();
    world.put(&stateful_set(json!({"type": "RollingUpdate"}))).put(&old(1)).put(&broken).put(&good[0]).put(&hanging);
    assert_eq!(world.state("statefulset/db"), (RolloutState::Progressing, 100));
    world.put(&old(3)).put(&reverted);
    assert_eq!(world.wait(9).state("statefulset/db"), (RolloutState::Progressing, 9));
    assert!(!world.report("statefulset/db").rollout.unwrap().noticed);
}

#[test]
fn row_55_a_statefulset_that_something_drives_names_it() {
    let mut world = database(json!({}));
    let driven = stateful_set(json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}))
        .with("/metadata/ownerReferences", json!([owner("leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet", "llm")]));
    world.put(&driven);
    for ordinal in 0..4 {
        world.put(&db_pod(ordinal, if ordinal < 2 { "db-old" } else { "db-new" }, &image_id('a')));
    }
    assert_eq!(world.state("statefulset/db"), (RolloutState::Partitioned, 100));
    let report = world.report("statefulset/db");
    let named = report.driver.as_ref().map(|driver| (&*driver.kind, &*driver.name));
    assert_eq!((report.deliberate, named), (true, Some(("LeaderWorkerSet", "llm"))));
}

#[test]
fn row_56_a_container_that_runs_without_an_image_id_is_not_reported() {
    let mut world = web();
    let unnamed = pod("p2").image_id("");
    world.put(&pod("p1")).put(&unnamed);
    let container = &world.report("deployment/web").containers[0];
    assert_eq!((container.not_started, container.not_reported, container.distinct_digests), (0, 1, 1));
    // Some nodes do not report since when the container runs.
    world.put(&unnamed.clone().with("/status/containerStatuses/0/state", json!({"running": {}})));
    assert_eq!(world.report("deployment/web").containers[0].not_reported, 1);
    world.put(&unnamed.with("/status/containerStatuses/0/state", json!({"waiting": {"reason": "CrashLoopBackOff"}})));
    let container = &world.report("deployment/web").containers[0];
    assert_eq!((container.not_started, container.not_reported), (1, 0));
}

#[test]
fn row_57_the_same_digits_in_any_two_forms_are_one_image() {
    let forms = [
        image_id('a'),
        format!("docker-pullable://web@{}", digest('a')),
        format!("docker://{}", digest('a')),
        digest('a'),
        digest('a')[7..].to_owned(),
        format!("docker.io/library/import-2026-09-11@{}", digest('a')),
    ];
    for one in &forms {
        for other in &forms {
            let mut world = web();
            world.put(&pod("p1").image_id(one)).put(&pod("p2").image_id(other));
            let container = &world.report("deployment/web").containers[0];
            let counts = (container.distinct_digests, container.image_id_only, container.by_hash[0].digests.len());
            assert_eq!(counts, (1, 0, 1), "{one} {other}");
            assert_eq!(container.by_hash[0].digests[0].pods, 2, "{one} {other}");
        }
    }
    // A container whose image lost its tag has another form of imageID, and the same digest.
    let mut world = web();
    world
        .put(&pod("p1").image_id(&forms[1]))
        .put(&pod("p2").image_id(&format!("docker-pullable://web@{}", digest('b'))));
    assert_eq!(skew(&mut world), Some((990, Origin::Template)));
    world.put(&pod("p1").image_id(&forms[2]));
    assert_eq!(skew(&mut world), Some((990, Origin::Template)));
}

#[test]
fn row_60_on_delete_is_not_held_before_its_controller_has_observed_it() {
    let mut world = World::new();
    let new = stateful_set(json!({"type": "OnDelete"})).with("/status", json!({"replicas": 0}));
    world.put(&new.with("/metadata/generation", 1));
    assert_eq!(world.state("statefulset/db").0, RolloutState::Progressing);
    assert!(!world.report("statefulset/db").deliberate);
    world.put(&daemon(1, "agent:1", "OnDelete", json!({"desiredNumberScheduled": 0})));
    assert_eq!(world.state("daemonset/agent").0, RolloutState::Progressing);
    // OnDelete also holds a template that the controller has not observed yet, if the controller knows the object.
    let mut world = database(json!({"type": "OnDelete"}));
    world.put(&db_pod(0, "db-new", &image_id('b')));
    world.put(
        &stateful_set(json!({"type": "OnDelete"}))
            .with("/metadata/generation", 3)
            .with("/spec/template", template("db:3")),
    );
    assert_eq!(world.state("statefulset/db").0, RolloutState::OnDelete);
}

fn daemon(generation: u32, image: &str, strategy: &str, status: Value) -> Value {
    json!({
        "kind": "DaemonSet",
        "metadata": {"name": "agent", "namespace": "shop", "uid": "DaemonSet-agent", "generation": generation,
            "creationTimestamp": at(-5000)},
        "spec": {"template": template(image), "updateStrategy": {"type": strategy}},
        "status": status
    })
}

#[test]
fn without_controllerrevisions_a_daemonsets_strategy_and_status_still_count() {
    use RolloutState::{Complete, OnDelete, Progressing};
    let agent = |name: &str, hash: &str| {
        pod(name)
            .with("/metadata/labels", json!({"controller-revision-hash": hash}))
            .with("/metadata/ownerReferences/0", owner("apps/v1", "DaemonSet", "agent"))
    };
    let status = |updated: u32, observed: u32| json!({"observedGeneration": observed, "desiredNumberScheduled": 2, "updatedNumberScheduled": updated});
    let check = |strategy: &str, status: Value, hashes: [&str; 2]| {
        let mut world = World::new();
        world.forbid(Resource::ControllerRevisions);
        world.put(&daemon(2, "agent:2", strategy, status)).put(&agent("p1", hashes[0])).put(&agent("p2", hashes[1]));
        let report = world.report("daemonset/agent");
        assert_eq!((report.outdated_pods, report.hashes[0].current), (None, None), "the current hash is unknown");
        (report.rollout.map(|rollout| (rollout.state, rollout.noticed)), report.deliberate)
    };
    assert_eq!(check("OnDelete", status(1, 2), ["old", "new"]), (Some((OnDelete, true)), true));
    assert_eq!(check("RollingUpdate", status(1, 2), ["old", "new"]), (Some((Progressing, true)), false));
    assert_eq!(check("RollingUpdate", status(0, 2), ["old", "old"]), (Some((Progressing, true)), false));
    assert_eq!(check("RollingUpdate", status(2, 2), ["new", "new"]), (Some((Complete, false)), false));
    // The status is about another template, or contradicts the pods.
    assert_eq!(check("RollingUpdate", status(2, 1), ["new", "new"]), (None, false));
    assert_eq!(check("RollingUpdate", status(2, 2), ["old", "new"]), (None, false));
    // A podskew that watches sees the rollout end.
    let mut world = World::new();
    world.forbid(Resource::ControllerRevisions);
    world.put(&daemon(2, "agent:2", "RollingUpdate", status(2, 2))).put(&agent("p1", "old"));
    assert_eq!(world.state("daemonset/agent"), (Complete, 0));
    world.put(&daemon(3, "agent:3", "RollingUpdate", status(0, 3))).wait(7);
    assert_eq!(world.state("daemonset/agent"), (Progressing, 7));
    world.put(&daemon(3, "agent:3", "RollingUpdate", status(2, 3))).put(&agent("p1", "new"));
    assert_eq!(world.state("daemonset/agent"), (Complete, 0));
}

#[test]
fn row_65_the_age_of_a_mix_is_that_of_the_two_oldest_hashes_still_there() {
    let mixed = |world: &mut World| {
        let now = world.now;
        world.report("deployment/web").mixed_since.map(|since| now - since.seconds())
    };
    let mut world = rolling();
    assert_eq!(mixed(&mut world), Some(90));
    // Rollouts overlap: h1 and h2, then h2 and h3.
    let third = |name: &str, created: i64| pod(name).hash("h3").image("web:3").created(created);
    world.put(&deployment("web:3")).put(&replica_set("h3", "web:3", 3, 10)).wait(10).put(&third("third", 10));
    assert_eq!(mixed(&mut world), Some(100));
    world.delete(&pod("old"));
    assert_eq!(mixed(&mut world), Some(0));
    world.wait(20);
    assert_eq!(mixed(&mut world), Some(20));
    // Pods are replaced one by one: the mix continues.
    let second = pod("new").hash("h2").image("web:2").image_id(&image_id('b')).created(-90);
    world.put(&third("fourth", 30)).delete(&third("third", 10));
    world.put(&second.clone().with("/metadata/name", "newer").with("/metadata/uid", "newer").created(30));
    world.delete(&second);
    assert_eq!(mixed(world.wait(5)), Some(25));
    // With the last pod of a hash, its age ends.
    world.delete(&third("fourth", 30)).wait(5).put(&third("fifth", 40)).wait(5);
    assert_eq!(mixed(&mut world), Some(5));
}

/// Output of `kubectl get -o json` from real clusters, as seen by a podskew that starts at `now`.
fn from_the_field(file: &str, now: &str) -> World {
    let path = format!("{}/tests/data/cases/{file}.json", env!("CARGO_MANIFEST_DIR"));
    let dump: Value = serde_json::from_str(&std::fs::read_to_string(path).expect("a file")).expect("JSON");
    let kinds = Resource::ALL.map(Resource::kind);
    let items = dump["items"].as_array().expect("items").iter();
    let items: Vec<&Value> = items.filter(|item| kinds.contains(&item["kind"].as_str().expect("a kind"))).collect();
    let mut world = World::unsynced(Settings::default());
    world.now = podskew::time::UnixTime::parse(now).expect("a moment").seconds();
    world.list_all(&items);
    world
}

/// File, time and workload: state and what holds it, number of hashes and of digests; number of containers that cannot be
/// compared: of another kind, not reported, not started.
const FROM_THE_FIELD: &str = "\
c02-argo-leftover 2026-11-30T18:00:00Z rollout/svc: complete, 2 hashes, 2 digests, unresolved 0 0 0
c05-get-all-daemonset 2026-11-30T18:00:00Z daemonset/agent: complete, 1 hashes, 1 digests, unresolved 0 0 0
c05d-ondelete-no-revisions 2026-11-30T18:00:00Z daemonset/agent: on_delete since nobody knows, deliberate, 2 hashes, 2 digests, unresolved 0 0 0
c10c-docker29-dangling-moved-tag 2026-11-30T18:00:00Z deployment/web: complete, 1 hashes, 1 digests, unresolved 1 0 0
c10d-same-hex-two-schemes 2026-11-30T18:00:00Z deployment/web: complete, 1 hashes, 1 digests, unresolved 0 0 0
c13-sts-forced-rollback 2026-11-30T18:00:00Z statefulset/db: progressing since nobody knows, 2 hashes, 1 digests, unresolved 0 0 1
c18-aci-running-empty-imageid 2026-11-30T18:00:00Z deployment/web: complete, 1 hashes, 1 digests, unresolved 0 1 0
c71-lws-rollout 2026-11-30T18:00:00Z statefulset/llm: partitioned, deliberate, 2 hashes, 2 digests, unresolved 0 0 0
c82-argo-degraded-single 2026-11-30T18:00:00Z rollout/svc: stalled since nobody knows, 1 hashes, 1 digests, unresolved 0 0 0
c84-replicaset-create-error 2026-11-30T18:00:00Z deployment/web: progressing since nobody knows, 1 hashes, 1 digests, unresolved 0 0 0
live/experiment 2026-11-30T18:00:00Z experiment/shop-df97bfcd7-2-0: unknown, deliberate, 2 hashes, 2 digests, unresolved 0 0 0
live/experiment 2026-11-30T18:00:00Z rollout/shop: canary, 1 hashes, 1 digests, unresolved 0 0 0
live/aborted-canary 2026-11-30T18:00:00Z rollout/shop: stalled, 1 hashes, 1 digests, unresolved 0 0 0
live/scaledown-delay 2026-11-30T16:08:48Z rollout/shop: complete, deliberate, 2 hashes, 2 digests, unresolved 0 0 0
live/scaledown-delay 2026-11-30T16:08:49Z rollout/shop: complete, 2 hashes, 2 digests, unresolved 0 0 0
live/new-on-delete 2026-11-30T18:00:00Z statefulset/db: progressing since nobody knows, 0 hashes, 0 digests, unresolved 0 0 0
live/new-on-delete 2026-11-30T18:00:00Z daemonset/cni: progressing since nobody knows, 0 hashes, 0 digests, unresolved 0 0 0
";

#[test]
fn cases_from_the_field_have_their_right_answers() {
    assert_eq!(from_the_field("c01-vcluster-host", "2026-11-30T18:00:00Z").workloads(), [""; 0], "row 47");
    for row in FROM_THE_FIELD.lines() {
        let (case, _) = row.split_once(": ").expect("a case");
        let [file, now, workload] = case.split(' ').collect::<Vec<_>>()[..] else { panic!("{case}") };
        let mut world = from_the_field(file, now);
        let report = world.report(workload);
        let state = report.rollout.map_or("unknown", |rollout| rollout.state.as_str());
        let noticed = report.rollout.is_some_and(|rollout| rollout.noticed);
        let counts =
            |count: fn(&podskew::report::ContainerReport) -> u32| report.containers.iter().map(count).sum::<u32>();
        let said = format!(
            "{case}: {state}{}{}, {} hashes, {} digests, unresolved {} {} {}",
            if noticed { " since nobody knows" } else { "" },
            if report.deliberate { ", deliberate" } else { "" },
            report.distinct_hashes,
            report.containers.iter().map(|container| container.distinct_digests).max().unwrap_or(0),
            counts(|container| container.image_id_only),
            counts(|container| container.not_reported),
            counts(|container| container.not_started),
        );
        assert_eq!(said, row);
    }
}

#[test]
fn row_64_a_rollout_that_was_never_healthy_is_in_progress() {
    let new = |phase: &str, healthy: Option<&str>| {
        let mut conditions = vec![json!({"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated"})];
        conditions.extend(healthy.map(|status| json!({"type": "Healthy", "status": status})));
        let status = json!({"currentPodHash": "h2", "stableRS": "h2", "phase": phase, "conditions": conditions});
        let objects = [rollout(json!({"canary": {}}), status), argo_set("h2", "web:2", "1", -100)];
        World::listed(&[&objects[0], &objects[1], &argo_pod("new", "h2", -90).pending()])
    };
    assert_eq!(new("Progressing", None).state("rollout/web"), (RolloutState::Progressing, 100));
    assert_eq!(new("Degraded", None).state("rollout/web"), (RolloutState::Stalled, 100));
    assert_eq!(new("Healthy", None).state("rollout/web"), (RolloutState::Complete, 0));
    for healthy in ["True", "False"] {
        assert_eq!(new("Progressing", Some(healthy)).state("rollout/web"), (RolloutState::Complete, 0), "{healthy}");
    }
}

/// A CloneSet with four pods, whose second template is `web-h2`, 100 seconds old.
fn clone_set(strategy: Value) -> Value {
    json!({
        "kind": "CloneSet", "apiVersion": "apps.kruise.io/v1alpha1",
        "metadata": {"name": "web", "namespace": "shop", "uid": "CloneSet-web", "generation": 2, "creationTimestamp": at(-5000)},
        "spec": {"replicas": 4, "template": template("web:2"), "updateStrategy": strategy},
        "status": {"observedGeneration": 2, "availableReplicas": 4, "updateRevision": "web-h2", "currentRevision": "web-h1"}
    })
}

fn clone_pod(name: &str, hash: &str) -> Value {
    let owner = owner("apps.kruise.io/v1alpha1", "CloneSet", "web");
    pod(name).hash(hash).created(-3000).with("/metadata/ownerReferences/0", owner)
}

fn clones(strategy: Value, hashes: [&str; 4]) -> Vec<Value> {
    let owner = || owner("apps.kruise.io/v1alpha1", "CloneSet", "web");
    let of_clone_set = |name: &str, image: &str, number: u32, created: i64| {
        revision("CloneSet", "web", name, image, number, created).with("/metadata/ownerReferences/0", owner())
    };
    let mut objects =
        vec![clone_set(strategy), of_clone_set("web-h1", "web:1", 1, -4000), of_clone_set("web-h2", "web:2", 2, -100)];
    objects.extend(hashes.iter().zip(0..).map(|(hash, number)| clone_pod(&format!("p{number}"), hash)));
    objects
}

const WEB: &str = "cloneset.apps.kruise.io/web";

#[test]
fn row_66_a_pod_that_is_updated_in_place_is_no_older_in_a_hash_than_its_revision() {
    let strategy = || json!({"type": "InPlaceIfPossible"});
    let mut world = World::new();
    for object in clones(strategy(), ["h1", "h1", "h1", "h1"]) {
        world.put(&object);
    }
    assert_eq!(world.state(WEB), (RolloutState::Progressing, 100));
    let mix = |world: &mut World| {
        let now = world.moment();
        world.report(WEB).mixed_since.map(|since| now.since(since))
    };
    // The controller changes labels of existing pods, which are 3 000 seconds old.
    for (number, age) in (0..4_u32).zip([110, 120, 130]) {
        world.wait(10).put(&clone_pod(&format!("p{number}"), "h2"));
        assert_eq!(world.state(WEB), (RolloutState::Progressing, age));
        assert_eq!(mix(&mut world), Some(age));
    }
    // A podskew that starts in the middle reports the same.
    let objects = clones(strategy(), ["h2", "h2", "h2", "h1"]);
    let mut later = World::listed(&objects.iter().collect::<Vec<_>>());
    assert_eq!((later.state(WEB), mix(&mut later)), ((RolloutState::Progressing, 100), Some(100)));
    world.wait(10).put(&clone_pod("p3", "h2"));
    assert_eq!(world.state(WEB), (RolloutState::Complete, 0));
    let report = world.report(WEB);
    assert_eq!((report.mixed_since, report.distinct_hashes, report.outdated_pods), (None, 1, Some(0)));
    // Scaling and unready pods do not reopen the rollout.
    world.wait(500).put(&clone_set(strategy()).with("/spec/replicas", 9).with("/metadata/generation", 3));
    assert_eq!(world.state(WEB), (RolloutState::Complete, 0));
}

#[test]
fn row_67_a_clone_set_keeps_the_pods_of_its_partition_back() {
    for (partition, split, state, outdated) in [
        (json!(2), ["h1", "h1", "h2", "h2"], RolloutState::Partitioned, 0),
        (json!("50%"), ["h1", "h2", "h1", "h2"], RolloutState::Partitioned, 0),
        // A percentage is rounded up: one of four stays.
        (json!("10%"), ["h1", "h2", "h2", "h2"], RolloutState::Partitioned, 0),
        (json!("10%"), ["h1", "h1", "h2", "h2"], RolloutState::Progressing, 1),
        // Any percentage below 100 of several pods lets at least one be updated.
        (json!("99%"), ["h1", "h1", "h1", "h1"], RolloutState::Progressing, 1),
        (json!("100%"), ["h1", "h1", "h1", "h1"], RolloutState::Partitioned, 0),
        (json!(9), ["h1", "h1", "h1", "h2"], RolloutState::Partitioned, 0),
        (json!(2), ["h1", "h2", "h2", "h2"], RolloutState::Partitioned, 0),
        (json!("half"), ["h1", "h2", "h2", "h2"], RolloutState::Progressing, 1),
    ] {
        let objects = clones(json!({"partition": partition}), split);
        let mut world = World::listed(&objects.iter().collect::<Vec<_>>());
        assert_eq!(world.state(WEB), (state, 100), "{partition}");
        let report = world.report(WEB);
        assert_eq!(report.outdated_pods, Some(outdated), "{partition}");
        // With one hash there is no mix.
        let mixed = report.distinct_hashes > 1;
        assert_eq!(report.deliberate, mixed && state == RolloutState::Partitioned, "{partition}");
        // The same with events, where one pod represents all of its hash.
        let mut world = World::new();
        for object in objects {
            world.put(&object);
        }
        assert_eq!(world.state(WEB).0, state, "{partition}");
    }
}

#[test]
fn row_68_a_paused_clone_set_holds_its_rollout() {
    let mut world = World::new();
    for object in clones(json!({"paused": true}), ["h1", "h1", "h2", "h2"]) {
        world.put(&object);
    }
    assert_eq!(world.state(WEB), (RolloutState::Paused, 100));
    assert!(world.report(WEB).deliberate);
    world.put(&clone_set(json!({"paused": false})));
    assert_eq!(world.state(WEB).0, RolloutState::Progressing);
    world.wait(700);
    assert_eq!(world.state(WEB).0, RolloutState::Stalled);
}

#[test]
fn row_66_a_clone_set_that_its_controller_has_not_seen_has_no_current_hash() {
    let new = |status: Value| {
        let set = clone_set(json!({})).with("/metadata/generation", 1).with("/status", status);
        let mut world = World::new();
        world.put(&set);
        world.report(WEB).rollout.map(|rollout| rollout.state)
    };
    assert_eq!(new(json!({})), Some(RolloutState::Progressing));
    // Its status names no revision, so the current one is unknown.
    assert_eq!(new(json!({"observedGeneration": 1})), None);
    // A template that its controller has not observed is pending; another change is not.
    let mut world = World::new();
    for object in clones(json!({}), ["h2", "h2", "h2", "h2"]) {
        world.put(&object);
    }
    let changed = clone_set(json!({})).with("/metadata/generation", 3);
    world.put(&changed);
    assert_eq!(world.state(WEB).0, RolloutState::Complete);
    world.put(&changed.with("/spec/template", template("web:3")));
    assert_eq!(world.state(WEB).0, RolloutState::Progressing);
}

#[test]
fn docs_cases_has_each_row_that_is_tested_and_no_other() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let names = test_names::tests();
    let row = |name: &String| name.split_once("::row_")?.1.split('_').next()?.parse::<u32>().ok();
    let mut tested: std::collections::BTreeSet<u32> = names.iter().filter_map(row).collect();
    let document = std::fs::read_to_string(root.join("docs/cases.md")).unwrap();
    let mut rows = Vec::new();
    for row in document.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | ")) {
        let Ok(number) = row.0.parse::<u32>() else { continue };
        rows.push(number);
        let told: Vec<&str> = row.1.split('`').filter(|word| word.contains("::")).collect();
        let missing: Vec<_> = told.iter().filter(|name| !names.contains(**name)).collect();
        assert!(missing.is_empty(), "case {number} of docs/cases.md names missing tests: {missing:?}");
        assert!(!told.is_empty() || tested.contains(&number), "case {number} of docs/cases.md has no test");
        tested.remove(&number);
    }
    assert!(tested.is_empty(), "docs/cases.md lacks the cases {tested:?}");
    assert_eq!(rows, (1..=u32::try_from(rows.len()).unwrap()).collect::<Vec<_>>());
}
