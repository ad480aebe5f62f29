//! `PgBouncer` in transaction mode, with the settings that the docs print.

use super::{
    pgbouncer_server::{PgBouncer, documented},
    postgres_server::shared,
    queue::{count, keyed, up_to},
    support::{App, KEEP, LEASE, answer, begin, created, fence, layer, migrated},
};
use http::StatusCode;
use std::time::Duration;
use steadfast::{
    idempotency::{Begun, Fenced, IdempotencyStore as _, Recorded},
    queue::{Enqueued, NewMessage, Queue, QueueStore as _, Settle},
    store::postgres::{
        PostgresStore,
        sqlx::{self, AssertSqlSafe, PgPool, Row as _, postgres::PgPoolOptions},
    },
    testing::{idempotency_contract, queue_contract},
};
use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};

/// More clients than the pooler has connections to the server: `default_pool_size` in the docs.
const CLIENTS: u32 = 40;

async fn pool(url: &str) -> PgPool {
    let pool = PostgresStore::pool_options().max_connections(CLIENTS).min_connections(CLIENTS);
    pool.acquire_timeout(Duration::from_secs(30)).connect(url).await.unwrap()
}

/// As the docs say: its settings, and a URL without prepared statements.
async fn behind_pooler() -> (PgBouncer, PostgresStore) {
    let bouncer = PgBouncer::start(shared(), &documented());
    let url = format!("{}?statement-cache-capacity=0", bouncer.url(&shared().database().await));
    let store = migrated(pool(&url).await).await;
    (bouncer, store)
}

/// Uses all of the server's connections in turn, for as long as it is not dropped.
fn others(store: &PostgresStore) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for n in 0..30 {
        let store = store.clone();
        tasks.spawn(async move {
            for round in 0.. {
                let begin = begin(&format!("other {n} {round}"), LEASE);
                store.begin(begin).await.unwrap();
                store.stats("others").await.unwrap();
                store.release(fence(&begin)).await.unwrap();
            }
        });
    }
    tasks
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_pooler_the_store_keeps_the_laws_of_records_and_queues() {
    let (_bouncer, store) = behind_pooler().await;
    store.migrate().await.unwrap();
    let _others = others(&store);
    idempotency_contract(&store).await.unwrap();
    queue_contract(&store).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_pooler_each_of_many_clients_gets_its_own_answers() {
    let (_bouncer, store) = behind_pooler().await;
    let mut clients = JoinSet::new();
    for n in 0..CLIENTS {
        let store = store.clone();
        clients.spawn(async move {
            for round in 0..10 {
                let name = format!("{n} {round}");
                let begin = begin(&name, LEASE);
                assert!(matches!(store.begin(begin).await.unwrap(), Begun::Acquired { attempt: 1 }));
                let recorded = Recorded::Response(answer());
                assert_eq!(store.complete(fence(&begin), recorded.clone(), KEEP).await.unwrap(), Fenced::Done);
                assert_eq!(store.get(begin.key).await.unwrap(), Some(recorded));
                // in a transaction of its own, because of its two keys
                let message = || keyed(&name, &[&name, &format!("{name} again")]);
                let Enqueued::New(id) = store.enqueue("q", vec![message()]).await.unwrap()[0] else { panic!("{name}") };
                assert_eq!(store.enqueue("q", vec![message()]).await.unwrap(), [Enqueued::Duplicate(id)]);
                let claimed = store.claim("q", up_to(1)).await.unwrap();
                let leases: Vec<_> = claimed.iter().map(|message| (message.lease(), Settle::Done)).collect();
                assert_eq!(store.settle(leases).await.unwrap(), [Ok(())]);
            }
        });
    }
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    assert_eq!(store.stats("q").await.unwrap().done, u64::from(CLIENTS) * 10);
    let servers = "SELECT count(DISTINCT pid) FROM pg_stat_activity WHERE datname = current_database()";
    let row = sqlx::raw_sql(servers).fetch_one(store.pool()).await.unwrap();
    let servers: i64 = row.get::<i64, _>(0);
    assert!(servers > 1 && servers < i64::from(CLIENTS), "{servers} connections to the server");
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_pooler_the_users_transaction_holds_record_and_message() {
    let (_bouncer, store) = behind_pooler().await;
    let _others = others(&store);
    let receipts = Queue::new("receipts", store.clone());
    let app = App::new(layer(&store), {
        let (store, receipts) = (store.clone(), receipts.clone());
        move |claim| {
            let (store, receipts) = (store.clone(), receipts.clone());
            async move {
                let mut tx = store.pool().begin().await.unwrap();
                // the user's own statements are not prepared either
                let key = claim.key().as_str();
                sqlx::query("INSERT INTO paid VALUES($1, 5)")
                    .persistent(false)
                    .bind(key)
                    .execute(&mut *tx)
                    .await
                    .unwrap();
                store.enqueue_in(&mut tx, &receipts, keyed(key, &[key, "both"])).await.unwrap();
                store.complete_in(&mut tx, &claim, &answer()).await.unwrap();
                if key.starts_with("lost") {
                    tx.rollback().await.unwrap();
                } else {
                    tx.commit().await.unwrap();
                }
                created()
            }
        }
    });
    assert_eq!(app.post("lost").await.status, StatusCode::INTERNAL_SERVER_ERROR);
    for key in ["a", "b", "c"] {
        assert_eq!(app.post(key).await.status, StatusCode::CREATED);
        assert!(app.post(key).await.replayed());
    }
    assert_eq!(receipts.stats().await.unwrap().ready, 1, "of three with one key");
    let row = sqlx::raw_sql("SELECT count(*) FROM paid").fetch_one(store.pool()).await.unwrap();
    assert_eq!(row.get::<i64, _>(0), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_pooler_nothing_is_listened_to_and_waits_look_by_themselves() {
    let (_bouncer, store) = behind_pooler().await;
    let direct =
        PostgresStore::connect(&shared().url(store.pool().connect_options().get_database().unwrap())).await.unwrap();
    let waiting = tokio::spawn({
        let store = store.clone();
        async move {
            loop {
                store.wait("q").await;
                let claimed = store.claim("q", up_to(1)).await.unwrap();
                if !claimed.is_empty() {
                    return claimed;
                }
            }
        }
    });
    tokio::time::sleep(Duration::from_millis(400)).await;
    let listeners = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'";
    assert_eq!(count(&direct, listeners).await, 0);
    let since = Instant::now();
    direct.enqueue("q", vec![NewMessage::new("x")]).await.unwrap();
    timeout(Duration::from_secs(5), waiting).await.unwrap().unwrap();
    assert!(since.elapsed() < Duration::from_secs(2), "{:?}", since.elapsed());
}

#[tokio::test]
async fn without_the_line_for_startup_parameters_the_pooler_refuses_to_connect() {
    let documented = documented();
    let lines = documented.split_inclusive('\n').filter(|line| !line.starts_with("ignore_startup_parameters"));
    let without: String = lines.collect();
    assert_ne!(without, documented);
    let bouncer = PgBouncer::start(shared(), &without);
    let refused = PostgresStore::connect(&bouncer.url("postgres")).await.unwrap_err();
    let source = std::error::Error::source(&refused).unwrap().to_string();
    assert!(source.contains("unsupported startup parameter: extra_float_digits"), "{source}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_prepared_statements_a_pooler_that_does_not_track_them_fails_and_the_store_can_be_told() {
    let bouncer = PgBouncer::start(shared(), &documented());
    let url = bouncer.url(&shared().database().await);
    let options = || PgPoolOptions::new().max_connections(CLIENTS).min_connections(CLIENTS);
    let store = PostgresStore::new(options().connect(&url).await.unwrap()).with_transaction_pooler(true);
    store.migrate().await.unwrap();
    let work = |store: PostgresStore, round: u32| async move {
        let mut clients = JoinSet::new();
        for n in 0..CLIENTS {
            let store = store.clone();
            clients.spawn(async move { store.begin(begin(&format!("{n} {round}"), LEASE)).await });
        }
        clients.join_all().await.into_iter().filter(Result::is_err).count()
    };
    assert_eq!(work(store.clone(), 0).await, 0);
    assert!(work(store.with_transaction_pooler(false), 1).await > 0, "the names of statements meet");
}

/// Why the store has a transaction around each statement, and why users need one: the docs say so.
#[tokio::test(flavor = "multi_thread")]
async fn behind_a_pooler_statements_that_are_not_prepared_still_meet_without_a_transaction() {
    let (_bouncer, store) = behind_pooler().await;
    let mut clients = JoinSet::new();
    for n in 0..CLIENTS {
        let store = store.clone();
        clients.spawn(async move {
            let mut wrong = 0;
            for round in 0..10 {
                let add = sqlx::query(AssertSqlSafe(format!("SELECT $1::int8 + {n}"))).bind(round).persistent(false);
                let sum = add.fetch_one(store.pool()).await.and_then(|row| row.try_get::<i64, _>(0));
                wrong += usize::from(!sum.is_ok_and(|sum| sum == round + i64::from(n)));
            }
            wrong
        });
    }
    assert!(clients.join_all().await.into_iter().sum::<usize>() > 0);
}
