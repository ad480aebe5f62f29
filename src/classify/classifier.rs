use super::{Evidence, Origin, Recorder, Verdict};
use http::StatusCode;

/// Whether a request may be sent a second time, and why.
///
/// Put into an `http::Request`'s extensions it is the word of the request's owner, and goes before what [`Http`](super::Http)
/// would find.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Repeatable {
    /// Doing it twice may do it twice.
    No,
    /// Doing it twice is doing it once: an idempotent method (RFC 9110, 9.2.2), or its owner says so.
    Yes,
    /// The other side tells by an `Idempotency-Key` that it is the same.
    Keyed,
}

impl Repeatable {
    /// Whether it may be sent again after it may have been received.
    pub const fn may_repeat(self) -> bool {
        !matches!(self, Self::No)
    }
}

/// Says what requests, responses and errors mean, and how the end of a response is seen.
///
/// The request, response and error types are parameters of this trait and never of a layer: so one classifier, and one layer,
/// serves several request types. [`Http`](super::Http) knows `http::Request` to `http::Response` and, with the feature
/// `reqwest`, reqwest's own pair; [`ByResult`](super::ByResult) fits any service.
///
/// ```
/// use steadfast::classify::{Classify, Evidence, Failure, Outcome, Recorder, Repeatable, Verdict, of_error_with};
///
/// /// A line protocol whose answers begin with a digit.
/// struct Lines;
/// impl<E: 'static> Classify<String, String, E> for Lines {
///     type Response = String;
///     fn repeatable(&self, request: &String) -> Repeatable {
///         if request.starts_with("GET ") { Repeatable::Yes } else { Repeatable::No }
///     }
///     fn head(&self, response: &String, _: Repeatable) -> Verdict {
///         match response.as_bytes().first() {
///             Some(b'2') => Outcome::Success.into(),
///             Some(b'4') => Failure::Transient.into(),
///             _ => Outcome::Rejected.into(),
///         }
///     }
///     fn error(&self, error: &E, evidence: Evidence) -> Verdict {
///         of_error_with(error, evidence)
///     }
///     fn watch(&self, response: String, head: Verdict, recorder: Recorder) -> String {
///         recorder.record(head); // the whole answer is here
///         response
///     }
/// }
/// let verdict = Classify::<String, String, std::io::Error>::head(&Lines, &"200 ok".into(), Repeatable::No);
/// assert_eq!(verdict.outcome(), Outcome::Success);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot judge a `{Res}` (error `{E}`) that answers a `{Req}`",
    note = "`Http` judges http::Request -> http::Response and (feature `reqwest`) reqwest::Request -> reqwest::Response; for any other service use `ByResult`, or implement `Classify`"
)]
pub trait Classify<Req, Res, E>: Send + Sync + 'static {
    /// What the response becomes when its end is watched.
    type Response;

    /// Returns the origin that the request is for, or a [key](Origin::key) in its place: circuits and budgets are kept by it.
    /// `None` (the default): the one circuit or budget for requests without an origin.
    fn origin<'a>(&self, request: &'a Req) -> Option<Origin<'a>> {
        let _ = request;
        None
    }

    /// Returns the origin that the request is sent to, where the client below may follow a redirect to another one by itself.
    /// `None` (the default): it does not, or it is not known, and [`answered_by`](Self::answered_by) is not asked.
    ///
    /// It is not [`origin`](Self::origin), which may be a key.
    fn asked<'a>(&self, request: &'a Req) -> Option<Origin<'a>> {
        let _ = request;
        None
    }

    /// Returns the origin that sent the response. Where it is not the one that was [`asked`](Self::asked), that one answered with
    /// a redirect, and a circuit takes this for a success, whatever became of the rest. `None` (the default): it is not known.
    fn answered_by<'a>(&self, response: &'a Res) -> Option<Origin<'a>> {
        let _ = response;
        None
    }

    /// Whether the request may be sent a second time.
    fn repeatable(&self, request: &Req) -> Repeatable;

    /// What the response says before its body is read. `repeatable`: what [`repeatable`](Self::repeatable) said of the request.
    fn head(&self, response: &Res, repeatable: Repeatable) -> Verdict;

    /// Judges an error. `evidence`: what the layer that asks knows of the attempt. Without proof in it, no error of a request that
    /// is not repeatable is [`Failure::NotSent`](super::Failure::NotSent) or [`Outcome::Refused`](super::Outcome::Refused):
    /// [`of_error_with`](super::of_error_with) keeps to that.
    fn error(&self, error: &E, evidence: Evidence) -> Verdict;

    /// Returns the status of a response, where responses have one: it is kept with the outcome of an attempt.
    fn status(&self, response: &Res) -> Option<StatusCode> {
        let _ = response;
        None
    }

    /// The response's headers, where it has some: there the other side may say that it has repeated the call already.
    /// `None`: it has none.
    fn headers<'a>(&self, response: &'a Res) -> Option<&'a http::HeaderMap> {
        let _ = response;
        None
    }

    /// The response's extensions, where it has some: there a layer says what it did. `None`: it has none.
    fn extensions_mut<'a>(&self, response: &'a mut Res) -> Option<&'a mut http::Extensions> {
        let _ = response;
        None
    }

    /// Whether what [`head`](Self::head) said (`head`) is the last word: nothing is still to come that could change it. A layer may
    /// then take that word at once, and have [`watch`](Self::watch) tell nobody. `false`: `watch` finds out.
    fn ends_at_head(&self, response: &Res, head: Verdict) -> bool {
        let _ = (response, head);
        false
    }

    /// The response, with `recorder` told at its end: end of body, trailers, error, or drop. `head`: what
    /// [`head`](Self::head) said of it.
    fn watch(&self, response: Res, head: Verdict, recorder: Recorder) -> Self::Response;
}
