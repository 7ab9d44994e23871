//! Runs `podskew explain`: takes a snapshot, finds the workloads, prints them.

use super::options::{ExplainFormat, ExplainOptions};
use super::{Explanation, json, text};
use crate::advice::shell_quote;
use crate::kinds::TemplateHistory;
use crate::report::{Workload, WorkloadReport};
use crate::snapshot::{Snapshot, SnapshotSource, take_snapshot};
use crate::terminal::output;
use crate::terminal::text_layout::Terminal;
use anyhow::Context as _;
use std::process::ExitCode;

/// Prints everything known about the named workloads.
pub async fn explain(options: ExplainOptions) -> anyhow::Result<ExitCode> {
    let mut snapshot = take_snapshot(&options.snapshot_options, None).await?;
    let reports = snapshot.find(&options.workloads)?;
    let explanations: Vec<Explanation> =
        reports.into_iter().filter_map(|report| explanation(&snapshot, report, &options)).collect();
    let text = match options.format {
        ExplainFormat::Json => json::json(&snapshot, &explanations).context("cannot write the JSON")? + "\n",
        ExplainFormat::Text => {
            let terminal = Terminal { coloured: output::takes_colours(), width: output::width() };
            explanations.iter().map(|explanation| text::text(explanation, terminal)).collect::<Vec<_>>().join("\n\n")
        }
    };
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn explanation(snapshot: &Snapshot, report: WorkloadReport, options: &ExplainOptions) -> Option<Explanation> {
    let history = snapshot.history(&report.workload)?;
    let is_asked = |name: &str| options.workloads.iter().any(|named| named.is_pod() && named.name == name);
    let pod = report.pods.iter().map(|pod| &pod.pod).find(|name| is_asked(name)).cloned();
    Some(Explanation {
        pod,
        history,
        taken: snapshot.taken,
        diff: diff_command(options, &report.workload),
        notes: notes(snapshot, &report),
        report,
    })
}

/// The command that compares templates of the workload from the same source.
fn diff_command(options: &ExplainOptions, workload: &Workload) -> String {
    let file = match &options.snapshot_options.source {
        SnapshotSource::Cluster { .. } => String::new(),
        SnapshotSource::Dump { files, .. } => {
            let words = files.iter().map(|file| match file.as_os_str() {
                name if name == "-" => "-f - ".to_owned(),
                name => format!("-f {} ", shell_quote(&name.to_string_lossy())),
            });
            words.collect()
        }
    };
    let Workload { namespace, workload_type, name } = workload;
    format!(
        "{} diff {file}-n {} {}/{}",
        options.program,
        shell_quote(namespace),
        shell_quote(workload_type),
        shell_quote(name)
    )
}

/// What could not be read.
fn notes(snapshot: &Snapshot, report: &WorkloadReport) -> Vec<String> {
    let mut notes: Vec<String> = Vec::new();
    if snapshot.pods_only {
        notes.push(format!(
            "{} is a list of pods alone: which hash is current, the state of the rollout, and what came before",
            snapshot.of
        ));
    }
    notes.extend(snapshot.gaps.iter().map(ToString::to_string));
    notes.extend(snapshot.without_nodes.clone());
    notes.extend(snapshot.without_registry.clone());
    let by_revisions = report.workload.kind().history() == TemplateHistory::ControllerRevisions;
    if by_revisions && snapshot.unwritten_revisions {
        notes.push(
            "when a rollback began, but by its pods: the ControllerRevisions have no managedFields \
             (kubectl get --show-managed-fields keeps them)"
                .to_owned(),
        );
    }
    notes
}
