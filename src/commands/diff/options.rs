//! Options of `diff`.
#![allow(clippy::doc_markdown, reason = "clap prints these comments unchanged, including backticks")]

use crate::commands::options::{LogArguments, LogConfig, SnapshotArguments, candidates, values};
use crate::kinds::{TemplateHistory, WorkloadKind};
use crate::snapshot::{SnapshotOptions, WorkloadRef, named};
use clap::Args;
use clap::builder::TypedValueParser;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use std::ffi::OsStr;

/// Arguments of `diff`.
#[derive(Args, Debug)]
pub struct DiffArguments {
    /// Workload that keeps older templates, like deployment/api, sts/db or rollout/shop
    #[arg(value_name = "TYPE/NAME", add = ArgValueCompleter::new(templated_workloads))]
    pub workload: String,

    /// One or two template hashes, or their first characters [default: the previous and the current one]
    #[arg(value_name = "HASH", num_args = 0..=2)]
    pub hashes: Vec<String>,

    /// Show values of environment variables, arguments, commands and annotations, which may be secrets
    #[arg(long)]
    pub show_values: bool,

    /// Output format
    #[arg(short, long, value_name = "FORMAT", default_value = "text", value_parser = format())]
    pub output: DiffFormat,

    /// Lines of context around each difference
    #[arg(short = 'U', long, value_name = "LINES", default_value_t = 3)]
    pub unified: u16,

    /// Source of the snapshot.
    #[command(flatten)]
    pub snapshot: SnapshotArguments,

    /// Log options.
    #[command(flatten)]
    pub log: LogArguments,
}

/// Output format of a diff.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DiffFormat {
    /// A unified diff.
    Text,
    /// JSON.
    Json,
}

/// Checked options of `podskew diff`.
#[derive(Clone, Debug)]
pub struct DiffOptions {
    /// What to read.
    pub snapshot_options: SnapshotOptions,
    /// The workload.
    pub workload: WorkloadRef,
    /// Up to two hashes, as typed.
    pub hashes: Vec<String>,
    /// Whether to show values that may be secrets.
    pub show_values: bool,
    /// Lines of context around each difference.
    pub context: u16,
    /// Output format.
    pub format: DiffFormat,
    /// Log options.
    pub log: LogConfig,
}

impl DiffOptions {
    /// Checks `arguments`.
    ///
    /// # Errors
    ///
    /// The arguments contradict each other, or the kind keeps no templates.
    pub fn new(arguments: DiffArguments, program: &str) -> Result<Self, String> {
        // ReplicaSets and ControllerRevisions suffice: pods are not needed.
        let snapshot_options = SnapshotOptions { needs_pods: false, ..SnapshotOptions::new(arguments.snapshot, None)? };
        let workload = match named(&[arguments.workload], &snapshot_options.settings.workload_kinds)?.pop() {
            Some(named) if keeps_templates(&named.workload_type) => named,
            Some(named) if named.is_pod() => {
                return Err(format!(
                    "{named} has one template and no history; name its workload, which {program} explain {named} shows"
                ));
            }
            other => {
                let kind = other.map(|named| named.workload_type).unwrap_or_default();
                let keepers =
                    WorkloadKind::ALL.map(WorkloadKind::label).into_iter().filter(|label| keeps_templates(label));
                return Err(format!(
                    "a {kind} keeps no templates to compare; the kinds that do are {}",
                    keepers.collect::<Vec<_>>().join(", ")
                ));
            }
        };
        Ok(Self {
            snapshot_options,
            workload,
            hashes: arguments.hashes,
            show_values: arguments.show_values,
            context: arguments.unified,
            format: arguments.output,
            log: arguments.log.into(),
        })
    }
}

/// Whether a workload type keeps its templates in ReplicaSets or ControllerRevisions.
fn keeps_templates(workload_type: &str) -> bool {
    WorkloadKind::of_label(workload_type).history() != TemplateHistory::None
}

/// Completes workloads whose templates can be compared.
fn templated_workloads(typed: &OsStr) -> Vec<CompletionCandidate> {
    candidates::of_types(typed, keeps_templates)
}

/// Output formats.
fn format() -> impl TypedValueParser<Value = DiffFormat> {
    values::text_or_json(DiffFormat::Text, DiffFormat::Json)
}
