//! How values stand in columns.

use super::super::{error::UNREADABLE, time::millis};
use crate::{
    encoding::{get_headers, put_headers},
    error::StoreError,
    queue::Attempted,
};
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use sqlx::{Row, postgres::PgRow};
use std::{
    borrow::Cow,
    time::{Duration, SystemTime},
};

/// Ready, delayed, or to be tried again.
pub(super) const WAITING: i16 = 0;
/// Waits because one of both sides asked for patience.
pub(super) const PARKED: i16 = 1;
pub(super) const CLAIMED: i16 = 2;
pub(super) const DONE: i16 = 3;
pub(super) const DEAD: i16 = 4;

/// Longer names do not fit into an index, nor into what a listener is told.
const NAME: usize = 255;

/// None for what lies in the past.
pub(super) fn duration(millis: i64) -> Duration {
    Duration::from_millis(millis.try_into().unwrap_or(0))
}

pub(super) fn date(millis: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + duration(millis)
}

/// A date as a bound: stored dates are whole milliseconds, so one lies before the date exactly if it is below this.
pub(super) fn bound(date: SystemTime) -> i64 {
    match date.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => millis(after),
        Err(_) => 0, // nothing was stored before 1970
    }
}

/// For LIMIT.
pub(super) fn limit(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

pub(super) fn int(n: u32) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

pub(super) fn uint(n: i32) -> u32 {
    u32::try_from(n).unwrap_or(0)
}

/// What a statement counted, in its only row.
pub(super) fn counted(rows: &[PgRow], column: &str) -> Result<usize, StoreError> {
    let n: i64 = rows.first().ok_or(UNREADABLE)?.try_get(column)?;
    Ok(usize::try_from(n).unwrap_or(0))
}

/// How many entries of a history are kept.
pub(super) fn kept() -> i32 {
    i32::try_from(Attempted::KEPT).unwrap_or(i32::MAX)
}

/// NULL: none.
pub(super) fn headers_out(headers: &HeaderMap) -> Option<Vec<u8>> {
    if headers.is_empty() {
        return None;
    }
    let mut to = BytesMut::new();
    put_headers(&mut to, Some(headers));
    Some(to.into())
}

pub(super) fn headers_in(blob: Option<Vec<u8>>) -> Result<HeaderMap, StoreError> {
    let Some(blob) = blob else { return Ok(HeaderMap::new()) };
    get_headers(&mut Bytes::from(blob)).flatten().ok_or(UNREADABLE)
}

/// A queue's name as it is, if Postgres can keep it.
pub(super) fn name(queue: &str) -> Result<&str, StoreError> {
    if queue.len() > NAME || queue.contains('\0') {
        return Err(StoreError::new("a queue in Postgres has a name of at most 255 bytes, none of them zero"));
    }
    Ok(queue)
}

/// Text that means something: Postgres keeps no character zero, and another text in its place would be another one.
pub(super) fn exact(text: Option<&str>) -> Result<Option<&str>, StoreError> {
    if text.is_some_and(|text| text.contains('\0')) {
        return Err(StoreError::new("topics and destinations in Postgres hold no character zero"));
    }
    Ok(text)
}

/// Text that is there to be read: U+FFFD stands for the character zero.
pub(super) fn readable(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}
