//! From a request to its response.

use super::Accept;
use crate::{
    answer::Problem,
    body::{Collected, Failure, Unread, VerifiedLimit, announce_close, read_request},
    error::StoreError,
    queue::{Enqueued, NewMessage},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use http_body::Body;
use http_body_util::Full;
use std::{future::poll_fn, pin::pin, task::Poll};
use tokio::time::timeout;

impl Accept {
    pub(super) async fn receive<B>(self, request: Request<B>) -> Response<Full<Bytes>>
    where
        B: Body,
        B::Error: 'static,
    {
        let (parts, body) = request.into_parts();
        if !self.methods.contains(&parts.method) {
            return self.refuse_method(&parts, body).await;
        }
        let limit = VerifiedLimit::or(self.limit, &parts.extensions);
        match read_request(body, limit, self.read_timeouts).await {
            Ok(Collected { data, .. }) => match self.message(&parts, data) {
                Some(message) => self.store(message).await,
                None => problem(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "not stored")),
            },
            Err(failure) => refuse_body(&failure, &parts),
        }
    }

    /// Reads the body off, so that the connection stays usable. A client that asked whether to send it (`Expect`) is not made to.
    async fn refuse_method<B>(&self, parts: &Parts, body: B) -> Response<Full<Bytes>>
    where
        B: Body,
        B::Error: 'static,
    {
        let mut response = problem(Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method not allowed"));
        // RFC 9110, 15.5.6: a 405 names the methods that are allowed
        if let Ok(allow) = HeaderValue::try_from(allow(&self.methods)) {
            response.headers_mut().insert(header::ALLOW, allow);
        }
        if asks_first(&parts.headers) && !body.is_end_stream() {
            announce_close(parts.version, response.headers_mut());
        } else if let Err(failure) = read_request(body, self.limit, self.read_timeouts).await {
            failure.announce(parts.version, response.headers_mut());
        }
        response
    }

    async fn store(&self, message: NewMessage) -> Response<Full<Bytes>> {
        match self.enqueue(message).await {
            Ok(Enqueued::New(id)) => accepted(format!("{{\"id\":\"{id}\"}}")),
            Ok(Enqueued::Duplicate(id)) => accepted(format!("{{\"id\":\"{id}\",\"duplicate\":true}}")),
            // in the queue's counters and events already
            Err(_) => {
                problem(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not stored").with_retry_after(self.retry_after))
            }
        }
    }

    /// Waits for the store until the deadline, and then no longer.
    async fn enqueue(&self, message: NewMessage) -> Result<Enqueued, StoreError> {
        let mut call = pin!(self.queue.enqueue(message));
        // a store in memory has answered by now, and needs no timer
        if let Poll::Ready(answer) = poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await {
            return answer;
        }
        match timeout(self.deadline, call).await {
            Ok(answer) => answer,
            Err(_) => Err(self.queue.given_up(StoreError::new("the store did not answer in time"))),
        }
    }
}

fn asks_first(headers: &HeaderMap) -> bool {
    headers.get(header::EXPECT).is_some_and(|expect| expect.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

fn allow(methods: &[Method]) -> String {
    methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ")
}

fn refuse_body(failure: &Failure, parts: &Parts) -> Response<Full<Bytes>> {
    let (status, title) = match failure.why {
        Unread::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "body too large"),
        Unread::TooSlow => (StatusCode::REQUEST_TIMEOUT, "body too slow"),
        Unread::Broken(()) => (StatusCode::BAD_REQUEST, "body broke off"),
    };
    let mut response = problem(Problem::new(status, title));
    failure.announce(parts.version, response.headers_mut());
    response
}

fn accepted(json: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(json));
    *response.status_mut() = StatusCode::ACCEPTED;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn problem(problem: Problem) -> Response<Full<Bytes>> {
    problem.into_response(None).map(Full::new)
}
