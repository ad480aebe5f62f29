//! The events: real GitHub payloads, one per event type, as often as the run asks for.

use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;
use std::hash::{DefaultHasher, Hash, Hasher};
use steadfast::error::BoxError;

/// See data/README.md.
const PAYLOADS: &str = include_str!("../data/github_webhooks.json");

/// What the CRM refuses until its data is mended.
const UNKNOWN_TO_THE_CRM: [&str; 5] = ["member", "membership", "organization", "sponsorship", "team"];

/// The secret that the sender and the receiver share.
pub const SECRET: &str = "a shared secret of the main job";

#[derive(Debug, Clone)]
pub struct Event {
    pub number: usize,
    /// `x-github-event`
    pub name: String,
    /// `x-github-delivery`
    pub delivery: String,
    pub body: Bytes,
}

impl Event {
    /// Whether the CRM refuses it for good, before it is mended.
    pub fn is_refused(&self) -> bool {
        UNKNOWN_TO_THE_CRM.contains(&&*self.name)
    }
}

pub fn is_refused(headers: &HeaderMap) -> bool {
    headers.get("x-github-event").is_some_and(|name| UNKNOWN_TO_THE_CRM.iter().any(|unknown| name == unknown))
}

/// What tells two bodies apart.
pub fn digest(body: &[u8]) -> i64 {
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    hasher.finish().cast_signed()
}

/// `n` of them: the 58 as they are, and from then on each with its number in the body.
pub fn load(n: usize) -> Result<Vec<Event>, BoxError> {
    let file: Value = serde_json::from_str(PAYLOADS)?;
    let samples = file["events"].as_array().ok_or("no events in the data")?;
    (0..n)
        .map(|number| {
            let sample = &samples[number % samples.len()];
            let mut payload = sample["payload"].clone();
            if number >= samples.len() {
                payload["number_in_this_run"] = number.into();
            }
            let name = sample["event"].as_str().ok_or("an event without a name")?.to_owned();
            Ok(Event { number, name, delivery: delivery(number), body: serde_json::to_vec(&payload)?.into() })
        })
        .collect()
}

pub fn delivery(number: usize) -> String {
    format!("5eadfa57-0000-4000-8000-{number:012x}")
}
