//! What goes wrong in a play.

use alloc::string::{String, ToString};
use core::fmt;

/// What goes wrong; nothing unless it is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trouble {
    /// One step goes wrong.
    pub fault: Option<Fault>,
    /// The run that is spoken to is cancelled once it could have been so many times before: before
    /// each step, and wherever it waits.
    pub cancel_after: Option<usize>,
    /// Which steps are carried out and answered twice.
    pub twice: Twice,
    /// Every run is lost before and after every append, and replayed.
    pub crash: bool,
}

/// One step goes wrong, the first time it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which step.
    pub which: Which,
    /// In what way.
    pub lapse: Lapse,
}

/// Which step goes wrong. An undo never does: it is tried until it succeeds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// Counted from 0 over the whole play, undo left out.
    Nth(usize),
    /// The first one of this name.
    Named(String),
}

/// In what way a step goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lapse {
    /// It fails for good, and nothing has been done.
    BeforeEffect,
    /// It fails for good, but what it was to do has been done.
    AfterEffect,
    /// It has been done and nobody hears of it; it is asked for again.
    AnswerLost,
}

impl Lapse {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::BeforeEffect, Self::AfterEffect, Self::AnswerLost];
}

/// Which steps are carried out and answered twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Twice {
    /// None.
    #[default]
    Never,
    /// All but undo.
    Steps,
    /// Undo alone.
    Undo,
    /// All.
    All,
}

impl Twice {
    pub(crate) fn holds_for(self, undo: bool) -> bool {
        match self {
            Self::Never => false,
            Self::Steps => !undo,
            Self::Undo => undo,
            Self::All => true,
        }
    }
}

impl Trouble {
    /// The first step of this name fails for good, and nothing has been done.
    #[must_use]
    pub fn failing(step: &str) -> Self {
        let which = Which::Named(step.to_string());
        Self::fault(which, Lapse::BeforeEffect)
    }

    /// This step goes wrong, and nothing else does.
    #[must_use]
    pub fn fault(which: Which, lapse: Lapse) -> Self {
        Self { fault: Some(Fault { which, lapse }), ..Self::default() }
    }

    /// The run is cancelled once it could have been so many times before, and nothing else happens.
    #[must_use]
    pub fn cancel_after(moments: usize) -> Self {
        Self { cancel_after: Some(moments), ..Self::default() }
    }

    /// The same trouble, and these steps are carried out and answered twice.
    #[must_use]
    pub fn twice(mut self, twice: Twice) -> Self {
        self.twice = twice;
        self
    }

    /// The same trouble, and every run is lost before and after every append.
    #[must_use]
    pub fn crash(mut self) -> Self {
        self.crash = true;
        self
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.fault {
            None => out.write_str("no step goes wrong")?,
            Some(fault) => write!(out, "{fault}")?,
        }
        if let Some(moments) = self.cancel_after {
            write!(out, ", a cancel after {moments} moments")?;
        }
        match self.twice {
            Twice::Never => {}
            Twice::Steps => out.write_str(", every step twice")?,
            Twice::Undo => out.write_str(", every undo twice")?,
            Twice::All => out.write_str(", every step and every undo twice")?,
        }
        if self.crash { out.write_str(", a crash at every transition") } else { Ok(()) }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.which {
            Which::Nth(number) => write!(out, "step {number}")?,
            Which::Named(step) => out.write_str(step)?,
        }
        out.write_str(match self.lapse {
            Lapse::BeforeEffect => " fails before its effect",
            Lapse::AfterEffect => " fails after its effect",
            Lapse::AnswerLost => " is done, and its answer is lost",
        })
    }
}
