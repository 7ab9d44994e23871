//! What podskew costs on a cluster of many pods: `cargo bench --bench scale -- [PODS] [paged]`.
//!
//! The simulated cluster runs in a process of its own, so that the memory measured is podskew's alone. Times are
//! compared with those of a client that reads the same bytes and throws them away: ratios of one run, because the
//! machine is shared.
#![allow(clippy::print_stdout, reason = "it prints what it measures")]

use podskew::objects::Resource;
use podskew::simulator::{BulkConfig, Fault, Simulator, SimulatorConfig, Store, bulk};
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if arguments.first().is_some_and(|first| first == "cluster") {
        return cluster(arguments[1].parse()?, arguments.get(2).is_some_and(|word| word == "paged")).await;
    }
    let pods: u32 = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(30_000);
    let paged = arguments.iter().any(|argument| argument == "paged");
    measure(pods, paged).await
}

/// The simulated cluster: says where it is, and stays until its standard input is closed.
async fn cluster(pods: u32, paged: bool) -> Outcome<()> {
    let store = Store::new(4096);
    bulk(&store, &BulkConfig { pods, ..BulkConfig::default() });
    let simulator = Simulator::start_with(SimulatorConfig::default(), store).await?;
    if paged {
        simulator.inject(None, Fault::StreamingListUnsupported);
    }
    println!("{}", simulator.url());
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    Ok(())
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn measure(pods: u32, paged: bool) -> Outcome<()> {
    let mut cluster = Command::new(std::env::current_exe()?);
    cluster.args(["cluster", &pods.to_string(), if paged { "paged" } else { "streaming" }]);
    let mut cluster = Running(cluster.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?);
    let mut url = String::new();
    BufReader::new(cluster.0.stdout.take().ok_or("no output")?).read_line(&mut url)?;
    let url = url.trim().to_owned();

    println!("{pods} pods, {}", if paged { "paged" } else { "streaming" });
    let mut discarding = Vec::new();
    for _ in 0..3 {
        let (bytes, took) = discard(&url, paged).await?;
        discarding.push(took.as_secs_f64());
        println!(
            "  discarding client: {:.0} MB in {:.2} s, {:.0} MB/s",
            mega(bytes),
            took.as_secs_f64(),
            mega(bytes) / took.as_secs_f64()
        );
    }
    let discarding = median(&mut discarding);

    let directory = tempfile::tempdir()?;
    let kubeconfig = directory.path().join("kubeconfig");
    std::fs::write(&kubeconfig, kubeconfig_for(&url))?;
    let mut ready = Vec::new();
    for run in 0..3 {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let begun = Instant::now();
        let podskew = Running(
            Command::new(env!("CARGO_BIN_EXE_podskew"))
                .args(["serve", "--log-level", "error", "--listen-address", &format!("127.0.0.1:{port}")])
                .arg("--kubeconfig")
                .arg(&kubeconfig)
                .spawn()?,
        );
        let base = format!("http://127.0.0.1:{port}");
        let client = reqwest::Client::new();
        loop {
            let answer = client.get(format!("{base}/readyz")).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                break;
            }
            if begun.elapsed() > Duration::from_secs(180) {
                return Err("podskew is not ready after three minutes".into());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let took = begun.elapsed().as_secs_f64();
        ready.push(took);
        let peak = memory(&podskew, "VmHWM")?;
        println!("  ready in {took:.2} s, {:.2} × the discarding client; peak {peak:.1} MiB", took / discarding);
        if run == 2 {
            tokio::time::sleep(Duration::from_secs(3)).await;
            let resident = memory(&podskew, "VmRSS")?;
            println!("  steady {resident:.1} MiB, {:.0} bytes a pod", resident * 1_048_576.0 / f64::from(pods));
            scrapes(&client, &base, Some("gzip"), 200).await?;
            scrapes(&client, &base, None, 20).await?;
            println!(
                "  after the scrapes {:.1} MiB, peak {:.1} MiB",
                memory(&podskew, "VmRSS")?,
                memory(&podskew, "VmHWM")?
            );
        }
    }
    println!("  median ready {:.2} × the discarding client", median(&mut ready) / discarding);
    Ok(())
}

/// Reads what podskew reads, all resources at once, and throws it away.
async fn discard(url: &str, paged: bool) -> Outcome<(u64, Duration)> {
    let begun = Instant::now();
    let reads = Resource::ALL.map(|resource| {
        let base = format!("{url}{}/{}", resource.api_path(), resource.plural());
        tokio::spawn(async move {
            let read = if paged { read_pages(&base).await } else { read_stream(&base).await };
            read.map_err(|error| error.to_string())
        })
    });
    let mut bytes = 0;
    for read in reads {
        bytes += read.await??;
    }
    Ok((bytes, begun.elapsed()))
}

async fn read_stream(base: &str) -> Outcome<u64> {
    let query = "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut answer = reqwest::get(format!("{base}?{query}")).await?;
    let mut bytes = 0;
    if !answer.status().is_success() {
        return Ok(0);
    }
    let mut tail = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        bytes += chunk.len() as u64;
        // The end stands in the last line: only the end of what has come needs a look.
        tail.extend_from_slice(&chunk[chunk.len().saturating_sub(1024)..]);
        if memchr::memmem::find(&tail, b"k8s.io/initial-events-end").is_some() {
            break;
        }
        tail.drain(..tail.len().saturating_sub(1024));
    }
    Ok(bytes)
}

async fn read_pages(base: &str) -> Outcome<u64> {
    let mut bytes = 0;
    let mut token = String::new();
    loop {
        let mut answer = reqwest::get(format!("{base}?limit=500{token}")).await?;
        let mut head = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            bytes += chunk.len() as u64;
            if head.len() < 1024 {
                head.extend_from_slice(&chunk[..chunk.len().min(1024)]);
            }
        }
        let text = String::from_utf8_lossy(&head);
        let next = text.split_once("\"continue\":\"").and_then(|(_, rest)| rest.split_once('"'));
        match next {
            Some((next, _)) if !next.is_empty() => token = format!("&continue={next}"),
            _ => return Ok(bytes),
        }
    }
}

async fn scrapes(client: &reqwest::Client, base: &str, encoding: Option<&str>, count: usize) -> Outcome<()> {
    let mut times = Vec::with_capacity(count);
    let mut bytes = 0;
    for _ in 0..count {
        let mut request = client.get(format!("{base}/metrics"));
        if let Some(encoding) = encoding {
            request = request.header("Accept-Encoding", encoding);
        }
        let begun = Instant::now();
        let mut answer = request.send().await?;
        bytes = 0;
        while let Some(chunk) = answer.chunk().await? {
            bytes += chunk.len() as u64;
        }
        times.push(begun.elapsed().as_secs_f64() * 1000.0);
    }
    times.sort_by(f64::total_cmp);
    println!(
        "  scrape {}: {:.1} MB, p50 {:.1} ms, p99 {:.1} ms",
        encoding.unwrap_or("identity"),
        mega(bytes),
        times[count / 2],
        times[count * 99 / 100]
    );
    Ok(())
}

fn kubeconfig_for(url: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: bench\nclusters:\n- name: bench\n  cluster: {{server: \"{url}\"}}\n\
         users:\n- name: bench\n  user: {{}}\ncontexts:\n- name: bench\n  context: {{cluster: bench, user: bench}}\n"
    )
}

fn memory(process: &Running, field: &str) -> Outcome<f64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.0.id()))?;
    let line = status.lines().find(|line| line.starts_with(field)).ok_or("no such field")?;
    let kibibytes: f64 = line.split_whitespace().nth(1).ok_or("no value")?.parse()?;
    Ok(kibibytes / 1024.0)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn mega(bytes: u64) -> f64 {
    bytes as f64 / 1_000_000.0
}
