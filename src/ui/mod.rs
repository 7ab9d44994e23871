//! The page and the JSON API: everything that is not uniform now.
//!
//! Both show every [`WorkloadReport`](crate::report::WorkloadReport). They do no I/O and have no clock: they turn a request
//! and a [`Cluster`] into bytes. Begin with `answer.rs`.
//!
//! ```text
//!  reports ──take──▶ board (what is not uniform) ──┐
//!  request ──▶ query ──▶ view (rows, one report) ──┴──▶ overview, workload, node_and_image ──▶ HTML
//!                                                  └──▶ api ──▶ JSON
//! ```

mod answer;
mod api;
mod assets;
mod board;
mod event;
mod exposure;
mod hosts;
mod links;
mod markup;
mod matrix;
mod node_and_image;
mod overview;
mod query;
mod request_view;
mod view;
mod workload;

pub use answer::{Request, Response, Ui};
pub use board::{Board, BoardEntry, BoardGroup, BoardList};
pub use event::{event, event_key, hello};
pub use exposure::Exposure;
pub use hosts::{host, is_served};
pub use links::{Link, page_url, workload_path};
pub use view::{Cluster, OwnState, WatchedResource};
