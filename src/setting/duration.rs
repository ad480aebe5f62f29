//! Durations as people write them: `#[serde(with = "crate::setting::duration")]` reads and writes `"250ms"`, `"1m 30s"`.
#![allow(dead_code, reason = "only the patterns have durations to read")]

use serde::{Deserialize, Deserializer, Serializer, de};
use std::time::Duration;

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's `with` asks for it")]
pub(crate) fn serialize<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&humantime::format_duration(*duration))
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
    humantime::parse_duration(&text).map_err(|e| de::Error::custom(format_args!("`{text}` is no duration: {e}")))
}
