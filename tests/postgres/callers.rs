//! Callers that leave, wait or are refused, and connections that are of no use any more.

use super::{
    postgres_server::{pool, shared},
    proxy::{Fault, Proxy},
    queue::{attempted, up_to},
    support::{App, KEEP, LEASE, answer, begin, fence, layer, migrated},
};
use axum::body::Body;
use http::{Request, StatusCode};
use std::{collections::BTreeSet, time::Duration};
use steadfast::{
    idempotency::{Begun, Fenced, IdempotencyStore as _, Recorded},
    queue::{Enqueued, Filter, NewMessage, Queue, QueueStore as _, Reason, Settle},
    store::postgres::{
        PostgresStore,
        sqlx::{self, PgPool, postgres::PgPoolOptions},
    },
};
use tokio::time::{Instant, sleep, timeout};
use tower::ServiceExt as _;

const SOON: Duration = Duration::from_secs(5);

/// A store with so many connections behind a proxy, and one that is not, of one database.
async fn behind_proxy(connections: u32) -> (Proxy, PostgresStore, PostgresStore) {
    let name = shared().database().await;
    let direct = migrated(pool(&shared().url(&name)).await).await;
    let proxy = Proxy::to(shared().address().port()).await;
    let url = format!("postgres://postgres@127.0.0.1:{}/{name}", proxy.port());
    let options = PgPoolOptions::new().max_connections(connections).min_connections(connections);
    let pool = options.connect(&url).await.unwrap();
    (proxy, PostgresStore::new(pool), direct)
}

/// The processes of the server that these connections have.
async fn processes(pool: &PgPool) -> BTreeSet<i32> {
    let mut held = Vec::new();
    for _ in 0..pool.options().get_max_connections() {
        held.push(pool.acquire().await.unwrap());
    }
    let mut all = BTreeSet::new();
    for conn in &mut held {
        all.insert(sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut **conn).await.unwrap());
    }
    all
}

#[tokio::test]
async fn callers_that_leave_take_no_connection_along() {
    let (proxy, store, _) = behind_proxy(3).await;
    let before = processes(store.pool()).await;
    assert_eq!(before.len(), 3);
    proxy.set(Fault::Hang);
    for n in 0..20 {
        let begin = begin(&n.to_string(), LEASE);
        timeout(Duration::from_millis(20), store.begin(begin)).await.unwrap_err();
        timeout(Duration::from_millis(20), store.claim("q", up_to(1))).await.unwrap_err();
        timeout(Duration::from_millis(20), store.enqueue("q", vec![NewMessage::new("x")])).await.unwrap_err();
    }
    proxy.set(Fault::Pass);
    assert!(matches!(store.begin(begin("last", LEASE)).await.unwrap(), Begun::Acquired { attempt: 1 }));
    assert_eq!(processes(store.pool()).await, before);
}

#[tokio::test]
async fn what_its_caller_left_before_it_was_sent_is_not_done() {
    let (_proxy, store, direct) = behind_proxy(1).await;
    let taken = store.pool().acquire().await.unwrap();
    let left = timeout(Duration::from_millis(50), store.enqueue("q", vec![NewMessage::new("x")]));
    left.await.unwrap_err();
    drop(taken);
    store.begin(begin("next", LEASE)).await.unwrap();
    assert_eq!(direct.stats("q").await.unwrap().ready, 0);
}

#[tokio::test]
async fn more_callers_than_may_wait_are_refused_at_once_and_outcomes_are_not() {
    let (_proxy, store, _) = behind_proxy(1).await;
    let store = store.with_max_waiting(2);
    let done = begin("done", LEASE);
    store.begin(done).await.unwrap();
    let taken = store.pool().acquire().await.unwrap();
    let call = |key: &str| {
        let (store, begin) = (store.clone(), begin(key, LEASE));
        tokio::spawn(async move { store.begin(begin).await.map(|_| Instant::now()) })
    };
    // one at the pool, and two that wait
    let requests = [call("a"), call("b"), call("c")];
    sleep(Duration::from_millis(100)).await;
    let since = Instant::now();
    for _ in 0..10 {
        let refused = store.begin(begin("d", LEASE)).await.unwrap_err();
        assert_eq!(refused.what(), "too many calls wait for a connection");
        assert!(store.enqueue("q", vec![NewMessage::new("x")]).await.is_err());
    }
    assert!(since.elapsed() < Duration::from_millis(500), "{:?}", since.elapsed());
    let clone = store.clone();
    let outcome = tokio::spawn(async move {
        let completed = clone.complete(fence(&done), Recorded::Response(answer()), KEEP).await;
        completed.map(|fenced| (fenced, Instant::now()))
    });
    sleep(Duration::from_millis(100)).await;
    drop(taken);
    let (fenced, completed) = outcome.await.unwrap().unwrap();
    assert_eq!(fenced, Fenced::Done);
    let [_, _, last] = requests;
    assert!(last.await.unwrap().unwrap() > completed, "it does not wait behind all requests");
    store.begin(begin("d", LEASE)).await.unwrap();
}

#[tokio::test]
async fn where_a_queue_of_callers_stands_one_more_is_refused_before_its_caller_leaves() {
    let (_proxy, store, _) = behind_proxy(1).await;
    let taken = store.pool().acquire().await.unwrap();
    let call = |key: &str| {
        let (store, begin) = (store.clone(), begin(key, LEASE));
        tokio::spawn(async move { store.begin(begin).await })
    };
    // one at the pool, and one that waits
    let (at_the_pool, waits) = (call("a"), call("b"));
    sleep(Duration::from_millis(2_100)).await;
    let since = Instant::now();
    let refused = store.begin(begin("c", LEASE)).await.unwrap_err();
    assert_eq!(refused.what(), "too many calls wait for a connection");
    assert!(since.elapsed() < Duration::from_millis(1_500), "{:?}", since.elapsed());
    drop(taken);
    at_the_pool.await.unwrap().unwrap();
    waits.await.unwrap().unwrap();
    // the queue was empty: a burst waits again
    let taken = store.pool().acquire().await.unwrap();
    let (at_the_pool, waits) = (call("d"), call("e"));
    sleep(Duration::from_millis(1_300)).await;
    drop(taken);
    at_the_pool.await.unwrap().unwrap();
    waits.await.unwrap().unwrap();
}

#[tokio::test]
async fn requests_that_are_refused_a_connection_are_answered_503_at_once() {
    let (_proxy, store, _) = behind_proxy(1).await;
    let store = store.with_max_waiting(0);
    let taken = store.pool().acquire().await.unwrap();
    let clone = store.clone();
    let at_the_pool = tokio::spawn(async move { clone.begin(begin("a", LEASE)).await });
    sleep(Duration::from_millis(100)).await;
    let since = Instant::now();
    let app = App::counting(layer(&store));
    let keyed = app.post("b").await;
    assert_eq!((keyed.status, &keyed.headers["retry-after"]), (StatusCode::SERVICE_UNAVAILABLE, &"1".parse().unwrap()));
    let hook = Request::post("/").body(Body::from("{}")).unwrap();
    let accepted = Queue::new("q", store.clone()).accept().oneshot(hook).await.unwrap();
    assert_eq!(accepted.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(accepted.headers().contains_key("retry-after"));
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
    drop(taken);
    at_the_pool.await.unwrap().unwrap();
    // nobody may wait, not even until that connection is back in the pool
    let answered = timeout(SOON, async {
        while app.post("b").await.status != StatusCode::CREATED {
            sleep(Duration::from_millis(20)).await;
        }
    });
    answered.await.unwrap();
    assert_eq!(app.runs(), 1);
}

#[tokio::test]
async fn a_statement_that_is_never_answered_gives_its_place_back() {
    let (proxy, store, _) = behind_proxy(1).await;
    let store = store.with_response_timeout(Duration::from_millis(300)).with_lock_wait(Duration::from_millis(100));
    let lost = begin("lost", LEASE);
    store.begin(begin("first", LEASE)).await.unwrap();
    let hit = proxy.next_with(&lost.key.0, Fault::Hang);
    let error = timeout(SOON, store.begin(lost)).await.unwrap().unwrap_err();
    assert_eq!(error.what(), "the server did not answer in time");
    assert!(hit.has_happened());
    assert!(matches!(timeout(SOON, store.begin(lost)).await.unwrap().unwrap(), Begun::Acquired { attempt: 1 }));
}

#[tokio::test]
async fn a_connection_that_falls_silent_while_it_is_given_back_gives_its_place_back() {
    let (proxy, store, _) = behind_proxy(1).await;
    store.begin(begin("first", LEASE)).await.unwrap();
    while store.pool().num_idle() == 0 {
        sleep(Duration::from_millis(5)).await;
    }
    // sqlx's test, the statement, and sqlx's test
    let silent = proxy.nth(3, Fault::Hang);
    store.begin(begin("second", LEASE)).await.unwrap();
    timeout(4 * SOON, store.begin(begin("third", LEASE))).await.unwrap().unwrap();
    assert!(silent.has_happened());
}

/// From now on each of the pool's sessions only reads, as those do that a failover left with the old server.
async fn make_read_only(pool: &PgPool) {
    let mut held = Vec::new();
    for _ in 0..pool.options().get_max_connections() {
        held.push(pool.acquire().await.unwrap());
    }
    for conn in &mut held {
        sqlx::query("SET default_transaction_read_only = on").execute(&mut **conn).await.unwrap();
    }
}

#[tokio::test]
async fn sessions_that_only_read_are_replaced_and_no_call_fails() {
    let (_proxy, store, _) = behind_proxy(5).await;
    let queue = Queue::new("q", store.clone());
    for n in 0..2 {
        let key = n.to_string();
        let begin = begin(&key, LEASE);
        read_only_again(&store).await;
        store.begin(begin).await.unwrap();
        read_only_again(&store).await;
        store.complete(fence(&begin), Recorded::Response(answer()), KEEP).await.unwrap();
        // in one statement, and in a transaction
        let two = NewMessage::new("x").with_dedupe(format!("{key} a")).with_dedupe(format!("{key} b"));
        read_only_again(&store).await;
        store.enqueue("q", vec![NewMessage::new("x")]).await.unwrap();
        read_only_again(&store).await;
        store.enqueue("q", vec![two]).await.unwrap();
        read_only_again(&store).await;
        let claimed = store.claim("q", up_to(1)).await.unwrap();
        let dead = Settle::Dead { reason: Reason::Rejected, attempted: attempted("no") };
        read_only_again(&store).await;
        store.settle(vec![(claimed[0].lease(), dead)]).await.unwrap()[0].unwrap();
        read_only_again(&store).await;
        assert_eq!(queue.dead_letters().redrive(Filter::default()).await.unwrap().redriven, 1);
    }
}

/// As [`make_read_only`], once as many sessions may be replaced again: those of the pool twice in a second.
async fn read_only_again(store: &PostgresStore) {
    sleep(Duration::from_millis(1_100)).await;
    make_read_only(store.pool()).await;
}

#[tokio::test]
async fn where_no_session_can_write_it_is_said_and_connections_are_not_opened_without_end() {
    let (_proxy, store, direct) = behind_proxy(2).await;
    let name = store.pool().connect_options().get_database().unwrap().to_owned();
    shared().run("postgres", format!("ALTER DATABASE {name} SET default_transaction_read_only = on")).await;
    make_read_only(store.pool()).await;
    let mut seen = BTreeSet::new();
    let since = Instant::now();
    for n in 0..50 {
        let error = store.begin(begin(&n.to_string(), LEASE)).await.unwrap_err();
        assert_eq!(error.what(), "the server or the transaction is read-only");
        let pids: Vec<i32> = sqlx::query_scalar(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .fetch_all(direct.pool())
        .await
        .unwrap();
        seen.extend(pids);
    }
    let most = 30 + 2 * since.elapsed().as_secs();
    assert!(u64::try_from(seen.len()).unwrap() < most, "{} connections", seen.len());
    shared().run("postgres", format!("ALTER DATABASE {name} RESET default_transaction_read_only")).await;
    sleep(Duration::from_millis(1_100)).await;
    store.begin(begin("k", LEASE)).await.unwrap();
}

#[tokio::test]
async fn a_pool_by_its_options_gives_the_users_transaction_no_session_that_only_reads() {
    let url = shared().url(&shared().database().await);
    let pool = PostgresStore::pool_options().max_connections(3).min_connections(3).connect(&url).await.unwrap();
    let store = migrated(pool).await;
    let queue = Queue::new("q", store.clone());
    make_read_only(store.pool()).await;
    // one that is new is not asked
    sleep(Duration::from_millis(1_100)).await;
    for _ in 0..5 {
        let mut tx = store.pool().begin().await.unwrap();
        sqlx::query("INSERT INTO paid VALUES('k', 5)").execute(&mut *tx).await.unwrap();
        store.enqueue_in(&mut tx, &queue, NewMessage::new("x")).await.unwrap();
        tx.commit().await.unwrap();
    }
    assert_eq!(store.stats("q").await.unwrap().ready, 5);
}

#[tokio::test]
async fn prepared_statements_that_somebody_discarded_are_prepared_again() {
    let (_proxy, store, _) = behind_proxy(1).await;
    for key in ["a", "b", "c"] {
        store.begin(begin(key, LEASE)).await.unwrap();
        sqlx::raw_sql("DISCARD ALL").execute(store.pool()).await.unwrap();
    }
}

#[tokio::test]
async fn a_session_that_the_server_ends_is_replaced_without_an_error() {
    let (_proxy, store, direct) = behind_proxy(1).await;
    let mut conn = store.pool().acquire().await.unwrap();
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut *conn).await.unwrap();
    drop(conn);
    let held = begin("held", LEASE);
    direct.begin(held).await.unwrap();
    let mut tx = direct.pool().begin().await.unwrap();
    sqlx::query("SELECT FROM steadfast_idempotency FOR UPDATE").execute(&mut *tx).await.unwrap();
    let waits = tokio::spawn({
        let store = store.clone();
        async move { store.settled(fence(&held)).await }
    });
    sleep(Duration::from_millis(200)).await;
    sqlx::query("SELECT pg_terminate_backend($1)").bind(pid).execute(direct.pool()).await.unwrap();
    sleep(Duration::from_millis(200)).await;
    tx.commit().await.unwrap();
    assert_eq!(waits.await.unwrap().unwrap(), Fenced::Done);
}

#[tokio::test]
async fn a_session_that_the_server_ends_in_the_middle_of_a_transaction_of_the_store_is_replaced_as_well() {
    let (_proxy, store, direct) = behind_proxy(1).await;
    let mut conn = store.pool().acquire().await.unwrap();
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut *conn).await.unwrap();
    drop(conn);
    let queue = Queue::new("q", direct.clone());
    let mut tx = direct.pool().begin().await.unwrap();
    direct.enqueue_in(&mut tx, &queue, NewMessage::new("x").with_dedupe("a")).await.unwrap();
    let waits = tokio::spawn({
        let store = store.clone();
        // two keys: a transaction
        let message = NewMessage::new("y").with_dedupe("a").with_dedupe("b");
        async move { store.enqueue("q", vec![message]).await }
    });
    sleep(Duration::from_millis(200)).await;
    sqlx::query("SELECT pg_terminate_backend($1)").bind(pid).execute(direct.pool()).await.unwrap();
    sleep(Duration::from_millis(200)).await;
    tx.rollback().await.unwrap();
    assert!(matches!(waits.await.unwrap().unwrap()[..], [Enqueued::New(_)]));
}

#[test]
fn a_runtime_that_ends_in_the_middle_of_a_call_leaves_the_places_free() {
    let outer = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (proxy, store, _) = outer.block_on(behind_proxy(1));
    let inner = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    proxy.set(Fault::Hang);
    let clone = store.clone();
    inner.block_on(async move {
        timeout(Duration::from_millis(100), clone.begin(begin("k", LEASE))).await.unwrap_err();
    });
    drop(inner);
    proxy.set(Fault::Pass);
    outer.block_on(async {
        timeout(SOON, store.begin(begin("k", LEASE))).await.unwrap().unwrap();
        // and closing waits for nothing that is never given back
        timeout(SOON, store.pool().close()).await.unwrap();
        assert_eq!(store.begin(begin("l", LEASE)).await.unwrap_err().what(), "the pool is closed");
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_requests_at_once_over_ten_connections_are_all_served() {
    let store = migrated(pool(&shared().url(&shared().database().await)).await).await;
    let connections = PostgresStore::pool_options().max_connections(10);
    let ten = connections.connect_with((*store.pool().connect_options()).clone()).await.unwrap();
    let app = App::counting(layer(&PostgresStore::new(ten)));
    let mut calls = tokio::task::JoinSet::new();
    for n in 0..1_000 {
        let app = app.clone();
        calls.spawn(async move { app.post(&n.to_string()).await.status });
    }
    assert!(calls.join_all().await.into_iter().all(|status| status == StatusCode::CREATED));
    assert_eq!(app.runs(), 1_000);
}
