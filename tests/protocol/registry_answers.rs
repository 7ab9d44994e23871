//! Recorded answers of registries, Amazon's credential helper and containerd, each with podskew's expected result:
//! `tests/data/registry/answers.json` (`tests/programs/registry/record-answers.sh`) and
//! `tests/data/recordings/nodes/containerd-mirror.json` (`record-mirror.sh` in the same folder).
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use crate::common::evidence::{ask_for, change, web_with_ids};
use crate::common::http::request_head;
use crate::common::world::*;
use podskew::registry::{RegistryAddress, RegistryAnswers, RegistryOptions, RegistryTimings};
use podskew::report::WorkloadReport;
use podskew::report::registry::{ContentChange, Sameness};
use serde_json::{Value, json};
use simulator::{Authorization, Image, ImageRegistry};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

fn read(path: &str) -> Value {
    let path = format!("{}/tests/data/{path}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

fn at_host(host: &str, url: &str) -> RegistryOptions {
    let address = RegistryAddress::parse(&format!("{host}={url}")).unwrap();
    RegistryOptions { registries: vec![address], ..RegistryOptions::default() }
}

/// Asks the registries once, and passes the answers to the world.
async fn ask(world: &mut World, options: &RegistryOptions) -> (WorkloadReport, RegistryAnswers) {
    let timings = RegistryTimings { pause: Duration::ZERO, ..RegistryTimings::default() };
    let answers = ask_for(world, options, &timings).await;
    (world.report("deployment/web").clone(), answers)
}

/// Number of running digests, and how those of a skew differ.
fn skew(report: &WorkloadReport) -> (u32, Option<Sameness>) {
    (report.containers[0].distinct_digests, report.registry.as_ref().unwrap().content("app", "h1"))
}

/// Replays recorded answers, and notes requests that were not recorded.
struct Replay {
    host: String,
    unknown: Arc<Mutex<Vec<String>>>,
}

impl Replay {
    /// With these answers, or with one refusal for all requests.
    async fn start(answers: &[Value], refusal: Option<&Value>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let key = |answer: &Value| format!("{} /v2/shop/web/{}", text(&answer["method"]), text(&answer["path"]));
        let known: BTreeMap<String, Vec<u8>> = answers.iter().map(|it| (key(it), bytes(it))).collect();
        let known = Arc::new((known, refusal.map(bytes)));
        let unknown = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&unknown);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (known, noted) = (Arc::clone(&known), Arc::clone(&noted));
                tokio::spawn(async move {
                    let (known, refusal) = &*known;
                    answer_one(stream, known, refusal.as_deref(), &noted).await;
                });
            }
        });
        Self { host, unknown }
    }
}

async fn answer_one(
    mut stream: TcpStream,
    known: &BTreeMap<String, Vec<u8>>,
    refusal: Option<&[u8]>,
    unknown: &Mutex<Vec<String>>,
) {
    let Some(head) = request_head(&mut stream).await else { return };
    let asked = head.lines().next().unwrap().trim_end_matches(" HTTP/1.1").to_owned();
    match refusal.or_else(|| known.get(&asked).map(Vec::as_slice)) {
        Some(answer) => drop(stream.write_all(answer).await),
        None => unknown.lock().unwrap().push(asked),
    }
}

fn bytes(answer: &Value) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {} recorded\r\nConnection: close\r\n", answer["status"]);
    for header in answer["headers"].as_array().unwrap() {
        head.extend([&text(&header[0]), ": ", &text(&header[1]), "\r\n"]);
    }
    format!("{head}\r\n{}", text(&answer["body"])).into_bytes()
}

#[tokio::test]
async fn responses_of_docker_registry_distribution_and_crane_are_understood() {
    let recorded = read("registry/answers.json");
    let registries = recorded["registries"].as_object().unwrap();
    assert_eq!(registries.keys().collect::<Vec<_>>(), ["crane", "distribution", "docker-registry"]);
    for (name, registry) in registries {
        let replay = Replay::start(registry["answers"].as_array().unwrap(), None).await;
        let options = at_host(&replay.host, &format!("http://{}", replay.host));
        let repository = format!("{}/shop/web", replay.host);
        let by = |digest: &str| format!("{repository}@{}", text(&registry[digest]));
        let image = format!("{repository}:live");
        // The tag points to another build by now.
        let (report, answers) = ask(&mut web_with_ids(&image, &[by("running"), by("running")]), &options).await;
        assert_eq!((change(&report), answers.unanswered), (Some(ContentChange::Different), vec![]), "{name}");
        let told = report.registry.as_ref().unwrap();
        let revision = |digest: &str| told.build(digest).unwrap().revision.clone().unwrap();
        let (old, new) = (revision(&text(&registry["running"])), revision(&text(&registry["tag"])));
        assert_eq!((&*old, &*new), ("9ab04d1", "3f2c1a9"), "{name}");
        // The index, its manifest, and a node's id of its configuration are one image; that of the tag is another.
        let config = text(&registry["config"]);
        let ids = [by("running"), by("manifest"), config.clone()];
        let (report, _) = ask(&mut web_with_ids(&image, &ids), &options).await;
        assert_eq!((skew(&report), report.containers[0].image_id_only), ((1, None), 0), "{name}");
        let (report, _) = ask(&mut web_with_ids(&image, &[by("running"), by("tag")]), &options).await;
        assert_eq!(skew(&report), (2, Some(Sameness::Different)), "{name}");
        // A tag that does not exist.
        let absent = format!("{repository}:absent");
        let (report, answers) = ask(&mut web_with_ids(&absent, &[by("running")]), &options).await;
        assert_eq!(answers.unanswered, [(absent.as_str().into(), "not found in the registry")], "{name}");
        assert_eq!((change(&report), report.registry.unwrap().gone.len()), (None, 0), "{name}");
        assert_eq!(*replay.unknown.lock().unwrap(), [""; 0], "{name} got requests that were not recorded");
        let Some(refusal) = registry.get("refusal") else { continue };
        let replay = Replay::start(&[], Some(refusal)).await;
        let image = format!("{}/shop/web:live", replay.host);
        let options = at_host(&replay.host, &format!("http://{}", replay.host));
        let (_, answers) = ask(&mut web_with_ids(&image, &[by("running")]), &options).await;
        let why = "the registry accepts none of the credentials";
        assert_eq!(answers.unanswered, [(image.as_str().into(), why)], "{name}");
    }
}

/// A helper that prints Amazon's recorded answers, for the hosts that were asked.
fn helper(folder: &Path, answers: &[&Value]) {
    use std::fmt::Write as _;
    use std::os::unix::fs::PermissionsExt as _;
    let path = folder.join("docker-credential-ecr-login");
    let mut script = "#!/bin/sh\nread -r host || :\n".to_owned();
    for answer in answers {
        let (host, printed) = (text(&answer["host"]), text(&answer["printed"]));
        let status = &answer["status"];
        writeln!(script, "[ \"$host\" != {host} ] || {{ printf '%s' '{printed}'; exit {status}; }}").unwrap();
    }
    script.push_str("exit 99\n");
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test]
async fn the_output_of_amazons_helper_is_a_password_or_none() {
    let recorded = read("registry/answers.json");
    let of_helper = &recorded["docker-credential-ecr-login"];
    assert_eq!(of_helper["asked"]["body"], json!({"registryIds": ["123456789012"]}));
    let answers = of_helper["answers"].as_array().unwrap();
    let ecr = text(&answers[0]["host"]);
    let registry = ImageRegistry::start(None).await.unwrap();
    let digest = registry.push("web", Some("1"), &Image::of("one"));
    let folder = tempfile::tempdir().unwrap();
    let auth = folder.path().join("config.json");
    let image = format!("{}/web:1", registry.host());
    let look = async |name: &str, answer: &Value, authorization: Authorization| {
        registry.set_authorization(authorization);
        helper(folder.path(), &[answer]);
        // The key of the entry is the argument of the helper.
        std::fs::write(&auth, json!({"credHelpers": {registry.host(): name}}).to_string()).unwrap();
        let options = RegistryOptions {
            auth: Some(auth.clone()),
            helpers: Some(folder.path().to_owned()),
            ..at_host(&registry.host(), &registry.url())
        };
        let (report, answers) = ask(&mut web_with_ids(&image, &[format!("x/web@{digest}")]), &options).await;
        (change(&report), answers.unanswered.first().map(|(_, why)| *why))
    };
    // Its answers with this registry as the host.
    let of_here = |answer: &Value| answer.clone().with("/host", registry.host());
    let basic = || Authorization::Basic("AWS".to_owned(), "s3cr3t-password".to_owned());
    assert_eq!(look("ecr-login", &of_here(&answers[0]), basic()).await, (Some(ContentChange::None), None));
    // A host that is not Amazon's, without authorization.
    assert_eq!((text(&answers[1]["host"]), &answers[1]["status"]), ("registry.example".to_owned(), &json!(1)));
    assert_eq!(look("ecr-login", &of_here(&answers[1]), Authorization::None).await, (Some(ContentChange::None), None));
    // Amazon did not answer, so the helper reports no credentials.
    assert_eq!(text(&answers[2]["host"]), ecr);
    let refused = Some("there are no credentials for the registry, and the log says why");
    assert_eq!(look("ecr-login", &of_here(&answers[2]), basic()).await, (None, refused));
}

/// Two containerds that pull through a mirror, step by step.
struct Mirrored {
    recorded: Value,
    mirror: ImageRegistry,
}

const IMAGE: &str = "registry.example/shop/web:1";

impl Mirrored {
    /// The mirror has all content, and `web:1` points to this.
    async fn start(live: &str) -> Self {
        let recorded = read("recordings/nodes/containerd-mirror.json");
        let mirror = ImageRegistry::start(None).await.unwrap();
        for (digest, manifest) in recorded["manifests"].as_object().unwrap() {
            let (kind, body) = (text(&manifest["content_type"]), text(&manifest["body"]));
            assert_eq!(
                mirror.put_manifest("shop/web", None, &kind, body.as_bytes()),
                *digest,
                "the bytes that were sent"
            );
        }
        for (digest, body) in recorded["configs"].as_object().unwrap() {
            assert_eq!(mirror.put_blob("shop/web", text(body).as_bytes()), *digest);
        }
        mirror.tag("shop/web", "1", &text(&recorded["digests"][live]));
        Self { recorded, mirror }
    }

    fn options(&self) -> RegistryOptions {
        at_host("registry.example", &self.mirror.url())
    }

    fn step(&self, step: usize) -> &Value {
        &self.recorded["steps"][step]
    }

    /// The pods of a step that run `image`.
    fn pods(&self, step: usize, image: &str) -> World {
        let mut world = web_with_ids(image, &[]);
        for container in self.step(step)["containers"].as_array().unwrap() {
            if container["spec"] == image {
                let (name, node) = (text(&container["pod"]), text(&container["node"]));
                let running = pod(&name).image(image).image_id(&text(&container["imageRef"]));
                world.put(&running.with("/spec/nodeName", node));
            }
        }
        world
    }

    /// The nodes of a step, as their kubelets report the runtime's list: digests, then tags.
    fn nodes(&self, step: usize) -> Vec<Value> {
        let texts = |list: &Value| list.as_array().unwrap().iter().map(text).collect::<Vec<_>>();
        let nodes = self.step(step)["nodes"].as_object().unwrap();
        let of_node = |(name, images): (&String, &Value)| {
            let names = |image: &Value| [texts(&image["repoDigests"]), texts(&image["repoTags"])].concat();
            let names: Vec<Vec<String>> = images.as_array().unwrap().iter().map(names).collect();
            node(name, "amd64", &names.iter().map(Vec::as_slice).collect::<Vec<_>>())
        };
        nodes.iter().map(of_node).collect()
    }
}

/// containerd does not record that it used a mirror: names and digests are those of the registry.
#[tokio::test]
async fn images_pulled_through_a_mirror_have_the_registrys_name() {
    let mirrored = Mirrored::start("index one").await;
    let mut ids = BTreeSet::new();
    for step in mirrored.recorded["steps"].as_array().unwrap() {
        for container in step["containers"].as_array().unwrap() {
            assert_eq!(container["state"], "CONTAINER_RUNNING");
            ids.insert(text(&container["imageRef"]));
        }
    }
    let (by_digest, imported): (Vec<_>, Vec<_>) = ids.iter().partition(|id| id.contains('@'));
    assert!(by_digest.iter().all(|id| id.starts_with("registry.example/shop/web@sha256:")), "{by_digest:?}");
    assert_eq!(imported.len(), 1, "an archive has no digest");
    let (report, answers) = ask(&mut mirrored.pods(0, IMAGE), &mirrored.options()).await;
    assert_eq!((change(&report), answers.unanswered), (Some(ContentChange::None), vec![]));
}

#[tokio::test]
async fn two_nodes_that_pulled_before_and_after_a_rebuild_run_one_image() {
    let mirrored = Mirrored::start("index two").await;
    let mut world = mirrored.pods(1, IMAGE);
    assert_eq!(world.report("deployment/web").containers[0].distinct_digests, 2);
    let report = world.nodes(&mirrored.nodes(1)).report("deployment/web");
    assert_eq!(report.containers[0].distinct_digests, 2, "no node has both");
    let (report, _) = ask(&mut world, &mirrored.options()).await;
    assert_eq!((change(&report), skew(&report)), (Some(ContentChange::None), (1, None)));
}

#[tokio::test]
async fn a_stale_node_is_named_and_so_is_what_the_tag_stands_for_now() {
    let mirrored = Mirrored::start("index three").await;
    let mut world = mirrored.pods(2, IMAGE);
    world.nodes(&mirrored.nodes(2));
    let (report, _) = ask(&mut world, &mirrored.options()).await;
    assert_eq!((change(&report), skew(&report)), (Some(ContentChange::Different), (2, Some(Sameness::Different))));
    let registry = report.registry.as_ref().unwrap();
    let differing: u32 = registry.tags[0].running.iter().filter(|it| it.differs).map(|it| it.pods).sum();
    assert_eq!((differing, registry.tags[0].running.iter().map(|it| it.pods).sum::<u32>()), (3, 4));
    let digest = |name: &str| text(&mirrored.recorded["digests"][name]);
    let revision = |name: &str| registry.build(&digest(name)).unwrap().revision.clone().unwrap();
    assert_eq!((&*revision("index one"), &*revision("index three")), ("9ab04d1", "3f2c1a9"));
    let cached = report.nodes.as_ref().unwrap().cached.iter();
    let cached: BTreeMap<String, String> = cached.map(|it| (it.nodes[0].to_string(), it.digest.to_string())).collect();
    let expected = [("a".to_owned(), digest("index one")), ("b".to_owned(), digest("index three"))];
    assert_eq!(cached, BTreeMap::from(expected));
}

#[tokio::test]
async fn an_imported_image_equals_that_of_the_registry() {
    let mirrored = Mirrored::start("index three").await;
    let mut world = mirrored.pods(3, IMAGE);
    let alone = world.report("deployment/web").containers[0].clone();
    assert_eq!((alone.distinct_digests, alone.image_id_only), (3, 1));
    let (report, _) = ask(&mut world, &mirrored.options()).await;
    assert_eq!((skew(&report).0, report.containers[0].image_id_only), (2, 0));
    // An entry without digests proves nothing.
    let nodes = world.nodes(&mirrored.nodes(3)).report("deployment/web").nodes.clone().unwrap();
    let known = ["index one", "index two", "index three"].map(|name| text(&mirrored.recorded["digests"][name]));
    assert!(nodes.cached.iter().all(|it| known.contains(&it.digest.to_string())), "{:?}", nodes.cached);
}

/// containerd reports the alphabetically first digest that it knows for the content, so a pull by another tag may change
/// the imageID.
#[tokio::test]
async fn a_running_container_that_is_renamed_is_no_other_image() {
    let mirrored = Mirrored::start("index two").await;
    let id = |step: usize| text(&mirrored.step(step)["containers"][0]["imageRef"]);
    assert_ne!(id(3), id(4), "the same container");
    let (report, _) = ask(&mut mirrored.pods(4, IMAGE), &mirrored.options()).await;
    assert_eq!(skew(&report).0, 2, "the old image and the new one");
    // Without a registry, the node's entry with both digests joins them.
    let both = [id(3), id(4)];
    let mut world = web_with_ids(IMAGE, &[]);
    for (number, id) in both.iter().enumerate() {
        world.put(&pod(&format!("p{number}")).image(IMAGE).image_id(id).with("/spec/nodeName", "a"));
    }
    assert_eq!(world.report("deployment/web").containers[0].distinct_digests, 2);
    world.nodes(&mirrored.nodes(4));
    assert_eq!(world.report("deployment/web").containers[0].distinct_digests, 1);
}

/// containerd fell back to the registry, so an image that the mirror lacks is not gone.
#[tokio::test]
async fn a_tag_that_the_mirror_lacks_and_nodes_pulled_is_unknown() {
    let mirrored = Mirrored::start("index two").await;
    let image = "registry.example/shop/web:2";
    let (report, answers) = ask(&mut mirrored.pods(4, image), &mirrored.options()).await;
    assert_eq!(answers.unanswered, [(image.into(), "not found in the registry")]);
    assert_eq!((change(&report), report.registry.unwrap().gone.len()), (None, 0));
}
