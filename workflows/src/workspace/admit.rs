//! The door of a workspace: checks a command and completes it into an order.

use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

use serde_json::Value;
use stead_core::definition::{Admission, Admitted};
use stead_schemas::command::fields::Fields;
use stead_schemas::command::workspace::{Order, ResizeWorkspace, Size, WorkspaceView, check_name};
use stead_schemas::refusal::Refusal;
use stead_schemas::site::{Range, Site, StorageBackend, Template};

use super::as_value;

pub(super) fn admit(admission: &Admission<'_>) -> Result<Admitted, Refusal> {
    check_name(admission.name)?;
    match admission.verb {
        "create" => admit_create(admission),
        "resize" => admit_resize(admission),
        _ => {
            Fields::of(admission.fields).finish()?;
            living(admission)?;
            let interrupts = admission.verb == "delete";
            Ok(Admitted { payload: Value::Null, begins: false, interrupts })
        }
    }
}

fn admit_create(admission: &Admission<'_>) -> Result<Admitted, Refusal> {
    let mut fields = Fields::of(admission.fields);
    let template = template(admission.site, fields.optional_text("template")?)?;
    let mut choose = |field, range| choose(field, fields.optional_number(field)?, range);
    let size = Size {
        cpu_cores: choose("cpu_cores", &template.cpu_cores)?,
        memory_gb: choose("memory_gb", &template.memory_gb)?,
        storage_quota_gb: choose("storage_quota_gb", &template.storage_quota_gb)?,
    };
    let storage_backend = backend(template, fields.optional_text("storage_backend")?)?;
    fields.finish()?;
    if let Some(living) = admission.living {
        let words = format!(
            "there is a workspace of this name already, it is {}; choose another name or delete it",
            living.phase
        );
        return Err(Refusal::new("workspace.exists", words).field("name"));
    }
    let site = admission.site;
    let order = Order {
        template: template.clone(),
        size,
        storage_backend,
        proxmox: site.proxmox.clone(),
        truenas: site.truenas.clone(),
        coder: site.coder.clone(),
    };
    Ok(Admitted { payload: as_value(&order), begins: true, interrupts: false })
}

fn admit_resize(admission: &Admission<'_>) -> Result<Admitted, Refusal> {
    let view = living(admission)?;
    let template = admission.site.templates.iter().find(|known| known.name == view.template);
    let mut fields = Fields::of(admission.fields);
    let mut check = |field, range: fn(&Template) -> &Range| {
        let Some(number) = fields.optional_number(field)? else { return Ok(None) };
        match template {
            Some(template) => choose(field, Some(number), range(template)).map(Some),
            None => Ok(Some(number)),
        }
    };
    let ask = ResizeWorkspace {
        id: None,
        name: admission.name.to_string(),
        cpu_cores: check("cpu_cores", |template| &template.cpu_cores)?,
        memory_gb: check("memory_gb", |template| &template.memory_gb)?,
        storage_quota_gb: check("storage_quota_gb", |template| &template.storage_quota_gb)?,
    };
    fields.finish()?;
    if (ask.cpu_cores, ask.memory_gb, ask.storage_quota_gb) == (None, None, None) {
        let words = "say what to change: cpu_cores, memory_gb or storage_quota_gb";
        return Err(Refusal::new("resize.nothing", words));
    }
    Ok(Admitted { payload: as_value(&ask), begins: false, interrupts: false })
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
        let words = format!("it is not to be had; choose one of: {}", words.join(", "));
        Refusal::new("parameter.out-of-range", words).field("storage_backend")
    })
}
