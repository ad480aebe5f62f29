use super::Moment;
use crate::{
    queue::{Attempted, DeadLetter, Message, Reason},
    token::Token,
};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::time::Instant;

/// One message.
pub(super) struct Row {
    pub(super) message: Message,
    pub(super) state: State,
    pub(super) max_age: Duration,
    pub(super) expires: Instant,
    /// Its dedupe keys.
    pub(super) keys: Box<[Arc<str>]>,
    history: Vec<Attempted>,
    parked_last: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Ready, or scheduled, by `due`.
    Waiting {
        due: Instant,
        parked: bool,
    },
    /// Until the lease lapses.
    Claimed {
        until: Instant,
    },
    Done,
    Dead {
        reason: Reason,
        at: SystemTime,
    },
}

impl State {
    /// When it can be claimed.
    pub(super) const fn due(self) -> Option<Instant> {
        match self {
            Self::Waiting { due, .. } => Some(due),
            Self::Claimed { until } => Some(until),
            Self::Done | Self::Dead { .. } => None,
        }
    }
}

impl Row {
    pub(super) fn new(
        message: Message,
        due: Instant,
        max_age: Duration,
        expires: Instant,
        keys: Box<[Arc<str>]>,
    ) -> Self {
        let state = State::Waiting { due, parked: false };
        Self { message, state, max_age, expires, keys, history: Vec::new(), parked_last: false }
    }

    pub(super) fn claimed(&mut self, until: Instant) -> Message {
        self.message.lease.attempt += 1;
        self.message.lease.token = Token::random();
        self.state = State::Claimed { until };
        self.message.clone()
    }

    /// The newest entry of the history; a wait that used no attempt takes the place of another right before it.
    pub(super) fn remember(&mut self, attempted: Attempted, parked: bool) {
        if parked && self.parked_last {
            self.history.pop();
        }
        self.parked_last = parked;
        self.history.push(attempted);
        let excess = self.history.len().saturating_sub(Attempted::KEPT);
        self.history.drain(..excess);
    }

    /// An entry that the store itself makes.
    pub(super) fn note(&mut self, outcome: &str, error: &str, now: Moment) {
        let attempted = Attempted {
            attempt: self.message.attempt(),
            at: now.date,
            duration: Duration::ZERO,
            outcome: outcome.to_owned(),
            status: None,
            error: Attempted::shortened(error.to_owned()),
        };
        self.remember(attempted, false);
    }

    pub(super) fn letter(&self) -> Option<DeadLetter> {
        let State::Dead { reason, at } = self.state else { return None };
        let message = &self.message;
        Some(DeadLetter {
            id: message.id(),
            reason,
            died_at: at,
            enqueued_at: message.enqueued_at(),
            attempts: message.attempt(),
            not_sent: message.not_sent(),
            refused: message.refused(),
            epoch: message.epoch(),
            topic: message.topic().map(str::to_owned),
            destination: message.destination().map(str::to_owned),
            headers: message.headers().clone(),
            body: message.body().clone(),
            history: self.history.clone(),
        })
    }
}
