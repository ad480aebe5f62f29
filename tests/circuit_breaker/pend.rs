//! `Readiness::Pend`: who waits, who is woken, and when.

use crate::support::{SECOND, after_a_run_of, n, reset};
use std::{
    future::poll_fn,
    io,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};
use steadfast::{
    circuit_breaker::{Circuit, CircuitBreaker, CircuitBreakerLayer, Circuits, Readiness, State},
    classify::ByResult,
    error::{BoxError, Refused},
    registry::Registry,
};
use tokio::{
    task::JoinSet,
    time::{Instant, advance, sleep, timeout},
};
use tower::{
    BoxError as TowerError, Layer, Service, ServiceBuilder, ServiceExt, balance::p2c::Balance, discover::ServiceList,
    load::Constant, load_shed::error::Overloaded, service_fn, util::BoxCloneSyncService,
};

type Asked = (Duration, bool);
type Waits = CircuitBreaker<BoxCloneSyncService<Asked, (), io::Error>, ByResult>;

const MILLI: Duration = Duration::from_millis(1);
const GOOD: Asked = (Duration::ZERO, false);
const BAD: Asked = (Duration::ZERO, true);
/// How long whoever was woken has to call.
const TURN: Duration = Duration::from_millis(100);

/// Takes as long as it is told, and fails where it is told to.
fn waits(circuit: &Circuit) -> Waits {
    let inner = BoxCloneSyncService::new(service_fn(|(takes, fails): Asked| async move {
        sleep(takes).await;
        if fails { Err(reset()) } else { Ok(()) }
    }));
    CircuitBreakerLayer::by_result(circuit).with_readiness(Readiness::Pend).layer(inner)
}

/// A service that waits, polled by hand, and how often it was woken.
struct Waiter {
    service: Waits,
    woken: Arc<Woken>,
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

impl Waiter {
    fn new(service: &Waits) -> Self {
        Self { service: service.clone(), woken: Arc::default() }
    }

    fn many(circuit: &Circuit, number: usize) -> Vec<Self> {
        let service = waits(circuit);
        let mut all: Vec<_> = (0..number).map(|_| Self::new(&service)).collect();
        for waiter in &mut all {
            assert!(!waiter.is_ready());
        }
        all
    }

    fn is_ready(&mut self) -> bool {
        let waker = Waker::from(self.woken.clone());
        match self.service.poll_ready(&mut Context::from_waker(&waker)) {
            Poll::Ready(ready) => ready.map(|()| true).unwrap(),
            Poll::Pending => false,
        }
    }

    fn woken(&self) -> usize {
        self.woken.0.load(SeqCst)
    }
}

fn woken(all: &[Waiter]) -> usize {
    all.iter().map(Waiter::woken).sum()
}

/// Lets time pass, and the timers of that time ring.
async fn pass(time: Duration) {
    sleep(time + 5 * MILLI).await;
}

fn open(permits: u32) -> Circuit {
    let circuit = Circuit::with_config("payments", after_a_run_of(1).with_half_open_permits(n(permits)));
    circuit.open_for(10 * SECOND);
    circuit
}

#[tokio::test(start_paused = true)]
async fn a_reset_wakes_all_who_wait_at_once_and_one_poll_later_they_are_ready() {
    let circuit = open(1);
    let mut all = Waiter::many(&circuit, 10);
    advance(MILLI).await;
    assert_eq!(woken(&all), 0);
    circuit.reset();
    assert!(all.iter().all(|waiter| waiter.woken() == 1), "before anything else runs");
    assert!(all.iter_mut().all(Waiter::is_ready));
    // and in tasks: no time passes
    circuit.force_open(None);
    let mut tasks = JoinSet::new();
    let start = Instant::now();
    for _ in 0..10 {
        tasks.spawn(waits(&circuit).oneshot(GOOD));
    }
    tokio::task::yield_now().await;
    circuit.reset();
    assert_eq!((tasks.join_all().await.into_iter().flatten().count(), start.elapsed()), (10, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn whatever_is_done_by_hand_wakes_those_whom_it_lets_through() {
    for by_hand in [Circuit::disable, Circuit::shadow] {
        let circuit = open(1);
        let mut all = Waiter::many(&circuit, 3);
        circuit.force_open(None);
        assert_eq!(woken(&all), 0, "it still refuses");
        by_hand(&circuit, None);
        assert_eq!(woken(&all), 3);
        assert!(all.iter_mut().all(Waiter::is_ready));
    }
}

/// Counts how often it is asked whether it is ready.
#[derive(Clone)]
struct Counted(Waits, Arc<AtomicUsize>);

impl Service<Asked> for Counted {
    type Response = ();
    type Error = BoxError;
    type Future = <Waits as Service<Asked>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.1.fetch_add(1, SeqCst);
        self.0.poll_ready(cx)
    }

    fn call(&mut self, asked: Asked) -> Self::Future {
        self.0.call(asked)
    }
}

#[tokio::test(start_paused = true)]
async fn two_hundred_who_wait_for_a_probe_of_490_ms_are_polled_twice_each() {
    let circuit = open(1);
    let (polls, start) = (Arc::new(AtomicUsize::new(0)), Instant::now());
    let mut tasks = JoinSet::new();
    for _ in 0..200 {
        tasks.spawn(Counted(waits(&circuit), polls.clone()).oneshot((Duration::from_millis(490), false)));
    }
    sleep(10 * SECOND + 400 * MILLI).await;
    assert_eq!((circuit.state(), polls.load(SeqCst)), (State::HalfOpen, 201), "one was woken, for the one permit");
    assert_eq!(tasks.join_all().await.into_iter().flatten().count(), 200);
    assert_eq!(polls.load(SeqCst), 400);
    assert!(start.elapsed() < 11 * SECOND + 10 * MILLI, "{:?}", start.elapsed());
    assert_eq!((circuit.state(), circuit.snapshot().view.refused), (State::Closed, 0));
}

#[tokio::test(start_paused = true)]
async fn as_many_are_woken_as_there_are_permits() {
    let circuit = open(3);
    let mut all = Waiter::many(&circuit, 10);
    pass(10 * SECOND).await;
    let order: Vec<_> = all.iter().map(Waiter::woken).collect();
    assert_eq!(order, [1, 1, 1, 0, 0, 0, 0, 0, 0, 0], "those who came first");
    let probes: Vec<_> = all[..3].iter_mut().map(|waiter| (waiter.is_ready(), waiter.service.call(GOOD)).1).collect();
    assert_eq!((woken(&all), circuit.snapshot().view.probes), (3, 3));
    // one is given back: one more
    let mut probes = probes.into_iter();
    drop(probes.next());
    assert_eq!(woken(&all), 4);
    assert!(all[3].is_ready() && !all[9].is_ready());
}

#[tokio::test(start_paused = true)]
async fn who_was_woken_and_never_comes_holds_up_nobody_for_long() {
    let circuit = open(1);
    let mut all = Waiter::many(&circuit, 3);
    pass(10 * SECOND).await;
    assert_eq!(woken(&all), 1);
    pass(TURN).await;
    assert_eq!((all[1].woken(), all[2].woken()), (1, 0));
    assert!(all[1].is_ready());
    all[1].service.call(GOOD).await.unwrap();
    assert_eq!((circuit.state(), all[2].woken()), (State::Closed, 1));
}

#[tokio::test(start_paused = true)]
async fn thousands_who_never_come_are_passed_in_a_few_steps() {
    let circuit = open(1);
    let asleep = Waiter::many(&circuit, 5000);
    let start = Instant::now();
    waits(&circuit).oneshot(GOOD).await.unwrap();
    assert!(start.elapsed() < 12 * SECOND, "{:?}", start.elapsed());
    assert!(asleep.iter().all(|waiter| waiter.woken() == 1));
}

#[tokio::test(start_paused = true)]
async fn who_is_dropped_between_waking_and_polling_leaves_the_turn_to_the_next() {
    let circuit = open(1);
    let mut all = Waiter::many(&circuit, 3);
    pass(10 * SECOND).await;
    drop(all.remove(0));
    assert_eq!((all[0].woken(), all[1].woken()), (1, 0));
    // and so does one who is ready
    assert!(all[0].is_ready());
    drop(all.remove(0));
    assert_eq!(all[0].woken(), 1);
    assert!(all[0].is_ready());
}

#[tokio::test(start_paused = true)]
async fn who_sits_on_readiness_holds_up_nobody_and_is_refused_when_the_permit_is_gone() {
    let circuit = open(1);
    let mut all = Waiter::many(&circuit, 2);
    pass(10 * SECOND).await;
    assert!(all[0].is_ready());
    assert!(!all[1].is_ready(), "the permit is spoken for");
    pass(TURN).await;
    assert_eq!(all[1].woken(), 1);
    assert!(all[1].is_ready());
    let probe = all[1].service.call((SECOND, false));
    let error = all[0].service.call(GOOD).await.unwrap_err();
    assert_eq!(Refused::find(&*error).unwrap().why(), "circuit half-open, all probes are out");
    // in its place again
    assert!(!all[0].is_ready());
    probe.await.unwrap();
    assert!(all[0].woken() > 0 && all[0].is_ready());
}

#[tokio::test(start_paused = true)]
async fn who_is_ready_may_call_after_the_turn_while_there_is_a_permit() {
    let circuit = open(1);
    let mut all = Waiter::many(&circuit, 1);
    pass(10 * SECOND).await;
    assert!(all[0].is_ready());
    pass(3600 * SECOND).await;
    all[0].service.call(GOOD).await.unwrap();
    assert_eq!(circuit.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_fails_costs_no_wake_and_the_next_period_one() {
    let circuit = open(1);
    let mut all = Waiter::many(&circuit, 5);
    for period in 1..=3 {
        pass(10 * SECOND).await;
        assert_eq!(woken(&all), period);
        let mut probe = all.remove(0);
        assert!(probe.is_ready());
        probe.service.call(BAD).await.unwrap_err();
        all.push(probe);
        assert!(!all[4].is_ready());
    }
    assert_eq!(woken(&all), 3);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_hangs_is_overcome_with_nobody_but_those_who_wait() {
    let circuit = open(1);
    let start = Instant::now();
    let hangs = tokio::spawn(waits(&circuit).oneshot((3600 * SECOND, false)));
    tokio::task::yield_now().await;
    let mut tasks = JoinSet::new();
    for _ in 0..20 {
        tasks.spawn(waits(&circuit).oneshot(GOOD));
    }
    assert_eq!(tasks.join_all().await.into_iter().flatten().count(), 20);
    // the period, the lease, the period
    assert!((30 * SECOND..31 * SECOND).contains(&start.elapsed()), "{:?}", start.elapsed());
    hangs.abort();
}

#[tokio::test(start_paused = true)]
async fn forced_open_is_waited_for_until_it_expires() {
    let circuit = Circuit::with_config("payments", after_a_run_of(1));
    circuit.force_open(Some(60 * SECOND));
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..20 {
        tasks.spawn(waits(&circuit).oneshot(GOOD));
    }
    assert_eq!(tasks.join_all().await.into_iter().flatten().count(), 20);
    assert!((60 * SECOND..61 * SECOND).contains(&start.elapsed()), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_was_waited_for_without_an_end_may_be_given_one_from_a_thread_without_a_runtime() {
    let circuit = Circuit::with_config("payments", after_a_run_of(1));
    circuit.force_open(None);
    let waiting = tokio::spawn(waits(&circuit).oneshot(GOOD));
    tokio::task::yield_now().await;
    let by_hand = circuit.clone();
    std::thread::spawn(move || by_hand.open_for(10 * SECOND)).join().unwrap();
    timeout(60 * SECOND, waiting).await.unwrap().unwrap().unwrap();
    assert_eq!(circuit.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_period_that_is_changed_by_hand_is_the_one_that_is_waited_for() {
    for (period, at_most) in [(2 * SECOND, 3 * SECOND), (100 * SECOND, 101 * SECOND)] {
        let (circuit, start) = (open(1), Instant::now());
        let waiting = tokio::spawn(waits(&circuit).oneshot(GOOD));
        tokio::task::yield_now().await;
        circuit.open_for(period);
        waiting.await.unwrap().unwrap();
        assert!((period..at_most).contains(&start.elapsed()), "{:?}", start.elapsed());
    }
}

#[test]
fn a_runtime_that_goes_leaves_those_of_another_one_waiting() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let (first, second) = (runtime(), runtime());
    let circuit = first.block_on(async { open(1) });
    let mut left = first.block_on(async { Waiter::many(&circuit, 1) });
    let waiting = second.spawn(waits(&circuit).oneshot(GOOD));
    second.block_on(tokio::task::yield_now());
    // the timer was the first one's
    drop(first);
    second.block_on(async { timeout(60 * SECOND, waiting).await }).unwrap().unwrap().unwrap();
    assert_eq!(circuit.state(), State::Closed);
    assert!(left[0].woken() > 0 && left[0].is_ready());
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_who_wait_cost_one_timer_and_leave_nothing_behind() {
    // a registry of its own: that of the process asks the circuits of other tests too, by the clock of this one
    let registry = Registry::new();
    let circuit = open(1).with_registry(&registry);
    let listed = || !registry.snapshot().is_empty();
    let mut all = Waiter::many(&circuit, 10_000);
    drop(circuit);
    pass(10 * SECOND).await;
    assert_eq!(woken(&all), 1);
    assert!(listed(), "they hold it");
    // half of them go from the front, half from the back
    drop(all.drain(..5000));
    while all.len() > 1 {
        all.pop();
    }
    assert!(all[0].is_ready());
    all[0].service.call(GOOD).await.unwrap();
    drop(all);
    assert!(!listed());
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_given_up_takes_no_turn_once_its_service_goes() {
    let circuit = open(1);
    let service = waits(&circuit);
    for _ in 0..10_000 {
        let mut gives_up = service.clone();
        assert!(pin!(gives_up.ready()).poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    let start = Instant::now();
    service.oneshot(GOOD).await.unwrap();
    assert!(start.elapsed() < 10 * SECOND + 10 * MILLI, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn clones_wait_for_themselves() {
    let circuit = open(1);
    let mut all = Waiter::many(&circuit, 1);
    let mut clone = Waiter::new(&all[0].service);
    pass(10 * SECOND).await;
    assert!(all[0].is_ready());
    assert!(!clone.is_ready(), "the turn is not the clone's");
    all[0].service.call(GOOD).await.unwrap();
    assert_eq!(clone.woken(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_comes_too_late_is_refused() {
    let circuit = Circuit::with_config("payments", after_a_run_of(1));
    let mut service = waits(&circuit);
    service.ready().await.unwrap();
    circuit.open_for(10 * SECOND);
    let error = service.call(GOOD).await.unwrap_err();
    assert_eq!(Refused::find(&*error).unwrap().retry_after(), Some(10 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn an_open_circuit_does_not_ask_the_inner_service() {
    let (circuit, asked) = (open(1), Arc::new(AtomicBool::new(false)));
    let seen = asked.clone();
    let inner = poll_ready_fn(move || seen.store(true, SeqCst));
    let mut service = CircuitBreakerLayer::by_result(&circuit).with_readiness(Readiness::Pend).layer(inner);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut cx).is_pending() && !asked.load(SeqCst));
    pass(10 * SECOND).await;
    assert!(service.poll_ready(&mut cx).is_ready() && asked.load(SeqCst));
}

#[derive(Clone)]
struct PollReady<F>(F);

fn poll_ready_fn<F: FnMut()>(asked: F) -> PollReady<F> {
    PollReady(asked)
}

impl<F: FnMut()> Service<()> for PollReady<F> {
    type Response = ();
    type Error = io::Error;
    type Future = std::future::Ready<io::Result<()>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        (self.0)();
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        std::future::ready(Ok(()))
    }
}

#[tokio::test(start_paused = true)]
async fn a_balancer_sends_calls_to_the_other_one() {
    let (well, away) = (Circuit::new("well"), Circuit::with_config("away", after_a_run_of(1)));
    away.open_for(10 * SECOND);
    let endpoint = |circuit: &Circuit, name: &'static str| {
        let inner = service_fn(move |()| async move { Ok::<_, io::Error>(name) });
        let layer = CircuitBreakerLayer::by_result(circuit).with_readiness(Readiness::Pend);
        Constant::new(layer.layer(inner), 1)
    };
    let mut both = Balance::new(ServiceList::new([endpoint(&well, "well"), endpoint(&away, "away")]));
    for _ in 0..100 {
        let answer: Result<_, TowerError> = both.ready().await.unwrap().call(()).await;
        assert_eq!(answer.unwrap(), "well");
    }
    pass(10 * SECOND).await;
    let mut seen = vec![];
    for _ in 0..100 {
        seen.push(both.ready().await.unwrap().call(()).await.unwrap());
    }
    assert!(seen.contains(&"well") && seen.contains(&"away"));
    assert_eq!(away.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn load_shed_outside_of_it_sheds_while_it_is_open() {
    let circuit = open(1);
    let mut service = ServiceBuilder::new().load_shed().service(waits(&circuit));
    let error = service.ready().await.unwrap().call(GOOD).await.unwrap_err();
    assert!(error.is::<Overloaded>());
    pass(10 * SECOND).await;
    service.ready().await.unwrap().call(GOOD).await.unwrap();
    assert_eq!(circuit.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn circuits_by_key_refuse_in_the_call() {
    let circuits = Circuits::per_origin("tenants", after_a_run_of(1));
    let mut service = CircuitBreakerLayer::with(circuits.clone(), ByResult)
        .keyed_by(|tenant: &String| Some(tenant))
        .with_readiness(Readiness::Pend)
        .layer(service_fn(|_: String| async { Err::<(), _>(reset()) }));
    service.ready().await.unwrap().call("a".into()).await.unwrap_err();
    let error = service.ready().await.unwrap().call("a".into()).await.unwrap_err();
    assert!(Refused::find(&*error).is_some());
}

#[test]
fn while_it_is_closed_nothing_needs_a_runtime() {
    let circuit = Circuit::new("payments");
    let mut service = CircuitBreakerLayer::by_result(&circuit)
        .with_readiness(Readiness::Pend)
        .layer(service_fn(|()| std::future::ready(Ok::<_, io::Error>(()))));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut cx).is_ready());
    assert!(pin!(service.call(())).poll(&mut cx).is_ready());
}

/// The other services on a circuit may refuse instead: who waits still hears of what they find out.
#[tokio::test(start_paused = true)]
async fn a_probe_of_one_that_does_not_wait_counts_for_those_who_do() {
    let circuit = open(1);
    let all = Waiter::many(&circuit, 3);
    // before the timer of those who wait rings
    advance(10 * SECOND).await;
    let rejects = CircuitBreakerLayer::by_result(&circuit).layer(service_fn(|()| async { Ok::<_, io::Error>(()) }));
    rejects.oneshot(()).await.unwrap();
    assert_eq!(circuit.state(), State::Closed);
    assert!(all.iter().all(|waiter| waiter.woken() > 0));
}

#[test]
fn nobody_is_forgotten_when_threads_open_close_wait_and_leave() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_time().build().unwrap();
    let config = after_a_run_of(2).with_open_for(MILLI).with_max_open_for(MILLI).with_half_open_permits(n(2));
    let circuit = Circuit::with_config("hammered", config);
    let service = waits(&circuit);
    let calls = Arc::new(AtomicUsize::new(0));
    let finished = runtime.block_on(async {
        let mut tasks = JoinSet::new();
        for task in 0..32 {
            let (service, calls) = (service.clone(), calls.clone());
            tasks.spawn(async move {
                for call in 0..100 {
                    let mut service = service.clone();
                    if (task + call) % 5 == 0 {
                        // begins to wait, and goes
                        let first = poll_fn(|cx| Poll::Ready(service.poll_ready(cx).is_ready())).await;
                        drop((first, service));
                        continue;
                    }
                    _ = service.ready().await.unwrap().call((Duration::ZERO, call % 3 == 0)).await;
                    calls.fetch_add(1, SeqCst);
                }
            });
        }
        timeout(120 * SECOND, tasks.join_all()).await.is_ok()
    });
    assert!(finished, "somebody waits for ever: {:?}", circuit.snapshot());
    assert_eq!(calls.load(SeqCst), 32 * 80);
}

#[tokio::test(start_paused = true)]
async fn a_probe_without_a_lease_that_is_given_up_wakes_one_and_not_all() {
    let config = after_a_run_of(1).with_half_open_permits(n(1)).with_lease(Duration::MAX);
    let circuit = Circuit::with_config("payments", config);
    circuit.open_for(10 * SECOND);
    let mut all = Waiter::many(&circuit, 5);
    pass(10 * SECOND).await;
    assert!(all[0].is_ready());
    let hangs = all[0].service.call((3600 * SECOND, false));
    pass(SECOND).await;
    assert_eq!(woken(&all), 1);
    drop(hangs);
    assert_eq!(woken(&all), 2);
    // and its turn ends like any other
    pass(TURN).await;
    assert_eq!(woken(&all), 3);
}
