//! The shapes of the commands that podskew prints.

use std::collections::BTreeSet;

/// Words that are not names.
const WORDS: [&str; 25] = [
    "argo",
    "delete",
    "describe",
    "edit",
    "experiment",
    "get",
    "history",
    "image",
    "kubectl",
    "merge",
    "patch",
    "pod",
    "pods",
    "promote",
    "replicaset",
    "replicasets",
    "restart",
    "resume",
    "rollout",
    "rollouts",
    "scale",
    "set",
    "status",
    "terminate",
    "undo",
];

/// A command with placeholders instead of names.
pub fn shape(command: &str) -> String {
    let mut shape: Vec<String> = Vec::new();
    for word in words(command) {
        let before = shape.last().map_or("", String::as_str);
        let part = match word.split_once(['/', '=']) {
            _ if before == "-n" => "NAMESPACE".to_owned(),
            // Columns, a path or a patch.
            _ if matches!(before, "-o" | "-p") => word,
            _ if word.contains('@') => "CONTAINER=IMAGE".to_owned(),
            Some(("--to-revision", _)) => "--to-revision=N".to_owned(),
            Some((label, _)) if before == "-l" => format!("{label}=HASH"),
            Some((kind, _)) if !word.starts_with('-') => format!("{kind}/NAME"),
            _ if word.starts_with('-') || WORDS.contains(&word.as_str()) => word,
            _ => "NAME".to_owned(),
        };
        // Several pods or images count as one.
        if !(matches!(part.as_str(), "NAME" | "CONTAINER=IMAGE") && before == part) {
            shape.push(part);
        }
    }
    shape.join(" ")
}

/// The words of a shell command. Names that need it are quoted.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), None::<String>, false);
    for character in command.chars() {
        match character {
            '\'' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' if !quoted => words.extend(word.take()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    words
}

/// All known shapes; `tests/external/commands.rs` runs each of them.
pub fn known() -> BTreeSet<String> {
    let text = std::fs::read_to_string(path()).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

pub fn path() -> String {
    format!("{}/tests/data/commands.txt", env!("CARGO_MANIFEST_DIR"))
}

/// Panics if an advice has a command whose shape is unknown.
#[track_caller]
pub fn are_known<'a>(commands: impl IntoIterator<Item = &'a String>) {
    let known = known();
    let unknown: BTreeSet<String> =
        commands.into_iter().map(|command| shape(command)).filter(|shape| !known.contains(shape)).collect();
    assert!(unknown.is_empty(), "tests/external/commands.rs runs no commands of these shapes: {unknown:#?}");
}
