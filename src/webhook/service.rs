use super::{ResponseFuture, VerifyLayer};
use crate::body::{FromReplay, OrBody};
use http::{Request, Response};
use std::{
    fmt, mem,
    task::{Context, Poll},
};
use tower_service::Service;

/// What [`VerifyLayer`] makes; see the [module docs](crate::webhook).
#[derive(Clone)]
pub struct Verify<S> {
    pub(super) inner: S,
    pub(super) layer: VerifyLayer,
}

impl<S, B, RB> Service<Request<B>> for Verify<S>
where
    S: Service<Request<B>, Response = Response<RB>> + Clone,
    B: FromReplay + Send + 'static,
{
    type Response = Response<OrBody<RB>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // the readied one goes with the request; while the body is waited for it is given back
        let clone = self.inner.clone();
        ResponseFuture::new(mem::replace(&mut self.inner, clone), self.layer.clone(), request)
    }
}

impl<S: fmt::Debug> fmt::Debug for Verify<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verify").field("inner", &self.inner).field("layer", &self.layer).finish()
    }
}
