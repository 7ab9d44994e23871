//! The options of `serve`.
#![allow(clippy::doc_markdown, reason = "clap prints these comments as they stand, backticks too")]

use super::shared::{METRICS, WHAT};
use super::{ConnectionArguments, CountArguments, LogArguments};
use crate::cli::candidates;
use crate::cli::values::{self, FamilyPatterns};
use crate::inventory::PodLabel;
use crate::web::ListenAddress;
use clap::Args;
use clap_complete::engine::ArgValueCompleter;

/// What `serve` was told.
#[derive(Args, Debug)]
pub struct ServeArguments {
    /// Which cluster, and as whom.
    #[command(flatten)]
    pub connection: ConnectionArguments,

    /// Watch only this namespace; repeatable, at most 50 [default: all namespaces]
    #[arg(
        short = 'n', long, value_name = "NAMESPACE", env = "PODSKEW_NAMESPACE", help_heading = WHAT,
        value_delimiter = ',', value_parser = values::namespace, add = ArgValueCompleter::new(candidates::namespaces)
    )]
    pub namespace: Vec<String>,

    /// What counts.
    #[command(flatten)]
    pub counts: CountArguments,

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
