//! What the layer counts beside the machine's lock, against a machine that is told of every call.

use crate::support::{SECOND, n, reset};
use proptest::prelude::*;
use std::{
    collections::VecDeque,
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};
use steadfast::{
    circuit_breaker::{
        Circuit, CircuitBreakerLayer, Config, State, Window,
        state::{Machine, Permit, Signal},
    },
    error::Refused,
    setting::Ratio,
};
use tokio::sync::oneshot;
use tower::{BoxError, Layer, Service, service_fn};

type Answer = Result<(), BoxError>;

/// What happens next, and whether anybody looks afterwards.
#[derive(Debug, Clone)]
struct Step {
    wait: u64,
    what: What,
    look: bool,
}

#[derive(Debug, Clone, Copy)]
enum What {
    /// Begins a call.
    Begin,
    /// Calls that begin and end at once, and go well.
    Well(u32),
    /// Ends the call that began first, or last.
    First(Signal),
    Last(Signal),
    Reset,
    Configure,
    ForceOpen,
    OpenFor,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let signals = prop_oneof![
        6 => Just(Signal::Success),
        3 => Just(Signal::Failure),
        1 => Just(Signal::Neutral),
        1 => Just(Signal::Dropped),
    ];
    let what = prop_oneof![
        12 => Just(What::Begin),
        4 => (1_u32..30).prop_map(What::Well),
        8 => signals.clone().prop_map(What::First),
        4 => signals.prop_map(What::Last),
        1 => prop_oneof![Just(What::Reset), Just(What::Configure), Just(What::ForceOpen), Just(What::OpenFor)],
    ];
    let step = (0_u64..700, what, prop::bool::weighted(0.15));
    prop::collection::vec(step.prop_map(|(wait, what, look)| Step { wait, what, look }), 1..200)
}

fn config() -> impl Strategy<Value = Config> {
    (1_u32..6, 0_u8..4, prop::option::of(1_u32..100), any::<bool>(), 1_u64..4).prop_map(
        |(run, window, rate, slow, after)| {
            let window = match window {
                0 => Window::consecutive(),
                1 => Window::calls(40, 9).unwrap(),
                2 => Window::calls(7, 4).unwrap(),
                _ => Window::time(4 * SECOND, 4).unwrap(),
            };
            let config =
                Config::default().with_consecutive_failures(n(run)).with_window(window).with_half_open_permits(n(2));
            let config = config.with_slow(Duration::from_secs(after)).with_count_in_flight_slow(after == 3);
            let config = match rate {
                Some(percent) => config.with_failure_rate(Ratio::new(f64::from(percent) / 100.0).unwrap()),
                None => config.without_failure_rate(),
            };
            if slow { config.with_slow_rate(Ratio::HALF) } else { config }
        },
    )
}

/// The layer and the machine, at the same time of the same clock, with the same chance.
struct Both<S> {
    circuit: Circuit,
    service: S,
    machine: Machine,
    now: u64,
}

/// A call in the layer, how it ends, and its permit of the machine.
type Call = (Pin<Box<dyn Future<Output = Answer>>>, oneshot::Sender<io::Result<()>>, Permit);

impl<S> Both<S>
where
    S: Service<oneshot::Receiver<io::Result<()>>, Response = (), Error = BoxError>,
    S::Future: 'static,
{
    fn begin(&mut self) -> Option<Call> {
        let (end, ends) = oneshot::channel();
        let mut cx = Context::from_waker(Waker::noop());
        assert!(self.service.poll_ready(&mut cx).is_ready());
        let mut call = Box::pin(self.service.call(ends));
        match (call.as_mut().poll(&mut cx), self.machine.admit(self.now)) {
            (Poll::Pending, Ok(permit)) => Some((call, end, permit)),
            (Poll::Ready(Err(error)), Err(rejected)) => {
                let refused = Refused::find(&*error).unwrap();
                assert_eq!((refused.why(), refused.retry_after()), (rejected.why(), rejected.retry_after()));
                None
            }
            (layer, machine) => panic!("the layer says {layer:?}, the machine {machine:?}"),
        }
    }

    fn end(&mut self, (mut call, end, permit): Call, signal: Signal) {
        let said = match signal {
            Signal::Dropped => None,
            Signal::Success => Some(Ok(())),
            Signal::Neutral => Some(Err(io::Error::other(Refused::new("beneath", "it is full")))),
            _ => Some(Err(reset())),
        };
        if let Some(said) = said {
            end.send(said).unwrap();
            assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
        }
        drop(call);
        let took = Duration::from_nanos(self.now - permit.started());
        self.machine.record(permit, signal, None, took, self.now);
    }

    fn look(&mut self) {
        assert_eq!(self.circuit.snapshot().view, self.machine.view(self.now));
    }
}

fn breaker(
    circuit: &Circuit,
) -> impl Service<oneshot::Receiver<io::Result<()>>, Response = (), Error = BoxError, Future: 'static> + use<> {
    CircuitBreakerLayer::by_result(circuit)
        .layer(service_fn(|ends: oneshot::Receiver<io::Result<()>>| async { ends.await.unwrap() }))
}

async fn run(config: Config, other: Config, steps: Vec<Step>) {
    let circuit = Circuit::with_seed("beside", config.clone(), 11);
    let mut both = Both { service: breaker(&circuit), circuit, machine: Machine::new(config, 11), now: 0 };
    let mut out: VecDeque<Call> = VecDeque::new();
    for Step { wait, what, look } in steps {
        tokio::time::advance(Duration::from_millis(wait)).await;
        both.now += wait * 1_000_000;
        match what {
            What::Begin => out.extend(both.begin()),
            What::Well(calls) => {
                for _ in 0..calls {
                    if let Some(call) = both.begin() {
                        both.end(call, Signal::Success);
                    }
                }
            }
            What::First(signal) => {
                if let Some(call) = out.pop_front() {
                    both.end(call, signal);
                }
            }
            What::Last(signal) => {
                if let Some(call) = out.pop_back() {
                    both.end(call, signal);
                }
            }
            What::Reset => {
                both.circuit.reset();
                both.machine.reset(both.now);
            }
            What::Configure => {
                both.circuit.configure(other.clone());
                both.machine.configure(other.clone(), both.now);
            }
            What::ForceOpen => {
                both.circuit.force_open(Some(SECOND));
                both.machine.force_open(Some(SECOND), both.now);
            }
            What::OpenFor => {
                both.circuit.open_for(SECOND);
                both.machine.open_for(SECOND, both.now);
            }
        }
        if look {
            both.look();
        }
    }
    both.look();
    while let Some(call) = out.pop_front() {
        both.end(call, Signal::Dropped);
    }
    both.look();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(160))]

    #[test]
    fn the_layer_says_what_a_machine_says_that_is_told_of_every_call(config in config(), other in config(), steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(run(config, other, steps));
    }
}

#[tokio::test(start_paused = true)]
async fn a_success_that_completes_the_minimum_of_calls_opens_it() {
    // nine calls, five of which failed, are too few to judge; the tenth is a good one
    let config = Config::default().without_consecutive_failures().with_window(Window::calls(20, 10).unwrap());
    let circuit = Circuit::with_seed("minimum", config.clone(), 1);
    let mut both = Both { service: breaker(&circuit), circuit, machine: Machine::new(config, 1), now: 0 };
    let signals = [Signal::Success; 4].into_iter().chain([Signal::Failure; 5]);
    for signal in signals {
        let call = both.begin().unwrap();
        both.end(call, signal);
    }
    assert_eq!(both.circuit.state(), State::Closed);
    let call = both.begin().unwrap();
    both.end(call, Signal::Success);
    assert_eq!(both.circuit.state(), State::Open);
    both.look();
}

#[tokio::test(start_paused = true)]
async fn successes_lie_in_the_bucket_of_their_time_though_nobody_looks() {
    let config = Config::default().with_window(Window::time(10 * SECOND, 1).unwrap());
    let circuit = Circuit::with_seed("buckets", config.clone(), 1);
    let mut both = Both { service: breaker(&circuit), circuit, machine: Machine::new(config, 1), now: 0 };
    for _ in 0..25 {
        for _ in 0..3 {
            let call = both.begin().unwrap();
            both.end(call, Signal::Success);
        }
        tokio::time::advance(SECOND).await;
        both.now += 1_000_000_000;
    }
    // ten buckets of a second, of which the newest is empty
    assert_eq!(both.circuit.snapshot().view.calls, 27);
    both.look();
}
