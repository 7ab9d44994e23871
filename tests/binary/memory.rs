//! Memory use for responses that are longer than any valid one, measured with the real binary.
#![allow(clippy::unwrap_used, clippy::panic, clippy::float_cmp, reason = "tests")]

use crate::common::running::Running;
use podskew::objects::Resource;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Length of each of seven responses. In the bug report they had a gigabyte, which takes a debug build minutes.
const LONG: usize = 160 << 20;

/// Length if all of it has to be decoded.
const MANY: usize = 18 << 20;

/// Nearly 30 MiB for an idle debug build, 32 MiB of undecoded responses, and some for the allocator.
const MOST_RESIDENT: usize = 80 << 20;

/// The response of a server to each list.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Kind {
    /// A page with one very long object.
    OneObject,
    /// A page with very many objects, regardless of the limit.
    ManyObjects,
    /// A very long event of a streaming list.
    OneEvent,
    /// An endless object, one byte at a time.
    Endless,
}

/// An API server that sends long responses, until it is switched to normal ones.
struct Server {
    address: String,
}

impl Server {
    fn start(kind: Kind) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let padding: Arc<[u8]> = vec![b'y'; 64 << 10].into();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let padding = padding.clone();
                // The client closes the connection when the limit is reached.
                std::thread::spawn(move || drop(serve(stream, kind, &padding)));
            }
        });
        Self { address }
    }

    fn kubeconfig(&self) -> String {
        let server = &self.address;
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: a\nclusters: [{{name: a, cluster: {{server: 'http://{server}'}}}}]\n\
             contexts: [{{name: a, context: {{cluster: a, user: a}}}}]\nusers: [{{name: a, user: {{}}}}]\n"
        )
    }
}

fn chunk(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    write!(stream, "{:x}\r\n", bytes.len())?;
    stream.write_all(bytes)?;
    stream.write_all(b"\r\n")
}

/// Answers the requests of one connection.
fn serve(mut stream: TcpStream, kind: Kind, padding: &[u8]) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    loop {
        let Some(request) = lines.next().transpose()? else { return Ok(()) };
        while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
        let streams = request.contains("sendInitialEvents=true");
        if streams && kind != Kind::OneEvent {
            stream.write_all(b"HTTP/1.1 422 No\r\nContent-Length: 0\r\n\r\n")?;
            continue;
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        if request.contains("watch=true") && !streams {
            std::thread::sleep(Duration::from_secs(600));
        }
        let pod = |name: &str| format!(r#"{{"metadata":{{"name":"{name}","namespace":"a","uid":"{name}"}}}}"#);
        let head = br#"{"kind":"List","apiVersion":"v1","metadata":{"resourceVersion":"7"},"items":["#;
        let long = br#"{"metadata":{"name":"long","annotations":{"x":""#;
        match kind {
            _ if request.contains("limit=1&") || request.contains("limit=1 ") => {
                chunk(&mut stream, &[head, &b"]}"[..]].concat())?;
            }
            Kind::Endless => {
                chunk(&mut stream, &[head, pod("a").as_bytes(), b",", long].concat())?;
                loop {
                    chunk(&mut stream, b"y")?;
                    std::thread::sleep(Duration::from_millis(100));
                }
            }
            Kind::OneObject => {
                chunk(&mut stream, &[head, pod("a").as_bytes(), b",", long].concat())?;
                for _ in 0..LONG / padding.len() {
                    chunk(&mut stream, padding)?;
                }
                chunk(&mut stream, &[b"\"}}},", pod("b").as_bytes(), b"]}"].concat())?;
            }
            Kind::ManyObjects => {
                chunk(&mut stream, head)?;
                let object = format!(
                    r#"{{"metadata":{{"name":"b","uid":"b","annotations":{{"x":"{}"}}}}}},"#,
                    "y".repeat(9_000)
                );
                let objects = object.repeat(20);
                for _ in 0..MANY / objects.len() {
                    chunk(&mut stream, objects.as_bytes())?;
                }
                chunk(&mut stream, &[pod("a").as_bytes(), b"]}"].concat())?;
            }
            Kind::OneEvent => {
                let event = |object: &str| format!("{{\"type\":\"ADDED\",\"object\":{object}}}\n");
                chunk(&mut stream, event(&pod("a")).as_bytes())?;
                chunk(&mut stream, &[br#"{"type":"ADDED","object":"#, &long[..]].concat())?;
                for _ in 0..LONG / padding.len() {
                    chunk(&mut stream, padding)?;
                }
                let end = r#"{"metadata":{"resourceVersion":"7","annotations":{"k8s.io/initial-events-end":"true"}}}"#;
                let rest = format!("\"}}}}}}}}\n{}{{\"type\":\"BOOKMARK\",\"object\":{end}}}\n", event(&pod("b")));
                chunk(&mut stream, rest.as_bytes())?;
                std::thread::sleep(Duration::from_secs(600));
            }
        }
        stream.write_all(b"0\r\n\r\n")?;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_is_too_long_is_passed_over_and_counted() {
    for kind in [Kind::OneObject, Kind::OneEvent] {
        let server = Server::start(kind);
        let podskew = Running::start_with(&server.kubeconfig(), &[]);
        podskew.until_ready().await;
        let log = podskew.log();
        let listed = log.lines().filter(|line| line.contains(" listed resource=") && line.contains(" objects=2 "));
        assert_eq!(listed.count(), Resource::ALL.len(), "{kind:?}: {log}");
        let scrape = podskew.scrape();
        for resource in Resource::ALL.map(Resource::plural) {
            assert_eq!(scrape.of_resource("podskew_watch_synced", resource), 0.0, "{kind:?}: {resource}");
            assert_eq!(scrape.failures(resource, "decode"), 1.0, "{kind:?}: {resource}");
        }
        podskew.until_logged("unreadable objects skipped").await;
        assert!(podskew.peak() < MOST_RESIDENT, "{kind:?}: {} MiB", podskew.peak() >> 20);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_many_objects_is_read_whatever_its_length() {
    let server = Server::start(Kind::ManyObjects);
    let podskew = Running::start_with(&server.kubeconfig(), &[]);
    podskew.until_ready().await;
    let scrape = podskew.scrape();
    for resource in Resource::ALL.map(Resource::plural) {
        assert_eq!(scrape.of_resource("podskew_watch_synced", resource), 1.0, "{resource}");
        assert_eq!(scrape.failures(resource, "decode"), 0.0, "{resource}");
    }
    assert!(podskew.peak() < MOST_RESIDENT, "{} MiB", podskew.peak() >> 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_never_ends_keeps_podskew_alive() {
    let server = Server::start(Kind::Endless);
    let podskew = Running::start_with(&server.kubeconfig(), &[]);
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(5) {
        assert!(podskew.scrape().has_only_own_metrics());
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert!(!podskew.is_ready());
    assert!(podskew.peak() < MOST_RESIDENT, "{} MiB", podskew.peak() >> 20);
}
