use super::Invalid;
use std::fmt;

/// A share between 0 (not included) and 1 (included), kept in whole millionths: comparing is integer
/// arithmetic, so 99 of 200 never rounds up to a half.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "f64", into = "f64"))]
pub struct Ratio(u32);

const WHOLE: u32 = 1_000_000;

impl Ratio {
    /// All of them.
    pub const ALL: Self = Self(WHOLE);
    /// One in two.
    pub const HALF: Self = Self(WHOLE / 2);

    /// `share` in `(0, 1]`; finer than a millionth is rounded to one.
    ///
    /// # Errors
    /// When `share` is not a number, not above 0 or above 1.
    pub fn new(share: f64) -> Result<Self, Invalid> {
        if share > 0.0 && share <= 1.0 {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and a million")]
            let millionths = (share * f64::from(WHOLE)).round() as u32;
            Ok(Self(millionths.max(1)))
        } else {
            Err(Invalid::new("a ratio lies above 0 and is at most 1"))
        }
    }

    /// Whether `part` of `total` is this share or more. Nothing of nothing never is.
    pub const fn reached_by(self, part: u64, total: u64) -> bool {
        total > 0 && part as u128 * WHOLE as u128 >= self.0 as u128 * total as u128
    }

    /// The share as a number between 0 and 1.
    pub fn get(self) -> f64 {
        f64::from(self.0) / f64::from(WHOLE)
    }

    /// The share in exact millionths.
    pub const fn millionths(self) -> u32 {
        self.0
    }
}

impl fmt::Debug for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.get())
    }
}

impl TryFrom<f64> for Ratio {
    type Error = Invalid;
    fn try_from(share: f64) -> Result<Self, Invalid> {
        Self::new(share)
    }
}

impl From<Ratio> for f64 {
    fn from(ratio: Ratio) -> Self {
        ratio.get()
    }
}
