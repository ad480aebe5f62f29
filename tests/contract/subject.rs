//! A layer under test, with its types put away, and the requests that it is given.

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use std::{fmt::Debug, sync::Arc};
use steadfast::{error::BoxError, testing::Probe};
use tower::{Layer, Service, ServiceExt, util::BoxCloneSyncService};

pub(crate) type Body = UnsyncBoxBody<Bytes, BoxError>;
pub(crate) type Asked = Request<Full<Bytes>>;
pub(crate) type Inner = Probe<Response<Full<Bytes>>>;
pub(crate) type Layered = BoxCloneSyncService<Asked, Response<Body>, BoxError>;

/// In every request, and in every setting that is secret: nothing may print it.
pub(crate) const SECRET: &str = "s3cr3t";

/// One layer: what one instance of it makes of a probe.
pub(crate) struct One {
    layer: Box<dyn Fn(Inner) -> Layered>,
    debug: Box<dyn Fn(Inner) -> String>,
}

impl One {
    pub(crate) fn layer(&self, probe: &Inner) -> Layered {
        (self.layer)(probe.clone())
    }

    /// The layer, the service and the future of a call, printed.
    pub(crate) fn debug(&self, probe: &Inner) -> String {
        (self.debug)(probe.clone())
    }
}

/// A kind of layer: makes new ones.
pub(crate) struct Subject {
    make: Box<dyn Fn() -> One>,
    pub(crate) remembers: bool,
    pub(crate) detaches: bool,
    pub(crate) request: fn(Asked) -> Asked,
    pub(crate) status: StatusCode,
}

impl Subject {
    /// The bounds are the first law: what a stack, axum and tonic ask of a layer, its service and its future.
    pub(crate) fn of<L, S, B>(make: impl Fn() -> L + 'static) -> Self
    where
        L: Layer<Inner, Service = S> + Clone + Debug + Send + Sync + 'static,
        S: Service<Asked, Response = Response<B>, Error = BoxError> + Clone + Debug + Send + Sync + 'static,
        S::Future: Debug + Send + 'static,
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let make = move || {
            let layer = make();
            let again = layer.clone();
            One {
                layer: Box::new(move |probe| {
                    let erased = layer.layer(probe).map_response(|r| r.map(|b| b.map_err(Into::into).boxed_unsync()));
                    BoxCloneSyncService::new(erased)
                }),
                debug: Box::new(move |probe| {
                    let mut service = again.layer(probe);
                    let unready = format!("{again:?} {service:?}");
                    let _ = service.poll_ready(&mut std::task::Context::from_waker(std::task::Waker::noop()));
                    let future = service.call(request(&Arc::new(())));
                    format!("{unready} {service:?} {future:?}")
                }),
            }
        };
        Self {
            make: Box::new(make),
            remembers: false,
            detaches: false,
            request: |asked| asked,
            status: StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    pub(crate) fn make(&self) -> One {
        (self.make)()
    }

    /// A request as this layer wants it; `held` lives as long as it does.
    pub(crate) fn request(&self, held: &Arc<()>) -> Asked {
        (self.request)(request(held))
    }
}

/// What the lines of other layers need besides.
#[allow(dead_code, reason = "not every feature has a layer that needs each of them")]
impl Subject {
    /// What one service of the layer has seen matters to the next one.
    pub(crate) fn remembers(self) -> Self {
        Self { remembers: true, ..self }
    }

    /// The call goes on when the caller has gone.
    pub(crate) fn detaches(self) -> Self {
        Self { detaches: true, ..self }
    }

    /// What the other side answers again and again where the memory of the layer is tried; 503 else.
    pub(crate) fn over(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// Changes the requests that it is given.
    pub(crate) fn asked(self, request: fn(Asked) -> Asked) -> Self {
        Self { request, ..self }
    }
}

fn request(held: &Arc<()>) -> Asked {
    Request::put(format!("http://example.com/{SECRET}"))
        .header("authorization", SECRET)
        .header("idempotency-key", SECRET)
        .extension(held.clone())
        .body(Full::from(SECRET))
        .unwrap()
}

pub(crate) fn answers(status: StatusCode) -> Inner {
    Probe::new(move |call| {
        let mut response = Response::new(Full::from(format!("answer {call}")));
        *response.status_mut() = status;
        response.headers_mut().insert("x-mark", "kept".parse()?);
        Ok(response)
    })
}
