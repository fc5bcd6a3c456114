//! Every workflow, by machine (`survival.rs`) and as stories (`stories.rs`, `backups.rs`, `buckets.rs`,
//! `changes.rs`, `retries.rs`, `homes.rs`, `pools.rs`, `ends.rs`, `mcp.rs`, `schedules.rs`,
//! `templates.rs`, `tokens.rs`, `people.rs`, `clones.rs`, `starts.rs`, `updates.rs`). `plans.rs` is about what is
//! said before, `strange.rs` about what nobody would say.
//!
//! `kits.rs` says what each workflow is asked to do, `world.rs` is what the steps change, and
//! `stead-testkit` does the rest.

mod asker;
mod backups;
mod buckets;
mod changes;
mod clones;
mod drift;
mod ends;
mod findings;
mod golden;
mod homes;
mod kits;
mod long_lives;
mod mcp;
mod notices;
mod people;
mod plans;
mod pools;
mod rest;
mod retries;
mod schedules;
mod snapshots;
mod starts;
mod stories;
mod strange;
mod survival;
mod tale;
mod templates;
mod tokens;
mod updates;
mod volumes;
mod world;
