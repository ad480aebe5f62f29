//! A record is one string, so that it is read, written and expired whole:
//!
//! | bytes | what |
//! | --- | --- |
//! | 0, 1 | `s1`: the layout |
//! | 2 | `r` running, `c` complete, `n` complete without its answer, `f` free |
//! | 3 to 18 | token of the claim |
//! | 19 to 51 | fingerprint: version and hash |
//! | 52 to 61 | attempt, in decimal digits |
//! | 62 to 76 | when the claim lapses, ms since 1970 by the server's clock, in decimal digits |
//! | 77 on | complete: the answer, as [`StoredResponse::encode`] has it; running: tokens that were released before |
//!
//! A key that is free has the tokens that were released from byte 3 on, the latest first, and expires when none of their begins can
//! be on its way any more.
//!
//! The scripts know it too: what changes here changes there, and makes it `s2`.

use super::error::UNREADABLE;
use crate::{
    error::StoreError,
    idempotency::{Fenced, Recorded, StoredResponse},
    token::Token,
};
use bytes::Bytes;

const LAYOUT: &[u8] = b"s1";
const STATE: usize = 2;
/// Layout, state and token.
pub(super) const FENCE: usize = 19;
const HEAD: usize = 77;

pub(super) const COMPLETE: u8 = b'c';
pub(super) const NOT_RETAINED: u8 = b'n';
const RUNNING: u8 = b'r';
const FREE: u8 = b'f';

/// Of a whole record: what it holds, if it is complete.
pub(super) fn recorded(record: Vec<u8>) -> Result<Option<Recorded>, StoreError> {
    let mut record = Bytes::from(record);
    if record.starts_with(LAYOUT) && record.get(STATE) == Some(&FREE) {
        return Ok(None);
    }
    if record.len() < HEAD || !record.starts_with(LAYOUT) {
        return Err(UNREADABLE);
    }
    match record[STATE] {
        RUNNING => Ok(None),
        NOT_RETAINED => Ok(Some(Recorded::NotRetained)),
        COMPLETE => answer(record.split_off(HEAD)).map(Some),
        _ => Err(UNREADABLE),
    }
}

/// Of the first bytes of a record, or none where there is no record.
pub(super) fn settled(fence: &[u8], token: &Token) -> Result<Fenced, StoreError> {
    if fence.is_empty() {
        return Ok(Fenced::Lost);
    }
    if fence.len() < FENCE || !fence.starts_with(LAYOUT) {
        return Err(UNREADABLE);
    }
    Ok(match fence[STATE] {
        FREE => Fenced::Lost,
        _ if fence[STATE + 1..] != token.0 => Fenced::Lost,
        RUNNING => Fenced::Done,
        _ => Fenced::Already,
    })
}

pub(super) fn answer(encoded: impl Into<Bytes>) -> Result<Recorded, StoreError> {
    StoredResponse::decode(encoded).map(Recorded::Response).ok_or(UNREADABLE)
}
