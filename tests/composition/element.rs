//! The layers of generated stacks, with their settings.

use crate::{
    dice::Dice,
    handler::{Handler, Shape},
    link::Link,
    mutants::Mutant,
    world::World,
};
use std::{num::NonZeroU32, sync::Arc, time::Duration};
use steadfast::{
    backoff::Exponential,
    body::Caps,
    circuit_breaker::{Circuit, CircuitBreakerLayer, Circuits, Config, Readiness, Window},
    classify::Http,
    idempotency::IdempotencyKeyLayer,
    place::tower::{PolicyLayer, TowerPolicy},
    retry::{
        Allowance, Budget, Budgets, CloneRequest, HttpReplay, MarkerLayer, RetryLayer, StandardPolicy,
        hedge::HedgeLayer,
    },
    setting::Ratio,
    stack::ClientStack,
    timeout::TimeoutLayer,
};
use tokio::sync::Semaphore;
use tower::{
    Layer, buffer::BufferLayer, limit::GlobalConcurrencyLimitLayer, limit::RateLimitLayer, load_shed::LoadShedLayer,
};
use tower_http::follow_redirect::FollowRedirectLayer;

/// How a retry layer is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeats {
    Standard,
    /// With another classifier and cloned requests.
    Cloned,
    ReadsAhead,
}

/// When circuits open and how they close.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opens {
    Fast,
    /// A closed circuit lets more and more calls through.
    Ramps,
    /// Calls that are slow count while they are under way.
    Slow,
}

/// One layer of a stack. Durations are in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Element {
    Retry {
        retries: u32,
        budget: Option<u32>,
        repeats: Repeats,
    },
    Breaker {
        origins: bool,
        pends: bool,
        config: Opens,
        /// It lets the service below go when it refuses a call.
        releases: bool,
    },
    /// A circuit breaker that answers and does not fail.
    Answers,
    Total(u64),
    /// A deadline that answers and does not fail.
    TotalAnswers(u64),
    Attempt(u64),
    Hedge {
        after: u64,
        budget: u32,
    },
    Keys,
    Marker,
    /// `calm`: its circuits never open, and its budget has no end.
    Stack {
        total: u64,
        keys: bool,
        calm: bool,
    },
    Limit(usize),
    Buffer(usize),
    LoadShed,
    Rate(u64),
    TowerTimeout(u64),
    Redirect,
    TowerRetry(u32),
    Policy(u32),
    Handler(Shape),
    Mutant(Mutant),
}

use Element as E;

impl Element {
    /// Draws one. `whole`: request bodies may be cloned.
    pub(crate) fn draw(dice: &mut Dice, whole: bool) -> Self {
        match dice.within(0..=33) {
            0..=6 => {
                let repeats = match dice.within(0..=5) {
                    0 if whole => Repeats::Cloned,
                    1 => Repeats::ReadsAhead,
                    _ => Repeats::Standard,
                };
                let budget = dice.chance(2, 3).then(|| dice.pick(&[2, 10, 100]));
                E::Retry { retries: dice.pick(&[1, 2, 2, 4]), budget, repeats }
            }
            7..=10 => {
                let config = dice.pick(&[Opens::Fast, Opens::Fast, Opens::Ramps, Opens::Slow]);
                let releases = dice.chance(5, 6);
                E::Breaker { origins: dice.chance(2, 3), pends: dice.chance(1, 4), config, releases }
            }
            11 if dice.chance(1, 3) => E::TotalAnswers(dice.pick(&[300, 3_000])),
            11 => E::Answers,
            12 | 13 => E::Total(dice.pick(&[300, 1_000, 3_000, 30_000])),
            14 | 15 => E::Attempt(dice.pick(&[50, 250, 1_000])),
            16 | 17 => E::Hedge { after: dice.pick(&[5, 10, 200]), budget: 10 },
            18 => E::Keys,
            19 => E::Marker,
            20 | 21 => E::Stack { total: dice.pick(&[1_000, 10_000]), keys: dice.chance(1, 2), calm: false },
            22..=24 => E::Limit(dice.pick(&[1, 1, 2, 4])),
            25 | 26 => E::Buffer(dice.pick(&[1, 2, 8])),
            27 => E::LoadShed,
            28 => E::Rate(dice.pick(&[2, 10])),
            29 => E::TowerTimeout(dice.pick(&[100, 1_000])),
            30 | 31 => E::Redirect,
            32 if whole && dice.chance(1, 2) => E::TowerRetry(2),
            32 if whole => E::Policy(2),
            _ => E::Handler(Shape::draw(dice)),
        }
    }

    /// The service that this layer makes of `inner`. `salt` is another one for each layer of a stack; `most`: how often a
    /// request of a handler may reach the server.
    pub(crate) fn layer(&self, inner: Link, world: &Arc<World>, salt: u64, most: u64) -> Link {
        match *self {
            E::Retry { retries, budget, repeats } => retry(inner, world, salt, retries, budget, repeats),
            E::Breaker { origins, pends, config, releases } => {
                let readiness = if pends { Readiness::Pend } else { Readiness::Reject };
                let layer = CircuitBreakerLayer::new(circuits(world, origins, salt, config)).with_readiness(readiness);
                if releases {
                    Link::new(world, "breaker", layer.releasing().layer(inner))
                } else {
                    Link::new(world, "breaker", layer.layer(inner))
                }
            }
            E::Total(ms) => Link::new(world, "total", TimeoutLayer::total(millis(ms)).per_call().layer(inner)),
            E::Answers => {
                let layer = CircuitBreakerLayer::new(circuits(world, true, salt, Opens::Fast)).respond().releasing();
                Link::new(world, "breaker that answers", layer.layer(inner))
            }
            E::TotalAnswers(ms) => {
                Link::new(world, "total that answers", TimeoutLayer::total(millis(ms)).respond().layer(inner))
            }
            E::Attempt(ms) => Link::new(world, "attempt", TimeoutLayer::attempt(millis(ms)).layer(inner)),
            E::Hedge { after, budget } => {
                let layer = HedgeLayer::new(millis(after)).with_budget(funds(world, budget)).with_caps(caps(world));
                Link::new(world, "hedge", layer.layer(inner))
            }
            E::Keys => Link::new(world, "keys", IdempotencyKeyLayer::new().layer(inner)),
            E::Marker => Link::new(world, "marker", MarkerLayer::new().layer(inner)),
            E::Stack { total, keys, calm } => stack(inner, world, salt, (total, keys, calm)),
            E::Limit(most) => {
                let semaphore = Arc::new(Semaphore::new(most));
                world.lent.lock().unwrap().limits.push(("limit", semaphore.clone(), most));
                Link::new(world, "limit", GlobalConcurrencyLimitLayer::with_semaphore(semaphore).layer(inner))
            }
            E::Buffer(bound) => Link::new(world, "buffer", BufferLayer::new(bound).layer(inner)),
            E::LoadShed => Link::new(world, "load_shed", LoadShedLayer::new().layer(inner)),
            E::Rate(per_second) => {
                // a service with a rate is not `Clone`
                let limited = RateLimitLayer::new(per_second, Duration::from_secs(1)).layer(inner);
                Link::new(world, "rate", BufferLayer::new(4).layer(limited))
            }
            E::TowerTimeout(ms) => {
                Link::new(world, "tower_timeout", tower::timeout::TimeoutLayer::new(millis(ms)).layer(inner))
            }
            E::Redirect => Link::new(world, "redirect", FollowRedirectLayer::new().layer(inner)),
            E::TowerRetry(retries) => {
                let policy = TowerPolicy::new(standard(retries)).with_budget(funds(world, 100)).with_seed(salt);
                Link::new(world, "tower_retry", tower::retry::RetryLayer::new(policy).layer(inner))
            }
            E::Policy(retries) => {
                let policy = TowerPolicy::new(standard(retries)).with_budget(Budgets::none()).with_seed(salt);
                Link::new(world, "policy", PolicyLayer::new(policy).with_budget(funds(world, 100)).layer(inner))
            }
            E::Handler(shape) => Link::new(world, "handler", Handler::new(inner, world, shape, most)),
            E::Mutant(mutant) => mutant.layer(inner, world),
        }
    }
}

fn retry(inner: Link, world: &Arc<World>, salt: u64, retries: u32, budget: Option<u32>, repeats: Repeats) -> Link {
    let budgets = budget.map_or_else(Budgets::none, |start| funds(world, start).into());
    match repeats {
        Repeats::Cloned => {
            let layer =
                RetryLayer::with(standard(retries), Http::new(), CloneRequest).with_budget(budgets).with_seed(salt);
            Link::new(world, "retry", layer.layer(inner))
        }
        Repeats::Standard | Repeats::ReadsAhead => {
            let layer = RetryLayer::with(standard(retries), Http::new(), HttpReplay).with_budget(budgets);
            let layer = layer.with_caps(caps(world)).with_seed(salt);
            if repeats == Repeats::ReadsAhead {
                Link::new(world, "retry", layer.read_ahead(64).layer(inner))
            } else {
                Link::new(world, "retry", layer.layer(inner))
            }
        }
    }
}

fn stack(inner: Link, world: &Arc<World>, salt: u64, (total, keys, calm): (u64, bool, bool)) -> Link {
    let (budgets, circuits) = if calm {
        (
            Budgets::none(),
            Circuits::per_origin("calm", Config::default().without_consecutive_failures().without_failure_rate()),
        )
    } else {
        (funds(world, 10).into(), circuits(world, true, salt, Opens::Fast))
    };
    let retry = RetryLayer::with(standard(2), Http::new(), HttpReplay).with_budget(budgets);
    let stack = ClientStack::new("stack")
        .with_total(millis(total))
        .with_attempt(millis(total / 3))
        .with_retry(retry.with_caps(caps(world)).with_seed(salt))
        .with_circuit_breaker(CircuitBreakerLayer::new(circuits));
    if keys {
        Link::new(world, "stack", stack.with_idempotency_keys(IdempotencyKeyLayer::new()).layer(inner))
    } else {
        Link::new(world, "stack", stack.layer(inner))
    }
}

fn standard(retries: u32) -> StandardPolicy {
    StandardPolicy::new().with_max_retries(retries).with_backoff(Exponential::default())
}

pub(crate) const fn millis(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Opens and closes fast, so that a run is short.
fn circuits(world: &World, origins: bool, salt: u64, opens: Opens) -> Circuits {
    let config = Config::default()
        .with_consecutive_failures(NonZeroU32::new(3).expect("above zero"))
        .with_window(Window::calls(20, 6).expect("a window"))
        .with_slow(millis(2_000))
        .with_open_for(millis(700))
        .with_max_open_for(millis(3_000))
        .with_max_retry_after(millis(3_000));
    let config = match opens {
        Opens::Fast => config,
        Opens::Ramps => config.with_ramp_up(millis(2_000)),
        Opens::Slow => config.with_slow_rate(Ratio::HALF).with_slow(millis(500)),
    };
    let circuits =
        if origins { Circuits::per_origin("fuzz", config) } else { Circuit::with_seed("fuzz", config, salt).into() };
    world.lent.lock().unwrap().circuits.push(circuits.clone());
    circuits
}

fn funds(world: &World, start: u32) -> Budget {
    let most = start.max(4);
    let allowance = Allowance::new().with_start(start).with_most(most).with_ratio(Ratio::HALF);
    let budget = Budget::new(allowance);
    world.lent.lock().unwrap().budgets.push((budget.clone(), u64::from(most)));
    budget
}

fn caps(world: &World) -> Caps {
    let caps = Caps::new(4096, 1 << 20);
    world.lent.lock().unwrap().caps.push(caps.clone());
    caps
}
