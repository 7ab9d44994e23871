//! `podskew explain`: look, find, print.

use super::options::{ExplainFormat, ExplainOptions};
use super::{Explanation, json, text};
use crate::advice::word;
use crate::kinds::TemplateHistory;
use crate::report::{Workload, WorkloadReport};
use crate::snapshot::{Look, Place, look};
use crate::terminal::output;
use crate::terminal::text_layout::Terminal;
use anyhow::Context as _;
use std::process::ExitCode;

/// Prints everything that is known of the workloads that are named.
pub async fn explain(options: ExplainOptions) -> anyhow::Result<ExitCode> {
    let mut look = look(&options.looking, None).await?;
    let reports = look.find(&options.workloads)?;
    let explanations: Vec<Explanation> =
        reports.into_iter().filter_map(|report| explanation(&look, report, &options)).collect();
    let text = match options.format {
        ExplainFormat::Json => json::json(&look, &explanations).context("cannot write the JSON")? + "\n",
        ExplainFormat::Text => {
            let terminal = Terminal { coloured: output::takes_colours(), width: output::width() };
            explanations.iter().map(|explanation| text::text(explanation, terminal)).collect::<Vec<_>>().join("\n\n")
        }
    };
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn explanation(look: &Look, report: WorkloadReport, options: &ExplainOptions) -> Option<Explanation> {
    let history = look.history(&report.workload)?;
    let is_asked = |name: &str| options.workloads.iter().any(|named| named.is_pod() && named.name == name);
    let pod = report.pods.iter().map(|pod| &pod.pod).find(|name| is_asked(name)).cloned();
    Some(Explanation {
        pod,
        history,
        taken: look.taken,
        diff: diff_command(options, &report.workload),
        notes: notes(look, &report),
        report,
    })
}

/// The command that compares templates of the workload, in the same place.
fn diff_command(options: &ExplainOptions, workload: &Workload) -> String {
    let file = match &options.looking.place {
        Place::Cluster { .. } => String::new(),
        Place::Dump { files, .. } => {
            let words = files.iter().map(|file| match file.as_os_str() {
                name if name == "-" => "-f - ".to_owned(),
                name => format!("-f {} ", word(&name.to_string_lossy())),
            });
            words.collect()
        }
    };
    let Workload { namespace, workload_type, name } = workload;
    format!("{} diff {file}-n {} {}/{}", options.program, word(namespace), word(workload_type), word(name))
}

/// What could not be seen.
fn notes(look: &Look, report: &WorkloadReport) -> Vec<String> {
    let mut notes: Vec<String> = Vec::new();
    if look.pods_only {
        notes.push(format!(
            "{} is a list of pods alone: which hash is current, the state of the rollout, and what came before",
            look.of
        ));
    }
    notes.extend(look.gaps.iter().map(ToString::to_string));
    notes.extend(look.without_nodes.clone());
    notes.extend(look.without_registry.clone());
    let by_revisions = report.workload.kind().history() == TemplateHistory::ControllerRevisions;
    if by_revisions && look.unwritten_revisions {
        notes.push(
            "when a rollback began, but by its pods: the ControllerRevisions have no managedFields \
             (kubectl get --show-managed-fields keeps them)"
                .to_owned(),
        );
    }
    notes
}
