//! The service at the end of the named stacks: it follows a script by host and call, and records the executions.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};
use steadfast::{
    circuit_breaker::Circuits,
    classify::{Failure, Outcome, of_error},
    error::{BoxError, Refused},
};
use tokio::time::sleep;
use tower::Service;

pub(crate) type Asked = Request<Full<Bytes>>;
pub(crate) type Reply = Response<Full<Bytes>>;

/// The behaviour of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Does {
    Status(u16),
    /// 303 to this host.
    Moved(&'static str),
    /// A status after this many milliseconds.
    Late(u64, u16),
    /// Executed, and the connection was reset.
    Reset,
    /// The connection was refused.
    Refused,
    /// The same, after this many milliseconds.
    LateRefused(u64),
    /// A layer of this process refused the call.
    Busy,
}

/// A method and a key.
type Execution = (Method, Option<HeaderValue>);

type Script = dyn Fn(&str, usize) -> Does + Send + Sync;

/// Clones are one server, which is always ready.
#[derive(Clone)]
pub(crate) struct Server {
    script: Arc<Script>,
    calls: Arc<Mutex<Vec<String>>>,
    executed: Arc<Mutex<Vec<Execution>>>,
}

impl Server {
    /// `script` receives the host of a request, and the number of calls to the same host before it.
    pub(crate) fn new(script: impl Fn(&str, usize) -> Does + Send + Sync + 'static) -> Self {
        Self { script: Arc::new(script), calls: Arc::default(), executed: Arc::default() }
    }

    /// Returns how often it was called for this host.
    pub(crate) fn calls(&self, host: &str) -> usize {
        self.calls.lock().unwrap().iter().filter(|called| *called == host).count()
    }

    /// Returns the keys of the POST requests that it executed.
    pub(crate) fn posts(&self) -> Vec<Option<HeaderValue>> {
        let executed = self.executed.lock().unwrap();
        executed.iter().filter(|(method, _)| *method == Method::POST).map(|(_, key)| key.clone()).collect()
    }
}

impl Service<Asked> for Server {
    type Response = Reply;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Reply, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Asked) -> Self::Future {
        let host = request.uri().host().unwrap_or_default().to_owned();
        let does = (self.script)(&host, self.calls(&host));
        self.calls.lock().unwrap().push(host);
        let executed = self.executed.clone();
        Box::pin(async move {
            if !matches!(does, Does::Refused | Does::LateRefused(_) | Does::Busy) {
                let key = request.headers().get("idempotency-key").cloned();
                executed.lock().unwrap().push((request.method().clone(), key));
            }
            let status = match does {
                Does::Refused => return Err(io::Error::from(io::ErrorKind::ConnectionRefused).into()),
                Does::LateRefused(after) => {
                    sleep(Duration::from_millis(after)).await;
                    return Err(io::Error::from(io::ErrorKind::ConnectionRefused).into());
                }
                Does::Busy => return Err(Refused::new("server", "busy").into()),
                Does::Reset => return Err(io::Error::from(io::ErrorKind::ConnectionReset).into()),
                Does::Late(after, status) => {
                    sleep(Duration::from_millis(after)).await;
                    status
                }
                Does::Status(status) => status,
                Does::Moved(to) => {
                    let location = format!("http://{to}/");
                    let reply = Response::builder().status(StatusCode::SEE_OTHER).header(header::LOCATION, location);
                    return Ok(reply.body(Full::default())?);
                }
            };
            Ok(Response::builder().status(status).body(Full::default())?)
        })
    }
}

pub(crate) fn get(host: &str) -> Asked {
    Request::get(format!("http://{host}/")).body(Full::default()).unwrap()
}

pub(crate) fn post(host: &str) -> Asked {
    Request::post(format!("http://{host}/pay")).body(Full::from("5 EUR")).unwrap()
}

pub(crate) fn keyed(host: &str) -> Asked {
    let mut request = post(host);
    request.headers_mut().insert("idempotency-key", HeaderValue::from_static("k"));
    request
}

/// Opens the circuit of `host`, which was called before, for `period`.
pub(crate) fn open(circuits: &Circuits, host: &str, period: Duration) {
    let circuits: Vec<_> = circuits.list().into_iter().filter(|circuit| circuit.name().contains(host)).collect();
    assert_eq!(circuits.len(), 1, "one circuit for {host}");
    circuits[0].open_for(period);
}

/// Returns whether an error is classified as refused or never sent.
pub(crate) fn claims_that_nothing_was_sent(error: &BoxError) -> bool {
    matches!(of_error(error).outcome(), Outcome::Refused | Outcome::Failure(Failure::NotSent))
}
