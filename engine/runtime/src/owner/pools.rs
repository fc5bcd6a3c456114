//! How many machines pools keep ready, of those that they are to keep: a pool that stays short makes
//! nobody wait less. What a pool shows of itself says it.

use stead_schemas::command::pool::PoolView;
use stead_schemas::step::pool::KIND;

use super::live::Live;

/// What is counted of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    /// Its name.
    pub pool: String,
    /// How many machines can be had.
    pub ready: u32,
    /// How many there should be.
    pub wanted: u32,
}

/// What is counted of this run, if it is a pool.
pub(super) fn kept(live: &Live) -> Option<Kept> {
    if live.run.id().key().kind() != KIND {
        return None;
    }
    let view: PoolView = serde_json::from_value(live.run.view()?.clone()).ok()?;
    let started = live.run.folded().started.as_ref()?;
    Some(Kept { pool: started.name.clone(), ready: view.ready, wanted: view.wanted })
}
