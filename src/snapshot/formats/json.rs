//! Reads JSON: lists, arrays, single objects, watch events, and the output of `kubectl cluster-info dump`.

use super::format_hint::REMEDY;
use super::{InputFile, ObjectOrigin, ReadError, ReadObject, Reader, meter, shape};
use crate::objects::{JsonItem, JsonSplitter, Resource, SplitError, decode_kind, decode_object, member};
use std::io::Read;

/// Maximum depth of lists within lists.
const DEEPEST: u8 = 4;

/// Marks the beginning of a container's logs in the output of `kubectl cluster-info dump`.
const LOGS: &str = "==== START logs for container ";
const LOGS_END: &str = "==== END logs for container ";

/// The last line of that output.
const DUMPED: &str = "Cluster info dumped to ";

/// Maximum length of a line that begins logs: it holds the names of a container, a namespace and a pod.
const LONGEST_LINE: usize = 1024;

/// Items that came before the list's kind.
#[derive(Default)]
struct HeldItems {
    json: Vec<u8>,
    /// End of each item, and position of its first byte in the text.
    items: Vec<(usize, u64)>,
    /// Set if there were too many to hold, and all looked like this resource.
    guessed: Option<Resource>,
}

impl Reader<'_, '_> {
    pub(super) fn json(&mut self, input: &mut dyn Read, entry: &mut InputFile, depth: u8) -> Result<(), ReadError> {
        let mut splitter = JsonSplitter::default();
        let mut held = HeldItems::default();
        loop {
            match splitter.next_item() {
                Ok(JsonItem::Object { json, byte, list }) => self.object(json, byte, list, entry, depth, &mut held)?,
                Ok(JsonItem::ListEnd(api_version, kind)) => {
                    self.contents.begun = true;
                    self.release(std::mem::take(&mut held), api_version, kind, entry)?;
                }
                Ok(JsonItem::More) => more(&mut splitter, input)?,
                Ok(JsonItem::End) => {
                    self.contents.begun |= splitter.has_begun() && !entry.bundled;
                    return Ok(());
                }
                Err(error) => {
                    if !(splitter.is_outside() && splitter.has_begun() && self.between(&mut splitter, input)?) {
                        return Err(broken(error, &splitter, entry));
                    }
                }
            }
        }
    }

    /// Skips permitted text between lists.
    ///
    /// # Errors
    ///
    /// Any other text.
    fn between(&mut self, splitter: &mut JsonSplitter, input: &mut dyn Read) -> Result<bool, ReadError> {
        while !splitter.rest().contains(&b'\n') && splitter.rest().len() < LONGEST_LINE && !splitter.has_ended() {
            more(splitter, input)?;
        }
        let rest = splitter.rest();
        let line = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        let Ok(text) = std::str::from_utf8(&rest[..line]) else { return Ok(false) };
        if text.starts_with(DUMPED) {
            splitter.pass(line);
            return Ok(true);
        }
        let Some(whose) = text.trim_end().strip_prefix(LOGS).filter(|whose| whose.ends_with(" ====")) else {
            return Ok(false);
        };
        // Logs need not end with a newline.
        let end = format!("{LOGS_END}{whose}");
        let whose = whose.trim_end_matches(" ====").to_owned();
        splitter.pass(line);
        loop {
            if let Some(found) = memchr::memmem::find(splitter.rest(), end.as_bytes()) {
                splitter.pass(found + end.len());
                self.contents.logs += 1;
                return Ok(true);
            }
            if splitter.has_ended() {
                return Err(ReadError::Form(format!("the logs for container {whose} have no end: it was cut short")));
            }
            splitter.pass(splitter.rest().len().saturating_sub(end.len()));
            more(splitter, input)?;
        }
    }

    /// Reads the held items after the end of the list, with the list's kind if it has one.
    fn release(
        &mut self,
        held: HeldItems,
        api_version: &str,
        kind: &str,
        entry: &mut InputFile,
    ) -> Result<(), ReadError> {
        let kind = item_kind(kind);
        if let Some(guessed) = held.guessed
            && !kind.is_empty()
            && Resource::of_kind(api_version, kind) != Some(guessed)
        {
            return Err(ReadError::Form(format!(
                "a list has the kind {kind} after its items, but they look like {guessed}; {REMEDY}"
            )));
        }
        let mut start = 0;
        for (end, byte) in held.items {
            self.item(&held.json[start..end], byte, (api_version, kind), entry)?;
            start = end;
        }
        Ok(())
    }

    /// Reads all held items as the resource that they all look like.
    fn guess(&mut self, held: &mut HeldItems, entry: &mut InputFile) -> Result<(), ReadError> {
        let mut start = 0;
        for (end, byte) in std::mem::take(&mut held.items) {
            let json = &held.json[start..end];
            let resource = shape::by_fields(json);
            if resource.is_none() || held.guessed.is_some_and(|guessed| resource != Some(guessed)) {
                return Err(ReadError::Form(format!(
                    "a list has its kind only after more than {} MiB of items; {REMEDY}",
                    self.meter.limits.held_items >> 20
                )));
            }
            held.guessed = resource;
            if let Some(resource) = resource {
                self.known(resource, json, byte, ObjectOrigin::Listed, entry)?;
            }
            start = end;
        }
        held.json.clear();
        Ok(())
    }

    fn object(
        &mut self,
        json: &[u8],
        byte: u64,
        list: Option<(&str, &str)>,
        entry: &mut InputFile,
        depth: u8,
        held: &mut HeldItems,
    ) -> Result<(), ReadError> {
        let declared = decode_kind(json).map_err(|error| unreadable(json, &error, byte))?;
        match (&*declared.kind, list) {
            ("", Some((api_version, kind))) if !item_kind(kind).is_empty() => {
                self.item(json, byte, (api_version, item_kind(kind)), entry)
            }
            ("", Some((_, ""))) if declared.event.is_empty() => {
                held.json.extend_from_slice(json);
                held.items.push((held.json.len(), byte));
                if held.guessed.is_some() || held.json.len() > self.meter.limits.held_items {
                    self.guess(held, entry)
                } else {
                    Ok(())
                }
            }
            ("", _) if !declared.event.is_empty() => self.event(&declared.event, json, byte, entry),
            (kind, Some(_)) if kind.ends_with("List") && depth < DEEPEST => self.json(&mut &*json, entry, depth + 1),
            (kind, _) => {
                let kind = (&*declared.api_version, kind);
                self.kind(json, byte, kind, ObjectOrigin::Listed, entry)
            }
        }
    }

    /// Reads an item of a list that has a kind.
    fn item(&mut self, json: &[u8], byte: u64, kind: (&str, &str), entry: &mut InputFile) -> Result<(), ReadError> {
        self.kind(json, byte, kind, ObjectOrigin::Listed, entry)
    }

    /// Reads a watch event: `{"type": "ADDED", "object": {…}}`.
    fn event(&mut self, event: &str, json: &[u8], byte: u64, entry: &mut InputFile) -> Result<(), ReadError> {
        let change = match event {
            "ADDED" | "MODIFIED" => ObjectOrigin::Applied,
            "DELETED" => ObjectOrigin::Deleted,
            "BOOKMARK" | "ERROR" => {
                entry.found += 1;
                self.contents.begun = true;
                self.contents.watch_errors += u64::from(event == "ERROR");
                return Ok(());
            }
            _ => return self.kind(json, byte, ("", ""), ObjectOrigin::Listed, entry),
        };
        let object = member(json, &["object"]).unwrap_or_default();
        let declared = decode_kind(object).map_err(|error| at(error.what, error.byte, byte))?;
        self.kind(object, byte, (&declared.api_version, &declared.kind), change, entry)
    }

    /// Reads an object with a kind, or recognizes it by its fields.
    fn kind(
        &mut self,
        json: &[u8],
        byte: u64,
        (api_version, kind): (&str, &str),
        change: ObjectOrigin,
        entry: &mut InputFile,
    ) -> Result<(), ReadError> {
        if kind == "Status" && !entry.bundled {
            return Err(ReadError::Form(format!(
                "at byte {byte} is an error of the API server, not an object; {REMEDY}"
            )));
        }
        if kind == "Table" && !entry.bundled {
            return Err(ReadError::Form(format!(
                "at byte {byte} is a table of the API server for people, not an object; {REMEDY}"
            )));
        }
        // Go omits the items of an empty list.
        if kind.ends_with("List") {
            entry.found += 1;
            self.contents.begun = true;
            return Ok(());
        }
        let resource = match (api_version, kind) {
            (_, "") => match self.without_kind(json, byte, entry)? {
                Some(resource) => Some(resource),
                None => return Ok(()),
            },
            ("" | "v1", "Node") => self.nodes.then_some(Resource::Nodes),
            // Without an API group the kind is ambiguous, so the fields have to match, too.
            ("", kind) => Resource::ALL.into_iter().find(|resource| {
                resource.kind() == kind && (*resource == Resource::Pods || shape::by_fields(json) == Some(*resource))
            }),
            (api_version, kind) => Resource::of_kind(api_version, kind),
        };
        if let Some(resource) = resource {
            return self.known(resource, json, byte, change, entry);
        }
        entry.found += u64::from(!api_version.is_empty());
        self.contents.begun = true;
        self.newest.take(json);
        match self.contents.others.get_mut(kind) {
            Some(count) => *count += 1,
            None => _ = self.contents.others.insert(kind.to_owned(), 1),
        }
        Ok(())
    }

    /// The resource of an object without a kind; `None` if it may not be an object.
    fn without_kind(&mut self, json: &[u8], byte: u64, entry: &InputFile) -> Result<Option<Resource>, ReadError> {
        let is_named = || member(json, &["metadata", "name"]).is_some();
        let node = || (self.nodes && shape::is_node(json)).then_some(Resource::Nodes);
        let resource = shape::by_fields(json).or_else(node).or(entry.hint.filter(|_| is_named()));
        if resource.is_none() && !entry.bundled {
            return Err(ReadError::Form(format!(
                "the object at byte {byte} has no kind, and its fields do not identify it: the client that wrote it stripped kind and apiVersion; \
                 {REMEDY}"
            )));
        }
        self.contents.unknown += u64::from(resource.is_none());
        Ok(resource)
    }

    fn known(
        &mut self,
        resource: Resource,
        json: &[u8],
        byte: u64,
        change: ObjectOrigin,
        entry: &mut InputFile,
    ) -> Result<(), ReadError> {
        entry.found += 1;
        self.contents.begun = true;
        let object = decode_object(resource, json).map_err(|error| at(error.what, error.byte as u64, byte))?;
        self.newest.take(json);
        *self.contents.objects.entry(resource).or_default() += 1;
        (self.each)(ReadObject { object, resource, json, change, file: entry.number });
        Ok(())
    }
}

/// `Pod` for a `PodList`; empty for a `List`, which may hold anything.
fn item_kind(list: &str) -> &str {
    list.strip_suffix("List").unwrap_or_default()
}

fn more(splitter: &mut JsonSplitter, input: &mut dyn Read) -> Result<(), ReadError> {
    let read = meter::fill(input, splitter.room())?;
    splitter.filled(read);
    Ok(())
}

/// The error for an object of unknown kind.
fn unreadable(json: &[u8], error: &SplitError, byte: u64) -> ReadError {
    match std::str::from_utf8(json) {
        Ok(_) => at(error.what, error.byte, byte),
        Err(error) => at("text that is neither UTF-8 nor UTF-16", error.valid_up_to() as u64 + 1, byte),
    }
}

fn at(what: &str, at: u64, byte: u64) -> ReadError {
    ReadError::Form(format!(
        "{what} at byte {}, in the object that begins at byte {byte}; {REMEDY}",
        byte + at.max(1) - 1
    ))
}

/// The error for truncated or invalid JSON.
fn broken(error: SplitError, splitter: &JsonSplitter, entry: &InputFile) -> ReadError {
    if !splitter.has_begun()
        && let super::FormatHint::Other(what) = super::format_hint::form(splitter.rest())
    {
        return ReadError::Form(format!("{what}; {REMEDY}"));
    }
    let after = if entry.found == 1 { "1 object".to_owned() } else { format!("{} objects", entry.found) };
    ReadError::Form(format!("{error}, after {after}: it was cut short, or is not JSON; {REMEDY}"))
}
