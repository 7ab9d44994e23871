//! Options of `audit`.
#![allow(clippy::doc_markdown, reason = "clap prints these comments unchanged, including backticks")]

use super::{AuditFormat, Strictness};
use crate::commands::options::{
    EvidenceArguments, LogArguments, LogConfig, SnapshotArguments, WHAT, candidates, values,
};
use crate::kinds::WorkloadKind;
use crate::snapshot::{Selector, SnapshotOptions, WorkloadRef, named};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap_complete::engine::ArgValueCompleter;
use std::time::Duration;

/// Arguments of `audit`.
#[derive(Args, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub struct AuditArguments {
    /// Workloads to audit, like deployment/api or sts/db [default: all]
    #[arg(value_name = "TYPE/NAME", add = ArgValueCompleter::new(candidates::workloads))]
    pub workloads: Vec<String>,

    /// Output format
    #[arg(
        short, long, value_name = "FORMAT", help_heading = VERDICT,
        default_value = "table", value_parser = format()
    )]
    pub output: AuditFormat,

    /// Maximum time to wait until everything is rolled out and uniform, like 90s or 10m
    #[arg(long, value_name = "DURATION", help_heading = VERDICT, value_parser = values::duration, conflicts_with = "filename")]
    pub wait: Option<Duration>,

    /// Fail on what could not be compared, too
    #[arg(long, help_heading = VERDICT)]
    pub strict: bool,

    /// Fail on deliberate mixes, too: paused, partitioned, OnDelete, canary, blue-green
    #[arg(long, help_heading = VERDICT)]
    pub no_deliberate: bool,

    /// Fail on digest skew of injected containers and of unknown origin, too
    #[arg(long, help_heading = VERDICT)]
    pub injected: bool,

    /// Fail on tags that moved or images that are gone from their registry, too; repeatable
    #[arg(long, value_name = "WHAT", help_heading = VERDICT, value_parser = fail_on(), requires = "registry")]
    pub fail_on: Vec<FailOn>,

    /// Succeed if nothing is selected
    #[arg(long, help_heading = VERDICT)]
    pub allow_empty: bool,

    /// Label selector for workloads, like app=web,tier!=cache; for pods, if the input is a list of pods alone
    #[arg(short = 'l', long, value_name = "SELECTOR", help_heading = WHAT, value_parser = values::selector)]
    pub selector: Option<Selector>,

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

const VERDICT: &str = "Report";

/// Checked options of `podskew audit`.
#[derive(Clone, Debug)]
pub struct AuditOptions {
    /// What to audit.
    pub snapshot_options: SnapshotOptions,
    /// The named workloads; empty for all.
    pub names: Vec<WorkloadRef>,
    /// Output format.
    pub format: AuditFormat,
    /// Options that change the verdict.
    pub strictness: Strictness,
    /// Maximum time to wait until everything is rolled out and uniform.
    pub patience: Option<Duration>,
    /// Log options.
    pub log: LogConfig,
}

impl AuditOptions {
    /// Checks `arguments`.
    ///
    /// # Errors
    ///
    /// The arguments contradict each other.
    pub fn new(arguments: AuditArguments) -> Result<Self, String> {
        let mut snapshot_options = SnapshotOptions::new(arguments.snapshot, arguments.selector)?;
        let names = named(&arguments.workloads, &snapshot_options.settings.workload_kinds)?;
        arguments.evidence.apply(&mut snapshot_options)?;
        snapshot_options.settings.messages = true;
        // A named Job counts even without --jobs.
        snapshot_options.settings.jobs |= names.iter().any(|named| named.kind() == WorkloadKind::Job);
        Ok(Self {
            names,
            snapshot_options,
            format: arguments.output,
            strictness: Strictness {
                strict: arguments.strict,
                no_deliberate: arguments.no_deliberate,
                injected: arguments.injected,
                moved: arguments.fail_on.contains(&FailOn::Moved),
                gone: arguments.fail_on.contains(&FailOn::Gone),
                allow_empty: arguments.allow_empty,
            },
            patience: arguments.wait,
            log: arguments.log.into(),
        })
    }
}

/// Output formats.
fn format() -> impl TypedValueParser<Value = AuditFormat> {
    PossibleValuesParser::new(["table", "json", "markdown", "junit", "sarif"]).map(|format| match format.as_str() {
        "json" => AuditFormat::Json,
        "markdown" => AuditFormat::Markdown,
        "junit" => AuditFormat::Junit,
        "sarif" => AuditFormat::Sarif,
        _ => AuditFormat::Table,
    })
}

/// Findings that fail an audit only on request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FailOn {
    /// A moved tag.
    Moved,
    /// A gone image.
    Gone,
}

fn fail_on() -> impl TypedValueParser<Value = FailOn> {
    PossibleValuesParser::new(["moved", "gone"]).map(|what| if what == "gone" { FailOn::Gone } else { FailOn::Moved })
}
