//! Runs `podskew diff`: takes a snapshot, chooses two templates, prints their diff.

use super::choose::{TemplateChoice, TemplateChooser};
use super::json::Difference;
use super::options::{DiffFormat, DiffOptions};
use super::templates::Templates;
use super::{DiffSide, ValueDisplay, unified};
use crate::json::printed;
use crate::kinds::TemplateHistory;
use crate::objects::Resource;
use crate::report::history::Revision;
use crate::snapshot::take_snapshot;
use crate::terminal::output;
use crate::terminal::text_layout::{ADDED, BOLD, HUNK, REMOVED, styled};
use anyhow::{Context as _, anyhow, bail};
use std::process::ExitCode;

/// Exit code of `diff` if the templates differ, as in diff(1).
const DIFFERENT: u8 = 1;

/// Prints the diff of two templates of a workload.
pub async fn diff(options: DiffOptions) -> anyhow::Result<ExitCode> {
    let named = &options.workload;
    let templates = Templates::default();
    let mut snapshot = take_snapshot(&options.snapshot_options, Some(templates.observer(&named.name))).await?;
    let reports = snapshot.find(std::slice::from_ref(named))?;
    let report = match reports.as_slice() {
        [report] => report,
        several => {
            let namespaces: Vec<&str> = several.iter().map(|report| &*report.workload.namespace).collect();
            bail!("there is a {named} in each of {}; name one with --namespace", namespaces.join(", "));
        }
    };
    let workload = &report.workload;
    let history = snapshot.history(workload).with_context(|| format!("there is no {named} any more"))?;
    let chooser = TemplateChooser { workload, history: &history, taken: snapshot.taken };
    let asked = match options.hashes.as_slice() {
        [] => TemplateChoice::Previous,
        [old] => TemplateChoice::With(old),
        [old, new, ..] => TemplateChoice::Both(old, new),
    };
    let holders = match workload.kind().history() {
        TemplateHistory::ControllerRevisions => Resource::ControllerRevisions,
        TemplateHistory::ReplicaSets | TemplateHistory::None => Resource::ReplicaSets,
    };
    let gap = snapshot.gaps.iter().find(|gap| gap.resource == holders).or(snapshot.gaps.first());
    let (candidates, new) = chooser.choose(asked).map_err(|error| match gap {
        Some(gap) => anyhow!("in {}, {gap}", snapshot.of).context(error),
        None => anyhow!(error),
    })?;

    let template = |revision: &Revision| {
        let found = templates.find(workload, &revision.hash);
        found.with_context(|| format!("the template of {} cannot be seen", revision.hash))
    };
    let after = template(new)?;
    let values = if options.show_values { ValueDisplay::Shown } else { ValueDisplay::Hidden };
    let title = |revision: &Revision| {
        let number = revision.revision.map(|number| format!(" (revision {number})")).unwrap_or_default();
        format!("{named} {}{number}", revision.hash)
    };
    let mut compared = None;
    for old in candidates.iter().copied() {
        let before = template(old)?;
        let (old_title, new_title) = (title(old), title(new));
        let old_side = DiffSide { title: &old_title, template: &before };
        let new_side = DiffSide { title: &new_title, template: &after };
        if let Some(text) = unified(old_side, new_side, values, usize::from(options.context)) {
            compared = Some((old, text));
            break;
        }
    }
    let (old, text) = compared.unwrap_or_else(|| (candidates.first().copied().unwrap_or(new), String::new()));
    let code = if text.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(DIFFERENT) };
    output::print(&match options.format {
        DiffFormat::Json => {
            let difference = Difference::new(&snapshot, workload, (old, new), options.show_values, &text);
            printed(&difference).context("cannot write the JSON")? + "\n"
        }
        DiffFormat::Text if output::takes_colours() => coloured(&text),
        DiffFormat::Text => text,
    })?;
    Ok(code)
}

/// Colours the lines of a diff as git does.
fn coloured(diff: &str) -> String {
    let mut text = String::new();
    for line in diff.lines() {
        let style = match line.as_bytes() {
            [b'-', b'-', b'-', b' ', ..] | [b'+', b'+', b'+', b' ', ..] => BOLD,
            [b'@', ..] => HUNK,
            [b'-', ..] => REMOVED,
            [b'+', ..] => ADDED,
            _ => "",
        };
        text.push_str(&styled(line, style));
        text.push('\n');
    }
    text
}
