//! The guest: a machine that boots, fetches who it is, and reports by itself. No step of a
//! worker's lives here; the workflow waits for the report, and the seed server hands it in.
//!
//! A late report of a boot that is over may answer the wait of the next one. That is harmless:
//! all it says is that this home could be mounted and written to, and what comes after it, the
//! agent's connection, needs the token that only the new boot has fetched.

mod bucket;
mod desktop;
mod door;
mod image;
mod mcp;
pub mod read;
mod seeds;
mod server;
#[cfg(test)]
mod tests;
mod tools;
mod urls;
mod user_data;
mod volume;
mod windows;

use std::net::{Ipv4Addr, SocketAddr};

use serde::Deserialize;

pub use mcp::Mcp;
pub use seeds::Seeds;
pub use server::SeedServer;
pub use tools::{Models, Tool, Tools};
pub use urls::SeedUrls;

use crate::address::HttpAddress;

/// How guests reach the seed server.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the seed server listens.
    pub listen: SocketAddr,
    /// How guests reach it; the address that it listens on, if nothing is said.
    pub public_url: Option<HttpAddress>,
    /// Where the key lies that seed addresses are signed with; its field is `key`.
    pub secret: String,
    /// The folder in Vault beneath which the keys of buckets lie, if the site has S3.
    pub buckets: Option<String>,
    /// What guests are told of MCP servers, if the site has a proxy for them.
    pub mcp: Option<Mcp>,
    /// Which tools they are set up for.
    pub tools: Tools,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            public_url: None,
            secret: "vault:secret/data/stead/seed".to_owned(),
            buckets: None,
            mcp: None,
            tools: Tools::default(),
        }
    }
}
