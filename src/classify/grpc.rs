use super::{Failure, Outcome, Verdict};
use crate::backoff::Hint;
use http::{HeaderMap, HeaderName, header};
use std::time::Duration;

// A name that is made once is not parsed again for every answer.
pub(super) static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// How a gRPC message is written: by that it is known where the status of the call stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GrpcFormat {
    /// `application/grpc`: the status is in the trailers.
    Grpc,
    /// `application/grpc-web`: the status is in the last frame of the body.
    Web,
    /// `application/grpc-web-text`: the same, and the body is base64.
    WebText,
}

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

impl GrpcFormat {
    /// Returns the format that the `content-type` names; `None` for any other media type.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        Self::of_media_type(headers.get(header::CONTENT_TYPE)?.as_bytes())
    }

    fn of_media_type(value: &[u8]) -> Option<Self> {
        let rest = strip(value, b"application/grpc")?;
        let (format, rest) = match strip(rest, b"-web") {
            None => (Self::Grpc, rest),
            Some(rest) => match strip(rest, b"-text") {
                None => (Self::Web, rest),
                Some(rest) => (Self::WebText, rest),
            },
        };
        // a message encoding, parameters, or nothing: else it is the name of another media type
        matches!(rest.first(), None | Some(b'+' | b';' | b' ' | b'\t')).then_some(format)
    }

    /// Returns the media type of a gRPC response to this request; `None`: the request is not gRPC. A gRPC-Web client names in
    /// `accept` the one that it reads.
    pub(crate) fn answer_to(request: &HeaderMap) -> Option<&'static str> {
        let format = Self::of(request)?;
        let accepted = || request.get(header::ACCEPT).and_then(|value| Self::of_media_type(value.as_bytes()));
        Some(match (format, accepted().unwrap_or(format)) {
            (Self::Grpc, _) => "application/grpc",
            (_, Self::WebText) => "application/grpc-web-text+proto",
            _ => "application/grpc-web+proto",
        })
    }

    /// Returns the format of a response whose status is still to come: one that is in its head is not.
    pub(crate) fn of_awaited(response: &HeaderMap) -> Option<Self> {
        Self::of(response).filter(|_| !response.contains_key(&GRPC_STATUS))
    }
}

fn strip<'a>(text: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// Whether a message is gRPC over HTTP/2, which gRPC-Web is not.
#[cfg(feature = "retry")]
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    GrpcFormat::of(headers) == Some(GrpcFormat::Grpc)
}

/// What `grpc-status` says, with its pushback; `None` where there is none.
pub(crate) fn grpc_status(headers: &HeaderMap) -> Option<Verdict> {
    let status = headers.get(&GRPC_STATUS)?.as_bytes();
    Some(of_grpc_status(status, || headers.get(PUSHBACK).map(http::HeaderValue::as_bytes)))
}

/// The trailer of gRPC proposal A6.
pub(crate) const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// The same, from the values of the two fields.
pub(crate) fn of_grpc_status<'a>(status: &[u8], pushback: impl FnOnce() -> Option<&'a [u8]>) -> Verdict {
    let code = std::str::from_utf8(status).ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    let verdict = of_grpc_code(code);
    match verdict.outcome() {
        Outcome::Failure(_) => verdict.with_hint(pushback().map(pushed_back)),
        _ => verdict,
    }
}

/// gRPC proposal A6: a delay in milliseconds; negative or unreadable means that the call must not be tried again.
fn pushed_back(value: &[u8]) -> Hint {
    let text = std::str::from_utf8(value).ok();
    match text.and_then(|text| text.parse::<u64>().ok()) {
        Some(millis) => Hint::Exactly(Duration::from_millis(millis)),
        None => Hint::Never,
    }
}
