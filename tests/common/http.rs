//! HTTP requests with headers, and event streams.

use super::exposition::gunzip;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// A response.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    head: String,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// A GET from a client that accepts gzip.
#[track_caller]
pub fn ask(address: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut all = vec![("Accept-Encoding", "gzip")];
    all.extend(headers);
    asked(address, "GET", path, &all)
}

/// Sends any request.
#[track_caller]
pub fn asked(address: &str, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut socket = TcpStream::connect(address).unwrap();
    let has_host = headers.iter().any(|(name, _)| *name == "Host");
    let host = if has_host { String::new() } else { format!("Host: {address}\r\n") };
    let headers: Vec<String> = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    write!(socket, "{method} {path} HTTP/1.1\r\n{host}{}Connection: close\r\n\r\n", headers.concat()).unwrap();
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes).unwrap();
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let (head, body) = (String::from_utf8(bytes[..end].to_vec()).unwrap(), &bytes[end + 4..]);
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let answer = Answer { status, head, body: String::new() };
    let is_gzip = answer.header("content-encoding") == Some("gzip") && !body.is_empty();
    Answer { body: if is_gzip { gunzip(body) } else { String::from_utf8(body.to_vec()).unwrap() }, ..answer }
}

/// The head of the first request on a connection; `None` if the client closes it too early.
pub async fn request_head(stream: &mut tokio::net::TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).unwrap())
}

/// A proxy that forwards every request to `port` of this machine: its URL, and the request lines that it received.
pub async fn proxy_to(port: u16) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&asked);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let noted = Arc::clone(&noted);
            tokio::spawn(async move {
                let Some(head) = request_head(&mut stream).await else { return };
                noted.lock().unwrap().push(head.lines().next().unwrap().to_owned());
                let mut onwards = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut onwards).await;
            });
        }
    });
    (url, asked)
}

/// A stream of events.
pub struct Stream {
    socket: TcpStream,
    read: String,
    head: Option<String>,
}

/// Opens a stream.
pub fn stream(address: &str) -> Stream {
    let mut socket = TcpStream::connect(address).unwrap();
    write!(socket, "GET /events HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\n\r\n").unwrap();
    Stream { socket, read: String::new(), head: None }
}

impl Stream {
    pub fn status(&mut self) -> u16 {
        self.read_head();
        self.head.as_ref().unwrap().split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// The next event; panics after a timeout.
    #[track_caller]
    pub fn event(&mut self) -> String {
        self.event_within(Duration::from_secs(20)).expect("an event")
    }

    /// The next event, if there is one within `patience`.
    pub fn event_within(&mut self, patience: Duration) -> Option<String> {
        self.read_head();
        while !self.read.contains("\n\n") {
            self.more(patience)?;
        }
        let (event, rest) = self.read.split_once("\n\n").unwrap();
        // Each event is in a chunk of its own.
        let (_, event) = event.split_once("\r\n")?;
        let event = event.to_owned();
        self.read = rest.trim_start_matches("\r\n").to_owned();
        Some(event)
    }

    /// Whether the server ends the stream properly, with the last chunk of a body.
    pub fn ends(&mut self) -> bool {
        while self.more(Duration::from_secs(5)).is_some() {}
        self.read.ends_with("0\r\n\r\n")
    }

    fn read_head(&mut self) {
        while self.head.is_none() {
            self.more(Duration::from_secs(20)).expect("a header");
            if let Some((head, rest)) = self.read.split_once("\r\n\r\n") {
                (self.head, self.read) = (Some(head.to_owned()), rest.to_owned());
            }
        }
    }

    /// Reads more data; `None` if there is none.
    fn more(&mut self, patience: Duration) -> Option<()> {
        self.socket.set_read_timeout(Some(patience)).unwrap();
        let mut buffer = [0; 4096];
        let read = self.socket.read(&mut buffer).ok().filter(|read| *read > 0)?;
        self.read.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
        Some(())
    }
}
