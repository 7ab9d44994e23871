//! The arguments as typed. Each help text is one line for a newcomer; its default and variable stand beside it.
#![allow(clippy::doc_markdown, reason = "clap prints these comments as they stand, backticks too")]

use super::config::LogFormat;
use super::values::{self, FamilyPatterns};
use crate::inventory::{PodLabel, WorkloadKind};
use crate::web::ListenAddress;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use std::path::PathBuf;
use std::time::Duration;
use tracing::level_filters::LevelFilter;

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
    /// Serve the metrics of a simulated cluster, to see what podskew tells
    #[command(display_name = "podskew")]
    Demo(DemoArguments),
}

/// What `serve` was told.
#[derive(Args, Debug)]
pub struct ServeArguments {
    /// Kubeconfig file that says how to reach the cluster [default: $KUBECONFIG, ~/.kube/config, or in-cluster]
    #[arg(long, value_name = "FILE", env = "PODSKEW_KUBECONFIG", help_heading = CLUSTER)]
    pub kubeconfig: Option<PathBuf>,

    /// Context of the kubeconfig to use [default: its current context]
    #[arg(long, value_name = "NAME", env = "PODSKEW_CONTEXT", value_parser = values::non_empty, help_heading = CLUSTER)]
    pub context: Option<String>,

    /// Watch only this namespace; repeatable, at most 50 [default: all namespaces]
    #[arg(
        long, value_name = "NAMESPACE", env = "PODSKEW_NAMESPACE", help_heading = WHAT,
        value_delimiter = ',', value_parser = values::namespace
    )]
    pub namespace: Vec<String>,

    /// Leave this namespace out; repeatable
    #[arg(
        long, value_name = "NAMESPACE", env = "PODSKEW_EXCLUDE_NAMESPACE", help_heading = WHAT,
        value_delimiter = ',', value_parser = values::namespace
    )]
    pub exclude_namespace: Vec<String>,

    /// Leave containers of this name out, such as a sidecar that may differ; repeatable
    #[arg(
        long, value_name = "CONTAINER", env = "PODSKEW_IGNORE_CONTAINER", help_heading = WHAT,
        value_delimiter = ',', value_parser = values::container
    )]
    pub ignore_container: Vec<String>,

    /// Count Jobs as workloads; their pods often differ on purpose
    #[arg(long, env = "PODSKEW_JOBS", help_heading = WHAT, value_parser = values::boolean)]
    pub jobs: bool,

    /// Count pods of this kind of owner although they carry no template hash, as in Workflow.argoproj.io; repeatable
    #[arg(
        long, value_name = "KIND.GROUP", env = "PODSKEW_WORKLOAD_KIND", help_heading = WHAT,
        value_delimiter = ',', value_parser = values::workload_kind
    )]
    pub workload_kind: Vec<WorkloadKind>,

    /// How long a StatefulSet's or DaemonSet's rollout may stand still before it counts as stalled, as in 90s or 1h30m
    #[arg(
        long, value_name = "DURATION", env = "PODSKEW_STALLED_AFTER", help_heading = WHAT,
        default_value = "10m", value_parser = values::duration
    )]
    pub stalled_after: Duration,

    /// Address and port to serve metrics on; IPv4 too, and IPv4 alone where IPv6 is off
    #[arg(
        long, value_name = "ADDRESS", env = "PODSKEW_LISTEN_ADDRESS", help_heading = METRICS,
        default_value_t
    )]
    pub listen_address: ListenAddress,

    /// Pod label to show as label_KEY on podskew_pod_info and podskew_template_hash_info; repeatable
    #[arg(
        long, value_name = "KEY", env = "PODSKEW_POD_LABEL", help_heading = METRICS,
        value_delimiter = ',', value_parser = values::pod_label
    )]
    pub pod_label: Vec<PodLabel>,

    /// Serve only metrics whose whole name matches this regular expression; repeatable [default: all]
    #[arg(
        long, value_name = "REGEX", env = "PODSKEW_METRIC_ALLOWLIST", help_heading = METRICS,
        value_parser = values::family_patterns
    )]
    pub metric_allowlist: Vec<FamilyPatterns>,

    /// Serve no metric whose whole name matches this regular expression; repeatable
    #[arg(
        long, value_name = "REGEX", env = "PODSKEW_METRIC_DENYLIST", help_heading = METRICS,
        value_parser = values::family_patterns
    )]
    pub metric_denylist: Vec<FamilyPatterns>,

    /// How to log.
    #[command(flatten)]
    pub log: LogArguments,
}

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

/// How to log, whatever is done.
#[derive(Args, Debug)]
pub struct LogArguments {
    /// Form of the log on stderr
    #[arg(
        long, value_name = "FORMAT", env = "PODSKEW_LOG_FORMAT", help_heading = LOG,
        default_value = "text", value_parser = values::log_format()
    )]
    pub log_format: LogFormat,

    /// Least severity to log
    #[arg(
        long, value_name = "LEVEL", env = "PODSKEW_LOG_LEVEL", help_heading = LOG,
        default_value = "info", value_parser = values::log_level()
    )]
    pub log_level: LevelFilter,
}

const CLUSTER: &str = "The cluster";
const WHAT: &str = "What counts";
const METRICS: &str = "The metrics";
const LOG: &str = "The log";

/// What this process was told, by its arguments and its environment.
pub(super) fn parse() -> Result<Command, clap::Error> {
    // Deployment tools set variables that have no value to the empty string; that says nothing, as does not setting it.
    let command = mut_every_argument(Arguments::command(), &|argument| {
        let is_empty = argument.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
        let argument = argument.hide_env_values(true);
        if is_empty { argument.env(None::<&str>) } else { argument }
    });
    let arguments = Arguments::from_arg_matches(&command.try_get_matches()?)?;
    Ok(arguments.command.unwrap_or(Command::Serve(arguments.serve)))
}

fn mut_every_argument(command: clap::Command, change: &impl Fn(clap::Arg) -> clap::Arg) -> clap::Command {
    command.mut_args(change).mut_subcommands(|subcommand| mut_every_argument(subcommand, change))
}
