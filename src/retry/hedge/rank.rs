//! Which of two outcomes comes out.

use crate::classify::{Failure, Outcome, Verdict};

/// Returns whether an outcome ends the call although another attempt is at work: no failure, and no refusal of this process. A
/// 404 is as good a response as a 200, and a response that is no evidence about the server is still a response.
pub(super) const fn is_good(verdict: Verdict, is_response: bool) -> bool {
    match verdict.outcome() {
        Outcome::Success | Outcome::Rejected => true,
        Outcome::Ignored => is_response,
        Outcome::Failure(_) | Outcome::Refused => false,
    }
}

/// The order of failures, the one that comes out first; of two that are alike, the later one does.
///
/// An attempt that may have been executed goes before one that was not: the layers above must not take the call for never sent.
const fn rank(verdict: Verdict, is_response: bool) -> (u8, bool, bool) {
    let class = match verdict.outcome() {
        Outcome::Success | Outcome::Rejected => 0,
        Outcome::Failure(Failure::Overloaded) => 1,
        Outcome::Failure(Failure::Transient | Failure::Fault) => 2,
        Outcome::Failure(Failure::Timeout) => 3,
        Outcome::Ignored => 4,
        Outcome::Failure(Failure::NotSent) => 5,
        Outcome::Refused => 6,
    };
    (class, !is_response, verdict.hint().is_none())
}

/// Returns whether the earlier of two failures comes out.
pub(super) fn earlier_is_better(earlier: (Verdict, bool), later: (Verdict, bool)) -> bool {
    rank(earlier.0, earlier.1) < rank(later.0, later.1)
}

#[cfg(test)]
mod tests;
