//! The door of a workspace: checks a command and completes it into an order.
//!
//! `changes.rs` is the door of what changes a living one, `snapshots.rs` that of its machine's
//! snapshots, `plan.rs` says what an order will do.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use serde_json::{Value, json};
use stead_core::definition::{Admission, Admitted};
use stead_schemas::command::fields::Fields;
use stead_schemas::command::workspace::{OnFailure, Order, Phase, Size, WorkspaceView, check_name};
use stead_schemas::refusal::Refusal;
use stead_schemas::site::{PoolSite, ProxmoxSite, Range, Site, StorageBackend, System, Template};

use super::hold;
use crate::as_value;

mod changes;
mod plan;
mod snapshots;

pub(super) fn admit(admission: &Admission<'_>) -> Result<Admitted, Refusal> {
    check_name(admission.name)?;
    check_held(admission)?;
    match admission.verb {
        "create" => admit_create(admission),
        "resize" => changes::admit_resize(admission),
        "rebuild" => changes::admit_rebuild(admission),
        "update" => changes::admit_update(admission),
        "delete" => changes::admit_delete(admission),
        "retry" => changes::admit_retry(admission),
        "configure" => changes::admit_configure(admission),
        "drop" | "rollback" | "snapshot" | "snapshots" => snapshots::admit(admission),
        "undelete" => {
            Fields::of(admission.fields).finish()?;
            check_phase(admission, &living(admission)?)?;
            Ok(match &admission.site.authentik {
                Some(authentik) => order(&json!({ "authentik": authentik })),
                None => order(&Value::Null),
            })
        }
        // Only people's entity gives it.
        "hold" => {
            check_phase(admission, &living(admission)?)?;
            Ok(order(admission.fields))
        }
        _ => {
            Fields::of(admission.fields).finish()?;
            let view = living(admission)?;
            check_phase(admission, &view)?;
            Ok(order(&Value::Null))
        }
    }
}

fn admit_create(admission: &Admission<'_>) -> Result<Admitted, Refusal> {
    let mut fields = Fields::of(admission.fields);
    let coder_template = fields.optional_text("coder_template")?;
    let template = match (fields.optional_text("template")?, coder_template) {
        (None, Some(shows)) => shown_by(admission.site, shows)?,
        (asked, _) => template(admission.site, asked)?,
    };
    let mut choose = |field, range| choose(field, fields.optional_number(field)?, range);
    let mut size = Size {
        cpu_cores: choose("cpu_cores", &template.cpu_cores)?,
        memory_gb: choose("memory_gb", &template.memory_gb)?,
        storage_quota_gb: choose("storage_quota_gb", &template.storage_quota_gb)?,
        disk_gb: None,
        volume_gb: None,
    };
    if let Some(asked) = fields.optional_number("disk_gb")? {
        size.disk_gb = Some(self::choose("disk_gb", Some(asked), &template.disk_gb_range())?);
    }
    if let Some(asked) = fields.optional_number("volume_gb")?.filter(|asked| *asked > 0) {
        size.volume_gb = Some(volume(admission.site, template, asked)?);
    }
    let storage_backend = backend(template, fields.optional_text("storage_backend")?)?;
    let on_failure = on_failure(fields.optional_text("on_failure")?)?;
    let coder_id = fields.optional_text("coder_id")?.map(coder_id).transpose()?;
    check_shows(template, coder_template)?;
    fields.finish()?;
    check_free(admission)?;
    let site = admission.site;
    let made = Order {
        template: template.clone(),
        size,
        storage_backend,
        proxmox: with_nodes(&site.proxmox),
        truenas: site.truenas.clone(),
        coder: site.coder.clone(),
        allowance: site.allowance,
        authentik: site.authentik.clone(),
        on_failure,
        coder_id,
        pool: pool(site, template, storage_backend),
    };
    Ok(Admitted { begins: true, ..order(&made) })
}

/// How large a volume is to be, where one may be had.
fn volume(site: &Site, template: &Template, asked: u32) -> Result<u32, Refusal> {
    let refuse = |why: String| Err(Refusal::new("volume.unavailable", why).field("volume_gb"));
    if site.truenas.volumes.is_none() {
        return refuse("the site has no place for volumes".into());
    }
    match template.volume_gb_max.filter(|_| template.guest.system == System::Linux) {
        Some(max) => choose("volume_gb", Some(asked), &Range { min: 1, max, default: 1 }),
        None => refuse(format!("a workspace made from {} has no volume", template.name)),
    }
}

/// Whoever wants a workspace to run that may not is told why.
fn check_held(admission: &Admission<'_>) -> Result<(), Refusal> {
    let view = living(admission).ok();
    match view.and_then(|view| view.held).filter(|_| hold::starts(admission.verb)) {
        Some(why) => Err(Refusal::new("workspace.held", hold::words(&why)).field("name")),
        None => Ok(()),
    }
}

/// The pool that may have such a machine. Its cores and memory are set when it is taken, its disk
/// grows, and so they need not be the same.
fn pool(site: &Site, template: &Template, storage: StorageBackend) -> Option<String> {
    let usual = template.storage_backend.first().copied();
    let fits = |pool: &&PoolSite| {
        pool.template == template.name && pool.storage_backend.or(usual) == Some(storage)
    };
    site.pools.iter().find(fits).map(|pool| pool.name.clone())
}

/// The name of a workspace that goes, or can only be brought back, is free again.
fn check_free(admission: &Admission<'_>) -> Result<(), Refusal> {
    let Some(living) = admission.living else { return Ok(()) };
    if [Phase::Deleting, Phase::Deleted].iter().any(|phase| phase.word() == living.phase) {
        return Ok(());
    }
    let words = format!(
        "there is a workspace of this name already, it is {}; choose another name or delete it",
        living.phase
    );
    Err(Refusal::new("workspace.exists", words).field("name"))
}

/// Whether a workspace that stands where this one does can be asked for it.
fn check_phase(admission: &Admission<'_>, view: &WorkspaceView) -> Result<(), Refusal> {
    let verb = admission.verb;
    let (code, words) = match (view.phase, verb) {
        (Phase::Deleted, "undelete") | (Phase::Deleting, _) | (Phase::Stuck, "hold" | "retry") => {
            return Ok(());
        }
        (Phase::Deleted, _) => {
            ("workspace.deleted", "it is deleted; it can be undeleted, or its name used again")
        }
        (_, "undelete") => ("workspace.not-deleted", "it is not deleted"),
        (Phase::Stuck, _) => {
            ("workspace.stuck", "it waits after a failure; retry it, or delete it")
        }
        (_, "retry") => ("workspace.not-stuck", "there is no create that waits after a failure"),
        _ => return Ok(()),
    };
    Err(Refusal::new(code, words).field("name"))
}

/// An order to a workspace that lives.
fn order(payload: &impl serde::Serialize) -> Admitted {
    Admitted { payload: as_value(payload), begins: false, interrupts: false }
}

/// The site's facts as an order has them: with the nodes that may be chosen.
pub(crate) fn with_nodes(site: &ProxmoxSite) -> ProxmoxSite {
    let mut site = site.clone();
    if site.nodes.is_empty() {
        site.nodes = vec![site.node.clone()];
    }
    site
}

fn living(admission: &Admission<'_>) -> Result<WorkspaceView, Refusal> {
    let view = admission.living.and_then(|living| serde_json::from_value(living.view.clone()).ok());
    view.ok_or_else(|| {
        let words = format!("{} has no workspace `{}`", admission.owner, admission.name);
        Refusal::new("workspace.unknown", words).field("name")
    })
}

fn template<'a>(site: &'a Site, asked: Option<&str>) -> Result<&'a Template, Refusal> {
    let found = match asked {
        None => site.templates.first(),
        Some(name) => site.templates.iter().find(|template| template.name == name),
    };
    found.ok_or_else(|| {
        let names: Vec<&str> = site.templates.iter().map(|known| known.name.as_str()).collect();
        let words = format!("there is no such template; there are: {}", names.join(", "));
        Refusal::new("template.unknown", words).field("template")
    })
}

/// The first template that this one of Coder's shows.
fn shown_by<'a>(site: &'a Site, shows: &str) -> Result<&'a Template, Refusal> {
    let found = site.templates.iter().find(|template| template.coder_template == shows);
    found.ok_or_else(|| {
        let words = format!("no template of the site is shown by Coder's template {shows}");
        Refusal::new("template.unknown", words).field("coder_template")
    })
}

/// What is to be joined must be shown as the site says.
fn check_shows(template: &Template, shows: Option<&str>) -> Result<(), Refusal> {
    match shows {
        Some(shows) if shows != template.coder_template => {
            let Template { name, coder_template, .. } = template;
            let words =
                format!("{name} is shown by Coder's template {coder_template}, not {shows}");
            Err(Refusal::new("template.unknown", words).field("coder_template"))
        }
        _ => Ok(()),
    }
}

/// Coder's ids are UUIDs.
fn coder_id(text: &str) -> Result<String, Refusal> {
    let groups = text.split('-').map(str::len);
    let is_hex = |byte: u8| byte == b'-' || byte.is_ascii_hexdigit();
    if groups.eq([8, 4, 4, 4, 12]) && text.bytes().all(is_hex) {
        return Ok(text.to_ascii_lowercase());
    }
    let words = "a Coder workspace's id is wanted, a UUID";
    Err(Refusal::new("parameter.wrong-type", words).field("coder_id"))
}

fn choose(field: &str, asked: Option<u32>, range: &Range) -> Result<u32, Refusal> {
    let number = asked.unwrap_or(range.default);
    if (range.min..=range.max).contains(&number) {
        return Ok(number);
    }
    let words = format!("{number} is out of range; {} to {} may be chosen", range.min, range.max);
    Err(Refusal::new("parameter.out-of-range", words).field(field))
}

fn backend(template: &Template, asked: Option<&str>) -> Result<StorageBackend, Refusal> {
    let found = match asked {
        None => template.storage_backend.first(),
        Some(word) => template.storage_backend.iter().find(|backend| backend.word() == word),
    };
    found.copied().ok_or_else(|| {
        let words: Vec<&str> = template.storage_backend.iter().map(|known| known.word()).collect();
        one_of("storage_backend", &words)
    })
}

fn on_failure(asked: Option<&str>) -> Result<OnFailure, Refusal> {
    let Some(word) = asked else { return Ok(OnFailure::default()) };
    let found = OnFailure::ALL.into_iter().find(|known| known.word() == word);
    found.ok_or_else(|| one_of("on_failure", &OnFailure::ALL.map(OnFailure::word)))
}

fn one_of(field: &str, words: &[&str]) -> Refusal {
    let words: String = format!("it is not to be had; choose one of: {}", words.join(", "));
    Refusal::new("parameter.out-of-range", words).field(field)
}
