//! podskew's cost on clusters of 1 000 to 150 000 pods: `make bench`, or `cargo bench --bench scale -- --help`.
//!
//! The simulated cluster runs in a process of its own, so that the memory measured is podskew's alone. podskew is the
//! release binary as it ships. Everything is measured from outside: `/proc`, and scrapes. The machine is shared, so times
//! are compared within one run if possible, and never fail the command.
//!
//! ```text
//!  this process ──commands──▶ cluster (inside.rs: the simulator) ──lists, watches──▶ podskew, kube-state-metrics
//!       └───────────scrapes, /proc──────────────────────────────────────────────────────▲
//! ```
#![allow(missing_docs, reason = "a program")]

mod audit;
mod changes;
mod cluster;
mod events;
mod figures;
mod http;
mod inside;
mod inside_registries;
mod memory;
mod nodes;
mod peer;
mod podskew;
mod process;
mod ready;
mod registries;
mod renderings;
mod scrapes;
mod tls;

use clap::{Parser, Subcommand, ValueEnum};
use cluster::Cluster;
use figures::Figures;
use podskew::Podskew;
use std::path::PathBuf;
use std::time::Instant;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Measures podskew's cost, and prints one table.
#[derive(Debug, Parser)]
#[command(name = "scale")]
struct Arguments {
    /// Sizes of the cluster, in pods
    #[arg(long, value_delimiter = ',', default_value = "1000,30000,150000")]
    pods: Vec<u32>,
    /// Parts to measure
    #[arg(
        long,
        value_delimiter = ',',
        value_enum,
        default_value = "ready,audit,memory,scrapes,tls,events,rolls,nodes,registries,renderings,changes,peer"
    )]
    only: Vec<Part>,
    /// File for the figures
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/target/bench.json"))]
    json: PathBuf,
    /// Path of kube-state-metrics, for comparison; skipped if missing
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/target/tools/kube-state-metrics"))]
    kube_state_metrics: PathBuf,
    /// Ignored; cargo passes it
    #[arg(long, hide = true)]
    bench: bool,
    #[command(subcommand)]
    inside: Option<Inside>,
}

#[derive(Debug, Subcommand)]
enum Inside {
    /// Runs the simulated cluster; the bench starts it as a child process
    #[command(hide = true)]
    Cluster { pods: u32 },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Part {
    /// Time to ready relative to a client that discards the data, streaming and paged
    Ready,
    /// An audit of the cluster, and of a file
    Audit,
    /// Resident memory at the initial list, when settled, and during a full relist
    Memory,
    /// Scrapes idle, under churn, and during relists
    Scrapes,
    /// Scrapes over TLS, idle
    Tls,
    /// CPU and delay of events
    Events,
    /// Memory after ten rolling updates of everything
    Rolls,
    /// Cost of 5 000 nodes with --nodes
    Nodes,
    /// Cost of 5 000 references in four registries with --registry, on one size of cluster
    Registries,
    /// Time of one rendering after changes in 1, 40 and 1000 workloads
    Renderings,
    /// CPU of events as a real API server sends them, and first scrapes meanwhile, with kube-state-metrics
    Changes,
    /// kube-state-metrics on the same cluster
    Peer,
}

fn main() -> Outcome<()> {
    let arguments = Arguments::parse();
    if let Some(Inside::Cluster { pods }) = arguments.inside {
        return inside::run(pods);
    }
    let begun = Instant::now();
    let mut figures = Figures::default();
    for pods in &arguments.pods {
        measure(*pods, &arguments, &mut figures)?;
        // Keeps the figures of an interrupted run.
        figures.write(&arguments.json)?;
    }
    show(&figures, &arguments.json, begun);
    if figures.void().is_some() {
        std::process::exit(2);
    }
    Ok(())
}

fn measure(pods: u32, arguments: &Arguments, figures: &mut Figures) -> Outcome<()> {
    figures.begin(pods);
    let wants = |part| arguments.only.contains(&part);
    progress(&format!("{pods} pods"));
    let begun = Instant::now();
    let mut cluster = Cluster::start(pods)?;
    progress(&format!("encoded in {:.1} s; {:.0} MiB", begun.elapsed().as_secs_f64(), cluster.resident_mib()?));
    if wants(Part::Ready) {
        ready::measure(&mut cluster, figures)?;
    }
    if wants(Part::Audit) {
        audit::measure(&cluster, figures)?;
    }
    if wants(Part::Nodes) {
        nodes::measure(&mut cluster, figures)?;
    }
    // This takes minutes, and hardly depends on the size of the cluster.
    let size = arguments.pods.iter().find(|size| **size == 30_000).or(arguments.pods.first());
    if wants(Part::Registries) && size == Some(&pods) {
        registries::measure(&mut Cluster::start(pods)?, figures)?;
    }
    let podskew = Podskew::start(&cluster, &[])?;
    if wants(Part::Memory) || wants(Part::Rolls) {
        memory::first(&podskew, cluster.pods, figures)?;
    }
    if wants(Part::Scrapes) {
        scrapes::idle(&podskew, pods, figures)?;
    }
    if wants(Part::Tls) {
        tls::measure(&cluster, figures)?;
    }
    if wants(Part::Memory) {
        memory::relist(&mut cluster, &podskew, figures)?;
    }
    if wants(Part::Scrapes) {
        scrapes::relists(&mut cluster, &podskew, figures)?;
        scrapes::churn(&mut cluster, &podskew, figures)?;
    }
    if wants(Part::Events) {
        events::delay(&mut cluster, &podskew, figures)?;
        events::cpu(&mut cluster, &podskew, figures)?;
    }
    if wants(Part::Rolls) {
        memory::rolls(&mut cluster, &podskew, figures)?;
    }
    if wants(Part::Events) {
        events::large(&mut cluster, &podskew, figures)?;
    }
    drop(podskew);
    if wants(Part::Events) {
        events::into_inventory(&mut cluster, figures)?;
    }
    if wants(Part::Renderings) {
        renderings::measure(pods, figures)?;
    }
    if wants(Part::Changes) {
        changes::measure(&arguments.kube_state_metrics, &mut cluster, figures)?;
    }
    if wants(Part::Peer) {
        peer::measure(&arguments.kube_state_metrics, &mut cluster, figures)?;
    }
    Ok(())
}

#[allow(clippy::print_stdout, reason = "the table")]
fn show(figures: &Figures, json: &std::path::Path, begun: Instant) {
    println!("\npodskew {} on {}", env!("CARGO_PKG_VERSION"), figures::machine());
    println!("{}", figures.table());
    println!("growth: from 30 000 to 150 000 pods, at most 5.3 ×; times depend on other load on the machine.");
    println!("wrote {} after {:.0} s", json.display(), begun.elapsed().as_secs_f64());
    if let Some(void) = figures.void() {
        println!("{void}");
    }
}

/// Prints progress.
#[allow(clippy::print_stderr, reason = "standard output is for the table")]
fn progress(line: &str) {
    eprintln!("  {line}");
}
