//! What the layer says by itself.

use super::{IdempotencyBody, StoredResponse, state::result};
use crate::{answer::Problem, body::Unread};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use std::{sync::Arc, time::Duration};

const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// When it is worth asking again, where that is so.
const SOON: Duration = Duration::from_secs(1);

const INVALID_ARGUMENT: i32 = 3;
const FAILED_PRECONDITION: i32 = 9;
const UNAVAILABLE: i32 = 14;

/// Why the handler was not run, or its answer is not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    Missing,
    Malformed(&'static str),
    TooLarge,
    TooSlow,
    BrokenOff,
    InFlight,
    Mismatch,
    NotRetained,
    Unknown,
    StoreDown,
    /// The store has a record that cannot be read here.
    Unreadable,
    /// The handler's transaction was rolled back and it says that all is well.
    RolledBack,
    Failed,
    Panicked,
    /// The runtime went away below the handler.
    CutOff,
}

/// An answer that is not the handler's of this time.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a box would be one more allocation for each replay")]
pub(super) enum Said {
    Again(StoredResponse),
    No(Refusal),
}

impl Refusal {
    /// Of a request whose body was not read.
    pub(super) const fn of_body(why: &Unread<()>) -> Self {
        match why {
            Unread::TooLarge => Self::TooLarge,
            Unread::TooSlow => Self::TooSlow,
            Unread::Broken(()) => Self::BrokenOff,
        }
    }

    /// What a request came to that was answered so, in metrics.
    pub(super) const fn result(self) -> &'static str {
        match self {
            Self::Missing | Self::Malformed(_) | Self::TooLarge | Self::TooSlow | Self::BrokenOff => result::REFUSED,
            Self::InFlight | Self::Unknown => result::CONFLICT,
            Self::Mismatch => result::MISMATCH,
            Self::NotRetained => result::NOT_RETAINED,
            Self::StoreDown | Self::Unreadable => result::STORE_ERROR,
            Self::RolledBack | Self::Failed | Self::Panicked => result::FIRST,
            Self::CutOff => result::LEASE_LOST,
        }
    }

    /// Why, in metrics.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Malformed(_) => "malformed",
            Self::TooLarge => "too_large",
            Self::TooSlow => "too_slow",
            Self::BrokenOff => "broken_off",
            Self::InFlight => "in_flight",
            Self::Mismatch => "mismatch",
            Self::NotRetained => "not_retained",
            Self::Unknown => "unknown",
            Self::StoreDown => "store_down",
            Self::Unreadable => "unreadable",
            Self::RolledBack => "rolled_back",
            Self::Failed => "failed",
            Self::Panicked => "panicked",
            Self::CutOff => "cut_off",
        }
    }

    fn problem(self) -> Problem {
        let conflict = |title| Problem::new(StatusCode::CONFLICT, title);
        let fault = |title| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, title);
        match self {
            Self::Missing => Problem::new(StatusCode::BAD_REQUEST, "idempotency key missing"),
            Self::Malformed(why) => Problem::new(StatusCode::BAD_REQUEST, "malformed idempotency key").with_detail(why),
            Self::TooLarge => Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "request too large"),
            Self::TooSlow => Problem::new(StatusCode::REQUEST_TIMEOUT, "request body too slow")
                .with_detail("nothing was executed")
                .with_grpc_code(UNAVAILABLE),
            Self::BrokenOff => Problem::new(StatusCode::BAD_REQUEST, "request body broke off"),
            Self::InFlight => conflict("request in flight")
                .with_detail("the first request with this key has not been answered yet")
                .with_retry_after(SOON),
            Self::Mismatch => {
                Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency key in use for another request")
                    .with_detail("a key is for one method, target, content type and body")
                    .with_grpc_code(INVALID_ARGUMENT)
            }
            Self::NotRetained => conflict("answer not retained")
                .with_detail("the request was executed, its answer was too large to keep or broke off")
                .with_grpc_code(FAILED_PRECONDITION),
            Self::Unknown => conflict("outcome unknown")
                .with_detail("an earlier attempt ended without an answer; it may or may not have been executed")
                .with_grpc_code(FAILED_PRECONDITION),
            Self::StoreDown => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "idempotency store unavailable")
                .with_retry_after(SOON)
                .with_grpc_code(UNAVAILABLE),
            Self::Unreadable => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "idempotency record unreadable")
                .with_detail("the request was executed; its answer cannot be read here and now")
                .with_retry_after(SOON)
                .with_grpc_code(UNAVAILABLE),
            Self::RolledBack => fault("transaction rolled back").with_detail("nothing was executed"),
            Self::Failed => fault("handler failed"),
            Self::Panicked => fault("handler panicked"),
            Self::CutOff => fault("handler cut off"),
        }
    }

    /// `grpc`: the media type of a gRPC status. `help`: the page to point to.
    pub(super) fn into_stored(self, grpc: Option<&'static str>, help: &Arc<str>) -> StoredResponse {
        let (head, body) = self.problem().described_by(help.clone()).into_response(grpc).into_parts();
        StoredResponse { status: head.status, headers: head.headers, body, trailers: None }
    }
}

impl StoredResponse {
    /// As the response that it was.
    pub(super) fn into_response<B>(self) -> Response<IdempotencyBody<B>> {
        let mut response = Response::new(IdempotencyBody::whole(self.body, self.trailers));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

impl Said {
    pub(super) fn into_response<B>(self, grpc: Option<&'static str>, help: &Arc<str>) -> Response<IdempotencyBody<B>> {
        match self {
            Self::No(refusal) => refusal.into_stored(grpc, help).into_response(),
            Self::Again(mut stored) => {
                stored.headers.insert(REPLAYED, HeaderValue::from_static("true"));
                stored.into_response()
            }
        }
    }
}
