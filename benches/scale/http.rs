//! An HTTP client that discards bodies: one thread without decoding, so that it disturbs the measurement little.

use crate::Outcome;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, StreamOwned};

const BUFFER_BYTES: usize = 256 * 1024;

/// A keep-alive connection.
pub(crate) struct Connection {
    host: String,
    accept: String,
    stream: Box<dyn Stream + Send>,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// A response.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Bytes of the body.
    pub(crate) bytes: u64,
    /// Time from the request to the last byte.
    pub(crate) last_byte: Duration,
}

/// Whether to continue reading.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wanted {
    More,
    Nothing,
}

enum Length {
    Known(usize),
    Chunked,
}

impl Connection {
    /// Connects to `HOST:PORT`.
    pub(crate) fn open(host: &str) -> Outcome<Self> {
        Ok(Self::over(host, Box::new(connected(host)?)))
    }

    /// Connects to `HOST:PORT` over TLS, to a server with a certificate for localhost.
    pub(crate) fn open_tls(host: &str, config: &Arc<ClientConfig>) -> Outcome<Self> {
        let connection = ClientConnection::new(Arc::clone(config), "localhost".try_into()?)?;
        Ok(Self::over(host, Box::new(StreamOwned::new(connection, connected(host)?))))
    }

    fn over(host: &str, stream: Box<dyn Stream + Send>) -> Self {
        let buffer = vec![0; BUFFER_BYTES].into_boxed_slice();
        Self { host: host.to_owned(), accept: String::new(), stream, buffer, start: 0, end: 0 }
    }

    /// Sets the media type of the following requests.
    pub(crate) fn accepting(self, media_type: &str) -> Self {
        Self { accept: format!("Accept: {media_type}\r\n"), ..self }
    }

    /// Sends a request, and reads the response to its end.
    pub(crate) fn get(&mut self, path: &str, encoding: Option<&str>) -> Outcome<Answer> {
        self.get_with(path, encoding, &mut |_| Wanted::More)
    }

    /// Sends a request, and passes pieces of the body on until it ends or no more is wanted; the connection is then
    /// unusable.
    pub(crate) fn get_with(
        &mut self,
        path: &str,
        encoding: Option<&str>,
        take: &mut dyn FnMut(&[u8]) -> Wanted,
    ) -> Outcome<Answer> {
        let encoding = encoding.map_or_else(String::new, |encoding| format!("Accept-Encoding: {encoding}\r\n"));
        let head = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{}{encoding}\r\n", self.host, self.accept);
        let begun = Instant::now();
        self.stream.write_all(head.as_bytes())?;
        let (status, length) = self.head()?;
        let bytes = match length {
            Length::Known(length) => self.bytes(length, take)?.0,
            Length::Chunked => self.chunks(take)?,
        };
        Ok(Answer { status, bytes, last_byte: begun.elapsed() })
    }

    fn head(&mut self) -> Outcome<(u16, Length)> {
        let status = self.line()?.split(' ').nth(1).ok_or("no status")?.parse()?;
        let mut length = Length::Known(0);
        loop {
            let line = self.line()?.to_ascii_lowercase();
            match line.split_once(':') {
                Some(("content-length", value)) => length = Length::Known(value.trim().parse()?),
                Some(("transfer-encoding", value)) if value.contains("chunked") => length = Length::Chunked,
                Some(_) => {}
                None => return Ok((status, length)),
            }
        }
    }

    fn chunks(&mut self, take: &mut dyn FnMut(&[u8]) -> Wanted) -> Outcome<u64> {
        let mut bytes = 0;
        loop {
            let length = usize::from_str_radix(&self.line()?, 16)?;
            let (read, wanted) = self.bytes(length, take)?;
            bytes += read;
            if wanted == Wanted::Nothing {
                return Ok(bytes);
            }
            self.line()?;
            if length == 0 {
                return Ok(bytes);
            }
        }
    }

    fn bytes(&mut self, mut left: usize, take: &mut dyn FnMut(&[u8]) -> Wanted) -> Outcome<(u64, Wanted)> {
        let mut bytes = 0;
        while left > 0 {
            self.fill()?;
            let end = self.end.min(self.start + left);
            let here = &self.buffer[self.start..end];
            self.start = end;
            left -= here.len();
            bytes += here.len() as u64;
            if take(here) == Wanted::Nothing {
                return Ok((bytes, Wanted::Nothing));
            }
        }
        Ok((bytes, Wanted::More))
    }

    /// The next line, without its end.
    fn line(&mut self) -> Outcome<String> {
        let mut line = Vec::new();
        loop {
            self.fill()?;
            let here = &self.buffer[self.start..self.end];
            if let Some(at) = memchr::memchr(b'\n', here) {
                line.extend_from_slice(&here[..at]);
                self.start += at + 1;
                return Ok(String::from_utf8(line)?.trim_end().to_owned());
            }
            line.extend_from_slice(here);
            self.start = self.end;
        }
    }

    fn fill(&mut self) -> Outcome<()> {
        if self.start == self.end {
            self.start = 0;
            self.end = self.stream.read(&mut self.buffer)?;
            if self.end == 0 {
                return Err("the connection ended in the middle of an answer".into());
            }
        }
        Ok(())
    }
}

fn connected(host: &str) -> Outcome<TcpStream> {
    let stream = TcpStream::connect(host)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(120)))?;
    Ok(stream)
}
