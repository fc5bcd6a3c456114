//! What engines and workers say, whatever it is read as.
#![no_main]

use core::fmt::Debug;

use libfuzzer_sys::fuzz_target;
use serde::Serialize;
use serde::de::DeserializeOwned;
use stead_schemas::dispatch::{
    OrderRun, CommandReply, OutsideAnswer, OutsideReply, RunQuery, StepReply, StepRequest,
};
use stead_schemas::public::{RunSummary, RunView};
use stead_schemas::refusal::Refusal;

fuzz_target!(|bytes: &[u8]| {
    check::<StepRequest>(bytes);
    check::<StepReply>(bytes);
    check::<OutsideAnswer>(bytes);
    check::<OutsideReply>(bytes);
    check::<OrderRun>(bytes);
    check::<RunQuery>(bytes);
    check::<CommandReply>(bytes);
    check::<Result<(), Refusal>>(bytes);
    check::<Option<RunView>>(bytes);
    check::<Vec<RunSummary>>(bytes);
});

/// Whatever can be read can be written, and reads the same.
fn check<T: Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) {
    let Ok(read) = serde_json::from_slice::<T>(bytes) else { return };
    let written = serde_json::to_vec(&read).expect("plain data");
    assert_eq!(serde_json::from_slice::<T>(&written).expect("it can be read"), read);
}
