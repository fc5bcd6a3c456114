//! The door of a template: checks a command and completes it.
//!
//! Only what the site says is made into a template, and only whoever the repository belongs to may
//! ask for it: Coder's provisioner carries out whatever is in there.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use stead_core::definition::{Admission, Admitted};
use stead_schemas::command::fields::Fields;
use stead_schemas::command::template::{TemplateOrder, TemplateView};
use stead_schemas::command::workspace::check_name;
use stead_schemas::refusal::Refusal;
use stead_schemas::site::{Deployment, Template};

use super::state::{earlier, named};
use crate::as_value;
use crate::plan::planned;

pub(super) fn admit(admission: &Admission<'_>) -> Result<Admitted, Refusal> {
    check_name(admission.name)
        .map_err(|refusal| Refusal { code: "template.name-invalid".into(), ..refusal })?;
    if admission.verb == "forget" {
        let plan = plan_of_forget(&living(admission)?);
        Fields::of(admission.fields).finish()?;
        let payload = planned(as_value(&TemplateOrder::default()), plan);
        return Ok(Admitted { payload, begins: false, interrupts: true });
    }
    if admission.verb == "keep" {
        return keep(admission);
    }
    let mut order = order(admission)?;
    let mut fields = Fields::of(admission.fields);
    match admission.verb {
        "push" => {
            order.commit = fields.optional_text("commit")?.map(commit).transpose()?;
            order.only_push = fields.optional_flag("promote")? == Some(false);
            order.shows = shows(admission);
        }
        "check" => order.shows = shows(admission),
        "promote" => {
            let version = fields.optional_text("version")?;
            named(&living(admission)?.versions, version).map_err(|words| unknown(&words))?;
            order.version = version.map(str::to_string);
        }
        "rollback" => {
            let view = living(admission)?;
            let active = view.active.as_deref();
            earlier(&view.versions, |version| Some(version.name.as_str()) == active)
                .map_err(|words| Refusal::new("template.no-earlier", words))?;
        }
        _ => {}
    }
    fields.finish()?;
    let begins = admission.living.is_none();
    Ok(Admitted { payload: as_value(&order), begins, interrupts: false })
}

/// What engines say of the configuration as it is now; nothing where it knows of no such deployment.
fn keep(admission: &Admission<'_>) -> Result<Admitted, Refusal> {
    living(admission)?;
    Fields::of(admission.fields).finish()?;
    let order = order(admission).ok();
    let order = order.map(|order| TemplateOrder { shows: shows(admission), ..order });
    Ok(Admitted { payload: as_value(&order), begins: false, interrupts: false })
}

fn plan_of_forget(view: &TemplateView) -> [Option<String>; 2] {
    let TemplateView { repository, branch, versions, .. } = view;
    let ends = format!(
        "deployment of {repository}, branch {branch}: ends until it is pushed again; that {} of its \
         versions can be promoted is forgotten",
        versions.len()
    );
    let stays = "template in Coder: stays as it is, with all its versions".to_string();
    [Some(ends), Some(stays)]
}

fn order(admission: &Admission<'_>) -> Result<TemplateOrder, Refusal> {
    let site = admission.site;
    let deployment = deployment(admission)?;
    if deployment.owner() != admission.owner.as_str() {
        let words = format!(
            "{} is made of {}, and its commands are {}'s",
            deployment.template,
            deployment.repository,
            deployment.owner()
        );
        return Err(Refusal::new("template.not-yours", words));
    }
    let Some(forgejo) = &site.forgejo else {
        let words = "this site has no Forgejo; whoever runs it must write a [forgejo] section";
        return Err(Refusal::new("template.no-forgejo", words));
    };
    Ok(TemplateOrder {
        deployment: deployment.clone(),
        organization: site.coder.organization.clone(),
        coder_secret: site.coder.secret.clone(),
        forgejo_secret: forgejo.secret.clone(),
        ..TemplateOrder::default()
    })
}

/// The site's templates that this one of Coder's shows.
fn shows(admission: &Admission<'_>) -> Vec<Template> {
    let all = admission.site.templates.iter();
    all.filter(|template| template.coder_template == admission.name).cloned().collect()
}

fn deployment<'a>(admission: &Admission<'a>) -> Result<&'a Deployment, Refusal> {
    let all = &admission.site.deployments;
    all.iter().find(|known| known.template == admission.name).ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|known| known.template.as_str()).collect();
        let known = match names.is_empty() {
            true => "none; whoever runs it must write [[deployments]]".to_string(),
            false => names.join(", "),
        };
        let words =
            format!("this site deploys no template `{}`; it deploys {known}", admission.name);
        Refusal::new("template.unknown", words).field("name")
    })
}

fn living(admission: &Admission<'_>) -> Result<TemplateView, Refusal> {
    let view = admission.living.and_then(|living| serde_json::from_value(living.view.clone()).ok());
    view.ok_or_else(|| {
        let words = format!("nothing of the template `{}` was pushed yet", admission.name);
        Refusal::new("template.unknown", words).field("name")
    })
}

fn unknown(words: &str) -> Refusal {
    Refusal::new("template.version-unknown", words).field("version")
}

/// A commit by its whole hash: a shorter one may mean another commit tomorrow.
fn commit(text: &str) -> Result<String, Refusal> {
    let plain = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if [40, 64].contains(&text.len()) && text.bytes().all(plain) {
        return Ok(text.to_string());
    }
    let words = "a commit is named by its whole hash, 40 or 64 of 0-9 and a-f";
    Err(Refusal::new("template.commit-invalid", words).field("commit"))
}
