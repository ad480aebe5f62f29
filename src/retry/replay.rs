use crate::{
    attempt::Attempt,
    body::Caps,
    classify::{ConnectionCapture, Repeatable},
};
use std::time::Duration;

/// How a request is made again. A strategy and not a trait of the request, so that "any `Clone` request" and
/// `http::Request<B>`, which overlap, can each have one.
///
/// [`HttpReplay`](super::HttpReplay) and [`CloneRequest`](super::CloneRequest) are the built-in ones.
///
/// ```
/// use steadfast::{body::Caps, retry::Replay};
///
/// /// Commands of a line protocol; a `BULK` is too long to be kept.
/// struct Lines;
/// impl Replay<String> for Lines {
///     type Handle = String;
///     fn tee(&self, request: String, _: &Caps) -> (String, Option<String>) {
///         let copy = (!request.starts_with("BULK ")).then(|| request.clone());
///         (request, copy)
///     }
///     fn again(&self, copy: &mut String, _last: bool) -> Option<String> {
///         Some(copy.clone())
///     }
/// }
/// assert!(Lines.tee("BULK ..".into(), &Caps::default()).1.is_none());
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot make a `{Req}` again",
    note = "`HttpReplay` repeats http::Request<B> with B: FromReplay and (feature `reqwest`) reqwest::Request; `CloneRequest` repeats any Clone request"
)]
pub trait Replay<Req>: Send + Sync + 'static {
    /// What the call keeps in order to make the next request.
    type Handle;

    /// The request for the first attempt, and the handle for the further ones. Nothing is read ahead. `None`: it cannot be
    /// made again; it is sent all the same, untouched.
    fn tee(&self, request: Req, caps: &Caps) -> (Req, Option<Self::Handle>);

    /// The request for the next attempt; from then on the one before may have lost its body. Called while the response of
    /// that one is still held, so that it can be given back on `None`. `last`: no further one will be asked for.
    fn again(&self, handle: &mut Self::Handle, last: bool) -> Option<Req>;

    /// Whether the whole request went out. Until then the other side may be waiting for the rest of it, so nobody may wait
    /// for the rest of the response.
    fn is_complete(&self, handle: &Self::Handle) -> bool {
        let _ = handle;
        true
    }

    /// Tells a repeated request its attempt, where it has a place for that. Not called for the first attempt: marking costs
    /// allocations, and no mark means the first.
    fn mark(&self, request: &mut Req, attempt: Attempt) {
        let _ = (request, attempt);
    }

    /// Makes anew what belongs to one attempt: a signature, a date, a trace context. Called right before every attempt, the
    /// first one included, with a request that has not seen the attempt before; after [`mark`](Self::mark). 0 as a number:
    /// no layer counts the attempts of this call.
    fn prepare(&self, request: &mut Req, attempt: Attempt) {
        let _ = (request, attempt);
    }

    /// Whether the request itself says that it is not to be repeated.
    fn forbids(&self, request: &Req) -> bool {
        let _ = request;
        false
    }

    /// How many attempts may follow the first, where the request itself says so; else the policy does.
    fn max_retries(&self, request: &Req) -> Option<u32> {
        let _ = request;
        None
    }

    /// Starts to observe whether the client below has a connection for the request. Called once a call, before
    /// [`tee`](Self::tee), and only for a request that is not repeatable by its method: without proof that no connection was
    /// made, an error of such a request does not show that it was never sent.
    fn capture(&self, request: &mut Req, repeatable: Repeatable) -> ConnectionCapture {
        let _ = (request, repeatable);
        ConnectionCapture::unknown()
    }

    /// The time that the request itself sets for the whole call, all attempts included (gRPC: `grpc-timeout`).
    fn call_timeout(&self, request: &Req) -> Option<Duration> {
        let _ = request;
        None
    }
}
