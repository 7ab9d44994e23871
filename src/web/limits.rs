//! How long and how many.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::time::Duration;

/// How long and how many.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long a request's header may take, from its first byte, or from the start of the connection.
    pub header: Duration,
    /// How long an answer may take until the client's system has taken its last byte.
    pub response: Duration,
    /// How long a connection may rest between two requests. Scrapers come back every 15 to 120 seconds.
    pub idle: Duration,
    /// How many connections are served at once. Where one more comes, the one that has been idle longest is closed.
    pub connections: usize,
    /// How many connections there may be beyond those, while an answer is on its way on each of them. `/livez` and
    /// `/readyz` answer there, so that a podskew that is only busy is not restarted; everything else is refused with 503.
    /// Beyond these, new ones wait.
    pub probes: usize,
    /// How many streams of events there are at once, beside the connections.
    pub streams: usize,
    /// How many of them one address may have.
    pub streams_of_an_address: usize,
    /// How long a client may take to read a frame of a stream.
    pub frame: Duration,
    /// How long answers in flight may take once the server is told to stop.
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

/// Whether a connection found a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Admission {
    /// It has one of the places for everything.
    Served,
    /// Those are all taken, with an answer on its way on each. It is answered once, and only `/livez` and `/readyz` are
    /// answered well.
    Probe,
}

/// File descriptors for everything but HTTP clients: the API server's connections, the listener, the runtime, files.
const OTHER_DESCRIPTORS: usize = 36;

impl Limits {
    /// The defaults, with no more connections than this process may have file descriptors for. Takes as many of those as
    /// it can get.
    #[must_use]
    pub fn of_this_process() -> Self {
        let limits = Self::default();
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        // Without success, everything stays as it is.
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

    /// Probes ask at once, and shall make room soon.
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
