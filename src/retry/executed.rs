//! What leaves a retry layer after an attempt that may have been executed.

use crate::{
    classify::{LastAttempt, MaybeExecuted, Outcome, of_error},
    error::{BoxError, Refused},
};
use http::Extensions;
use std::{any::Any, io, mem};

/// Keeps an error from being taken for a proof that nothing was sent, where its type can hold another error.
///
/// Why `Any`: the error of the inner service comes out as it is, and only a [`BoxError`] and an [`io::Error`] can be made of
/// another one. A client's own error type comes out unchanged; the docs of [`retry`](crate::retry) say what follows.
#[cold]
pub(super) fn disclose<E: 'static>(mut error: E, last: LastAttempt) -> E {
    if !matches!(of_error(&error).outcome(), Outcome::Refused | Outcome::Failure(crate::classify::Failure::NotSent)) {
        return error;
    }
    let any: &mut dyn Any = &mut error;
    if let Some(boxed) = any.downcast_mut::<BoxError>() {
        let cause = mem::replace(boxed, io::Error::from(io::ErrorKind::Other).into());
        *boxed = MaybeExecuted::new(last, cause).into();
    } else if let Some(io) = any.downcast_mut::<io::Error>() {
        let cause = mem::replace(io, io::ErrorKind::Other.into());
        *io = io::Error::other(MaybeExecuted::new(last, cause.into()));
    }
    error
}

/// Takes the refusal of a layer of this process out of a response that it made in *respond* mode: the status stays.
#[cold]
pub(super) fn disclose_in(extensions: &mut Extensions) {
    extensions.remove::<Refused>();
}
