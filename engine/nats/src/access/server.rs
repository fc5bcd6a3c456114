//! Prints the configuration of a NATS server.

use super::rights::{Answers, Rights, STREAMS, Service, rights, services};
use super::{INSIDE, OUTSIDE, User};

/// What a whole configuration says beside who may do what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSettings {
    /// The server's name, which no other one of a cluster may have.
    pub name: String,
    /// Where it listens.
    pub listen: String,
    /// Where the streams lie.
    pub store: String,
    /// The certificate and its key; nothing where the server is reached on its own machine only.
    pub tls: Option<(String, String)>,
}

/// A whole configuration.
#[must_use]
pub fn server(settings: &ServerSettings, users: &[User]) -> String {
    let ServerSettings { name, listen, store, tls } = settings;
    let mut text = format!(
        "# A NATS server for Stead. Printed by `stead nats config`; change its source, not this.\n\
         server_name: {}\nlisten: {}\n\n\
         # Every append is on the disk before it is acknowledged.\n\
         jetstream {{\n  store_dir: {}\n  sync_interval: always\n  strict: true\n}}\n\n",
        quoted(name),
        quoted(listen),
        quoted(store),
    );
    if let Some((certificate, key)) = tls {
        text += &format!(
            "tls {{\n  cert_file: {}\n  key_file: {}\n  min_version: \"1.3\"\n}}\n\n",
            quoted(certificate),
            quoted(key),
        );
    }
    text + &accounts(users)
}

/// Only who may do what, to be included in a configuration of one's own.
#[must_use]
pub fn accounts(users: &[User]) -> String {
    let (inside, outside): (Vec<&User>, Vec<&User>) =
        users.iter().partition(|user| user.role.is_inside());
    let mut text = format!("accounts {{\n  {INSIDE} {{\n    jetstream: enabled\n");
    text += &printed_users(&inside);
    text += "    exports: [\n";
    services().iter().for_each(|service| text += &export(service));
    for stream in STREAMS {
        text += &format!("      {{ stream: {}, accounts: [{OUTSIDE}] }}\n", quoted(stream));
    }
    text += &format!("    ]\n  }}\n  {OUTSIDE} {{\n");
    text += &printed_users(&outside);
    text += "    # `share` has the server say who asks.\n    imports: [\n";
    services().iter().for_each(|service| text += &import(service));
    for stream in STREAMS {
        let subject = quoted(stream);
        text += &format!("      {{ stream: {{ account: {INSIDE}, subject: {subject} }} }}\n");
    }
    text + "    ]\n  }\n  SYS {}\n}\nsystem_account: SYS\n"
}

fn printed_users(users: &[&User]) -> String {
    let mut text = "    users: [\n".to_owned();
    for user in users {
        let Rights { publish, never_publish, subscribe, answers } = rights(user);
        text += &format!("      {{ # {}\n        nkey: {}\n", user.name, user.key);
        text += "        permissions: {\n          publish: {\n";
        text += &list("allow", &publish);
        if !never_publish.is_empty() {
            text += &list("deny", &never_publish);
        }
        text += "          }\n          subscribe: {\n";
        text += &list("allow", &subscribe);
        text += "          }\n";
        if answers {
            text += "          allow_responses: { max: 1, expires: \"2m\" }\n";
        }
        text += "        }\n      }\n";
    }
    text + "    ]\n"
}

fn list(name: &str, subjects: &[String]) -> String {
    let lines: String =
        subjects.iter().map(|subject| format!("              {}\n", quoted(subject))).collect();
    format!("            {name}: [\n{lines}            ]\n")
}

fn export(service: &Service) -> String {
    let answers = match service.answers {
        Answers::Soon => "",
        // Longer than anybody may wait for the outcome of a command.
        Answers::Late => ", response_threshold: \"11m\"",
        Answers::Many => ", response_type: stream",
    };
    let subject = quoted(service.subject);
    format!("      {{ service: {subject}, accounts: [{OUTSIDE}]{answers} }}\n")
}

fn import(service: &Service) -> String {
    let to = service.outside.as_ref().map(|to| format!(", to: {}", quoted(to)));
    format!(
        "      {{ service: {{ account: {INSIDE}, subject: {} }}{}, share: true }}\n",
        quoted(service.subject),
        to.unwrap_or_default(),
    )
}

fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}
