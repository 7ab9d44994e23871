//! `podskew explain` and `podskew diff`: look, find, print.

use super::choose::{Asked, Chooser};
use super::json::Difference;
use super::templates::Templates;
use super::{Explanation, json, text};
use crate::cli::{DiffFormat, DiffOptions, ExplainFormat, ExplainOptions, terminal};
use crate::diff::{Side, Values, unified};
use crate::json::printed;
use crate::look::{Look, Place, look};
use crate::objects::Resource;
use crate::page::Terminal;
use crate::report::history::Revision;
use crate::report::remedy::word;
use crate::report::{Workload, WorkloadReport};
use anyhow::{Context as _, anyhow, bail};
use std::process::ExitCode;

/// The exit code of `diff` where there is something to see, as of diff(1).
const DIFFERENT: u8 = 1;

/// Prints everything that is known of the workloads that are named.
pub async fn explain(options: ExplainOptions) -> anyhow::Result<ExitCode> {
    let mut look = look(&options.looking, None).await?;
    let reports = look.find(&options.workloads)?;
    let explanations: Vec<Explanation> =
        reports.into_iter().filter_map(|report| explanation(&look, report, &options)).collect();
    let text = match options.format {
        ExplainFormat::Json => json::json(&look, &explanations).context("cannot write the JSON")? + "\n",
        ExplainFormat::Text => {
            let terminal = Terminal { coloured: terminal::takes_colours(), width: terminal::width() };
            explanations.iter().map(|explanation| text::text(explanation, terminal)).collect::<Vec<_>>().join("\n\n")
        }
    };
    terminal::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn explanation(look: &Look, report: WorkloadReport, options: &ExplainOptions) -> Option<Explanation> {
    let history = look.history(&report.workload)?;
    let is_asked =
        |name: &str| options.workloads.iter().any(|named| named.workload_type == "pod" && named.name == name);
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
    let by_revisions = matches!(&*report.workload.workload_type, "statefulset" | "daemonset");
    if by_revisions && look.unwritten_revisions {
        notes.push(
            "when a rollback began, but by its pods: the ControllerRevisions have no managedFields \
             (kubectl get --show-managed-fields keeps them)"
                .to_owned(),
        );
    }
    notes
}

/// Prints what differs between two templates of a workload.
pub async fn diff(options: DiffOptions) -> anyhow::Result<ExitCode> {
    let named = &options.workload;
    let templates = Templates::default();
    let mut look = look(&options.looking, Some(templates.witness(&named.name))).await?;
    let reports = look.find(std::slice::from_ref(named))?;
    let report = match reports.as_slice() {
        [report] => report,
        several => {
            let namespaces: Vec<&str> = several.iter().map(|report| &*report.workload.namespace).collect();
            bail!("there is a {named} in each of {}; name one with --namespace", namespaces.join(", "));
        }
    };
    let workload = &report.workload;
    let history = look.history(workload).with_context(|| format!("there is no {named} any more"))?;
    let chooser = Chooser { workload, history: &history, taken: look.taken };
    let asked = match options.hashes.as_slice() {
        [] => Asked::Previous,
        [old] => Asked::With(old),
        [old, new, ..] => Asked::Both(old, new),
    };
    let holders = match &*named.workload_type {
        "statefulset" | "daemonset" => Resource::ControllerRevisions,
        _ => Resource::ReplicaSets,
    };
    let gap = look.gaps.iter().find(|gap| gap.resource == holders).or(look.gaps.first());
    let (candidates, new) = chooser.choose(asked).map_err(|error| match gap {
        Some(gap) => anyhow!("in {}, {gap}", look.of).context(error),
        None => anyhow!(error),
    })?;

    let template = |revision: &Revision| {
        let found = templates.find(workload, &revision.hash);
        found.with_context(|| format!("the template of {} cannot be seen", revision.hash))
    };
    let after = template(new)?;
    let values = if options.show_values { Values::Shown } else { Values::Hidden };
    let title = |revision: &Revision| {
        let number = revision.revision.map(|number| format!(" (revision {number})")).unwrap_or_default();
        format!("{named} {}{number}", revision.hash)
    };
    let mut compared = None;
    for old in candidates.iter().copied() {
        let before = template(old)?;
        let (old_title, new_title) = (title(old), title(new));
        let old_side = Side { title: &old_title, template: &before };
        let new_side = Side { title: &new_title, template: &after };
        if let Some(text) = unified(old_side, new_side, values, usize::from(options.context)) {
            compared = Some((old, text));
            break;
        }
    }
    let (old, text) = compared.unwrap_or_else(|| (candidates.first().copied().unwrap_or(new), String::new()));
    let code = if text.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(DIFFERENT) };
    terminal::print(&match options.format {
        DiffFormat::Json => {
            let difference = Difference::new(&look, workload, (old, new), options.show_values, &text);
            printed(&difference).context("cannot write the JSON")? + "\n"
        }
        DiffFormat::Text if terminal::takes_colours() => coloured(&text),
        DiffFormat::Text => text,
    })?;
    Ok(code)
}

/// The lines of a diff in the colours that git gave them.
fn coloured(diff: &str) -> String {
    let mut text = String::new();
    for line in diff.lines() {
        let code = match line.as_bytes() {
            [b'-', b'-', b'-', b' ', ..] | [b'+', b'+', b'+', b' ', ..] => "1",
            [b'@', ..] => "36",
            [b'-', ..] => "31",
            [b'+', ..] => "32",
            _ => "",
        };
        let line = if code.is_empty() { line.to_owned() } else { format!("\u{1b}[{code}m{line}\u{1b}[0m") };
        text.push_str(&line);
        text.push('\n');
    }
    text
}
