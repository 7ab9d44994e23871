//! Objects as `kubectl get -o json` prints them, from a file or a pipe, one after another and never all at once.
//!
//! Read are a `List` of any kinds, a list of one kind as an API server prints it, single objects, arrays of either, and all
//! of these one behind the other. What is of a kind that podskew has no use for is passed over.

mod foreign;

use crate::objects::{Cut, CutError, Cutter, Object, Resource, decode_kind, decode_object};
use anyhow::{Context as _, anyhow, bail};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// How deep lists may stand in arrays and other lists.
const DEEPEST: u8 = 4;

/// What a dump held.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Contents {
    /// How many objects of each resource.
    pub objects: BTreeMap<Resource, u64>,
    /// How many objects of each kind that was passed over.
    pub others: BTreeMap<String, u64>,
    /// Whether it held anything: an empty list is no empty file.
    pub begun: bool,
}

/// Takes what is read: each object, and its JSON for whoever shows more of it than podskew keeps.
pub type Each<'e> = dyn FnMut(&Object<'_>, Resource, &[u8]) + 'e;

/// Reads a dump from a file, or from standard input if it goes by `-`.
pub fn read(file: &Path, each: &mut Each<'_>) -> anyhow::Result<Contents> {
    if file == Path::new("-") {
        return read_from(io::stdin().lock(), each).context("cannot read the objects from standard input");
    }
    let open = || {
        let opened = File::open(file)?;
        if opened.metadata()?.is_dir() { Err(io::Error::from(io::ErrorKind::IsADirectory)) } else { Ok(opened) }
    };
    let opened = open().map_err(|error| match error.kind() {
        io::ErrorKind::IsADirectory => anyhow!("it is a directory; name a file in it"),
        _ => anyhow!(error),
    });
    opened.and_then(|opened| read_from(opened, each)).with_context(|| format!("cannot read {}", file.display()))
}

/// Reads a dump.
pub fn read_from(mut input: impl Read, each: &mut Each<'_>) -> anyhow::Result<Contents> {
    let mut reader = Reader { contents: Contents::default(), each };
    reader.documents(&mut input, 0)?;
    if !reader.contents.begun {
        bail!("it is empty; {}", foreign::REMEDY);
    }
    Ok(reader.contents)
}

struct Reader<'r, 'e> {
    contents: Contents,
    each: &'r mut Each<'e>,
}

impl Reader<'_, '_> {
    fn documents(&mut self, input: &mut impl Read, depth: u8) -> anyhow::Result<()> {
        let mut cutter = Cutter::default();
        loop {
            match cutter.next_cut() {
                Ok(Cut::Object { json, byte, list }) => self.object(json, byte, list, depth)?,
                Ok(Cut::More) => {
                    let read = loop {
                        match input.read(cutter.room()) {
                            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                            read => break read?,
                        }
                    };
                    cutter.filled(read);
                }
                Ok(Cut::End) => {
                    self.contents.begun |= cutter.has_begun();
                    return Ok(());
                }
                Err(error) => return Err(self.broken(error, &cutter)),
            }
        }
    }

    /// Why it cannot be read on: a text that is no JSON at all, or JSON that breaks off or is broken.
    fn broken(&self, error: CutError, cutter: &Cutter) -> anyhow::Error {
        let objects = self.contents.objects.values().chain(self.contents.others.values()).sum::<u64>();
        if let Some(what) = foreign::recognise(cutter.rest()).filter(|_| !cutter.has_begun() && objects == 0) {
            return anyhow!(what);
        }
        let after = if objects == 1 { "1 object".to_owned() } else { format!("{objects} objects") };
        anyhow!("{error}, after {after}: it was cut short, or is no JSON; {}", foreign::REMEDY)
    }

    fn object(&mut self, json: &[u8], byte: u64, list: (&str, &str), depth: u8) -> anyhow::Result<()> {
        let broken = |what: &str, at: u64| {
            anyhow!(
                "{what} at byte {}, in the object that begins at byte {byte}; {}",
                byte + at.max(1) - 1,
                foreign::REMEDY
            )
        };
        let said = decode_kind(json).map_err(|error| broken(error.what, error.byte))?;
        let (api_version, kind) = match (&*said.kind, list) {
            // The items of an API server's own list leave it to the list to say what they are.
            ("", (api_version, kind)) => (api_version, kind.strip_suffix("List").unwrap_or_default()),
            (kind, _) => (&*said.api_version, kind),
        };
        if kind.is_empty() {
            bail!("the object at byte {byte} says no kind: it is none of Kubernetes'; {}", foreign::REMEDY);
        }
        if kind == "Status" {
            bail!(
                "at byte {byte} is the API server's answer that something failed, and no object; {}",
                foreign::REMEDY
            );
        }
        if kind.ends_with("List") && said.kind.ends_with("List") && depth < DEEPEST {
            return self.documents(&mut &*json, depth + 1);
        }
        let Some(resource) = Resource::of_kind(api_version, kind) else {
            *self.contents.others.entry(kind.to_owned()).or_default() += 1;
            return Ok(());
        };
        let object = decode_object(resource, json).map_err(|error| broken(error.what, error.byte as u64))?;
        *self.contents.objects.entry(resource).or_default() += 1;
        (self.each)(&object, resource, json);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Result<Vec<String>, String> {
        let mut names = Vec::new();
        let read = read_from(text.as_bytes(), &mut |object, resource, json| {
            assert!(json.starts_with(b"{") && json.ends_with(b"}"));
            names.push(format!("{resource}/{}", object.meta.name));
        });
        read.map(|_| names).map_err(|error| format!("{error:#}"))
    }

    const POD: &str = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"}}"#;

    #[test]
    fn every_form_that_kubectl_and_api_servers_print() {
        for text in [
            POD.to_owned(),
            format!(r#"{{"apiVersion":"v1","items":[{POD}],"kind":"List","metadata":{{"resourceVersion":""}}}}"#),
            r#"{"kind":"PodList","apiVersion":"v1","metadata":{},"items":[{"metadata":{"name":"a"}}]}"#.to_owned(),
            format!("[{POD}]"),
            format!(r#"[{{"kind":"List","apiVersion":"v1","items":[{POD}]}}]"#),
            format!("\u{feff}{POD}\n"),
        ] {
            assert_eq!(names(&text).as_deref(), Ok(&["pods/a".to_owned()][..]), "{text}");
        }
        assert_eq!(names(r#"{"kind":"List","apiVersion":"v1","items":[]}"#), Ok(vec![]));
        assert_eq!(names("[]"), Ok(vec![]));
        let set = r#"{"kind":"ReplicaSet","apiVersion":"apps/v1","metadata":{"name":"b"}}"#;
        assert_eq!(names(&format!("{POD}\n{set}")).unwrap(), ["pods/a", "replicasets/b"]);
    }

    #[test]
    fn other_kinds_are_passed_over_and_counted() {
        let text = r#"[{"kind":"Node","apiVersion":"v1"},{"kind":"StatefulSet","apiVersion":"apps.kruise.io/v1"},
            {"kind":"Node","apiVersion":"v1"}]"#;
        let read = read_from(text.as_bytes(), &mut |_, _, _| panic!("nothing of it counts")).unwrap();
        assert_eq!(read.others, BTreeMap::from([("Node".to_owned(), 2), ("StatefulSet".to_owned(), 1)]));
    }

    #[test]
    fn what_is_no_dump_is_refused_with_a_remedy() {
        let at_end = |text: &str| format!("breaks off at byte {}, after 1 object", text.len() + 1);
        let indented = format!("{{\n    \"items\": [\n        {POD},\n        {{\"kind\": \"Po");
        for (text, expected) in [
            ("", "it is empty"),
            (" \n", "it is empty"),
            ("\u{feff}\n", "it is empty"),
            ("apiVersion: v1\nitems:\n", "YAML"),
            ("- apiVersion: v1\n", "YAML"),
            ("---\nkind: List\n", "YAML"),
            ("NAME   READY   STATUS\nweb-0  1/1  Running\n", "table"),
            ("NAMESPACE   NAME   READY\n", "table"),
            ("\u{1f}\u{8b}", "no JSON"),
            ("error: You must be logged in to the server (Unauthorized)\n", "error"),
            ("Warning: v1 is deprecated\n{}", "a warning of kubectl's"),
            ("\u{feff}kind: List\n", "YAML"),
            ("No resources found in default namespace.\n", "found nothing"),
            ("<html>", "no JSON"),
            ("{\"a\":1}", "says no kind"),
            (r#"{"kind":"Status","apiVersion":"v1","status":"Failure"}"#, "answer that something failed"),
            (&indented, &at_end(&indented)),
            (
                "{\"kind\":\"List\",\"items\":[{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":nothing}]}",
                "broken JSON at byte 68",
            ),
        ] {
            let error = names(text).unwrap_err();
            assert!(error.contains(expected), "{text:?}: {error}");
            assert!(error.contains("-o json"), "{text:?}: {error}");
        }
    }

    #[test]
    fn files_that_are_none_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = |path: &Path| format!("{:#}", read(path, &mut |_, _, _| {}).unwrap_err());
        let found = error(folder.path());
        assert!(found.contains(&folder.path().display().to_string()) && found.contains("a directory"), "{found}");
        let found = error(&folder.path().join("missing.json"));
        assert!(found.contains("missing.json") && found.contains("No such file"), "{found}");
    }
}
