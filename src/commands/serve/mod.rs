//! `podskew serve`: joins the rooms together. It decides nothing about pods; it starts, and it stops.
//!
//! ```text
//!  watch::run ──▶ Mutex<Inventory> ──take_changes──▶ render ──publish──▶ Exposition ──picture──▶ web::Server
//! ```

mod live;
mod options;
mod render;
mod signals;

use crate::access::AccessControl;
use crate::exposition::Exposition;
use crate::inventory::Inventory;
use crate::registry::{self, RegistryTimings};
use crate::telemetry::{Telemetry, WebConfigHealth};
use crate::watch::{self, Timings};
use crate::web::{Limits, Server, bind};
use anyhow::{Context, bail};
use live::Live;
pub use options::{Auth, Config, ServeArguments};
pub use signals::Signals;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// Watches the cluster that `config` names and serves its metrics, until a signal says to stop.
pub async fn serve(config: Config) -> anyhow::Result<()> {
    // Before all else: as process 1 of a container, podskew gets only the signals it asks for.
    let mut signals = Signals::listen().context("cannot listen for signals")?;
    // Errors in the web configuration or the address show at once, whether or not the cluster can be reached.
    let access = AccessControl::open(&config.access)?;
    let listener = bind(config.listen_address).await?;
    let connected = tokio::select! {
        connected = watch::connect(&config.connection) => connected?,
        _ = signals.next() => return Ok(()),
    };
    tracing::info!(server = connected.server, origin = connected.origin, proxy = connected.proxy, "watching");
    watch_and_serve(config, connected.client, listener, access, signals).await
}

/// The same with a connection to the cluster, and a listener, that are there already.
pub async fn watch_and_serve(
    config: Config,
    client: kube::Client,
    listener: TcpListener,
    access: Option<AccessControl>,
    mut signals: Signals,
) -> anyhow::Result<()> {
    let telemetry = Telemetry::new().context("cannot register podskew's own metrics")?;
    let sources = watch::sources(&config.namespaces);
    let mut inventory = Inventory::new(config.settings.clone(), &sources);
    if config.nodes {
        inventory.await_evidence();
    }
    let inventory = Arc::new(Mutex::new(inventory));
    // They begin while the rest is prepared.
    let watches = watch::run(&client, &config.namespaces, &inventory, &telemetry, Timings::default());
    let mut nodes = JoinSet::new();
    if config.nodes {
        let (sink, telemetry) = (Arc::clone(&inventory), telemetry.clone());
        nodes.spawn(watch::keep_listing_nodes(client.clone(), sink, telemetry, Timings::default()));
    }
    let mut registries = JoinSet::new();
    if config.registry.is_on() {
        let hosts: Vec<&str> = config.registry.registries.iter().map(|registry| registry.host.as_str()).collect();
        let health = telemetry.registries(&hosts).context("cannot register the metrics of registries")?;
        let sink = Arc::clone(&inventory);
        registries = registry::keep_asking(&config.registry, &RegistryTimings::of(&config.registry), sink, &health)?;
    }
    let pod_labels = config.settings.pod_labels.iter().map(|label| label.metric_label.clone());
    let exposition = Arc::new(Exposition::new(config.selection, pod_labels.collect()));
    let live = Arc::new(Live::new(
        Arc::clone(&exposition),
        telemetry.clone(),
        config.namespaces.clone(),
        config.settings.exclude_namespaces,
    ));

    let access = access.map(|mut access| {
        access.review_with(&client);
        Arc::new(access)
    });
    let health = config.access.web_config_file.is_some().then(|| telemetry.web_config()).transpose();
    let health = health.context("cannot register the metrics of the web configuration")?;
    let following = follow_changes(access.clone().zip(health));
    let server = Server::new(listener, live.clone(), Limits::of_this_process()).with_access(access.clone());
    let address = server.local_addr().context("cannot tell the address podskew listens on")?;
    let scheme = if access.is_some_and(|access| access.tls().is_some()) { "https" } else { "http" };
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "serving {scheme}://{address}/metrics");
    let (stop, stopped) = oneshot::channel::<()>();
    let mut server = pin!(server.run(async {
        let _ = stopped.await;
    }));
    let rendering = render::keep_rendering(inventory, exposition, telemetry, live, &watches);

    tokio::select! {
        () = &mut server => bail!("the server ended by itself"),
        outcome = rendering => return outcome,
        Some(_) = registries.join_next() => bail!("the tasks that ask registries ended"),
        () = following => bail!("the web configuration is not followed any more"),
        signal = signals.next() => {
            tracing::info!(signal, "stopping: scrapes in flight finish; a second signal stops at once");
        }
    }
    // Nobody is there to receive it only if the server has ended.
    let _ = stop.send(());
    tokio::select! {
        () = server => {
            tracing::info!("stopped");
            Ok(())
        }
        signal = signals.next() => bail!("stopped at once by a second {signal}; answers in flight were cut"),
    }
}

/// Follows the changes of the web configuration file, if there is one.
async fn follow_changes(followed: Option<(Arc<AccessControl>, WebConfigHealth)>) {
    match followed {
        Some((access, health)) => access.follow_changes(health).await,
        None => std::future::pending().await,
    }
}
