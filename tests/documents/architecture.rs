//! Checks the code against the invariants of `ARCHITECTURE.md`, by its imports and paths.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;

/// A file of `src/`: its path, and its code without comments, strings and tests.
struct Source {
    path: String,
    code: String,
    lines: usize,
}

impl Source {
    /// The path of its module: `report/digest` for `report/digest.rs`, `report` for `report/mod.rs` and for `report.rs`.
    fn module(&self) -> &str {
        let path = self.path.trim_end_matches(".rs");
        path.strip_suffix("/mod").unwrap_or(path)
    }

    /// The module that `super` refers to.
    fn parent(&self) -> &str {
        self.module().rsplit_once('/').map_or("", |(parent, _)| parent)
    }
}

/// The innermost of `rooms` that a module is in: `commands/audit` for `commands/audit/table`.
fn room_of<'a>(module: &'a str, rooms: &BTreeMap<String, Room>) -> Option<&'a str> {
    let mut ends = module.match_indices('/').map(|(at, _)| at).chain([module.len()]);
    ends.rfind(|end| rooms.contains_key(&module[..*end])).map(|end| &module[..end])
}

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn sources() -> Vec<Source> {
    sources_of("src")
}

fn sources_of(folder: &str) -> Vec<Source> {
    fn collect(folder: &Path, root: &Path, found: &mut Vec<Source>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, root, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let text = text.split("\n#[cfg(test)]\nmod ").next().unwrap();
                found.push(Source {
                    path: path.strip_prefix(root).unwrap().to_str().unwrap().to_owned(),
                    code: without_comments_and_texts(text),
                    lines: text.lines().count(),
                });
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut found = Vec::new();
    collect(&root, &root, &mut found);
    assert!(found.len() > 20, "src/ has too few files");
    found
}

fn without_comments_and_texts(text: &str) -> String {
    // In this order: a comment in a string is none, and a quote in a comment starts no string.
    static EITHER: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r##"(?s)b?r#".*?"#|b?"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.[^']*)'|//[^\n]*|/\*.*?\*/"##).unwrap()
    });
    EITHER.replace_all(text, " ").into_owned()
}

/// Every path in the code: expanded imports, and paths written in full.
fn paths(code: &str) -> BTreeSet<String> {
    static IMPORT: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(?s)\buse\s+([^;]+);").unwrap());
    static SPELLED: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\b[A-Za-z_][A-Za-z0-9_]*(?:::[A-Za-z_][A-Za-z0-9_]*)+").unwrap());
    let mut found = imported(code, &IMPORT);
    found.extend(SPELLED.find_iter(code).map(|path| path.as_str().to_owned()));
    found
}

/// The paths in imports that match a regular expression's first group.
fn imported(code: &str, import: &Regex) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for import in import.captures_iter(code) {
        let tree: String = import[1].chars().filter(|character| !character.is_whitespace()).collect();
        expand("", &tree, &mut found);
    }
    found
}

/// `a::{b, c::d}` is `a::b` and `a::c::d`.
fn expand(before: &str, tree: &str, found: &mut BTreeSet<String>) {
    let Some((head, rest)) = tree.split_once('{') else {
        found.insert(before.to_owned() + tree.trim_start_matches("::"));
        return;
    };
    let inner = rest.strip_suffix('}').unwrap_or_else(|| panic!("not an import tree: {tree}"));
    let mut depth = 0;
    let mut start = 0;
    let before = before.to_owned() + head;
    for (at, character) in inner.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                expand(&before, &inner[start..at], found);
                start = at + 1;
            }
            _ => {}
        }
    }
    if start < inner.len() {
        expand(&before, &inner[start..], found);
    }
}

fn touches(path: &str, forbidden: &str) -> bool {
    path.strip_prefix(forbidden).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// One row of the document's table.
struct Room {
    knows: BTreeSet<String>,
    never_touches: BTreeSet<String>,
}

fn invariants() -> String {
    let document = read("ARCHITECTURE.md");
    document.split_once("## Architecture Invariants").unwrap().1.to_owned()
}

fn rooms() -> BTreeMap<String, Room> {
    rows().into_iter().collect()
}

/// The table's rows, in order.
fn rows() -> Vec<(String, Room)> {
    let quoted = Regex::new("`([^`]+)`").unwrap();
    let names = |cell: &str| quoted.captures_iter(cell).map(|name| name[1].to_owned()).collect::<BTreeSet<_>>();
    let section = invariants();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        assert_eq!(cells.len(), 3, "{row}");
        let room = names(cells[0]).pop_first().unwrap();
        (room, Room { knows: names(cells[1]), never_touches: names(cells[2]) })
    })
    .collect()
}

/// The rooms that the code of each room refers to.
fn known_rooms(sources: &[Source], rooms: &BTreeMap<String, Room>) -> BTreeMap<String, BTreeSet<String>> {
    let mut known: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources.iter().filter(|source| source.path != "lib.rs" && !is_list_of_rooms(source, rooms)) {
        let room = room_of(source.module(), rooms);
        let room = room.unwrap_or_else(|| panic!("src/{} is in no room of ARCHITECTURE.md", source.path));
        let known = known.entry(room.to_owned()).or_default();
        for path in paths(&source.code) {
            assert!(!path.starts_with("super::super::"), "{}: write crate:: instead of {path}", source.path);
            let (first, rest) = path.split_once("::").unwrap_or((&path, ""));
            let within = |module: &str| format!("{module}/{rest}").trim_start_matches('/').replace("::", "/");
            let module = match first {
                "crate" | "podskew" => within(""),
                "super" => within(source.parent()),
                child => within(&format!("{}/{child}", source.module())),
            };
            if let Some(named) = room_of(&module, rooms).filter(|named| *named != room) {
                known.insert(named.to_owned());
            } else if matches!(first, "crate" | "podskew") {
                let is_outer = rooms.keys().any(|room| room.starts_with(&module));
                let is_known = is_outer || room_of(&module, rooms).is_some();
                assert!(is_known, "src/{} names {path}, which is in no room", source.path);
            }
        }
    }
    known
}

/// Whether a file only declares the rooms inside a folder: `terminal/mod.rs`.
fn is_list_of_rooms(source: &Source, rooms: &BTreeMap<String, Room>) -> bool {
    room_of(source.module(), rooms).is_none() && rooms.keys().any(|room| room.starts_with(source.module()))
}

#[test]
fn rooms_know_the_rooms_they_may_know_and_no_others() {
    let rooms = rooms();
    let actual = known_rooms(&sources(), &rooms);
    assert_eq!(
        rooms.keys().collect::<Vec<_>>(),
        actual.keys().collect::<Vec<_>>(),
        "the table of ARCHITECTURE.md has other rooms than src/"
    );
    for (room, known) in &actual {
        let may_know = &rooms[room].knows;
        let secret: Vec<_> = known.difference(may_know).collect();
        assert!(secret.is_empty(), "{room} must not know {secret:?}: ARCHITECTURE.md, Architecture Invariants");
        let unused: Vec<_> = may_know.difference(known).collect();
        assert!(unused.is_empty(), "{room} does not use {unused:?} any more: remove it from ARCHITECTURE.md");
    }
}

/// Each room in the table knows only rooms below it. So no two know each other, directly or indirectly.
#[test]
fn no_room_knows_a_room_above_it() {
    let order = rows();
    for (at, (room, Room { knows, .. })) in order.iter().enumerate() {
        for known in knows {
            let below = order.iter().position(|(name, _)| name == known);
            assert!(below.is_some_and(|below| below > at), "{room} knows {known}, which must be below it");
        }
    }
}

#[test]
fn rooms_touch_nothing_they_must_not() {
    let rooms = rooms();
    for source in sources().iter().filter(|source| source.path != "lib.rs") {
        let Some(room) = room_of(source.module(), &rooms) else { continue };
        for path in paths(&source.code) {
            let touched = rooms[room].never_touches.iter().find(|forbidden| touches(&path, forbidden));
            assert_eq!(touched, None, "src/{} names {path}: ARCHITECTURE.md, Architecture Invariants", source.path);
        }
    }
}

#[test]
fn the_demo_alone_knows_the_simulator_which_knows_nothing_of_podskew() {
    let names =
        |source: &Source, word: &str| paths(&source.code).iter().any(|path| path.split("::").next() == Some(word));
    for source in sources() {
        assert!(
            !names(&source, "simulator") || source.path.starts_with("commands/demo/"),
            "src/{} names the simulator",
            source.path
        );
    }
    for source in sources_of("crates/simulator/src") {
        for stranger in ["podskew", "clap", "kube", "prometheus"] {
            assert!(!names(&source, stranger), "crates/simulator/src/{} names {stranger}", source.path);
        }
    }
}

/// The module and name that a path refers to, through re-exports of other modules.
fn meant(path: &str, from: &Source, modules: &BTreeMap<&str, &Source>) -> Option<String> {
    static EXPORT: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(?s)\bpub(?:\([^)]*\))?\s+use\s+([^;]+);").unwrap());
    let (first, rest) = path.split_once("::").unwrap_or((path, ""));
    let place = match first {
        "crate" | "podskew" => rest.to_owned(),
        "super" => format!("{}::{rest}", from.parent()),
        child => format!("{}::{child}::{rest}", from.module()),
    };
    let place = place.replace("::", "/");
    let place = place.trim_matches('/');
    let mut ends = place.match_indices('/').map(|(at, _)| at).chain([place.len()]);
    let end = ends.rfind(|end| modules.contains_key(&place[..*end]))?;
    let (module, source) = modules.get_key_value(&place[..end])?;
    let name = place[end..].trim_start_matches('/').split('/').next().unwrap();
    let exported = imported(&source.code, &EXPORT).into_iter().find(|path| path.rsplit("::").next() == Some(name));
    // A macro is exported with only its name.
    exported.filter(|path| path.contains("::")).map_or(Some((*module).to_owned()), |path| meant(&path, source, modules))
}

/// The files that each file of a folder refers to. The first file of a folder is left out, because it declares the others
/// and what they share.
fn known_files(sources: &[Source]) -> BTreeMap<String, BTreeSet<String>> {
    let modules: BTreeMap<&str, &Source> = sources.iter().map(|source| (source.module(), source)).collect();
    let is_first = |module: &str| modules.keys().any(|other| other.starts_with(&format!("{module}/")));
    let files = modules.values().filter(|source| !is_first(source.module()));
    files
        .map(|source| {
            let known = paths(&source.code).iter().filter_map(|path| meant(path, source, &modules)).collect();
            (source.module().to_owned(), known)
        })
        .collect()
}

#[test]
fn only_documented_files_know_each_other_in_a_circle() {
    fn reach(from: &str, known: &BTreeMap<String, BTreeSet<String>>, reached: &mut BTreeSet<String>) {
        for file in known.get(from).into_iter().flatten().filter(|file| *file != from && known.contains_key(*file)) {
            if reached.insert(file.clone()) {
                reach(file, known, reached);
            }
        }
    }
    let known = known_files(&sources());
    let reached: BTreeMap<&String, BTreeSet<String>> = known
        .keys()
        .map(|file| {
            let mut reached = BTreeSet::new();
            reach(file, &known, &mut reached);
            (file, reached)
        })
        .collect();
    let circle = |file: &String| -> BTreeSet<String> {
        reached[file].iter().filter(|other| reached[other].contains(file)).cloned().collect()
    };
    let actual: BTreeSet<BTreeSet<String>> = known.keys().map(circle).filter(|circle| circle.len() > 1).collect();
    let quoted = Regex::new("`([^`]+)`").unwrap();
    let said = others()["Circles."]
        .split(';')
        .map(|circle| quoted.captures_iter(circle).map(|file| file[1].to_owned()).collect())
        .collect();
    assert_eq!(actual, said, "ARCHITECTURE.md, Circles");
}

/// The document's other invariants: the words in bold, and the text of each.
fn others() -> BTreeMap<String, String> {
    let item = Regex::new(r"(?m)^- \*\*([^*]+)\*\*((?:.|\n  )*)").unwrap();
    item.captures_iter(&invariants()).map(|item| (item[1].to_owned(), item[2].to_owned())).collect()
}

#[test]
fn the_other_invariants_hold() {
    let others = others();
    let names: Vec<&str> = others.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["Circles.", "Length.", "Printing.", "Unsafe."],
        "an invariant without a check, or one that cannot be parsed"
    );

    let first_in_quotes = |name: &str| others[name].split('`').nth(1).unwrap().to_owned();
    let longest: usize = Regex::new(r"\d+").unwrap().find(&others["Length."]).unwrap().as_str().parse().unwrap();
    let printer = first_in_quotes("Printing.");
    assert_eq!(first_in_quotes("Unsafe."), "unsafe");
    let exception = others["Unsafe."].split('`').nth(5).unwrap();
    let print = Regex::new(r"\b(e?println?|dbg)!").unwrap();
    let keyword = Regex::new(r"\bunsafe\b").unwrap();
    for Source { path, code, lines } in sources().iter().chain(&sources_of("crates/simulator/src")) {
        assert!(*lines <= longest, "{path} has {lines} lines, and at most {longest} are allowed");
        assert!(!print.is_match(code) || path.starts_with(&printer), "{path} prints");
        assert!(!keyword.is_match(code) || path == exception, "{path} has unsafe code");
    }
}

#[test]
fn the_reader_of_imports_reads_them() {
    let code = without_comments_and_texts(
        r#"use crate::{report::{Name, digest::{ImageId}}, time};
        // use crate::comment::Nothing;
        let quote = '"'; let text = "crate::text::Nothing"; // "
        crate::web::bind(std::fs::read("x"));"#,
    );
    let expected =
        ["crate::report::Name", "crate::report::digest::ImageId", "crate::time", "crate::web::bind", "std::fs::read"];
    let found = paths(&code);
    assert_eq!(expected.map(|path| found.contains(path)), [true; 5], "{found:?}");
    assert!(!found.iter().any(|path| path.contains("Nothing")), "{found:?}");
    assert!(touches("std::fs::read", "std::fs") && touches("std::fs", "std::fs") && !touches("std::fsx", "std::fs"));
}

/// Every word of the glossary has an existing file, and they are in alphabetical order.
#[test]
fn the_glossary_names_files_that_exist() {
    let text = read("ARCHITECTURE.md");
    let (_, glossary) = text.split_once("\n## Glossary\n").unwrap();
    let rows: Vec<Vec<&str>> = glossary
        .split("\n## ")
        .next()
        .unwrap()
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| word |"))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    assert!(rows.len() >= 40, "{} words", rows.len());
    for row in &rows {
        let [word, meaning, place] = row[..] else { panic!("{row:?} does not have three columns") };
        let place = place.trim_matches('`');
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(place).is_file(), "{word}: {place} does not exist");
        assert!(meaning.ends_with('.'), "{word}: {meaning}");
    }
    let words: Vec<String> = rows.iter().map(|row| row[0].to_lowercase()).collect();
    assert!(words.is_sorted(), "{words:?}");
}
