//! Metrics about registries. They exist only with `--registry`.

use super::{Telemetry, families, labelled, seconds_since_1970};
use prometheus::{GaugeVec, IntCounterVec, IntGaugeVec};

/// Metrics about registries. They exist only with `--registry`.
#[derive(Clone)]
pub struct RegistryHealth {
    references: IntGaugeVec,
    requests: IntCounterVec,
    last_success: GaugeVec,
    remaining: IntGaugeVec,
}

impl Telemetry {
    /// Registers the metrics about registries, with the configured hosts at zero.
    pub fn registries(&self, hosts: &[&str]) -> Result<RegistryHealth, prometheus::Error> {
        let health = RegistryHealth {
            references: labelled(&self.registry, &families::REGISTRY_REFERENCES, IntGaugeVec::new)?,
            requests: labelled(&self.registry, &families::REGISTRY_REQUESTS, IntCounterVec::new)?,
            last_success: labelled(&self.registry, &families::REGISTRY_LAST_SUCCESS, GaugeVec::new)?,
            remaining: labelled(&self.registry, &families::REGISTRY_RATE_LIMIT_REMAINING, IntGaugeVec::new)?,
        };
        for host in hosts {
            health.last_success.with_label_values(&[host]).set(0.0);
        }
        Ok(health)
    }
}

impl RegistryHealth {
    /// Counts a request and its result.
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
