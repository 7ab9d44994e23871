#!/bin/bash
# Records how containerd reports images that it pulls through a mirror: tests/data/recordings/nodes/containerd-mirror.json. Two
# containerds are two nodes, and run each image in a container, so the recording has the data from which a kubelet makes an `imageID`.
#
#   apt-get install containerd gcc libc6-dev skopeo umoci curl jq; make target/tools/engines/registry target/tools/engines/crictl
#   unshare --mount tests/programs/registry/record-mirror.sh | jq . > tests/data/recordings/nodes/containerd-mirror.json
#
# It needs root to run containers.
set -euo pipefail

tools=$(cd "$(dirname "$0")/../../.." && pwd)/target/tools/engines
folder=$(mktemp -d)
mirror=${MIRROR:-5971} registry=${REGISTRY:-5972}
name=registry.example/shop/web
index=application/vnd.oci.image.index.v1+json
oci=application/vnd.oci.image.manifest.v1+json
accept="$index, application/vnd.docker.distribution.manifest.list.v2+json, $oci, application/vnd.docker.distribution.manifest.v2+json"
mount -t tmpfs tmpfs "$folder"

cleanup() {
  set +e
  for node in a b; do
    for container in $(ctr -a "$folder/$node/sock" -n k8s.io tasks list -q 2> /dev/null); do
      ctr -a "$folder/$node/sock" -n k8s.io tasks kill -s KILL "$container" > /dev/null 2>&1
    done
  done
  sleep 1
  kill $(jobs -p) 2> /dev/null
  wait
  umount -l "$folder"; rmdir "$folder"
} >&2
trap cleanup EXIT

for place in mirror registry; do
  cat > "$folder/$place.yml" << EOF
version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: $folder/$place}, delete: {enabled: true}}
http: {addr: 127.0.0.1:${!place}}
EOF
  OTEL_TRACES_EXPORTER=none "$tools/registry" serve "$folder/$place.yml" > "$folder/$place.log" 2>&1 &
  until curl -sf "http://127.0.0.1:${!place}/v2/" > /dev/null; do sleep 0.2; done
done

mkdir -p "$folder/certs/registry.example"
cat > "$folder/certs/registry.example/hosts.toml" << EOF
server = "http://127.0.0.1:$registry"

[host."http://127.0.0.1:$mirror"]
  capabilities = ["pull", "resolve"]
EOF
for node in a b; do
  mkdir -p "$folder/$node"
  cat > "$folder/$node/config.toml" << EOF
version = 2
root = "$folder/$node/root"
state = "$folder/$node/state"
[grpc]
  address = "$folder/$node/sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "registry.example/pause:1"
  restrict_oom_score_adj = true
  disable_apparmor = true
  disable_tcp_service = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "native"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "$folder/certs"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "$folder/cni"
    conf_dir = "$folder/cni.d"
EOF
  containerd -c "$folder/$node/config.toml" > "$folder/$node/log" 2>&1 &
done

layout=$folder/image
mkdir "$folder/rootfs"
printf '#include <unistd.h>\nint main(void) { for (;;) pause(); }\n' | cc -static -s -x c - -o "$folder/rootfs/app"
image() { # TAG REVISION CREATED [TEXT]
  printf '%s' "${4:-}" > "$folder/rootfs/text"
  touch -d 2026-11-01T00:00:00Z "$folder"/rootfs/*
  umoci new --image "$layout:$1"
  umoci insert --image "$layout:$1" --no-history "$folder/rootfs/app" /app
  if [ -n "${4:-}" ]; then umoci insert --image "$layout:$1" --no-history "$folder/rootfs/text" /text; fi
  umoci config --image "$layout:$1" --config.cmd /app --config.label "org.opencontainers.image.revision=$2" \
    --created "$3" --os linux --architecture amd64 --no-history
}
push() { skopeo copy -q --dest-tls-verify=false "oci:$layout:$1" "docker://127.0.0.1:$2" >&2; }
umoci init --layout "$layout"
image pause 0000000 2026-10-01T00:00:00Z pause
image old 9ab04d1 2026-11-01T09:12:44Z
image new 3f2c1a9 2026-11-02T16:40:03Z new
push pause "$mirror/pause:1"
push old "$mirror/shop/web:old" && push new "$mirror/shop/web:new" && push old "$registry/shop/web:2"

base=http://127.0.0.1:$mirror/v2/shop/web
digest() { curl -sfI -H "Accept: $accept" "$base/manifests/$1" | tr -d '\r' | sed -n 's/^[Dd]ocker-[Cc]ontent-[Dd]igest: //p'; }
upload() { # FILE: its digest
  place=$(curl -sfi -X POST "$base/blobs/uploads/" | tr -d '\r' | sed -n 's/^[Ll]ocation: //p')
  case $place in *\?*) and='&' ;; *) and='?' ;; esac
  hash=sha256:$(sha256sum < "$1" | cut -d' ' -f1)
  curl -sf -X PUT -H 'Content-Type: application/octet-stream' --data-binary "@$1" "$place${and}digest=$hash" > /dev/null
  printf '%s' "$hash"
}
put() { # REFERENCE TYPE FILE
  curl -sf -X PUT -H "Content-Type: $2" --data-binary "@$3" "$base/manifests/$1" > /dev/null
}
# An index of one image, and BuildKit's attestation of it, which is never pulled.
put_index() { # TAG IMAGE PROVENANCE
  printf '{"_type":"https://in-toto.io/Statement/v0.1","predicate":{"buildInvocationID":"%s"}}' "$3" > "$folder/statement"
  printf '{}' > "$folder/empty"
  jq -cjn --arg config "$(upload "$folder/empty")" --arg layer "$(upload "$folder/statement")" \
    --argjson size "$(wc -c < "$folder/statement")" --arg type "$oci" '{schemaVersion: 2, mediaType: $type,
      config: {mediaType: "application/vnd.oci.image.config.v1+json", digest: $config, size: 2},
      layers: [{mediaType: "application/vnd.in-toto+json", digest: $layer, size: $size}]}' > "$folder/attestation"
  attestation=sha256:$(sha256sum < "$folder/attestation" | cut -d' ' -f1)
  put "$attestation" "$oci" "$folder/attestation"
  jq -cjn --arg digest "$(digest "$2")" --argjson size "$(curl -sf -H "Accept: $accept" "$base/manifests/$2" | wc -c)" \
    --arg attestation "$attestation" --argjson length "$(wc -c < "$folder/attestation")" --arg type "$index" --arg oci "$oci" '
    {schemaVersion: 2, mediaType: $type, manifests: [
      {mediaType: $oci, digest: $digest, size: $size, platform: {architecture: "amd64", os: "linux"}},
      {mediaType: $oci, digest: $attestation, size: $length, platform: {architecture: "unknown", os: "unknown"},
       annotations: {"vnd.docker.reference.digest": $digest, "vnd.docker.reference.type": "attestation-manifest"}}]}' > "$folder/index"
  put "$1" "$index" "$folder/index"
}

cri() { node=$1; shift; "$tools/crictl" -r "unix://$folder/$node/sock" -i "unix://$folder/$node/sock" -t 120s "$@" 2>> "$folder/crictl.log"; }
for node in a b; do until cri $node version > /dev/null; do sleep 0.3; done; done
number=0
run() { # NODE IMAGE: runs it in a pod, as a kubelet does, without pulling
  number=$((number + 1))
  printf '{"metadata":{"name":"pod-%s","namespace":"shop","uid":"u%s","attempt":0},"linux":{"security_context":{"namespace_options":{"network":2}}}}' \
    $number $number > "$folder/pod.json"
  printf '{"metadata":{"name":"web"},"image":{"image":"%s"},"linux":{"security_context":{}}}' "$2" > "$folder/container.json"
  pod=$(cri "$1" runp "$folder/pod.json")
  container=$(cri "$1" create "$pod" "$folder/container.json" "$folder/pod.json")
  cri "$1" start "$container" > /dev/null
  printf '%s %s %s %s\n' "pod-$number" "$1" "$container" "$2" >> "$folder/running"
}
comma=
step() { # WHAT
  printf '%s{"what":"%s","nodes":{' "$comma" "$1"
  for node in a b; do
    [ $node = a ] || printf ','
    printf '"%s":%s' $node "$(cri $node images -o json | jq -c '[.images[] | select(.repoTags + .repoDigests | any(startswith("registry.example/pause")) | not) | {id, repoTags, repoDigests}]')"
  done
  printf '},"containers":['
  first=yes
  while read -r pod node container image; do
    [ $first = yes ] || printf ','
    first=no
    cri "$node" inspect "$container" | jq -c --arg pod "$pod" --arg node "$node" --arg spec "$image" \
      '{pod: $pod, node: $node, spec: $spec, image: .status.image.image, imageRef: .status.imageRef, state: .status.state}'
  done < "$folder/running"
  printf ']}'
  comma=,
}

printf '{"of":"containerd %s, crictl 1.34.0, distribution 3.1.2","steps":[' "$(containerd --version | awk '{print $3}')"
put_index 1 old first
cri a pull $name:1 > /dev/null && run a $name:1
one=$(digest 1)
step "web:1 is index one; node a pulls it by the mirror"
put_index 1 old second
cri b pull $name:1 > /dev/null && run b $name:1
two=$(digest 1)
step "web:1 moved to index two, the same image with another provenance; node b pulls it"
put_index 1 new first
three=$(digest 1)
cri b pull $name:1 > /dev/null && run b $name:1 && run a $name:1
step "web:1 moved to index three, another image; node b pulls it, node a does not, and both start a container"
skopeo copy -q "oci:$layout:new" "docker-archive:$folder/archive.tar:$name:1" >&2
ctr -a "$folder/a/sock" -n k8s.io images import "$folder/archive.tar" >&2
run a $name:1
step "node a imports the image of index three from an archive, by the same name, and runs it"
cri a pull $name:2 > /dev/null && run a $name:2
step "the mirror does not have web:2, and the registry does; node a pulls it"
printf '],"digests":{"index one":"%s","index two":"%s","index three":"%s","manifest old":"%s","manifest new":"%s"},"manifests":{' "$one" "$two" "$three" "$(digest old)" "$(digest new)"
comma=
for tag in "$one" "$two" "$three" old new; do
  curl -sf -D "$folder/headers" -H "Accept: $accept" "$base/manifests/$tag" > "$folder/body"
  type=$(tr -d '\r' < "$folder/headers" | sed -n 's/^[Cc]ontent-[Tt]ype: //p')
  printf '%s"%s":{"content_type":"%s","body":%s}' "$comma" "$(digest "$tag")" "$type" "$(jq -Rs . < "$folder/body")"
  comma=,
done
printf '},"configs":{'
comma=
for tag in old new; do
  config=$(curl -sf -H "Accept: $accept" "$base/manifests/$tag" | jq -r .config.digest)
  printf '%s"%s":%s' "$comma" "$config" "$(curl -sfL "$base/blobs/$config" | jq -Rs .)"
  comma=,
done
printf '}}\n'
