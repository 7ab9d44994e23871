//! Metrics about registries. They exist only with `--registry`.

use super::{Telemetry, seconds_since_1970};
use prometheus::{GaugeVec, IntCounterVec, IntGaugeVec, Opts};

/// Metrics about registries. They exist only with `--registry`.
#[derive(Clone)]
pub struct RegistryHealth {
    references: IntGaugeVec,
    requests: IntCounterVec,
    last_success: GaugeVec,
    remaining: IntGaugeVec,
}

impl Telemetry {
    /// Registers the metrics about registries, with those that are listed at zero.
    pub fn registries(&self, hosts: &[&str]) -> Result<RegistryHealth, prometheus::Error> {
        let health = RegistryHealth {
            references: IntGaugeVec::new(
                Opts::new(
                    "podskew_registry_references",
                    "Image references that started containers run and that the registry is asked for, by state: pending, answered, \
                     gone, not_found, unauthorized, throttled, unconfirmed (the content does not have its digest), failed, or contradicted \
                     (nodes resolve the tag elsewhere).",
                ),
                &["registry", "state"],
            )?,
            requests: IntCounterVec::new(
                Opts::new(
                    "podskew_registry_requests_total",
                    "Requests to the registry, its token server and where it redirects, by HTTP status, or timeout, refused \
                     (an address that is not connected to) or connection.",
                ),
                &["registry", "code"],
            )?,
            last_success: GaugeVec::new(
                Opts::new(
                    "podskew_registry_last_success_timestamp_seconds",
                    "When the registry last answered with 200; 0 before the first.",
                ),
                &["registry"],
            )?,
            remaining: IntGaugeVec::new(
                Opts::new(
                    "podskew_registry_rate_limit_remaining",
                    "Requests that the registry still answers in its window, as its last answer says; absent where it does not.",
                ),
                &["registry"],
            )?,
        };
        self.registry.register(Box::new(health.references.clone()))?;
        self.registry.register(Box::new(health.requests.clone()))?;
        self.registry.register(Box::new(health.last_success.clone()))?;
        self.registry.register(Box::new(health.remaining.clone()))?;
        for host in hosts {
            health.last_success.with_label_values(&[host]).set(0.0);
        }
        Ok(health)
    }
}

impl RegistryHealth {
    /// Counts a request and what came of it.
    pub fn asked(&self, host: &str, code: &str, succeeded: bool, remaining: Option<u32>) {
        self.requests.with_label_values(&[host, code]).inc();
        if succeeded {
            self.last_success.with_label_values(&[host]).set(seconds_since_1970());
        }
        if let Some(remaining) = remaining {
            self.remaining.with_label_values(&[host]).set(i64::from(remaining));
        }
    }

    /// Sets how many references of a host are in each state.
    pub fn references<'s>(&self, host: &str, states: impl Iterator<Item = (&'s str, usize)>) {
        for (state, count) in states {
            self.references.with_label_values(&[host, state]).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }
}
