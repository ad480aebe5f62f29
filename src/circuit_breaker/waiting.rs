//! Waits until a circuit lets calls through: the line, its lock and its one timer.

use super::{
    Circuit,
    circuit::Shared,
    line::Line,
    state::{Machine, Outlook, Room},
};
use crate::sync::WakeList;
use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak,
        atomic::{AtomicBool, Ordering, fence},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep_until};

/// Those who wait for one circuit.
pub(super) struct Waiting {
    queue: Mutex<Queue>,
    /// Somebody waits, or is about to: who changes the circuit has to look.
    somebody: AtomicBool,
    /// The circuit has changed, or the timer has rung: whoever holds the queue looks again after leaving it.
    note: AtomicBool,
    rang: AtomicBool,
    bell: Waker,
}

/// Wakers are neither called nor dropped under its lock: they may own services that have a place here.
#[derive(Default)]
struct Queue {
    line: Line,
    /// While somebody waits for a moment that is known. Nobody owns it and it wakes no task but rings a bell that gives out
    /// turns: so it does not matter who of those who wait is still polled.
    timer: Option<Pin<Box<Sleep>>>,
}

struct Bell(Weak<Shared>);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        if let Some(circuit) = self.0.upgrade()
            && let Some(waiting) = circuit.waiting.get()
        {
            waiting.rang.store(true, Ordering::SeqCst);
            waiting.settle(&circuit);
        }
    }
}

/// A service's place in the line, if it has one.
#[derive(Default)]
pub(super) struct Place(Option<(Circuit, u64)>);

impl Place {
    /// Has called, or does not wait any more.
    #[inline]
    pub(super) fn leave(&mut self) {
        // mostly nobody ever waited
        if self.0.is_some() {
            self.leave_line();
        }
    }

    #[cold]
    fn leave_line(&mut self) {
        if let Some((circuit, place)) = self.0.take() {
            let waiting = circuit.waiting();
            let gone = waiting.work(&circuit.0, false, |queue, _| queue.line.leave(place));
            drop(gone);
        }
    }
}

impl Drop for Place {
    #[inline]
    fn drop(&mut self) {
        self.leave();
    }
}

impl Circuit {
    /// Pending while it refuses, or while the permits that there are belong to others who wait.
    #[inline(never)]
    pub(super) fn poll_room(&self, place: &mut Place, cx: &mut Context<'_>) -> Poll<()> {
        // what time has done is done, and told of, here: in a task, and not by the timer
        if self.0.flows() || self.0.with(Machine::room) == Room::All {
            place.leave();
            return Poll::Ready(());
        }
        let mine = place.0.as_ref().map(|(_, mine)| *mine);
        // cloned before the lock, and dropped after it: here if it is not kept, or the one that it replaces
        let waker = cx.waker().clone();
        let (mine, poll, gone) = self.waiting().work(&self.0, true, |queue, outlook| {
            let mine = mine.unwrap_or_else(|| queue.line.join());
            if queue.line.takes_turn(mine, outlook.room, outlook.now) {
                (mine, Poll::Ready(()), Some(waker))
            } else {
                (mine, Poll::Pending, queue.line.wait(mine, waker))
            }
        });
        // first: a drop that panics takes no place away
        place.0.get_or_insert_with(|| (self.clone(), mine));
        drop(gone);
        poll
    }

    fn waiting(&self) -> &Waiting {
        self.0.waiting.get_or_init(|| Box::new(Waiting::new(Arc::downgrade(&self.0))))
    }
}

impl Waiting {
    fn new(circuit: Weak<Shared>) -> Self {
        Self {
            queue: Mutex::default(),
            somebody: AtomicBool::new(false),
            note: AtomicBool::new(false),
            rang: AtomicBool::new(false),
            bell: Waker::from(Arc::new(Bell(circuit))),
        }
    }

    /// The circuit may have changed.
    #[inline]
    pub(super) fn look(&self, circuit: &Shared) {
        if self.somebody.load(Ordering::Relaxed) {
            self.settle(circuit);
        }
    }

    /// Gives out turns and sets the timer. From anywhere: also out of a waker that is called while the queue is held.
    fn settle(&self, circuit: &Shared) {
        self.note.store(true, Ordering::SeqCst);
        self.settle_noted(circuit);
    }

    fn settle_noted(&self, circuit: &Shared) {
        /// More rounds than this are not the circuit's doing.
        const ROUNDS: usize = 16;
        for _ in 0..ROUNDS {
            // with the other fence: either the note is seen by who holds the queue, or the queue is free here
            fence(Ordering::SeqCst);
            if !self.note.load(Ordering::SeqCst) {
                return;
            }
            let queue = match self.queue.try_lock() {
                Ok(queue) => queue,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return,
            };
            self.serve(queue, circuit, false, |_, _| ());
        }
        // a task that has used up its time with tokio cannot set a timer: the first who waits does it in a poll of its own
        let first = self.lock().line.call_first();
        drop(first);
    }

    /// Does something with the line, then all that follows from it.
    fn work<T>(&self, circuit: &Shared, in_task: bool, work: impl FnOnce(&mut Queue, Outlook) -> T) -> T {
        let out = self.serve(self.lock(), circuit, in_task, work);
        self.settle_noted(circuit);
        out
    }

    fn serve<T>(
        &self,
        queue: MutexGuard<'_, Queue>,
        circuit: &Shared,
        in_task: bool,
        work: impl FnOnce(&mut Queue, Outlook) -> T,
    ) -> T {
        // declared before the guard, so that a panic of the timer, which needs a runtime, drops and wakes them after it
        let (mut woken, out);
        let mut queue = queue;
        self.note.store(false, Ordering::SeqCst);
        // before the circuit is looked at: who changes it after that sees this, and looks here
        self.somebody.store(true, Ordering::Relaxed);
        let outlook = circuit.outlook();
        woken = queue.line.arrange(outlook.room, outlook.now);
        out = work(&mut queue, outlook);
        // who has gone may have left a turn
        woken.append(queue.line.arrange(outlook.room, outlook.now));
        woken.append(self.set_timer(&mut queue, circuit, outlook, in_task));
        self.somebody.store(!queue.line.nobody_waits(), Ordering::Relaxed);
        drop(queue);
        drop(woken);
        out
    }

    /// Gives those who have to be woken because nobody could set it.
    fn set_timer(&self, queue: &mut Queue, circuit: &Shared, outlook: Outlook, in_task: bool) -> WakeList {
        if queue.line.nobody_waits() {
            queue.timer = None;
            return WakeList::default();
        }
        let at = outlook.until.into_iter().chain(queue.line.turn_ends()).min();
        let Some(at) = at.and_then(|at| circuit.origin.checked_add(Duration::from_nanos(at))) else {
            // no moment is known; one that is here already may be set to the next one by whoever
            return WakeList::default();
        };
        let mut rang = self.rang.swap(false, Ordering::SeqCst);
        if let Some(timer) = &mut queue.timer
            && (rang || timer.deadline() != at)
        {
            timer.as_mut().reset(at);
            if timer.is_elapsed() {
                if at <= Instant::now() {
                    return self.again();
                }
                // its runtime is gone, and it rings no more
                queue.timer = None;
            }
        }
        let timer = match &mut queue.timer {
            Some(timer) => timer,
            None if in_task => {
                rang = true;
                queue.timer.insert(Box::pin(sleep_until(at)))
            }
            // only a task can: each who comes again can be the one
            None => return queue.line.call_all(),
        };
        if rang && timer.as_mut().poll(&mut Context::from_waker(&self.bell)).is_ready() {
            return self.again();
        }
        WakeList::default()
    }

    /// The moment came while the timer was set to it.
    fn again(&self) -> WakeList {
        self.rang.store(true, Ordering::SeqCst);
        self.note.store(true, Ordering::SeqCst);
        WakeList::default()
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
