//! What a vendor's refusal may mean to a step: usually the end of the attempt, but sometimes the
//! very thing it wanted. The clients decide which; the steps pick out what they can use and let
//! `?` carry the rest.

use stead_schemas::failure::{Class, Failure};

/// A call that was not carried out.
#[derive(Clone, Debug)]
pub(crate) enum Trouble {
    /// What the call was about is not there.
    Missing(Failure),
    /// What the call was to make is there: the thing, or the state.
    Already(Failure),
    /// Anything else.
    Other(Failure),
}

impl Trouble {
    /// Trouble of this class, in these words.
    pub(crate) fn new(class: Class, words: impl Into<String>) -> Self {
        Self::Other(Failure::new(class, words))
    }

    /// The same trouble, with the vendor's own words beneath.
    pub(crate) fn vendor(self, text: &str) -> Self {
        let words = crate::http::shortened(text);
        match self {
            Self::Missing(failure) => Self::Missing(failure.vendor(words)),
            Self::Already(failure) => Self::Already(failure.vendor(words)),
            Self::Other(failure) => Self::Other(failure.vendor(words)),
        }
    }

    /// What it comes to if the step has no use for it.
    pub(crate) fn failure(&self) -> &Failure {
        match self {
            Self::Missing(failure) | Self::Already(failure) | Self::Other(failure) => failure,
        }
    }
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Missing(failure) | Trouble::Already(failure) | Trouble::Other(failure) => {
                failure
            }
        }
    }
}

/// Takes "it is not there" for an answer.
pub(crate) fn unless_missing<T>(answer: Result<T, Trouble>) -> Result<Option<T>, Failure> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(Trouble::Missing(_)) => Ok(None),
        Err(trouble) => Err(trouble.into()),
    }
}

/// What is to be done about a mark.
pub(crate) enum Marking<'a> {
    /// Nothing.
    Nothing,
    /// It is to be this from now on; nothing takes it off.
    Set(Option<&'a str>),
}

/// What is to be done to put `marker` in place of the mark that was seen, or, if that is undone, the
/// other way round.
///
/// # Errors
/// As a conflict, if `what` carries another mark by now than the one that was seen.
pub(crate) fn marking<'a>(
    what: &str,
    now: Option<&str>,
    (was, marker): (Option<&'a str>, &'a str),
    undoes: bool,
) -> Result<Marking<'a>, Failure> {
    let (from, to) = if undoes { (Some(marker), was) } else { (was, Some(marker)) };
    if now == to || (undoes && now != from) {
        return Ok(Marking::Nothing);
    }
    if now == from {
        return Ok(Marking::Set(to));
    }
    let carries = now.map_or("no mark".to_owned(), |now| format!("the mark of {now}"));
    let words = format!("{what} carries {carries} by now; scan again");
    Err(Failure::new(Class::Conflict, words))
}
