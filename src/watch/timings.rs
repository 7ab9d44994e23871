//! How long podskew waits for what. Tests shorten all of it.

use std::time::Duration;

/// Deadlines and pauses of the watches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timings {
    /// From sending a request to the head of the answer. API servers answer a list within their own deadline of 60 s or
    /// not at all, and pages of 500 within a second.
    pub answer: Duration,
    /// From one byte of a list to the next.
    pub list_idle: Duration,
    /// A whole list: 150 000 pods over a slow line take minutes, a continue token lasts 5 to 15.
    pub list_total: Duration,
    /// From one byte of a watch to the next. API servers send a bookmark every minute, so two minutes of silence mean a
    /// connection that is open at one end only.
    pub watch_idle: Duration,
    /// How long the API server is asked to keep a watch open: at least this, and at most a fifth more, at random, so
    /// that the watches of one process, and of many, do not all end in one moment.
    pub watch_length: Duration,
    /// The longest first pause after a failure; doubled with each failure, see [`Self::pause_most`].
    pub pause_base: Duration,
    /// The longest pause after any number of failures.
    pub pause_most: Duration,
    /// A watch that lived this long was healthy: the next failure is a first one again. Shorter than the idle timeouts of
    /// common load balancers, whose cut must not add up to long pauses.
    pub healthy: Duration,
    /// Until a forbidden resource is asked for again: at least this, at most twice as long.
    pub forbidden: Duration,
    /// Until a resource that is not served is looked for again.
    pub not_served: Duration,
    /// How long a resource that was listed once may be forbidden, or not served, until what is known of it is given up.
    pub refusal_grace: Duration,
    /// A first refusal with 403 settles once it has lasted this long, whatever else is answered.
    pub forbidden_settles: Duration,
    /// About how long until a resource is asked for again whose first 403 has not settled.
    pub forbidden_again: Duration,
    /// How long one look waits for a server that refuses everything.
    pub forbidden_look: Duration,
    /// Where nothing was answered for this long, no watch goes on from what it knew.
    pub outage: Duration,
    /// For how long watches share an answer about the newest version of their resource.
    pub probe_shared: Duration,
    /// For how long ten lines of the log are enough for each resource and reason.
    pub log_window: Duration,
    /// Until a streaming list is tried again on a server that could not answer one.
    pub streaming_retry: Duration,
    /// From one list of the nodes to the next: at least this, and at most a fifth more.
    pub nodes: Duration,
    /// The same where a skew began that the last list could not know.
    pub nodes_again: Duration,
    /// For how long no skew counts as one of the template where nodes are asked and have not answered yet.
    pub nodes_awaited: Duration,
    /// The longest first pause after a list of the nodes that failed; doubled with each failure, up to [`Self::nodes`].
    pub nodes_pause: Duration,
}

impl Timings {
    /// For one look, which somebody waits for.
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
            // All watches fail together when an API server restarts, and the picture is whole only when the last is back.
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
            // A node writes its status every five minutes.
            nodes: seconds(600),
            nodes_again: seconds(60),
            nodes_awaited: seconds(120),
            nodes_pause: seconds(10),
        }
    }
}
