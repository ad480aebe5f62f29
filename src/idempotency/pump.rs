//! Reads a handler's answer to its end, tells it on, and records it.

use super::{
    ClaimLost, Fenced, Recorded, StoredResponse,
    body::{Sent, at_least},
    caller::{Caller, Listener},
    ledger::Ledger,
    state::result,
};
use crate::{error::BoxError, panic::caught};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Response, StatusCode, header, response::Parts};
use http_body::{Body, Frame, SizeHint};
use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
};
use tokio::sync::{Semaphore, mpsc::UnboundedSender};

/// Frames on their way to a slow caller, of an answer that is not kept.
const WINDOW: usize = 16;

/// While every frame is there at once nothing is streamed: the answer is recorded, then given in one piece. At the first wait
/// the head goes out and frames follow as they come. The *end* waits for the record in both cases, so that who has the whole
/// answer can repeat at once and is answered from it.
pub(super) async fn pump<B, E>(ledger: &Ledger, response: Response<B>, caller: Caller<B, E>)
where
    B: Body<Data = Bytes> + Send,
    B::Error: Into<BoxError>,
{
    let (mut head, body) = response.into_parts();
    let hint = size_hint(&mut head.headers, &body);
    let length = length(&head.headers, &hint);
    let ends_here = ends_with_its_head(head.status);
    let mut stored =
        StoredResponse { status: head.status, headers: head.headers.clone(), body: Bytes::new(), trailers: None };
    let mut body = pin!(body);
    let mut kept = Kept::default();
    let mut listener = Some(Listener::Waiting { head, hint, caller });

    let broken = loop {
        let frame = poll_fn(|cx| {
            if ends_here {
                return Poll::Ready(None);
            }
            let polled = poll_frame(body.as_mut(), cx);
            // with all data here the end is near, and the caller can have it in one piece
            if polled.is_pending() && length != Some(kept.len as u64) {
                listener = listener.take().map(|listener| listener.go_live(|| kept.so_far()));
            }
            polled
        })
        .await;
        let frame = match frame {
            None => break None,
            Some(Err(error)) => break Some(error),
            Some(Ok(frame)) => frame,
        };
        let Some(to) = listener.as_mut() else { return };
        match frame.into_data() {
            Ok(data) if data.is_empty() => {}
            Ok(data) if kept.len + data.len() > ledger.shared.config.response_limit => {
                let Some(listener) = listener else { return };
                let listener = listener.go_live(|| kept.so_far());
                return Box::pin(too_long(ledger, body, listener, data)).await;
            }
            Ok(data) => {
                kept.push(&data);
                // a server that sends a length looks for nothing behind so many bytes
                to.frame(Frame::data(data), length == Some(kept.len as u64));
            }
            Err(frame) => {
                stored.trailers = frame.trailers_ref().cloned();
                to.frame(frame, true);
            }
        }
    };

    let Some(listener) = listener else { return };
    if let Some(error) = broken {
        let told = |to: Listener<_, _>| to.break_off(|| kept.so_far(), error);
        return Box::pin(finish(ledger, Recorded::NotRetained, listener, told)).await;
    }
    let trailers = stored.trailers.clone();
    let data = kept.into_bytes();
    stored.body = data.clone();
    finish(ledger, ledger.recorded(stored), listener, |to| to.end(data, trailers)).await;
}

/// Record, then tell; where the store is slow, tell, and go on recording.
async fn finish<B, E>(
    ledger: &Ledger,
    recorded: Recorded,
    listener: Listener<B, E>,
    tell: impl FnOnce(Listener<B, E>),
) {
    let heard = ledger.complete(&recorded).await;
    if heard == Some(Fenced::Lost) {
        ledger.shared.state.count(result::LEASE_LOST);
        return listener.give_way(Box::pin(ledger.owners_answer()).await);
    }
    ledger.shared.state.count(result::FIRST);
    tell(listener);
    if heard.is_none() {
        Box::pin(ledger.complete_until_heard(&recorded)).await;
    }
}

/// An answer that is not kept: recorded as that at once, since its request is done and must not run again; then it passes at
/// its caller's pace, and ends with its caller.
async fn too_long<B, R, E>(ledger: &Ledger, body: Pin<&mut B>, listener: Listener<R, E>, first: Bytes)
where
    B: Body<Data = Bytes> + Send,
    B::Error: Into<BoxError>,
{
    let Listener::Live { frames, last } = listener else { return };
    let recorded = Recorded::NotRetained;
    let heard = ledger.complete(&recorded).await;
    if heard == Some(Fenced::Lost) {
        ledger.shared.state.count(result::LEASE_LOST);
        let _ = frames.send((Err(ClaimLost.into()), None));
        return;
    }
    ledger.shared.state.count(result::FIRST);
    for frame in last {
        let _ = frames.send((Ok(frame), None));
    }
    let passed = pass_on(body, &frames, first);
    if heard.is_some() {
        return passed.await;
    }
    let mut passed = pin!(passed);
    let mut record = pin!(ledger.complete_until_heard(&recorded));
    let (mut is_passed, mut is_recorded) = (false, false);
    poll_fn(|cx| {
        is_passed = is_passed || passed.as_mut().poll(cx).is_ready();
        is_recorded = is_recorded || record.as_mut().poll(cx).is_ready();
        if is_passed && is_recorded { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

async fn pass_on<B>(mut body: Pin<&mut B>, frames: &UnboundedSender<Sent>, first: Bytes)
where
    B: Body<Data = Bytes> + Send,
    B::Error: Into<BoxError>,
{
    let window = Arc::new(Semaphore::new(WINDOW));
    let mut left = pin!(frames.closed());
    let mut next = Some(Ok(Frame::data(first)));
    while let Some(frame) = next {
        let mut permit = pin!(window.clone().acquire_owned());
        let permit = poll_fn(|cx| match left.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(None),
            Poll::Pending => permit.as_mut().poll(cx).map(Result::ok),
        });
        let Some(permit) = permit.await else { return };
        let is_end = frame.is_err();
        if frames.send((frame, Some(permit))).is_err() || is_end {
            return;
        }
        next = poll_fn(|cx| match left.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(None),
            Poll::Pending => poll_frame(body.as_mut(), cx),
        })
        .await;
    }
}

/// Its error boxed at once, so that nothing is asked of the error's type; a panic is an error as well.
fn poll_frame<B>(body: Pin<&mut B>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    match caught(|| body.poll_frame(cx).map_err(Into::into)) {
        Ok(polled) => polled,
        Err(_) => Poll::Ready(Some(Err("the handler's body panicked".into()))),
    }
}

/// As the body has it. Where the handler announces trailers the length is not given away, in the header neither: with it a server
/// sends no trailers over HTTP/1.1.
fn size_hint(headers: &mut HeaderMap, body: &impl Body) -> SizeHint {
    let hint = body.size_hint();
    if !headers.contains_key(header::TRAILER) {
        return hint;
    }
    headers.remove(header::CONTENT_LENGTH);
    at_least(hint.lower())
}

/// Whether a server sends nothing after the head (RFC 9110, 6.4.1). It drops the body unread, so the body is not read here: one
/// that waits for ever would keep the key in flight.
fn ends_with_its_head(status: StatusCode) -> bool {
    status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// How many bytes the caller will wait for, if that is known.
fn length(headers: &HeaderMap, hint: &SizeHint) -> Option<u64> {
    let said = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    said.or(hint.exact())
}

/// What was read so far.
#[derive(Default)]
struct Kept {
    /// Of most answers the whole: then it is not copied.
    first: Bytes,
    /// All of it, where there is more than one piece.
    joined: BytesMut,
    len: usize,
}

impl Kept {
    fn push(&mut self, data: &Bytes) {
        self.len += data.len();
        if self.first.is_empty() && self.joined.is_empty() {
            self.first = data.clone();
        } else {
            if self.joined.is_empty() {
                self.joined.extend_from_slice(&std::mem::take(&mut self.first));
            }
            self.joined.extend_from_slice(data);
        }
    }

    fn so_far(&self) -> Bytes {
        if self.joined.is_empty() { self.first.clone() } else { Bytes::copy_from_slice(&self.joined) }
    }

    fn into_bytes(self) -> Bytes {
        if self.joined.is_empty() { self.first } else { self.joined.freeze() }
    }
}

/// The head of a response whose body the caller may drive itself: nothing of it is recorded.
pub(super) fn unrecorded<B, E>(head: Parts, body: B, caller: Caller<B, E>) {
    caller.respond(Response::from_parts(head, super::IdempotencyBody::inner(body)));
}
