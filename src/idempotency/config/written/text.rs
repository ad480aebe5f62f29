//! A shared text.

use serde::{Deserialize, Deserializer, Serializer};
use std::sync::Arc;

#[expect(clippy::redundant_allocation, clippy::trivially_copy_pass_by_ref, reason = "serde's `with` asks for it")]
pub(crate) fn serialize<S: Serializer>(text: &Arc<str>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(text)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<str>, D::Error> {
    String::deserialize(from).map(Into::into)
}
