//! When to come again, from the headers of an answer.

use crate::{backoff::Hint, time::Clock};
use http::{HeaderMap, header};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// `Retry-After` before `RateLimit` before `X-RateLimit-Reset`; the last two only when the quota is gone. Zero, the past and
/// what cannot be read are no hint.
pub(super) fn of_headers(headers: &HeaderMap, clock: &dyn Clock) -> Option<Hint> {
    retry_after(headers, clock)
        .or_else(|| rate_limit(headers))
        .or_else(|| x_rate_limit(headers, clock))
        .filter(|after| !after.is_zero())
        .map(Hint::AtLeast)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// The time of the answer by its own `Date`, so that two clocks that disagree do not matter.
fn reference(headers: &HeaderMap, clock: &dyn Clock) -> SystemTime {
    text(headers, header::DATE.as_str())
        .and_then(|date| httpdate::parse_http_date(date).ok())
        .unwrap_or_else(|| clock.now())
}

/// RFC 9110, 10.2.3: seconds, or a date.
fn retry_after(headers: &HeaderMap, clock: &dyn Clock) -> Option<Duration> {
    let value = text(headers, header::RETRY_AFTER.as_str())?;
    if let Some(seconds) = digits(value) {
        return Some(Duration::from_secs(seconds));
    }
    let at = httpdate::parse_http_date(value).ok()?;
    at.duration_since(reference(headers, clock)).ok()
}

/// draft-ietf-httpapi-ratelimit-headers: `"policy";r=0;t=30`, one or several; the longest wait of those that are used up.
fn rate_limit(headers: &HeaderMap) -> Option<Duration> {
    let value = text(headers, "ratelimit")?;
    let parameter = |item: &str, name: &str| {
        item.split(';').skip(1).find_map(|p| p.trim().strip_prefix(name)?.strip_prefix('=').and_then(digits))
    };
    value
        .split(',')
        .filter(|item| parameter(item, "r") == Some(0))
        .filter_map(|item| parameter(item, "t"))
        .max()
        .map(Duration::from_secs)
}

/// The older convention: seconds, or seconds since 1970 where the number is as large as that.
fn x_rate_limit(headers: &HeaderMap, clock: &dyn Clock) -> Option<Duration> {
    const EPOCH_FROM: u64 = 1_000_000_000;
    if digits(text(headers, "x-ratelimit-remaining")?) != Some(0) {
        return None;
    }
    let reset = digits(text(headers, "x-ratelimit-reset")?)?;
    if reset < EPOCH_FROM {
        return Some(Duration::from_secs(reset));
    }
    UNIX_EPOCH.checked_add(Duration::from_secs(reset))?.duration_since(reference(headers, clock)).ok()
}

/// A whole number of digits only; more than fits is as much as fits.
fn digits(text: &str) -> Option<u64> {
    let all_digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    all_digits.then(|| text.parse().unwrap_or(u64::MAX))
}
