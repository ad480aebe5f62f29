//! One run of a plan: its callers, then a time in which every server is healthy, then the checks at the end.

use crate::{
    caller::{self, End, Manner, is_well, judge},
    element::Element,
    plan::{Call, Plan, Reads, Wants},
    script::ORIGINS,
    world::{Breach, World},
};
use futures_util::future::join_all;
use http_body_util::BodyExt;
use std::{
    sync::{Arc, atomic::Ordering::SeqCst},
    time::Duration,
};
use steadfast::circuit_breaker::{Circuits, State};
use tokio::time::{sleep, timeout};

/// The result of a run.
#[derive(Debug, PartialEq)]
pub(crate) struct Report {
    pub(crate) breaches: Vec<Breach>,
    pub(crate) trace: Vec<(Duration, String)>,
}

impl Report {
    pub(crate) fn broken(&mut self, rule: &'static str, detail: String) {
        self.breaches.push(Breach { rule, detail });
    }

    pub(crate) fn broke(&self, rule: &str) -> bool {
        self.breaches.iter().any(|breach| breach.rule == rule)
    }
}

/// Runs `plan` in a runtime of its own, whose time is paused.
pub(crate) fn run(plan: &Plan) -> Report {
    in_paused_time(plan.seed, |world| {
        let plan = Arc::new(plan.clone());
        async move { all(world, plan).await }
    })
}

/// Runs the future that `make` returns for a new world. A run in which nothing happens for hours has broken a rule.
pub(crate) fn in_paused_time<F, Fut>(seed: u64, make: F) -> Report
where
    F: FnOnce(Arc<World>) -> Fut,
    Fut: Future<Output = ()>,
{
    // circuits by key have no seed of their own and draw from this one
    fastrand::seed(seed);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(async {
        let world = World::new();
        if timeout(Duration::from_secs(12 * 3600), make(world.clone())).await.is_err() {
            world.breach("deadlock", "calls wait for each other for ever");
        }
        Report { breaches: world.breaches(), trace: world.events() }
    })
}

async fn all(world: Arc<World>, plan: Arc<Plan>) {
    world.holds.store(plan.keeps_places(), SeqCst);
    world.hedges.store(plan.has(|element| matches!(element, Element::Hedge { .. })), SeqCst);
    let root = plan.build(&world);
    let callers = plan.callers.iter().cloned();
    let calls = callers.map(|one| caller::run(world.clone(), plan.clone(), one, root.clone()));
    let kept = if plan.together {
        join_all(calls).await
    } else {
        let tasks: Vec<_> = calls.map(tokio::spawn).collect();
        join_all(tasks).await.into_iter().filter_map(Result::ok).collect()
    };
    settle().await;
    nothing_is_held(&world, !plan.leaves_places_behind());
    world.healthy.store(true, SeqCst);
    recovers(&world, &plan, &root).await;
    settle().await;
    drop((kept, root));
    // the worker of a buffer ends when the rate below it lets it
    sleep(Duration::from_secs(2)).await;
    nothing_is_held(&world, true);
    everything_is_back(&world);
}

/// Lets every task run that can still run.
pub(crate) async fn settle() {
    for _ in 0..32 {
        tokio::task::yield_now().await;
    }
    sleep(Duration::from_millis(20)).await;
}

/// Checks that no place is taken: no call is under way, and an instance that its caller keeps holds nothing.
fn nothing_is_held(world: &World, places: bool) {
    let reserved = world.reserved.load(SeqCst);
    if reserved > 0 && places {
        world.breach("held", format_args!("{reserved} instances are reserved though no call is under way"));
    }
    for (name, semaphore, most) in &world.lent.lock().unwrap().limits {
        if places && semaphore.available_permits() != *most {
            let left = semaphore.available_permits();
            world.breach("held", format_args!("a {name} of {most} has {left} places left though no call is under way"));
        }
    }
}

/// Calls healthy servers until every circuit closes, and then expects that no call is refused.
async fn recovers(world: &Arc<World>, plan: &Plan, root: &crate::link::Link) {
    const ROUNDS: usize = 80;
    // a success can open a circuit: the one that completes the minimum of calls of a window that is full of failures
    const CLOSED: usize = 6;
    let mut closed = 0;
    for _ in 0..ROUNDS {
        for origin in 0..ORIGINS.len() {
            sleep(Duration::from_millis(600)).await;
            if !well(world, plan, root, origin).await.1 {
                return;
            }
        }
        closed = if circuits(world).iter().all(|state| *state == State::Closed) { closed + 1 } else { 0 };
        if closed == CLOSED || circuits(world).is_empty() {
            break;
        }
    }
    // a handler asks twice at once, and a load-shed below it may rightly refuse the second time
    let sheds = plan.over(|e| matches!(e, Element::Handler(_)), |e| matches!(e, Element::LoadShed));
    if closed == 0 && !sheds {
        world.breach("closes", format_args!("after {ROUNDS} healthy rounds the circuits are {:?}", circuits(world)));
        return;
    }
    for origin in (0..ORIGINS.len()).chain(0..ORIGINS.len()) {
        sleep(Duration::from_millis(600)).await;
        if let (false, _) = well(world, plan, root, origin).await
            && !sheds
        {
            world
                .breach("healthy", format_args!("a call to {} failed though every server is healthy", ORIGINS[origin]));
        }
    }
}

/// Returns whether a call was answered with a success, and whether it ended at all.
async fn well(world: &Arc<World>, plan: &Plan, root: &crate::link::Link, origin: usize) -> (bool, bool) {
    let id = world.identity(plan.most());
    let call = Call {
        pause: Duration::ZERO,
        method: http::Method::GET,
        keyed: false,
        origin,
        chunks: 0,
        reads: Reads::Whole,
        leaves_after: None,
        keeps: false,
        wants: Wants::Nothing,
        fidgets: false,
    };
    let mut service = root.clone();
    let limit = Some(Duration::from_secs(60));
    let manner = Manner { leaves_after: limit, fidgets: false, deadline: plan.deadline(call.wants) };
    let end = caller::once(world, &manner, &mut service, caller::request(id, &call), id).await;
    judge(world, plan, &call.method, id, &end);
    if matches!(end, End::Left) {
        world.breach("deadlock", format_args!("a call waited for a minute though every server is healthy"));
        return (false, false);
    }
    let good = is_well(&end);
    if let End::Answered(response) = end {
        _ = response.into_body().collect().await;
    }
    (good, true)
}

fn circuits(world: &World) -> Vec<State> {
    let lent = world.lent.lock().unwrap();
    lent.circuits
        .iter()
        .flat_map(Circuits::list)
        .map(|circuit| {
            let view = circuit.snapshot().view;
            // one that ramps up may still refuse
            if view.ramp_up.is_some() { State::HalfOpen } else { view.state }
        })
        .collect()
}

/// Checks that everything is given back: every service, future and body has been dropped.
fn everything_is_back(world: &World) {
    let lent = world.lent.lock().unwrap();
    for (budget, most) in &lent.budgets {
        if budget.left() > *most {
            world.breach("budget", format_args!("a budget of at most {most} has {}", budget.left()));
        }
    }
    for caps in &lent.caps {
        if caps.used() > 0 {
            world.breach("caps", format_args!("{} bytes are kept of requests that are over", caps.used()));
        }
    }
    for circuit in lent.circuits.iter().flat_map(Circuits::list) {
        let probes = circuit.snapshot().view.probes;
        if probes > 0 {
            world.breach("probes", format_args!("{probes} probes of a circuit are under way though no call is"));
        }
    }
    let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    if tasks > 0 {
        world.breach("tasks", format_args!("{tasks} tasks are left"));
    }
}
