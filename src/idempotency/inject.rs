use super::IdempotencyKey;
use http::{HeaderMap, HeaderValue, Method, Request};
use std::task::{Context, Poll};
use tower_layer::Layer;
use tower_service::Service;

/// Gives every unsafe request of a client an idempotency key; see the [module docs](crate::idempotency#clients).
///
/// ```
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use steadfast::idempotency::{IdempotencyKey, IdempotencyKeyLayer};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// let client = ServiceBuilder::new()
///     .layer(IdempotencyKeyLayer::new()) // outside of retry: all attempts carry one key
///     .service(service_fn(|request: Request<Full<Bytes>>| async move {
///         Ok::<_, std::convert::Infallible>(Response::new(request.headers().contains_key(IdempotencyKey::HEADER)))
///     }));
/// let response = client.oneshot(Request::post("http://payments/charge").body(Full::default())?).await?;
/// assert!(response.into_body());
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct IdempotencyKeyLayer {
    quoted: bool,
}

/// What [`IdempotencyKeyLayer`] makes.
#[derive(Debug, Clone, Copy)]
pub struct IdempotencyKeys<S> {
    inner: S,
    layer: IdempotencyKeyLayer,
}

/// A request that can carry an idempotency key.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot carry an idempotency key",
    note = "http::Request can, and reqwest::Request with the feature `reqwest`"
)]
pub trait CarryKey {
    /// Its method.
    fn method(&self) -> &Method;
    /// Its headers.
    fn headers_mut(&mut self) -> &mut HeaderMap;
    /// A key that its maker gave it in another way than by the header.
    fn given(&self) -> Option<&IdempotencyKey> {
        None
    }
}

impl<B> CarryKey for Request<B> {
    fn method(&self) -> &Method {
        self.method()
    }

    fn headers_mut(&mut self) -> &mut HeaderMap {
        self.headers_mut()
    }

    /// An [`IdempotencyKey`] in the extensions.
    fn given(&self) -> Option<&IdempotencyKey> {
        self.extensions().get()
    }
}

impl IdempotencyKeyLayer {
    /// Adds keys in the bare form, which is what most servers read.
    pub const fn new() -> Self {
        Self { quoted: false }
    }

    /// Adds keys as structured-field strings (RFC 9651), as draft-ietf-httpapi-idempotency-key-header has it.
    #[must_use]
    pub const fn with_quoted_keys(mut self) -> Self {
        self.quoted = true;
        self
    }

    fn value(self, key: &IdempotencyKey) -> HeaderValue {
        if self.quoted { key.to_quoted() } else { key.to_bare() }
    }
}

impl<S> IdempotencyKeys<S> {
    /// Returns the service that the layer wraps.
    #[cfg(all(feature = "retry", feature = "circuit-breaker"))]
    pub(crate) const fn inner_mut(&mut self) -> &mut S {
        &mut self.inner
    }
}

impl<S> Layer<S> for IdempotencyKeyLayer {
    type Service = IdempotencyKeys<S>;

    fn layer(&self, inner: S) -> IdempotencyKeys<S> {
        IdempotencyKeys { inner, layer: *self }
    }
}

impl<S, R> Service<R> for IdempotencyKeys<S>
where
    S: Service<R>,
    R: CarryKey,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: R) -> S::Future {
        let given = request.given().map(|key| self.layer.value(key));
        let is_unsafe = !request.method().is_safe();
        let headers = request.headers_mut();
        // an empty one identifies no request
        let is_keyed = headers.get(IdempotencyKey::HEADER).is_some_and(|key| !key.as_bytes().trim_ascii().is_empty());
        if !is_keyed {
            let random = || is_unsafe.then(|| self.layer.value(&IdempotencyKey::random()));
            if let Some(value) = given.or_else(random) {
                headers.insert(IdempotencyKey::HEADER, value);
            }
        }
        self.inner.call(request)
    }
}
