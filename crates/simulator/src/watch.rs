//! Watches: optionally all objects first, then each change as it happens, and bookmarks.

use super::answer::{Body, response};
use super::body::{PIECE_BYTES, Pieces, cut, first_half, streamed};
use super::encoded::Stored;
use super::encoded::{Names, Selection, names};
use super::fault::Fault;
use super::history::Since;
use super::negotiate::Form;
use super::protobuf;
use super::request::{Request, WatchOptions};
use super::server::Cluster;
use super::status::Refusal;
use super::store::Snapshot;
use super::table::{self, Include};
use super::watchers::Watcher;
use crate::resource::Resource;
use bytes::Bytes;
use http::Response;
use serde_json::{Value, json};
use std::future::pending;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch::Receiver;
use tokio::time::{Instant, sleep_until};

/// Length of the prefix of each frame.
const FRAME_LENGTH_BYTES: usize = 4;

/// Maximum number of changes to read from the history at once.
const CHANGES_AT_ONCE: usize = 256;

/// The same limit if each change is written by itself.
const FEW_CHANGES: usize = 4;

/// Answers a watch: with a stream, or with an error at its start.
pub(super) fn answer(
    cluster: &Arc<Cluster>,
    request: &Request,
    options: &WatchOptions,
    mut form: Form,
) -> Result<Response<Body>, Refusal> {
    let stage = begin(cluster, request, options)?;
    if let Stage::Initial { snapshot, .. } = &stage {
        form = cluster.store.form_of(request.resource, form, snapshot.objects.iter().map(|object| &**object));
    }
    let pace = cluster.pace.clone();
    Ok(response(200, form.stream_type(), streamed(Watch::new(cluster, request, options, form, stage), pace)))
}

fn begin(cluster: &Cluster, request: &Request, options: &WatchOptions) -> Result<Stage, Refusal> {
    let (resource, version) = (request.resource, cluster.store.version());
    let strike = |sort: fn(Fault) -> bool| cluster.faults.strike(Some(resource), sort);
    if options.send_initial_events {
        match strike(Fault::refuses_streaming_list) {
            Some(Fault::StreamingListInvalid) => return Err(Refusal::streaming_list_invalid(request)),
            Some(_) => return Ok(Stage::Last(Refusal::streaming_list_unsupported())),
            None => {}
        }
        if let Some(asked) = options.version.filter(|asked| *asked > version) {
            return Err(Refusal::version_too_new(asked, version));
        }
    }
    if let Some(asked) = options.version.filter(|_| !options.send_initial_events) {
        let gone = strike(|fault| fault == Fault::WatchGone).is_some();
        return if gone { Err(Refusal::version_too_old(asked, version)) } else { Ok(Stage::Live) };
    }
    Ok(Stage::Initial {
        snapshot: cluster.store.snapshot(resource),
        next: 0,
        breaks: strike(|fault| fault.breaks_list() || fault.breaks_line()),
    })
}

/// The body of a watch.
struct Watch {
    cluster: Arc<Cluster>,
    resource: Resource,
    selection: Selection,
    form: Form,
    include: Include,
    stage: Stage,
    /// All changes up to this version have been sent. A watch may start from a version that this server has not reached
    /// yet. It then sends nothing until the server reaches it, like a real server.
    seen: u64,
    /// Publishes the progress of this watch.
    watcher: Arc<Watcher>,
    ends_initial_events: bool,
    bookmarks: bool,
    next_bookmark: Instant,
    deadline: Option<Instant>,
    changed: Receiver<()>,
    misbehaves: Receiver<()>,
}

enum Stage {
    /// Sends the objects that existed at the start.
    Initial {
        snapshot: Arc<Snapshot>,
        next: usize,
        breaks: Option<Fault>,
    },
    Live,
    /// Sends an ERROR event, and ends.
    Last(Refusal),
    Silent,
    Cut,
    Ended,
}

impl Watch {
    fn new(cluster: &Arc<Cluster>, request: &Request, options: &WatchOptions, form: Form, stage: Stage) -> Self {
        let now = Instant::now();
        let seen = options.version.unwrap_or(0);
        let from = if let Stage::Initial { snapshot, .. } = &stage { snapshot.version } else { seen };
        Self {
            resource: request.resource,
            selection: request.selection.clone(),
            form,
            include: request.table,
            stage,
            seen,
            watcher: cluster.store.watchers().open(request.resource, from),
            ends_initial_events: options.send_initial_events,
            bookmarks: options.bookmarks,
            next_bookmark: now + cluster.bookmark_interval,
            deadline: options.timeout_seconds.map(|seconds| now + Duration::from_secs(seconds)),
            changed: cluster.store.subscribe(request.resource),
            misbehaves: cluster.faults.subscribe(),
            cluster: cluster.clone(),
        }
    }
}

impl Pieces for Watch {
    async fn next_piece(&mut self) -> Option<io::Result<Bytes>> {
        match std::mem::replace(&mut self.stage, Stage::Ended) {
            Stage::Initial { snapshot, next, breaks } => Some(Ok(self.initial(snapshot, next, breaks))),
            Stage::Live => self.live().await.map(|piece| Ok(Bytes::from(piece))),
            Stage::Last(refusal) => Some(Ok(Bytes::from(refusal.to_event(self.form)))),
            Stage::Silent => pending().await,
            Stage::Cut => Some(Err(cut().await)),
            Stage::Ended => None,
        }
    }
}

impl Watch {
    /// A piece of the initial events. The last piece has the bookmark that ends them.
    fn initial(&mut self, snapshot: Arc<Snapshot>, mut next: usize, mut breaks: Option<Fault>) -> Bytes {
        let mut piece = Vec::with_capacity(PIECE_BYTES + PIECE_BYTES / 8);
        while piece.len() < PIECE_BYTES
            && let Some(object) = snapshot.objects.get(next)
        {
            next += 1;
            if !self.selection.holds(&object.encoded) {
                continue;
            }
            let start = piece.len();
            self.write_event("ADDED", object, object.version, &mut piece);
            if let Some(fault) = breaks.take_if(|fault| fault.breaks_line()) {
                let line = piece.split_off(start);
                piece.extend(self.misbehave(fault, line));
            }
        }
        if let Some(fault) = breaks {
            self.stage = if fault == Fault::ListStalls { Stage::Silent } else { Stage::Cut };
            return Bytes::from(first_half(self.form, piece));
        }
        if next < snapshot.objects.len() {
            self.stage = Stage::Initial { snapshot, next, breaks };
        } else {
            self.seen = snapshot.version;
            self.stage = Stage::Live;
            if self.ends_initial_events {
                piece.extend(bookmark(self.form, self.resource, snapshot.version, true));
            }
        }
        Bytes::from(piece)
    }

    /// The next lines, as soon as there are any; `None` after the timeout.
    async fn live(&mut self) -> Option<Vec<u8>> {
        self.stage = Stage::Live;
        self.watcher.note_initial_events_sent();
        if self.cluster.events_one_by_one {
            // Lets the connection write before waiting for more.
            tokio::task::yield_now().await;
        }
        let at_once = if self.cluster.events_one_by_one { FEW_CHANGES } else { CHANGES_AT_ONCE };
        loop {
            self.watcher.saw(self.seen);
            // Before the check, so that a change during the check wakes this watch again.
            self.changed.mark_unchanged();
            self.misbehaves.mark_unchanged();
            let Since::Changes { changes, version } = self.cluster.store.since(self.resource, self.seen, at_once)
            else {
                return Some(self.expire());
            };
            let mut piece = Vec::new();
            for change in &changes {
                if let Some((event, object)) = change.as_seen_by(&self.selection) {
                    if self.cluster.store.form_of(self.resource, self.form, std::iter::once(object)) != self.form {
                        // The rest has to be sent in JSON, and the client has to ask again.
                        self.stage = Stage::Ended;
                        return (!piece.is_empty()).then_some(piece);
                    }
                    let start = piece.len();
                    self.write_event(event, object, change.version, &mut piece);
                    if let Some(fault) = self.struck() {
                        let line = piece.split_off(start);
                        self.seen = change.version;
                        piece.extend(self.misbehave(fault, line));
                        return Some(piece);
                    }
                }
                self.seen = change.version;
                if piece.len() >= PIECE_BYTES || (self.cluster.events_one_by_one && !piece.is_empty()) {
                    return Some(piece);
                }
            }
            if !piece.is_empty() {
                return Some(piece);
            }
            self.seen = self.seen.max(version);
            if changes.len() == at_once {
                continue;
            }
            if let Some(fault) = self.struck() {
                return Some(self.misbehave(fault, self.some_line()));
            }
            // A watch that starts from a future version receives nothing.
            let bookmarks = self.bookmarks && self.seen <= version;
            tokio::select! {
                _ = self.changed.changed() => {}
                _ = self.misbehaves.changed() => {}
                () = sleep_until(self.next_bookmark), if bookmarks => return Some(self.bookmark(version)),
                () = until(self.deadline) => {
                    self.stage = Stage::Ended;
                    return bookmarks.then(|| bookmark(self.form, self.resource, version, false));
                }
            }
        }
    }

    fn bookmark(&mut self, version: u64) -> Vec<u8> {
        self.next_bookmark = Instant::now() + self.cluster.bookmark_interval;
        bookmark(self.form, self.resource, version, false)
    }

    fn expire(&mut self) -> Vec<u8> {
        self.stage = Stage::Ended;
        Refusal::version_too_old(self.seen, self.cluster.store.version()).to_event(self.form)
    }

    fn struck(&self) -> Option<Fault> {
        self.cluster.faults.strike(Some(self.resource), Fault::breaks_watch)
    }

    /// What a fault sends instead of a line.
    fn misbehave(&mut self, fault: Fault, line: Vec<u8>) -> Vec<u8> {
        match fault {
            Fault::WatchExpires => self.expire(),
            Fault::WatchCut => {
                self.stage = Stage::Cut;
                first_half(self.form, line)
            }
            Fault::WatchGarbage => self.as_line(b"{\"type\":\"MODIFIED\",\"object\":<html>502 Bad Gateway</html>"),
            Fault::WatchTruncatedLine if self.form != Form::Protobuf => self.as_line(&first_half(self.form, line)),
            Fault::WatchTruncatedLine => self.as_line(&line[FRAME_LENGTH_BYTES.min(line.len())..line.len() / 2]),
            _ => {
                self.stage = Stage::Silent;
                Vec::new()
            }
        }
    }

    fn write_event(&self, event_type: &str, object: &Stored, version: u64, out: &mut Vec<u8>) {
        if self.form != Form::Table {
            object.write_event(self.form, event_type, self.resource, version, out);
            return;
        }
        let mut whole: Value = serde_json::from_slice(&object.to_json(self.resource)).unwrap_or_default();
        whole["metadata"]["resourceVersion"] = version.to_string().into();
        let table = table::of(self.resource, &[whole], self.include, &Value::Null);
        out.extend_from_slice(format!("{}\n", json!({"type": event_type, "object": table})).as_bytes());
    }

    /// Content that is not an event, sent as a line.
    fn as_line(&self, content: &[u8]) -> Vec<u8> {
        match self.form {
            Form::Json | Form::Table => [content, b"\n"].concat(),
            Form::Protobuf => {
                let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
                [&length.to_be_bytes()[..], content].concat()
            }
        }
    }

    /// A line for a fault to break, if no change has made one.
    fn some_line(&self) -> Vec<u8> {
        let mut line = Vec::new();
        match self.cluster.store.any(self.resource, &self.selection) {
            Some(object) => self.write_event("MODIFIED", &object, object.version, &mut line),
            None => line = bookmark(self.form, self.resource, self.seen, false),
        }
        line
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}

/// A bookmark: an object of the watched kind with only a version; required fields are zero.
fn bookmark(form: Form, resource: Resource, version: u64, ends_initial_events: bool) -> Vec<u8> {
    let names = names(resource);
    let mut object = match resource {
        Resource::Pods => json!({"spec": {"containers": null}, "status": {}}),
        Resource::ReplicaSets => json!({"spec": zero_spec(&json!({"replicas": 0})), "status": {"replicas": 0}}),
        Resource::Deployments => json!({"spec": zero_spec(&json!({"replicas": 0, "strategy": {}})), "status": {}}),
        Resource::StatefulSets => json!({
            "spec": zero_spec(&json!({"replicas": 0, "serviceName": "", "updateStrategy": {}})),
            "status": {"replicas": 0, "availableReplicas": 0},
        }),
        Resource::DaemonSets => json!({
            "spec": zero_spec(&json!({"updateStrategy": {}})),
            "status": {
                "currentNumberScheduled": 0, "numberMisscheduled": 0, "desiredNumberScheduled": 0, "numberReady": 0
            },
        }),
        Resource::ControllerRevisions => json!({"data": null, "revision": 0}),
        _ => json!({}),
    };
    object["kind"] = names.kind.into();
    object["apiVersion"] = names.api_version.into();
    object["metadata"] = json!({"resourceVersion": version.to_string()});
    if resource == Resource::DaemonSets {
        object["metadata"]["annotations"]["deprecated.daemonset.template.generation"] = "0".into();
    }
    if ends_initial_events {
        object["metadata"]["annotations"]["k8s.io/initial-events-end"] = "true".into();
    }
    event("BOOKMARK", form, &names, &object)
}

/// An event of a watch for an object that is not in the store.
pub(super) fn event(event_type: &str, form: Form, names: &Names, object: &Value) -> Vec<u8> {
    // Bookmarks and errors are built here, and can always be encoded.
    let encoded = (form == Form::Protobuf).then(|| protobuf::message(names.kind, object).unwrap_or_default());
    match encoded {
        None => format!("{}\n", json!({"type": event_type, "object": object})).into_bytes(),
        Some(content) => {
            let mut out = Vec::new();
            protobuf::frame(event_type, names, content.len(), &mut out, |out| out.extend_from_slice(&content));
            out
        }
    }
}

fn zero_spec(own: &Value) -> Value {
    let mut spec = own.clone();
    spec["selector"] = Value::Null;
    spec["template"] = json!({"metadata": {}, "spec": {"containers": null}});
    spec
}
