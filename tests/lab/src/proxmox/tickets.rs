//! Who asks: an API token in every call, or a user with a ticket, which he got for his password. A
//! ticket is a cookie, ends after two hours, and changes nothing without the token beside it that no
//! other page could know.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, json};

use super::answer;
use super::params::Params;
use crate::net::{Answer, Call, decoded};
use crate::world::{PVE_TOKEN_ID, PVE_USER, World};

/// How long a ticket lasts.
const LIFE: TimeDelta = TimeDelta::hours(2);

struct Ticket {
    user: String,
    csrf: String,
    ends: DateTime<Utc>,
}

/// Every ticket that was given out.
#[derive(Default)]
pub(super) struct Tickets {
    all: BTreeMap<String, Ticket>,
}

impl Tickets {
    fn live(&self, text: &str) -> Option<&Ticket> {
        self.all.get(text).filter(|ticket| ticket.ends > Utc::now())
    }

    /// Whether a user has got this token with one of his tickets.
    fn knows(&self, csrf: &str, user: &str) -> bool {
        let mut live = self.all.values().filter(|ticket| ticket.ends > Utc::now());
        live.any(|ticket| ticket.user == user && ticket.csrf == csrf)
    }

    pub(super) fn minted(&self) -> Vec<String> {
        let texts = self.all.iter().flat_map(|(text, ticket)| [text, &ticket.csrf]);
        // Without what is encoded on its way.
        let secret =
            |text: &String| Some(text[text.find("canary")?..].trim_end_matches("+/==").to_owned());
        texts.filter_map(secret).collect()
    }
}

/// Answers whoever may not come in.
pub(super) fn let_in(world: &World, call: &Call) -> Result<(), Answer> {
    if call.method == "POST" && call.path == "/api2/json/access/ticket" {
        return Ok(());
    }
    let token = call.header("authorization").and_then(|value| value.strip_prefix("PVEAPIToken="));
    match token {
        Some(token) => by_token(world, token),
        None => by_ticket(world, call),
    }
}

fn by_token(world: &World, token: &str) -> Result<(), Answer> {
    let refused = |text: String| Err(answer::error(401, text));
    match token.split_once('=') {
        Some((id, secret)) if id == PVE_TOKEN_ID && secret == world.secrets.pve_token => Ok(()),
        Some((id, _)) if id == PVE_TOKEN_ID => refused("invalid token value!".to_owned()),
        Some((id, _)) => refused(format!("no such token '{id}'")),
        None => refused("failed to parse token ID".to_owned()),
    }
}

fn by_ticket(world: &World, call: &Call) -> Result<(), Answer> {
    let Some(text) = cookie(call) else { return Err(answer::error(401, "No ticket")) };
    if world.faults.fires("proxmox", "ticket-ended") {
        world.change(|state| state.proxmox.tickets.all.remove(&text));
    }
    let csrf = call.header("csrfpreventiontoken").unwrap_or_default();
    world.read(|state| {
        let tickets = &state.proxmox.tickets;
        let Some(ticket) = tickets.live(&text) else {
            return Err(answer::error(401, "permission denied - invalid PVE ticket"));
        };
        match call.method == "GET" || tickets.knows(csrf, &ticket.user) {
            true => Ok(()),
            false => Err(answer::error(401, "Permission denied - invalid csrf token")),
        }
    })
}

fn cookie(call: &Call) -> Option<String> {
    let mut cookies = call.header("cookie")?.split(';');
    cookies.find_map(|cookie| cookie.trim().strip_prefix("PVEAuthCookie=")).map(decoded)
}

/// Gives a ticket for a password, or for a ticket that its user still has.
pub(super) fn make(world: &World, params: &Params) -> Result<Answer, Answer> {
    params.check(&["password", "username"], &["new-format"])?;
    let [user, password] = ["username", "password"].map(|name| params.text(name));
    let (user, password) = (user.unwrap_or_default(), password.unwrap_or_default());
    if !user.contains('@') {
        let errors = [("username".to_owned(), json!("value does not look like a valid user name"))];
        return Err(answer::parameters(Map::from_iter(errors)));
    }
    let is_ticket = world.read(|state| state.proxmox.tickets.live(&password).is_some());
    if is_ticket && world.faults.fires("proxmox", "ticket-ended") {
        world.change(|state| state.proxmox.tickets.all.remove(&password));
    }
    let has_password = user == PVE_USER && password == world.secrets.pve_password;
    let has_ticket = world.read(|state| {
        state.proxmox.tickets.live(&password).is_some_and(|ticket| ticket.user == user)
    });
    if !has_password && !has_ticket {
        return Err(answer::error(401, "authentication failure"));
    }
    if world.faults.fires("proxmox", "second-factor") {
        let challenge = format!("PVE:!tfa!{}::{}", now(), world.pace.uuid());
        return Ok(answer::data(json!({ "username": user, "ticket": challenge })));
    }
    let text = format!("PVE:{user}:{}::canary-{}+/==", now(), world.pace.uuid());
    let csrf = format!("{}:canary-{}", now(), world.pace.uuid());
    let (ends, told) = (
        Utc::now() + LIFE,
        json!({ "username": user, "ticket": text, "CSRFPreventionToken": csrf }),
    );
    let ticket = Ticket { user, csrf, ends };
    world.change_quietly(|state| state.proxmox.tickets.all.insert(text, ticket));
    Ok(answer::data(told))
}

/// The time as tickets have it.
fn now() -> String {
    format!("{:08X}", Utc::now().timestamp())
}
