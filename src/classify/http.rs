use super::{
    Classify, Evidence, Failure, Origin, Outcome, Recorder, Repeatable, Verdict, grpc_status, hint, of_error_with,
    of_status,
};
use crate::{
    backoff::Hint,
    body::Watch,
    error::Refused,
    time::{Clock, SystemClock},
};
use http::{Extensions, HeaderMap, HeaderName, Method, Request, Response, StatusCode, header};
use http_body::Body;
use std::sync::Arc;

/// Judges HTTP and gRPC: see the tables in the [module docs](crate::classify).
///
/// `http::Response<B>` becomes `Response<Watch<B>>` where its end is watched; reqwest's responses keep their type.
#[derive(Debug, Clone, Default)]
pub struct Http {
    clock: Option<Arc<dyn Clock>>,
    grpc: Option<Arc<[Box<str>]>>,
    no_redirects: bool,
}

/// The header by which a server knows that a request is the same one again.
static IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// By which a server says that an answer is the one it has kept under the key: no repeat changes it.
static REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

impl Http {
    /// No gRPC method is repeatable, and dates are read against the system clock where an answer has no `Date`.
    pub const fn new() -> Self {
        Self { clock: None, grpc: None, no_redirects: false }
    }

    /// The clock against which dates are read where an answer has no `Date` of its own.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// These gRPC methods, by path (`"/package.Service/Method"`), may be repeated: gRPC is POST, so nothing else tells.
    #[must_use]
    pub fn with_repeatable_grpc<P: Into<Box<str>>>(mut self, paths: impl IntoIterator<Item = P>) -> Self {
        self.grpc = Some(paths.into_iter().map(Into::into).collect());
        self
    }

    /// States that the client below follows no redirects (reqwest: `redirect::Policy::none()`; no `FollowRedirect` layer below).
    ///
    /// A connect error, a stream that the server refused and a refusal of this process then prove that the request was never
    /// sent, also for a request that is not repeatable. Without this statement reqwest's errors prove nothing, since reqwest
    /// reports neither the hop that failed nor its connections; for hyper-util's client the retry layer finds out whether there
    /// was a connection (feature `hyper`).
    #[must_use]
    pub const fn without_redirects(mut self) -> Self {
        self.no_redirects = true;
        self
    }

    pub(crate) fn judge_error<E: 'static>(&self, error: &E, evidence: Evidence) -> Verdict {
        of_error_with(error, if self.no_redirects { evidence.without_redirects() } else { evidence })
    }

    pub(crate) fn judge_request(&self, method: &Method, path: &str, headers: &HeaderMap) -> Repeatable {
        // a key adds nothing to a safe method, and servers ignore it there
        if !method.is_safe() && has_key(headers) {
            Repeatable::Keyed
        } else if headers.contains_key(header::UPGRADE) {
            Repeatable::No
        } else if method.is_idempotent() {
            Repeatable::Yes
        } else {
            let named = |paths: &Arc<[Box<str>]>| paths.iter().any(|p| **p == *path);
            if self.grpc.as_ref().is_some_and(named) { Repeatable::Yes } else { Repeatable::No }
        }
    }

    pub(crate) fn judge_head(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        extensions: &Extensions,
        repeatable: Repeatable,
    ) -> Verdict {
        if let Some(refused) = extensions.get::<Refused>() {
            return Verdict::refused(refused.retry_after());
        }
        let verdict = grpc_status(headers).unwrap_or_else(|| self.judge_status(status, headers, repeatable));
        let is_kept = || repeatable == Repeatable::Keyed && headers.get(&REPLAYED).is_some_and(|value| value == "true");
        match verdict.outcome() {
            // of long ago it may be, so it says nothing of how the other side is now
            Outcome::Failure(_) if is_kept() => verdict.with_hint(Some(Hint::Never)).neutral_for_health(),
            _ => verdict,
        }
    }

    fn judge_status(&self, status: StatusCode, headers: &HeaderMap, repeatable: Repeatable) -> Verdict {
        let verdict = of_status(status);
        match (verdict.outcome(), status) {
            // the request that has the key is still being executed: that is no sign of overload for any other
            (_, StatusCode::CONFLICT)
                if repeatable == Repeatable::Keyed && headers.contains_key(header::RETRY_AFTER) =>
            {
                Verdict::from(Failure::Overloaded).with_hint(self.hint(headers)).neutral_for_health()
            }
            (_, StatusCode::SERVICE_UNAVAILABLE | StatusCode::FORBIDDEN | StatusCode::PAYLOAD_TOO_LARGE) => {
                match self.hint(headers) {
                    None => verdict,
                    hint => Verdict::from(Failure::Overloaded).with_hint(hint),
                }
            }
            (Outcome::Failure(_), _) => verdict.with_hint(self.hint(headers)),
            _ => verdict,
        }
    }

    fn hint(&self, headers: &HeaderMap) -> Option<Hint> {
        hint::of_headers(headers, self.clock.as_deref().unwrap_or(&SystemClock))
    }
}

/// Whether there is an `Idempotency-Key` with a value: an empty one, quoted or not, identifies no request.
fn has_key(headers: &HeaderMap) -> bool {
    headers.get(&IDEMPOTENCY_KEY).is_some_and(|key| !matches!(key.as_bytes().trim_ascii(), b"" | b"\"\""))
}

impl<A, B: Body, E: 'static> Classify<Request<A>, Response<B>, E> for Http {
    type Response = Response<Watch<B>>;

    fn origin<'a>(&self, request: &'a Request<A>) -> Option<Origin<'a>> {
        Origin::of_uri(request.uri())
    }

    fn repeatable(&self, request: &Request<A>) -> Repeatable {
        let said = request.extensions().get::<Repeatable>().copied();
        said.unwrap_or_else(|| self.judge_request(request.method(), request.uri().path(), request.headers()))
    }

    fn head(&self, response: &Response<B>, repeatable: Repeatable) -> Verdict {
        self.judge_head(response.status(), response.headers(), response.extensions(), repeatable)
    }

    fn error(&self, error: &E, evidence: Evidence) -> Verdict {
        self.judge_error(error, evidence)
    }

    fn status(&self, response: &Response<B>) -> Option<StatusCode> {
        Some(response.status())
    }

    fn headers<'a>(&self, response: &'a Response<B>) -> Option<&'a HeaderMap> {
        Some(response.headers())
    }

    fn extensions_mut<'a>(&self, response: &'a mut Response<B>) -> Option<&'a mut Extensions> {
        Some(response.extensions_mut())
    }

    fn ends_at_head(&self, response: &Response<B>, head: Verdict) -> bool {
        head.outcome() != Outcome::Success || Watch::ends_at_head(response.headers(), response.body())
    }

    fn watch(&self, response: Response<B>, head: Verdict, recorder: Recorder) -> Self::Response {
        let (parts, body) = response.into_parts();
        let body = Watch::new(body, &parts.headers, head, recorder);
        Response::from_parts(parts, body)
    }
}
