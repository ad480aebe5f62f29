//! What the queue promises beyond the contract: batches, keys, claims and what Postgres cannot keep.

use crate::postgres_server::shared;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use steadfast::{
    queue::{Attempted, Claim, Enqueued, Filter, Message, NewMessage, Queue, QueueStore, Reason, Settle, Stats},
    store::postgres::{
        PostgresStore,
        sqlx::{self, AssertSqlSafe},
    },
    testing::queue_contract,
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

/// Over a new database.
pub(crate) async fn store() -> PostgresStore {
    let store = PostgresStore::new(shared().pool().await);
    store.migrate().await.unwrap();
    store
}

/// On the same database, as another process has it.
pub(crate) async fn elsewhere(store: &PostgresStore) -> PostgresStore {
    let options = (*store.pool().connect_options()).clone();
    PostgresStore::new(sqlx::postgres::PgPoolOptions::new().connect_with(options).await.unwrap())
}

pub(crate) async fn count(store: &PostgresStore, sql: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(store.pool()).await.unwrap()
}

pub(crate) fn up_to(limit: usize) -> Claim {
    Claim { limit, lease: Duration::from_secs(600), max_attempts: 1_000 }
}

pub(crate) fn keyed(body: &str, keys: &[&str]) -> NewMessage {
    keys.iter().fold(NewMessage::new(body.to_owned()), |message, key| message.with_dedupe(*key))
}

pub(crate) fn attempted(error: &str) -> Attempted {
    Attempted {
        attempt: 1,
        at: std::time::SystemTime::UNIX_EPOCH,
        duration: Duration::from_nanos(1_234_567),
        outcome: "refused".into(),
        status: None,
        error: error.into(),
    }
}

async fn enqueue(store: &PostgresStore, message: NewMessage) -> Enqueued {
    store.enqueue("q", vec![message]).await.unwrap()[0]
}

async fn stats(store: &PostgresStore) -> Stats {
    store.stats("q").await.unwrap()
}

#[tokio::test]
async fn it_keeps_the_laws_of_queues() {
    queue_contract(&store().await).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_claim_at_once_never_get_the_same_message() {
    let store = store().await;
    let stores = [store.clone(), elsewhere(&store).await];
    let batch = (0..600).map(|n| NewMessage::new(n.to_string())).collect();
    store.enqueue("q", batch).await.unwrap();
    let mut tasks = JoinSet::new();
    for task in 0..16 {
        let store = stores[task % 2].clone();
        tasks.spawn(async move {
            let mut claimed = Vec::new();
            // nothing free does not mean nothing left: another claim may hold what it does not take
            while store.stats("q").await.unwrap().ready > 0 {
                claimed.extend(store.claim("q", up_to(1 + task % 7)).await.unwrap());
            }
            claimed
        });
    }
    let claimed: Vec<Message> = tasks.join_all().await.into_iter().flatten().collect();
    let ids: BTreeSet<_> = claimed.iter().map(Message::id).collect();
    assert_eq!((claimed.len(), ids.len()), (600, 600));
    assert!(claimed.iter().all(|message| message.attempt() == 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn lapsed_leases_are_taken_over_once_and_every_attempt_is_counted() {
    let store = store().await;
    store.enqueue("q", (0..20).map(|n| NewMessage::new(n.to_string())).collect()).await.unwrap();
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let store = store.clone();
        tasks.spawn(async move {
            let claim = Claim { limit: 3, lease: Duration::from_millis(1), max_attempts: 100_000 };
            let mut claimed = Vec::new();
            for _ in 0..60 {
                claimed.extend(store.claim("q", claim).await.unwrap());
            }
            claimed
        });
    }
    let mut attempts: BTreeMap<_, Vec<u32>> = BTreeMap::new();
    for message in tasks.join_all().await.into_iter().flatten() {
        attempts.entry(message.id()).or_default().push(message.attempt());
    }
    for attempts in attempts.values_mut() {
        attempts.sort_unstable();
        assert_eq!(*attempts, (1..=u32::try_from(attempts.len()).unwrap()).collect::<Vec<_>>(), "one claim an attempt");
    }
    let noted = "SELECT count(*) FROM steadfast_queue q WHERE least(attempt - 1, 32) <>
        (SELECT count(*) FROM steadfast_attempt a WHERE a.row_id = q.row_id AND outcome = 'crashed')";
    assert_eq!(count(&store, noted).await, 0, "a lapsed claim is one entry");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_bring_the_same_keys_in_any_order_one_is_new() {
    let store = store().await;
    let mut tasks = JoinSet::new();
    for task in 0..60_usize {
        let store = store.clone();
        tasks.spawn(async move {
            let mut keys = ["a", "b", "c"];
            keys.rotate_left(task % 3);
            let batch = vec![keyed("first", &keys), keyed("second", &[&format!("{}", task % 5), keys[1]])];
            store.enqueue("q", batch).await.unwrap()
        });
    }
    let answers: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
    let new: Vec<_> = answers.iter().filter(|answer| matches!(answer, Enqueued::New(_))).collect();
    assert_eq!(new.len(), 1, "all of them share a key");
    assert!(answers.iter().all(|answer| answer.id() == new[0].id()), "and all are told of it");
    assert_eq!(stats(&store).await.ready, 1);
}

#[tokio::test]
async fn a_batch_is_as_if_each_came_after_the_other() {
    let store = store().await;
    let known = enqueue(&store, keyed("", &["known"])).await.id();
    let batch = vec![
        keyed("0", &["known", "free"]), // brings nothing
        keyed("1", &["free", "free"]),  // so this one is new
        keyed("2", &["other", "free"]),
        keyed("3", &["other"]),
        keyed("4", &[]),
    ];
    let answers = store.enqueue("q", batch).await.unwrap();
    assert_eq!(answers[0], Enqueued::Duplicate(known));
    assert!(matches!(answers[1], Enqueued::New(_)));
    assert_eq!(answers[2], Enqueued::Duplicate(answers[1].id()));
    assert!(matches!(answers[3], Enqueued::New(_)), "what a duplicate brought is not known");
    assert!(matches!(answers[4], Enqueued::New(_)));
    let bodies: Vec<_> = store.claim("q", up_to(9)).await.unwrap();
    assert_eq!(bodies.iter().map(|m| &m.body()[..]).collect::<Vec<_>>(), [&b""[..], b"1", b"3", b"4"]);
}

#[tokio::test]
async fn one_key_each_twice_in_a_batch_is_one_message() {
    let store = store().await;
    let first = enqueue(&store, keyed("", &["known"])).await.id();
    let batch = vec![keyed("", &["known"]), keyed("", &["new"]), keyed("", &["known"]), keyed("", &["new"])];
    let answers = store.enqueue("q", batch).await.unwrap();
    let Enqueued::New(second) = answers[1] else { panic!("{answers:?}") };
    let (of_first, of_second) = (Enqueued::Duplicate(first), Enqueued::Duplicate(second));
    assert_eq!(answers, [of_first, Enqueued::New(second), of_first, of_second]);
    assert_eq!(stats(&store).await.ready, 2);
}

#[tokio::test]
async fn a_batch_of_many_statements_is_there_as_a_whole_or_not_at_all() {
    let store = store().await;
    let mut batch: Vec<_> = (0..2_500).map(|n| keyed(&n.to_string(), &[&n.to_string()])).collect();
    batch.push(NewMessage::new("last").with_topic("zero\0"));
    assert!(store.enqueue("q", batch.clone()).await.is_err());
    assert_eq!((stats(&store).await.open(), count(&store, "SELECT count(*) FROM steadfast_dedupe").await), (0, 0));
    batch.pop();
    batch.push(keyed("again", &["7"]));
    let answers = store.enqueue("q", batch).await.unwrap();
    assert_eq!((answers.len(), answers[2_500]), (2_501, Enqueued::Duplicate(answers[7].id())));
    let claimed = store.claim("q", up_to(2_501)).await.unwrap();
    let bodies: Vec<_> = claimed.iter().map(|m| std::str::from_utf8(m.body()).unwrap().to_owned()).collect();
    assert_eq!(bodies, (0..2_500).map(|n| n.to_string()).collect::<Vec<_>>(), "in the order of the batch");
}

#[tokio::test]
async fn large_bodies_come_back_as_they_were() {
    let store = store().await;
    let large: Vec<u8> = (0..=u8::MAX).cycle().take(20 << 20).collect();
    let batch = vec![NewMessage::new("small"), NewMessage::new(large.clone()), NewMessage::new("small")];
    store.enqueue("q", batch).await.unwrap();
    let claimed = store.claim("q", up_to(3)).await.unwrap();
    assert!(claimed[1].body() == &large, "{} bytes", claimed[1].body().len());
}

#[tokio::test]
async fn any_key_is_a_key() {
    let store = store().await;
    let long = "k".repeat(10_000);
    let keys = ["", "\0", "a\0", "a", &long, &format!("{long}k"), &long[..255], &long[..256], &long[..224]];
    for key in keys {
        assert!(matches!(enqueue(&store, keyed("", &[key])).await, Enqueued::New(_)), "{} bytes", key.len());
    }
    for key in keys {
        assert!(matches!(enqueue(&store, keyed("", &[key])).await, Enqueued::Duplicate(_)), "{} bytes", key.len());
    }
}

#[tokio::test]
async fn what_postgres_cannot_keep_is_refused_before_it_is_sent_and_an_error_text_is_not() {
    let store = store().await;
    for message in [NewMessage::new("").with_topic("\0"), NewMessage::new("").with_destination("\0")] {
        let refused = store.enqueue("q", vec![message]).await.unwrap_err();
        assert_eq!(refused.what(), "topics and destinations in Postgres hold no character zero");
    }
    for name in ["\0", &"q".repeat(256)] {
        assert!(store.enqueue(name, vec![NewMessage::new("")]).await.is_err());
        assert!(store.claim(name, up_to(1)).await.is_err());
        assert!(store.stats(name).await.is_err());
    }
    let id = enqueue(&store, NewMessage::new("\0")).await.id();
    let message = store.claim("q", up_to(1)).await.unwrap().remove(0);
    assert_eq!(message.body(), "\0");
    let dead = Settle::Dead { reason: Reason::Rejected, attempted: attempted("a\0b") };
    store.settle(vec![(message.lease(), dead)]).await.unwrap()[0].unwrap();
    let letter = store.dead("q", &Filter::all(), None, 1).await.unwrap().remove(0);
    assert_eq!((letter.history[0].error.as_str(), letter.body.as_ref()), ("a\u{fffd}b", &b"\0"[..]));
    assert!(store.dead("q", &Filter::all().topic("\0"), None, 1).await.unwrap().is_empty());
    assert_eq!(store.redrive("q", &[id], "me\0").await.unwrap(), 1);
}

#[tokio::test]
async fn a_lease_that_stands_twice_in_a_batch_is_settled_once() {
    let store = store().await;
    enqueue(&store, NewMessage::new("")).await;
    let lease = store.claim("q", up_to(1)).await.unwrap()[0].lease();
    let retry = Settle::Retry { after: Duration::ZERO, attempted: attempted("once") };
    let answers = store.settle(vec![(lease, retry.clone()), (lease, Settle::Done), (lease, retry)]).await.unwrap();
    assert_eq!(answers.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, false]);
    assert_eq!((stats(&store).await.ready, stats(&store).await.done), (1, 0));
    let lease = store.claim("q", up_to(1)).await.unwrap()[0].lease();
    let extended = store.extend(vec![lease, lease], Duration::from_secs(60)).await.unwrap();
    assert!(extended.iter().all(Result::is_ok));
}

#[tokio::test]
async fn many_that_are_too_old_do_not_hide_one_that_is_not() {
    let store = store().await;
    let old = (0..600).map(|_| NewMessage::new("old").with_max_age(Duration::ZERO)).collect();
    store.enqueue("q", old).await.unwrap();
    enqueue(&store, NewMessage::new("young")).await;
    let claimed = store.claim("q", up_to(1)).await.unwrap();
    assert_eq!(claimed[0].body(), "young");
    assert_eq!(stats(&store).await.dead, 600);
}

#[tokio::test]
async fn those_that_were_looked_at_and_not_taken_are_as_they_were() {
    let store = store().await;
    let old = || NewMessage::new("old").with_max_age(Duration::ZERO);
    store
        .enqueue("q", vec![old(), NewMessage::new("a"), old(), NewMessage::new("b"), NewMessage::new("c")])
        .await
        .unwrap();
    let short = Claim { limit: 1, lease: Duration::from_millis(1), max_attempts: 9 };
    let first = store.claim("q", short).await.unwrap();
    assert_eq!((first.len(), first[0].body().as_ref()), (1, &b"a"[..]));
    sleep(Duration::from_millis(5)).await;
    // `a` has lapsed and is behind the others: it is looked at
    let next = store.claim("q", up_to(1)).await.unwrap();
    assert_eq!(next[0].body(), "b");
    let rest = store.claim("q", up_to(5)).await.unwrap();
    let rest: Vec<_> = rest.iter().map(|message| (&message.body()[..], message.attempt())).collect();
    assert_eq!(rest, [(&b"c"[..], 1), (b"a", 2)]);
    assert_eq!(count(&store, "SELECT count(*) FROM steadfast_attempt WHERE outcome = 'crashed'").await, 1);
}

#[tokio::test]
async fn a_row_that_cannot_be_read_does_not_hold_up_those_beside_it() {
    let store = store().await;
    store.enqueue("q", ["a", "broken", "b"].map(NewMessage::new).into()).await.unwrap();
    let broken = r"UPDATE steadfast_queue SET headers = '\x0102' WHERE body = 'broken'";
    sqlx::query(broken).execute(store.pool()).await.unwrap();
    let claimed = store.claim("q", up_to(3)).await.unwrap();
    assert_eq!(claimed.iter().map(|message| &message.body()[..]).collect::<Vec<_>>(), [b"a", b"b"]);
}

/// An enqueue that is dropped anywhere is either done or not: what it brought is known exactly if it is there.
#[tokio::test(flavor = "multi_thread")]
async fn an_enqueue_that_was_given_up_and_is_repeated_is_there_once() {
    let store = store().await;
    let mut random = fastrand::Rng::with_seed(3);
    let mut given_up = 0;
    for n in 0..150 {
        let name = n.to_string();
        let message = if n % 2 == 0 { keyed(&name, &[&name]) } else { keyed(&name, &[&name, &format!("{n}-digest")]) };
        let limit = Duration::from_micros(random.u64(0..3_000));
        // by time, and by polls too: a fast server would be done before any of these times
        let mut polls = random.u32(1..=6);
        // boxed, and moved in: it is dropped before the same is enqueued again
        let mut call = Box::pin(enqueue(&store, message.clone()));
        let polled = std::future::poll_fn(move |cx| match call.as_mut().poll(cx) {
            std::task::Poll::Pending if polls == 0 => std::task::Poll::Ready(false),
            std::task::Poll::Pending => {
                polls -= 1;
                std::task::Poll::Pending
            }
            std::task::Poll::Ready(_) => std::task::Poll::Ready(true),
        });
        given_up += u32::from(timeout(limit, polled).await != Ok(true));
        enqueue(&store, message).await;
    }
    assert!(given_up > 10, "only {given_up} were given up");
    let wrong = "SELECT count(*) FROM (SELECT body FROM steadfast_queue GROUP BY 1 HAVING count(*) <> 1) AS wrong";
    assert_eq!((stats(&store).await.ready, count(&store, wrong).await), (150, 0));
}

/// A `begin` that is dropped on its way leaves its connection in a transaction that sqlx knows nothing of.
#[tokio::test(flavor = "multi_thread")]
async fn with_the_pool_options_of_the_store_no_given_up_begin_swallows_what_comes_after() {
    let outside = store().await;
    let options = (*outside.pool().connect_options()).clone();
    let one = PostgresStore::pool_options().max_connections(1).connect_with(options).await.unwrap();
    let store = PostgresStore::new(one);
    let mut random = fastrand::Rng::with_seed(11);
    for n in 1..=200 {
        let limit = Duration::from_micros(random.u64(0..500));
        let _ = timeout(limit, store.pool().begin()).await;
        enqueue(&store, keyed("x", &[&n.to_string()])).await;
        assert_eq!(stats(&outside).await.open(), n, "enqueued and not committed");
    }
}

#[tokio::test]
async fn a_row_that_somebody_locks_is_passed_over_and_does_not_keep_workers_busy() {
    let store = store().await;
    store.enqueue("q", ["locked", "free"].map(NewMessage::new).into()).await.unwrap();
    let mut tx = store.pool().begin().await.unwrap();
    let lock = "SELECT FROM steadfast_queue WHERE body = 'locked' FOR UPDATE";
    sqlx::query(lock).execute(&mut *tx).await.unwrap();
    assert_eq!(store.claim("q", up_to(2)).await.unwrap()[0].body(), "free");
    let since = Instant::now();
    let mut looks = 0;
    while since.elapsed() < Duration::from_millis(300) {
        assert!(store.claim("q", up_to(2)).await.unwrap().is_empty());
        store.wait("q").await;
        looks += 1;
    }
    assert!(looks <= 61, "{looks} looks in 300 ms");
    tx.rollback().await.unwrap();
    assert_eq!(store.claim("q", up_to(2)).await.unwrap()[0].body(), "locked");
}

#[tokio::test]
async fn a_key_that_an_open_transaction_holds_is_not_waited_for_without_end() {
    let store = store().await.with_lock_wait(Duration::from_millis(100));
    let queue = Queue::new("q", store.clone());
    let mut tx = store.pool().begin().await.unwrap();
    store.enqueue_in(&mut tx, &queue, keyed("x", &["a", "b"])).await.unwrap();
    for keys in [&["a"][..], &["c", "b"]] {
        let refused = timeout(Duration::from_secs(5), store.enqueue("q", vec![keyed("y", keys)])).await.unwrap();
        assert_eq!(refused.unwrap_err().what(), "another transaction holds the row for too long");
    }
    tx.commit().await.unwrap();
    assert_eq!(stats(&store).await.ready, 1);
}

#[tokio::test]
async fn a_pool_of_one_connection_is_enough() {
    let store = store().await;
    let options = (*store.pool().connect_options()).clone();
    let one = sqlx::postgres::PgPoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
    let store = PostgresStore::new(one);
    let waiting = store.clone();
    let waiting = tokio::spawn(async move { waiting.wait("q").await });
    sleep(Duration::from_millis(100)).await;
    let queue = Queue::new("q", store.clone());
    let mut tx = store.pool().begin().await.unwrap();
    store.enqueue_in(&mut tx, &queue, keyed("x", &["a", "b"])).await.unwrap();
    tx.commit().await.unwrap();
    timeout(Duration::from_secs(5), waiting).await.unwrap().unwrap();
    assert_eq!(store.claim("q", up_to(1)).await.unwrap().len(), 1);
}
