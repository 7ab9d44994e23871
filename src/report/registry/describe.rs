//! Describes evidence of registries about a workload, in sentences.

use super::{Build, ContentChange, GoneImage, RegistryReport, Sameness, TagReport, is_newer};
use crate::report::{HashDigests, Name};
use std::fmt::Write as _;

/// Number of hex digits of a digest to show.
const DIGITS: usize = 12;

/// Number of hex digits of a commit to show.
const COMMIT: usize = 7;

/// Why a tag's image is unknown if nodes and registry contradict each other. An index may differ only for another platform.
const DISAGREEMENT: &str = "nodes name two of its digests as one image, and the registry has different content under them, perhaps only for \
                            another platform";

/// Hosts of source repositories that can show the difference between two commits, and the path of that page.
const FORGES: [(&str, &str); 4] = [
    ("github.com", "/compare/"),
    ("gitlab.com", "/-/compare/"),
    ("codeberg.org", "/compare/"),
    ("gitea.com", "/compare/"),
];

impl TagReport {
    /// Whether a container that pulls the tag now would run another image than the others.
    #[must_use]
    pub fn has_moved(&self) -> bool {
        self.change != ContentChange::None
    }

    /// Describes the tag's current content and which containers would run it; without the full stop.
    #[must_use]
    pub fn describe(&self, registry: &RegistryReport) -> String {
        let Self { image, digest, running, .. } = self;
        let all: u32 = running.iter().map(|running| running.pods).sum();
        let origin = registry.build(digest).map(|build| built(build, "built")).unwrap_or_default();
        let mut text = format!("tag {image} now points to {}{origin}", short(digest));
        for running in running.iter().filter(|running| running.differs) {
            let build = registry.build(&running.digest);
            let commit = build.and_then(|build| build.revision.as_deref()).map(commit);
            let name = commit.unwrap_or_else(|| short(&running.digest)).to_owned();
            let day = build.and_then(|build| build.created).map(|created| format!(", built {}", created.day()));
            let (of, runs) = if all == 1 { ("pod", "runs") } else { ("pods", "run") };
            let _ = write!(text, "; {} of {all} {of} {runs} {name}{}", running.pods, day.unwrap_or_default());
        }
        let next = match (&*self.pull_policy, self.change) {
            (_, ContentChange::Rebuilt) => "Its content is the same: only labels or dates differ",
            ("Always", _) => "The next container that starts will differ",
            ("IfNotPresent", _) => "The next container that starts on a node without it will differ",
            _ => "The next container that pulls it will differ",
        };
        format!("{text}. {next}")
    }
}

impl GoneImage {
    /// Describes the consequence of the missing image; without the full stop.
    #[must_use]
    pub fn describe(&self) -> String {
        format!(
            "image {} is gone from its registry: a container of {} that starts on a node without it cannot pull it",
            self.image, self.container
        )
    }
}

impl RegistryReport {
    /// Images whose digest is unknown, and why.
    pub fn unknown(&self) -> impl Iterator<Item = (&Name, &'static str)> {
        let doubtful = self.doubtful.iter().map(|image| (image, DISAGREEMENT));
        self.unanswered.iter().map(|(image, why)| (image, *why)).chain(doubtful)
    }

    /// The worst status of the workload's tags, as one word.
    #[must_use]
    pub fn tag_status(&self) -> &'static str {
        let worst = self.tags.iter().map(|tag| tag.change).max();
        match worst {
            _ if !self.gone.is_empty() => "gone",
            Some(ContentChange::Different) => "moved",
            _ if !self.unanswered.is_empty() || !self.doubtful.is_empty() || !self.contradicted.is_empty() => "unknown",
            Some(ContentChange::Rebuilt) => "rebuilt",
            Some(ContentChange::None) => "current",
            None => "-",
        }
    }

    /// Describes the digest skew of a container under one hash, one sentence per item, without the full stop.
    #[must_use]
    pub fn describe_skew(&self, container: &str, of_hash: &HashDigests) -> Vec<String> {
        let mut lines = Vec::new();
        match self.content(container, &of_hash.hash) {
            Some(Sameness::Different) => {
                lines.push("the registry has different image content under these digests".to_owned());
            }
            Some(Sameness::SameContent) => {
                lines.push("the images have the same content: only labels or dates differ".to_owned());
            }
            _ => {}
        }
        let mut digests: Vec<&Name> =
            of_hash.digests.iter().filter(|pods| !pods.skewed.is_empty()).map(|pods| &pods.digest).collect();
        digests.dedup();
        let builds: Vec<(&Name, &Build)> =
            digests.iter().filter_map(|digest| Some((*digest, self.build(digest)?))).collect();
        for (digest, build) in &builds {
            let text = built(build, "");
            if !text.is_empty() {
                lines.push(format!("digest {} was built{}", short(digest), text));
            }
        }
        if let [(_, one), (_, other)] = builds.as_slice() {
            match is_newer(one, other) {
                Some(first) => {
                    let (newer, _) = builds[usize::from(!first)];
                    lines.push(format!("digest {} is the newer build", short(newer)));
                }
                None => lines.push("which is newer is unknown".to_owned()),
            }
            let (old, new) = if is_newer(one, other) == Some(true) { (other, one) } else { (one, other) };
            lines.extend(comparison(old, new).map(|link| format!("what changed between the two: {link}")));
        }
        lines
    }
}

/// ` from 3f2c1a9 on 2 Nov 2026`, preceded by a comma and `verb` if there is one.
fn built(build: &Build, verb: &str) -> String {
    let from = build.revision.as_deref().map(|revision| format!(" from {}", commit(revision)));
    let on = build.created.map(|created| format!(" on {}", created.day()));
    match (from, on) {
        (None, None) => String::new(),
        (from, on) => {
            let verb = if verb.is_empty() { String::new() } else { format!(", {verb}") };
            format!("{verb}{}{}", from.unwrap_or_default(), on.unwrap_or_default())
        }
    }
}

fn short(digest: &str) -> &str {
    let end = digest.find(':').map_or(0, |colon| colon + 1) + DIGITS;
    digest.get(..end).unwrap_or(digest)
}

/// A commit in its short form; anything else unchanged.
fn commit(revision: &str) -> &str {
    let is_hash = revision.len() >= 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hash { &revision[..COMMIT] } else { revision }
}

/// The URL that shows the changes between two builds, if both are of one repository at a supported forge.
fn comparison(old: &Build, new: &Build) -> Option<String> {
    let source = old.source.as_ref().filter(|source| new.source.as_ref() == Some(source))?;
    let (old, new) = (old.revision.as_deref()?, new.revision.as_deref()?);
    let rest = source.strip_prefix("https://")?;
    let path = rest.trim_end_matches('/').trim_end_matches(".git");
    let (host, repository) = path.split_once('/')?;
    let (_, compare) = FORGES.iter().find(|(forge, _)| *forge == host)?;
    let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte));
    let is_commit = |text: &str| text.len() >= COMMIT && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_repository = repository.contains('/') && is_plain(repository) && !repository.contains("..");
    (is_repository && old != new && is_commit(old) && is_commit(new))
        .then(|| format!("https://{path}{compare}{old}...{new}"))
}

#[cfg(test)]
mod tests {
    use super::{Build, comparison};

    fn build(source: &str, revision: &str) -> Build {
        Build { source: Some(source.into()), revision: Some(revision.into()), ..Build::default() }
    }

    #[test]
    fn a_link_leads_to_forges_that_show_it_and_nowhere_else() {
        let link = |source: &str| comparison(&build(source, "9ab04d1"), &build(source, "3f2c1a9"));
        assert_eq!(
            link("https://github.com/shop/web.git").unwrap(),
            "https://github.com/shop/web/compare/9ab04d1...3f2c1a9"
        );
        assert_eq!(link("https://gitlab.com/a/b/c/").unwrap(), "https://gitlab.com/a/b/c/-/compare/9ab04d1...3f2c1a9");
        for source in [
            "http://github.com/shop/web",
            "https://github.com.evil/shop/web",
            "https://github.com",
            "https://github.com/shop",
            "https://git.example/shop/web",
            "https://github.com/shop/web?x=1",
            "https://user@github.com/shop/web",
            "",
            "https://github.com/shop/../x",
            "javascript:alert(1)",
        ] {
            assert_eq!(link(source), None, "{source}");
        }
        let github = "https://github.com/shop/web";
        for (old, new) in [("9ab04d1", "9ab04d1"), ("main", "9ab04d1"), ("9ab04d1", "9ab")] {
            assert_eq!(comparison(&build(github, old), &build(github, new)), None, "{old} {new}");
        }
        assert_eq!(comparison(&build(github, "9ab04d1"), &build("https://github.com/shop/api", "3f2c1a9")), None);
    }
}
