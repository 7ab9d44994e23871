//! An API server with scripted answers, and a sink that records what it receives.

#![allow(missing_docs, unreachable_pub, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

use podskew::inventory::Source;
use podskew::objects::Resource;
use podskew::telemetry::Telemetry;
use podskew::watch::{Sink, SourceChange, Timings, Watches, client, run};
use std::collections::VecDeque;
use std::io::ErrorKind;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};

/// What happens after the text of an answer.
#[derive(Clone, Copy)]
pub enum Then {
    /// The answer ends properly.
    End,
    /// The connection closes.
    Cut,
    /// Nothing more is sent.
    Silence,
    /// One byte after another, without an end.
    Trickle,
}

/// One answer.
#[derive(Clone)]
pub enum Reply {
    /// A status, further headers, and a body.
    Whole(u16, &'static str, String),
    /// A stream of lines.
    Stream(String, Then),
    /// No answer at all.
    Nothing,
}

pub fn status(code: u16) -> Reply {
    Reply::Whole(code, "", String::new())
}

pub fn page(body: &str) -> Reply {
    Reply::Whole(200, "", body.to_owned())
}

pub fn stream(lines: &[String], then: Then) -> Reply {
    let end_of_line = if lines.is_empty() { "" } else { "\n" };
    Reply::Stream(lines.join("\n") + end_of_line, then)
}

/// An event about an object with this name.
pub fn event(kind: &str, name: &str, version: u32) -> String {
    format!(
        r#"{{"type":"{kind}","object":{{"metadata":{{"name":"{name}","uid":"{name}","resourceVersion":"{version}"}}}}}}"#
    )
}

pub fn bookmark(version: u32) -> String {
    format!(r#"{{"type":"BOOKMARK","object":{{"metadata":{{"resourceVersion":"{version}"}}}}}}"#)
}

/// The bookmark that ends the initial events.
pub fn closing(version: u32) -> String {
    let end = r#"{"k8s.io/initial-events-end":"true"}"#;
    format!(r#"{{"type":"BOOKMARK","object":{{"metadata":{{"resourceVersion":"{version}","annotations":{end}}}}}}}"#)
}

/// A list of one object with this name.
pub fn list(name: &str, version: u32) -> String {
    format!(
        r#"{{"metadata":{{"resourceVersion":"{version}"}},"items":[{{"metadata":{{"name":"{name}","uid":"{name}"}}}}]}}"#
    )
}

/// A page of a list that continues at `token`, with one object of this name or none.
pub fn page_before(token: &str, name: Option<&str>) -> Reply {
    let item = name.map(|name| format!(r#"{{"metadata":{{"name":"{name}","uid":"{name}"}}}}"#)).unwrap_or_default();
    page(&format!(r#"{{"metadata":{{"resourceVersion":"10","continue":"{token}"}},"items":[{item}]}}"#))
}

/// A streaming list of one object, `a`, at version 10, and then `more` on the same stream.
pub fn listed_then(more: &[String], then: Then) -> Reply {
    let mut lines = vec![event("ADDED", "a", 5), closing(10)];
    lines.extend_from_slice(more);
    stream(&lines, then)
}

/// Waits for the request with this number, and checks that it resumes at `version`.
pub async fn goes_on_from(scene: &Scene, request: usize, version: u32) {
    let asked = scene.asks(request).await;
    assert!(asked.contains(&format!("watch=true&resourceVersion={version}&")), "{asked}");
}

#[derive(Default)]
struct Script {
    replies: VecDeque<Reply>,
    /// Answers to requests for the newest version. After them, the version is one that does not exist yet.
    newest: VecDeque<Reply>,
    probes: Vec<String>,
    asked: Vec<String>,
    accepts: Vec<String>,
    open: usize,
}

/// The calls for one source, in short form.
#[derive(Default)]
pub struct SinkCalls(Mutex<Vec<(Source, String)>>);

impl SinkCalls {
    fn note(&self, source: Source, what: String) {
        self.0.lock().unwrap().push((source, what));
    }
}

impl Sink for SinkCalls {
    fn take(&self, source: Source, change: SourceChange<'_, '_>) {
        let said = match change {
            SourceChange::Applied(object) => format!("apply {}", object.meta.name),
            SourceChange::Deleted(object) => format!("delete {}", object.meta.name),
            SourceChange::ListBegins => "begin".to_owned(),
            SourceChange::Listed(objects) => {
                for object in objects {
                    self.note(source, format!("list {}", object.meta.name));
                }
                return;
            }
            SourceChange::ListEnds { gone } => {
                gone.iter().fold("finish".to_owned(), |said, object| said + " without " + &object.meta.name)
            }
            SourceChange::ListBreaksOff => "abandon".to_owned(),
            SourceChange::Live(_) => return,
            SourceChange::Forbidden => "forbid".to_owned(),
            SourceChange::NotServed => "not served".to_owned(),
        };
        self.note(source, said);
    }
}

/// podskew's watches and their server. Only one resource is served; the others get 404.
pub struct Scene {
    resource: Resource,
    script: Arc<Mutex<Script>>,
    calls: Arc<SinkCalls>,
    pub telemetry: Telemetry,
    pub watches: Option<Watches>,
}

/// All durations are in milliseconds instead of seconds or minutes.
pub fn quick() -> Timings {
    let milliseconds = Duration::from_millis;
    Timings {
        answer: milliseconds(300),
        list_idle: milliseconds(300),
        list_total: milliseconds(3_000),
        watch_idle: milliseconds(400),
        watch_length: milliseconds(60_000),
        pause_base: milliseconds(5),
        pause_most: milliseconds(20),
        healthy: milliseconds(10_000),
        forbidden: milliseconds(20),
        not_served: milliseconds(20),
        refusal_grace: milliseconds(300),
        forbidden_settles: milliseconds(300),
        forbidden_again: milliseconds(20),
        forbidden_look: milliseconds(500),
        outage: milliseconds(10_000),
        probe_shared: milliseconds(1_000),
        log_window: milliseconds(60_000),
        nodes: milliseconds(50),
        nodes_again: milliseconds(50),
        nodes_awaited: milliseconds(100),
        nodes_pause: milliseconds(10),
        streaming_retry: milliseconds(60_000),
    }
}

impl Scene {
    pub async fn play(resource: Resource, replies: Vec<Reply>) -> Self {
        Self::play_in(resource, &[], quick(), replies).await
    }

    #[allow(clippy::large_types_passed_by_value, reason = "a test starts few of them")]
    pub async fn play_in(resource: Resource, namespaces: &[&str], timings: Timings, replies: Vec<Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let script = Arc::new(Mutex::new(Script { replies: replies.into(), ..Script::default() }));
        let served = script.clone();
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(serve(connection, resource, served.clone()));
            }
        });
        let calls = Arc::new(SinkCalls::default());
        let telemetry = Telemetry::new().unwrap();
        let client = client(kube::Config::new(uri)).unwrap();
        let namespaces: Vec<String> = namespaces.iter().map(ToString::to_string).collect();
        let watches = Some(run(&client, &namespaces, &calls, &telemetry, timings));
        Self { resource, script, calls, telemetry, watches }
    }

    /// Waits until the resource's source received exactly these calls, in this order.
    pub async fn sink_gets(&self, expected: &[&str]) {
        self.until(&format!("the calls {expected:#?}"), || self.calls() == expected).await;
    }

    pub fn calls(&self) -> Vec<String> {
        let calls = self.calls.0.lock().unwrap();
        calls.iter().filter(|(source, _)| source.resource == self.resource).map(|(_, what)| what.clone()).collect()
    }

    /// The requests for the resource.
    pub fn asked(&self) -> Vec<String> {
        self.script.lock().unwrap().asked.clone()
    }

    /// The requests for the newest version, which are counted separately.
    pub fn probes(&self) -> Vec<String> {
        self.script.lock().unwrap().probes.clone()
    }

    /// Sets the answers to the next requests for the newest version.
    pub fn newest(&self, replies: Vec<Reply>) {
        self.script.lock().unwrap().newest = replies.into();
    }

    /// The values of `Accept`.
    pub fn accepts(&self) -> Vec<String> {
        self.script.lock().unwrap().accepts.clone()
    }

    /// Waits for this number of requests, and returns the last of them.
    pub async fn asks(&self, count: usize) -> String {
        self.until(&format!("{count} requests"), || self.asked().len() >= count).await;
        self.asked()[count - 1].clone()
    }

    pub fn open_connections(&self) -> usize {
        self.script.lock().unwrap().open
    }

    pub fn failures(&self, reason: &str) -> u64 {
        self.telemetry.watch_failures.with_label_values(&[self.resource.plural(), reason]).get()
    }

    pub fn all_failures(&self) -> u64 {
        let reasons = podskew::telemetry::FailureReason::ALL;
        reasons.iter().map(|reason| self.failures(reason.as_str())).sum()
    }

    pub fn restarts(&self) -> u64 {
        self.telemetry.watch_restarts.with_label_values(&[self.resource.plural()]).get()
    }

    pub fn is_synced(&self) -> bool {
        self.telemetry.watch_synced.with_label_values(&[self.resource.plural()]).get() == 1
    }

    pub async fn until(&self, what: &str, condition: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !condition() {
            if Instant::now() > deadline {
                let (calls, asked) = (self.calls(), self.asked());
                panic!("timeout before {what}\ncalls of the sink: {calls:#?}\nrequests to the server: {asked:#?}");
            }
            sleep(Duration::from_millis(2)).await;
        }
    }
}

async fn serve(connection: TcpStream, resource: Resource, script: Arc<Mutex<Script>>) {
    script.lock().unwrap().open += 1;
    let _ = converse(&connection, resource, &script).await;
    script.lock().unwrap().open -= 1;
}

async fn converse(connection: &TcpStream, resource: Resource, script: &Mutex<Script>) -> std::io::Result<()> {
    while let Some(head) = read_head(connection).await? {
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let lower = head.to_ascii_lowercase();
        assert!(lower.contains("accept-encoding: identity"), "compression was allowed: {head}");
        assert!(lower.contains("user-agent: podskew/"), "no name was given: {head}");
        let reply = if path.contains(&format!("/{}?", resource.plural())) {
            let mut script = script.lock().unwrap();
            if path.ends_with("?limit=1") {
                script.probes.push(path);
                script.newest.pop_front().unwrap_or_else(|| page(&list("a", u32::MAX)))
            } else {
                script.asked.push(path);
                let accept = lower.lines().find_map(|line| line.strip_prefix("accept: ")).unwrap_or_default();
                script.accepts.push(accept.to_owned());
                // After the end of the script, requests are not answered.
                script.replies.pop_front().unwrap_or(Reply::Nothing)
            }
        } else {
            status(404)
        };
        match reply {
            Reply::Whole(code, headers, body) => {
                let length = body.len();
                let answer = format!("HTTP/1.1 {code} Said\r\nContent-Length: {length}\r\n{headers}\r\n{body}");
                write(connection, answer.as_bytes()).await?;
            }
            Reply::Stream(text, then) => {
                write(connection, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
                if !text.is_empty() {
                    write(connection, format!("{:x}\r\n{text}\r\n", text.len()).as_bytes()).await?;
                }
                match then {
                    Then::End => write(connection, b"0\r\n\r\n").await?,
                    Then::Cut => return Ok(()),
                    Then::Silence => return hang(connection).await,
                    Then::Trickle => loop {
                        write(connection, b"1\r\nx\r\n").await?;
                        sleep(Duration::from_millis(20)).await;
                    },
                }
            }
            Reply::Nothing => return hang(connection).await,
        }
    }
    Ok(())
}

/// Waits until the client closes the connection.
async fn hang(connection: &TcpStream) -> std::io::Result<()> {
    while read(connection, &mut [0; 64]).await? > 0 {}
    Ok(())
}

async fn read_head(connection: &TcpStream) -> std::io::Result<Option<String>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if read(connection, &mut byte).await? == 0 {
            return Ok(None);
        }
        head.push(byte[0]);
    }
    Ok(Some(String::from_utf8_lossy(&head).into_owned()))
}

async fn read(connection: &TcpStream, buffer: &mut [u8]) -> std::io::Result<usize> {
    loop {
        connection.readable().await?;
        match connection.try_read(buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            read => return read,
        }
    }
}

async fn write(connection: &TcpStream, mut bytes: &[u8]) -> std::io::Result<()> {
    while !bytes.is_empty() {
        connection.writable().await?;
        match connection.try_write(bytes) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
            Ok(written) => bytes = &bytes[written..],
        }
    }
    Ok(())
}
