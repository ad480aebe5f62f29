use crate::classify::{Classify, Evidence, Origin, Recorder, Repeatable, Verdict};
use http::StatusCode;
use std::{fmt, sync::Arc};

/// A classifier with another key; made by [`CircuitBreakerLayer::keyed_by`](super::CircuitBreakerLayer::keyed_by).
pub struct KeyedBy<C, F> {
    classify: Arc<C>,
    key: F,
}

impl<C, F> KeyedBy<C, F> {
    pub(super) const fn new(classify: Arc<C>, key: F) -> Self {
        Self { classify, key }
    }
}

impl<C, F, Req, Res, E> Classify<Req, Res, E> for KeyedBy<C, F>
where
    C: Classify<Req, Res, E>,
    F: for<'a> Fn(&'a Req) -> Option<&'a str> + Send + Sync + 'static,
{
    type Response = C::Response;

    fn origin<'a>(&self, request: &'a Req) -> Option<Origin<'a>> {
        (self.key)(request).map(Origin::key)
    }

    fn asked<'a>(&self, request: &'a Req) -> Option<Origin<'a>> {
        self.classify.asked(request)
    }

    fn answered_by<'a>(&self, response: &'a Res) -> Option<Origin<'a>> {
        self.classify.answered_by(response)
    }

    fn repeatable(&self, request: &Req) -> Repeatable {
        self.classify.repeatable(request)
    }

    fn head(&self, response: &Res, repeatable: Repeatable) -> Verdict {
        self.classify.head(response, repeatable)
    }

    fn error(&self, error: &E, evidence: Evidence) -> Verdict {
        self.classify.error(error, evidence)
    }

    fn status(&self, response: &Res) -> Option<StatusCode> {
        self.classify.status(response)
    }

    fn headers<'a>(&self, response: &'a Res) -> Option<&'a http::HeaderMap> {
        self.classify.headers(response)
    }

    fn extensions_mut<'a>(&self, response: &'a mut Res) -> Option<&'a mut http::Extensions> {
        self.classify.extensions_mut(response)
    }

    fn ends_at_head(&self, response: &Res, head: Verdict) -> bool {
        self.classify.ends_at_head(response, head)
    }

    fn watch(&self, response: Res, head: Verdict, recorder: Recorder) -> Self::Response {
        self.classify.watch(response, head, recorder)
    }
}

impl<C: fmt::Debug, F> fmt::Debug for KeyedBy<C, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedBy").field("classify", &self.classify).finish_non_exhaustive()
    }
}
