//! What lies in the log: whatever can be read can be written, and reads the same; a glance at it
//! sees what is there.

use stead_schemas::event::Event;
use stead_schemas::glance::Glance;
use stead_schemas::transition::Transition;

/// Tries one input.
pub fn target(bytes: &[u8]) {
    let glance = Glance::at(bytes);
    let Ok(transition) = Transition::decode(bytes) else { return };
    let glance = glance.expect("what can be read can be glanced at");
    assert_eq!(
        (&glance.run, glance.n, &glance.prev),
        (&transition.run, transition.n, &transition.prev)
    );
    assert_eq!(glance.ended.is_some(), transition.events.iter().any(Event::is_last));
    let again = Transition::decode(&transition.encode()).expect("what was written can be read");
    assert_eq!(again, transition);
}
