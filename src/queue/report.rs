use super::{Attempted, NeverSent, Undecodable};
use crate::{
    classify::{Failure, MaybeExecuted, Outcome, Reported, Verdict, of_error},
    error::{BoxError, Refused, chain, find},
    timeout::Elapsed,
};
use http::StatusCode;
use std::{convert::Infallible, error::Error};

/// What one attempt at a message came to, in full: the verdict decides what happens, the rest is for the history.
///
/// ```
/// use steadfast::{classify::{Failure, Outcome}, queue::Report};
///
/// let report = Report::new(Failure::Transient).with_error("the table is locked");
/// assert_eq!(report.verdict().outcome(), Outcome::Failure(Failure::Transient));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    verdict: Verdict,
    status: Option<u16>,
    error: String,
    undecodable: bool,
    /// Made of an error of `Deliver`, which sends the request itself: only then does "never sent" speak for the whole attempt.
    delivery: bool,
}

impl Report {
    /// With this verdict (an [`Outcome`], a [`Failure`](crate::classify::Failure) or a whole [`Verdict`]).
    pub fn new(verdict: impl Into<Verdict>) -> Self {
        Self { verdict: verdict.into(), status: None, error: String::new(), undecodable: false, delivery: false }
    }

    /// The message cannot be made into a request: it is dead as `undecodable`.
    pub fn undecodable(error: &(dyn Error + 'static)) -> Self {
        Self { undecodable: true, ..Self::new(Outcome::Rejected).with_error(text(error)) }
    }

    /// Returns what an error means for the message: [`Undecodable`] anywhere in its chain, or the verdict of [`of_error`].
    pub fn of_error(error: &BoxError) -> Self {
        if find::<Undecodable>(&**error).is_some() {
            return Self::undecodable(&**error);
        }
        if let Some(never_sent) = find::<NeverSent>(&**error) {
            return Self { delivery: true, ..Self::new(Failure::NotSent).with_error(text(never_sent)) };
        }
        let status = find::<MaybeExecuted>(&**error).and_then(MaybeExecuted::status);
        Self { status, ..Self::new(of_error(error)).with_error(text(&**error)) }
    }

    /// The same report, unless the message was refused or not sent after an attempt of the same call that may have been executed:
    /// then that attempt counts, with its outcome and its status. `refused_by`: the name of the layer that refused, if known.
    pub(super) fn in_view_of(mut self, reported: &Reported, refused_by: Option<&str>) -> Self {
        let last = match (self.verdict.outcome(), refused_by) {
            (Outcome::Refused, Some(name)) => reported.of(name),
            (Outcome::Refused | Outcome::Failure(Failure::NotSent), _) => reported.any(),
            _ => None,
        };
        if let Some(last) = last {
            self.verdict = last.outcome.into();
            self.status = last.status;
            self.error = Attempted::shortened(format!("{last}; then {}", self.error));
        }
        self
    }

    /// The report that a worker acts on. "Never sent" is a statement about one client call. Only [`Deliver`](super::Deliver)
    /// makes no other call: any other service may have had an effect before the call that failed, so the attempt counts.
    pub(super) fn acted_on(mut self) -> Self {
        if !self.delivery && self.verdict.outcome() == Outcome::Failure(Failure::NotSent) {
            self.verdict = Verdict::from(Failure::Transient).with_hint(self.verdict.hint());
        }
        self
    }

    /// The status that the other side answered.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = Some(status.as_u16());
        self
    }

    /// What went wrong, of which [`Attempted::ERROR`] bytes are kept.
    #[must_use]
    pub fn with_error(mut self, error: impl Into<String>) -> Self {
        self.error = Attempted::shortened(error.into());
        self
    }

    /// What the attempt came to.
    pub const fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// The status that the other side answered.
    pub const fn status(&self) -> Option<u16> {
        self.status
    }

    /// What went wrong; empty where nothing did.
    pub fn error(&self) -> &str {
        &self.error
    }

    /// Whether the message cannot be made into a request.
    pub const fn is_undecodable(&self) -> bool {
        self.undecodable
    }
}

/// An error with its causes, `a: b: c`; a cause that its effect quotes already is not said twice.
fn text(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    let mut above = None;
    for error in chain(error) {
        let repeats = above.is_some_and(|above| repeats(above, error));
        above = Some(error);
        if repeats {
            continue;
        }
        let cause = error.to_string();
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        if text.len() > Attempted::ERROR {
            break;
        }
    }
    text
}

/// Whether `error` is there only to be found where a wrapper hides `above`: this crate's errors have a copy of themselves as source.
fn repeats(above: &(dyn Error + 'static), error: &(dyn Error + 'static)) -> bool {
    (above.is::<Refused>() && error.is::<Refused>())
        || (above.is::<Elapsed>() && error.is::<Elapsed>())
        || (above.is::<Undecodable>() && error.is::<Undecodable>())
}

/// What the service of a [`Worker`](super::Worker) may answer.
#[diagnostic::on_unimplemented(
    message = "a worker cannot tell what `{Self}` means for the message",
    note = "answer `()`, an `Outcome`, a `Verdict` or a `Report`; a client's responses are understood by `Deliver`"
)]
pub trait IntoReport {
    /// What the attempt came to.
    fn into_report(self) -> Report;
}

/// Done: a plain function that did not fail.
impl IntoReport for () {
    fn into_report(self) -> Report {
        Report::new(Outcome::Success)
    }
}

impl IntoReport for Outcome {
    fn into_report(self) -> Report {
        Report::new(self)
    }
}

impl IntoReport for Verdict {
    fn into_report(self) -> Report {
        Report::new(self)
    }
}

impl IntoReport for Report {
    fn into_report(self) -> Report {
        self
    }
}

impl IntoReport for Infallible {
    fn into_report(self) -> Report {
        match self {}
    }
}
