//! What is kept of a request by default.

use crate::dedupe::DedupeKeys;
use http::{HeaderMap, HeaderName, request::Parts};

/// What the body is, whose trace it belongs to, and what the sender says of the event. No credential and no signature: a
/// message lies in a store for days, and both are checked by then.
const KEPT: [&str; 14] = [
    "content-type",
    "content-encoding",
    "content-language",
    "user-agent",
    "traceparent",
    "tracestate",
    "webhook-id",
    "webhook-timestamp",
    "x-gitlab-event",
    "x-shopify-topic",
    "x-shopify-shop-domain",
    "x-shopify-event-id",
    "x-shopify-webhook-id",
    "x-shopify-triggered-at",
];
/// GitHub's own headers, and `CloudEvents` attributes.
const KEPT_FROM: [&str; 2] = ["x-github-", "ce-"];
/// Where senders name the event.
const TOPICS: [&str; 4] = ["x-github-event", "x-gitlab-event", "x-shopify-topic", "ce-type"];
/// A name with one of these in it is never kept, however it begins.
const SECRET: [&str; 4] = ["signature", "token", "secret", "hmac"];

/// The keys of whatever verified the request. An id that nothing has verified is no key of a source that was verified.
pub(super) fn dedupe(parts: &Parts) -> Option<DedupeKeys> {
    let found = parts.extensions.get::<DedupeKeys>().cloned();
    found.or_else(|| text(&parts.headers, "webhook-id").map(|id| DedupeKeys::new(format!("webhook-id/{id}"))))
}

pub(super) fn topic(parts: &Parts) -> Option<String> {
    TOPICS.iter().find_map(|name| text(&parts.headers, name))
}

pub(super) fn headers(parts: &Parts) -> HeaderMap {
    let mut kept = HeaderMap::new();
    for (name, value) in &parts.headers {
        if is_kept(name) && !value.is_sensitive() {
            kept.append(name, value.clone());
        }
    }
    kept
}

fn is_kept(name: &HeaderName) -> bool {
    let name = name.as_str();
    let named = KEPT.contains(&name) || KEPT_FROM.iter().any(|prefix| name.starts_with(prefix));
    named && !SECRET.iter().any(|word| name.contains(word))
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
}
