//! What a token knows of itself, and the commands that change nothing but that.

use alloc::format;
use alloc::string::{String, ToString};
use core::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stead_core::context::{Command, Context};
use stead_core::retry::doubled;
use stead_schemas::command::token::{
    ConfigureToken, Pace, Proof, TokenOrder, TokenPhase, TokenView, turn_of,
};
use stead_schemas::failure::Failure;
use stead_schemas::step::coder::TokenPlace;
use stead_schemas::time::Timestamp;

/// How long the token before is kept: longer than any job that began with it.
const OVERLAP: Duration = Duration::from_secs(6 * 3600);
/// When it is tried again to have the next one; each time twice as late.
const RETRY_FIRST: Duration = Duration::from_secs(30 * 60);
/// The longest pause between two tries.
const RETRY_MAX: Duration = Duration::from_secs(4 * 3600);

/// See the module's head.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Token {
    pub order: TokenOrder,
    pub pace: Pace,
    pub phase: TokenPhase,
    /// The one that jobs are given.
    pub current: Option<Held>,
    /// The one before, while jobs may have it.
    pub previous: Option<Held>,
    pub previous_until: Option<Timestamp>,
    pub next_rotation: Option<Timestamp>,
    /// How many runs were to prove something: each has a marker of its own.
    pub proofs: u32,
    pub last_proof: Option<Proof>,
    /// How many times in a row the next one could not be had.
    pub failures: u32,
    pub trouble: Option<String>,
}

/// A token that lies in Vault.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Held {
    pub number: u32,
    /// The pinned reference.
    pub credentials: String,
    pub expires_at: Timestamp,
}

/// What comes next.
pub(super) enum Next {
    Command(Command),
    /// The token before is needed no longer.
    Revoke,
    /// It is time for the next one.
    Rotate,
}

impl Token {
    pub fn new(order: TokenOrder) -> Self {
        Self {
            pace: order.pace,
            phase: TokenPhase::Creating,
            current: None,
            previous: None,
            previous_until: None,
            next_rotation: None,
            proofs: 0,
            last_proof: None,
            failures: 0,
            trouble: None,
            order,
        }
    }

    /// Waits for a command, or until something is to be done.
    pub async fn next(&self, cx: &Context) -> Next {
        let rotation = self.next_rotation.unwrap_or_else(|| cx.now());
        let (due, next, reason) = match self.previous_until {
            Some(until) if until < rotation => {
                (until, Next::Revoke, "the token before is kept for jobs that began with it")
            }
            _ => (rotation, Next::Rotate, "the token is made anew before it ends"),
        };
        let command = cx.next_command_within(due.since(cx.now()), reason).await;
        command.map_or(next, Next::Command)
    }

    /// How many tokens there were so far, with the one that is used.
    pub fn generation(&self) -> u32 {
        self.current.as_ref().map_or(0, |held| held.number)
    }

    /// Where the token of this number is. There are two places in Vault, in turns.
    pub fn place(&self, cx: &Context, number: u32, login: String) -> TokenPlace {
        let turn = turn_of(number);
        TokenPlace {
            login,
            user: self.order.user.clone(),
            name: format!("{}-{number}", cx.run()),
            credentials: format!("{}/{turn}", self.order.credentials),
            marker: cx.run().to_string(),
        }
    }

    /// The marker of the next run.
    pub fn next_proof(&mut self, cx: &Context) -> String {
        self.proofs += 1;
        format!("{}-proof-{}", cx.run(), self.proofs)
    }

    /// The next one is the one that is used from now on.
    pub fn take(&mut self, cx: &Context, next: Held) {
        let now = cx.now();
        self.previous = self.current.replace(next);
        self.previous_until =
            self.previous.as_ref().map(|held| held.expires_at.min(now.after(OVERLAP)));
        self.next_rotation = Some(now.after(self.pace.every()));
        (self.failures, self.trouble) = (0, None);
        self.enter(cx, TokenPhase::Ready);
    }

    /// The next one could not be had. Says so at once, and how long there still is.
    pub fn is_at_risk(&mut self, cx: &Context, failure: &Failure) {
        self.failures = self.failures.saturating_add(1);
        self.trouble = Some(failure.to_string());
        let words = self.risk(cx, failure);
        let about = json!({
            "expires_at": self.current.as_ref().map(|held| held.expires_at),
            "failures": self.failures,
            "failure": failure,
        });
        cx.note("token-at-risk", words, &about);
        self.enter(cx, TokenPhase::AtRisk);
    }

    /// How long there still is, in words.
    pub fn risk(&self, cx: &Context, failure: &Failure) -> String {
        let left = self.current.as_ref().map(|held| held.expires_at.since(cx.now()));
        let hours = left.unwrap_or_default().as_secs() / 3600;
        match left {
            Some(left) if !left.is_zero() => format!(
                "the token could not be made anew ({} in a row); it ends in {hours} h: {failure}",
                self.failures
            ),
            _ => format!("the token has ended and could not be made anew: {failure}"),
        }
    }

    /// The one that is used stays, and the next one is tried again soon.
    pub fn stays(&mut self, cx: &Context) {
        let pause = doubled(RETRY_FIRST, self.failures.saturating_sub(1), RETRY_MAX);
        let soon = cx.now().after(pause);
        match self.failures {
            // Somebody has stopped it. When it is due otherwise is not changed by that.
            0 => {
                self.next_rotation = self.next_rotation.map(|next| next.max(soon));
                self.enter(cx, TokenPhase::Ready);
            }
            _ => {
                self.next_rotation = Some(soon);
                self.enter(cx, TokenPhase::AtRisk);
            }
        }
    }

    /// Changes the pace. The next rotation is as early as the new pace wants it.
    pub fn configure(&mut self, cx: &Context, command: &Command) -> Result<Value, Failure> {
        let ask: ConfigureToken = command.read()?;
        let before = self.pace;
        self.pace = Pace {
            life_days: ask.life_days.unwrap_or(before.life_days),
            every_days: ask.every_days.unwrap_or(before.every_days),
        };
        if self.failures == 0 {
            let soonest = cx.now().after(self.pace.every());
            self.next_rotation = self.next_rotation.map(|next| next.min(soonest));
        }
        self.show(cx);
        Ok(self.told())
    }

    pub fn enter(&mut self, cx: &Context, phase: TokenPhase) {
        self.phase = phase;
        self.show(cx);
    }

    pub fn show(&self, cx: &Context) {
        cx.show(self.phase.word(), &self.view());
    }

    /// What a command is told that went well.
    pub fn told(&self) -> Value {
        json!({
            "phase": self.phase,
            "repository": self.order.repository,
            "secret": self.order.secret,
            "expires_at": self.current.as_ref().map(|held| held.expires_at),
            "next_rotation": self.next_rotation,
        })
    }

    fn view(&self) -> TokenView {
        let current = self.current.as_ref();
        TokenView {
            phase: self.phase,
            repository: self.order.repository.clone(),
            secret: self.order.secret.clone(),
            pace: self.pace,
            generation: self.generation(),
            credentials: current.map(|held| held.credentials.clone()),
            expires_at: current.map(|held| held.expires_at),
            next_rotation: self.next_rotation,
            previous_until: self.previous_until,
            last_proof: self.last_proof.clone(),
            failures: self.failures,
            trouble: self.trouble.clone(),
        }
    }
}
