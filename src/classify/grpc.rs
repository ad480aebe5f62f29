use super::{Failure, Outcome, Verdict};
use crate::backoff::Hint;
use http::{HeaderMap, HeaderName, header};
use std::time::Duration;

// A name that is made once is not parsed again for every answer.
pub(super) static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// What a gRPC status code means: see the table in the [module docs](crate::classify). A number that is no code counts as
/// UNKNOWN.
pub fn of_grpc_code(code: i32) -> Verdict {
    match code {
        0 => Outcome::Success.into(),
        1 => Outcome::Ignored.into(),
        4 => Failure::Timeout.into(),
        8 => Failure::Overloaded.into(),
        10 | 14 => Failure::Transient.into(),
        12 => Verdict::new(Outcome::Rejected).neutral_for_health(),
        3 | 5 | 6 | 7 | 9 | 11 | 16 => Outcome::Rejected.into(),
        _ => Failure::Fault.into(),
    }
}

pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// What `grpc-status` says, with its pushback; `None` where there is none.
pub(crate) fn grpc_status(headers: &HeaderMap) -> Option<Verdict> {
    let code = headers.get(&GRPC_STATUS)?.to_str().ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    let verdict = of_grpc_code(code);
    Some(match verdict.outcome() {
        Outcome::Failure(_) => verdict.with_hint(pushback(headers)),
        _ => verdict,
    })
}

/// gRPC proposal A6: a delay in milliseconds; negative or unreadable means that the call must not be tried again.
fn pushback(headers: &HeaderMap) -> Option<Hint> {
    let text = headers.get("grpc-retry-pushback-ms")?.to_str().ok();
    Some(match text.and_then(|text| text.parse::<u64>().ok()) {
        Some(millis) => Hint::Exactly(Duration::from_millis(millis)),
        None => Hint::Never,
    })
}
