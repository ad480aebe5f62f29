use super::Kind;
use crate::error::known;
use std::{any::Any, error::Error};
use tower::{buffer, load_shed, timeout};

pub(super) fn as_error(any: &dyn Any) -> Option<&(dyn Error + 'static)> {
    known::<timeout::error::Elapsed>(any)
        .or_else(|| known::<load_shed::error::Overloaded>(any))
        .or_else(|| known::<buffer::error::ServiceError>(any))
        .or_else(|| known::<buffer::error::Closed>(any))
}

pub(super) fn judge(error: &(dyn Error + 'static)) -> Option<Kind> {
    if error.is::<timeout::error::Elapsed>() {
        Some(Kind::Timeout)
    } else if error.is::<load_shed::error::Overloaded>() {
        Some(Kind::Refused)
    } else if error.is::<buffer::error::Closed>() {
        Some(Kind::Fault)
    } else {
        None
    }
}
