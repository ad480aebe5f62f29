use super::{Classify, Outcome, Recorder, Repeatable, Verdict, of_error};

/// `Ok` is a success and `Err` is judged by [`of_error`]; every request may be repeated and the response is left as it is.
/// For any `Service`, http or not.
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

    fn error(&self, error: &E) -> Verdict {
        of_error(error)
    }

    fn ends_at_head(&self, _: &Res, _: Verdict) -> bool {
        true
    }

    fn watch(&self, response: Res, head: Verdict, recorder: Recorder) -> Res {
        recorder.record(head);
        response
    }
}
