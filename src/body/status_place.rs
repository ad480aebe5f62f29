//! Where the outcome of a response stands whose head is a success.

use super::{
    grpc_frames::{GrpcFrames, look_at},
    grpc_web::GrpcWeb,
};
use crate::classify::{Failure, GrpcFormat, Outcome, Recorder, Verdict};
use bytes::Buf;
use http::{HeaderMap, header};
use http_body::Body;

/// Where the outcome stands, and what of the body has passed.
#[derive(Debug)]
pub(super) enum StatusPlace {
    /// In the head, if the body is whole.
    Head {
        /// Bytes until the end; [`UNKNOWN`] where nothing says how many.
        left: u64,
        /// An event stream may be silent for as long as it likes.
        events: bool,
    },
    /// In the trailers.
    Trailers { frames: GrpcFrames, message: bool },
    /// In the last frame. Boxed: few responses have it.
    Frame(Box<GrpcWeb>),
}

const UNKNOWN: u64 = u64::MAX;
const EVENTS: &[u8] = b"text/event-stream";

impl StatusPlace {
    /// For a body that nothing is recorded of.
    pub(super) const fn unwatched() -> Self {
        Self::Head { left: UNKNOWN, events: false }
    }

    pub(super) fn of(headers: &HeaderMap, body: &impl Body) -> Self {
        match GrpcFormat::of_awaited(headers) {
            Some(GrpcFormat::Grpc) => Self::Trailers { frames: GrpcFrames::default(), message: false },
            Some(format) => Self::Frame(Box::new(GrpcWeb::new(format == GrpcFormat::WebText))),
            None => {
                let left = body.size_hint().exact().or_else(|| content_length(headers)).unwrap_or(UNKNOWN);
                Self::Head { left, events: is_event_stream(headers) }
            }
        }
    }

    /// Returns the outcome if nothing of the body is needed for it: a length of nothing, or a good head is enough.
    pub(super) fn known_at_head(&self, recorder: &Recorder) -> Option<Verdict> {
        let known = match self {
            Self::Head { left, .. } => *left == 0 || recorder.settles_early(),
            Self::Trailers { .. } | Self::Frame(_) => false,
        };
        known.then(|| Outcome::Success.into())
    }

    /// Reads what passes, and returns the outcome once that is known.
    pub(super) fn read(&mut self, data: &impl Buf, recorder: &Recorder) -> Option<Verdict> {
        let enough = match self {
            Self::Head { left: UNKNOWN, .. } | Self::Trailers { message: true, .. } => false,
            Self::Head { left, .. } => {
                *left = left.saturating_sub(data.remaining() as u64);
                *left == 0
            }
            Self::Trailers { frames, message } => {
                let mut arrived = false;
                let seen = look_at(data, |bytes| frames.read(bytes, |part| arrived |= part.last));
                // data that cannot be looked at: it was a message, most likely
                *message = arrived || !seen;
                *message && recorder.settles_early()
            }
            Self::Frame(web) => {
                web.read(data);
                if web.is_complete() {
                    return Some(self.ended());
                }
                web.has_message() && recorder.settles_early()
            }
        };
        enough.then(|| Outcome::Success.into())
    }

    /// The outcome of a body that ended.
    pub(super) fn ended(&self) -> Verdict {
        match self {
            Self::Head { .. } => Outcome::Success.into(),
            // gRPC that ends without a status broke off
            Self::Trailers { .. } => Failure::Fault.into(),
            Self::Frame(web) => web.status().unwrap_or(Outcome::Success.into()),
        }
    }

    /// The outcome of a body that was dropped, and was not waited for.
    pub(super) fn dropped(&self) -> Verdict {
        match self {
            Self::Trailers { message: false, .. } => Outcome::Ignored.into(),
            Self::Trailers { message: true, .. } => Outcome::Success.into(),
            Self::Head { .. } | Self::Frame(_) => self.ended(),
        }
    }

    /// Whether silence from now on says nothing about the server.
    pub(super) fn is_patient(&self) -> bool {
        match self {
            Self::Head { events, .. } => *events,
            Self::Trailers { message, .. } => *message,
            Self::Frame(web) => web.has_message(),
        }
    }
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return false };
    let Some((essence, rest)) = value.as_bytes().split_at_checked(EVENTS.len()) else { return false };
    essence.eq_ignore_ascii_case(EVENTS) && matches!(rest.first(), None | Some(b';' | b' ' | b'\t'))
}
