//! Options of `serve`.
#![allow(clippy::doc_markdown, reason = "clap prints these comments unchanged, including backticks")]

use super::page_options::{PageArguments, PageConfig};
use crate::access::AccessConfig;
use crate::commands::options::values::{self, FamilyPatterns};
use crate::commands::options::{
    ACCESS, ConnectionArguments, CountArguments, LogArguments, LogConfig, MAX_NAMESPACES, METRICS, NodeArguments,
    RegistryArguments, RegistryIntervalArguments, WHAT, candidates, check_namespaces, settings, unique,
};
use crate::exposition::Selection;
use crate::inventory::{PodLabel, Settings};
use crate::registry::RegistryOptions;
use crate::watch::Connection;
use crate::web::ListenAddress;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueHint};
use clap_complete::engine::ArgValueCompleter;
use std::collections::HashMap;
use std::path::PathBuf;

/// Arguments of `serve`.
#[derive(Args, Debug)]
pub struct ServeArguments {
    /// The cluster and the user.
    #[command(flatten)]
    pub connection: ConnectionArguments,

    /// Namespace to watch; repeatable, at most 50 [default: all namespaces]
    #[arg(
        short = 'n', long, value_name = "NAMESPACE", env = "PODSKEW_NAMESPACE", help_heading = WHAT,
        value_delimiter = ',', value_parser = values::namespace, add = ArgValueCompleter::new(candidates::namespaces)
    )]
    pub namespace: Vec<String>,

    /// Which objects count.
    #[command(flatten)]
    pub counts: CountArguments,

    /// Whether to list nodes.
    #[command(flatten)]
    pub nodes: NodeArguments,

    /// Which registries to ask.
    #[command(flatten)]
    pub registry: RegistryArguments,

    /// How often to ask registries.
    #[command(flatten)]
    pub registry_interval: RegistryIntervalArguments,

    /// Address and port to listen on; [::] includes IPv4, and is IPv4 alone where IPv6 is disabled
    #[arg(
        long, value_name = "ADDRESS", env = "PODSKEW_LISTEN_ADDRESS", help_heading = METRICS,
        default_value_t
    )]
    pub listen_address: ListenAddress,

    /// Pod label to add as label_KEY to podskew_pod_info and podskew_template_hash_info; repeatable
    #[arg(
        long, value_name = "KEY", env = "PODSKEW_POD_LABEL", help_heading = METRICS,
        value_delimiter = ',', value_parser = values::pod_label
    )]
    pub pod_label: Vec<PodLabel>,

    /// Regular expression that matches whole names of metrics to serve; repeatable [default: all]
    #[arg(
        long, value_name = "REGEX", env = "PODSKEW_METRIC_ALLOWLIST", help_heading = METRICS,
        value_parser = values::family_patterns
    )]
    pub metric_allowlist: Vec<FamilyPatterns>,

    /// Regular expression that matches whole names of metrics to leave out; repeatable
    #[arg(
        long, value_name = "REGEX", env = "PODSKEW_METRIC_DENYLIST", help_heading = METRICS,
        value_parser = values::family_patterns
    )]
    pub metric_denylist: Vec<FamilyPatterns>,

    /// Where to serve the page.
    #[command(flatten)]
    pub page: PageArguments,

    /// File with TLS settings, users, headers and a rate limit, in the format of Prometheus' exporter-toolkit
    #[arg(
        long, value_name = "FILE", env = "PODSKEW_WEB_CONFIG_FILE", help_heading = ACCESS, value_hint = ValueHint::FilePath
    )]
    pub web_config_file: Option<PathBuf>,

    /// Require a bearer token that the API server authorizes to get the path
    #[arg(
        long, value_name = "METHOD", env = "PODSKEW_AUTH", help_heading = ACCESS, value_parser = auth()
    )]
    pub auth: Option<Auth>,

    /// Token audience to accept; repeatable [default: those of the API server]
    #[arg(
        long, value_name = "AUDIENCE", env = "PODSKEW_AUTH_AUDIENCE", help_heading = ACCESS,
        value_delimiter = ',', value_parser = values::non_empty, requires = "auth"
    )]
    pub auth_audience: Vec<String>,

    /// Log options.
    #[command(flatten)]
    pub log: LogArguments,
}

/// Checked options of `podskew serve`.
#[derive(Clone, Debug)]
pub struct Config {
    /// How to connect to the cluster.
    pub connection: Connection,
    /// Address and port of the metrics.
    pub listen_address: ListenAddress,
    /// The namespaces to watch, sorted and distinct; empty for all.
    pub namespaces: Vec<String>,
    /// Which objects count.
    pub settings: Settings,
    /// Whether to list nodes as evidence.
    pub nodes: bool,
    /// Which registries to ask.
    pub registry: RegistryOptions,
    /// Which families to serve.
    pub selection: Selection,
    /// The page for people, and the JSON API.
    pub page: PageConfig,
    /// Access control.
    pub access: AccessConfig,
    /// Log options.
    pub log: LogConfig,
}

impl Config {
    /// Checks `arguments`.
    ///
    /// # Errors
    ///
    /// The arguments contradict each other.
    pub fn new(arguments: ServeArguments) -> Result<Self, String> {
        let namespaces = unique(arguments.namespace);
        let settings = settings(arguments.counts);
        if namespaces.len() > MAX_NAMESPACES {
            return Err(format!(
                "--namespace names {} namespaces, but podskew watches at most {MAX_NAMESPACES} one by one; remove it to watch all, and exclude others with --exclude-namespace",
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
            page: PageConfig::new(arguments.page, arguments.listen_address)?,
            access: AccessConfig {
                web_config_file: arguments.web_config_file,
                token_reviews: arguments.auth == Some(Auth::Kubernetes),
                audiences: arguments.auth_audience,
            },
            log: arguments.log.into(),
        })
    }
}

/// A method of authentication.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Auth {
    /// The API server reviews bearer tokens.
    Kubernetes,
}

fn auth() -> impl TypedValueParser<Value = Auth> {
    PossibleValuesParser::new(["kubernetes"]).map(|_| Auth::Kubernetes)
}

/// Rejects two keys with one metric label: Prometheus rejects a series with a duplicate label.
fn distinct_labels(labels: Vec<PodLabel>) -> Result<Vec<PodLabel>, String> {
    let mut distinct: Vec<PodLabel> = Vec::with_capacity(labels.len());
    let mut keys: HashMap<String, String> = HashMap::new();
    for label in labels {
        match keys.get(&label.metric_label) {
            None => {
                keys.insert(label.metric_label.clone(), label.key.clone());
                distinct.push(label);
            }
            // A repeated key is ignored.
            Some(key) if *key == label.key => {}
            Some(key) => {
                return Err(format!(
                    "--pod-label '{key}' and --pod-label '{}' would both become {}; remove one of them",
                    label.key, label.metric_label
                ));
            }
        }
    }
    Ok(distinct)
}

fn selection(allow: Vec<FamilyPatterns>, deny: Vec<FamilyPatterns>) -> Result<Selection, String> {
    let flattened = |patterns: Vec<FamilyPatterns>| patterns.into_iter().flat_map(|all| all.0).collect::<Vec<_>>();
    Selection::new(&flattened(allow), &flattened(deny)).map_err(|error| {
        format!(
            "--metric-allowlist or --metric-denylist cannot be matched against a whole name: {error}\n\
             write it without a comment"
        )
    })
}
