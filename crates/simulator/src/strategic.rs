//! Strategic merge patches, as sent by kubectl: lists of objects are merged by the merge key of their items.

use serde_json::{Map, Value};

/// Applies a strategic merge patch.
pub(crate) fn merge(object: &mut Value, patch: &Value) -> Result<(), String> {
    let Some(patch) = patch.as_object() else {
        *object = patch.clone();
        return Ok(());
    };
    match patch.get("$patch").and_then(Value::as_str) {
        Some("replace") => {
            *object = Value::Object(without_directives(patch));
            return Ok(());
        }
        Some("delete") => {
            *object = Value::Object(Map::new());
            return Ok(());
        }
        Some("merge") | None => {}
        Some(other) => return Err(format!("unknown patch type {other:?}")),
    }
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    let Some(fields) = object.as_object_mut() else {
        return Ok(());
    };
    for (field, value) in patch.iter().filter(|(field, _)| !field.starts_with('$')) {
        match value {
            Value::Null => _ = fields.remove(field),
            Value::Array(items) => {
                let list = fields.entry(field.clone()).or_insert_with(|| Value::Array(Vec::new()));
                merge_list(list, field, items)?;
            }
            Value::Object(_) => merge(fields.entry(field.clone()).or_insert(Value::Null), value)?,
            other => _ = fields.insert(field.clone(), other.clone()),
        }
    }
    for (directive, value) in patch.iter().filter(|(field, _)| field.starts_with('$')) {
        follow(fields, directive, value)?;
    }
    Ok(())
}

/// Applies a directive beside the fields: `$retainKeys`, `$setElementOrder/…`, `$deleteFromPrimitiveList/…`.
fn follow(fields: &mut Map<String, Value>, directive: &str, value: &Value) -> Result<(), String> {
    let items = || value.as_array().ok_or_else(|| format!("{directive} is not a list"));
    match directive.split_once('/') {
        None if directive == "$patch" => {}
        None if directive == "$retainKeys" => {
            let kept = items()?;
            fields.retain(|field, _| kept.iter().any(|name| name == field));
        }
        Some(("$setElementOrder", field)) => {
            if let Some(Value::Array(list)) = fields.get_mut(field) {
                order(list, field, items()?);
            }
        }
        Some(("$deleteFromPrimitiveList", field)) => {
            let gone = items()?;
            if let Some(Value::Array(list)) = fields.get_mut(field) {
                list.retain(|item| !gone.contains(item));
            }
        }
        _ => return Err(format!("unknown directive {directive}")),
    }
    Ok(())
}

fn merge_list(list: &mut Value, field: &str, items: &[Value]) -> Result<(), String> {
    let replaces = items.iter().any(|item| item.as_object().is_some_and(is_bare_replace));
    let Some(keys) = merge_keys(field).filter(|_| !replaces) else {
        let kept = items.iter().filter(|item| !item.as_object().is_some_and(is_bare_replace));
        *list = kept.cloned().collect();
        return Ok(());
    };
    let Some(list) = list.as_array_mut() else {
        *list = Value::Array(items.to_vec());
        return Ok(());
    };
    if keys.is_empty() {
        for item in items.iter().filter(|item| !list.contains(item)).cloned().collect::<Vec<_>>() {
            list.push(item);
        }
        return Ok(());
    }
    for item in items {
        let key = keys
            .iter()
            .find(|key| item.get(**key).is_some())
            .ok_or_else(|| format!("map: {item} does not contain declared merge key: {}", keys[0]))?;
        let known = list.iter().position(|known| known.get(*key) == item.get(*key));
        let deletes = item["$patch"] == "delete";
        match known {
            Some(at) if deletes => _ = list.remove(at),
            Some(at) => merge(&mut list[at], item)?,
            None if deletes => {}
            None => {
                let mut fresh = Value::Null;
                merge(&mut fresh, item)?;
                list.push(fresh);
            }
        }
    }
    Ok(())
}

/// Whether it is `{"$patch": "replace"}`: the rest of the list replaces the current items.
fn is_bare_replace(item: &Map<String, Value>) -> bool {
    item.len() == 1 && item.get("$patch").is_some_and(|patch| patch == "replace")
}

/// Sorts the listed items into this order. The other items keep their positions.
fn order(list: &mut [Value], field: &str, order: &[Value]) {
    let keys = merge_keys(field).unwrap_or_default();
    let rank = |item: &Value| {
        let same = |known: &&Value| match keys.iter().find(|key| item.get(**key).is_some()) {
            Some(key) => known.get(*key) == item.get(*key),
            None => **known == *item,
        };
        order.iter().position(|known| same(&known))
    };
    let places: Vec<usize> = (0..list.len()).filter(|at| rank(&list[*at]).is_some()).collect();
    let mut ordered: Vec<Value> = places.iter().map(|at| list[*at].clone()).collect();
    ordered.sort_by_key(|item| rank(item));
    for (place, item) in places.into_iter().zip(ordered) {
        list[place] = item;
    }
}

/// The merge keys of a list; the first one that an item has is used. An empty slice for a list of plain values that is
/// merged; `None` for a list that a patch replaces.
fn merge_keys(field: &str) -> Option<&'static [&'static str]> {
    Some(match field {
        "containers"
        | "initContainers"
        | "ephemeralContainers"
        | "volumes"
        | "env"
        | "imagePullSecrets"
        | "resourceClaims" => &["name"],
        "ports" => &["containerPort", "port"],
        "volumeMounts" => &["mountPath"],
        "volumeDevices" => &["devicePath"],
        "conditions" => &["type"],
        "ownerReferences" => &["uid"],
        "hostAliases" => &["ip"],
        "topologySpreadConstraints" => &["topologyKey"],
        "finalizers" => &[],
        _ => return None,
    })
}

fn without_directives(fields: &Map<String, Value>) -> Map<String, Value> {
    fields
        .iter()
        .filter(|(field, _)| !field.starts_with('$'))
        .map(|(field, value)| (field.clone(), value.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::merge;
    use serde_json::{Value, json};

    fn merged(mut object: Value, patch: &Value) -> Value {
        merge(&mut object, patch).unwrap();
        object
    }

    #[test]
    fn containers_are_merged_by_name() {
        let object = json!({"spec": {"containers": [{"name": "web", "image": "a", "args": ["x"]}, {"name": "proxy"}]}});
        // What `kubectl set image` sends.
        let patch = json!({"spec": {
            "$setElementOrder/containers": [{"name": "web"}, {"name": "proxy"}],
            "containers": [{"name": "web", "image": "b"}],
        }});
        let containers = json!([{"name": "web", "image": "b", "args": ["x"]}, {"name": "proxy"}]);
        assert_eq!(merged(object.clone(), &patch)["spec"]["containers"], containers);
        let patch = json!({"spec": {"containers": [{"name": "proxy", "$patch": "delete"}, {"name": "log"}]}});
        let containers = json!([{"name": "web", "image": "a", "args": ["x"]}, {"name": "log"}]);
        assert_eq!(merged(object.clone(), &patch)["spec"]["containers"], containers);
        let patch = json!({"spec": {"$setElementOrder/containers": [{"name": "proxy"}, {"name": "web"}]}});
        assert_eq!(merged(object.clone(), &patch)["spec"]["containers"][0]["name"], "proxy");
        let nameless = merge(&mut object.clone(), &json!({"spec": {"containers": [{"image": "b"}]}}));
        assert!(nameless.unwrap_err().contains("merge key: name"));
    }

    #[test]
    fn a_revision_replaces_the_template() {
        let object =
            json!({"spec": {"template": {"metadata": {"labels": {"a": "1"}}, "spec": {"x": 1}}, "replicas": 2}});
        let patch = json!({"spec": {"template": {"$patch": "replace", "spec": {"y": 2}}}});
        assert_eq!(merged(object, &patch), json!({"spec": {"template": {"spec": {"y": 2}}, "replicas": 2}}));
    }

    #[test]
    fn null_removes_and_plain_lists_are_replaced() {
        let object =
            json!({"spec": {"paused": true, "args": [1, 2], "finalizers": ["a", "b"]}, "type": {"a": 1, "b": 2}});
        let patch = json!({
            "spec": {"paused": null, "args": [3], "$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["c"]},
            "type": {"$retainKeys": ["b"]},
        });
        let expected = json!({"spec": {"args": [3], "finalizers": ["b", "c"]}, "type": {"b": 2}});
        assert_eq!(merged(object, &patch), expected);
    }
}
