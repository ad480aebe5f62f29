//! How settings are written that serde does not know.

pub(super) mod methods;
pub(super) mod text;
