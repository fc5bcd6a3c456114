//! The sockets: listeners on loopback whose connections can be cut, and the way of an HTTP call
//! through the faults to its vendor.

mod answer;
mod call;
mod http;
mod listener;
mod multipart;
mod proxy;

pub(crate) use answer::Answer;
pub(crate) use call::{Call, Payload, decoded};
pub(crate) use http::{Before, HttpVendor, Severity, router};
pub(crate) use listener::{Cut, Door, bind, url};
