//! The response body of a leaf: empty, whole, in frames, broken off, or without an end.

use crate::{script::Content, world::World};
use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use steadfast::error::BoxError;
use tokio::time::{Sleep, sleep};

/// Between two frames.
const GAP: Duration = Duration::from_millis(7);

pub(crate) struct Flow {
    text: Bytes,
    content: Content,
    sent: u32,
    wait: Option<Pin<Box<Sleep>>>,
    #[expect(dead_code, reason = "only its drop matters")]
    alive: Alive,
}

/// Counts the responses to a request that are not dropped yet.
struct Alive {
    id: u64,
    world: Arc<World>,
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.world.response_dropped(self.id);
    }
}

/// Returns the text of a whole response to request `id`.
pub(crate) fn text(id: u64) -> String {
    format!("response {id};")
}

pub(crate) fn of(world: &Arc<World>, status: u16, id: u64, content: Content) -> Result<Response<Flow>, BoxError> {
    let flow = Flow { text: text(id).into(), content, sent: 0, wait: None, alive: Alive { id, world: world.clone() } };
    world.response_made(id);
    Ok(Response::builder().status(status).body(flow)?)
}

impl Body for Flow {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frames = match self.content {
            Content::Empty => 0,
            Content::Whole => 1,
            Content::Trickle(frames) | Content::Breaks(frames) | Content::Hangs(frames) => frames,
        };
        if self.sent < frames {
            if self.content != Content::Whole {
                ready!(self.wait.get_or_insert_with(|| Box::pin(sleep(GAP))).as_mut().poll(cx));
                self.wait = None;
            }
            self.sent += 1;
            return Poll::Ready(Some(Ok(Frame::data(self.text.clone()))));
        }
        match self.content {
            Content::Breaks(_) => Poll::Ready(Some(Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()))),
            Content::Hangs(_) => Poll::Pending,
            _ => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self.content {
            Content::Empty => true,
            Content::Whole => self.sent == 1,
            _ => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self.content {
            Content::Empty => SizeHint::with_exact(0),
            Content::Whole if self.sent == 0 => SizeHint::with_exact(self.text.len() as u64),
            _ => SizeHint::default(),
        }
    }
}
