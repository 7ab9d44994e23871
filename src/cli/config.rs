//! What is meant: every value checked, and the values against each other.

#[cfg(feature = "demo")]
use super::arguments::DemoArguments;
use super::arguments::{
    AuditArguments, Called, ConnectionArguments, CountArguments, DiffArguments, DiffFormat, ExplainArguments,
    ExplainFormat, LogArguments, LookArguments, ServeArguments,
};
use super::values::{Auth, FailOn, FamilyPatterns};
use crate::access::AccessConfig;
use crate::audit::{Format, Strictness};
use crate::cluster::Connection;
use crate::exposition::Selection;
use crate::inventory::{PodLabel, Settings, WorkloadKind};
use crate::look::{Looking, Named, Namespaces, Place, Selector, named};
use crate::registry::RegistryOptions;
use crate::web::ListenAddress;
use std::collections::HashMap;
use std::time::Duration;
use tracing::level_filters::LevelFilter;

/// Each namespace costs a connection for every watched resource.
const MAX_NAMESPACES: usize = 50;

/// What `podskew serve` is to do.
#[derive(Clone, Debug)]
pub struct Config {
    /// How to reach the cluster.
    pub connection: Connection,
    /// Where to serve.
    pub listen_address: ListenAddress,
    /// The only namespaces to watch, each once, sorted; empty for all.
    pub namespaces: Vec<String>,
    /// What counts.
    pub settings: Settings,
    /// Whether to ask nodes what they say of images.
    pub nodes: bool,
    /// Which registries to ask.
    pub registry: RegistryOptions,
    /// Which families to serve.
    pub selection: Selection,
    /// Access control.
    pub access: AccessConfig,
    /// How to log.
    pub log: LogConfig,
}

/// What `podskew demo` is to do.
#[cfg(feature = "demo")]
#[derive(Clone, Copy, Debug)]
pub struct DemoOptions {
    /// How many workloads to simulate.
    pub workloads: u32,
    /// How many pods to simulate, over all workloads.
    pub pods: u32,
    /// Where to serve.
    pub listen_address: ListenAddress,
    /// How to log.
    pub log: LogConfig,
}

/// How to log.
#[derive(Clone, Copy, Debug)]
pub struct LogConfig {
    /// In which form.
    pub format: LogFormat,
    /// From which severity on.
    pub level: LevelFilter,
}

/// The form of the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Config {
    /// What `arguments` mean, or why they mean nothing.
    pub fn new(arguments: ServeArguments) -> Result<Self, String> {
        let namespaces = unique(arguments.namespace);
        let settings = settings(arguments.counts);
        if namespaces.len() > MAX_NAMESPACES {
            return Err(format!(
                "--namespace names {} namespaces, and podskew watches at most {MAX_NAMESPACES} one by one; leave it out to \
                 watch all, and name those you do not want with --exclude-namespace",
                namespaces.len()
            ));
        }
        check_namespaces(&namespaces, &settings)?;
        Ok(Self {
            connection: arguments.connection.into(),
            listen_address: arguments.listen_address,
            namespaces,
            nodes: arguments.nodes.nodes,
            registry: arguments.registry.options(arguments.registry_interval.registry_interval, None)?,
            settings: Settings { pod_labels: distinct_labels(arguments.pod_label)?, ..settings },
            selection: selection(arguments.metric_allowlist, arguments.metric_denylist)?,
            access: AccessConfig {
                web_config_file: arguments.web_config_file,
                token_reviews: arguments.auth == Some(Auth::Kubernetes),
                audiences: arguments.auth_audience,
            },
            log: arguments.log.into(),
        })
    }
}

impl Looking {
    /// What `arguments` mean, or why they mean nothing.
    pub fn new(arguments: LookArguments, selector: Option<Selector>) -> Result<Self, String> {
        let names = unique(arguments.namespace);
        let settings = settings(arguments.counts);
        if names.len() > MAX_NAMESPACES && arguments.filename.is_empty() {
            return Err(format!(
                "--namespace names {} namespaces, and podskew asks for at most {MAX_NAMESPACES} one by one; take \
                 --all-namespaces, and name those you do not want with --exclude-namespace",
                names.len()
            ));
        }
        check_namespaces(&names, &settings)?;
        let files = arguments.filename;
        if files.iter().filter(|file| file.as_os_str() == "-").count() > 1 {
            return Err("--filename names standard input twice, and it can be read once; leave one - out".to_owned());
        }
        let place = if files.is_empty() {
            Place::Cluster {
                connection: arguments.connection.into(),
                namespaces: match (arguments.all_namespaces, names.is_empty()) {
                    (true, _) => Namespaces::All,
                    (false, true) => Namespaces::OfContext,
                    (false, false) => Namespaces::These(names),
                },
            }
        } else {
            Place::Dump { files, namespaces: names, taken: arguments.taken }
        };
        Ok(Self { place, settings, selector, needs_pods: true, nodes: false, registry: RegistryOptions::default() })
    }
}

/// What `podskew audit` is to do.
#[derive(Clone, Debug)]
pub struct AuditOptions {
    /// Where to look, and at what.
    pub looking: Looking,
    /// The workloads that are named; all if none is.
    pub names: Vec<Named>,
    /// In which form to print it.
    pub format: Format,
    /// What makes it stricter or more lenient.
    pub strictness: Strictness,
    /// For how long to wait until everything is rolled out and uniform.
    pub patience: Option<Duration>,
    /// How to log.
    pub log: LogConfig,
}

impl AuditOptions {
    /// What `arguments` mean, or why they mean nothing.
    pub fn new(arguments: AuditArguments) -> Result<Self, String> {
        let mut looking = Looking::new(arguments.look, arguments.selector)?;
        let names = named(&arguments.workloads, &looking.settings.workload_kinds)?;
        looking.nodes = arguments.nodes.nodes;
        looking.settings.messages = true;
        looking.registry = arguments.registry.options(None, arguments.registry_timeout.registry_timeout)?;
        // Who names a Job wants it counted.
        looking.settings.jobs |= names.iter().any(|named| named.workload_type == "job");
        Ok(Self {
            names,
            looking,
            format: arguments.output,
            strictness: Strictness {
                strict: arguments.strict,
                no_deliberate: arguments.no_deliberate,
                injected: arguments.injected,
                moved: arguments.fail_on.contains(&FailOn::Moved),
                gone: arguments.fail_on.contains(&FailOn::Gone),
                allow_empty: arguments.allow_empty,
            },
            patience: arguments.wait,
            log: arguments.log.into(),
        })
    }
}

/// What `podskew explain` is to do.
#[derive(Clone, Debug)]
pub struct ExplainOptions {
    /// Where to look.
    pub looking: Looking,
    /// What to explain.
    pub workloads: Vec<Named>,
    /// In which form.
    pub format: ExplainFormat,
    /// What podskew goes by here.
    pub program: &'static str,
    /// How to log.
    pub log: LogConfig,
}

/// What `podskew diff` is to do.
#[derive(Clone, Debug)]
pub struct DiffOptions {
    /// Where to look.
    pub looking: Looking,
    /// Whose templates.
    pub workload: Named,
    /// Which: none, one or two, as they were typed.
    pub hashes: Vec<String>,
    /// Whether to show what may be a secret.
    pub show_values: bool,
    /// How many lines around a difference.
    pub context: u16,
    /// In which form.
    pub format: DiffFormat,
    /// How to log.
    pub log: LogConfig,
}

impl ExplainOptions {
    /// What `arguments` mean, or why they mean nothing.
    pub fn new(arguments: ExplainArguments) -> Result<Self, String> {
        let mut looking = Looking::new(arguments.look, None)?;
        let workloads = named(&arguments.workloads, &looking.settings.workload_kinds)?;
        looking.nodes = arguments.nodes.nodes;
        looking.registry = arguments.registry.options(None, arguments.registry_timeout.registry_timeout)?;
        looking.settings.images_of_history = true;
        looking.settings.messages = true;
        // Who names one wants it counted.
        looking.settings.jobs |= workloads.iter().any(|named| matches!(&*named.workload_type, "job" | "pod"));
        let (format, program) = (arguments.output, Called::now().program());
        Ok(Self { looking, workloads, format, program, log: arguments.log.into() })
    }
}

impl DiffOptions {
    /// What `arguments` mean, or why they mean nothing.
    pub fn new(arguments: DiffArguments) -> Result<Self, String> {
        // Templates are told by ReplicaSets and ControllerRevisions alone.
        let looking = Looking { needs_pods: false, ..Looking::new(arguments.look, None)? };
        let workload = match named(&[arguments.workload], &looking.settings.workload_kinds)?.pop() {
            Some(named) if TEMPLATED.contains(&named.workload_type.as_str()) => named,
            Some(named) if named.workload_type == "pod" => {
                return Err(format!(
                    "{named} has one template and no history; name its workload: {} explain {named} tells which",
                    Called::now().program()
                ));
            }
            other => {
                let kind = other.map(|named| named.workload_type).unwrap_or_default();
                return Err(format!(
                    "a {kind} keeps no templates to compare; those that do are {}",
                    TEMPLATED.join(", ")
                ));
            }
        };
        Ok(Self {
            looking,
            workload,
            hashes: arguments.hashes,
            show_values: arguments.show_values,
            context: arguments.unified,
            format: arguments.output,
            log: arguments.log.into(),
        })
    }
}

/// The types whose objects keep their templates in ReplicaSets or ControllerRevisions.
pub(super) const TEMPLATED: [&str; 5] = ["deployment", "statefulset", "daemonset", "rollout", "experiment"];

impl From<ConnectionArguments> for Connection {
    fn from(arguments: ConnectionArguments) -> Self {
        Self { kubeconfig: arguments.kubeconfig, context: arguments.context }
    }
}

fn settings(arguments: CountArguments) -> Settings {
    Settings {
        exclude_namespaces: unique(arguments.exclude_namespace),
        ignore_containers: unique(arguments.ignore_container),
        pod_labels: Vec::new(),
        jobs: arguments.jobs,
        workload_kinds: distinct_kinds(arguments.workload_kind),
        stalled_after: arguments.stalled_after,
        images_of_history: false,
        messages: false,
    }
}

fn check_namespaces(namespaces: &[String], settings: &Settings) -> Result<(), String> {
    match namespaces.iter().find(|name| settings.exclude_namespaces.contains(name)) {
        None => Ok(()),
        Some(both) => Err(format!(
            "namespace '{both}' is both in --namespace and in --exclude-namespace; take it out of one of them"
        )),
    }
}

#[cfg(feature = "demo")]
impl DemoOptions {
    /// What `arguments` mean, or why they mean nothing.
    pub fn new(arguments: DemoArguments) -> Result<Self, String> {
        if arguments.pods < arguments.workloads {
            return Err(format!(
                "--pods {} is less than --workloads {}; every workload has at least one pod",
                arguments.pods, arguments.workloads
            ));
        }
        Ok(Self {
            workloads: arguments.workloads,
            pods: arguments.pods,
            listen_address: arguments.listen_address,
            log: arguments.log.into(),
        })
    }
}

/// The simulated cluster is served as any other, with nothing left out.
#[cfg(feature = "demo")]
impl From<DemoOptions> for Config {
    fn from(options: DemoOptions) -> Self {
        Self {
            connection: Connection::default(),
            listen_address: options.listen_address,
            namespaces: Vec::new(),
            settings: Settings::default(),
            nodes: true,
            registry: RegistryOptions::default(),
            selection: Selection::default(),
            access: AccessConfig::default(),
            log: options.log,
        }
    }
}

impl From<LogArguments> for LogConfig {
    fn from(arguments: LogArguments) -> Self {
        Self { format: arguments.log_format, level: arguments.log_level }
    }
}

fn unique(mut names: Vec<String>) -> Vec<String> {
    names.sort_unstable();
    names.dedup();
    names
}

/// Two keys under one name would make two labels of one series alike, which Prometheus refuses.
fn distinct_labels(labels: Vec<PodLabel>) -> Result<Vec<PodLabel>, String> {
    let mut distinct: Vec<PodLabel> = Vec::with_capacity(labels.len());
    let mut keys: HashMap<String, String> = HashMap::new();
    for label in labels {
        match keys.get(&label.metric_label) {
            None => {
                keys.insert(label.metric_label.clone(), label.key.clone());
                distinct.push(label);
            }
            // The same key twice says nothing new.
            Some(key) if *key == label.key => {}
            Some(key) => {
                return Err(format!(
                    "--pod-label '{key}' and --pod-label '{}' would both become {}; leave one of them out",
                    label.key, label.metric_label
                ));
            }
        }
    }
    Ok(distinct)
}

fn distinct_kinds(kinds: Vec<WorkloadKind>) -> Vec<WorkloadKind> {
    let mut distinct: Vec<WorkloadKind> = Vec::with_capacity(kinds.len());
    for kind in kinds {
        let same = |other: &WorkloadKind| {
            other.kind.eq_ignore_ascii_case(&kind.kind) && other.group.eq_ignore_ascii_case(&kind.group)
        };
        if !distinct.iter().any(same) {
            distinct.push(kind);
        }
    }
    distinct
}

fn selection(allow: Vec<FamilyPatterns>, deny: Vec<FamilyPatterns>) -> Result<Selection, String> {
    let flattened = |patterns: Vec<FamilyPatterns>| patterns.into_iter().flat_map(|all| all.0).collect::<Vec<_>>();
    Selection::new(&flattened(allow), &flattened(deny)).map_err(|error| {
        format!(
            "--metric-allowlist or --metric-denylist cannot be held against a whole name: {error}\n\
             write it without a comment"
        )
    })
}
