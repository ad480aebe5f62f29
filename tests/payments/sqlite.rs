use crate::{
    example::Example,
    kills::{Books, survives},
};
use steadfast::{error::StoreError, queue::QueueStore, store::sqlite::SqliteStore};

static EXAMPLE: Example = Example::new("payments_sqlite");

async fn books(store: SqliteStore) -> Books {
    let stats = store.stats("receipts").await.unwrap();
    let read = store.read(|conn| {
        let count = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, i64>(0));
        let mut amounts = conn.prepare("SELECT amount FROM payment ORDER BY amount")?;
        let amounts = amounts.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        let recorded = count("SELECT count(*) FROM steadfast_idempotency WHERE state = 1")?;
        let in_flight = count("SELECT count(*) FROM steadfast_idempotency WHERE state = 0")?;
        let messages = count("SELECT count(*) FROM steadfast_queue")?;
        Ok::<_, StoreError>((amounts, recorded, in_flight, messages))
    });
    let (amounts, recorded, in_flight, messages) = read.await.unwrap();
    let [recorded, in_flight, messages] = [recorded, in_flight, messages].map(i64::unsigned_abs);
    Books { amounts, recorded, in_flight, messages, sent: stats.done, dead: stats.dead }
}

#[tokio::test]
async fn killed_at_random_moments_payments_answers_and_receipts_are_as_many_as_keys() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("payments.db");
    let database = [("DATABASE", file.display().to_string())];
    survives(&EXAMPLE, &database, || async { books(SqliteStore::open(&file).unwrap()).await }).await;
}
