//! The arguments as typed. Each help text is one line for a newcomer; its default and variable stand beside it.
#![allow(clippy::doc_markdown, reason = "clap prints these comments as they stand, backticks too")]

mod audit;
mod called;
mod explain;
mod look;
mod serve;
mod shared;
mod shell;

pub use audit::AuditArguments;
pub(super) use called::Called;
pub use explain::{DiffArguments, ExplainArguments, ExplainFormat};
pub use look::LookArguments;
pub use serve::ServeArguments;
pub use shared::{ConnectionArguments, CountArguments, LogArguments};
pub use shell::{CompletionsArguments, ManArguments, Shell};

use crate::web::ListenAddress;
use clap::{Args, Parser, Subcommand};

/// Tells Prometheus which Kubernetes workloads run more than one thing under one name.
#[derive(Parser, Debug)]
#[command(
    name = "podskew",
    version,
    propagate_version = true,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    next_line_help = true,
    max_term_width = 120,
    override_usage = "podskew [OPTIONS]\n       podskew <COMMAND> [OPTIONS]",
    after_help = "Without a command, podskew serves. Each option of serve has an environment variable; separate several \
                  values in it by commas. What is typed wins."
)]
pub struct Arguments {
    /// What to do; to serve if nothing is said.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The options of serve, which need no command.
    #[command(flatten)]
    pub serve: ServeArguments,
}

/// What podskew can do.
#[derive(Subcommand, Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one in a process")]
pub enum Command {
    /// Watch a cluster and serve its metrics (the default)
    #[command(display_name = "podskew")]
    Serve(ServeArguments),
    /// Say which workloads are not uniform: once, or once everything is rolled out
    #[command(display_name = "podskew", after_help = AUDIT_CODES, mut_arg("log_level", |level| level.default_value("warn")))]
    Audit(AuditArguments),
    /// Say everything about one workload: its templates, what its pods run, and the ways back
    #[command(display_name = "podskew")]
    Explain(ExplainArguments),
    /// Show what differs between two pod templates of a workload
    #[command(display_name = "podskew", after_help = DIFF_CODES)]
    Diff(DiffArguments),
    /// Serve the metrics of a simulated cluster, to see what podskew tells
    #[command(display_name = "podskew")]
    Demo(DemoArguments),
    /// Print the script that completes podskew's arguments in a shell
    #[command(display_name = "podskew")]
    Completions(CompletionsArguments),
    /// Print the manual page of podskew, or of one of its commands
    #[command(display_name = "podskew")]
    Man(ManArguments),
}

const AUDIT_CODES: &str = "Exit code: 0 if all is uniform, 1 if something is not, 2 if podskew could not look or nothing was \
                           selected, 3 if something could not be compared (with --strict), 4 if time ran out (with --wait).";

const DIFF_CODES: &str = "Exit code: 0 if nothing differs, 1 if something does, 2 if podskew could not look.";

/// What `demo` was told.
#[derive(Args, Debug)]
pub struct DemoArguments {
    /// How many workloads the simulated cluster runs
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub workloads: u32,

    /// How many pods it runs, over all workloads
    #[arg(long, value_name = "N", default_value_t = 160, value_parser = clap::value_parser!(u32).range(1..=500_000))]
    pub pods: u32,

    /// Address and port to serve metrics on
    #[arg(long, value_name = "ADDRESS", env = "PODSKEW_LISTEN_ADDRESS", default_value_t)]
    pub listen_address: ListenAddress,

    /// How to log.
    #[command(flatten)]
    pub log: LogArguments,
}

/// What this process was told, by its arguments and its environment.
pub(super) fn parse(called: Called) -> Result<Command, clap::Error> {
    // Deployment tools set variables that have no value to the empty string; that says nothing, as does not setting it.
    let command = mut_every_argument(called.command(), &|argument| {
        let is_empty = argument.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
        let argument = argument.hide_env_values(true);
        if is_empty { argument.env(None::<&str>) } else { argument }
    });
    called.read(&command.try_get_matches()?)
}

fn mut_every_argument(command: clap::Command, change: &impl Fn(clap::Arg) -> clap::Arg) -> clap::Command {
    command.mut_args(change).mut_subcommands(|subcommand| mut_every_argument(subcommand, change))
}
