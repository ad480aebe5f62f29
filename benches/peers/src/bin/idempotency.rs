//! What an idempotency key costs a request: POST /charge through an axum router, with a new key (miss) or one whose request
//! is done (hit).
//!
//! `idempotency clock` prints nanoseconds, `idempotency bytes` what a million keys hold. With the feature `idempotent` the
//! crate of that name is measured as well.
use axum::{Json, Router, body::Body, http::Request, response::Response, routing::post};
use axum_idempotent::{IdempotentLayer, IdempotentOptions};
use ruts::{CookieOptions, SessionLayer, store::moka::MokaStore};
use serde::{Deserialize, Serialize};
use std::{
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use steadfast::{
    idempotency::{
        Begin, Fence, Fingerprint, IdempotencyLayer, IdempotencyStore, Recorded, Scope, StoreKey, StoredResponse, Token,
    },
    store::memory::MemoryStore,
};
use steadfast_peers::{Case, Error, bytes_of};
use tokio::runtime::Runtime;
use tower_cookies::CookieManagerLayer;
use tower_service::Service;

const CASES: &[Case] = &[
    ("bare", "bare", |n| misses(App::bare(), n)),
    ("bare, handler waits", "bare, handler waits", |n| misses(App::bare().waits(), n)),
    ("steadfast, miss, no keys at first", "bare", |n| misses(App::steadfast(0), n)),
    ("steadfast, miss, 10,000 keys", "bare", |n| misses(App::steadfast(10_000), n)),
    ("steadfast, miss, 1,000,000 keys", "bare", |n| misses(App::steadfast(1_000_000), n)),
    ("steadfast, miss, handler waits", "bare, handler waits", |n| misses(App::steadfast(0).waits(), n)),
    ("steadfast, hit, no other keys", "bare", |n| hits(App::steadfast(0), n)),
    ("steadfast, hit, 10,000 keys", "bare", |n| hits(App::steadfast(10_000), n)),
    ("steadfast, hit, 1,000,000 keys", "bare", |n| hits(App::steadfast(1_000_000), n)),
    ("axum-idempotent, miss, no keys at first", "bare", |n| misses(App::axum_idempotent(0, 100), n)),
    ("axum-idempotent, miss, 10,000 keys", "bare", |n| misses(App::axum_idempotent(10_000, 100), n)),
    ("axum-idempotent, miss, 10,000 keys of one caller", "bare", |n| misses(App::axum_idempotent(10_000, u64::MAX), n)),
    ("axum-idempotent, hit, 10,000 keys", "bare", |n| hits(App::axum_idempotent(10_000, 100), n)),
    #[cfg(feature = "idempotent")]
    ("idempotent, miss, no keys at first", "bare", |n| misses(App::idempotent(0), n)),
    #[cfg(feature = "idempotent")]
    ("idempotent, miss, 10,000 keys", "bare", |n| misses(App::idempotent(10_000), n)),
    #[cfg(feature = "idempotent")]
    ("idempotent, hit, 10,000 keys", "bare", |n| hits(App::idempotent(10_000), n)),
];

fn main() -> Result<(), Error> {
    match std::env::args().nth(1).as_deref() {
        Some("clock") => clock(),
        Some("bytes") => bytes(),
        _ => return steadfast_peers::run(CASES),
    }
    Ok(())
}

fn misses(mut app: App, calls: u64) {
    app.run(calls, None);
}

fn hits(mut app: App, calls: u64) {
    app.run(1, Some(0));
    app.run(calls, Some(0));
}

/// Rounds of all that have as many keys, one after the other, so that what else runs on the machine meets all of them; of
/// each the best.
fn clock() {
    println!("| case | keys | ns | more | ratio |\n| --- | --- | --- | --- | --- |");
    for (keys, title) in [(0, "0 at first"), (10_000, "10,000"), (1_000_000, "1,000,000")] {
        let mut timed = vec![
            Timed::new("bare", "bare", App::bare(), None),
            Timed::new("steadfast, miss", "bare", App::steadfast(keys), None),
            Timed::new("steadfast, hit", "bare", App::steadfast(keys), Some(0)),
            Timed::new("bare, handler waits", "bare, handler waits", App::bare().waits(), None),
            Timed::new("steadfast, miss, handler waits", "bare, handler waits", App::steadfast(keys).waits(), None),
            Timed::new("axum-idempotent, miss", "bare", App::axum_idempotent(keys, 100), None),
            Timed::new("axum-idempotent, hit", "bare", App::axum_idempotent(keys, 100), Some(0)),
        ];
        if keys == 10_000 {
            let one = App::axum_idempotent(keys, u64::MAX);
            timed.push(Timed::new("axum-idempotent, miss, one caller", "bare", one, None));
        }
        #[cfg(feature = "idempotent")]
        timed.extend([
            Timed::new("idempotent, miss", "bare", App::idempotent(keys), None),
            Timed::new("idempotent, hit", "bare", App::idempotent(keys), Some(0)),
        ]);
        for _ in 0..25 {
            timed.iter_mut().for_each(Timed::round);
        }
        for this in &timed {
            let base = timed.iter().find(|other| other.name == this.base).map_or(this.best, |base| base.best);
            let (name, best) = (this.name, this.best);
            println!("| {name} | {title} | {best:.0} | {:+.0} | {:.2} |", best - base, best / base);
        }
    }
}

struct Timed {
    name: &'static str,
    base: &'static str,
    app: App,
    key: Option<u64>,
    best: f64,
}

impl Timed {
    fn new(name: &'static str, base: &'static str, mut app: App, key: Option<u64>) -> Self {
        app.run(1, key);
        Self { name, base, app, key, best: f64::INFINITY }
    }

    fn round(&mut self) {
        const CALLS: u32 = 1_000;
        let began = Instant::now();
        self.app.run(u64::from(CALLS), self.key);
        self.best = self.best.min(began.elapsed().as_nanos() as f64 / f64::from(CALLS));
    }
}

fn bytes() {
    const KEYS: u64 = 1_000_000;
    println!("| what | bytes a key |\n| --- | --- |");
    let of = |name: &str, app: fn() -> App| {
        let held = bytes_of(|| {
            let mut app = app();
            app.run(KEYS, None);
            app
        });
        println!("| {name} | {} |", held / KEYS);
    };
    of("steadfast", || App::steadfast(0));
    of("axum-idempotent", || App::axum_idempotent(0, 100));
    #[cfg(feature = "idempotent")]
    of("idempotent", || App::idempotent(0));
}

/// A router, what it runs on, and the keys that it has seen.
struct App {
    runtime: Runtime,
    router: Router,
    path: &'static str,
    next: u64,
    /// Keys of one caller.
    each: u64,
}

#[derive(Deserialize)]
struct Charge {
    amount: u64,
}

#[derive(Serialize)]
struct Charged {
    id: u64,
    amount: u64,
}

/// How often the handler ran.
static RAN: AtomicU64 = AtomicU64::new(0);

async fn charge(Json(charge): Json<Charge>) -> (axum::http::StatusCode, Json<Charged>) {
    RAN.fetch_add(1, Ordering::Relaxed);
    (axum::http::StatusCode::CREATED, Json(Charged { id: 4711, amount: charge.amount }))
}

/// As most handlers: for a database, or another service.
async fn charge_later(body: Json<Charge>) -> (axum::http::StatusCode, Json<Charged>) {
    tokio::task::yield_now().await;
    charge(body).await
}

impl App {
    fn new(layer: impl FnOnce(Router) -> Router) -> Self {
        // all in this thread: a peer's task is woken, not another core
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.unwrap_or_else(|no| panic!("{no}"));
        let inside = runtime.enter();
        let router = layer(Router::new().route("/charge", post(charge)).route("/later", post(charge_later)));
        drop(inside);
        Self { runtime, router, path: "/charge", next: 1, each: u64::MAX }
    }

    fn bare() -> Self {
        Self::new(|router| router)
    }

    fn steadfast(keys: u64) -> Self {
        let store = MemoryStore::new().with_max_records(4_000_000).with_max_bytes(4 << 30);
        let layer = IdempotencyLayer::new(store.clone(), Scope::shared());
        let app = Self::new(|router| router.layer(layer));
        app.runtime.block_on(async {
            for key in 0..keys {
                fill(&store, &format!("other {key}")).await;
            }
        });
        app
    }

    fn axum_idempotent(keys: u64, each: u64) -> Self {
        let options = IdempotentOptions::default().use_idempotency_key_header(Some("idempotency-key"), true);
        let store = Arc::new(MokaStore::builder().max_capacity(4_000_000).build());
        let session = SessionLayer::new(store).with_cookie_options(CookieOptions::build().name("session"));
        let mut app = Self::new(|router| {
            let layer = IdempotentLayer::<MokaStore>::new(options.expire_after(24 * 3600));
            router.layer(layer).layer(session).layer(CookieManagerLayer::new())
        });
        app.each = each;
        app.run(keys, None);
        app
    }

    #[cfg(feature = "idempotent")]
    fn idempotent(keys: u64) -> Self {
        let mut app = Self::new(|router| {
            let store = idempotent::memory::MemoryStore::builder().try_build();
            router.layer(idempotent::middleware::IdempotencyLayer::new(store.unwrap_or_else(|no| panic!("{no}"))))
        });
        app.run(keys, None);
        app
    }

    fn waits(self) -> Self {
        Self { path: "/later", ..self }
    }

    /// So many calls, each with this key or with a new one.
    fn run(&mut self, calls: u64, key: Option<u64>) {
        let Self { runtime, router, path, next, each } = self;
        let before = RAN.load(Ordering::Relaxed);
        runtime.block_on(async {
            for _ in 0..calls {
                let key = key.unwrap_or(*next);
                *next += 1;
                let Ok(response) = router.call(request(path, key, *each)).await;
                read(response).await;
            }
        });
        let ran = RAN.load(Ordering::Relaxed) - before;
        assert_eq!(ran, if key.is_none() { calls } else { ran.min(1) }, "a miss runs, a hit does not");
    }
}

/// As a client sends it; the cookie is who calls, for axum-idempotent.
fn request(path: &str, key: u64, each: u64) -> Request<Body> {
    let request = Request::post(path)
        .header("host", "api.example.com")
        .header("content-type", "application/json")
        .header("content-length", "42")
        .header("user-agent", "bench/1")
        .header("cookie", format!("session={:021}A", key / each))
        .header("idempotency-key", format!("{key:032x}"))
        .body(Body::from(r#"{"amount":4711,"currency":"EUR","to":"a7"}"#));
    request.unwrap_or_else(|no| panic!("{no}"))
}

async fn read(response: Response) {
    assert_eq!(response.status(), 201);
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await;
    black_box(body).unwrap_or_else(|no| panic!("{no}"));
}

/// A key as the layer leaves it, without the handler.
async fn fill(store: &MemoryStore, key: &str) {
    let (key, token) = (StoreKey::new(b"", key), Token::random());
    let fingerprint = Fingerprint { version: Fingerprint::VERSION, hash: [7; 32] };
    let begin = Begin { key, fingerprint, token, lease: Duration::from_secs(30), take_over: None };
    let answer = StoredResponse::json(axum::http::StatusCode::CREATED, r#"{"id":4711,"amount":4711}"#);
    let keep = Duration::from_secs(24 * 3600);
    let begun = store.begin(begin).await;
    let completed = store.complete(Fence { key, token }, Recorded::Response(answer), keep).await;
    begun.map(drop).and(completed.map(drop)).unwrap_or_else(|no| panic!("{no}"));
}
