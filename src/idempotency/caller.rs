//! The caller's side of a detached handler: told a whole answer, or a head and then frames.

use super::{
    ClaimLost, IdempotencyBody,
    body::Sent,
    refusal::{Refusal, Said},
};
use crate::{error::BoxError, panic::Panic};
use bytes::Bytes;
use http::{HeaderMap, Response, response::Parts};
use http_body::{Frame, SizeHint};
use std::{
    sync::Arc,
    task::{Context, Poll},
};
use tokio::sync::{mpsc, oneshot};

/// What the caller's future is told, once.
#[expect(clippy::large_enum_variant, reason = "it is moved once; a box would be one more allocation for each request")]
pub(super) enum Reply<B, E> {
    Result(Result<Response<IdempotencyBody<B>>, E>),
    Panic(Panic),
}

/// Nobody may be there any more: then what is told is dropped.
pub(super) struct Caller<B, E> {
    tell: oneshot::Sender<Reply<B, E>>,
    grpc: Option<&'static str>,
    help: Arc<str>,
}

impl<B, E> Caller<B, E> {
    pub(super) fn new(tell: oneshot::Sender<Reply<B, E>>, grpc: Option<&'static str>, help: Arc<str>) -> Self {
        Self { tell, grpc, help }
    }

    pub(super) fn grpc(&self) -> Option<&'static str> {
        self.grpc
    }

    pub(super) fn help(&self) -> &Arc<str> {
        &self.help
    }

    /// Ready once nobody is there any more.
    pub(super) fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.tell.poll_closed(cx)
    }

    pub(super) fn reply(self, reply: Reply<B, E>) {
        let _ = self.tell.send(reply);
    }

    pub(super) fn respond(self, response: Response<IdempotencyBody<B>>) {
        self.reply(Reply::Result(Ok(response)));
    }

    pub(super) fn say(self, said: Said) {
        let response = said.into_response(self.grpc, &self.help);
        self.respond(response);
    }

    pub(super) fn refuse(self, refusal: Refusal) {
        self.say(Said::No(refusal));
    }
}

/// A caller whose answer is being read.
pub(super) enum Listener<B, E> {
    /// Has heard nothing: if the answer comes without a wait it gets it in one piece, recorded before.
    Waiting { head: Parts, hint: SizeHint, caller: Caller<B, E> },
    /// Has the head and gets frames; `last` are those that end the answer for it, kept back until the record is in.
    Live { frames: mpsc::UnboundedSender<Sent>, last: Vec<Frame<Bytes>> },
}

impl<B, E> Listener<B, E> {
    /// Sends the head, and what there is so far.
    pub(super) fn go_live(self, so_far: impl FnOnce() -> Bytes) -> Self {
        let Self::Waiting { head, hint, caller } = self else { return self };
        let (frames, receiver) = mpsc::unbounded_channel();
        let so_far = so_far();
        if !so_far.is_empty() {
            let _ = frames.send((Ok(Frame::data(so_far)), None));
        }
        caller.respond(Response::from_parts(head, IdempotencyBody::live(receiver, hint)));
        Self::Live { frames, last: Vec::new() }
    }

    /// One more frame. `ends`: with it the caller has all that it waits for.
    pub(super) fn frame(&mut self, frame: Frame<Bytes>, ends: bool) {
        if let Self::Live { frames, last } = self {
            if ends || !last.is_empty() {
                last.push(frame);
            } else {
                let _ = frames.send((Ok(frame), None));
            }
        }
    }

    /// That was all.
    pub(super) fn end(self, data: Bytes, trailers: Option<HeaderMap>) {
        match self {
            Self::Waiting { head, caller, .. } => {
                caller.respond(Response::from_parts(head, IdempotencyBody::whole(data, trailers)));
            }
            Self::Live { frames, last } => {
                for frame in last {
                    let _ = frames.send((Ok(frame), None));
                }
            }
        }
    }

    /// It broke off, and so it must look.
    pub(super) fn break_off(self, so_far: impl FnOnce() -> Bytes, error: BoxError) {
        if let Self::Live { frames, .. } = self.go_live(so_far) {
            let _ = frames.send((Err(error), None));
        }
    }

    /// Another attempt owns the key: its answer, or, where this one has begun already, no clean end.
    pub(super) fn give_way(self, owners: Said) {
        match self {
            Self::Waiting { caller, .. } => caller.say(owners),
            Self::Live { frames, .. } => {
                let _ = frames.send((Err(ClaimLost.into()), None));
            }
        }
    }
}
