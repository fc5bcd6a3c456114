//! What engines and workers say, and what they note on the server for one another, whatever it is
//! read as.

use core::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;
use stead_nats::door::Refused;
use stead_nats::door::origin::who;
use stead_nats::leases::Holder;
use stead_nats::log::{OwnerNote, Pointer};
use stead_nats::platform::SettingsRecord;
use stead_runtime::inbound::{LimitsReply, ListReply, OrderReply, OutcomeReply, QueryReply};
use stead_schemas::checkup::{CheckupReply, CheckupRequest};
use stead_schemas::dispatch::{
    CommandReply, ListRuns, OrderRun, OutcomeQuery, OutsideAnswer, OutsideReply, RehearsalReply,
    RunQuery, StepReply, StepRequest, TurnEpoch, TurnReply,
};
use stead_schemas::limit::{PlaceAsk, PlaceReply};
use stead_schemas::origin::{Origin, claim};
use stead_schemas::public::{RunSummary, StepProgress};

/// Tries one input.
pub fn target(bytes: &[u8]) {
    check::<StepRequest>(bytes);
    check::<StepReply>(bytes);
    check::<OutsideAnswer>(bytes);
    check::<OutsideReply>(bytes);
    check::<OrderRun>(bytes);
    check::<RunQuery>(bytes);
    check::<CommandReply>(bytes);
    check::<OrderReply>(bytes);
    check::<QueryReply>(bytes);
    check::<Vec<RunSummary>>(bytes);
    check::<ListReply>(bytes);
    check::<OutcomeReply>(bytes);
    check::<RehearsalReply>(bytes);
    check::<OutcomeQuery>(bytes);
    check::<ListRuns>(bytes);
    check::<TurnEpoch>(bytes);
    check::<TurnReply>(bytes);
    check::<PlaceAsk>(bytes);
    check::<PlaceReply>(bytes);
    check::<LimitsReply>(bytes);
    check::<CheckupRequest>(bytes);
    check::<CheckupReply>(bytes);
    check::<StepProgress>(bytes);
    check::<Origin>(bytes);
    check::<SettingsRecord>(bytes);
    check::<OwnerNote>(bytes);
    check::<Pointer>(bytes);
    check::<Holder>(bytes);
    check::<Refused>(bytes);
    if let Ok(header) = str::from_utf8(bytes) {
        is_kept(&who(Some(header), claim(header)));
    }
}

/// Whatever can be read can be written, and reads the same.
fn check<T: Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) {
    let Ok(read) = serde_json::from_slice::<T>(bytes) else { return };
    is_kept(&read);
}

/// It reads as it was written.
fn is_kept<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    let written = serde_json::to_vec(value).expect("plain data");
    assert_eq!(&serde_json::from_slice::<T>(&written).expect("it can be read"), value);
}
