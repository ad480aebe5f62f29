//! How values stand in columns.

use super::super::{
    clock::{duration, millis},
    error::UNREADABLE,
};
use crate::{
    encoding::{get_headers, put_headers},
    error::StoreError,
};
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use std::time::SystemTime;

/// Ready, delayed, or to be tried again.
pub(super) const WAITING: u8 = 0;
/// Waits because one of both sides asked for patience.
pub(super) const PARKED: u8 = 1;
pub(super) const CLAIMED: u8 = 2;
pub(super) const DONE: u8 = 3;
pub(super) const DEAD: u8 = 4;

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

/// For LIMIT.
pub(super) fn limit(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
