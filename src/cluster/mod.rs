//! placeholder

use crate::inventory::Inventory;
use crate::telemetry::Telemetry;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// How to reach the cluster.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Connection {
    /// The kubeconfig to read; `KUBECONFIG`, the default path or the pod's service account if there is none.
    pub kubeconfig: Option<PathBuf>,
    /// The context to use; the kubeconfig's current one if there is none.
    pub context: Option<String>,
}

/// placeholder
#[allow(clippy::unused_async, reason = "placeholder")]
pub async fn connect(connection: &Connection) -> anyhow::Result<kube::Client> {
    let _ = connection;
    anyhow::bail!("connecting to a cluster is not built yet")
}

/// placeholder
pub async fn run(
    client: kube::Client,
    namespaces: Vec<String>,
    inventory: Arc<Mutex<Inventory>>,
    telemetry: Telemetry,
) {
    let _ = (client, namespaces, inventory, telemetry);
    std::future::pending().await
}
