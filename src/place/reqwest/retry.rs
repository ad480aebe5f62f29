use super::map_body;
use crate::{
    body::{Caps, Prefetch},
    classify::Verdict,
    retry::{BodyCopy, HttpReplay, ReadAhead, Replay, Settle},
};
use http::Extensions;
use reqwest::{Body, Request, Response};
use std::{
    fmt,
    task::{Context, Poll},
};

/// A reqwest request to be sent again.
// Its head goes by `try_clone`, which keeps the timeout and the private extensions.
pub struct ReqwestHandle {
    head: Option<Request>,
    /// `None`: the head has the whole body.
    body: Option<BodyCopy<Body>>,
}

// Without the request: its URL, headers and body may be secret.
impl fmt::Debug for ReqwestHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReqwestHandle").field("head", &self.head.is_some()).field("body", &self.body).finish()
    }
}

impl Replay<Request> for HttpReplay {
    type Handle = ReqwestHandle;

    fn tee(&self, mut request: Request, caps: &Caps) -> (Request, Option<ReqwestHandle>) {
        if let Some(copy) = request.try_clone() {
            return (request, Some(ReqwestHandle { head: Some(copy), body: None }));
        }
        // it has a body, or it would have been cloned; and without that it can be
        let Some(body) = request.body_mut().take() else { return (request, None) };
        let Some(head) = request.try_clone() else {
            *request.body_mut() = Some(body);
            return (request, None);
        };
        let (live, copy) = BodyCopy::tee(body, caps);
        *request.body_mut() = Some(live);
        (request, Some(ReqwestHandle { head: Some(head), body: Some(copy) }))
    }

    fn again(&self, handle: &mut ReqwestHandle, last: bool) -> Option<Request> {
        let body = match &mut handle.body {
            Some(copy) => Some(copy.again(last)?),
            None => None,
        };
        let mut request = if last { handle.head.take()? } else { handle.head.as_ref()?.try_clone()? };
        if let Some(body) = body {
            *request.body_mut() = Some(body);
        }
        Some(request)
    }

    fn is_complete(&self, handle: &ReqwestHandle) -> bool {
        handle.body.as_ref().is_none_or(BodyCopy::is_complete)
    }
}

impl Settle<Response> for ReadAhead {
    /// The head, as a response with an empty body; and the body.
    type Held = (Response, Prefetch<Body>);
    type Response = Response;

    fn hold(&self, response: Response) -> Self::Held {
        let mut taken = Body::default();
        let head = map_body(response, |body| std::mem::replace(&mut taken, body));
        (head, Prefetch::new(taken))
    }

    fn poll_settle(&self, (head, body): &mut Self::Held, cx: &mut Context<'_>) -> Poll<Option<Verdict>> {
        self.poll(head.headers(), body, cx)
    }

    fn release(&self, (head, body): Self::Held) -> Response {
        map_body(head, |_| Body::wrap(body))
    }

    fn extensions_mut<'a>(
        &self,
        (head, _): &'a mut Self::Held,
        _: impl FnOnce(&'a mut Response) -> Option<&'a mut Extensions>,
    ) -> Option<&'a mut Extensions> {
        Some(head.extensions_mut())
    }
}
