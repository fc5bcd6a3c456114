//! A token in words: when it ends, when it is made anew, whether the last one was proved.

use chrono::DateTime;
use stead_schemas::command::token::TokenView;
use stead_schemas::public::RunView;
use stead_schemas::time::Timestamp;

use crate::story::table::sheet;
use crate::story::words::{moment, span};

/// Everything about a token; what matters stands first.
pub fn status(run: &RunView, view: &TokenView, now: Timestamp) -> String {
    let line = &run.summary;
    let until = view.previous_until.map(|until| format!("until {} UTC", moment(until)));
    let details = sheet(&[
        ("  token", format!("{}/{}, number {}", line.owner, line.name, view.generation)),
        ("  run", line.run.to_string()),
        ("  state", format!("{}, {}", line.state.word(), line.phase)),
        ("  secret", format!("{} of {}", view.secret, view.repository)),
        ("  in Vault", view.credentials.clone().unwrap_or_default()),
        (
            "  pace",
            format!(
                "lives for {} days, made anew every {}",
                view.pace.life_days, view.pace.every_days
            ),
        ),
        ("  before", until.unwrap_or_default()),
        ("  proof", view.last_proof.as_ref().map(|proof| proof.url.clone()).unwrap_or_default()),
        ("  trouble", view.trouble.clone().unwrap_or_default()),
    ]);
    format!("{}\n{details}", headline(view, now))
}

/// `expires in 6 d 4 h; next rotation Tue 03:00; last proof ok`.
fn headline(view: &TokenView, now: Timestamp) -> String {
    let expires = match view.expires_at {
        None => "there is no token yet".to_owned(),
        Some(at) if at <= now => format!("EXPIRED {} ago", span(now.since(at))),
        Some(at) => format!("expires in {}", span(at.since(now))),
    };
    let rotation = match view.next_rotation {
        Some(at) if at > now => format!("next rotation {}", weekday(at)),
        Some(_) => "rotating".to_owned(),
        None => "no rotation planned".to_owned(),
    };
    let proof = match &view.last_proof {
        Some(proof) if proof.ok => "last proof ok".to_owned(),
        Some(_) => "last proof FAILED".to_owned(),
        None => "not proved yet".to_owned(),
    };
    let failures = match view.failures {
        0 => String::new(),
        1 => "; the last rotation failed".to_owned(),
        many => format!("; the last {many} rotations failed"),
    };
    format!("{expires}; {rotation}; {proof}{failures}")
}

/// `Tue 03:00`, in UTC, of a moment in the next days.
fn weekday(at: Timestamp) -> String {
    DateTime::from_timestamp_millis(at.as_millis())
        .map_or_else(|| at.to_string(), |at| at.format("%a %H:%M UTC").to_string())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use stead_schemas::command::token::{Pace, Proof, TokenPhase, TokenView};
    use stead_schemas::time::Timestamp;

    use super::headline;

    const HOUR: Duration = Duration::from_secs(3600);

    fn view(now: Timestamp) -> TokenView {
        TokenView {
            phase: TokenPhase::Ready,
            repository: "platform/templates".into(),
            secret: "CODER_SESSION_TOKEN".into(),
            pace: Pace { life_days: 7, every_days: 6 },
            generation: 3,
            credentials: None,
            expires_at: Some(now.after(HOUR * 148)),
            next_rotation: Some(now.after(HOUR * 123)),
            previous_until: None,
            last_proof: Some(Proof { at: now, ok: true, url: "https://git.lan/1".into() }),
            failures: 0,
            trouble: None,
        }
    }

    #[test]
    fn the_first_line_says_what_matters() {
        // Midnight of a Thursday.
        let now = Timestamp::from_millis(0);
        assert_eq!(
            headline(&view(now), now),
            "expires in 6 d 4 h; next rotation Tue 03:00 UTC; last proof ok"
        );
        let proof = Proof { at: now, ok: false, url: String::new() };
        let late = TokenView { failures: 2, last_proof: Some(proof), ..view(now) };
        assert_eq!(
            headline(&late, now.after(HOUR * 150)),
            "EXPIRED 2 h 0 min ago; rotating; last proof FAILED; the last 2 rotations failed"
        );
    }
}
