use super::{Classify, Evidence, Outcome, Recorder, Repeatable, Verdict, of_error_with};

/// Judges `Ok` as a success and `Err` by [`of_error`](super::of_error); every request may be repeated and the response is left as
/// it is. For any `Service`, http or not.
///
/// Every error counts: an error that says nothing about the health of the server (a unique violation of a database, a record
/// that was not found) is a [`Failure::Fault`](super::Failure::Fault), and five of them open a circuit for all callers. Use
/// [`ByError`](super::ByError) to name the outcome of such errors.
#[derive(Debug, Clone, Copy, Default)]
pub struct ByResult;

impl<Req, Res, E: 'static> Classify<Req, Res, E> for ByResult {
    type Response = Res;

    fn repeatable(&self, _: &Req) -> Repeatable {
        Repeatable::Yes
    }

    fn head(&self, _: &Res, _: Repeatable) -> Verdict {
        Outcome::Success.into()
    }

    fn error(&self, error: &E, evidence: Evidence) -> Verdict {
        of_error_with(error, evidence)
    }

    fn ends_at_head(&self, _: &Res, _: Verdict) -> bool {
        true
    }

    fn watch(&self, response: Res, head: Verdict, recorder: Recorder) -> Res {
        recorder.record(head);
        response
    }
}
