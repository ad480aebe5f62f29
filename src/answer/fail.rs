use super::{Answer, Cause};
use crate::{
    classify::{Failure, Outcome, of_error},
    error::{BoxError, find},
    timeout::Elapsed,
};

/// Clients: the response type is untouched and the layer's own no is an error.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fail;

// No `Send`, no `'static` on the types: reqwest's connector layer passes some that nobody can name.
impl<Req, Res, E: Into<BoxError>> Answer<Req, Res, E> for Fail {
    type Seen = ();
    type Response = Res;
    type Error = BoxError;

    fn see(_: &Req) {}

    fn pass(response: Res) -> Res {
        response
    }

    fn fail(error: E) -> BoxError {
        error.into()
    }

    fn fail_late(error: E, elapsed: Elapsed) -> BoxError {
        let error = error.into();
        let timeout = of_error(&error).outcome() == Outcome::Failure(Failure::Timeout);
        if timeout && find::<Elapsed>(&*error).is_none() { elapsed.into() } else { error }
    }

    fn answer((): &(), cause: Cause) -> Result<Res, BoxError> {
        Err(match cause {
            Cause::Refused(refused) => refused.into(),
            Cause::Elapsed(elapsed) => elapsed.into(),
        })
    }
}
