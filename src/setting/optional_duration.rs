//! The same for `Option<Duration>`: `#[serde(with = "crate::setting::optional_duration")]`, `null` for none.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::time::Duration;

#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Written(#[serde(with = "super::duration")] Duration);

#[expect(clippy::ref_option, reason = "serde's `with` asks for it")]
pub(crate) fn serialize<S: Serializer>(duration: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    duration.map(Written).serialize(to)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    Ok(Option::<Written>::deserialize(from)?.map(|written| written.0))
}
