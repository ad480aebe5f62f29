//! Tokens of claims that were released: a begin of one of them comes too late, and claims nothing.
//!
//! For stores inside of this process. A begin can be late only on its way from here to the store, so no other process has to know,
//! and none of it has to outlive this one.

use crate::{error::StoreError, token::Token};
use std::{
    collections::{HashSet, VecDeque},
    time::Duration,
};
use tokio::time::Instant;

/// How late a begin can be after the release of its token was answered. TCP sends a segment again at most two minutes after its
/// network is back.
pub(super) const LATE: Duration = Duration::from_secs(180);

/// For a begin of a token that was released.
pub(super) const RELEASED: StoreError = StoreError::refused("the claim was released before");

#[derive(Default)]
pub(super) struct Released {
    /// Which, and until when it is remembered.
    tokens: HashSet<Token>,
    until: VecDeque<(Instant, Token)>,
}

impl Released {
    /// Remembers `token`, and at most `most` in all: the oldest go first.
    pub(super) fn add(&mut self, token: Token, now: Instant, most: usize) {
        self.forget(now);
        if self.until.len() >= most
            && let Some((_, oldest)) = self.until.pop_front()
        {
            self.tokens.remove(&oldest);
        }
        if self.tokens.insert(token) {
            self.until.push_back((now + LATE, token));
        }
    }

    pub(super) fn has(&self, token: Token) -> bool {
        !self.tokens.is_empty() && self.tokens.contains(&token)
    }

    /// Forgets those whose time is over.
    pub(super) fn forget(&mut self, now: Instant) {
        while self.until.front().is_some_and(|(until, _)| *until <= now)
            && let Some((_, token)) = self.until.pop_front()
        {
            self.tokens.remove(&token);
        }
        if self.until.is_empty() && self.until.capacity() > 0 {
            *self = Self::default();
        }
    }
}
