//! A service over a pool of ten, under load whose clients repeat, whose server stops, stalls or fails over.

use super::{
    pgbouncer_server::{PgBouncer, documented},
    postgres_server::Server,
    proxy::{Fault, Proxy},
    support::{created, layer},
};
use axum::{Router, body::Body, routing::post};
use http::{Request, StatusCode};
use std::{
    convert::Infallible,
    fmt::Write as _,
    future::pending,
    ops::Range,
    sync::{Arc, Mutex},
    time::Duration,
};
use steadfast::{
    backoff::Exponential,
    classify::Outcome,
    queue::{Filter, Message, NewMessage, Queue, QueueStore as _, Worker},
    store::postgres::{
        PostgresStore,
        sqlx::{PgPool, postgres::PgPoolOptions},
    },
};
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep, sleep_until},
};
use tower::{ServiceExt as _, service_fn};

/// Calls that a second brings, of each kind; a redrive moves all letters.
const PAYMENTS: u32 = 100;
const HOOKS: u32 = 20;
const REDRIVES: u32 = 2;
/// Messages that no worker can do.
const LETTERS: usize = 10;

/// How often a client sends a request in all, and how long it waits before it does so again.
const TRIES: usize = 10;
const AGAIN: Duration = Duration::from_millis(500);

/// Before, until the service is warm, and then until the server goes away; after, until it has to be normal; then until the end.
const WARM: u64 = 3;
const BEFORE: u64 = 6;
const RECOVERY: u64 = 5;
const AFTER: u64 = 5;

/// What went well, by kind and second.
struct Good {
    since: Instant,
    seconds: Mutex<Vec<[u32; 4]>>,
}

const KINDS: [&str; 4] = ["keyed", "accepted", "worked", "redriven"];
const RATES: [u32; 4] = [PAYMENTS, HOOKS, HOOKS, REDRIVES];

impl Good {
    fn count(&self, kind: usize) {
        let second = usize::try_from(self.since.elapsed().as_secs()).unwrap();
        let mut seconds = self.seconds.lock().unwrap();
        if seconds.len() <= second {
            seconds.resize(second + 1, [0; 4]);
        }
        seconds[second][kind] += 1;
    }

    /// A second, on average.
    fn rate(&self, kind: usize, seconds: Range<u64>) -> f64 {
        let all = self.seconds.lock().unwrap();
        let length = seconds.end - seconds.start;
        let many: u32 = seconds.filter_map(|second| all.get(usize::try_from(second).unwrap())).map(|n| n[kind]).sum();
        f64::from(many) / u32::try_from(length).map(f64::from).unwrap()
    }
}

/// One outage after the other: two services and their servers at once are more than a small machine serves at full rate.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A service over a pool of ten connections, and everything that uses it.
struct Service {
    good: Arc<Good>,
    tasks: JoinSet<()>,
    _one_at_a_time: tokio::sync::MutexGuard<'static, ()>,
}

impl Service {
    async fn start(url: &str) -> Self {
        Self::over(PostgresStore::pool_options().max_connections(10).connect(url).await.unwrap()).await
    }

    async fn over(pool: PgPool) -> Self {
        let one_at_a_time = ONE_AT_A_TIME.lock().await;
        let store = PostgresStore::new(pool);
        store.migrate().await.unwrap();
        let letters = Queue::new("letters", store.clone());
        let never = (0..LETTERS).map(|_| NewMessage::new("x")).collect();
        store.enqueue("letters", never).await.unwrap();
        let hooks = Queue::new("hooks", store.clone());
        let router = Router::new()
            .route("/payments", post(|| async { created() }))
            .layer(layer(&store))
            .route_service("/hooks", hooks.accept());

        let good = Arc::new(Good { since: Instant::now(), seconds: Mutex::default() });
        let mut tasks = JoinSet::new();
        let counted = good.clone();
        let done = service_fn(move |_: Message| {
            counted.count(2);
            async { Ok::<_, Infallible>(Outcome::Success) }
        });
        let rejected = service_fn(|_: Message| async { Ok::<_, Infallible>(Outcome::Rejected) });
        tasks.spawn(worker(hooks).service(done));
        tasks.spawn(worker(letters.clone()).service(rejected));
        tasks.spawn(keep_calling(PAYMENTS, client(router.clone(), good.clone(), 0, payment)));
        tasks.spawn(keep_calling(HOOKS, client(router, good.clone(), 1, hook)));
        let counted = good.clone();
        tasks.spawn(keep_calling(REDRIVES, move |_| {
            let (letters, good) = (letters.clone(), counted.clone());
            async move {
                if letters.dead_letters().redrive(Filter::default()).await.is_ok_and(|done| done.redriven > 0) {
                    good.count(3);
                }
            }
        }));
        Self { good, tasks, _one_at_a_time: one_at_a_time }
    }

    /// Waits for a moment that is so many seconds away from the beginning.
    async fn at(&self, second: u64) {
        sleep_until(self.good.since + Duration::from_secs(second)).await;
    }

    fn seconds(&self) -> u64 {
        self.good.since.elapsed().as_secs() + 1
    }

    /// Normal within [`RECOVERY`] after `back`, the second in which the server was there again.
    async fn recovers(self, what: &str, back: u64) {
        let end = back + RECOVERY + AFTER;
        self.at(end).await;
        let good = &self.good;
        let mut rows = String::new();
        for (kind, name) in KINDS.iter().enumerate() {
            let after: Vec<_> = (back..end).map(|second| good.rate(kind, second..second + 1)).collect();
            let (before, during) = (good.rate(kind, WARM..BEFORE), good.rate(kind, BEFORE + 1..back));
            writeln!(rows, "{name:9} {before:6.1} before, {during:6.1} during, after: {after:?}").unwrap();
        }
        println!("good a second, {what}, gone from {BEFORE} s to {back} s\n{rows}");
        for (kind, name) in KINDS.iter().enumerate() {
            let (before, after) = (good.rate(kind, WARM..BEFORE), good.rate(kind, back + RECOVERY..end));
            // a machine that is busy with other tests does less before and after
            let normal = before.min(f64::from(RATES[kind]));
            assert!(normal >= f64::from(RATES[kind]) / 4.0, "{name}, {what}: {before} a second before\n{rows}");
            assert!(after >= normal * 0.75, "{name}, {what}: {after} a second after\n{rows}");
        }
        drop(self.tasks);
    }
}

struct Working(Queue);

fn worker(queue: Queue) -> Working {
    Working(queue)
}

impl Working {
    async fn service<S>(self, service: S)
    where
        S: tower::Service<Message, Response = Outcome, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send,
    {
        let backoff = Exponential::new(Duration::from_millis(10), Duration::from_millis(100)).unwrap();
        let worker = Worker::new(self.0, service).with_concurrency(8).with_backoff(backoff);
        worker.run(pending()).await;
    }
}

/// Calls at this rate, whatever becomes of the calls before.
async fn keep_calling<F>(rate: u32, call: impl Fn(usize) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut calls = JoinSet::new();
    let mut turns = interval(Duration::from_secs(1) / rate);
    turns.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for n in 0.. {
        turns.tick().await;
        calls.spawn(call(n));
        while calls.try_join_next().is_some() {}
    }
}

/// Sends the same request until it is good.
fn client(
    router: Router,
    good: Arc<Good>,
    kind: usize,
    request: fn(usize) -> Request<Body>,
) -> impl Fn(usize) -> futures_util::future::BoxFuture<'static, ()> {
    move |n| {
        let (router, good) = (router.clone(), good.clone());
        Box::pin(async move {
            for _ in 0..TRIES {
                let response = router.clone().oneshot(request(n)).await.unwrap();
                if matches!(response.status(), StatusCode::CREATED | StatusCode::ACCEPTED) {
                    return good.count(kind);
                }
                sleep(AGAIN).await;
            }
        })
    }
}

fn payment(n: usize) -> Request<Body> {
    Request::post("/payments").header("idempotency-key", format!("payment-{n}")).body(Body::from("5 EUR")).unwrap()
}

fn hook(n: usize) -> Request<Body> {
    Request::post("/hooks").header("webhook-id", format!("hook-{n}")).body(Body::from("{}")).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_is_normal_soon_after_its_server_was_stopped() {
    let mut server = Server::start();
    let service = Service::start(&server.url("postgres")).await;
    service.at(BEFORE).await;
    let server = tokio::task::spawn_blocking(move || {
        server.kill();
        std::thread::park_timeout(Duration::from_secs(30));
        server.restart();
        server
    });
    let _server = server.await.unwrap();
    let back = service.seconds();
    service.recovers("stopped", back).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_is_normal_soon_after_its_server_was_stalled() {
    let server = Server::start();
    let service = Service::start(&server.url("postgres")).await;
    service.at(BEFORE).await;
    let server = tokio::task::spawn_blocking(move || {
        server.stall();
        std::thread::park_timeout(Duration::from_secs(12));
        server.go_on();
        server
    });
    let _server = server.await.unwrap();
    let back = service.seconds();
    service.recovers("stalled", back).await;
}

/// A standby takes over: connections that are open stay with the old server, which only reads from then on.
async fn fail_over(old: &Server, new: &Server, proxy: &Proxy) {
    old.run("postgres", "ALTER SYSTEM SET default_transaction_read_only = on".to_owned()).await;
    old.run("postgres", "SELECT pg_reload_conf()".to_owned()).await;
    // everything that the old server has committed is there
    sleep(Duration::from_secs(1)).await;
    new.run("postgres", "SELECT pg_promote()".to_owned()).await;
    proxy.point_to(new.address().port());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_is_normal_soon_after_a_failover_that_leaves_its_connections_with_a_server_that_only_reads() {
    let old = Server::start();
    let new = old.standby();
    let proxy = Proxy::to(old.address().port()).await;
    let service = Service::start(&format!("postgres://postgres@127.0.0.1:{}/postgres", proxy.port())).await;
    service.at(BEFORE).await;
    fail_over(&old, &new, &proxy).await;
    let back = service.seconds();
    service.recovers("failed over", back).await;
}

/// The network loses everything for a while and cuts nothing: a connection that lost something waits for ever.
async fn partition(what: &str, options: PgPoolOptions, seconds: u64) {
    let server = Server::start();
    let proxy = Proxy::to(server.address().port()).await;
    let url = format!("postgres://postgres@127.0.0.1:{}/postgres", proxy.port());
    let service = Service::over(options.connect(&url).await.unwrap()).await;
    service.at(BEFORE).await;
    proxy.set(Fault::Swallow);
    sleep(Duration::from_secs(seconds)).await;
    proxy.set(Fault::Pass);
    let back = service.seconds();
    service.recovers(what, back).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_is_normal_soon_after_a_network_that_lost_everything() {
    partition("partitioned", PostgresStore::pool_options().max_connections(10), 30).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_pooler_a_service_is_normal_soon_after_the_server_was_stopped() {
    let mut server = Server::start();
    let bouncer = PgBouncer::start(&server, &documented());
    let service = Service::start(&format!("{}?statement-cache-capacity=0", bouncer.url("postgres"))).await;
    service.at(BEFORE).await;
    let server = tokio::task::spawn_blocking(move || {
        server.kill();
        std::thread::park_timeout(Duration::from_secs(6));
        server.restart();
        server
    });
    let _server = server.await.unwrap();
    let back = service.seconds();
    service.recovers("stopped behind a pooler", back).await;
}

// ---- probes
