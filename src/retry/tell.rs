//! What can be seen from outside.

use super::{Attempts, Stop};
use crate::{
    classify::{Outcome, Verdict},
    telemetry::{count, event, names, observe},
};
use std::{sync::Arc, time::Duration};

/// Another attempt is coming, after `made` of them.
pub(super) fn again(name: &Arc<str>, verdict: Verdict, delay: Duration, made: u32) {
    let reason = verdict.outcome().as_str();
    count(names::RETRY_RETRIES, name, ("reason", reason));
    observe(names::RETRY_DELAY, name, delay.as_secs_f64());
    event!(
        INFO,
        "trying again",
        name = &**name,
        reason = reason,
        delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX),
        http.request.resend_count = made,
    );
}

/// The call came to an end.
#[inline]
pub(super) fn finished(name: &Arc<str>, verdict: Verdict, attempts: Attempts) {
    let result = verdict.outcome().as_str();
    count(names::RETRY_CALLS, name, ("result", result));
    observe(names::RETRY_ATTEMPTS, name, f64::from(attempts.made()));
    if !matches!(verdict.outcome(), Outcome::Failure(_) | Outcome::Refused) {
        return;
    }
    let why = attempts.stop().as_str();
    count(names::RETRY_GIVEN_UP, name, ("reason", why));
    // a single failure that is nobody's to repeat is the caller's to tell
    if attempts.made() > 1 || !matches!(attempts.stop(), Stop::Final | Stop::NotSafe | Stop::Nested | Stop::Forbidden) {
        event!(
            WARN,
            "gave up",
            name = &**name,
            reason = why,
            outcome = result,
            http.request.resend_count = attempts.made() - 1,
        );
    }
}

/// The caller dropped the call.
pub(super) fn cancelled(name: &Arc<str>) {
    count(names::RETRY_CALLS, name, ("result", "cancelled"));
}
