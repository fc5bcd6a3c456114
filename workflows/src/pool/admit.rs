//! The door of pools and of their spares: what they are to be comes from the site's configuration.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use serde_json::Value;
use stead_core::definition::{Admission, Admitted};
use stead_schemas::command::fields::Fields;
use stead_schemas::command::pool::{PoolChange, PoolOrder, PoolView, READY_MAX, SpareOrder};
use stead_schemas::refusal::Refusal;
use stead_schemas::site::{PoolSite, Site, StorageBackend, Template};
use stead_schemas::step::vmids::PLATFORM;

use crate::as_value;
use crate::workspace::with_nodes;

pub(super) fn of_pool(admission: &Admission<'_>) -> Result<Admitted, Refusal> {
    if admission.owner.as_str() != PLATFORM {
        let words = format!("pools are the platform's own: the owner is `{PLATFORM}`");
        return Err(Refusal::new("pool.unknown", words).field("name"));
    }
    let payload = match admission.verb {
        "keep" => {
            Fields::of(admission.fields).finish()?;
            let order = configured(admission.site, admission.name);
            let begins = order.ready > 0;
            return Ok(Admitted { payload: as_value(&order), begins, interrupts: false });
        }
        "resize" => as_value(&resize(admission)?),
        "drain" => {
            Fields::of(admission.fields).finish()?;
            let mut plan = of_ready(&living(admission)?, 0);
            plan.push("no more are made until the pool is resized".to_string());
            as_value(&PoolChange { ready: Some(0), plan })
        }
        // What spares and workspaces say is ours.
        _ => Value::Object(admission.fields.clone()),
    };
    Ok(Admitted { payload, begins: false, interrupts: false })
}

fn resize(admission: &Admission<'_>) -> Result<PoolChange, Refusal> {
    let mut fields = Fields::of(admission.fields);
    let ready = fields.optional_number("ready")?;
    fields.finish()?;
    let view = living(admission)?;
    if ready.is_some_and(|ready| ready > READY_MAX) {
        let words = format!("a pool keeps at most {READY_MAX} machines ready");
        return Err(Refusal::new("parameter.out-of-range", words).field("ready"));
    }
    let wanted = ready.unwrap_or_else(|| configured(admission.site, admission.name).ready);
    Ok(PoolChange { ready, plan: of_ready(&view, wanted) })
}

fn of_ready(view: &PoolView, wanted: u32) -> Vec<String> {
    let (there, now) = (view.ready + view.making, view.wanted);
    let mut plan = vec![format!("{now} machines are kept ready, and {wanted} will be")];
    if there > wanted {
        let words = "spare machines are taken away; none of them was ever started";
        plan.push(format!("{} {words}", there - wanted));
    }
    plan
}

/// What the configuration says of the pool; nothing is wanted of one that it does not know.
fn configured(site: &Site, name: &str) -> PoolOrder {
    let found = site.pools.iter().find(|pool| pool.name == name);
    let template = found.and_then(|pool| template_of(site, pool));
    match (found, template) {
        (Some(pool), Some(template)) => PoolOrder {
            ready: pool.ready,
            template: template.vmid,
            storage: storage(pool, template),
        },
        _ => PoolOrder { ready: 0, template: 0, storage: StorageBackend::Iscsi },
    }
}

fn template_of<'a>(site: &'a Site, pool: &PoolSite) -> Option<&'a Template> {
    site.templates.iter().find(|template| template.name == pool.template)
}

fn storage(pool: &PoolSite, template: &Template) -> StorageBackend {
    let first = template.storage_backend.first().copied();
    pool.storage_backend.or(first).unwrap_or(StorageBackend::Iscsi)
}

pub(super) fn of_spare(admission: &Admission<'_>) -> Result<Admitted, Refusal> {
    let admitted = |payload, begins, interrupts| Ok(Admitted { payload, begins, interrupts });
    let phase = admission.living.map(|living| living.phase);
    match admission.verb {
        "make" => {
            let pool = admission.fields.get("pool").and_then(Value::as_str).unwrap_or_default();
            admitted(as_value(&spare_order(admission.site, pool)?), true, false)
        }
        // What is not made yet is taken back.
        "retire" => admitted(Value::Null, false, phase == Some("making")),
        _ => admitted(Value::Object(admission.fields.clone()), false, false),
    }
}

fn spare_order(site: &Site, name: &str) -> Result<SpareOrder, Refusal> {
    let pool = site.pools.iter().find(|pool| pool.name == name);
    let found = pool.and_then(|pool| Some((pool, template_of(site, pool)?)));
    let Some((pool, template)) = found else {
        let words = format!("the site's configuration knows no pool {name} any more");
        return Err(Refusal::new("pool.unknown", words));
    };
    Ok(SpareOrder {
        pool: name.to_string(),
        template: template.clone(),
        storage: storage(pool, template),
        proxmox: with_nodes(&site.proxmox),
    })
}

fn living(admission: &Admission<'_>) -> Result<PoolView, Refusal> {
    let view = admission.living.and_then(|living| serde_json::from_value(living.view.clone()).ok());
    view.ok_or_else(|| {
        let words = format!("there is no pool {}; write a [[pool]] of that name", admission.name);
        Refusal::new("pool.unknown", words).field("name")
    })
}
