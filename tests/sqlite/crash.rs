//! Processes that are killed. What they were answered, they wrote to a pipe first; that is what must be true afterwards.

use super::{business::send, rows, with_table};
use std::{
    collections::BTreeMap,
    env,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};
use steadfast::{
    queue::{Claim, Filter, NewMessage, QueueStore, Reason, Settle},
    store::sqlite::SqliteStore,
};

const FILE: &str = "STEADFAST_TEST_FILE";
const ROUNDS: u32 = 25;

/// Enqueues, claims and settles; tells each answer. `most` times, or until it is killed.
async fn work(store: &SqliteStore, most: usize, mut tell: impl FnMut(String)) {
    for n in 0..most {
        let id = store.enqueue("q", vec![NewMessage::new(n.to_string())]).await.unwrap()[0].id();
        tell(format!("enqueued {id} 0"));
        let claim = Claim { limit: 2, lease: Duration::from_millis(1), max_attempts: u32::MAX };
        let claimed = store.claim("q", claim).await.unwrap();
        for message in &claimed {
            tell(format!("claimed {} {}", message.id(), message.attempt()));
        }
        if let Some(message) = claimed.first()
            && store.settle(vec![(message.lease(), Settle::Done)]).await.unwrap()[0].is_ok()
        {
            tell(format!("done {} {}", message.id(), message.attempt()));
        }
    }
}

/// The process that is killed, when it is started as one; by itself, the same work once.
#[tokio::test]
async fn a_process_at_work() {
    let tell = |line: String| {
        let mut out = std::io::stderr().lock();
        writeln!(out, "told {line}").unwrap();
    };
    if let Ok(file) = env::var(FILE) {
        return work(&SqliteStore::open(file).unwrap(), usize::MAX, tell).await;
    }
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path().join("store.db")).unwrap();
    work(&store, 3, |_| ()).await;
    let stats = store.stats("q").await.unwrap();
    assert_eq!(stats.open() + stats.done, 3);
}

/// The same for business: write, record and message in one transaction each.
#[tokio::test]
async fn a_process_that_is_paid() {
    if let Ok(file) = env::var(FILE) {
        let store = SqliteStore::open(file).unwrap();
        let process = std::process::id();
        for n in 0.. {
            // unlike every other, also those of the processes before
            let amount = i64::from(process) * 1_000_000 + n;
            assert_eq!(send(&store, &format!("key-{amount}"), &amount.to_string()).await.0, http::StatusCode::CREATED);
            let mut out = std::io::stderr().lock();
            writeln!(out, "told paid {amount} 0").unwrap();
        }
    }
    let (_dir, store) = with_table().await;
    assert_eq!(send(&store, "key", "7").await.0, http::StatusCode::CREATED);
    assert_eq!(rows(&store).await, [7]);
}

/// Starts one of the tests above as a process on `file`.
fn start(test: &str, file: &Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(FILE, file)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// What was told about a message: its greatest attempt, and whether it was done.
type Told = BTreeMap<String, (u32, bool)>;

/// Reads until enough was told, kills, and reads the rest: the kernel keeps what was written.
fn kill_after(mut child: Child, lines: usize, told: &mut Told) {
    let mut seen = 0;
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        let line = line.unwrap_or_default();
        let words: Vec<_> = line.split(' ').collect();
        if let ["told", what, id, attempt] = words[..] {
            let known = told.entry(id.to_owned()).or_default();
            known.0 = known.0.max(attempt.parse().unwrap());
            known.1 |= what == "done";
            seen += 1;
        }
        if seen == lines {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(seen >= lines, "it ended by itself");
}

#[tokio::test]
async fn what_was_answered_survives_a_kill_and_attempts_are_exact() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    let mut told = Told::new();
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..ROUNDS {
        kill_after(start("crash::a_process_at_work", &path), random.usize(1..60), &mut told);
    }
    let store = SqliteStore::open(&path).unwrap();
    let found: BTreeMap<String, (u32, u8)> = store
        .read(|conn| {
            let mut select = conn.prepare("SELECT lower(hex(id)), attempt, state FROM steadfast_queue")?;
            let rows = select.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
        .unwrap();
    let mut untold = 0;
    for (id, (attempt, done)) in &told {
        let (stored, state) = found[&id.replace('-', "")];
        assert!(stored >= *attempt, "{id}: attempt {attempt} was told, {stored} is stored");
        assert!(!done || (state == 3 && stored == *attempt), "{id} was done in attempt {attempt}: {state}, {stored}");
        untold += stored - attempt;
    }
    // a claim that was committed and not told any more: one call a kill, two messages a call
    assert!(untold <= 2 * ROUNDS, "{untold} attempts that nobody was told of");
    assert!(found.len() <= told.len() + ROUNDS as usize, "messages that nobody enqueued");
    assert!(store.dead("q", &Filter::all(), None, 1).await.unwrap().is_empty());
    // each attempt that ended with its process stands in the history
    let open: i64 = store
        .read(|conn| {
            let sql = "SELECT count(*) FROM steadfast_queue q WHERE min(attempt, 33) <> 1 + (SELECT count(*)
                FROM steadfast_attempt a WHERE a.row = q.row AND outcome = 'crashed') AND state = 2";
            Ok(conn.query_row(sql, [], |row| row.get(0))?)
        })
        .await
        .unwrap();
    assert_eq!(open, 0, "a lapsed claim is one entry");
}

#[tokio::test]
async fn killed_anywhere_write_record_and_message_are_there_together() {
    let (dir, store) = with_table().await;
    let mut told = Told::new();
    let mut random = fastrand::Rng::with_seed(8);
    for _ in 0..ROUNDS {
        let child = start("crash::a_process_that_is_paid", &dir.path().join("store.db"));
        kill_after(child, random.usize(1..20), &mut told);
    }
    let count = async |sql: &'static str| {
        store.read(move |conn| Ok(conn.query_row(sql, [], |row| row.get::<_, i64>(0))?)).await.unwrap()
    };
    let written = rows(&store).await;
    let effects = i64::try_from(written.len()).unwrap();
    assert_eq!(count("SELECT count(*) FROM steadfast_queue").await, effects);
    assert_eq!(count("SELECT count(*) FROM steadfast_idempotency WHERE state = 1").await, effects);
    assert!(count("SELECT count(*) FROM steadfast_idempotency WHERE state = 0").await <= i64::from(ROUNDS));
    for amount in told.keys() {
        assert!(written.contains(&amount.parse().unwrap()), "{amount} was paid");
    }
}

#[tokio::test]
async fn a_message_that_kills_its_process_ends_as_crashed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    let claim = Claim { limit: 1, lease: Duration::from_millis(1), max_attempts: 3 };
    SqliteStore::open(&path).unwrap().enqueue("q", vec![NewMessage::new("poison")]).await.unwrap();
    for attempt in 1..=3 {
        let store = SqliteStore::open(&path).unwrap(); // as a new process would
        assert_eq!(store.claim("q", claim).await.unwrap()[0].attempt(), attempt);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let store = SqliteStore::open(&path).unwrap();
    assert!(store.claim("q", claim).await.unwrap().is_empty());
    let letter = store.dead("q", &Filter::all(), None, 1).await.unwrap().remove(0);
    assert_eq!((letter.reason, letter.attempts), (Reason::Crashed, 3));
    let history: Vec<_> = letter.history.iter().map(|entry| (entry.attempt, entry.outcome.as_str())).collect();
    assert_eq!(history, [(1, "crashed"), (2, "crashed"), (3, "crashed")]);
}
