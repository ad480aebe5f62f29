//! The writer's thread: takes what is there, runs it in one transaction, commits, and only then tells everyone.

use super::{
    config::SqliteConfig,
    control::Control,
    guard::Guard,
    job::{BoxJob, End, panicked},
    maintenance::Maintenance,
    rowid::{self, Rowid},
    status::Status,
    transaction::SqliteTransaction,
};
use crate::{
    error::StoreError,
    panic::{caught, unharmed},
    store::wakes::Wakes,
    telemetry::{event, names, observe},
    token::StoreId,
};
use rusqlite::Connection;
use std::{cell::Cell, collections::VecDeque, sync::Arc, thread};
use tokio::{sync::mpsc, time::Instant};

thread_local!(static WRITER_OF: Cell<Option<StoreId>> = const { Cell::new(None) });

/// Whether waiting for this store's writer here would be waiting for oneself.
pub(super) fn is_on_thread_of(store: StoreId) -> bool {
    WRITER_OF.get() == Some(store)
}

pub(super) struct Setup {
    pub(super) id: StoreId,
    pub(super) config: SqliteConfig,
    pub(super) wakes: Arc<Wakes>,
    pub(super) status: Arc<Status>,
}

pub(super) fn spawn(mut conn: Connection, jobs: mpsc::Receiver<BoxJob>, setup: Setup) -> Result<(), StoreError> {
    let guard = Guard::set(&mut conn)?;
    let maintenance = Maintenance::default();
    let run = move || {
        WRITER_OF.set(Some(setup.id));
        match Control::new(&conn) {
            Ok(control) => {
                let again = VecDeque::new();
                Writer { conn: &conn, control, guard, maintenance, jobs, again, woken: Vec::new(), setup }.run();
            }
            Err(e) => event!(ERROR, "the writer of a store cannot begin", error = &e as &dyn std::error::Error),
        }
    };
    let spawned = thread::Builder::new().name("steadfast-sqlite".into()).spawn(run);
    spawned.map(drop).map_err(|e| StoreError::with_source("no thread for the writer", e))
}

struct Writer<'c> {
    conn: &'c Connection,
    control: Control<'c>,
    guard: Arc<Guard>,
    maintenance: Maintenance,
    jobs: mpsc::Receiver<BoxJob>,
    /// Jobs of the crate whose group came to nothing through another's fault.
    again: VecDeque<BoxJob>,
    woken: Vec<Box<str>>,
    setup: Setup,
}

impl Writer<'_> {
    /// Until the last handle is dropped and everything that was handed in is done.
    fn run(mut self) {
        loop {
            // those that have run before share a group with nobody who could spoil it again
            let (first, only_again) = match self.again.pop_front() {
                Some(job) => (Some(job), true),
                None => (self.next(), false),
            };
            let Some(first) = first else { break };
            self.setup.status.busy();
            // the last net: whatever panicked, the thread goes on
            let group = caught(|| self.group(first, only_again));
            if group.is_err() {
                self.guard.leave();
                self.roll_back();
            }
            self.setup.status.idle();
        }
    }

    fn next(&mut self) -> Option<BoxJob> {
        loop {
            if let Ok(job) = self.jobs.try_recv() {
                return Some(job);
            }
            // nobody waits: the time for what a commit should not be held up by
            if !self.maintenance.step(self.conn) {
                return self.jobs.blocking_recv();
            }
        }
    }

    fn group(&mut self, first: BoxJob, only_again: bool) {
        let began = Instant::now();
        if let Err(e) = self.control.begin() {
            self.roll_back();
            return self.refuse_all(first, &e.into());
        }
        self.woken.clear();
        let mut members: Vec<BoxJob> = Vec::new();
        let mut next = Some(first);
        while let Some(mut job) = next.take() {
            if job.is_awaited() {
                if let Err(lost) = self.one(&mut job) {
                    self.roll_back();
                    tell(job, End::Culprit(&lost));
                    return self.lost(members, &lost);
                }
                members.push(job);
            } else {
                // with what a user's closure captured
                unharmed(|| drop(job));
            }
            let config = &self.setup.config;
            if members.len() < config.group_jobs.get() as usize && began.elapsed() < config.group_time {
                next = if only_again { self.again.pop_front() } else { self.jobs.try_recv().ok() };
            }
        }
        if let Err(e) = self.control.commit() {
            self.roll_back();
            return self.lost(members, &e.into());
        }
        self.setup.status.committed(members.len());
        for queue in self.woken.drain(..) {
            // a waker is not ours: what it does is no reason to withhold the answers
            unharmed(|| self.setup.wakes.wake(&queue));
        }
        let name = &self.setup.status.name;
        observe(names::STORE_COMMIT, name, began.elapsed().as_secs_f64());
        #[expect(clippy::cast_precision_loss, reason = "a group is small")]
        observe(names::STORE_GROUP, name, members.len() as f64);
        for job in members {
            tell(job, End::Committed);
        }
        self.maintenance.after_commit(self.conn);
    }

    /// Runs one job. `Err`: nothing of the group will be written.
    fn one(&mut self, job: &mut BoxJob) -> Result<(), StoreError> {
        let users = job.is_users();
        let changes = self.conn.total_changes();
        if users {
            self.control.savepoint()?;
            self.guard.enter(self.setup.config.closure_time);
        }
        let (store, rowid) = (self.setup.id, Rowid::default());
        let mut tx = SqliteTransaction { conn: self.conn, store, rowid, woken: &mut self.woken };
        // what the closure captured is consumed, and what it wrote is rolled back
        let keep = caught(|| job.run(&mut tx));
        self.guard.leave();
        let keep = keep.unwrap_or_else(|panic| {
            job.fail(panicked(&panic));
            false
        });
        let rowid_is_lost = tx.rowid.is_lost();
        if rowid_is_lost {
            job.fail(rowid::LOST);
        }
        let keep = keep && !rowid_is_lost;
        if self.conn.is_autocommit() {
            return Err(rolled_back(job));
        }
        if users {
            return Ok(self.control.end(keep)?);
        }
        // Without a savepoint a job of the crate that stopped half-way is undone together with its group. Nothing but the disk
        // stops one, and it rarely stops one alone.
        if !keep && self.conn.total_changes() != changes {
            return Err(rolled_back(job));
        }
        Ok(())
    }

    /// The group came to nothing: the crate's jobs are run again, the others are told.
    fn lost(&mut self, members: Vec<BoxJob>, lost: &StoreError) {
        event!(WARN, "a group commit was rolled back", jobs = members.len(), error = lost as &dyn std::error::Error);
        self.maintenance.after_failure(self.conn);
        for job in members.into_iter().rev() {
            if job.may_run_again() {
                self.again.push_front(job);
            } else {
                tell(job, End::Lost(lost));
            }
        }
    }

    /// No group can begin. All who wait have waited as long as the first one: none is made to wait again.
    fn refuse_all(&mut self, first: BoxJob, error: &StoreError) {
        event!(WARN, "no group commit could begin", error = error as &dyn std::error::Error);
        tell(first, End::Lost(error));
        let waiting = self.jobs.len();
        for job in self.again.drain(..) {
            tell(job, End::Lost(error));
        }
        for _ in 0..waiting {
            match self.jobs.try_recv() {
                Ok(job) => tell(job, End::Lost(error)),
                Err(_) => break,
            }
        }
    }

    fn roll_back(&mut self) {
        if !self.conn.is_autocommit()
            && let Err(e) = self.control.rollback()
        {
            event!(ERROR, "a group commit could not be rolled back", error = &e as &dyn std::error::Error);
        }
    }
}

/// What the others of the group are told.
fn rolled_back(culprit: &BoxJob) -> StoreError {
    let what = "rolled back together with another's: nothing was written, safe to repeat";
    culprit.error().map_or_else(|| StoreError::refused(what), |e| StoreError::refused(what).caused_by(e.clone()))
}

/// An answer that finds nobody is dropped here, and its destructor may panic: the others' answers still go out.
fn tell(job: BoxJob, end: End<'_>) {
    if caught(|| job.tell(end)).is_err() {
        event!(ERROR, "an answer of a closure panicked when it was dropped");
    }
}
