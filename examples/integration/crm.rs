//! The CRM: an axum server behind `IdempotencyLayer`. Outside of that layer it misbehaves; inside, each effect is written to
//! its own SQLite table in the same transaction as the record.

use crate::{
    args::Without,
    events::{digest, is_refused},
    faults::{Faults, Stall},
};
use axum::{
    Router,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
    routing::post,
};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::{
    convert::Infallible,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};
use steadfast::{
    error::{BoxError, StoreError},
    idempotency::{Claim, IdempotencyLayer, OnUnknown, Scope, StoredResponse},
    store::sqlite::SqliteStore,
};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Handle,
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};
use tower::{ServiceBuilder, util::BoxCloneService};

/// Shorter than a stall, so that a stalled handler loses its claim.
const LEASE: Duration = Duration::from_millis(500);
const STALLS_AT_MOST: Duration = Duration::from_secs(10);

type Service = BoxCloneService<Request<Body>, Response, Infallible>;

#[derive(Clone)]
pub struct Crm {
    pub faults: Arc<Faults>,
    address: SocketAddr,
    store: SqliteStore,
    mended: Arc<AtomicBool>,
    up: watch::Sender<bool>,
    layer: IdempotencyLayer,
}

#[derive(Clone)]
struct Shared {
    store: SqliteStore,
    mended: Arc<AtomicBool>,
    fenced: bool,
}

/// What was done, as the CRM's own table says.
#[derive(Debug)]
pub struct Effect {
    pub delivery: String,
    pub digest: i64,
}

impl Crm {
    pub async fn start(database: &Path, faults: Arc<Faults>, without: Option<Without>) -> Result<Self, BoxError> {
        let store = SqliteStore::open(database)?;
        let table = "CREATE TABLE effect (id INTEGER PRIMARY KEY, delivery TEXT NOT NULL, digest INTEGER NOT NULL)";
        store.transaction(move |tx| Ok::<_, StoreError>(tx.execute_batch(table)?)).await?;
        let mended = Arc::new(AtomicBool::new(false));
        let shared = Shared { store: store.clone(), mended: mended.clone(), fenced: without != Some(Without::Fencing) };
        let app = Router::new().route("/events", post(take)).with_state(shared);
        let layer = IdempotencyLayer::new(store.clone(), Scope::shared())
            .with_name("crm")
            .with_lease(LEASE)
            // safe here: whatever a claim that lapsed had written was rolled back with it
            .with_on_unknown(OnUnknown::Rerun);
        let app = if without == Some(Without::Idempotency) { app } else { app.layer(layer.clone()) };
        let service = BoxCloneService::new(ServiceBuilder::new().service(app));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (up, down) = watch::channel(true);
        tokio::spawn(listen(listener, address, service, faults.clone(), down));
        Ok(Self { faults, address, store, mended, up, layer })
    }

    pub fn url(&self) -> String {
        format!("http://{}/events", self.address)
    }

    /// Wholly down: nothing listens, and every connection is gone.
    pub fn set_up(&self, up: bool) {
        self.up.send_replace(up);
    }

    /// The cause of its refusals is mended.
    pub fn mend(&self) {
        self.mended.store(true, SeqCst);
    }

    /// Until the handlers whose callers have long gone are through as well.
    pub async fn drained(&self) {
        self.layer.drained().await;
    }

    pub async fn effects(&self) -> Result<Vec<Effect>, StoreError> {
        self.store
            .read(|connection| {
                let mut rows = connection.prepare("SELECT delivery, digest FROM effect ORDER BY id")?;
                let effects = rows.query_map([], |row| Ok(Effect { delivery: row.get(0)?, digest: row.get(1)? }))?;
                Ok(effects.collect::<Result<_, _>>()?)
            })
            .await
    }
}

/// Takes an event over: the effect and the record of the answer, in one transaction.
async fn take(
    State(crm): State<Shared>,
    claim: Option<Claim>,
    stall: Option<axum::Extension<Stall>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    if is_refused(&headers) && !crm.mended.load(SeqCst) {
        let reason = r#"{"error":"the customer is not known here"}"#;
        return StoredResponse::json(StatusCode::UNPROCESSABLE_ENTITY, reason).into_response();
    }
    let (delivery, digest) = (text("x-github-delivery"), digest(&body));
    if stall.is_some() {
        // the thread stands still, no lease is renewed, and when it goes on another attempt has long done it
        tokio::task::block_in_place(|| Handle::current().block_on(until_done(&crm.store, digest)));
    }
    let claim = claim.filter(|_| crm.fenced);
    let done = crm.store.transaction(move |tx| {
        tx.execute("INSERT INTO effect (delivery, digest) VALUES (?1, ?2)", (&delivery, digest))?;
        let answer = StoredResponse::json(StatusCode::CREATED, format!(r#"{{"id":{}}}"#, tx.last_insert_rowid()));
        if let Some(claim) = &claim {
            tx.complete(claim, &answer)?; // another's by now: an error, and the effect is rolled back with it
        }
        Ok::<_, StoreError>(answer)
    });
    match done.await {
        Ok(answer) => answer.into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// Until the effect is there, or for some seconds.
async fn until_done(store: &SqliteStore, digest: i64) {
    let waits = async {
        let query = "SELECT count(*) FROM effect WHERE digest = ?1";
        while !matches!(
            store.read(move |c| Ok(c.query_row(query, [digest], |row| row.get::<_, i64>(0))?)).await,
            Ok(1..)
        ) {
            sleep(Duration::from_millis(25)).await;
        }
    };
    let _ = timeout(STALLS_AT_MOST, waits).await;
}

async fn listen(
    first: TcpListener,
    address: SocketAddr,
    service: Service,
    faults: Arc<Faults>,
    mut up: watch::Receiver<bool>,
) {
    let mut listener = Some(first);
    loop {
        if let Some(listener) = listener.take() {
            let mut connections = JoinSet::new();
            while *up.borrow_and_update() {
                tokio::select! {
                    Ok((stream, _)) = listener.accept() => {
                        connections.spawn(serve(stream, service.clone(), faults.clone()));
                    }
                    Ok(()) = up.changed() => {}
                }
            }
            connections.shutdown().await;
        }
        if up.wait_for(|up| *up).await.is_err() {
            return; // the run is over
        }
        listener = TcpListener::bind(address).await.ok();
        if listener.is_none() {
            sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn serve(stream: TcpStream, service: Service, faults: Arc<Faults>) {
    // what is dropped here is reset, not closed
    let _ = stream.set_zero_linger();
    let service = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
        faults.clone().around(service.clone(), request.map(Body::new))
    });
    let _ = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}
