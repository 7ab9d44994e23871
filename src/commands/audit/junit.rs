//! An audit as `JUnit` XML for the test view of a pipeline: one test per workload. A finding that fails the audit is a
//! failure, and any other is part of the test's output.
//!
//! There is a single `testsuite`, which Jenkins, GitLab and Surefire all read.

use super::describe::{FindingText, stories, subject, totals};
use super::{Audit, AuditedWorkload, fails, object};
use crate::json::moment;
use crate::report::WorkloadReport;
use crate::terminal::humanize::visible;
use std::fmt::Write as _;

pub(super) fn text(audit: &Audit) -> String {
    let failed = audit.totals.failed;
    let tests = audit.found.len() + audit.uniform.len();
    let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
    let _ = writeln!(
        text,
        "<testsuite name=\"podskew audit\" tests=\"{tests}\" failures=\"{failed}\" errors=\"0\" skipped=\"0\" time=\"0\" \
         timestamp=\"{}\">",
        moment(audit.taken.at).trim_end_matches('Z')
    );
    text.push_str("  <properties>\n");
    for (name, value) in [("of", &*audit.of), ("verdict", audit.verdict.as_str()), ("totals", &*totals(audit))] {
        let _ = writeln!(text, "    <property name=\"{name}\" value=\"{}\"/>", escaped(value));
    }
    for note in &audit.notes {
        let _ = writeln!(text, "    <property name=\"note\" value=\"{}\"/>", escaped(note));
    }
    text.push_str("  </properties>\n");
    for found in &audit.found {
        test(&mut text, audit, found);
    }
    for report in &audit.uniform {
        let _ = writeln!(text, "  <testcase {}/>", name(report));
    }
    text.push_str("</testsuite>\n");
    text
}

fn test(text: &mut String, audit: &Audit, found: &AuditedWorkload) {
    let _ = writeln!(text, "  <testcase {}>", name(&found.report));
    let mut reported = String::new();
    for (finding, story) in found.findings.iter().zip(stories(found, audit.taken)) {
        if fails(*finding, audit.strictness) {
            let message = format!("{}: {}", subject(&found.report), story.what);
            let _ = writeln!(
                text,
                "    <failure type=\"{}\" message=\"{}\">{}</failure>",
                finding.as_str(),
                escaped(&message),
                escaped(&lines(&story))
            );
        } else {
            reported.push_str(&lines(&story));
        }
    }
    if !reported.is_empty() {
        let _ = writeln!(text, "    <system-out>{}</system-out>", escaped(&reported));
    }
    text.push_str("  </testcase>\n");
}

fn name(report: &WorkloadReport) -> String {
    let (class, name) = (escaped(&report.workload.namespace), escaped(&object(report)));
    format!("classname=\"{class}\" name=\"{name}\" time=\"0\"")
}

/// The lines about a finding.
pub(super) fn lines(story: &FindingText) -> String {
    let mut text = format!("{}: {}\n", story.title, story.what);
    if let Some(since) = &story.since {
        let _ = writeln!(text, "Since: {since}");
    }
    for group in &story.groups {
        let _ = writeln!(text, "- {}", group.lines.join("\n  "));
        for member in &group.pods {
            let _ = writeln!(text, "    {member}");
        }
        if group.more > 0 {
            let _ = writeln!(text, "    and {} more", group.more);
        }
    }
    let _ = writeln!(text, "{}", story.remedy);
    text
}

/// Escapes text for an element or an attribute. Characters that XML cannot represent are replaced.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars().map(visible) {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            '\u{fffe}' | '\u{ffff}' => escaped.push(char::REPLACEMENT_CHARACTER),
            plain => escaped.push(plain),
        }
    }
    escaped
}
