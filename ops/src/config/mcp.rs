//! Kubernetes, and the MCP servers that run there: data, checked like everything else. What runs
//! there is the platform's own; so it stands in the site's configuration and nowhere else.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use stead_schemas::command::workspace::check_name;
use stead_schemas::site::{KubernetesSite, McpServer, Site};
use stead_schemas::step::kubernetes::Image;

use super::reader::Reader;

/// How many pods of one server are no slip of the pen.
const REPLICAS_MAX: u32 = 100;

/// Where servers run; a site need not have any.
pub(super) fn site(reader: &mut Reader<'_>) -> Option<KubernetesSite> {
    if !reader.has_section("kubernetes", "address") {
        return None;
    }
    let mut section = reader.section("kubernetes");
    let vault_address = "http://vault.vault.svc.cluster.local:8200";
    Some(KubernetesSite {
        secret: section.vault_reference("secret"),
        namespace: section.text_or("namespace", "mcp-servers"),
        registry_secret: section.optional_vault_reference("registry_secret"),
        vault_address: section.text_or("vault_address", vault_address),
    })
}

/// What its worker is told.
pub(super) fn worker(reader: &mut Reader<'_>) -> Option<Value> {
    if !reader.has_section("kubernetes", "address") {
        return None;
    }
    let mut section = reader.section("kubernetes");
    Some(json!({
        "address": section.text("address"),
        "ca": section.optional_text("ca"),
        "registry": section.text("registry"),
    }))
}

/// What guests are told of the servers, where there is a proxy.
pub(super) fn for_guests(proxy: Option<String>, site: &Site) -> Option<Value> {
    let names: Vec<&str> = site.mcp_servers.iter().map(|server| server.name.as_str()).collect();
    proxy.map(|proxy| json!({ "proxy": proxy, "servers": names }))
}

/// Which servers there are.
pub(super) fn servers(reader: &mut Reader<'_>) -> Vec<McpServer> {
    let (mut names, mut servers) = (BTreeSet::new(), Vec::new());
    let registry = reader.section("kubernetes").optional_text("registry");
    let host = registry.as_deref().and_then(|address| address.split_once("://"));
    let host = host.map(|(_, host)| host.trim_end_matches('/').to_owned());
    for (line, value) in reader.tables("mcp_servers") {
        let server = match serde_json::from_value::<McpServer>(value) {
            Ok(server) => server,
            Err(error) => {
                reader.add(Some(line), "mcp_servers".to_owned(), error.to_string());
                continue;
            }
        };
        for (key, words) in faults(&server, host.as_deref()) {
            reader.add(Some(line), format!("mcp_servers.{key}"), words);
        }
        if !names.insert(server.name.clone()) {
            let words = format!("{} is there twice", server.name);
            reader.add(Some(line), "mcp_servers.name".to_owned(), words);
        }
        servers.push(server);
    }
    if !servers.is_empty() && !reader.has_section("kubernetes", "address") {
        let words = "needs a [kubernetes] section: there they run";
        reader.add(None, "mcp_servers".to_owned(), words.to_owned());
    }
    servers
}

fn faults(server: &McpServer, registry: Option<&str>) -> Vec<(&'static str, String)> {
    let mut faults = Vec::new();
    if let Err(refusal) = check_name(&server.name) {
        faults.push(("name", refusal.words));
    }
    let image = Image::read(&server.image);
    match (image, registry) {
        (None, _) => {
            let words = "is an image with its registry, and a tag or a digest, such as \
                         registry.lan/outline:1";
            faults.push(("image", words.to_owned()));
        }
        (Some(image), Some(registry)) if image.registry != registry => {
            let words = format!("is in {}, and kubernetes.registry is {registry}", image.registry);
            faults.push(("image", words));
        }
        _ => {}
    }
    if server.port == 0 {
        faults.push(("port", "is a port that can be listened on".to_owned()));
    }
    if !(1..=REPLICAS_MAX).contains(&server.replicas) {
        faults.push(("replicas", format!("is 1 to {REPLICAS_MAX}")));
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let is_name = |name: &String| {
        !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name.bytes().all(plain)
    };
    if let Some(name) = server.env.keys().find(|name| !is_name(name)) {
        faults.push(("env", format!("`{name}` is no name of a variable")));
    }
    if server.vault_path.is_empty() {
        faults.push(("vault_path", "is where the proxy finds what users log in with".to_owned()));
    }
    faults
}
