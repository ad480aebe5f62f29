use super::{Failure, Outcome, Verdict};
use http::StatusCode;

/// What an HTTP status means by itself: see the table in the [module docs](crate::classify). Headers can say more: a hint
/// makes a 503 an `Overloaded`, and a 409 to a keyed call too.
pub fn of_status(status: StatusCode) -> Verdict {
    match status.as_u16() {
        200..=299 | 304 => Outcome::Success.into(),
        100..=199 | 300..=399 => Outcome::Ignored.into(),
        408 | 502..=504 => Failure::Transient.into(),
        425 => Verdict::from(Failure::Transient).only_once(),
        429 => Failure::Overloaded.into(),
        501 => Verdict::new(Outcome::Rejected).neutral_for_health(),
        400..=499 | 505 | 511 => Outcome::Rejected.into(),
        _ => Failure::Fault.into(),
    }
}
