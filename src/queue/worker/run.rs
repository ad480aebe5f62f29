//! The loop: a free place, a ready service, a claim; then each message in a task of its own.

use super::{
    instances::{Instance, ready, ready_again},
    job::job,
    leases::Leases,
    pause::Pause,
    shutdown::Shutdown,
    store_call::of_store,
    sweep,
    trouble::Trouble,
};
use crate::{
    attempt::deadline_after,
    backoff::Random,
    error::{BoxError, StoreError},
    panic::{Caught, Contained},
    queue::{Claim, IntoReport, Message, Queue, Settle, config::Config},
    telemetry::event,
};
use std::{
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout, timeout_at},
};
use tower_service::Service;

/// How long instances of the service are held ready while the store claims. They may hold places of a limit or slots of a buffer
/// that others share, and a claim mostly takes milliseconds.
const HELD: Duration = Duration::from_secs(1);
/// How long tasks that were dropped have to let go of what they hold.
const ABORT: Duration = Duration::from_secs(1);

/// Steps that may go on failing.
const READY: &str = "readying the service";
const CLAIM: &str = "claim";

/// What the loop, its jobs and its keepers share.
pub(super) struct Context {
    pub(super) queue: Queue,
    pub(super) config: Config,
    pub(super) random: Random,
    pub(super) leases: Leases,
}

impl Context {
    pub(super) fn new(queue: Queue, config: Config) -> Arc<Self> {
        let random = config.seed.map_or_else(Random::new, Random::with_seed);
        Arc::new(Self { queue, config, random, leases: Leases::default() })
    }
}

pub(super) async fn run<S>(context: Arc<Context>, service: S, shutdown: impl Future<Output = ()>)
where
    S: Service<Message> + Clone + Send + 'static,
    S::Response: IntoReport,
    S::Error: Into<BoxError>,
    S::Future: Send,
{
    let mut jobs = JoinSet::new();
    // in sets, so that all end with this future if it is dropped
    let mut keepers = JoinSet::new();
    keepers.spawn(Leases::keep(context.clone()));
    keepers.spawn(sweep::keep(context.clone()));
    let shutdown = pin!(Shutdown::new(shutdown, &context.queue));
    let deadline = work(&context, Contained::new(service), shutdown, &mut jobs).await;
    let drained = timeout_at(deadline, async { while jobs.join_next().await.is_some() {} }).await;
    if drained.is_err() {
        event!(WARN, "drain limit reached: attempts dropped", queue = context.queue.name(), attempts = jobs.len());
        jobs.abort_all();
        // one that never yields cannot be dropped: it is not waited for
        let _ = timeout(ABORT, async { while jobs.join_next().await.is_some() {} }).await;
    }
    sweep::at_stop(&context, deadline).await;
}

/// Works until `shutdown`. Returns the moment by which everything has to have ended.
async fn work<S>(
    context: &Arc<Context>,
    mut service: Instance<S>,
    mut shutdown: Pin<&mut impl Future<Output = ()>>,
    jobs: &mut JoinSet<()>,
) -> Instant
where
    S: Service<Message> + Clone + Send + 'static,
    S::Response: IntoReport,
    S::Error: Into<BoxError>,
    S::Future: Send,
{
    let mut pause = Pause::new(context.random.stream());
    let (mut not_ready, mut not_claimed) = (Trouble::default(), Trouble::default());
    let by = || deadline_after(context.config.drain);
    loop {
        let ready = tokio::select! {
            biased;
            () = &mut shutdown => return by(),
            ready = ready(context, &mut service, jobs) => ready,
        };
        let mut ready = match ready {
            Ok(ready) => ready,
            Err(unready) => {
                not_ready.report(context.queue.name(), READY, unready.error);
                tokio::select! {
                    biased;
                    () = &mut shutdown => return by(),
                    () = pause.wait(unready.hint) => continue,
                }
            }
        };
        not_ready.is_over(context.queue.name(), READY);
        let claimed = match claim(context, &mut ready, shutdown.as_mut()).await {
            Claimed::Now(claimed) => claimed,
            Claimed::Late(messages, deadline) => {
                release(context, &messages, deadline).await;
                return deadline;
            }
        };
        if claimed.is_ok() {
            not_claimed.is_over(context.queue.name(), CLAIM);
        }
        match claimed {
            Ok(messages) if messages.is_empty() => {
                // an idle worker holds no place of a limit that others share
                drop(ready);
                let waited = tokio::select! {
                    biased;
                    () = &mut shutdown => return by(),
                    waited = Caught::new(async { context.queue.store().wait(context.queue.name()).await }) => waited,
                };
                let Err(panic) = waited else {
                    pause.reset();
                    continue;
                };
                not_claimed.report(context.queue.name(), CLAIM, format!("the store panicked: {panic}"));
                tokio::select! {
                    biased;
                    () = &mut shutdown => return by(),
                    () = pause.wait(Duration::ZERO) => {}
                }
            }
            Ok(messages) => {
                pause.reset();
                if ready.is_empty() {
                    tokio::select! {
                        biased;
                        () = &mut shutdown => {
                            let deadline = by();
                            release(context, &messages, deadline).await;
                            return deadline;
                        }
                        found = ready_again(context, &mut service, jobs) => ready = found,
                    }
                }
                let left = begin(context, messages, ready, jobs);
                let mut given_back = pin!(release(context, &left, deadline_after(context.config.lease / 3)));
                tokio::select! {
                    biased;
                    () = &mut given_back => {}
                    () = &mut shutdown => {
                        let deadline = by();
                        let _ = timeout_at(deadline, given_back).await;
                        return deadline;
                    }
                }
            }
            Err(error) => {
                drop(ready);
                not_claimed.report(context.queue.name(), CLAIM, error.to_string());
                tokio::select! {
                    biased;
                    () = &mut shutdown => return by(),
                    () = pause.wait(Duration::ZERO) => {}
                }
            }
        }
    }
}

/// Spawns one job for each message and ready instance, and returns the messages that find no instance.
fn begin<S>(
    context: &Arc<Context>,
    mut messages: Vec<Message>,
    mut ready: Vec<Instance<S>>,
    jobs: &mut JoinSet<()>,
) -> Vec<Message>
where
    S: Service<Message> + Send + 'static,
    S::Response: IntoReport,
    S::Error: Into<BoxError>,
    S::Future: Send,
{
    let left = messages.split_off(ready.len().min(messages.len()));
    // In the order in which they became ready: of the instances of a limit that sheds load, the first holds the place and the
    // others refuse. Those that are not needed give back what they hold before anything is called.
    ready.truncate(messages.len());
    for (message, service) in messages.into_iter().zip(ready) {
        jobs.spawn(job(context.clone(), service, message));
    }
    left
}

enum Claimed {
    Now(Result<Vec<Message>, StoreError>),
    /// `shutdown` came first; by when everything has to have ended.
    Late(Vec<Message>, Instant),
}

/// Claims at most as many messages as instances are ready.
///
/// A claim is not dropped when `shutdown` comes while it is on its way: what a store had claimed by that moment would lie
/// under a lease that no worker extends. A store that takes longer than [`HELD`] costs the instances, not the claim.
async fn claim<S>(
    context: &Context,
    ready: &mut Vec<Instance<S>>,
    mut shutdown: Pin<&mut impl Future<Output = ()>>,
) -> Claimed {
    let Config { lease, max_attempts, drain, .. } = context.config;
    let limit = ready.len();
    let claim = Claim { limit, lease, max_attempts };
    let mut claim = pin!(of_store(async { context.queue.store().claim(context.queue.name(), claim).await }));
    let mut held = pin!(sleep(HELD));
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => {
                let deadline = deadline_after(drain);
                let claimed = timeout_at(deadline, claim).await;
                return Claimed::Late(claimed.ok().and_then(Result::ok).unwrap_or_default(), deadline);
            }
            claimed = &mut claim => return Claimed::Now(claimed),
            () = &mut held, if !ready.is_empty() => ready.clear(),
        }
    }
}

/// Gives back what was claimed and not begun. If the store fails, the leases lapse.
async fn release(context: &Context, messages: &[Message], deadline: Instant) {
    let settled: Vec<_> = messages.iter().map(|message| (message.lease(), Settle::Release)).collect();
    if settled.is_empty() {
        return;
    }
    match timeout_at(deadline, of_store(async { context.queue.store().settle(settled).await })).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => {
            event!(WARN, "not released: the store failed", queue = context.queue.name(), error = error.to_string());
        }
        Err(_) => event!(WARN, "not released in time", queue = context.queue.name()),
    }
}
