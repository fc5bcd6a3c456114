//! What is asked through the service interface: commands, and questions that only read.

use stead_schemas::command::fields::{Fields, read_object};
use stead_schemas::command::run::{KIND as RUN_KIND, ORDERS, read_run};
use stead_schemas::ids::RunId;
use stead_schemas::owner::Owner;
use stead_schemas::refusal::Refusal;
use stead_schemas::subjects::parse_command;

use crate::door::read::{
    Catalogue, Order, PublicVerb, read_command, read_name, read_subject, unknown_kind, unknown_verb,
};

/// The verbs of every kind that only read.
pub(super) const READ_VERBS: [&str; 2] = ["list", "show"];

/// A request that can be read.
#[derive(Clone, Debug, PartialEq)]
pub enum Asked {
    /// A command.
    Order(Order),
    /// Some runs of an owner that are of this kind.
    List {
        /// Whose.
        owner: Owner,
        /// Of which kind.
        kind: String,
        /// The one behind which they begin.
        after: Option<RunId>,
    },
    /// The latest life of an entity.
    ShowEntity {
        /// Whose.
        owner: Owner,
        /// Of which kind.
        kind: String,
        /// Which one.
        name: String,
    },
    /// One run.
    ShowRun {
        /// Whose, as is asked.
        owner: Owner,
        /// Which one.
        run: RunId,
    },
}

/// Everything that has an endpoint.
pub(super) fn endpoints(catalogue: &Catalogue) -> Vec<PublicVerb> {
    let mut all = catalogue.verbs.clone();
    for kind in catalogue.kinds() {
        all.push(built_in(kind, "list", &format!("the runs of every {kind}, in pages"), AFTER));
        all.push(built_in(kind, "show", &format!("one {kind}, its latest life"), NAME));
    }
    all.push(built_in(RUN_KIND, "show", "one run", RUN));
    all.extend(ORDERS.iter().map(|order| {
        built_in(RUN_KIND, order.verb, order.about, &(order.schema)().to_value().to_string())
    }));
    all
}

const AFTER: &str = r#"{"type":"object","properties":{"after":{"type":"string"}}}"#;
const NAME: &str =
    r#"{"type":"object","properties":{"name":{"type":"string"}},"required":["name"]}"#;
const RUN: &str = r#"{"type":"object","properties":{"run":{"type":"string"}},"required":["run"]}"#;

fn built_in(kind: &str, verb: &str, about: &str, schema: &str) -> PublicVerb {
    PublicVerb { kind: kind.into(), verb: verb.into(), about: about.into(), schema: schema.into() }
}

/// The refusal of a request that no endpoint serves; nothing if one does.
pub(super) fn stray(
    catalogue: &Catalogue,
    served: &[PublicVerb],
    subject: &str,
) -> Option<Refusal> {
    let said = match read_subject(subject) {
        Ok((_, said)) => said,
        // An owner that cannot be read is refused by the endpoint, if there is one.
        Err(refusal) => match parse_command(subject) {
            Some(said) => said,
            None => return Some(refusal),
        },
    };
    let verbs: Vec<&str> = served
        .iter()
        .filter(|verb| verb.kind == said.kind)
        .map(|verb| verb.verb.as_str())
        .collect();
    match verbs.is_empty() {
        true => Some(unknown_kind(catalogue, said.kind)),
        false if verbs.contains(&said.verb) => None,
        false => Some(unknown_verb(said.kind, said.verb, &verbs)),
    }
}

/// Reads a request.
///
/// # Errors
/// With the first rule that it breaks.
pub fn read(catalogue: &Catalogue, subject: &str, body: &[u8]) -> Result<Asked, Refusal> {
    let (owner, said) = read_subject(subject)?;
    let is_run = said.kind == RUN_KIND;
    let is_question =
        READ_VERBS.contains(&said.verb) && (is_run || !catalogue.has(said.kind, said.verb));
    if !is_question {
        return read_command(catalogue, subject, body).map(Asked::Order);
    }
    // `nats req stead.api.john.workspace.list ''` is how a person asks.
    let fields = if body.is_empty() { Default::default() } else { read_object(body)? };
    let kind = said.kind.to_string();
    match said.verb {
        "show" if is_run => {
            let run = read_run(Fields::of(&fields).text("run")?)?;
            Ok(Asked::ShowRun { owner, run })
        }
        "show" => Ok(Asked::ShowEntity { owner, kind, name: read_name(&fields)? }),
        _ => {
            let after = Fields::of(&fields).optional_text("after")?;
            Ok(Asked::List { owner, kind, after: after.map(read_after).transpose()? })
        }
    }
}

fn read_after(text: &str) -> Result<RunId, Refusal> {
    read_run(text).map_err(|refusal| refusal.field("after"))
}

#[cfg(test)]
mod tests {
    use super::{Asked, endpoints, read, stray};
    use crate::door::read::{Catalogue, PublicVerb};

    fn catalogue() -> Catalogue {
        let verb = PublicVerb {
            kind: "workspace".into(),
            verb: "create".into(),
            about: String::new(),
            schema: "{}".into(),
        };
        Catalogue { verbs: vec![verb] }
    }

    fn check(subject: &str, body: &str, expected: &str) {
        let found = match read(&catalogue(), subject, body.as_bytes()) {
            Ok(Asked::Order(_)) => "order".to_string(),
            Ok(Asked::List { owner, kind, after }) => match after {
                None => format!("list {owner} {kind}"),
                Some(after) => format!("list {owner} {kind} after {after}"),
            },
            Ok(Asked::ShowEntity { owner, kind, name }) => format!("show {owner} {kind} {name}"),
            Ok(Asked::ShowRun { owner, run }) => format!("show {owner} {run}"),
            Err(refusal) => refusal.code,
        };
        assert_eq!(found, expected, "{subject} {body}");
    }

    #[test]
    fn questions_and_commands_are_told_apart() {
        check("stead.api.john.workspace.create", r#"{"name":"dev"}"#, "order");
        check("stead.api.john.workspace.list", "", "list john workspace");
        check("stead.api.john.workspace.list", "{}", "list john workspace");
        check(
            "stead.api.john.workspace.list",
            r#"{"after":"workspace-k3j5x7q2m4n6p8r9-1"}"#,
            "list john workspace after workspace-k3j5x7q2m4n6p8r9-1",
        );
        check("stead.api.john.workspace.list", r#"{"after":"dev"}"#, "run.id-invalid");
        check("stead.api.john.workspace.show", r#"{"name":"dev"}"#, "show john workspace dev");
        check("stead.api.john.workspace.show", "{}", "parameter.missing");
        check(
            "stead.api.john.run.show",
            r#"{"run":"workspace-k3j5x7q2m4n6p8r9-1"}"#,
            "show john workspace-k3j5x7q2m4n6p8r9-1",
        );
        check("stead.api.john.run.show", r#"{"run":"dev"}"#, "run.id-invalid");
        check("stead.api.john.workspace.list", "[]", "command.malformed");
    }

    #[test]
    fn what_no_endpoint_serves_is_a_stray() {
        let served = endpoints(&catalogue());
        let code = |subject| stray(&catalogue(), &served, subject).map(|refusal| refusal.code);
        assert_eq!(code("stead.api.john.workspace.create"), None);
        assert_eq!(code("stead.api.john.workspace.list"), None);
        assert_eq!(code("stead.api.jo%6An.workspace.list"), None);
        assert_eq!(code("stead.api.john.run.cancel"), None);
        assert_eq!(code("stead.api.john.workspace.fly").as_deref(), Some("verb.unknown"));
        assert_eq!(code("stead.api.john.run.list").as_deref(), Some("verb.unknown"));
        assert_eq!(code("stead.api.john.dragon.list").as_deref(), Some("kind.unknown"));
        assert_eq!(code("stead.api.john").as_deref(), Some("command.subject"));
    }
}
