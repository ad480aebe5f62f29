//! Causes are found wherever they lie in a chain.

use std::{error::Error, fmt, io, time::Duration};
use steadfast::{
    error::{BoxError, Refused, StoreError, as_error, find},
    timeout::{Elapsed, Limit},
};

/// An error around another one.
#[derive(Debug)]
pub(crate) struct Around(pub(crate) BoxError);

impl fmt::Display for Around {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("around")
    }
}

impl Error for Around {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}

fn is<E: Error + 'static>(error: &(dyn Error + 'static)) -> bool {
    error.is::<E>()
}

fn refused() -> Refused {
    Refused::new("payments", "circuit open").with_retry_after(Duration::from_secs(3))
}

#[test]
fn a_cause_is_found_at_any_depth() {
    let mut error: BoxError = refused().into();
    for depth in 0..20 {
        assert_eq!(Refused::find(&*error).map(Refused::who), Some("payments"), "{depth}");
        error = Around(error).into();
    }
}

/// `io::Error::source` gives the source of what it wraps, and not that itself.
#[test]
fn a_cause_inside_of_an_io_error_is_found() {
    let wrapped: BoxError = io::Error::other(refused()).into();
    assert!(find::<Refused>(&*wrapped).is_some());
    let deep: BoxError = Around(io::Error::other(Around(io::Error::other(refused()).into())).into()).into();
    assert!(find::<Refused>(&*deep).is_some());
    // and the wrapper itself is still one of the chain
    assert!(find::<io::Error>(&*deep).is_some());
}

#[test]
fn what_is_not_there_is_not_found() {
    let error: BoxError = Around("text".into()).into();
    assert!(find::<Refused>(&*error).is_none() && find::<io::Error>(&*error).is_none());
}

#[test]
fn the_first_of_two_causes_is_found() {
    struct Two;
    let error: BoxError = Around(Around(refused().into()).into()).into();
    let outer = Refused::new("outer", "full");
    assert_eq!(Refused::find(&outer).unwrap().who(), "outer");
    assert_eq!(Refused::find(&*error).unwrap().who(), "payments");
    // a type that nobody knows is no error here, whatever it is
    assert!(as_error(&Two).is_none());
}

#[test]
fn known_types_are_errors_whatever_holds_them() {
    let boxed: BoxError = Around(refused().into()).into();
    assert!(as_error(&boxed).is_some_and(is::<Around>));
    assert!(as_error(&refused()).is_some_and(is::<Refused>));
    assert!(as_error(&Elapsed::new(Limit::Total, 1)).is_some_and(is::<Elapsed>));
    assert!(as_error(&StoreError::new("gone")).is_some_and(is::<StoreError>));
    assert!(as_error(&io::Error::other("x")).is_some_and(is::<io::Error>));
    assert!(as_error(&tonic::Status::ok("")).is_some_and(is::<tonic::Status>));
    assert!(as_error(&Around("x".into())).is_none());
}

#[test]
fn refusals_and_deadlines_are_a_status_to_tonic() {
    for (error, code) in [
        (BoxError::from(refused()), tonic::Code::Unavailable),
        (Elapsed::new(Limit::Total, 2).into(), tonic::Code::DeadlineExceeded),
    ] {
        let text = error.to_string();
        let status = find::<tonic::Status>(&*error).unwrap();
        assert_eq!((status.code(), status.message()), (code, text.as_str()));
        // what tonic itself makes of such an error
        let status = tonic::Status::from_error(Around(error).into());
        assert_eq!((status.code(), status.message()), (code, text.as_str()));
    }
}

#[test]
fn a_clone_says_the_same() {
    let error = refused();
    let copy = error.clone();
    assert_eq!(error.to_string(), copy.to_string());
    assert_eq!(
        (copy.who(), copy.why(), copy.retry_after()),
        ("payments", "circuit open", Some(Duration::from_secs(3)))
    );
    let told = StoreError::with_source("the commit failed", io::Error::other("disk full")).clone();
    assert_eq!(
        (told.what(), told.source().map(ToString::to_string)),
        ("the commit failed", Some("disk full".to_owned()))
    );
}
