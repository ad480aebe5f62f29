use super::link::Link;
use crate::telemetry::event;
use redis::{RedisResult, Value, cmd};

/// Whether the server removes what has not expired when it is full; `None` where it does not say.
pub(super) async fn evicts(link: &dyn Link, name: &str) -> RedisResult<Option<bool>> {
    let mut ask = cmd("INFO");
    ask.arg("memory");
    let told = match link.send(&ask).await {
        // a user for this store needs no more than its commands, and some servers have no INFO
        Err(failed) if failed.error.code().is_some_and(|code| code != "NOAUTH") => return Ok(None),
        told => text(told.map_err(|failed| failed.error)?),
    };
    let policy = told.lines().find_map(|line| line.strip_prefix("maxmemory_policy:"));
    let evicts = policy.map(|policy| policy.trim() != "noeviction");
    if evicts == Some(true) {
        event!(WARN, "redis may evict records that have not expired: set maxmemory-policy noeviction", name = name);
    }
    Ok(evicts)
}

fn text(answer: Value) -> String {
    match answer {
        Value::BulkString(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Value::VerbatimString { text, .. } => text,
        _ => String::new(),
    }
}
