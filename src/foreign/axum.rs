use crate::error::known;
use std::{any::Any, error::Error};

pub(super) fn as_error(any: &dyn Any) -> Option<&(dyn Error + 'static)> {
    known::<axum::Error>(any)
}
