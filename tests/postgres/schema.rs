use super::postgres_server::shared;
use std::error::Error;
use steadfast::store::postgres::{
    PostgresStore,
    sqlx::{self, AssertSqlSafe, Connection, PgConnection, PgPool, Row},
};
use tokio::task::JoinSet;

/// Every column of the store's tables, and every index.
async fn tables(pool: &PgPool) -> Vec<String> {
    let sql = "SELECT format('%s.%s %s %s', table_name, column_name, data_type, is_nullable)
        FROM information_schema.columns WHERE table_name LIKE 'steadfast%'
        UNION ALL SELECT indexdef FROM pg_indexes WHERE tablename LIKE 'steadfast%'
        UNION ALL SELECT format('%s = %s', part, version) FROM steadfast_schema ORDER BY 1";
    sqlx::query(sql).fetch_all(pool).await.unwrap().iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn of_many_who_migrate_at_once_one_does_and_all_succeed() {
    let pool = shared().pool().await;
    let mut all = JoinSet::new();
    for _ in 0..12 {
        let store = PostgresStore::new(pool.clone());
        all.spawn(async move { store.migrate().await });
    }
    for migrated in all.join_all().await {
        migrated.unwrap();
    }
    assert!(tables(&pool).await.iter().any(|line| line.starts_with("steadfast_idempotency.key bytea")));
}

#[tokio::test]
async fn it_migrates_where_every_transaction_is_serializable_unless_told() {
    let server = shared();
    let name = server.database().await;
    let serializable = format!("ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'");
    server.run("postgres", serializable).await;
    let pool = super::postgres_server::pool(&server.url(&name)).await;
    let mut all = JoinSet::new();
    for _ in 0..8 {
        let store = PostgresStore::new(pool.clone());
        all.spawn(async move { store.migrate().await });
    }
    for migrated in all.join_all().await {
        migrated.unwrap();
    }
}

#[tokio::test]
async fn the_schema_that_is_given_out_is_the_one_that_is_made() {
    let (made, by_hand) = (shared().pool().await, shared().pool().await);
    PostgresStore::new(made.clone()).migrate().await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(PostgresStore::schema())).execute(&by_hand).await.unwrap();
    assert_eq!(tables(&made).await, tables(&by_hand).await);
    PostgresStore::new(by_hand).migrate().await.expect("nothing is left to do");
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_alone() {
    let pool = shared().pool().await;
    let store = PostgresStore::new(pool.clone());
    store.migrate().await.unwrap();
    sqlx::query("UPDATE steadfast_schema SET version = 99 WHERE part = 'idempotency'").execute(&pool).await.unwrap();
    let before = tables(&pool).await;
    let refused = store.migrate().await.unwrap_err();
    assert_eq!(refused.what(), "the tables are those of a newer version of steadfast");
    let known = refused.source().unwrap().to_string();
    assert!(known.starts_with("idempotency has schema 99, this version of steadfast knows up to "), "{known}");
    assert_eq!(tables(&pool).await, before);
}

#[tokio::test]
async fn a_role_without_rights_is_told_and_needs_none_where_all_is_there() {
    let server = shared();
    let name = server.database().await;
    server.run(&name, "CREATE ROLE reader LOGIN; REVOKE CREATE ON SCHEMA public FROM PUBLIC".to_owned()).await;
    let url = server.url(&name).replace("postgres@", "reader@");
    let reader = PostgresStore::connect(&url).await.unwrap();
    assert_eq!(reader.migrate().await.unwrap_err().what(), "the role has not the right to do that");
    PostgresStore::connect(&server.url(&name)).await.unwrap().migrate().await.unwrap();
    server.run(&name, "GRANT SELECT ON steadfast_schema TO reader".to_owned()).await;
    reader.migrate().await.unwrap();
}

#[tokio::test]
async fn tables_are_those_of_the_search_path() {
    let server = shared();
    let name = server.database().await;
    server.run(&name, "CREATE SCHEMA app".to_owned()).await;
    let url = format!("{}?options=-csearch_path%3Dapp", server.url(&name));
    PostgresStore::connect(&url).await.unwrap().migrate().await.unwrap();
    let mut conn = PgConnection::connect(&server.url(&name)).await.unwrap();
    let sql = "SELECT DISTINCT schemaname FROM pg_tables WHERE tablename LIKE 'steadfast%'";
    let schemas: Vec<String> = sqlx::query_scalar(sql).fetch_all(&mut conn).await.unwrap();
    assert_eq!(schemas, ["app"]);
}

/// Tables of version 1, as the first version of this crate left them: what lies in them is still there, and counts go on.
#[tokio::test]
async fn tables_of_version_1_are_brought_up_to_date_and_lose_nothing() {
    use steadfast::queue::{Claim, Filter, QueueStore};
    let pool = shared().pool().await;
    sqlx::raw_sql(include_str!("../../src/store/postgres/schema/versions.sql")).execute(&pool).await.unwrap();
    sqlx::raw_sql(include_str!("../../src/store/postgres/schema/queue_1.sql")).execute(&pool).await.unwrap();
    sqlx::raw_sql(
        "INSERT INTO steadfast_schema(part, version) VALUES('queue', 1);
         INSERT INTO steadfast_queue(id, queue, state, due, attempt, enqueued_at, expires_at, max_age, reason, body)
         VALUES(gen_random_uuid(), 'q', 1, 1, 3, 1, 9000000000000000, 9000000000000000, NULL, 'a'),
               (gen_random_uuid(), 'q', 4, 1, 7, 1, 9000000000000000, 9000000000000000, 'exhausted', 'b');",
    )
    .execute(&pool)
    .await
    .unwrap();
    let store = PostgresStore::new(pool.clone());
    store.migrate().await.unwrap();
    let claim = Claim { limit: 10, lease: std::time::Duration::from_secs(600), max_attempts: 1_000 };
    let message = store.claim("q", claim).await.unwrap().remove(0);
    assert_eq!(
        (message.body().as_ref(), message.attempt(), message.not_sent(), message.refused()),
        (&b"a"[..], 4, 0, 0)
    );
    let letter = store.dead("q", &Filter::all(), None, 10).await.unwrap().remove(0);
    assert_eq!((letter.attempts, letter.not_sent, letter.refused), (7, 0, 0));
    assert!(tables(&pool).await.contains(&"queue = 3".to_owned()));
}
