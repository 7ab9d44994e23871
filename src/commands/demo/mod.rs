//! `podskew demo`: the exporter on a simulated cluster, in one process.

mod options;

pub use options::{DemoArguments, DemoOptions};

use crate::advice::shell_quote;
use crate::commands::serve::{Config, Listeners, Signals, watch_and_serve};
use crate::registry::RegistryAddress;
use crate::terminal::output;
use crate::watch;
use crate::web::bind;
use anyhow::Context;
use simulator::{DEMO_REGISTRY, DEMO_RELEASE, Demo, DemoConfig, ImageRegistry, Simulator, SimulatorConfig, Time};
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

/// An image of `shop/web` that the registry lacks.
const MISSING: &str = "registry.example/shop/web:typo";

/// Interval between two requests for a tag.
const REGISTRY_INTERVAL: Duration = Duration::from_secs(20);

/// Something to see in the demo.
struct Highlight {
    /// The workload, as `namespace/name`.
    workload: &'static str,
    /// The problem.
    what: &'static str,
    /// The metric that shows it.
    metric: &'static str,
}

/// Everything to see in the demo, the most instructive first.
const HIGHLIGHTS: [Highlight; 11] = [
    Highlight {
        workload: "shop/web",
        what: "digest skew: one template hash, two digests under the tag production-latest, for 23 minutes",
        metric: "podskew_distinct_digests_per_template_hash > 1",
    },
    Highlight {
        workload: "shop/web",
        what: "a moved tag: the registry has another commit under production-latest than five of its pods run",
        metric: "podskew_tag_moved_age_seconds{change=\"different\"} > 0",
    },
    Highlight {
        workload: "payments/ledger",
        what: "a stuck rollout: the new image cannot be pulled, for 47 minutes",
        metric: "podskew_rollout_state{state=\"stalled\"}",
    },
    Highlight {
        workload: "shop/checkout",
        what: "a rolling update that runs again and again, about every two minutes",
        metric: "podskew_rollout_age_seconds > 0",
    },
    Highlight {
        workload: "identity/login",
        what: "a rollout paused halfway, for three hours",
        metric: "podskew_rollout_state{state=\"paused\"}",
    },
    Highlight {
        workload: "search/query",
        what: "an injected istio-proxy of two versions under one hash: skew, but not the template's",
        metric: "podskew_distinct_digests_per_template_hash{origin=\"injected\"} > 1",
    },
    Highlight {
        workload: "internal/wiki",
        what: "an image without a tag: the next pod may run something else",
        metric: "podskew_image_reference_info{reference=\"latest\"}",
    },
    Highlight {
        workload: "internal/wiki",
        what: "two builds that differ in their provenance only: the registry says that they are one image",
        metric: "podskew_distinct_digests_per_workload{workload=\"wiki\"}",
    },
    Highlight {
        workload: "data/ledger-db",
        what: "a StatefulSet held back by its partition",
        metric: "podskew_rollout_state{state=\"partitioned\"}",
    },
    Highlight {
        workload: "kube-system/cni",
        what: "an OnDelete DaemonSet, half updated",
        metric: "podskew_rollout_state{state=\"on_delete\"}",
    },
    Highlight {
        workload: "growth/landing",
        what: "an Argo Rollout waiting at a canary step, if Rollouts are served",
        metric: "podskew_rollout_state{state=\"canary\"}",
    },
];

/// Simulates a cluster and serves its metrics until a signal ends it.
///
/// # Errors
///
/// A port is taken, or the simulated cluster fails.
pub async fn demo(options: DemoOptions) -> anyhow::Result<()> {
    let signals = Signals::listen().context("cannot listen for signals")?;
    let listener = bind(options.listen_address).await?;
    let address = listener.local_addr().context("cannot determine the address that podskew listens on")?;
    // The store bounds its history of changes by bytes.
    let config = SimulatorConfig { rollouts_served: true, history: usize::MAX, ..SimulatorConfig::default() };
    let simulator = Simulator::start(config).await.context("cannot start the simulated cluster")?;
    let images = ImageRegistry::start(None).await.context("cannot start the simulated registry")?;
    let size = DemoConfig { workloads: options.workloads, pods: options.pods };
    let mut cluster = Demo::begin_with(simulator.store(), &size, Time::now(), &images);

    // podskew connects over HTTP, as to any other cluster.
    let server = simulator.url().parse().context("the simulated cluster has no address")?;
    let client = watch::client(kube::Config::new(server))?;

    let kubeconfig = simulator.temporary_kubeconfig().context("cannot write a kubeconfig for the simulated cluster")?;
    let registry = format!("{DEMO_REGISTRY}={}", images.url());
    output::print(&banner(address.port(), &simulator.url(), kubeconfig.path(), &registry, size))?;
    let mut config: Config = options.into();
    config.registry.registries = vec![RegistryAddress::parse(&registry).map_err(anyhow::Error::msg)?];
    config.registry.interval = Some(REGISTRY_INTERVAL);
    let listeners = Listeners { main: listener, page: None };
    // A task of its own, so that a busy cluster does not block the server.
    let mut running = tokio::spawn(async move { cluster.run().await });
    let outcome = tokio::select! {
        outcome = watch_and_serve(config, client, listeners, None, signals) => outcome,
        ended = &mut running => ended.context("the simulated cluster failed"),
    };
    running.abort();
    outcome
}

/// The text that the demo prints at its start: addresses, highlights, and how to fix the first problem.
fn banner(port: u16, cluster: &str, kubeconfig: &Path, registry: &str, size: DemoConfig) -> String {
    let kubeconfig = shell_quote(&kubeconfig.to_string_lossy()).into_owned();
    let mut text = format!(
        "podskew watches a simulated cluster ({cluster}): {} workloads, {} pods. No real cluster is touched.\n\n  \
         page      http://localhost:{port}/\n  metrics   http://localhost:{port}/metrics\n  \
         kubectl   export KUBECONFIG={kubeconfig}\n  registry  {registry}\n\nWhat there is to see:\n",
        size.workloads, size.pods
    );
    let width = HIGHLIGHTS.iter().map(|highlight| highlight.workload.len()).max().unwrap_or(0);
    for highlight in HIGHLIGHTS {
        let _ = writeln!(
            text,
            "  {:width$}  {}\n  {:width$}  {}",
            highlight.workload, highlight.what, "", highlight.metric
        );
    }
    let program = std::env::args().next().unwrap_or_default();
    let podskew = shell_quote(&program);
    let steps = [
        (format!("export KUBECONFIG={kubeconfig}"), ""),
        (
            format!("{podskew} audit --nodes --registry {registry} -n shop deployment/web"),
            "what differs, which commits, which nodes hold what, and what to do",
        ),
        ("kubectl -n shop set image …".to_owned(), "the command behind \"Do:\""),
        (format!("{podskew} audit -n shop deployment/web --wait 2m"), "ends when all pods run one image"),
        (
            format!("curl -s localhost:{port}/metrics | grep 'digest_skew_age.*\"shop\".*\"web\"'"),
            "0: the skew is over, and so is its alert",
        ),
    ];
    let set_image = |image: &str| format!("kubectl -n shop set image deployment/web web={image}");
    let broken = [
        (set_image(MISSING), "the registry has no such tag: ImagePullBackOff"),
        (format!("{podskew} explain -n shop deployment/web"), "why its new pods are not ready"),
        (set_image(DEMO_RELEASE), "a tag that it has: the rollout completes"),
    ];
    for (title, steps) in
        [("Fix shop/web from a second terminal:", &steps[..]), ("Break it with a deploy, and fix that:", &broken[..])]
    {
        let _ = writeln!(text, "\n{title}");
        for (command, what) in steps {
            let _ = writeln!(text, "  {command}{}{what}", if what.is_empty() { "" } else { "   # " });
        }
    }
    text.push_str(
        "\nEvery command that podskew prints works here: kubectl's, and those of Argo Rollouts' plugin.\nStop with Ctrl-C.\n\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::{HIGHLIGHTS, MISSING};
    use simulator::{DEMO_RELEASE, Demo, DemoConfig, Resource, Store, Time};

    #[test]
    fn every_highlight_is_a_workload_of_the_demo() {
        let store = Store::new(1000);
        let demo = Demo::begin(&store, &DemoConfig { workloads: 0, pods: 0 }, Time::now());
        assert_eq!(demo.registry().resolve(MISSING), None);
        assert!(demo.registry().resolve(DEMO_RELEASE).is_some());
        for highlight in HIGHLIGHTS {
            let (namespace, name) = highlight.workload.split_once('/').unwrap();
            let found = Resource::ALL.into_iter().any(|resource| store.get(resource, namespace, name).is_some());
            assert!(found, "{}", highlight.workload);
        }
    }
}
