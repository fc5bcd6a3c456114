//! The door of people: completes each command with what the site says of Authentik now.

use alloc::format;
use alloc::string::String;

use serde::de::DeserializeOwned;
use serde_json::Value;
use stead_core::definition::{Admission, Admitted};
use stead_schemas::command::fields::is_reason;
use stead_schemas::command::people::{
    ConfirmPeople, ForgetOwner, LookAtPeople, NAME, OwnerView, PeopleOrder, PeopleView,
};
use stead_schemas::refusal::Refusal;
use stead_schemas::step::vmids::PLATFORM;

use crate::as_value;
use crate::plan::planned;

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
    let mut plan = None;
    match admission.verb {
        "look" => drop(read::<LookAtPeople>(&ask)?),
        "confirm" => check_why(&read::<ConfirmPeople>(&ask)?.why)?,
        "forget" => {
            let ForgetOwner { owner, why, .. } = read(&ask)?;
            check_why(&why)?;
            plan = Some(plan_of_forget(&known(admission, owner.as_str())?));
        }
        // The others are what entities ask.
        _ => {}
    }
    let begins = !["confirm", "forget"].contains(&admission.verb);
    let payload = as_value(&PeopleOrder { ask, authentik });
    let payload = match plan {
        Some(plan) => planned(payload, plan),
        None => payload,
    };
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

fn known(admission: &Admission<'_>, owner: &str) -> Result<OwnerView, Refusal> {
    let view = admission.living.map(|living| serde_json::from_value(living.view.clone()));
    let view: PeopleView = view.and_then(Result::ok).unwrap_or_default();
    view.owners.into_iter().find(|known| known.owner.as_str() == owner).ok_or_else(|| {
        let words = format!("nobody is known who owns things as `{owner}`");
        Refusal::new("people.unknown", words).field("owner")
    })
}

fn plan_of_forget(known: &OwnerView) -> [Option<String>; 2] {
    let OwnerView { owner, workspaces, .. } = known;
    if !workspaces.is_empty() {
        let words = "nothing is forgotten, and this fails, as long as he has workspaces";
        return [Some(format!("{owner}: {words}: {}", workspaces.join(", "))), None];
    }
    let subject = known.subject.as_deref().unwrap_or("whoever it was");
    [
        Some(format!("{owner}: it is forgotten that this is {subject} at Authentik")),
        Some(format!("home of {owner}, if it is kept still: the next user of that name gets it")),
    ]
}
