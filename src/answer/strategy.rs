use crate::{error::Refused, timeout::Elapsed};

/// Why a layer says no by itself.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Cause {
    /// Nothing was sent.
    Refused(Refused),
    /// A deadline struck.
    Elapsed(Elapsed),
}

/// How a layer says no by itself: see the [module docs](crate::answer). One trait, so that one `Service` impl and one future
/// per layer serve both modes.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot answer a `{Req}` with a `{Res}`",
    note = "`Respond` needs http::Request in and http::Response out; everywhere else use `Fail`, whose error is BoxError"
)]
pub trait Answer<Req, Res, E>: Send + Sync + 'static {
    /// What of the request shapes the answer, kept until one is needed.
    type Seen;
    /// What the response becomes.
    type Response;
    /// What the error becomes.
    type Error;

    /// Looks at the request before it goes.
    fn see(request: &Req) -> Self::Seen;
    /// The inner service's response.
    fn pass(response: Res) -> Self::Response;
    /// The inner service's error.
    fn fail(error: E) -> Self::Error;
    /// The inner service's error, at or after the deadline. A timeout of the inner service for the same moment is the deadline's.
    /// Default: the error as it is.
    fn fail_late(error: E, elapsed: Elapsed) -> Self::Error {
        let _ = elapsed;
        Self::fail(error)
    }
    /// The layer's own no.
    ///
    /// # Errors
    /// In [`Fail`](super::Fail) mode, always: that is the answer.
    fn answer(seen: &Self::Seen, cause: Cause) -> Result<Self::Response, Self::Error>;
}
