//! Lists: whole or in pages, written piece by piece from encoded objects.

use super::answer::{Body, response, with_body};
use super::body::{PIECE_BYTES, Pieces, cut, first_half, streamed};
use super::encoded::{Selection, names};
use super::fault::Fault;
use super::negotiate::Form;
use super::protobuf::{CLOSING, ListOpening, message};
use super::request::{ListOptions, Request};
use super::server::Cluster;
use super::status::Refusal;
use super::store::{Snapshot, Store};
use super::table;
use crate::resource::Resource;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::Response;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// Path of the list of namespaces.
pub(super) const NAMESPACES: &str = "/api/v1/namespaces";

/// The namespaces that contain objects, as a list in JSON.
pub(super) fn namespaces(store: &Store) -> Value {
    let mut names = BTreeSet::from(["default".to_owned()]);
    for resource in Resource::ALL {
        let snapshot = store.snapshot(resource);
        names.extend(snapshot.objects.iter().map(|object| object.encoded.namespace().to_owned()));
    }
    let items: Vec<Value> = names.into_iter().map(|name| json!({"metadata": {"name": name}})).collect();
    let metadata = json!({"resourceVersion": store.version().to_string()});
    json!({"kind": "NamespaceList", "apiVersion": "v1", "metadata": metadata, "items": items})
}

/// Answers a list, or one page of it.
pub(super) fn answer(
    cluster: &Cluster,
    request: &Request,
    options: &ListOptions,
    form: Form,
) -> Result<Response<Body>, Refusal> {
    let (snapshot, range) = begin_or_continue(cluster, request, options)?;
    // A list from the cache is sent whole; limits are ignored.
    let is_cached = options.version == Some(0) && options.continue_token.is_none();
    let limit = options.limit.filter(|_| !is_cached);
    let (page, goes_on) = page(&snapshot, range.clone(), &request.selection, limit);
    let mut metadata = Map::new();
    metadata.insert("resourceVersion".to_owned(), snapshot.version.to_string().into());
    if goes_on {
        cluster.store.keep_open(request.resource, &snapshot);
        let token =
            Token { version: Some(snapshot.version), after: snapshot.objects[page.end - 1].encoded.key.to_string() };
        metadata.insert("continue".to_owned(), token.encode(&request.selection).into());
        // With a selector the server does not know how many of the remaining objects match, so it omits the count.
        if request.selection.is_whole() {
            metadata.insert("remainingItemCount".to_owned(), (range.end - page.end).into());
        }
    }
    let selected = || {
        let objects = snapshot.objects[page.clone()].iter().map(|object| &**object);
        objects.filter(|object| request.selection.holds(&object.encoded))
    };
    let form = cluster.store.form_of(request.resource, form, selected());
    let metadata = Value::Object(metadata);
    if form == Form::Table {
        let objects = selected().map(|stored| serde_json::from_slice(&stored.to_json(request.resource)));
        let objects: Vec<Value> = objects.map(Result::unwrap_or_default).collect();
        let table = table::of(request.resource, &objects, request.table, &metadata);
        return Ok(with_body(200, form, table.to_string().into_bytes()));
    }
    let names = names(request.resource);
    let opening = match form {
        Form::Json | Form::Table => {
            let (kind, api_version) = (names.list_kind, names.api_version);
            format!(r#"{{"kind":"{kind}","apiVersion":"{api_version}","metadata":{metadata},"items":["#).into_bytes()
        }
        Form::Protobuf => {
            // The list's own metadata is built here, so it can be encoded. Its length precedes the items.
            let (metadata, mut opening) = (message("ListMeta", &metadata).unwrap_or_default(), Vec::new());
            let bytes = selected().map(|object| object.item_bytes(request.resource)).sum();
            ListOpening { names: &names, metadata: &metadata }.write(bytes, &mut opening);
            opening
        }
    };
    let items = Items {
        resource: request.resource,
        form,
        range: page.clone(),
        snapshot: snapshot.clone(),
        selection: request.selection.clone(),
        opening,
        separate: false,
        breaks: cluster.faults.strike(Some(request.resource), Fault::breaks_list),
        stage: Stage::Items,
    };
    Ok(response(200, form.content_type(), streamed(items, cluster.pace.clone())))
}

/// The snapshot to list from, and the range of objects that this request may still get.
fn begin_or_continue(
    cluster: &Cluster,
    request: &Request,
    options: &ListOptions,
) -> Result<(Arc<Snapshot>, Range<usize>), Refusal> {
    let Some(text) = &options.continue_token else {
        let snapshot = cluster.store.snapshot(request.resource);
        if let Some(asked) = options.version.filter(|asked| *asked > snapshot.version) {
            return Err(Refusal::version_too_new(asked, snapshot.version));
        }
        let range = within(&snapshot, &request.selection);
        return Ok((snapshot, range));
    };
    let token = Token::decode(text, &request.selection)
        .ok_or_else(|| Refusal::bad_request("continue key is not valid: incorrect encoded start key"))?;
    let expired = cluster.faults.strike(Some(request.resource), |fault| fault == Fault::ContinueExpired);
    let open = match token.version {
        _ if expired.is_some() => None,
        Some(version) => cluster.store.open_list(request.resource, version),
        // A token without a version continues with the current objects.
        None => Some(cluster.store.snapshot(request.resource)),
    };
    let Some(snapshot) = open else {
        let rest = Token { version: None, ..token };
        return Err(Refusal::continue_expired(&rest.encode(&request.selection)));
    };
    let mut range = within(&snapshot, &request.selection);
    range.start = snapshot.objects.partition_point(|object| *object.encoded.key <= *token.after);
    Ok((snapshot, range))
}

/// Range of the objects in the selected namespace.
fn within(snapshot: &Snapshot, selection: &Selection) -> Range<usize> {
    let Some(namespace) = &selection.namespace else {
        return 0..snapshot.objects.len();
    };
    let prefix = format!("{namespace}/");
    let start = snapshot.objects.partition_point(|object| *object.encoded.key < *prefix);
    let inside = snapshot.objects[start..].partition_point(|object| object.encoded.key.starts_with(&prefix));
    start..start + inside
}

/// The part of a range with `limit` selected objects, and whether more follow.
fn page(snapshot: &Snapshot, range: Range<usize>, selection: &Selection, limit: Option<usize>) -> (Range<usize>, bool) {
    let Some(limit) = limit else {
        return (range, false);
    };
    let selected = range.clone().filter(|index| selection.holds(&snapshot.objects[*index].encoded));
    let end = selected.take(limit).last().map_or(range.start, |last| last + 1);
    if end == range.start {
        return (range, false);
    }
    (range.start..end, end < range.end)
}

/// A continue token: where the next page begins.
struct Token {
    /// `None` for the current version.
    version: Option<u64>,
    /// The key of the last object that was sent.
    after: String,
}

impl Token {
    /// Encoded as by the API server. In a namespaced list the key is relative to the namespace.
    fn encode(&self, selection: &Selection) -> String {
        let namespace = selection.namespace.as_deref().unwrap_or_default();
        let start = self.after.strip_prefix(namespace).unwrap_or(&self.after);
        let version = self.version.map_or(json!(-1), Value::from);
        let token = json!({"v": "meta.k8s.io/v1", "rv": version, "start": format!("{start}\0")});
        URL_SAFE_NO_PAD.encode(token.to_string())
    }

    fn decode(text: &str, selection: &Selection) -> Option<Self> {
        let token: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let start = token.get("start")?.as_str()?.strip_suffix('\0')?;
        let namespace = selection.namespace.as_deref().unwrap_or_default();
        Some(Self { version: token.get("rv")?.as_u64(), after: format!("{namespace}{start}") })
    }
}

/// The body of a list.
struct Items {
    resource: Resource,
    form: Form,
    snapshot: Arc<Snapshot>,
    range: Range<usize>,
    selection: Selection,
    opening: Vec<u8>,
    separate: bool,
    breaks: Option<Fault>,
    stage: Stage,
}

enum Stage {
    Items,
    BrokenOff(Fault),
    Ended,
}

impl Pieces for Items {
    async fn next_piece(&mut self) -> Option<io::Result<Bytes>> {
        match self.stage {
            Stage::BrokenOff(Fault::ListStalls) => std::future::pending().await,
            Stage::BrokenOff(_) => {
                self.stage = Stage::Ended;
                Some(Err(cut().await))
            }
            Stage::Ended => None,
            Stage::Items => Some(Ok(self.items())),
        }
    }
}

impl Items {
    fn items(&mut self) -> Bytes {
        let mut piece = Vec::with_capacity(PIECE_BYTES + PIECE_BYTES / 8);
        piece.append(&mut self.opening);
        while piece.len() < PIECE_BYTES {
            let Some(index) = self.range.next() else {
                piece.extend_from_slice(if self.form == Form::Protobuf { CLOSING } else { b"]}\n" });
                self.stage = Stage::Ended;
                break;
            };
            let object = &self.snapshot.objects[index];
            if !self.selection.holds(&object.encoded) {
                continue;
            }
            if self.separate && self.form == Form::Json {
                piece.push(b',');
            }
            self.separate = true;
            object.write_item(self.form, self.resource, &mut piece);
        }
        if let Some(fault) = self.breaks {
            self.stage = Stage::BrokenOff(fault);
            piece = first_half(self.form, piece);
        }
        Bytes::from(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::{Token, page, within};
    use crate::encoded::Selection;
    use crate::resource::Resource::Pods;
    use crate::store::Store;
    use serde_json::json;

    fn store() -> Store {
        let store = Store::new(100);
        let pods = [("a", "1"), ("a-b", "1"), ("b", "1"), ("b", "2"), ("b", "3"), ("c", "1")];
        for (namespace, name) in pods {
            store.put(Pods, json!({"metadata": {"namespace": namespace, "name": name}}));
        }
        store.put(Pods, json!({"metadata": {"namespace": "b", "name": "2"}, "status": {"phase": "Failed"}}));
        store
    }

    #[test]
    fn a_namespace_is_a_range_of_keys() {
        let snapshot = store().snapshot(Pods);
        let range = |namespace: &str| {
            let namespace = Some(namespace.to_owned());
            within(&snapshot, &Selection { namespace, ..Selection::default() })
        };
        // `a-b/1` sorts before `a/1`, as it does in etcd.
        assert_eq!((range("a"), range("a-b"), range("b"), range("none").len()), (1..2, 0..1, 2..5, 0));
    }

    #[test]
    fn pages_count_what_is_selected() {
        let snapshot = store().snapshot(Pods);
        let all = Selection::default();
        assert_eq!(page(&snapshot, 2..5, &all, Some(2)), (2..4, true));
        assert_eq!(page(&snapshot, 4..5, &all, Some(2)), (4..5, false));
        assert_eq!(page(&snapshot, 2..5, &all, None), (2..5, false));
        let unfinished = Selection { unfinished_only: true, ..all };
        assert_eq!(page(&snapshot, 2..6, &unfinished, Some(2)), (2..5, true));
    }

    #[test]
    fn a_continue_token_is_encoded_as_by_the_api_server() {
        let selection = Selection { namespace: Some("rollout".to_owned()), ..Selection::default() };
        let recorded = "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MTA1Mywic3RhcnQiOiIvYXBpLTViN2I3YmNmOWQtN2JxeHZcdTAwMDAifQ";
        let token = Token::decode(recorded, &selection).unwrap();
        assert_eq!((token.version, token.after.as_str()), (Some(1053), "rollout/api-5b7b7bcf9d-7bqxv"));
        let again = Token::decode(&token.encode(&selection), &selection).unwrap();
        assert_eq!((again.version, again.after), (token.version, token.after));
    }
}
