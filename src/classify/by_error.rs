use super::{Classify, Evidence, Outcome, Recorder, Repeatable, Verdict, of_error_with};
use crate::error::{as_error, find};
use std::{any::Any, error::Error, fmt, marker::PhantomData};

/// Judges the errors of one type by a closure, for services that are not HTTP, such as a database client.
///
/// `Ok` is a success and every request may be repeated. An error of type `E` is found as it is, or anywhere in the `source()`
/// chain of the error that comes out, so one classifier serves the layers directly above the service and those above a layer
/// that boxes errors. The chain can be read of a [`BoxError`](crate::error::BoxError) and of the types that [`as_error`] knows: box an
/// `anyhow::Error`, and box an error of your own or name it as `E`. Any other error, such as a deadline or a refusal of this
/// process, is judged by [`of_error`](super::of_error).
///
/// ```
/// use steadfast::{circuit_breaker::{Circuit, CircuitBreakerLayer}, classify::{Failure, Outcome}};
///
/// #[derive(Debug)]
/// enum DbError { UniqueViolation, Deadlock }
/// # impl std::fmt::Display for DbError { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { write!(f, "{self:?}") } }
/// # impl std::error::Error for DbError {}
///
/// let layer = CircuitBreakerLayer::by_error(Circuit::new("db"), |error: &DbError| match error {
///     DbError::UniqueViolation => Outcome::Rejected, // the database is healthy
///     DbError::Deadlock => Outcome::Failure(Failure::Transient),
/// });
/// # let _ = layer;
/// ```
pub struct ByError<E, F> {
    judge: F,
    error: PhantomData<fn(&E)>,
}

impl<E, F> ByError<E, F>
where
    E: Error + 'static,
    F: Fn(&E) -> Outcome + Send + Sync + 'static,
{
    /// Creates a classifier that asks `judge` for the outcome of an `E`.
    pub const fn new(judge: F) -> Self {
        Self { judge, error: PhantomData }
    }
}

impl<E, F, Req, Res, Err> Classify<Req, Res, Err> for ByError<E, F>
where
    E: Error + 'static,
    F: Fn(&E) -> Outcome + Send + Sync + 'static,
    Err: 'static,
{
    type Response = Res;

    fn repeatable(&self, _: &Req) -> Repeatable {
        Repeatable::Yes
    }

    fn head(&self, _: &Res, _: Repeatable) -> Verdict {
        Outcome::Success.into()
    }

    fn error(&self, error: &Err, evidence: Evidence) -> Verdict {
        let known = (error as &dyn Any).downcast_ref::<E>();
        let known = known.or_else(|| as_error(error).and_then(find::<E>));
        known.map_or_else(|| of_error_with(error, evidence), |error| (self.judge)(error).into())
    }

    fn ends_at_head(&self, _: &Res, _: Verdict) -> bool {
        true
    }

    fn watch(&self, response: Res, head: Verdict, recorder: Recorder) -> Res {
        recorder.record(head);
        response
    }
}

impl<E, F: Clone> Clone for ByError<E, F> {
    fn clone(&self) -> Self {
        Self { judge: self.judge.clone(), error: PhantomData }
    }
}

impl<E, F> fmt::Debug for ByError<E, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByError").finish_non_exhaustive()
    }
}
