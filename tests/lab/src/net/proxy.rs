//! A proxy in front of a vendor, as most sites have one: it loses the vendor, answers in its place, gives
//! up waiting for it, or asks it twice.

use std::sync::Arc;

use super::{Answer, Call, HttpVendor};
use crate::world::World;

const PAGE: &str = "<!DOCTYPE html><html><body><h1>We will be right back</h1></body></html>";

/// What it answers without asking the vendor.
pub(super) fn instead<V: HttpVendor>(world: &World) -> Option<Answer> {
    let fires = |name| V::BEHIND_PROXY && world.faults.fires(V::NAME, name);
    if fires("proxy-no-route") {
        return Some(Answer::page(404, "text/plain", "404 page not found\n"));
    }
    fires("proxy-page").then(|| Answer::page(200, "text/html", PAGE))
}

/// What comes of asking the vendor through it.
pub(super) fn through<V: HttpVendor>(world: &Arc<World>, call: &Call) -> Answer {
    let answer = V::answer(world, call);
    let is_change = !matches!(call.method.as_str(), "GET" | "HEAD" | "LIST") && answer.is_success();
    let fires = |name| V::BEHIND_PROXY && is_change && world.faults.fires(V::NAME, name);
    if fires("proxy-repeats") {
        return V::answer(world, call);
    }
    if fires("proxy-timeout") {
        return Answer::page(504, "text/html", PAGE);
    }
    answer
}
