//! An audit for people: an overview, what each workload is found in and what to do, and a line of totals.

use super::sentences::{Story, stories, subject, title, totals};
use super::{Audit, Found, object};
use crate::report::remedy::GITOPS;
use crate::words::{age, visible};
use std::fmt::Write as _;

/// Who reads it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Terminal {
    /// Whether it shows colours.
    pub coloured: bool,
    /// How many columns it has; none where lines may have any length.
    pub width: Option<usize>,
}

/// No terminal is so narrow that nothing can be read on it.
const NARROWEST: usize = 40;

const BOLD: &str = "1";
const RED: &str = "1;31";
const YELLOW: &str = "1;33";
const GREEN: &str = "1;32";
const FAINT: &str = "2";

pub(super) fn text(audit: &Audit, terminal: Terminal) -> String {
    let width = terminal.width.map_or(usize::MAX, |width| width.max(NARROWEST));
    let mut page = Page { text: String::new(), coloured: terminal.coloured, width };
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

struct Page {
    text: String,
    coloured: bool,
    width: usize,
}

impl Page {
    /// One line a workload.
    fn overview(&mut self, audit: &Audit) {
        let mut rows = vec![["NAMESPACE", "WORKLOAD", "FOUND", "FOR"].map(str::to_owned)];
        for Found { report, findings } in &audit.found {
            let since = findings.first().and_then(|finding| finding.since(report));
            let titles: Vec<String> = findings.iter().map(|finding| title(*finding)).collect();
            rows.push([
                clean(&report.workload.namespace),
                clean(&object(report)),
                titles.join(", "),
                since.map_or_else(|| "-".to_owned(), |since| age(audit.taken.since(since))),
            ]);
        }
        let mut widths = [0; 4];
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        // What does not fit is cut where it is longest; below it stands in full.
        while widths.iter().sum::<usize>() + 6 > self.width {
            let Some(longest) = widths.iter_mut().filter(|width| **width > 8).max() else { break };
            *longest -= 1;
        }
        for (at, row) in rows.iter().enumerate() {
            let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| padded(cell, width)).collect();
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

    fn found(&mut self, audit: &Audit, found: &Found) {
        for (at, story) in stories(found, audit.taken).iter().enumerate() {
            let fails = super::fails(found.findings[at], audit.strictness);
            let heading = format!("{}: {}", subject(&found.report), story.title);
            self.wrapped("", "", &heading, if fails { RED } else { YELLOW });
            self.story(story, fails);
        }
    }

    fn story(&mut self, story: &Story, fails: bool) {
        let remark = if fails { "" } else { " (reported, and no failure)" };
        self.wrapped("  ", "", &format!("{}{remark}.", capitalised(&story.what)), "");
        if let Some(since) = &story.since {
            self.wrapped("  ", "Since: ", since, "");
        }
        for group in &story.groups {
            for (at, line) in group.lines.iter().enumerate() {
                self.wrapped(if at == 0 { "  - " } else { "    " }, "", line, "");
            }
            let longest = group.pods.iter().map(|(pod, _)| pod.chars().count()).max().unwrap_or(0);
            for (pod, node) in &group.pods {
                let node = if node.is_empty() { "no node yet".to_owned() } else { clean(node) };
                self.wrapped("      ", "", &format!("{}  {node}", padded(&clean(pod), longest)), FAINT);
            }
            if group.more > 0 {
                self.wrapped("      ", "", &format!("and {} more; -o json names all", group.more), FAINT);
            }
        }
        self.command("Look: ", &story.remedy.look);
        self.command("Do: ", &story.remedy.action.to_string());
        let why = story.remedy.why.map_or_else(|| GITOPS.to_owned(), |why| format!("{} {GITOPS}", capitalised(why)));
        self.wrapped("  ", "Why: ", &why, "");
    }

    /// A text of several words, on as many lines as it takes.
    fn wrapped(&mut self, indent: &str, label: &str, text: &str, style: &str) {
        self.lines(indent, label, text, style, "");
    }

    /// A command goes on in the next line where a shell would go on too.
    fn command(&mut self, label: &str, text: &str) {
        self.lines("  ", label, text, BOLD, " \\");
    }

    fn lines(&mut self, indent: &str, label: &str, text: &str, style: &str, goes_on: &str) {
        let text = clean(text);
        let hanging = " ".repeat(indent.chars().count() + if label.is_empty() { 2 } else { label.len() });
        let mut line = format!("{indent}{label}");
        let mut begun = line.chars().count();
        let mut used = begun;
        let mut first = true;
        for word in words(&text, !goes_on.is_empty()) {
            let length = word.chars().count();
            if !first && used + 1 + length + goes_on.len() > self.width {
                self.finish_line(&line, begun, style, goes_on);
                line.clone_from(&hanging);
                begun = line.chars().count();
                used = begun;
                first = true;
            }
            if !first {
                line.push(' ');
                used += 1;
            }
            line.push_str(word);
            used += length;
            first = false;
        }
        self.finish_line(&line, begun, style, "");
    }

    fn finish_line(&mut self, line: &str, begun: usize, style: &str, goes_on: &str) {
        let (before, rest) = line.split_at(line.char_indices().nth(begun).map_or(line.len(), |(at, _)| at));
        self.text.push_str(before);
        self.styled(rest, style);
        self.text.push_str(goes_on);
        self.text.push('\n');
    }

    fn styled(&mut self, text: &str, style: &str) {
        if self.coloured && !style.is_empty() {
            let _ = write!(self.text, "\u{1b}[{style}m{text}\u{1b}[0m");
        } else {
            self.text.push_str(text);
        }
    }
}

/// Words; in a command, what stands in quotes is one.
fn words(text: &str, quoted: bool) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut inside = false;
        let end = rest.find(|character: char| {
            inside ^= quoted && character == '\'';
            character == ' ' && !inside
        });
        let (word, behind) = rest.split_at(end.unwrap_or(rest.len()));
        rest = behind.strip_prefix(' ').unwrap_or(behind);
        Some(word)
    })
}

/// On one line, and nothing in it that moves a cursor.
fn clean(text: &str) -> String {
    text.chars().map(|character| if matches!(character, '\n' | '\t') { ' ' } else { visible(character) }).collect()
}

fn padded(cell: &str, width: usize) -> String {
    let length = cell.chars().count();
    if length > width {
        let mut cut: String = cell.chars().take(width.saturating_sub(1)).collect();
        cut.push('…');
        return cut;
    }
    format!("{cell}{}", " ".repeat(width - length))
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}
