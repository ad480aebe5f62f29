//! The map of `src/` and the wall in one: which room may use which, and what a file may hold.
//!
//! A room is a folder of `src/`, or a file that lies there by itself. It may use itself and what its line in [`ROOMS`] names:
//! a whole room (`"error"`), or one thing of a room (`"timeout::Elapsed"`) where two rooms of the ground floor know each
//! other. Whoever needs more adds it to the table, where a reviewer sees it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot read the sources has failed")]

mod broken;
mod rules;
mod scan;

use rules::House;
use std::{fs, path::Path};

/// What every room above the ground floor may use. `foreign` is not in it: what it knows is asked through `classify`.
const GROUND: &[&str] = &[
    "answer",
    "attempt",
    "backoff",
    "body",
    "classify",
    "dedupe",
    "encoding",
    "error",
    "panic",
    "readied",
    "registry",
    "setting",
    "sync",
    "telemetry",
    "time",
    "timeout",
    "token",
];

/// A room, a floor that it stands on, and what it may use besides. No line names a room that stands higher.
#[rustfmt::skip]
const ROOMS: &[(&str, &[&str], &[&str])] = &[
    // leaves: they use nothing of this crate
    ("setting",   &[], &[]),
    ("time",      &[], &[]),
    ("token",     &[], &[]),
    ("encoding",  &[], &[]),
    ("dedupe",    &[], &[]),
    ("attempt",   &[], &[]),
    ("panic",     &[], &[]),
    ("sync",      &[], &["panic"]),
    ("telemetry", &[], &["panic"]),
    ("registry",  &[], &[]),
    ("readied",   &[], &[]),
    ("guide",     &[], &[]),
    // the ground floor: knows nothing of the patterns
    ("foreign",   &[], &["error::known"]),
    ("error",     &[], &["classify::MaybeExecuted", "foreign", "timeout::Elapsed"]),
    ("backoff",   &[], &["setting"]),
    ("classify",  &[], &["backoff", "body::Watch", "error", "foreign", "time", "timeout::Elapsed"]),
    ("body",      &[], &["attempt", "classify", "error", "setting"]),
    ("answer",    &[], &["body", "classify", "error", "timeout::Elapsed"]),
    ("timeout",   &[], &["answer", "attempt", "classify::GrpcFormat", "error"]),
    // the first floor: the patterns, strangers to each other
    ("retry",           GROUND, &[]),
    ("circuit_breaker", GROUND, &[]),
    ("idempotency",     GROUND, &["foreign::original_uri"]),
    ("queue",           GROUND, &[]),
    // the second floor: made of patterns
    ("dead_letter", GROUND, &["queue"]),
    ("webhook",     GROUND, &["foreign::extract_up_to"]),
    ("stack",       GROUND, &["circuit_breaker", "idempotency", "retry"]),
    // the edge: what other crates' types need, and the stores behind the patterns' traits
    ("place",   GROUND, &["idempotency", "queue", "retry"]),
    ("store",   GROUND, &["idempotency", "queue"]),
    ("testing", GROUND, &["circuit_breaker", "dead_letter", "idempotency", "queue", "retry", "stack", "store", "webhook"]),
];

/// A crate whose types are named in one place only, and the files (`tower` stands for `tower.rs` and `tower/`) of that place.
#[rustfmt::skip]
const CRATES: &[(&str, &[&str])] = &[
    ("axum",       &["src/foreign/axum", "src/foreign/body_limit", "src/foreign/uri", "src/place/axum"]),
    ("h2",         &["src/foreign/h2"]),
    ("hyper",      &["src/foreign/hyper", "src/place/hyper"]),
    ("hyper_util", &["src/foreign/hyper", "src/place/hyper"]),
    ("reqwest",    &["src/foreign/reqwest", "src/place/reqwest"]),
    ("rusqlite",   &["src/store/sqlite"]),
    ("redis",      &["src/store/redis"]),
    ("sqlx",       &["src/store/postgres"]),
    ("tonic",      &["src/foreign/tonic", "src/place/tonic"]),
    ("tower",      &["src/foreign/tower", "src/place/tower"]),
    ("tower_http", &["src/foreign/tower_http", "src/place/tower_http"]),
];

/// Machines and arithmetic, as paths begin: they take `now` as an argument and know neither HTTP nor a timer. `tokio::time::Instant` is a
/// moment and may be named.
#[rustfmt::skip]
const PURE: &[&str] = &[
    "src/backoff/",
    "src/circuit_breaker/count_window.rs", "src/circuit_breaker/probes.rs", "src/circuit_breaker/state.rs",
    "src/circuit_breaker/state/", "src/circuit_breaker/time_window.rs", "src/circuit_breaker/window.rs",
    "src/retry/account.rs", "src/retry/allowance.rs", "src/retry/hedge/latency.rs",
];

/// Lines of code in a file; comments, blank lines and tests do not count.
const LINES: usize = 350;

const HOUSE: House = House { rooms: ROOMS, crates: CRATES, pure: PURE, lines: LINES };

#[test]
fn every_file_keeps_the_rules_of_the_house() {
    let mut files = Vec::new();
    collect(Path::new(env!("CARGO_MANIFEST_DIR")), Path::new("src"), &mut files);
    assert!(files.len() > 50, "only {} files found under src/", files.len());
    let broken: Vec<String> = files.iter().flat_map(|(path, text)| HOUSE.check(path, text)).collect();
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

#[test]
fn every_line_of_the_table_names_rooms_that_stand_before_it_or_beside_it() {
    let patterns = ROOMS.iter().position(|(room, ..)| *room == "retry").unwrap();
    for (at, (room, floor, besides)) in ROOMS.iter().enumerate() {
        for used in floor.iter().chain(*besides) {
            let name = used.split("::").next().unwrap();
            let stands = ROOMS.iter().position(|(room, ..)| *room == name);
            let stands = stands.unwrap_or_else(|| unreachable!("{room} may use {name}, which has no line"));
            // rooms of the ground floor may know each other; above it the order of the table is the order of the floors
            assert!(stands < at || at < patterns && stands < patterns, "{room} may use {name}, which stands higher");
        }
    }
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(root.join(folder)).unwrap() {
        let path = folder.join(entry.unwrap().file_name());
        if root.join(&path).is_dir() {
            collect(root, &path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push((path.to_str().unwrap().to_owned(), fs::read_to_string(root.join(&path)).unwrap()));
        }
    }
    files.sort();
}
