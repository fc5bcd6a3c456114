//! The whole of Stead from outside: the real binary, engine and workers as processes of their
//! own, a real nats-server, and the lab in this process, where effects can be seen and faults
//! made.
//!
//! `stage/` puts all that together; each other module tells the stories of one promise.

mod stage;
mod verbs;

mod abandon;
mod anew;
mod archive;
mod audit;
mod backup;
mod backups;
mod buckets;
mod bundled_lab;
mod bundles;
mod by_itself;
mod cancel;
mod changes;
mod chaos;
mod clones;
mod cluster;
mod commands;
mod contract;
mod crash;
mod dashboards;
mod doctor;
mod drift;
mod economy;
mod encryption;
mod engines;
mod expiry;
mod faults;
mod fed;
mod first_incident;
mod image;
mod incidents;
mod life;
mod limits;
mod logs;
mod lost;
mod mcp;
mod metrics;
mod notices;
mod orders;
mod owners;
mod permissions;
mod pools;
mod pressed;
mod refusals;
mod reload;
mod schedules;
mod secrets;
mod snapshots;
mod templates;
mod terminal;
mod tokens;
mod traces;
mod upgrade;
mod waits;
