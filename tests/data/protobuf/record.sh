#!/bin/bash
# Makes the recordings of this folder with an API server; README.md describes its requirements and the recordings.
set -euo pipefail
cd "$(dirname "$0")"
: "${API:?}" "${CA:?}" "${TOKEN:?}" "${KUBECONFIG:?}" "${ETCD:?}"
protobuf='application/vnd.kubernetes.protobuf, application/json'
streaming='watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=2'
selector='fieldSelector=status.phase!%3DSucceeded%2Cstatus.phase!%3DFailed'
core=/api/v1 apps=/apis/apps/v1
shop="kubectl -n shop"
admin=(-H "Authorization: Bearer $TOKEN")

heads=$(mktemp -d)
trap 'rm -r "$heads"' EXIT

# ask FILE ACCEPT PATH [CURL OPTION]...: writes the body to FILE. The headers of request and response are in headers.txt in the end.
ask() {
  local file=$1 accept=$2 path=$3
  shift 3
  curl -sS --http1.1 --cacert "$CA" -A podskew -H "Accept: $accept" -D "$heads/head.$file" -o "$file" "$@" "$API$path"
  printf '%s\n' "# $file" "$path" "Accept: $accept" "$(tr -d '\r' <"$heads/head.$file")" "" >"$heads/$file"
}
# both NAME PATH [CURL OPTION]...: the same request for JSON and for protobuf at the same time, because the version of the cluster,
# which some responses contain, changes every few seconds.
both() {
  local name=$1 path=$2 json
  shift 2
  ask "$name.json" application/json "$path" "$@" &
  json=$!
  ask "$name.pb" "$protobuf" "$path" "$@"
  wait $json
}
path() { case $1 in pods) echo $core/pods ;; *) echo "$apps/$1" ;; esac }
metadata() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["metadata"][sys.argv[2]])' "$1" "$2"; }

rm -f ./*.pb ./*.json headers.txt

# 0. Preparation: web rolled out and rolled back, a terminating pod, one with unusual conditions.
kubectl apply -f workloads.yaml
$shop rollout status deploy/web --timeout 60s
$shop set image deploy/web app=web:v2
$shop rollout status deploy/web --timeout 60s
$shop rollout undo deploy/web
$shop rollout status deploy/web --timeout 60s
$shop delete pod leaving --wait=false
$shop patch pod adopted --subresource=status --type=merge -p '{"status": {
  "conditions": [
    {"type": "example.com/Gate", "status": "Unknown", "lastProbeTime": null, "lastTransitionTime": null, "message": ""},
    {"type": "Ready", "status": "True", "lastTransitionTime": "1969-12-31T23:59:59Z"},
    {"type": "ContainersReady", "status": "True", "lastTransitionTime": "9999-12-31T23:59:59Z"}],
  "containerStatuses": [{"name": "app", "image": "", "imageID": "", "ready": true, "restartCount": 2147483647,
    "containerID": "cri-o://0", "state": {"running": {"startedAt": null}},
    "lastState": {"terminated": {"exitCode": -1, "startedAt": "2026-01-02T03:04:05+02:00", "finishedAt": null}}}]}}'
pod=$($shop get pod -l app=web -o name | head -1)
$shop patch "$pod" --subresource=ephemeralcontainers -p \
  '{"spec": {"ephemeralContainers": [{"name": "debugger", "image": "busybox", "targetContainerName": "app", "stdin": true}]}}'
sleep 8

# 1. Lists without changes: whole, in pages, as a stream.
for resource in pods replicasets deployments; do
  both "$resource-list" "$(path "$resource")" "${admin[@]}"
done
both pods-streaming "$core/pods?$streaming" "${admin[@]}"
both replicasets-page-1 "$apps/replicasets?limit=3" "${admin[@]}"
both replicasets-page-2 "$apps/replicasets?limit=3&continue=$(metadata replicasets-page-1.json continue)" "${admin[@]}"
both pods-none "$core/namespaces/default/pods" "${admin[@]}"
both rollouts-list /apis/argoproj.io/v1alpha1/rollouts "${admin[@]}"
both rollouts-streaming "/apis/argoproj.io/v1alpha1/rollouts?$streaming" "${admin[@]}"

# 2. Watches from one version, in both encodings at the same time, during changes.
version=$(metadata pods-list.json resourceVersion)
for resource in pods replicasets deployments; do
  watch="$(path "$resource")?watch=true&allowWatchBookmarks=true&timeoutSeconds=25&resourceVersion=$version"
  [ $resource = pods ] && watch="$watch&$selector"
  ask "$resource-watch.json" application/json "$watch" "${admin[@]}" &
  ask "$resource-watch.pb" "$protobuf" "$watch" "${admin[@]}" &
done
sleep 1
$shop set image deploy/tiny app=tiny:v2
$shop rollout status deploy/tiny --timeout 60s
$shop set image deploy/idle app=idle:v2
$shop delete deploy/held --wait=false
$shop patch pod adopted --subresource=status -p '{"status": {"phase": "Succeeded"}}'
wait

# 3. Errors.
both 400 "$core/pods?limit=x" "${admin[@]}"
both 401 "$core/pods" -H "Authorization: Bearer nobody"
both 403 "$core/pods?watch=true" "${admin[@]}" -H "Impersonate-User: nobody"
both 403-rollouts /apis/argoproj.io/v1alpha1/rollouts "${admin[@]}" -H "Impersonate-User: nobody"
both 404-object "$core/namespaces/shop/pods/none" "${admin[@]}"
both 404-resource "$apps/rollouts" "${admin[@]}"
both 422 "$core/namespaces/shop/pods" "${admin[@]}" -H "Content-Type: application/json" \
  -d '{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "Not a name"}}'
both 504 "$core/pods?resourceVersion=$((version * 1000))&resourceVersionMatch=NotOlderThan" "${admin[@]}"
ask 404-path.txt "$protobuf" /nowhere "${admin[@]}"
ask 406.pb application/vnd.kubernetes.protobuf /apis/argoproj.io/v1alpha1/rollouts "${admin[@]}"
ask pods-none-alone.pb application/vnd.kubernetes.protobuf "$core/namespaces/default/pods" "${admin[@]}"
ask 406-table.json 'application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io' "$core/pods" "${admin[@]}"
ask pods-metadata.pb 'application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io' \
  "$core/pods?limit=2" "${admin[@]}"

# 4. Expired versions: a list of a version that etcd has compacted, a watch from one that the watch cache has dropped.
curl -sS "$ETCD/v3/kv/compaction" -d "{\"revision\": \"$version\"}" >/dev/null
both 410 "$apps/deployments?resourceVersion=20&resourceVersionMatch=Exact" "${admin[@]}"
both pods-watch-expired "$core/pods?watch=true&resourceVersion=1&timeoutSeconds=1" "${admin[@]}"

rm "$heads"/head.*
cat "$heads"/* >headers.txt
