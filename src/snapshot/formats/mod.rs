//! Reads objects from files: output of kubectl, support bundles, recorded watch events. Objects are read one after
//! another, never all at once.
//!
//! ```text
//!  file, pipe, folder ──archive──▶ bytes ──encoding──▶ text ──json, yaml──▶ JSON of one object ──shape──▶ Piece
//! ```
//!
//! Objects of other kinds are skipped and counted. A truncated or unreadable file is an error: a partial dump looks like
//! skew.

mod archive;
mod encoding;
mod format_hint;
mod json;
mod meter;
mod shape;
mod yaml;

pub use meter::ReadLimits;

use crate::objects::{Newest, Object, Resource};
use crate::time::UnixTime;
use anyhow::{Context as _, anyhow};
use format_hint::{FormatHint, REMEDY};
use meter::{Meter, Metered, beginning};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Counts over the files that were read.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct InputSummary {
    /// Number of objects of each resource, counting every copy and every event.
    pub objects: BTreeMap<Resource, u64>,
    /// Number of skipped objects of each other kind.
    pub others: BTreeMap<String, u64>,
    /// Number of values in JSON or YAML that are not Kubernetes objects.
    pub unknown: u64,
    /// Number of files in folders and archives that held objects or could have.
    pub files: u64,
    /// Number of skipped files: logs, pictures, text.
    pub passed_files: u64,
    /// Number of links, devices and FIFOs in folders and archives.
    pub links: u64,
    /// Number of containers' logs between lists.
    pub logs: u64,
    /// Number of watches that ended with an error.
    pub watch_errors: u64,
    /// Whether any content was read. A file with an empty list is not empty.
    pub begun: bool,
    /// The newest timestamp, if it was requested.
    pub newest: Option<UnixTime>,
    /// Whether all input was read from pipes, so that it was printed just now.
    pub piped: bool,
}

/// An object, as read from a file.
#[derive(Clone, Debug)]
pub struct ReadObject<'p> {
    /// The object.
    pub object: Object<'p>,
    /// Its resource.
    pub resource: Resource,
    /// Its JSON, for callers that show more of an object than podskew keeps.
    pub json: &'p [u8],
    /// Whether it exists or was deleted, and how that is known.
    pub change: ObjectOrigin,
    /// Number of its file.
    pub file: u32,
}

/// Origin of an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ObjectOrigin {
    /// A list, or a single object.
    Listed,
    /// An ADDED or MODIFIED event.
    Applied,
    /// A DELETED event.
    Deleted,
}

/// Receives each object.
pub type Each<'e> = dyn FnMut(ReadObject<'_>) + 'e;

/// Options of reading.
#[derive(Clone, Copy, Debug)]
pub struct ReadOptions {
    /// Limits.
    pub limits: ReadLimits,
    /// The current time by this machine's clock; later timestamps are ignored.
    pub now: UnixTime,
    /// Whether to read nodes; otherwise they are skipped like other kinds.
    pub nodes: bool,
}

/// Reads files, folders and archives; `-` is standard input.
///
/// # Errors
///
/// A file cannot be read to its end.
pub fn read(files: &[PathBuf], reading: ReadOptions, each: &mut Each<'_>) -> anyhow::Result<InputSummary> {
    let mut reader = Reader::new(reading, each);
    reader.contents.piped = true;
    for file in files {
        let is_stdin = file == Path::new("-");
        let read = if is_stdin { reader.standard_input() } else { reader.path(file) };
        let read = read.map_err(ReadError::into_error);
        if is_stdin {
            read.context("cannot read the objects from standard input")?;
        } else {
            read.with_context(|| format!("cannot read {}", file.display()))?;
        }
    }
    Ok(reader.finish())
}

/// Reads `input` as if it were a file of this name.
pub fn read_from(
    mut input: impl Read,
    name: &str,
    reading: ReadOptions,
    each: &mut Each<'_>,
) -> anyhow::Result<InputSummary> {
    let mut reader = Reader::new(reading, each);
    reader.whole(&mut input, name).map_err(ReadError::into_error)?;
    Ok(reader.finish())
}

/// Why a file cannot be read.
enum ReadError {
    /// The text holds no objects, or is truncated or invalid. Bundles have many such files.
    Form(String),
    /// The input fails, is packed in an unsupported way, or exceeds a limit.
    Input(anyhow::Error),
}

impl ReadError {
    fn into_error(self) -> anyhow::Error {
        match self {
            Self::Form(text) => anyhow!(text),
            Self::Input(error) => error,
        }
    }
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        match error.get_ref().and_then(|error| error.downcast_ref::<encoding::Malformed>()) {
            Some(malformed) => Self::Form(format!("it is {malformed}")),
            None => Self::Input(error.into()),
        }
    }
}

/// A file to read: named by the user, or found in a folder or an archive.
#[derive(Clone, Debug)]
struct InputFile {
    /// Its path, with the archives around it.
    name: String,
    /// The resource in its name.
    hint: Option<Resource>,
    /// Whether it was found in a folder or archive, so that it may hold anything.
    bundled: bool,
    /// Number of archives around it.
    archives: u8,
    /// Number of compressions around it.
    layers: u8,
    /// Its number.
    number: u32,
    /// Number of Kubernetes objects found so far.
    found: u64,
}

/// Maximum depth of archives within archives.
const ARCHIVES: u8 = 2;

/// Maximum number of compressions: a file that is compressed twice was compressed by mistake.
const LAYERS: u8 = 2;

/// Bytes that suffice to recognize a file.
const BEGINNING: usize = 1024;

/// Bytes that suffice to recognize a text.
const TEXT_BEGINNING: usize = 4096;

struct Reader<'r, 'e> {
    contents: InputSummary,
    each: &'r mut Each<'e>,
    meter: Rc<Meter>,
    newest: Newest,
    nodes: bool,
    entries: u32,
}

impl<'r, 'e> Reader<'r, 'e> {
    fn new(reading: ReadOptions, each: &'r mut Each<'e>) -> Self {
        let ReadOptions { limits, now, nodes } = reading;
        Self {
            contents: InputSummary::default(),
            each,
            meter: Meter::new(limits),
            newest: Newest::not_after(now),
            nodes,
            entries: 0,
        }
    }

    fn finish(self) -> InputSummary {
        InputSummary { newest: self.newest.found(), ..self.contents }
    }

    fn entry(&mut self, name: String, bundled: bool, archives: u8) -> InputFile {
        self.entries += 1;
        let hint = shape::by_name(&name);
        InputFile { name, hint, bundled, archives, layers: 0, number: self.entries, found: 0 }
    }

    fn standard_input(&mut self) -> Result<(), ReadError> {
        let input = io::stdin().lock();
        let file = File::from(input.as_fd().try_clone_to_owned()?);
        self.contents.piped &= !file.metadata()?.is_file();
        drop(file);
        self.whole(&mut { input }, "-")
    }

    fn path(&mut self, path: &Path) -> Result<(), ReadError> {
        let mut file = File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            self.contents.piped = false;
            return self.bundle(|reader| reader.folder(path, path, 0));
        }
        let name = path.to_string_lossy();
        if !metadata.is_file() {
            return self.whole(&mut file, &name);
        }
        self.contents.piped = false;
        if archive::is_zip(&beginning(&mut file, 4)?) {
            file.seek(SeekFrom::Start(0))?;
            let entry = self.entry(name.into_owned(), false, 0);
            return self.bundle(|reader| reader.zip(file, &entry));
        }
        file.seek(SeekFrom::Start(0))?;
        self.whole(&mut file, &name)
    }

    /// Reads a file that the user named, to its end.
    fn whole(&mut self, input: &mut dyn Read, name: &str) -> Result<(), ReadError> {
        let mut entry = self.entry(name.to_owned(), false, 0);
        let began = std::mem::take(&mut self.contents.begun);
        self.file(&mut Metered::new(input, &Rc::clone(&self.meter)), &mut entry)?;
        if !self.contents.begun {
            return Err(ReadError::Form(format!("it is empty; {REMEDY}")));
        }
        self.contents.begun |= began;
        Ok(())
    }

    /// Reads a folder or an archive.
    ///
    /// # Errors
    ///
    /// It holds no objects.
    fn bundle(&mut self, read: impl FnOnce(&mut Self) -> Result<(), ReadError>) -> Result<(), ReadError> {
        let began = std::mem::take(&mut self.contents.begun);
        let before = self.contents.files + self.contents.passed_files;
        read(self)?;
        if !self.contents.begun {
            let files = self.contents.files + self.contents.passed_files - before;
            return Err(ReadError::Form(format!("none of its {files} files holds objects of Kubernetes; {REMEDY}")));
        }
        self.contents.begun |= began;
        Ok(())
    }

    /// Reads a folder, sorted by name.
    fn folder(&mut self, top: &Path, folder: &Path, depth: usize) -> Result<(), ReadError> {
        let at = |path: &Path, error: io::Error| {
            let path = path.strip_prefix(top).unwrap_or(path).display().to_string();
            ReadError::Input(anyhow!(error).context(path))
        };
        if depth > DEEPEST_FOLDER {
            return Err(ReadError::Input(anyhow!("its folders are nested too deeply")));
        }
        let mut paths = Vec::new();
        for found in fs::read_dir(folder).map_err(|error| at(folder, error))? {
            self.meter.file()?;
            paths.push(found.map_err(|error| at(folder, error))?.path());
        }
        paths.sort_unstable();
        for path in paths {
            let kind = fs::symlink_metadata(&path).map_err(|error| at(&path, error))?.file_type();
            let name = path.strip_prefix(top).unwrap_or(&path).to_string_lossy().into_owned();
            if kind.is_dir() {
                self.folder(top, &path, depth + 1)?;
            } else if !kind.is_file() {
                self.contents.links += 1;
            } else if archive::may_hold_objects(&name) {
                let mut file = File::open(&path).map_err(|error| at(&path, error))?;
                let is_zip = archive::is_zip(&beginning(&mut file, 4).map_err(|error| at(&path, error))?);
                file.seek(SeekFrom::Start(0)).map_err(|error| at(&path, error))?;
                let mut entry = self.entry(name.clone(), true, 0);
                if is_zip {
                    self.contents.files += 1;
                    self.zip(file, &entry).map_err(|broken| within(&name, broken))?;
                } else {
                    self.found(&mut Metered::new(file, &Rc::clone(&self.meter)), &mut entry)?;
                }
            } else {
                self.contents.passed_files += 1;
            }
        }
        Ok(())
    }

    /// Reads a file that was found in a folder or an archive. Not every `.json` file holds objects, but one that begins
    /// with objects must be complete.
    fn found(&mut self, input: &mut dyn Read, entry: &mut InputFile) -> Result<(), ReadError> {
        match self.file(input, entry) {
            Ok(()) => {
                self.contents.files += 1;
                Ok(())
            }
            Err(ReadError::Form(_)) if entry.found == 0 => {
                tracing::debug!(file = entry.name, "file holds no objects");
                self.contents.passed_files += 1;
                Ok(())
            }
            Err(broken) => Err(within(&entry.name, broken)),
        }
    }

    /// Reads a file, packed or not.
    fn file(&mut self, input: &mut dyn Read, entry: &mut InputFile) -> Result<(), ReadError> {
        let head = beginning(input, BEGINNING)?;
        let mut whole = head.as_slice().chain(input);
        if archive::is_gzip(&head) {
            return self.gzip(&mut whole, entry);
        }
        if archive::is_tar(&head) {
            let entry = entry.clone();
            return if entry.bundled {
                self.tar(&mut whole, &entry)
            } else {
                self.bundle(|reader| reader.tar(&mut whole, &entry))
            };
        }
        if archive::is_zip(&head) {
            return self.zip_in_memory(&mut whole, entry);
        }
        if let Some((what, command)) = format_hint::packed(&head) {
            return Err(ReadError::Form(format!("{what}, which podskew does not read: {command} | podskew … -f -")));
        }
        match encoding::utf_16(&head) {
            Some(encoding) => self.text(&mut encoding::Utf8::new(whole, encoding), entry),
            None => self.text(&mut whole, entry),
        }
    }

    /// Reads UTF-8 text.
    fn text(&mut self, input: &mut dyn Read, entry: &mut InputFile) -> Result<(), ReadError> {
        let head = beginning(input, TEXT_BEGINNING)?;
        let likely = format_hint::looks_like_kubernetes(&head);
        if entry.bundled && !likely && !archive::is_structured(&entry.name) {
            return Err(ReadError::Form("it does not look like objects".to_owned()));
        }
        let form = format_hint::form(&head);
        let mut whole = head.as_slice().chain(input);
        let read = match form {
            FormatHint::Json => self.json(&mut whole, entry, 0),
            FormatHint::Yaml => self.yaml(&mut whole, entry),
            FormatHint::Other(what) => return Err(ReadError::Form(format!("{what}; {REMEDY}"))),
        };
        if read.is_err() && (likely || entry.hint.is_some()) {
            // It looks like Kubernetes objects, so it counts even before the first one.
            entry.found += 1;
        }
        read
    }
}

/// Maximum depth of folders.
const DEEPEST_FOLDER: usize = 64;

/// Adds the file's name within its bundle to an error.
fn within(name: &str, broken: ReadError) -> ReadError {
    ReadError::Input(broken.into_error().context(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const READING: ReadOptions = ReadOptions { limits: ReadLimits::DEFAULT, now: UnixTime::LAST, nodes: false };

    fn names(text: &str) -> Result<Vec<String>, String> {
        let mut names = Vec::new();
        let read = read_from(text.as_bytes(), "-", READING, &mut |piece| {
            assert!(piece.json.starts_with(b"{") && piece.json.ends_with(b"}"));
            names.push(format!("{}/{}", piece.resource, piece.object.meta.name));
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
        let read = read_from(text.as_bytes(), "-", READING, &mut |_| panic!("nothing of it counts")).unwrap();
        assert_eq!(read.others, BTreeMap::from([("Node".to_owned(), 2), ("StatefulSet".to_owned(), 1)]));
    }

    #[test]
    fn other_text_is_refused_with_a_remedy() {
        let at_end = |text: &str| format!("truncated JSON at byte {}, after 1 object", text.len() + 1);
        let indented = format!("{{\n    \"items\": [\n        {POD},\n        {{\"kind\": \"Po");
        for (text, expected) in [
            ("", "it is empty"),
            (" \n", "it is empty"),
            ("\u{feff}\n", "it is empty"),
            ("apiVersion: v1\n", "has no kind"),
            ("- a: v1\n", "has no kind"),
            ("---\nkind: [\n", "broken YAML"),
            ("kind: Pod\nmetadata:\n  name: {a\n", "broken YAML"),
            ("Name:             web-0\nNamespace:  shop\n", "kubectl describe"),
            ("pod/web-0\npod/web-1\n", "-o name"),
            ("W1130 08:00:00.000000   12345 warnings.go:70] x\n", "a warning of kubectl"),
            ("k8s\u{0}\n", "protobuf"),
            ("\u{0}\u{1}\u{2}\u{3}", "binary"),
            ("NAME   READY   STATUS\nweb-0  1/1  Running\n", "table"),
            ("NAMESPACE   NAME   READY\n", "table"),
            ("error: You must be logged in to the server (Unauthorized)\n", "error"),
            ("Warning: v1 is deprecated\n{}", "a warning of kubectl"),
            ("\u{feff}kind: ]\n", "broken YAML"),
            ("No resources found in default namespace.\n", "found nothing"),
            ("<html>", "a web page"),
            ("{\"a\":1}", "has no kind"),
            (r#"{"kind":"Status","apiVersion":"v1","status":"Failure"}"#, "an error of the API server, not an object"),
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
    fn missing_and_empty_inputs_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = |path: &Path| format!("{:#}", read(&[path.to_owned()], READING, &mut |_| {}).unwrap_err());
        let found = error(folder.path());
        assert!(
            found.contains(&folder.path().display().to_string()) && found.contains("none of its 0 files"),
            "{found}"
        );
        let found = error(&folder.path().join("missing.json"));
        assert!(found.contains("missing.json") && found.contains("No such file"), "{found}");
    }
}
