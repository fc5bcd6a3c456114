//! What the owner of a partition is told: a line with the subject, and then the body.

use stead_nats::partition::{Heard, read_inbound};
use stead_runtime::inbound::Inbound;
use stead_schemas::dispatch::{StepAddress, StepReply};
use stead_schemas::event::{Event, StepCompleted};
use stead_schemas::ids::Partition;
use stead_schemas::subjects;
use stead_schemas::time::Timestamp;
use stead_schemas::transition::{Transition, VERSION};

/// Tries one input.
pub fn target(bytes: &[u8]) {
    let mut lines = bytes.splitn(2, |byte| *byte == b'\n');
    let (subject, body) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let Ok(subject) = str::from_utf8(subject) else { return };
    for (reply, status) in [(Some("_INBOX.a"), None), (None, None), (None, Some(503))] {
        let heard = Heard { subject, reply, body, status };
        let Ok(inbound) = read_inbound(&heard) else { continue };
        if let Inbound::Answer { address, attempt, proof, reply } = inbound {
            let subject = match &proof {
                Some(proof) => subjects::answer(Partition(0), &address, attempt, proof),
                None => subjects::told(Partition(0), &address, attempt),
            };
            let said = subjects::parse_answer(&subject).unwrap();
            assert_eq!((&said.address, said.attempt, said.proof), (&address, attempt, proof));
            is_kept(&address, reply);
        }
    }
}

/// Whatever a worker answers can be kept in the log.
fn is_kept(address: &StepAddress, reply: StepReply) {
    let StepReply::Done(answer) = reply else { return };
    let seq = address.seq;
    let transition = Transition {
        v: VERSION,
        run: address.run.clone(),
        n: 1,
        at: Timestamp::from_millis(0),
        engine: String::new(),
        prev: String::new(),
        events: vec![Event::StepCompleted(StepCompleted { seq, answer, attempts: 1, met: None })],
    };
    let again = Transition::decode(&transition.encode()).expect("the log can hold it");
    assert_eq!(again, transition);
}
