//! Programs that tests need, and what happens to a test without them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

/// A program, or a file made by a program.
pub struct Need {
    name: &'static str,
    place: Place,
    /// How to install it.
    remedy: &'static str,
    /// Built only by `make engines`, because that takes long.
    is_engine: bool,
}

enum Place {
    /// A program in `PATH`.
    Program(&'static str),
    /// A file below the package.
    File(&'static str),
    /// A program in `PATH`, or the one in an environment variable.
    Named(&'static str, &'static str),
    /// A file below the package, or the one in an environment variable.
    FileOrNamed(&'static str, &'static str),
}

impl Need {
    const fn program(name: &'static str, remedy: &'static str) -> Self {
        Self { name, place: Place::Program(name), remedy, is_engine: false }
    }

    const fn tool(name: &'static str, file: &'static str, remedy: &'static str) -> Self {
        Self { name, place: Place::File(file), remedy, is_engine: false }
    }

    const fn engine(name: &'static str, file: &'static str) -> Self {
        Self { name, place: Place::File(file), remedy: "make engines", is_engine: true }
    }

    fn is_there(&self) -> bool {
        let on_path = |program: &str| {
            let path = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
        };
        let below = |file: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join(file).exists();
        let is_named = |variable: &str| std::env::var_os(variable).is_some_and(|value| !value.is_empty());
        match self.place {
            Place::Program(program) => on_path(program),
            Place::File(file) => below(file),
            Place::Named(program, variable) => is_named(variable) || on_path(program),
            Place::FileOrNamed(file, variable) => is_named(variable) || below(file),
        }
    }
}

macro_rules! needs {
    ($($constant:ident = $need:expr;)*) => {
        $(pub const $constant: Need = $need;)*
    };
}

needs! {
    ACTIONLINT = Need::tool("actionlint", "target/tools/install/actionlint", "make target/tools/install/done");
    ADMISSION = Need::tool("Kubernetes' admission code", "target/tools/admission", "make target/tools/admission");
    AMTOOL = Need::tool("amtool", "target/tools/amtool", "make target/tools/amtool");
    ANALYSIS = Need::tool("Argo Rollouts' and Flagger's code", "target/tools/analysis", "make target/tools/analysis");
    BASH = Need::program("bash", "apt-get install bash");
    CERT_MANAGER = Need::tool("cert-manager's definitions", "target/tools/install/cert-manager.yaml", "make target/tools/install/cert-manager.yaml");
    CRDS = Need::tool("Argo Rollouts' and Flagger's definitions", "target/tools/crds/argo.yaml", "make target/tools/analysis");
    CURL = Need::program("curl", "apt-get install curl");
    DOCKER_REGISTRY = Need::program("docker-registry", "apt-get install docker-registry (it may stay stopped)");
    FISH = Need::program("fish", "apt-get install fish");
    GIT = Need::program("git", "apt-get install git");
    GRAFANA = Need::tool("Grafana's types", "target/tools/grafana/done", "make target/tools/grafana/done");
    GRAFANA_OPERATOR = Need::tool("the Grafana Operator's definitions", "target/tools/install/grafana-operator.yaml", "make target/tools/install/grafana-operator.yaml");
    HELM = Need::tool("Helm", "target/tools/install/done", "make target/tools/install/done");
    HELM_DOCS = Need::tool("helm-docs", "target/tools/install/helm-docs", "make target/tools/install/done");
    HTPASSWD = Need::program("htpasswd", "apt-get install apache2-utils");
    IMAGE = Need::tool("the image's folder", "target/tools/image", "make tested-image-root");
    JSONNET = Need::tool("jsonnet", "target/tools/jsonnet", "make target/tools/jsonnet");
    KUBECTL = Need::tool("kubectl", "target/tools/kubectl/done", "make target/tools/kubectl/done");
    KUBERNETES_PROTOBUF = Need::tool("Kubernetes' encoders", "target/tools/protobuf", "make target/tools/protobuf");
    KUSTOMIZE = Need::tool("kustomize", "target/tools/install/kustomize", "make target/tools/install/done");
    MAN = Need::program("man", "apt-get install man-db");
    MICROSOCKS = Need::program("microsocks", "apt-get install microsocks");
    NODE = Need::program("node", "install Node 20 or newer");
    OPENSSL = Need::program("openssl", "apt-get install openssl");
    OPERATOR_CRDS = Need::tool("the Prometheus Operator's definitions", "target/tools/install/crds.yaml", "make target/tools/install/done");
    PODSECURITY = Need::tool("the Pod Security Standards' code", "target/tools/install/podsecurity", "make target/tools/install/done");
    PROMETHEUS = Need::program("prometheus", "apt-get install prometheus (it may stay stopped)");
    PROMETHEUS3 = Need {
        name: "Prometheus 3",
        place: Place::FileOrNamed("target/tools/prometheus", "PROMETHEUS3"),
        remedy: "make target/tools/prometheus, or name another in PROMETHEUS3",
        is_engine: false,
    };
    PROMTOOL = Need::program("promtool", "apt-get install prometheus (it may stay stopped)");
    PYTHON = Need::tool("Python's packages", "target/openmetrics-venv/done", "make target/openmetrics-venv/done");
    PYTHON3 = Need::program("python3", "apt-get install python3");
    SCRIPT = Need::program("script", "apt-get install bsdutils");
    TINYPROXY = Need::program("tinyproxy", "apt-get install tinyproxy-bin");
    TOOLKIT = Need::tool("Prometheus' exporter-toolkit", "target/tools/access", "make target/tools/access");
    UNSHARE = Need::program("unshare", "apt-get install util-linux");
    ZSH = Need::program("zsh", "apt-get install zsh");

    BROWSER = Need::engine("what drives Chromium", "target/tools/browser/done");
    CHROMIUM = Need {
        name: "chromium",
        place: Place::Named("chromium", "CHROMIUM"),
        remedy: "apt-get install chromium, or name one in CHROMIUM",
        is_engine: true,
    };
    CONTAINERD = Need {
        name: "containerd",
        place: Place::Program("containerd"),
        remedy: "apt-get install containerd (it may stay stopped)",
        is_engine: true,
    };
    CRANE = Need::engine("crane", "target/tools/engines/crane");
    CRICTL = Need::engine("crictl", "target/tools/engines/crictl");
    DISTRIBUTION = Need::engine("distribution 3", "target/tools/engines/registry");
    ECR_LOGIN = Need::engine("Amazon's credential helper", "target/tools/engines/docker-credential-ecr-login");
    KYVERNO = Need::engine("Kyverno's CLI", "target/tools/engines/kyverno");
    THANOS = Need::engine("Thanos", "target/tools/engines/thanos");
    VICTORIA_METRICS = Need::engine("VictoriaMetrics", "target/tools/engines/victoria-metrics");
    VMALERT = Need::engine("vmalert", "target/tools/engines/vmalert");
    VMALERT_TOOL = Need::engine("vmalert-tool", "target/tools/engines/vmalert-tool");
}

/// A test and its requirements.
pub struct Test {
    pub module: &'static str,
    pub function: &'static str,
    pub needs: &'static [&'static Need],
    pub run: fn(),
}

/// `tests![function: [NEED, …], …]`: a module's tests. A function that is not listed is dead code, which the lints report.
macro_rules! tests {
    ($($function:ident: [$($need:ident),*],)*) => {
        vec![$($crate::needs::Test {
            module: module_path!(),
            function: stringify!($function),
            needs: &[$(&$crate::needs::$need),*],
            run: $function,
        }),*]
    };
}
pub(crate) use tests;

impl Test {
    pub fn name(&self) -> String {
        let module = self.module.split_once("::").map_or(self.module, |(_, module)| module);
        format!("{module}::{}", self.function)
    }

    pub fn needs_an_engine(&self) -> bool {
        self.needs.iter().any(|need| need.is_engine)
    }
}

/// Which tests run, and what a missing program means.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    WhatIsThere,
    Hermetic,
    Required,
    Engines,
}

impl Mode {
    /// The mode in `EXTERNAL_TESTS`.
    pub fn from_environment() -> Result<Self, String> {
        match std::env::var("EXTERNAL_TESTS").unwrap_or_default().as_str() {
            "" => Ok(Self::WhatIsThere),
            "hermetic" => Ok(Self::Hermetic),
            "required" => Ok(Self::Required),
            "engines" => Ok(Self::Engines),
            other => Err(format!("EXTERNAL_TESTS={other}: it is hermetic, required, engines or not set")),
        }
    }
}

/// Skipped tests, by the missing program.
#[derive(Default)]
pub struct LeftOut(Mutex<BTreeMap<String, Vec<String>>>);

impl LeftOut {
    /// Why a test is skipped, or `None` if it runs.
    pub fn reason(&self, test: &Test, mode: Mode) -> Option<String> {
        if mode == Mode::Hermetic {
            return test.needs.first().map(|need| format!("needs {}: make test runs it", need.name));
        }
        if mode != Mode::Engines && test.needs_an_engine() {
            return Some("make engines runs it".to_owned());
        }
        let missing = test.needs.iter().find(|need| !need.is_there())?;
        let reason = format!("{} is missing: {}", missing.name, missing.remedy);
        self.0.lock().unwrap().entry(reason.clone()).or_default().push(test.name());
        Some(reason)
    }

    /// Prints missing programs with the number of tests. Returns false if that is a failure.
    pub fn report(&self, mode: Mode) -> bool {
        let left_out = self.0.lock().unwrap();
        if left_out.is_empty() {
            return true;
        }
        let count: usize = left_out.values().map(Vec::len).sum();
        println!("left out, since a program is missing: {count} tests (make test gets what is missing)");
        for (reason, tests) in &*left_out {
            println!("  {reason} ({} tests)", tests.len());
        }
        println!();
        let complete = matches!(mode, Mode::WhatIsThere | Mode::Hermetic);
        if !complete {
            println!("error: EXTERNAL_TESTS={} allows none to be left out", std::env::var("EXTERNAL_TESTS").unwrap());
        }
        complete
    }
}
