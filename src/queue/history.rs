use std::{
    fmt,
    time::{Duration, SystemTime},
};

/// What one attempt at a message came to, as its history keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Attempted {
    /// Which attempt.
    pub attempt: u32,
    /// When it ended, by the store's clock (a store fills it in).
    pub at: SystemTime,
    /// How long it took.
    pub duration: Duration,
    /// The name of the outcome ([`Outcome::as_str`](crate::classify::Outcome::as_str)), `"crashed"` for a lease that lapsed,
    /// or `"redriven"` and `"purged"` for what a person did.
    pub outcome: String,
    /// The status that the other side answered.
    pub status: Option<u16>,
    /// What went wrong, at most [`Attempted::ERROR`] bytes; for what a person did: who.
    pub error: String,
}

impl Attempted {
    /// Bytes of an error that are kept.
    pub const ERROR: usize = 1024;
    /// Entries of a message's history that are kept: the newest.
    pub const KEPT: usize = 32;

    /// An error no longer than is kept, cut at a character.
    pub fn shortened(mut error: String) -> String {
        // (`str::floor_char_boundary` is newer than the oldest compiler that this crate builds with)
        let cut = (0..=error.len().min(Self::ERROR)).rev().find(|at| error.is_char_boundary(*at));
        error.truncate(cut.unwrap_or(0));
        // a store in memory keeps it for as long as the message
        error.shrink_to_fit();
        error
    }
}

/// Why a message is dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Reason {
    /// As many attempts as it may have came to nothing: whether one of them was carried out is unknown.
    Exhausted,
    /// The other side said no, for certain.
    Rejected,
    /// Its attempts ended with their process.
    Crashed,
    /// It became too old.
    Expired,
    /// It cannot be made into a request.
    Undecodable,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Exhausted, Self::Rejected, Self::Crashed, Self::Expired, Self::Undecodable];

    /// The word for it, as stores and metrics have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exhausted => "exhausted",
            Self::Rejected => "rejected",
            Self::Crashed => "crashed",
            Self::Expired => "expired",
            Self::Undecodable => "undecodable",
        }
    }

    /// From the word for it.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == word)
    }

    /// Whether it is certain that nothing was done, so that a redrive is a new call and not the same one again.
    pub const fn is_certain(self) -> bool {
        matches!(self, Self::Rejected | Self::Undecodable)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
