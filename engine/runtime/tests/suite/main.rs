//! The owner of a partition on simulated time: what it sends, when, and what it never sends.
//!
//! `desk.rs` sets an owner up on ports in memory (`world.rs`); `pages.rs` are the workflows it runs here.

mod bugs;
mod cancels;
mod children;
mod counted;
mod desk;
mod expiry;
mod fencing;
mod harness;
mod idle;
mod keeper;
mod kinds;
mod laden;
mod limits;
mod lists;
mod measured;
mod met;
mod orders;
mod outcomes;
mod over;
mod pages;
mod parked;
mod patience;
mod shares;
mod shown;
mod steps;
mod turning;
mod unheard;
mod world;
