//! What errors say, and what they do not.

use super::{
    postgres_server::{pool, shared},
    support::{LEASE, begin, fence, store},
};
use std::{error::Error, time::Duration};
use steadfast::{
    error::StoreError,
    idempotency::IdempotencyStore as _,
    store::postgres::{PostgresStore, sqlx::postgres::PgPoolOptions},
};

/// All that could reach a log.
fn all_of(error: &StoreError) -> String {
    let mut all = vec![format!("{error:?} {error}")];
    let mut source = error.source();
    while let Some(error) = source {
        all.push(format!("{error:?} {error}"));
        source = error.source();
    }
    all.join(" ")
}

#[tokio::test]
async fn no_error_and_no_debug_has_the_password() {
    let address = shared().address();
    let urls = [
        format!("postgres://nobody:s3cr3t@{address}/nowhere"),
        format!("postgres://postgres:s3cr3t@{address}/nowhere"),
        "postgres://postgres:s3cr3t@127.0.0.1:port/nowhere".to_owned(),
        "postgres://postgres:s3cr3t@127.0.0.1/x?sslmode=perhaps".to_owned(),
        "postgres://postgres:s3cr3t@[/nowhere".to_owned(),
    ];
    for url in urls {
        let error = PostgresStore::connect(&url).await.unwrap_err();
        assert!(!all_of(&error).contains("s3cr3t"), "{}", all_of(&error));
    }
    // sqlx tries a port on which nobody listens again and again
    let options = PgPoolOptions::new().acquire_timeout(Duration::from_millis(100));
    let store = PostgresStore::new(options.connect_lazy("postgres://postgres:s3cr3t@127.0.0.1:1/nowhere").unwrap());
    let away = store.begin(begin("k", LEASE)).await.unwrap_err();
    assert_eq!(away.what(), "no connection in time: the server is away, or the pool used up");
    assert!(away.is_refused() && !away.is_full(), "nothing was sent");
    assert!(!all_of(&away).contains("s3cr3t"), "{}", all_of(&away));
    assert_eq!(format!("{store:?}"), "PostgresStore { name: \"nowhere\", .. }");
}

#[tokio::test]
async fn what_went_wrong_is_said_in_a_few_words() {
    let address = shared().address();
    let connect = async |url: String| PostgresStore::connect(&url).await.unwrap_err().what();
    let of = |user: &str, database: &str| format!("postgres://{user}@{address}/{database}");
    assert_eq!(connect(of("nobody", "postgres")).await, "the server refused the user or the password");
    assert_eq!(connect(of("postgres", "nowhere")).await, "there is no such database");
    assert_eq!(connect("no url".to_owned()).await, "the address or the settings of the server are wrong");
}

#[tokio::test]
async fn without_tables_it_says_so() {
    let store = PostgresStore::new(shared().pool().await);
    let missing = store.begin(begin("k", LEASE)).await.unwrap_err();
    assert_eq!(missing.what(), "a table or a column is missing: was the schema migrated?");
}

#[tokio::test]
async fn a_role_without_rights_and_a_server_that_only_reads_say_so() {
    let server = shared();
    let name = server.database().await;
    PostgresStore::connect(&server.url(&name)).await.unwrap().migrate().await.unwrap();
    server.run(&name, "CREATE ROLE stranger LOGIN".to_owned()).await;
    let stranger = PostgresStore::connect(&server.url(&name).replace("postgres@", "stranger@")).await.unwrap();
    assert_eq!(stranger.begin(begin("k", LEASE)).await.unwrap_err().what(), "the role has not the right to do that");
    let reads = format!("{}?options=-cdefault_transaction_read_only%3Don", server.url(&name));
    let reads = PostgresStore::connect(&reads).await.unwrap();
    assert_eq!(reads.begin(begin("k", LEASE)).await.unwrap_err().what(), "the server or the transaction is read-only");
}

#[tokio::test]
async fn a_pool_that_is_used_up_or_closed_says_so() {
    let url = shared().url(&shared().database().await);
    let options = PgPoolOptions::new().max_connections(1).acquire_timeout(Duration::from_millis(100));
    let store = PostgresStore::new(options.connect(&url).await.unwrap());
    store.migrate().await.unwrap();
    let taken = store.pool().acquire().await.unwrap();
    let used_up = store.settled(fence(&begin("k", LEASE))).await.unwrap_err();
    assert_eq!(used_up.what(), "no connection in time: the server is away, or the pool used up");
    drop(taken);
    store.pool().close().await;
    assert_eq!(store.begin(begin("k", LEASE)).await.unwrap_err().what(), "the pool is closed");
}

#[tokio::test]
async fn a_statement_that_the_server_cuts_off_says_so() {
    let server = shared();
    let name = server.database().await;
    PostgresStore::connect(&server.url(&name)).await.unwrap().migrate().await.unwrap();
    let hasty = format!("{}?options=-cstatement_timeout%3D200", server.url(&name));
    let store = PostgresStore::new(pool(&hasty).await);
    let begin = begin("k", LEASE);
    store.begin(begin).await.unwrap();
    let patient = pool(&server.url(&name)).await;
    let mut tx = patient.begin().await.unwrap();
    let lock = steadfast::store::postgres::sqlx::query("SELECT FROM steadfast_idempotency FOR UPDATE");
    lock.execute(&mut *tx).await.unwrap();
    let cut = store.settled(fence(&begin)).await.unwrap_err();
    assert_eq!(cut.what(), "the statement took too long, or was cancelled");
}

#[tokio::test]
async fn the_registry_shows_the_pool() {
    let store = store().await.with_name("records of the test");
    let all = steadfast::registry().snapshot();
    let shown = all.iter().find(|entry| entry.name == "records of the test").unwrap();
    assert_eq!(shown.kind, "store");
    assert_eq!(shown.state[0], ("connections", u64::from(store.pool().size()).into()));
}
