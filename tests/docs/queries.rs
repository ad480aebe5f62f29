//! The queries that the documentation prints for operators are run, on a queue with messages in every
//! state: 1 waiting, 2 parked, 3 claimed, 4 done and 5 dead.

use crate::{page::detailed, postgres_server::shared};
use rusqlite::{Connection, types::ValueRef};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};
use steadfast::{
    queue::{Attempted, Claim, DeadLetter, Filter, Message, MessageId, NewMessage, QueueStore, Reason, Settle},
    store::{
        postgres::{
            PostgresStore,
            sqlx::{self, AssertSqlSafe},
        },
        sqlite::{SqliteStore, rusqlite},
    },
};

const HOUR: Duration = Duration::from_secs(3600);
const STATES: [&str; 5] = ["waiting", "parked", "claimed", "done", "dead"];

/// The names and values of a row, in order.
type Row = Vec<(String, Value)>;

/// `<!-- sql: sqlite -->` and `<!-- sql: postgres -->`: one statement a line.
fn statements(database: &str) -> Vec<(String, String)> {
    let blocks = detailed("sql", database, &["sqlite", "postgres"]).into_iter();
    let lines = |block: crate::page::Block| {
        let numbered = (block.line + 1..).zip(block.code.lines().map(str::to_owned).collect::<Vec<_>>());
        numbered.map(move |(line, sql)| (format!("{}:{line}", block.file), sql)).collect::<Vec<_>>()
    };
    let statements: Vec<_> = blocks.flat_map(lines).collect();
    assert!(statements.len() > 2, "only {} statements for {database} found", statements.len());
    statements
}

/// Fills a queue.
async fn fill(store: &dyn QueueStore) -> Vec<DeadLetter> {
    let waiting = NewMessage::new("waits").with_delay(HOUR);
    let others = (0..14).map(|n| NewMessage::new(n.to_string()));
    store.enqueue("orders", std::iter::once(waiting).chain(others).collect()).await.unwrap();
    let claimed = store.claim("orders", Claim { limit: 14, lease: HOUR, max_attempts: 9 }).await.unwrap();
    assert_eq!(claimed.len(), 14);
    let attempted = |outcome: &str, status| Attempted {
        attempt: 1,
        at: SystemTime::UNIX_EPOCH,
        duration: Duration::from_millis(7),
        outcome: outcome.to_owned(),
        status,
        error: "no such order".to_owned(),
    };
    let parked = Settle::Park { after: HOUR, attempted: attempted("overloaded", Some(429)) };
    let dead = Settle::Dead { reason: Reason::Rejected, attempted: attempted("rejected", Some(404)) };
    let settled =
        std::iter::repeat_n(parked, 2).chain(std::iter::repeat_n(Settle::Done, 4)).chain(std::iter::repeat_n(dead, 5));
    let settled = claimed.iter().map(Message::lease).zip(settled).collect();
    assert!(store.settle(settled).await.unwrap().iter().all(Result::is_ok));
    store.dead("orders", &Filter::all(), None, 9).await.unwrap()
}

/// Compares the rows of a statement with the queue that [`fill`] made. `days`: the dates before and after it was filled.
fn compare(place: &str, sql: &str, mut rows: Vec<Row>, dead: &[DeadLetter], days: &[String]) {
    if sql.contains("count(*)") {
        let legend = sql.split_once("--").map_or("", |(_, legend)| legend);
        let legend: Vec<&str> = legend.split_whitespace().collect();
        let states: Vec<&str> = legend.chunks(2).map(|pair| pair[1]).collect();
        assert_eq!(states, STATES, "{place}: the comment says which number is which state");
        rows.sort_by_key(|row| row[1].1.as_i64());
        let counted: Vec<String> =
            (1..).zip(legend.chunks(2)).map(|(n, pair)| format!("\"orders\" {} {n}", pair[0])).collect();
        let told = rows.iter().map(|row| row.iter().map(|(_, value)| value.to_string()).collect::<Vec<_>>().join(" "));
        assert_eq!(told.collect::<Vec<_>>(), counted, "{place}");
        return;
    }
    assert_eq!(rows.len(), dead.len(), "{place} is about dead letters: {rows:?}");
    for (name, value) in rows.iter().flatten() {
        let text = value.as_str().unwrap_or_default();
        let is_right = match name.as_str() {
            "id" | "hex(id)" => {
                let id = text.parse::<MessageId>();
                id.is_ok_and(|id| dead.iter().any(|letter| letter.id == id))
            }
            "reason" | "outcome" => text == "rejected",
            "status" => *value == 404,
            "attempt" => *value == 1,
            "error" => text == "no such order",
            // when they died: today
            "to_timestamp" => days.iter().any(|day| text.starts_with(day)),
            name if name.starts_with("datetime(") => days.iter().any(|day| text.starts_with(day)),
            other => panic!("{place}: tests/docs/queries.rs does not know the column {other}"),
        };
        assert!(is_right, "{place}: {name} = {value}");
    }
}

#[tokio::test]
async fn every_printed_query_of_sqlite_gives_what_the_queue_holds() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("service.db");
    let store = SqliteStore::open(&file).unwrap();
    // as the `sqlite3` of a person has it: another connection
    let conn = Connection::open(&file).unwrap();
    let day = || conn.query_row("SELECT date('now')", [], |row| row.get::<_, String>(0)).unwrap();
    let before = day();
    let dead = fill(&store).await;
    let days = [before, day()];
    for (place, sql) in statements("sqlite") {
        let rows = rows(&conn, &sql).unwrap_or_else(|error| panic!("{place}: {error}"));
        compare(&place, &sql, rows, &dead, &days);
    }
}

fn rows(conn: &Connection, sql: &str) -> rusqlite::Result<Vec<Row>> {
    let mut statement = conn.prepare(sql)?;
    let names: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
    let row = |row: &rusqlite::Row<'_>| {
        let value = |(at, name): (usize, &String)| {
            let value = match row.get_ref(at)? {
                ValueRef::Integer(n) => json!(n),
                ValueRef::Text(text) => json!(String::from_utf8_lossy(text)),
                other => json!(format!("{other:?}")),
            };
            Ok((name.clone(), value))
        };
        names.iter().enumerate().map(value).collect()
    };
    statement.query_map([], row)?.collect()
}

#[tokio::test]
async fn every_printed_query_of_postgres_gives_what_the_queue_holds() {
    let store = PostgresStore::new(shared().pool().await);
    store.migrate().await.unwrap();
    let day = async || {
        let day = sqlx::query_scalar("SELECT left(to_json(now()) #>> '{}', 10)").fetch_one(store.pool()).await;
        day.unwrap()
    };
    let before: String = day().await;
    let dead = fill(&store).await;
    let days = [before, day().await];
    for (place, sql) in statements("postgres") {
        let printed = sqlx::raw_sql(AssertSqlSafe(sql.clone())).fetch_all(store.pool()).await;
        let printed = printed.unwrap_or_else(|error| panic!("{place}: {error}"));
        assert!(!printed.is_empty(), "{place}: no row");
        // the same, with every value as JSON and not of a type of its own
        let inner = sql.split(';').next().unwrap_or_default();
        let each = format!("SELECT key, value::text FROM ({inner}) rows, json_each(row_to_json(rows))");
        let values: Vec<(String, String)> = sqlx::query_as(AssertSqlSafe(each)).fetch_all(store.pool()).await.unwrap();
        let values: Row = values.into_iter().map(|(name, json)| (name, serde_json::from_str(&json).unwrap())).collect();
        let rows: Vec<Row> = values.chunks(values.len() / printed.len()).map(<[_]>::to_vec).collect();
        compare(&place, &sql, rows, &dead, &days);
    }
}
