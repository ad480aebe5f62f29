use super::{Attempted, Report};
use crate::{
    body::GrpcWeb,
    classify::{Failure, GrpcFormat, Http, Outcome, Repeatable, Verdict, grpc_status},
    error::BoxError,
};
use bytes::Buf;
use http::{Response, response::Parts};
use http_body::Body;
use http_body_util::BodyExt;
use std::{any::Any, pin::pin};

/// Bytes of an answer that are read: enough to keep the connection usable, and no more than a stranger may make us read.
const READ: usize = 1 << 20;

/// Bytes that are read where a gRPC status is still to come: what its head says is no answer yet.
const READ_TO_STATUS: usize = 16 << 20;

/// An answer that is read to its end before it is judged: one that breaks off is a failure although its head said 200.
#[diagnostic::on_unimplemented(
    message = "`Deliver` cannot read the answer `{Self}`",
    note = "it reads `http::Response<B>` of any body and, with the feature `reqwest`, `reqwest::Response`; implement `ReadAnswer` for your own"
)]
pub trait ReadAnswer: Send {
    /// Returns the address that `request` asks, if this type of response knows the address that it came from.
    fn asked(request: &dyn Any) -> Option<String> {
        let _ = request;
        None
    }

    /// Returns the origin of the response if it came from another address than `asked`: the client followed a redirect.
    fn redirected(&self, asked: &str) -> Option<String> {
        let _ = asked;
        None
    }

    /// What the attempt came to.
    fn read(self) -> impl Future<Output = Report> + Send;
}

impl<B> ReadAnswer for Response<B>
where
    B: Body + Send,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    async fn read(self) -> Report {
        let (head, body) = self.into_parts();
        let mut verdict = judge(&head);
        let format = GrpcFormat::of_awaited(&head.headers);
        let mut awaited = format == Some(GrpcFormat::Grpc);
        let mut web = format.filter(|_| !awaited).map(|format| GrpcWeb::new(format == GrpcFormat::WebText));
        let mut body = pin!(body);
        let (mut seen, mut kept) = (0_usize, Vec::new());
        let mut broken = None;
        // what is longer than that is given up with its connection; its head has said what there was to say
        while seen < if awaited || web.as_ref().is_some_and(|web| !web.is_complete()) { READ_TO_STATUS } else { READ } {
            match body.frame().await {
                None => break,
                Some(Err(error)) => {
                    broken = Some(error.into());
                    break;
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(mut data) => {
                        seen = seen.saturating_add(data.remaining());
                        if let Some(web) = &mut web {
                            web.read(&data);
                        }
                        let more = data.remaining().min(Attempted::ERROR.saturating_sub(kept.len()));
                        kept.extend_from_slice(&data.copy_to_bytes(more));
                    }
                    Err(frame) => {
                        let status = frame.into_trailers().ok().and_then(|trailers| grpc_status(&trailers));
                        if let (Outcome::Success, Some(status)) = (verdict.outcome(), status) {
                            (verdict, awaited) = (status, false);
                        }
                    }
                },
            }
        }
        if let Some(web) = web {
            // gRPC-Web that ends without a status is judged by its head, one that is cut is not
            awaited = !web.is_complete() && seen >= READ_TO_STATUS;
            if let (Outcome::Success, Some(status)) = (verdict.outcome(), web.status()) {
                verdict = status;
            }
        }
        conclude(&head, verdict, awaited, broken, &kept)
    }
}

/// What the head says. A delivery is not redirected: whoever moved says so to a person, by a dead letter.
fn judge(head: &Parts) -> Verdict {
    if head.status.is_redirection() {
        return Outcome::Rejected.into();
    }
    Http::new().judge_head(head.status, &head.headers, &head.extensions, Repeatable::Keyed)
}

fn conclude(head: &Parts, verdict: Verdict, unfinished: bool, broken: Option<BoxError>, kept: &[u8]) -> Report {
    match (verdict.outcome(), broken) {
        (Outcome::Success, Some(error)) => {
            Report::new(Failure::Transient).with_error(format!("the answer broke off: {error}"))
        }
        // a gRPC answer without a status
        (Outcome::Success, None) if unfinished => Report::new(Failure::Fault).with_error("the answer ended early"),
        (Outcome::Success, None) => Report::new(verdict),
        _ if kept.is_empty() => Report::new(verdict).with_error(head.status.to_string()),
        _ => Report::new(verdict).with_error(format!("{}: {}", head.status, String::from_utf8_lossy(kept))),
    }
    .with_status(head.status)
}
