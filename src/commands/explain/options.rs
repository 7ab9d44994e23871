//! Options of `explain`.
#![allow(clippy::doc_markdown, reason = "clap prints these comments unchanged, including backticks")]

use crate::commands::options::{EvidenceArguments, LogArguments, LogConfig, SnapshotArguments, candidates, values};
use crate::kinds::WorkloadKind;
use crate::snapshot::{SnapshotOptions, WorkloadRef, named};
use clap::Args;
use clap::builder::TypedValueParser;
use clap_complete::engine::ArgValueCompleter;

/// Arguments of `explain`.
#[derive(Args, Debug)]
pub struct ExplainArguments {
    /// Workload, like deployment/api, or pod/NAME for the workload of a pod and what is known of that pod
    #[arg(
        value_name = "TYPE/NAME", required = true, num_args = 1.., add = ArgValueCompleter::new(candidates::workloads)
    )]
    pub workloads: Vec<String>,

    /// Output format
    #[arg(short, long, value_name = "FORMAT", default_value = "text", value_parser = format())]
    pub output: ExplainFormat,

    /// Source of the snapshot.
    #[command(flatten)]
    pub snapshot: SnapshotArguments,

    /// Sources of evidence besides the API server.
    #[command(flatten)]
    pub evidence: EvidenceArguments,

    /// Log options.
    #[command(flatten)]
    pub log: LogArguments,
}

/// Output format of an explanation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExplainFormat {
    /// Lines for people.
    Text,
    /// JSON.
    Json,
}

/// Checked options of `podskew explain`.
#[derive(Clone, Debug)]
pub struct ExplainOptions {
    /// What to read.
    pub snapshot_options: SnapshotOptions,
    /// The workloads to explain.
    pub workloads: Vec<WorkloadRef>,
    /// Output format.
    pub format: ExplainFormat,
    /// The command by which podskew was called.
    pub program: &'static str,
    /// Log options.
    pub log: LogConfig,
}

impl ExplainOptions {
    /// Checks `arguments`.
    ///
    /// # Errors
    ///
    /// The arguments contradict each other.
    pub fn new(arguments: ExplainArguments, program: &'static str) -> Result<Self, String> {
        let mut snapshot_options = SnapshotOptions::new(arguments.snapshot, None)?;
        let workloads = named(&arguments.workloads, &snapshot_options.settings.workload_kinds)?;
        arguments.evidence.apply(&mut snapshot_options)?;
        snapshot_options.settings.images_of_history = true;
        snapshot_options.settings.messages = true;
        // A named Job counts even without --jobs, and so does the Job of a named pod.
        snapshot_options.settings.jobs |=
            workloads.iter().any(|named| named.is_pod() || named.kind() == WorkloadKind::Job);
        Ok(Self { snapshot_options, workloads, format: arguments.output, program, log: arguments.log.into() })
    }
}

/// Output formats.
fn format() -> impl TypedValueParser<Value = ExplainFormat> {
    values::text_or_json(ExplainFormat::Text, ExplainFormat::Json)
}
