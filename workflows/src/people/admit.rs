//! The door of people: completes each command with what the site says of Authentik now.

use alloc::format;

use serde::de::DeserializeOwned;
use serde_json::Value;
use stead_core::definition::{Admission, Admitted};
use stead_schemas::command::fields::is_reason;
use stead_schemas::command::people::{
    ConfirmPeople, ForgetOwner, LookAtPeople, NAME, PeopleOrder, PeopleView,
};
use stead_schemas::refusal::Refusal;
use stead_schemas::step::vmids::PLATFORM;

use crate::as_value;

pub(super) fn admit(admission: &Admission<'_>) -> Result<Admitted, Refusal> {
    if admission.owner.as_str() != PLATFORM || admission.name != NAME {
        let words = "people are the platform's own: the owner is `stead`, the name `site`";
        return Err(Refusal::new("people.name", words).field("name"));
    }
    let authentik = admission.site.authentik.clone();
    if authentik.is_none() && admission.living.is_none() {
        let words =
            "this site asks no Authentik; whoever runs it must write an [authentik] section";
        return Err(Refusal::new("people.no-authentik", words));
    }
    let mut ask = admission.fields.clone();
    ask.insert("name".into(), NAME.into());
    let ask = Value::Object(ask);
    match admission.verb {
        "look" => drop(read::<LookAtPeople>(&ask)?),
        "confirm" => check_why(&read::<ConfirmPeople>(&ask)?.why)?,
        "forget" => {
            let ForgetOwner { owner, why, .. } = read(&ask)?;
            check_why(&why)?;
            check_owner(admission, owner.as_str())?;
        }
        // The others are what entities ask.
        _ => {}
    }
    let begins = !["confirm", "forget"].contains(&admission.verb);
    let payload = as_value(&PeopleOrder { ask, authentik });
    Ok(Admitted { payload, begins, interrupts: false })
}

fn read<T: DeserializeOwned>(ask: &Value) -> Result<T, Refusal> {
    serde_json::from_value(ask.clone()).map_err(|error| {
        Refusal::new("parameter.wrong-type", format!("it cannot be read: {error}"))
    })
}

fn check_why(why: &str) -> Result<(), Refusal> {
    if is_reason(why, 1000) {
        return Ok(());
    }
    let words = "say why, on one line, in 1 to 1000 characters";
    Err(Refusal::new("parameter.out-of-range", words).field("why"))
}

fn check_owner(admission: &Admission<'_>, owner: &str) -> Result<(), Refusal> {
    let view = admission.living.map(|living| serde_json::from_value(living.view.clone()));
    let view: PeopleView = view.and_then(Result::ok).unwrap_or_default();
    if view.owners.iter().any(|known| known.owner.as_str() == owner) {
        return Ok(());
    }
    let words = format!("nobody is known who owns things as `{owner}`");
    Err(Refusal::new("people.unknown", words).field("owner"))
}
