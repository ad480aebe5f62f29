//! From what an attempt came to, to what the store is told. Pure.

use crate::{
    backoff::Hint,
    classify::{Failure, Outcome},
    queue::{Attempted, Reason, Report, Settle, config::Config},
};
use std::time::Duration;

/// Waits are no longer, so that no store has to add more to its clock than it can: by then any message is too old.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);
/// Those who were told the same moment do not all come at it.
const SPREAD: Duration = Duration::from_secs(1);

/// A delivery that was never sent costs no attempt, so its waits have a floor: a schedule without one would be a hot loop.
const NEVER_SENT: Duration = Duration::from_secs(1);

/// The longest wait of a message that is refused without a hint: longer, and it would come late when the refusals end.
const REFUSED: Duration = Duration::from_secs(600);

/// `not_sent`, `refused`: how many deliveries of the message were never sent, and how many were refused, before this one.
pub(super) fn judge(
    report: &Report,
    (not_sent, refused): (u32, u32),
    attempted: Attempted,
    config: &Config,
    random: &mut fastrand::Rng,
) -> Settle {
    let hint = report.verdict().hint();
    match report.verdict().outcome() {
        Outcome::Success => Settle::Done,
        Outcome::Rejected if report.is_undecodable() => Settle::Dead { reason: Reason::Undecodable, attempted },
        Outcome::Rejected => Settle::Dead { reason: Reason::Rejected, attempted },
        Outcome::Failure(Failure::NotSent) => {
            let own = config.backoff.delay(not_sent.saturating_add(1), Duration::ZERO, random);
            Settle::Park { after: own.clamp(NEVER_SENT, LONGEST), attempted }
        }
        // the other side forbids another attempt, and does not say that nothing was done
        Outcome::Failure(_) if hint == Some(Hint::Never) => Settle::Dead { reason: Reason::Exhausted, attempted },
        outcome @ (Outcome::Failure(Failure::Overloaded) | Outcome::Refused) => {
            let after = hinted(hint, random).unwrap_or_else(|| {
                let wait = unhinted(config.park_for, random);
                if outcome != Outcome::Refused {
                    return wait;
                }
                wait.max(config.backoff.delay(refused.saturating_add(1), Duration::ZERO, random).min(REFUSED))
            });
            Settle::Park { after, attempted }
        }
        Outcome::Ignored => Settle::Park { after: unhinted(config.park_for, random), attempted },
        Outcome::Failure(_) if attempted.attempt >= config.max_attempts => {
            Settle::Dead { reason: Reason::Exhausted, attempted }
        }
        Outcome::Failure(_) => {
            let own = config.backoff.delay(attempted.attempt, Duration::ZERO, random);
            let after = match hint {
                Some(Hint::Exactly(after)) => after,
                _ => own.max(hinted(hint, random).unwrap_or_default()),
            };
            Settle::Retry { after: after.min(LONGEST), attempted }
        }
    }
}

/// What was asked for, in full.
fn hinted(hint: Option<Hint>, random: &mut fastrand::Rng) -> Option<Duration> {
    let after = match hint? {
        Hint::Exactly(after) => after,
        other => {
            let after = other.after()?;
            after.saturating_add((after / 10).min(SPREAD).mul_f64(random.f64()))
        }
    };
    Some(after.min(LONGEST))
}

/// Between half of it and all of it.
fn unhinted(wait: Duration, random: &mut fastrand::Rng) -> Duration {
    let wait = wait.min(LONGEST);
    wait / 2 + (wait / 2).mul_f64(random.f64())
}
