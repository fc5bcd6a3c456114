//! Where one is in a history that is gone through, and what keys do about it.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use serde_json::Value;
use stead_schemas::event::{Event, Outcome, Seq};
use stead_schemas::transition::Transition;

use crate::story::apart::compare;
use crate::story::standing::{Standing, standing, told, whole};
use crate::story::{Teller, moments_of};

/// What is looked at where there is no room for all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Panel {
    /// The transitions.
    History,
    /// Where the run stood.
    State,
    /// The transition's events, with requests and answers.
    Events,
    /// What changed with it.
    Changed,
}

impl Panel {
    /// All, in their order.
    pub const ALL: [Self; 4] = [Self::History, Self::State, Self::Events, Self::Changed];

    /// What it is called.
    pub const fn title(self) -> &'static str {
        match self {
            Self::History => "history",
            Self::State => "state",
            Self::Events => "this transition",
            Self::Changed => "what changed",
        }
    }

    fn next(self) -> Self {
        let place = Self::ALL.iter().position(|panel| *panel == self).unwrap_or(0);
        Self::ALL[(place + 1) % Self::ALL.len()]
    }
}

/// See the module's head.
pub struct Place {
    history: Vec<Transition>,
    related: Vec<Vec<Transition>>,
    /// A line for each transition.
    lines: Vec<String>,
    /// Which transition, counted from 0.
    at: usize,
    /// Where the run stood before it, and after.
    before: Option<Standing>,
    now: Standing,
    panel: Panel,
    scrolled: u16,
    /// The number that is being typed.
    typed: String,
    shows_help: bool,
    said: String,
    over: bool,
}

impl Place {
    /// Before the first transition of a history, which has one.
    pub fn new(history: Vec<Transition>, related: Vec<Vec<Transition>>) -> Self {
        let lines = lines(&history);
        let now = standing(&history, 1, &related);
        Self {
            history,
            related,
            lines,
            at: 0,
            before: None,
            now,
            panel: Panel::History,
            scrolled: 0,
            typed: String::new(),
            shows_help: false,
            said: String::new(),
            over: false,
        }
    }

    /// Takes a key in.
    pub fn press(&mut self, key: KeyEvent) {
        self.said.clear();
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        if self.shows_help && !is_control {
            self.shows_help = false;
            return;
        }
        match key.code {
            KeyCode::Char('c' | 'd') if is_control => self.over = true,
            KeyCode::Char(digit @ '0'..='9') => self.typed.push(digit),
            KeyCode::Backspace => drop(self.typed.pop()),
            KeyCode::Enter => self.jump(),
            KeyCode::Esc if !self.typed.is_empty() => self.typed.clear(),
            KeyCode::Char('q') | KeyCode::Esc => self.over = true,
            KeyCode::Right | KeyCode::Down | KeyCode::Char('l' | 'j' | ' ') => {
                self.go(self.at + 1);
            }
            KeyCode::Left | KeyCode::Up | KeyCode::Char('h' | 'k') => {
                self.go(self.at.saturating_sub(1));
            }
            KeyCode::Home | KeyCode::Char('g') => self.go(0),
            KeyCode::End | KeyCode::Char('G') => self.go(self.history.len() - 1),
            KeyCode::Char('f') => {
                self.seek((self.at + 1..self.history.len()).find(|n| self.is_bad(*n)))
            }
            KeyCode::Char('F') => self.seek((0..self.at).rev().find(|n| self.is_bad(*n))),
            KeyCode::Tab => (self.panel, self.scrolled) = (self.panel.next(), 0),
            KeyCode::PageDown => self.scrolled = self.scrolled.saturating_add(5),
            KeyCode::PageUp => self.scrolled = self.scrolled.saturating_sub(5),
            KeyCode::Char('?') => self.shows_help = true,
            _ => {}
        }
    }

    /// Whether one has had enough.
    pub const fn is_over(&self) -> bool {
        self.over
    }

    /// Which transition it is, counted from 0.
    pub const fn at(&self) -> usize {
        self.at
    }

    /// A line for each transition.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// Which panel is looked at, and how far it is scrolled.
    pub const fn panel(&self) -> (Panel, u16) {
        (self.panel, self.scrolled)
    }

    /// Whether the keys are to be explained.
    pub const fn shows_help(&self) -> bool {
        self.shows_help
    }

    /// What stands at the bottom.
    pub fn footer(&self) -> String {
        if !self.typed.is_empty() {
            return format!("go to transition {}_  (Enter goes, Esc does not)", self.typed);
        }
        if !self.said.is_empty() {
            return self.said.clone();
        }
        let place = format!("{}/{}", self.at + 1, self.history.len());
        format!("{place}  →/← step  f/F failure  ? help  q quit  12 Enter jump  Tab panel")
    }

    /// What stands in a panel, in lines of at most `width` characters.
    pub fn text(&self, panel: Panel, width: usize) -> String {
        match panel {
            Panel::History => self.lines.join("\n"),
            Panel::State => self.now.told(width),
            Panel::Events => self.events(),
            Panel::Changed => self.changed(),
        }
    }

    /// Whether something went wrong in a transition, counted from 0.
    pub fn is_bad(&self, n: usize) -> bool {
        self.history.get(n).is_some_and(|transition| transition.events.iter().any(is_bad))
    }

    fn jump(&mut self) {
        let typed = std::mem::take(&mut self.typed);
        let last = self.history.len();
        match typed.parse::<usize>() {
            Ok(n) if (1..=last).contains(&n) => self.go(n - 1),
            Ok(_) | Err(_) if typed.is_empty() => {}
            _ => self.said = format!("there is no transition {typed}; there are 1 to {last}"),
        }
    }

    fn seek(&mut self, found: Option<usize>) {
        match found {
            Some(n) => self.go(n),
            None => self.said = "nothing else failed there".to_owned(),
        }
    }

    fn go(&mut self, to: usize) {
        let to = to.min(self.history.len() - 1);
        if to == self.at {
            return;
        }
        let stood = |place: usize| standing(&self.history, self.history[place].n, &self.related);
        let (before, now) = (to.checked_sub(1).map(stood), stood(to));
        (self.at, self.scrolled, self.before, self.now) = (to, 0, before, now);
    }

    /// The transition's events, with what was asked and answered.
    fn events(&self) -> String {
        let transition = &self.history[self.at];
        let told = transition.events.iter().map(|event| self.event(event));
        let mut told: Vec<String> = told.collect();
        told.push(format!("decided by {}", transition.engine));
        told.join("\n")
    }

    fn event(&self, event: &Event) -> String {
        let body = serde_json::to_value(event).unwrap_or_default();
        let body = body.as_object().and_then(|event| event.values().next().cloned());
        let mut lines = vec![event.name().to_owned()];
        if let Some(asked) = settled(event).and_then(|seq| self.asked(seq)) {
            lines.push(format!("  of: {asked}"));
        }
        let fields = body.as_ref().and_then(Value::as_object).into_iter().flatten();
        lines.extend(fields.map(|(field, value)| format!("  {field}: {}", whole(value))));
        lines.join("\n")
    }

    /// What a step was, and what it was asked.
    fn asked(&self, seq: Seq) -> Option<String> {
        let events = self.history[..=self.at].iter().flat_map(|transition| &transition.events);
        let mut scheduled = events.filter_map(|event| match event {
            Event::StepScheduled(step) if step.seq == seq => Some(step),
            _ => None,
        });
        scheduled.next_back().map(|step| format!("{} {}", step.step, whole(&step.request)))
    }

    /// What is otherwise than before the transition.
    fn changed(&self) -> String {
        let Some(before) = &self.before else { return "the run began".to_owned() };
        let mut lines = Vec::new();
        if before.phase != self.now.phase {
            lines.push(format!("stands: {} → {}", before.phase, self.now.phase));
        }
        let mut places = Vec::new();
        compare("", &before.view, &self.now.view, &mut places);
        lines.extend(
            places
                .iter()
                .map(|(place, old, new)| format!("shows {place}: {} → {}", whole(old), whole(new))),
        );
        let list = |standing: &Standing| {
            let open =
                standing.open.iter().map(|open| format!("waits for {} {}", open.seq, open.what));
            let known =
                standing.known.iter().map(|known| format!("knows {}", known.told_as(whole)));
            let held = standing.held.iter().map(|held| format!("holds {}", told(held)));
            open.chain(known).chain(held).collect::<Vec<String>>()
        };
        let (old, new) = (list(before), list(&self.now));
        lines.extend(old.iter().filter(|line| !new.contains(line)).map(|line| format!("- {line}")));
        lines.extend(new.iter().filter(|line| !old.contains(line)).map(|line| format!("+ {line}")));
        if lines.is_empty() { "nothing that shows".to_owned() } else { lines.join("\n") }
    }
}

/// A line for each transition: its number and what it says first.
fn lines(history: &[Transition]) -> Vec<String> {
    let mut teller = Teller::new(usize::MAX);
    let told = history.iter().map(|transition| {
        let mut said = moments_of(transition).map(|moment| teller.tell(&moment));
        let first = said.next().unwrap_or_default();
        let more = match said.count() {
            0 => String::new(),
            more => format!("  (+{more})"),
        };
        // Stories have room for longer spans than most are.
        format!("{:>4} {}{more}", transition.n, first.strip_prefix("    ").unwrap_or(&first))
    });
    told.collect()
}

fn is_bad(event: &Event) -> bool {
    match event {
        Event::StepFailed(_)
        | Event::RunFailed(_)
        | Event::RunPaused(_)
        | Event::CancelRequested(_)
        | Event::TerminateRequested(_)
        | Event::UndoAbandoned(_) => true,
        Event::CommandCompleted(command) => matches!(command.outcome, Outcome::Failed(_)),
        _ => false,
    }
}

/// The step that an event settles.
fn settled(event: &Event) -> Option<Seq> {
    Some(match event {
        Event::StepCompleted(step) => step.seq,
        Event::StepFailed(step) => step.seq,
        Event::StepCancelled(step) => step.seq,
        Event::StepDropped(step) => step.seq,
        Event::StepSkipped(step) => step.seq,
        Event::UndoAbandoned(step) => step.seq,
        _ => return None,
    })
}
