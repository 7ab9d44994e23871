//! The options of the commands that look once: at a cluster, or at what kubectl printed of one.
#![allow(clippy::doc_markdown, reason = "clap prints these comments as they stand, backticks too")]

use super::shared::{CLUSTER, WHAT};
use super::{ConnectionArguments, CountArguments};
use crate::cli::{candidates, values};
use crate::time::UnixTime;
use clap::{Args, ValueHint};
use clap_complete::engine::ArgValueCompleter;
use std::path::PathBuf;

/// Where a command that looks once was told to look.
#[derive(Args, Debug)]
pub struct LookArguments {
    /// Which cluster, and as whom.
    #[command(flatten)]
    pub connection: ConnectionArguments,

    /// Read this file, folder or archive instead of a cluster; repeatable; - is standard input
    #[arg(short = 'f', long, value_name = "FILE", help_heading = CLUSTER, value_hint = ValueHint::AnyPath)]
    pub filename: Vec<PathBuf>,

    /// When the files were taken, like 2026-11-30T08:00:00Z [default: the newest time in them; a pipe: now]
    #[arg(long, value_name = "TIME", help_heading = CLUSTER, requires = "filename", value_parser = values::moment)]
    pub taken: Option<UnixTime>,

    /// Look in this namespace; repeatable, at most 50 [default: the context's, or all that a file holds]
    #[arg(
        short = 'n', long, value_name = "NAMESPACE", help_heading = WHAT,
        value_delimiter = ',', value_parser = values::namespace, add = ArgValueCompleter::new(candidates::namespaces)
    )]
    pub namespace: Vec<String>,

    /// Look in all namespaces
    #[arg(short = 'A', long, help_heading = WHAT, conflicts_with = "namespace")]
    pub all_namespaces: bool,

    /// What counts.
    #[command(flatten)]
    pub counts: CountArguments,
}
