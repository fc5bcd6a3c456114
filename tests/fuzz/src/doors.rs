//! The door of every workflow: a line with what the living run shows of itself, if there is one, and
//! then the fields of a command. Each verb of each workflow is given them.

use std::sync::LazyLock;

use serde_json::{Map, Value};
use stead_core::definition::{Admission, Living};
use stead_nats::door::read::{Catalogue, EntityOrder, Order, PublicVerb, read_command};
use stead_schemas::ids::EntityKey;
use stead_schemas::site::Site;
use stead_workflows::WORKFLOWS;

use crate::kept::is_kept;

/// A site that has everything, and one that has nothing.
static SITES: LazyLock<[Site; 2]> = LazyLock::new(|| {
    let full = serde_json::from_str(include_str!("../site.json")).expect("a site");
    [full, Site::default()]
});

/// Tries one input.
pub fn target(bytes: &[u8]) {
    let mut lines = bytes.splitn(2, |byte| *byte == b'\n');
    let (view, body) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let (kind, verb) = ("workspace".to_owned(), "create".to_owned());
    let verb = PublicVerb { kind, verb, about: String::new(), schema: "{}".to_owned() };
    let catalogue = Catalogue { verbs: vec![verb] };
    let Ok(Order::Entity(order)) =
        read_command(&catalogue, "stead.cmd.john.workspace.create", body)
    else {
        return;
    };
    let view = serde_json::from_slice::<Map<String, Value>>(view).map(Value::Object).ok();
    let living = view.as_ref().map(|view| Living { phase: phase_of(view), view });
    for site in &*SITES {
        is_answered(site, &order, living);
    }
}

fn phase_of(view: &Value) -> &str {
    view.get("phase").and_then(Value::as_str).unwrap_or("ready")
}

fn is_answered(site: &Site, order: &EntityOrder, living: Option<Living<'_>>) {
    let EntityOrder { owner, name, fields, .. } = order;
    for workflow in WORKFLOWS {
        for verb in workflow.verbs {
            let admission = Admission { site, owner, name, living, verb, fields };
            match (workflow.admit)(&admission) {
                Ok(admitted) => {
                    let entity = EntityKey::of(workflow.kind, owner, name);
                    is_kept(&entity, "", verb, admitted.payload);
                }
                Err(refusal) => assert!(!refusal.code.is_empty() && !refusal.words.is_empty()),
            }
        }
    }
}
