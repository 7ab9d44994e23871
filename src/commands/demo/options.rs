//! Options of `demo`.
#![allow(clippy::doc_markdown, reason = "clap prints these comments unchanged, including backticks")]

use crate::access::AccessConfig;
use crate::commands::options::{LogArguments, LogConfig};
use crate::commands::serve::{Config, PageConfig};
use crate::exposition::Selection;
use crate::inventory::Settings;
use crate::registry::RegistryOptions;
use crate::watch::Connection;
use crate::web::ListenAddress;
use clap::Args;

/// Arguments of `demo`.
#[derive(Args, Debug)]
pub struct DemoArguments {
    /// Number of workloads in the simulated cluster
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub workloads: u32,

    /// Number of pods, over all workloads
    #[arg(long, value_name = "N", default_value_t = 160, value_parser = clap::value_parser!(u32).range(1..=500_000))]
    pub pods: u32,

    /// Address and port to listen on
    #[arg(long, value_name = "ADDRESS", env = "PODSKEW_LISTEN_ADDRESS", default_value_t)]
    pub listen_address: ListenAddress,

    /// Log options.
    #[command(flatten)]
    pub log: LogArguments,
}

/// Checked options of `podskew demo`.
#[derive(Clone, Copy, Debug)]
pub struct DemoOptions {
    /// Number of workloads.
    pub workloads: u32,
    /// Number of pods over all workloads.
    pub pods: u32,
    /// Address and port of the metrics.
    pub listen_address: ListenAddress,
    /// Log options.
    pub log: LogConfig,
}

impl DemoOptions {
    /// Checks `arguments`.
    ///
    /// # Errors
    ///
    /// The arguments contradict each other.
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

/// Serves the simulated cluster like any other, with every feature.
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
            // The simulated cluster has no confidential messages.
            page: PageConfig { messages: true, ..PageConfig::default() },
            access: AccessConfig::default(),
            log: options.log,
        }
    }
}
