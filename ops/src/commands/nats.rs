//! `stead nats`: who may do what on the bus, as the configuration of a NATS server.
//!
//! The file of users holds public keys only, so that it can be kept with other configuration.

mod keys;

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde_json::json;
use stead_nats::access::{self, Role, ServerSettings, User};
use stead_schemas::owner::Owner;
use stead_workers::SYSTEMS;
use toml::de::{DeTable, DeValue};

use crate::cli::Global;
use crate::cli::nats::Nats;
use crate::exit::Ended;
use crate::output;
use keys::Made;

const EXAMPLE: &str = include_str!("nats/users.toml");

/// Carries the verb out.
pub fn carry_out(global: &Global, verb: &Nats) -> Result<(), Ended> {
    match verb {
        Nats::Example => output::line(EXAMPLE.trim_end()),
        Nats::Config { file, accounts } => {
            let text = std::fs::read_to_string(file).map_err(|error| {
                Ended::Usage(format!("cannot read {}: {error}", file.display()))
            })?;
            let faulty = |words| Ended::Usage(format!("{}: {words}", file.display()));
            let (settings, users) = read(&text).map_err(faulty)?;
            let printed = match accounts {
                true => access::accounts(&users),
                false => access::server(&settings, &users),
            };
            output::line(printed.trim_end());
        }
        Nats::Key { file } => {
            let key = make_key(file)?;
            match global.json {
                true => output::json(&json!({ "public": key })),
                false => output::line(&key),
            }
        }
        Nats::Keys { folder } => tell(global, folder, &keys::make(folder)?),
    }
    Ok(())
}

fn tell(global: &Global, folder: &Path, made: &[Made]) {
    if global.json {
        let keys: serde_json::Map<_, _> =
            made.iter().map(|made| (made.who.clone(), json!(made.public))).collect();
        return output::json(&json!({ "public": keys }));
    }
    for Made { who, public } in made {
        output::line(&format!("{who:<18} {public}"));
    }
    output::note(&format!(
        "the seeds are in {0}/*/nats.nk; the server includes {0}/accounts.conf",
        folder.display()
    ));
}

fn make_key(file: &Path) -> Result<String, Ended> {
    let failed = |words: String| Ended::Failed(format!("{}: {words}", file.display()));
    let seed = access::new_seed().map_err(|error| failed(error.to_string()))?;
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    let written = opened.and_then(|mut file| writeln!(file, "{seed}"));
    written.map_err(|error| failed(error.to_string()))?;
    access::public_key(&seed).map_err(|error| failed(error.to_string()))
}

/// Reads a file of users.
fn read(text: &str) -> Result<(ServerSettings, Vec<User>), String> {
    let table = DeTable::parse(text).map_err(|error| format!("this is not TOML: {error}"))?;
    let mut settings = ServerSettings {
        name: "stead".to_owned(),
        listen: "127.0.0.1:4222".to_owned(),
        store: "/var/lib/nats".to_owned(),
        tls: None,
    };
    let mut users: Vec<User> = Vec::new();
    for (name, section) in table.get_ref().iter() {
        let (name, section) = (&**name.get_ref(), section.get_ref());
        let DeValue::Table(section) = section else {
            return Err(format!("`{name}` is not a section"));
        };
        match name {
            "server" => server(&mut settings, section)?,
            _ => users_of(&mut users, name, section)?,
        }
    }
    one_key_each(&users)?;
    match users.iter().any(|user| user.role == Role::Engine) {
        true => Ok((settings, users)),
        false => Err("there is no user in [engines], so nothing would run".to_owned()),
    }
}

fn server(settings: &mut ServerSettings, section: &DeTable<'_>) -> Result<(), String> {
    let mut tls = (None, None);
    for (key, value) in section {
        let key = &**key.get_ref();
        let value = text_of("server", key, value.get_ref())?;
        match key {
            "name" => settings.name = value,
            "listen" => settings.listen = value,
            "store" => settings.store = value,
            "tls_certificate" => tls.0 = Some(value),
            "tls_key" => tls.1 = Some(value),
            _ => return Err(format!("server.{key}: there is no such key")),
        }
    }
    settings.tls = match tls {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => return Err("server: a certificate and its key belong together".to_owned()),
    };
    Ok(())
}

fn users_of(users: &mut Vec<User>, kind: &str, section: &DeTable<'_>) -> Result<(), String> {
    for (name, value) in section {
        let name = &**name.get_ref();
        let role = match kind {
            "engines" => Role::Engine,
            "workers" if SYSTEMS.contains(&name) => Role::Worker(name.to_owned()),
            "workers" => {
                let words = format!("workers.{name}: there are workers for {}", SYSTEMS.join(", "));
                return Err(words);
            }
            "backups" => Role::Backup,
            "restorers" => Role::Restorer,
            "operators" => Role::Operator,
            "dashboards" => Role::Dashboard,
            "webhooks" => Role::Webhook,
            "provisioners" => Role::Provisioner,
            "owners" => {
                Role::Owner(Owner::new(name).map_err(|error| format!("owners.{name:?}: {error}"))?)
            }
            _ => return Err(format!("[{kind}]: there is no such section")),
        };
        // A control character would end the comment that the name stands in.
        if name.chars().any(char::is_control) {
            return Err(format!("{kind}.{name:?}: a name holds no control characters"));
        }
        let keys = match value.get_ref() {
            DeValue::Array(items) => items
                .iter()
                .map(|item| text_of(kind, name, item.get_ref()))
                .collect::<Result<_, _>>()?,
            value => vec![text_of(kind, name, value)?],
        };
        for key in keys {
            if !access::is_public_key(&key) {
                let words = "wants the public half of a key, U…, as `stead nats key` prints it";
                return Err(format!("{kind}.{name} {words}"));
            }
            let name = format!("{name}, of [{kind}]");
            users.push(User { name, role: role.clone(), key });
        }
    }
    Ok(())
}

fn text_of(section: &str, key: &str, value: &DeValue<'_>) -> Result<String, String> {
    match value {
        // A quotation mark would end the text in the server's configuration.
        DeValue::String(text) if !text.contains(['"', '\\', '\n']) => Ok(text.to_string()),
        _ => Err(format!("{section}.{key} wants a text without quotation marks")),
    }
}

/// One key for two users would give each of them what the other one may do.
fn one_key_each(users: &[User]) -> Result<(), String> {
    let mut seen = std::collections::BTreeMap::new();
    for user in users {
        if let Some(other) = seen.insert(&user.key, &user.name) {
            return Err(format!("{} and {} have the same key", other, user.name));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
