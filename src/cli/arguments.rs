//! Command-line arguments as typed. Each help text is one line; clap adds the default and the environment variable.
#![allow(clippy::doc_markdown, reason = "clap prints these comments unchanged, including backticks")]

use super::examples;
use super::shell::CompletionsArguments;
#[cfg(feature = "demo")]
use crate::commands::demo::DemoArguments;
use crate::commands::{audit::AuditArguments, diff::DiffArguments, explain::ExplainArguments, serve::ServeArguments};
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};

/// Prometheus exporter that tells whether all replicas of a Kubernetes workload run the same thing.
#[derive(Parser, Debug)]
#[command(
    name = "podskew",
    version = VERSION,
    propagate_version = true,
    args_conflicts_with_subcommands = true,
    next_line_help = true,
    max_term_width = 120,
    override_usage = "podskew [OPTIONS]\n       podskew <COMMAND> [OPTIONS]",
    after_help = examples::PODSKEW
)]
pub struct Arguments {
    /// The command; `serve` by default.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Options of `serve`, which may be given without a command.
    #[command(flatten)]
    pub serve: ServeArguments,
}

/// The commands.
#[derive(Subcommand, Debug)]
#[allow(clippy::large_enum_variant, reason = "a process has only one")]
pub enum Command {
    /// Watch a cluster and serve its metrics (the default)
    #[command(display_name = "podskew", after_help = examples::SERVE)]
    Serve(ServeArguments),
    /// Report workloads that are not uniform, at once or after waiting for rollouts
    #[command(
        display_name = "podskew", after_help = examples::AUDIT,
        mut_arg("log_level", |level| level.default_value("warn"))
    )]
    Audit(AuditArguments),
    /// Show everything about one workload: templates, pods, rollout, and how to roll back
    #[command(display_name = "podskew", after_help = examples::EXPLAIN)]
    Explain(ExplainArguments),
    /// Show the differences between two pod templates of a workload
    #[command(display_name = "podskew", after_help = examples::DIFF)]
    Diff(DiffArguments),
    #[cfg(feature = "demo")]
    /// Simulate a cluster and serve its metrics, to try podskew
    #[command(display_name = "podskew", after_help = examples::DEMO)]
    Demo(DemoArguments),
    /// Print a completion script for a shell
    #[command(display_name = "podskew", after_help = examples::COMPLETIONS)]
    Completions(CompletionsArguments),
    /// Print the manual page of podskew or of one of its commands
    #[command(display_name = "podskew", after_help = examples::MAN)]
    Man(ManArguments),
    /// Print the version and the revision it was built from
    #[command(display_name = "podskew")]
    Version,
}

/// Arguments of `man`.
#[derive(Args, Clone, Debug)]
pub struct ManArguments {
    /// Command whose page to print [default: podskew itself]
    #[arg(value_name = "COMMAND", add = ArgValueCandidates::new(commands))]
    pub command: Option<String>,
}

fn commands() -> Vec<CompletionCandidate> {
    Arguments::command().get_subcommands().map(|command| CompletionCandidate::new(command.get_name())).collect()
}

/// Version and source revision.
pub(super) const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (revision ", env!("PODSKEW_REVISION"), ")");
