use super::super::connections::Connections;
use crate::{
    backoff::{Backoff, Exponential, Random},
    store::wakes::{Waiter, Wakes},
    sync::Lock,
    telemetry::event,
};
use sqlx::{
    Executor, PgPool, Row,
    postgres::{PgListener, PgPoolOptions},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{
    task::AbortHandle,
    time::{sleep, timeout},
};

/// Of the whole database: two schemas with queues of one name wake each other for nothing.
const CHANNEL: &str = "steadfast_queue";
/// A line that was quiet for so long is tried.
const QUIET: Duration = Duration::from_secs(30);
/// Answers whether it is alive; a server that only reads since a failover is not the one whose commits are waited for.
const ASK: &str = "SHOW transaction_read_only";
/// Whoever has not answered after this long is not there.
const ALIVE: Duration = Duration::from_secs(5);

/// Tells those who wait in this process what is committed in any: one connection, beside the user's pool (it would take one
/// out of it for good), opened when somebody waits for the first time and closed with the store.
#[derive(Default)]
pub(in super::super) struct Listener {
    shared: Arc<Shared>,
    task: Lock<Option<AbortHandle>>,
}

#[derive(Default)]
struct Shared {
    wakes: Wakes,
    listening: AtomicBool,
    has_task: AtomicBool,
}

impl Listener {
    pub(super) fn waiter<'a>(&'a self, queue: &'a str) -> Waiter<'a> {
        self.shared.wakes.waiter(queue)
    }

    /// Wakes those of this process, without the way around the server.
    pub(super) fn wake(&self, queue: &str) {
        self.shared.wakes.wake(queue);
    }

    /// Whether other processes are heard of. Begins to listen if nobody does, also where the runtime that did is gone.
    ///
    /// Never behind a pooler: it would give the connection that LISTENs to other clients, and sqlx fails a statement that is
    /// answered with a notification.
    pub(super) fn listens(&self, connections: &Connections) -> bool {
        let Connections { pool, prepares: true, .. } = connections else { return false };
        if !pool.is_closed() && !self.shared.has_task.swap(true, SeqCst) {
            self.begin(pool.clone());
        }
        self.shared.listening.load(SeqCst)
    }

    /// Holds no lock meanwhile: a runtime that is shutting down drops the task at once, and the hooks of a runtime are the user's.
    fn begin(&self, pool: PgPool) {
        let running = Running(self.shared.clone());
        let task = tokio::spawn(async move { listen(&pool, &running.0).await }).abort_handle();
        let ended = self.task.with(|current| match current {
            // this one has ended, and the next one was faster
            Some(next) if !next.is_finished() => Some(task),
            _ => current.replace(task),
        });
        drop(ended);
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(task) = self.task.with(Option::take) {
            task.abort();
        }
    }
}

/// Exists as long as the task that listens, also where its runtime drops the task.
struct Running(Arc<Shared>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.has_task.store(false, SeqCst);
    }
}

/// Until the pool is closed; connects again for as long as it takes.
async fn listen(pool: &PgPool, shared: &Shared) {
    let backoff = Exponential::default();
    let mut random = Random::new().stream();
    let mut closed = pool.close_event();
    let mut failures = 0;
    loop {
        let heard = tokio::select! {
            () = &mut closed => return,
            heard = hear(pool, shared) => heard,
        };
        failures = if heard.was_connected { 1 } else { u32::saturating_add(failures, 1) };
        if failures == 1 {
            // once for each outage, not for each attempt to connect
            event!(WARN, "the store is not listened to: waits are by the clock", error = heard.error.to_string());
        }
        sleep(backoff.delay(failures, Duration::ZERO, &mut random)).await;
    }
}

/// How listening ended.
struct Heard {
    was_connected: bool,
    error: sqlx::Error,
}

async fn hear(pool: &PgPool, shared: &Shared) -> Heard {
    let connected = timeout(2 * ALIVE, connect(pool)).await.unwrap_or(Err(sqlx::Error::PoolTimedOut));
    let mut listener = match connected {
        Ok(listener) => listener,
        Err(error) => return Heard { was_connected: false, error },
    };
    // dropped with this future, however it ends: who waits looks again, and from then on by the clock
    let _listening = Listening::begin(shared);
    let error = loop {
        match timeout(QUIET, listener.try_recv()).await {
            Ok(Ok(Some(notification))) => shared.wakes.wake(notification.payload()),
            Ok(Ok(None)) => break sqlx::Error::WorkerCrashed,
            Ok(Err(error)) => break error,
            Err(_) => match timeout(ALIVE, listener.fetch_one(ASK)).await.unwrap_or(Err(sqlx::Error::PoolTimedOut)) {
                Ok(row) if row.try_get(0).is_ok_and(|reads: &str| reads == "on") => break sqlx::Error::WorkerCrashed,
                Ok(_) => {}
                Err(error) => break error,
            },
        }
    };
    Heard { was_connected: true, error }
}

async fn connect(pool: &PgPool) -> Result<PgListener, sqlx::Error> {
    // read each time: passwords are changed
    let options = (*pool.connect_options()).clone();
    let one = PgPoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None).acquire_timeout(ALIVE);
    let mut listener = PgListener::connect_with(&one.connect_with(options).await?).await?;
    // a line that was lost is known before there is another one
    listener.eager_reconnect(false);
    listener.listen(CHANNEL).await?;
    Ok(listener)
}

struct Listening<'a>(&'a Shared);

impl<'a> Listening<'a> {
    fn begin(shared: &'a Shared) -> Self {
        shared.listening.store(true, SeqCst);
        // what was committed before this was not heard
        shared.wakes.wake_all();
        Self(shared)
    }
}

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        self.0.listening.store(false, SeqCst);
        self.0.wakes.wake_all();
    }
}
