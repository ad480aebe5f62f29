//! A server for black-box checkers of the `Idempotency-Key` header; `--help` says what it does.
//!
//! `/charge` shows the whole promise: with SQLite and Postgres its effect and the record of its answer are one transaction. A
//! run whose process died has then done both or nothing, so it is safe to run it again once its lease is over
//! (`OnUnknown::Rerun`), and after any number of kills there are as many effects as keys. All other routes, and all routes over
//! memory and Redis, do something first and are recorded after it: a process that dies in between leaves a key of which nobody
//! knows the outcome. That key is answered 409, first with `Retry-After` (the lease), then without.

#![allow(unreachable_pub, reason = "the modules of an example are nobody else's")]

#[path = "conformance_server/args.rs"]
mod args;
#[path = "conformance_server/effects.rs"]
mod effects;

use args::Args;
use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{Query, State},
    http::{Method, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
    serve::ListenerExt,
};
use effects::Effects;
use serde_json::{Value, json};
use std::{collections::HashMap, io::Write, process::ExitCode, time::Duration};
use steadfast::{
    error::BoxError,
    idempotency::{Claim, IdempotencyLayer, NotExecuted, OnUnknown, Scope},
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::watch,
    time::{sleep, timeout},
};
use tower_http::catch_panic::CatchPanicLayer;

/// How long a shutdown waits for connections, and then for handlers.
const DRAIN: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> ExitCode {
    let args = match args::parse(std::env::args().skip(1)) {
        Ok(Some(args)) => args,
        Ok(None) => {
            println!("{}", args::HELP);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    match run(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<(), BoxError> {
    let stopped = signals()?;
    let (store, effects) = Effects::open(args.store).await?;
    // all who do not say who they are are one caller; a service refuses them in a layer outside
    let caller =
        Scope::by(|parts| parts.headers.get(header::AUTHORIZATION).map_or(Vec::new(), |who| who.as_bytes().into()));
    let keys =
        IdempotencyLayer::new(store, caller).with_required([Method::POST]).with_keep(args.ttl).with_lease(args.lease);
    // a clone with another setting, which drains together with the first
    let charges =
        if effects.are_transactional() { keys.clone().with_on_unknown(OnUnknown::Rerun) } else { keys.clone() };
    let app = app(&keys, charges, effects);

    let listener =
        TcpListener::bind(&args.listen).await.map_err(|error| format!("--listen {}: {error}", args.listen))?;
    println!("listening on {}", listener.local_addr()?);
    std::io::stdout().flush()?;
    // answers are small and somebody waits for them
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    let server = axum::serve(listener, app).with_graceful_shutdown(closed(stopped.clone())).into_future();
    tokio::select! {
        served = server => served?,
        // a caller that never ends its request holds nobody up
        () = async { closed(stopped).await; sleep(DRAIN).await } => {}
    }
    if timeout(DRAIN, keys.drained()).await.is_err() {
        eprintln!("handlers were cut off: their keys lapse");
    }
    Ok(())
}

fn app(keys: &IdempotencyLayer, charges: IdempotencyLayer, effects: Effects) -> Router {
    Router::new()
        .route("/slow", post(slow))
        .route("/fail", post(fail))
        .route("/panic", post(panics))
        .route("/big", post(big))
        .route("/count", get(count))
        .layer(keys.clone())
        .merge(Router::new().route("/charge", post(charge)).layer(charges))
        // what its caller sees is what will be replayed
        .layer(CatchPanicLayer::custom(|_| problem(StatusCode::INTERNAL_SERVER_ERROR, "handler panicked")))
        .with_state(effects)
}

async fn charge(State(effects): State<Effects>, claim: Claim, body: Bytes) -> Response {
    let charge: Option<Value> = serde_json::from_slice(&body).ok();
    let Some(amount) = charge.and_then(|charge| charge["amount"].as_i64()) else {
        return problem(StatusCode::BAD_REQUEST, "the body is to be {\"amount\":N}, N a whole number");
    };
    match effects.charge(claim, amount).await {
        Ok(answer) => answer.into_response(),
        Err(error) if effects.are_transactional() => rolled_back(&error),
        Err(error) => failed(&error),
    }
}

async fn slow(State(effects): State<Effects>, query: Query<HashMap<String, String>>) -> Response {
    let Some(ms) = number(&query, "ms") else { return wanted("ms") };
    if let Err(error) = effects.add(0).await {
        return failed(&error);
    }
    sleep(Duration::from_millis(ms)).await;
    Json(json!({"slept_ms": ms})).into_response()
}

async fn fail(State(effects): State<Effects>, query: Query<HashMap<String, String>>) -> Response {
    let status = number(&query, "status").filter(|status| (200..1000).contains(status));
    let status = status.and_then(|status| StatusCode::from_u16(u16::try_from(status).ok()?).ok());
    let Some(status) = status else { return wanted("status") };
    if let Err(error) = effects.add(0).await {
        return failed(&error);
    }
    if matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED) {
        return status.into_response(); // these have no body
    }
    (status, Json(json!({"status": status.as_u16()}))).into_response()
}

async fn panics(State(effects): State<Effects>) -> Response {
    if let Err(error) = effects.add(0).await {
        return failed(&error);
    }
    #[expect(clippy::panic, reason = "what the route is for")]
    {
        panic!("as was asked for")
    }
}

async fn big(State(effects): State<Effects>, query: Query<HashMap<String, String>>) -> Response {
    let Some(bytes) = number(&query, "bytes") else { return wanted("bytes") };
    if let Err(error) = effects.add(0).await {
        return failed(&error);
    }
    Body::from_stream(tokio_stream::iter(chunks(bytes))).into_response()
}

/// `bytes` of the alphabet, a piece at a time.
fn chunks(bytes: u64) -> impl Iterator<Item = Result<Bytes, BoxError>> {
    const PIECE: usize = 26 * 630; // some 16 KiB
    let piece: Bytes = (b'a'..=b'z').cycle().take(PIECE).collect();
    let mut left = bytes;
    std::iter::from_fn(move || {
        let next = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        left -= next as u64;
        (next > 0).then(|| Ok(piece.slice(..next)))
    })
}

async fn count(State(effects): State<Effects>) -> Response {
    match effects.count().await {
        Ok(count) => Json(json!({"count": count})).into_response(),
        Err(error) => failed(&error),
    }
}

fn number(query: &HashMap<String, String>, name: &str) -> Option<u64> {
    query.get(name)?.parse().ok()
}

fn wanted(name: &str) -> Response {
    problem(StatusCode::BAD_REQUEST, &format!("the query is to have {name}=N"))
}

/// The key is free again. (Where only the news of a commit was lost, the record stays.)
fn rolled_back(error: &BoxError) -> Response {
    eprintln!("error: {error}");
    let later = [(header::RETRY_AFTER, "1")];
    let mut answer = (later, problem(StatusCode::SERVICE_UNAVAILABLE, "not charged")).into_response();
    answer.extensions_mut().insert(NotExecuted);
    answer
}

fn failed(error: &BoxError) -> Response {
    eprintln!("error: {error}");
    problem(StatusCode::INTERNAL_SERVER_ERROR, "the effect could not be counted")
}

fn problem(status: StatusCode, title: &str) -> Response {
    let body = format!("{{\"title\":{},\"status\":{}}}", json!(title), status.as_u16());
    (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response()
}

/// Closed at the first SIGTERM or SIGINT.
fn signals() -> Result<watch::Receiver<()>, BoxError> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (stop, stopped) = watch::channel(());
    tokio::spawn(async move {
        tokio::select! { _ = term.recv() => {} _ = int.recv() => {} }
        drop(stop);
    });
    Ok(stopped)
}

async fn closed(mut stopped: watch::Receiver<()>) {
    while stopped.changed().await.is_ok() {}
}
