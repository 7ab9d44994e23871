//! podskew with real registries, clients and runtimes: distribution 3, crane, Amazon's credential helper, and containerd
//! with a mirror. Only `make engines` builds or fetches the programs and runs these tests.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use crate::common::docker_registry::{
    Following, Pusher, RegistryServer, a_deleted_image_is_gone, ask, free_port, htpasswd, images_are_compared, is_gone,
    look, tls,
};
use crate::common::evidence::{change, web};
use crate::common::http::{proxy_to, request_head};
use crate::common::world::*;
use crate::needs::{Test, tests};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use podskew::registry::{RegistryAddress, RegistryOptions};
use podskew::report::registry::{ContentChange, Sameness};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

#[track_caller]
fn engine(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/engines").join(name);
    assert!(path.exists(), "there is no {}: make engines", path.display());
    path
}

fn distribution(storage: &Path, more: &str) -> RegistryServer {
    RegistryServer::start(&engine("registry"), storage, more)
}

/// Output of a program, which must succeed.
#[track_caller]
fn printed(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::main(flavor = "current_thread")]
async fn distribution_three_is_compared_as_docker_registry_is() {
    let storage = tempfile::tempdir().unwrap();
    images_are_compared(&distribution(storage.path(), "")).await;
}

#[tokio::main(flavor = "current_thread")]
async fn an_image_that_distribution_three_deletes_is_gone() {
    let storage = tempfile::tempdir().unwrap();
    a_deleted_image_is_gone(&distribution(storage.path(), "")).await;
}

/// crane, with the credentials in a folder.
struct Crane {
    folder: tempfile::TempDir,
    image: String,
}

impl Crane {
    fn run(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(engine("crane"));
        printed(command.args(arguments).arg("--insecure").env("DOCKER_CONFIG", self.folder.path()))
    }

    /// A layer as a tarball.
    fn layer(&self, text: &str) -> String {
        let (file, tarball) = (self.folder.path().join("app"), self.folder.path().join(format!("{text}.tar")));
        std::fs::write(&file, text).unwrap();
        let mut tar = Command::new("tar");
        tar.args(["--sort=name", "--mtime=2026-11-01T00:00:00Z", "--owner=0", "--group=0", "-cf"]);
        printed(tar.arg(&tarball).arg("-C").arg(self.folder.path()).arg("app"));
        tarball.display().to_string()
    }

    /// Pushes an image of this layer with a tag; returns its digest.
    fn push(&self, tag: &str, layer: &str, revision: &str) -> String {
        let to = format!("{}:{tag}", self.image);
        self.run(&["append", "--oci-empty-base", "-f", &self.layer(layer), "-t", &to]);
        let label = format!("org.opencontainers.image.revision={revision}");
        self.run(&["mutate", &to, "--set-platform", "linux/amd64", "--label", &label, "--cmd", "/app", "-t", &to]);
        self.digest(tag)
    }

    fn digest(&self, tag: &str) -> String {
        self.run(&["digest", &format!("{}:{tag}", self.image)])
    }
}

/// crane logs in, pushes, labels, indexes, moves and deletes. podskew reads the file that crane wrote, and reports the same
/// digests.
#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn images_pushed_by_crane_are_compared() {
    let storage = tempfile::tempdir().unwrap();
    let registry = distribution(storage.path(), &htpasswd(storage.path(), "user", "s3cr3t"));
    let folder = tempfile::tempdir().unwrap();
    let crane = Crane { image: format!("{}/web", registry.host()), folder };
    crane.run(&["auth", "login", &registry.host(), "-u", "user", "-p", "s3cr3t"]);
    let options = RegistryOptions { auth: Some(crane.folder.path().join("config.json")), ..registry.options("http") };
    let old = crane.push("1", "one", "9ab04d1");
    assert_eq!(look(&registry, &options, &[&old]).await, (1, None, Some(ContentChange::None)));
    let again = crane.push("1", "one", "77c8e21");
    assert_eq!(
        look(&registry, &options, &[&old, &again]).await,
        (2, Some(Sameness::SameContent), Some(ContentChange::Rebuilt))
    );
    let new = crane.push("1", "two", "3f2c1a9");
    let report = ask(&mut web(&format!("{}/web:1", registry.host()), &[&old, &new]), &options).await;
    let told = report.registry.as_ref().unwrap();
    assert_eq!((&*told.tags[0].digest, told.tags[0].change), (&*crane.digest("1"), ContentChange::Different));
    let revision = |digest: &str| told.build(digest).unwrap().revision.clone().unwrap();
    assert_eq!((&*revision(&old), &*revision(&new)), ("9ab04d1", "3f2c1a9"));
    // An index of the old image, with the tag.
    let by_tag = format!("{}:1", crane.image);
    crane.run(&["index", "append", "-m", &format!("{}@{old}", crane.image), "-t", &by_tag]);
    let index = crane.digest("1");
    assert_ne!(index, old);
    assert_eq!(look(&registry, &options, &[&old, &index]).await, (1, None, Some(ContentChange::None)));
    // Without the password nothing is known.
    let nobody = RegistryOptions { auth: None, ..options.clone() };
    assert_eq!(look(&registry, &nobody, &[&old]).await, (1, None, None));
    let following = Following::start(web(&format!("{}/web:1", registry.host()), &[&index]), &options);
    following.until("the tag", |report| change(report) == Some(ContentChange::None)).await;
    crane.run(&["tag", &format!("{}@{new}", crane.image), "1"]);
    following.until("the move", |report| change(report) == Some(ContentChange::Different)).await;
    crane.run(&["delete", &format!("{}@{new}", crane.image)]);
    following.until("its end", is_gone).await;
}

/// A request as received by the endpoints of AWS.
#[derive(Clone, Debug)]
struct Call {
    head: String,
    body: String,
}

/// The part of AWS that a credential helper needs: a role for a token of the cluster, and a password for the role.
struct Aws {
    url: String,
    calls: Arc<Mutex<Vec<Call>>>,
}

const ACCOUNT: &str = "123456789012";
const REGION: &str = "eu-central-1";

impl Aws {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let calls = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&calls);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(answer_one(stream, Arc::clone(&seen)));
            }
        });
        Self { url, calls }
    }
}

async fn answer_one(mut stream: TcpStream, seen: Arc<Mutex<Vec<Call>>>) {
    let Some(head) = request_head(&mut stream).await else { return };
    let length = |line: &str| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok();
    let length = head.lines().find_map(length);
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await.unwrap();
    let call = Call { head, body: String::from_utf8(body).unwrap() };
    let (status, media_type, text) = aws_answers(&call);
    seen.lock().unwrap().push(call);
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {media_type}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}",
        text.len()
    );
    let _ = stream.write_all(answer.as_bytes()).await;
}

/// In the form of the API references of STS and ECR.
fn aws_answers(call: &Call) -> (&'static str, &'static str, String) {
    let is_role = call.body.contains("Action=AssumeRoleWithWebIdentity")
        && call.body.contains("WebIdentityToken=t0ken-of-the-cluster")
        && call.body.contains("RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fpodskew");
    if is_role {
        let text = "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
             <AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ASIAPODSKEW</AccessKeyId>\
             <SecretAccessKey>s3cr3t-key</SecretAccessKey><SessionToken>s3cr3t-session</SessionToken>\
             <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult>\
             </AssumeRoleWithWebIdentityResponse>";
        return ("200 OK", "text/xml", text.to_owned());
    }
    let head = call.head.to_ascii_lowercase();
    let is_password = head.contains("x-amz-target: amazonec2containerregistry_v20150921.getauthorizationtoken")
        && head.contains("credential=asiapodskew/")
        && head.contains(&format!("/{REGION}/ecr/aws4_request"))
        && head.contains("x-amz-security-token: s3cr3t-session");
    if is_password {
        let data = json!({
            "authorizationToken": STANDARD.encode("AWS:s3cr3t-password"), "expiresAt": 4_070_908_800_i64,
            "proxyEndpoint": format!("https://{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"),
        });
        return ("200 OK", "application/x-amz-json-1.1", json!({ "authorizationData": [data] }).to_string());
    }
    ("400 Bad Request", "application/x-amz-json-1.1", json!({"__type": "AccessDeniedException"}).to_string())
}

/// The helper exchanges the cluster's token for a role at STS, like on EKS (IRSA), and the role for a password at ECR.
/// podskew sends the password to the registry, which is reached by its own name through a proxy.
#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn amazons_helper_opens_a_registry_of_ecr_by_the_role_of_the_pod() {
    let host = format!("{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com");
    let storage = tempfile::tempdir().unwrap();
    let open = distribution(storage.path(), "");
    let old = Pusher::to(&open).image(None, "one", "gzip", "9ab04d1").await;
    Pusher::to(&open).image(Some("1"), "two", "gzip", "3f2c1a9").await;
    let (authority, tls) = tls(storage.path(), &host);
    let closed = distribution(storage.path(), &format!("{tls}{}", htpasswd(storage.path(), "AWS", "s3cr3t-password")));
    let (aws, (proxy, proxied)) = (Aws::start().await, proxy_to(closed.port()).await);
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir(at("helpers")).unwrap();
    std::fs::copy(engine("docker-credential-ecr-login"), at("helpers/docker-credential-ecr-login")).unwrap();
    std::fs::write(at("config.json"), json!({"credHelpers": {&host: "ecr-login"}}).to_string()).unwrap();
    std::fs::write(at("token"), "t0ken-of-the-cluster").unwrap();
    let image = format!("{host}/web:1");
    let items = [
        deployment(&image).with("/apiVersion", "apps/v1"),
        replica_set("h1", &image, 1, -4000).with("/apiVersion", "apps/v1"),
        pod("p0").image(&image).image_id(&format!("{host}/web@{old}")).with("/apiVersion", "v1"),
    ];
    std::fs::write(at("cluster.json"), json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string())
        .unwrap();
    let audit = |endpoint: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_podskew"));
        command.args(["audit", "-o", "json", "--log-level", "trace", "--registry", &host]).env_clear();
        command.arg("-f").arg(at("cluster.json")).arg("--registry-auth").arg(at("config.json"));
        command.arg("--registry-helpers").arg(at("helpers")).arg("--registry-ca").arg(&authority);
        command.env("HTTPS_PROXY", &proxy).env("NO_PROXY", "127.0.0.1").env("AWS_ENDPOINT_URL", endpoint);
        command.env("AWS_ENDPOINT_URL_STS", endpoint);
        command.env("AWS_ROLE_ARN", format!("arn:aws:iam::{ACCOUNT}:role/podskew"));
        command.env("AWS_WEB_IDENTITY_TOKEN_FILE", at("token")).env("AWS_REGION", REGION);
        let output = command.output().unwrap();
        let [printed, log] = [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap());
        for secret in ["s3cr3t", "t0ken", &STANDARD.encode("AWS:s3cr3t-password")] {
            assert!(!printed.contains(secret) && !log.contains(secret), "{printed}\n{log}");
        }
        (serde_json::from_str::<Value>(&printed).unwrap_or_else(|error| panic!("{error}: {printed}\n{log}")), log)
    };
    let (report, log) = audit(&aws.url);
    let tag = &report["workloads"][0]["registry"]["tags"][0];
    assert_eq!(tag["change"], "different", "{report}\n{log}\n{:?}", aws.calls.lock().unwrap());
    assert!(proxied.lock().unwrap().iter().all(|line| line.starts_with(&format!("CONNECT {host}:443 "))));
    let calls = aws.calls.lock().unwrap().len();
    assert_eq!(calls, 2, "one for the role, one for the password: {:?}", aws.calls.lock().unwrap());
    // AWS returns no password: podskew reports only what failed.
    let (report, log) = audit(&format!("http://127.0.0.1:{}", free_port()));
    assert_eq!(report["workloads"][0]["registry"]["tags"].as_array().map_or(0, Vec::len), 0, "{report}");
    assert!(log.contains("the credential helper ecr-login has none for"), "{log}");
}

/// A node: a containerd that pulls images of `registry.example` from a mirror first.
struct Containerd {
    process: Child,
    folder: tempfile::TempDir,
}

impl Containerd {
    fn start(mirror: &RegistryServer, registry: &RegistryServer) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let hosts = folder.path().join("certs/registry.example");
        std::fs::create_dir_all(&hosts).unwrap();
        let (mirror, registry) = (mirror.host(), registry.host());
        let text = format!(
            "server = \"http://{registry}\"\n[host.\"http://{mirror}\"]\ncapabilities = [\"pull\", \"resolve\"]\n"
        );
        std::fs::write(hosts.join("hosts.toml"), text).unwrap();
        let configuration = format!(
            "version = 2\nroot = \"{}\"\nstate = \"{}\"\n[grpc]\naddress = \"{}\"\n\
             [plugins.\"io.containerd.grpc.v1.cri\"]\ndisable_tcp_service = true\ndisable_apparmor = true\n\
             [plugins.\"io.containerd.grpc.v1.cri\".containerd]\nsnapshotter = \"native\"\n\
             [plugins.\"io.containerd.grpc.v1.cri\".registry]\nconfig_path = \"{}\"\n\
             [plugins.\"io.containerd.grpc.v1.cri\".cni]\nbin_dir = \"{}\"\nconf_dir = \"{}\"\n",
            at("root"),
            at("state"),
            at("sock"),
            at("certs"),
            at("cni"),
            at("cni.d")
        );
        std::fs::write(folder.path().join("config.toml"), configuration).unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        // containerd unpacks layers with mounts, which any user may do in a namespace.
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "containerd", "--config"]).arg(at("config.toml"));
        let process = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let node = Self { process, folder };
        let begun = Instant::now();
        while !node.cri(&["version"]).output().unwrap().status.success() {
            let log = std::fs::read_to_string(node.folder.path().join("log")).unwrap();
            assert!(begun.elapsed() < Duration::from_secs(60), "containerd does not start: {log}");
            std::thread::sleep(Duration::from_millis(100));
        }
        node
    }

    fn cri(&self, arguments: &[&str]) -> Command {
        let socket = format!("unix://{}", self.folder.path().join("sock").display());
        let mut command = Command::new(engine("crictl"));
        command.args(["--runtime-endpoint", &socket, "--image-endpoint", &socket, "--timeout", "60s"]).args(arguments);
        command
    }

    fn pull(&self, image: &str) {
        printed(&mut self.cri(&["pull", image]));
    }

    /// The names of its images, as reported by a kubelet: digests, then tags.
    fn names(&self) -> Vec<Vec<String>> {
        let images: Value = serde_json::from_str(&printed(&mut self.cri(&["images", "-o", "json"]))).unwrap();
        let texts = |list: &Value| {
            list.as_array().unwrap().iter().map(|it| it.as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let names = |image: &Value| [texts(&image["repoDigests"]), texts(&image["repoTags"])].concat();
        images["images"].as_array().unwrap().iter().map(names).collect()
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The steps of `containerd-mirror.json`, with the installed programs.
#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_pulls_by_a_mirror_and_the_mirror_say_the_same_of_images() {
    let storages = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [mirror, registry] = [distribution(storages[0].path(), ""), distribution(storages[1].path(), "")];
    let crane =
        |of: &RegistryServer| Crane { folder: tempfile::tempdir().unwrap(), image: format!("{}/shop/web", of.host()) };
    let (old, new) = (crane(&mirror).push("old", "one", "9ab04d1"), crane(&mirror).push("new", "two", "3f2c1a9"));
    crane(&registry).push("2", "one", "9ab04d1");
    let pusher = Pusher::to_repository(&mirror, "shop/web");
    let node_a = Containerd::start(&mirror, &registry);
    let image = "registry.example/shop/web:1";
    let by = |digest: &str| format!("registry.example/shop/web@{digest}");
    let first = pusher.index(Some("1"), &old, "first").await;
    node_a.pull(image);
    assert_eq!(node_a.names(), [[by(&first), image.to_owned()]], "the mirror is not recorded");
    let second = pusher.index(Some("1"), &old, "second").await;
    node_a.pull(image);
    let mut digests = vec![by(&first), by(&second)];
    digests.sort();
    assert_eq!(node_a.names(), [[digests, vec![image.to_owned()]].concat()]);
    // The node's list joins the two, and so does the mirror.
    let options = RegistryOptions {
        registries: vec![RegistryAddress::parse(&format!("registry.example=http://{}", mirror.host())).unwrap()],
        ..RegistryOptions::default()
    };
    let names = node_a.names();
    let names: Vec<&[String]> = names.iter().map(Vec::as_slice).collect();
    let mut world = web(image, &[&first, &second]);
    assert_eq!(world.report("deployment/web").containers[0].distinct_digests, 2);
    let report = ask(&mut world, &options).await;
    assert_eq!((report.containers[0].distinct_digests, change(&report)), (1, Some(ContentChange::None)));
    let mut world = World::new();
    world.put(&deployment(image)).put(&replica_set("h1", image, 1, -4000));
    for (name, digest) in [("p0", &first), ("p1", &second)] {
        world.put(&pod(name).image(image).image_id(&by(digest)).with("/spec/nodeName", "a"));
    }
    assert_eq!(world.report("deployment/web").containers[0].distinct_digests, 2);
    let report = world.nodes(&[node("a", "amd64", &names)]).report("deployment/web");
    assert_eq!(report.containers[0].distinct_digests, 1);
    // Another build: the node keeps the old one until the next pull, and podskew knows the new one.
    let third = pusher.index(Some("1"), &new, "third").await;
    let report = ask(&mut world, &options).await;
    assert_eq!(change(&report), Some(ContentChange::Different));
    assert_eq!(&*report.registry.as_ref().unwrap().tags[0].digest, third);
    assert!(node_a.names().iter().all(|names| !names.contains(&by(&third))));
    // If the mirror lacks an image, the node gets it from the registry; so it is unknown here, and not gone.
    let other = "registry.example/shop/web:2";
    node_a.pull(other);
    assert!(node_a.names().iter().any(|names| names.contains(&other.to_owned())));
    let following = Following::start(web(other, &[&old]), &options);
    following.until("an answer", |_| following.references("not_found") > 0.0).await;
    tokio::time::sleep(crate::common::docker_registry::quick().gone_again * 3).await;
    following.until("nothing", |report| !is_gone(report) && change(report).is_none()).await;
}

/// The tests and their requirements.
pub fn tests() -> Vec<Test> {
    tests![
        distribution_three_is_compared_as_docker_registry_is: [DISTRIBUTION],
        an_image_that_distribution_three_deletes_is_gone: [DISTRIBUTION],
        images_pushed_by_crane_are_compared: [DISTRIBUTION, CRANE, HTPASSWD],
        amazons_helper_opens_a_registry_of_ecr_by_the_role_of_the_pod: [DISTRIBUTION, ECR_LOGIN, HTPASSWD],
        a_node_that_pulls_by_a_mirror_and_the_mirror_say_the_same_of_images: [CONTAINERD, CRANE, CRICTL, DISTRIBUTION, UNSHARE],
    ]
}
