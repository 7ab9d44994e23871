//! Time to the initial sync, compared with a client that discards the same bytes.

use crate::cluster::Cluster;
use crate::figures::{Figures, median};
use crate::http::{Connection, Wanted};
use crate::podskew::Podskew;
use crate::{Outcome, progress};
use http::header::ACCEPT;
use http_body_util::BodyExt as _;
use podskew::objects::Resource;
use std::time::Instant;

/// Number of runs, because they vary; each takes 0.1 to 1.5 s.
const RUNS: usize = 7;
/// Number of runs with a rate limit.
const PACED_RUNS: usize = 3;
const UNFINISHED: &str = "&fieldSelector=status.phase%21%3DSucceeded%2Cstatus.phase%21%3DFailed";
/// More than the last line of a streaming list.
const TAIL_BYTES: usize = 2048;

/// A way of serving lists, with the names of its figures.
struct Way {
    protobuf: bool,
    streams: bool,
    /// Rate limit in MB/s; 0 for none.
    pace: u32,
    served: Option<&'static str>,
    ready: &'static str,
    library: Option<&'static str>,
    /// Bytes of the lists, and podskew's time.
    first_list: Option<(&'static str, &'static str)>,
}

const WAYS: [Way; 6] = [
    Way {
        protobuf: true,
        streams: true,
        pace: 0,
        served: Some("served-streaming"),
        ready: "ready-streaming",
        library: Some("ready-streaming-library"),
        first_list: Some(("protobuf", "ready-seconds")),
    },
    Way {
        protobuf: true,
        streams: false,
        pace: 0,
        served: Some("served-paged"),
        ready: "ready-paged",
        library: Some("ready-paged-library"),
        first_list: None,
    },
    Way {
        protobuf: false,
        streams: true,
        pace: 0,
        served: Some("served-streaming-json"),
        ready: "ready-streaming-json",
        library: None,
        first_list: Some(("json", "ready-seconds-json")),
    },
    Way {
        protobuf: false,
        streams: false,
        pace: 0,
        served: Some("served-paged-json"),
        ready: "ready-paged-json",
        library: None,
        first_list: None,
    },
    Way {
        protobuf: true,
        streams: true,
        pace: PACE,
        served: None,
        ready: "ready-streaming-paced",
        library: None,
        first_list: None,
    },
    Way {
        protobuf: true,
        streams: false,
        pace: PACE,
        served: None,
        ready: "ready-paged-paced",
        library: None,
        first_list: None,
    },
];

/// Faster than API servers: a real one sent 150 to 300 MB/s in protobuf.
const PACE: u32 = 500;

/// Measures podskew and the client alternately, so that other load on the machine affects both.
pub(crate) fn measure(cluster: &mut Cluster, figures: &mut Figures) -> Outcome<()> {
    let mut live = Vec::new();
    for way in &WAYS {
        cluster.serve_protobuf(way.protobuf)?;
        cluster.serve_streams(way.streams)?;
        cluster.serve_at(way.pace)?;
        let (mut discarding, mut library, mut ready, mut bytes) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for _ in 0..if way.pace > 0 { PACED_RUNS } else { RUNS } {
            let begun = Instant::now();
            bytes = discard(&cluster.host, way.streams)?;
            discarding.push(begun.elapsed().as_secs_f64());
            let begun = Instant::now();
            let same = discard_by_library(&cluster.host, way.streams)?;
            library.push(begun.elapsed().as_secs_f64());
            if same != bytes {
                return Err(format!("the clients read different amounts: {bytes} and {same} bytes").into());
            }
            let podskew = Podskew::start(cluster, &[])?;
            ready.push(podskew.ready.as_secs_f64());
            live.push(podskew.live.as_secs_f64() * 1000.0);
        }
        progress(&format!(
            "{}, {}{}: {:.0} MB; discarding client {discarding:.3?} s, on kube's client {library:.3?} s, podskew {ready:.3?} s",
            if way.protobuf { "protobuf" } else { "JSON" },
            if way.streams { "streaming" } else { "paged" },
            if way.pace > 0 { format!(" at {} MB/s", way.pace) } else { String::new() },
            bytes as f64 / 1e6
        ));
        let (discarding, library, ready) = (median(&mut discarding), median(&mut library), median(&mut ready));
        if let Some(name) = way.served {
            figures.put(name, bytes as f64 / 1e6 / discarding);
        }
        figures.put(way.ready, ready / discarding);
        if let Some(name) = way.library {
            figures.put(name, ready / library);
        }
        if let Some((length, seconds)) = way.first_list {
            figures.put(length, bytes as f64 / 1e6);
            figures.put(seconds, ready);
        }
    }
    figures.put("livez", median(&mut live));
    cluster.serve_at(0)?;
    cluster.serve_protobuf(true)?;
    cluster.serve_streams(true)
}

/// The media type that podskew requests for a resource.
fn accepted(resource: Resource) -> &'static str {
    match resource {
        Resource::Pods | Resource::ReplicaSets | Resource::Deployments => {
            "application/vnd.kubernetes.protobuf, application/json"
        }
        _ => "application/json",
    }
}

/// Reads the same lists as podskew, all resources in parallel.
fn discard(host: &str, streams: bool) -> Outcome<u64> {
    let reads = Resource::ALL.map(|resource| {
        let host = host.to_owned();
        let path = format!("{}/{}", resource.api_path(), resource.plural());
        let selector = if resource == Resource::Pods { UNFINISHED } else { "" };
        std::thread::spawn(move || {
            let connection = Connection::open(&host).map(|connection| connection.accepting(accepted(resource)));
            let read = connection.and_then(|connection| {
                if streams { read_stream(connection, &path, selector) } else { read_pages(connection, &path, selector) }
            });
            read.map_err(|error| error.to_string())
        })
    });
    let mut bytes = 0;
    for read in reads {
        bytes += read.join().map_err(|_| "a reader panicked")??;
    }
    Ok(bytes)
}

/// The same with podskew's HTTP client and number of threads, so that the difference is podskew's own cost.
fn discard_by_library(host: &str, streams: bool) -> Outcome<u64> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = kube::Client::try_from(kube::Config::new(format!("http://{host}").parse()?))?;
        let mut reads = tokio::task::JoinSet::new();
        for resource in Resource::ALL {
            let path = format!("{}/{}", resource.api_path(), resource.plural());
            let selector = if resource == Resource::Pods { UNFINISHED } else { "" };
            let client = client.clone();
            reads.spawn(async move {
                let read = if streams {
                    library_stream(&client, &path, selector, accepted(resource)).await
                } else {
                    library_pages(&client, &path, selector, accepted(resource)).await
                };
                read.map_err(|error| error.to_string())
            });
        }
        let mut bytes = 0;
        while let Some(read) = reads.join_next().await {
            bytes += read??;
        }
        Ok(bytes)
    })
}

async fn library_stream(client: &kube::Client, path: &str, selector: &str, accept: &str) -> Outcome<u64> {
    let (mut bytes, mut tail) = (0, Vec::new());
    let request = http::Request::get(format!("{path}?{STREAMING}{selector}")).header(ACCEPT, accept).body(Vec::new())?;
    let mut body = client.send(request.map(kube::client::Body::from)).await?;
    while let Some(frame) = body.frame().await {
        let Ok(here) = frame?.into_data() else { continue };
        bytes += here.len() as u64;
        if has_ended(&mut tail, &here) {
            break;
        }
    }
    Ok(if body.status().is_success() { bytes } else { 0 })
}

async fn library_pages(client: &kube::Client, path: &str, selector: &str, accept: &str) -> Outcome<u64> {
    let (mut bytes, mut token) = (0, String::new());
    loop {
        let request = http::Request::get(format!("{path}?limit=500{selector}{token}")).header(ACCEPT, accept);
        let request = request.body(Vec::new())?;
        let mut body = client.send(request.map(kube::client::Body::from)).await?;
        let mut head = Vec::new();
        let mut length = 0;
        while let Some(frame) = body.frame().await {
            let Ok(here) = frame?.into_data() else { continue };
            length += here.len() as u64;
            head.extend_from_slice(&here[..here.len().min(TAIL_BYTES.saturating_sub(head.len()))]);
        }
        if !body.status().is_success() {
            return Ok(bytes);
        }
        bytes += length;
        match next_page(&head) {
            Some(next) => token = next,
            None => return Ok(bytes),
        }
    }
}

const STREAMING: &str = "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";

/// Whether the closing bookmark of a streaming list has arrived. It is in the last line, so the end of the data suffices.
fn has_ended(tail: &mut Vec<u8>, here: &[u8]) -> bool {
    tail.extend_from_slice(&here[here.len().saturating_sub(TAIL_BYTES)..]);
    let ended = memchr::memmem::find(tail, b"k8s.io/initial-events-end").is_some();
    tail.drain(..tail.len().saturating_sub(TAIL_BYTES));
    ended
}

/// The continue token at the beginning of a page.
fn next_page(head: &[u8]) -> Option<String> {
    let next = if let Some(unknown) = head.strip_prefix(b"k8s\0") {
        // The token is in the metadata of the list, and the list is in an Unknown.
        String::from_utf8_lossy(field(field(field(unknown, 2)?, 1)?, 3)?).into_owned()
    } else {
        let head = String::from_utf8_lossy(head);
        head.split_once("\"continue\":\"")?.1.split_once('"')?.0.to_owned()
    };
    (!next.is_empty()).then(|| format!("&continue={next}"))
}

/// Content of a field of a message, possibly cut off; all fields before it must have a length.
fn field(mut message: &[u8], number: u8) -> Option<&[u8]> {
    loop {
        let (tag, rest) = message.split_first()?;
        let bytes = 1 + rest.iter().position(|byte| *byte < 0x80)?;
        let (length, rest) = rest.split_at(bytes);
        let length = length.iter().rev().fold(0, |length, byte| length << 7 | usize::from(byte & 0x7f));
        if tag >> 3 == number {
            return Some(&rest[..length.min(rest.len())]);
        }
        message = rest.get(length..)?;
    }
}

fn read_stream(mut connection: Connection, path: &str, selector: &str) -> Outcome<u64> {
    let mut tail = Vec::new();
    let answer = connection.get_with(&format!("{path}?{STREAMING}{selector}"), None, &mut |here| {
        if has_ended(&mut tail, here) { Wanted::Nothing } else { Wanted::More }
    })?;
    Ok(if answer.status == 200 { answer.bytes } else { 0 })
}

fn read_pages(mut connection: Connection, path: &str, selector: &str) -> Outcome<u64> {
    let (mut bytes, mut token) = (0, String::new());
    loop {
        let mut head = Vec::new();
        let answer = connection.get_with(&format!("{path}?limit=500{selector}{token}"), None, &mut |here| {
            head.extend_from_slice(&here[..here.len().min(TAIL_BYTES.saturating_sub(head.len()))]);
            Wanted::More
        })?;
        if answer.status != 200 {
            return Ok(bytes);
        }
        bytes += answer.bytes;
        match next_page(&head) {
            Some(next) => token = next,
            None => return Ok(bytes),
        }
    }
}
