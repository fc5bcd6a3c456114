//! Authentik: where it is, and how often it is asked who may own workspaces. A site need not ask anybody.

use serde::Deserialize;
use serde_json::{Value, json};
use stead_schemas::site::{Allowance, AuthentikSite, GroupAllowance};

use super::reader::Reader;

/// What engines know of it.
pub(super) fn site(reader: &mut Reader<'_>) -> Option<AuthentikSite> {
    if !reader.has_section("authentik", "address") {
        for (line, _) in reader.tables("allowances") {
            let words = "only [authentik] knows who is in a group; it is not there".to_owned();
            reader.add(Some(line), "allowances".to_owned(), words);
        }
        return None;
    }
    let mut section = reader.section("authentik");
    let secret = section.vault_reference("secret");
    let every_minutes = section.number_or("every_minutes", 5, 1..=1_440);
    Some(AuthentikSite { secret, every_minutes, allowances: allowances(reader) })
}

/// Groups of Authentik's, and how much who is in one may have; what is not said, or 0, is no limit.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    groups: Vec<String>,
    #[serde(default)]
    workspaces: u32,
    #[serde(default)]
    cpu_cores: u32,
    #[serde(default)]
    memory_gb: u32,
}

fn allowances(reader: &mut Reader<'_>) -> Vec<GroupAllowance> {
    let mut allowances = Vec::new();
    for (line, value) in reader.tables("allowances") {
        let Table { groups, workspaces, cpu_cores, memory_gb } = match serde_json::from_value(value)
        {
            Ok(read) => read,
            Err(error) => {
                reader.add(Some(line), "allowances".to_owned(), error.to_string());
                continue;
            }
        };
        if groups.is_empty() {
            let words = "name at least one group of Authentik's".to_owned();
            reader.add(Some(line), "allowances.groups".to_owned(), words);
        }
        let most = |number: u32| Some(number).filter(|most| *most > 0);
        let allowance = Allowance {
            workspaces: most(workspaces),
            cpu_cores: most(cpu_cores),
            memory_gb: most(memory_gb),
        };
        allowances.push(GroupAllowance { groups, allowance });
    }
    allowances
}

/// What its workers know of it.
pub(super) fn worker(reader: &mut Reader<'_>) -> Option<Value> {
    let is_there = reader.has_section("authentik", "address");
    is_there.then(|| json!({ "address": reader.section("authentik").text("address") }))
}
