//! Every workflow, by machine: all goes well; a failure at every step; a crash at every
//! transition; every step carried out twice. Afterwards the world must be empty or complete:
//! that is the whole assertion.
//!
//! `stage.rs` carries runs out without a broker, `world.rs` is what the steps change.

mod golden;
mod stage;
mod stories;
mod survival;
mod world;
