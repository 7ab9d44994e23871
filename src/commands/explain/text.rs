//! An explanation as text for people.

use super::unready::in_words;
use super::{Explanation, Template, others};
use crate::advice::{Finding, GITOPS, pin, remedy, roll_back};
use crate::report::history::{ContainerDetail, PodDetail};
use crate::report::{
    HashDigests, ImageReference, Origin, PodReport, ReferenceKind, RolloutState, Workload, WorkloadReport,
};
use crate::terminal::humanize::{age, age_since, old, one_line, pods, since};
use crate::terminal::text_layout::{BOLD, FAINT, GREEN, Page, RED, Terminal, YELLOW};
use crate::time::{ObservationTime, UnixTime};

/// Number of pods to name before the rest is only counted.
const NAMED: usize = 5;

/// Returns the explanation of one workload as text.
pub(super) fn text(explanation: &Explanation, terminal: Terminal) -> String {
    let mut sheet = Sheet { explanation, page: Page::new(terminal) };
    sheet.write();
    sheet.page.text
}

struct Sheet<'a> {
    explanation: &'a Explanation,
    page: Page,
}

impl Sheet<'_> {
    fn write(&mut self) {
        let Workload { namespace, workload_type, name } = &self.explanation.report.workload;
        self.page.wrapped("", "", &format!("{workload_type} {namespace}/{name}"), BOLD);
        self.rollout();
        self.pod();
        for template in self.explanation.templates() {
            self.template(&template);
        }
        self.unresolved();
        self.movable();
        self.findings();
        self.ways_back();
        self.notes();
    }

    /// Writes a title, after an empty line.
    fn title(&mut self, title: &str, style: &str) {
        self.page.text.push('\n');
        self.page.wrapped("", "", title, style);
    }

    /// Writes a line, indented by `levels`.
    fn line(&mut self, levels: usize, text: &str) {
        self.page.wrapped(&"  ".repeat(levels), "", text, "");
    }

    fn rollout(&mut self) {
        let Explanation { report, taken, .. } = self.explanation;
        let (state, style) = match report.rollout {
            None => ("unknown".to_owned(), YELLOW),
            Some(rollout) => {
                let begun = match rollout.began() {
                    Some(began) => Some(format!(", begun {}", since(began, *taken))),
                    None if rollout.noticed => Some(", since when is unknown".to_owned()),
                    None => None,
                };
                let style = match rollout.state {
                    RolloutState::Complete => GREEN,
                    RolloutState::Stalled => RED,
                    _ => YELLOW,
                };
                (format!("{}{}", rollout.state.as_str(), begun.unwrap_or_default()), style)
            }
        };
        self.page.wrapped("  ", "rollout  ", &state, style);
        if let Some(hold) = self.explanation.hold() {
            self.page.wrapped("  ", "held by  ", &hold, "");
        }
        let all = |count: fn(&crate::report::HashReport) -> u32| report.hashes.iter().map(count).sum::<u32>();
        let mut line = format!("{}, {} ready", all(|hash| hash.pods), all(|hash| hash.ready_pods));
        for (count, what) in
            [(report.outdated_pods.unwrap_or(0), "outdated"), (all(|hash| hash.terminating_pods), "terminating")]
        {
            if count > 0 {
                line = format!("{line}, {count} {what}");
            }
        }
        self.page.wrapped("  ", "pods     ", &line, "");
        if let Some(blocks) = report.what_blocks() {
            self.page.wrapped("  ", "blocked  ", &blocks, YELLOW);
            if let Some(blocking) = report.blocking.as_ref().filter(|it| !it.message.is_empty()) {
                self.page.wrapped("           ", "", &one_line(&blocking.message), FAINT);
            }
        }
        if let Some(waits) = report.what_waits() {
            self.page.wrapped("  ", "blocked  ", &waits, YELLOW);
            // The reasons are shown with the pods below.
            for blocked in report.blocked.iter().filter(|it| it.pod.is_none() && !it.message.is_empty()) {
                self.page.wrapped("           ", "", &one_line(&blocked.message), FAINT);
            }
        }
        if report.mixed_since.is_some() {
            let line = format!("{} template hashes{}", report.distinct_hashes, since_when(report.mix_began(), *taken));
            self.page.wrapped("  ", "mixed    ", &line, "");
        }
        if let Some(last) = report.last_rollout {
            let took = last.duration.map(|seconds| format!(", took {}", age(seconds))).unwrap_or_default();
            let held = last.held.filter(|held| *held > 0);
            let held = held.map(|seconds| format!(", held for {} of that", age(seconds))).unwrap_or_default();
            let line = format!("completed {}{took}{held}", since(last.completed, *taken));
            self.page.wrapped("  ", "last     ", &line, "");
        }
    }

    /// Writes the named pod.
    fn pod(&mut self) {
        let Some((pod, detail)) = self.explanation.pod() else { return };
        let (report, taken) = (&self.explanation.report, self.explanation.taken);
        let node = if pod.node.is_empty() { "on no node yet".to_owned() } else { format!("on {}", pod.node) };
        self.title(&format!("pod {} {node}", pod.pod), BOLD);
        let known = report.hashes.iter().find(|hash| hash.hash == pod.hash);
        let revision = known.and_then(|hash| hash.revision).map(|revision| format!(", revision {revision}"));
        let current = match known.and_then(|hash| hash.current) {
            Some(true) => ", current",
            Some(false) => ", not current",
            None => "",
        };
        let hash = if pod.hash.is_empty() { "none" } else { &pod.hash };
        self.page.wrapped("  ", "hash     ", &format!("{hash}{}{current}", revision.unwrap_or_default()), "");
        let state = match detail {
            PodDetail { terminating: true, .. } => "terminating",
            PodDetail { ready: true, .. } => "ready",
            _ => "not ready",
        };
        let why = match in_words(&detail.waiting) {
            reasons if !reasons.is_empty() && state == "not ready" => format!(" ({reasons})"),
            _ => String::new(),
        };
        let created = detail.created.map(|created| format!(", created {}", since(created, taken)));
        self.page.wrapped("  ", "state    ", &format!("{state}{why}{}", created.unwrap_or_default()), "");
        for container in &detail.containers {
            self.container_of_pod(pod, container);
        }
    }

    fn container_of_pod(&mut self, pod: &PodReport, container: &ContainerDetail) {
        let of_hash = self.explanation.of_hash(&container.container, &pod.hash);
        let origin = of_hash.map_or("", |of_hash| origin_in_words(of_hash.origin));
        self.line(1, &format!("container {}{origin}", container.container));
        self.line(2, &container.image);
        let Some((kind, digest)) = &container.digest else {
            return self.line(2, "no digest that could be compared");
        };
        self.line(2, &format!("{digest} ({})", kind.as_str()));
        let others = of_hash.map(|of_hash| others(of_hash, digest)).unwrap_or_default();
        for (count, other) in others {
            let pods = if count == 1 { "1 other pod".to_owned() } else { format!("{count} other pods") };
            if other == digest {
                self.line(2, &format!("{pods} of its hash: the same"));
            } else {
                self.page.wrapped("    ", "", &format!("{pods} of its hash: {other}"), RED);
            }
        }
    }

    fn template(&mut self, template: &Template<'_>) {
        let Explanation { report, history, taken, .. } = self.explanation;
        let mut title = if template.hash.is_empty() { "no hash".to_owned() } else { format!("hash {}", template.hash) };
        if template.current == Some(true) {
            title.push_str(" (current)");
        }
        if let Some(revision) = template.revision {
            title = format!("{title}, revision {revision}");
        }
        if let Some(created) = template.created {
            title = format!("{title}, created {}", since(created, *taken));
        }
        self.title(&title, BOLD);
        match template.pods {
            None => self.line(1, "no pods"),
            Some(hash) => {
                let mut line = format!("{}, {} ready", pods(hash.pods), hash.ready_pods);
                let others = template.current == Some(false) && hash.pods > 0;
                // Pods below a partition are not outdated, and the report does not count them.
                if others && history.partition.is_none() {
                    line.push_str(", outdated");
                }
                if hash.terminating_pods > 0 {
                    line = format!("{line}, {} terminating", hash.terminating_pods);
                }
                self.line(1, &line);
                if template.current == Some(true) {
                    self.unready();
                }
                if others {
                    let of_hash = report.pods.iter().filter(|pod| *pod.hash == *template.hash);
                    self.page.wrapped("    ", "", &names_and_nodes(report, of_hash, None), FAINT);
                }
            }
        }
        let mut seen: Vec<&str> = Vec::new();
        for container in &report.containers {
            let of_hash = container.by_hash.iter().find(|of_hash| *of_hash.hash == *template.hash);
            if let Some(of_hash) = of_hash.filter(|of_hash| !of_hash.digests.is_empty()) {
                seen.push(&container.container);
                self.container(&container.container, of_hash);
            }
        }
        for image in template.images.iter().filter(|image| !seen.contains(&&*image.container)) {
            self.line(1, &format!("container {}", image.container));
            self.line(2, &format!("asks for {}", image.image));
        }
    }

    /// Writes the pods of the current template that are not Ready.
    fn unready(&mut self) {
        let unready = self.explanation.unready();
        let mut shown: Vec<&str> = Vec::new();
        for (pod, PodDetail { waiting, .. }) in unready.iter().take(NAMED) {
            let node = if pod.node.is_empty() { String::new() } else { format!(" on {}", pod.node) };
            let why = if waiting.is_empty() { String::new() } else { format!(": {}", in_words(waiting)) };
            self.page.wrapped("    ", "", &format!("{}{node} is not ready{why}", pod.pod), YELLOW);
            // Pods of one template often have the same message.
            for message in waiting.iter().map(|it| &*it.message).filter(|message| !message.is_empty()) {
                if !shown.contains(&message) {
                    self.page.wrapped("      ", "", &one_line(message), FAINT);
                    shown.push(message);
                }
            }
        }
        match unready.len().saturating_sub(NAMED) {
            0 => {}
            1 => self.page.wrapped("    ", "", "1 more is not ready", YELLOW),
            more => self.page.wrapped("    ", "", &format!("{more} more are not ready"), YELLOW),
        }
    }

    fn container(&mut self, name: &str, of_hash: &HashDigests) {
        let Explanation { report, taken, .. } = self.explanation;
        let head = format!("container {name}{}", origin_in_words(of_hash.origin));
        if of_hash.skewed_since.is_none() {
            self.line(1, &head);
        } else {
            let text = format!("{} digests{}", of_hash.distinct_digests, since_when(of_hash.began(), *taken));
            self.page.wrapped("  ", "", &format!("{head}: {text}"), RED);
        }
        for digest in &of_hash.digests {
            let newest =
                if of_hash.newest_digest.as_ref() == Some(&digest.digest) { ", which started last" } else { "" };
            self.line(2, &format!("{}{newest}: {}", pods(digest.pods), digest.image));
            self.line(3, &format!("{} ({})", digest.digest, digest.kind.as_str()));
            if !digest.skewed.is_empty() {
                let skewed = digest.skewed.iter().filter_map(|at| report.pods.get(*at as usize));
                self.page.wrapped("      ", "", &names_and_nodes(report, skewed, Some(*taken)), FAINT);
            }
        }
        if let Some(registry) = report.registry.as_ref().filter(|_| of_hash.skewed_since.is_some()) {
            for line in registry.describe_skew(name, of_hash) {
                self.page.wrapped("    ", "", &line, YELLOW);
            }
        }
        if let Some(nodes) = report.nodes.as_ref().filter(|_| of_hash.skewed_since.is_some()) {
            for line in nodes.describe_skew(report, name, of_hash) {
                self.page.wrapped("    ", "", &line, YELLOW);
            }
        }
    }

    /// Writes containers whose pods have no comparable digest.
    fn unresolved(&mut self) {
        let containers = &self.explanation.report.containers;
        let unresolved = || containers.iter().filter(|c| c.not_started + c.not_reported + c.image_id_only > 0);
        if unresolved().next().is_none() {
            return;
        }
        self.title("no digest to compare", BOLD);
        for container in unresolved() {
            for (count, why) in [
                (container.not_started, "none, and it does not run"),
                (container.not_reported, "the node reports none although it runs"),
                (container.image_id_only, "another kind of id than the others"),
            ] {
                if count > 0 {
                    self.line(1, &format!("container {}: {}, {why}", container.container, pods(count)));
                }
            }
        }
    }

    /// Writes images of the current template that are named by a movable tag.
    fn movable(&mut self) {
        let report = &self.explanation.report;
        let moving = |image: &&ImageReference| image.reference != ReferenceKind::Digest;
        if !report.image_references.iter().any(|image| moving(&image)) {
            return;
        }
        self.title("image references that can move", BOLD);
        for image in report.image_references.iter().filter(moving) {
            let policy = match &*image.pull_policy {
                "" => String::new(),
                policy => format!(", pull policy {policy}"),
            };
            let by = image.reference.as_str();
            self.line(1, &format!("container {}: {} (by {by}{policy})", image.container, image.image));
        }
        if let Some(registry) = &report.registry {
            for tag in &registry.tags {
                if tag.has_moved() {
                    let line = format!("container {}: {}", tag.container, tag.describe(registry));
                    self.page.wrapped("  ", "", &line, YELLOW);
                } else {
                    let line = format!(
                        "container {}: the registry has {} for it, which its pods run",
                        tag.container, tag.digest
                    );
                    self.line(1, &line);
                }
            }
            // The notes say why a registry did not answer.
            for (image, why) in registry.unknown().filter(|(image, _)| registry.doubtful.contains(image)) {
                let line = format!("what {image} points to is unknown: {why}");
                self.page.wrapped("  ", "", &line, YELLOW);
            }
            for gone in &registry.gone {
                self.page.wrapped("  ", "", &gone.describe(), RED);
            }
        }
        let current = report.hashes.iter().find(|hash| hash.current == Some(true));
        if let Some(action) = current.and_then(|current| pin(report, &current.hash)) {
            self.page.command_then("  ", "Pin to one digest: ", &action.line(), &action.then);
        }
    }

    fn findings(&mut self) {
        let report = &self.explanation.report;
        for finding in Finding::all(report) {
            let remedy = remedy(report, finding);
            self.title(&finding.as_str().replace('_', " "), YELLOW);
            self.page.command("  ", "Look: ", &remedy.look);
            self.page.command_then("  ", "Do: ", &remedy.action.line(), &remedy.action.then);
            let why = remedy.why.map_or_else(|| GITOPS.to_owned(), |why| format!("{why} {GITOPS}"));
            self.page.wrapped("  ", "Why: ", &why, "");
        }
    }

    fn ways_back(&mut self) {
        let Explanation { report, history, taken, diff, .. } = self.explanation;
        let ways = self.explanation.ways_back();
        if ways.is_empty() {
            return;
        }
        self.title(&format!("to roll back ({GITOPS})"), BOLD);
        if let Some(deployment) = &report.template_of {
            self.line(1, &format!("its template is that of deployment/{deployment}, which the command changes"));
        }
        for (revision, number) in ways {
            let age = revision.created.map(|created| format!(", {} old", age_since(created, *taken)));
            let worked = if revision.worked { "" } else { "; whether it ever worked is unknown" };
            self.line(1, &format!("revision {number}, hash {}{}{worked}", revision.hash, age.unwrap_or_default()));
            let back = roll_back(report, history, &revision.hash, number);
            self.page.command_then("    ", "", &back.line(), &back.then);
        }
        self.page.command("  ", "Show what changes: ", &format!("{diff} HASH"));
    }

    fn notes(&mut self) {
        if self.explanation.notes.is_empty() {
            return;
        }
        self.title("what is not known", BOLD);
        for note in &self.explanation.notes {
            self.line(1, note);
        }
    }
}

fn origin_in_words(origin: Origin) -> &'static str {
    match origin {
        Origin::Template => "",
        Origin::Injected => " (injected)",
        Origin::Unknown => " (of unknown origin)",
    }
}

/// ` since 2026-11-21 12:00 UTC (23m)`.
fn since_when(moment: Option<UnixTime>, taken: ObservationTime) -> String {
    moment.map_or_else(|| ", since when is unknown".to_owned(), |moment| format!(" since {}", since(moment, taken)))
}

/// `web-1 on node-1, web-2 on node-2 and 3 more`; with ages if `taken` is given.
fn names_and_nodes<'p>(
    report: &WorkloadReport,
    pods: impl Iterator<Item = &'p PodReport>,
    taken: Option<ObservationTime>,
) -> String {
    let name = |pod: &PodReport| {
        let on = if pod.node.is_empty() { String::new() } else { format!(" on {}", pod.node) };
        let architecture = report.nodes.as_ref().and_then(|nodes| nodes.architecture(report, &pod.pod));
        let architecture = architecture.map(|architecture| format!(" ({architecture})")).unwrap_or_default();
        let age = taken.map(|taken| format!(" ({})", old(pod.created, taken))).unwrap_or_default();
        format!("{}{on}{architecture}{age}", pod.pod)
    };
    let all: Vec<String> = pods.map(name).collect();
    let named = all.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match all.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}
