//! The lab from outside: every vendor through its own protocol, every fault, the guest.

mod authentik;
mod coder;
mod control;
mod forgejo;
mod guest;
mod kubernetes;
mod machine;
mod proxmox;
mod rig;
mod rpc;
mod s3;
mod seed;
mod truenas;
mod vault;
