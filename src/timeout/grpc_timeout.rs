//! The `grpc-timeout` header (gRPC over HTTP/2): at most eight digits and a unit.

use crate::classify::GrpcFormat;
#[cfg(any(test, feature = "retry"))]
use http::HeaderValue;
use http::{HeaderMap, HeaderName};
use std::time::Duration;

#[cfg(test)]
mod tests;

/// The header that carries the time that a client allows for a gRPC call.
pub(crate) const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// The largest number that eight digits can write.
#[cfg(any(test, feature = "retry"))]
const MOST: u128 = 99_999_999;
const HOUR: u128 = 3600 * SECOND;
const MINUTE: u128 = 60 * SECOND;
const SECOND: u128 = 1_000_000_000;

/// Units by their letter, in nanoseconds, the finest first.
const UNITS: [(u8, u128); 6] =
    [(b'n', 1), (b'u', 1_000), (b'm', 1_000_000), (b'S', SECOND), (b'M', MINUTE), (b'H', HOUR)];

/// Returns the timeout of a gRPC request; `None` for a request of another content type, and where the header is missing or is
/// not one to eight digits and a unit (`H M S m u n`).
pub(crate) fn parse(headers: &HeaderMap) -> Option<Duration> {
    // the cheaper question first
    GrpcFormat::of(headers)?;
    let value = headers.get(&GRPC_TIMEOUT)?;
    let (unit, digits) = value.as_bytes().split_last()?;
    let (_, nanos) = UNITS.into_iter().find(|(letter, _)| letter == unit)?;
    if !matches!(digits.len(), 1..=8) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits.iter().fold(0, |number, digit| number * 10 + u128::from(digit - b'0'));
    Some(from_nanos(number * nanos))
}

/// Returns `left` as a header value, in the finest unit in which eight digits suffice, rounded down: the server never allows
/// itself more time than the client has. More than 99,999,999 hours are written as that many.
#[cfg(any(test, feature = "retry"))]
pub(crate) fn format(left: Duration) -> HeaderValue {
    let nanos = left.as_nanos();
    let fits = UNITS.into_iter().find(|(_, unit)| nanos / unit <= MOST);
    let (letter, number) = fits.map_or((b'H', MOST), |(letter, unit)| (letter, nanos / unit));
    let text = format!("{number}{}", char::from(letter));
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("0n"))
}

/// At most 99,999,999 hours come in, which a `Duration` holds.
#[expect(clippy::cast_possible_truncation, reason = "both parts are far below 2^64: see above")]
fn from_nanos(nanos: u128) -> Duration {
    Duration::new((nanos / SECOND) as u64, (nanos % SECOND) as u32)
}
