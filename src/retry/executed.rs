//! What leaves a retry layer after an attempt that may have been executed.

use crate::{
    classify::{Evidence, LastAttempt, MaybeExecuted, of_error_with},
    error::{BoxError, Refused},
};
use http::Extensions;
use std::{any::Any, io, mem};

/// Keeps an error from being taken for a proof that nothing was sent, where its type can hold another error. `reader`: what a layer
/// further out may know when it judges the error.
///
/// Why `Any`: the error of the inner service comes out as it is, and only a [`BoxError`] and an [`io::Error`] can be made of
/// another one. A client's own error type comes out unchanged; the docs of [`retry`](crate::retry) say what follows.
#[cold]
pub(crate) fn disclose<E: 'static>(error: &mut E, last: LastAttempt, reader: Evidence) {
    if !of_error_with(error, reader).outcome().claims_not_sent() {
        return;
    }
    let any: &mut dyn Any = error;
    if let Some(boxed) = any.downcast_mut::<BoxError>() {
        let cause = mem::replace(boxed, io::Error::from(io::ErrorKind::Other).into());
        *boxed = MaybeExecuted::new(last, cause).into();
    } else if let Some(io) = any.downcast_mut::<io::Error>() {
        let cause = mem::replace(io, io::ErrorKind::Other.into());
        *io = io::Error::other(MaybeExecuted::new(last, cause.into()));
    }
}

/// Takes the refusal of a layer of this process out of a response that it made in *respond* mode: the status stays.
#[cold]
pub(super) fn disclose_in(extensions: &mut Extensions) {
    extensions.remove::<Refused>();
}
