//! What a request costs, counted by the server.

use super::{
    postgres_server::{pool, shared},
    support::{App, KEEP, LEASE, answer, begin, created, fence, layer, migrated, pay},
};
use std::time::Duration;
use steadfast::{
    idempotency::{IdempotencyStore as _, Recorded},
    store::postgres::{PostgresStore, sqlx},
};

/// A store in a database whose statements stand in the server's log; and the name of the database.
async fn watched() -> (PostgresStore, String) {
    let server = shared();
    let name = server.database().await;
    migrated(pool(&server.url(&name)).await).await;
    server.run("postgres", format!("ALTER DATABASE {name} SET log_statement = 'all'")).await;
    (PostgresStore::new(pool(&server.url(&name)).await), name)
}

/// Statements that were run in a database, `BEGIN` and `COMMIT` too.
fn statements(name: &str) -> usize {
    let log = shared().log();
    let of = format!("{name}: LOG:  ");
    log.lines().filter_map(|line| line.strip_prefix(&of)).filter(|line| is_statement(line)).count()
}

/// A sweep is behind the requests and at most one for 250 of them: it is not counted. Its SQL begins with this comment.
fn is_statement(line: &str) -> bool {
    let is_sweep = line.contains("-- $1 at most so many");
    !is_sweep && (line.starts_with("execute ") || line.starts_with("statement: "))
}

async fn counted(name: &str, work: impl Future) -> usize {
    let before = statements(name);
    work.await;
    statements(name) - before
}

#[tokio::test]
async fn a_miss_is_two_statements_and_a_hit_is_one() {
    let (store, name) = watched().await;
    let app = App::counting(layer(&store));
    for key in ["a", "b"] {
        assert_eq!(counted(&name, app.post(key)).await, 2);
        assert_eq!(counted(&name, app.post(key)).await, 1);
    }
    assert_eq!(app.runs(), 2);
}

#[tokio::test]
async fn in_the_users_transaction_the_record_is_one_more_and_the_layer_asks_one() {
    let (store, name) = watched().await;
    let app = App::new(layer(&store), {
        let store = store.clone();
        move |claim| {
            let store = store.clone();
            async move {
                pay(&store, &claim).await.unwrap().commit().await.unwrap();
                created()
            }
        }
    });
    // begin; BEGIN, the user's INSERT, the record, COMMIT; settled
    assert_eq!(counted(&name, app.post("k")).await, 6);
    assert_eq!(counted(&name, app.post("k")).await, 1);
}

#[tokio::test]
async fn a_replay_writes_nothing() {
    let (store, _) = watched().await;
    let (done, running) = (begin("done", LEASE), begin("running", LEASE));
    store.begin(done).await.unwrap();
    store.begin(running).await.unwrap();
    store.complete(fence(&done), Recorded::Response(answer()), KEEP).await.unwrap();
    let next = async || -> i64 {
        let sql = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint";
        sqlx::query_scalar(sql).fetch_one(store.pool()).await.unwrap()
    };
    // transaction numbers are the whole server's, and other tests take some: the fewest of several tries
    let mut fewest = i64::MAX;
    for _ in 0..20 {
        let before = next().await;
        for key in ["done", "running"] {
            store.begin(begin(key, LEASE)).await.unwrap();
        }
        fewest = fewest.min(next().await - before);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(fewest, 0, "neither a replay nor a conflict is a transaction that writes");
}
