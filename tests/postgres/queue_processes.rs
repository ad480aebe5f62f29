//! Several processes on one queue, some of them killed.

use crate::{
    postgres_server::{pool, shared},
    queue::{count, keyed, store},
};
use std::{
    env,
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStderr, Command, Stdio},
    time::Duration,
};
use steadfast::{
    error::BoxError,
    queue::{Message, NewMessage, Queue, QueueStore, Worker},
    store::postgres::{PostgresStore, sqlx},
};
use tokio::time::{Instant, sleep, timeout};
use tower::service_fn;

const URL: &str = "STEADFAST_TEST_POSTGRES";
/// Long enough for a job on a busy machine, short enough to wait for it.
const LEASE: Duration = Duration::from_millis(400);

/// Writes down each attempt, in the user's own table, and says so.
async fn work(store: PostgresStore, message: Message, tell: bool) -> Result<(), BoxError> {
    let sql = "INSERT INTO effect(id, attempt) VALUES($1::text::uuid, $2)";
    let attempt = i32::try_from(message.attempt())?;
    sqlx::query(sql).bind(message.id().to_string()).bind(attempt).execute(store.pool()).await?;
    if tell {
        writeln!(std::io::stderr().lock(), "told {}", message.id())?;
    }
    sleep(Duration::from_millis(5)).await;
    Ok(())
}

fn worker(
    store: &PostgresStore,
    tell: bool,
) -> Worker<impl tower::Service<Message, Response = (), Error = BoxError, Future: Send> + Clone + Send + 'static> {
    let works = store.clone();
    let service = service_fn(move |message| work(works.clone(), message, tell));
    Worker::new(Queue::new("q", store.clone()), service).with_lease(LEASE).with_concurrency(4).with_max_attempts(1_000)
}

async fn table(store: &PostgresStore) {
    // the key: one claim an attempt, whichever process it is in
    let sql = "CREATE TABLE effect(id uuid, attempt int, PRIMARY KEY (id, attempt))";
    sqlx::query(sql).execute(store.pool()).await.unwrap();
}

async fn until_done(store: &PostgresStore, messages: u64) {
    let done = timeout(Duration::from_secs(60), async {
        while store.stats("q").await.unwrap().done < messages {
            sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(done.await.is_ok(), "{:?}", store.stats("q").await.unwrap());
}

/// The process that is killed, when it is started as one; by itself, the same work until all is done.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_at_work() {
    if let Ok(url) = env::var(URL) {
        let store = PostgresStore::new(pool(&url).await);
        return worker(&store, true).run(std::future::pending()).await;
    }
    let store = store().await;
    table(&store).await;
    store.enqueue("q", vec![NewMessage::new("x"), NewMessage::new("y")]).await.unwrap();
    worker(&store, false).run(until_done(&store, 2)).await;
    assert_eq!(count(&store, "SELECT count(*) FROM effect").await, 2);
}

struct Process {
    child: Child,
    told: BufReader<ChildStderr>,
}

impl Process {
    fn start(url: &str) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "queue_processes::a_process_at_work", "--nocapture", "--test-threads=1"])
            .env(URL, url)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let told = BufReader::new(child.stderr.take().unwrap());
        Self { child, told }
    }

    /// Until it has told of so many messages.
    fn hear(&mut self, lines: usize) {
        let mut heard = 0;
        while heard < lines {
            let mut line = String::new();
            assert!(self.told.read_line(&mut line).unwrap() > 0, "it ended by itself");
            heard += usize::from(line.starts_with("told "));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_are_killed_and_every_message_is_done_and_none_twice_but_after_its_lease() {
    const MESSAGES: u64 = 600;
    let store = store().await;
    table(&store).await;
    let url = shared().url(store.pool().connect_options().get_database().unwrap());
    for n in 0..MESSAGES / 100 {
        let batch = (0..100).map(|m| keyed("x", &[&format!("{n}-{m}")])).collect();
        store.enqueue("q", batch).await.unwrap();
    }
    let mut random = fastrand::Rng::with_seed(9);
    let mut processes = [Process::start(&url), Process::start(&url)];
    for round in 0..10 {
        let victim = &mut processes[round % 2];
        tokio::task::block_in_place(|| victim.hear(random.usize(1..40)));
        // dropped: killed in the middle of whatever it does
        *victim = Process::start(&url);
    }
    until_done(&store, MESSAGES).await;
    drop(processes);
    let stats = store.stats("q").await.unwrap();
    assert_eq!((stats.done, stats.open(), stats.dead), (MESSAGES, 0, 0));
    let effects = "SELECT count(DISTINCT id) FROM effect";
    assert_eq!(count(&store, effects).await, i64::try_from(MESSAGES).unwrap(), "every one of them is done");
    // whatever was begun again had lapsed: each attempt but the last one stands in the history as a crash
    let again = "SELECT count(*) FROM steadfast_queue q WHERE attempt - 1 <>
        (SELECT count(*) FROM steadfast_attempt a WHERE a.row_id = q.row_id AND outcome = 'crashed')";
    assert_eq!(count(&store, again).await, 0, "no attempt without a lapsed one before it");
    let unknown = "SELECT count(*) FROM effect e LEFT JOIN steadfast_queue q USING (id)
        WHERE q.id IS NULL OR e.attempt > q.attempt";
    assert_eq!(count(&store, unknown).await, 0);
    let killed = count(&store, "SELECT count(*) FROM steadfast_queue WHERE attempt > 1").await;
    assert!((1..=10 * 4).contains(&killed), "{killed} were begun again: at most what ten kills had in hand");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_here_wakes_a_worker_in_another_process() {
    let store = store().await;
    table(&store).await;
    let url = shared().url(store.pool().connect_options().get_database().unwrap());
    let mut process = Process::start(&url);
    let queue = Queue::new("q", store.clone());
    crate::queue_transactions::is_heard(&store, 1).await;
    let mut shortest = Duration::MAX;
    for _ in 0..5 {
        // by now it has found nothing and waits
        sleep(Duration::from_millis(100)).await;
        let mut tx = store.pool().begin().await.unwrap();
        store.enqueue_in(&mut tx, &queue, NewMessage::new("x")).await.unwrap();
        let since = Instant::now();
        tx.commit().await.unwrap();
        tokio::task::block_in_place(|| process.hear(1));
        shortest = shortest.min(since.elapsed());
    }
    assert!(shortest < Duration::from_millis(200), "{shortest:?}: sooner than it would look by itself");
}
