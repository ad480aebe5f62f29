//! gRPC methods that stream, under the layer: an echo that answers each message as it comes.

use crate::support::{Runs, layer};
use axum::routing::post;
use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use std::{io, time::Duration};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Code, Request,
    client::Grpc,
    service::Routes,
    transport::{Channel, Endpoint, Server, server::TcpIncoming},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

type Codec = tonic_prost::ProstCodec<HealthCheckRequest, HealthCheckRequest>;

fn ask(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.into() }
}

fn keyed<T>(message: T, key: Option<&str>) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(key) = key {
        request.metadata_mut().insert("idempotency-key", key.parse().unwrap());
    }
    request
}

async fn server(limit: usize) -> (Channel, Runs) {
    let runs = Runs::default();
    let counted = runs.clone();
    let echo = move |request: axum::extract::Request| async move {
        counted.add();
        let (to, frames) = mpsc::channel::<Result<Frame<Bytes>, io::Error>>(4);
        let mut from = request.into_body();
        tokio::spawn(async move {
            while let Some(Ok(frame)) = from.frame().await {
                if frame.is_data() && to.send(Ok(frame)).await.is_err() {
                    return;
                }
            }
            let trailers: HeaderMap = [("grpc-status".parse().unwrap(), "0".parse().unwrap())].into_iter().collect();
            let _ = to.send(Ok(Frame::trailers(trailers))).await;
        });
        let body = axum::body::Body::new(StreamBody::new(ReceiverStream::new(frames)));
        Response::builder().header("content-type", "application/grpc").body(body).unwrap()
    };
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_service_status("a", tonic_health::ServingStatus::Serving).await;
    let mut routes = Routes::new(health);
    let router = std::mem::take(routes.axum_router_mut()).route("/echo.Echo/Chat", post(echo));
    *routes.axum_router_mut() = router;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let _reporter = reporter; // the states are gone with it
        let layer = layer().with_request_limit(limit);
        Server::builder().layer(layer).add_routes(routes).serve_with_incoming(TcpIncoming::from(listener)).await
    });
    (Endpoint::from_shared(format!("http://{address}")).unwrap().connect_lazy(), runs)
}

const CHAT: http::uri::PathAndQuery = http::uri::PathAndQuery::from_static("/echo.Echo/Chat");

#[tokio::test]
async fn without_a_key_streams_pass_both_ways_as_they_come() {
    let (channel, runs) = server(1000).await;
    let mut client = Grpc::new(channel);
    client.ready().await.unwrap();
    let (to, from) = mpsc::channel(1);
    let request = keyed(ReceiverStream::new(from), None);
    let mut answers = client.streaming(request, CHAT, Codec::default()).await.unwrap().into_inner();
    for ping in ["1", "2", "3"] {
        to.send(ask(ping)).await.unwrap();
        assert_eq!(answers.message().await.unwrap().unwrap().service, ping);
    }
    drop(to);
    assert!(answers.message().await.unwrap().is_none());
    assert_eq!(runs.get(), 1);
}

#[tokio::test]
async fn with_a_key_what_the_client_streams_is_one_request_and_is_answered_again() {
    let (channel, runs) = server(1000).await;
    for (messages, replayed) in [(["1", "2"], Some(false)), (["1", "2"], Some(true)), (["1", "3"], None)] {
        let mut client = Grpc::new(channel.clone());
        client.ready().await.unwrap();
        let request = keyed(tokio_stream::iter(messages.map(ask)), Some("k"));
        match client.streaming(request, CHAT, Codec::default()).await {
            Ok(response) => {
                assert_eq!(Some(response.metadata().contains_key("idempotent-replayed")), replayed);
                let mut answers: tonic::Streaming<HealthCheckRequest> = response.into_inner();
                for message in messages {
                    assert_eq!(answers.message().await.unwrap().unwrap().service, message);
                }
                assert!(answers.message().await.unwrap().is_none());
            }
            Err(status) => assert_eq!((status.code(), replayed), (Code::InvalidArgument, None)),
        }
    }
    assert_eq!(runs.get(), 1);
}

#[tokio::test]
async fn with_a_key_what_the_client_streams_has_a_limit() {
    let (channel, runs) = server(100).await;
    let mut client = Grpc::new(channel);
    client.ready().await.unwrap();
    let many = tokio_stream::iter((0..20).map(|_| ask("ten letters")));
    let refused = client.streaming(keyed(many, Some("k")), CHAT, Codec::default()).await;
    assert_eq!(refused.map(drop).unwrap_err().code(), Code::ResourceExhausted);
    assert_eq!(runs.get(), 0);
}

#[tokio::test]
async fn what_a_server_streams_passes_as_it_comes_with_a_key_or_without() {
    let (channel, _) = server(1000).await;
    for key in [None, Some("k")] {
        let mut client = HealthClient::new(channel.clone());
        let mut states = client.watch(keyed(ask("a"), key)).await.unwrap().into_inner();
        let first = timeout(Duration::from_secs(30), states.message()).await.unwrap().unwrap().unwrap();
        assert_eq!(first.status, 1, "it does not wait for an end that never comes");
    }
}
