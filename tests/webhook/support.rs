//! An inner service that notes what it is given.

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, request::Parts};
use http_body_util::{BodyExt, Full};
use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};
use steadfast::webhook::{GitHub, Secret, VerifyLayer};
use tower::{Layer, Service, ServiceExt, service_fn};

pub(crate) const SECRET: &str = "It's a Secret to Everybody";

pub(crate) fn github() -> GitHub {
    GitHub::new(Secret::new(SECRET).unwrap())
}

#[derive(Clone, Default)]
pub(crate) struct Inner(Arc<Mutex<Vec<(Parts, Bytes)>>>);

impl Inner {
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
    pub(crate) fn only(&self) -> (Parts, Bytes) {
        let mut all = std::mem::take(&mut *self.0.lock().unwrap());
        assert_eq!(all.len(), 1);
        all.remove(0)
    }
    pub(crate) fn service(
        &self,
    ) -> impl Service<Request<Full<Bytes>>, Response = Response<Full<Bytes>>, Error = Infallible, Future: Send>
    + Clone
    + Send
    + use<> {
        let all = self.0.clone();
        service_fn(move |request: Request<Full<Bytes>>| {
            let all = all.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await?.to_bytes();
                all.lock().unwrap().push((head, body));
                Ok(Response::builder().status(StatusCode::ACCEPTED).body(Full::from("inner")).unwrap())
            }
        })
    }
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

pub(crate) async fn send(layer: &VerifyLayer, inner: &Inner, request: Request<Full<Bytes>>) -> Answer {
    let (head, body) = layer.layer(inner.service()).oneshot(request).await.unwrap().into_parts();
    let body = String::from_utf8(body.collect().await.unwrap().to_bytes().into()).unwrap();
    Answer { status: head.status, headers: head.headers, body }
}

pub(crate) fn delivery(headers: &[(&str, &[u8])], body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let request = headers.iter().fold(Request::post("/hooks"), |request, (name, value)| request.header(*name, *value));
    request.body(Full::new(body.into())).unwrap()
}

/// Signed by the first secret.
pub(crate) fn signed(github: &GitHub, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let body = body.into();
    delivery(&[("x-hub-signature-256", github.sign(&body).as_bytes())], body)
}
