//! The defaults in the tables of settings are those of the code.

use crate::page::{Page, pages};
use serde_json::{Value, json};
use std::time::Duration;
use steadfast::{
    body::Caps,
    circuit_breaker, idempotency,
    queue::{Accept, NewMessage, Queue, Worker},
    retry::StandardPolicy,
    stack::ClientStack,
    store::{memory::MemoryStore, postgres::PostgresStore, redis::RedisStore, sqlite::SqliteConfig},
    webhook::{GitHub, VerifyLayer},
};

/// A file, the name of a setting in a table there, and its default.
#[rustfmt::skip]
fn constants() -> Vec<(&'static str, &'static str, Value)> {
    let time = |duration: Duration| Value::from(humantime::format_duration(duration).to_string());
    vec![
        ("src/queue/mod.rs", "with_limit", Accept::LIMIT.into()),
        ("src/queue/mod.rs", "with_deadline", time(Accept::DEADLINE)),
        ("src/queue/mod.rs", "with_retry_after", time(Accept::RETRY_AFTER)),
        ("src/queue/mod.rs", "with_dedupe_for", time(NewMessage::DEDUPE_FOR)),
        ("src/queue/mod.rs", "with_max_age", time(NewMessage::MAX_AGE)),
        ("src/webhook/mod.rs", "with_limit", VerifyLayer::LIMIT.into()),
        ("src/webhook/mod.rs", "with_limit", GitHub::LIMIT.into()),
        ("src/retry/mod.rs", "retries", StandardPolicy::MAX_RETRIES.into()),
        ("src/retry/mod.rs", "longest hint", time(StandardPolicy::HINT_CAP)),
        ("src/retry/mod.rs", "longest refusal", time(StandardPolicy::REFUSED_CAP)),
        ("src/retry/mod.rs", "memory for copies of request bodies", Caps::REQUEST.into()),
        ("src/retry/hedge/mod.rs", "memory for copies of request bodies", Caps::REQUEST.into()),
        ("src/timeout/mod.rs", "total", time(ClientStack::TOTAL)),
        ("src/timeout/mod.rs", "attempt", time(ClientStack::ATTEMPT)),
        ("src/store/redis/mod.rs", "CONNECT_WITHIN", time(RedisStore::CONNECT_WITHIN)),
        ("src/store/redis/mod.rs", "ANSWER_WITHIN", time(RedisStore::ANSWER_WITHIN)),
        ("src/store/postgres/mod.rs", "lock_wait", time(PostgresStore::LOCK_WAIT)),
        ("src/store/postgres/mod.rs", "response_timeout", time(PostgresStore::RESPONSE_TIMEOUT)),
        ("src/store/postgres/mod.rs", "max_waiting", PostgresStore::WAITING_PER_CONNECTION.into()),
    ]
}

/// Settings whose default is said in words, for a person to compare.
const WORDS: [(&str, &str); 4] = [
    ("src/circuit_breaker/mod.rs", "window"),
    // the longer of two others where it is not set
    ("src/circuit_breaker/mod.rs", "lease"),
    ("src/store/sqlite/mod.rs", "name"),
    // a link to the guide
    ("src/idempotency/mod.rs", "help"),
];

/// The rows of all tables of settings of a page: name and default.
fn rows(page: &Page) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    let mut is_settings = false;
    for (_, line) in page.prose() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        match cells.as_slice() {
            ["", head, "default" | "value", ..] => is_settings = head.starts_with("setting"),
            ["", name, default, _, ..] if is_settings => {
                // `name`, [`name`](path), or words
                let name = name.split('`').nth(1).unwrap_or(name);
                rows.push((name.trim_start_matches("with_").to_owned(), (*default).to_owned()));
            }
            _ => is_settings = false,
        }
    }
    rows
}

fn table(file: &str) -> Vec<(String, String)> {
    let page = pages().into_iter().find(|page| page.file == file).unwrap();
    rows(&page)
}

#[test]
fn every_constant_is_the_default_that_its_table_shows() {
    let mut wrong = Vec::new();
    for (file, setting, value) in constants() {
        let setting = setting.trim_start_matches("with_");
        let shown: Vec<_> = table(file).into_iter().filter(|(name, _)| name == setting).collect();
        assert!(!shown.is_empty(), "{file} has no setting {setting}");
        let differs = |(_, cell): &&(String, String)| !cell.split(';').any(|part| is_same(part, &value));
        wrong.extend(shown.iter().filter(differs).map(|(_, cell)| format!("{file}: {setting} is {value}, not {cell}")));
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// The settings of a worker are private: its `Debug` output shows them.
#[test]
fn every_default_of_a_worker_is_the_one_that_its_table_shows() {
    let worker = format!("{:?}", Worker::new(Queue::new("orders", MemoryStore::new()), ()));
    let table = table("src/queue/mod.rs");
    for setting in ["lease", "max_attempts", "attempt_limit", "park_for", "drain", "keep_done"] {
        let value = worker.split(&format!(" {setting}: ")).nth(1).unwrap_or_else(|| panic!("{setting} in {worker}"));
        let value = value.split([',', ' ']).next().unwrap();
        let value = value.parse::<u32>().map_or_else(|_| Value::from(value), Value::from);
        let shown = table.iter().find(|(name, _)| name == setting).unwrap_or_else(|| panic!("no table has {setting}"));
        assert!(is_same(&shown.1, &value), "{setting} is {value}, not {}", shown.1);
    }
}

#[test]
fn every_setting_of_a_file_is_in_its_table_with_its_default() {
    let circuits = serde_json::to_value(circuit_breaker::Config::default()).unwrap();
    let keys = serde_json::to_value(idempotency::Config::default()).unwrap();
    let sqlite = serde_json::to_value(SqliteConfig::default()).unwrap();
    let mut wrong = Vec::new();
    for (file, defaults) in [
        ("src/circuit_breaker/mod.rs", circuits),
        ("src/idempotency/mod.rs", keys),
        ("src/store/sqlite/mod.rs", sqlite),
    ] {
        let table = table(file);
        for (setting, value) in defaults.as_object().unwrap() {
            let shown = table.iter().find(|(name, _)| name == setting).map(|(_, cell)| cell.as_str());
            match shown {
                _ if WORDS.contains(&(file, setting)) => {}
                None => wrong.push(format!("{file}: no table has the setting {setting}")),
                Some(cell) if !is_same(cell, value) => wrong.push(format!("{file}: {setting} is {value}, not {cell}")),
                Some(_) => {}
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// Whether a cell that begins with a quantity, or with a word, means this value.
fn is_same(cell: &str, value: &Value) -> bool {
    let cell = cell.trim();
    match value {
        Value::Null => cell.starts_with("none"),
        Value::Bool(true) => cell.starts_with("yes") || cell.starts_with("on"),
        Value::Bool(false) => cell.starts_with("no") || cell.starts_with("off"),
        Value::Array(all) => all.is_empty() && cell.starts_with("no"),
        Value::Number(number) => {
            amount(cell).is_some_and(|shown| number.as_f64().is_some_and(|n| n.to_bits() == shown.to_bits()))
        }
        Value::String(text) => {
            let time = humantime::parse_duration(text).ok().map(|duration| duration.as_secs_f64().to_bits());
            // `equal`, or [`InFlight::Refuse`]
            let quoted = cell.split('`').nth(1).unwrap_or_default();
            let word = quoted.rsplit("::").next().unwrap_or_default().to_lowercase();
            time.map_or(word == *text, |time| amount(cell).is_some_and(|shown| shown.to_bits() == time))
        }
        // several quantities in one cell
        Value::Object(parts) => parts.values().all(|part| words(cell).any(|rest| is_same(rest, part))),
    }
}

/// The rest of a cell from each of its words on.
fn words(cell: &str) -> impl Iterator<Item = &str> {
    std::iter::once(0).chain(cell.match_indices(' ').map(|(at, _)| at + 1)).map(|at| &cell[at..])
}

/// `30 s`, `1,000`, `64 KiB`: the number that a cell begins with, in seconds, bytes or ones.
fn amount(cell: &str) -> Option<f64> {
    let mut words = cell.split([' ', ';']);
    let number: f64 = words.next()?.trim_end_matches(',').replace(',', "").parse().ok()?;
    let unit = match words.next().unwrap_or_default().trim_end_matches([',', '.']) {
        "ms" => 0.001,
        "min" => 60.0,
        "h" => 3600.0,
        "days" => 24.0 * 3600.0,
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        _ => 1.0,
    };
    Some(number * unit)
}

#[test]
fn another_default_is_found() {
    for (cell, value) in [
        ("30 s, at least 30 ms", Value::from("30s")),
        ("1.5 s", "1s 500ms".into()),
        ("24 h from completion", "1day".into()),
        ("1,000", 1000.into()),
        ("64 KiB a request", (64 << 10).into()),
        ("0.5", 0.5.into()),
        ("none", Value::Null),
        ("`equal`: 50 to 100 %", "equal".into()),
        ("[`InFlight::Refuse`]", "refuse".into()),
        (
            "10 s idle; in all 30 s and 1 s per 64 KiB",
            json!({"idle": "10s", "total": "30s", "bytes_per_second": 65536}),
        ),
    ] {
        assert!(is_same(cell, &value), "{cell} {value}");
    }
    for (cell, value) in [
        ("30 s", Value::from("31s")),
        ("30 ms", "30s".into()),
        ("1000 a layer", 100.into()),
        ("none", 5.into()),
        ("yes", false.into()),
        ("`equal`", "full".into()),
        ("at once", "5s".into()),
        ("10 s idle; in all 30 s and 1 s per 64 KiB", json!({"idle": "10s", "total": "31s"})),
    ] {
        assert!(!is_same(cell, &value), "{cell} {value}");
    }
}
