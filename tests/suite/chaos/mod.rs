//! Everything at once: many owners give commands of every kind while vendors fail, processes are
//! killed and connections drop. Afterwards nothing is lost, nothing is orphaned, the ledger is what
//! the lab holds, and no secret is anywhere.
//!
//! A short dose of it is a test like any other; `ops/chaos` gives as much as is wanted. What is
//! drawn follows from the seed, when it strikes does not: processes are real.
//!
//! `load.rs` is what people do and `wishes.rs` what they want, `trouble.rs` what happens to them,
//! `line.rs` a way to the server on which messages get lost, `rest.rs` how it all comes to rest,
//! `judge.rs` what must hold then.

mod judge;
mod line;
mod load;
mod rest;
mod story;
mod trouble;
mod wishes;

use std::time::Duration;

use stead_lab::UserChange;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::notices::Chat;
use crate::stage::chance::Chance;
use crate::stage::{Process, Setting, Stage, free_port};
use crate::templates;
use line::Line;
use load::Book;
use story::Story;

/// How long the dose is that every run of the tests gets, in seconds.
const DOSE_SECONDS: u64 = 30;
/// Who gives commands. Some have a repository in Forgejo, and one has none.
const OWNERS: [&str; 6] = ["alice", "demo", "john", "john.doe", "mary", "platform"];
/// What the second worker does: everything but to serve seeds, whose address is taken, and to set
/// machines up, for which one must know that address.
const SYSTEMS: &str = "--systems=authentik,coder,forgejo,kubernetes,notify,probe,s3,truenas,vault";
/// What the site has besides: what people tell of, spare machines, and copies.
const SITE: &str = "
[[pool]]
name = \"debian\"
template = \"debian-12\"
ready = 1

[[backups]]
name = \"homes\"
cron = \"*/2 * * * *\"
of.zfs = { dataset = \"tank/coder-home\", target = \"backup/coder-home\" }

[[backups]]
name = \"etcd\"
cron = \"*/3 * * * *\"
of.job = { cron_job = \"etcd-backup\" }

[[notify]]
name = \"chat\"
topics = [\"paused\", \"undo-stuck\", \"vendor-down\", \"token\", \"backup\", \"owner\"]
secret = \"vault:secret/data/stead/webhook\"
every_minutes = 1
";

/// Everything that chaos is made for.
struct Play {
    stage: Stage,
    /// The second engine and the second worker have no other way to the server.
    line: Line,
    chat: Chat,
    second_worker: Option<Process>,
    door: Option<Process>,
    door_port: u16,
    archived: u32,
    story: Story,
}

impl Play {
    async fn begin(seed: u64) -> Self {
        let (chat, url) = Chat::open().await;
        chat.comes_back();
        let setting = Setting {
            engines: 2,
            partitions: 4,
            grace_seconds: 2,
            bucket_grace_seconds: 2,
            authentik: true,
            site: format!("{SITE}webhook = \"{url}\"\n").leak(),
            ..Setting::default()
        };
        let stage = Stage::with(setting).await;
        let story = Story::begin(&stage, seed);
        let line = Line::open(stage.nats.port()).await;
        let (second_worker, door, door_port) = (None, None, free_port());
        let mut play =
            Self { stage, line, chat, second_worker, door, door_port, archived: 0, story };
        play.stage.kill_engine(1);
        play.start_engine(1);
        play.start_second_worker();
        play.open_door();
        play.stage.press_in_coder();
        let url = templates::url_of(play.door.as_ref().expect("it is open")).await;
        assert!(play.stage.lab.hook(wishes::REPOSITORY, &url, true));
        for owner in OWNERS {
            // Some are there from the first morning.
            play.stage.lab.change_user(owner, &UserChange::Add);
        }
        play
    }

    fn start_engine(&mut self, number: usize) {
        let lossy = [("STEAD_NATS_URL", self.line.url())];
        let more = if number == 1 { &lossy[..] } else { &[] };
        self.stage.start_engine_with(number, more);
    }

    fn start_second_worker(&mut self) {
        let more = [("STEAD_NATS_URL", self.line.url())];
        let worker = self.stage.process_with(&["worker", SYSTEMS], &more, "worker-1.log");
        self.second_worker = Some(worker);
    }

    /// Opens the door at which Forgejo knocks; it is always the same.
    fn open_door(&mut self) {
        let at = format!("127.0.0.1:{}", self.door_port);
        let more = [("STEAD_FORGEJO_WEBHOOK_LISTEN", at)];
        self.door = Some(self.stage.process_with(&["webhook"], &more, "webhook.log"));
    }
}

fn seconds() -> u64 {
    let named = std::env::var("STEAD_CHAOS_SECONDS").ok();
    named.map_or(DOSE_SECONDS, |text| text.parse().expect("a number of seconds"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_breaks_nothing_is_lost_and_nothing_is_left_behind() {
    let mut chance = Chance::new();
    let mut play = Play::begin(chance.seed).await;
    let (stop, stopped) = watch::channel(false);
    let book = Book::default();
    let mut people = Vec::new();
    for (owner, number) in OWNERS.into_iter().zip(1..) {
        let desk = play.stage.desk(owner).await;
        let chance = Chance::of(chance.seed.wrapping_add(number));
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
