//! Measures calls to vendors: how long each took, and what its answer meant; in a span of its own
//! where the step that makes it is traced.

use std::time::Instant;

use stead_runtime::{metric, trace};
use stead_schemas::failure::{Class, Failure};

use crate::http::Effect;
use crate::trouble::Trouble;

/// Whom a call is for, and what it does there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    system: &'static str,
    operation: &'static str,
}

impl Call {
    /// A call that may change something, or only looks.
    pub(crate) const fn of(system: &'static str, effect: Effect) -> Self {
        let operation = match effect {
            Effect::None => "look",
            Effect::Possible => "change",
        };
        Self { system, operation }
    }

    /// A call by which one is let in.
    pub(crate) const fn login(system: &'static str) -> Self {
        Self { system, operation: "login" }
    }

    /// Makes the call. One that is given up half-way is not measured.
    pub(crate) async fn measured<T, E: Meaning>(
        self,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let span = trace::call(self.system, self.operation);
        let begun = Instant::now();
        let answer = match &span {
            Some(span) => span.making(call).await,
            None => call.await,
        };
        let outcome = answer.as_ref().map_or_else(Meaning::word, |_| "done");
        metric::VENDOR_CALLS.count([self.system, outcome]);
        metric::VENDOR_SECONDS.took(begun.elapsed(), [self.system, self.operation, outcome]);
        let is_down = outcome == Class::VendorDown.word();
        metric::VENDOR_DOWN.set(f64::from(u8::from(is_down)), [self.system]);
        if let Some(span) = span {
            span.ends(outcome, answer.as_ref().is_err_and(Meaning::is_trouble));
        }
        answer
    }
}

/// What it means that a call was not carried out, in one word.
pub(crate) trait Meaning {
    fn word(&self) -> &'static str;

    /// Whether it is trouble, and not an answer like others.
    fn is_trouble(&self) -> bool;
}

impl Meaning for Trouble {
    fn word(&self) -> &'static str {
        match self {
            Self::Missing(_) => "missing",
            Self::Already(_) => "already",
            Self::Other(failure) => failure.word(),
        }
    }

    fn is_trouble(&self) -> bool {
        matches!(self, Self::Other(_))
    }
}

impl Meaning for Failure {
    fn word(&self) -> &'static str {
        self.class.word()
    }

    fn is_trouble(&self) -> bool {
        true
    }
}
