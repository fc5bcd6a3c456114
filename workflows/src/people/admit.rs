//! The door of people: completes each command with what the site says of Authentik now.

use stead_core::definition::{Admission, Admitted};
use stead_schemas::command::fields::Fields;
use stead_schemas::command::people::NAME;
use stead_schemas::refusal::Refusal;
use stead_schemas::step::vmids::PLATFORM;

use super::state::AUTHENTIK;
use crate::as_value;

pub(super) fn admit(admission: &Admission<'_>) -> Result<Admitted, Refusal> {
    if admission.owner.as_str() != PLATFORM || admission.name != NAME {
        let words = "people are the platform's own: the owner is `stead`, the name `site`";
        return Err(Refusal::new("people.name", words).field("name"));
    }
    let site = admission.site.authentik.as_ref();
    if site.is_none() && admission.living.is_none() {
        let words =
            "this site asks no Authentik; whoever runs it must write an [authentik] section";
        return Err(Refusal::new("people.no-authentik", words));
    }
    let mut fields = Fields::of(admission.fields);
    match admission.verb {
        "confirm" => check_why(fields.text("why")?)?,
        "forget" => {
            check_why(fields.text("why")?)?;
            check_owner(admission, fields.text("owner")?)?;
        }
        _ => {}
    }
    // What entities say is not looked at here.
    if ["confirm", "forget", "look"].contains(&admission.verb) {
        fields.finish()?;
    }
    let mut payload = admission.fields.clone();
    payload.insert("name".into(), NAME.into());
    if let Some(site) = site {
        payload.insert(AUTHENTIK.into(), as_value(site));
    }
    let begins = !["confirm", "forget"].contains(&admission.verb);
    Ok(Admitted { payload: payload.into(), begins, interrupts: false })
}

fn check_why(why: &str) -> Result<(), Refusal> {
    if (1..=1000).contains(&why.chars().count()) {
        return Ok(());
    }
    let words = "say why, in 1 to 1000 characters";
    Err(Refusal::new("parameter.out-of-range", words).field("why"))
}

fn check_owner(admission: &Admission<'_>, owner: &str) -> Result<(), Refusal> {
    let is_known = |view: &serde_json::Value| {
        view["owners"].as_array().is_some_and(|all| all.iter().any(|one| one["owner"] == owner))
    };
    if admission.living.is_some_and(|living| is_known(living.view)) {
        return Ok(());
    }
    let words = alloc::format!("nobody is known who owns things as `{owner}`");
    Err(Refusal::new("people.unknown", words).field("owner"))
}
