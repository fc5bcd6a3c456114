//! What anybody may publish: a line with the subject, and then the body.

use serde_json::Value;
use stead_nats::door::read::{Catalogue, Order, PublicVerb, read_command};
use stead_schemas::dispatch::{Caller, EntityCommand};
use stead_schemas::ids::EntityKey;
use stead_schemas::owner::Owner;

use crate::kept::is_kept;

fn catalogue() -> Catalogue {
    let verb = |verb: &str| PublicVerb {
        kind: "workspace".into(),
        verb: verb.into(),
        about: String::new(),
        schema: "{}".into(),
    };
    Catalogue { verbs: vec![verb("create"), verb("delete")] }
}

/// Tries one input.
pub fn target(bytes: &[u8]) {
    let mut lines = bytes.splitn(2, |byte| *byte == b'\n');
    let (subject, body) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let Ok(subject) = str::from_utf8(subject) else { return };
    match read_command(&catalogue(), subject, body) {
        Ok(Order::Entity(order) | Order::Rehearsal(order)) => {
            let owner: &Owner = &order.owner;
            assert_eq!(Owner::from_token(&owner.token()).as_ref(), Ok(owner));
            let command = EntityCommand {
                kind: order.kind,
                owner: order.owner,
                name: order.name,
                verb: order.verb,
                fields: order.fields,
                id: order.id.unwrap_or_default(),
                by: Caller::Api,
            };
            passes_on(&command);
        }
        Ok(Order::Run(_, order)) => assert!(!order.why.is_empty()),
        Err(refusal) => assert!(!refusal.code.is_empty() && !refusal.words.is_empty()),
    }
}

/// Whatever the door lets in reaches the owner unchanged, and can be kept in the log.
fn passes_on(command: &EntityCommand) {
    let bytes = serde_json::to_vec(command).expect("plain data");
    let read: EntityCommand = serde_json::from_slice(&bytes).expect("it can be read");
    assert_eq!(&read, command);
    let entity = EntityKey::of(&command.kind, &command.owner, &command.name);
    is_kept(&entity, &command.id, &command.verb, Value::Object(command.fields.clone()));
}
