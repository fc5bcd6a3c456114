//! Everything at once: many owners give commands of every kind while vendors fail, processes are
//! killed and connections drop. Afterwards nothing is lost, nothing is orphaned, the ledger is what
//! the lab holds, and no secret is anywhere.
//!
//! A short dose of it is a test like any other; `ops/chaos` gives as much as is wanted. What is
//! drawn follows from the seed, when it strikes does not: processes are real.
//!
//! `load.rs` is what people do, `trouble.rs` what happens to them, `rest.rs` how it all comes to
//! rest, `judge.rs` what must hold then.

mod judge;
mod load;
mod rest;
mod story;
mod trouble;

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::stage::chance::Chance;
use crate::stage::{Process, Setting, Stage};
use load::Book;
use story::Story;

/// How long the dose is that every run of the tests gets, in seconds.
const DOSE_SECONDS: u64 = 30;
/// How many people give commands.
const OWNERS: u32 = 6;
/// What the second worker does: everything but to serve seeds, whose address is taken, and to set
/// machines up, for which one must know that address.
const SYSTEMS: &str = "--systems=coder,probe,s3,truenas,vault";

/// Everything that chaos is made for.
struct Play {
    stage: Stage,
    second_worker: Option<Process>,
    archived: u32,
    story: Story,
}

impl Play {
    fn start_second_worker(&mut self) {
        let worker = self.stage.process(&["worker", SYSTEMS], "worker-1.log");
        self.second_worker = Some(worker);
    }
}

fn seconds() -> u64 {
    let named = std::env::var("STEAD_CHAOS_SECONDS").ok();
    named.map_or(DOSE_SECONDS, |text| text.parse().expect("a number of seconds"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_breaks_nothing_is_lost_and_nothing_is_left_behind() {
    let mut chance = Chance::new();
    let setting = Setting {
        engines: 2,
        partitions: 4,
        grace_seconds: 2,
        bucket_grace_seconds: 2,
        ..Setting::default()
    };
    let stage = Stage::with(setting).await;
    let story = Story::begin(&stage, chance.seed);
    let mut play = Play { stage, second_worker: None, archived: 0, story };
    play.start_second_worker();
    let (stop, stopped) = watch::channel(false);
    let book = Book::default();
    let mut people = Vec::new();
    for number in 0..OWNERS {
        let desk = play.stage.desk(&format!("owner-{number}")).await;
        let chance = Chance::of(chance.seed.wrapping_add(u64::from(number) + 1));
        let person = load::Person::new(desk, play.stage.lab.clone(), chance, book.clone());
        people.push(tokio::spawn(person.live(stopped.clone())));
    }
    let until = Instant::now() + Duration::from_secs(seconds());
    while Instant::now() < until {
        trouble::strike(&mut play, &mut chance).await;
    }
    stop.send_replace(true);
    for person in people {
        person.await.expect("nobody panics");
    }
    rest::mend(&mut play).await;
    rest::until_quiet(&mut play).await;
    judge::check(&play, &book).await;
    rest::clear_away(&mut play).await;
    judge::check_nothing_left(&play).await;
    play.story.end(&book);
    judge::check_no_secret(play).await;
}
