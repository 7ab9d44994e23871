//! The options of `audit`.
#![allow(clippy::doc_markdown, reason = "clap prints these comments as they stand, backticks too")]

use super::shared::WHAT;
use super::{LogArguments, LookArguments, NodeArguments, RegistryArguments, RegistryTimeoutArguments};
use crate::audit::Format;
use crate::cli::candidates;
use crate::cli::values::{self, FailOn};
use crate::look::Selector;
use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use std::time::Duration;

/// What `audit` was told.
#[derive(Args, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub struct AuditArguments {
    /// Audit these workloads only, like deployment/api or sts/db [default: all]
    #[arg(value_name = "TYPE/NAME", add = ArgValueCompleter::new(candidates::workloads))]
    pub workloads: Vec<String>,

    /// Form of the report
    #[arg(
        short, long, value_name = "FORMAT", help_heading = VERDICT,
        default_value = "table", value_parser = values::audit_format()
    )]
    pub output: Format,

    /// Wait until everything is rolled out and uniform, but no longer than this, as in 90s or 10m
    #[arg(long, value_name = "DURATION", help_heading = VERDICT, value_parser = values::duration, conflicts_with = "filename")]
    pub wait: Option<Duration>,

    /// Fail if something could not be compared
    #[arg(long, help_heading = VERDICT)]
    pub strict: bool,

    /// Fail on mixes that somebody wants, too: paused, partitioned, OnDelete, canary, blue-green
    #[arg(long, help_heading = VERDICT)]
    pub no_deliberate: bool,

    /// Fail on digest skew of injected containers and of unknown origin, too
    #[arg(long, help_heading = VERDICT)]
    pub injected: bool,

    /// Fail if a tag moved or an image is gone from its registry; repeatable
    #[arg(long, value_name = "WHAT", help_heading = VERDICT, value_parser = values::fail_on(), requires = "registry")]
    pub fail_on: Vec<FailOn>,

    /// Do not fail if nothing is selected
    #[arg(long, help_heading = VERDICT)]
    pub allow_empty: bool,

    /// Audit workloads with such labels of their own, like app=web,tier!=cache; of a lone list of pods, such pods
    #[arg(short = 'l', long, value_name = "SELECTOR", help_heading = WHAT, value_parser = values::selector)]
    pub selector: Option<Selector>,

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

const VERDICT: &str = "The report";
