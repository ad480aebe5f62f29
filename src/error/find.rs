use super::{BoxError, Refused, StoreError};
use std::{any::Any, error::Error};

/// The first `T` in the chain that starts with `error` itself and follows `source()`.
pub fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    chain(error).find_map(<dyn Error + 'static>::downcast_ref::<T>)
}

/// `error`, its source, the source of that, and so on.
pub(crate) fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| below(error))
}

fn below<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    // `io::Error::source` skips the error that it wraps and gives that one's source: look inside first
    match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

/// `error` as a `&dyn Error`, whatever its type, if that type is known here: [`BoxError`], this crate's errors,
/// `std::io::Error`, and those of the enabled foreign crates. `None` for a type that nobody knows.
///
/// Why `Any` and not a bound: an error that is a `BoxError` does not implement `Error`, so `E: Error` would shut out every
/// layer that fails with one; `E: Into<BoxError>` needs the error by value and cannot give it back unchanged. The type
/// comparisons are constant once the generic is filled in.
pub fn as_error<E: 'static>(error: &E) -> Option<&(dyn Error + 'static)> {
    let any: &dyn Any = error;
    if let Some(boxed) = any.downcast_ref::<BoxError>() {
        return Some(&**boxed);
    }
    known::<Refused>(any)
        .or_else(|| known::<crate::timeout::Elapsed>(any))
        .or_else(|| known::<crate::classify::MaybeExecuted>(any))
        .or_else(|| known::<StoreError>(any))
        .or_else(|| known::<std::io::Error>(any))
        .or_else(|| known::<http_body_util::LengthLimitError>(any))
        .or_else(|| crate::foreign::as_error(any))
}

pub(crate) fn known<E: Error + 'static>(any: &dyn Any) -> Option<&(dyn Error + 'static)> {
    any.downcast_ref::<E>().map(|e| e as _)
}
