use crate::{
    example::Example,
    kills::{Books, survives},
    postgres_server,
};
use steadfast::{
    queue::QueueStore,
    store::postgres::{
        PostgresStore,
        sqlx::{PgPool, query_scalar},
    },
};

static EXAMPLE: Example = Example::new("payments_postgres");

async fn books(pool: &PgPool) -> Books {
    let count = async |sql: &'static str| query_scalar::<_, i64>(sql).fetch_one(pool).await.unwrap().unsigned_abs();
    let amounts: Vec<i64> = query_scalar("SELECT amount FROM payment ORDER BY amount").fetch_all(pool).await.unwrap();
    let stats = PostgresStore::new(pool.clone()).stats("receipts").await.unwrap();
    Books {
        amounts: amounts.into_iter().map(|amount| u32::try_from(amount).unwrap()).collect(),
        recorded: count("SELECT count(*) FROM steadfast_idempotency WHERE state = 1").await,
        in_flight: count("SELECT count(*) FROM steadfast_idempotency WHERE state = 0").await,
        messages: count("SELECT count(*) FROM steadfast_queue").await,
        sent: stats.done,
        dead: stats.dead,
    }
}

#[tokio::test]
async fn killed_at_random_moments_payments_answers_and_receipts_are_as_many_as_keys() {
    let server = postgres_server::shared();
    let url = server.url(&server.database().await);
    let pool = PgPool::connect(&url).await.unwrap();
    survives(&EXAMPLE, &[("DATABASE_URL", url)], || books(&pool)).await;
}

#[tokio::test]
async fn without_a_database_it_says_what_is_missing() {
    let output = EXAMPLE.command().await.env_remove("DATABASE_URL").output().await.unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("DATABASE_URL is to be set: postgres://"), "{output:?}");
}
