#!/bin/sh
# Records responses of Debian's docker-registry for images that umoci builds and skopeo converts: tests/data/registry/recorded.json.
#
#   apt-get install docker-registry skopeo umoci curl jq
#   tests/programs/registry/record.sh | jq . > tests/data/registry/recorded.json
#
# Dates are fixed, so a second run gives the same digests.
set -eu

folder=$(mktemp -d)
port=${PORT:-5057}
repository=shop/web
cat > "$folder/config.yml" <<EOF
version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: $folder/storage}, delete: {enabled: true}}
http: {addr: 127.0.0.1:$port}
EOF
docker-registry serve "$folder/config.yml" >&2 &
registry=$!
trap 'kill $registry; rm -rf "$folder"' EXIT
until curl -sf "http://127.0.0.1:$port/v2/" > /dev/null; do sleep 0.2; done

base=http://127.0.0.1:$port/v2/$repository
image=$folder/image
push() { # TAG-IN-LAYOUT TAG [skopeo's options]
  from=$1 to=$2
  shift 2
  skopeo copy -q --dest-tls-verify=false "$@" "oci:$image:$from" "docker://127.0.0.1:$port/$repository:$to" >&2
}
label() { # TAG REVISION CREATED
  umoci config --image "$image:$1" --config.label "org.opencontainers.image.revision=$2" \
    --config.label org.opencontainers.image.source=https://github.com/podskew/example-shop \
    --config.label org.opencontainers.image.version=1.2.3 --created "$3" --no-history
}
layer() { # TAG TEXT
  mkdir -p "$folder/rootfs" && printf '%s' "$2" > "$folder/rootfs/app" && touch -d 2026-11-01T00:00:00Z "$folder/rootfs/app"
  umoci insert --image "$image:$1" --no-history "$folder/rootfs/app" /app
}

umoci init --layout "$image" && umoci new --image "$image:old"
umoci config --image "$image:old" --config.cmd /app --config.env PATH=/bin --config.user 1000 --config.workingdir / \
  --os linux --architecture amd64 --no-history
layer old 'the shop, as it was'
for tag in again arm; do umoci tag --image "$image:old" $tag; done
label old 9ab04d1c62d1ae2f37b0a9e1a5f1c7f0d3e4b5a6 2026-11-01T09:12:44Z
# The same content, built from another commit.
label again 3f2c1a9e8d7b6a5c4f3e2d1c0b9a8f7e6d5c4b3a 2026-11-02T16:40:03Z
umoci config --image "$image:arm" --architecture arm64 --no-history
label arm 9ab04d1c62d1ae2f37b0a9e1a5f1c7f0d3e4b5a6 2026-11-01T09:14:02Z
# Other content.
umoci tag --image "$image:old" new
layer new 'the shop, with a new checkout'
label new 3f2c1a9e8d7b6a5c4f3e2d1c0b9a8f7e6d5c4b3a 2026-11-02T16:40:03Z

for tag in old again arm new; do push $tag $tag; done
# The same image in Docker's format.
push old docker --format v2s2
upload() { # FILE
  place=$(curl -sfi -X POST "$base/blobs/uploads/" | tr -d '\r' | sed -n 's/^[Ll]ocation: //p')
  case $place in *\?*) and='&' ;; *) and='?' ;; esac
  curl -sf -X PUT -H 'Content-Type: application/octet-stream' --data-binary "@$1" \
    "$place${and}digest=sha256:$(sha256sum < "$1" | cut -d' ' -f1)" > /dev/null
}
# The same layers without compression.
skopeo copy -q --dest-decompress "oci:$image:old" "dir:$folder/dir" >&2
skopeo copy -q --dest-oci-accept-uncompressed-layers "dir:$folder/dir" "oci:$folder/plain:old" >&2
for file in "$folder"/plain/blobs/sha256/*; do upload "$file"; done
plain=$(jq -r '.manifests[0].digest' "$folder/plain/index.json")
curl -sf -X PUT -H 'Content-Type: application/vnd.oci.image.manifest.v1+json' \
  --data-binary "@$folder/plain/blobs/sha256/${plain#sha256:}" "$base/manifests/plain" > /dev/null

accept='application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json'
digest() { curl -sfI -H "Accept: $accept" "$base/manifests/$1" | tr -d '\r' | sed -n 's/^[Dd]ocker-[Cc]ontent-[Dd]igest: //p'; }
size() { curl -sf -H "Accept: $accept" "$base/manifests/$1" | wc -c; }
oci=application/vnd.oci.image.manifest.v1+json
child() { # TAG ARCHITECTURE
  printf '{"mediaType":"%s","digest":"%s","size":%s,"platform":{"architecture":"%s","os":"linux"}}' "$oci" "$(digest "$1")" "$(size "$1")" "$2"
}
# BuildKit's attestation of the image for amd64: an in-toto statement in a manifest of its own.
attestation() { # TEXT
  statement=$(printf '{"_type":"https://in-toto.io/Statement/v0.1","predicateType":"https://slsa.dev/provenance/v0.2","subject":[],"predicate":{"buildType":"https://mobyproject.org/buildkit@v1","metadata":{"buildInvocationID":"%s"}}}' "$1")
  printf '%s' "$statement" > "$folder/statement" && upload "$folder/statement"
  printf '{}' > "$folder/empty" && upload "$folder/empty"
  layer=sha256:$(printf '%s' "$statement" | sha256sum | cut -d' ' -f1)
  config=sha256:$(printf '{}' | sha256sum | cut -d' ' -f1)
  body=$(printf '{"schemaVersion":2,"mediaType":"%s","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"%s","size":2},"layers":[{"mediaType":"application/vnd.in-toto+json","digest":"%s","size":%s,"annotations":{"in-toto.io/predicate-type":"https://slsa.dev/provenance/v0.2"}}]}' "$oci" "$config" "$layer" "$(printf '%s' "$statement" | wc -c)")
  hash=sha256:$(printf '%s' "$body" | sha256sum | cut -d' ' -f1)
  curl -sf -X PUT -H "Content-Type: $oci" --data-binary "$body" "$base/manifests/$hash" > /dev/null
  printf '{"mediaType":"%s","digest":"%s","size":%s,"annotations":{"vnd.docker.reference.digest":"%s","vnd.docker.reference.type":"attestation-manifest"},"platform":{"architecture":"unknown","os":"unknown"}}' "$oci" "$hash" "$(printf '%s' "$body" | wc -c)" "$(digest old)"
}
index() { # TAG CHILDREN
  body=$(printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[%s]}' "$2")
  curl -sf -X PUT -H 'Content-Type: application/vnd.oci.image.index.v1+json' --data-binary "$body" "$base/manifests/$1" > /dev/null
}
index index "$(child old amd64),$(child arm arm64),$(attestation first)"
# The same build again: only its provenance differs.
index index-again "$(child old amd64),$(child arm arm64),$(attestation second)"
# Another build for amd64 only.
index index-new "$(child new amd64),$(child arm arm64)"

printf '{"docker_registry":"%s","skopeo":"%s","umoci":"%s","repository":"%s","manifests":{' \
  "$(docker-registry --version | awk '{print $3}')" "$(skopeo --version | awk '{print $3}')" "$(umoci --version | awk 'NR==1{print $3}')" "$repository"
comma=
configs=
for tag in old again arm new plain docker index index-again index-new; do
  body=$(curl -sf -D "$folder/headers" -H "Accept: $accept" "$base/manifests/$tag"; printf x)
  body=${body%x}
  type=$(tr -d '\r' < "$folder/headers" | sed -n 's/^[Cc]ontent-[Tt]ype: //p')
  printf '%s"%s":{"digest":"%s","content_type":"%s","body":%s}' "$comma" "$tag" "$(digest "$tag")" "$type" "$(printf '%s' "$body" | jq -Rs .)"
  configs="$configs $(printf '%s' "$body" | jq -r '.config.digest // empty')"
  comma=,
done
printf '},"configs":{'
comma=
for config in $(printf '%s\n' $configs | sort -u); do
  printf '%s"%s":%s' "$comma" "$config" "$(curl -sfL "$base/blobs/$config" | jq -Rs .)"
  comma=,
done
printf '}}\n'
