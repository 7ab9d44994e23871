//! Duration and cost of scrapes, at rest and under load.

use crate::cluster::Cluster;
use crate::figures::{Figures, percentile};
use crate::http::{Connection, Wanted};
use crate::podskew::Podskew;
use crate::{Outcome, progress};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub(crate) const COUNT: usize = 200;
const DURING_RELISTS: usize = 500;
/// Pause between two scrapes, so that podskew is idle when it is scraped, as by Prometheus.
const PAUSE: Duration = Duration::from_millis(10);
/// Enough for 200 scrapes under churn, compressed and not.
const CHURN_SECONDS: u64 = 14;
pub(crate) const CHURN_RATE: u32 = 500;

/// Measures 200 scrapes of each encoding while nothing happens.
pub(crate) fn idle(podskew: &Podskew, pods: u32, figures: &mut Figures) -> Outcome<()> {
    for (encoding, names) in [
        (Some("gzip"), ["idle-gzip-p50", "idle-gzip-p99", "idle-gzip-max", "cpu-gzip", "gzip", "gzip-pod"]),
        (None, ["idle-identity-p50", "idle-identity-p99", "idle-identity-max", "cpu-identity", "plain", "plain-pod"]),
    ] {
        let mut connection = podskew.connect()?;
        connection.get("/metrics", encoding)?;
        let before = podskew.process.cpu_seconds()?;
        let (times, bytes) = scrape(&mut connection, encoding, COUNT)?;
        let cpu = (podskew.process.cpu_seconds()? - before) / COUNT as f64;
        put_times(times, [names[0], names[1], names[2]], figures);
        if encoding.is_some() {
            put_times(bare_socket(bytes)?, ["bare-p50", "bare-p99", "bare-max"], figures);
        }
        figures.put(names[3], cpu * 1000.0);
        figures.put(names[4], bytes as f64 / 1e6);
        figures.put(names[5], bytes as f64 / f64::from(pods));
    }
    figures.put("series", series(&podskew.host, "")?.0);
    Ok(())
}

/// Number of series, and of those that begin with `prefix`.
pub(crate) fn series(host: &str, prefix: &str) -> Outcome<(f64, f64)> {
    let (mut all, mut found, mut rest) = (0_u64, 0_u64, Vec::new());
    Connection::open(host)?.get_with("/metrics", None, &mut |here| {
        rest.extend_from_slice(here);
        let end = memchr::memrchr(b'\n', &rest).map_or(0, |at| at + 1);
        for line in rest[..end].split(|byte| *byte == b'\n').filter(|line| !line.is_empty() && !line.starts_with(b"#"))
        {
            all += 1;
            found += u64::from(line.starts_with(prefix.as_bytes()));
        }
        rest.drain(..end);
        Wanted::More
    })?;
    Ok((all as f64, found as f64))
}

/// Times of the same client for the same number of bytes from a thread that only writes them: this machine's minimum.
fn bare_socket(bytes: u64) -> Outcome<Vec<f64>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let host = listener.local_addr()?.to_string();
    let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n").into_bytes();
    answer.resize(answer.len() + usize::try_from(bytes)?, b'x');
    let answering = std::thread::spawn(move || -> std::io::Result<()> {
        let (mut stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let mut request = [0; 1024];
        while stream.read(&mut request)? > 0 {
            stream.write_all(&answer)?;
        }
        Ok(())
    });
    let mut connection = Connection::open(&host)?;
    let (times, _) = scrape(&mut connection, None, COUNT)?;
    drop(connection);
    answering.join().map_err(|_| "the bare server panicked")??;
    Ok(times)
}

/// Measures 200 scrapes of each encoding at 500 pod events per second.
pub(crate) fn churn(cluster: &mut Cluster, podskew: &Podskew, figures: &mut Figures) -> Outcome<()> {
    for (encoding, names) in [
        (Some("gzip"), ["churn-gzip-p50", "churn-gzip-p99", "churn-gzip-max"]),
        (None, ["churn-identity-p50", "churn-identity-p99", "churn-identity-max"]),
    ] {
        let mut connection = podskew.connect()?;
        let scraping = std::thread::spawn(move || {
            // Let the first changes arrive.
            std::thread::sleep(Duration::from_secs(2));
            scrape(&mut connection, encoding, COUNT).map_err(|error| error.to_string())
        });
        while !scraping.is_finished() {
            cluster.churn(CHURN_RATE, Duration::from_secs(if encoding.is_some() { 2 } else { CHURN_SECONDS / 4 }))?;
        }
        let (times, _) = scraping.join().map_err(|_| "the scraper panicked")??;
        put_times(times, names, figures);
    }
    Ok(())
}

/// Measures 500 scrapes that overlap a relist of everything.
pub(crate) fn relists(cluster: &mut Cluster, podskew: &Podskew, figures: &mut Figures) -> Outcome<()> {
    let begun = Instant::now();
    let (mut times, mut relists) = (Vec::new(), 0);
    while times.len() < DURING_RELISTS && begun.elapsed() < Duration::from_secs(60) {
        let scrapes = InFlight::start(&podskew.host, Some("gzip"))?;
        cluster.relist()?;
        times.extend(scrapes.stop()?);
        relists += 1;
    }
    progress(&format!("{} scrapes during {relists} relists of everything", times.len()));
    times.truncate(DURING_RELISTS);
    put_times(times, ["relist-gzip-p50", "relist-gzip-p99", "relist-gzip-max"], figures);
    Ok(())
}

/// Durations of scrapes in milliseconds to the last byte, and the size of the last.
pub(crate) fn scrape(connection: &mut Connection, encoding: Option<&str>, count: usize) -> Outcome<(Vec<f64>, u64)> {
    let mut times = Vec::with_capacity(count);
    let mut bytes = 0;
    for _ in 0..count {
        let answer = connection.get("/metrics", encoding)?;
        if answer.status != 200 {
            return Err(format!("a scrape was answered with {}", answer.status).into());
        }
        bytes = answer.bytes;
        times.push(answer.last_byte.as_secs_f64() * 1000.0);
        std::thread::sleep(PAUSE);
    }
    Ok((times, bytes))
}

pub(crate) fn put_times(mut times: Vec<f64>, names: [&'static str; 3], figures: &mut Figures) {
    figures.put(names[0], percentile(&mut times, 50));
    figures.put(names[1], percentile(&mut times, 99));
    figures.put(names[2], percentile(&mut times, 100));
}

/// Continuous scrapes until stopped.
pub(crate) struct InFlight {
    stop: Arc<AtomicBool>,
    scraping: JoinHandle<Result<Vec<f64>, String>>,
}

impl InFlight {
    /// Starts, and returns when the first scrape is in flight.
    pub(crate) fn start(host: &str, encoding: Option<&'static str>) -> Outcome<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let mut connection = Connection::open(host)?;
        connection.get("/livez", None)?;
        let scraping = std::thread::spawn(move || {
            let mut times = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                let answer = connection.get("/metrics", encoding).map_err(|error| error.to_string())?;
                times.push(answer.last_byte.as_secs_f64() * 1000.0);
            }
            Ok(times)
        });
        Ok(Self { stop, scraping })
    }

    /// Ends after the scrape in flight; returns the duration of each in milliseconds.
    pub(crate) fn stop(self) -> Outcome<Vec<f64>> {
        self.stop.store(true, Ordering::Relaxed);
        Ok(self.scraping.join().map_err(|_| "the scraper panicked")??)
    }
}
