//! `podskew audit` as a user runs it: the real binary, files, a simulated API server, and every exit code.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use crate::common::exporter::resource_of;
use crate::common::exporter::{fill, fill_from, objects, simulator};
use crate::common::tape::path;
use regex::Regex;
use serde_json::{Value, json};
use simulator::{Demo, DemoConfig, Fault, ImageRegistry, Simulator};
use simulator::{Resource, Time};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_podskew"));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("PODSKEW_") || name.starts_with("KUBE") || name == "COLUMNS" {
            command.env_remove(name);
        }
    }
    command.arg("audit").args(arguments).stdin(Stdio::null());
    command
}

fn podskew(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[track_caller]
fn ends(output: &Output, code: i32) -> String {
    let (out, error) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{error}\n{out}");
    out
}

/// Cannot read: exit code 2, nothing on stdout, and these words on stderr.
#[track_caller]
fn cannot_look(arguments: &[&str], words: &[&str]) {
    refused(&podskew(arguments), words);
}

#[track_caller]
fn refused(output: &Output, words: &[&str]) {
    let error = text(&output.stderr);
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(2), ""), "{error}");
    assert!(error.starts_with("error: "), "{error}");
    for word in words {
        assert!(error.contains(word), "{word:?} is missing in: {error}");
    }
}

fn dump(scenario: &str) -> String {
    path(&format!("{scenario}.dump.json"))
}

/// A simulated cluster and its kubeconfig.
struct Cluster {
    simulator: Simulator,
    folder: tempfile::TempDir,
}

impl Cluster {
    async fn empty() -> Self {
        let (simulator, folder) = (simulator().await, tempfile::tempdir().unwrap());
        simulator.write_kubeconfig(&folder.path().join("kubeconfig")).unwrap();
        Self { simulator, folder }
    }

    async fn with(scenarios: &[&str]) -> Self {
        let cluster = Self::empty().await;
        for scenario in scenarios {
            fill_from(cluster.simulator.store(), scenario);
        }
        cluster
    }

    fn kubeconfig(&self) -> String {
        self.folder.path().join("kubeconfig").to_str().unwrap().to_owned()
    }

    async fn run(&self, arguments: &[&str]) -> Output {
        let mut command = command(arguments);
        command.args(["--kubeconfig", &self.kubeconfig()]);
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    fn start(&self, arguments: &[&str]) -> std::process::Child {
        let mut command = command(arguments);
        command.args(["--kubeconfig", &self.kubeconfig()]).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }
}

async fn end_of(child: std::process::Child) -> Output {
    tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap()
}

#[test]
fn the_exit_code_follows_the_findings() {
    ends(&podskew(&["-f", &dump("digest-skew")]), 1);
    ends(&podskew(&["-f", &dump("stuck")]), 1);
    let held = ends(&podskew(&["-f", &dump("paused")]), 0);
    assert!(held.contains("deliberate mix") && held.contains("reported, not a failure"), "{held}");
    ends(&podskew(&["-f", &dump("paused"), "--no-deliberate"]), 1);
    let agent = ends(&podskew(&["-f", &dump("daemonset"), "ds/agent"]), 0);
    assert!(
        agent.starts_with("1 workload with 4 pods in ") && agent.ends_with("1 uniform. Verdict: uniform.\n"),
        "{agent}"
    );
    ends(&podskew(&["-f", &dump("digest-skew"), "-l", "nothing=here"]), 2);
    ends(&podskew(&["-f", &dump("digest-skew"), "-l", "nothing=here", "--allow-empty"]), 0);
}

#[test]
fn a_file_is_read_by_name_or_from_a_pipe_and_may_be_only_a_list_of_pods() {
    let mut pods: Value = serde_json::from_str(&std::fs::read_to_string(dump("digest-skew")).unwrap()).unwrap();
    pods["items"].as_array_mut().unwrap().retain(|item| item["kind"] == "Pod");
    let piped = |arguments: &[&str], input: &[u8]| {
        let mut child =
            command(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        child.wait_with_output().unwrap()
    };
    let out = ends(&piped(&["-f", "-"], pods.to_string().as_bytes()), 0);
    assert!(out.contains("unknown digest skew") && out.contains("Note: there are no replicasets in it"), "{out}");
    ends(&piped(&["-f", "-", "--injected"], pods.to_string().as_bytes()), 1);
    ends(&piped(&["-f", "-", "--strict"], pods.to_string().as_bytes()), 3);
    ends(&piped(&["-f", "-", "-l", "app=other"], pods.to_string().as_bytes()), 2);
    let whole = std::fs::read(dump("digest-skew")).unwrap();
    ends(&piped(&["-f", "-"], &whole), 1);
    ends(&piped(&["-f", "-", "-n", "elsewhere"], &whole), 2);
    // Output of several calls of kubectl, concatenated.
    let both = [whole, std::fs::read(dump("stuck")).unwrap()].concat();
    let out = ends(&piped(&["-f", "-"], &both), 1);
    assert!(out.contains("2 workloads with 13 pods in standard input"), "{out}");
}

#[test]
fn other_files_than_dumps_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let whole = std::fs::read(dump("stuck")).unwrap();
    let cut = file("cut.json", &whole[..whole.len() / 2]);
    cannot_look(&["-f", &cut], &["cut.json", "truncated JSON at byte 17349", "after 3 objects", "cut short"]);
    cannot_look(&["-f", &file("a.yaml", b"apiVersion: v1\nkind: [\n")], &["a.yaml", "broken YAML", "-o json"]);
    cannot_look(&["-f", &file("table", b"NAME  READY\nweb   1/1\n")], &["table", "-o json"]);
    cannot_look(&["-f", &file("other.json", b"{\"a\": 1}")], &["has no kind"]);
    cannot_look(&["-f", &file("nothing", b"")], &["it is empty"]);
    cannot_look(&["-f", "/nowhere.json"], &["/nowhere.json", "No such file"]);
    let empty = file("empty.json", br#"{"apiVersion":"v1","items":[],"kind":"List"}"#);
    let out = ends(&podskew(&["-f", &empty]), 2);
    assert!(out.contains("Verdict: nothing was selected"), "{out}");
    ends(&podskew(&["-f", &empty, "--allow-empty"]), 0);
}

/// Runs an audit with these options, and with this standard input.
fn fed(arguments: &[&str], input: &[u8]) -> Output {
    let mut child =
        command(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The process may end without reading.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

#[test]
fn a_pipe_is_of_now_and_a_file_of_its_time() {
    let json = |output: &Output| serde_json::from_str::<Value>(&text(&output.stdout)).unwrap();
    let bytes = std::fs::read(dump("stuck")).unwrap();
    let before = podskew::time::UnixTime::now();
    let piped = json(&fed(&["-f", "-", "-o", "json"], &bytes));
    let taken = podskew::time::UnixTime::parse(piped["taken"].as_str().unwrap()).unwrap();
    assert!(taken >= before && piped["taken_from"] == "clock", "{piped}");
    let file = json(&podskew(&["-f", &dump("stuck"), "-o", "json"]));
    assert_eq!((&file["taken_from"], &file["workloads"]), (&json!("contents"), &piped["workloads"]));
    assert!(file["taken"].as_str() < piped["taken"].as_str());
    // A shell's `<` opens a file.
    let stdin = std::fs::File::open(dump("stuck")).unwrap();
    let redirected = json(&command(&["-f", "-", "-o", "json"]).stdin(stdin).output().unwrap());
    assert_eq!((&redirected["taken"], &redirected["taken_from"]), (&file["taken"], &file["taken_from"]));
    let told = json(&podskew(&["-f", &dump("stuck"), "--taken", "2026-11-22T09:00:00+01:00", "-o", "json"]));
    assert_eq!((&told["taken"], &told["taken_from"]), (&json!("2026-11-22T08:00:00Z"), &json!("option")));
    let out = ends(&podskew(&["-f", &dump("stuck")]), 1);
    assert!(out.contains("at least "), "{out}");
    let out = ends(&podskew(&["-f", &dump("stuck"), "--taken", "2026-11-22T08:00:00Z"]), 1);
    assert!(!out.contains("at least ") && out.contains("d)") | out.contains("h)"), "{out}");
    cannot_look(&["--taken", "2026-11-22T08:00:00Z"], &["--taken", "--filename"]);
    cannot_look(&["-f", &dump("stuck"), "--taken", "yesterday"], &["--taken", "'yesterday'", "2026-11-30T08:00:00Z"]);
    cannot_look(&["-f", "-", "-f", "-"], &["standard input twice"]);
}

#[test]
fn skipped_objects_are_counted_at_info() {
    let folder = tempfile::tempdir().unwrap();
    let mut all: Value = serde_json::from_slice(&std::fs::read(dump("digest-skew")).unwrap()).unwrap();
    let plain = podskew(&["-f", &dump("digest-skew")]);
    let items = all["items"].as_array_mut().unwrap();
    for kind in ["Node", "Event", "Event"] {
        items.push(json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "x"}}));
    }
    let file = folder.path().join("dump.json");
    std::fs::write(&file, all.to_string()).unwrap();
    std::fs::write(folder.path().join("web.log"), "started").unwrap();
    std::os::unix::fs::symlink("/dev/zero", folder.path().join("zero.json")).unwrap();
    let file = file.to_str().unwrap();
    let same = |text: &str, path: &str| text.replace(path, &dump("digest-skew"));
    let quiet = podskew(&["-f", file]);
    assert_eq!((same(&text(&quiet.stdout), file), text(&quiet.stderr)), (text(&plain.stdout), String::new()));
    let told = podskew(&["-f", folder.path().to_str().unwrap(), "--log-level", "info"]);
    let log = text(&told.stderr);
    for part in ["Event=2 Node=1", "objects=3", "links=1", "files=1"] {
        assert!(log.contains(part), "{part}: {log}");
    }
    assert_eq!(same(&text(&told.stdout), folder.path().to_str().unwrap()), text(&plain.stdout));
}

#[test]
fn several_files_are_one_cluster_for_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let all: Value = serde_json::from_slice(&std::fs::read(dump("paused")).unwrap()).unwrap();
    let mut arguments: Vec<String> = Vec::new();
    for kind in ["Pod", "ReplicaSet", "Deployment"] {
        let mut items = all["items"].as_array().unwrap().clone();
        items.retain(|item| item["kind"] == kind);
        let file = folder.path().join(format!("{kind}.json"));
        std::fs::write(&file, json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()).unwrap();
        arguments.extend(["-f".to_owned(), file.to_str().unwrap().to_owned()]);
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let run = |command: &[&str], files: &[&str]| {
        let mut podskew = Command::new(env!("CARGO_BIN_EXE_podskew"));
        podskew.args(command).args(files).env_clear().stdin(Stdio::null()).output().unwrap()
    };
    let plain = dump("paused");
    for command in [&["explain", "deploy/api", "-o", "json"][..], &["diff", "deploy/api"], &["audit", "-o", "junit"]] {
        let (several, one) = (run(command, &arguments), run(command, &["-f", &plain]));
        let names = arguments.iter().filter(|word| **word != "-f").copied().collect::<Vec<_>>().join(", ");
        let several_said =
            text(&several.stdout).replace(&names, &plain).replace(&arguments.join(" "), &format!("-f {plain}"));
        assert_eq!((several_said, several.status.code()), (text(&one.stdout), one.status.code()), "{command:?}");
    }
    // If one kind is missing, a note shows the command that prints it.
    let out = text(&run(&["audit"], &arguments[..2]).stdout);
    assert!(out.contains("add what kubectl get replicasets -A -o json prints, with another -f"), "{out}");
}

#[test]
fn invalid_arguments_are_refused_with_the_remedy() {
    let file = dump("daemonset");
    cannot_look(&["-f", &file, "service/api"], &["'service' is not a type of workload", "deployment (deploy)"]);
    cannot_look(&["-f", &file, "ds"], &["ds/NAME"]);
    cannot_look(&["-f", &file, "ds/cmi"], &["there is no daemonset/cmi", "did you mean daemonset/cni?"]);
    cannot_look(&["-f", &file, "-l", "a=b=c"], &["--selector", "'a=b=c'", "write it like"]);
    cannot_look(&["-f", &file, "-o", "xml"], &["--output", "'xml'", "junit"]);
    cannot_look(&["-f", &file, "--wait", "1m"], &["--wait", "--filename"]);
    cannot_look(&["--wait", "soon"], &["--wait", "'soon'", "10m"]);
    cannot_look(&["-n", "shop", "-A"], &["--namespace", "--all-namespaces"]);
    cannot_look(&["--kubeconfig", "/nowhere"], &["/nowhere"]);
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("config");
    std::fs::write(&broken, "users: [{user: {token: s3cr3t}").unwrap();
    let output = podskew(&["--kubeconfig", broken.to_str().unwrap()]);
    refused(&output, &["is not a kubeconfig"]);
    assert!(!text(&output.stderr).contains("s3cr3t"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cluster_is_the_one_of_kubectl() {
    let cluster = Cluster::empty().await;
    fill(cluster.simulator.store());
    // The context's namespace is `default`, which is empty.
    let output = cluster.run(&[]).await;
    let out = ends(&output, 2);
    let error = text(&output.stderr);
    assert!(error.starts_with("error: nothing was selected in namespace default of"), "{error}");
    let count = "the other namespaces have 3 Deployments, 1 StatefulSet and 2 DaemonSets: read all namespaces with -A";
    assert!(error.contains(count), "{error}");
    assert!(out.contains("0 workloads with 0 pods in namespace default of http://127.0.0.1:"), "{out}");
    let out = ends(&cluster.run(&["-A"]).await, 1);
    assert!(out.contains("6 workloads with 33 pods in all namespaces of http://127.0.0.1:"), "{out}");
    let out = ends(&cluster.run(&["-n", "stuck", "-n", "paused"]).await, 1);
    assert!(out.contains("2 workloads with 13 pods in namespaces paused, stuck of"), "{out}");
    ends(&cluster.run(&["-n", "digest-skew", "deploy", "web"]).await, 1);
    refused(&cluster.run(&["-n", "digest-skew", "deploy/wbe"]).await, &["did you mean deployment/web?"]);
    refused(&cluster.run(&["--context", "prod"]).await, &["no context \"prod\"", "there are: simulator"]);
    assert!(cluster.simulator.requests().iter().all(|request| !request.path.contains("watch=")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_namespace_of_a_context_shows_the_number_of_workloads_elsewhere() {
    let cluster = Cluster::empty().await;
    fill(cluster.simulator.store());
    let asked = |cluster: &Cluster| {
        let requests = cluster.simulator.requests();
        let all = requests.iter().filter(|request| request.path == "/apis/apps/v1/deployments");
        all.map(|request| request.query.clone()).collect::<Vec<_>>()
    };
    let hint = "read all namespaces with -A, another with -n NAMESPACE, or use --allow-empty";
    for arguments in [&["--wait", "20s"][..], &["-o", "json"], &[]] {
        let output = cluster.run(arguments).await;
        ends(&output, 2);
        let error = text(&output.stderr);
        assert!(error.contains(&format!("3 Deployments, 1 StatefulSet and 2 DaemonSets: {hint}")), "{error}");
    }
    assert_eq!(asked(&cluster), ["limit=1"; 3]);
    // With a selector, or a namespace in the options, the count would be of something else.
    for arguments in [&["-l", "a=b"][..], &["-n", "nowhere"], &["-A", "-l", "a=b"]] {
        let output = cluster.run(arguments).await;
        ends(&output, 2);
        assert!(!text(&output.stderr).contains("the other namespaces"), "{}", text(&output.stderr));
    }
    let nothing = Cluster::empty().await;
    let output = nothing.run(&[]).await;
    ends(&output, 2);
    assert!(text(&output.stderr).contains("the other namespaces have no workloads either"), "{}", text(&output.stderr));
}

/// An API server that lists nothing in a namespace, and only the given objects in all namespaces.
fn lists_nothing_but(everywhere: fn(&mut TcpStream)) -> (tempfile::TempDir, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map(Result::unwrap) {
            std::thread::spawn(move || {
                let mut head = BufReader::new(stream.try_clone().unwrap()).lines();
                loop {
                    let Some(Ok(request)) = head.next() else { return };
                    while head.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
                    if request.contains("/namespaces/") {
                        answer(
                            &mut stream,
                            "200 OK",
                            r#"{"kind": "List", "metadata": {"resourceVersion": "1"}, "items": []}"#,
                        );
                    } else {
                        everywhere(&mut stream);
                    }
                }
            });
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kubeconfig");
    let kubeconfig = json!({
        "current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
        "clusters": [{"name": "c", "cluster": {"server": server}}], "users": [{"name": "c", "user": {}}]
    });
    std::fs::write(&file, kubeconfig.to_string()).unwrap();
    let file = file.to_str().unwrap().to_owned();
    (folder, file)
}

fn answer(stream: &mut TcpStream, status: &str, body: &str) {
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}", body.len());
    let _ = write!(stream, "{head}\r\n\r\n{body}");
}

/// The number of other workloads is optional: there is a short timeout for it, and no right is required.
#[test]
fn if_other_workloads_cannot_be_counted_the_remedy_is_shown_soon() {
    let hint = "; read all namespaces with -A, another with -n NAMESPACE, or use --allow-empty\n";
    let forbidden: fn(&mut TcpStream) = |stream| answer(stream, "403 Forbidden", r#"{"kind": "Status", "code": 403}"#);
    let silent: fn(&mut TcpStream) = |_| std::thread::sleep(Duration::from_secs(60));
    let garbage: fn(&mut TcpStream) = |stream| answer(stream, "200 OK", "<html>");
    // If the server does not know the remaining count, it is omitted.
    let uncounted: fn(&mut TcpStream) =
        |stream| answer(stream, "200 OK", r#"{"metadata": {"continue": "x"}, "items": [{"metadata": {"name": "a"}}]}"#);
    for (name, everywhere) in
        [("forbidden", forbidden), ("silent", silent), ("garbage", garbage), ("uncounted", uncounted)]
    {
        let (_folder, kubeconfig) = lists_nothing_but(everywhere);
        let begun = Instant::now();
        let output = podskew(&["--kubeconfig", &kubeconfig]);
        let error = text(&output.stderr);
        assert!(output.status.code() == Some(2) && error.ends_with(hint), "{name}: {error}");
        assert!(!error.contains("the other namespaces"), "{name}: {error}");
        assert!(begun.elapsed() < Duration::from_secs(6), "{name}: {:?}", begun.elapsed());
    }
    let counted: fn(&mut TcpStream) = |stream| {
        let body =
            r#"{"metadata": {"continue": "x", "remainingItemCount": 41}, "items": [{"metadata": {"name": "a"}}]}"#;
        answer(stream, "200 OK", body);
    };
    let (_folder, kubeconfig) = lists_nothing_but(counted);
    let error = text(&podskew(&["--kubeconfig", &kubeconfig]).stderr);
    assert!(
        error.contains("the other namespaces have 42 Deployments, 42 StatefulSets and 42 DaemonSets: read"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unreadable_workload_is_not_reported_as_missing() {
    let cluster = Cluster::with(&["paused"]).await;
    cluster.simulator.inject(Some(Resource::ReplicaSets), Fault::Status(403));
    refused(
        &cluster.run(&["-n", "paused", "deploy/api"]).await,
        &[
            "cannot tell whether there is a deployment/api in namespace paused",
            "replicasets may not be listed",
            "grant a Role",
        ],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forbidden_list_is_named_with_its_rule() {
    let cluster = Cluster::with(&["paused"]).await;
    cluster.simulator.inject(Some(Resource::Pods), Fault::Status(403));
    let rule = r#"grant a Role in namespace paused with {apiGroups: [""], resources: ["pods"], verbs: ["list"]}"#;
    refused(
        &cluster.run(&["-n", "paused"]).await,
        &["cannot look at http://127.0.0.1:", "simulator", "cannot list pods", rule],
    );
    cluster.simulator.clear_faults();
    cluster.simulator.inject(None, Fault::Status(401));
    refused(&cluster.run(&["-n", "paused"]).await, &["cannot list pods", "log in again"]);
    cluster.simulator.clear_faults();
    cluster.simulator.inject(Some(Resource::Deployments), Fault::Status(403));
    let out = ends(&cluster.run(&["-n", "paused"]).await, 1);
    assert!(out.contains("mixed template hashes") && out.contains("Note: deployments may not be listed"), "{out}");
    refused(&cluster.run(&["-n", "paused", "--wait", "30s"]).await, &["cannot tell when deployment/api is rolled out"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_not_there_is_named() {
    let cluster = Cluster::empty().await;
    let kubeconfig = cluster.simulator.kubeconfig().replace(&cluster.simulator.address().port().to_string(), "1");
    std::fs::write(cluster.folder.path().join("kubeconfig"), kubeconfig).unwrap();
    refused(&cluster.run(&["-A"]).await, &["http://127.0.0.1:1/", "cannot list pods", "kubectl version"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_ends_when_all_rollouts_are_complete() {
    let cluster = Cluster::with(&["stuck"]).await;
    let child = cluster.start(&["-n", "stuck", "deploy/api", "--wait", "50s"]);
    tokio::time::sleep(Duration::from_millis(800)).await;
    let store = cluster.simulator.store();
    // Rolled back: the old ReplicaSet is current again, the new pods terminate, and two old ones are created.
    let all = objects("stuck");
    let of_hash = |hash: &str| {
        let pods = all.iter().filter(|object| object["kind"] == "Pod");
        pods.filter(|pod| pod["metadata"]["labels"]["pod-template-hash"] == hash).cloned().collect::<Vec<Value>>()
    };
    for pod in of_hash("55558b5db8") {
        store.delete(Resource::Pods, "stuck", pod["metadata"]["name"].as_str().unwrap());
    }
    let set = all.iter().find(|object| object["metadata"]["name"] == "api-66df86594d").unwrap();
    let mut deployment = all.iter().find(|object| object["kind"] == "Deployment").unwrap().clone();
    let mut template = set["spec"]["template"].clone();
    template["metadata"]["labels"].as_object_mut().unwrap().remove("pod-template-hash");
    deployment["spec"]["template"] = template;
    deployment["metadata"]["generation"] = json!(9);
    deployment["status"]["observedGeneration"] = json!(9);
    let conditions = deployment["status"]["conditions"].as_array_mut().unwrap();
    for condition in conditions.iter_mut().filter(|condition| condition["type"] == "Progressing") {
        condition["reason"] = "NewReplicaSetAvailable".into();
        condition["lastUpdateTime"] = "2026-11-21T08:00:00Z".into();
    }
    let wanted = deployment["spec"]["replicas"].as_i64().unwrap();
    deployment["status"]["availableReplicas"] = json!(wanted);
    deployment["status"]["updatedReplicas"] = json!(wanted);
    store.put(Resource::Deployments, deployment);
    tokio::time::sleep(Duration::from_millis(800)).await;
    let pattern = of_hash("66df86594d")[0].clone();
    let have = i64::try_from(of_hash("66df86594d").len()).unwrap();
    for number in have..wanted {
        let mut pod = pattern.clone();
        pod["metadata"]["name"] = format!("api-66df86594d-new{number}").into();
        pod["metadata"]["uid"] = format!("new-{number}").into();
        store.put(Resource::Pods, pod);
    }
    let output = end_of(child).await;
    let out = ends(&output, 0);
    assert!(out.ends_with("1 uniform. Verdict: uniform.\n"), "{out}");
    let log = text(&output.stderr);
    assert!(log.contains("0 of 1 workloads") && log.contains("deployment/api stalled"), "{log}");
    assert!(log.lines().last().unwrap().contains("1 of 1 workloads"), "{log}");
    assert!(!log.contains('\u{1b}') && log.lines().count() < 12, "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_ends_with_a_report_at_the_timeout() {
    let cluster = Cluster::with(&["stuck", "digest-skew"]).await;
    let began = Instant::now();
    let out = ends(&cluster.run(&["-A", "--wait", "1s", "-o", "json"]).await, 4);
    assert!(began.elapsed() < Duration::from_secs(20));
    let json: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&json["verdict"], &json["exit_code"]), (&json!("timed_out"), &json!(4)));
    assert_eq!(json["workloads"][0]["found"][0]["finding"], "digest_skew");
    let out = ends(&cluster.run(&["-n", "stuck", "deploy/new", "--wait", "1s"]).await, 4);
    assert!(out.contains("Note: there is still no deployment/new in"), "{out}");
    // A rollout that is held does not change by waiting.
    let cluster = Cluster::with(&["paused", "daemonset"]).await;
    ends(&cluster.run(&["-n", "daemonset", "ds/cni", "--wait", "1s"]).await, 0);
    ends(&cluster.run(&["-n", "daemonset", "ds/cni", "--wait", "1s", "--no-deliberate"]).await, 4);
    // It is reported, with its pods.
    let out = ends(&cluster.run(&["-n", "daemonset", "-n", "paused", "--wait", "1s"]).await, 0);
    assert!(out.contains("delete pod cni-") && out.contains("api-cf4479f4d-8jkc5  node-0003"), "{out}");
    let out = ends(&cluster.run(&["-n", "nowhere", "--wait", "20s"]).await, 2);
    assert!(out.contains("nothing was selected"), "{out}");
    ends(&cluster.run(&["-n", "nowhere", "--wait", "20s", "--allow-empty"]).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workload_that_is_not_there_yet_is_waited_for() {
    let cluster = Cluster::empty().await;
    let child = cluster.start(&["-n", "daemonset", "ds/cni", "--wait", "50s"]);
    tokio::time::sleep(Duration::from_millis(700)).await;
    for object in objects("daemonset") {
        cluster.simulator.store().put(resource_of(&object), object);
    }
    let output = end_of(child).await;
    ends(&output, 0);
    assert!(text(&output.stderr).contains("daemonset/cni does not exist yet"), "{}", text(&output.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_names_the_current_hash_first() {
    let cluster = Cluster::with(&["paused"]).await;
    let child = cluster.start(&["-n", "paused", "--no-deliberate", "--wait", "1s"]);
    let output = end_of(child).await;
    let log = text(&output.stderr);
    assert!(log.contains("deliberate mix: 765f5f5f9c 3 pods, 3 ready (current); cf4479f4d 5 pods"), "{log}");
}

/// The audit at the top of the README is the output for the demo, line by line; `…` replaces some lines.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_readme_shows_an_audit_of_the_demo() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let (_, rest) = readme.split_once("```console\n$ podskew audit -A\n").unwrap();
    let (shown, _) = rest.split_once("```").unwrap();
    let cluster = Cluster::empty().await;
    // As in `podskew demo`: its images are in a registry.
    let images = ImageRegistry::start(None).await.unwrap();
    let _demo = Demo::begin_with(cluster.simulator.store(), &DemoConfig::default(), Time::now(), &images);
    let printed = ends(&cluster.run(&["-A"]).await, 1);
    // Columns are as wide as their content.
    let times = Regex::new(r"\d{4}-\d\d-\d\d \d\d:\d\d|(\d+[smhd])+").unwrap();
    let columns = Regex::new(r"\b {2,}").unwrap();
    let timeless = |text: &str| columns.replace_all(&times.replace_all(text, "TIME"), "  ").into_owned();
    let (shown, printed) = (timeless(shown), timeless(&printed));
    let mut rest: Vec<&str> = printed.lines().collect();
    let mut skips = false;
    for line in shown.lines() {
        if line == "…" {
            skips = true;
            continue;
        }
        assert!(line.chars().count() <= 100, "the line is too long: {line}");
        let at = rest.iter().position(|printed| *printed == line);
        let at = at.unwrap_or_else(|| panic!("podskew does not print {line:?} at this place: {printed}"));
        assert!(at == 0 || skips, "lines before {line:?} without …: {printed}");
        (rest, skips) = (rest.split_off(at + 1), false);
    }
}

/// kubectl may omit managedFields, but a cluster cannot be asked for them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_note_on_managed_fields_is_for_files() {
    let without = |mut objects: Vec<Value>| {
        for object in &mut objects {
            object["metadata"].as_object_mut().unwrap().remove("managedFields");
        }
        objects
    };
    let objects = without(objects("statefulset-partition"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dump.json");
    std::fs::write(&file, json!({"kind": "List", "apiVersion": "v1", "items": objects}).to_string()).unwrap();
    let cluster = Cluster::empty().await;
    for object in objects {
        cluster.simulator.store().put(resource_of(&object), object);
    }
    let of_file = podskew(&["-f", file.to_str().unwrap()]);
    let of_cluster = cluster.run(&["-n", "statefulset-partition"]).await;
    assert_eq!(of_file.status.code(), of_cluster.status.code());
    let note = "--show-managed-fields";
    assert_eq!(text(&of_file.stdout).contains(note), text(&of_file.stdout).contains("deliberate mix"));
    assert!(!text(&of_cluster.stdout).contains(note), "{}", text(&of_cluster.stdout));
}

#[test]
fn a_client_that_disconnects_is_no_error() {
    let mut child = command(&["-f", &dump("digest-skew"), "-o", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(1), ""));
}

#[test]
fn help_explains_the_exit_codes() {
    let help = ends(&podskew(&["--help"]), 0);
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "--wait <DURATION>",
        "-l, --selector <SELECTOR>",
        "-o, --output <FORMAT>",
        "table, json, markdown, junit, sarif",
        "4 if --wait ran out of time",
        "--allow-empty",
        "-A, --all-namespaces",
        "-f, --filename <FILE>",
    ] {
        assert!(help.contains(part), "{part}: {help}");
    }
}

fn case(file: &str) -> String {
    format!("{}/tests/data/cases/{file}.json", env!("CARGO_MANIFEST_DIR"))
}

/// Rows 47, 48, 50 and 55: their findings, and the words.
#[test]
fn cases_from_the_field_have_their_wording() {
    for (file, code, words) in [
        ("c01-vcluster-host", 2, vec!["5 pods are left out: the controller is a Service"]),
        (
            "c02-argo-leftover",
            1,
            vec![
                "rollout/svc: mixed template hashes",
                "although nothing holds them",
                "Since: 2026-11-20 10:00 UTC",
                "Do: kubectl -n shop scale replicaset svc-c6dcc48cb --replicas=0",
            ],
        ),
        (
            "c05d-ondelete-no-revisions",
            0,
            vec!["Held by its update strategy OnDelete", "delete its pods of the older template, one after another"],
        ),
        ("c10c-docker29-dangling-moved-tag", 0, vec!["cannot be compared with the others': it is of another kind"]),
        ("c10d-same-hex-two-schemes", 0, vec!["1 uniform. Verdict: uniform"]),
        ("c13-sts-forced-rollback", 1, vec!["rollout in progress", "Since: unknown"]),
        (
            "c18-aci-running-empty-imageid",
            0,
            vec!["Container web of 1 pod runs, and its node reports no imageID for it"],
        ),
        (
            "c71-lws-rollout",
            0,
            vec!["Held by its partition, which LeaderWorkerSet llm moves", "let LeaderWorkerSet llm continue"],
        ),
        ("c82-argo-degraded-single", 1, vec!["rollout/svc: stalled rollout", "Since: unknown"]),
        ("c84-replicaset-create-error", 1, vec!["rollout in progress", "Since: unknown"]),
        (
            "live/experiment",
            0,
            vec!["an Experiment runs several templates side by side", "get experiment shop-df97bfcd7-2-0"],
        ),
    ] {
        let output = podskew(&["--all-namespaces", "--filename", &case(file)]);
        let printed = text(&output.stdout) + &text(&output.stderr);
        let printed = printed.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
        for words in words {
            assert!(printed.contains(&words.to_lowercase()), "{file}: {words}\n{printed}");
        }
        assert_eq!(output.status.code(), Some(code), "{file}\n{}{}", text(&output.stdout), text(&output.stderr));
    }
    let output = podskew(&["--all-namespaces", "-o", "json", "--filename", &case("c13-sts-forced-rollback")]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["workloads"][0]["rollout"]["started"], serde_json::Value::Null);
}
