//! What comes in at the service interface: a line with the subject, one with each header that is
//! read, and then the body.

use stead_nats::door::api::asked::{Asked, read};
use stead_nats::door::origin::who;
use stead_nats::door::read::{Catalogue, Order, PublicVerb};
use stead_schemas::command::wait::{WAIT_SECONDS_MAX, read_wait};
use stead_schemas::dispatch::Caller;
use stead_schemas::origin::claim;
use stead_schemas::owner::Owner;

fn catalogue() -> Catalogue {
    let (kind, verb) = ("workspace".into(), "create".into());
    Catalogue { verbs: vec![PublicVerb { kind, verb, about: String::new(), schema: "{}".into() }] }
}

/// Tries one input.
pub fn target(bytes: &[u8]) {
    let mut lines = bytes.splitn(5, |byte| *byte == b'\n');
    let mut text = || str::from_utf8(lines.next().unwrap_or_default()).ok();
    let (Some(subject), Some(wait), Some(client), Some(info)) = (text(), text(), text(), text())
    else {
        return;
    };
    if let Ok(Some(wait)) = read_wait([wait]) {
        assert!(
            (1..=u64::from(WAIT_SECONDS_MAX)).contains(&wait.as_secs()) && wait.subsec_nanos() == 0
        );
    }
    let by = who(Some(info), claim(client));
    let told = serde_json::to_vec(&by).expect("plain data");
    assert_eq!(serde_json::from_slice::<Caller>(&told).expect("it can be read"), by);
    match read(&catalogue(), subject, lines.next().unwrap_or_default()) {
        Ok(Asked::Order(Order::Entity(order) | Order::Rehearsal(order))) => {
            is_spelled(&order.owner)
        }
        Ok(Asked::Order(Order::Run(_, order))) => assert!(!order.why.is_empty()),
        Ok(Asked::List { owner, .. } | Asked::ShowEntity { owner, .. }) => is_spelled(&owner),
        Ok(Asked::ShowRun { owner, run }) => {
            is_spelled(&owner);
            assert_eq!(run.as_str().parse().as_ref(), Ok(&run));
        }
        Err(refusal) => assert!(!refusal.code.is_empty() && !refusal.words.is_empty()),
    }
}

fn is_spelled(owner: &Owner) {
    assert_eq!(Owner::from_token(&owner.token()).as_ref(), Ok(owner));
}
