//! `stead replay --step-through`: a history in the terminal, a transition at a time.
//!
//! `place.rs` is what keys do, `screen.rs` how it is drawn; here is the terminal itself.

use std::io::IsTerminal;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEventKind};

use crate::commands::source::Source;
use crate::exit::Ended;
use crate::story::again;

mod place;
mod screen;
#[cfg(test)]
mod tests;

use place::Place;

/// Carries the verb out.
pub async fn carry_out(source: &Source) -> Result<(), Ended> {
    if !(std::io::stdout().is_terminal() && std::io::stdin().is_terminal()) {
        let words = "--step-through needs a terminal; `--to N` shows one moment without";
        return Err(Ended::Usage(words.to_owned()));
    }
    let place = Place::new(source.history.clone(), source.related().await?);
    // Keys are waited for on a thread that may sleep.
    let gone_through = tokio::task::spawn_blocking(move || {
        // It restores the terminal when something panics, too.
        let terminal = ratatui::try_init()?;
        again::keep_quiet();
        let ended = go_through(terminal, place);
        ratatui::restore();
        ended
    });
    match gone_through.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Ended::Failed(format!("the terminal fails: {error}"))),
        Err(_) => Err(Ended::Failed("it ended with a bug of ours".to_owned())),
    }
}

fn go_through(mut terminal: DefaultTerminal, mut place: Place) -> std::io::Result<()> {
    while !place.is_over() {
        terminal.draw(|frame| screen::draw(&place, frame))?;
        if let Event::Key(key) = event::read()?
            && key.kind != KeyEventKind::Release
        {
            place.press(key);
        }
    }
    Ok(())
}
