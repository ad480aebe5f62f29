use std::{error::Error, fmt};

/// Why a delivery was not taken for genuine. It is told to the sender in these words, so none of them says more than the
/// sender knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unverified {
    /// A header that the scheme needs is not there.
    Missing,
    /// A header is not of the scheme's form.
    Malformed,
    /// No secret gives this signature over these bytes.
    Mismatch,
    /// Its timestamp lies too far from now.
    OutOfTime,
}

impl Unverified {
    /// The word for it, as metrics have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::Mismatch => "mismatch",
            Self::OutOfTime => "out_of_time",
        }
    }
}

impl fmt::Display for Unverified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "the signature is missing",
            Self::Malformed => "the signature is malformed",
            Self::Mismatch => "the signature does not match",
            Self::OutOfTime => "the timestamp is too far from now",
        })
    }
}

impl Error for Unverified {}
