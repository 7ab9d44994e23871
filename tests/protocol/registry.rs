//! podskew with registries: its requests, credentials, redirects and results.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use crate::common::evidence::{ask_for, web};
use crate::common::http::{proxy_to, request_head};
use crate::common::registry_sink::WorldSink;
use crate::common::running::{Running, Scrape};
use crate::common::world::*;
use podskew::inventory::AskedImages;
use podskew::registry::{RegistryAddress, RegistryAnswers, RegistryOptions, RegistryTimings, ask_once, keep_asking};
use podskew::report::registry::{ContentChange, ImageFact};
use podskew::telemetry::Telemetry;
use serde_json::json;
use simulator::{Authorization, Image, ImageRegistry, Misbehaviour, Platform};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Short pauses, and deadlines that a busy machine meets.
pub(super) fn quick() -> RegistryTimings {
    let milliseconds = Duration::from_millis;
    RegistryTimings {
        refresh: milliseconds(30),
        tick: milliseconds(20),
        pause: Duration::ZERO,
        answer: milliseconds(2000),
        interval: milliseconds(200),
        pinned: milliseconds(400),
        gone_again: milliseconds(400),
        unauthorized: milliseconds(60_000),
        throttled: milliseconds(300),
        throttled_most: milliseconds(1000),
        ..RegistryTimings::default()
    }
}

pub(super) fn options(registry: &ImageRegistry) -> RegistryOptions {
    let address = RegistryAddress::parse(&format!("{}={}", registry.host(), registry.url())).unwrap();
    RegistryOptions { registries: vec![address], ..RegistryOptions::default() }
}

/// A file that exists as long as the process.
fn file(name: &str, text: &str) -> PathBuf {
    let folder = tempfile::tempdir().unwrap().keep();
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn auth_file(host: &str, user: &str, password: &str) -> PathBuf {
    file("config.json", &json!({"auths": {host: {"username": user, "password": password}}}).to_string())
}

fn asked(world: &World) -> AskedImages {
    world.inventory.asked_images().unwrap()
}

/// Asks the registries once, and passes the answers to the world.
async fn look(world: &mut World, options: &RegistryOptions) -> RegistryAnswers {
    ask_for(world, options, &quick()).await
}

fn change(world: &mut World) -> Option<ContentChange> {
    let report = world.report("deployment/web");
    report.registry.as_ref()?.tags.first().map(|tag| tag.change)
}

fn digests(world: &mut World) -> u32 {
    world.report("deployment/web").containers[0].distinct_digests
}

#[tokio::test]
async fn a_tag_is_asked_for_without_its_content_where_pods_run_it() {
    let registry = ImageRegistry::start(None).await.unwrap();
    let digest = registry.push("team/web", Some("1"), &Image::of("one"));
    let mut world = web(&format!("{}/team/web:1", registry.host()), &[&digest]);
    let answers = look(&mut world, &options(&registry)).await;
    assert_eq!(answers.unanswered, []);
    assert_eq!(change(&mut world), Some(ContentChange::None));
    let asked = registry.requests();
    let lines: Vec<String> = asked.iter().map(|it| format!("{} {}", it.method, it.path)).collect();
    assert_eq!(lines, ["HEAD /v2/team/web/manifests/1"]);
    assert_eq!(
        asked[0].accept,
        [
            "application/vnd.oci.image.index.v1+json",
            "application/vnd.docker.distribution.manifest.list.v2+json",
            "application/vnd.oci.image.manifest.v1+json",
            "application/vnd.docker.distribution.manifest.v2+json",
        ]
    );
}

#[tokio::test]
async fn a_moved_tag_is_reported_with_its_commits() {
    let registry = ImageRegistry::start(None).await.unwrap();
    let old = registry.push("web", Some("1"), &Image::of("one").revision("9ab04d1"));
    let new = registry.push("web", Some("1"), &Image::of("two").revision("3f2c1a9"));
    let mut world = web(&format!("{}/web:1", registry.host()), &[&old, &old]);
    look(&mut world, &options(&registry)).await;
    assert_eq!(change(&mut world), Some(ContentChange::Different));
    let report = world.report("deployment/web").registry.clone().unwrap();
    let revision = |digest: &str| report.build(digest).unwrap().revision.clone().unwrap();
    assert_eq!((&*revision(&old), &*revision(&new)), ("9ab04d1", "3f2c1a9"));
    assert_eq!(&*report.tags[0].digest, new);
}

#[tokio::test]
async fn builds_that_differ_in_provenance_or_compression_are_one() {
    let registry = ImageRegistry::start(None).await.unwrap();
    let amd64 = registry.push("web", None, &Image::of("one"));
    let arm64 = registry.push("web", None, &Image { platform: Platform::ARM64, ..Image::of("one") });
    let children = [(Platform::AMD64, amd64.clone()), (Platform::ARM64, arm64)];
    let first = registry.push_index("web", None, &children, Some("build 1"));
    let second = registry.push_index("web", Some("1"), &children, Some("build 2"));
    assert_ne!(first, second);
    let image = format!("{}/web:1", registry.host());
    let mut world = web(&image, &[&first, &second]);
    assert_eq!(digests(&mut world), 2);
    look(&mut world, &options(&registry)).await;
    assert_eq!((digests(&mut world), change(&mut world)), (1, Some(ContentChange::None)));

    let zstd = registry.push("web", None, &Image { compression: "zstd".to_owned(), ..Image::of("one") });
    assert_ne!(amd64, zstd);
    let recompressed = registry.push_index("web", None, &[(Platform::AMD64, zstd)], None);
    let mut world = web(&image, &[&first, &recompressed]);
    look(&mut world, &options(&registry)).await;
    assert_eq!((digests(&mut world), change(&mut world)), (1, Some(ContentChange::None)));
}

#[tokio::test]
async fn only_listed_registries_get_requests() {
    let registry = ImageRegistry::start(None).await.unwrap();
    let digest = registry.push("web", Some("1"), &Image::of("one"));
    let world = web(&format!("{}/web:1", registry.host()), &[&digest]);
    let others = RegistryOptions {
        registries: vec![RegistryAddress::parse("other.example").unwrap()],
        ..RegistryOptions::default()
    };
    let answers = ask_once(&others, &quick(), asked(&world)).await.unwrap();
    assert!(answers.evidence.tags.is_empty() && answers.unanswered.is_empty() && registry.requests().is_empty());
}

#[tokio::test]
async fn users_and_tokens_give_access() {
    let registry = ImageRegistry::start(None).await.unwrap();
    let digest = registry.push("web", Some("1"), &Image::of("one"));
    let image = format!("{}/web:1", registry.host());
    let user = || ("user".to_owned(), "s3cr3t".to_owned());
    let open = |auth: Option<PathBuf>| {
        let options = RegistryOptions { auth, ..options(&registry) };
        let (image, digest) = (image.clone(), digest.clone());
        async move {
            let mut world = web(&image, &[&digest]);
            let answers = look(&mut world, &options).await;
            (change(&mut world).is_some(), answers.unanswered.first().map(|(_, why)| *why))
        }
    };
    let good = auth_file(&registry.host(), "user", "s3cr3t");
    let bad = auth_file(&registry.host(), "user", "wrong");
    let closed = (false, Some("the registry accepts none of the credentials"));
    for authorization in [Authorization::Basic(user().0, user().1), Authorization::Bearer(Some(user()))] {
        registry.set_authorization(authorization);
        assert_eq!(open(Some(good.clone())).await, (true, None));
        assert_eq!(open(Some(bad.clone())).await, closed);
        assert_eq!(open(None).await, closed);
    }
    registry.set_authorization(Authorization::Bearer(None));
    assert_eq!(open(None).await, (true, None), "an anonymous token, like Docker Hub's");
    registry.set_authorization(Authorization::Bearer(Some(user())));
    let token = json!({"auths": {registry.host(): {"identitytoken": "s3cr3t"}}}).to_string();
    assert_eq!(open(Some(file("config.json", &token))).await, (true, None), "a refresh token");
    // Several credentials are tried in order, like by the kubelet.
    let several = json!({"auths": {
        format!("{}/web", registry.host()): {"username": "user", "password": "old"},
        registry.host(): {"username": "user", "password": "s3cr3t"},
    }});
    for authorization in [Authorization::Basic(user().0, user().1), Authorization::Bearer(Some(user()))] {
        registry.set_authorization(authorization);
        assert_eq!(open(Some(file("config.json", &several.to_string()))).await, (true, None));
    }
}

#[tokio::test]
async fn a_helper_has_the_credentials_and_sees_nothing_else() {
    use std::os::unix::fs::PermissionsExt as _;
    let registry = ImageRegistry::start(None).await.unwrap();
    let digest = registry.push("web", Some("1"), &Image::of("one"));
    registry.set_authorization(Authorization::Basic("user".to_owned(), "s3cr3t".to_owned()));
    let folder = tempfile::tempdir().unwrap();
    let seen = folder.path().join("seen");
    let helper = |name: &str, text: &str| {
        let path = folder.path().join(format!("docker-credential-{name}"));
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    let print = r#"printf '{"ServerURL":"x","Username":"user","Secret":"s3cr3t"}'"#;
    helper(
        "good",
        &format!(
            "#!/bin/sh\nread -r host || :\n{{ /usr/bin/env; echo \"host=$host $1\"; /bin/ls -A \"$HOME\"; }} > {}\n{print}\n/bin/sleep 60 > /dev/null &\n",
            seen.display()
        ),
    );
    helper("chatty", "#!/bin/sh\nwhile :; do echo s3cr3t-s3cr3t-s3cr3t-s3cr3t-s3cr3t-s3cr3t; done\n");
    helper("broken", "#!/bin/sh\necho 's3cr3t'\n");
    helper("none", "#!/bin/sh\necho 'credentials not found in native keychain'\nexit 1\n");
    std::fs::create_dir(folder.path().join("docker-credential-folder")).unwrap();
    let image = format!("{}/web:1", registry.host());
    let open = |name: &str| {
        let auth = file("config.json", &json!({"credHelpers": {registry.host(): name}}).to_string());
        let options =
            RegistryOptions { auth: Some(auth), helpers: Some(folder.path().to_owned()), ..options(&registry) };
        let (image, digest) = (image.clone(), digest.clone());
        async move {
            let mut world = web(&image, &[&digest]);
            look(&mut world, &options).await;
            change(&mut world).is_some()
        }
    };
    let begun = Instant::now();
    assert!(open("good").await);
    assert!(begun.elapsed() < Duration::from_secs(5), "a helper's children are not waited for");
    let seen = std::fs::read_to_string(seen).unwrap();
    let home = seen.lines().find_map(|line| line.strip_prefix("HOME=")).unwrap();
    assert!(!std::path::Path::new(home).exists(), "{home} was not removed");
    assert!(seen.contains(&format!("host={} get\n", registry.host())), "{seen}");
    for line in seen.lines() {
        let (name, _) = line.split_once('=').unwrap_or((line, ""));
        let known = ["PATH", "HOME", "PWD", "SHLVL", "_", "OLDPWD", "host"];
        let kept = [
            "AWS_",
            "GOOGLE_",
            "AZURE_",
            "HTTP_PROXY",
            "HTTPS_PROXY",
            "NO_PROXY",
            "http_proxy",
            "https_proxy",
            "no_proxy",
        ];
        assert!(known.contains(&name) || kept.iter().any(|it| name.starts_with(it)), "{line}");
    }
    for name in ["chatty", "broken", "none", "folder", "absent", "../good", "Good", ""] {
        assert!(!open(name).await, "{name}");
    }
}

/// After ten seconds it is killed with all its children, and its temporary folder is removed.
#[tokio::test]
async fn a_helper_that_hangs_is_killed_with_its_children() {
    use std::os::unix::fs::PermissionsExt as _;
    let registry = ImageRegistry::start(None).await.unwrap();
    let digest = registry.push("web", Some("1"), &Image::of("one"));
    registry.set_authorization(Authorization::Basic("user".to_owned(), "s3cr3t".to_owned()));
    let folder = tempfile::tempdir().unwrap();
    let (path, seen) = (folder.path().join("docker-credential-slow"), folder.path().join("seen"));
    let script = format!(
        "#!/bin/sh\n/bin/sleep 1000 &\n/bin/sh -c '/bin/sleep 1000 & echo $!; wait' > {0}.more &\necho $! $$ $HOME > {0}\nwait\n",
        seen.display()
    );
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let auth = file("config.json", &json!({"credHelpers": {registry.host(): "slow"}}).to_string());
    let options = RegistryOptions { auth: Some(auth), helpers: Some(folder.path().to_owned()), ..options(&registry) };
    let mut world = web(&format!("{}/web:1", registry.host()), &[&digest]);
    let begun = Instant::now();
    let answers = look(&mut world, &options).await;
    assert!((10..20).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    assert_eq!(answers.unanswered[0].1, "there are no credentials for the registry, and the log says why");
    let written =
        std::fs::read_to_string(&seen).unwrap() + &std::fs::read_to_string(format!("{}.more", seen.display())).unwrap();
    let words: Vec<&str> = written.split_whitespace().collect();
    let (home, processes): (Vec<&str>, Vec<&str>) = words.iter().partition(|word| word.starts_with('/'));
    assert_eq!((home.len(), processes.len()), (1, 3), "{written}");
    assert!(!std::path::Path::new(home[0]).exists(), "{written}");
    let runs = |process: &&str| {
        let state = std::fs::read_to_string(format!("/proc/{process}/stat")).ok();
        // A zombie has ended; its adopter only has not waited for it yet.
        state.is_some_and(|state| !state.rsplit_once(") ").unwrap().1.starts_with('Z'))
    };
    let begun = Instant::now();
    while processes.iter().any(runs) {
        assert!(begun.elapsed() < Duration::from_secs(5), "{written} still run");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn no_credentials_reach_another_host() {
    let registry = ImageRegistry::start(None).await.unwrap();
    let other = ImageRegistry::start(None).await.unwrap();
    let digest = registry.push("web", Some("1"), &Image::of("one"));
    other.push("web", Some("1"), &Image::of("one"));
    registry.set_authorization(Authorization::Basic("user".to_owned(), "s3cr3t".to_owned()));
    let location = format!("{}/v2/web/manifests/1", other.url());
    let auth = Some(auth_file(&registry.host(), "user", "s3cr3t"));
    let image = format!("{}/web:1", registry.host());
    let mut world = web(&image, &[&digest]);
    // The registry requires credentials, and then redirects.
    registry.inject("/manifests/1", Misbehaviour::Status(401, vec![("WWW-Authenticate", "Basic".to_owned())]), Some(1));
    registry.inject("/manifests/1", Misbehaviour::Status(307, vec![("Location", location)]), Some(1));
    look(&mut world, &RegistryOptions { auth, ..options(&registry) }).await;
    assert_eq!(change(&mut world), Some(ContentChange::None));
    assert!(registry.requests()[1].authorization.is_some());
    assert_eq!(other.requests().iter().map(|it| it.authorization.clone()).collect::<Vec<_>>(), [None]);
}

#[tokio::test]
async fn redirects_are_limited_and_only_to_allowed_hosts() {
    let registry = ImageRegistry::start(None).await.unwrap();
    let digest = registry.push("web", Some("1"), &Image::of("one"));
    let image = format!("{}/web:1", registry.host());
    let own = format!("{}/v2/web/manifests/1", registry.url());
    for location in [
        own.clone(),
        "http://127.0.0.2/".to_owned(),
        "http://169.254.169.254/latest/meta-data".to_owned(),
        "http://[::ffff:169.254.169.254]/".to_owned(),
        "http://localhost:1/".to_owned(),
        "file:///etc/passwd".to_owned(),
        "gopher://x/".to_owned(),
        String::new(),
        "http://".to_owned(),
    ] {
        registry.clear_faults();
        registry.inject("/manifests/1", Misbehaviour::Status(302, vec![("Location", location.clone())]), None);
        registry.forget_requests();
        let mut world = web(&image, &[&digest]);
        let answers = look(&mut world, &options(&registry)).await;
        assert_eq!((change(&mut world), answers.unanswered.len()), (None, 1), "{location}");
        assert!(registry.requests().len() <= 4, "{location}: {:?}", registry.requests());
    }
}

#[tokio::test]
async fn a_realm_must_follow_the_same_rules() {
    let registry = ImageRegistry::start(None).await.unwrap();
    let digest = registry.push("web", Some("1"), &Image::of("one"));
    let mut world = web(&format!("{}/web:1", registry.host()), &[&digest]);
    let auth = Some(auth_file(&registry.host(), "user", "s3cr3t"));
    for realm in ["http://169.254.169.254/token", "http://127.0.0.2:1/token", "ftp://x/token", "nonsense", ""] {
        registry.set_authorization(Authorization::Realm(realm.to_owned()));
        let answers = look(&mut world, &RegistryOptions { auth: auth.clone(), ..options(&registry) }).await;
        assert_eq!((change(&mut world), answers.unanswered.len()), (None, 1), "{realm}");
    }
}

#[tokio::test]
async fn a_name_that_resolves_to_this_machine_is_not_connected_to() {
    let registry = ImageRegistry::start(None).await.unwrap();
    let digest = registry.push("web", Some("1"), &Image::of("one"));
    let named = format!("r.example:{}", registry.port());
    let options = RegistryOptions {
        registries: vec![RegistryAddress::parse(&format!("{named}=http://{named}")).unwrap()],
        ..RegistryOptions::default()
    };
    let resolves_to = |address: [u8; 4]| RegistryTimings {
        resolve: Arc::new(move |_| Box::pin(async move { Ok(vec![(address, 0).into()]) })),
        ..quick()
    };
    let world = web(&format!("{named}/web:1"), &[&digest]);
    for address in [[127, 0, 0, 1], [169, 254, 169, 254], [0, 0, 0, 0]] {
        let answers = ask_once(&options, &resolves_to(address), asked(&world)).await.unwrap();
        assert_eq!(answers.unanswered.len(), 1, "{address:?}");
    }
    assert!(registry.requests().is_empty());
}

#[tokio::test]
async fn invalid_registry_responses_change_nothing() {
    let registry = ImageRegistry::start(None).await.unwrap();
    let old = registry.push("web", None, &Image::of("one"));
    let new = registry.push("web", Some("1"), &Image::of("two"));
    let image = format!("{}/web:1", registry.host());
    let timings = RegistryTimings { answer: Duration::from_millis(500), ..quick() };
    let other = digest('f');
    for (method, path, misbehaviour) in [
        (None, "", Misbehaviour::Hangs),
        (None, "", Misbehaviour::Closes),
        (None, "", Misbehaviour::Status(500, Vec::new())),
        (None, "", Misbehaviour::Status(418, Vec::new())),
        (None, "", Misbehaviour::Status(204, Vec::new())),
        (None, "", Misbehaviour::Status(429, Vec::new())),
        (None, "", Misbehaviour::Status(404, Vec::new())),
        (None, "", Misbehaviour::Digest(other)),
        (Some("GET"), "", Misbehaviour::Garbage),
        (Some("GET"), "", Misbehaviour::OtherBody(b"{}".to_vec())),
        (Some("GET"), "", Misbehaviour::OtherBody(vec![b' '; 5 << 20])),
        (Some("GET"), "", Misbehaviour::Endless),
        (Some("GET"), "", Misbehaviour::Slow(Duration::from_millis(50))),
    ] {
        registry.clear_faults();
        registry.inject_for(method, path, misbehaviour.clone(), None);
        let mut world = web(&image, &[&old]);
        let begun = Instant::now();
        let answers = ask_once(&options(&registry), &timings, asked(&world)).await.unwrap();
        let now = world.moment();
        world.inventory.take_registry_evidence(&Arc::new(answers.evidence), now);
        assert_eq!(change(&mut world), None, "{misbehaviour:?}");
        assert!(begun.elapsed() < Duration::from_secs(10), "{misbehaviour:?}");
    }
    registry.clear_faults();
    let mut world = web(&image, &[&old]);
    look(&mut world, &options(&registry)).await;
    assert_eq!(change(&mut world), Some(ContentChange::Different), "{new}");
}

/// R14.
#[tokio::test]
async fn content_with_another_digest_is_unconfirmed() {
    let registry = ImageRegistry::start(None).await.unwrap();
    let old = registry.push("web", Some("1"), &Image::of("one"));
    registry.push("web", Some("1"), &Image::of("two"));
    registry.inject_for(Some("GET"), "/manifests/", Misbehaviour::OtherBody(b"{}".to_vec()), None);
    let mut world = web(&format!("{}/web:1", registry.host()), &[&old]);
    let answers = look(&mut world, &options(&registry)).await;
    let why = answers.unanswered[0].1;
    assert_eq!((change(&mut world), why), (None, "the registry's content does not have the digest that it names"));
}

#[tokio::test]
async fn a_registry_without_digests_in_head_gets_a_request_for_the_content() {
    let registry = ImageRegistry::start(None).await.unwrap();
    let one = registry.push("web", Some("1"), &Image::of("one"));
    let two = registry.push("web", Some("2"), &Image::of("two"));
    for misbehaviour in [Misbehaviour::NoDigest, Misbehaviour::Status(405, Vec::new())] {
        registry.clear_faults();
        registry.forget_requests();
        registry.inject_for(Some("HEAD"), "", misbehaviour, None);
        let mut world = web(&format!("{}/web:1", registry.host()), &[&one]);
        world
            .put(&pod("other").hash("h2").image(&format!("{}/web:2", registry.host())).image_id(&format!("x/y@{two}")));
        let answers = look(&mut world, &options(&registry)).await;
        assert_eq!((change(&mut world), answers.unanswered), (Some(ContentChange::None), vec![]));
        let heads = registry.requests().iter().filter(|it| it.method == "HEAD").count();
        assert_eq!(heads, 1, "the answer is cached");
    }
}

#[tokio::test]
async fn pinned_images_never_move() {
    let registry = ImageRegistry::start(None).await.unwrap();
    let digest = registry.push("web", Some("1"), &Image::of("one"));
    registry.push("web", Some("1"), &Image::of("two"));
    let image = format!("{}/web:1@{digest}", registry.host());
    let mut world = World::new();
    world.put(&deployment(&image)).put(&replica_set("h1", &image, 1, -4000));
    world.put(&pod("p0").image(&image).image_id(&format!("x/web@{digest}")));
    let answers = look(&mut world, &options(&registry)).await;
    assert_eq!((change(&mut world), answers.unanswered), (None, vec![]));
    assert_eq!(registry.requests()[0].path, format!("/v2/web/manifests/{digest}"));
}

/// An inventory that a task asks for images and gives evidence.
pub(super) struct Following {
    world: Arc<Mutex<World>>,
    telemetry: Telemetry,
    _tasks: tokio::task::JoinSet<()>,
}

impl Following {
    pub(super) fn start(world: World, options: &RegistryOptions, timings: &RegistryTimings) -> Self {
        let world = Arc::new(Mutex::new(world));
        let telemetry = Telemetry::new().unwrap();
        let hosts: Vec<&str> = options.registries.iter().map(|it| it.host.as_str()).collect();
        let health = telemetry.registries(&hosts).unwrap();
        let tasks = keep_asking(options, timings, Arc::new(WorldSink(Arc::clone(&world))), &health).unwrap();
        Self { world, telemetry, _tasks: tasks }
    }

    pub(super) async fn until(&self, what: &str, seen: impl Fn(&mut World) -> bool) {
        let begun = Instant::now();
        loop {
            if seen(&mut self.world.lock().unwrap()) {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "timeout waiting for {what}: {}", self.health());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The series about registries.
    fn health(&self) -> String {
        let families = self.telemetry.gather();
        let of_registries = families.iter().filter(|family| family.name().starts_with("podskew_registry_"));
        let mut text = String::new();
        for family in of_registries {
            for metric in family.get_metric() {
                let labels: Vec<String> = metric.get_label().iter().map(|label| label.value().to_owned()).collect();
                let value = metric.get_gauge().get_value() + metric.get_counter().get_value();
                let _ = writeln!(text, "{} {} {value}", family.name(), labels.join(" "));
            }
        }
        text
    }

    fn state(&self, state: &str) -> bool {
        self.health().lines().any(|line| {
            line.starts_with("podskew_registry_references ")
                && line.contains(&format!(" {state} "))
                && line.ends_with(" 1")
        })
    }
}

fn gone(world: &mut World) -> bool {
    let report = world.report("deployment/web");
    report.registry.as_ref().is_some_and(|registry| !registry.gone.is_empty())
}

#[tokio::test]
async fn tags_are_followed_as_they_move_and_disappear() {
    let registry = ImageRegistry::start(None).await.unwrap();
    let old = registry.push("web", Some("1"), &Image::of("one"));
    let image = format!("{}/web:1", registry.host());
    let following = Following::start(web(&image, &[&old]), &options(&registry), &quick());
    following.until("the tag", |world| change(world) == Some(ContentChange::None)).await;
    registry.push("web", Some("1"), &Image::of("two"));
    following.until("the move", |world| change(world) == Some(ContentChange::Different)).await;
    registry.tag("web", "1", &old);
    following.until("the way back", |world| change(world) == Some(ContentChange::None)).await;
    let relabelled = Image { created: "2026-11-05T10:00:00Z".to_owned(), ..Image::of("one") };
    registry.push("web", Some("1"), &relabelled);
    following.until("the rebuild", |world| change(world) == Some(ContentChange::Rebuilt)).await;
    // R13.
    let begun = Instant::now();
    registry.delete("web", "1");
    following.until("its end", gone).await;
    assert!(begun.elapsed() >= quick().gone_again, "a single 404 is not enough");
    assert!(following.state("gone"), "{}", following.health());
    registry.tag("web", "1", &old);
    following.until("its return", |world| !gone(world) && change(world) == Some(ContentChange::None)).await;
}

/// R12, and the mirror's part of rule 18.
#[tokio::test]
async fn an_image_that_never_existed_or_lacks_in_a_mirror_is_not_gone() {
    let registry = ImageRegistry::start(None).await.unwrap();
    let image = format!("{}/web:1", registry.host());
    let following = Following::start(web(&image, &[&digest('a')]), &options(&registry), &quick());
    let mirrored = RegistryOptions {
        registries: vec![RegistryAddress::parse(&format!("r.example={}", registry.url())).unwrap()],
        ..RegistryOptions::default()
    };
    let old = registry.push("mirrored", Some("1"), &Image::of("one"));
    let by_mirror = Following::start(web("r.example/mirrored:1", &[&old]), &mirrored, &quick());
    by_mirror.until("the tag", |world| change(world) == Some(ContentChange::None)).await;
    registry.delete("mirrored", "1");
    tokio::time::sleep(quick().gone_again * 4).await;
    for following in [&following, &by_mirror] {
        assert!(following.state("not_found"), "{}", following.health());
        assert!(!gone(&mut following.world.lock().unwrap()));
    }
}

/// R11 and R22.
#[tokio::test]
async fn the_last_answer_stands_for_three_intervals_and_aliases_for_good() {
    let registry = ImageRegistry::start(None).await.unwrap();
    let children = [(Platform::AMD64, registry.push("web", None, &Image::of("one")))];
    let first = registry.push_index("web", None, &children, Some("1"));
    let second = registry.push_index("web", Some("1"), &children, Some("2"));
    let world = web(&format!("{}/web:1", registry.host()), &[&first, &second]);
    let following = Following::start(world, &options(&registry), &quick());
    following.until("the tag", |world| change(world) == Some(ContentChange::None)).await;
    following.until("the alias", |world| digests(world) == 1).await;
    registry.inject("", Misbehaviour::Status(503, Vec::new()), None);
    let begun = Instant::now();
    following.until("oblivion", |world| change(world).is_none()).await;
    assert!(begun.elapsed() >= quick().interval * 2, "{:?}", begun.elapsed());
    assert_eq!(digests(&mut following.world.lock().unwrap()), 1);
    assert!(following.state("failed"), "{}", following.health());
    registry.clear_faults();
    following.until("the tag", |world| change(world) == Some(ContentChange::None)).await;
}

#[tokio::test]
async fn a_registry_with_a_rate_limit_gets_no_more_requests() {
    let registry = ImageRegistry::start(None).await.unwrap();
    let digest = registry.push("web", Some("1"), &Image::of("one"));
    let image = format!("{}/web:1", registry.host());
    let timings = RegistryTimings { interval: Duration::from_millis(20), ..quick() };
    for (retry_after, expected) in
        [("1", 800), ("0", 250), ("99999999999", 900), ("nonsense", 250), ("Wed, 21 Oct 2015 07:28:00 GMT", 250)]
    {
        registry.clear_faults();
        registry.forget_requests();
        registry.inject("", Misbehaviour::Status(429, vec![("Retry-After", retry_after.to_owned())]), Some(1));
        let begun = Instant::now();
        let following = Following::start(web(&image, &[&digest]), &options(&registry), &timings);
        following.until("the tag", |world| change(world) == Some(ContentChange::None)).await;
        let waited = begun.elapsed().as_millis();
        assert!(waited >= expected, "{retry_after}: {waited} ms");
        assert_eq!(
            registry.requests()[..2].iter().filter(|it| it.method == "HEAD").count(),
            2,
            "one request for one 429"
        );
    }
}

#[tokio::test]
async fn credentials_are_read_again_when_their_file_is_swapped() {
    let registry = ImageRegistry::start(None).await.unwrap();
    let digest = registry.push("web", Some("1"), &Image::of("one"));
    registry.set_authorization(Authorization::Bearer(Some(("user".to_owned(), "new".to_owned()))));
    // Like a mounted secret.
    let folder = tempfile::tempdir().unwrap();
    let link = |password: &str| {
        let target = auth_file(&registry.host(), "user", password);
        let next = folder.path().join("next");
        std::os::unix::fs::symlink(target, &next).unwrap();
        std::fs::rename(next, folder.path().join("config.json")).unwrap();
    };
    link("old");
    let options = RegistryOptions { auth: Some(folder.path().join("config.json")), ..options(&registry) };
    let following = Following::start(web(&format!("{}/web:1", registry.host()), &[&digest]), &options, &quick());
    let begun = Instant::now();
    while !following.state("unauthorized") {
        assert!(begun.elapsed() < Duration::from_secs(20), "{}", following.health());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let refused = registry.requests().len();
    tokio::time::sleep(quick().interval * 3).await;
    assert_eq!(registry.requests().len(), refused, "no requests to a registry that refuses");
    link("new");
    following.until("the tag", |world| change(world) == Some(ContentChange::None)).await;
    // An expired token is renewed.
    registry.expire_tokens();
    registry.push("web", Some("1"), &Image::of("two"));
    following.until("the move", |world| change(world) == Some(ContentChange::Different)).await;
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named_with_the_remedy() {
    let registry = ImageRegistry::start(None).await.unwrap();
    let broken = file("config.json", "s3cr3t");
    let missing = PathBuf::from("/nonexistent/config.json");
    for options in [
        RegistryOptions { auth: Some(broken.clone()), ..options(&registry) },
        RegistryOptions { auth: Some(missing.clone()), ..options(&registry) },
        RegistryOptions { helpers: Some(missing.clone()), ..options(&registry) },
        RegistryOptions { certificates: Some(missing.clone()), ..options(&registry) },
        RegistryOptions { certificates: Some(broken.clone()), ..options(&registry) },
    ] {
        let error = ask_once(&options, &quick(), AskedImages::default()).await.unwrap_err().to_string();
        assert!(error.contains("--registry-") && !error.contains("s3cr3t"), "{error}");
        assert!(error.contains("config.json"), "{error}");
    }
}

/// The running digests, and every tag that was falsely reported as moved.
struct Fleet {
    running: Vec<(String, String)>,
    moved: Mutex<std::collections::BTreeSet<String>>,
}

impl podskew::registry::RegistrySink for Fleet {
    fn asked_images(&self) -> Option<AskedImages> {
        let image = |(image, digest): &(String, String)| podskew::inventory::AskedImage {
            image: image.as_str().into(),
            running: vec![(podskew::report::DigestKind::Manifest, digest.as_str().into())],
            in_skew: false,
            always: false,
            contradicted: false,
        };
        Some(AskedImages { images: self.running.iter().map(image).collect(), skews: Vec::new() })
    }

    fn take_registry_evidence(&self, evidence: Arc<podskew::inventory::RegistryEvidence>) {
        for (image, digest) in &self.running {
            let is_other = evidence.tags.get(image.as_str()).is_some_and(|tag| *tag.digest != **digest);
            if is_other || evidence.gone.contains_key(image.as_str()) {
                self.moved.lock().unwrap().insert(image.clone());
            }
        }
    }
}

/// An hour in six seconds with four registries, one of which fails now and then in every way. Moved tags are found, and no
/// others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_an_hour_with_a_failing_registry_no_tag_is_falsely_reported_as_moved() {
    const COMPRESSION: u32 = 600;
    let mut registries = Vec::new();
    for _ in 0..4 {
        registries.push(ImageRegistry::start(None).await.unwrap());
    }
    let (mut running, mut movers) = (Vec::new(), Vec::new());
    for number in 0..120_usize {
        let registry = &registries[number % 4];
        let (repository, tag) = (format!("team-{}/app", number / 8), format!("v{}", number % 8));
        let digest = registry.push(&repository, Some(&tag), &Image::of(&format!("layer {number}")));
        let image = format!("{}/{repository}:{tag}", registry.host());
        if number % 16 < 4 {
            movers.push((number, repository, tag, image.clone()));
        }
        running.push((image, digest));
    }
    let parse = |it: &ImageRegistry| RegistryAddress::parse(&format!("{}={}", it.host(), it.url())).unwrap();
    let options = RegistryOptions { registries: registries.iter().map(parse).collect(), ..RegistryOptions::default() };
    let timings =
        RegistryTimings { answer: Duration::from_millis(500), ..RegistryTimings::default().compressed(COMPRESSION) };
    let hosts: Vec<String> = registries.iter().map(ImageRegistry::host).collect();
    let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
    let health = Telemetry::new().unwrap().registries(&hosts).unwrap();
    let fleet = Arc::new(Fleet { running, moved: Mutex::default() });
    let _tasks = keep_asking(&options, &timings, Arc::clone(&fleet), &health).unwrap();
    let failures = [
        Misbehaviour::Hangs,
        Misbehaviour::Closes,
        Misbehaviour::Status(503, Vec::new()),
        Misbehaviour::Status(429, vec![("Retry-After", "0".to_owned())]),
        Misbehaviour::Status(401, Vec::new()),
        Misbehaviour::NoDigest,
        Misbehaviour::Digest(digest('f')),
        Misbehaviour::OtherBody(b"{}".to_vec()),
        Misbehaviour::Garbage,
    ];
    // Lehmer's generator: the same failures in every run.
    let mut state = 7_usize;
    let mut fail_for = async |ticks: u32| {
        for _ in 0..ticks {
            state = state * 48_271 % 0x7fff_ffff;
            registries[3].clear_faults();
            if let Some(failure) = failures.get(state % (failures.len() + 2)) {
                registries[3].inject("/v2/", failure.clone(), None);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    fail_for(60).await;
    assert_eq!(*fleet.moved.lock().unwrap(), std::collections::BTreeSet::new());
    let answered = registries[..3].iter().map(|it| it.requests().len()).sum::<usize>();
    assert!(answered >= 90 * 2, "each tag was requested twice in half an hour: {answered}");
    for (number, repository, tag, _) in &movers {
        registries[number % 4].push(repository, Some(tag), &Image::of(&format!("moved {number}")));
    }
    fail_for(60).await;
    let moved = fleet.moved.lock().unwrap().clone();
    let expected: Vec<&String> = movers.iter().map(|(.., image)| image).collect();
    assert!(moved.iter().all(|image| expected.contains(&image)), "{moved:?}");
    let missed: Vec<_> =
        movers.iter().filter(|(number, _, _, image)| number % 4 != 3 && !moved.contains(image)).collect();
    assert!(missed.is_empty(), "{missed:?}");
    // Planned requests: four per tag in an hour, a fifth at any time, the first at once, and those to compare a moved tag.
    let asked: usize = registries[..3].iter().map(|it| it.requests().len()).sum();
    let (most, documents) = (90 * (1 + 5), movers.len() * 8);
    assert!(asked <= most + documents, "{asked} requests, planned {most}");
}

#[tokio::test]
async fn configurations_are_kept_as_facts_and_bodies_are_not() {
    let registry = ImageRegistry::start(None).await.unwrap();
    let old = registry.push("web", None, &Image::of("one"));
    registry.push("web", Some("1"), &Image::of("two"));
    let mut world = web(&format!("{}/web:1", registry.host()), &[&old]);
    let answers = look(&mut world, &options(&registry)).await;
    let kinds = answers.evidence.facts.values().fold([0; 3], |mut kinds, fact| {
        kinds[match &**fact {
            ImageFact::Index(_) => 0,
            ImageFact::Manifest(_) => 1,
            ImageFact::Config(_) => 2,
        }] += 1;
        kinds
    });
    assert_eq!(kinds, [0, 2, 2]);
}

/// A simulated cluster whose Deployment `web` runs these digests of an image.
async fn cluster(image: &str, digests: &[&str]) -> simulator::Simulator {
    use simulator::{Resource as Served, Simulator, SimulatorConfig};
    let simulator = Simulator::start(SimulatorConfig::default()).await.unwrap();
    let repository = image.rsplit_once(':').unwrap().0;
    let full = |object: serde_json::Value, api_version: &str| object.with("/apiVersion", api_version);
    let store = simulator.store();
    store.put(Served::Deployments, full(deployment(image), "apps/v1"));
    store.put(Served::ReplicaSets, full(replica_set("h1", image, 1, -4000), "apps/v1"));
    for (number, digest) in digests.iter().enumerate() {
        let pod = pod(&format!("p{number}")).image(image).image_id(&format!("{repository}@{digest}"));
        store.put(Served::Pods, full(pod, "v1"));
    }
    simulator
}

/// Output and exit code of the real binary.
fn podskew(simulator: &simulator::Simulator, arguments: &[&str]) -> (String, i32) {
    let kubeconfig = tempfile::NamedTempFile::new().unwrap();
    simulator.write_kubeconfig(kubeconfig.path()).unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_podskew"));
    command.args(arguments).arg("--kubeconfig").arg(kubeconfig.path()).env("NO_COLOR", "1").env("COLUMNS", "120");
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (String::from_utf8(text).unwrap(), output.status.code().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn audit_and_explain_show_the_registrys_evidence() {
    let registry = ImageRegistry::start(None).await.unwrap();
    let source = ("org.opencontainers.image.source".to_owned(), "https://github.com/shop/web".to_owned());
    let build = |layer: &str, revision: &str, created: &str| {
        let mut image = Image::of(layer).revision(revision);
        image.labels.push(source.clone());
        image.created = created.to_owned();
        image
    };
    let old = registry.push("web", None, &build("one", "9ab04d1", "2026-11-01T10:00:00Z"));
    let new = registry.push("web", Some("1"), &build("two", "3f2c1a9", "2026-11-02T10:00:00Z"));
    let image = format!("{}/web:1", registry.host());
    let simulator = cluster(&image, &[&old, &old, &new]).await;
    let address = format!("{}={}", registry.host(), registry.url());
    let with = |arguments: &[&str]| podskew(&simulator, &[arguments, &["--registry", &address]].concat());
    let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");

    let (printed, code) = with(&["audit", "-n", "shop"]);
    assert_eq!(code, 1, "{printed}");
    let said = flat(&printed);
    for expected in [
        "FOR TAG",
        "different image content",
        "from 9ab04d1 on 1 Nov 2026",
        "from 3f2c1a9 on 2 Nov 2026",
        "is the newer build",
        "https://github.com/shop/web/compare/9ab04d1...3f2c1a9",
        &format!(
            "{image} now points to {}, built from 3f2c1a9 on 2 Nov 2026; 2 of 3 pods run 9ab04d1, built 1 Nov 2026",
            &new[..19]
        ),
    ] {
        assert!(said.contains(&flat(expected)), "{expected}\n{printed}");
    }
    let (json, _) = with(&["audit", "-n", "shop", "-o", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let told = &json["workloads"][0]["registry"];
    assert_eq!(told["tags"][0]["change"], "different");
    assert_eq!(told["skews"][0]["content"], "different");
    assert_eq!(told["builds"][&old]["revision"], "9ab04d1");
    let (explained, code) = with(&["explain", "-n", "shop", "deployment/web"]);
    assert_eq!(code, 0);
    assert!(flat(&explained).contains("2 of 3 pods run 9ab04d1"), "{explained}");

    // One digest and a moved tag: it is reported, and a failure only if requested.
    let simulator = cluster(&image, &[&old, &old]).await;
    let with = |arguments: &[&str]| podskew(&simulator, &[arguments, &["--registry", &address]].concat());
    assert_eq!(with(&["audit", "-n", "shop"]).1, 0);
    assert_eq!(with(&["audit", "-n", "shop", "--fail-on", "moved"]).1, 1);
    assert_eq!(with(&["audit", "-n", "shop", "--fail-on", "gone"]).1, 0);
    registry.forget_requests();
    assert_eq!(with(&["audit", "-n", "shop", "--wait", "5s", "--fail-on", "moved"]).1, 4);
    let heads = registry.requests().iter().filter(|it| it.method == "HEAD").count();
    assert_eq!(heads, 1, "--wait asks registries once, at the end");
    let (refused, code) = podskew(&simulator, &["audit", "-n", "shop", "--fail-on", "moved"]);
    assert_eq!(code, 2, "{refused}");
    // Every format reports it, and it is a failure in none unless requested.
    let moved = format!("{image} now points to");
    for fail_on in [false, true] {
        let more: &[&str] = if fail_on { &["--fail-on", "moved"] } else { &[] };
        let printed = |format: &str| with(&[&["audit", "-n", "shop", "-o", format], more].concat()).0;
        let json: serde_json::Value = serde_json::from_str(&printed("json")).unwrap();
        assert_eq!(json["workloads"][0]["findings"][0]["finding"], "tag_moved", "{json}");
        let sarif: serde_json::Value = serde_json::from_str(&printed("sarif")).unwrap();
        let result = &sarif["runs"][0]["results"][0];
        assert_eq!(
            (&result["ruleId"], result["message"]["text"].as_str().unwrap().contains(&moved)),
            (&json!("tag_moved"), true)
        );
        assert_eq!(result["level"], if fail_on { "error" } else { "note" }, "{result}");
        let junit = printed("junit");
        assert_eq!((junit.contains(&moved), junit.contains("<failure")), (true, fail_on), "{junit}");
        assert!(flat(&printed("markdown")).contains("tag moved"), "{}", printed("markdown"));
    }
    // Without an answer nothing is compared.
    registry.inject("", Misbehaviour::Status(503, Vec::new()), None);
    assert_eq!(with(&["audit", "-n", "shop"]).1, 0);
    let (printed, code) = with(&["audit", "-n", "shop", "--strict"]);
    assert_eq!(code, 3, "{printed}");
    assert!(flat(&printed).contains("does not answer"), "{printed}");
}

/// Without `--registry` there are no series about registries and no requests; with it there are all of them.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_option_there_are_no_registry_series_and_no_requests() {
    let families = [
        "podskew_tag_moved_age_seconds{",
        "podskew_digest_skew_content_info{",
        "podskew_image_tag_digest_info{",
        "podskew_image_build_info{",
        "podskew_image_created_timestamp_seconds{",
        "podskew_registry_references{",
        "podskew_registry_requests_total{",
        "podskew_registry_last_success_timestamp_seconds{",
    ];
    let registry = ImageRegistry::start(None).await.unwrap();
    let old = registry.push("web", None, &Image::of("one").revision("9ab04d1"));
    let new = registry.push("web", Some("1"), &Image::of("two").revision("3f2c1a9"));
    let image = format!("{}/web:1", registry.host());
    let simulator = cluster(&image, &[&old, &old, &new]).await;
    let off = Running::start(&simulator, &[]);
    let address = format!("{}={}", registry.host(), registry.url());
    let on = Running::start(&simulator, &["--registry", &address]);
    let begun = Instant::now();
    let text = loop {
        let (_, text) = on.get("/metrics");
        let missing = families.iter().find(|family| !text.contains(&format!("\n{family}")));
        let Some(missing) = missing else { break text };
        assert!(begun.elapsed() < Duration::from_secs(60), "timeout waiting for {missing}: {text}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert!(text.contains("change=\"different\""), "{text}");
    let asked = registry.requests().len();
    off.until_ready().await;
    let (_, text) = off.get("/metrics");
    assert!(text.contains("\npodskew_distinct_digests_per_deployment{"), "{text}");
    for word in [
        "podskew_registry_",
        "podskew_tag_",
        "podskew_image_gone",
        "podskew_image_build",
        "podskew_image_created",
        "podskew_digest_skew_content",
        "podskew_image_tag_digest",
    ] {
        assert!(!text.contains(&format!("\n{word}")), "{word}: {text}");
    }
    drop(on);
    let later = registry.requests().len();
    assert!(later >= asked);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(registry.requests().len(), later, "only the one with the option asks");
}

/// At any log level, for any error.
#[tokio::test(flavor = "multi_thread")]
async fn no_log_contains_a_password_or_a_token() {
    let registry = ImageRegistry::start(None).await.unwrap();
    let old = registry.push("web", None, &Image::of("one"));
    registry.push("web", Some("1"), &Image::of("two"));
    let image = format!("{}/web:1", registry.host());
    let simulator = cluster(&image, &[&old]).await;
    let address = format!("{}={}", registry.host(), registry.url());
    let file = auth_file(&registry.host(), "user", "s3cr3t-password");
    let user = || ("user".to_owned(), "s3cr3t-password".to_owned());
    let closed = Misbehaviour::Status(302, vec![("Location", "http://user:s3cr3t@169.254.169.254/".to_owned())]);
    for (authorization, misbehaviour) in [
        (Authorization::Bearer(Some(user())), None),
        (Authorization::Basic(user().0, user().1), None),
        (Authorization::Basic("user".to_owned(), "another".to_owned()), None),
        (Authorization::Bearer(Some(user())), Some(Misbehaviour::Closes)),
        (Authorization::Bearer(Some(user())), Some(closed)),
        (Authorization::Realm("http://user:s3cr3t@127.0.0.2/token".to_owned()), None),
    ] {
        registry.set_authorization(authorization.clone());
        registry.clear_faults();
        if let Some(misbehaviour) = misbehaviour {
            registry.inject("/manifests/", misbehaviour, None);
        }
        let arguments = [
            "audit",
            "-n",
            "shop",
            "--registry",
            &address,
            "--registry-auth",
            file.to_str().unwrap(),
            "--log-level",
            "trace",
            "--registry-timeout",
            "5s",
        ];
        let (printed, code) = podskew(&simulator, &arguments);
        assert_eq!(code, 0, "{printed}");
        assert!(printed.lines().count() > 3, "{printed}");
        let encoded = "dXNlcjpzM2NyM3QtcGFzc3dvcmQ=";
        assert!(!printed.contains("s3cr3t") && !printed.contains(encoded), "{authorization:?}\n{printed}");
    }
}

/// A proxy that refuses every request.
async fn refusing_proxy() -> String {
    use tokio::io::AsyncWriteExt as _;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            if request_head(&mut stream).await.is_some() {
                let _ = stream.write_all(b"HTTP/1.1 407 s3cr3t\r\nContent-Length: 0\r\n\r\n").await;
            }
        }
    });
    address
}

/// A running `podskew serve` that asks at log level `trace`.
async fn serving(simulator: &simulator::Simulator, arguments: &[&str], proxy: &str) -> Running {
    let kubeconfig = simulator.kubeconfig();
    let arguments = [&["--log-level", "trace", "--registry-interval", "1s"], arguments].concat();
    let podskew = Running::start_in(&kubeconfig, &arguments, &[("HTTPS_PROXY", proxy), ("HTTP_PROXY", proxy)]);
    podskew.until_ready().await;
    podskew
}

/// Waits until a reference of `host` has this state, and checks that podskew shows none of `secrets`.
async fn shows_no_secret(podskew: &Running, host: &str, state: &str, secrets: &[String]) {
    let labels = [("registry", host), ("state", state)];
    let state_is_known = |scrape: &Scrape| scrape.parsed.value("podskew_registry_references", &labels) == Some(1.0);
    podskew.until(&format!("the state {state}"), state_is_known).await;
    let pages = ["/metrics", "/", "/api/v1/workloads", "/workload/shop/deployment/web"];
    let pages = pages.map(|path| format!("{path}\n{}", podskew.get(path).1));
    let log = podskew.log();
    assert!(log.lines().count() > 3, "{log}");
    for text in [&log].into_iter().chain(&pages) {
        for secret in secrets {
            assert!(!text.contains(secret), "{state}: {secret} is in {text}\n{log}");
        }
    }
}

/// The same for `serve`: its log and its pages, for all kinds of credentials, a helper, and a proxy with a password.
#[tokio::test(flavor = "multi_thread")]
async fn serve_shows_no_password_and_no_token() {
    use std::os::unix::fs::PermissionsExt as _;
    let registry = ImageRegistry::start(None).await.unwrap();
    let old = registry.push("web", None, &Image::of("one"));
    registry.push("web", Some("1"), &Image::of("two"));
    let simulator = cluster(&format!("{}/web:1", registry.host()), &[&old]).await;
    let (host, address) = (registry.host(), format!("{}={}", registry.host(), registry.url()));
    let folder = tempfile::tempdir().unwrap();
    for (name, end) in [("good", "exit 0"), ("bad", "exit 1")] {
        let printed = r#"{"ServerURL":"x","Username":"user","Secret":"s3cr3tpassword"}"#;
        let script = format!("#!/bin/sh\necho 's3cr3t' >&2\nprintf '{printed}'\n{end}\n");
        let path = folder.path().join(format!("docker-credential-{name}"));
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let entry = |entry: serde_json::Value| json!({"auths": {&host: entry}});
    let password = || entry(json!({"username": "user", "password": "s3cr3tpassword"}));
    let helper = |name: &str| json!({"credHelpers": {&host: name}});
    let (user, other) = (("user".to_owned(), "s3cr3tpassword".to_owned()), "another".to_owned());
    let basic = || Authorization::Basic(user.0.clone(), user.1.clone());
    let bearer = || Authorization::Bearer(Some(user.clone()));
    let elsewhere = Misbehaviour::Status(302, vec![("Location", "http://user:s3cr3t@169.254.169.254/".to_owned())]);
    let realm = Authorization::Realm("http://user:s3cr3t@127.0.0.2/token".to_owned());
    let proxy = format!("http://proxy:s3cr3t-proxy@{}", refusing_proxy().await);
    let secrets_of = |registry: &ImageRegistry| {
        let sent = registry.requests().into_iter().filter_map(|request| request.authorization);
        let sent = sent.filter_map(|value| Some(value.split_once(' ')?.1.to_owned()));
        let proxy = "cHJveHk6czNjcjN0LXByb3h5".to_owned();
        sent.chain(["s3cr3t".to_owned(), "dXNlcjpzM2NyM3RwYXNzd29yZA==".to_owned(), proxy]).collect::<Vec<_>>()
    };
    for (authorization, misbehaviour, credentials, state) in [
        (bearer(), None, password(), "answered"),
        (bearer(), None, entry(json!({"identitytoken": "s3cr3tpassword"})), "answered"),
        (bearer(), None, helper("good"), "answered"),
        (bearer(), None, helper("bad"), "unauthorized"),
        (bearer(), Some(Misbehaviour::Closes), password(), "failed"),
        (bearer(), Some(elsewhere), password(), "failed"),
        (basic(), None, password(), "answered"),
        (basic(), None, entry(json!({"registrytoken": "s3cr3t-token"})), "unauthorized"),
        (Authorization::Basic(user.0.clone(), other), None, password(), "unauthorized"),
        (realm, None, password(), "failed"),
    ] {
        registry.set_authorization(authorization.clone());
        registry.clear_faults();
        registry.forget_requests();
        if let Some(misbehaviour) = misbehaviour {
            registry.inject("/manifests/", misbehaviour, None);
        }
        let auth = file("config.json", &credentials.to_string());
        let (auth, helpers) = (auth.to_str().unwrap(), folder.path().to_str().unwrap());
        let arguments = ["--registry", &address, "--registry-auth", auth, "--registry-helpers", helpers];
        let podskew = serving(&simulator, &arguments, &proxy).await;
        shows_no_secret(&podskew, &host, state, &secrets_of(&registry)).await;
        if state == "answered" {
            assert!(secrets_of(&registry).len() > 3, "no credentials were sent: {authorization:?}");
            // A file that breaks while podskew runs is quoted nowhere.
            std::fs::write(auth, json!({"auths": {&host: {"auth": "s3cr3t!"}}}).to_string()).unwrap();
            podskew.until_logged("registry credentials not reloaded").await;
            shows_no_secret(&podskew, &host, state, &secrets_of(&registry)).await;
        }
    }
    // A proxy that refuses, and one that forwards.
    registry.set_authorization(bearer());
    registry.set_token_server("http://registry.example");
    registry.clear_faults();
    let (forwarding, forwarded) = proxy_to(registry.port()).await;
    let forwarding = forwarding.replace("http://", "http://proxy:s3cr3t-proxy@");
    let simulator = cluster("registry.example/web:1", &[&old]).await;
    let auth = file("config.json", &password().to_string().replace(&host, "registry.example"));
    for (proxy, state) in [(&proxy, "failed"), (&forwarding, "answered")] {
        let arguments =
            ["--registry", "registry.example=http://registry.example", "--registry-auth", auth.to_str().unwrap()];
        let podskew = serving(&simulator, &arguments, proxy).await;
        shows_no_secret(&podskew, "registry.example", state, &secrets_of(&registry)).await;
    }
    assert!(!forwarded.lock().unwrap().is_empty(), "the proxy was not used");
}
