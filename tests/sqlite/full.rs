//! A file that has no room, and whose records have expired.

use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use std::{convert::Infallible, num::NonZeroU64, path::Path, time::Duration};
use steadfast::{
    idempotency::{Begin, Fence, Fingerprint, IdempotencyLayer, IdempotencyStore as _, Recorded, Scope, StoreKey},
    idempotency::{StoredResponse, Token},
    store::sqlite::{SqliteConfig, SqliteStore},
};
use tokio::time::sleep;
use tower::{Layer as _, ServiceBuilder, ServiceExt as _, service_fn};

/// Larger than a page, so that it lies in pages of its own.
const ANSWER: usize = 20_000;
const KEEP: Duration = Duration::from_secs(1);

fn open(path: &Path) -> SqliteStore {
    let config = SqliteConfig::new().with_max_bytes(NonZeroU64::new(1 << 20).unwrap());
    SqliteStore::open_with(path, config).unwrap()
}

fn begin(key: usize) -> Begin {
    let fingerprint = Fingerprint { version: Fingerprint::VERSION, hash: [1; 32] };
    let lease = Duration::from_secs(30);
    Begin { key: StoreKey::new(b"", &key.to_string()), fingerprint, token: Token::random(), lease, take_over: None }
}

/// Records answers until no further claim has room.
async fn fill(store: &SqliteStore) {
    let answer = Recorded::Response(StoredResponse::new(StatusCode::OK, vec![b'x'; ANSWER]));
    let mut n = 0;
    loop {
        let claimed = begin(n);
        match store.begin(claimed).await {
            Ok(_) => {}
            Err(error) => {
                assert!(error.is_full() && error.is_refused(), "{error:?}");
                return;
            }
        }
        let fence = Fence { key: claimed.key, token: claimed.token };
        if let Err(error) = store.complete(fence, answer.clone(), KEEP).await {
            assert!(error.is_full(), "{error:?}");
            // there may be no room for that either: then it stays a claim
            let _ = store.complete(fence, Recorded::NotRetained, KEEP).await;
        }
        n += 1;
        assert!(n < 100_000, "it never fills up");
    }
}

async fn post(store: &SqliteStore, key: &str) -> StatusCode {
    let layer = IdempotencyLayer::new(store.clone(), Scope::shared()).with_keep(KEEP);
    let answer = || Full::<bytes::Bytes>::from(vec![b'x'; ANSWER]);
    let handler =
        service_fn(
            move |_: Request<Full<bytes::Bytes>>| async move { Ok::<_, Infallible>(http::Response::new(answer())) },
        );
    let service = ServiceBuilder::new().layer(layer.clone()).service(handler);
    let request = Request::post("/").header("idempotency-key", key).body(Full::default()).unwrap();
    let response = service.oneshot(request).await.unwrap();
    let status = response.status();
    response.into_body().collect().await.unwrap();
    layer.drained().await;
    status
}

async fn records(store: &SqliteStore) -> i64 {
    let count = "SELECT count(*) FROM steadfast_idempotency";
    store.read(move |conn| Ok(conn.query_row(count, [], |row| row.get(0))?)).await.unwrap()
}

#[tokio::test]
async fn a_file_full_of_expired_records_takes_new_keys_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    let store = open(&path);
    fill(&store).await;
    let full = records(&store).await;
    sleep(KEEP + KEEP / 4).await;
    for n in 0..50 {
        assert_eq!(post(&store, &format!("{n}")).await, StatusCode::OK, "key {n}");
    }
    assert!(records(&store).await < full, "{} records, and {full} when it was full", records(&store).await);

    sleep(KEEP + KEEP / 4).await;
    fill(&store).await;
    drop(store);
    sleep(KEEP + KEEP / 4).await;
    let store = open(&path);
    assert_eq!(post(&store, "after-a-restart").await, StatusCode::OK);
}

/// Records answers that are kept for an hour, until the next one has no room. A claim is smaller.
async fn fill_for_an_hour(store: &SqliteStore) {
    let hour = Duration::from_secs(3600);
    let answer = Recorded::Response(StoredResponse::new(StatusCode::OK, vec![b'x'; ANSWER]));
    for n in 0..100_000 {
        let claimed = begin(n);
        store.begin(claimed).await.unwrap();
        let fence = Fence { key: claimed.key, token: claimed.token };
        if let Err(error) = store.complete(fence, answer.clone(), hour).await {
            assert!(error.is_full(), "{error:?}");
            store.complete(fence, Recorded::NotRetained, hour).await.unwrap();
            return;
        }
    }
    panic!("it never fills up");
}

#[tokio::test]
async fn answers_that_find_no_room_do_not_wait_for_it_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("store.db"));
    fill_for_an_hour(&store).await;
    let layer = IdempotencyLayer::new(store.clone(), Scope::shared());
    let post = |key: usize| {
        let handler = service_fn(|_: Request<Full<bytes::Bytes>>| async {
            Ok::<_, Infallible>(http::Response::new(Full::<bytes::Bytes>::from(vec![b'x'; ANSWER])))
        });
        let request =
            Request::post("/").header("idempotency-key", format!("late-{key}")).body(Full::default()).unwrap();
        layer.layer(handler).oneshot(request)
    };
    for key in 0..5 {
        assert_eq!(post(key).await.unwrap().status(), StatusCode::OK);
    }
    let drained = tokio::time::timeout(Duration::from_secs(20), layer.drained()).await;
    let running = "SELECT count(*) FROM steadfast_idempotency WHERE state = 0";
    let running: i64 = store.read(move |conn| Ok(conn.query_row(running, [], |row| row.get(0))?)).await.unwrap();
    assert_eq!((drained.is_ok(), running), (true, 0));
    let repeated = post(0).await.unwrap();
    assert_eq!(repeated.status(), StatusCode::CONFLICT, "done, and not executed again");
}

#[tokio::test]
async fn the_expired_records_of_a_process_that_lives_for_a_second_are_removed_by_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    for process in 0..3 {
        let store = SqliteStore::open(&path).unwrap();
        for n in 0..20 {
            assert_eq!(post(&store, &format!("{process}-{n}")).await, StatusCode::OK);
        }
        sleep(KEEP + KEEP / 4).await;
    }
    let store = SqliteStore::open(&path).unwrap();
    post(&store, "last").await;
    for _ in 0..100 {
        if records(&store).await == 1 {
            return;
        }
        sleep(Duration::from_millis(20)).await;
    }
    panic!("{} records", records(&store).await);
}
