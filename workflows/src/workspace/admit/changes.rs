//! The door of what changes a workspace that lives.

use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

use stead_core::definition::{Admission, Admitted};
use stead_schemas::command::fields::Fields;
use stead_schemas::command::workspace::{
    ConfigureWorkspace, DeleteOrder, NEVER, Phase, RebuildOrder, ResizeWorkspace, RetryOrder,
    WorkspaceView,
};
use stead_schemas::refusal::Refusal;
use stead_schemas::site::{Range, Template};

use crate::schedule::calendar::Calendar;

use super::{
    backend, check_phase, choose, living, one_of, order, plan, template, volume, with_nodes,
};

/// A week.
const AUTOSTOP_MINUTES_MAX: u32 = 7 * 24 * 60;
/// Ten years.
const TTL_HOURS_MAX: u32 = 10 * 365 * 24;
/// Ten years.
const DORMANT_DAYS_MAX: u32 = 10 * 365;

pub(super) fn admit_resize(admission: &Admission<'_>) -> Result<Admitted, Refusal> {
    let view = living(admission)?;
    check_phase(admission, &view)?;
    let template = template_of(admission, &view);
    let mut fields = Fields::of(admission.fields);
    let mut check = |field, range: fn(&Template) -> Range| {
        let Some(number) = fields.optional_number(field)? else { return Ok(None) };
        match template {
            Some(template) => choose(field, Some(number), &range(template)).map(Some),
            None => Ok(Some(number)),
        }
    };
    let mut ask = ResizeWorkspace {
        id: None,
        name: admission.name.to_string(),
        cpu_cores: check("cpu_cores", |template| template.cpu_cores)?,
        memory_gb: check("memory_gb", |template| template.memory_gb)?,
        storage_quota_gb: check("storage_quota_gb", |template| template.storage_quota_gb)?,
        disk_gb: None,
        volume_gb: None,
    };
    if let Some(asked) = fields.optional_number("disk_gb")? {
        ask.disk_gb = Some(larger_disk(asked, &view, template)?);
    }
    if let Some(asked) = fields.optional_number("volume_gb")? {
        ask.volume_gb = Some(larger_volume(asked, &view, template)?);
    }
    fields.finish()?;
    if ask == (ResizeWorkspace { name: ask.name.clone(), ..ResizeWorkspace::default() }) {
        let words =
            "say what to change: cpu_cores, memory_gb, storage_quota_gb, disk_gb or volume_gb";
        return Err(Refusal::new("resize.nothing", words));
    }
    Ok(order(&ask))
}

fn larger_disk(
    asked: u32,
    view: &WorkspaceView,
    template: Option<&Template>,
) -> Result<u32, Refusal> {
    let made = view.made_from.as_ref().map(|made| made.disk_gb);
    let now = view.size.disk_gb.or(made).or(template.map(|template| template.disk_gb));
    if let Some(now) = now.filter(|now| asked < *now) {
        let words = format!("a disk only grows: it has {now} GiB");
        return Err(Refusal::new("disk.shrinks", words).field("disk_gb"));
    }
    match template {
        Some(template) => {
            let range = template.disk_gb_range();
            choose("disk_gb", Some(asked), &Range { min: range.min.min(asked), ..range })
        }
        None => Ok(asked),
    }
}

fn larger_volume(
    asked: u32,
    view: &WorkspaceView,
    template: Option<&Template>,
) -> Result<u32, Refusal> {
    let Some(now) = view.size.volume_gb else {
        let words = "it has no volume; a workspace gets one when it is created, or never";
        return Err(Refusal::new("volume.unavailable", words).field("volume_gb"));
    };
    if asked < now {
        let words = format!("a volume only grows: it has {now} GiB");
        return Err(Refusal::new("volume.shrinks", words).field("volume_gb"));
    }
    let max = template.and_then(|template| template.volume_gb_max).unwrap_or(now);
    choose("volume_gb", Some(asked), &Range { min: now, max: max.max(now), default: now })
}

pub(super) fn admit_rebuild(admission: &Admission<'_>) -> Result<Admitted, Refusal> {
    let view = living(admission)?;
    check_phase(admission, &view)?;
    let mut fields = Fields::of(admission.fields);
    let wanted = match fields.optional_text("template")? {
        Some(name) => Some(template(admission.site, Some(name))?),
        None => None,
    };
    fields.finish()?;
    Ok(order(&RebuildOrder {
        template: wanted.cloned(),
        proxmox: with_nodes(&admission.site.proxmox),
        in_place: false,
        takes_version: true,
        plan: plan::of_rebuild(&view, wanted),
    }))
}

pub(super) fn admit_update(admission: &Admission<'_>) -> Result<Admitted, Refusal> {
    let view = living(admission)?;
    check_phase(admission, &view)?;
    Fields::of(admission.fields).finish()?;
    let Some(wanted) = template_of(admission, &view) else {
        let words = format!(
            "the site has no template {} any more; rebuild it from another one",
            view.template
        );
        return Err(Refusal::new("template.unknown", words));
    };
    // Which version of its Coder template is active is looked up when it is carried out.
    let in_place = plan::is_in_place(&view, wanted);
    let plan = match in_place {
        true => plan::of_update_in_place(&view, wanted),
        false => plan::of_rebuild(&view, Some(wanted)),
    };
    let template = Some(wanted.clone());
    let proxmox = with_nodes(&admission.site.proxmox);
    Ok(order(&RebuildOrder { template, proxmox, in_place, takes_version: true, plan }))
}

pub(super) fn admit_delete(admission: &Admission<'_>) -> Result<Admitted, Refusal> {
    let view = living(admission)?;
    let mut fields = Fields::of(admission.fields);
    let now = fields.optional_flag("now")?.unwrap_or(false);
    fields.finish()?;
    if view.phase == Phase::Deleted && !now {
        check_phase(admission, &view)?;
    }
    let grace_seconds = admission.site.truenas.grace_seconds;
    let plan = plan::of_delete(&view, now, grace_seconds);
    let deleted = DeleteOrder { grace_seconds, now, plan };
    Ok(Admitted { interrupts: true, ..order(&deleted) })
}

pub(super) fn admit_configure(admission: &Admission<'_>) -> Result<Admitted, Refusal> {
    let view = living(admission)?;
    check_phase(admission, &view)?;
    let mut fields = Fields::of(admission.fields);
    let mut within = |field, most| match fields.optional_number(field)? {
        Some(number) => {
            choose(field, Some(number), &Range { min: 0, max: most, default: 0 }).map(Some)
        }
        None => Ok(None),
    };
    let ask = ConfigureWorkspace {
        id: None,
        name: admission.name.to_string(),
        autostop_minutes: within("autostop_minutes", AUTOSTOP_MINUTES_MAX)?,
        ttl_hours: within("ttl_hours", TTL_HOURS_MAX)?,
        dormant_days: within("dormant_days", DORMANT_DAYS_MAX)?,
        dormant_delete_days: within("dormant_delete_days", DORMANT_DAYS_MAX)?,
        autostart: fields.optional_text("autostart")?.map(ToString::to_string),
        time_zone: fields.optional_text("time_zone")?.map(ToString::to_string),
    };
    fields.finish()?;
    if ask == (ConfigureWorkspace { name: ask.name.clone(), ..ConfigureWorkspace::default() }) {
        let words = "say what to change: autostart, time_zone, autostop_minutes, dormant_days, \
                     dormant_delete_days or ttl_hours";
        return Err(Refusal::new("configure.nothing", words));
    }
    check_autostart(&ask, &view)?;
    Ok(order(&ask))
}

/// Each is checked by itself; any cron expression goes with any zone.
fn check_autostart(ask: &ConfigureWorkspace, view: &WorkspaceView) -> Result<(), Refusal> {
    let cron = ask.autostart.as_deref();
    if ask.time_zone.is_some()
        && (cron == Some(NEVER) || (cron.is_none() && view.autostart.is_none()))
    {
        let words = "a time zone is that of an autostart; say when it is started, too";
        return Err(Refusal::new("parameter.missing", words).field("autostart"));
    }
    let cron = cron.filter(|cron| *cron != NEVER).unwrap_or("@daily");
    let read = Calendar::read(cron, ask.time_zone.as_deref().unwrap_or("UTC"));
    read.map(|_| ()).map_err(|refusal| match refusal.field.as_deref() {
        Some("cron") => refusal.field("autostart"),
        _ => refusal,
    })
}

pub(super) fn admit_retry(admission: &Admission<'_>) -> Result<Admitted, Refusal> {
    let view = living(admission)?;
    check_phase(admission, &view)?;
    let mut fields = Fields::of(admission.fields);
    let other = match fields.optional_text("template")? {
        Some(name) => Some(template(admission.site, Some(name))?),
        None => None,
    };
    let known = other.or_else(|| template_of(admission, &view));
    let mut check = |field, range: fn(&Template) -> Range| {
        let Some(number) = fields.optional_number(field)? else { return Ok(None) };
        match known {
            Some(template) => choose(field, Some(number), &range(template)).map(Some),
            None => Ok(Some(number)),
        }
    };
    let (cpu_cores, memory_gb) = (
        check("cpu_cores", |template| template.cpu_cores)?,
        check("memory_gb", |template| template.memory_gb)?,
    );
    let (storage_quota_gb, disk_gb) = (
        check("storage_quota_gb", |template| template.storage_quota_gb)?,
        check("disk_gb", Template::disk_gb_range)?,
    );
    check_not_there("storage_quota_gb", storage_quota_gb, view.home_source.is_some())?;
    let volume_gb = match (fields.optional_number("volume_gb")?, known) {
        (Some(asked @ 1..), Some(template)) => Some(volume(admission.site, template, asked)?),
        (asked, _) => asked,
    };
    check_not_there("volume_gb", volume_gb, view.volume.is_some())?;
    let storage_backend = match (fields.optional_text("storage_backend")?, known) {
        (Some(word), Some(template)) => Some(backend(template, Some(word))?),
        _ => None,
    };
    let node = fields.optional_text("node")?;
    fields.finish()?;
    let nodes = with_nodes(&admission.site.proxmox).nodes;
    if node.is_some_and(|node| !nodes.iter().any(|known| known == node)) {
        let nodes: Vec<&str> = nodes.iter().map(|known| known.as_str()).collect();
        return Err(one_of("node", &nodes));
    }
    let node = node.map(ToString::to_string);
    Ok(order(&RetryOrder {
        template: other.cloned(),
        cpu_cores,
        memory_gb,
        storage_backend,
        node,
        storage_quota_gb,
        disk_gb,
        volume_gb,
    }))
}

/// What was made stays as it is, as others may use it already.
fn check_not_there(field: &str, asked: Option<u32>, is_there: bool) -> Result<(), Refusal> {
    let words = match field {
        "volume_gb" => "its volume is there already; resize it once the workspace is ready",
        _ => "the home is there already; `stead home resize` changes how much it may hold",
    };
    match asked.filter(|_| is_there) {
        Some(_) => Err(Refusal::new("retry.there-already", words).field(field)),
        None => Ok(()),
    }
}

/// The site's template of the name that the workspace's has, as it is now.
fn template_of<'a>(admission: &Admission<'a>, view: &WorkspaceView) -> Option<&'a Template> {
    admission.site.templates.iter().find(|known| known.name == view.template)
}
