//! Timeouts and intervals of the watches. Tests shorten them.

use std::time::Duration;

/// Timeouts and intervals of the watches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timings {
    /// From sending a request to the response header. API servers answer a list within their own deadline of 60 s or
    /// not at all, and pages of 500 within a second.
    pub answer: Duration,
    /// Between two bytes of a list.
    pub list_idle: Duration,
    /// A whole list: 150 000 pods over a slow line take minutes; a continue token lasts 5 to 15.
    pub list_total: Duration,
    /// Between two bytes of a watch. API servers send a bookmark every minute, so two minutes of silence mean a
    /// half-open connection.
    pub watch_idle: Duration,
    /// Requested duration of a watch, plus up to a fifth at random, so that the watches of one or many processes do not
    /// all end at once.
    pub watch_length: Duration,
    /// Maximum pause after the first failure; it doubles with each failure up to [`Self::pause_most`].
    pub pause_base: Duration,
    /// Maximum pause after any number of failures.
    pub pause_most: Duration,
    /// A watch that lived this long was healthy: the next failure is a first one again. Shorter than the idle timeouts of
    /// common load balancers, so that closed connections do not add up to long pauses.
    pub healthy: Duration,
    /// Interval between attempts at a forbidden resource: from this to twice this.
    pub forbidden: Duration,
    /// Interval between attempts at a resource that is not served.
    pub not_served: Duration,
    /// How long a resource that was listed before may be refused until its objects are dropped.
    pub refusal_grace: Duration,
    /// A first 403 settles once it has lasted this long, regardless of other responses.
    pub forbidden_settles: Duration,
    /// Approximate interval between attempts at a resource whose first 403 has not settled.
    pub forbidden_again: Duration,
    /// How long a snapshot waits for a server that refuses everything.
    pub forbidden_look: Duration,
    /// After this time without a response, watches do not resume but list.
    pub outage: Duration,
    /// How long watches share a response about the newest version of their resource.
    pub probe_shared: Duration,
    /// Window in which ten log lines are enough for each resource and reason.
    pub log_window: Duration,
    /// Interval until a streaming list is tried again on a server that did not support it.
    pub streaming_retry: Duration,
    /// Interval between two lists of the nodes, plus up to a fifth.
    pub nodes: Duration,
    /// The same if a skew began after the last list.
    pub nodes_again: Duration,
    /// How long digests of a template do not count as skew while evidence of nodes is awaited.
    pub nodes_awaited: Duration,
    /// Maximum pause after the first failed list of the nodes; it doubles with each failure up to [`Self::nodes`].
    pub nodes_pause: Duration,
}

impl Timings {
    /// Timings for a snapshot, for which a person waits.
    #[must_use]
    pub fn for_snapshot() -> Self {
        Self { answer: Duration::from_secs(15), list_idle: Duration::from_secs(15), ..Self::default() }
    }
}

impl Default for Timings {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            answer: seconds(30),
            list_idle: seconds(30),
            list_total: seconds(600),
            watch_idle: seconds(120),
            watch_length: seconds(240),
            pause_base: Duration::from_millis(800),
            // All watches fail together when an API server restarts, and the state is complete only when the last is
            // back.
            pause_most: seconds(10),
            healthy: seconds(20),
            forbidden: seconds(30),
            not_served: seconds(60),
            refusal_grace: seconds(300),
            forbidden_settles: seconds(60),
            forbidden_again: seconds(1),
            forbidden_look: seconds(5),
            outage: seconds(10),
            probe_shared: seconds(1),
            log_window: seconds(60),
            streaming_retry: seconds(3600),
            // A node updates its status every five minutes.
            nodes: seconds(600),
            nodes_again: seconds(60),
            nodes_awaited: seconds(120),
            nodes_pause: seconds(10),
        }
    }
}
