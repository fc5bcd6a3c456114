//! The guest machine: cloud-init, systemd and the Coder agent, one tokio task per running VM.
//!
//! It boots as a Debian 12 does: it reads its serial number, fetches its seed on every boot,
//! throws it away without `dsmode=net`, applies per-instance parts once per instance id, and
//! starts its agent in the order the agent's unit asks for. Nothing of what goes wrong in there
//! is told to anybody outside; the inventory's `guest_stage` is the lab's own view.

mod agent;
mod body;
mod boot;
mod cd;
mod events;
mod home;
mod installed;
mod seed;

pub(crate) use body::Body;
pub(crate) use boot::{power_off, power_on};
