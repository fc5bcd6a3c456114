//! Whatever a door lets in can be kept in the log.

use serde_json::Value;
use stead_schemas::dispatch::Caller;
use stead_schemas::event::{CommandAccepted, Event};
use stead_schemas::ids::EntityKey;
use stead_schemas::limit::Priority;
use stead_schemas::time::Timestamp;
use stead_schemas::transition::{Transition, VERSION};

/// Keeps a command to an entity, and reads it again.
pub fn is_kept(of: &EntityKey, id: &str, verb: &str, payload: Value) {
    let accepted = CommandAccepted {
        id: id.to_owned(),
        verb: verb.to_owned(),
        payload,
        digest: String::new(),
        by: Caller::Api,
        reply: None,
        priority: Priority::Normal,
    };
    let transition = Transition {
        v: VERSION,
        run: of.run(1),
        n: 1,
        at: Timestamp::from_millis(0),
        engine: String::new(),
        prev: String::new(),
        events: vec![Event::CommandAccepted(accepted)],
    };
    let again = Transition::decode(&transition.encode()).expect("the log can hold it");
    assert_eq!(again, transition);
}
