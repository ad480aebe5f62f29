use super::{
    kept::{self, Caps, Kept},
    replay::add,
};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use std::{fmt, task::Waker};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The source has more to give.
    Streaming,
    /// All of the source went out.
    Done,
    /// The source failed or panicked: there is nothing to send again.
    Lost,
}

/// The state that all attempts of one request share.
///
/// It is used under a lock, so no method runs foreign code: not the source's (polls, hints, drop) and no waker's (wake, clone,
/// drop). Wakers and sources are returned instead, and the caller
/// wakes or drops them after it released the lock.
pub(super) struct Upload<B> {
    /// `None`: an attempt is polling it, or it ended.
    source: Option<B>,
    /// The size hint of the source after the last poll.
    rest: SizeHint,
    /// Whether the source was at its end after the last poll, by its own account.
    ends: bool,
    /// A frame that an attempt read, which was superseded in the meantime: the next one for the owner.
    ahead: Option<Frame<Bytes>>,
    end: End,
    /// Bytes of the source that went out.
    passed: u64,
    /// `None`: over a cap, or no further attempt will come; the source only passes through.
    kept: Option<Kept>,
    /// Whether a further attempt may still be asked for.
    wanted: bool,
    /// The newest attempt.
    latest: u32,
    /// The oldest attempt that was not superseded. While the source streams it is the newest, which alone may poll it; at its
    /// end, attempts that share the copy are not in each other's way.
    owner: u32,
    /// Whether the newest attempt's body exists.
    alive: bool,
    /// Of the owner, while it waits for the source.
    waker: Option<Waker>,
}

/// How far one attempt's body has come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) attempt: u32,
    /// Bytes that it gave.
    pub(super) given: u64,
    pub(super) gave_trailers: bool,
}

/// The next step of one attempt.
pub(super) enum Step<B> {
    /// It gives a frame of the copy. `over`: the source, if the frame was its last one; to be dropped.
    Give {
        frame: Frame<Bytes>,
        over: Option<B>,
    },
    End,
    Superseded,
    Lost,
    /// It polls the source, and brings it back. `known`: its waker is registered already.
    Poll {
        source: B,
        known: bool,
    },
    /// Another attempt is polling the source: it is woken when that brings it back.
    Wait {
        _replaced: Option<Waker>,
    },
    /// As `Wait`, but a clone of its waker has to be made first.
    CloneWaker,
}

/// The result of polling the source.
pub(super) enum Read {
    /// With a clone of the waker, where it was not registered.
    Pending(Option<Waker>),
    Frame {
        frame: Frame<Bytes>,
        rest: SizeHint,
        ends: bool,
    },
    End,
    Failed,
}

/// The result of bringing the source back, and the work that is left to do without the lock.
pub(super) struct Back<B> {
    /// `None`: there is none, or it went to the attempt that took over.
    pub(super) frame: Option<Frame<Bytes>>,
    pub(super) superseded: bool,
    /// To be dropped.
    pub(super) over: (Option<B>, Option<Waker>),
    /// To be woken.
    pub(super) wake: Option<Waker>,
}

impl<B> Upload<B> {
    pub(super) const fn new(source: B, rest: SizeHint, end: End, caps: Caps) -> Self {
        Self {
            source: Some(source),
            rest,
            ends: false,
            ahead: None,
            end,
            passed: 0,
            kept: Some(Kept::new(caps)),
            wanted: true,
            latest: 1,
            owner: 1,
            alive: true,
            waker: None,
        }
    }

    pub(super) const fn is_complete(&self) -> bool {
        matches!(self.end, End::Done)
    }

    /// Returns the next step of `place`. `clone`: of `waker`, where one was made.
    pub(super) fn step(&mut self, place: &Place, waker: &Waker, clone: &mut Option<Waker>) -> Step<B> {
        let give = |frame| Step::Give { frame, over: None };
        if place.attempt < self.owner {
            return Step::Superseded;
        }
        if place.given < self.passed {
            let chunk = self.kept.as_ref().and_then(|kept| kept.read(place.given));
            return chunk.map_or(Step::Lost, |chunk| give(Frame::data(chunk)));
        }
        match self.end {
            End::Lost => return Step::Lost,
            End::Done => {
                let kept = self.kept.as_ref().filter(|_| !place.gave_trailers);
                return kept.and_then(Kept::trailers).map_or(Step::End, |trailers| give(Frame::trailers(trailers)));
            }
            End::Streaming => {}
        }
        if !self.wanted {
            self.kept = None;
        }
        if let Some(frame) = self.ahead.take() {
            self.pass(&frame);
            let over = if self.is_complete() { self.source.take() } else { None };
            return Step::Give { frame, over };
        }
        let known = self.waker.as_ref().is_some_and(|known| known.will_wake(waker));
        match self.source.take() {
            Some(source) => Step::Poll { source, known },
            None if known => Step::Wait { _replaced: None },
            None => match clone.take() {
                Some(clone) => Step::Wait { _replaced: self.waker.replace(clone) },
                None => Step::CloneWaker,
            },
        }
    }

    /// Takes the source back from an attempt that polled it. A later attempt may have taken over in the meantime: the frame
    /// is then for that attempt, and it is woken.
    pub(super) fn bring_back(&mut self, attempt: u32, source: Option<B>, read: Read) -> Back<B> {
        let superseded = attempt < self.owner;
        let mut back = Back { frame: None, superseded, over: (None, None), wake: None };
        self.source = source;
        match read {
            Read::Pending(clone) if !superseded => {
                back.over.1 = clone.and_then(|clone| self.waker.replace(clone));
            }
            Read::Pending(clone) => back.over.1 = clone,
            Read::Frame { frame, rest, ends } => {
                (self.rest, self.ends) = (rest, ends);
                if superseded {
                    self.ahead = Some(frame);
                } else {
                    self.pass(&frame);
                    back.frame = Some(frame);
                }
            }
            Read::End => self.finish(),
            Read::Failed => self.lose(),
        }
        if superseded {
            back.wake = self.waker.take();
        }
        if self.end != End::Streaming {
            back.over = (self.source.take(), self.waker.take());
        }
        back
    }

    /// The source will not come back: its owner panicked. The waker is that of an attempt that waits for it.
    pub(super) fn panicked(&mut self) -> Option<Waker> {
        self.lose();
        self.waker.take()
    }

    /// Lets a further attempt take over: its number, and the waker of the one that waited for the source until now. `None`: over
    /// a cap, the source failed, or the attempt before has a body that cannot be broken off.
    pub(super) fn again(&mut self, can_abort: bool) -> Option<(u32, Option<Waker>)> {
        let free = self.is_complete() || can_abort || !self.alive;
        if self.kept.is_none() || self.end == End::Lost || !free {
            return None;
        }
        self.latest = self.latest.checked_add(1)?;
        self.alive = true;
        if self.is_complete() {
            return Some((self.latest, None));
        }
        self.owner = self.latest;
        Some((self.latest, self.waker.take()))
    }

    /// No further attempt comes.
    pub(super) fn unwanted(&mut self) {
        self.wanted = false;
        // the first attempt has given out all that is kept; a later one frees it when it is through
        if self.latest == 1 {
            self.kept = None;
        }
    }

    /// The body of `attempt` is gone, and so is its waker, which is returned.
    pub(super) fn dropped(&mut self, attempt: u32) -> Option<Waker> {
        if attempt != self.latest {
            return None;
        }
        self.alive = false;
        self.waker.take()
    }

    pub(super) fn is_end_stream(&self, place: &Place) -> bool {
        let trailers_given = place.gave_trailers || !self.kept.as_ref().is_some_and(Kept::has_trailers);
        self.is_complete() && place.attempt >= self.owner && place.given == self.passed && trailers_given
    }

    /// Returns the bytes that are missing to the whole body, also for an attempt that will never give them.
    pub(super) fn size_hint(&self, place: &Place) -> SizeHint {
        let ahead = self.ahead.as_ref().map_or(0, length);
        add(self.passed.saturating_sub(place.given).saturating_add(ahead), &self.rest)
    }

    /// A frame goes out for the first time.
    fn pass(&mut self, frame: &Frame<Bytes>) {
        self.passed += length(frame);
        let rest = self.rest.upper();
        let fits = |kept: &mut Kept| match (frame.data_ref(), frame.trailers_ref()) {
            (Some(data), _) => kept.push(data, rest),
            (_, Some(trailers)) => kept.push_trailers(trailers),
            _ => true,
        };
        if self.kept.as_mut().is_some_and(|kept| !fits(kept)) {
            self.kept = None;
        }
        if frame.is_trailers() || self.ends {
            self.finish();
        }
    }

    fn finish(&mut self) {
        self.end = End::Done;
        self.rest = SizeHint::with_exact(0);
        if let Some(kept) = &mut self.kept {
            kept.close();
        }
    }

    /// The hint stays: the bytes that the source did not give are missing, and no body looks complete without them.
    fn lose(&mut self) {
        self.end = End::Lost;
        self.kept = None;
    }
}

fn length(frame: &Frame<Bytes>) -> u64 {
    frame.data_ref().map_or(0, |data| data.len() as u64)
}

/// The state for `Debug`. The content may be secret: lengths and states only.
pub(super) struct Seen {
    end: End,
    passed: u64,
    kept: Option<kept::Seen>,
    attempts: u32,
}

impl<B> Upload<B> {
    pub(super) fn seen(&self) -> Seen {
        Seen { end: self.end, passed: self.passed, kept: self.kept.as_ref().map(Kept::seen), attempts: self.latest }
    }
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload")
            .field("end", &self.end)
            .field("passed", &self.passed)
            .field("kept", &self.kept)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}
