//! Selects the cluster and the user, and connects.

use super::credentials::Credentials;
use super::kubeconfig::{ConfigSource, Connection, ContextConfig, Environment, from_files, locate, merged};
use super::proxy::{Proxy, Variables};
use super::transport;
use anyhow::Context as _;
use kube::Config;

/// A client and its cluster.
#[derive(Clone)]
pub struct Connected {
    /// The client; it has not sent anything yet.
    pub client: kube::Client,
    /// The API server's address, without credentials.
    pub server: String,
    /// Source of the address: `context "prod" of /home/me/.kube/config`.
    pub origin: String,
    /// The proxy in use, without credentials.
    pub proxy: Option<String>,
    /// The default namespace: the context's, or the pod's own.
    pub namespace: String,
}

impl std::fmt::Debug for Connected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { server, origin, namespace, .. } = self;
        f.debug_struct("Connected")
            .field("server", server)
            .field("origin", origin)
            .field("namespace", namespace)
            .finish_non_exhaustive()
    }
}

/// The kubeconfig, the environment or the credentials are unusable; retrying does not help.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Misconfigured(#[from] anyhow::Error);

/// Finds the cluster and prepares a client. It sends no request: an API server that is down may come up later.
///
/// Must be called within a tokio runtime.
///
/// # Errors
///
/// The kubeconfig, the environment or the credentials are unusable.
pub async fn connect(connection: &Connection) -> Result<Connected, Misconfigured> {
    Ok(prepare(connection).await?)
}

async fn prepare(connection: &Connection) -> anyhow::Result<Connected> {
    let ContextConfig { mut config, credentials, proxy_url, origin } =
        match locate(connection, &Environment::of_this_process())? {
            ConfigSource::Files(files) => from_files(&files, connection.context.as_deref()).await?,
            ConfigSource::InCluster => in_cluster().await?,
        };
    let variables = Variables(|name: &str| std::env::var(name).ok());
    let proxy = variables.proxy_for(&config.cluster_url, proxy_url.as_deref())?;
    let server = transport::without_credentials(&config.cluster_url);
    let namespace = std::mem::take(&mut config.default_namespace);
    let shown = proxy.as_ref().map(Proxy::to_string);
    let client = transport::client(config, credentials, proxy)
        .with_context(|| format!("cannot prepare a connection to {server} ({origin})"))?;
    Ok(Connected { client, server, origin, proxy: shown, namespace })
}

/// Names of the contexts that a connection may use.
///
/// # Errors
///
/// The kubeconfig cannot be read.
pub async fn contexts(connection: &Connection) -> anyhow::Result<Vec<String>> {
    let connection = Connection { context: None, ..connection.clone() };
    match locate(&connection, &Environment::of_this_process())? {
        ConfigSource::Files(files) => {
            Ok(merged(&files).await?.contexts.into_iter().map(|context| context.name).collect())
        }
        ConfigSource::InCluster => Ok(Vec::new()),
    }
}

async fn in_cluster() -> anyhow::Result<ContextConfig> {
    let problem =
        "this looks like a pod, but its service account cannot be used; is automountServiceAccountToken false?";
    let mut config = Config::incluster().context(problem)?;
    let credentials = Credentials::take(&mut config.auth_info).await.context(problem)?;
    Ok(ContextConfig { config, credentials, proxy_url: None, origin: "the pod's service account".to_owned() })
}

/// A client without credentials and proxy, with podskew's timeouts and user agent.
///
/// Must be called within a tokio runtime.
///
/// # Errors
///
/// The TLS configuration is unusable.
pub fn client(config: Config) -> anyhow::Result<kube::Client> {
    transport::client(config, Credentials::None, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"{
        "current-context": "gone",
        "clusters": [{"name": "c", "cluster": {"server": "https://user:s3cr3t@example.org:6443/k8s"}}],
        "contexts": [
            {"name": "prod", "context": {"cluster": "c", "user": "u"}},
            {"name": "test", "context": {"cluster": "missing", "user": "u"}}
        ],
        "users": [{"name": "u", "user": {"token": "s3cr3t"}}]
    }"#;

    async fn connected(text: &str, context: Option<&str>) -> Result<Connected, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let connection = Connection { kubeconfig: Some(file.path().to_owned()), context: context.map(str::to_owned) };
        connect(&connection).await.map_err(|error| {
            let error = format!("{error:#}");
            assert!(error.contains(&file.path().display().to_string()), "names no file: {error}");
            assert!(!error.contains("s3cr3t"), "{error}");
            error
        })
    }

    #[tokio::test]
    async fn a_context_is_found_or_the_others_are_named() {
        let prod = connected(CONFIG, Some("prod")).await.map(|connected| connected.server);
        assert_eq!(prod.as_deref(), Ok("https://example.org:6443/k8s"));
        let current = connected(CONFIG, None).await.map(|_| ()).unwrap_err();
        assert!(current.contains("no context \"gone\", which current-context names"), "{current}");
        assert!(current.contains("there are: prod, test"), "{current}");
        let cluster = connected(CONFIG, Some("test")).await.map(|_| ()).unwrap_err();
        assert!(cluster.contains("context \"test\"") && cluster.contains("missing"), "{cluster}");
    }

    #[tokio::test]
    async fn a_file_that_is_not_a_kubeconfig_is_not_quoted() {
        let error = connected("users: [{user: {token: s3cr3t}", None).await.map(|_| ()).unwrap_err();
        assert!(error.contains("not a kubeconfig"), "{error}");
    }

    #[tokio::test]
    async fn a_credential_plugin_that_fails_is_named_without_its_output() {
        let plugin = CONFIG.replace(
            r#""token": "s3cr3t""#,
            r#""exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "interactiveMode": "Never",
                "args": ["-c", "echo s3cr3t; exit 3"]}"#,
        );
        let error = connected(&plugin, Some("prod")).await.map(|_| ()).unwrap_err();
        assert!(error.contains("credential plugin"), "{error}");
    }
}
