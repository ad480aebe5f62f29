//! What can be seen from outside.

use crate::telemetry::{count, event, names};
use std::{sync::Arc, time::Duration};

/// The second attempt begins, `number` by the count of the call, after `delay` without a good answer.
pub(super) fn begins(name: &Arc<str>, delay: Duration, number: u32) {
    event!(
        INFO,
        "hedging",
        name = &**name,
        delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX),
        http.request.resend_count = number - 1,
    );
}

/// What came of the second attempt.
pub(super) fn ended(name: &Arc<str>, result: &'static str) {
    count(names::HEDGE_ATTEMPTS, name, ("result", result));
}

/// It was time for a second attempt, and there was none.
pub(super) fn withheld(name: &Arc<str>, reason: &'static str) {
    count(names::HEDGE_WITHHELD, name, ("reason", reason));
}
