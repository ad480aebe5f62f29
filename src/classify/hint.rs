//! When a server wants to be asked again, from the headers of its response.

use super::rate_limit;
use crate::{backoff::Hint, time::Clock};
use http::{HeaderMap, header};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// `Retry-After` before `RateLimit` before the older `RateLimit-Reset` before `X-RateLimit-Reset`; all but the first only when
/// the quota is gone. Zero, the past and values that cannot be read are no hint.
pub(super) fn of_headers(headers: &HeaderMap, clock: &dyn Clock) -> Option<Hint> {
    retry_after(headers, clock)
        .or_else(|| rate_limit::longest(&lines(headers, "ratelimit")).map(Duration::from_secs))
        .or_else(|| reset(headers, clock, "ratelimit-remaining", "ratelimit-reset"))
        .or_else(|| reset(headers, clock, "x-ratelimit-remaining", "x-ratelimit-reset"))
        .or_else(|| reset(headers, clock, "x-rate-limit-remaining", "x-rate-limit-reset"))
        .filter(|after| !after.is_zero())
        .map(Hint::AtLeast)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

fn lines<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a [u8]> {
    headers.get_all(name).iter().map(http::HeaderValue::as_bytes).collect()
}

/// The time of the response by its own `Date`, so that two clocks that disagree do not matter.
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

/// The older forms: what remains in one field, and when it is renewed in another. Where there are several quotas, those that
/// are gone count, and of those the longest wait.
fn reset(headers: &HeaderMap, clock: &dyn Clock, remaining: &str, reset: &str) -> Option<Duration> {
    let remaining = numbers(headers, remaining);
    // the response without any is the usual one, and is done with one look-up
    if remaining.is_empty() {
        return None;
    }
    let resets = numbers(headers, reset);
    let is_gone = |number: &str| number.starts_with('-') && digits(&number[1..]).is_some() || digits(number) == Some(0);
    let waits = |number: &&str| moment(number, headers, clock);
    if remaining.len() == resets.len() {
        let both = remaining.iter().zip(&resets);
        both.filter(|(remaining, _)| is_gone(remaining)).filter_map(|(_, reset)| waits(reset)).max()
    } else if remaining.iter().any(|number| is_gone(number)) {
        resets.iter().filter_map(waits).max()
    } else {
        None
    }
}

/// The members of a list, over all lines, without their parameters.
fn numbers<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    let lines = headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(|item| item.split(';').next().unwrap_or(item).trim()).collect()
}

/// Servers write seconds from now, seconds since 1970, or milliseconds since 1970: the three differ in size.
fn moment(number: &str, headers: &HeaderMap, clock: &dyn Clock) -> Option<Duration> {
    /// In 2001 as seconds; as seconds from now it would be 31 years.
    const SECONDS_FROM: u64 = 1_000_000_000;
    /// In 1973 as milliseconds; as seconds it would be the year 5138.
    const MILLISECONDS_FROM: u64 = 100_000_000_000;
    // some write fractions of a second: never earlier than meant
    let (whole, fraction) = number.split_once('.').map_or((number, None), |(whole, fraction)| (whole, Some(fraction)));
    let up = match fraction.map(digits) {
        Some(None) => return None,
        Some(Some(fraction)) => u64::from(fraction > 0),
        None => 0,
    };
    let number = digits(whole)?.saturating_add(up);
    let since_1970 = match number {
        0..SECONDS_FROM => return Some(Duration::from_secs(number)),
        SECONDS_FROM..MILLISECONDS_FROM => Duration::from_secs(number),
        MILLISECONDS_FROM.. => Duration::from_millis(number),
    };
    UNIX_EPOCH.checked_add(since_1970)?.duration_since(reference(headers, clock)).ok()
}

/// A whole number of digits only; more than fits is as much as fits.
pub(super) fn digits(text: &str) -> Option<u64> {
    let all_digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    all_digits.then(|| text.parse().unwrap_or(u64::MAX))
}
