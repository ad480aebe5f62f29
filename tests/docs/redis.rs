//! The commands that the documentation prints for `redis-cli` are run by a shell, on a server with a record in every state.

use crate::{page::detailed, redis_server::RedisServer};
use std::{env, fs, os::unix::fs::PermissionsExt as _, process::Command, time::Duration};
use steadfast::{
    idempotency::{Begin, Begun, Fence, Fingerprint, IdempotencyStore, Recorded, StoreKey, StoredResponse, Token},
    store::redis::RedisStore,
    testing::idempotency_contract,
};

const LEASE: Duration = Duration::from_secs(600);

/// A shell in which `redis-cli` means a server on this port.
struct Shell {
    folder: tempfile::TempDir,
}

impl Shell {
    fn new(server: &RedisServer) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("redis-cli");
        let path = env::var("PATH").unwrap();
        fs::write(&script, format!("#!/bin/sh\nPATH='{path}' exec redis-cli -p {} \"$@\"\n", server.port())).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        Self { folder }
    }

    /// Returns the output of a command line.
    fn run(&self, line: &str) -> String {
        let path = format!("{}:{}", self.folder.path().display(), env::var("PATH").unwrap());
        let out = Command::new("sh").args(["-c", line]).env("PATH", path).output().unwrap();
        assert!(out.status.success() && out.stderr.is_empty(), "{line}: {out:?}");
        String::from_utf8(out.stdout).unwrap()
    }
}

/// The command lines of the block `<!-- redis: detail -->`, each with the comment line that follows it.
fn commands(detail: &str) -> Vec<(String, String)> {
    let blocks = detailed("redis", detail, &["records", "user"]);
    let [block] = blocks.as_slice() else { panic!("one block is to be marked <!-- redis: {detail} -->: {blocks:?}") };
    let mut commands: Vec<(String, String)> = Vec::new();
    for line in block.code.lines() {
        match line.strip_prefix("# ") {
            Some(printed) => commands.last_mut().unwrap().1.push_str(printed),
            None => commands.push((line.to_owned(), String::new())),
        }
    }
    commands
}

fn begin(key: &str) -> Begin {
    let fingerprint = Fingerprint { version: Fingerprint::VERSION, hash: [1; 32] };
    Begin { key: StoreKey::new(b"", key), fingerprint, token: Token::random(), lease: LEASE, take_over: None }
}

/// As the store names it.
fn name(key: &StoreKey) -> String {
    key.0.iter().fold("steadfast:".to_owned(), |name, byte| format!("{name}{byte:02x}"))
}

#[tokio::test]
async fn every_printed_command_about_records_shows_what_the_page_says() {
    let server = RedisServer::start();
    let store = RedisStore::connect(server.url()).await.unwrap();
    let mut states = Vec::new();
    for (state, recorded) in [
        ("r", None),
        ("c", Some(Recorded::Response(StoredResponse::new(http::StatusCode::OK, "paid")))),
        ("n", Some(Recorded::NotRetained)),
    ] {
        let begin = begin(state);
        store.begin(begin).await.unwrap();
        if let Some(recorded) = recorded {
            store.complete(Fence { key: begin.key, token: begin.token }, recorded, LEASE).await.unwrap();
        }
        states.push((name(&begin.key), state));
    }
    let freed = begin("f");
    store.begin(freed).await.unwrap();
    store.release(Fence { key: freed.key, token: freed.token }).await.unwrap();
    states.push((name(&freed.key), "f"));
    let commands = commands("records");
    let [(look, told), (remove, _)] = commands.as_slice() else { panic!("two commands: {commands:?}") };
    let shell = Shell::new(&server);
    let until: u128 = server.cli(&["TIME"]).lines().next().unwrap().parse().unwrap();
    let until = (until + u128::from(LEASE.as_secs())) * 1000;

    let printed = shell.run(look);
    let mut seen = Vec::new();
    for line in printed.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [key, state, lapses] = words.as_slice() else { panic!("{line}") };
        // a key that is free has no lease
        let is_lease = |lapses: &str| until.abs_diff(lapses.parse().unwrap()) < 60_000;
        assert!(*state == "f" || is_lease(lapses), "{line}: the lease ends at {until}");
        seen.push(((*key).to_owned(), *state));
    }
    seen.sort_unstable();
    states.sort_unstable();
    assert_eq!(seen, states, "{printed}");

    // the line below it is one of those, shortened, and says what is what
    let (shown, legend) = told.split_once("  ").unwrap();
    let shown: Vec<&str> = shown.split(' ').collect();
    let is_time = shown[2].len() == 15 && shown[2].bytes().all(|digit| digit.is_ascii_digit());
    assert!(shown.len() == 3 && shown[0].ends_with('…') && shown[1] == "r" && is_time, "{told}");
    let legend: Vec<&str> = legend.split(';').next().unwrap().split(',').map(str::trim).collect();
    assert_eq!(legend, ["r running", "c complete", "n complete without its answer", "f free (gone after 3 min)"]);

    let running = name(&begin("r").key);
    assert!(remove.contains(shown[0]), "{remove}");
    assert_eq!(shell.run(&remove.replace(shown[0], &running)).trim(), "1");
    assert!(matches!(store.begin(begin("r")).await.unwrap(), Begun::Acquired { attempt: 1 }));
}

#[tokio::test]
async fn the_printed_user_may_do_all_that_the_store_does_and_no_more() {
    let server = RedisServer::start();
    let commands = commands("user");
    let [(command, _)] = commands.as_slice() else { panic!("one command: {commands:?}") };
    assert_eq!(Shell::new(&server).run(command).trim(), "OK");
    let address = format!("redis://service:password@127.0.0.1:{}", server.port());
    let store = RedisStore::connect(address.as_str()).await.unwrap();
    idempotency_contract(&store).await.unwrap();
    // nothing that it is not given: each of these is asked for, or the contract fails
    let granted: Vec<&str> = command.split(' ').filter_map(|word| word.strip_prefix('+')).collect();
    assert!(granted.len() > 5, "{granted:?}");
    server.cli(&["CONFIG", "RESETSTAT"]);
    server.cli(&["SCRIPT", "FLUSH"]);
    idempotency_contract(&RedisStore::connect(address.as_str()).await.unwrap()).await.unwrap();
    let unused: Vec<&&str> = granted.iter().filter(|name| server.calls(name) == 0).collect();
    assert!(unused.is_empty(), "granted and never used: {unused:?}");
}
