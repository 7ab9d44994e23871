//! Options of the page.
#![allow(clippy::doc_markdown, reason = "clap prints these comments unchanged, including backticks")]

use crate::commands::options::values;
use crate::commands::options::{PAGE, unique};
use crate::ui::{self, Link};
use crate::web::{ListenAddress, PageAddress};
use clap::Args;

/// Where to serve the page, and what it shows.
#[derive(Args, Debug)]
pub struct PageArguments {
    /// Where to serve the page and the JSON API: beside the metrics (on), nowhere (off), or at another address
    #[arg(long, value_name = "on|off|ADDRESS", env = "PODSKEW_PAGE", help_heading = PAGE, default_value_t)]
    pub page: PageAddress,

    /// Host name to serve the page under, beside localhost and IP addresses; others get 421; repeatable [default: all]
    #[arg(
        long, value_name = "NAME", env = "PODSKEW_PAGE_HOST", help_heading = PAGE,
        value_delimiter = ',', value_parser = page_host
    )]
    pub page_host: Vec<String>,

    /// Show messages of containers and conditions on the page without authentication too; they may hold anything
    #[arg(long, env = "PODSKEW_PAGE_MESSAGES", help_heading = PAGE, value_parser = values::boolean)]
    pub page_messages: bool,

    /// URL of the page as users reach it, for links in alerts
    #[arg(long, value_name = "URL", env = "PODSKEW_PAGE_URL", help_heading = PAGE, value_parser = page_url)]
    pub page_url: Option<String>,

    /// Link to show on a workload's page; {namespace}, {workload_type} and {workload} are replaced; repeatable
    #[arg(
        long, value_name = "NAME=URL", env = "PODSKEW_LINK", help_heading = PAGE,
        value_delimiter = '\n', value_parser = link
    )]
    pub link: Vec<Link>,
}

/// Options of the page and the JSON API.
#[derive(Clone, Default, Debug)]
pub struct PageConfig {
    /// Where they are served.
    pub address: PageAddress,
    /// Accepted host names; empty for any.
    pub hosts: Vec<String>,
    /// Whether to show messages of containers and conditions without authentication.
    pub messages: bool,
    /// URL under which people reach the page.
    pub url: Option<String>,
    /// Links on a workload's page.
    pub links: Vec<Link>,
}

impl PageConfig {
    /// Checks `arguments`.
    ///
    /// # Errors
    ///
    /// The page's address is the one of the metrics.
    pub(super) fn new(arguments: PageArguments, listen_address: ListenAddress) -> Result<Self, String> {
        let PageArguments { page, page_host, page_messages, page_url, link } = arguments;
        if page == PageAddress::Off {
            let given = [
                ("--page-host", !page_host.is_empty()),
                ("--page-messages", page_messages),
                ("--page-url", page_url.is_some()),
                ("--link", !link.is_empty()),
            ];
            if let Some((option, _)) = given.iter().find(|(_, is_given)| *is_given) {
                return Err(format!("{option} needs the page, but --page is off; remove one of them"));
            }
        }
        // Port 0 is a different port each time.
        if page == PageAddress::Own(listen_address) && listen_address.port() != 0 {
            return Err(format!("--page {page} is the address of --listen-address; use --page on to serve both there"));
        }
        Ok(Self { address: page, hosts: unique(page_host), messages: page_messages, url: page_url, links: link })
    }
}

/// Parses a host name of the page.
fn page_host(text: &str) -> Result<String, String> {
    ui::host(text)
}

/// Parses the URL of the page.
fn page_url(text: &str) -> Result<String, String> {
    ui::page_url(text)
}

/// Parses a link for a workload's page.
fn link(text: &str) -> Result<Link, String> {
    Link::parse(text)
}
