use super::{Failure, Outcome, Verdict};
use http::StatusCode;

/// Returns what an HTTP status means by itself: see the table in the [module docs](crate::classify). Headers can change it: a
/// 403, 413 or 503 with a hint is an overload, and so is a 409 with `Retry-After` to a keyed call.
pub fn of_status(status: StatusCode) -> Verdict {
    match status.as_u16() {
        100..=199 => Outcome::Ignored.into(),
        200..=399 => Outcome::Success.into(),
        408 | 502..=504 => Failure::Transient.into(),
        425 => Verdict::from(Failure::Transient).only_once(),
        429 => Failure::Overloaded.into(),
        501 => Verdict::new(Outcome::Rejected).neutral_for_health(),
        400..=499 | 505 | 511 => Outcome::Rejected.into(),
        _ => Failure::Fault.into(),
    }
}
