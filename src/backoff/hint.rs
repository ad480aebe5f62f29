use std::time::Duration;

/// What the other side said about when to come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hint {
    /// Not before this long from now: a floor, which jitter may lift and nothing may shorten.
    AtLeast(Duration),
    /// After exactly this long (gRPC pushback).
    Exactly(Duration),
    /// Not at all.
    Never,
}

impl Hint {
    /// How long to wait, where it may be tried again at all.
    pub const fn after(self) -> Option<Duration> {
        match self {
            Self::AtLeast(after) | Self::Exactly(after) => Some(after),
            Self::Never => None,
        }
    }
}
