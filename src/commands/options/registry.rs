//! Options for registries.
#![allow(clippy::doc_markdown, reason = "clap prints these comments unchanged, including backticks")]

use super::{REGISTRIES, values};
use crate::registry::{RegistryAddress, RegistryOptions};
use clap::{Args, ValueHint};
use std::path::PathBuf;
use std::time::Duration;

/// Which registries to ask, with which credentials.
#[derive(Args, Debug)]
pub struct RegistryArguments {
    /// Registry to ask which digest a tag points to, at its own address or at URL, for example a mirror; repeatable
    #[arg(
        long, value_name = "HOST[=URL]", env = "PODSKEW_REGISTRY", help_heading = REGISTRIES,
        value_delimiter = ',', value_parser = values::registry
    )]
    pub registry: Vec<RegistryAddress>,

    /// File with credentials for registries, in the format of Docker's config.json; reloaded when it changes
    #[arg(
        long, value_name = "FILE", env = "PODSKEW_REGISTRY_AUTH", help_heading = REGISTRIES, requires = "registry",
        value_hint = ValueHint::FilePath
    )]
    pub registry_auth: Option<PathBuf>,

    /// Directory with the docker-credential-* programs that the file of --registry-auth names
    #[arg(
        long, value_name = "DIR", env = "PODSKEW_REGISTRY_HELPERS", help_heading = REGISTRIES, requires = "registry_auth",
        value_hint = ValueHint::DirPath
    )]
    pub registry_helpers: Option<PathBuf>,

    /// File with PEM certificates to trust for registries, in addition to the system's
    #[arg(
        long, value_name = "FILE", env = "PODSKEW_REGISTRY_CA", help_heading = REGISTRIES, requires = "registry",
        value_hint = ValueHint::FilePath
    )]
    pub registry_ca: Option<PathBuf>,
}

/// How often to ask registries.
#[derive(Args, Debug)]
pub struct RegistryIntervalArguments {
    /// Interval between two checks of a tag [default: 15m; docker.io 1h]
    #[arg(
        long, value_name = "DURATION", env = "PODSKEW_REGISTRY_INTERVAL", help_heading = REGISTRIES,
        value_parser = values::duration, requires = "registry"
    )]
    pub registry_interval: Option<Duration>,
}

/// How long to wait for registries.
#[derive(Args, Debug)]
pub struct RegistryTimeoutArguments {
    /// Maximum time to wait for all registries [default: 30s]
    #[arg(
        long, value_name = "DURATION", env = "PODSKEW_REGISTRY_TIMEOUT", help_heading = REGISTRIES,
        value_parser = values::duration, requires = "registry"
    )]
    pub registry_timeout: Option<Duration>,
}

impl RegistryArguments {
    /// Checks these arguments.
    ///
    /// # Errors
    ///
    /// The arguments contradict each other.
    pub fn options(self, interval: Option<Duration>, timeout: Option<Duration>) -> Result<RegistryOptions, String> {
        let mut registries = self.registry;
        registries.sort();
        registries.dedup();
        if let Some(pair) = registries.windows(2).find(|pair| pair[0].host == pair[1].host) {
            return Err(format!("--registry names {} at two addresses; remove one of them", pair[0].host));
        }
        Ok(RegistryOptions {
            registries,
            auth: self.registry_auth,
            helpers: self.registry_helpers,
            certificates: self.registry_ca,
            interval,
            timeout,
        })
    }
}
