//! What a layer says of a body that it could not read.
#![allow(dead_code, reason = "not every feature has a layer that reads requests")]

use super::Unread;
use http::{HeaderMap, HeaderValue, Version, header};

/// A body that was not read, and what of it is left.
#[derive(Debug)]
pub(crate) struct Failure<E = ()> {
    pub(crate) why: Unread<E>,
    /// Some of it may still come, and nobody will read it.
    leaves_rest: bool,
}

impl<E> Failure<E> {
    pub(super) const fn with_rest(why: Unread<E>) -> Self {
        Self { why, leaves_rest: true }
    }

    pub(super) const fn without_rest(why: Unread<E>) -> Self {
        Self { why, leaves_rest: false }
    }

    /// Drops the body's own error, whose type a response has no use for.
    pub(super) fn without_error(self) -> Failure {
        let why = match self.why {
            Unread::TooLarge => Unread::TooLarge,
            Unread::TooSlow => Unread::TooSlow,
            Unread::Broken(_) => Unread::Broken(()),
        };
        Failure { why, leaves_rest: self.leaves_rest }
    }

    /// Announces the end of an HTTP/1 connection on which the rest of a body would come (RFC 9110, 15.5.9 for the 408). A server
    /// closes such a connection in any case, and a client that does not know would send its next request into it.
    pub(crate) fn announce(&self, version: Version, headers: &mut HeaderMap) {
        if self.leaves_rest {
            announce_close(version, headers);
        }
    }
}

/// Announces the end of the connection, where that is HTTP/1.
pub(crate) fn announce_close(version: Version, headers: &mut HeaderMap) {
    if version < Version::HTTP_2 {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
}
