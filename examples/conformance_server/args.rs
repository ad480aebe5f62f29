//! What the command line chooses.

use std::{path::PathBuf, str::FromStr, time::Duration};

pub const HELP: &str = "\
A server for checkers of the Idempotency-Key header: steadfast's IdempotencyLayer before a few routes that count what they do.

  cargo run --example conformance_server --features full -- [OPTIONS]

  --listen ADDR    where to listen; port 0 is any free one (default 127.0.0.1:0)
  --store STORE    memory, sqlite:PATH, redis://.. or postgres://.. (default memory)
  --ttl-ms N       for how long an answer is kept, from its completion (default 86400000)
  --lease-ms N     for how long a claim holds after its process died; less than 30 counts as 30 (default 30000)

Prints `listening on ADDR` when it is ready. POST needs Idempotency-Key; who is calling is in
Authorization.

  POST /charge {\"amount\":N}   201 {\"id\":\"..\",\"amount\":N} with Location and Set-Cookie; not such JSON: 400, no effect
  POST /slow?ms=N             200 after N ms
  POST /fail?status=N         that status
  POST /panic                 panics
  POST /big?bytes=N           200 with so many bytes, streamed
  GET  /count                 {\"count\":N}: how many effects there were; each POST above is one";

#[derive(Debug, Clone)]
pub struct Args {
    pub listen: String,
    pub store: Store,
    pub ttl: Duration,
    pub lease: Duration,
}

#[derive(Debug, Clone)]
pub enum Store {
    Memory,
    Sqlite(PathBuf),
    Redis(String),
    Postgres(String),
}

/// `None`: the help is wanted.
pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Args>, String> {
    let day = Duration::from_secs(24 * 3600);
    let mut args =
        Args { listen: "127.0.0.1:0".into(), store: Store::Memory, ttl: day, lease: Duration::from_secs(30) };
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value; see --help"));
        match word.as_str() {
            "-h" | "--help" => return Ok(None),
            "--listen" => args.listen = address(&value()?)?,
            "--store" => args.store = value()?.parse()?,
            "--ttl-ms" => args.ttl = millis(&word, &value()?)?,
            "--lease-ms" => args.lease = millis(&word, &value()?)?,
            _ => return Err(format!("`{word}` is not known; see --help")),
        }
    }
    Ok(Some(args))
}

/// `HOST:PORT`; whether there is such a host is found out later.
fn address(text: &str) -> Result<String, String> {
    let port = text.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    port.map(|_| text.to_owned()).ok_or(format!("--listen {text}: HOST:PORT is wanted"))
}

fn millis(name: &str, text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(1..) => Ok(Duration::from_millis(text.parse().unwrap_or_default())),
        _ => Err(format!("{name} {text}: a number of milliseconds, at least 1, is wanted")),
    }
}

impl FromStr for Store {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "memory" => Ok(Self::Memory),
            Some(("sqlite", path)) if !path.is_empty() => Ok(Self::Sqlite(path.into())),
            Some(("redis" | "rediss" | "redis+unix", _)) => Ok(Self::Redis(text.into())),
            Some(("postgres" | "postgresql", _)) => Ok(Self::Postgres(text.into())),
            // what was given may hold a password
            _ => Err("--store: memory, sqlite:PATH, redis://.. or postgres://..; see --help".into()),
        }
    }
}
