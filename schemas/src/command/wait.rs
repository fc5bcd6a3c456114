//! How a caller says that he waits for the outcome of his command.

use alloc::format;
use core::time::Duration;

use crate::refusal::Refusal;

/// The header of a request to `stead.api.…` that says for how many seconds to wait.
pub const WAIT_HEADER: &str = "Stead-Wait";
/// The most seconds that a caller may wait. Whoever wants to wait longer asks again.
pub const WAIT_SECONDS_MAX: u32 = 600;

/// Reads the values of the header; nothing if there is none.
///
/// # Errors
/// If they say no time, or one that is too long.
pub fn read_wait<'a>(
    values: impl IntoIterator<Item = &'a str>,
) -> Result<Option<Duration>, Refusal> {
    let mut values = values.into_iter();
    let Some(value) = values.next() else { return Ok(None) };
    let value = value.trim();
    let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number || values.next().is_some() {
        return Err(malformed());
    }
    // A number with more digits than there is room for is too long a time, too.
    match value.parse().unwrap_or(u32::MAX) {
        0 => Err(malformed()),
        seconds if seconds > WAIT_SECONDS_MAX => {
            let words = format!(
                "a caller may wait for {WAIT_SECONDS_MAX} seconds; ask again with the same id to \
                 wait on"
            );
            Err(Refusal::new("wait.too-long", words).field(WAIT_HEADER))
        }
        seconds => Ok(Some(Duration::from_secs(seconds.into()))),
    }
}

fn malformed() -> Refusal {
    let words = format!(
        "it says for how many seconds to wait for the outcome: one whole number from 1 to \
         {WAIT_SECONDS_MAX}"
    );
    Refusal::new("wait.malformed", words).field(WAIT_HEADER)
}

#[cfg(test)]
mod tests {
    use alloc::string::{String, ToString};

    use super::read_wait;

    fn check(values: &[&str], expected: &str) {
        let read = match read_wait(values.iter().copied()) {
            Ok(None) => String::from("no wait"),
            Ok(Some(wait)) => wait.as_secs().to_string(),
            Err(refusal) => refusal.code,
        };
        assert_eq!(read, expected, "{values:?}");
    }

    #[test]
    fn a_wait_is_a_number_of_seconds_within_bounds() {
        check(&[], "no wait");
        check(&["1"], "1");
        check(&[" 60 "], "60");
        check(&["600"], "600");
        check(&["601"], "wait.too-long");
        check(&["99999999999999999999"], "wait.too-long");
        for wrong in ["", " ", "0", "-1", "+1", "1.5", "1e2", "0x10", "soon", "10s", "٣"] {
            check(&[wrong], "wait.malformed");
        }
        check(&["5", "6"], "wait.malformed");
    }
}
