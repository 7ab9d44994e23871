#!/bin/bash
# Records responses of registries, byte for byte with their headers, and the output of Amazon's credential helper:
# tests/data/registry/answers.json.
#
#   apt-get install docker-registry apache2-utils curl jq python3
#   make target/tools/engines/registry target/tools/engines/crane target/tools/engines/docker-credential-ecr-login
#   tests/programs/registry/record-answers.sh | jq . > tests/data/registry/answers.json
set -euo pipefail

tools=$(cd "$(dirname "$0")/../../.." && pwd)/target/tools/engines
folder=$(mktemp -d)
port=${PORT:-5981}
trap 'kill $(jobs -p) 2> /dev/null; wait; rm -rf "$folder"' EXIT
accept='application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json'
host=127.0.0.1:$port
export DOCKER_CONFIG=$folder
crane() { "$tools/crane" "$@" --insecure > "$folder/said" 2>&1 || { cat "$folder/said" >&2; return 1; }; }

htpasswd -Bbn user s3cr3t > "$folder/htpasswd"
configuration() { # FOLDER AUTH
  printf 'version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s}, delete: {enabled: true}}\nhttp: {addr: %s}\n' "$1" "$host"
  if [ "$2" = yes ]; then printf 'auth: {htpasswd: {realm: registry, path: %s}}\n' "$folder/htpasswd"; fi
}
start() { # NAME AUTH
  configuration "$folder/$1" "$2" > "$folder/config.yml"
  case $1 in
    docker-registry) exec docker-registry serve "$folder/config.yml" ;;
    distribution) OTEL_TRACES_EXPORTER=none exec "$tools/registry" serve "$folder/config.yml" ;;
    crane) mkdir -p "$folder/crane"; exec "$tools/crane" registry serve --address "$host" --disk "$folder/crane" ;;
  esac > "$folder/log" 2>&1 &
  server=$!
  until curl -s "http://$host/v2/" > /dev/null; do sleep 0.2; done
}
stop() { kill "$server"; wait "$server" 2> /dev/null || true; }
text() { printf '%s' "$2" > "$folder/app"; tar --sort=name --mtime=2026-11-01T00:00:00Z --owner=0 --group=0 -C "$folder" -cf "$folder/$1.tar" app; }
text old one; text new two
push() { # TAG LAYER REVISION
  crane append --oci-empty-base -f "$folder/$2.tar" -t "$host/shop/web:$1"
  crane mutate "$host/shop/web:$1" --set-platform linux/amd64 --label "org.opencontainers.image.revision=$3" --cmd /app -t "$host/shop/web:$1"
}
comma=
ask() { # METHOD PATH
  arguments=(-s -D "$folder/headers" -o "$folder/body" -H "Accept: $accept")
  if [ "$1" = HEAD ]; then arguments=(-sI -D "$folder/headers" -o /dev/null -H "Accept: $accept"); : > "$folder/body"; fi
  curl "${arguments[@]}" "http://$host/v2/shop/web/$2"
  tr -d '\r' < "$folder/headers" | jq -Rn --arg method "$1" --arg path "$2" --rawfile body "$folder/body" '
    [inputs | select(. != "")] | {method: $method, path: $path, status: (.[0] | split(" ")[1] | tonumber),
      headers: [.[1:][] | capture("^(?<name>[^:]+): *(?<value>.*)$") | select(.name | test("^(Date|X-Request-Id)$"; "i") | not) | [.name, .value]],
      body: $body}'
}
digest() { "$tools/crane" digest "$host/shop/web:$1" --insecure; }
printf '{"registries":{'
for name in docker-registry distribution crane; do
  start "$name" no
  push old old 9ab04d1 && push new new 3f2c1a9
  old=$(digest old) new=$(digest new)
  crane index append -m "$host/shop/web@$old" -t "$host/shop/web:live-old"
  crane index append -m "$host/shop/web@$new" -t "$host/shop/web:live"
  was=$(digest live-old) now=$(digest live)
  config=$("$tools/crane" manifest "$host/shop/web@$old" --insecure | jq -r .config.digest)
  new_config=$("$tools/crane" manifest "$host/shop/web@$new" --insecure | jq -r .config.digest)
  case $name in
    docker-registry) version=$(docker-registry --version | awk '{print $3}') ;;
    distribution) version=3.1.2 ;;
    crane) version=0.22.1 ;;
  esac
  printf '%s"%s":{"version":"%s","running":"%s","tag":"%s","manifest":"%s","config":"%s","answers":[' "$comma" $name "$version" "$was" "$now" "$old" "$config"
  first=yes
  for asked in "HEAD manifests/live" "HEAD manifests/$was" "GET manifests/$was" "GET manifests/$now" "GET manifests/$old" "GET manifests/$new" \
    "GET blobs/$config" "GET blobs/$new_config" "HEAD manifests/absent" "GET manifests/$config" "GET blobs/$old"; do
    [ $first = yes ] || printf ','
    first=no
    ask ${asked% *} "${asked#* }"
  done
  printf ']'
  stop
  # crane's registry requires no authorization.
  if [ $name != crane ]; then
    start "$name" yes
    printf ',"refusal":%s' "$(ask HEAD manifests/live)"
    stop
  fi
  printf '}'
  comma=,
done

# The part of AWS that gives the helper a password.
cat > "$folder/aws.py" << 'EOF'
import base64, http.server, json, sys
class Aws(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        with open(sys.argv[2], "w") as file:
            json.dump({"target": self.headers["x-amz-target"], "content_type": self.headers["content-type"], "body": json.loads(body)}, file)
        token = base64.b64encode(b"AWS:s3cr3t-password").decode()
        answer = json.dumps({"authorizationData": [{"authorizationToken": token, "expiresAt": 4070908800,
            "proxyEndpoint": "https://123456789012.dkr.ecr.eu-central-1.amazonaws.com"}]}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/x-amz-json-1.1")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
    def log_message(self, *_):
        pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Aws).serve_forever()
EOF
python3 "$folder/aws.py" "$port" "$folder/asked" &
until (exec 3<> "/dev/tcp/127.0.0.1/$port") 2> /dev/null; do sleep 0.2; done
helper() { # HOST AWS
  status=0
  printf '%s' "$1" | env -i HOME="$folder" AWS_ACCESS_KEY_ID=AKIAPODSKEW AWS_SECRET_ACCESS_KEY=s3cr3t AWS_ENDPOINT_URL="$2" AWS_MAX_ATTEMPTS=1 \
    AWS_ECR_DISABLE_CACHE=1 "$tools/docker-credential-ecr-login" get > "$folder/printed" 2> "$folder/errors" || status=$?
  jq -n --arg host "$1" --argjson status $status --rawfile printed "$folder/printed" '{host: $host, status: $status, printed: $printed}'
}
ecr=123456789012.dkr.ecr.eu-central-1.amazonaws.com
printf '},"docker-credential-ecr-login":{"version":"0.13.0","answers":[%s,%s,%s],"asked":%s}}\n' "$(helper $ecr "http://$host")" \
  "$(helper registry.example "http://$host")" "$(helper $ecr http://127.0.0.1:1)" "$(cat "$folder/asked")"
