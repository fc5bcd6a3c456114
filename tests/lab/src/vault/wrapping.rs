//! Wrapped answers: whoever has the token has the answer, once. A token that was used, has expired
//! or never was is refused alike.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{answer, auth, token_of};
use crate::net::{Answer, Call};
use crate::world::World;

/// What was wrapped and nobody has had yet, by its token.
pub(super) type Wrapped = BTreeMap<String, Kept>;

/// An answer that waits.
#[derive(Clone)]
pub(super) struct Kept {
    data: Value,
    path: String,
    made: DateTime<Utc>,
    ttl: TimeDelta,
}

/// Wraps whatever it is given.
pub(super) fn wrap(world: &World, call: &Call) -> Answer {
    match ttl(call) {
        Some(ttl) => keep(world, "sys/wrapping/wrap", ttl, Value::Object(call.fields())),
        None => answer::errors(400, &["endpoint requires response wrapping"]),
    }
}

/// Another secret id for the AppRole, in the open or wrapped.
pub(super) fn new_secret_id(world: &World, call: &Call) -> Answer {
    let id = format!("canary-{}", world.pace.uuid());
    world.change(|state| state.vault.add_secret_id(id.clone()));
    let data = json!({
        "secret_id": id,
        "secret_id_accessor": world.pace.uuid(),
        "secret_id_num_uses": 0,
        "secret_id_ttl": 0,
    });
    match ttl(call) {
        Some(ttl) => keep(world, &format!("auth/approle/role/{}/secret-id", auth::ROLE), ttl, data),
        None => answer::data(world.pace.uuid(), data),
    }
}

/// In seconds, as whoever asks wants it.
fn ttl(call: &Call) -> Option<TimeDelta> {
    let text = call.header("x-vault-wrap-ttl")?;
    text.trim_end_matches('s').parse().ok().map(TimeDelta::seconds)
}

fn keep(world: &World, path: &str, ttl: TimeDelta, data: Value) -> Answer {
    let token = format!("hvs.canary-{}", world.pace.uuid().simple());
    let kept = Kept { data, path: path.to_owned(), made: Utc::now(), ttl };
    let info = json!({
        "token": token,
        "accessor": world.pace.uuid().simple().to_string(),
        "ttl": ttl.num_seconds(),
        "creation_time": time(&kept),
        "creation_path": path,
        "wrapped_accessor": "",
    });
    world.change(|state| {
        state.vault.made(token.clone());
        state.vault.wrapped.insert(token, kept);
    });
    answer::wrapped(world.pace.uuid(), info)
}

/// Where an answer comes from. Looking does not use the token up.
pub(super) fn look_up(world: &World, call: &Call) -> Answer {
    match find(world, call.text("token").unwrap_or_default()) {
        Some(kept) => answer::data(
            world.pace.uuid(),
            json!({
                "creation_path": kept.path,
                "creation_time": time(&kept),
                "creation_ttl": kept.ttl.num_seconds(),
            }),
        ),
        None => invalid(),
    }
}

/// The answer itself. Whoever names the token shows another one of his own; whoever shows it names none.
pub(super) fn unwrap(world: &World, call: &Call) -> Answer {
    let shown = token_of(call);
    let named = call.text("token").filter(|named| !named.is_empty());
    if named.is_some() && !world.read(|state| state.vault.is_live(shown)) {
        // Shown as its own bearer it has been used up by being looked at.
        world.change(|state| state.vault.wrapped.remove(shown));
        return if named == Some(shown) { invalid() } else { answer::denied() };
    }
    let token = named.unwrap_or(shown);
    let kept = find(world, token);
    world.change(|state| state.vault.wrapped.remove(token));
    match kept {
        Some(kept) => answer::data(world.pace.uuid(), kept.data),
        None => invalid(),
    }
}

fn find(world: &World, token: &str) -> Option<Kept> {
    if world.faults.fires("vault", "wrap-expired") {
        world.change(|state| state.vault.wrapped.remove(token));
    }
    let kept = world.read(|state| state.vault.wrapped.get(token).cloned());
    kept.filter(|kept| kept.made + kept.ttl > Utc::now())
}

fn time(kept: &Kept) -> String {
    kept.made.to_rfc3339_opts(SecondsFormat::Nanos, true)
}

fn invalid() -> Answer {
    answer::errors(400, &["wrapping token is not valid or does not exist"])
}
