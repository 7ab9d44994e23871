//! Access control, with the real binary, exporter-toolkit, openssl and Prometheus.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use crate::needs::{Test, tests};
use crate::programs;
use crate::scraping::{Prometheus, eventually};
use crate::secured;
use crate::secured::{Connection, Kit, Served, Tls, basic, hash, hash_of_cost, jwt};
use http::{HeaderMap, HeaderValue};
use podskew::access::{AccessConfig, AccessControl, AccessRequest};
use podskew::exposition::{Encoding, Format};
use podskew::web::{ConnectionCounts, Limits, ListenAddress, Scrape, Server, Site, WatchStatus, bind};
use serde::Deserialize;
use serde_json::{Value, json};
use simulator::{Account, BulkConfig, Fault, Simulator, SimulatorConfig, bulk};
use std::collections::BTreeMap;
use std::io::Read as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio_rustls::rustls;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Configuration {
    name: String,
    file: String,
    #[serde(default)]
    inline: bool,
    toolkit: Option<String>,
    podskew: Option<String>,
    differs: Option<String>,
}

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// podskew's error for a file, without the path of the file.
fn refusal(file: &Path) -> Option<String> {
    let config = AccessConfig { web_config_file: Some(file.to_owned()), ..AccessConfig::default() };
    let refusal = AccessControl::open(&config).err()?.to_string();
    let start = format!("cannot use the web configuration file {}: ", file.display());
    Some(refusal.strip_prefix(&start).unwrap_or_else(|| panic!("{refusal}")).to_owned())
}

fn podskew_and_exporter_toolkit_agree_about_files_except_as_documented() {
    let kit = Kit::new();
    let directory = kit.directory.path().display().to_string();
    let configurations: Vec<Configuration> =
        serde_saphyr::from_str(&read("tests/data/access/configurations.yaml")).unwrap();
    assert!(configurations.len() >= 50, "{}", configurations.len());
    let files: Vec<PathBuf> = configurations
        .iter()
        .enumerate()
        .map(|(number, configuration)| {
            let mut text = configuration.file.replace("DIRECTORY", &directory);
            if configuration.inline {
                for (mark, file) in [("CERT", "server.pem"), ("KEY", "server.key"), ("CA", "ca.pem")] {
                    // JSON is valid YAML.
                    let pem = serde_json::to_string(&kit.read(file)).unwrap();
                    text = text.replace(&format!(": {mark}\n"), &format!(": {pem}\n"));
                }
            }
            kit.write(&format!("web-{number}.yml"), &text)
        })
        .collect();

    let mut arguments = vec!["judge"];
    arguments.extend(files.iter().map(|file| file.to_str().unwrap()));
    let judged = programs::run(&programs::toolkit(), &arguments, b"", "make target/tools/access");
    let judged = String::from_utf8(judged.stdout).unwrap();
    let judged: Vec<Option<String>> = judged.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(judged.len(), files.len());

    let document = read("docs/security.md").split_whitespace().collect::<Vec<_>>().join(" ");
    for ((configuration, file), toolkit) in configurations.iter().zip(&files).zip(&judged) {
        let Configuration { name, podskew, differs, .. } = configuration;
        assert_eq!(configuration.toolkit.is_some(), toolkit.is_some(), "{name}: the toolkit says {toolkit:?}");
        match (refusal(file), podskew) {
            (None, None) => {}
            (Some(refusal), Some(start)) => {
                let start = start.replace("DIRECTORY", &directory);
                assert!(refusal.starts_with(&start), "{name}: {refusal}\ndoes not start with\n{start}");
                assert!(refusal.contains("; "), "{name} has no remedy: {refusal}");
                for secret in ["sesame", "QOauhQNbBCuQDKes", "BEGIN"] {
                    assert!(!refusal.contains(secret) || secret == "BEGIN", "{name}: {refusal}");
                }
            }
            (found, expected) => panic!("{name}: {found:?} is not {expected:?}"),
        }
        assert_eq!(podskew.is_some() != toolkit.is_some(), differs.is_some(), "{name}: only differences need a reason");
        if let Some(reason) = differs {
            assert!(document.contains(reason.as_str()), "{name}: docs/security.md does not say: {reason}");
        }
    }
}

/// Each way to break a certificate or a key, and podskew's error: it names the file, and quotes none of its content.
fn a_broken_certificate_or_key_is_named_by_its_file_and_never_quoted() {
    let kit = Kit::new();
    let (certificate, key) = (kit.read("server.pem"), kit.read("server.key"));
    let lines = |text: &str, change: &dyn Fn(&mut Vec<&str>)| {
        let mut lines: Vec<&str> = text.lines().collect();
        change(&mut lines);
        lines.join("\n")
    };
    let without_end = |text: &str| lines(text, &|lines| lines.truncate(lines.len() - 1));
    let cut = |text: &str| text[..text.len() / 2].to_owned();
    let short_begin = |text: &str| text.replacen("-----\n", "---\n", 1);
    let no_base64 = |text: &str| lines(text, &|lines| lines[1] = "%%%%sesame%%%%");
    let other_bytes = |text: &str| lines(text, &|lines| lines[1] = &lines[2][..32]);
    let encrypted = |text: &str| text.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let web = kit.write("web.yml", MUTUAL);
    assert_eq!(refusal(&web), None);
    let (no_end, no_begin, no_text) = (
        "is broken: it has no END line, so it may be truncated; write it as openssl does",
        "is broken: its BEGIN line does not end in five dashes; write it as openssl does",
        "is broken: the text between BEGIN and END is not base64; write it as openssl does",
    );
    for (line, what, file, text, problem) in [
        (2, "the PEM of the certificate", "server.pem", without_end(&certificate), no_end),
        (2, "the PEM of the certificate", "server.pem", cut(&certificate), no_end),
        (2, "the PEM of the certificate", "server.pem", short_begin(&certificate), no_begin),
        (2, "the PEM of the certificate", "server.pem", no_base64(&certificate), no_text),
        (
            2,
            "the certificate",
            "server.pem",
            other_bytes(&certificate),
            "cannot be used: it is not an X.509 certificate",
        ),
        (2, "there is no PEM certificate", "server.pem", String::new(), "; write one between BEGIN CERTIFICATE"),
        (3, "the PEM of the private key", "server.key", without_end(&key), no_end),
        (3, "the PEM of the private key", "server.key", cut(&key), no_end),
        (3, "the PEM of the private key", "server.key", short_begin(&key), no_begin),
        (3, "the PEM of the private key", "server.key", no_base64(&key), no_text),
        (3, "the private key", "server.key", other_bytes(&key), "cannot be used: it is broken, or not an RSA"),
        (3, "the private key", "server.key", encrypted(&key), "is encrypted; decrypt it with `openssl pkey`"),
        (3, "there is no PEM private key", "server.key", String::new(), "; write one in PKCS#8"),
        (5, "the PEM of the certificate", "ca.pem", without_end(&certificate), no_end),
        (5, "a client CA", "ca.pem", other_bytes(&certificate), "cannot be used: "),
    ] {
        let whole = kit.read(file);
        let path = kit.write(file, &text);
        let refusal = refusal(&web).unwrap_or_else(|| panic!("{file} is taken:\n{text}"));
        let start = format!("line {line}: {what} in {}", path.display());
        assert!(refusal.starts_with(&start), "{refusal}\nis not\n{start}");
        assert!(refusal.contains(problem) && refusal.contains("; "), "{refusal}\nis not\n{problem}");
        let quotes = text.lines().filter(|line| line.len() > 8).any(|line| refusal.contains(&line[..8]));
        let numbers = refusal.contains("[4") || refusal.contains("45, 45");
        assert!(!quotes && !numbers, "{refusal}");
        kit.write(file, &whole);
    }
    assert_eq!(
        refusal(&kit.path("none.yml")).unwrap(),
        "the file cannot be read: there is no such file; correct the path"
    );
    let of_folder = refusal(kit.directory.path()).unwrap();
    assert_eq!(of_folder, "the file cannot be read: it is not a regular file; name one");
}

const MUTUAL: &str = "tls_server_config:
  cert_file: server.pem
  key_file: server.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca.pem
";

const ONE_WAY: &str = "tls_server_config: {cert_file: server.pem, key_file: server.key}
";

/// A podskew with a small simulated cluster and this web configuration.
async fn podskew(kit: &Kit, web_config: &str) -> (Simulator, Served) {
    let simulator = Simulator::start(SimulatorConfig::default()).await.unwrap();
    let file = kit.write("web.yml", web_config);
    let podskew = Served::podskew(&simulator.kubeconfig(), &["--web-config-file", file.to_str().unwrap()]);
    (simulator, podskew)
}

#[tokio::main(flavor = "multi_thread")]
async fn client_certificates_are_required_for_everything_but_probes() {
    let kit = Kit::new();
    kit.issue("named", &["10.1.2.3"], secured::VALID, true);
    kit.issue("uri", &["spiffe://cluster/prometheus"], secured::VALID, true);
    kit.issue("unnamed", &["somebody.example"], secured::VALID, true);
    let names = "  client_allowed_sans: [prometheus.example, 10.1.2.3, \"spiffe://cluster/prometheus\"]\n";
    let (_simulator, podskew) = podskew(&kit, &format!("{MUTUAL}{names}")).await;
    assert_eq!(podskew.scheme, "https");
    podskew.until_ready(Some(&kit.client(None)));

    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let client = |name| kit.client_with(name, &[version]);
        let nobody = client(None);
        for path in ["/livez", "/healthz", "/readyz"] {
            assert_eq!(podskew.status(Some(&nobody), path, &[]), 200, "{path}");
        }
        for path in ["/metrics", "/"] {
            let answer = podskew.get(Some(&nobody), path, &[]).unwrap();
            assert_eq!((answer.status, answer.body.as_str()), (403, "a client certificate is needed\n"), "{path}");
            for name in ["client", "named", "uri"] {
                assert_eq!(podskew.status(Some(&client(Some(name))), path, &[]), 200, "{name} {path}");
            }
        }
        // Also for a probe: a client certificate must be valid.
        for name in ["expired", "stranger", "unnamed", "server"] {
            let error = podskew.get(Some(&client(Some(name))), "/livez", &[]).expect_err(name);
            assert!(
                error.to_string().contains("alert") || error.kind() == std::io::ErrorKind::ConnectionReset,
                "{error}"
            );
        }
    }
    // A client without TLS gets no response.
    assert!(podskew.get(None, "/livez", &[]).is_err());
    assert_eq!(podskew.status(Some(&kit.client(Some("client"))), "/metrics", &[]), 200, "it lives");
}

#[tokio::main(flavor = "multi_thread")]
async fn any_or_no_certificate_where_the_file_says_so() {
    let kit = Kit::new();
    let with = |kind: &str, ca: &str| {
        MUTUAL.replace("RequireAndVerifyClientCert", kind).replace("  client_ca_file: ca.pem\n", ca)
    };
    for (kind, ca, nobody, stranger) in [
        ("RequireAnyClientCert", "", Some(403), Some(200)),
        ("RequestClientCert", "", Some(200), Some(200)),
        ("VerifyClientCertIfGiven", "  client_ca_file: ca.pem\n", Some(200), None),
        ("NoClientCert", "", Some(200), Some(200)),
    ] {
        let (_simulator, podskew) = podskew(&kit, &with(kind, ca)).await;
        let status = |name| podskew.get(Some(&kit.client(name)), "/metrics", &[]).ok().map(|answer| answer.status);
        assert_eq!(
            (status(None), status(Some("stranger")), status(Some("client"))),
            (nobody, stranger, Some(200)),
            "{kind}"
        );
    }
}

/// Results of podskew and of exporter-toolkit for these credentials, with the same file.
#[tokio::main(flavor = "multi_thread")]
async fn passwords_are_right_for_podskew_where_they_are_for_the_toolkit() {
    let kit = Kit::new();
    let long = [b'x'; 73];
    let users = [
        ("alice", hash_of_cost(5, b"open sesame")),
        ("long", hash(&long[..72])),
        ("longer", hash(&long)),
        ("empty", hash(b"")),
        ("bytes", hash(b"\xff\0\xfe")),
        ("j\u{f6}rg", hash("gr\u{fc}n".as_bytes())),
        ("2y", hash(b"y").replacen("$2b$", "$2y$", 1)),
        ("2a", hash(b"a").replacen("$2b$", "$2a$", 1)),
    ];
    // JSON is valid YAML.
    let users = json!({ "basic_auth_users": users.into_iter().collect::<BTreeMap<_, _>>() });
    let (_simulator, podskew) = podskew(&kit, &users.to_string()).await;
    assert!(podskew.log().contains("passwords travel unencrypted"), "{}", podskew.log());
    let toolkit = Served::toolkit(&programs::toolkit(), &kit.path("web.yml"));

    let mut wrong_end = long;
    wrong_end[71] = b'y';
    let mut wrong_behind = long;
    wrong_behind[72] = b'y';
    let cases: Vec<(String, u16)> = vec![
        (basic("alice", b"open sesame"), 200),
        (basic("alice", b"open sesame").replacen("Basic", "basic", 1), 200),
        (basic("alice", b"open sesam"), 401),
        (basic("alice", b"open sesame\0"), 401),
        (basic("alice", b""), 401),
        (basic("Alice", b"open sesame"), 401),
        (basic("bob", b"open sesame"), 401),
        (basic("", b"open sesame"), 401),
        (basic("long", &long[..72]), 200),
        (basic("long", &long[..71]), 401),
        (basic("long", &wrong_end), 401),
        (basic("long", &long), 200),
        (basic("longer", &long[..72]), 200),
        (basic("longer", &wrong_behind), 200),
        (basic("empty", b""), 200),
        (basic("bytes", b"\xff\0\xfe"), 200),
        (basic("bytes", b"\xff"), 401),
        (basic("j\u{f6}rg", "gr\u{fc}n".as_bytes()), 200),
        (basic("2y", b"y"), 200),
        (basic("2a", b"a"), 200),
        ("Basic !!!".to_owned(), 401),
        ("Basic YWxpY2U=".to_owned(), 401),
        ("Basic".to_owned(), 401),
        ("Bearer open.sesame.x".to_owned(), 401),
    ];
    // Twice: computed, and from the cache.
    for (authorization, expected) in cases.iter().chain(&cases) {
        let header = [("Authorization", authorization.as_str())];
        let answer = podskew.get(None, "/metrics", &header).unwrap();
        assert_eq!(answer.status, *expected, "{authorization}");
        assert_eq!(answer.header("www-authenticate").is_some(), *expected == 401, "{}", answer.head);
        assert_eq!(toolkit.status(None, "/metrics", &header), *expected, "the toolkit: {authorization}");
    }
    assert_eq!(podskew.status(None, "/metrics", &[]), 401);
    // Two headers would be ambiguous.
    let (right, wrong) = (basic("alice", b"open sesame"), basic("bob", b"x"));
    assert_eq!(podskew.status(None, "/metrics", &[("Authorization", &right), ("Authorization", &wrong)]), 401);
    assert_eq!(podskew.status(None, "/readyz", &[("Authorization", &wrong)]), 200);
    assert!(!podskew.log().contains("sesame"), "{}", podskew.log());
}

/// Ten thousand different wrong passwords, during normal scrapes.
#[tokio::main(flavor = "multi_thread")]
async fn wrong_passwords_hold_no_scrape_up() {
    const WRONG: usize = 10_000;
    let kit = Kit::new();
    let users = format!("basic_auth_users:\n  prometheus: {}\n", hash_of_cost(10, b"right"));
    let (_simulator, podskew) = podskew(&kit, &users).await;
    let right = basic("prometheus", b"right");
    let scrape = |connection: &mut Connection| {
        let begun = Instant::now();
        let answer = connection.ask("/metrics", &[("Authorization", &right)]).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        begun.elapsed()
    };
    let mut connection = Connection::open(&podskew.address, None).unwrap();
    scrape(&mut connection);
    let median = |mut times: Vec<Duration>| {
        times.sort_unstable();
        (times[times.len() / 2], times[times.len() * 99 / 100])
    };
    let quiet = median((0..200).map(|_| scrape(&mut connection)).collect());

    let next = AtomicUsize::new(0);
    let statuses = [401, 429].map(|_| AtomicUsize::new(0));
    let mut times = Vec::new();
    std::thread::scope(|scope| {
        let flood: Vec<_> = (0..24)
            .map(|_| {
                scope.spawn(|| {
                    let mut connection = Connection::open(&podskew.address, None).unwrap();
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= WRONG {
                            return;
                        }
                        // Half of them for an existing user.
                        let user = if number.is_multiple_of(2) { "prometheus" } else { "nobody" };
                        let wrong = basic(user, format!("wrong {number}").as_bytes());
                        let answer = connection.ask("/metrics", &[("Authorization", &wrong)]).unwrap();
                        let count = match answer.status {
                            401 => 0,
                            429 => {
                                assert_eq!(answer.header("retry-after"), Some("1"), "{}", answer.head);
                                1
                            }
                            other => panic!("{other}"),
                        };
                        statuses[count].fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        while !flood.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            times.push(scrape(&mut connection));
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    let flooded = median(times);
    let [wrong, busy] = statuses.map(AtomicUsize::into_inner);
    println!("quiet {quiet:?}, flooded {flooded:?}, 401 {wrong}, 429 {busy}");
    assert_eq!(wrong + busy, WRONG);
    assert!(wrong > 0 && busy > WRONG / 2, "one at a time: {wrong} were verified");
    // 24 clients share the machine. A single hash takes longer than this in a queue of 16.
    assert!(flooded.0 < Duration::from_millis(100), "{flooded:?}, {quiet:?} without");
}

/// The status for these credentials, with access control in this process.
async fn status_of(access: &AccessControl, user: &str, password: &str) -> u16 {
    let mut headers = HeaderMap::new();
    headers.insert(http::header::AUTHORIZATION, basic(user, password.as_bytes()).parse().unwrap());
    let checked = access.check(&AccessRequest { headers: &headers, route: "/metrics", has_certificate: false }).await;
    checked.err().map_or(200, |denial| denial.status.as_u16())
}

#[tokio::main(flavor = "multi_thread")]
async fn one_password_is_verified_sixteen_wait_and_the_next_is_turned_away() {
    let kit = Kit::new();
    let file = kit.write("web.yml", &format!("basic_auth_users:\n  alice: {}\n", hash_of_cost(10, b"right")));
    let config = AccessConfig { web_config_file: Some(file), ..AccessConfig::default() };
    let access = AccessControl::open(&config).unwrap().unwrap();
    let passwords: Vec<String> = (0..30).map(|number| format!("wrong {number}")).collect();
    let all = futures::future::join_all(passwords.iter().map(|password| status_of(&access, "alice", password))).await;
    let count = |status: u16| all.iter().filter(|found| **found == status).count();
    assert_eq!((count(401), count(429)), (17, 13), "{all:?}");

    // The response time does not reveal whether a user exists: the minimum of several, on a busy machine.
    let mut quickest = [Duration::MAX; 2];
    for number in 0..6 {
        for (user, quickest) in ["alice", "nobody"].into_iter().zip(&mut quickest) {
            let begun = Instant::now();
            assert_eq!(status_of(&access, user, &format!("other {number}")).await, 401);
            *quickest = begun.elapsed().min(*quickest);
        }
    }
    let [known, unknown] = quickest;
    assert!(unknown < known * 2 && known < unknown * 2, "{quickest:?}");
    // A cached result takes no time, right or wrong.
    assert_eq!(status_of(&access, "alice", "right").await, 200);
    let begun = Instant::now();
    for _ in 0..100 {
        assert_eq!(status_of(&access, "alice", "right").await, 200);
        assert_eq!(status_of(&access, "alice", "other 5").await, 401);
    }
    assert!(begun.elapsed() < known * 20, "{:?} for 200", begun.elapsed());
}

#[tokio::main(flavor = "multi_thread")]
async fn rotated_certificates_fail_no_scrape() {
    let kit = Kit::new();
    let simulator = Simulator::start(SimulatorConfig::default()).await.unwrap();
    bulk(simulator.store(), &BulkConfig { pods: 2_000, ..BulkConfig::default() });
    let file = kit.write("web.yml", MUTUAL);
    let podskew = Served::podskew(&simulator.kubeconfig(), &["--web-config-file", file.to_str().unwrap()]);
    podskew.until_ready(Some(&kit.client(None)));
    let (done, scrapes) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for keeps_its_connection in [true, false, false] {
            let client = kit.client(Some("client"));
            let (done, scrapes, podskew) = (&done, &scrapes, &podskew);
            scope.spawn(move || {
                let mut connection = Connection::open(&podskew.address, Some(&client)).unwrap();
                while !done.load(Ordering::Relaxed) {
                    if !keeps_its_connection {
                        connection = Connection::open(&podskew.address, Some(&client)).unwrap();
                    }
                    let answer = connection.ask("/metrics", &[]).unwrap();
                    assert_eq!(answer.status, 200);
                    assert!(answer.body.contains("podskew_pod_info{"));
                    scrapes.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for _ in 0..3 {
            let before = presented(&podskew, &kit.client(None));
            // One file after the other, as when files are copied.
            kit.issue("next", &["localhost"], secured::VALID, false);
            kit.write("server.pem", &kit.read("next.pem"));
            // Less than a second, but long enough that a read happens between the two in most rounds.
            std::thread::sleep(Duration::from_millis(600));
            kit.write("server.key", &kit.read("next.key"));
            podskew.eventually("the new certificate", || presented(&podskew, &kit.client(None)) != before);
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(scrapes.into_inner() > 50);
    let reloads = podskew.log().matches("web configuration reloaded").count();
    assert_eq!(reloads, 3, "{}", podskew.log());
    assert!(!podskew.log().contains("not reloaded"), "{}", podskew.log());
}

/// The server certificate of podskew.
fn presented(podskew: &Served, Tls(config): &Tls) -> Vec<u8> {
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let mut connection = rustls::ClientConnection::new(Arc::clone(config), name).unwrap();
    let mut stream = TcpStream::connect(&podskew.address).unwrap();
    while connection.is_handshaking() {
        connection.complete_io(&mut stream).unwrap();
    }
    connection.peer_certificates().unwrap()[0].to_vec()
}

#[tokio::main(flavor = "multi_thread")]
async fn a_broken_file_changes_nothing_and_is_logged() {
    let kit = Kit::new();
    let users = |name: &str| format!("{ONE_WAY}basic_auth_users:\n  {name}: {}\n", hash(b"sesame"));
    let (_simulator, podskew) = podskew(&kit, &users("alice")).await;
    let client = kit.client(None);
    let status = |name| podskew.status(Some(&client), "/metrics", &[("Authorization", &basic(name, b"sesame"))]);
    let health = |name: &str| {
        let header = ("Authorization", &*basic(name, b"sesame"));
        let body = podskew.get(Some(&client), "/metrics", &[header]).unwrap().body;
        let line = body.lines().find_map(|line| line.strip_prefix("podskew_web_config_last_reload_successful "));
        line.unwrap_or_else(|| panic!("{body}")).to_owned()
    };
    assert_eq!((status("alice"), status("bob"), health("alice").as_str()), (200, 401, "1"));

    for (number, (text, message)) in [
        (users("bob").replace("cert_file", "cert_flie"), r#"podskew does not know "cert_flie""#),
        (users("bob").replace("server.key", "client.key"), "server.pem; name the key of the certificate"),
        (
            format!("basic_auth_users:\n  bob: {}\n", hash(b"sesame")),
            "adding or removing tls_server_config needs a restart",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        kit.write("web.yml", &text);
        podskew.until_logged(message);
        assert_eq!((status("alice"), status("bob"), health("alice").as_str()), (200, 401, "0"), "{number}");
    }
    kit.write("web.yml", &users("bob"));
    podskew.until_logged("web configuration reloaded");
    assert_eq!((status("alice"), status("bob"), health("bob").as_str()), (401, 200, "1"));
    // A right password is cached only for its hash.
    kit.write("web.yml", &users("bob").replace(&hash(b"sesame"), &hash(b"another")));
    let sesame = basic("bob", b"sesame");
    podskew.eventually("the new password", || {
        podskew.status(Some(&client), "/metrics", &[("Authorization", &sesame)]) == 401
    });
    assert_eq!(podskew.status(Some(&client), "/metrics", &[("Authorization", &basic("bob", b"another"))]), 200);
    kit.write("web.yml", &users("bob"));
    podskew.eventually("the old password", || status("bob") == 200);
    std::fs::remove_file(kit.path("server.pem")).unwrap();
    podskew.until_logged(&format!("line 1: cannot read {}: there is no such file", kit.path("server.pem").display()));
    assert_eq!((status("bob"), health("bob").as_str()), (200, "0"));
    // The web configuration file itself is gone, so the log must not name a line of it.
    std::fs::remove_file(kit.path("web.yml")).unwrap();
    podskew.until_logged("the file cannot be read: there is no such file");
    assert!(!podskew.log().contains("line 1: the file"), "{}", podskew.log());
    assert_eq!((status("bob"), health("bob").as_str()), (200, "0"));
    assert!(!podskew.log().contains("$2b$"), "{}", podskew.log());
}

#[tokio::main(flavor = "multi_thread")]
async fn an_invalid_file_is_reported_with_its_line_and_a_remedy() {
    let kit = Kit::new();
    let file = kit.write("web.yml", "basic_auth_users:\n  alice: sesame\n");
    let run = |arguments: &[&str]| {
        let output = programs::run(Path::new(env!("CARGO_BIN_EXE_podskew")), arguments, b"", "");
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = run(&["--web-config-file", file.to_str().unwrap()]);
    assert_eq!(code, Some(2), "{said}");
    let expected =
        format!("cannot use the web configuration file {}: line 2: this is not a bcrypt hash", file.display());
    assert!(said.contains(&expected) && said.contains("htpasswd") && !said.contains("sesame"), "{said}");
    let (code, said) = run(&["--web-config-file", "/nowhere/web.yml"]);
    assert!(code == Some(2) && said.contains("/nowhere/web.yml") && said.contains("there is no such file"), "{said}");
    // One Authorization header cannot have both.
    let file = kit.write("web.yml", &format!("basic_auth_users:\n  alice: {}\n", hash(b"sesame")));
    let (code, said) = run(&["--web-config-file", file.to_str().unwrap(), "--auth", "kubernetes"]);
    assert!(code == Some(2) && said.contains("exclude each other"), "{said}");
    let (code, said) = run(&["--auth-audience", "podskew"]);
    assert!(code == Some(2) && said.contains("--auth"), "{said}");
}

#[tokio::main(flavor = "multi_thread")]
async fn headers_are_on_every_answer_and_the_rate_limit_spares_probes() {
    let kit = Kit::new();
    let text = "http_server_config:
  headers:
    Strict-Transport-Security: max-age=31536000
    Content-Security-Policy: default-src 'self'
rate_limit:
  interval: 1h
  burst: 3
";
    let (_simulator, podskew) = podskew(&kit, text).await;
    for (path, expected) in
        [("/metrics", 200), ("/", 200), ("/metrics", 200), ("/metrics", 429), ("/", 429), ("/livez", 200), ("/x", 404)]
    {
        let answer = podskew.get(None, path, &[]).unwrap();
        assert_eq!(answer.status, expected, "{path}");
        assert_eq!(answer.header("strict-transport-security"), Some("max-age=31536000"), "{path}");
        assert_eq!(answer.header("content-security-policy"), Some("default-src 'self'"), "{path}");
        let wait = answer.header("retry-after").map(|wait| wait.parse::<u64>().unwrap());
        assert!(wait.is_some_and(|wait| wait > 3_500) == (expected == 429), "{}", answer.head);
    }
}

/// Arguments of openssl, and the response; `None` for an alert.
type Handshake = (&'static [&'static str], Option<&'static str>);

/// Output of `openssl s_client` after a handshake.
fn openssl(podskew: &Served, kit: &Kit, arguments: &[&str]) -> String {
    let authority = kit.path("ca.pem").display().to_string();
    let mut all = vec!["s_client", "-connect", &podskew.address, "-servername", "localhost", "-CAfile", &authority];
    all.extend(arguments);
    let output = programs::run(Path::new("openssl"), &all, b"", "apt-get install openssl");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[tokio::main(flavor = "multi_thread")]
async fn openssl_finds_the_versions_ciphers_and_curves_that_are_configured() {
    const OLD: &[&str] = &["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"];
    const P256: &[&str] = &["-curves", "P-256"];
    const AES128: &[&str] = &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"];
    const CHACHA: &[&str] = &["-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"];
    const CBC: &[&str] = &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"];
    let kit = Kit::new();
    // Additions to the file, and the responses or alerts.
    let cases: [(&str, &[Handshake]); 5] = [
        (
            "",
            &[
                (&["-tls1_3"], Some("TLSv1.3, Cipher is TLS_")),
                (&["-tls1_2"], Some("TLSv1.2, Cipher is ECDHE-ECDSA-")),
                (OLD, None),
                (CBC, None),
                (P256, Some("Server Temp Key: ECDH, prime256v1")),
                (&["-curves", "P-521"], None),
                (&["-alpn", "h2,http/1.1"], Some("ALPN protocol: http/1.1")),
                (&["-alpn", "h2"], None),
            ],
        ),
        ("  min_version: TLS13\n", &[(&["-tls1_3"], Some("TLSv1.3, Cipher is")), (&["-tls1_2"], None)]),
        ("  max_version: TLS12\n", &[(&["-tls1_2"], Some("TLSv1.2, Cipher is")), (&["-tls1_3"], None)]),
        (
            "  cipher_suites: [TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, TLS_AES_128_GCM_SHA256]\n",
            &[
                (CHACHA, Some("Cipher is ECDHE-ECDSA-CHACHA20-POLY1305")),
                (AES128, None),
                (&["-tls1_3"], Some("Cipher is TLS_AES_128_GCM_SHA256")),
                (&["-tls1_3", "-ciphersuites", "TLS_AES_256_GCM_SHA384"], None),
            ],
        ),
        (
            "  curve_preferences: [CurveP384]\n",
            &[(&[], Some("Server Temp Key: ECDH, secp384r1")), (P256, None), (&["-curves", "X25519"], None)],
        ),
    ];
    for (added, handshakes) in cases {
        let text = format!("tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n{added}");
        let (_simulator, podskew) = podskew(&kit, &text).await;
        for (arguments, expected) in handshakes {
            let said = openssl(&podskew, &kit, arguments);
            let fits = match expected {
                Some(text) => said.contains(text) && said.contains("Verify return code: 0"),
                None => !said.contains("Server certificate") && said.contains("alert"),
            };
            assert!(fits, "{added}{arguments:?}: {said}");
        }
    }
}

struct Stub(std::sync::Mutex<ConnectionCounts>);

impl Site for Stub {
    fn scrape(&self, _: Format, _: Encoding, connections: ConnectionCounts) -> Scrape {
        *self.0.lock().unwrap() = connections;
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut gzip, b"up 1\n").unwrap();
        let body = gzip.finish().unwrap();
        Scrape { content_length: Some(body.len() as u64), frames: Box::new(std::iter::once(body.into())) }
    }

    fn scraped(&self, _: Encoding, _: u64, _: Duration) {}

    fn status(&self) -> WatchStatus {
        WatchStatus::default()
    }
}

#[tokio::main(flavor = "multi_thread")]
async fn handshakes_count_as_connections_and_have_a_deadline() {
    let kit = Kit::new();
    let file = kit.write("web.yml", ONE_WAY);
    let access = AccessControl::open(&AccessConfig { web_config_file: Some(file), ..AccessConfig::default() }).unwrap();
    let site = Arc::new(Stub(std::sync::Mutex::default()));
    let limits = Limits { header: Duration::from_secs(2), connections: 8, ..Limits::default() };
    let listener = bind(ListenAddress::One("127.0.0.1:0".parse().unwrap())).await.unwrap();
    let server = Server::new(listener, site.clone(), limits).with_access(access.map(Arc::new));
    let address = server.local_addr().unwrap().to_string();
    let running = tokio::spawn(server.run(std::future::pending()));

    let begun = Instant::now();
    let mut silent: Vec<TcpStream> = (0..3).map(|_| TcpStream::connect(&address).unwrap()).collect();
    // One client starts a handshake, and sends a byte now and then.
    let mut slow = TcpStream::connect(&address).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for byte in [0x16, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3] {
                let _ = std::io::Write::write_all(&mut slow, &[byte]);
                std::thread::sleep(Duration::from_millis(300));
            }
            assert!(matches!(slow.read(&mut [0]), Ok(0) | Err(_)), "a slow handshake is cut");
        });
        let client = kit.client(None);
        let mut connection = Connection::open(&address, Some(&client)).unwrap();
        assert_eq!(connection.ask("/metrics", &[]).unwrap().status, 200);
        let counts = *site.0.lock().unwrap();
        assert_eq!((counts.reading, counts.answering), (4, 1), "{counts:?}");
        // Such handshakes use all slots: the oldest of them is closed.
        let crowd: Vec<TcpStream> = (0..12).map(|_| TcpStream::connect(&address).unwrap()).collect();
        let mut other = Connection::open(&address, Some(&client)).unwrap();
        assert_eq!(other.ask("/metrics", &[]).unwrap().status, 200);
        drop(crowd);
    });
    for stream in &mut silent {
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        assert!(matches!(stream.read(&mut [0]), Ok(0) | Err(_)));
    }
    assert!(begun.elapsed() < Duration::from_secs(10));
    running.abort();
}

/// A scrape job for podskew.
fn job(name: &str, podskew: &Served, kit: &Kit, identity: Option<&str>, password: Option<&str>, more: &Value) -> Value {
    let mut tls = json!({ "ca_file": kit.path("ca.pem"), "server_name": "localhost" });
    if let Some(identity) = identity {
        tls["cert_file"] = json!(kit.path(&format!("{identity}.pem")));
        tls["key_file"] = json!(kit.path(&format!("{identity}.key")));
    }
    let mut job = json!({
        "job_name": name, "scheme": "https", "tls_config": tls,
        "static_configs": [{ "targets": [podskew.address] }],
    });
    if let Some(password) = password {
        job["basic_auth"] = json!({ "username": "prometheus", "password": password });
    }
    for (key, value) in more.as_object().unwrap() {
        match value.as_object() {
            Some(inner) if job[key].is_object() => {
                inner.iter().for_each(|(name, value)| job[key][name] = value.clone());
            }
            _ => job[key] = value.clone(),
        }
    }
    job
}

/// The job of a plain example, with this target instead of service discovery, and files of the kit instead of those in a
/// pod.
fn example(component: &str, name: &str, podskew: &Served, files: &[(&str, PathBuf)]) -> Value {
    let mut text = read(&format!("deploy/kustomize/components/{component}/scrape.example.yaml"));
    for (from, to) in files {
        assert!(text.contains(from), "{component} has no {from}");
        text = text.replace(from, to.to_str().unwrap());
    }
    let config: Value = serde_saphyr::from_str(&text).unwrap();
    let mut job = config["scrape_configs"][0].clone();
    let object = job.as_object_mut().unwrap();
    assert!(object.remove("kubernetes_sd_configs").is_some() && object.remove("relabel_configs").is_some());
    job["job_name"] = json!(name);
    job["static_configs"] = json!([{ "targets": [podskew.address] }]);
    job
}

async fn real_prometheus_gets_in_with_everything_right_and_with_nothing_wrong(program: &Path) {
    let kit = Kit::new();
    kit.issue("server", &["localhost", "podskew.podskew.svc"], secured::VALID, false);
    let users = format!("basic_auth_users:\n  prometheus: {}\n", hash_of_cost(10, b"right"));
    let (_simulator, podskew) = podskew(&kit, &format!("{MUTUAL}{users}")).await;
    // The example for a Secret, and its job.
    for (from, to) in [("server.pem", "tls.crt"), ("server.key", "tls.key"), ("ca.pem", "ca.crt")] {
        kit.write(to, &kit.read(from));
    }
    let file = kit.write("example.yaml", &read("deploy/kustomize/components/web-config/web.example.yaml"));
    let simulator = Simulator::start(SimulatorConfig::default()).await.unwrap();
    let shown = Served::podskew(&simulator.kubeconfig(), &["--web-config-file", file.to_str().unwrap()]);
    let files = [
        ("/etc/prometheus/podskew/ca.crt", kit.path("ca.crt")),
        ("/etc/prometheus/podskew/password", kit.write("password", "fakepassword")),
    ];
    let shown = (example("web-config", "example", &shown, &files), shown);
    let nothing = json!({});
    let job = |name: &str, identity, password, more: &Value| job(name, &podskew, &kit, identity, password, more);
    let prometheus = Prometheus::start_with(
        program,
        &json!([
            shown.0,
            job("right", Some("client"), Some("right"), &nothing),
            job("wrong password", Some("client"), Some("wrong"), &nothing),
            job("no password", Some("client"), None, &nothing),
            job("no certificate", None, Some("right"), &nothing),
            job("expired", Some("expired"), Some("right"), &nothing),
            job("another CA", Some("stranger"), Some("right"), &nothing),
            job(
                "wrong host",
                Some("client"),
                Some("right"),
                &json!({ "tls_config": { "server_name": "elsewhere.example" } })
            ),
            job(
                "untrusted",
                Some("client"),
                Some("right"),
                &json!({ "tls_config": { "ca_file": kit.path("stranger-ca.pem") } })
            ),
            job("plain", Some("client"), Some("right"), &json!({ "scheme": "http" })),
            job(
                "old",
                Some("client"),
                Some("right"),
                &json!({ "tls_config": { "min_version": "TLS10", "max_version": "TLS11" } })
            ),
        ]),
    );
    eventually("Prometheus scrapes", || match prometheus.query("up{job=\"right\"}")?[..] {
        [1.0] => Ok(()),
        ref other => Err(format!("{other:?}: {:?}", prometheus.ask("/api/v1/targets?state=active"))),
    });
    for (name, error) in [
        ("wrong password", "401 Unauthorized"),
        ("no password", "401 Unauthorized"),
        ("no certificate", "403 Forbidden"),
        ("expired", "tls"),
        ("another CA", "tls"),
        ("wrong host", "elsewhere.example"),
        ("untrusted", "certificate"),
        ("plain", ""),
        ("old", "tls"),
    ] {
        assert_eq!(prometheus.answers(&format!("up{{job=\"{name}\"}}")), [0.0], "{name}");
        let targets = prometheus.ask("/api/v1/targets?state=active").unwrap();
        let target = targets["activeTargets"].as_array().unwrap().iter().find(|target| target["labels"]["job"] == name);
        let said = target.unwrap()["lastError"].as_str().unwrap().to_owned();
        assert!(!said.is_empty() && said.contains(error), "{name}: {said}");
    }
    eventually("the example is scraped", || match prometheus.query("up{job=\"example\"}")?[..] {
        [1.0] => Ok(()),
        ref other => Err(format!("{other:?}: {:?}", prometheus.ask("/api/v1/targets?state=active"))),
    });
    // Scrapes continued meanwhile.
    assert_eq!(prometheus.answers("min_over_time(up{job=\"right\"}[1m])"), [1.0]);
    assert!(prometheus.answers("podskew_web_config_last_reload_successful{job=\"right\"}") == [1.0]);
}

#[tokio::main(flavor = "multi_thread")]
async fn debians_prometheus_gets_in_with_everything_right() {
    real_prometheus_gets_in_with_everything_right_and_with_nothing_wrong(Path::new("prometheus")).await;
}

#[tokio::main(flavor = "multi_thread")]
async fn prometheus_3_gets_in_with_everything_right() {
    real_prometheus_gets_in_with_everything_right_and_with_nothing_wrong(&programs::prometheus3()).await;
}

const API_SERVER: &str = "https://kubernetes.default.svc";

/// A service account with access to these paths, with a token for the API server.
fn account(name: &str, paths: &[&str]) -> Account {
    Account {
        user: format!("system:serviceaccount:monitoring:{name}"),
        groups: ["system:serviceaccounts", "system:authenticated"].map(str::to_owned).to_vec(),
        audiences: vec![API_SERVER.to_owned()],
        paths: paths.iter().map(|path| (*path).to_owned()).collect(),
    }
}

/// A token in the form of a header.
fn bearer(name: &str) -> String {
    format!("Bearer {}", token(name))
}

fn token(name: &str) -> String {
    jwt(&json!({ "sub": name, "exp": 4_000_000_000_u64 }))
}

fn kinds(simulator: &Simulator) -> Vec<&'static str> {
    simulator.reviews().iter().map(|(kind, _)| *kind).collect()
}

#[tokio::main(flavor = "multi_thread")]
async fn the_page_and_the_api_have_rights_of_their_own() {
    let simulator = Simulator::start(SimulatorConfig::default()).await.unwrap();
    simulator.set_account(&token("person"), Some(account("person", &["/"])));
    simulator.set_account(&token("program"), Some(account("program", &["/api/v1"])));
    let podskew = Served::podskew(&simulator.kubeconfig(), &["--auth", "kubernetes"]);
    podskew.until_ready(None);
    let status = |path: &str, who: &str| podskew.status(None, path, &[("Authorization", &bearer(who))]);
    for path in ["/", "/workload/a/b/c", "/image", "/static/x"] {
        assert_eq!(status(path, "program"), 403, "{path}");
        assert_ne!(status(path, "person"), 403, "{path}");
    }
    assert_eq!((status("/events", "program"), status("/api/v1/summary", "person")), (403, 403));
    assert_eq!((status("/api/v1/summary", "program"), status("/api/v1/workloads/a/b/c", "program")), (200, 404));
    assert_eq!(podskew.status(None, "/api/v1/summary", &[]), 401);
}

#[tokio::main(flavor = "multi_thread")]
async fn the_api_server_decides_which_token_may_get_which_path() {
    let simulator = Simulator::start(SimulatorConfig::default()).await.unwrap();
    simulator.set_account(&token("prometheus"), Some(account("prometheus", &["/metrics"])));
    simulator.set_account(&token("person"), Some(account("person", &["/metrics", "/"])));
    simulator.set_account(&token("nobody"), Some(account("nobody", &[])));
    let podskew = Served::podskew(&simulator.kubeconfig(), &["--auth", "kubernetes"]);
    podskew.until_ready(None);
    let status = |path: &str, authorization: &str| {
        let answer = podskew.get(None, path, &[("Authorization", authorization)]).unwrap();
        assert_eq!(answer.header("www-authenticate").is_some(), answer.status == 401, "{}", answer.head);
        answer.status
    };
    // For these the API server is not asked.
    let long = jwt(&json!({ "pad": "x".repeat(16 << 10) }));
    for wrong in ["Bearer x", "Bearer a.b", "Bearer ..", "Basic YTpi", "Bearer", &format!("Bearer {long}")] {
        assert_eq!(status("/metrics", wrong), 401, "{wrong:.40}");
    }
    assert_eq!(podskew.status(None, "/metrics", &[]), 401);
    for path in ["/livez", "/healthz", "/readyz"] {
        assert_eq!(podskew.status(None, path, &[]), 200, "{path}");
    }
    assert_eq!(podskew.status(None, "/api/v2/secret", &[]), 404);
    assert_eq!(kinds(&simulator), [""; 0]);

    assert_eq!(status("/metrics?x=1", &bearer("prometheus")), 200);
    assert_eq!(kinds(&simulator), ["TokenReview", "SubjectAccessReview"]);
    assert_eq!(status("/metrics", &bearer("prometheus").replacen("Bearer", "bearer", 1)), 200);
    assert_eq!(kinds(&simulator).len(), 2, "the result is cached");
    assert_eq!(status("/", &bearer("prometheus")), 403);
    assert_eq!((status("/", &bearer("person")), status("/metrics", &bearer("person"))), (200, 200));
    // At most a few new tokens are reviewed per second.
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(status("/metrics", &bearer("nobody")), 403);
    let asked = kinds(&simulator).len();
    assert_eq!((status("/metrics", &bearer("stranger")), status("/metrics", &bearer("stranger"))), (401, 401));
    assert_eq!(kinds(&simulator)[asked..], ["TokenReview"]);
    let said = podskew.log();
    assert!(!said.contains(&token("prometheus")) && !said.contains("eyJ"), "{said}");
}

/// Access control in this process, and its API server.
async fn in_process(audiences: &[&str]) -> (Simulator, AccessControl) {
    let simulator = Simulator::start(SimulatorConfig::default()).await.unwrap();
    let audiences = audiences.iter().map(|audience| (*audience).to_owned()).collect();
    let config = AccessConfig { token_reviews: true, audiences, ..AccessConfig::default() };
    let mut access = AccessControl::open(&config).unwrap().unwrap();
    let server = simulator.url().parse().unwrap();
    access.review_with(&podskew::watch::client(kube::Config::new(server)).unwrap());
    (simulator, access)
}

/// The status for `/metrics` with a token.
async fn status(access: &AccessControl, token: &str) -> u16 {
    let mut headers = HeaderMap::new();
    headers.insert(http::header::AUTHORIZATION, HeaderValue::try_from(format!("Bearer {token}")).unwrap());
    match access.check(&AccessRequest { headers: &headers, route: "/metrics", has_certificate: false }).await {
        Ok(()) => 200,
        Err(denial) => {
            assert_eq!(denial.retry_after.is_some(), denial.status == 503, "{denial:?}");
            denial.status.as_u16()
        }
    }
}

/// Advances the clock at once. After that it runs normally.
async fn later(seconds: u64) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(seconds)).await;
    tokio::time::resume();
}

#[tokio::main(flavor = "current_thread")]
async fn a_token_is_for_an_audience_that_was_asked_for() {
    let (simulator, access) = in_process(&["podskew", "metrics"]).await;
    let mut for_podskew = account("prometheus", &["/metrics"]);
    for_podskew.audiences = vec!["metrics".to_owned()];
    simulator.set_account(&token("right"), Some(for_podskew));
    simulator.set_account(&token("api server's"), Some(account("prometheus", &["/metrics"])));
    // A server without support for audiences accepts the token, and returns no audiences.
    let unaware = Account { audiences: Vec::new(), ..account("prometheus", &["/metrics"]) };
    simulator.set_account(&token("unaware"), Some(unaware));
    assert_eq!(status(&access, &token("right")).await, 200);
    assert_eq!(status(&access, &token("api server's")).await, 401);
    assert_eq!(status(&access, &token("unaware")).await, 401);
}

#[tokio::main(flavor = "current_thread")]
async fn the_api_servers_decision_is_cached_for_a_while() {
    let (simulator, access) = in_process(&[]).await;
    let good = token("prometheus");
    assert_eq!(status(&access, &good).await, 401);
    simulator.set_account(&good, Some(account("prometheus", &["/metrics"])));
    later(9).await;
    assert_eq!(status(&access, &good).await, 401, "a denial holds for ten seconds");
    later(2).await;
    assert_eq!(status(&access, &good).await, 200);
    simulator.set_account(&good, None);
    later(58).await;
    assert_eq!(status(&access, &good).await, 200, "an allow holds for sixty");
    later(3).await;
    assert_eq!(status(&access, &good).await, 401);
    // A cached result does not outlive its token.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let short = jwt(&json!({ "exp": now + 2 }));
    simulator.set_account(&short, Some(account("prometheus", &["/metrics"])));
    assert_eq!(status(&access, &short).await, 200);
    simulator.set_account(&short, None);
    assert_eq!(status(&access, &short).await, 200);
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    assert_eq!(status(&access, &short).await, 401);
}

#[tokio::main(flavor = "current_thread")]
async fn a_good_token_outlives_an_api_server_that_is_silent_by_ten_minutes() {
    for fault in [Fault::Status(503), Fault::NeverAnswers, Fault::TooManyRequests { retry_after_seconds: 1 }] {
        let (simulator, access) = in_process(&[]).await;
        let good = token("prometheus");
        simulator.set_account(&good, Some(account("prometheus", &["/metrics"])));
        assert_eq!(status(&access, &good).await, 200);
        simulator.set_review_fault(Some(fault));
        later(61).await;
        let begun = Instant::now();
        assert_eq!(status(&access, &good).await, 200, "{fault:?}");
        assert!(begun.elapsed() < Duration::from_secs(8), "{fault:?}: {:?}", begun.elapsed());
        let begun = Instant::now();
        for _ in 0..50 {
            assert_eq!(status(&access, &good).await, 200, "{fault:?}");
        }
        assert!(begun.elapsed() < Duration::from_secs(2), "no second wait: {:?}", begun.elapsed());
        // A user that was unknown before is still refused.
        later(2).await;
        assert_eq!(status(&access, &token("other")).await, 503, "{fault:?}");
        later(510).await;
        assert_eq!(status(&access, &good).await, 200, "{fault:?}");
        later(30).await;
        assert_eq!(status(&access, &good).await, 503, "{fault:?}: ten minutes are over");
        simulator.set_review_fault(None);
        later(6).await;
        assert_eq!(status(&access, &good).await, 200, "{fault:?}");
    }
}

#[tokio::main(flavor = "current_thread")]
async fn an_api_server_that_answers_is_believed_at_once() {
    let (simulator, access) = in_process(&[]).await;
    let good = token("prometheus");
    simulator.set_account(&good, Some(account("prometheus", &["/metrics"])));
    assert_eq!(status(&access, &good).await, 200);
    // podskew loses its permission for reviews: that is a response, not a reason to allow access for ten minutes.
    simulator.set_review_fault(Some(Fault::Status(403)));
    assert_eq!(status(&access, &good).await, 200, "for as long as an allow holds");
    later(61).await;
    assert_eq!(status(&access, &good).await, 503);
    // After an outage of the API server, a revoked token is refused with the next response.
    simulator.set_review_fault(None);
    later(2).await;
    assert_eq!(status(&access, &good).await, 200);
    simulator.set_review_fault(Some(Fault::Status(500)));
    later(61).await;
    assert_eq!(status(&access, &good).await, 200);
    simulator.set_account(&good, None);
    simulator.set_review_fault(None);
    later(2).await;
    let begun = Instant::now();
    while status(&access, &good).await != 401 {
        assert!(begun.elapsed() < Duration::from_secs(10), "access is still allowed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::main(flavor = "current_thread")]
async fn the_same_token_is_reviewed_once() {
    let (simulator, access) = in_process(&[]).await;
    let good = token("prometheus");
    simulator.set_account(&good, Some(account("prometheus", &["/metrics"])));
    let all = futures::future::join_all((0..40).map(|_| status(&access, &good))).await;
    assert_eq!(all, [200; 40]);
    assert_eq!(kinds(&simulator), ["TokenReview", "SubjectAccessReview"]);
    // Not all different tokens are reviewed: the others get 503 with Retry-After.
    let tokens: Vec<String> = (0..40).map(|number| token(&number.to_string())).collect();
    later(2).await;
    let all = futures::future::join_all(tokens.iter().map(|token| status(&access, token))).await;
    let asked = all.iter().filter(|status| **status == 401).count();
    assert_eq!((asked, all.iter().filter(|status| **status == 503).count()), (3, 37), "{all:?}");
}

#[tokio::main(flavor = "multi_thread")]
async fn a_missing_right_is_named_with_the_rule() {
    let simulator = Simulator::start(SimulatorConfig::default()).await.unwrap();
    simulator.set_review_fault(Some(Fault::Status(403)));
    let podskew = Served::podskew(&simulator.kubeconfig(), &["--auth", "kubernetes"]);
    let answer = podskew.get(None, "/metrics", &[("Authorization", &bearer("prometheus"))]).unwrap();
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")), "{}", answer.body);
    podskew.until_logged("`create` on `tokenreviews` in authentication.k8s.io and on `subjectaccessreviews`");
    assert!(!podskew.log().contains("eyJ"), "{}", podskew.log());
}

/// Ten thousand unknown tokens, during normal scrapes.
#[tokio::main(flavor = "multi_thread")]
async fn random_tokens_hold_no_scrape_up_and_ask_the_api_server_no_more_than_may_be() {
    const RANDOM: usize = 10_000;
    let simulator = Simulator::start(SimulatorConfig::default()).await.unwrap();
    simulator.set_account(&token("prometheus"), Some(account("prometheus", &["/metrics"])));
    let podskew = Served::podskew(&simulator.kubeconfig(), &["--auth", "kubernetes"]);
    let right = bearer("prometheus");
    let scrape = |connection: &mut Connection| {
        let begun = Instant::now();
        assert_eq!(connection.ask("/metrics", &[("Authorization", &right)]).unwrap().status, 200);
        begun.elapsed()
    };
    let mut connection = Connection::open(&podskew.address, None).unwrap();
    let (next, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let mut times = Vec::new();
    scrape(&mut connection);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let flood: Vec<_> = (0..16)
            .map(|_| {
                scope.spawn(|| {
                    let mut connection = Connection::open(&podskew.address, None).unwrap();
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        // For at least three seconds, because a limit per second cannot be measured in less.
                        if number >= RANDOM && begun.elapsed() > Duration::from_secs(3) {
                            return;
                        }
                        let random = bearer(&format!("random {number}"));
                        let answer = connection.ask("/metrics", &[("Authorization", &random)]).unwrap();
                        assert!(matches!(answer.status, 401 | 503), "{}", answer.status);
                        assert_eq!(answer.header("retry-after").is_some(), answer.status == 503, "{}", answer.head);
                        refused.fetch_add(usize::from(answer.status == 503), Ordering::Relaxed);
                    }
                })
            })
            .collect();
        while !flood.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            times.push(scrape(&mut connection));
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    times.sort_unstable();
    let asked: Vec<Instant> = simulator.reviews().iter().map(|(_, at)| *at).collect();
    println!(
        "{} of {next:?} refused unasked, {} reviews, median {:?}",
        refused.into_inner(),
        asked.len(),
        times[times.len() / 2]
    );
    assert!(asked.len() > 12, "{}", asked.len());
    // Requests sent within a second may arrive a little closer together.
    for second in asked.windows(11) {
        let apart = second[10] - second[0];
        assert!(apart > Duration::from_millis(900), "eleven reviews within {apart:?}");
    }
    assert!(times[times.len() / 2] < Duration::from_millis(100), "{:?}", times[times.len() / 2]);
}

async fn real_prometheus_gets_in_with_a_token(program: &Path) {
    let kit = Kit::new();
    let simulator = Simulator::start(SimulatorConfig::default()).await.unwrap();
    simulator.set_account(&token("prometheus"), Some(account("prometheus", &["/metrics"])));
    simulator.set_account(&token("person"), Some(account("person", &["/"])));
    let file = kit.write("web.yml", ONE_WAY);
    let arguments = ["--auth", "kubernetes", "--web-config-file", file.to_str().unwrap()];
    let podskew = Served::podskew(&simulator.kubeconfig(), &arguments);
    let job = |name: &str| {
        let credentials = kit.write(&format!("{name}.token"), &token(name));
        let more = json!({ "authorization": { "type": "Bearer", "credentials_file": credentials } });
        job(name, &podskew, &kit, None, None, &more)
    };
    let nothing = self::job("nothing", &podskew, &kit, None, None, &json!({}));
    let plain = Served::podskew(&simulator.kubeconfig(), &["--auth", "kubernetes"]);
    let mounted = "/var/run/secrets/kubernetes.io/serviceaccount/token";
    let example = example("auth-kubernetes", "example", &plain, &[(mounted, kit.path("prometheus.token"))]);
    kit.write("prometheus.token", &token("prometheus"));
    let prometheus =
        Prometheus::start_with(program, &json!([job("prometheus"), job("person"), job("stranger"), nothing, example]));
    eventually("Prometheus scrapes", || match prometheus.query("up{job=\"prometheus\"}")?[..] {
        [1.0] => Ok(()),
        ref other => Err(format!("{other:?}: {:?}", prometheus.ask("/api/v1/targets?state=active"))),
    });
    eventually("the example is scraped", || match prometheus.query("up{job=\"example\"}")?[..] {
        [1.0] => Ok(()),
        ref other => Err(format!("{other:?}: {:?}", prometheus.ask("/api/v1/targets?state=active"))),
    });
    for (name, error) in
        [("person", "403 Forbidden"), ("stranger", "401 Unauthorized"), ("nothing", "401 Unauthorized")]
    {
        assert_eq!(prometheus.answers(&format!("up{{job=\"{name}\"}}")), [0.0], "{name}");
        let targets = prometheus.ask("/api/v1/targets?state=active").unwrap();
        let target = targets["activeTargets"].as_array().unwrap().iter().find(|target| target["labels"]["job"] == name);
        let said = target.unwrap()["lastError"].as_str().unwrap().to_owned();
        assert!(said.contains(error), "{name}: {said}");
    }
}

#[tokio::main(flavor = "multi_thread")]
async fn debians_prometheus_gets_in_with_a_token() {
    real_prometheus_gets_in_with_a_token(Path::new("prometheus")).await;
}

#[tokio::main(flavor = "multi_thread")]
async fn prometheus_3_gets_in_with_a_token() {
    real_prometheus_gets_in_with_a_token(&programs::prometheus3()).await;
}

/// The tests and their requirements.
pub fn tests() -> Vec<Test> {
    tests![
        podskew_and_exporter_toolkit_agree_about_files_except_as_documented: [TOOLKIT],
        a_broken_certificate_or_key_is_named_by_its_file_and_never_quoted: [],
        client_certificates_are_required_for_everything_but_probes: [],
        any_or_no_certificate_where_the_file_says_so: [],
        passwords_are_right_for_podskew_where_they_are_for_the_toolkit: [TOOLKIT],
        wrong_passwords_hold_no_scrape_up: [],
        one_password_is_verified_sixteen_wait_and_the_next_is_turned_away: [],
        rotated_certificates_fail_no_scrape: [],
        a_broken_file_changes_nothing_and_is_logged: [],
        an_invalid_file_is_reported_with_its_line_and_a_remedy: [],
        headers_are_on_every_answer_and_the_rate_limit_spares_probes: [],
        openssl_finds_the_versions_ciphers_and_curves_that_are_configured: [OPENSSL],
        handshakes_count_as_connections_and_have_a_deadline: [],
        debians_prometheus_gets_in_with_everything_right: [PROMETHEUS],
        prometheus_3_gets_in_with_everything_right: [PROMETHEUS3],
        the_page_and_the_api_have_rights_of_their_own: [],
        the_api_server_decides_which_token_may_get_which_path: [],
        a_token_is_for_an_audience_that_was_asked_for: [],
        the_api_servers_decision_is_cached_for_a_while: [],
        a_good_token_outlives_an_api_server_that_is_silent_by_ten_minutes: [],
        an_api_server_that_answers_is_believed_at_once: [],
        the_same_token_is_reviewed_once: [],
        a_missing_right_is_named_with_the_rule: [],
        random_tokens_hold_no_scrape_up_and_ask_the_api_server_no_more_than_may_be: [],
        debians_prometheus_gets_in_with_a_token: [PROMETHEUS],
        prometheus_3_gets_in_with_a_token: [PROMETHEUS3],
    ]
}
