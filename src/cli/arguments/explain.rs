//! The options of the commands that speak of one workload.
#![allow(clippy::doc_markdown, reason = "clap prints these comments as they stand, backticks too")]

use super::{LogArguments, LookArguments, NodeArguments, RegistryArguments, RegistryTimeoutArguments};
use crate::cli::{candidates, values};
use clap::Args;
use clap_complete::engine::ArgValueCompleter;

/// What `explain` was told.
#[derive(Args, Debug)]
pub struct ExplainArguments {
    /// The workload, like deployment/api, or pod/NAME for the workload that a pod belongs to, seen from that pod
    #[arg(
        value_name = "TYPE/NAME", required = true, num_args = 1.., add = ArgValueCompleter::new(candidates::workloads)
    )]
    pub workloads: Vec<String>,

    /// Form of the answer
    #[arg(short, long, value_name = "FORMAT", default_value = "text", value_parser = values::explain_format())]
    pub output: ExplainFormat,

    /// Where to look.
    #[command(flatten)]
    pub look: LookArguments,

    /// Whether nodes are asked.
    #[command(flatten)]
    pub nodes: NodeArguments,

    /// Which registries are asked.
    #[command(flatten)]
    pub registry: RegistryArguments,

    /// How long they are waited for.
    #[command(flatten)]
    pub registry_timeout: RegistryTimeoutArguments,

    /// How to log.
    #[command(flatten)]
    pub log: LogArguments,
}

/// The forms of an explanation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExplainFormat {
    /// Lines for people.
    Text,
    /// One JSON document.
    Json,
}

/// What `diff` was told.
#[derive(Args, Debug)]
pub struct DiffArguments {
    /// The workload, like deployment/api; a Deployment, StatefulSet, DaemonSet or Rollout
    #[arg(value_name = "TYPE/NAME", add = ArgValueCompleter::new(candidates::templated_workloads))]
    pub workload: String,

    /// One or two template hashes, or the beginnings of them [default: the previous and the current one]
    #[arg(value_name = "HASH", num_args = 0..=2)]
    pub hashes: Vec<String>,

    /// Show values of env variables, arguments, commands and annotations, which may be secrets
    #[arg(long)]
    pub show_values: bool,

    /// Form of the answer
    #[arg(short, long, value_name = "FORMAT", default_value = "text", value_parser = values::diff_format())]
    pub output: DiffFormat,

    /// Lines of context around each difference
    #[arg(short = 'U', long, value_name = "LINES", default_value_t = 3)]
    pub unified: u16,

    /// Where to look.
    #[command(flatten)]
    pub look: LookArguments,

    /// How to log.
    #[command(flatten)]
    pub log: LogArguments,
}

/// The forms of a difference.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DiffFormat {
    /// A unified diff.
    Text,
    /// One JSON document.
    Json,
}
