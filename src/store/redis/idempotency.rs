//! Records: one key each, one command a call.

use super::{
    super::released::LATE,
    RedisStore,
    error::UNREADABLE,
    layout,
    script::{BEGIN, COMPLETE, RELEASE, RENEW},
};
use crate::{
    error::{BoxFuture, StoreError},
    idempotency::{Begin, Begun, Fence, Fenced, IdempotencyStore, Recorded, StoreKey},
    token::{StoreId, Token},
};
use redis::{
    Value::{self, Array, BulkString, Int, Nil},
    cmd,
};
use std::{future::ready, time::Duration};

/// How many released tokens a key remembers.
const REMEMBERED: &[u8] = b"32";

impl IdempotencyStore for RedisStore {
    fn id(&self) -> StoreId {
        self.id
    }

    fn begin(&self, begin: Begin) -> BoxFuture<'_, Result<Begun, StoreError>> {
        Box::pin(async move {
            let Begin { key, fingerprint, token, lease, take_over } = begin;
            let mut request = [fingerprint.version; 33];
            request[1..].copy_from_slice(&fingerprint.hash);
            let stale = take_over.as_ref().map_or(&[][..], |stale| &stale.0);
            begun(self.run(&BEGIN, &key, &[&token.0, &request, &millis(lease), stale]).await?)
        })
    }

    fn complete(&self, fence: Fence, recorded: Recorded, keep: Duration) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        Box::pin(async move {
            let (state, answer) = match &recorded {
                Recorded::Response(response) => (layout::COMPLETE, response.encode()),
                Recorded::NotRetained => (layout::NOT_RETAINED, Vec::new()),
            };
            fenced(self.run(&COMPLETE, &fence.key, &[&fence.token.0, &[state], &answer, &millis(keep)]).await?)
        })
    }

    fn renew(&self, fence: Fence, lease: Duration) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        Box::pin(async move { fenced(self.run(&RENEW, &fence.key, &[&fence.token.0, &millis(lease)]).await?) })
    }

    fn release(&self, fence: Fence) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        Box::pin(async move {
            let args: &[&[u8]] = &[&fence.token.0, &millis(LATE), REMEMBERED];
            fenced(self.run(&RELEASE, &fence.key, args).await?)
        })
    }

    fn settled(&self, fence: Fence) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        Box::pin(async move {
            let mut read = cmd("GETRANGE");
            read.arg(self.key(&fence.key)).arg(0).arg(layout::FENCE - 1);
            match self.send(&read).await? {
                BulkString(found) => layout::settled(&found, &fence.token),
                _ => Err(UNREADABLE),
            }
        })
    }

    fn get(&self, key: StoreKey) -> BoxFuture<'_, Result<Option<Recorded>, StoreError>> {
        Box::pin(async move {
            let mut read = cmd("GET");
            read.arg(self.key(&key));
            match self.send(&read).await? {
                Nil => Ok(None),
                BulkString(record) => layout::recorded(record),
                _ => Err(UNREADABLE),
            }
        })
    }

    /// Redis removes what has expired by itself: nothing is left to sweep.
    fn sweep(&self, _most: usize) -> BoxFuture<'_, Result<usize, StoreError>> {
        Box::pin(ready(Ok(0)))
    }
}

/// What `begin.lua` says.
fn begun(answer: Value) -> Result<Begun, StoreError> {
    let Array(words) = answer else { return Err(UNREADABLE) };
    let mut words = words.into_iter();
    let Some(BulkString(word)) = words.next() else { return Err(UNREADABLE) };
    Ok(match (word.as_slice(), words.next(), words.next()) {
        (b"acquired", Some(Int(attempt)), _) => Begun::Acquired { attempt: count(attempt) },
        (b"in flight", Some(Int(left)), _) => {
            Begun::InFlight { lease_left: Duration::from_millis(left.try_into().unwrap_or(0)) }
        }
        (b"lapsed", Some(BulkString(token)), Some(Int(attempt))) => {
            Begun::Lapsed { stale: Token(token.try_into().map_err(|_| UNREADABLE)?), attempt: count(attempt) }
        }
        (b"complete", Some(BulkString(answer)), _) => Begun::Completed(layout::answer(answer)?),
        (b"not retained", ..) => Begun::Completed(Recorded::NotRetained),
        (b"mismatch", ..) => Begun::Mismatch,
        _ => return Err(UNREADABLE),
    })
}

/// What every fenced script says.
fn fenced(answer: Value) -> Result<Fenced, StoreError> {
    let BulkString(word) = answer else { return Err(UNREADABLE) };
    match word.as_slice() {
        b"done" => Ok(Fenced::Done),
        b"already" => Ok(Fenced::Already),
        b"lost" => Ok(Fenced::Lost),
        _ => Err(UNREADABLE),
    }
}

/// Whole milliseconds in decimal digits, rounded up, at least one and at most a hundred years: within what Redis takes.
fn millis(duration: Duration) -> Vec<u8> {
    const FAR: u128 = 100 * 365 * 24 * 3600 * 1000;
    duration.as_nanos().div_ceil(1_000_000).clamp(1, FAR).to_string().into_bytes()
}

fn count(attempt: i64) -> u32 {
    attempt.try_into().unwrap_or(u32::MAX)
}
