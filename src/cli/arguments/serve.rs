//! The options of `serve`.
#![allow(clippy::doc_markdown, reason = "clap prints these comments as they stand, backticks too")]

use super::shared::{ACCESS, METRICS, WHAT};
use super::{
    ConnectionArguments, CountArguments, LogArguments, NodeArguments, RegistryArguments, RegistryIntervalArguments,
};
use crate::cli::candidates;
use crate::cli::values::{self, Auth, FamilyPatterns};
use crate::inventory::PodLabel;
use crate::web::ListenAddress;
use clap::{Args, ValueHint};
use clap_complete::engine::ArgValueCompleter;
use std::path::PathBuf;

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

    /// Whether nodes are asked.
    #[command(flatten)]
    pub nodes: NodeArguments,

    /// Which registries are asked.
    #[command(flatten)]
    pub registry: RegistryArguments,

    /// How often.
    #[command(flatten)]
    pub registry_interval: RegistryIntervalArguments,

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

    /// File with TLS, users and their passwords, headers and a rate limit, in the format of Prometheus' exporter-toolkit
    #[arg(
        long, value_name = "FILE", env = "PODSKEW_WEB_CONFIG_FILE", help_heading = ACCESS, value_hint = ValueHint::FilePath
    )]
    pub web_config_file: Option<PathBuf>,

    /// Serve only those whose bearer token the API server lets get the path
    #[arg(
        long, value_name = "METHOD", env = "PODSKEW_AUTH", help_heading = ACCESS, value_parser = values::auth()
    )]
    pub auth: Option<Auth>,

    /// Audience a token may be for; repeatable [default: those of the API server]
    #[arg(
        long, value_name = "AUDIENCE", env = "PODSKEW_AUTH_AUDIENCE", help_heading = ACCESS,
        value_delimiter = ',', value_parser = values::non_empty, requires = "auth"
    )]
    pub auth_audience: Vec<String>,

    /// How to log.
    #[command(flatten)]
    pub log: LogArguments,
}
