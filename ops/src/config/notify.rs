//! Who is told of what: `[mail]` and every `[[notify]]`, written as people would and completed into
//! what an order holds. A topic that is mistyped would tell nobody of anything; so each is looked up.

use std::collections::BTreeSet;

use reqwest::Url;
use serde::Deserialize;
use stead_schemas::notice::{By, Route, Topic};

use super::reader::Reader;

/// How often somebody is told of the same thing where nothing is said: every four hours.
const EVERY_MINUTES: u32 = 240;
/// A week.
const EVERY_MINUTES_MAX: u32 = 7 * 24 * 60;

/// A `[[notify]]` as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    topics: Vec<Topic>,
    #[serde(default)]
    mail: Vec<String>,
    webhook: Option<String>,
    secret: Option<String>,
    every_minutes: Option<u32>,
}

/// The site's mail server, as far as orders name it.
struct Mail {
    from: String,
    login: Option<String>,
}

pub(super) fn read(reader: &mut Reader<'_>) -> Vec<Route> {
    let mail = reader.has_section("mail", "address").then(|| {
        let mut section = reader.section("mail");
        Mail { from: section.text("from"), login: section.optional_text("secret") }
    });
    let (mut names, mut routes) = (BTreeSet::new(), Vec::new());
    for (line, value) in reader.tables("notify") {
        let written = match serde_json::from_value::<Written>(value) {
            Ok(written) => written,
            Err(error) => {
                reader.add(Some(line), "notify".to_owned(), error.to_string());
                continue;
            }
        };
        if !names.insert(written.name.clone()) {
            let words = format!("there are two of the name {}", written.name);
            reader.add(Some(line), "notify.name".to_owned(), words);
        }
        match route(written, mail.as_ref()) {
            Ok(route) => routes.push(route),
            Err((key, words)) => {
                reader.add(Some(line), format!("notify.{key}"), words.to_owned());
            }
        }
    }
    routes
}

fn route(written: Written, mail: Option<&Mail>) -> Result<Route, (&'static str, &'static str)> {
    let Written { name, topics, mail: to, webhook, secret, every_minutes } = written;
    if topics.is_empty() {
        return Err(("topics", "name at least one, such as vendor-down"));
    }
    let every_minutes = every_minutes.unwrap_or(EVERY_MINUTES);
    if every_minutes > EVERY_MINUTES_MAX {
        return Err(("every_minutes", "is at most a week: 10080"));
    }
    let by = match (to.is_empty(), webhook, mail) {
        (false, None, Some(mail)) if secret.is_none() => {
            By::Mail { to, from: mail.from.clone(), login: mail.login.clone() }
        }
        (false, None, Some(_)) => return Err(("secret", "mail has its own, in [mail]")),
        (false, None, None) => {
            return Err(("mail", "there is no [mail] with the server's address"));
        }
        (true, Some(url), _) => webhook_of(url, secret)?,
        _ => return Err(("webhook", "say who is told: either mail or webhook")),
    };
    Ok(Route { name, topics, by, every_minutes })
}

/// Orders hold the address, so one that is a secret is a reference.
fn webhook_of(url: String, secret: Option<String>) -> Result<By, (&'static str, &'static str)> {
    if url.starts_with("vault:") {
        let secret = secret.unwrap_or_else(|| url.clone());
        return Ok(By::Webhook { url, secret });
    }
    let parsed = Url::parse(&url).ok().filter(|url| ["https", "http"].contains(&url.scheme()));
    let Some(parsed) = parsed else {
        let words = "is an address that begins with https://, or says where in Vault one lies as \
                     `url`: vault:...";
        return Err(("webhook", words));
    };
    if !parsed.username().is_empty() || parsed.password().is_some() || parsed.query().is_some() {
        let words = "holds a login or a query, and would be read in the log; put it into Vault as \
                     `url`, and say where: vault:...";
        return Err(("webhook", words));
    }
    match secret.filter(|secret| secret.starts_with("vault:")) {
        Some(secret) => Ok(By::Webhook { url, secret }),
        None => Err(("secret", "says where in Vault the key lies that signs it: vault:...")),
    }
}
