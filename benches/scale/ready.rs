//! How long podskew takes to a complete picture, over the time a client takes that throws the same bytes away.

use crate::cluster::Cluster;
use crate::figures::{Figures, median};
use crate::http::{Connection, Wanted};
use crate::podskew::Podskew;
use crate::{Outcome, progress};
use podskew::objects::Resource;
use std::time::Instant;

const RUNS: usize = 3;
const UNFINISHED: &str = "&fieldSelector=status.phase%21%3DSucceeded%2Cstatus.phase%21%3DFailed";
/// More than the line that ends a streaming list has.
const TAIL_BYTES: usize = 2048;

/// Measures both, in turn, so that whatever else the machine does meets both.
pub(crate) fn measure(cluster: &mut Cluster, figures: &mut Figures) -> Outcome<()> {
    let mut live = Vec::new();
    for streams in [true, false] {
        cluster.serve_streams(streams)?;
        let (mut discarding, mut ready, mut bytes) = (Vec::new(), Vec::new(), 0);
        for _ in 0..RUNS {
            let begun = Instant::now();
            bytes = discard(&cluster.host, streams)?;
            discarding.push(begun.elapsed().as_secs_f64());
            let podskew = Podskew::start(cluster, &[])?;
            ready.push(podskew.ready.as_secs_f64());
            live.push(podskew.live.as_secs_f64() * 1000.0);
        }
        progress(&format!(
            "{}: {:.0} MB; discarding client {discarding:.3?} s, podskew {ready:.3?} s",
            if streams { "streaming" } else { "paged" },
            bytes as f64 / 1e6
        ));
        let (discarding, ready) = (median(&mut discarding), median(&mut ready));
        let rate = bytes as f64 / 1e6 / discarding;
        if streams {
            figures.put("json", bytes as f64 / 1e6);
            figures.put("served-streaming", rate);
            figures.put("ready-streaming", ready / discarding);
            figures.put("ready-seconds", ready);
        } else {
            figures.put("served-paged", rate);
            figures.put("ready-paged", ready / discarding);
        }
    }
    figures.put("livez", median(&mut live));
    cluster.serve_streams(true)
}

/// Reads what podskew reads, all resources at once.
fn discard(host: &str, streams: bool) -> Outcome<u64> {
    let reads = Resource::ALL.map(|resource| {
        let host = host.to_owned();
        let path = format!("{}/{}", resource.api_path(), resource.plural());
        let selector = if resource == Resource::Pods { UNFINISHED } else { "" };
        std::thread::spawn(move || {
            let read = if streams { read_stream(&host, &path, selector) } else { read_pages(&host, &path, selector) };
            read.map_err(|error| error.to_string())
        })
    });
    let mut bytes = 0;
    for read in reads {
        bytes += read.join().map_err(|_| "a reader panicked")??;
    }
    Ok(bytes)
}

fn read_stream(host: &str, path: &str, selector: &str) -> Outcome<u64> {
    let query = "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut tail = Vec::new();
    let answer = Connection::open(host)?.get_with(&format!("{path}?{query}{selector}"), None, &mut |here| {
        // The end stands in the last line: only the end of what has come needs a look.
        tail.extend_from_slice(&here[here.len().saturating_sub(TAIL_BYTES)..]);
        let ended = memchr::memmem::find(&tail, b"k8s.io/initial-events-end").is_some();
        tail.drain(..tail.len().saturating_sub(TAIL_BYTES));
        if ended { Wanted::Nothing } else { Wanted::More }
    })?;
    Ok(if answer.status == 200 { answer.bytes } else { 0 })
}

fn read_pages(host: &str, path: &str, selector: &str) -> Outcome<u64> {
    let mut connection = Connection::open(host)?;
    let (mut bytes, mut token) = (0, String::new());
    loop {
        let mut head = Vec::new();
        let answer = connection.get_with(&format!("{path}?limit=500{selector}{token}"), None, &mut |here| {
            head.extend_from_slice(&here[..here.len().min(TAIL_BYTES.saturating_sub(head.len()))]);
            Wanted::More
        })?;
        if answer.status == 200 {
            bytes += answer.bytes;
        }
        let head = String::from_utf8_lossy(&head);
        match head.split_once("\"continue\":\"").and_then(|(_, rest)| rest.split_once('"')) {
            Some((next, _)) if answer.status == 200 && !next.is_empty() => token = format!("&continue={next}"),
            _ => return Ok(bytes),
        }
    }
}
