//! An explanation for people.

use super::{Explanation, Template, others};
use crate::report::history::{ContainerDetail, PodDetail};
use crate::report::remedy::{Finding, GITOPS, pin, remedy, roll_back};
use crate::report::{HashDigests, ImageReference, Origin, PodReport, ReferenceKind, RolloutState, Workload};
use crate::words::{age, pods, since, visible};

/// How many pods are named before the rest is counted.
const NAMED: usize = 5;

/// Everything about one workload, as lines of text; with colours, if somebody sees them.
pub(super) fn text(explanation: &Explanation, coloured: bool) -> String {
    let mut page = Page { explanation, coloured, text: String::new() };
    page.write();
    page.text
}

/// How a word looks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    Plain,
    Title,
    Good,
    Bad,
}

struct Page<'a> {
    explanation: &'a Explanation,
    coloured: bool,
    text: String,
}

impl Page<'_> {
    /// Everything is written here: nothing of a name moves the cursor or turns the direction of reading.
    fn put(&mut self, look: Look, text: &str) -> &mut Self {
        let code = match look {
            _ if !self.coloured => "",
            Look::Plain => "",
            Look::Title => "\u{1b}[1m",
            Look::Good => "\u{1b}[32m",
            Look::Bad => "\u{1b}[31m",
        };
        self.text.push_str(code);
        self.text.extend(text.chars().map(visible));
        if !code.is_empty() {
            self.text.push_str("\u{1b}[0m");
        }
        self
    }

    fn line(&mut self, text: &str) {
        self.put(Look::Plain, text).put(Look::Plain, "\n");
    }

    /// A title after an empty line.
    fn title(&mut self, title: &str, rest: &str) {
        self.put(Look::Plain, "\n").put(Look::Title, title).line(rest);
    }

    fn write(&mut self) {
        let Workload { namespace, workload_type, name } = &self.explanation.report.workload;
        let title = format!("{workload_type} {namespace}/{name}");
        self.put(Look::Title, &title).line("");
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

    fn rollout(&mut self) {
        let Explanation { report, taken, .. } = self.explanation;
        let all = |count: fn(&crate::report::HashReport) -> u32| report.hashes.iter().map(count).sum::<u32>();
        let (active, ready, terminating) =
            (all(|hash| hash.pods), all(|hash| hash.ready_pods), all(|hash| hash.terminating_pods));
        self.put(Look::Plain, "  rollout  ");
        match report.rollout {
            None => self.line("not known"),
            Some(rollout) => {
                let look = match rollout.state {
                    RolloutState::Complete => Look::Good,
                    RolloutState::Stalled => Look::Bad,
                    _ => Look::Title,
                };
                self.put(look, rollout.state.as_str());
                let begun = rollout.started.map(|started| format!(", begun {}", since(started, *taken)));
                self.line(&begun.unwrap_or_default());
            }
        }
        if let Some(hold) = self.explanation.hold() {
            self.line(&format!("  held by  {hold}"));
        }
        let mut line = format!("  pods     {active}, {ready} ready");
        for (count, what) in [(report.outdated_pods.unwrap_or(0), "outdated"), (terminating, "terminating")] {
            if count > 0 {
                line = format!("{line}, {count} {what}");
            }
        }
        self.line(&line);
        if let Some(mixed) = report.mixed_since {
            self.line(&format!("  mixed    {} template hashes since {}", report.distinct_hashes, since(mixed, *taken)));
        }
    }

    /// The pod that was asked for.
    fn pod(&mut self) {
        let Some((pod, detail)) = self.explanation.pod() else { return };
        let (report, taken) = (&self.explanation.report, self.explanation.taken);
        let node = if pod.node.is_empty() { "on no node yet".to_owned() } else { format!("on {}", pod.node) };
        self.title(&format!("pod {}", pod.pod), &format!(" {node}"));
        let known = report.hashes.iter().find(|hash| hash.hash == pod.hash);
        let revision = known.and_then(|hash| hash.revision).map(|revision| format!(", revision {revision}"));
        let current = match known.and_then(|hash| hash.current) {
            Some(true) => ", current",
            Some(false) => ", not current",
            None => "",
        };
        let hash = if pod.hash.is_empty() { "none" } else { &pod.hash };
        self.line(&format!("  hash     {hash}{}{current}", revision.unwrap_or_default()));
        let state = match detail {
            PodDetail { terminating: true, .. } => "terminating",
            PodDetail { ready: true, .. } => "ready",
            _ => "not ready",
        };
        let created = detail.created.map(|created| format!(", created {}", since(created, taken)));
        self.line(&format!("  state    {state}{}", created.unwrap_or_default()));
        for container in &detail.containers {
            self.container_of_pod(pod, container);
        }
    }

    fn container_of_pod(&mut self, pod: &PodReport, container: &ContainerDetail) {
        let of_hash = self.explanation.of_hash(&container.container, &pod.hash);
        let origin = of_hash.map_or("", |of_hash| origin_in_words(of_hash.origin));
        self.line(&format!("  container {}{origin}", container.container));
        let Some((kind, digest)) = &container.digest else {
            return self.line(&format!("    {} has no digest that could be compared", container.image));
        };
        self.line(&format!("    {}\n    {digest} ({})", container.image, kind.as_str()));
        let others = of_hash.map(|of_hash| others(of_hash, digest)).unwrap_or_default();
        for (count, other) in others {
            let same = other == digest;
            let said = if same { "run the same".to_owned() } else { format!("run {other}") };
            let line = format!("    {} of its hash {said}", other_pods(count));
            self.put(if same { Look::Plain } else { Look::Bad }, &line).line("");
        }
    }

    fn template(&mut self, template: &Template<'_>) {
        let taken = self.explanation.taken;
        let hash = if template.hash.is_empty() { "no hash" } else { template.hash };
        let mut line = String::new();
        if template.current == Some(true) {
            line.push_str(" (current)");
        }
        if let Some(revision) = template.revision {
            line = format!("{line}, revision {revision}");
        }
        if let Some(created) = template.created {
            line = format!("{line}, created {}", since(created, taken));
        }
        let title = if template.hash.is_empty() { hash.to_owned() } else { format!("hash {hash}") };
        self.title(&title, &line);
        match template.pods {
            None => self.line("  no pods"),
            Some(hash) => {
                let mut line = format!("  {}, {} ready", pods(hash.pods), hash.ready_pods);
                if hash.terminating_pods > 0 {
                    line = format!("{line}, {} terminating", hash.terminating_pods);
                }
                self.line(&line);
                // Who is outdated is asked for by name.
                if template.current == Some(false) && hash.pods > 0 {
                    let names = self.explanation.report.pods.iter().filter(|pod| *pod.hash == *template.hash);
                    self.line(&format!("    {}", names_and_nodes(names)));
                }
            }
        }
        let mut seen: Vec<&str> = Vec::new();
        for container in &self.explanation.report.containers {
            let of_hash = container.by_hash.iter().find(|of_hash| *of_hash.hash == *template.hash);
            if let Some(of_hash) = of_hash.filter(|of_hash| !of_hash.digests.is_empty()) {
                seen.push(&container.container);
                self.container(&container.container, of_hash);
            }
        }
        for image in template.images.iter().filter(|image| !seen.contains(&&*image.container)) {
            self.line(&format!("  container {}\n    asks for {}", image.container, image.image));
        }
    }

    fn container(&mut self, name: &str, of_hash: &HashDigests) {
        let Explanation { report, taken, .. } = self.explanation;
        let head = format!("  container {name}{}", origin_in_words(of_hash.origin));
        self.put(Look::Plain, &head);
        if let Some(skewed) = of_hash.skewed_since {
            let text = format!("{} digests since {}", of_hash.distinct_digests, since(skewed, *taken));
            self.put(Look::Plain, ": ").put(Look::Bad, &text);
        }
        self.line("");
        for digest in &of_hash.digests {
            let count = pods(digest.pods);
            self.line(&format!("    {count}: {}\n      {} ({})", digest.image, digest.digest, digest.kind.as_str()));
            let names = digest.skewed.iter().filter_map(|at| report.pods.get(*at as usize));
            if !digest.skewed.is_empty() {
                self.line(&format!("      {}", names_and_nodes(names)));
            }
        }
    }

    /// Containers whose pods tell no digest that could be compared.
    fn unresolved(&mut self) {
        let containers = &self.explanation.report.containers;
        let unresolved = || containers.iter().filter(|container| container.not_started + container.image_id_only > 0);
        if unresolved().next().is_none() {
            return;
        }
        self.title("not compared", "");
        for container in unresolved() {
            for (count, why) in [
                (container.not_started, "no digest yet"),
                (container.image_id_only, "another kind of id than the others"),
            ] {
                if count > 0 {
                    self.line(&format!("  container {}: {} with {why}", container.container, pods(count)));
                }
            }
        }
    }

    /// What the current template asks for by a name that may stand for another image tomorrow.
    fn movable(&mut self) {
        let moving = |image: &&ImageReference| image.reference != ReferenceKind::Digest;
        let report = &self.explanation.report;
        if !report.image_references.iter().any(|image| moving(&image)) {
            return;
        }
        self.title("image references that can move", "");
        for image in report.image_references.iter().filter(moving) {
            let policy = match &*image.pull_policy {
                "" => String::new(),
                policy => format!(", pull policy {policy}"),
            };
            self.line(&format!(
                "  container {}: {} (by {}{policy})",
                image.container,
                image.image,
                image.reference.as_str()
            ));
        }
        let current = report.hashes.iter().find(|hash| hash.current == Some(true));
        if let Some(action) = current.and_then(|current| pin(report, &current.hash)) {
            self.line(&format!("  to one digest: {action}"));
        }
    }

    fn findings(&mut self) {
        let report = &self.explanation.report;
        for finding in Finding::all(report) {
            let remedy = remedy(report, finding);
            self.put(Look::Plain, "\n").put(Look::Bad, &finding.as_str().replace('_', " ")).line("");
            for line in remedy.to_string().lines() {
                self.line(&format!("  {line}"));
            }
        }
    }

    fn ways_back(&mut self) {
        let Explanation { report, history, taken, .. } = self.explanation;
        let ways = self.explanation.ways_back();
        if let Some(deployment) = &history.template_of {
            self.title("to roll back", "");
            self.line(&format!("  its template is that of deployment/{deployment}: roll that back"));
        }
        if ways.is_empty() {
            return;
        }
        self.title("to roll back", &format!(" ({GITOPS})"));
        for revision in ways {
            let Some(number) = revision.revision else { continue };
            let age = revision.created.map(|created| format!(", {} old", age(taken.since(created))));
            self.line(&format!("  revision {number}, hash {}{}", revision.hash, age.unwrap_or_default()));
            self.line(&format!("    {}", roll_back(report, history, number)));
        }
        self.line(&format!("  what that changes: {} HASH", self.explanation.diff));
    }

    fn notes(&mut self) {
        if self.explanation.notes.is_empty() {
            return;
        }
        self.title("what is not known", "");
        for note in &self.explanation.notes {
            self.line(&format!("  {note}"));
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

fn other_pods(count: u32) -> String {
    if count == 1 { "1 other pod".to_owned() } else { format!("{count} other pods") }
}

/// `web-1 on node-1, web-2 on node-2 and 3 more`.
fn names_and_nodes<'p>(pods: impl Iterator<Item = &'p PodReport>) -> String {
    let all: Vec<String> = pods
        .map(|pod| if pod.node.is_empty() { pod.pod.to_string() } else { format!("{} on {}", pod.pod, pod.node) })
        .collect();
    let named = all.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match all.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}
