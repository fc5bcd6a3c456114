//! What is known of notices: what waits, what is on its way, and what was told when.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};
use stead_core::context::Context;
use stead_core::retry::doubled;
use stead_schemas::command::notice::{NoticeView, RouteView, TellOrder};
use stead_schemas::failure::{Class, Failure};
use stead_schemas::notice::{By, Route, Topic};
use stead_schemas::step::Done;
use stead_schemas::time::Timestamp;

/// How long it is waited for more, so that what comes together goes together.
const GATHER: Duration = Duration::from_secs(30);
/// When a message that could not be sent is tried again; each time twice as late.
const RETRY_FIRST: Duration = Duration::from_secs(15 * 60);
/// The longest pause between two tries.
const RETRY_MAX: Duration = Duration::from_secs(4 * 3600);
/// How many things stand in one message; of more it says how many.
const ITEMS_MAX: usize = 50;
/// How many things it is remembered of that they were told.
const TOLD_MAX: usize = 1_000;

/// See the module's head.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Notices {
    ways: BTreeMap<String, Way>,
    /// How many messages there were.
    messages: u64,
}

/// One way by which people are told.
#[derive(Serialize, Deserialize)]
struct Way {
    route: Route,
    /// What waits, gathered for the next message.
    waiting: Vec<Item>,
    more: u32,
    /// What is on its way, and stays so until it has arrived: a message keeps its id and words.
    sending: Option<Bundle>,
    due: Option<Timestamp>,
    failures: u32,
    trouble: Option<String>,
    sent_at: Option<Timestamp>,
    /// When something was told of each thing.
    told: BTreeMap<String, Timestamp>,
}

/// One message.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Bundle {
    pub id: String,
    pub items: Vec<Item>,
    pub more: u32,
}

/// One thing to be told.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Item {
    pub topic: Topic,
    pub about: String,
    pub words: String,
    pub at: Timestamp,
}

impl Item {
    fn key(&self) -> String {
        format!("{}:{}", self.topic.word(), self.about)
    }
}

impl Notices {
    /// Whether there is nobody to tell.
    pub fn is_empty(&self) -> bool {
        self.ways.is_empty()
    }

    /// Lays a notice beside what waits; the ways that it goes. What was told of the same thing a
    /// short while ago is told already.
    pub fn take(&mut self, cx: &Context, order: TellOrder) -> Vec<String> {
        let TellOrder { topic, about, words, routes, known } = order;
        if let Some(known) = known {
            self.ways.retain(|name, _| known.contains(name));
        }
        let (now, item) = (cx.now(), Item { topic, about, words, at: cx.now() });
        let mut names = Vec::new();
        for route in routes {
            let name = route.name.clone();
            let way = self.ways.entry(name.clone()).or_insert_with(|| Way::new(route.clone()));
            way.route = route;
            if way.take(item.clone(), now) {
                names.push(name);
            }
        }
        names
    }

    /// When something is to be sent, and what that waits for.
    pub fn next(&self, cx: &Context) -> Option<(Timestamp, &'static str)> {
        let due = self.ways.values().filter_map(|way| Some((way.due?, way.failures > 0)));
        due.min().map(|(at, failed)| match failed {
            true => (at, "the next try to send what could not be sent"),
            false => (at.max(cx.now()), "what else there is to tell at the same time"),
        })
    }

    /// Everything that is due, as messages.
    pub fn take_due(&mut self, cx: &Context) -> Vec<(String, By, Bundle)> {
        let mut all = Vec::new();
        for (name, way) in &mut self.ways {
            if way.due.is_none_or(|due| due > cx.now()) {
                continue;
            }
            way.due = None;
            if way.sending.is_none() {
                self.messages += 1;
                let id = format!("{}-{}", cx.run(), self.messages);
                let items = core::mem::take(&mut way.waiting);
                way.sending = Some(Bundle { id, items, more: core::mem::take(&mut way.more) });
            }
            all.extend(
                way.sending.clone().map(|sending| (name.clone(), way.route.by.clone(), sending)),
            );
        }
        all
    }

    /// What came of a message.
    pub fn sent(&mut self, cx: &Context, name: &str, sent: Result<Done, Failure>) {
        let Some(way) = self.ways.get_mut(name) else { return };
        match sent {
            Ok(Done {}) => way.arrived(cx.now()),
            Err(failure) => {
                if way.failures == 0 || is_hopeless(&failure) {
                    let words = format!("{name} could not be told: {failure}");
                    cx.note("notice-unsent", words, &failure);
                }
                way.failed(cx.now(), &failure);
            }
        }
    }

    /// What is wrong with each way that something is wrong with.
    pub fn troubles(&self) -> String {
        let troubles = self
            .ways
            .values()
            .filter_map(|way| Some(format!("{}: {}", way.route.name, way.trouble.as_ref()?)));
        troubles.collect::<Vec<_>>().join("; ")
    }

    pub fn show(&self, cx: &Context) {
        let routes = self.ways.values().map(Way::view).collect();
        let trouble = self.ways.values().any(|way| way.trouble.is_some());
        cx.show(if trouble { "in-trouble" } else { "ready" }, &NoticeView { routes });
    }
}

impl Way {
    fn new(route: Route) -> Self {
        Self {
            route,
            waiting: Vec::new(),
            more: 0,
            sending: None,
            due: None,
            failures: 0,
            trouble: None,
            sent_at: None,
            told: BTreeMap::new(),
        }
    }

    fn take(&mut self, item: Item, now: Timestamp) -> bool {
        let (key, is_test) = (item.key(), item.topic == Topic::Test);
        let every = Duration::from_secs(u64::from(self.route.every_minutes) * 60);
        self.told.retain(|_, at| at.after(every) > now);
        let on_its_way = self.sending.iter().flat_map(|sending| &sending.items);
        let is_told =
            self.told.contains_key(&key) || on_its_way.into_iter().any(|i| i.key() == key);
        if is_told && !is_test {
            return false;
        }
        if let Some(before) = self.waiting.iter_mut().find(|before| before.key() == key) {
            *before = item;
        } else if self.waiting.len() < ITEMS_MAX {
            self.waiting.push(item);
        } else {
            self.more = self.more.saturating_add(1);
        }
        let due = if is_test { now } else { now.after(GATHER) };
        self.due = Some(if is_test { due } else { self.due.unwrap_or(due) });
        true
    }

    fn arrived(&mut self, now: Timestamp) {
        let items = self.sending.take().map(|sent| sent.items).unwrap_or_default();
        for item in items {
            if self.told.len() < TOLD_MAX {
                self.told.insert(item.key(), now);
            }
        }
        (self.failures, self.trouble, self.sent_at) = (0, None, Some(now));
        self.due = (!self.waiting.is_empty()).then_some(now);
    }

    fn failed(&mut self, now: Timestamp, failure: &Failure) {
        self.trouble = Some(failure.words.clone());
        if is_hopeless(failure) {
            // Whoever is meant would never get it; what is next may fare better.
            self.sending = None;
            self.failures = 0;
            self.due = (!self.waiting.is_empty()).then_some(now);
            return;
        }
        self.due = Some(now.after(doubled(RETRY_FIRST, self.failures, RETRY_MAX)));
        self.failures = self.failures.saturating_add(1);
    }

    fn view(&self) -> RouteView {
        let sending = self.sending.as_ref().map_or(0, |sending| sending.items.len());
        RouteView {
            name: self.route.name.clone(),
            waiting: self.waiting.len() + sending + self.more as usize,
            sent_at: self.sent_at,
            next: self.due,
            trouble: self.trouble.clone(),
        }
    }
}

/// Whether the same message would never arrive.
const fn is_hopeless(failure: &Failure) -> bool {
    matches!(failure.class, Class::Permanent | Class::Conflict | Class::Refused)
}
