use super::{Answer, Cause};
use crate::error::BoxError;

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

    fn answer((): &(), cause: Cause) -> Result<Res, BoxError> {
        Err(match cause {
            Cause::Refused(refused) => refused.into(),
            Cause::Elapsed(elapsed) => elapsed.into(),
        })
    }
}
