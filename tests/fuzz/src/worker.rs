//! What workers are told: a line with the subject, and then the body.

use stead_nats::worker_link::read_inbound;
use stead_runtime::harness_ports::WorkerInbound;
use stead_schemas::dispatch::StepRequest;

/// Tries one input.
pub fn target(bytes: &[u8]) {
    let mut lines = bytes.splitn(2, |byte| *byte == b'\n');
    let (subject, body) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let Ok(subject) = str::from_utf8(subject) else { return };
    if let Ok(WorkerInbound::Step(request)) = read_inbound(subject, body) {
        let bytes = serde_json::to_vec(&request).expect("plain data");
        let again: StepRequest = serde_json::from_slice(&bytes).expect("it can be read");
        assert_eq!(again, request);
    }
}
