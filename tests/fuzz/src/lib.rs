//! Whatever reads from the bus, HTTP, the log, the archive or the index, fed with what nobody would
//! write. Each target takes any bytes at all, and panics where a promise is broken. The suite feeds them
//! with their seeds and with damaged ones; `ops/fuzz` goes on from there, guided by coverage.

mod answers;
mod archive;
mod bundle;
mod command;
mod doors;
mod guest;
mod history;
mod inbound;
mod index;
mod kept;
mod log;
mod replies;
mod request;
mod sealed;
mod steps;
mod subjects;
mod traceparent;
mod transition;
mod webhook;
mod worker;

/// What reads, and examples of what it reads.
pub struct Target {
    /// As `ops/fuzz` calls it.
    pub name: &'static str,
    /// Where the seeds lie, seen from this crate.
    pub seeds: &'static str,
    /// Tries one input; panics where a promise is broken.
    pub tries: fn(&[u8]),
}

const fn target(name: &'static str, seeds: &'static str, tries: fn(&[u8])) -> Target {
    Target { name, seeds, tries }
}

/// All there are, by name.
pub const TARGETS: &[Target] = &[
    target("answers", "seeds/answers", answers::target),
    target("archive", "seeds/archive", archive::target),
    target("bundle", "../suite/incidents", bundle::target),
    target("command", "seeds/command", command::target),
    target("doors", "seeds/doors", doors::target),
    target("guest", "seeds/guest", guest::target),
    target("history", "../../schemas/tests/golden", history::target),
    target("inbound", "seeds/inbound", inbound::target),
    target("index", "seeds/index", index::target),
    target("log", "seeds/log", log::target),
    target("replies", "seeds/replies", replies::target),
    target("request", "seeds/request", request::target),
    target("sealed", "seeds/sealed", sealed::target),
    target("steps", "seeds/steps", steps::target),
    target("subjects", "seeds/subjects", subjects::target),
    target("traceparent", "seeds/traceparent", traceparent::target),
    target("transition", "seeds/transition", transition::target),
    target("webhook", "seeds/webhook", webhook::target),
    target("worker", "seeds/worker", worker::target),
];
