//! The HTTP server over real TCP: routes, limits and shutdown.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{BoxStream, StreamExt as _, repeat};
use podskew::exposition::{Encoding, Format};
use podskew::web::{
    ConnectionCounts, Limits, ListenAddress, PageRequest, PageResponse, Pages, Scrape, Server, Site, WatchStatus, bind,
};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The content of `/metrics`: `frames` times `frame`.
struct Stub {
    frame: Bytes,
    frames: usize,
    status: Mutex<WatchStatus>,
    pages: Option<Arc<dyn Pages>>,
    scraped: Mutex<Vec<(Encoding, u64)>>,
}

impl Site for Stub {
    fn scrape(&self, _: Format, encoding: Encoding, _: ConnectionCounts) -> Scrape {
        Scrape {
            content_length: (encoding == Encoding::Gzip).then_some((self.frame.len() * self.frames) as u64),
            frames: Box::new(std::iter::repeat_n(self.frame.clone(), self.frames)),
        }
    }

    fn scraped(&self, encoding: Encoding, bytes: u64, _: Duration) {
        self.scraped.lock().unwrap().push((encoding, bytes));
    }

    fn status(&self) -> WatchStatus {
        self.status.lock().unwrap().clone()
    }

    fn pages(&self) -> Option<&Arc<dyn Pages>> {
        self.pages.as_ref()
    }
}

/// Endless events, as fast as they are read; or one, and then nothing.
struct Flood {
    endless: bool,
}

impl Pages for Flood {
    fn serves_host(&self, _: Option<&str>) -> bool {
        true
    }

    fn answer(self: Arc<Self>, request: PageRequest) -> BoxFuture<'static, PageResponse> {
        let body = Bytes::from(request.path);
        Box::pin(async move { PageResponse { status: http::StatusCode::OK, headers: Vec::new(), body } })
    }

    fn events(&self) -> Option<BoxStream<'static, Bytes>> {
        let frame = Bytes::from(vec![b'x'; 1 << 16]);
        Some(if self.endless {
            repeat(frame).boxed()
        } else {
            repeat(frame).take(1).chain(futures::stream::pending()).boxed()
        })
    }
}

/// A running server.
struct Running {
    address: SocketAddr,
    site: Arc<Stub>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Running {
    async fn start(limits: Limits) -> Self {
        Self::with_picture(limits, Bytes::from_static(b"up 1\n"), 3).await
    }

    async fn with_picture(limits: Limits, frame: Bytes, frames: usize) -> Self {
        let site = Arc::new(Stub { frame, frames, status: Mutex::default(), pages: None, scraped: Mutex::default() });
        Self::of(limits, site).await
    }

    async fn of(limits: Limits, site: Arc<Stub>) -> Self {
        let address = ListenAddress::One("127.0.0.1:0".parse().unwrap());
        let server = Server::new(bind(address).await.unwrap(), site.clone(), limits);
        let address = server.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(server.run(async {
            let _ = stopped.await;
        }));
        Self { address, site, stop: Some(stop), task }
    }

    fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// A connection on which `request` was sent, followed by the end of the header.
    async fn send(&self, request: &str) -> TcpStream {
        let mut stream = self.connect().await;
        let request = format!("{}\r\nHost: podskew\r\n\r\n", request.replace('\n', "\r\n"));
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    /// The response to `request`, on a connection of its own.
    async fn ask(&self, request: &str) -> Answer {
        let mut stream = self.send(&format!("{request}\nConnection: close")).await;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        Answer::parse(&bytes)
    }
}

#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").expect("a complete header");
        let head = head.to_lowercase();
        let status = head.split(' ').nth(1).expect("a status").parse().unwrap();
        Self { status, head, body: body.to_owned() }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// Reads until the server closes; returns the number of bytes.
async fn drain(stream: &mut TcpStream) -> usize {
    let mut buffer = vec![0; 1 << 16];
    let mut total = 0;
    loop {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return total,
            Ok(read) => total += read,
        }
    }
}

fn short(change: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    change(&mut limits);
    limits
}

#[tokio::test]
async fn livez_always_succeeds_and_readyz_after_the_initial_sync() {
    let server = Running::start(Limits::default()).await;
    for path in ["/livez", "/healthz"] {
        let alive = server.ask(&format!("GET {path} HTTP/1.1")).await;
        assert_eq!((alive.status, alive.body.as_str()), (200, "ok\n"), "{path}");
    }
    server.site.status.lock().unwrap().waiting_for = vec!["pods in namespace shop".to_owned()];
    let unready = server.ask("GET /readyz HTTP/1.1").await;
    assert_eq!(unready.status, 503);
    assert!(unready.body.contains("waiting for pods in namespace shop\n"), "{}", unready.body);

    server.site.status.lock().unwrap().ready = true;
    let ready = server.ask("GET /readyz?verbose HTTP/1.1").await;
    assert_eq!((ready.status, ready.body.as_str()), (200, "ready\n"));
}

#[tokio::test]
async fn unknown_paths_and_methods_are_refused() {
    let server = Running::start(Limits::default()).await;
    for path in ["/favicon.ico", "/metrics/", "/debug/pprof", "//", "/%6detrics"] {
        assert_eq!(server.ask(&format!("GET {path} HTTP/1.1")).await.status, 404, "{path}");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        let refused = server.ask(&format!("{method} /metrics HTTP/1.1\nContent-Length: 0")).await;
        assert_eq!(refused.status, 405, "{method}");
        assert_eq!(refused.header("allow"), Some("get, head"));
    }
    assert_eq!(server.ask("POST /nothing HTTP/1.1\nContent-Length: 0").await.status, 404);
}

#[tokio::test]
async fn the_landing_page_loads_nothing() {
    let server = Running::start(Limits::default()).await;
    server.site.status.lock().unwrap().namespaces = vec!["shop".to_owned()];
    let page = server.ask("GET /?from=service HTTP/1.1").await;
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(page.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
    assert!(page.body.contains("<code>shop</code>"), "{}", page.body);
    assert!(!page.body.contains("http://") && !page.body.contains("https://"), "{}", page.body);
}

#[tokio::test]
async fn a_scrape_is_streamed_and_counted() {
    let server = Running::start(Limits::default()).await;
    let plain = server.ask("GET /metrics HTTP/1.1").await;
    assert_eq!(plain.status, 200);
    assert_eq!(plain.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert_eq!(plain.header("vary"), Some("accept, accept-encoding"));
    assert_eq!(plain.header("transfer-encoding"), Some("chunked"));
    assert_eq!(plain.header("content-encoding"), None);
    assert_eq!(plain.body, "F\r\nup 1\nup 1\nup 1\n\r\n0\r\n\r\n", "small frames in one chunk");

    let accept = "Accept: text/plain;q=0.5\nAccept: application/openmetrics-text;version=1.0.0";
    let gzip = server.ask(&format!("GET /metrics?x=1 HTTP/1.1\n{accept}\nAccept-Encoding: gzip")).await;
    assert_eq!(
        gzip.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8"),
        "both lines of the header count"
    );
    assert_eq!(gzip.header("content-encoding"), Some("gzip"));
    assert_eq!(gzip.header("content-length"), Some("15"));
    assert_eq!(gzip.body, "up 1\nup 1\nup 1\n");

    let scraped = server.site.scraped.lock().unwrap().clone();
    assert_eq!(scraped, [(Encoding::Identity, 15), (Encoding::Gzip, 15)]);
}

#[tokio::test]
async fn head_gives_the_header_of_get_and_no_body() {
    let server = Running::start(Limits::default()).await;
    for (path, extra) in [
        ("/metrics", "\nAccept-Encoding: gzip"),
        ("/metrics", "\nAccept-Encoding: identity"),
        ("/livez", ""),
        ("/readyz", ""),
        ("/", ""),
        ("/nothing", ""),
    ] {
        let get = server.ask(&format!("GET {path} HTTP/1.1{extra}")).await;
        let head = server.ask(&format!("HEAD {path} HTTP/1.1{extra}")).await;
        // RFC 9110 (9.3.2): fields that depend on generating the body may be omitted.
        let fixed = |answer: &Answer| {
            let lines = answer
                .head
                .lines()
                .filter(|line| !line.starts_with("date:") && !line.starts_with("transfer-encoding:"));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(fixed(&head), fixed(&get), "{path}");
        assert_eq!(head.body, "", "{path}");
    }
    assert_eq!(server.site.scraped.lock().unwrap().len(), 2, "HEAD is not a scrape");
}

#[tokio::test]
async fn a_connection_is_kept_between_scrapes_and_closed_when_it_rests_too_long() {
    let limits = short(|limits| {
        limits.header = Duration::from_millis(100);
        limits.response = Duration::from_millis(100);
        limits.idle = Duration::from_millis(700);
    });
    let server = Running::start(limits).await;
    let mut stream = server.send("GET /livez HTTP/1.1").await;
    let mut buffer = [0; 1024];
    assert!(stream.read(&mut buffer).await.unwrap() > 0);
    // Longer than every limit except that for idle connections.
    tokio::time::sleep(Duration::from_millis(300)).await;
    stream.write_all(b"GET /livez HTTP/1.1\r\nHost: podskew\r\n\r\n").await.unwrap();
    assert!(stream.read(&mut buffer).await.unwrap() > 0, "still open");
    let rests = Instant::now();
    assert_eq!(stream.read(&mut buffer).await.unwrap(), 0);
    assert!(rests.elapsed() > Duration::from_millis(500), "closed after {:?}", rests.elapsed());
}

#[tokio::test]
async fn a_slow_header_is_cut() {
    let server = Running::start(short(|limits| limits.header = Duration::from_millis(200))).await;
    let begun = Instant::now();
    let mut silent = server.connect().await;
    let mut slow = server.connect().await;
    slow.write_all(b"GET /metrics HTTP/1.1\r\n").await.unwrap();
    let drip = async {
        // A byte now and then does not extend the limit.
        while slow.write_all(b"X").await.is_ok() && begun.elapsed() < Duration::from_secs(5) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let (silent, ()) = tokio::join!(drain(&mut silent), drip);
    assert_eq!(silent, 0, "no response without a request");
    assert!(begun.elapsed() < Duration::from_secs(2), "cut after {:?}", begun.elapsed());
}

#[tokio::test]
async fn a_slow_header_is_cut_on_a_kept_connection_too() {
    let server = Running::start(short(|limits| limits.header = Duration::from_millis(200))).await;
    let mut stream = server.send("GET /livez HTTP/1.1").await;
    assert!(stream.read(&mut [0; 1024]).await.unwrap() > 0);
    stream.write_all(b"GET /").await.unwrap();
    let begun = Instant::now();
    drain(&mut stream).await;
    assert!(begun.elapsed() < Duration::from_secs(2), "cut after {:?}", begun.elapsed());
}

#[tokio::test]
async fn an_endless_header_is_refused() {
    let server = Running::start(Limits::default()).await;
    let answer = server.ask(&format!("GET /{} HTTP/1.1", "x".repeat(60_000))).await;
    assert_eq!(answer.status, 404, "long, but within bounds");
    let mut stream = server.connect().await;
    let _ = stream.write_all(format!("GET /{}", "x".repeat(1 << 20)).as_bytes()).await;
    assert!(drain(&mut stream).await < 1024);
}

const MEGABYTE: usize = 1 << 20;

#[tokio::test]
async fn a_slow_reader_is_cut_and_delays_nobody() {
    let limits = short(|limits| limits.response = Duration::from_millis(400));
    let picture = Bytes::from(vec![b'x'; MEGABYTE]);
    let server = Running::with_picture(limits, picture, 256).await;
    let begun = Instant::now();
    let mut slow = server.send("GET /metrics HTTP/1.1\nAccept-Encoding: identity").await;
    assert!(slow.read(&mut [0; 10]).await.unwrap() > 0);

    let other = server.ask("GET /livez HTTP/1.1").await;
    assert_eq!(other.status, 200);
    assert!(begun.elapsed() < Duration::from_millis(400), "others wait");

    tokio::time::sleep(Duration::from_millis(600)).await;
    let received = drain(&mut slow).await;
    assert!(received < 64 * MEGABYTE, "{received} bytes: only the content of the kernel's buffers");
    assert!(server.site.scraped.lock().unwrap().is_empty(), "an incomplete response is not a scrape");
}

/// A server with few slots, whose `/metrics` is too large to be received at once.
async fn with_few_places(connections: usize, probes: usize) -> Running {
    let limits = short(|limits| {
        limits.connections = connections;
        limits.probes = probes;
    });
    Running::with_picture(limits, Bytes::from(vec![b'x'; MEGABYTE]), 64).await
}

/// A scrape that stops reading after the beginning of the response.
async fn stuck_scrape(server: &Running) -> TcpStream {
    let mut scrape = server.send("GET /metrics HTTP/1.1\nAccept-Encoding: identity\nConnection: close").await;
    assert!(scrape.read(&mut [0; 10]).await.unwrap() > 0);
    scrape
}

/// A connection that is idle after a response.
async fn resting(server: &Running) -> TcpStream {
    let mut stream = server.send("GET /livez HTTP/1.1").await;
    assert!(stream.read(&mut [0; 1024]).await.unwrap() > 0);
    stream
}

/// Whether the server has closed the connection.
async fn is_closed(stream: &mut TcpStream) -> bool {
    matches!(tokio::time::timeout(Duration::from_millis(200), stream.read(&mut [0; 16])).await, Ok(Ok(0) | Err(_)))
}

#[tokio::test]
async fn when_every_place_is_taken_the_connection_idle_longest_is_closed() {
    let server = with_few_places(4, 2).await;
    let scrape = stuck_scrape(&server).await;
    let mut silent = server.connect().await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    let mut first = resting(&server).await;
    let mut second = resting(&server).await;
    let mut third = resting(&server).await;
    assert!(is_closed(&mut silent).await, "the longest idle one");
    assert!(!is_closed(&mut first).await);
    for round in 0..50 {
        let answer = server.ask("GET /readyz HTTP/1.1").await;
        assert_eq!(answer.header("retry-after"), None, "{round}");
    }
    assert!(is_closed(&mut first).await, "the next one");
    assert!(!is_closed(&mut third).await && !is_closed(&mut second).await, "one connection is closed for each new one");
    drop(scrape);
}

#[tokio::test]
async fn a_thousand_silent_connections_take_nothing_away() {
    let server = Running::start(Limits::default()).await;
    let mut crowd = Vec::new();
    for _ in 0..1000 {
        crowd.push(server.connect().await);
    }
    let begun = Instant::now();
    assert_eq!(server.ask("GET /metrics HTTP/1.1").await.status, 200);
    assert_eq!(server.ask("GET /livez HTTP/1.1").await.status, 200);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn an_answer_on_its_way_is_never_cut_for_another_connection() {
    let server = with_few_places(2, 2).await;
    let mut scrapes = [stuck_scrape(&server).await, stuck_scrape(&server).await];
    for path in ["/metrics", "/"] {
        let full = server.ask(&format!("GET {path} HTTP/1.1")).await;
        assert_eq!(full.status, 503, "{path}");
        assert_eq!(full.header("connection"), Some("close"));
        assert_eq!(full.header("retry-after"), Some("5"));
    }
    let mut silent = [server.connect().await, server.connect().await];
    for (path, status) in [("/livez", 200), ("/healthz", 200), ("/readyz", 503)] {
        let mut probe = server.send(&format!("GET {path} HTTP/1.1")).await;
        let mut bytes = Vec::new();
        probe.read_to_end(&mut bytes).await.unwrap();
        let answer = Answer::parse(&bytes);
        assert_eq!(answer.status, status, "{path}: the connection is closed");
        assert_eq!(answer.header("retry-after"), None, "{path} is answered, not refused");
    }
    assert!(is_closed(&mut silent[0]).await, "a probe needed its slot");
    for scrape in &mut scrapes {
        assert!(drain(scrape).await > 64 * MEGABYTE);
    }
    let again = server.ask("GET / HTTP/1.1").await;
    assert_eq!(again.status, 200, "room again");
}

#[tokio::test]
async fn beyond_all_places_connections_wait_for_their_turn() {
    let server = with_few_places(1, 1).await;
    let mut scrapes = [stuck_scrape(&server).await];
    let (answer, _) = tokio::join!(server.ask("GET /livez HTTP/1.1"), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        drain(&mut scrapes[0]).await
    });
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_half_closed_client_gets_the_whole_answer() {
    let server = Running::with_picture(Limits::default(), Bytes::from(vec![b'x'; 1024]), 1024).await;
    for round in 0..50 {
        for version in ["1.0", "1.1"] {
            let mut stream = server.send(&format!("GET /metrics HTTP/{version}")).await;
            stream.shutdown().await.unwrap();
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).await.unwrap();
            let answer = Answer::parse(&bytes);
            assert_eq!(answer.status, 200, "{round}");
            assert_eq!(answer.body.matches('x').count(), MEGABYTE, "{round}");
        }
        // All bytes in one segment.
        let mut stream = server.connect().await;
        stream
            .write_all(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\nGET /readyz HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .unwrap();
        stream.shutdown().await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert_eq!(text.matches("HTTP/1.1 ").count(), 2, "{round}: {text}");
    }
}

/// How a response without a length ends for a slow client.
async fn end_of_a_cut_answer(limits: Limits, cut: impl AsyncFnOnce(&mut Running)) -> std::io::Result<usize> {
    let mut server = Running::with_picture(limits, Bytes::from(vec![b'x'; MEGABYTE]), 256).await;
    let mut scrape = server.send("GET /metrics HTTP/1.0").await;
    scrape.read_exact(&mut [0; 10]).await?;
    cut(&mut server).await;
    scrape.read_to_end(&mut Vec::new()).await
}

#[tokio::test]
async fn a_cut_answer_does_not_end_like_a_whole_one() {
    let deadline = short(|limits| limits.response = Duration::from_millis(200));
    let at_the_deadline =
        end_of_a_cut_answer(deadline, async |_| tokio::time::sleep(Duration::from_millis(500)).await).await;
    let grace = short(|limits| limits.grace = Duration::from_millis(200));
    let at_the_end = end_of_a_cut_answer(grace, async |server| {
        server.stop();
        (&mut server.task).await.unwrap();
    })
    .await;
    for end in [at_the_deadline, at_the_end] {
        assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    }
    let whole = Running::with_picture(Limits::default(), Bytes::from(vec![b'x'; MEGABYTE]), 16).await;
    let answer = whole.ask("GET /metrics HTTP/1.0").await;
    assert_eq!(answer.body.len(), 16 * MEGABYTE, "a complete response ends properly");
}

#[tokio::test]
async fn a_request_has_one_host() {
    let server = Running::start(Limits::default()).await;
    for (request, status) in [
        ("GET /livez HTTP/1.1\r\n\r\n", 400),
        ("GET http://podskew/livez HTTP/1.1\r\n\r\n", 400),
        ("GET /livez HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
        ("GET /livez HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        ("GET /livez HTTP/1.0\r\n\r\n", 200),
        ("GET /livez HTTP/1.1\r\nHost:\r\n\r\n", 200),
    ] {
        let mut stream = server.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        assert_eq!(Answer::parse(&bytes).status, status, "{request:?}");
    }
}

#[tokio::test]
async fn stopping_finishes_the_answer_in_flight_and_refuses_new_connections() {
    let picture = Bytes::from(vec![b'x'; MEGABYTE]);
    let mut server = Running::with_picture(Limits::default(), picture, 64).await;
    let mut resting = server.send("GET /livez HTTP/1.1").await;
    assert!(resting.read(&mut [0; 1024]).await.unwrap() > 0);
    let mut scrape = server.send("GET /metrics HTTP/1.1\nAccept-Encoding: identity").await;
    let mut head = [0; 10];
    scrape.read_exact(&mut head).await.unwrap();

    server.stop();
    assert_eq!(drain(&mut resting).await, 0, "an idle connection is closed");
    assert!(TcpStream::connect(server.address).await.is_err(), "the port is closed");
    assert!(!server.task.is_finished(), "the scrape continues");
    assert!(drain(&mut scrape).await > 64 * MEGABYTE);
    assert_eq!(server.site.scraped.lock().unwrap().len(), 1);
    let begun = Instant::now();
    server.task.await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(1), "the shutdown takes no longer than the scrape");
}

#[tokio::test]
async fn stopping_waits_no_longer_than_its_grace() {
    let picture = Bytes::from(vec![b'x'; MEGABYTE]);
    let limits = short(|limits| limits.grace = Duration::from_millis(300));
    let mut server = Running::with_picture(limits, picture, 256).await;
    let mut slow = server.send("GET /metrics HTTP/1.1\nAccept-Encoding: identity").await;
    assert!(slow.read(&mut [0; 10]).await.unwrap() > 0);
    let begun = Instant::now();
    server.stop();
    server.task.await.unwrap();
    assert!(begun.elapsed() > Duration::from_millis(250) && begun.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn dropping_the_server_cuts_everything_at_once() {
    let picture = Bytes::from(vec![b'x'; MEGABYTE]);
    let mut server = Running::with_picture(Limits::default(), picture, 256).await;
    let mut slow = server.send("GET /metrics HTTP/1.1\nAccept-Encoding: identity").await;
    assert!(slow.read(&mut [0; 10]).await.unwrap() > 0);
    server.stop();
    server.task.abort();
    let begun = Instant::now();
    assert!(drain(&mut slow).await < 64 * MEGABYTE);
    assert!(begun.elapsed() < Duration::from_secs(1), "cut after {:?}", begun.elapsed());
}

#[tokio::test]
async fn the_default_address_takes_ipv4_connections() {
    let listener = bind(ListenAddress::Any(0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    TcpStream::connect(("127.0.0.1", port)).await.unwrap();
}

async fn flooded(limits: Limits, endless: bool) -> Running {
    let pages: Arc<dyn Pages> = Arc::new(Flood { endless });
    let (frame, frames) = (Bytes::from_static(b"up 1\n"), 3);
    let site = Stub { frame, frames, status: Mutex::default(), pages: Some(pages), scraped: Mutex::default() };
    Running::of(limits, Arc::new(site)).await
}

#[tokio::test]
async fn an_unread_stream_is_closed_and_an_idle_one_is_not() {
    let limits =
        Limits { frame: Duration::from_millis(300), response: Duration::from_millis(300), ..Limits::default() };
    let server = flooded(limits, true).await;
    let mut slow = server.send("GET /events HTTP/1.1").await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let begun = Instant::now();
    let held = drain(&mut slow).await;
    assert!(begun.elapsed() < Duration::from_secs(2), "the stream has ended");
    assert!(held < 16 << 20, "only socket buffers had data for it: {held}");

    // No timeout applies to the whole stream.
    let server = flooded(limits, false).await;
    let mut resting = server.send("GET /events HTTP/1.1").await;
    let mut buffer = vec![0; 1 << 17];
    let mut read = 0;
    while read < 1 << 16 {
        read += resting.read(&mut buffer).await.unwrap();
    }
    let silence = tokio::time::timeout(Duration::from_secs(1), resting.read(&mut buffer)).await;
    assert!(silence.is_err(), "{silence:?}");
}

#[tokio::test]
async fn streams_take_no_place_of_a_connection() {
    let limits = Limits { connections: 2, probes: 1, streams_of_an_address: 6, ..Limits::default() };
    let server = flooded(limits, false).await;
    let mut streams = Vec::new();
    for _ in 0..6 {
        let mut stream = server.send("GET /events HTTP/1.1").await;
        let mut start = [0; 15];
        stream.read_exact(&mut start).await.unwrap();
        assert_eq!(&start, b"HTTP/1.1 200 OK");
        streams.push(stream);
    }
    let seventh = server.ask("GET /events HTTP/1.1").await;
    assert_eq!((seventh.status, seventh.body.as_str()), (204, ""));
    for _ in 0..5 {
        assert_eq!(server.ask("GET /metrics HTTP/1.1").await.status, 200);
        assert_eq!(server.ask("GET /workload/x HTTP/1.1").await.body, "/workload/x");
    }
}
