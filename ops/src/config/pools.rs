//! Which pools of spare machines are kept.

use std::collections::BTreeSet;

use stead_schemas::command::pool::READY_MAX;
use stead_schemas::command::workspace::check_name;
use stead_schemas::site::{PoolSite, Template};

use super::reader::Reader;

pub(super) fn read(reader: &mut Reader<'_>, templates: &[Template]) -> Vec<PoolSite> {
    let (mut names, mut pools) = (BTreeSet::new(), Vec::new());
    for (line, value) in reader.tables("pool") {
        let pool = match serde_json::from_value::<PoolSite>(value) {
            Ok(pool) => pool,
            Err(error) => {
                reader.add(Some(line), "pool".to_owned(), error.to_string());
                continue;
            }
        };
        for (key, words) in faults(&pool, templates) {
            reader.add(Some(line), format!("pool.{key}"), words);
        }
        if !names.insert(pool.name.clone()) {
            let words = format!("there are two pools of the name {}", pool.name);
            reader.add(Some(line), "pool.name".to_owned(), words);
        }
        pools.push(pool);
    }
    pools
}

fn faults(pool: &PoolSite, templates: &[Template]) -> Vec<(&'static str, String)> {
    let mut faults = Vec::new();
    if let Err(refusal) = check_name(&pool.name) {
        faults.push(("name", refusal.words));
    }
    if pool.ready > READY_MAX {
        faults.push(("ready", format!("is at most {READY_MAX}")));
    }
    let template = templates.iter().find(|template| template.name == pool.template);
    match (template, pool.storage_backend) {
        (None, _) => faults.push(("template", "is no [[template]] of this file".to_owned())),
        (Some(template), Some(storage)) if !template.storage_backend.contains(&storage) => {
            let words = format!("is none of those of the template {}", template.name);
            faults.push(("storage_backend", words));
        }
        _ => {}
    }
    faults
}
