//! Options of commands that take a snapshot: of a cluster, or of files that kubectl printed.
#![allow(clippy::doc_markdown, reason = "clap prints these comments unchanged, including backticks")]

use super::{
    CLUSTER, ConnectionArguments, CountArguments, MAX_NAMESPACES, NodeArguments, RegistryArguments,
    RegistryTimeoutArguments, WHAT, candidates, check_namespaces, settings, unique, values,
};
use crate::registry::RegistryOptions;
use crate::snapshot::{Namespaces, Selector, SnapshotOptions, SnapshotSource};
use crate::time::UnixTime;
use clap::{Args, ValueHint};
use clap_complete::engine::ArgValueCompleter;
use std::path::PathBuf;

/// Source of the snapshot.
#[derive(Args, Debug)]
pub struct SnapshotArguments {
    /// The cluster and the user.
    #[command(flatten)]
    pub connection: ConnectionArguments,

    /// File, directory or archive to read instead of a cluster; - is standard input; repeatable
    #[arg(short = 'f', long, value_name = "FILE", help_heading = CLUSTER, value_hint = ValueHint::AnyPath)]
    pub filename: Vec<PathBuf>,

    /// Time at which the files were written, like 2026-11-30T08:00:00Z [default: the newest time in them; a pipe: now]
    #[arg(long, value_name = "TIME", help_heading = CLUSTER, requires = "filename", value_parser = values::moment)]
    pub taken: Option<UnixTime>,

    /// Namespace to read; repeatable, at most 50 [default: that of the context; of files, all]
    #[arg(
        short = 'n', long, value_name = "NAMESPACE", help_heading = WHAT,
        value_delimiter = ',', value_parser = values::namespace, add = ArgValueCompleter::new(candidates::namespaces)
    )]
    pub namespace: Vec<String>,

    /// Read all namespaces
    #[arg(short = 'A', long, help_heading = WHAT, conflicts_with = "namespace")]
    pub all_namespaces: bool,

    /// Which objects count.
    #[command(flatten)]
    pub counts: CountArguments,
}

/// Sources of evidence besides the API server.
#[derive(Args, Debug)]
pub struct EvidenceArguments {
    /// Whether to list nodes.
    #[command(flatten)]
    pub nodes: NodeArguments,

    /// Which registries to ask.
    #[command(flatten)]
    pub registry: RegistryArguments,

    /// How long to wait for registries.
    #[command(flatten)]
    pub registry_timeout: RegistryTimeoutArguments,
}

impl EvidenceArguments {
    /// Adds these to `snapshot_options`.
    ///
    /// # Errors
    ///
    /// The arguments contradict each other.
    pub(in crate::commands) fn apply(self, snapshot_options: &mut SnapshotOptions) -> Result<(), String> {
        snapshot_options.nodes = self.nodes.nodes;
        snapshot_options.registry = self.registry.options(None, self.registry_timeout.registry_timeout)?;
        Ok(())
    }
}

impl SnapshotOptions {
    /// Checks `arguments`.
    ///
    /// # Errors
    ///
    /// The arguments contradict each other.
    pub fn new(arguments: SnapshotArguments, selector: Option<Selector>) -> Result<Self, String> {
        let names = unique(arguments.namespace);
        let settings = settings(arguments.counts);
        if names.len() > MAX_NAMESPACES && arguments.filename.is_empty() {
            return Err(format!(
                "--namespace names {} namespaces, but podskew reads at most {MAX_NAMESPACES} one by one; use --all-namespaces, and exclude others with --exclude-namespace",
                names.len()
            ));
        }
        check_namespaces(&names, &settings)?;
        let files = arguments.filename;
        if files.iter().filter(|file| file.as_os_str() == "-").count() > 1 {
            return Err("--filename names standard input twice, but it can be read only once; remove one -".to_owned());
        }
        let source = if files.is_empty() {
            SnapshotSource::Cluster {
                connection: arguments.connection.into(),
                namespaces: match (arguments.all_namespaces, names.is_empty()) {
                    (true, _) => Namespaces::All,
                    (false, true) => Namespaces::OfContext,
                    (false, false) => Namespaces::These(names),
                },
            }
        } else {
            SnapshotSource::Dump { files, namespaces: names, taken: arguments.taken }
        };
        Ok(Self { source, settings, selector, needs_pods: true, nodes: false, registry: RegistryOptions::default() })
    }
}
