//! What a guest's tools are told of MCP servers: where each is, by way of the proxy, and that they log
//! in with what the agent has in its environment. No token is written down: it changes with each
//! build, and a home is shared by machines.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::address::HttpAddress;

/// The proxy, and what is behind it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mcp {
    /// How guests reach the proxy: `https://mcp.lan`.
    pub proxy: HttpAddress,
    /// The names of the servers.
    pub servers: Vec<String>,
}

impl Mcp {
    /// Each server's name, and where the proxy has it.
    pub(super) fn addresses(&self) -> impl Iterator<Item = (String, String)> {
        self.servers.iter().map(|name| (name.clone(), format!("{}/mcp/{name}", self.proxy)))
    }

    /// The file that tools read. JSON is YAML, too.
    pub(super) fn file(&self) -> String {
        let server = |(name, url)| {
            json!({
                "name": name, "url": url, "transport": "http-streamable",
                "auth": { "type": "workspace_token", "token": "$CODER_AGENT_TOKEN" },
            })
        };
        let servers: Vec<Value> = self.addresses().map(server).collect();
        format!("{:#}\n", json!({ "servers": servers }))
    }
}
