//! Messages as requests of a client, and what its answers come to.

use crate::{
    running,
    support::{Constant, memory, pass, secs},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, StreamBody};
use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
};
use steadfast::{
    backoff::Hint,
    classify::{Failure, Outcome},
    error::BoxError,
    place::reqwest::ToReqwest,
    queue::{
        Claim, Deliver, Filter, MakeRequest, Message, NewMessage, ReadAnswer, Reason, Report, Stats, ToHttp, Worker,
    },
    stack::ClientStack,
};
use tower::{Layer, Service, service_fn};

async fn message(new: NewMessage) -> Message {
    let queue = memory();
    queue.enqueue(new).await.unwrap();
    let claim = Claim { limit: 1, lease: secs(60), max_attempts: 3 };
    queue.store().claim(queue.name(), claim).await.unwrap().remove(0)
}

async fn report(answer: Response<Full<Bytes>>) -> Report {
    answer.read().await
}

fn answer(status: u16, headers: &[(&str, &str)], body: &'static str) -> Response<Full<Bytes>> {
    let response = headers.iter().fold(Response::builder().status(status), |r, (name, value)| r.header(*name, *value));
    response.body(Full::from(body)).unwrap()
}

#[tokio::test]
async fn a_delivery_has_body_trace_and_a_key_that_every_attempt_shares() {
    let mut headers = HeaderMap::new();
    for (name, value) in [("content-type", "text/plain"), ("traceparent", "00-1-2-01"), ("x-github-event", "push")] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let message = message(NewMessage::new("hello").with_headers(headers)).await;
    let own = HeaderValue::from_static("Bearer mine");
    let make = ToHttp::<Full<Bytes>>::new("http://crm/in".parse().unwrap()).with_header(header::AUTHORIZATION, own);
    assert!(!format!("{make:?}").contains("mine"));
    let (head, body) = make.make(&message).unwrap().into_parts();
    assert_eq!((head.method, head.uri.to_string()), (http::Method::POST, "http://crm/in".into()));
    assert_eq!(body.collect().await.unwrap().to_bytes(), "hello");
    assert_eq!(head.headers["idempotency-key"], message.idempotency_key().as_str());
    assert_eq!(
        (&head.headers["content-type"], &head.headers["traceparent"]),
        (&"text/plain".parse().unwrap(), &"00-1-2-01".parse().unwrap())
    );
    assert_eq!(head.headers[header::AUTHORIZATION], "Bearer mine");
    assert!(!head.headers.contains_key("x-github-event"), "what the sender said is not this side's to say");

    let make = ToReqwest::new("http://crm/in".parse().unwrap())
        .with_header(header::AUTHORIZATION, HeaderValue::from_static("Bearer mine"));
    assert!(!format!("{make:?}").contains("mine"));
    let request = make.make(&message).unwrap();
    assert_eq!(request.headers(), &head.headers);
    assert_eq!(request.body().unwrap().as_bytes().unwrap(), b"hello");
}

#[tokio::test]
async fn answers_are_judged_by_the_table_of_outcomes() {
    let transient = Outcome::Failure(Failure::Transient);
    for (status, outcome) in [
        (200, Outcome::Success),
        (204, Outcome::Success),
        (301, Outcome::Rejected),
        (304, Outcome::Rejected),
        (307, Outcome::Rejected),
        (400, Outcome::Rejected),
        (410, Outcome::Rejected),
        (422, Outcome::Rejected),
        (408, transient),
        (425, transient),
        (502, transient),
        (503, transient),
        (429, Outcome::Failure(Failure::Overloaded)),
        (500, Outcome::Failure(Failure::Fault)),
    ] {
        let report = report(answer(status, &[], "")).await;
        assert_eq!((report.verdict().outcome(), report.status()), (outcome, Some(status)), "{status}");
    }
    let busy = report(answer(503, &[("retry-after", "120")], "")).await.verdict();
    assert_eq!((busy.outcome(), busy.hint()), (Outcome::Failure(Failure::Overloaded), Some(Hint::AtLeast(secs(120)))));
    let in_flight = report(answer(409, &[("retry-after", "1")], "")).await.verdict();
    assert_eq!(
        in_flight.outcome(),
        Outcome::Failure(Failure::Overloaded),
        "the same delivery is being worked on there"
    );
    assert_eq!(report(answer(409, &[], "")).await.verdict().outcome(), Outcome::Rejected);
}

#[tokio::test]
async fn the_error_has_the_status_and_the_beginning_of_the_body() {
    let no = report(answer(422, &[], "{\"error\":\"no such customer\"}")).await;
    assert_eq!(no.error(), "422 Unprocessable Entity: {\"error\":\"no such customer\"}");
    let long: &'static str = "\u{e9}".repeat(1 << 20).leak();
    let no = report(answer(422, &[], long)).await;
    assert!(no.error().len() <= 1024 && no.error().len() > 900, "{}", no.error().len());
    assert_eq!(report(answer(200, &[], "fine")).await.error(), "");
}

fn streamed(status: u16, frames: Vec<Result<http_body::Frame<Bytes>, BoxError>>) -> impl ReadAnswer {
    let body = StreamBody::new(tokio_stream::iter(frames));
    Response::builder().status(status).body(body).unwrap()
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_a_failure_although_its_head_said_200() {
    let half = || vec![Ok(http_body::Frame::data(Bytes::from("half"))), Err("reset".into())];
    let report = streamed(200, half()).read().await;
    assert_eq!(report.verdict().outcome(), Outcome::Failure(Failure::Transient));
    assert_eq!(report.error(), "the answer broke off: reset");
    let report = streamed(422, half()).read().await;
    assert_eq!(report.verdict().outcome(), Outcome::Rejected, "a head that says no is enough");
}

#[tokio::test]
async fn a_grpc_status_in_the_trailers_is_the_verdict() {
    let end = |status: &'static str| {
        let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), HeaderValue::from_static(status))]);
        vec![Ok(http_body::Frame::data(Bytes::from("x"))), Ok(http_body::Frame::trailers(trailers))]
    };
    assert_eq!(streamed(200, end("0")).read().await.verdict().outcome(), Outcome::Success);
    assert_eq!(streamed(200, end("14")).read().await.verdict().outcome(), Outcome::Failure(Failure::Transient));
    let without = answer(200, &[("content-type", "application/grpc")], "x");
    assert_eq!(report(without).await.verdict().outcome(), Outcome::Failure(Failure::Fault));
}

#[tokio::test]
async fn a_grpc_status_behind_a_long_answer_is_the_verdict() {
    let chunk = || Ok::<_, BoxError>(http_body::Frame::data(Bytes::from(vec![0; 1 << 20])));
    let long = |megabytes, end: Option<&'static str>| {
        let end = end.map(|status| {
            let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), HeaderValue::from_static(status))]);
            Ok(http_body::Frame::trailers(trailers))
        });
        let frames: Vec<_> = std::iter::repeat_with(chunk).take(megabytes).chain(end).collect();
        let body = StreamBody::new(tokio_stream::iter(frames));
        Response::builder().header("content-type", "application/grpc").body(body).unwrap()
    };
    let outcome = async |answer: Response<_>| ReadAnswer::read(answer).await.verdict().outcome();
    assert_eq!(outcome(long(3, Some("0"))).await, Outcome::Success);
    assert_eq!(outcome(long(3, Some("14"))).await, Outcome::Failure(Failure::Transient));
    // without a status, and where none has come by then, the message was not done
    assert_eq!(outcome(long(3, None)).await, Outcome::Failure(Failure::Fault));
    assert_eq!(outcome(long(100, Some("0"))).await, Outcome::Failure(Failure::Fault));
}

#[tokio::test]
async fn a_grpc_web_status_is_read_from_the_last_frame_in_both_encodings() {
    let (binary, text) = ("application/grpc-web+proto", "application/grpc-web-text+proto");
    for (content_type, body, outcome) in [
        (binary, "\0\0\0\0\u{2}hi", Outcome::Success),
        (text, "AAAAAAJoaQ==gAAAABBncnBjLXN0YXR1czoxNA0K", Outcome::Failure(Failure::Transient)),
        (text, "AAAAAAJoaQ==gAAAAA9ncnBjLXN0YXR1czowDQo=", Outcome::Success),
        (text, "AAAAAAJoaQ==", Outcome::Success),
    ] {
        let report = report(answer(200, &[("content-type", content_type)], body)).await;
        assert_eq!(report.verdict().outcome(), outcome, "{content_type} {body:?}");
    }
    let frames = [&b"\0\0\0\0\x02hi"[..], b"\x80\0\0\0\x0fgrpc-status:8\r\n"]
        .map(|frame| Ok::<_, BoxError>(http_body::Frame::data(Bytes::from_static(frame))));
    let body = StreamBody::new(tokio_stream::iter(frames));
    let answer = Response::builder().header("content-type", binary).body(body).unwrap();
    assert_eq!(answer.read().await.verdict().outcome(), Outcome::Failure(Failure::Overloaded));
}

#[tokio::test]
async fn what_a_destination_refuses_for_a_while_is_an_overload_and_a_redirect_is_a_rejection_whatever_it_hints() {
    for status in [403, 409, 413, 429, 503] {
        let verdict = report(answer(status, &[("retry-after", "60")], "")).await.verdict();
        let expected = (Outcome::Failure(Failure::Overloaded), Some(Hint::AtLeast(secs(60))));
        assert_eq!((verdict.outcome(), verdict.hint()), expected, "{status}");
    }
    for status in [403, 409, 413] {
        assert_eq!(report(answer(status, &[], "")).await.verdict().outcome(), Outcome::Rejected);
    }
    for status in 300..400 {
        let report = report(answer(status, &[("retry-after", "60")], "")).await;
        assert_eq!(report.verdict().outcome(), Outcome::Rejected, "{status}");
    }
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_for_ever() {
    let endless = tokio_stream::iter(std::iter::repeat_with(|| {
        Ok::<_, Infallible>(http_body::Frame::data(Bytes::from(vec![b'x'; 1 << 16])))
    }));
    let report = Response::builder().status(500).body(StreamBody::new(endless)).unwrap().read().await;
    assert_eq!(report.verdict().outcome(), Outcome::Failure(Failure::Fault));
}

/// A client that answers what it is told, and notes what it was sent.
type Sent = Arc<Mutex<Vec<(String, String)>>>;

fn client(
    sent: &Sent,
    script: Vec<Response<Full<Bytes>>>,
) -> impl Service<Request<Full<Bytes>>, Response = Response<Full<Bytes>>, Error = Infallible, Future: Send + 'static>
+ Clone
+ Send
+ use<> {
    let (sent, script) = (sent.clone(), Arc::new(Mutex::new(script.into_iter())));
    service_fn(move |request: Request<Full<Bytes>>| {
        let (sent, script) = (sent.clone(), script.clone());
        async move {
            let key = request.headers()["idempotency-key"].to_str().unwrap().to_owned();
            let body = request.into_body().collect().await.unwrap().to_bytes();
            sent.lock().unwrap().push((key, String::from_utf8(body.into()).unwrap()));
            Ok(script.lock().unwrap().next().unwrap_or_else(|| answer(200, &[], "")))
        }
    })
}

#[tokio::test(start_paused = true)]
async fn every_attempt_and_a_redrive_after_an_unknown_end_carry_one_key_and_one_after_a_no_carries_another() {
    let queue = memory();
    queue.enqueue(NewMessage::new("hello")).await.unwrap();
    let sent = Sent::default();
    let script = vec![answer(500, &[], ""), answer(500, &[], ""), answer(422, &[], "no"), answer(200, &[], "")];
    let deliver = Deliver::new(client(&sent, script), ToHttp::<Full<Bytes>>::new("http://crm/".parse().unwrap()));
    let worker = Worker::new(queue.clone(), deliver).with_max_attempts(2).with_backoff(Constant(secs(1)));
    let worker = running!(worker);
    for (reason, ends) in [(Reason::Exhausted, 2), (Reason::Rejected, 3)] {
        pass(secs(10)).await;
        let letters = queue.dead_letters().list(Filter::all()).await.unwrap().letters;
        assert_eq!((letters[0].reason, sent.lock().unwrap().len()), (reason, ends));
        queue.dead_letters().redrive(Filter::all()).await.unwrap();
    }
    pass(secs(10)).await;
    worker.stop().await;
    assert_eq!(queue.stats().await.unwrap().done, 1);
    let keys: Vec<_> = sent.lock().unwrap().iter().map(|(key, _)| key.clone()).collect();
    assert!(keys[0] == keys[1] && keys[1] == keys[2], "{keys:?}");
    assert_ne!(keys[2], keys[3], "the other side has answered the old key with a no");
}

#[tokio::test(start_paused = true)]
async fn any_closure_makes_requests_and_what_it_cannot_make_is_undecodable() {
    let queue = memory();
    queue.enqueue(NewMessage::new("http://crm/good")).await.unwrap();
    queue.enqueue(NewMessage::new("no uri at all")).await.unwrap();
    let sent = Sent::default();
    let make = |message: &Message| -> Result<Request<Full<Bytes>>, BoxError> {
        let uri = std::str::from_utf8(message.body())?;
        Ok(Request::post(uri).header("idempotency-key", message.idempotency_key()).body(Full::from("made"))?)
    };
    let worker = running!(Worker::new(queue.clone(), Deliver::new(client(&sent, vec![]), make)));
    pass(secs(1)).await;
    worker.stop().await;
    assert_eq!(sent.lock().unwrap()[0].1, "made");
    let letters = queue.dead_letters().list(Filter::all()).await.unwrap().letters;
    assert_eq!((letters.len(), letters[0].reason), (1, Reason::Undecodable));
    assert!(letters[0].history[0].error.contains("invalid uri character"), "{}", letters[0].history[0].error);
}

#[tokio::test]
async fn reqwest_and_hyper_deliver_to_a_real_server() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let noted = seen.clone();
    let handler = axum::routing::post(move |headers: HeaderMap, body: String| {
        noted.lock().unwrap().push(format!("{body} {}", headers.contains_key("idempotency-key")));
        async move { if body == "bad" { (StatusCode::UNPROCESSABLE_ENTITY, "no") } else { (StatusCode::OK, "yes") } }
    });
    let app = axum::Router::new().route("/in", handler);
    tokio::spawn(async move { axum::serve(listener, app).await });
    let url = format!("http://{address}/in");

    let queue = memory();
    let reqwest = Deliver::new(reqwest::Client::new(), ToReqwest::new(url.parse().unwrap()));
    let connector = hyper_util::client::legacy::connect::HttpConnector::new();
    let hyper = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build(connector);
    let hyper = Deliver::new(hyper, ToHttp::<Full<Bytes>>::new(url.parse().unwrap()));
    for worker in [0, 1] {
        for body in ["good", "bad"] {
            queue.enqueue(NewMessage::new(body)).await.unwrap();
        }
        let both_ended = async {
            while queue.stats().await.unwrap().open() > 0 {
                tokio::task::yield_now().await;
            }
        };
        if worker == 0 {
            Worker::new(queue.clone(), reqwest.clone()).run(both_ended).await;
        } else {
            Worker::new(queue.clone(), hyper.clone()).run(both_ended).await;
        }
    }
    let stats = queue.stats().await.unwrap();
    assert_eq!((stats.done, stats.dead), (2, 2));
    let mut seen = seen.lock().unwrap().clone();
    seen.sort();
    assert_eq!(seen, ["bad true", "bad true", "good true", "good true"]);
    let letters = queue.dead_letters().list(Filter::all()).await.unwrap().letters;
    assert!(letters.iter().all(|letter| letter.history[0].error == "422 Unprocessable Entity: no"));
}

/// The counters of a message whose only delivery met a closed port: attempts, deliveries that were never sent.
async fn counted<C, M>(client: C, make: impl FnOnce(SocketAddr) -> M) -> (u32, u32)
where
    M: MakeRequest<Request: Send + 'static> + Clone + Send + 'static,
    C: Service<M::Request, Response: ReadAnswer + Send, Error: Into<BoxError>, Future: Send + 'static>
        + Clone
        + Send
        + 'static,
{
    let queue = memory();
    queue.enqueue(NewMessage::new("hello")).await.unwrap();
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    // bound, and never listening
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let make = make(socket.local_addr().unwrap());
    let ended = async {
        let over = |stats: Stats| stats.parked + stats.dead;
        while over(queue.stats().await.unwrap()) == 0 {
            tokio::task::yield_now().await;
        }
    };
    Worker::new(queue.clone(), Deliver::new(client, make)).with_max_attempts(1).run(ended).await;
    assert_eq!(queue.stats().await.unwrap().dead, 0, "the message is dead");
    tokio::time::sleep(crate::support::millis(1100)).await;
    let claim = Claim { limit: 1, lease: secs(60), max_attempts: 3 };
    let message = queue.store().claim("q", claim).await.unwrap().remove(0);
    (message.attempt(), message.not_sent())
}

#[tokio::test]
async fn a_server_that_is_not_there_uses_no_attempt_below_the_stack_for_delivery() {
    let none = reqwest::redirect::Policy::none();
    let client = ClientStack::for_delivery("crm").layer(reqwest::Client::builder().redirect(none).build().unwrap());
    let to = |at: SocketAddr| ToReqwest::new(format!("http://{at}/").parse().unwrap());
    assert_eq!(counted(client, to).await, (1, 1), "reqwest");
    // a POST without a key, as a closure makes it
    let hyper = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new());
    let client = ClientStack::for_delivery("crm").layer(hyper.build_http::<Full<Bytes>>());
    let bare = |at: SocketAddr| {
        move |message: &Message| {
            let request = Request::post(format!("http://{at}/"));
            Ok::<_, BoxError>(request.body(Full::from(message.body().clone()))?)
        }
    };
    assert_eq!(counted(client, bare).await, (1, 1), "hyper-util");
}

#[tokio::test]
async fn a_server_that_is_not_there_uses_no_attempt_and_is_tried_again_after_a_second() {
    let queue = memory();
    queue.enqueue(NewMessage::new("hello")).await.unwrap();
    // bound and not listening any more
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let make = ToReqwest::new(format!("http://{gone}/").parse().unwrap());
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let refused = async {
        while queue.stats().await.unwrap().parked == 0 {
            tokio::task::yield_now().await;
        }
    };
    Worker::new(queue.clone(), Deliver::new(client, make)).with_max_attempts(1).run(refused).await;
    let claim = Claim { limit: 1, lease: secs(60), max_attempts: 3 };
    tokio::time::sleep(crate::support::millis(900)).await;
    assert!(queue.store().claim("q", claim).await.unwrap().is_empty());
    tokio::time::sleep(crate::support::millis(150)).await;
    let message = queue.store().claim("q", claim).await.unwrap().remove(0);
    assert_eq!((message.attempt(), message.not_sent()), (1, 1));
}

/// Where the server of the redirect tests sends a request, by its path; `elsewhere` is another server's origin.
async fn redirecting(elsewhere: &str) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = format!("http://{}", listener.local_addr().unwrap());
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let (noted, origin, elsewhere) = (seen.clone(), own.clone(), elsewhere.to_owned());
    let handle = move |request: axum::extract::Request| {
        let (path, query) = (request.uri().path().to_owned(), request.uri().query().map(str::to_owned));
        noted.lock().unwrap().push(format!("{} {path}", request.method()));
        let to = |status: u16, location: String| Response::builder().status(status).header("location", location);
        let response = match &*path {
            "/login-page" => to(302, "/login".into()),
            "/see-other" => to(303, "/login?secret=1".into()),
            "/other-host" => to(307, format!("{elsewhere}/taken")),
            "/other-scheme" => to(308, origin.replace("http://", "https://")),
            "/twice" => to(302, "/login-page".into()),
            "/once-more" if query.is_none() => to(307, format!("{origin}/once-more?again#there")),
            "/same" if noted.lock().unwrap().len() == 1 => to(307, format!("{origin}/same#there")),
            "/to-failure" => to(302, "/broken".into()),
            "/broken" => Response::builder().status(500),
            _ => Response::builder().status(200),
        };
        std::future::ready(response.body(axum::body::Body::from("welcome")).unwrap())
    };
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(handle)).await });
    (own, seen)
}

/// What becomes of one message for `url`, by `deliver`.
async fn delivered<C>(client: C, url: &str) -> Result<(), steadfast::queue::DeadLetter>
where
    C: Service<reqwest::Request, Response = reqwest::Response, Error: Into<BoxError>, Future: Send + 'static>
        + Clone
        + Send
        + 'static,
{
    let queue = memory();
    queue.enqueue(NewMessage::new("hello")).await.unwrap();
    let make = ToReqwest::new(url.parse().unwrap());
    let ended = async {
        while queue.stats().await.unwrap().open() > 0 {
            tokio::task::yield_now().await;
        }
    };
    Worker::new(queue.clone(), Deliver::new(client, make)).with_max_attempts(1).run(ended).await;
    queue.dead_letters().list(Filter::all()).await.unwrap().letters.pop().map_or(Ok(()), Err)
}

#[tokio::test]
async fn a_response_of_another_address_than_the_one_that_was_asked_is_rejected() {
    let (elsewhere, _) = redirecting("").await;
    for path in ["/login-page", "/see-other", "/other-host", "/twice", "/once-more", "/to-failure"] {
        let (origin, _) = redirecting(&elsewhere).await;
        let letter = delivered(reqwest::Client::new(), &format!("{origin}{path}")).await.unwrap_err();
        assert_eq!(letter.reason, Reason::Rejected, "{path}");
        let to = if path == "/other-host" { &elsewhere } else { &origin };
        assert_eq!(letter.history[0].error, format!("the client followed a redirect to {to}"), "{path}");
        // through the stack the same
        let stack = tower::Layer::layer(&steadfast::stack::ClientStack::new("crm"), reqwest::Client::new());
        let letter = delivered(stack, &format!("{origin}{path}")).await.unwrap_err();
        assert_eq!(letter.reason, Reason::Rejected, "{path} through a stack");
    }
}

#[tokio::test]
async fn a_request_that_a_closure_makes_is_rejected_after_a_redirect_too() {
    let (origin, _) = redirecting("").await;
    let queue = memory();
    queue.enqueue(NewMessage::new("hello")).await.unwrap();
    let url: reqwest::Url = format!("{origin}/login-page").parse().unwrap();
    let make = move |_: &Message| -> Result<_, BoxError> { Ok(reqwest::Request::new(http::Method::POST, url.clone())) };
    let ended = async {
        while queue.stats().await.unwrap().open() > 0 {
            tokio::task::yield_now().await;
        }
    };
    Worker::new(queue.clone(), Deliver::new(reqwest::Client::new(), make)).run(ended).await;
    let letters = queue.dead_letters().list(Filter::all()).await.unwrap().letters;
    assert_eq!(letters[0].reason, Reason::Rejected);
}

#[tokio::test]
async fn a_response_of_the_address_that_was_asked_is_judged_as_it_is() {
    for path in ["/fine", "/fine?with=query#and-fragment", "/same"] {
        let (origin, seen) = redirecting("").await;
        delivered(reqwest::Client::new(), &format!("{origin}{path}")).await.unwrap();
        assert_eq!(seen.lock().unwrap().len(), if path == "/same" { 2 } else { 1 });
    }
}

#[tokio::test]
async fn a_client_that_follows_no_redirects_hands_the_body_to_no_other_address() {
    let (elsewhere, taken) = redirecting("").await;
    for path in ["/login-page", "/see-other", "/other-host", "/other-scheme"] {
        let (origin, seen) = redirecting(&elsewhere).await;
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let letter = delivered(client, &format!("{origin}{path}")).await.unwrap_err();
        let status = letter.history[0].status.unwrap();
        assert!(letter.reason == Reason::Rejected && (300..400).contains(&status), "{path}: {status}");
        assert_eq!(*seen.lock().unwrap(), [format!("POST {path}")]);
    }
    assert!(taken.lock().unwrap().is_empty());
}

#[test]
fn an_upgrade_to_https_is_another_address_and_a_response_without_address_is_none() {
    let request = reqwest::Request::new(http::Method::POST, "http://crm.example/in?a=1#top".parse().unwrap());
    let asked = reqwest::Response::asked(&request).unwrap();
    let from = |url: &str| -> reqwest::Response {
        let response = Response::builder();
        reqwest::ResponseBuilderExt::url(response, url.parse().unwrap()).body("").unwrap().into()
    };
    assert_eq!(from("http://crm.example/in?a=1#bottom").redirected(&asked), None);
    for (url, origin) in [
        ("https://crm.example/in?a=1", "https://crm.example"),
        ("http://crm.example:8080/in?a=1", "http://crm.example:8080"),
        ("http://crm.example/in", "http://crm.example"),
        ("http://user:secret@login.example/in?a=1", "http://login.example"),
    ] {
        assert_eq!(from(url).redirected(&asked).as_deref(), Some(origin), "{url}");
    }
    // a layer that rebuilds a response may lose its address
    let rebuilt = reqwest::Response::from(Response::new(""));
    assert_eq!(rebuilt.redirected(&asked), None);
    assert_eq!(<Response<Full<Bytes>> as ReadAnswer>::asked(&request), None);
}
