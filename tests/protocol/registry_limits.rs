//! How often podskew asks a registry, in which order, and what it omits.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use super::registry::{Following, options, quick};
use crate::common::evidence::web;
use crate::common::http::proxy_to;
use crate::common::world::*;
use podskew::inventory::{AskedDigest, AskedImage, AskedImages};
use podskew::registry::{RegistryOptions, RegistryTimings, ask_once};
use podskew::report::registry::RegistryReport;
use podskew::report::{DigestKind, Name};
use serde_json::{Value, json};
use simulator::{Image, ImageRegistry, Misbehaviour, Tls};
use std::process::Command;
use std::time::{Duration, Instant};

fn asked(image: &str, digest: &str) -> AskedImage {
    let running = vec![(DigestKind::Manifest, Name::from(digest))];
    AskedImage { image: image.into(), running, in_skew: false, always: false, contradicted: false }
}

/// Ten requests per second for each registry. Images in digest skew are first, then those that are pulled at every start.
#[tokio::test]
async fn a_registry_gets_ten_requests_a_second_the_important_ones_first() {
    let registry = ImageRegistry::start(None).await.unwrap();
    let mut images = Vec::new();
    for number in 0..12 {
        let repository = format!("app-{number:02}");
        let digest = registry.push(&repository, Some("1"), &Image::of(&repository));
        images.push(asked(&format!("{}/{repository}:1", registry.host()), &digest));
    }
    images[7].always = true;
    images[9].in_skew = true;
    let begun = Instant::now();
    let timings = RegistryTimings::default();
    let answers = ask_once(&options(&registry), &timings, AskedImages { images, skews: Vec::new() }).await.unwrap();
    assert_eq!((answers.evidence.tags.len(), answers.unanswered), (12, vec![]));
    // For the image in skew, the configuration is fetched too, because it describes the build.
    let requests = registry.requests();
    assert!(begun.elapsed() >= Duration::from_millis(100) * u32::try_from(requests.len() - 1).unwrap());
    let heads: Vec<&str> = requests.iter().filter(|it| it.method == "HEAD").map(|it| it.path.as_str()).collect();
    assert_eq!(heads[..2], ["/v2/app-09/manifests/1", "/v2/app-07/manifests/1"]);
    assert_eq!(heads.len(), 12);
}

/// No node reports the digest of a schema 1 manifest.
#[tokio::test]
async fn a_manifest_of_schema_one_proves_nothing() {
    let registry = ImageRegistry::start(None).await.unwrap();
    let kind = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    registry.put_manifest("web", Some("1"), kind, br#"{"schemaVersion":1,"name":"web","tag":"1","fsLayers":[]}"#);
    let images = vec![asked(&format!("{}/web:1", registry.host()), &digest('a'))];
    let (options, timings) = (options(&registry), RegistryTimings::default());
    let answers = ask_once(&options, &timings, AskedImages { images, skews: Vec::new() }).await.unwrap();
    assert_eq!((answers.evidence.tags.len(), answers.unanswered.len()), (0, 1));
}

fn registry_report(world: &mut World) -> Option<&RegistryReport> {
    world.report("deployment/web").registry.as_deref()
}

/// A helper issues another password every time, for the same account.
#[tokio::test]
async fn with_credentials_that_a_helper_renews_an_image_is_gone() {
    use std::os::unix::fs::PermissionsExt as _;
    let registry = ImageRegistry::start(None).await.unwrap();
    let digest = registry.push("web", Some("1"), &Image::of("one"));
    let image = format!("{}/web:1", registry.host());
    let folder = tempfile::tempdir().unwrap();
    let (helper, count) = (folder.path().join("docker-credential-new"), folder.path().join("count"));
    let script = format!(
        "#!/bin/sh\nread -r host || :\necho >> {}\nprintf '{{\"Username\":\"AWS\",\"Secret\":\"%s\"}}' $$\n",
        count.display()
    );
    std::fs::write(&helper, script).unwrap();
    std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).unwrap();
    let auth = folder.path().join("config.json");
    std::fs::write(&auth, json!({"credHelpers": {registry.host(): "new"}}).to_string()).unwrap();
    let timings = RegistryTimings { gone_again: Duration::from_millis(1500), ..quick() };
    let helpers = Some(folder.path().to_owned());
    let options = RegistryOptions { auth: Some(auth), helpers, ..options(&registry) };
    let following = Following::start(web(&image, &[&digest]), &options, &timings);
    following.until("the tag", |world| registry_report(world).is_some_and(|report| report.tags.len() == 1)).await;
    let issued = || std::fs::read(&count).unwrap().len();
    let before = issued();
    registry.delete("web", "1");
    following.until("its end", |world| registry_report(world).is_some_and(|report| report.gone.len() == 1)).await;
    assert!(issued() > before, "the password was not renewed");
}

/// Only content that these credentials have seen can be reported as gone.
#[tokio::test]
async fn with_other_credentials_nothing_is_gone_that_they_have_not_seen() {
    let registry = ImageRegistry::start(None).await.unwrap();
    let digest = registry.push("web", Some("1"), &Image::of("one"));
    let image = format!("{}/web:1", registry.host());
    let folder = tempfile::tempdir().unwrap();
    let auth = folder.path().join("config.json");
    let write = |password: &str| {
        let text = json!({"auths": {registry.host(): {"username": "user", "password": password}}}).to_string();
        std::fs::write(folder.path().join("next"), text).unwrap();
        std::fs::rename(folder.path().join("next"), &auth).unwrap();
    };
    write("old");
    let timings = RegistryTimings { gone_again: Duration::from_millis(1500), ..quick() };
    let options = RegistryOptions { auth: Some(auth.clone()), ..options(&registry) };
    let following = Following::start(web(&image, &[&digest]), &options, &timings);
    following.until("the tag", |world| registry_report(world).is_some_and(|report| report.tags.len() == 1)).await;
    registry.delete("web", "1");
    tokio::time::sleep(Duration::from_millis(400)).await;
    write("new");
    tokio::time::sleep(timings.gone_again * 3).await;
    following.until("no end", |world| registry_report(world).is_some_and(|report| report.gone.is_empty())).await;
    // The credentials see the tag, and then it is deleted.
    registry.tag("web", "1", &digest);
    following.until("the tag", |world| registry_report(world).is_some_and(|report| report.tags.len() == 1)).await;
    registry.delete("web", "1");
    following.until("its end", |world| registry_report(world).is_some_and(|report| report.gone.len() == 1)).await;
}

/// Docker Hub counts GETs of manifests but not HEADs. podskew sends at most twenty in six hours, for images in digest skew
/// first, and none just because a HEAD lacks the digest.
#[tokio::test(flavor = "multi_thread")]
async fn docker_hub_is_asked_for_twenty_manifests_and_those_in_skew_come_first() {
    let mut parameters = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let issuer = rcgen::CertifiedIssuer::self_signed(parameters, rcgen::KeyPair::generate().unwrap()).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let parameters = rcgen::CertificateParams::new(vec!["registry-1.docker.io".to_owned()]).unwrap();
    let certificate = parameters.signed_by(&key, &issuer).unwrap();
    let tls = Tls::from_pem(&certificate.pem(), &key.serialize_pem(), &issuer.pem()).unwrap();
    let hub = ImageRegistry::start(Some(tls)).await.unwrap();
    let (proxy, _) = proxy_to(hub.port()).await;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("ca.pem"), issuer.pem()).unwrap();
    let mut items: Vec<Value> = Vec::new();
    for number in 0..25 {
        let (name, repository) = (format!("app-{number:02}"), format!("team/app-{number:02}"));
        let push = |layer: &str, tag| hub.push(&repository, tag, &Image::of(&format!("{layer} {number}")));
        let (old, other) = (push("old", None), push("other", None));
        push("new", Some("1"));
        let image = format!("{repository}:1");
        let owned = |object: Value, of: &Value| {
            let owner = json!([{"apiVersion": "apps/v1", "kind": of["kind"], "name": of["metadata"]["name"],
                "uid": of["metadata"]["uid"], "controller": true}]);
            object.with("/metadata/ownerReferences", owner)
        };
        let named = |object: Value, name: &str| {
            let uid = format!("{}-{name}", object["kind"].as_str().unwrap());
            object.with("/metadata/name", name).with("/metadata/uid", uid)
        };
        let deployment = named(deployment(&image), &name).with("/apiVersion", "apps/v1");
        let set = named(replica_set("h1", &image, 1, -4000), &format!("{name}-h1")).with("/apiVersion", "apps/v1");
        let set = owned(set, &deployment);
        // The last two are in skew.
        for (at, digest) in [&old, if number < 23 { &old } else { &other }].into_iter().enumerate() {
            let pod = named(pod(&format!("{name}-{at}")), &format!("{name}-h1-{at}"));
            let pod = pod.image(&image).image_id(&format!("docker.io/{repository}@{digest}")).with("/apiVersion", "v1");
            items.push(owned(pod, &set));
        }
        items.extend([deployment, set]);
    }
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    std::fs::write(at("cluster.json"), list.to_string()).unwrap();
    let audit = || -> Value {
        let mut command = Command::new(env!("CARGO_BIN_EXE_podskew"));
        command.args(["audit", "-A", "-o", "json", "--registry", "docker.io", "-f"]).arg(at("cluster.json"));
        command.arg("--registry-ca").arg(at("ca.pem")).env_clear().env("HTTPS_PROXY", &proxy);
        let output = command.output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{error}"))
    };
    let count = |method: &str| {
        let requests = hub.requests();
        requests.iter().filter(|it| it.method == method && it.path.contains("/manifests/")).count()
    };
    let report = audit();
    assert_eq!((count("HEAD"), count("GET")), (25, 20), "{report}");
    let workloads = report["workloads"].as_array().unwrap();
    let of = |name: &str| workloads.iter().find(|workload| workload["workload"] == name).unwrap();
    for name in ["app-23", "app-24"] {
        assert_eq!(of(name)["registry"]["skews"][0]["content"], "different", "{}", of(name));
    }
    let why = "Docker Hub is asked for no more than 20 manifests in six hours";
    let waiting = workloads.iter().filter(|it| it["registry"]["unanswered"].to_string().contains(why)).count();
    assert!(waiting > 10, "{waiting}: {report}");
    hub.forget_requests();
    hub.inject_for(Some("HEAD"), "", Misbehaviour::NoDigest, None);
    audit();
    assert_eq!((count("HEAD"), count("GET")), (25, 0));
}

/// A digest is requested from the repository that has it, and no other.
#[tokio::test]
async fn a_digest_is_asked_for_in_the_repository_that_runs_it() {
    let registry = ImageRegistry::start(None).await.unwrap();
    let here = registry.push("here", Some("1"), &Image::of("one"));
    let there = registry.push("there", Some("1"), &Image::of("two"));
    let [one, other] = ["here", "there"].map(|repository| format!("{}/{repository}:1", registry.host()));
    let mut images = vec![asked(&one, &here), asked(&other, &there)];
    for image in &mut images {
        image.in_skew = true;
    }
    let of = |image: &str, digest: &str| AskedDigest {
        kind: DigestKind::Manifest,
        digest: digest.into(),
        image: image.into(),
    };
    let skews = vec![vec![of(&one, &here), of(&other, &there)]];
    let answers =
        ask_once(&options(&registry), &RegistryTimings::default(), AskedImages { images, skews }).await.unwrap();
    assert_eq!((answers.unanswered, answers.evidence.facts.len()), (vec![], 4));
    for request in registry.requests() {
        let (wrong, digest) = if request.path.starts_with("/v2/here/") { ("there", &there) } else { ("here", &here) };
        assert!(!request.path.contains(digest.as_str()), "{} belongs to {wrong}", request.path);
    }
}
