//! One piece of work for the writer. Its types are erased here, once: the channel, the group and the loop know no `T`, `E` or
//! `F`.

use super::transaction::SqliteTransaction;
use crate::{error::StoreError, panic::Panic};
use tokio::sync::oneshot;

pub(super) type BoxJob = Box<dyn Job>;

/// How often a job of the crate is begun, when groups that it was in came to nothing through no fault of its own.
const RUNS: u32 = 3;

pub(super) trait Job: Send {
    /// Whose it is: a user's closure runs once, in a savepoint, with a deadline and under guard.
    fn is_users(&self) -> bool;
    /// Whether somebody still waits for the answer.
    fn is_awaited(&self) -> bool;
    /// Whether what it did is to be kept. What it came to stays inside until [`tell`](Self::tell).
    fn run(&mut self, tx: &mut SqliteTransaction<'_>) -> bool;
    /// It failed outside of its own error type: it panicked.
    fn fail(&mut self, error: StoreError);
    /// What it failed with, if that is not for its caller alone.
    fn error(&self) -> Option<&StoreError>;
    /// Whether to begin it again in another group.
    fn may_run_again(&self) -> bool;
    fn tell(self: Box<Self>, end: End<'_>);
}

/// What became of the group.
#[derive(Clone, Copy)]
pub(super) enum End<'a> {
    Committed,
    /// Nothing of it was written, by the fault of this job: its own error says more.
    Culprit(&'a StoreError),
    /// Nothing of it was written. A refusal is void as well: it may rest on what a neighbour had just written.
    Lost(&'a StoreError),
}

/// A job of the crate: can be run again.
pub(super) struct Own<F, T> {
    pub(super) work: F,
    pub(super) out: Option<Result<T, StoreError>>,
    pub(super) reply: oneshot::Sender<Result<T, StoreError>>,
    pub(super) runs: u32,
}

impl<F, T> Job for Own<F, T>
where
    F: FnMut(&mut SqliteTransaction<'_>) -> Result<T, StoreError> + Send,
    T: Send,
{
    fn is_users(&self) -> bool {
        false
    }

    fn is_awaited(&self) -> bool {
        !self.reply.is_closed()
    }

    fn run(&mut self, tx: &mut SqliteTransaction<'_>) -> bool {
        self.runs += 1;
        self.out.insert((self.work)(tx)).is_ok()
    }

    fn fail(&mut self, error: StoreError) {
        self.out = Some(Err(error));
    }

    fn error(&self) -> Option<&StoreError> {
        self.out.as_ref().and_then(|out| out.as_ref().err())
    }

    fn may_run_again(&self) -> bool {
        self.runs < RUNS
    }

    fn tell(self: Box<Self>, end: End<'_>) {
        drop(self.reply.send(answer(self.out, end)));
    }
}

/// A user's closure: its effect must not be repeated behind the user's back.
pub(super) struct Users<F, T, E> {
    pub(super) work: Option<F>,
    pub(super) out: Option<Result<T, E>>,
    pub(super) reply: oneshot::Sender<Result<T, E>>,
}

impl<F, T, E> Job for Users<F, T, E>
where
    F: FnOnce(&mut SqliteTransaction<'_>) -> Result<T, E> + Send,
    T: Send,
    E: From<StoreError> + Send,
{
    fn is_users(&self) -> bool {
        true
    }

    fn is_awaited(&self) -> bool {
        !self.reply.is_closed()
    }

    fn run(&mut self, tx: &mut SqliteTransaction<'_>) -> bool {
        self.work.take().is_some_and(|work| self.out.insert(work(tx)).is_ok())
    }

    fn fail(&mut self, error: StoreError) {
        self.out = Some(Err(error.into()));
    }

    fn error(&self) -> Option<&StoreError> {
        None
    }

    fn may_run_again(&self) -> bool {
        false
    }

    fn tell(self: Box<Self>, end: End<'_>) {
        drop(self.reply.send(answer(self.out, end)));
    }
}

fn answer<T, E: From<StoreError>>(out: Option<Result<T, E>>, end: End<'_>) -> Result<T, E> {
    match (end, out) {
        (End::Committed, Some(out)) => out,
        (End::Culprit(_), Some(Err(own))) => Err(own),
        (End::Culprit(group) | End::Lost(group), _) => Err(group.clone().into()),
        (End::Committed, None) => Err(StoreError::new("the job was not begun").into()),
    }
}

/// The error of a closure that panicked.
pub(super) fn panicked(panic: &Panic) -> StoreError {
    StoreError::with_source("the closure panicked", panic.to_string())
}
