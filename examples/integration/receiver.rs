//! The child process: what is delivered is verified, stored and answered 202; a worker passes it on to the CRM.

use crate::{args::Receive, events::SECRET, seen};
use axum::Router;
use reqwest::redirect::Policy;
use std::{num::NonZeroU32, time::Duration};
use steadfast::{
    backoff::Exponential,
    circuit_breaker::{CircuitBreakerLayer, Circuits, Config},
    error::BoxError,
    place::reqwest::ToReqwest,
    queue::{Deliver, MakeRequest, Message, Queue, Worker},
    stack::ClientStack,
    store::sqlite::SqliteStore,
    webhook::{GitHub, Secret, VerifyLayer},
};
use tokio::{io::AsyncReadExt, net::TcpListener, sync::watch};
use tower::ServiceBuilder;

/// What the parent waits for.
pub const READY: &str = "ready";

pub async fn run(options: Receive) -> Result<(), BoxError> {
    seen::tell_parent();
    let queue = Queue::new("github", SqliteStore::open(&options.database)?);

    // in: verified, on disk, 202
    let accept = queue.accept();
    let accept = if options.dedupe { accept } else { accept.with_dedupe(|_| None) };
    // the sender also replays what it has captured, under ids of its own; no two of its events have the same body
    let github = GitHub::new(Secret::new(SECRET)?).with_digest(Duration::from_secs(600));
    let hooks = ServiceBuilder::new().layer(VerifyLayer::new(github)).service(accept);
    let app = Router::new().route_service("/hooks/github", hooks);

    // out: circuit > attempt timeout > client; the worker retries, and nobody else
    let circuit = Config::default()
        .with_consecutive_failures(NonZeroU32::MIN.saturating_add(3))
        .with_open_for(Duration::from_millis(200))
        .with_max_open_for(Duration::from_secs(1));
    let client = ServiceBuilder::new()
        .layer(
            ClientStack::for_delivery("crm")
                .with_attempt(Duration::from_millis(400))
                .with_circuit_breaker(CircuitBreakerLayer::new(Circuits::per_origin("crm", circuit))),
        )
        .service(reqwest::Client::builder().redirect(Policy::none()).build()?);
    let worker = Worker::new(queue, Deliver::new(client, to_crm(options.crm.parse()?)))
        .with_concurrency(16)
        .with_lease(Duration::from_secs(1))
        .with_max_attempts(50)
        .with_park_for(Duration::from_millis(200))
        .with_backoff(Exponential::new(Duration::from_millis(50), Duration::from_millis(500))?);

    // one clean shutdown: when the parent closes our standard input, both ends stop and finish what they have
    let (stop, stopped) = watch::channel(());
    let stopped = move || {
        let mut stopped = stopped.clone();
        async move {
            let _ = stopped.changed().await;
        }
    };
    tokio::spawn(async move {
        let _ = tokio::io::stdin().read_to_end(&mut Vec::new()).await;
        drop(stop);
    });

    let listener = TcpListener::bind(&options.listen).await?;
    println!("{READY} {}", listener.local_addr()?);
    let server = axum::serve(listener, app).with_graceful_shutdown(stopped());
    let (served, ()) = tokio::join!(server.into_future(), worker.run(stopped()));
    Ok(served?)
}

/// POST with the message's idempotency key, and with what GitHub says of the event.
fn to_crm(url: reqwest::Url) -> impl MakeRequest<Request = reqwest::Request> + Clone + Send + 'static {
    let to_crm = ToReqwest::new(url);
    move |message: &Message| {
        let mut request = to_crm.make(message)?;
        for name in ["x-github-event", "x-github-delivery"] {
            if let Some(value) = message.headers().get(name) {
                request.headers_mut().insert(name, value.clone());
            }
        }
        Ok::<_, BoxError>(request)
    }
}
