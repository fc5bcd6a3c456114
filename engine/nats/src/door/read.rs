//! Reads a command off its subject and its bytes. Pure: what comes out is an order or a refusal.

use serde_json::{Map, Value};
use stead_schemas::command::fields::{Fields, read_id, read_object, read_priority};
use stead_schemas::command::run::{self, KIND as RUN_KIND, RunCommand};
use stead_schemas::owner::Owner;
use stead_schemas::refusal::Refusal;
use stead_schemas::subjects::{CommandSubject, parse_command};

/// The longest name that is handed on, in characters. Each kind of entity allows less.
pub const NAME_MAX: usize = 300;

/// One verb that the public may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicVerb {
    /// The kind of entity: `workspace`.
    pub kind: String,
    /// The verb: `create`.
    pub verb: String,
    /// What it does, in one line.
    pub about: String,
    /// The JSON Schema of its fields, as text.
    pub schema: String,
}

/// Everything the public may ask for. The orders to runs always belong to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalogue {
    /// The verbs.
    pub verbs: Vec<PublicVerb>,
}

impl Catalogue {
    /// The kinds of entity, each once, in the order of their first verbs.
    #[must_use]
    pub fn kinds(&self) -> Vec<&str> {
        let mut kinds: Vec<&str> = Vec::new();
        for verb in &self.verbs {
            if !kinds.contains(&verb.kind.as_str()) {
                kinds.push(&verb.kind);
            }
        }
        kinds
    }

    /// Whether the kind knows this verb.
    pub(super) fn has(&self, kind: &str, verb: &str) -> bool {
        self.verbs_of(kind).any(|known| known == verb)
    }

    /// The verbs of one kind.
    fn verbs_of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a str> {
        self.verbs.iter().filter(move |verb| verb.kind == kind).map(|verb| verb.verb.as_str())
    }
}

/// A command that can be read.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// To an entity.
    Entity(EntityOrder),
    /// The same, but nothing is to happen: it is only asked what would.
    Rehearsal(EntityOrder),
    /// To a run, whatever it is.
    Run(Owner, RunCommand),
}

/// A command to an entity, as it was sent.
#[derive(Clone, Debug, PartialEq)]
pub struct EntityOrder {
    /// The kind of entity.
    pub kind: String,
    /// Whose.
    pub owner: Owner,
    /// Which.
    pub name: String,
    /// What is asked.
    pub verb: String,
    /// The fields as they were sent.
    pub fields: Map<String, Value>,
    /// The command's id, if it was given one.
    pub id: Option<String>,
}

/// Reads a command.
///
/// # Errors
/// With the first rule that it breaks.
pub fn read_command(catalogue: &Catalogue, subject: &str, body: &[u8]) -> Result<Order, Refusal> {
    let (owner, said) = read_subject(subject)?;
    check_verb(catalogue, &said)?;
    let mut fields = read_object(body)?;
    if said.kind == RUN_KIND {
        return run::read(said.verb, &fields).map(|order| Order::Run(owner, order));
    }
    let id = read_id(&fields)?;
    read_priority(&fields)?;
    let is_rehearsal = Fields::of(&fields).optional_flag("dry_run")?.unwrap_or(false);
    fields.remove("dry_run");
    let name = read_name(&fields)?;
    let (kind, verb) = (said.kind.to_string(), said.verb.to_string());
    let order = EntityOrder { kind, owner, name, verb, fields, id };
    Ok(if is_rehearsal { Order::Rehearsal(order) } else { Order::Entity(order) })
}

/// Takes a subject apart and reads its owner.
pub(super) fn read_subject(subject: &str) -> Result<(Owner, CommandSubject<'_>), Refusal> {
    let said = parse_command(subject).ok_or_else(|| {
        let words = "a command goes to stead.cmd.<owner>.<kind>.<verb>, no token more or less";
        Refusal::new("command.subject", words)
    })?;
    let owner = Owner::from_token(said.owner)
        .map_err(|error| Refusal::new("command.owner", error.to_string()))?;
    Ok((owner, said))
}

fn check_verb(catalogue: &Catalogue, said: &CommandSubject<'_>) -> Result<(), Refusal> {
    if said.kind == RUN_KIND {
        let verbs: Vec<&str> = run::ORDERS.iter().map(|order| order.verb).collect();
        return match verbs.contains(&said.verb) {
            true => Ok(()),
            false => Err(unknown_verb(RUN_KIND, said.verb, &verbs)),
        };
    }
    let verbs: Vec<&str> = catalogue.verbs_of(said.kind).collect();
    if verbs.is_empty() {
        return Err(unknown_kind(catalogue, said.kind));
    }
    if !verbs.contains(&said.verb) {
        return Err(unknown_verb(said.kind, said.verb, &verbs));
    }
    Ok(())
}

/// The refusal of a kind that nobody may ask for.
pub(super) fn unknown_kind(catalogue: &Catalogue, kind: &str) -> Refusal {
    let kinds = catalogue.kinds().join(", ");
    let words = format!("there is no `{}`; there are {kinds} and {RUN_KIND}", shortened(kind));
    Refusal::new("kind.unknown", words)
}

/// The refusal of a verb that the kind does not know.
pub(super) fn unknown_verb(kind: &str, verb: &str, known: &[&str]) -> Refusal {
    let (kind, verb, known) = (shortened(kind), shortened(verb), known.join(", "));
    Refusal::new("verb.unknown", format!("`{kind}` knows no `{verb}`; its verbs are {known}"))
}

/// Takes the entity's name out of a command's fields.
pub(super) fn read_name(fields: &Map<String, Value>) -> Result<String, Refusal> {
    let name = Fields::of(fields).text("name")?;
    let length = name.chars().count();
    if length == 0 || length > NAME_MAX || name.chars().any(char::is_control) {
        let words = format!("a name is a text of 1 to {NAME_MAX} printable characters");
        return Err(Refusal::new("command.name-invalid", words).field("name"));
    }
    Ok(name.to_string())
}

fn shortened(token: &str) -> String {
    token.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::{Catalogue, Order, PublicVerb, read_command};

    fn catalogue() -> Catalogue {
        let verb = |kind: &str, verb: &str| PublicVerb {
            kind: kind.into(),
            verb: verb.into(),
            about: String::new(),
            schema: "{}".into(),
        };
        let verbs =
            vec![verb("workspace", "create"), verb("workspace", "start"), verb("probe", "run")];
        Catalogue { verbs }
    }

    fn check(subject: &str, body: &[u8], code: &str) {
        let read = read_command(&catalogue(), subject, body);
        let found = read.map_or_else(|refusal| refusal.code, |_| "accepted".to_string());
        assert_eq!(found, code, "{subject} {}", String::from_utf8_lossy(body));
    }

    #[test]
    fn a_good_command_is_read() {
        let body = br#"{"name":"dev","id":"a","cpu_cores":4}"#;
        let read = read_command(&catalogue(), "stead.cmd.john%2Edoe.workspace.create", body);
        let Ok(Order::Entity(order)) = read else { panic!("{read:?}") };
        assert_eq!((order.owner.as_str(), order.kind.as_str()), ("john.doe", "workspace"));
        assert_eq!((order.name.as_str(), order.verb.as_str()), ("dev", "create"));
        assert_eq!((order.id.as_deref(), order.fields.len()), (Some("a"), 3));
    }

    #[test]
    fn a_subject_of_another_shape_is_refused() {
        let body = br#"{"name":"dev"}"#;
        check("stead.cmd.john.workspace", body, "command.subject");
        check("stead.cmd.john.workspace.create.now", body, "command.subject");
        check("stead.cmd", body, "command.subject");
        check("stead.cmd.jo%6An.workspace.create", b"{}", "command.owner");
        check("stead.cmd.john.dragon.create", b"{}", "kind.unknown");
        check("stead.cmd.john.workspace.explode", b"{}", "verb.unknown");
        check("stead.cmd.john.workspace.list", b"{}", "verb.unknown");
    }

    #[test]
    fn garbage_is_refused() {
        let subject = "stead.cmd.john.workspace.create";
        for body in [&b""[..], b"\xff\xfe", b"[]", b"\"dev\"", b"{", b"{\"name\":\"a\"}x"] {
            check(subject, body, "command.malformed");
        }
        let large = format!("{{\"name\":\"{}\"}}", "x".repeat(70_000));
        check(subject, large.as_bytes(), "command.too-large");
        let deep = format!("{{\"name\":{}{}}}", "[".repeat(100), "]".repeat(100));
        check(subject, deep.as_bytes(), "command.too-deep");
        check(subject, br#"{"name":"dev","id":7}"#, "command.id-invalid");
    }

    #[test]
    fn a_command_names_its_entity() {
        let subject = "stead.cmd.john.workspace.create";
        check(subject, b"{}", "parameter.missing");
        check(subject, br#"{"name":null}"#, "parameter.missing");
        check(subject, br#"{"name":7}"#, "parameter.wrong-type");
        check(subject, br#"{"name":""}"#, "command.name-invalid");
        check(subject, b"{\"name\":\"a\\nb\"}", "command.name-invalid");
        let long = format!("{{\"name\":\"{}\"}}", "x".repeat(301));
        check(subject, long.as_bytes(), "command.name-invalid");
    }

    #[test]
    fn a_priority_is_one_of_three_words() {
        let subject = "stead.cmd.john.workspace.create";
        check(subject, br#"{"name":"dev","priority":"low"}"#, "accepted");
        check(subject, br#"{"name":"dev","priority":"urgent"}"#, "command.priority-invalid");
        check(subject, br#"{"name":"dev","priority":1}"#, "command.priority-invalid");
    }

    #[test]
    fn a_dry_run_is_no_field_of_the_command() {
        let subject = "stead.api.john.workspace.create";
        let read = read_command(&catalogue(), subject, br#"{"name":"dev","dry_run":true}"#);
        let Ok(Order::Rehearsal(order)) = read else { panic!("{read:?}") };
        assert!(!order.fields.contains_key("dry_run"));
        check(subject, br#"{"name":"dev","dry_run":"yes"}"#, "parameter.wrong-type");
    }

    #[test]
    fn a_cancel_names_its_run_and_its_reason() {
        let subject = "stead.cmd.john.run.cancel";
        let run = "workspace-k3j5x7q2m4n6p8r9-1";
        check(subject, format!(r#"{{"run":"{run}","why":"wrong size"}}"#).as_bytes(), "accepted");
        check(subject, format!(r#"{{"run":"{run}","why":" "}}"#).as_bytes(), "run.why-invalid");
        check(subject, format!(r#"{{"run":"{run}"}}"#).as_bytes(), "parameter.missing");
        check(subject, br#"{"run":"dev","why":"x"}"#, "run.id-invalid");
        check("stead.cmd.john.run.show", b"{}", "verb.unknown");
    }
}
