"""What the pictures of the dashboards show: podskew's demo, an application on some of its pods, and a Prometheus.

python3 stage.py PODSKEW MINUTES COMMAND…   starts all of it, waits so long, and runs the command, which finds Prometheus'
address in the variable PROMETHEUS
"""

import http.server
import json
import math
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

# The workloads whose pods serve requests, and what their newest revision does worse: (errors, times as slow).
APPLICATIONS = {"landing": (0.034, 1.9), "checkout": (0.002, 1.0)}
BOUNDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5]
# The second cluster has none of the demo's exhibits, and one release has not reached it.
EXHIBITS = "web|ledger|login|query|wiki|ledger-db|cni|landing|checkout"
BEHIND = "orders"


class Application:
    """Counters that grow with the time since a pod was first seen; nothing in them knows of a template hash."""

    def __init__(self, podskew):
        self.podskew = podskew
        self.first_seen = {}

    def metrics(self):
        text = urllib.request.urlopen(f"http://{self.podskew}/metrics").read().decode()
        series = [dict(re.findall(r'(\w+)="([^"]*)"', line)) for line in text.splitlines() if line.startswith("podskew_")]
        current = {s["pod_template_hash"] for s in series if s.get("current") == "true"}
        lines = []
        for pod in (s for s in series if "pod" in s and "digest" not in s and s["workload"] in APPLICATIONS):
            errors, slow = APPLICATIONS[pod["workload"]] if pod["pod_template_hash"] in current else (0.002, 1.0)
            age = time.time() - self.first_seen.setdefault(pod["pod"], time.time())
            # About ten requests a second, more at some times than at others.
            requests = 10 * age + 120 * math.sin(time.time() / 240) - 120 * math.sin((time.time() - age) / 240)
            of_pod = f'namespace="{pod["namespace"]}",pod="{pod["pod"]}"'
            for code, part in (("200", 1 - errors), ("500", errors)):
                lines.append(f'http_requests_total{{{of_pod},code="{code}"}} {requests * part:.0f}')
            for bound in [*BOUNDS, math.inf]:
                part = 1 - math.exp(-((bound / (0.06 * slow)) ** 0.9))
                le = "+Inf" if bound == math.inf else bound
                lines.append(f'http_request_duration_seconds_bucket{{{of_pod},le="{le}"}} {requests * part:.0f}')
        return "\n".join(lines) + "\n"

    def serve(self):
        application = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = application.metrics().encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"127.0.0.1:{server.server_port}"


def start(command, telling):
    """Starts a program and waits for the line on its standard error that tells the port."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if found := re.search(telling, line):
            threading.Thread(target=lambda: [None for _ in process.stderr], daemon=True).start()
            return process, f"127.0.0.1:{found[1]}"
    raise SystemExit(f"{command[0]} ended before it served")


class Stage:
    def __init__(self, podskew, prometheus="prometheus"):
        self.directory = tempfile.TemporaryDirectory()
        self.processes = []
        # The demo is the cluster alone. Who is watched is a podskew of its own process, without the simulator's memory.
        demo = subprocess.Popen(
            [podskew, "demo", "--listen-address", "127.0.0.1:0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.processes.append(demo)
        kubeconfig = next(found[1] for line in demo.stdout if (found := re.search(r"export KUBECONFIG=(\S+)", line)))
        registry = next(found[1] for line in demo.stdout if (found := re.search(r"^ *registry +(\S+)", line)))
        threading.Thread(target=lambda: [None for _ in demo.stdout], daemon=True).start()
        watching, podskew = start(
            [podskew, "serve", "--kubeconfig", kubeconfig, "--registry", registry, "--listen-address", "127.0.0.1:0"],
            r"serving http://127\.0\.0\.1:(\d+)/metrics",
        )
        self.processes.append(watching)
        application = Application(podskew).serve()
        elsewhere = [
            {"source_labels": ["workload"], "regex": EXHIBITS, "action": "drop"},
            {
                "source_labels": ["workload", "digest"],
                "regex": f"{BEHIND};sha256:.{{8}}(.*)",
                "target_label": "digest",
                "replacement": "sha256:0ddba11c$1",
            },
        ]
        jobs = [
            {"job_name": "podskew", "static_configs": [{"targets": [podskew], "labels": {"cluster": "eu-1"}}]},
            {
                "job_name": "podskew-2",
                "static_configs": [{"targets": [podskew], "labels": {"cluster": "us-1"}}],
                "metric_relabel_configs": elsewhere,
            },
            {"job_name": "application", "static_configs": [{"targets": [application], "labels": {"cluster": "eu-1"}}]},
        ]
        config = f"{self.directory.name}/prometheus.yml"
        with open(config, "w") as file:
            json.dump({"global": {"scrape_interval": "5s", "scrape_timeout": "5s"}, "scrape_configs": jobs}, file)
        server, self.address = start(
            [
                prometheus,
                f"--config.file={config}",
                f"--storage.tsdb.path={self.directory.name}/data",
                "--web.listen-address=127.0.0.1:0",
            ],
            r'msg="Listening on".*address=127\.0\.0\.1:(\d+)',
        )
        self.processes.append(server)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
            process.wait()
        self.directory.cleanup()


if __name__ == "__main__":
    podskew, minutes, *command = sys.argv[1:]
    with Stage(podskew) as stage:
        time.sleep(60 * float(minutes))
        subprocess.run(command, check=True, env={**os.environ, "PROMETHEUS": stage.address})
