use super::support::{KEEP, LEASE, answer, begin, fence, store};
use std::time::Duration;
use steadfast::{
    idempotency::{IdempotencyStore as _, Recorded},
    store::postgres::{PostgresStore, sqlx},
};
use tokio::time::timeout;

/// So many records that have expired, the oldest first.
async fn expired(store: &PostgresStore, count: i32) {
    let sql = "INSERT INTO steadfast_idempotency (key, fp_version, fp, token, attempt, state, lease_until, expires_at)
        SELECT decode(md5(n::text), 'hex'), 1, '', '', 1, 2, now(), now() - n * interval '1 s' FROM generate_series(1, $1) n";
    sqlx::query(sql).bind(count).execute(store.pool()).await.unwrap();
}

async fn rows(store: &PostgresStore) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM steadfast_idempotency").fetch_one(store.pool()).await.unwrap()
}

#[tokio::test]
async fn a_sweep_takes_so_many_and_leaves_what_runs_or_is_kept() {
    let store = store().await;
    let (runs, kept, lapsed) = (begin("runs", LEASE), begin("kept", LEASE), begin("lapsed", Duration::ZERO));
    for begin in [runs, kept, lapsed] {
        store.begin(begin).await.unwrap();
    }
    store.complete(fence(&kept), Recorded::Response(answer()), KEEP).await.unwrap();
    expired(&store, 25).await;
    for swept in [10, 10, 5, 0] {
        assert_eq!(store.sweep(10).await.unwrap(), swept);
    }
    assert_eq!(rows(&store).await, 3);
}

#[tokio::test]
async fn two_who_sweep_at_once_share_the_work_and_nobody_waits_for_a_row() {
    let store = store().await;
    expired(&store, 100).await;
    let mut tx = store.pool().begin().await.unwrap();
    sqlx::query("SELECT FROM steadfast_idempotency LIMIT 10 FOR UPDATE").execute(&mut *tx).await.unwrap();
    let (one, other) = tokio::join!(store.sweep(100), timeout(Duration::from_secs(5), store.sweep(100)));
    assert_eq!(one.unwrap() + other.unwrap().unwrap(), 90);
    tx.rollback().await.unwrap();
    assert_eq!(store.sweep(100).await.unwrap(), 10);
}

/// With nothing to sweep, none of the records is looked at.
#[tokio::test]
async fn a_sweep_goes_by_the_index() {
    let store = store().await;
    let sql = "INSERT INTO steadfast_idempotency (key, fp_version, fp, token, attempt, state, lease_until, expires_at)
        SELECT decode(md5(n::text), 'hex'), 1, '', '', 1, 2, now(), now() + n * interval '1 h'
        FROM generate_series(1, 20000) n";
    sqlx::query(sql).execute(store.pool()).await.unwrap();
    sqlx::query("ANALYZE steadfast_idempotency").execute(store.pool()).await.unwrap();
    assert_eq!(store.sweep(500).await.unwrap(), 0);
    let sql = include_str!("../../src/store/postgres/idempotency/sweep.sql").replace("$1", "500");
    let plan = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("EXPLAIN (ANALYZE, TIMING OFF, COSTS OFF) {sql}")));
    let plan: Vec<String> = plan.fetch_all(store.pool()).await.unwrap();
    let plan = plan.join("\n");
    assert!(plan.contains("Index Cond: (expires_at <= statement_timestamp())"), "{plan}");
    assert!(!plan.contains("Rows Removed by Filter"), "{plan}");
}
