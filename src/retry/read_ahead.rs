use super::Settle;
use crate::{
    body::{Prefetch, Seen},
    classify::{Failure, GrpcFormat, Verdict, grpc_status},
};
use bytes::Bytes;
use http::{Extensions, HeaderMap, Response};
use http_body::Body;
use std::task::{Context, Poll, ready};

/// Reads a response whose head was a success until it ends or `limit` bytes are here, and decides then: so a response that
/// breaks off before that, or ends in trailers that say otherwise, can be repeated.
///
/// With a limit of 0 it waits for the first frame only: enough to see a gRPC answer whose status comes in trailers without a
/// message before. The status of gRPC-Web is found if its frame is in what was read. It delays the head by what it reads, so it is not for server streaming; and an attempt timeout below, which
/// ends with the head, does not bound it: the total deadline does. Nothing is read while the request still streams,
/// since the other side may be waiting for the rest of it, and nothing where the request cannot be made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadAhead {
    limit: usize,
}

impl ReadAhead {
    pub(super) const fn new(limit: usize) -> Self {
        Self { limit }
    }

    /// Bytes that are held at least before the response is given out as it is.
    pub const fn limit(self) -> usize {
        self.limit
    }

    /// Reads on. `headers`: those of the response's head.
    pub(crate) fn poll<B: Body<Data = Bytes> + Unpin>(
        self,
        headers: &HeaderMap,
        body: &mut Prefetch<B>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Verdict>> {
        loop {
            let verdict = match ready!(body.poll_ahead(cx)) {
                Seen::Data { ahead } if ahead < self.limit => continue,
                Seen::Trailers(trailers) => grpc_status(trailers),
                Seen::Failed => Some(Failure::Transient.into()),
                found @ (Seen::Data { .. } | Seen::End) => {
                    let ended = matches!(found, Seen::End);
                    match GrpcFormat::of_awaited(headers) {
                        // a gRPC response that ends without a status broke off
                        Some(GrpcFormat::Grpc) => ended.then(|| Failure::Fault.into()),
                        Some(web) => body.grpc_web_status(web == GrpcFormat::WebText),
                        None => None,
                    }
                }
            };
            return Poll::Ready(verdict);
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Settle<Response<B>> for ReadAhead {
    type Held = Response<Prefetch<B>>;
    type Response = Response<Prefetch<B>>;

    fn hold(&self, response: Response<B>) -> Self::Held {
        response.map(Prefetch::new)
    }

    fn poll_settle(&self, held: &mut Self::Held, cx: &mut Context<'_>) -> Poll<Option<Verdict>> {
        // both parts of it at once: the head only has to be read
        let headers = std::mem::take(held.headers_mut());
        let polled = self.poll(&headers, held.body_mut(), cx);
        *held.headers_mut() = headers;
        polled
    }

    fn release(&self, held: Self::Held) -> Self::Response {
        held
    }

    fn extensions_mut<'a>(
        &self,
        held: &'a mut Self::Held,
        _: impl FnOnce(&'a mut Response<B>) -> Option<&'a mut Extensions>,
    ) -> Option<&'a mut Extensions>
    where
        B: 'a,
    {
        Some(held.extensions_mut())
    }
}
