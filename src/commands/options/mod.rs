//! Options that several commands share, as typed and as checked. Each is defined once.
#![allow(clippy::doc_markdown, reason = "clap prints these comments unchanged, including backticks")]

pub(super) mod candidates;
mod registry;
mod snapshot;
pub(super) mod values;

pub use registry::{RegistryArguments, RegistryIntervalArguments, RegistryTimeoutArguments};
pub use snapshot::{EvidenceArguments, SnapshotArguments};

use crate::inventory::{CustomKind, Settings};
use crate::watch::Connection;
use clap::{Args, ValueHint};
use clap_complete::engine::ArgValueCompleter;
use std::path::PathBuf;
use std::time::Duration;
use tracing::level_filters::LevelFilter;

/// The cluster and the user.
#[derive(Args, Debug)]
pub struct ConnectionArguments {
    /// Kubeconfig file [default: $KUBECONFIG, ~/.kube/config, or in-cluster]
    #[arg(
        long, value_name = "FILE", env = "PODSKEW_KUBECONFIG", help_heading = CLUSTER, value_hint = ValueHint::FilePath
    )]
    pub kubeconfig: Option<PathBuf>,

    /// Kubeconfig context to use [default: the current context]
    #[arg(
        long, value_name = "NAME", env = "PODSKEW_CONTEXT", value_parser = values::non_empty, help_heading = CLUSTER,
        add = ArgValueCompleter::new(candidates::contexts)
    )]
    pub context: Option<String>,
}

/// Which objects count.
#[derive(Args, Debug)]
pub struct CountArguments {
    /// Namespace to exclude; repeatable
    #[arg(
        long, value_name = "NAMESPACE", env = "PODSKEW_EXCLUDE_NAMESPACE", help_heading = WHAT,
        value_delimiter = ',', value_parser = values::namespace, add = ArgValueCompleter::new(candidates::namespaces)
    )]
    pub exclude_namespace: Vec<String>,

    /// Container name to ignore, for example of a sidecar that may differ; repeatable
    #[arg(
        long, value_name = "CONTAINER", env = "PODSKEW_IGNORE_CONTAINER", help_heading = WHAT,
        value_delimiter = ',', value_parser = values::container
    )]
    pub ignore_container: Vec<String>,

    /// Include Jobs; their pods often differ on purpose
    #[arg(long, env = "PODSKEW_JOBS", help_heading = WHAT, value_parser = values::boolean)]
    pub jobs: bool,

    /// Kind of owner whose pods to include although they have no template hash, like Workflow.argoproj.io; repeatable
    #[arg(
        long, value_name = "KIND.GROUP", env = "PODSKEW_WORKLOAD_KIND", help_heading = WHAT,
        value_delimiter = ',', value_parser = values::workload_kind
    )]
    pub workload_kind: Vec<CustomKind>,

    /// Time without progress after which the rollout of a StatefulSet or DaemonSet is stalled, like 90s or 1h30m
    #[arg(
        long, value_name = "DURATION", env = "PODSKEW_STALLED_AFTER", help_heading = WHAT,
        default_value = "10m", value_parser = values::duration
    )]
    pub stalled_after: Duration,
}

/// Evidence from nodes.
#[derive(Args, Clone, Copy, Debug)]
pub struct NodeArguments {
    /// Read nodes too: their architecture, the images they hold, and which digests belong to one image
    #[arg(long, env = "PODSKEW_NODES", help_heading = WHAT, value_parser = values::boolean)]
    pub nodes: bool,
}

/// Log options of every command.
#[derive(Args, Debug)]
pub struct LogArguments {
    /// Log format
    #[arg(
        long, value_name = "FORMAT", env = "PODSKEW_LOG_FORMAT", help_heading = LOG,
        default_value = "text", value_parser = values::log_format()
    )]
    pub log_format: LogFormat,

    /// Minimum log level
    #[arg(
        long, value_name = "LEVEL", env = "PODSKEW_LOG_LEVEL", help_heading = LOG,
        default_value = "info", value_parser = values::log_level()
    )]
    pub log_level: LevelFilter,
}

pub(super) const CLUSTER: &str = "Cluster";
pub(super) const WHAT: &str = "Selection";
pub(super) const REGISTRIES: &str = "Registries";
pub(super) const METRICS: &str = "Metrics";
pub(super) const PAGE: &str = "Page";
pub(super) const ACCESS: &str = "Access";
pub(super) const LOG: &str = "Log";

/// Each namespace costs a connection per watched resource.
pub(in crate::commands) const MAX_NAMESPACES: usize = 50;

/// Log options.
#[derive(Clone, Copy, Debug)]
pub struct LogConfig {
    /// The format.
    pub format: LogFormat,
    /// Minimum level.
    pub level: LevelFilter,
}

/// Log format.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object per line.
    Json,
}

impl From<ConnectionArguments> for Connection {
    fn from(arguments: ConnectionArguments) -> Self {
        Self { kubeconfig: arguments.kubeconfig, context: arguments.context }
    }
}

pub(super) fn settings(arguments: CountArguments) -> Settings {
    Settings {
        exclude_namespaces: unique(arguments.exclude_namespace),
        ignore_containers: unique(arguments.ignore_container),
        pod_labels: Vec::new(),
        jobs: arguments.jobs,
        workload_kinds: distinct_kinds(arguments.workload_kind),
        stalled_after: arguments.stalled_after,
        images_of_history: false,
        messages: false,
    }
}

pub(super) fn check_namespaces(namespaces: &[String], settings: &Settings) -> Result<(), String> {
    match namespaces.iter().find(|name| settings.exclude_namespaces.contains(name)) {
        None => Ok(()),
        Some(both) => Err(format!(
            "namespace '{both}' is both in --namespace and in --exclude-namespace; remove it from one of them"
        )),
    }
}

impl From<LogArguments> for LogConfig {
    fn from(arguments: LogArguments) -> Self {
        Self { format: arguments.log_format, level: arguments.log_level }
    }
}

pub(super) fn unique(mut names: Vec<String>) -> Vec<String> {
    names.sort_unstable();
    names.dedup();
    names
}

fn distinct_kinds(kinds: Vec<CustomKind>) -> Vec<CustomKind> {
    let mut distinct: Vec<CustomKind> = Vec::with_capacity(kinds.len());
    for kind in kinds {
        let same = |other: &CustomKind| {
            other.kind.eq_ignore_ascii_case(&kind.kind) && other.group.eq_ignore_ascii_case(&kind.group)
        };
        if !distinct.iter().any(same) {
            distinct.push(kind);
        }
    }
    distinct
}
