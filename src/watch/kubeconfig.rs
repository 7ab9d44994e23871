//! Kubeconfigs: finds the files, and reads one context.
//!
//! All files are read here, with a size limit, and references to files are resolved. The connection later reads only
//! token files.

use super::bounded_file::read_file;
use super::connect_error;
use super::credentials::Credentials;
use super::proxy::port_of;
use crate::time::UnixTime;
use anyhow::{Context as _, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Uri;
use kube::Config;
use kube::config::{AuthInfo, Cluster, Context as KubeContext, ExecAuthCluster, Kubeconfig};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;

/// The user's choice of a cluster.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Connection {
    /// A kubeconfig file; by default `KUBECONFIG`, `~/.kube/config`, or the pod's service account.
    pub kubeconfig: Option<PathBuf>,
    /// A context of the kubeconfig; by default the current one.
    pub context: Option<String>,
}

/// Maximum size of a file: a kubeconfig of a thousand clusters takes a few MiB, and so do a system's certificate
/// authorities.
const LONGEST_FILE: u64 = 16 << 20;

/// Maximum length of a server's URL. The paths of requests follow it.
const LONGEST_SERVER: usize = 4096;

/// The process' environment.
pub(super) struct Environment {
    /// `KUBECONFIG`.
    kubeconfig: Option<OsString>,
    home: Option<PathBuf>,
    /// Whether the environment holds the API server's address, as in every container of Kubernetes.
    in_cluster: bool,
}

impl Environment {
    pub(super) fn of_this_process() -> Self {
        Self {
            kubeconfig: std::env::var_os("KUBECONFIG"),
            home: std::env::home_dir(),
            in_cluster: std::env::var_os("KUBERNETES_SERVICE_HOST").is_some(),
        }
    }
}

/// Source of the configuration.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum ConfigSource {
    /// Kubeconfig files; the first one with a value counts.
    Files(Vec<PathBuf>),
    InCluster,
}

pub(super) fn locate(connection: &Connection, around: &Environment) -> anyhow::Result<ConfigSource> {
    if let Some(file) = &connection.kubeconfig {
        return Ok(ConfigSource::Files(vec![file.clone()]));
    }
    let mut tried = Vec::new();
    // Like kubectl: skip missing files of KUBECONFIG.
    let named: Vec<PathBuf> =
        around.kubeconfig.iter().flat_map(std::env::split_paths).filter(|path| !path.as_os_str().is_empty()).collect();
    let (found, missing): (Vec<PathBuf>, Vec<PathBuf>) = named.into_iter().partition(|path| path.exists());
    if !found.is_empty() {
        return Ok(ConfigSource::Files(found));
    }
    tried.push(if missing.is_empty() {
        "KUBECONFIG is not set".to_owned()
    } else {
        format!("KUBECONFIG names {}, which does not exist", list(missing.iter().map(|path| path.display())))
    });
    match around.home.as_ref().map(|home| home.join(".kube").join("config")) {
        // kubectl ignores this file if KUBECONFIG is set.
        Some(file) if missing.is_empty() && file.exists() => return Ok(ConfigSource::Files(vec![file])),
        Some(file) if missing.is_empty() => tried.push(format!("{} does not exist", file.display())),
        Some(_) => {}
        None => tried.push("there is no home directory".to_owned()),
    }
    match (around.in_cluster, &connection.context) {
        (true, None) => Ok(ConfigSource::InCluster),
        (_, Some(context)) => {
            bail!("found no kubeconfig for context \"{context}\" ({}); name one with --kubeconfig", tried.join("; "))
        }
        (false, None) => bail!(
            "found no cluster to connect to ({}; this is not a pod of a cluster); name a kubeconfig with --kubeconfig, or try \
             podskew demo, which needs no cluster",
            tried.join("; ")
        ),
    }
}

/// The configuration of one context.
pub(super) struct ContextConfig {
    pub(super) config: Config,
    pub(super) credentials: Credentials,
    pub(super) proxy_url: Option<String>,
    /// `context "prod" of /home/me/.kube/config`.
    pub(super) origin: String,
}

pub(super) async fn from_files(files: &[PathBuf], context: Option<&str>) -> anyhow::Result<ContextConfig> {
    let names = list(files.iter().map(|file| file.display()));
    let kubeconfig = merged(files).await?;
    let context =
        choose_context(&kubeconfig, context, &names).map_err(|error| match passed_over(files).as_slice() {
            [] => error,
            missing => error.context(format!(
                "KUBECONFIG names {} too, which cannot be found",
                list(missing.iter().map(|file| file.display()))
            )),
        })?;
    if let Some(missing) = connect_error::missing(&kubeconfig, &context, &names) {
        bail!(missing);
    }
    let origin = format!("context \"{context}\" of {names}");
    let cannot = || format!("{origin} cannot be used");
    let (context, cluster, user) = parts(kubeconfig, &context).with_context(cannot)?;
    let (config, credentials, proxy_url) = configure(context, cluster, user).await.with_context(cannot)?;
    let expired = connect_error::expired(&config.auth_info, UnixTime::now());
    let origin = expired.map_or(origin.clone(), |expired| format!("{origin}, {expired}"));
    Ok(ContextConfig { config, credentials, proxy_url, origin })
}

/// Files in `KUBECONFIG` that do not exist; kubectl skips them, too.
fn passed_over(found: &[PathBuf]) -> Vec<PathBuf> {
    let named: Vec<PathBuf> = std::env::var_os("KUBECONFIG")
        .iter()
        .flat_map(std::env::split_paths)
        .filter(|path| !path.as_os_str().is_empty())
        .collect();
    let is_meant = found.iter().all(|file| named.contains(file));
    named.into_iter().filter(|file| is_meant && !file.exists()).collect()
}

/// Merges all files; the first definition of a name counts.
pub(super) async fn merged(files: &[PathBuf]) -> anyhow::Result<Kubeconfig> {
    let mut kubeconfig = Kubeconfig::default();
    for file in files {
        let names = || list(files.iter().map(|file| file.display()));
        kubeconfig = kubeconfig.merge(read(file).await?).with_context(|| format!("cannot merge {}", names()))?;
    }
    Ok(kubeconfig)
}

async fn read(file: &Path) -> anyhow::Result<Kubeconfig> {
    let bytes = read_file(file, LONGEST_FILE).await.map_err(|error| connect_error::unread(file, &error))?;
    let text = text_of(&bytes).ok_or_else(|| connect_error::no_kubeconfig(file, None))?;
    let mut kubeconfig =
        Kubeconfig::from_yaml(&text).map_err(|error| connect_error::no_kubeconfig(file, Some(&error)))?;
    resolve_paths(&mut kubeconfig, file.parent().unwrap_or(Path::new("")));
    Ok(kubeconfig)
}

/// Decodes UTF-8, or UTF-16 with a byte order mark, as PowerShell writes it.
fn text_of(bytes: &[u8]) -> Option<String> {
    let wide = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let pairs = bytes.chunks_exact(2);
        let is_whole = pairs.remainder().is_empty();
        let units: Vec<u16> = pairs.map(|pair| unit([pair[0], pair[1]])).collect();
        String::from_utf16(&units).ok().filter(|_| is_whole)
    };
    match bytes {
        [0xFF, 0xFE, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => wide(rest, u16::from_be_bytes),
        [0xEF, 0xBB, 0xBF, rest @ ..] => String::from_utf8(rest.to_vec()).ok(),
        bytes => String::from_utf8(bytes.to_vec()).ok(),
    }
}

/// Resolves paths relative to the file that names them, plugins included unless they are a bare name. Empty paths count
/// as missing.
fn resolve_paths(kubeconfig: &mut Kubeconfig, folder: &Path) {
    let resolve = |path: &mut Option<String>| {
        *path = path.take().filter(|path| !path.is_empty()).map(|path| match folder.join(&path).to_str() {
            Some(joined) => joined.to_owned(),
            None => path,
        });
    };
    for cluster in kubeconfig.clusters.iter_mut().filter_map(|named| named.cluster.as_mut()) {
        resolve(&mut cluster.certificate_authority);
    }
    for user in kubeconfig.auth_infos.iter_mut().filter_map(|named| named.auth_info.as_mut()) {
        resolve(&mut user.client_certificate);
        resolve(&mut user.client_key);
        resolve(&mut user.token_file);
        if let Some(exec) = &mut user.exec
            && exec.command.as_ref().is_some_and(|command| command.contains('/'))
        {
            resolve(&mut exec.command);
        }
    }
}

fn parts(kubeconfig: Kubeconfig, context: &str) -> anyhow::Result<(KubeContext, Cluster, AuthInfo)> {
    let mut contexts = kubeconfig.contexts.into_iter();
    let found = contexts.find(|named| named.name == context).and_then(|named| named.context);
    let context = found.with_context(|| format!("context \"{context}\" is empty"))?;
    let mut clusters = kubeconfig.clusters.into_iter();
    let cluster = clusters.find(|named| named.name == context.cluster).and_then(|named| named.cluster);
    let cluster =
        cluster.with_context(|| format!("there is no cluster \"{}\", which the context names", context.cluster))?;
    // Like client-go: a missing user means anonymous.
    let mut users = kubeconfig.auth_infos.into_iter();
    let user = users.find(|named| Some(&named.name) == context.user.as_ref()).and_then(|named| named.auth_info);
    Ok((context, cluster, user.unwrap_or_default()))
}

async fn configure(
    context: KubeContext,
    mut cluster: Cluster,
    mut user: AuthInfo,
) -> anyhow::Result<(Config, Credentials, Option<String>)> {
    let authority = inline(
        "certificate-authority",
        cluster.certificate_authority.take(),
        cluster.certificate_authority_data.take(),
    )
    .await?;
    let certificate =
        inline("client-certificate", user.client_certificate.take(), user.client_certificate_data.take()).await?;
    let key_data = user.client_key_data.take().map(|data| secrecy::ExposeSecret::expose_secret(&data).to_owned());
    let key = inline("client-key", user.client_key.take(), key_data).await?;
    cluster.certificate_authority_data = authority.as_ref().map(|pem| STANDARD.encode(pem));
    user.client_certificate_data = certificate.map(|pem| STANDARD.encode(pem));
    user.client_key_data = key.map(|pem| STANDARD.encode(pem).into());
    if let Some(exec) = user.exec.as_mut().filter(|exec| exec.provide_cluster_info) {
        exec.cluster = Some(ExecAuthCluster::try_from(&cluster)?);
    }
    let credentials = Credentials::take(&mut user).await?;

    let insecure = cluster.insecure_skip_tls_verify.unwrap_or(false);
    let over_tls = authority.is_some() || user.client_certificate_data.is_some() || insecure;
    let mut config = Config::new(server(cluster.server.as_deref().unwrap_or_default(), over_tls)?);
    if let Some(namespace) = context.namespace.filter(|namespace| !namespace.is_empty()) {
        config.default_namespace = namespace;
    }
    config.root_cert = authority.map(|pem| certificates(&pem)).transpose()?;
    config.accept_invalid_certs = insecure;
    config.tls_server_name = cluster.tls_server_name.filter(|name| !name.is_empty());
    config.auth_info = user;
    Ok((config, credentials, cluster.proxy_url))
}

/// Returns a field's base64 data, or the content of the file that it names.
async fn inline(field: &str, file: Option<String>, data: Option<String>) -> anyhow::Result<Option<Vec<u8>>> {
    if let Some(data) = data.filter(|data| !data.trim().is_empty()) {
        let compact: String = data.split_ascii_whitespace().collect();
        // The decoder's message would quote a byte of a key.
        let decoded = STANDARD.decode(compact);
        return decoded.map(Some).map_err(|_| anyhow!("{field}-data of the kubeconfig is not base64"));
    }
    let Some(file) = file else { return Ok(None) };
    let bytes = read_file(Path::new(&file), LONGEST_FILE).await;
    bytes.map(Some).map_err(|error| anyhow!("cannot read {file}, the {field} of the kubeconfig: {error}"))
}

fn certificates(pem: &[u8]) -> anyhow::Result<Vec<Vec<u8>>> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| anyhow!("the certificate authority of the kubeconfig is not PEM: {error}"))?;
    if found.is_empty() {
        bail!("the certificate authority of the kubeconfig holds no certificate (-----BEGIN CERTIFICATE-----)");
    }
    Ok(found.into_iter().map(|certificate| certificate.to_vec()).collect())
}

/// Parses the server's URL. Like client-go: without a scheme it is `https` if the configuration implies TLS.
fn server(text: &str, over_tls: bool) -> anyhow::Result<Uri> {
    let text = text.trim();
    // Not quoted: it may hold credentials.
    let problem = "the server of the kubeconfig's cluster is not an address; write https://HOST:PORT";
    if text.is_empty() || text.len() > LONGEST_SERVER {
        bail!(problem);
    }
    let has_scheme = text.contains("://");
    let scheme = if over_tls { "https" } else { "http" };
    let text = if has_scheme { text.to_owned() } else { format!("{scheme}://{text}") };
    let uri: Uri = text.parse().map_err(|_| anyhow!(problem))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none_or(str::is_empty) {
        bail!(problem);
    }
    port_of(&uri).context(problem)?;
    Ok(uri)
}

fn choose_context(kubeconfig: &Kubeconfig, wanted: Option<&str>, names: &str) -> anyhow::Result<String> {
    if kubeconfig.contexts.is_empty() && kubeconfig.clusters.is_empty() && kubeconfig.auth_infos.is_empty() {
        bail!(
            "{names} is empty: it has no cluster, no user and no context; create it with the tool that created the cluster, or name \
             another file with --kubeconfig"
        );
    }
    let there_are = || {
        if kubeconfig.contexts.is_empty() {
            "there is none".to_owned()
        } else {
            format!("there are: {}", list(kubeconfig.contexts.iter().map(|context| &context.name)))
        }
    };
    let (wanted, source) = match (wanted, kubeconfig.current_context.as_deref()) {
        (Some(wanted), _) => (wanted, "--context (or PODSKEW_CONTEXT)"),
        (None, Some(current)) if !current.is_empty() => (current, "current-context"),
        (None, _) => bail!("{names} has no current-context; choose one with --context ({})", there_are()),
    };
    if !kubeconfig.contexts.iter().any(|context| context.name == wanted) {
        bail!(
            "{names} has no context \"{wanted}\", which {source} names; choose another with --context ({})",
            there_are()
        );
    }
    Ok(wanted.to_owned())
}

fn list<T: std::fmt::Display>(items: impl Iterator<Item = T>) -> String {
    items.map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(kubeconfig: Option<&str>, home: Option<&Path>, in_cluster: bool) -> Environment {
        Environment { kubeconfig: kubeconfig.map(Into::into), home: home.map(Into::into), in_cluster }
    }

    fn located(connection: &Connection, around: &Environment) -> Result<ConfigSource, String> {
        locate(connection, around).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn whichever_exists_is_taken() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join(".kube/config");
        std::fs::create_dir(home.path().join(".kube")).unwrap();
        std::fs::write(&file, "").unwrap();
        let other = home.path().join("other");
        std::fs::write(&other, "").unwrap();
        let none = Connection::default();
        let two = format!("/nowhere:{}", other.display());

        assert_eq!(located(&none, &around(None, Some(home.path()), true)), Ok(ConfigSource::Files(vec![file.clone()])));
        assert_eq!(located(&none, &around(Some(&two), Some(home.path()), true)), Ok(ConfigSource::Files(vec![other])));
        assert_eq!(located(&none, &around(Some("/nowhere"), Some(home.path()), true)), Ok(ConfigSource::InCluster));
        assert_eq!(located(&none, &around(None, None, true)), Ok(ConfigSource::InCluster));
        let named = Connection { kubeconfig: Some("/named".into()), context: None };
        let source = located(&named, &around(Some(&two), Some(home.path()), true));
        assert_eq!(source, Ok(ConfigSource::Files(vec!["/named".into()])));
    }

    #[test]
    fn the_error_without_a_cluster_lists_what_was_tried() {
        let error = located(&Connection::default(), &around(Some("/nowhere"), None, false)).unwrap_err();
        assert!(error.contains("/nowhere, which does not exist"), "{error}");
        assert!(error.contains("--kubeconfig"), "{error}");
        let context = Connection { kubeconfig: None, context: Some("prod".to_owned()) };
        let error = located(&context, &around(None, None, true)).unwrap_err();
        assert!(error.contains("context \"prod\""), "{error}");
    }

    #[test]
    fn files_of_every_writer_are_read() {
        let wide = |order: fn(u16) -> [u8; 2]| "\u{FEFF}kind: ü".encode_utf16().flat_map(order).collect::<Vec<u8>>();
        let expected = Some("kind: ü".to_owned());
        assert_eq!(text_of("kind: ü".as_bytes()), expected);
        assert_eq!(text_of("\u{FEFF}kind: ü".as_bytes()), expected);
        assert_eq!(text_of(&wide(u16::to_le_bytes)), expected);
        assert_eq!(text_of(&wide(u16::to_be_bytes)), expected);
        for broken in [
            &[0xFF, 0xFE, b'k'][..],
            &[0xFE, 0xFF, 0, b'k', 0],
            &[0xFF, 0xFE, 0, 0xD8],
            &[0xC3],
            &[0xEF, 0xBB, 0xBF, 0xC3],
        ] {
            assert_eq!(text_of(broken), None, "{broken:?}");
        }
    }

    #[test]
    fn a_server_is_an_address_that_can_be_asked() {
        let address =
            |text: &str, over_tls| server(text, over_tls).map(|uri| uri.to_string()).map_err(|error| error.to_string());
        assert_eq!(address("https://k8s:6443/clusters/a", false), Ok("https://k8s:6443/clusters/a".to_owned()));
        assert_eq!(address(" https://k8s\n", false), Ok("https://k8s/".to_owned()));
        assert_eq!(address("k8s:6443", true), Ok("https://k8s:6443/".to_owned()));
        assert_eq!(address("localhost:8080", false), Ok("http://localhost:8080/".to_owned()));
        let long = format!("https://k8s/{}", "a".repeat(5000));
        for text in [
            "",
            "/",
            "/path",
            "https://",
            "https:///api",
            "ftp://k8s",
            "https://k8s:99999",
            "https://k8s:x",
            "https://[::1",
            "a b",
            &long,
        ] {
            let error = address(text, true).expect_err(text);
            assert!(error.contains("https://HOST:PORT"), "{text}: {error}");
        }
    }
}
