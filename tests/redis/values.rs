//! Values that do not belong there: an error, and never a run.

use crate::{
    redis_server::RedisServer,
    support::{App, KEEP, answer, begin, fence, layer, names, store},
};
use http::StatusCode;
use std::time::Duration;
use steadfast::{
    error::StoreError,
    idempotency::{IdempotencyStore as _, Recorded},
    store::redis::RedisStore,
};

const UNREADABLE: &str = "under the key lies no record that this version of steadfast can read";

/// What every call says of the value under this key.
async fn said(store: &RedisStore, key: &str) -> Vec<&'static str> {
    let begin = begin(key);
    let fence = fence(&begin);
    let what = |error: StoreError| error.what();
    vec![
        store.begin(begin).await.map_err(what).unwrap_err(),
        store.complete(fence, Recorded::NotRetained, KEEP).await.map_err(what).unwrap_err(),
        store.renew(fence, begin.lease).await.map_err(what).unwrap_err(),
        store.release(fence).await.map_err(what).unwrap_err(),
        store.settled(fence).await.map_err(what).unwrap_err(),
        store.get(fence.key).await.map_err(what).unwrap_err(),
    ]
}

#[tokio::test]
async fn what_is_no_record_is_a_clear_error_and_never_a_run() {
    let server = RedisServer::start();
    let store = store(&server).await;
    let app = App::new(layer(store.clone()).with_lease(Duration::from_millis(100)), Duration::ZERO);
    app.post("k").await;
    let name = names(&server).remove(0);
    let newer = format!("s2{}", "x".repeat(75));
    for (command, value, what) in [
        ("LPUSH", "x", "under the key lies another kind of value"),
        ("SET", "x", UNREADABLE),
        ("SET", "somebody else's, and as long as a record of this crate is, or even a little longer", UNREADABLE),
        ("SET", &newer, UNREADABLE),
    ] {
        server.cli(&["DEL", &name]);
        server.cli(&[command, &name, value]);
        assert_eq!(said(&store, "k").await, [what; 6], "{command} {value}");
        let seen = app.post("k").await;
        assert_eq!((seen.status, app.runs()), (StatusCode::SERVICE_UNAVAILABLE, 1), "{command} {value}");
        app.layer.drained().await;
        assert_eq!(server.cli(&["EXISTS", &name]), "1", "it is not ours to remove");
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_a_clear_error() {
    let server = RedisServer::start();
    let store = store(&server).await;
    let first = begin("k");
    store.begin(first).await.unwrap();
    store.complete(fence(&first), answer("x"), KEEP).await.unwrap();
    server.cli(&["SETRANGE", &names(&server)[0], "77", "?"]);
    assert_eq!(store.begin(begin("k")).await.unwrap_err().what(), UNREADABLE);
    assert_eq!(store.get(first.key).await.unwrap_err().what(), UNREADABLE);
}
