//! The options of `explain`.
#![allow(clippy::doc_markdown, reason = "clap prints these comments as they stand, backticks too")]

use crate::commands::options::{EvidenceArguments, LogArguments, LogConfig, LookArguments, candidates, values};
use crate::kinds::WorkloadKind;
use crate::snapshot::{Looking, Named, named};
use clap::Args;
use clap::builder::TypedValueParser;
use clap_complete::engine::ArgValueCompleter;

/// What `explain` was told.
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

    /// Where to look.
    #[command(flatten)]
    pub look: LookArguments,

    /// Whom to ask beside the API server.
    #[command(flatten)]
    pub evidence: EvidenceArguments,

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

/// What `podskew explain` is to do.
#[derive(Clone, Debug)]
pub struct ExplainOptions {
    /// Where to look.
    pub looking: Looking,
    /// What to explain.
    pub workloads: Vec<Named>,
    /// In which form.
    pub format: ExplainFormat,
    /// What podskew goes by here.
    pub program: &'static str,
    /// How to log.
    pub log: LogConfig,
}

impl ExplainOptions {
    /// What `arguments` mean, or why they mean nothing.
    pub fn new(arguments: ExplainArguments, program: &'static str) -> Result<Self, String> {
        let mut looking = Looking::new(arguments.look, None)?;
        let workloads = named(&arguments.workloads, &looking.settings.workload_kinds)?;
        arguments.evidence.apply(&mut looking)?;
        looking.settings.images_of_history = true;
        looking.settings.messages = true;
        // A Job that is named counts, and so does the Job of a pod.
        looking.settings.jobs |= workloads.iter().any(|named| named.is_pod() || named.kind() == WorkloadKind::Job);
        Ok(Self { looking, workloads, format: arguments.output, program, log: arguments.log.into() })
    }
}

/// The forms of an explanation.
fn format() -> impl TypedValueParser<Value = ExplainFormat> {
    values::text_or_json(ExplainFormat::Text, ExplainFormat::Json)
}
