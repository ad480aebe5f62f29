//! One message: its attempt, and what the store is told of it.

use super::{
    guard::Guarded, instances::Instance, judge::judge, leases::Leases, pause::Pause, run::Context,
    store_call::of_store, trouble::Trouble,
};
use crate::{
    attempt::{Attempt, deadline_after},
    classify::Failure,
    error::{BoxError, Refused},
    panic::{Caught, Contained, Panic, caught},
    queue::{Attempted, IntoReport, Lease, Message, Report, Settle, counters::Counters},
    telemetry::{count, event, names, observe},
};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, timeout_at};
use tower_service::Service;

pub(super) async fn job<S>(context: Arc<Context>, service: Instance<S>, message: Message)
where
    S: Service<Message>,
    S::Response: IntoReport,
    S::Error: Into<BoxError>,
{
    let (lease, before) = (message.lease(), (message.not_sent(), message.refused()));
    // held until the store knows what came of it
    let (_held, lost) = Leases::hold(&context, lease);
    let _running = Running::new(&context);
    let begun = Instant::now();
    // in one task with the call, so that a lost lease drops it
    let report = tokio::select! {
        biased;
        report = attempt(&context, service, message) => report,
        _ = lost => return,
    };
    let settle = conclude(&context, lease, before, &report, begun.elapsed());
    settle_surely(&context, lease, settle).await;
}

async fn attempt<S>(context: &Context, service: Instance<S>, message: Message) -> Report
where
    S: Service<Message>,
    S::Response: IntoReport,
    S::Error: Into<BoxError>,
{
    let limit = context.config.attempt_limit;
    let deadline = deadline_after(limit);
    let call = Guarded::new(call(service, message), Attempt::default().with_deadline(deadline));
    match timeout_at(deadline, call).await {
        Ok(Ok((Ok((report, refused_by)), reported))) => report.in_view_of(&reported, refused_by.as_deref()).acted_on(),
        Ok(Ok((Err(panic), _)) | Err(panic)) => Report::new(Failure::Fault).with_error(format!("panicked: {panic}")),
        Err(_) => Report::new(Failure::Timeout).with_error(format!("not done within {limit:?}")),
    }
}

/// The report, and which layer refused; or a panic. The call itself may panic, and may ask for its deadline. A
/// panic of a drop afterwards changes nothing: the call has ended.
async fn call<S>(mut service: Instance<S>, message: Message) -> Result<(Report, Option<String>), Panic>
where
    S: Service<Message>,
    S::Response: IntoReport,
    S::Error: Into<BoxError>,
{
    let call = service.with(|service| service.call(message))?;
    match Caught::new(call).await? {
        Ok(answer) => Ok((caught(|| answer.into_report())?, None)),
        Err(error) => {
            let read = |error: &mut BoxError| {
                (Report::of_error(error), Refused::find(&**error).map(|refused| refused.who().to_owned()))
            };
            Contained::new(caught(|| error.into())?).with(read)
        }
    }
}

fn conclude(context: &Context, lease: Lease, before: (u32, u32), report: &Report, duration: Duration) -> Settle {
    let (queue, outcome) = (&context.queue, report.verdict().outcome().as_str());
    count(names::QUEUE_ATTEMPTS, queue.shared_name(), ("outcome", outcome));
    observe(names::QUEUE_ATTEMPT_SECONDS, queue.shared_name(), duration.as_secs_f64());
    let attempted = Attempted {
        attempt: lease.attempt,
        // a store puts its own time here
        at: std::time::SystemTime::UNIX_EPOCH,
        duration,
        outcome: outcome.to_owned(),
        status: report.status(),
        error: report.error().to_owned(),
    };
    let settle = judge(report, before, attempted, &context.config, &mut context.random.stream());
    event!(
        DEBUG,
        "attempt ended",
        queue = queue.name(),
        id = lease.id.to_string(),
        attempt = lease.attempt,
        outcome = outcome,
        status = report.status(),
        error = report.error(),
    );
    settle
}

/// Until the store answers. While it does not, the message keeps its place among those that run: nothing more is claimed
/// than can be settled.
async fn settle_surely(context: &Context, lease: Lease, settle: Settle) {
    let mut pause = Pause::new(context.random.stream());
    let mut trouble = Trouble::default();
    let answer = loop {
        let settled = async { context.queue.store().settle(vec![(lease, settle.clone())]).await };
        match of_store(settled).await {
            Ok(answers) => break answers.into_iter().next().unwrap_or(Ok(())),
            Err(error) => {
                trouble.report(context.queue.name(), "settle", error.to_string());
                pause.wait(Duration::ZERO).await;
            }
        }
    };
    let counters = context.queue.counters();
    if answer.is_err() {
        // also where a first try was done and only its answer was lost
        Counters::add(&counters.lost);
        event!(INFO, "settled by another, or before", queue = context.queue.name(), id = lease.id.to_string());
        return;
    }
    match settle {
        Settle::Done => Counters::add(&counters.done),
        Settle::Retry { .. } => Counters::add(&counters.retried),
        Settle::Park { .. } => Counters::add(&counters.parked),
        Settle::Dead { reason, attempted } => {
            Counters::add(&counters.dead);
            count(names::QUEUE_DEAD, context.queue.shared_name(), ("reason", reason.as_str()));
            event!(
                WARN,
                "message is dead",
                queue = context.queue.name(),
                id = lease.id.to_string(),
                reason = reason.as_str(),
                attempts = lease.attempt,
                error = attempted.error,
            );
        }
        Settle::Release => {}
    }
}

/// Counts as running until it is dropped.
struct Running<'a>(&'a Context);

impl<'a> Running<'a> {
    fn new(context: &'a Context) -> Self {
        Counters::add(&context.queue.counters().running);
        Self(context)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        Counters::take(&self.0.queue.counters().running);
    }
}
