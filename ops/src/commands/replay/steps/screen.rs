//! How a place in a history is drawn: the history left and the rest right, or one panel at a time
//! where there is no room.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Text};
use ratatui::widgets::{Block, List, ListState, Paragraph, Wrap};

use super::place::{Panel, Place};

/// Below this, one panel is shown at a time.
const WIDE: u16 = 90;

const HELP: &str = "\
→ ↓ l j space   the next transition
← ↑ h k         the one before
g / Home        the first        G / End   the last
f               the next failure F         the one before
12 Enter        transition 12
Tab             the next panel (they scroll with PgUp and PgDn)
?               this             q, Esc, Ctrl-C   quit

A transition is what an engine decided at once: a fact and what followed from it.
The state is what this build makes of the history up to there.

Any key goes back.";

/// Draws it.
pub fn draw(place: &Place, frame: &mut Frame<'_>) {
    let [body, footer] =
        Layout::vertical([Constraint::Min(1), Constraint::Length(1)]).areas(frame.area());
    if place.shows_help() {
        let help = Paragraph::new(HELP).block(Block::bordered().title("keys"));
        frame.render_widget(help.wrap(Wrap { trim: false }), body);
    } else if body.width >= WIDE {
        wide(place, frame, body);
    } else {
        panel(place, place.panel().0, frame, body);
    }
    let footer_style = Style::new().add_modifier(Modifier::REVERSED);
    frame.render_widget(Paragraph::new(place.footer()).style(footer_style), footer);
}

fn wide(place: &Place, frame: &mut Frame<'_>, body: Rect) {
    let [left, right] =
        Layout::horizontal([Constraint::Percentage(38), Constraint::Fill(1)]).areas(body);
    panel(place, Panel::History, frame, left);
    let shares = match place.panel().0 {
        Panel::Events => [2, 4, 2],
        Panel::Changed => [2, 2, 4],
        Panel::State | Panel::History => [4, 3, 2],
    };
    let [state, events, changed] = Layout::vertical(shares.map(Constraint::Fill)).areas(right);
    panel(place, Panel::State, frame, state);
    panel(place, Panel::Events, frame, events);
    panel(place, Panel::Changed, frame, changed);
}

fn panel(place: &Place, which: Panel, frame: &mut Frame<'_>, area: Rect) {
    let (chosen, scrolled) = place.panel();
    let style = match chosen == which {
        true => Style::new().add_modifier(Modifier::BOLD),
        false => Style::new().add_modifier(Modifier::DIM),
    };
    let block = Block::bordered().title(which.title()).border_style(style);
    if which == Panel::History {
        let mut state = ListState::default().with_selected(Some(place.at()));
        let chosen = Style::new().add_modifier(Modifier::REVERSED);
        let list = List::new(rows(place)).block(block).highlight_style(chosen);
        frame.render_stateful_widget(list, area, &mut state);
        return;
    }
    let width = usize::from(area.width.saturating_sub(2));
    let text = Paragraph::new(Text::from(place.text(which, width)));
    let scrolled = if chosen == which { scrolled } else { 0 };
    let text = text.block(block).wrap(Wrap { trim: false }).scroll((scrolled, 0));
    frame.render_widget(text, area);
}

fn rows(place: &Place) -> Vec<Line<'_>> {
    let bad = Style::new().fg(Color::Red);
    let rows = place.lines().iter().enumerate().map(|(n, line)| match place.is_bad(n) {
        true => Line::styled(line.as_str(), bad),
        false => Line::raw(line.as_str()),
    });
    rows.collect()
}
