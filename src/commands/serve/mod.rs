//! `podskew serve`: connects the rooms, starts and stops them. It decides nothing about pods.
//!
//! ```text
//!  watch::run ──▶ Mutex<Inventory> ──take_changes──▶ render ──publish──▶ Exposition ──picture──▶ web::Server
//! ```

mod events;
mod live;
mod options;
mod page_options;
mod pages;
mod readers;
mod render;
mod signals;

use crate::access::AccessControl;
use crate::exposition::Exposition;
use crate::inventory::{Inventory, Settings};
use crate::registry::{self, RegistryTimings};
use crate::sync::lock;
use crate::telemetry::{Telemetry, WebConfigHealth};
use crate::time::UnixTime;
use crate::ui::{Board, Exposure, Ui};
use crate::watch::{self, Timings};
use crate::web::{Limits, PageAddress, Pages, Server, bind};
use anyhow::{Context, bail};
use events::EventHub;
use live::{Live, PageSite};
pub use options::{Auth, Config, ServeArguments};
pub use page_options::{PageArguments, PageConfig};
use pages::{LiveCluster, LivePages};
use readers::Readers;
use render::PageState;
pub use signals::Signals;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch as signal;
use tokio::task::JoinSet;

/// Maximum wait for first answers of registries before digest skew is reported without them.
const WAIT_FOR_REGISTRIES: Duration = Duration::from_secs(60);

/// Reports digest skew without the registries, if they have not answered by then.
async fn give_up_registries(inventory: Arc<Mutex<Inventory>>) {
    tokio::time::sleep(WAIT_FOR_REGISTRIES).await;
    lock(&inventory).give_up_registry(UnixTime::now());
}

/// Watches the cluster in `config` and serves its metrics until a signal ends it.
///
/// # Errors
///
/// The web configuration, the address or the credentials are unusable, or rendering fails.
pub async fn serve(config: Config) -> anyhow::Result<()> {
    // First of all: as process 1 of a container, podskew receives only signals for which it has a handler.
    let mut signals = Signals::listen().context("cannot listen for signals")?;
    // An error in the web configuration or the address is reported at once, even if the cluster is unreachable.
    let access = AccessControl::open(&config.access)?;
    let listener = bind(config.listen_address).await?;
    let page_listener = match config.page.address {
        PageAddress::Own(address) => Some(bind(address).await.context("cannot listen on the address of --page")?),
        PageAddress::Main | PageAddress::Off => None,
    };
    let connected = tokio::select! {
        connected = watch::connect(&config.connection) => connected?,
        _ = signals.next() => return Ok(()),
    };
    tracing::info!(server = connected.server, origin = connected.origin, proxy = connected.proxy, "watching");
    let listeners = Listeners { main: listener, page: page_listener };
    watch_and_serve(config, connected.client, listeners, access, signals).await
}

/// Listening sockets.
pub struct Listeners {
    /// Metrics, and the page unless it has its own address.
    pub main: TcpListener,
    /// Only the page.
    pub page: Option<TcpListener>,
}

/// Like [`serve`], with an existing connection to the cluster and existing listeners.
pub async fn watch_and_serve(
    config: Config,
    client: kube::Client,
    listeners: Listeners,
    access: Option<AccessControl>,
    mut signals: Signals,
) -> anyhow::Result<()> {
    let telemetry = Telemetry::new().context("cannot register podskew's own metrics")?;
    let sources = watch::sources(&config.namespaces);
    let exposure = exposure(&config, access.as_ref());
    let settings = Settings { messages: exposure.is_some_and(|it| it.messages), ..config.settings.clone() };
    let mut inventory = Inventory::new(settings, &sources);
    if config.nodes {
        inventory.await_evidence();
    }
    let inventory = Arc::new(Mutex::new(inventory));
    // The watches begin while the rest is prepared.
    let watches = watch::run_apart(&client, &config.namespaces, &inventory, &telemetry, Timings::default())
        .context("cannot start the thread of the watches")?;
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
        lock(&inventory).await_registry();
        nodes.spawn(give_up_registries(Arc::clone(&inventory)));
        registries = registry::keep_asking(&config.registry, &RegistryTimings::of(&config.registry), sink, &health)?;
    }
    let pod_labels = config.settings.pod_labels.iter().map(|label| label.metric_label.clone());
    let exposition = Arc::new(Exposition::with_links(config.selection, pod_labels.collect(), config.page.url));
    let readers = Arc::new(Readers::new());
    let live = Arc::new(Live::new(
        Arc::clone(&exposition),
        Arc::clone(&readers),
        telemetry.clone(),
        config.namespaces.clone(),
        config.settings.exclude_namespaces,
        Some(watches.health()),
    ));

    let access = access.map(|mut access| {
        access.review_with(&client);
        Arc::new(access)
    });
    let health = config.access.web_config_file.is_some().then(|| telemetry.web_config()).transpose();
    let health = health.context("cannot register the metrics of the web configuration")?;
    let following = follow_changes(access.clone().zip(health));
    let board = exposure.map(|exposure| Arc::new(Board::new(exposure)));
    let events = Arc::new(EventHub::new());
    let pages = board.as_ref().map(|board| -> Arc<dyn Pages> {
        let cluster = LiveCluster {
            inventory: Arc::clone(&inventory),
            exposition: Arc::clone(&exposition),
            board: Arc::clone(board),
            live: Arc::clone(&live),
            asks_registries: config.registry.is_on(),
        };
        let ui = Ui::new(board.exposure(), config.page.links.clone());
        let (events, readers) = (Arc::clone(&events), Arc::clone(&readers));
        Arc::new(LivePages::new(ui, config.page.hosts.clone(), cluster, events, readers, access.clone()))
    });
    let limits = Limits::of_this_process();
    let page_server = page_server(listeners.page, pages, &live, limits, access.as_ref());
    let server = Server::new(listeners.main, live.clone(), limits).with_access(access.clone());
    let address = server.local_addr().context("cannot determine the address that podskew listens on")?;
    let scheme = if access.is_some_and(|access| access.tls().is_some()) { "https" } else { "http" };
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "serving {scheme}://{address}/metrics");
    if let Some(page_server) = &page_server {
        let address = page_server.local_addr().context("cannot determine the address of the page")?;
        tracing::info!("serving the page at {scheme}://{address}/");
    }
    let (stop, stopped) = signal::channel(false);
    let mut server = pin!(async {
        let page = async {
            if let Some(page_server) = page_server {
                page_server.run(shutdown_signal(stopped.clone())).await;
            }
        };
        futures::join!(server.run(shutdown_signal(stopped.clone())), page);
    });
    let shown = board.map(|board| PageState { board, events });
    let rendering = render::keep_rendering(inventory, exposition, telemetry, live, shown, &watches, &readers);

    tokio::select! {
        () = &mut server => bail!("the server ended by itself"),
        outcome = rendering => return outcome,
        Some(_) = registries.join_next() => bail!("the tasks that ask registries ended"),
        () = following => bail!("the task that reloads the web configuration ended"),
        signal = signals.next() => {
            tracing::info!(signal, "stopping, finishing scrapes in flight (a second signal stops at once)");
        }
    }
    // It fails only if the server has ended.
    let _ = stop.send(true);
    tokio::select! {
        () = server => {
            tracing::info!("stopped");
            Ok(())
        }
        signal = signals.next() => bail!("stopped at once by a second {signal}; answers in flight were cut"),
    }
}

/// Serves the page beside the metrics, or returns a server for its own listener.
fn page_server(
    listener: Option<TcpListener>,
    pages: Option<Arc<dyn Pages>>,
    live: &Arc<Live>,
    limits: Limits,
    access: Option<&Arc<AccessControl>>,
) -> Option<Server> {
    let pages = pages?;
    let Some(listener) = listener else {
        live.serve_pages(pages);
        return None;
    };
    let site = Arc::new(PageSite::new(Arc::clone(live), pages));
    Some(Server::new(listener, site, limits).with_access(access.cloned()))
}

/// What the page may show; `None` if it is not served.
fn exposure(config: &Config, access: Option<&AccessControl>) -> Option<Exposure> {
    let authenticates = access.is_some_and(AccessControl::authenticates);
    (config.page.address != PageAddress::Off).then(|| Exposure {
        pods: authenticates || config.selection.contains("podskew_pod_info"),
        messages: authenticates || config.page.messages,
    })
}

/// Waits for the shutdown signal.
async fn shutdown_signal(mut stopped: signal::Receiver<bool>) {
    // An error means that the sender is gone, which is a shutdown, too.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// Reloads the web configuration file when it changes, if there is one.
async fn follow_changes(followed: Option<(Arc<AccessControl>, WebConfigHealth)>) {
    match followed {
        Some((access, health)) => access.follow_changes(health).await,
        None => std::future::pending().await,
    }
}
