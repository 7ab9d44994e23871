//! An audit as text for people: an overview, the findings and remedies of each workload, and totals.

use super::describe::{FindingText, GroupPod, has_unknown_start, stories, subject, title, totals};
use super::{Audit, AuditedWorkload, object};
use crate::advice::GITOPS;
use crate::terminal::humanize::age_since;
use crate::terminal::text_layout::{BOLD, FAINT, GREEN, Page, RED, Terminal, YELLOW, clean, columns, padded};

pub(super) fn text(audit: &Audit, terminal: Terminal) -> String {
    let mut page = Page::new(terminal);
    if !audit.found.is_empty() {
        page.overview(audit);
        for found in &audit.found {
            page.text.push('\n');
            page.found(audit, found);
        }
        page.text.push('\n');
    }
    for note in &audit.notes {
        page.wrapped("", "Note: ", note, FAINT);
    }
    let style = match (audit.verdict.exit_code(), audit.found.is_empty()) {
        (0, true) => GREEN,
        (0, false) => YELLOW,
        _ => RED,
    };
    page.wrapped("", "", &totals(audit), style);
    page.text
}

impl Page {
    /// One line per workload.
    fn overview(&mut self, audit: &Audit) {
        let with_tags = audit.found.iter().any(|found| found.report.registry.is_some());
        let mut rows = vec![["NAMESPACE", "WORKLOAD", "FOUND", "FOR", "TAG"].map(str::to_owned)];
        for AuditedWorkload { report, findings } in &audit.found {
            let worst = findings.first().copied();
            let since = worst.and_then(|finding| finding.since(report));
            let unknown = worst.is_some_and(|finding| has_unknown_start(report, finding));
            let titles: Vec<String> = findings.iter().map(|finding| title(*finding)).collect();
            rows.push([
                clean(&report.workload.namespace),
                clean(&object(report)),
                titles.join(", "),
                since.map_or_else(
                    || if unknown { "unknown" } else { "-" }.to_owned(),
                    |since| age_since(since, audit.taken),
                ),
                report.registry.as_ref().map_or("-", |registry| registry.tag_status()).to_owned(),
            ]);
        }
        let mut widths = [0; 5];
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(columns(cell));
            }
        }
        // The longest cells are truncated to fit; the full text is below.
        if !with_tags {
            widths[4] = 0;
        }
        let between = if with_tags { 8 } else { 6 };
        while widths.iter().sum::<usize>() + between > self.width {
            let Some(longest) = widths.iter_mut().filter(|width| **width > 8).max() else { break };
            *longest -= 1;
        }
        for (at, row) in rows.iter().enumerate() {
            let cells = row.iter().zip(widths).take(if with_tags { 5 } else { 4 });
            let cells: Vec<String> = cells.map(|(cell, width)| padded(cell, width)).collect();
            let line = cells.join("  ");
            let style = match at.checked_sub(1).and_then(|at| audit.found.get(at)) {
                None => BOLD,
                Some(found) if found.fails(audit.strictness) => RED,
                Some(_) => YELLOW,
            };
            self.styled(line.trim_end(), style);
            self.text.push('\n');
        }
    }

    fn found(&mut self, audit: &Audit, found: &AuditedWorkload) {
        for (at, story) in stories(found, audit.taken).iter().enumerate() {
            let fails = super::fails(found.findings[at], audit.strictness);
            let heading = format!("{}: {}", subject(&found.report), story.title);
            self.wrapped("", "", &heading, if fails { RED } else { YELLOW });
            self.story(story, fails);
        }
    }

    fn story(&mut self, story: &FindingText, fails: bool) {
        let remark = if fails { "" } else { " (reported, not a failure)" };
        self.wrapped("  ", "", &format!("{}{remark}.", capitalised(&story.what)), "");
        if let Some(since) = &story.since {
            self.wrapped("  ", "Since: ", since, "");
        }
        for group in &story.groups {
            for (at, line) in group.lines.iter().enumerate() {
                self.wrapped(if at == 0 { "  - " } else { "    " }, "", line, "");
            }
            let longest = group.pods.iter().map(|member| columns(&clean(&member.pod))).max().unwrap_or(0);
            for GroupPod { pod, node, notes } in &group.pods {
                let node = if node.is_empty() { "no node yet".to_owned() } else { clean(node) };
                self.wrapped("      ", "", &format!("{}  {node}{notes}", padded(&clean(pod), longest)), FAINT);
            }
            if group.more > 0 {
                self.wrapped("      ", "", &format!("and {} more; -o json lists all", group.more), FAINT);
            }
        }
        self.command("  ", "Look: ", &story.remedy.look);
        self.command_then("  ", "Do: ", &story.remedy.action.line(), &story.remedy.action.then);
        let why = story.remedy.why.as_ref();
        let why = why.map_or_else(|| GITOPS.to_owned(), |why| format!("{} {GITOPS}", capitalised(why)));
        self.wrapped("  ", "Why: ", &why, "");
    }
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}
