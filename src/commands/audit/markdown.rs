//! An audit as Markdown for a merge request or a wiki.

use super::describe::{stories, subject, title, totals};
use super::{Audit, AuditedWorkload, fails, object};
use crate::terminal::humanize::{age_since, visible};
use std::fmt::Write as _;

pub(super) fn text(audit: &Audit) -> String {
    let mut text = "## podskew audit\n\n".to_owned();
    let _ = writeln!(text, "{}", plain(&totals(audit)));
    if !audit.notes.is_empty() {
        text.push('\n');
        for note in &audit.notes {
            let _ = writeln!(text, "- {}", plain(note));
        }
    }
    if audit.found.is_empty() {
        return text;
    }
    text.push_str("\n| namespace | workload | found | fails | for |\n|---|---|---|---|---|\n");
    for AuditedWorkload { report, findings } in &audit.found {
        for finding in findings {
            let lasts = finding.since(report).map(|since| age_since(since, audit.taken)).unwrap_or_default();
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {lasts} |",
                plain(&report.workload.namespace),
                plain(&object(report)),
                title(*finding),
                if fails(*finding, audit.strictness) { "yes" } else { "no" },
            );
        }
    }
    for found in &audit.found {
        for story in stories(found, audit.taken) {
            let _ = writeln!(text, "\n### {}: {}\n", plain(&subject(&found.report)), story.title);
            let mut what = story.what.clone();
            if let Some(since) = &story.since {
                let _ = write!(what, ", since {since}");
            }
            let _ = writeln!(text, "{}.\n", plain(&what));
            for group in &story.groups {
                let lines: Vec<String> = group.lines.iter().map(|line| plain(line)).collect();
                let _ = writeln!(text, "- {}", lines.join("\n  "));
                for member in &group.pods {
                    let _ = writeln!(text, "  - {}", plain(&member.to_string()));
                }
                if group.more > 0 {
                    let _ = writeln!(text, "  - and {} more", group.more);
                }
            }
            if !story.groups.is_empty() {
                text.push('\n');
            }
            let remedy = story.remedy.to_string();
            let fence = "`".repeat(longest_run(&remedy).max(2) + 1);
            let _ = writeln!(text, "{fence}text\n{}\n{fence}", remedy.chars().map(visible).collect::<String>());
        }
    }
    text
}

/// Escapes all ASCII punctuation, which Markdown allows everywhere, and joins lines.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\t' => plain.push(' '),
            '-' | '.' | ',' | ':' | '/' | '(' | ')' | ';' | '\'' | '"' | '=' | '%' | '?' => plain.push(character),
            _ if character.is_ascii_punctuation() => {
                plain.push('\\');
                plain.push(character);
            }
            _ => plain.push(visible(character)),
        }
    }
    plain
}

fn longest_run(text: &str) -> usize {
    text.split(|character| character != '`').map(str::len).max().unwrap_or(0)
}
