//! Short requests for interactive use: number and names of objects.
//!
//! Each is a single request. A refusal, an unreadable response and a response that is too long all mean that the answer is unknown.

use super::connect::Connected;
use crate::objects::Resource;
use http::Request;
use http::header::{ACCEPT, ACCEPT_ENCODING};
use http_body_util::{BodyExt as _, Limited};
use kube::client::Body;
use serde::Deserialize;

/// Requests objects without spec and status, if the server supports it (all since 1.11).
const METADATA: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

/// Maximum length of a response: 500 names with their metadata take 1 MiB.
const LONGEST_ANSWER: usize = 8 << 20;

/// Maximum number of names; more do not help to complete a line.
const MOST_NAMES: u32 = 500;

/// Number of objects of a resource in all namespaces; `None` if unknown.
pub async fn count(connected: &Connected, resource: Resource) -> Option<u64> {
    let answer = ask(connected, &path(resource, None), 1).await?;
    // The server counts the remaining items only if a limit truncated the list.
    let rest = answer.metadata.remaining_item_count.unwrap_or_default();
    let is_truncated = !answer.metadata.continue_token.is_empty();
    (rest > 0 || !is_truncated).then(|| rest + answer.items.len() as u64)
}

/// Names of a resource's objects, in one namespace or in all.
pub async fn names(connected: &Connected, resource: Resource, namespace: Option<&str>) -> Vec<String> {
    names_at(connected, &path(resource, namespace)).await
}

/// Names of all namespaces.
pub async fn namespaces(connected: &Connected) -> Vec<String> {
    names_at(connected, "/api/v1/namespaces").await
}

fn path(resource: Resource, namespace: Option<&str>) -> String {
    let namespace = namespace.map(|namespace| format!("/namespaces/{namespace}")).unwrap_or_default();
    format!("{}{namespace}/{}", resource.api_path(), resource.plural())
}

async fn names_at(connected: &Connected, path: &str) -> Vec<String> {
    let answer = ask(connected, path, MOST_NAMES).await;
    answer.into_iter().flat_map(|list| list.items).map(|item| item.metadata.name).collect()
}

async fn ask(connected: &Connected, path: &str, limit: u32) -> Option<List> {
    let request = Request::get(format!("{path}?limit={limit}"))
        .header(ACCEPT, METADATA)
        .header(ACCEPT_ENCODING, "identity")
        .body(Body::empty())
        .ok()?;
    let response = connected.client.send(request).await.ok()?;
    if !response.status().is_success() {
        return None;
    }
    let body = Limited::new(response.into_body(), LONGEST_ANSWER).collect().await.ok()?;
    serde_json::from_slice(&body.to_bytes()).ok()
}

#[derive(Deserialize)]
struct List {
    #[serde(default)]
    metadata: ListMetadata,
    items: Vec<Item>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ListMetadata {
    remaining_item_count: Option<u64>,
    #[serde(rename = "continue")]
    continue_token: String,
}

#[derive(Deserialize)]
struct Item {
    metadata: ItemMetadata,
}

#[derive(Deserialize)]
struct ItemMetadata {
    name: String,
}
