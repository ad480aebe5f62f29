//! Methods by name.

use http::Method;
use serde::{Deserialize, Deserializer, Serializer, de};

pub(crate) fn serialize<S: Serializer>(methods: &[Method], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(methods.iter().map(Method::as_str))
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Method>, D::Error> {
    let names = Vec::<String>::deserialize(from)?;
    let method = |name: String| name.parse().map_err(|_| de::Error::custom(format_args!("`{name}` is no method")));
    names.into_iter().map(method).collect()
}
