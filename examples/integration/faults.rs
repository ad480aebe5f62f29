//! How the CRM misbehaves, outside of its idempotency layer.

use crate::events::is_refused;
use axum::{body::Body, response::Response};
use http::{Request, StatusCode, header};
use std::{
    convert::Infallible,
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
};
use tokio::sync::oneshot;
use tower::{ServiceExt, util::BoxCloneService};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// 503 with `Retry-After`.
    Busy,
    /// No answer at all.
    Hang,
    /// The connection is reset before anything was done.
    Reset,
    /// It is done, and then the connection is reset.
    LostReply,
    /// The handler stands still until its claim is another's.
    Stall,
}

impl Fault {
    pub const ALL: [Self; 5] = [Self::Busy, Self::Hang, Self::Reset, Self::LostReply, Self::Stall];

    pub fn name(self) -> &'static str {
        match self {
            Self::Busy => "busy (503)",
            Self::Hang => "hung",
            Self::Reset => "reset",
            Self::LostReply => "reply lost",
            Self::Stall => "stalled",
        }
    }
}

/// Into the request's extensions: the handler stands still.
#[derive(Debug, Clone, Copy)]
pub struct Stall;

/// Where a request is held until the one who asked for it lets go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    BeforeTheEffect,
    AfterTheEffect,
}

struct Hold {
    point: Point,
    reached: oneshot::Sender<Held>,
}

/// A request that stands still; it goes on when this is dropped.
pub struct Held {
    request: oneshot::Sender<()>,
}

impl Held {
    /// Whether the request is still there.
    pub fn stands(&self) -> bool {
        !self.request.is_closed()
    }
}

/// Drawn from a seed, so that a run can be had again.
pub struct Faults {
    deck: Mutex<(fastrand::Rng, Vec<Option<Fault>>)>,
    met: [AtomicUsize; Fault::ALL.len()],
    requests: AtomicU64,
    hold: Mutex<Option<Hold>>,
}

impl Faults {
    pub fn new(seed: u64, events: usize) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        // each kind for certain: with fewer good answers than events, the last event cannot end before the deck does
        let mut deck: Vec<_> = Fault::ALL.into_iter().flat_map(|fault| [Some(fault); 2]).collect();
        deck.extend(std::iter::repeat_n(None, (events - 1).min(20)));
        random.shuffle(&mut deck);
        Self {
            deck: Mutex::new((random, deck)),
            met: Default::default(),
            requests: AtomicU64::new(0),
            hold: Mutex::default(),
        }
    }

    /// How often each kind was met.
    pub fn met(&self) -> Vec<(&'static str, usize)> {
        Fault::ALL.iter().map(|fault| (fault.name(), self.met[*fault as usize].load(SeqCst))).collect()
    }

    /// Requests that arrived.
    pub fn requests(&self) -> u64 {
        self.requests.load(SeqCst)
    }

    /// Holds the next request that comes to `point`.
    pub fn hold(&self, point: Point) -> oneshot::Receiver<Held> {
        let (reached, held) = oneshot::channel();
        *self.hold.lock().unwrap_or_else(PoisonError::into_inner) = Some(Hold { point, reached });
        held
    }

    /// `may_stall`: whether the handler would come so far as to stand still.
    fn draw(&self, may_stall: bool) -> Option<Fault> {
        let mut deck = self.deck.lock().unwrap_or_else(PoisonError::into_inner);
        let (random, deck) = &mut *deck;
        let rare = [Fault::Busy, Fault::Reset, Fault::LostReply];
        let mut fault = deck.pop().unwrap_or_else(|| random.choice(rare).filter(|_| random.u8(..) < 4));
        if fault == Some(Fault::Stall) && !may_stall {
            deck.insert(0, fault.take());
        }
        if let Some(fault) = fault {
            self.met[fault as usize].fetch_add(1, SeqCst);
        }
        fault
    }

    async fn held_at(&self, point: Point) -> bool {
        let hold = {
            let mut hold = self.hold.lock().unwrap_or_else(PoisonError::into_inner);
            hold.take_if(|hold| hold.point == point)
        };
        let Some(hold) = hold else { return false };
        let (request, released) = oneshot::channel();
        if hold.reached.send(Held { request }).is_ok() {
            let _ = released.await;
        }
        true
    }

    /// One request, with what happens to it on the way in and out.
    pub async fn around(
        self: Arc<Self>,
        inner: BoxCloneService<Request<Body>, Response, Infallible>,
        mut request: Request<Body>,
    ) -> io::Result<Response> {
        self.requests.fetch_add(1, SeqCst);
        if self.held_at(Point::BeforeTheEffect).await {
            return Err(io::Error::other("held, and let go"));
        }
        let fault = self.draw(!is_refused(request.headers()));
        match fault {
            Some(Fault::Busy) => {
                let mut busy = Response::new(Body::from("busy"));
                *busy.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                busy.headers_mut().insert(header::RETRY_AFTER, 1.into());
                return Ok(busy);
            }
            Some(Fault::Hang) => return std::future::pending().await,
            Some(Fault::Reset) => return Err(io::Error::other("reset")),
            Some(Fault::Stall) => {
                request.extensions_mut().insert(Stall);
            }
            Some(Fault::LostReply) | None => {}
        }
        let response = match inner.oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        if self.held_at(Point::AfterTheEffect).await || fault == Some(Fault::LostReply) {
            return Err(io::Error::other("the reply is lost"));
        }
        Ok(response)
    }
}
