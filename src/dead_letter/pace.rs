use crate::setting::Invalid;
use std::time::Duration;
use tokio::time::Instant;

/// So many a second, evenly spread. Pure.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    per_second: f64,
}

impl Pace {
    /// # Errors
    /// When `per_second` is not above zero, or is no number.
    pub(super) fn new(per_second: f64) -> Result<Self, Invalid> {
        if per_second > 0.0 && per_second.is_finite() {
            Ok(Self { per_second })
        } else {
            Err(Invalid::new("a rate is a number above 0"))
        }
    }

    /// When the next one may go, after `gone` of them: the first at once.
    pub(super) fn due(self, begun: Instant, gone: usize) -> Instant {
        #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
        let after = Duration::try_from_secs_f64(gone as f64 / self.per_second).unwrap_or(Duration::MAX);
        begun.checked_add(after).unwrap_or_else(|| crate::attempt::deadline_after(Duration::MAX))
    }

    /// How many may have gone after `elapsed`.
    pub(super) fn allowed(self, elapsed: Duration) -> usize {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative, and saturates")]
        let gone = (elapsed.as_secs_f64() * self.per_second) as usize;
        gone.saturating_add(1)
    }
}
