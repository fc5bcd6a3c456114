//! What guests are told: where their seed is, and what their tools are set up with.

use serde_json::{Value, json};
use stead_schemas::site::Site;
use stead_workers::guest::Tool;

use super::reader::Reader;
use super::{mcp, names};

/// What the seed server is told; `buckets` is where their keys lie.
pub(super) fn worker(reader: &mut Reader<'_>, site: &Site, buckets: Option<String>) -> Value {
    let tools = tools(reader);
    let mut section = reader.section("guest");
    json!({
        "listen": section.text_or("listen", "127.0.0.1:0"),
        "public_url": section.optional_text("public_url"),
        "secret": section.vault_reference("secret"),
        "buckets": buckets,
        "mcp": mcp::for_guests(section.optional_text("mcp_proxy"), site),
        "tools": tools,
    })
}

fn tools(reader: &mut Reader<'_>) -> Value {
    let mut section = reader.section("guest");
    let named = names(section.optional_text("tools"));
    if let Err(error) = serde_json::from_value::<Vec<Tool>>(json!(named)) {
        section.fault("tools", &error.to_string());
    }
    let proxy = section.optional_text("model_proxy");
    let keys = section.optional_vault_reference("model_keys");
    let model = section.optional_text("model");
    if keys.as_ref().is_some_and(|keys| keys.contains('#')) {
        section.fault("model_keys", "names a folder in Vault, which has no version");
    }
    if proxy.is_some() && keys.is_none() {
        let words = "is missing: the folder in Vault in which each owner's key to the models lies";
        section.fault("model_keys", words);
    }
    let models = proxy.map(|proxy| json!({ "proxy": proxy, "keys": keys, "model": model }));
    json!({ "names": named, "models": models })
}
