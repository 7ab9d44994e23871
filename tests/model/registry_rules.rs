//! Reports about digests and tags with evidence from registries: a test for each case that depends only on the evidence.
//! The number is that of the case in docs/registry.md.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use crate::common::world::*;
use podskew::report::registry::{
    Build, Child, Comparer, Config, ContentChange, ImageFact, Index, Manifest, RegistryEvidence, RegistryReport,
    RunningDigest, Sameness, TagFact,
};
use podskew::report::{DigestKind, Name, Origin, WorkloadReport};
use podskew::time::UnixTime;
use proptest::prelude::*;
use std::sync::Arc;

const IMAGE: &str = "web:1";

/// `web` with its one ReplicaSet, and a pod for each imageID.
fn web(image_ids: &[String]) -> World {
    let mut world = World::new();
    let policy =
        |object: serde_json::Value| object.with("/spec/template/spec/containers/0/imagePullPolicy", "IfNotPresent");
    world.put(&policy(deployment(IMAGE))).put(&policy(replica_set("h1", IMAGE, 1, -4000)));
    for (number, id) in image_ids.iter().enumerate() {
        world.put(&pod(&format!("p{number}")).image_id(id));
    }
    world
}

/// The same with one pod for each letter, with imageIDs of form F1.
fn running(letters: &str) -> World {
    web(&letters.chars().map(image_id).collect::<Vec<_>>())
}

/// Answers of a registry, by letters.
#[derive(Default, Clone)]
struct Said {
    facts: Vec<(char, ImageFact)>,
    tag: Option<(char, i64)>,
    gone: Option<i64>,
}

impl Said {
    fn new() -> Self {
        Self::default()
    }

    fn index(mut self, letter: char, children: &[(&str, char)]) -> Self {
        let child = |(platform, letter): &(&str, char)| Child {
            platform: Name::from(*platform),
            digest: digest(*letter).into(),
        };
        let mut children: Vec<Child> = children.iter().map(child).collect();
        children.sort();
        let complete = children.iter().all(|child| !child.platform.is_empty());
        let index = Index { children: children.into(), complete, build: Build::default() };
        self.facts.push((letter, ImageFact::Index(index)));
        self
    }

    fn manifest(mut self, letter: char, config: char) -> Self {
        let manifest = Manifest { config: digest(config).into(), build: Build::default() };
        self.facts.push((letter, ImageFact::Manifest(manifest)));
        self
    }

    fn config(mut self, letter: char, platform: &str, content: u64) -> Self {
        let config = Config { platform: Name::from(platform), content: Some(content), build: Build::default() };
        self.facts.push((letter, ImageFact::Config(config)));
        self
    }

    /// An image of one platform: manifest, and configuration in the letter's capital.
    fn image(self, letter: char, config: char, content: u64) -> Self {
        self.manifest(letter, config).config(config, "linux/amd64", content)
    }

    fn tag(mut self, letter: char, since: i64) -> Self {
        self.tag = Some((letter, since));
        self
    }

    fn evidence(&self) -> RegistryEvidence {
        let moment = |seconds: i64| UnixTime::from_seconds(i64::from(START) + seconds).unwrap();
        let mut evidence = RegistryEvidence::default();
        for (letter, fact) in &self.facts {
            evidence.facts.insert(digest(*letter).into(), Arc::new(fact.clone()));
        }
        if let Some((letter, since)) = self.tag {
            evidence.tags.insert(IMAGE.into(), TagFact { digest: digest(letter).into(), since: moment(since) });
        }
        if let Some(since) = self.gone {
            evidence.gone.insert(IMAGE.into(), moment(since));
        }
        evidence
    }
}

fn ask<'w>(world: &'w mut World, said: &Said) -> &'w WorkloadReport {
    let now = world.moment();
    world.inventory.take_registry_evidence(&Arc::new(said.evidence()), now);
    world.report("deployment/web")
}

fn registry(report: &WorkloadReport) -> &RegistryReport {
    report.registry.as_ref().unwrap()
}

/// Number of digests of the only hash, and how those of a skew differ.
fn skew(report: &WorkloadReport) -> (u32, Option<Sameness>) {
    let of_hash = &report.containers[0].by_hash[0];
    (of_hash.distinct_digests, registry(report).content("app", &of_hash.hash))
}

/// State of the tag, and since when in seconds from the start.
fn tag(report: &WorkloadReport) -> Option<(ContentChange, Option<i64>)> {
    let tags = &registry(report).tags;
    assert!(tags.len() <= 1, "{tags:?}");
    let since = |it: UnixTime| i64::from(it.seconds()) - i64::from(START);
    tags.first().map(|tag| (tag.change, tag.since.map(since)))
}

#[test]
fn r01_a_tag_that_points_to_the_digest_of_all_pods_is_current() {
    let mut world = running("aa");
    assert!(world.report("deployment/web").registry.is_none(), "no report without registries");
    assert_eq!(tag(ask(&mut world, &Said::new().tag('a', -10))), Some((ContentChange::None, None)));
}

#[test]
fn r02_a_tag_that_points_to_other_content_has_moved() {
    let mut world = running("aa");
    let said = Said::new().image('a', '1', 7).image('b', '2', 8);
    let report = ask(&mut world, &said.clone().tag('b', -60));
    assert_eq!(tag(report), Some((ContentChange::Different, Some(-60))));
    let moved = &registry(report).tags[0];
    assert_eq!((&*moved.pull_policy, &*moved.digest, moved.origin), ("IfNotPresent", &*digest('b'), Origin::Template));
    assert_eq!(moved.running, [RunningDigest { digest: digest('a').into(), pods: 2, differs: true }]);
    // Some of the pods run it by now.
    world.put(&pod("p9").image_id(&image_id('b')));
    let report = ask(&mut world, &said.tag('b', -60));
    assert_eq!(tag(report), Some((ContentChange::Different, Some(-60))));
    assert_eq!(skew(report), (2, Some(Sameness::Different)));
}

#[test]
fn r02_a_tag_with_unknown_content_is_not_reported() {
    let mut world = running("aa");
    assert_eq!(tag(ask(&mut world, &Said::new().tag('b', -60))), None);
    assert_eq!(tag(ask(&mut world, &Said::new().image('b', '2', 8).tag('b', -60))), None);
}

#[test]
fn r03_indexes_of_the_same_images_are_one_digest() {
    let mut world = running("ab");
    assert_eq!(world.report("deployment/web").containers[0].distinct_digests, 2);
    let both = [("linux/amd64", 'c'), ("linux/arm64", 'd')];
    let said = Said::new().index('a', &both).index('b', &both).tag('b', -60);
    let report = ask(&mut world, &said);
    assert_eq!(skew(report), (1, None));
    assert_eq!(report.containers[0].by_hash[0].skewed_since, None);
    assert_eq!(tag(report), Some((ContentChange::None, None)));
    // One of them was built for one more platform.
    let mut world = running("ab");
    let said = Said::new().index('a', &both).index('b', &both[..1]);
    assert_eq!(skew(ask(&mut world, &said)).0, 1);
    // No platform in common.
    let mut world = running("ab");
    let said = Said::new().index('a', &both[1..]).index('b', &both[..1]);
    assert_eq!(skew(ask(&mut world, &said)), (2, Some(Sameness::Unknown)));
}

#[test]
fn r03_an_index_with_a_child_of_unknown_platform_is_compared_no_further() {
    let mut world = running("ab");
    let said =
        Said::new().index('a', &[("linux/amd64", 'c'), ("", 'd')]).index('b', &[("linux/amd64", 'c'), ("", 'e')]);
    assert_eq!(skew(ask(&mut world, &said)), (2, Some(Sameness::Unknown)));
}

#[test]
fn r04_manifests_of_one_configuration_are_one_digest() {
    let mut world = running("ab");
    let said = Said::new().manifest('a', '1').manifest('b', '1');
    assert_eq!(skew(ask(&mut world, &said)), (1, None));
    // The same with two indexes.
    let mut world = running("ab");
    let said = Said::new()
        .index('a', &[("linux/amd64", 'c')])
        .index('b', &[("linux/amd64", 'd')])
        .manifest('c', '1')
        .manifest('d', '1');
    assert_eq!(skew(ask(&mut world, &said)), (1, None));
}

#[test]
fn r05_equal_layers_and_start_command_are_two_digests_of_the_same_content() {
    let mut world = running("ab");
    let said = Said::new().image('a', '1', 7).image('b', '2', 7).tag('b', -60);
    let report = ask(&mut world, &said);
    assert_eq!(skew(report), (2, Some(Sameness::SameContent)));
    assert_eq!(tag(report), Some((ContentChange::Rebuilt, Some(-60))));
    // A third digest that differs.
    world.put(&pod("p2").image_id(&image_id('c')));
    let report = ask(&mut world, &said.image('c', '3', 9));
    assert_eq!(skew(report), (3, Some(Sameness::Different)));
    // A third digest about which nothing is known.
    let mut world = running("abe");
    assert_eq!(skew(ask(&mut world, &Said::new().image('a', '1', 7).image('b', '2', 7))), (3, Some(Sameness::Unknown)));
}

#[test]
fn r06_an_index_and_its_manifests_are_one_digest() {
    let cri_o = |name: &str, letter: char| {
        pod(name).image_id(&image_id(letter)).with("/status/containerStatuses/0/containerID", format!("cri-o://{name}"))
    };
    let index = Said::new().index('a', &[("linux/amd64", 'b'), ("linux/arm64", 'c')]);
    let mut world = web(&[]);
    world.put(&cri_o("p0", 'a')).put(&cri_o("p1", 'b')).put(&cri_o("p2", 'c'));
    assert_eq!(world.report("deployment/web").containers[0].distinct_digests, 3);
    assert_eq!(skew(ask(&mut world, &index)), (1, None));
    // No pod runs the index, and the tag points to it.
    world.delete(&cri_o("p0", 'a'));
    assert_eq!(skew(ask(&mut world, &index.clone())).0, 2, "nothing relates the two");
    let report = ask(&mut world, &index.tag('a', -60));
    assert_eq!((skew(report), tag(report)), ((1, None), Some((ContentChange::None, None))));
}

#[test]
fn r07_an_id_of_the_nodes_is_one_with_the_image_that_has_the_configuration() {
    let said =
        Said::new().index('a', &[("linux/arm64", 'c'), ("linux/amd64", 'b')]).manifest('b', '1').manifest('c', '2');
    for id in [digest('1'), format!("docker://{}", digest('1')), "1".repeat(64)] {
        let mut world = web(&[image_id('a'), id.clone()]);
        assert_eq!(world.report("deployment/web").containers[0].image_id_only, 1, "{id}");
        let report = ask(&mut world, &said.clone().tag('a', -60));
        assert_eq!((skew(report), report.containers[0].image_id_only), ((1, None), 0), "{id}");
        assert_eq!(tag(report), Some((ContentChange::None, None)), "{id}");
    }
}

#[test]
fn r08_an_id_that_no_registry_has_stays_unresolved() {
    let said = Said::new().image('a', '1', 7).tag('a', -60);
    for id in [digest('9'), format!("docker://{}", digest('9'))] {
        let mut world = web(&[image_id('a'), id.clone()]);
        let report = ask(&mut world, &said);
        assert_eq!((skew(report), report.containers[0].image_id_only), ((1, None), 1), "{id}");
        assert_eq!(tag(report), Some((ContentChange::None, None)), "the comparable digests are one: {id}");
        // The registry has the configuration: there is still no countable difference.
        let report = ask(&mut world, &said.clone().config('9', "linux/amd64", 8));
        assert_eq!((skew(report), report.containers[0].image_id_only), ((1, None), 1), "{id}");
        assert_eq!(tag(report), Some((ContentChange::Different, Some(-60))), "{id}");
    }
}

#[test]
fn r08_a_difference_of_two_configurations_survives_that_one_is_resolved() {
    let mut world = web(&[image_id('a'), digest('1'), digest('2')]);
    assert_eq!(world.report("deployment/web").containers[0].distinct_digests, 2);
    let said = Said::new().image('a', '1', 7);
    assert_eq!(skew(ask(&mut world, &said)), (2, Some(Sameness::Unknown)));
}

#[test]
fn r09_an_opaque_id_that_differs_is_unknown_for_ever() {
    let mut world = web(&[image_id('a'), "9".repeat(64)]);
    let said = Said::new().image('a', '1', 7).config('9', "linux/amd64", 8).tag('a', -60);
    let report = ask(&mut world, &said);
    assert_eq!((skew(report), report.containers[0].image_id_only), ((1, None), 1));
    assert_eq!(tag(report), Some((ContentChange::None, None)));
}

#[test]
fn r13_an_image_that_is_gone_is_named_and_its_tag_is_not() {
    let mut world = running("a");
    let mut said = Said::new().tag('a', -60);
    said.gone = Some(-30);
    let report = ask(&mut world, &said);
    let gone: Vec<_> =
        registry(report).gone.iter().map(|it| (&*it.container, &*it.image, it.since.seconds())).collect();
    assert_eq!(gone, [("app", IMAGE, START - 30)]);
    assert_eq!(tag(report), None);
}

#[test]
fn r15_a_container_that_pulled_after_the_move_and_runs_the_old_image_withdraws_the_prediction() {
    let always = |object: serde_json::Value| object.with("/spec/template/spec/containers/0/imagePullPolicy", "Always");
    let mut world = World::new();
    world.put(&always(deployment(IMAGE))).put(&always(replica_set("h1", IMAGE, 1, -4000)));
    let said = Said::new().image('a', '1', 7).image('b', '2', 8);
    world.put(&pod("p0").started(-900));
    assert_eq!(
        tag(ask(&mut world, &said.clone().tag('b', -1500))),
        Some((ContentChange::Different, Some(-1500))),
        "after 600 s"
    );
    let report = ask(&mut world, &said.clone().tag('b', -1501));
    assert_eq!(tag(report), None);
    assert_eq!(registry(report).contradicted, [("app".into(), IMAGE.into())]);
    // With IfNotPresent no registry is asked.
    let mut world = running("a");
    assert_eq!(tag(ask(&mut world, &said.tag('b', -1990))), Some((ContentChange::Different, Some(-1990))));
}

#[test]
fn r15_a_withdrawn_prediction_is_counted() {
    let always = |object: serde_json::Value| object.with("/spec/template/spec/containers/0/imagePullPolicy", "Always");
    let image = "r.example/web:1";
    let mut world = World::new();
    world.put(&always(deployment(image))).put(&always(replica_set("h1", image, 1, -4000)));
    world.put(&pod("p0").image(image).started(-900));
    let now = world.moment();
    for (since, expected) in [(-1500, false), (-1501, true)] {
        let mut evidence = Said::new().image('a', '1', 7).image('b', '2', 8).evidence();
        let since = UnixTime::from_seconds(i64::from(START) + since).unwrap();
        evidence.tags.insert(image.into(), TagFact { digest: digest('b').into(), since });
        world.inventory.take_registry_evidence(&Arc::new(evidence), now);
        assert_eq!(world.inventory.asked_images().unwrap().images[0].contradicted, expected);
    }
}

#[test]
fn r16_a_tag_that_moved_back_is_current() {
    let mut world = running("a");
    let said = Said::new().image('a', '1', 7).image('b', '2', 8);
    assert_eq!(tag(ask(&mut world, &said.clone().tag('b', -60))), Some((ContentChange::Different, Some(-60))));
    assert_eq!(tag(ask(&mut world, &said.clone().tag('a', 0))), Some((ContentChange::None, None)));
    assert_eq!(
        tag(ask(&mut world, &said.tag('b', 30))),
        Some((ContentChange::Different, Some(30))),
        "the age is not resumed"
    );
}

#[test]
fn r17_pods_of_an_old_hash_do_not_count_for_the_tag() {
    let mut world = running("a");
    world
        .put(&reason(deployment("web:2"), "ReplicaSetUpdated", -50))
        .put(&replica_set("h2", "web:2", 2, -100))
        .put(&pod("new").hash("h2").image("web:2").image_id(&image_id('b')).created(-90).started(-80));
    let report = ask(&mut world, &Said::new().image('a', '1', 7).image('b', '2', 8).tag('b', -60));
    assert_eq!(tag(report), None, "only the old hash has {IMAGE}");
}

#[test]
fn r18_indexes_that_share_one_platform_and_differ_in_another_stay_two() {
    let mut world = running("abc");
    let said = Said::new()
        .index('a', &[("linux/amd64", 'c'), ("linux/arm64", 'd')])
        .index('b', &[("linux/amd64", 'c'), ("linux/arm64", 'e')])
        .image('d', '1', 7)
        .image('e', '2', 8);
    // The manifest in both indexes is the same image as one of them, but does not make both the same image.
    assert_eq!(skew(ask(&mut world, &said)).0, 2);
    let mut world = running("ab");
    assert_eq!(skew(ask(&mut world, &said)), (2, Some(Sameness::Different)));
    // With nodes it is reported by architecture.
    let mut world = web(&[]);
    world.put(&pod("p0").with("/spec/nodeName", "n0").image_id(&image_id('a')));
    world.put(&pod("p1").with("/spec/nodeName", "n1").image_id(&image_id('b')));
    world.nodes(&[node("n0", "amd64", &[]), node("n1", "arm64", &[])]);
    let report = ask(&mut world, &said);
    assert_eq!(skew(report).0, 2);
    assert_eq!(report.nodes.as_ref().unwrap().by_architecture.len(), 1);
}

/// Nodes report two digests as one image, and the registry has different content for them: the report shows the doubt, and
/// does not guess.
#[test]
fn if_nodes_and_the_registry_disagree_the_tag_is_unknown_with_the_reason() {
    let said = Said::new().image('a', '1', 7).image('b', '2', 8).tag('b', -60);
    let on = |name: &str, node: &str, letter| pod(name).with("/spec/nodeName", node).image_id(&image_id(letter));
    let both = vec![image_id('a'), image_id('b')];
    let apart = [vec![image_id('a')], vec![image_id('b')]];
    for (one_entry, expected) in [(true, None), (false, Some((ContentChange::Different, Some(-60))))] {
        let mut world = web(&[]);
        world.put(&on("p0", "n0", 'a')).put(&on("p1", "n0", 'a'));
        let images: Vec<&[String]> = if one_entry { vec![&both] } else { apart.iter().map(Vec::as_slice).collect() };
        world.nodes(&[node("n0", "amd64", &images)]);
        let report = ask(&mut world, &said);
        assert_eq!(tag(report), expected, "the tag's digest and the running ones");
        let why: Vec<&str> = registry(report).unknown().map(|(_, why)| why).collect();
        assert_eq!(why.iter().any(|why| why.starts_with("nodes name two of its digests as one image")), one_entry);
        assert_eq!(registry(report).tag_status(), if one_entry { "unknown" } else { "moved" });
        // Both run: they count as one, because evidence only joins, and the report shows that it is open.
        world.put(&on("p2", "n0", 'b'));
        let report = ask(&mut world, &said.clone().tag('c', -60));
        assert_eq!(
            (skew(report).0, registry(report).doubtful.len()),
            (if one_entry { 1 } else { 2 }, usize::from(one_entry))
        );
    }
}

#[test]
fn r19_nothing_is_reported_before_a_container_has_started() {
    let mut world = web(&[]);
    world.put(&pod("p0").pending());
    assert_eq!(tag(ask(&mut world, &Said::new().tag('a', -60))), None);
    let asked = world.inventory.asked_images().unwrap();
    assert!(asked.images.is_empty(), "{asked:?}");
}

#[test]
fn r20_the_tag_of_an_injected_container_is_of_injected_origin() {
    let mut world = web(&[]);
    world.put(&pod("p0").sidecar("istio-proxy", &image_id('c')));
    let now = world.moment();
    let mut evidence = Said::new().image('c', '1', 7).image('d', '2', 8).evidence();
    evidence.tags.insert("istio-proxy:1".into(), TagFact { digest: digest('d').into(), since: now });
    world.inventory.take_registry_evidence(&Arc::new(evidence), now);
    let report = world.report("deployment/web");
    let tags: Vec<_> = registry(report).tags.iter().map(|tag| (&*tag.container, tag.origin, tag.change)).collect();
    assert_eq!(tags, [("istio-proxy", Origin::Injected, ContentChange::Different)]);
}

#[test]
fn r22_lost_evidence_does_not_change_a_skew() {
    let mut world = running("ab");
    let said = Said::new().manifest('a', '1').manifest('b', '1');
    let report = ask(&mut world, &said.clone().tag('a', -60));
    assert_eq!((skew(report), tag(report)), ((1, None), Some((ContentChange::None, None))));
    let report = ask(&mut world, &said);
    assert_eq!((skew(report), tag(report)), ((1, None), None), "the tag is unknown, the alias stays");
}

/// A podskew that has just started does not know yet that two builds are one image. No alert fires until it knows.
#[test]
fn before_registries_have_answered_no_skew_is_the_templates() {
    let origin = |world: &mut World| world.report("deployment/web").containers[0].by_hash[0].origin;
    let mut world = running("ab");
    world.inventory.await_registry();
    assert_eq!(origin(&mut world), Origin::Unknown);
    ask(&mut world, &Said::new());
    assert_eq!(origin(&mut world), Origin::Template, "an answer without any fact");
    let mut world = running("ab");
    world.inventory.await_registry();
    assert_eq!(origin(&mut world), Origin::Unknown);
    let now = world.moment();
    world.inventory.give_up_registry(now);
    assert_eq!(origin(&mut world), Origin::Template, "no answer at all");
    // Once the registries have answered, nothing waits again.
    ask(&mut world, &Said::new());
    world.inventory.await_registry();
    assert_eq!(origin(&mut world), Origin::Template);
}

#[test]
fn with_pull_policy_never_no_tag_is_reported() {
    let never = |object: serde_json::Value| object.with("/spec/template/spec/containers/0/imagePullPolicy", "Never");
    let mut world = World::new();
    world.put(&never(deployment(IMAGE))).put(&never(replica_set("h1", IMAGE, 1, -4000))).put(&pod("p0"));
    assert_eq!(tag(ask(&mut world, &Said::new().tag('a', -60))), None);
}

#[test]
fn short_names_are_requested_only_if_nodes_pull_them_from_docker_hub() {
    let asked = |ids: &[&str]| {
        let mut world = web(&[]);
        for (number, id) in ids.iter().enumerate() {
            world.put(&pod(&format!("p{number}")).image_id(id));
        }
        let asked = world.inventory.asked_images().unwrap();
        asked.images.iter().map(|image| image.image.to_string()).collect::<Vec<_>>()
    };
    let id = |repository: &str| format!("{repository}@{}", digest('a'));
    assert_eq!(asked(&[&id("docker.io/library/web")]), [IMAGE]);
    assert_eq!(asked(&[&id("quay.io/library/web")]), [""; 0], "a short name of CRI-O");
    assert_eq!(asked(&[&id("docker.io/library/web"), &id("quay.io/library/web")]), [""; 0]);
    assert_eq!(asked(&[&digest('a')]), [""; 0], "an image that was imported");
    assert_eq!(asked(&[&id("docker.io/library/web"), &digest('a')]), [IMAGE]);
}

#[test]
fn urgent_images_are_marked() {
    let always = |object: serde_json::Value| object.with("/spec/template/spec/containers/0/imagePullPolicy", "Always");
    let image = "r.example/web:1";
    let mut world = World::new();
    world.put(&always(deployment(image))).put(&always(replica_set("h1", image, 1, -4000)));
    world.put(&pod("p0").image(image)).put(&pod("p1").image(image));
    let asked = world.inventory.asked_images().unwrap();
    assert_eq!((asked.images.len(), asked.images[0].always, asked.images[0].in_skew), (1, true, false));
    assert!(asked.skews.is_empty());
    world.put(&pod("p1").image(image).image_id(&image_id('b')));
    let asked = world.inventory.asked_images().unwrap();
    assert!(asked.images[0].in_skew && asked.images[0].running.len() == 2);
    assert_eq!(asked.skews.len(), 1);
    assert_eq!(asked.skews[0].iter().map(|it| it.digest.to_string()).collect::<Vec<_>>(), [digest('a'), digest('b')]);
    let incomplete = World::unsynced(podskew::inventory::Settings::default());
    assert!(incomplete.inventory.asked_images().is_none());
}

/// Facts about a few digests, of every kind.
fn any_facts() -> impl Strategy<Value = Vec<(char, ImageFact)>> {
    let letter = || prop::sample::select(vec!['a', 'b', 'c', 'd', 'e', '1', '2', '3']);
    let platform = prop::sample::select(vec!["linux/amd64", "linux/arm64", ""]);
    let child = (platform, letter())
        .prop_map(|(platform, letter)| Child { platform: platform.into(), digest: digest(letter).into() });
    let index = (prop::collection::vec(child, 0..4), prop::bool::ANY).prop_map(|(mut children, complete)| {
        children.sort();
        ImageFact::Index(Index { children: children.into(), complete, build: Build::default() })
    });
    let manifest = letter()
        .prop_map(|config| ImageFact::Manifest(Manifest { config: digest(config).into(), build: Build::default() }));
    let config = (prop::sample::select(vec!["linux/amd64", "linux/arm64"]), prop::option::of(0..2_u64)).prop_map(
        |(platform, content)| ImageFact::Config(Config { platform: platform.into(), content, build: Build::default() }),
    );
    prop::collection::vec((letter(), prop_oneof![index, manifest, config]), 0..8)
}

fn any_ids() -> impl Strategy<Value = Vec<String>> {
    let letter = prop::sample::select(vec!['a', 'b', 'c', 'd', 'e', '1', '2', '3']);
    let id = (letter, 0..8_u32).prop_map(|(letter, form)| match form {
        0 => digest(letter),
        1 => format!("docker://{}", digest(letter)),
        2 => letter.to_string().repeat(64),
        3 => String::new(),
        _ => image_id(letter),
    });
    prop::collection::vec(id, 0..6)
}

proptest! {
    /// Evidence never adds a digest, never invents one, and never leaves more unresolved.
    #[test]
    fn evidence_joins_and_never_splits(ids in any_ids(), facts in any_facts(), tag in prop::option::of(prop::sample::select(vec!['a', 'b', 'c']))) {
        let mut world = web(&ids);
        let before = world.report("deployment/web").clone();
        let mut said = Said::new();
        said.facts = facts;
        said.tag = tag.map(|letter| (letter, -60));
        let after = ask(&mut world, &said);
        for (before, after) in before.containers.iter().zip(&after.containers) {
            prop_assert!(after.distinct_digests <= before.distinct_digests);
            prop_assert!(after.distinct_digests >= u32::from(before.distinct_digests > 0));
            let pods = |it: &podskew::report::ContainerReport| it.by_hash.iter().flat_map(|it| &it.digests).map(|it| it.pods).sum::<u32>();
            prop_assert_eq!(pods(before) + before.image_id_only, pods(after) + after.image_id_only);
            for named in after.by_hash.iter().flat_map(|it| &it.digests) {
                prop_assert!(ids.iter().any(|id| id.ends_with(&*named.digest)), "{} was invented", named.digest);
            }
            for (before, after) in before.by_hash.iter().zip(&after.by_hash) {
                prop_assert!(after.distinct_digests <= before.distinct_digests);
                prop_assert!(after.skewed_since.is_none() || before.skewed_since.is_some());
            }
        }
        // What is withdrawn leaves nothing behind.
        let without = ask(&mut world, &Said::new());
        prop_assert_eq!(&without.containers, &before.containers);
    }

    /// A tag is current, moved or unknown; current and moved are never both possible.
    #[test]
    fn a_tag_moves_only_where_both_contents_are_known(ids in any_ids(), facts in any_facts(), letter in prop::sample::select(vec!['a', 'b'])) {
        let mut world = web(&ids);
        let mut said = Said::new();
        said.facts = facts;
        said.tag = Some((letter, -60));
        let evidence = said.evidence();
        let report = ask(&mut world, &said);
        for tag in &registry(report).tags {
            let known = evidence.facts.contains_key(&*digest(letter));
            prop_assert!(known || tag.change == ContentChange::None);
            prop_assert!(tag.since.is_some() == (tag.change != ContentChange::None));
        }
    }

    /// Looking at each digest finds as many useful questions as looking at each pair.
    #[test]
    fn further_evidence_is_found_digest_by_digest(
        asked in prop::collection::vec((prop::sample::select(vec!['a', 'b', 'c', 'd', 'e', '1', '2']), 0..4_u32), 0..7),
        facts in any_facts(),
    ) {
        let mut said = Said::new();
        said.facts = facts;
        let evidence = said.evidence();
        let asked: Vec<(DigestKind, Name)> = asked
            .into_iter()
            .map(|(letter, kind)| match kind {
                0 => (DigestKind::Config, digest(letter).into()),
                1 => (DigestKind::Opaque, letter.to_string().repeat(64).into()),
                _ => (DigestKind::Manifest, digest(letter).into()),
            })
            .collect();
        let mut pairs = Comparer::new(&evidence);
        for (at, (kind, one)) in asked.iter().enumerate() {
            for (other_kind, other) in &asked[at + 1..] {
                pairs.compare((*kind, one), (*other_kind, other));
            }
        }
        let mut all = Comparer::new(&evidence);
        all.note_for_all(asked.iter().map(|(kind, digest)| (*kind, digest)));
        let (pairs, all) = (pairs.missing(), all.missing());
        for missing in &pairs {
            prop_assert!(all.contains(missing), "{missing:?} is not in {all:?} of {asked:?} with {:?}", evidence.facts);
        }
    }
}

/// Ten thousand digests of one hash, each a different image: a hundred million pairs.
#[test]
fn thousands_of_digests_are_looked_at_once() {
    let digest = |number: u32| Name::from(format!("sha256:{number:064x}"));
    let mut evidence = RegistryEvidence::default();
    for number in 0..10_000 {
        let manifest = Manifest { config: digest(100_000 + number), build: Build::default() };
        evidence.facts.insert(digest(number), Arc::new(ImageFact::Manifest(manifest)));
    }
    let asked: Vec<Name> = (0..10_000).map(digest).collect();
    let begun = std::time::Instant::now();
    let mut comparer = Comparer::new(&evidence);
    comparer.note_for_all(asked.iter().map(|digest| (DigestKind::Manifest, digest)));
    assert_eq!(comparer.missing().len(), 10_000, "their configurations");
    assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
}
