//! Completion candidates: contexts of the kubeconfig, and namespaces and workloads of the cluster.
//!
//! The cluster is the one that the command line names. A failure yields no candidates, because a message would appear
//! in the middle of the line.

use crate::snapshot::{offered, type_named};
use crate::watch::{self, Connected, Connection, ask};
use clap_complete::engine::CompletionCandidate;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

/// Timeout: someone waits at a prompt.
const PATIENCE: Duration = Duration::from_secs(2);

/// Completes contexts of the kubeconfig.
pub(in crate::commands) fn contexts(typed: &OsStr) -> Vec<CompletionCandidate> {
    let line = PartialCommandLine::of_this_process();
    let names = waited_for(async { watch::contexts(&line.connection).await.ok() });
    starting_with(typed, names.unwrap_or_default())
}

/// Completes namespaces of the cluster.
pub(in crate::commands) fn namespaces(typed: &OsStr) -> Vec<CompletionCandidate> {
    let line = PartialCommandLine::of_this_process();
    let names = asked(&line.connection, async |connected| ask::namespaces(&connected).await);
    starting_with(typed, names.unwrap_or_default())
}

/// Completes workload types, and after a type and a slash the names of workloads.
pub(in crate::commands) fn workloads(typed: &OsStr) -> Vec<CompletionCandidate> {
    of_types(typed, |_| true)
}

/// The same for the types that pass a filter.
pub(in crate::commands) fn of_types(typed: &OsStr, is_offered: impl Fn(&str) -> bool) -> Vec<CompletionCandidate> {
    let choice = || offered().filter(|(name, _)| is_offered(name));
    let Some((kind, _)) = typed.to_str().and_then(|typed| typed.split_once('/')) else {
        return starting_with(typed, choice().map(|(name, _)| format!("{name}/")));
    };
    let name = type_named(kind).unwrap_or_default();
    let Some((_, resource)) = choice().find(|(offered, _)| **offered == *name) else { return Vec::new() };
    let line = PartialCommandLine::of_this_process();
    if line.has_file {
        return Vec::new();
    }
    let names = asked(&line.connection, async |connected: Connected| {
        let namespace = line.namespace.clone().unwrap_or_else(|| connected.namespace.clone());
        ask::names(&connected, resource, (!line.everywhere).then_some(&*namespace)).await
    });
    starting_with(typed, names.unwrap_or_default().into_iter().map(|name| format!("{kind}/{name}")))
}

/// Asks the cluster a question, with a timeout.
fn asked<T>(connection: &Connection, question: impl AsyncFnOnce(Connected) -> T) -> Option<T> {
    waited_for(async { Some(question(watch::connect(connection).await.ok()?).await) })
}

fn waited_for<T>(answer: impl Future<Output = Option<T>>) -> Option<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let answer = runtime.block_on(async { tokio::time::timeout(PATIENCE, answer).await.ok().flatten() });
    // Does not wait for reading a file that never ends.
    runtime.shutdown_timeout(Duration::ZERO);
    answer
}

fn starting_with(typed: &OsStr, names: impl IntoIterator<Item = String>) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    let names: BTreeSet<String> = names.into_iter().filter(|name| name.starts_with(&*typed)).collect();
    // No Kubernetes name has control characters, and a terminal prints these candidates.
    let harmless = |name: &String| !name.chars().any(char::is_control);
    names.into_iter().filter(harmless).map(CompletionCandidate::new).collect()
}

/// The options of an unfinished command line that say which cluster to ask. clap cannot parse it: its last word may be
/// incomplete.
#[derive(Default, PartialEq, Eq, Debug)]
struct PartialCommandLine {
    connection: Connection,
    namespace: Option<String>,
    everywhere: bool,
    has_file: bool,
}

impl PartialCommandLine {
    /// The command line among the arguments of this process.
    fn of_this_process() -> Self {
        let words: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let mut line = Self::of(&words);
        line.connection.kubeconfig =
            line.connection.kubeconfig.or_else(|| variable("PODSKEW_KUBECONFIG").map(PathBuf::from));
        line.connection.context = line.connection.context.or_else(|| variable("PODSKEW_CONTEXT"));
        line
    }

    fn of(words: &[String]) -> Self {
        let mut line = Self::default();
        for (at, word) in words.iter().enumerate() {
            let value = |long: &str, short: &str| {
                let attached = [&format!("{long}="), short].into_iter().find_map(|name| {
                    (!name.is_empty()).then(|| word.strip_prefix(name)).flatten().filter(|value| !value.is_empty())
                });
                let next = || words.get(at + 1).map(String::as_str).filter(|_| word == long || word == short);
                attached.or_else(next).filter(|value| !value.is_empty()).map(str::to_owned)
            };
            // The last of repeated options counts.
            let keep = |found: Option<String>, known: &mut Option<String>| *known = found.or(known.take());
            keep(value("--namespace", "-n"), &mut line.namespace);
            keep(value("--context", ""), &mut line.connection.context);
            if let Some(file) = value("--kubeconfig", "") {
                line.connection.kubeconfig = Some(shell_home(&file));
            }
            line.everywhere |= word == "-A" || word == "--all-namespaces";
            line.has_file |= value("--filename", "-f").is_some();
        }
        line
    }
}

/// Expands `~/`: a shell passes the word as typed.
fn shell_home(path: &str) -> PathBuf {
    match path.strip_prefix("~/").zip(std::env::home_dir()) {
        Some((rest, home)) => home.join(rest),
        None => path.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::PartialCommandLine;

    fn line(text: &str) -> PartialCommandLine {
        PartialCommandLine::of(&text.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn a_line_says_where_to_look_in_every_form() {
        for text in
            ["podskew audit -n shop deploy/", "podskew -nshop", "podskew --namespace=shop", "x --namespace shop -n"]
        {
            assert_eq!(line(text).namespace.as_deref(), Some("shop"), "{text}");
        }
        let whole = line("podskew explain --context prod --kubeconfig=/k -A -f dump deploy/");
        assert_eq!(whole.connection.context.as_deref(), Some("prod"));
        assert_eq!(whole.connection.kubeconfig, Some("/k".into()));
        assert!(whole.everywhere && whole.has_file);
        assert_eq!(line("podskew audit --context"), PartialCommandLine::default());
    }
}
