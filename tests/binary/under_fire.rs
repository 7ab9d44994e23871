//! Hostile input for the real binary, except for the watches: a blocked stderr, kubeconfigs and plugins with invalid header
//! values, a server with nonsensical responses, too few file descriptors.
#![allow(clippy::unwrap_used, clippy::panic, clippy::float_cmp, reason = "tests")]

use crate::common::exporter::fill;
use crate::common::exposition::Parsed;
use crate::common::running::{POLL_INTERVAL, Running, TIMEOUT};
use simulator::{Simulator, SimulatorConfig};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

async fn simulator() -> Simulator {
    let simulator = Simulator::start(SimulatorConfig::default()).await.unwrap();
    fill(simulator.store());
    simulator
}

/// A `podskew serve` whose log this test does not read.
struct Deaf {
    process: Child,
    address: String,
}

impl Deaf {
    fn start(kubeconfig: &Path, mut command: Command, stderr: Stdio) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        command.args(["--log-level", "trace", "--listen-address", &address, "--kubeconfig"]).arg(kubeconfig);
        let process = command.env_clear().stderr(stderr).spawn().unwrap();
        Self { process, address }
    }

    fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: podskew\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// Repeats a GET until the response contains a text.
    fn shows(&self, path: &str, text: &str) -> String {
        let begun = Instant::now();
        loop {
            let answer = self.get(path).unwrap_or_default();
            if answer.contains(text) {
                return answer;
            }
            assert!(begun.elapsed() < TIMEOUT, "{path} does not show {text:?}: {answer}");
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    fn terminate(&self) {
        let sent = Command::new("kill").args(["-s", "TERM", &self.process.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    fn ends_within(&mut self, limit: Duration) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < limit, "still running after {limit:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Deaf {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn serving() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_podskew"));
    command.arg("serve");
    command
}

/// A full pipe without a reader.
fn full_pipe() -> (std::io::PipeReader, std::io::PipeWriter) {
    let (reader, writer) = std::io::pipe().unwrap();
    let mut filler = writer.try_clone().unwrap();
    // It blocks once the pipe is full, and ends with the reader.
    std::thread::spawn(move || while filler.write_all(&[b'x'; 4096]).is_ok() {});
    std::thread::sleep(Duration::from_millis(300));
    (reader, writer)
}

fn written(directory: &tempfile::TempDir, kubeconfig: &str) -> std::path::PathBuf {
    let file = directory.path().join("kubeconfig");
    std::fs::write(&file, kubeconfig).unwrap();
    file
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unread_stderr_blocks_nothing() {
    let simulator = simulator().await;
    let directory = tempfile::tempdir().unwrap();
    let file = written(&directory, &simulator.kubeconfig());
    let (_reader, writer) = full_pipe();
    let mut podskew = Deaf::start(&file, serving(), writer.try_clone().unwrap().into());
    podskew.shows("/readyz", "\r\n\r\nready\n");
    simulator.cut_connections();
    for _ in 0..20 {
        assert!(podskew.get("/livez").unwrap().starts_with("HTTP/1.1 200 "));
        assert!(podskew.get("/metrics").unwrap().contains("podskew_log_lines_dropped_total "));
    }
    podskew.terminate();
    assert_eq!(podskew.ends_within(Duration::from_secs(5)).code(), Some(0));

    // A shutdown that writes to the log.
    let mut podskew = Deaf::start(&file, serving(), writer.try_clone().unwrap().into());
    podskew.shows("/livez", "ok");
    let mut request = TcpStream::connect(&podskew.address).unwrap();
    request.write_all(b"GET /met").unwrap();
    podskew.shows("/livez", "ok");
    podskew.terminate();
    std::thread::sleep(Duration::from_millis(300));
    podskew.terminate();
    assert_eq!(podskew.ends_within(Duration::from_secs(3)).code(), Some(1));
    let mut audit = Command::new(env!("CARGO_BIN_EXE_podskew"));
    audit.args(["audit", "--kubeconfig", "/nowhere"]).env_clear().stderr(writer);
    let mut audit = Deaf { process: audit.spawn().unwrap(), address: String::new() };
    assert_eq!(audit.ends_within(Duration::from_secs(5)).code(), Some(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_dropped_by_a_closed_stderr_are_counted() {
    let simulator = simulator().await;
    let directory = tempfile::tempdir().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    let podskew = Deaf::start(&written(&directory, &simulator.kubeconfig()), serving(), writer.into());
    podskew.shows("/readyz", "\r\n\r\nready\n");
    drop(reader);
    simulator.cut_connections();
    let begun = Instant::now();
    loop {
        let answer = podskew.shows("/metrics", "podskew_log_lines_dropped_total");
        let line = answer.lines().find(|line| line.starts_with("podskew_log_lines_dropped_total ")).unwrap();
        if !line.ends_with(" 0") {
            break;
        }
        assert!(begun.elapsed() < TIMEOUT, "{answer}");
        std::thread::sleep(POLL_INTERVAL);
    }
}

#[test]
fn a_short_run_prints_its_whole_log() {
    for _ in 0..20 {
        let output = podskew(&["audit", "--kubeconfig", "/nowhere", "--log-level", "trace"], &[]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.starts_with("error: cannot read the kubeconfig /nowhere: No such file"), "{error}");
        assert!(error.ends_with('\n'), "{error}");
    }
}

fn podskew(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_podskew"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).envs(variables.iter().copied());
    command.args(arguments).output().unwrap()
}

/// Checks that every command that needs a cluster exits with 2 and the reason, without the secret.
#[track_caller]
fn refused_everywhere(kubeconfig: &str, expected: &str) {
    for command in [
        &["serve", "--listen-address", "127.0.0.1:0"][..],
        &["audit"],
        &["audit", "--wait", "5s"],
        &["explain", "deployment/web"],
        &["diff", "deployment/web"],
    ] {
        let begun = Instant::now();
        let output = podskew(&[command, &["--kubeconfig", kubeconfig]].concat(), &[]);
        let text = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(2), "{command:?}: {:?} {text}", output.status);
        assert!(text.contains(expected), "{command:?}: {text}");
        assert!(!text.contains("s3cr3t"), "{command:?}: {text}");
        assert!(begun.elapsed() < Duration::from_secs(20), "{command:?} took {:?}", begun.elapsed());
    }
}

fn kubeconfig_of(cluster: &str, user: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
         clusters:\n- name: c\n  cluster:\n    {}\nusers:\n- name: u\n  user:\n    {}\n",
        cluster.replace('\n', "\n    "),
        user.replace('\n', "\n    ")
    )
}

/// A plugin that prints a status with these fields.
fn plugin(directory: &Path, status: &str) -> String {
    let file = directory.join("printed");
    std::fs::write(&file, format!("{{\"apiVersion\": \"client.authentication.k8s.io/v1\", \"status\": {status}}}"))
        .unwrap();
    format!(
        "exec:\n  apiVersion: client.authentication.k8s.io/v1\n  command: cat\n  args: [{}]\n  interactiveMode: Never",
        file.display()
    )
}

#[test]
fn credentials_invalid_in_a_header_end_every_command_with_a_message() {
    let directory = tempfile::tempdir().unwrap();
    let token_file = directory.path().join("token");
    std::fs::write(&token_file, "s3cr3t\ns3cr3t").unwrap();
    let server = "server: https://127.0.0.1:1";
    let cases = [
        (server, "token: |\n  s3cr3t\n  s3cr3t".to_owned(), "the token in the kubeconfig contains a line break"),
        (server, format!("tokenFile: {}", token_file.display()), "contains a line break"),
        (
            server,
            plugin(directory.path(), r#"{"token": "s3cr3t\ns3cr3t"}"#),
            "credential plugin printed contains a line break",
        ),
        (server, "as: \"s3cr3t\\n\"".to_owned(), "the user's as in the kubeconfig"),
        (server, "as: me\nas-groups: [\"s3cr3t\\r\\nX-Remote-User: admin\"]".to_owned(), "as-groups"),
        (server, "client-certificate-data: s3cr3t!\nclient-key-data: s3cr3t!".to_owned(), "client-certificate-data"),
        (server, "client-certificate-data: czNjcjN0\nclient-key-data: czNjcjN0".to_owned(), "PEM"),
        (server, "client-certificate-data: czNjcjN0".to_owned(), "client key"),
        (server, "tokenFile: /dev/zero".to_owned(), "/dev/zero cannot be read: it has more than 1 MiB"),
        ("server: https://127.0.0.1:1\ncertificate-authority: /dev/zero", "{}".to_owned(), "it has more than 16 MiB"),
        ("server: https://127.0.0.1:1\ncertificate-authority-data: czNjcjN0", "{}".to_owned(), "holds no certificate"),
        ("server: https://127.0.0.1:1\ntls-server-name: \"a b\"", "{}".to_owned(), "server name"),
        ("server: \"127.0.0.1:x\"", "{}".to_owned(), "write https://HOST:PORT"),
        ("server: \"https://127.0.0.1:99999\"", "{}".to_owned(), "write https://HOST:PORT"),
        ("server: \"/path\"", "{}".to_owned(), "write https://HOST:PORT"),
        ("server: https://127.0.0.1:1\nproxy-url: \"http://u:s3cr3t@\"", "{}".to_owned(), "proxy-url"),
    ];
    for (cluster, user, expected) in cases {
        let file = written(&directory, &kubeconfig_of(cluster, &user));
        refused_everywhere(file.to_str().unwrap(), expected);
    }
    for status in
        [r#"{"clientCertificateData": "s3cr3t", "clientKeyData": "s3cr3t"}"#, "{}", "5", r#"{"token": ["s3cr3t"]}"#]
    {
        let file = written(&directory, &kubeconfig_of(server, &plugin(directory.path(), status)));
        refused_everywhere(file.to_str().unwrap(), "");
    }
}

#[test]
fn a_file_without_an_end_is_refused_before_it_fills_the_memory() {
    refused_everywhere("/dev/zero", "cannot read the kubeconfig /dev/zero: it has more than 16 MiB");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("kubeconfig");
    // UTF-16 with half a character at its end.
    std::fs::write(&file, b"\xff\xfek").unwrap();
    refused_everywhere(file.to_str().unwrap(), "is not a kubeconfig");
}

/// A server that sends the same bytes on each connection, and closes it.
fn answering(answer: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, answer) = (stream.unwrap(), answer.clone());
            std::thread::spawn(move || {
                let _ = stream.read(&mut [0; 16384]);
                let _ = stream.write_all(&answer);
            });
        }
    });
    format!("http://{address}")
}

#[test]
fn no_answer_of_a_server_ends_the_process() {
    let json = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
    let list = |continuation: &str| {
        format!("{{\"metadata\":{{\"resourceVersion\":\"1\",\"continue\":\"{continuation}\"}},\"items\":[]}}")
    };
    let whole = |text: &str| format!("{json}Content-Length: {}\r\n\r\n{text}", text.len()).into_bytes();
    let many_headers: String = (0..40_000).map(|at| ["X-", &at.to_string(), ": 1\r\n"].concat()).collect();
    let answers: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"\0\0\0\0".to_vec(),
        b"HTTP/1.1 200\r\n\r\n".to_vec(),
        b"HTTP/9.9 200 OK\r\n\r\n".to_vec(),
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n".to_vec(),
        b"HTTP/1.1 100 Continue\r\n\r\n".repeat(1000),
        b"HTTP/1.1 301 Moved\r\nLocation: http://[::1\xff\r\nContent-Length: 0\r\n\r\n".to_vec(),
        b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n".to_vec(),
        b"HTTP/1.1 429 Slow\r\nRetry-After: 99999999999999999999\r\nContent-Length: 0\r\n\r\n".to_vec(),
        b"HTTP/1.1 401 No\r\nWWW-Authenticate: \xff\xfe\r\nContent-Length: 18446744073709551616\r\n\r\n".to_vec(),
        format!("{json}Content-Length: -1\r\n\r\n").into_bytes(),
        format!("{json}Content-Length: 18446744073709551615\r\n\r\n{{").into_bytes(),
        format!("{json}Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n").into_bytes(),
        format!("{json}Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n").into_bytes(),
        format!("{json}Transfer-Encoding: gzip, chunked\r\nContent-Encoding: gzip\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
            .into_bytes(),
        format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(2 << 20)).into_bytes(),
        format!("HTTP/1.1 200 OK\r\n{many_headers}\r\n").into_bytes(),
        whole("[]"),
        whole(&list(&"c".repeat(40_000))),
        whole(&list(&"c".repeat(65_400))),
        whole(&list(&"c".repeat(200_000))),
        whole(&list("\\u0000\\u00ff %\\n")),
    ];
    std::thread::scope(|scope| {
        for answer in answers {
            scope.spawn(move || {
                let shown = String::from_utf8_lossy(&answer[..answer.len().min(120)]).into_owned();
                let server = format!("server: {}/{}", answering(answer), "p".repeat(200));
                let directory = tempfile::tempdir().unwrap();
                let file = written(&directory, &kubeconfig_of(&server, "token: s3cr3t"));
                let mut audit = Command::new("timeout");
                audit.args(["-s", "INT", "5", env!("CARGO_BIN_EXE_podskew"), "audit", "--kubeconfig"]).arg(&file);
                let output = audit.env_clear().output().unwrap();
                let error = String::from_utf8_lossy(&output.stderr);
                // 124: the process was still trying.
                assert!(matches!(output.status.code(), Some(2 | 3 | 124)), "{shown:?}: {:?} {error}", output.status);
                assert!(!error.contains("panicked") && !error.contains("s3cr3t"), "{shown:?}: {error}");
            });
        }
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_few_file_descriptors_probes_and_scrapes_are_answered() {
    let simulator = simulator().await;
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 64; exec \"$0\" serve \"$@\"", env!("CARGO_BIN_EXE_podskew")]);
    let podskew = Deaf::start(&written(&directory, &simulator.kubeconfig()), command, Stdio::null());
    podskew.shows("/readyz", "\r\n\r\nready\n");
    let mut crowd = Vec::new();
    for number in 0..300 {
        let mut stream = TcpStream::connect(&podskew.address).unwrap();
        if number % 2 == 0 {
            let _ = stream.write_all(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n");
        }
        crowd.push(stream);
        if number % 50 == 49 {
            for (path, text) in [("/livez", "ok"), ("/readyz", "ready\n"), ("/metrics", "podskew_watch_synced")] {
                assert!(podskew.get(path).unwrap_or_default().contains(text), "{path} after {number} others");
            }
        }
    }
    // The watches need a file descriptor, too.
    simulator.cut_connections();
    podskew.shows("/metrics", "podskew_watch_synced{resource=\"pods\"} 0");
    podskew.shows("/metrics", "podskew_watch_synced{resource=\"pods\"} 1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_take_nothing_away_and_are_counted_and_logged() {
    let simulator = simulator().await;
    let podskew = Running::start(&simulator, &[]);
    podskew.until_ready().await;
    let mut crowd: Vec<TcpStream> = Vec::new();
    for _ in 0..600 {
        let mut stream = TcpStream::connect(podskew.address()).unwrap();
        stream.write_all(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        crowd.push(stream);
    }
    let state = |parsed: &Parsed, state| parsed.value("podskew_http_connections", &[("state", state)]).unwrap();
    // The last of the many clients may still get its response.
    let scrape = podskew.until("only its own response", |scrape| state(&scrape.parsed, "answering") == 1.0).await;
    let idle = state(&scrape.parsed, "idle") + state(&scrape.parsed, "reading");
    assert!((200.0..=272.0).contains(&idle), "{idle} idle");
    assert!(podskew.is_ready());
    assert_eq!(scrape.parsed.value("podskew_http_connections_refused_total", &[]), Some(0.0));
    let line = "all connection slots taken";
    podskew.until_logged(line).await;
    assert_eq!(podskew.log().matches(line).count(), 1, "{}", podskew.log());
}
