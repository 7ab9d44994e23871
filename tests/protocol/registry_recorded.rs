//! The cases of docs/registry.md with bodies from Debian's docker-registry, of images that umoci built and skopeo converted
//! (`tests/programs/registry/record.sh`). R13, R15, R17, R20 and R22 need no body: they are in `tests/protocol/registry.rs`
//! and `tests/model/registry_rules.rs`.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use crate::common::evidence::{ask_for, change, web_with_ids};
use crate::common::world::*;
use podskew::registry::{RegistryAddress, RegistryAnswers, RegistryOptions, RegistryTimings};
use podskew::report::WorkloadReport;
use podskew::report::registry::{ContentChange, Sameness};
use serde_json::Value;
use simulator::{ImageRegistry, Misbehaviour};
use std::time::Duration;

const RECORDED: &str = include_str!("../data/registry/recorded.json");
const REPOSITORY: &str = "shop/web";

/// A registry with the recorded content.
struct Recorded {
    registry: ImageRegistry,
    bodies: Value,
}

impl Recorded {
    /// Its tag `live` points to one of the recorded tags.
    async fn start(live: &str) -> Self {
        let bodies: Value = serde_json::from_str(RECORDED).unwrap();
        let recorded = Self { registry: ImageRegistry::start(None).await.unwrap(), bodies };
        for (tag, manifest) in recorded.bodies["manifests"].as_object().unwrap() {
            let (body, content_type) = (manifest["body"].as_str().unwrap(), manifest["content_type"].as_str().unwrap());
            let digest = recorded.registry.put_manifest(REPOSITORY, Some(tag), content_type, body.as_bytes());
            assert_eq!(digest, recorded.digest(tag), "the bytes of {tag} are the recorded ones");
        }
        for (digest, body) in recorded.bodies["configs"].as_object().unwrap() {
            assert_eq!(recorded.registry.put_blob(REPOSITORY, body.as_str().unwrap().as_bytes()), *digest);
        }
        recorded.live(live);
        recorded
    }

    fn live(&self, tag: &str) {
        self.registry.tag(REPOSITORY, "live", &self.digest(tag));
    }

    fn digest(&self, tag: &str) -> String {
        self.bodies["manifests"][tag]["digest"].as_str().unwrap().to_owned()
    }

    /// The digest of an image's configuration.
    fn config(&self, tag: &str) -> String {
        let manifest: Value = serde_json::from_str(self.bodies["manifests"][tag]["body"].as_str().unwrap()).unwrap();
        manifest["config"]["digest"].as_str().unwrap().to_owned()
    }

    fn image(&self) -> String {
        format!("{}/{REPOSITORY}:live", self.registry.host())
    }

    /// The imageID as written by containerd and CRI-O.
    fn ran(&self, tag: &str) -> String {
        format!("{}/{REPOSITORY}@{}", self.registry.host(), self.digest(tag))
    }

    /// Pods with these imageIDs, and the registry's answers about them.
    async fn said(&self, image_ids: &[String]) -> (WorkloadReport, RegistryAnswers) {
        let mut world = web_with_ids(&self.image(), image_ids);
        self.ask(&mut world).await
    }

    async fn ask(&self, world: &mut World) -> (WorkloadReport, RegistryAnswers) {
        let address = RegistryAddress::parse(&format!("{}={}", self.registry.host(), self.registry.url())).unwrap();
        let options = RegistryOptions { registries: vec![address], ..RegistryOptions::default() };
        let timings = RegistryTimings { pause: Duration::ZERO, ..RegistryTimings::default() };
        let answers = ask_for(world, &options, &timings).await;
        (world.report("deployment/web").clone(), answers)
    }
}

/// Number of running digests, and how those of a skew differ.
fn skew(report: &WorkloadReport) -> (u32, Option<Sameness>) {
    let skews = &report.registry.as_ref().unwrap().skews;
    (report.containers[0].distinct_digests, skews.first().map(|skew| skew.content))
}

#[tokio::test]
async fn r01_a_tag_that_points_to_the_running_digest_is_current() {
    let recorded = Recorded::start("index").await;
    let (report, _) = recorded.said(&[recorded.ran("index")]).await;
    assert_eq!((change(&report), skew(&report)), (Some(ContentChange::None), (1, None)));
}

#[tokio::test]
async fn r02_a_tag_that_points_to_another_build_has_moved() {
    let recorded = Recorded::start("index-new").await;
    let (report, _) = recorded.said(&[recorded.ran("index"), recorded.ran("index")]).await;
    assert_eq!(change(&report), Some(ContentChange::Different));
}

#[tokio::test]
async fn r03_two_builds_that_differ_in_their_provenance_are_one() {
    let recorded = Recorded::start("index-again").await;
    let (report, _) = recorded.said(&[recorded.ran("index"), recorded.ran("index-again")]).await;
    assert_eq!((change(&report), skew(&report)), (Some(ContentChange::None), (1, None)));
}

#[tokio::test]
async fn r04_layers_without_compression_and_dockers_form_are_one_image() {
    let recorded = Recorded::start("old").await;
    let ids = ["old", "plain", "docker"].map(|tag| recorded.ran(tag));
    let (report, _) = recorded.said(&ids).await;
    assert_eq!((change(&report), skew(&report)), (Some(ContentChange::None), (1, None)));
}

#[tokio::test]
async fn r05_another_commit_with_the_same_content_is_reported_but_not_as_changed_content() {
    let recorded = Recorded::start("again").await;
    let (report, _) = recorded.said(&[recorded.ran("old"), recorded.ran("again")]).await;
    assert_eq!((change(&report), skew(&report)), (Some(ContentChange::Rebuilt), (2, Some(Sameness::SameContent))));
}

#[tokio::test]
async fn r06_an_index_and_its_manifest_are_one() {
    let recorded = Recorded::start("index").await;
    let (report, _) = recorded.said(&[recorded.ran("index"), recorded.ran("old")]).await;
    assert_eq!((change(&report), skew(&report)), (Some(ContentChange::None), (1, None)));
}

#[tokio::test]
async fn r07_the_id_of_a_configuration_is_one_with_its_image() {
    let recorded = Recorded::start("index").await;
    let config = recorded.config("old");
    let hex = config.strip_prefix("sha256:").unwrap();
    for id in [config.clone(), format!("docker://{config}"), hex.to_owned()] {
        let (report, _) = recorded.said(&[recorded.ran("index"), id.clone()]).await;
        assert_eq!((skew(&report), report.containers[0].image_id_only), ((1, None), 0), "{id}");
    }
}

#[tokio::test]
async fn r08_r09_an_id_that_no_image_has_stays_unresolved() {
    let recorded = Recorded::start("index").await;
    for id in [digest('e'), "e".repeat(64)] {
        let (report, _) = recorded.said(&[recorded.ran("index"), id.clone()]).await;
        assert_eq!((report.containers[0].distinct_digests, report.containers[0].image_id_only), (1, 1), "{id}");
    }
}

#[tokio::test]
async fn r10_a_digest_in_the_template_never_moves() {
    let recorded = Recorded::start("index-new").await;
    let pinned = format!("{}@{}", recorded.image(), recorded.digest("index"));
    let mut world = web_with_ids(&pinned, &[recorded.ran("index")]);
    let (report, answers) = recorded.ask(&mut world).await;
    assert_eq!((change(&report), answers.unanswered), (None, vec![]));
}

#[tokio::test]
async fn r11_a_failing_registry_gives_no_evidence() {
    let recorded = Recorded::start("index-new").await;
    recorded.registry.inject("/manifests/", Misbehaviour::Status(503, Vec::new()), None);
    let (report, answers) = recorded.said(&[recorded.ran("index")]).await;
    assert_eq!((change(&report), answers.unanswered.len()), (None, 1));
}

#[tokio::test]
async fn r12_a_tag_that_was_never_there_is_not_gone() {
    let recorded = Recorded::start("index").await;
    recorded.registry.delete(REPOSITORY, "live");
    let (report, _) = recorded.said(&[recorded.ran("index")]).await;
    assert_eq!((change(&report), report.registry.unwrap().gone.len()), (None, 0));
}

#[tokio::test]
async fn r14_a_body_that_does_not_have_its_digest_counts_for_nothing() {
    let recorded = Recorded::start("index-new").await;
    let other = recorded.bodies["manifests"]["index-again"]["body"].as_str().unwrap().as_bytes().to_vec();
    recorded.registry.inject_for(Some("GET"), "/manifests/", Misbehaviour::OtherBody(other), None);
    let (report, _) = recorded.said(&[recorded.ran("index")]).await;
    assert_eq!((change(&report), skew(&report)), (None, (1, None)));
}

#[tokio::test]
async fn r16_a_tag_that_moved_back_is_current() {
    let recorded = Recorded::start("index-new").await;
    let mut world = web_with_ids(&recorded.image(), &[recorded.ran("index")]);
    assert_eq!(change(&recorded.ask(&mut world).await.0), Some(ContentChange::Different));
    recorded.live("index");
    assert_eq!(change(&recorded.ask(&mut world).await.0), Some(ContentChange::None));
}

#[tokio::test]
async fn r18_indexes_that_differ_in_one_platform_are_two() {
    let recorded = Recorded::start("index").await;
    let (report, _) = recorded.said(&[recorded.ran("index"), recorded.ran("index-new")]).await;
    assert_eq!(skew(&report), (2, Some(Sameness::Different)));
}

#[tokio::test]
async fn r19_no_request_for_containers_that_have_not_started() {
    let recorded = Recorded::start("index-new").await;
    let mut world = web_with_ids(&recorded.image(), &[]);
    world.put(&pod("p0").image(&recorded.image()).image_id("").pending());
    let (report, _) = recorded.ask(&mut world).await;
    assert_eq!((change(&report), recorded.registry.requests().len()), (None, 0));
}

#[tokio::test]
async fn r21_the_labels_name_commit_version_and_date() {
    let recorded = Recorded::start("new").await;
    let (report, _) = recorded.said(&[recorded.ran("old")]).await;
    let registry = report.registry.unwrap();
    let (old, new) =
        (registry.build(&recorded.digest("old")).unwrap(), registry.build(&recorded.digest("new")).unwrap());
    assert_eq!(old.revision.as_deref(), Some("9ab04d1c62d1ae2f37b0a9e1a5f1c7f0d3e4b5a6"));
    assert_eq!(new.revision.as_deref(), Some("3f2c1a9e8d7b6a5c4f3e2d1c0b9a8f7e6d5c4b3a"));
    assert_eq!((old.version.as_deref(), new.version.as_deref()), (Some("1.2.3"), Some("1.2.3")));
    let told = registry.tags[0].describe(&registry);
    assert!(
        told.ends_with("1 of 1 pod runs 9ab04d1, built 1 Nov 2026. The next container that pulls it will differ"),
        "{told}"
    );
}
