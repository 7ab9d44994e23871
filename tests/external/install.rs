//! The chart, the kustomization and the manifest: they are correct, and agree with each other.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use crate::chart;
use crate::chart::{CHART, ask, container, modes, objects, of_kind, path, read, rendered, rendered_in, texts, the};
use crate::needs::{Test, tests};
use crate::programs;
use crate::rules;
use crate::secured;
use base64::Engine as _;
use clap::CommandFactory;
use podskew::cli::Arguments;
use podskew::objects::Resource;
use regex::Regex;
use serde_json::{Value, json};
use simulator::{Simulator, SimulatorConfig};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Compares a generated file with the expected text, or writes it with `UPDATE_DOCS`.
#[track_caller]
fn generated(file: &Path, text: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1") {
        // Replaces the file at once, because other tests read it meanwhile.
        let new = file.with_extension("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(&new, file).unwrap();
    }
    let committed = std::fs::read_to_string(file).unwrap_or_default();
    assert!(committed == text, "{} is outdated: make docs", file.display());
}

fn dashboards() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path("dashboards")).unwrap().map(|entry| entry.unwrap().path());
    let dashboards: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "json")).collect();
    assert!(dashboards.len() >= 3, "{dashboards:?}");
    dashboards
}

/// Helm does not read files outside a chart, and a packaged chart has none.
fn the_chart_brings_the_dashboards() {
    for dashboard in dashboards() {
        let text = std::fs::read_to_string(&dashboard).unwrap();
        generated(&path(CHART).join("files/dashboards").join(dashboard.file_name().unwrap()), &text);
    }
    let brought = std::fs::read_dir(path(CHART).join("files/dashboards")).unwrap().count();
    assert_eq!(brought, dashboards().len());
}

fn the_charts_readme_is_what_its_values_say() {
    let chart = path(CHART);
    let arguments = ["--dry-run", "--sort-values-order", "file", "--log-level", "error", "--chart-search-root"];
    let readme = ask("helm-docs", &[&arguments[..], &[chart.to_str().unwrap()]].concat(), b"").unwrap();
    generated(&chart.join("README.md"), &format!("{}\n", readme.trim_end()));
    let undescribed: Vec<_> = readme.lines().filter(|line| line.ends_with("|  |")).collect();
    assert!(undescribed.is_empty(), "{undescribed:?}");
}

fn the_manifests_are_what_the_chart_says() {
    for (file, text) in chart::manifests() {
        generated(&path(file), &text);
    }
}

fn helm_finds_nothing_to_complain_about_in_any_mode() {
    for helm in ["helm", "helm3"] {
        for mode in modes() {
            let chart = path(CHART);
            let arguments = ["lint", "--strict", chart.to_str().unwrap(), "--values", mode.to_str().unwrap()];
            let said = ask(helm, &arguments, b"").unwrap_or_else(|said| panic!("{helm} {}: {said}", mode.display()));
            assert!(!said.contains("[WARNING]"), "{said}");
        }
    }
}

/// Helm 3 and 4, from the folder and from a package of it: a rendering needs no file outside.
fn every_helm_makes_the_same_of_the_chart_and_of_its_package() {
    let directory = tempfile::tempdir().unwrap();
    let destination = directory.path().to_str().unwrap();
    ask("helm", &["package", path(CHART).to_str().unwrap(), "--destination", destination], b"").unwrap();
    let package = directory.path().join(format!("podskew-{}.tgz", env!("CARGO_PKG_VERSION")));
    for mode in modes() {
        let expected = rendered_in(&mode);
        for (helm, chart) in [("helm", &package), ("helm3", &path(CHART)), ("helm3", &package)] {
            let rendered = chart::template_of(helm, chart, &["--values", mode.to_str().unwrap()]).unwrap();
            assert!(objects(&rendered) == expected, "{helm} {} {}", chart.display(), mode.display());
        }
    }
}

fn the_chart_installs_the_version_that_it_came_with() {
    let chart: Value = serde_saphyr::from_str(&read(&format!("{CHART}/Chart.yaml"))).unwrap();
    for version in ["version", "appVersion"] {
        assert_eq!(chart[version], env!("CARGO_PKG_VERSION"), "{version} in Chart.yaml differs from Cargo.toml");
    }
}

/// Everything that can be applied, with a name: the chart in each mode, the kustomizations, and the manifests.
fn everything() -> Vec<(String, Vec<Value>)> {
    let mut all: Vec<_> = modes().iter().map(|mode| (mode.display().to_string(), rendered_in(mode))).collect();
    all.extend(chart::manifests().map(|(file, _)| (file.to_owned(), objects(&read(file)))));
    for kustomization in ["deploy/kustomize", "deploy/kustomize/base"] {
        all.push((kustomization.to_owned(), objects(&built(&path(kustomization)))));
    }
    all.push(("all components".to_owned(), objects(&built_with_components())));
    all.push(("access components".to_owned(), objects(&built_with_access())));
    all
}

fn every_object_fits_the_schemas_of_every_version() {
    let mut all: Vec<Value> = everything().into_iter().flat_map(|(_, objects)| objects).collect();
    all.extend(objects(&read("alerts/prometheusrule.yaml")));
    for kind in ["ServiceMonitor", "PodMonitor", "PrometheusRule", "Certificate", "GrafanaDashboard"] {
        assert!(!of_kind(&all, kind).is_empty(), "no {kind} was checked");
    }
    check_schemas(&all);
}

#[track_caller]
fn check_schemas(all: &[Value]) {
    // JSON is valid YAML.
    let manifest = all.iter().map(Value::to_string).collect::<Vec<_>>().join("\n---\n");
    let script = path("tests/programs/schemas.py");
    let crds = ["crds.yaml", "cert-manager.yaml", "grafana-operator.yaml"]
        .map(|file| path("target/tools/install").join(file).display().to_string());
    let python = path("target/openmetrics-venv/bin/python");
    let crds = crds.join(",");
    let arguments = [script.to_str().unwrap(), &crds];
    let remedy = "make target/openmetrics-venv/done target/tools/install/cert-manager.yaml target/tools/install/grafana-operator.yaml";
    let output = programs::run(&python, &arguments, manifest.as_bytes(), remedy);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains(" objects hold against Kubernetes 1.29.0 to 1."), "{said}");
}

/// Alerts, runbooks and log lines find podskew by this label.
fn every_object_carries_the_name() {
    for (what, objects) in everything() {
        for object in &objects {
            let labels = object.pointer("/metadata/labels").unwrap_or_else(|| panic!("{what}: {object}"));
            assert_eq!(labels["app.kubernetes.io/name"], "podskew", "{what}: {object}");
        }
        for deployment in of_kind(&objects, "Deployment") {
            let labels = deployment.pointer("/spec/template/metadata/labels").unwrap();
            assert_eq!(labels["app.kubernetes.io/name"], "podskew", "{what}");
        }
    }
}

/// Rules as group, resource and verbs.
fn granted(rules: &Value) -> BTreeSet<(String, String, Vec<String>)> {
    let mut granted = BTreeSet::new();
    for rule in rules.as_array().unwrap() {
        assert_eq!(rule.as_object().unwrap().len(), 3, "{rule}");
        let verbs: Vec<_> = texts(&rule["verbs"]).into_iter().map(str::to_owned).collect();
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                assert!(granted.insert((group.to_owned(), resource.to_owned(), verbs.clone())), "twice: {rule}");
            }
        }
    }
    granted
}

/// The resources that podskew watches.
fn watched() -> BTreeSet<(String, String, Vec<String>)> {
    let verbs = ["list", "watch"].map(str::to_owned).to_vec();
    Resource::ALL.map(|resource| (resource.group().to_owned(), resource.plural().to_owned(), verbs.clone())).into()
}

/// Additional rules for `--auth kubernetes`.
fn reviews() -> BTreeSet<(String, String, Vec<String>)> {
    let reviews = [("authentication.k8s.io", "tokenreviews"), ("authorization.k8s.io", "subjectaccessreviews")];
    reviews.map(|(group, resource)| (group.to_owned(), resource.to_owned(), vec!["create".to_owned()])).into()
}

fn only_the_option_auth_allows_reviews() {
    for (what, objects) in everything().into_iter().filter(|(what, _)| !what.contains("/auth-kubernetes/")) {
        let Some(deployment) = of_kind(&objects, "Deployment").pop() else { continue };
        let text = deployment.to_string();
        let makes = text.contains("--auth=kubernetes") || text.contains("PODSKEW_AUTH\"");
        let may = of_kind(&objects, "ClusterRole").iter().any(|role| role.to_string().contains("tokenreviews"));
        assert_eq!(makes, may, "{what}");
    }
}

/// Additional rules for `--nodes`.
fn nodes() -> BTreeSet<(String, String, Vec<String>)> {
    [(String::new(), "nodes".to_owned(), vec!["list".to_owned()])].into()
}

fn only_the_option_nodes_allows_listing_nodes() {
    let of_nodes = |arguments: &[&str]| {
        let objects = objects(&rendered(arguments));
        let roles = of_kind(&objects, "ClusterRole");
        let count = roles.iter().filter(|role| granted(&role["rules"]) == nodes()).count();
        let is_told = texts(&container(&objects)["args"]).contains(&"--nodes");
        (count, is_told)
    };
    assert_eq!(of_nodes(&["--set", "jobs=true"]), (0, false));
    assert_eq!(of_nodes(&["--set", "nodes=true"]), (1, true));
    assert_eq!(of_nodes(&["--set", "nodes=true,namespaces={shop}"]), (1, true));
    assert_eq!(of_nodes(&["--set", "nodes=true,rbac.create=false"]), (0, true));
}

/// Without registries the pod has no files for them, and the network policy does not allow them.
fn only_with_registries_the_pod_can_reach_them() {
    let of = |values: &str| {
        let objects = objects(&rendered(&["--set", &format!("networkPolicy.enabled=true,{values}")]));
        let container = container(&objects);
        let told = texts(&container["args"]).iter().filter(|it| it.starts_with("--registry")).count();
        let mounted = container["volumeMounts"].as_array().map_or(0, Vec::len);
        let ways = the(&objects, "NetworkPolicy")["spec"]["egress"].as_array().unwrap().len();
        (told, mounted, ways)
    };
    let files = "registry.auth.secretName=a,registry.ca.configMapName=b,registry.helpers.emptyDir.medium=Memory";
    assert_eq!(of("jobs=true"), (0, 0, 1));
    assert_eq!(of(&format!("registry.interval=1h,{files}")), (0, 0, 1));
    assert_eq!(of("registry.hosts={docker.io}"), (1, 0, 3));
    // Credentials, authorities, helpers, and their home.
    assert_eq!(of(&format!("registry.hosts={{docker.io,r.example}},{files}")), (5, 4, 3));
}

fn the_rules_allow_only_to_list_and_watch_podskews_resources() {
    let (mut roles, mut readers) = (0, 0);
    // The rules of a component are in its own file.
    for (what, objects) in everything().into_iter().filter(|(what, _)| !what.contains("/auth-kubernetes/")) {
        let account = of_kind(&objects, "ServiceAccount");
        for kind in ["Role", "ClusterRole"] {
            for role in of_kind(&objects, kind) {
                let name = role["metadata"]["name"].as_str().unwrap();
                if name.ends_with("-readers") {
                    // This role is for Prometheus.
                    assert_eq!(role["rules"], json!([{ "nonResourceURLs": ["/metrics"], "verbs": ["get"] }]), "{what}");
                    readers += 1;
                    continue;
                }
                let expected = match name.rsplit('-').next() {
                    Some("reviews") => reviews(),
                    Some("nodes") => nodes(),
                    _ => watched(),
                };
                assert_eq!(granted(&role["rules"]), expected, "{what}");
                // Bound only to podskew's account.
                let bindings = of_kind(&objects, &format!("{kind}Binding"));
                let of_role = |binding: &&&Value| {
                    binding["metadata"]["namespace"] == role["metadata"]["namespace"]
                        && binding["roleRef"]["name"] == role["metadata"]["name"]
                        && binding["roleRef"]["kind"] == kind
                };
                let binding = bindings.iter().find(of_role).unwrap_or_else(|| panic!("{what}: {role} is not bound"));
                let account = &account[0]["metadata"];
                let subject =
                    json!({ "kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"] });
                assert_eq!(binding["subjects"], json!([subject]), "{what}");
                roles += 1;
            }
        }
    }
    assert!(roles >= 14 && readers == 1, "{roles}, {readers}");
}

fn with_namespaces_there_are_roles_in_them_and_no_cluster_role() {
    let objects = objects(&rendered(&["--set", "namespaces={shop,payments}"]));
    let namespaces = |kind| of_kind(&objects, kind).iter().map(|role| role["metadata"]["namespace"].clone()).collect();
    for kind in ["Role", "RoleBinding"] {
        let namespaces: Vec<Value> = namespaces(kind);
        assert_eq!(namespaces, ["payments", "shop"], "{kind}");
    }
    assert!(objects.iter().all(|object| !object["kind"].as_str().unwrap().starts_with("Cluster")), "{objects:?}");
    assert_eq!(texts(&container(&objects)["args"]), ["--namespace=shop", "--namespace=payments"]);
}

/// With the code of the admission plugin that enforces it.
fn every_pod_passes_the_restricted_pod_security_standard() {
    let mut pods = String::new();
    for (_, objects) in everything() {
        for deployment in of_kind(&objects, "Deployment") {
            writeln!(pods, "{}", deployment.pointer("/spec/template").unwrap()).unwrap();
            let container = container(&objects);
            // The standard does not require this.
            assert_eq!(container.pointer("/securityContext/readOnlyRootFilesystem"), Some(&json!(true)));
            for amount in ["/resources/requests/cpu", "/resources/requests/memory", "/resources/limits/memory"] {
                assert!(container.pointer(amount).is_some(), "{amount} of {container}");
            }
        }
    }
    let answers = ask("podsecurity", &[], pods.as_bytes()).unwrap();
    assert!(answers.lines().count() >= 10 && answers.lines().all(|answer| answer == "allowed"), "{answers}");
    // The check would report it.
    let root = r#"{"spec":{"containers":[{"name":"podskew","securityContext":{"runAsUser":0}}]}}"#;
    assert!(ask("podsecurity", &[], root.as_bytes()).unwrap().contains("runAsNonRoot != true"));
}

/// The simulated cluster with the cluster name of a mode.
async fn south() -> (Simulator, String) {
    let simulator = Simulator::start(SimulatorConfig::default()).await.unwrap();
    let kubeconfig = simulator.kubeconfig().replace("simulator", "south");
    (simulator, kubeconfig)
}

/// podskew as a Deployment starts it: its arguments and variables, with mounted Secrets in a folder of this machine.
/// Secrets that are not among the objects are from the kit.
fn started(objects: &[Value], kubeconfig: &str, kit: &secured::Kit) -> secured::Served {
    let pod = the(objects, "Deployment").pointer("/spec/template/spec").unwrap();
    let container = container(objects);
    let of_secret =
        |name: &Value| of_kind(objects, "Secret").into_iter().find(|secret| secret["metadata"]["name"] == *name);
    for mount in container["volumeMounts"].as_array().into_iter().flatten() {
        let Some(folder) = mount["mountPath"].as_str().unwrap().strip_prefix("/etc/podskew/") else { continue };
        std::fs::create_dir_all(kit.path(folder)).unwrap();
        for (from, to) in [("server.pem", "tls.crt"), ("server.key", "tls.key"), ("ca.pem", "ca.crt")] {
            kit.write(&format!("{folder}/{to}"), &kit.read(from));
        }
        if folder == "registry-auth" {
            kit.write("registry-auth/.dockerconfigjson", "{}");
        }
        let is_mounted = |volume: &&Value| volume["name"] == mount["name"];
        let volume = pod["volumes"].as_array().unwrap().iter().find(is_mounted).unwrap();
        if folder == "web" {
            let file = match of_secret(&volume["secret"]["secretName"]) {
                // kustomize encodes it.
                Some(secret) => match secret["stringData"]["web.yaml"].as_str() {
                    Some(text) => text.to_owned(),
                    None => decoded(secret["data"]["web.yaml"].as_str().unwrap()),
                },
                None => read("deploy/kustomize/components/web-config/web.example.yaml"),
            };
            // With an existing Secret, the values say whether it has TLS.
            let is_plain = container.pointer("/livenessProbe/httpGet/scheme") != Some(&json!("HTTPS"));
            let file = if is_plain { "{}".to_owned() } else { file };
            kit.write("web/web.yaml", &here(&file, kit));
        }
    }
    let arguments: Vec<String> = texts(&container["args"]).iter().map(|argument| here(argument, kit)).collect();
    let variables = container["env"].as_array().into_iter().flatten();
    let variables: Vec<(String, String)> = variables
        .filter(|variable| variable["value"].is_string())
        .map(|variable| (variable["name"].as_str().unwrap().to_owned(), here(variable["value"].as_str().unwrap(), kit)))
        .collect();
    secured::Served::podskew_in(kubeconfig, &arguments, &variables)
}

fn decoded(base64: &str) -> String {
    // kustomize wraps long lines.
    let base64: String = base64.split_whitespace().collect();
    String::from_utf8(base64::engine::general_purpose::STANDARD.decode(base64).unwrap()).unwrap()
}

/// A text with paths of this machine instead of those in the pod.
fn here(text: &str, kit: &secured::Kit) -> String {
    text.replace("/etc/podskew/", &format!("{}/", kit.directory.path().display()))
}

/// The kubelet has no credentials, and does not verify certificates.
fn probed(what: &str, objects: &[Value], podskew: &secured::Served, kit: &secured::Kit) {
    let client = kit.client(None);
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let Some(probe) = container(objects).pointer(&format!("/{name}/httpGet")) else { continue };
        let scheme = probe["scheme"].as_str().unwrap_or("HTTP").to_lowercase();
        assert_eq!(podskew.scheme, scheme, "{what}: {name}");
        assert_eq!(probe["port"], "http", "{what}: {name}");
        let tls = (scheme == "https").then_some(&client);
        let path = probe["path"].as_str().unwrap();
        podskew.eventually(&format!("{what}: {name}"), || {
            podskew.get(tls, path, &[]).is_ok_and(|answer| answer.status == 200)
        });
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn podskew_takes_the_arguments_of_every_mode_and_its_probes_pass() {
    let (_simulator, kubeconfig) = south().await;
    let kit = secured::Kit::new();
    let modes = modes().into_iter().map(|mode| (mode.display().to_string(), rendered_in(&mode)));
    let with_access = ("access components".to_owned(), objects(&built_with_access()));
    for (what, objects) in modes.chain([with_access]) {
        let podskew = started(&objects, &kubeconfig, &kit);
        probed(&what, &objects, &podskew, &kit);
        let is_file = Path::new(&what).extension().is_some();
        if let Some(pod) = is_file.then(|| test_pod(&["--values", &what])).flatten() {
            tested(&what, &pod, &podskew);
        }
        let is_open = !["tls-values", "tokens-values", "access components"].iter().any(|mode| what.contains(mode));
        let client = kit.client(None);
        let tls = (podskew.scheme == "https").then_some(&client);
        let status = podskew.status(tls, "/metrics", &[]);
        assert_eq!(status, if is_open { 200 } else { 401 }, "{what}");
    }
}

/// Prometheus uses the scheme and the credentials that podskew requires.
fn monitors_use_the_scheme_and_credentials_of_podskew() {
    let endpoint = |objects: &[Value]| match of_kind(objects, "ServiceMonitor").pop() {
        Some(monitor) => monitor["spec"]["endpoints"][0].clone(),
        None => the(objects, "PodMonitor")["spec"]["podMetricsEndpoints"][0].clone(),
    };
    let in_mode = |name: &str| endpoint(&rendered_in(&path(CHART).join("ci").join(name)));
    let plain = in_mode("operator-values.yaml");
    for key in ["scheme", "tlsConfig", "basicAuth", "authorization", "bearerTokenFile"] {
        assert!(plain[key].is_null(), "{plain}");
    }
    let tls = in_mode("tls-values.yaml");
    assert_eq!(tls["scheme"], "https");
    let ca = json!({ "secret": { "name": "podskew-tls", "key": "ca.crt" } });
    assert_eq!(tls["tlsConfig"], json!({ "ca": ca, "serverName": "podskew.podskew.svc" }));
    assert_eq!(tls["basicAuth"]["password"], json!({ "name": "podskew-scrape", "key": "password" }));
    let tokens = in_mode("tokens-values.yaml");
    assert_eq!(tokens["bearerTokenFile"], "/var/run/secrets/kubernetes.io/serviceaccount/token");
    let mesh = in_mode("web-secret-values.yaml");
    assert!(mesh["scheme"].is_null(), "{mesh}");
    assert_eq!(mesh["authorization"]["credentials"]["key"], "token");
    // A Secret of another namespace cannot be referenced.
    let elsewhere = ["--set", "serviceMonitor.enabled=true,serviceMonitor.namespace=monitoring,web.tls.secretName=tls"];
    assert_eq!(endpoint(&objects(&rendered(&elsewhere)))["tlsConfig"], json!({ "serverName": "podskew.podskew.svc" }));
    let own = ["--set", "podMonitor.enabled=true,web.tls.secretName=tls,podMonitor.tlsConfig.insecureSkipVerify=true"];
    assert_eq!(endpoint(&objects(&rendered(&own)))["tlsConfig"], json!({ "insecureSkipVerify": true }));
}

fn the_network_policy_names_prometheus_and_people_apart() {
    let objects = rendered_in(&path(CHART).join("ci/tls-values.yaml"));
    let ingress = the(&objects, "NetworkPolicy")["spec"]["ingress"].as_array().unwrap().clone();
    let namespace =
        |rule: &Value| rule["from"][0]["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"].clone();
    assert_eq!(ingress.iter().map(namespace).collect::<Vec<_>>(), ["monitoring", "ingress"]);
    assert!(ingress.iter().all(|rule| rule["ports"] == json!([{ "port": "http", "protocol": "TCP" }])), "{ingress:?}");
}

fn containers_beside_podskew_are_those_of_the_values() {
    let objects = rendered_in(&path(CHART).join("ci/tokens-values.yaml"));
    let pod = the(&objects, "Deployment").pointer("/spec/template/spec").unwrap();
    let names = |key: &str| pod[key].as_array().unwrap().iter().map(|one| one["name"].clone()).collect::<Vec<_>>();
    assert_eq!(
        (names("initContainers"), names("containers")),
        (vec![json!("wait")], vec![json!("podskew"), json!("log-shipper")])
    );
}

/// Both components together, as a user builds them. Passwords and tokens exclude each other, so the example has no users.
fn built_with_access() -> String {
    let directory = tempfile::tempdir_in(path("target")).unwrap();
    let text = "apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [../../deploy/kustomize/base]
components:
  - ../../deploy/kustomize/components/web-config
  - ../../deploy/kustomize/components/auth-kubernetes
secretGenerator:
  - name: podskew-web
    namespace: podskew
    files: [web.yaml]
    options: { disableNameSuffixHash: true, labels: { app.kubernetes.io/name: podskew } }
";
    std::fs::write(directory.path().join("kustomization.yaml"), text).unwrap();
    let example = read("deploy/kustomize/components/web-config/web.example.yaml");
    let (without_users, _) = example.split_once("basic_auth_users").unwrap();
    std::fs::write(directory.path().join("web.yaml"), without_users).unwrap();
    built(directory.path())
}

/// Every option is set in some mode, except those that a pod sets elsewhere.
fn every_option_has_a_value() {
    let elsewhere = ["kubeconfig", "context", "listen-address"];
    let mut given: BTreeSet<String> = elsewhere.map(str::to_owned).into();
    for mode in modes() {
        let objects = rendered_in(&mode);
        for argument in texts(&container(&objects)["args"]) {
            given.insert(argument.trim_start_matches("--").split('=').next().unwrap().to_owned());
        }
    }
    let command = Arguments::command();
    let options = command.get_arguments().filter(|argument| argument.get_env().is_some());
    let options: BTreeSet<String> = options.map(|argument| argument.get_long().unwrap().to_owned()).collect();
    assert_eq!(given, options);
}

/// Objects in the values with keys that are not ours: names of labels, or Kubernetes' own.
const NOT_OURS: [&str; 23] = [
    "global",
    "updateStrategy",
    "dnsConfig",
    "tlsConfig",
    "basicAuth",
    "authorization",
    "abels",
    "nnotations",
    "requests",
    "limits",
    "SecurityContext",
    "Probe",
    "httpGet",
    "seccompProfile",
    "capabilities",
    "nodeSelector",
    "affinity",
    "ports",
    "from",
    "egress",
    "tolerations",
    "topologySpreadConstraints",
    "helpers",
];

fn closed_objects(value: &Value, path: &str, found: &mut Vec<String>) {
    let Some(object) = value.as_object() else { return };
    if NOT_OURS.iter().any(|ending| path.ends_with(ending)) {
        return;
    }
    found.push(path.to_owned());
    for (key, inner) in object {
        closed_objects(inner, &format!("{path}.{key}"), found);
    }
}

fn a_typo_is_refused_wherever_it_is() {
    let values: Value = serde_saphyr::from_str(&read(&format!("{CHART}/values.yaml"))).unwrap();
    let mut found = Vec::new();
    closed_objects(&values, "", &mut found);
    assert!(found.len() > 25, "{found:?}");
    for object in found {
        let typo = format!("{}=1", format!("{object}.replica").trim_start_matches('.'));
        let said = chart::template_of("helm", &path(CHART), &["--set", &typo]).unwrap_err();
        assert!(said.contains("'replica' not allowed"), "{typo}: {said}");
    }
}

fn nonsensical_options_are_refused() {
    for (values, why) in [
        ("replicas=two", "got string, want integer"),
        ("namespaces=shop", "got string, want array"),
        ("namespaces={Shop}", "does not match pattern"),
        ("image.digest=5de7", "does not match pattern"),
        ("image.pullPolicy=Sometimes", "must be one of"),
        ("podLabels={version}", "got array, want object"),
        ("logFormat=xml", "must be one of"),
        ("serviceMonitor.interval=soon", "does not match pattern"),
        ("prometheusRule.alerts.PodskewDigestSkw.enabled=false", "'PodskewDigestSkw' not allowed"),
        ("prometheusRule.alerts.PodskewDown.threshold=1", "'threshold' not allowed"),
        ("prometheusRule.alerts.PodskewRolloutSlow.threshold=1.5", "want integer"),
        ("prometheusRule.alerts.PodskewRolloutSlow.for=soon", "does not match pattern"),
        ("prometheusRule.alerts.PodskewRolloutSlow=null", "missing property"),
        ("namespaces={shop},excludeNamespaces={shop}", "is both in namespaces and in excludeNamespaces"),
        ("serviceMonitor.enabled=true,podMonitor.enabled=true", "would scrape podskew twice"),
        ("serviceMonitor.enabled=true,service.enabled=false", "needs service.enabled"),
        ("web.config.tls_config.cert_file=x", "'tls_config' not allowed"),
        ("web.scheme=ftp", "must be one of"),
        ("web.existingSecret=x,web.scheme=http,web.config.rate_limit.burst=1", "take one of them"),
        ("web.existingSecret=x", "say in web.scheme whether it has TLS"),
        ("web.tls.certificate.enabled=true", "needs web.tls.certificate.issuerRef.name"),
        ("auth.kubernetes.enabled=true,web.config.basic_auth_users.a=x", "one Authorization header"),
        ("auth.kubernetes.readers[0].name=prometheus", "missing property 'namespace'"),
        ("networkPolicy.enabled=true,networkPolicy.people[0].podSelector.a=b", "needs networkPolicy.from"),
        ("podMonitor.bearerTokenFile=/token", "podMonitor.bearerTokenFile does not exist"),
        ("metricDenylist={podskew_(pod}", "error parsing regexp: missing closing )"),
        ("metricAllowlist={a,*}", "error parsing regexp: missing argument to repetition operator"),
        ("clusterLabel=k8s-cluster", "does not match pattern"),
        ("prometheusRule.texts=long", "must be one of"),
        ("prometheusRule.pageUrl=https://podskew.example", "set prometheusRule.texts to short"),
        ("prometheusRule.kubectlContext=admin", "does not match pattern"),
        ("prometheusRule.groups.info.interval=soon", "does not match pattern"),
        ("prometheusRule.groups.slow.interval=1m", "'slow' not allowed"),
        ("service.nodePort=30080", "needs service.type NodePort or LoadBalancer"),
        ("service.type=ExternalName", "must be one of"),
        ("dnsPolicy=Nearest", "must be one of"),
        ("serviceMonitor.sampleLimit=-1", "minimum"),
    ] {
        let said = chart::template_of("helm", &path(CHART), &["--set", values]).unwrap_err();
        assert!(said.contains(why), "{values}: {said}");
    }
}

/// Also as a dependency of another chart, with a condition and with global values.
fn another_chart_may_depend_on_it() {
    let directory = tempfile::tempdir().unwrap();
    let write = |file: &str, text: &str| std::fs::write(directory.path().join(file), text).unwrap();
    let repository = format!("file://{}", path(CHART).display());
    let dependency =
        json!({ "name": "podskew", "version": "*", "repository": repository, "condition": "podskew.enabled" });
    write(
        "Chart.yaml",
        &json!({ "apiVersion": "v2", "name": "all", "version": "1.0.0", "dependencies": [dependency] }).to_string(),
    );
    write("values.yaml", r#"{"global":{"region":"north"},"podskew":{"enabled":true,"replicas":2}}"#);
    let chart = directory.path().to_str().unwrap();
    ask("helm", &["dependency", "update", chart], b"").unwrap();
    let objects = objects(&chart::template_of("helm", directory.path(), &[]).unwrap());
    assert_eq!(the(&objects, "Deployment")["spec"]["replicas"], 2);
}

fn notes_contain_the_remaining_steps() {
    for (values, said, unsaid) in [
        ("replicas=1", "Prometheus does not scrape podskew yet", "rbac.create is false"),
        (
            "serviceMonitor.enabled=true",
            "kube-prometheus-stack selects by the name of its own release",
            "does not scrape podskew",
        ),
        ("serviceMonitor.enabled=true,serviceMonitor.additionalLabels.release=x", r#"labels {"release":"x"}"#, "NAME"),
        ("podMonitor.enabled=true", "--set podMonitor.additionalLabels.release=NAME", "serviceMonitorSelector"),
        ("rbac.create=false", "the service account podskew needs the right to list", "honorLabels"),
        (
            "serviceMonitor.enabled=true,serviceMonitor.honorLabels=false",
            "honorLabels is false",
            "does not scrape podskew",
        ),
        ("namespaces={shop,payments}", "watches shop, payments.", "the whole cluster"),
        ("web.tls.secretName=tls", "https://localhost:8080/", "bearer token"),
        ("auth.kubernetes.enabled=true", "Add Prometheus' service account to auth.kubernetes.readers", "https://local"),
        (
            "auth.kubernetes.enabled=true,auth.kubernetes.readers[0].name=p,auth.kubernetes.readers[0].namespace=m",
            "The chart grants that to m/p.",
            "Add Prometheus'",
        ),
    ] {
        let chart = path(CHART);
        let arguments =
            ["install", "podskew", chart.to_str().unwrap(), "-n", "podskew", "--dry-run=client", "--set", values];
        let notes = ask("helm", &arguments, b"").unwrap();
        let (_, notes) = notes.split_once("NOTES:\n").unwrap();
        assert!(notes.contains(said), "{values}: {notes}");
        assert!(!notes.contains(unsaid), "{values}: {notes}");
    }
}

/// The groups in a rendering's `PrometheusRule`.
fn groups(values: &[&str]) -> Value {
    let rendered = objects(&rendered(&[&["--set", "prometheusRule.enabled=true"], values].concat()));
    the(&rendered, "PrometheusRule")["spec"].clone()
}

fn the_alerts_are_those_of_every_other_prometheus() {
    let plain: Value = serde_saphyr::from_str(&read("alerts/podskew.rules.yaml")).unwrap();
    assert_eq!(groups(&[]), plain);
}

/// A changed threshold is changed in all queries, and an alert that is left out still inhibits the others: as if the source
/// were changed.
fn alerts_are_changed_as_if_their_source_were() {
    let mode = path(CHART).join("ci/alerts-values.yaml");
    let values: Value = serde_saphyr::from_str(&std::fs::read_to_string(&mode).unwrap()).unwrap();
    let mut source = rules::source();
    let mut left_out = Vec::new();
    for (name, changed) in values.pointer("/prometheusRule/alerts").unwrap().as_object().unwrap() {
        let alert = source.alerts.iter_mut().find(|alert| alert.name == *name).unwrap();
        let text = |key: &str, default: &String| changed[key].as_str().unwrap_or(default).to_owned();
        alert.severity = text("severity", &alert.severity);
        alert.r#for = text("for", &alert.r#for);
        alert.threshold = changed["threshold"].as_f64().or(alert.threshold);
        if changed["enabled"] == false {
            left_out.push(name.as_str());
        }
    }
    source.alerts.retain(|alert| !left_out.contains(&alert.name.as_str()));
    let mut expected: Value = serde_saphyr::from_str(&source.rules()).unwrap();
    for group in expected["groups"].as_array_mut().unwrap() {
        for rule in group["rules"].as_array_mut().unwrap() {
            rule["labels"]["team"] = json!("platform");
        }
    }
    assert_eq!(left_out.len(), 2);
    assert_eq!(groups(&["--values", mode.to_str().unwrap()]), expected);
}

/// Settings of the source are values of the chart.
fn settings_are_changed_as_if_the_sources_were() {
    let mut source = rules::source();
    let expected = |source: &rules::Source| -> Value { serde_saphyr::from_str(&source.rules()).unwrap() };
    source.settings.cluster = "k8s_cluster".into();
    source.settings.context = "admin@$cluster".into();
    let set = "clusterLabel=k8s_cluster,prometheusRule.kubectlContext=admin@$cluster";
    assert_eq!(groups(&["--set", set]), expected(&source));
    source.settings.texts = rules::Texts::Short;
    let set = format!("{set},prometheusRule.texts=short");
    assert_eq!(groups(&["--set", &set]), expected(&source));
    source.settings.page = "https://podskew.example/$cluster/$namespace/$workload_type/$workload".into();
    source.runbooks = "https://wiki.example/podskew".into();
    let set =
        format!("{set},prometheusRule.pageUrl={},prometheusRule.runbookUrl={}/", source.settings.page, source.runbooks);
    assert_eq!(groups(&["--set", &set]), expected(&source));
}

/// Rules that can be enabled in addition to the alerts of a cluster, and settings for all of them.
fn rules_are_added_and_kept() {
    let added = groups(&[
        "--set",
        "prometheusRule.alerts.PodskewClustersDiffer.enabled=true,prometheusRule.keepFiringFor=10m",
        "--set-json",
        r#"prometheusRule.extraRules=[{"record":"podskew:workloads:count","expr":"count(podskew_rollout_state)"}]"#,
        "--set",
        "prometheusRule.groups.info.interval=",
    ]);
    let groups = added["groups"].as_array().unwrap();
    let names: Vec<&str> = groups.iter().map(|group| group["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["podskew-critical", "podskew-info", "podskew-self", "podskew-clusters", "podskew-extra"]);
    assert_eq!(groups[1]["interval"], Value::Null);
    assert_eq!(groups[4]["rules"][0]["record"], "podskew:workloads:count");
    let kept = groups[..4].iter().flat_map(|group| group["rules"].as_array().unwrap());
    assert!(kept.clone().count() >= 16 && kept.clone().all(|rule| rule["keep_firing_for"] == "10m"));
    let clusters: Value = serde_saphyr::from_str(&read("alerts/clusters.rules.yaml")).unwrap();
    assert_eq!(groups[3]["rules"][0]["expr"], clusters["groups"][0]["rules"][0]["expr"]);
}

/// With another cluster label, every query, legend and column of the dashboards changes. The variable keeps its name,
/// because links use it.
fn the_dashboards_name_clusters_by_another_label() {
    let set = "dashboards.enabled=true,clusterLabel=k8s_cluster";
    let renamed = objects(&rendered(&["--set", set]));
    let bare = Regex::new(r"\bcluster\b").unwrap();
    let mut found = 0;
    for map in of_kind(&renamed, "ConfigMap") {
        let (file, text) = map["data"].as_object().unwrap().iter().next().unwrap();
        let dashboard: Value = serde_json::from_str(text.as_str().unwrap()).unwrap();
        let name = file.strip_prefix("podskew-").unwrap();
        let plain: Value = serde_json::from_str(&read(&format!("dashboards/{name}"))).unwrap();
        let (mut now, mut before): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
        queries_and_columns(&dashboard, &mut now);
        queries_and_columns(&plain, &mut before);
        for now in &now {
            // `$cluster` is the variable.
            assert!(!bare.is_match(&now.replace("$cluster", "")), "{name}: {now}");
            found += usize::from(now.contains("k8s_cluster"));
        }
        let mut back: Vec<String> = now.iter().map(|now| now.replace("k8s_cluster", "cluster")).collect();
        back.sort();
        before.sort();
        assert_eq!(back, before, "{name}");
        assert_eq!(dashboard["templating"]["list"][1]["name"], "cluster", "{name}");
    }
    assert!(found > 80, "{found}");
}

/// Queries, legends, and names of columns.
fn queries_and_columns(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            for (key, inner) in object {
                match (&**key, inner) {
                    ("expr" | "legendFormat", Value::String(text)) => found.push(text.clone()),
                    ("query" | "definition", Value::String(text)) if text.contains('(') => found.push(text.clone()),
                    ("indexByName" | "renameByName" | "excludeByName", Value::Object(columns)) => {
                        found.extend(columns.keys().cloned());
                    }
                    _ => queries_and_columns(inner, found),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|inner| queries_and_columns(inner, found)),
        _ => {}
    }
}

fn the_grafana_operator_takes_the_dashboards_from_their_config_maps() {
    let set = "dashboards.enabled=true,dashboards.grafanaOperator.enabled=true,dashboards.folder=teams";
    let objects = objects(&rendered(&["--set", set]));
    let resources = of_kind(&objects, "GrafanaDashboard");
    assert_eq!(resources.len(), dashboards().len());
    for resource in resources {
        let reference = &resource["spec"]["configMapRef"];
        let map = of_kind(&objects, "ConfigMap").into_iter().find(|map| map["metadata"]["name"] == reference["name"]);
        assert!(map.unwrap()["data"][reference["key"].as_str().unwrap()].is_string(), "{resource}");
        assert_eq!(resource["spec"]["instanceSelector"]["matchLabels"], json!({ "dashboards": "grafana" }));
        assert_eq!(resource["spec"]["folder"], "teams");
    }
}

/// Values that are used in one place each.
fn values_are_rendered_in_the_right_place() {
    let mode = path(CHART).join("ci/everything-else-values.yaml");
    let objects = rendered_in(&mode);
    let deployment = the(&objects, "Deployment");
    let at = |object: &Value, pointer: &str| object.pointer(pointer).cloned().unwrap_or_default();
    for (pointer, expected) in [
        ("/metadata/annotations", json!({ "reloader.example/auto": "true", "team.example/owner": "platform" })),
        ("/spec/strategy/type", json!("Recreate")),
        ("/spec/template/metadata/annotations/team.example~1owner", json!("platform")),
        ("/spec/template/spec/dnsPolicy", json!("Default")),
        ("/spec/template/spec/dnsConfig/options/0/name", json!("ndots")),
        ("/spec/template/spec/runtimeClassName", json!("gvisor")),
        ("/spec/template/spec/terminationGracePeriodSeconds", json!(5)),
        ("/spec/template/spec/containers/0/image", json!("mirror.example/podskew/podskew:0.1.0")),
    ] {
        assert_eq!(at(deployment, pointer), expected, "{pointer}");
    }
    let service = the(&objects, "Service");
    for (pointer, expected) in [
        ("/spec/type", json!("LoadBalancer")),
        ("/spec/loadBalancerClass", json!("example/internal")),
        ("/spec/loadBalancerSourceRanges", json!(["10.0.0.0/8"])),
        ("/spec/externalTrafficPolicy", json!("Local")),
        ("/spec/ports/0/nodePort", json!(30080)),
    ] {
        assert_eq!(at(service, pointer), expected, "{pointer}");
    }
    let monitor = the(&objects, "ServiceMonitor");
    for (pointer, expected) in [
        ("/spec/sampleLimit", json!(2_000_000)),
        ("/spec/targetLabels", json!(["team"])),
        ("/spec/scrapeClass", json!("tls")),
    ] {
        assert_eq!(at(monitor, pointer), expected, "{pointer}");
    }
    for object in &objects {
        assert_eq!(at(object, "/metadata/annotations/team.example~1owner"), "platform", "{object}");
    }
    let of_pods = rendered_in(&path(CHART).join("ci/pod-monitor-values.yaml"));
    let monitor = the(&of_pods, "PodMonitor");
    for (pointer, expected) in [
        ("/spec/sampleLimit", json!(1_000_000)),
        ("/spec/podTargetLabels", json!(["team"])),
        ("/spec/scrapeClass", json!("tls")),
    ] {
        assert_eq!(at(monitor, pointer), expected, "{pointer}");
    }
    let on_the_node = chart::objects(&rendered(&["--set", "hostNetwork=true"]));
    let pod = the(&on_the_node, "Deployment").pointer("/spec/template/spec").unwrap();
    assert_eq!((&pod["hostNetwork"], &pod["dnsPolicy"]), (&json!(true), &json!("ClusterFirstWithHostNet")));
}

/// The pod of `helm test`, if any.
fn test_pod(arguments: &[&str]) -> Option<Value> {
    let chart = path(CHART);
    let mut all = vec!["template", "podskew", chart.to_str().unwrap(), "--namespace", "podskew"];
    all.extend(arguments);
    let objects = objects(&ask("helm", &all, b"").unwrap());
    of_kind(&objects, "Pod").pop().cloned()
}

/// The pod of `helm test` is allowed by the restricted standard, valid in every version of Kubernetes, and not selected by
/// a Service.
fn the_pod_of_helm_test_may_run_everywhere() {
    let mut pods = Vec::new();
    for mode in modes() {
        let Some(pod) = test_pod(&["--values", mode.to_str().unwrap()]) else { continue };
        let answer = ask(
            "podsecurity",
            &[],
            format!("{}\n", json!({ "metadata": pod["metadata"], "spec": pod["spec"] })).as_bytes(),
        );
        assert_eq!(answer.unwrap().trim(), "allowed", "{pod}");
        assert_eq!(pod.pointer("/metadata/annotations/helm.sh~1hook"), Some(&json!("test")), "{pod}");
        let objects = rendered_in(&mode);
        let selector = &the(&objects, "Service")["spec"]["selector"];
        let labels = &pod["metadata"]["labels"];
        let is_selected = selector.as_object().unwrap().iter().all(|(name, value)| labels[name] == *value);
        assert!(!is_selected, "{selector} selects {labels}");
        pods.push(pod);
    }
    assert!(pods.len() >= 10, "{}", pods.len());
    check_schemas(&pods);
    for values in ["service.enabled=false", "tests.enabled=false"] {
        assert_eq!(test_pod(&["--set", values]), None, "{values}");
    }
}

/// Runs the command of the `helm test` pod with podskew instead of its service.
fn tested(what: &str, pod: &Value, podskew: &secured::Served) {
    let command = texts(&pod["spec"]["containers"][0]["command"]);
    let (url, arguments) = command[1..].split_last().unwrap();
    let (scheme, rest) = url.split_once("://").unwrap();
    assert_eq!(scheme, podskew.scheme, "{what}");
    let url = format!("{scheme}://{}/{}", podskew.address, rest.split_once('/').unwrap().1);
    let arguments: Vec<&str> = arguments.iter().copied().chain([url.as_str()]).collect();
    let output = programs::run(Path::new(command[0]), &arguments, b"", "apt-get install curl");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said == "ready\n", "{what}: {said}");
}

fn the_page_has_a_port_if_it_has_an_address() {
    let own = rendered_in(&path(CHART).join("ci/options-values.yaml"));
    let ports = &container(&own)["ports"];
    assert_eq!(ports[1], json!({ "name": "page", "containerPort": 18081, "protocol": "TCP" }));
    let service = the(&own, "Service").pointer("/spec/ports/1").unwrap();
    assert_eq!(service, &json!({ "name": "page", "port": 18081, "targetPort": "page", "protocol": "TCP" }));
    let beside = chart::objects(&rendered(&["--set", "networkPolicy.enabled=true"]));
    assert_eq!(container(&beside)["ports"].as_array().unwrap().len(), 1);
    // YAML parses off as false.
    for (value, argument) in [("page=false", "--page=off"), ("page=true", "--page=on"), ("page=off", "--page=off")] {
        let objects = chart::objects(&rendered(&["--set", value]));
        assert_eq!(texts(&container(&objects)["args"]), [argument], "{value}");
    }
    // Users can reach the page, and Prometheus the metrics.
    let people =
        "networkPolicy.enabled=true,networkPolicy.from[0].podSelector.a=b,networkPolicy.people[0].podSelector.c=d";
    for (page, port) in [("page=on", "http"), ("page=:9000", "page")] {
        let objects = chart::objects(&rendered(&["--set", people, "--set-string", page]));
        let ingress = the(&objects, "NetworkPolicy").pointer("/spec/ingress").unwrap();
        assert_eq!((&ingress[0]["ports"][0]["port"], &ingress[1]["ports"][0]["port"]), (&json!("http"), &json!(port)));
    }
    let short = "prometheusRule.texts=short,pageUrl=https://podskew.example/";
    let groups = groups(&["--set", short]).to_string();
    let link = "https://podskew.example/workload/{{ $labels.namespace | urlquery }}/{{ $labels.workload_type | urlquery }}/{{ $labels.workload | urlquery }}";
    assert!(groups.contains(link), "{groups}");
}

fn promtool_accepts_the_rules_of_every_mode() {
    let directory = tempfile::tempdir().unwrap();
    let mut checked = 0;
    for (what, objects) in everything() {
        for rule in of_kind(&objects, "PrometheusRule") {
            let file = directory.path().join("rules.yaml");
            std::fs::write(&file, rule["spec"].to_string()).unwrap();
            let output = programs::promtool(&["check", "rules", file.to_str().unwrap()], b"");
            assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
            checked += 1;
        }
    }
    assert!(checked >= 4, "{checked}");
}

fn the_config_maps_contain_the_dashboards_byte_for_byte() {
    let mut found = 0;
    for (what, objects) in everything() {
        let maps = of_kind(&objects, "ConfigMap");
        for dashboard in dashboards() {
            let file = format!("podskew-{}", dashboard.file_name().unwrap().to_str().unwrap());
            let Some(map) = maps.iter().find(|map| map["data"].get(&file).is_some()) else { continue };
            assert!(map["data"][&file] == std::fs::read_to_string(&dashboard).unwrap(), "{what}: {file}");
            found += 1;
        }
    }
    assert_eq!(found, 3 * dashboards().len(), "two modes, and deploy/dashboards.yaml");
}

#[track_caller]
fn built(folder: &Path) -> String {
    ask("kustomize", &["build", folder.to_str().unwrap()], b"").unwrap()
}

/// The kustomization in docs/install.md, with the component that it omits, built from this checkout.
fn built_with_components() -> String {
    let document = read("docs/install.md");
    let (_, rest) = document.split_once("```yaml\napiVersion: kustomize").unwrap();
    let (shown, _) = rest.split_once("```").unwrap();
    let version = format!("?ref=v{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(shown.matches(&version).count(), 3, "{shown}");
    let here =
        shown.replace("https://github.com/podskew/podskew/", "../../").replace(&version, "").replace("  # - ", "  - ");
    let directory = tempfile::tempdir_in(path("target")).unwrap();
    std::fs::write(directory.path().join("kustomization.yaml"), format!("apiVersion: kustomize{here}")).unwrap();
    built(directory.path())
}

/// Removes labels that only Helm uses.
fn without_helms_labels(mut objects: Vec<Value>) -> Vec<Value> {
    for object in &mut objects {
        let labels = object.pointer_mut("/metadata/labels").unwrap().as_object_mut().unwrap();
        labels.retain(|name, _| name != "helm.sh/chart" && name != "app.kubernetes.io/managed-by");
    }
    objects
}

fn chart_kustomization_and_manifest_are_the_same() {
    let helm = without_helms_labels(objects(&rendered(&[])));
    assert_eq!(helm.len(), 5, "{helm:?}");
    assert_eq!(objects(&built(&path("deploy/kustomize/base"))), helm);
    let namespace = objects(&read("deploy/kustomize/namespace.yaml"));
    let mut whole = objects(&read("deploy/podskew.yaml"));
    assert_eq!(objects(&built(&path("deploy/kustomize"))), whole);
    whole.retain(|object| object["kind"] != "Namespace");
    assert_eq!(whole, helm);
    assert_eq!(namespace.len(), 1);
    assert_eq!(
        namespace[0].pointer("/metadata/labels/pod-security.kubernetes.io~1enforce"),
        Some(&json!("restricted"))
    );

    let values = [
        "serviceMonitor.enabled=true",
        "serviceMonitor.additionalLabels.release=kube-prometheus-stack",
        "prometheusRule.enabled=true",
        "prometheusRule.additionalLabels.release=kube-prometheus-stack",
        r"service.annotations.prometheus\.io/scrape=true",
        r"service.annotations.prometheus\.io/port=8080",
    ];
    let mut arguments = vec!["--namespace", "monitoring"];
    arguments.extend(
        values.iter().flat_map(|value| [if value.contains("annotations") { "--set-string" } else { "--set" }, value]),
    );
    let helm = without_helms_labels(objects(&rendered(&arguments)));
    assert_eq!(objects(&built_with_components()), helm);
}

/// Commands and values from a document can be installed.
fn the_chart_takes_the_values_that_documents_show() {
    let block = Regex::new(r"(?s)```(?:sh|yaml)\n(.*?)```").unwrap();
    let command = Regex::new(r"(?s)helm (?:install|upgrade) podskew (?:[^\n]|\\\n)*").unwrap();
    let set = Regex::new(r"(--set(?:-string)?) (?:'([^']*)'|([^\s`]+))").unwrap();
    let (mut commands, mut files) = (0, 0);
    let keys = ["prometheusRule:", "extraManifests:", "web:", "auth:", "serviceMonitor:", "podAnnotations:"];
    let documents = ["README.md", "docs/install.md", "docs/security.md", "docs/clusters.md", "docs/scraping.md"];
    for document in documents.into_iter().chain(["deploy/helm/podskew/README.md"]) {
        for found in block.captures_iter(&read(document)) {
            let shown = &found[1];
            if keys.iter().any(|key| shown.starts_with(key)) {
                let file = tempfile::NamedTempFile::new().unwrap();
                std::fs::write(file.path(), shown).unwrap();
                rendered(&["--values", file.path().to_str().unwrap()]);
                files += 1;
            }
            for command in command.find_iter(shown) {
                let given = set.captures_iter(command.as_str());
                let given: Vec<_> = given
                    .flat_map(|found| [found[1].to_owned(), found.get(2).or(found.get(3)).unwrap().as_str().to_owned()])
                    .collect();
                rendered(&given.iter().map(String::as_str).collect::<Vec<_>>());
                commands += 1;
            }
        }
    }
    assert_eq!((commands, files), (8, 9));
}

/// The table of resources by cluster size is the same in all places.
fn the_table_of_sizes_is_the_same_everywhere() {
    let values = read(&format!("{CHART}/values.yaml"));
    let document = read("docs/install.md");
    let rows: Vec<&str> = values.lines().filter_map(|line| line.strip_prefix("# | up to ")).collect();
    assert_eq!(rows.len(), 4);
    for row in rows {
        assert!(document.contains(&format!("| up to {row}")), "docs/install.md has no row {row}");
    }
}

/// The tests and their requirements.
pub fn tests() -> Vec<Test> {
    tests![
        the_chart_brings_the_dashboards: [],
        the_charts_readme_is_what_its_values_say: [HELM_DOCS],
        the_manifests_are_what_the_chart_says: [HELM],
        helm_finds_nothing_to_complain_about_in_any_mode: [HELM],
        every_helm_makes_the_same_of_the_chart_and_of_its_package: [HELM],
        the_chart_installs_the_version_that_it_came_with: [],
        every_object_fits_the_schemas_of_every_version: [PYTHON, HELM, KUSTOMIZE, CERT_MANAGER, GRAFANA_OPERATOR],
        every_object_carries_the_name: [HELM, KUSTOMIZE],
        only_the_option_auth_allows_reviews: [HELM, KUSTOMIZE],
        only_the_option_nodes_allows_listing_nodes: [HELM],
        only_with_registries_the_pod_can_reach_them: [HELM],
        the_rules_allow_only_to_list_and_watch_podskews_resources: [HELM, KUSTOMIZE],
        with_namespaces_there_are_roles_in_them_and_no_cluster_role: [HELM],
        every_pod_passes_the_restricted_pod_security_standard: [HELM, KUSTOMIZE, PODSECURITY],
        podskew_takes_the_arguments_of_every_mode_and_its_probes_pass: [HELM, KUSTOMIZE, CURL],
        monitors_use_the_scheme_and_credentials_of_podskew: [HELM],
        the_network_policy_names_prometheus_and_people_apart: [HELM],
        containers_beside_podskew_are_those_of_the_values: [HELM],
        every_option_has_a_value: [HELM],
        a_typo_is_refused_wherever_it_is: [HELM],
        nonsensical_options_are_refused: [HELM],
        another_chart_may_depend_on_it: [HELM],
        notes_contain_the_remaining_steps: [HELM],
        the_alerts_are_those_of_every_other_prometheus: [HELM],
        alerts_are_changed_as_if_their_source_were: [HELM],
        settings_are_changed_as_if_the_sources_were: [HELM],
        rules_are_added_and_kept: [HELM],
        the_dashboards_name_clusters_by_another_label: [HELM],
        the_grafana_operator_takes_the_dashboards_from_their_config_maps: [HELM],
        values_are_rendered_in_the_right_place: [HELM],
        the_pod_of_helm_test_may_run_everywhere: [PYTHON, HELM, PODSECURITY, CERT_MANAGER, GRAFANA_OPERATOR],
        the_page_has_a_port_if_it_has_an_address: [HELM],
        promtool_accepts_the_rules_of_every_mode: [PROMTOOL, HELM, KUSTOMIZE],
        the_config_maps_contain_the_dashboards_byte_for_byte: [HELM, KUSTOMIZE],
        chart_kustomization_and_manifest_are_the_same: [HELM, KUSTOMIZE],
        the_chart_takes_the_values_that_documents_show: [HELM],
        the_table_of_sizes_is_the_same_everywhere: [],
    ]
}
