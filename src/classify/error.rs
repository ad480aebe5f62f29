use super::{Failure, Outcome, Verdict, of_grpc_code};
use crate::{
    error::{Refused, as_error, find},
    foreign::{self, Kind},
    timeout::Elapsed,
};
use std::error::Error;

/// What an error of any type means: see the table in the [module docs](crate::classify).
///
/// The whole `source()` chain is read. A type that is unknown here is a [`Failure::Fault`].
pub fn of_error<E: 'static>(error: &E) -> Verdict {
    as_error(error).map_or_else(|| Failure::Fault.into(), of_dyn_error)
}

pub(crate) fn of_dyn_error(error: &(dyn Error + 'static)) -> Verdict {
    if let Some(refused) = Refused::find(error) {
        return Verdict::refused(refused.retry_after());
    }
    if find::<Elapsed>(error).is_some() {
        return Failure::Timeout.into();
    }
    let mut kind = None;
    for error in crate::error::chain(error) {
        match foreign::judge(error) {
            // the deepest word counts: an UNAVAILABLE that stands for a refused connection was never sent
            Some(Kind::NotSent) => return Failure::NotSent.into(),
            found => kind = kind.or(found),
        }
    }
    match kind {
        Some(Kind::NotSent) => Failure::NotSent.into(),
        Some(Kind::Timeout) => Failure::Timeout.into(),
        Some(Kind::Transient) => Failure::Transient.into(),
        Some(Kind::Unsendable) => Outcome::Rejected.into(),
        Some(Kind::Refused) => Verdict::refused(None),
        Some(Kind::Ours) => Outcome::Ignored.into(),
        Some(Kind::Grpc(code)) => of_grpc_code(code),
        Some(Kind::Fault) | None => Failure::Fault.into(),
    }
}
