//! Timeouts and limits of the server.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::time::Duration;

/// Timeouts and limits of the server.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For a request's header, from its first byte or the start of the connection.
    pub header: Duration,
    /// For a response, until the client's system has its last byte.
    pub response: Duration,
    /// For an idle connection. Scrapers return every 15 to 120 seconds.
    pub idle: Duration,
    /// Maximum number of connections. One more closes the one that has been idle longest.
    pub connections: usize,
    /// Maximum number of further connections while all of those are sending responses. `/livez` and `/readyz` answer
    /// there, so that a busy podskew is not restarted; everything else gets 503. Beyond these, new connections wait.
    pub probes: usize,
    /// Maximum number of event streams, beside the connections.
    pub streams: usize,
    /// Maximum number of event streams per client address.
    pub streams_of_an_address: usize,
    /// For a client to read a frame of a stream.
    pub frame: Duration,
    /// For responses in flight at shutdown.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header: Duration::from_secs(10),
            response: Duration::from_secs(30),
            idle: Duration::from_secs(180),
            connections: 256,
            probes: 16,
            streams: 64,
            streams_of_an_address: 8,
            frame: Duration::from_secs(10),
            // The whole shutdown has 5 s.
            grace: Duration::from_millis(4_500),
        }
    }
}

/// The kind of slot of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Admission {
    /// A slot for any request.
    Served,
    /// All of those slots are sending responses. This connection gets one response, and only `/livez` and `/readyz` succeed.
    Probe,
}

/// File descriptors for everything except HTTP clients: connections to the API server, the listener, the runtime,
/// files.
const OTHER_DESCRIPTORS: usize = 36;

impl Limits {
    /// The defaults, limited by the process' file descriptors. Raises the limit of file descriptors as far as possible.
    #[must_use]
    pub fn of_this_process() -> Self {
        let limits = Self::default();
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        // If this fails, the limit stays as it is.
        let raised = current < maximum && setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_ok();
        let descriptors = if raised { maximum } else { current };
        let descriptors = descriptors.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
        limits.within(descriptors)
    }

    fn within(self, descriptors: usize) -> Self {
        let free = descriptors.saturating_sub(OTHER_DESCRIPTORS);
        let probes = self.probes.min((free / 3).max(2));
        let connections = self.connections.min(free.saturating_sub(probes).max(2));
        let streams = self.streams.min(free.saturating_sub(probes + connections));
        Self { connections, probes, streams, ..self }
    }

    /// Limits for an admission. Probe connections get shorter timeouts.
    pub(super) fn for_admission(self, admission: Admission) -> Self {
        match admission {
            Admission::Served => self,
            Admission::Probe => Self {
                header: self.header.min(Duration::from_secs(2)),
                response: self.response.min(Duration::from_secs(2)),
                ..self
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Limits;

    #[test]
    fn connections_fit_into_the_file_descriptors() {
        let within = |descriptors| {
            let limits = Limits::default().within(descriptors);
            (limits.connections, limits.probes, limits.streams)
        };
        assert_eq!(within(usize::MAX), (256, 16, 64));
        assert_eq!(within(1024), (256, 16, 64));
        assert_eq!(within(64), (19, 9, 0), "clients ask every few seconds then");
        assert_eq!(within(0), (2, 2, 0), "too few for anything; the system refuses what is too much");
    }
}
