//! What the layer counts beside the machine's lock, against a machine that is told of every head and every end of a body.

use crate::support::{SECOND, at_half_of, n};
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::StreamBody;
use proptest::prelude::*;
use std::{
    collections::VecDeque,
    convert::Infallible,
    io,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};
use steadfast::{
    circuit_breaker::{
        Circuit, CircuitBreakerLayer, Config, State, Window,
        state::{Answered, Machine, Permit, Signal},
    },
    setting::Ratio,
};
use tokio::sync::{mpsc, oneshot};
use tower::{BoxError, Layer, Service, service_fn};

type Frames = mpsc::UnboundedReceiver<Result<Frame<Bytes>, io::Error>>;
type Inner = StreamBody<tokio_stream::wrappers::UnboundedReceiverStream<Result<Frame<Bytes>, io::Error>>>;
type Watched = steadfast::body::Watch<Inner>;

/// A call without a head: its future, what sends the head, and its permit of the machine.
struct Calling<F> {
    call: Pin<Box<F>>,
    answer: oneshot::Sender<Frames>,
    permit: Permit,
    /// Changes of state before it began.
    changes: usize,
}

/// A call with a head. `None`: a probe that its head has settled.
struct Reading {
    body: Watched,
    frames: mpsc::UnboundedSender<Result<Frame<Bytes>, io::Error>>,
    answered: Option<Answered>,
    /// Since when the last poll has been pending.
    pending: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Begin,
    Head(u8),
    Frame(u8),
    Await(u8),
    Ends(u8),
    Breaks(u8),
    DropBody(u8),
    DropCall(u8),
    Configure,
    OpenFor,
    Look,
}

fn steps() -> impl Strategy<Value = Vec<(u64, Step)>> {
    let step = prop_oneof![
        10 => Just(Step::Begin),
        9 => any::<u8>().prop_map(Step::Head),
        3 => any::<u8>().prop_map(Step::Frame),
        2 => any::<u8>().prop_map(Step::Await),
        4 => any::<u8>().prop_map(Step::Ends),
        3 => any::<u8>().prop_map(Step::Breaks),
        4 => any::<u8>().prop_map(Step::DropBody),
        1 => any::<u8>().prop_map(Step::DropCall),
        1 => prop_oneof![Just(Step::Configure), Just(Step::OpenFor)],
        2 => Just(Step::Look),
    ];
    prop::collection::vec((0_u64..1500, step), 1..200)
}

fn config() -> impl Strategy<Value = Config> {
    (1_u32..6, 0_u8..4, any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(run, window, rate, slow, in_flight)| {
        let window = match window {
            0 => Window::consecutive(),
            1 => Window::calls(40, 9).unwrap(),
            2 => Window::calls(7, 4).unwrap(),
            _ => Window::time(4 * SECOND, 4).unwrap(),
        };
        let config =
            at_half_of(1, 1).with_window(window).with_consecutive_failures(n(run)).with_half_open_permits(n(2));
        let config = config.with_slow(2 * SECOND).with_open_for(3 * SECOND).with_count_in_flight_slow(in_flight);
        let config = if rate { config } else { config.without_failure_rate() };
        if slow { config.with_slow_rate(Ratio::HALF) } else { config }
    })
}

struct Both<S, F> {
    circuit: Circuit,
    service: S,
    machine: Machine,
    now: u64,
    /// How often the machine changed its state.
    changes: usize,
    calling: VecDeque<Calling<F>>,
    reading: VecDeque<Reading>,
}

fn cx() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

impl<S, F> Both<S, F>
where
    S: Service<Request<oneshot::Receiver<Frames>>, Response = Response<Watched>, Error = BoxError, Future = F>,
    F: Future<Output = Result<Response<Watched>, BoxError>>,
{
    fn look(&mut self) -> State {
        let view = self.machine.view(self.now);
        assert_eq!(self.circuit.snapshot().view, view);
        self.changes += self.machine.take_changes().len();
        view.state
    }

    fn begin(&mut self) {
        let (answer, answers) = oneshot::channel();
        assert!(self.service.poll_ready(&mut cx()).is_ready());
        let mut call = Box::pin(self.service.call(Request::new(answers)));
        let admitted = self.machine.admit(self.now);
        self.changes += self.machine.take_changes().len();
        match (call.as_mut().poll(&mut cx()), admitted) {
            (Poll::Pending, Ok(permit)) => {
                self.calling.push_back(Calling { call, answer, permit, changes: self.changes });
            }
            (Poll::Ready(Err(_)), Err(_)) => {}
            _ => panic!("one of the two refuses it"),
        }
    }

    fn head(&mut self, mut calling: Calling<F>) {
        let (frames, receiver) = mpsc::unbounded_channel();
        calling.answer.send(receiver).map_err(drop).unwrap();
        let Poll::Ready(Ok(response)) = calling.call.as_mut().poll(&mut cx()) else { panic!("it was answered") };
        let took = Duration::from_nanos(self.now - calling.permit.started());
        let answered = self.machine.head(calling.permit, took, self.now);
        let probes = self.machine.view(self.now).state == State::HalfOpen;
        self.changes += self.machine.take_changes().len();
        let answered = if probes && self.changes == calling.changes {
            self.machine.finish(answered, Signal::Success, None, self.now);
            self.changes += self.machine.take_changes().len();
            None
        } else {
            Some(answered)
        };
        self.reading.push_back(Reading { body: response.into_body(), frames, answered, pending: None });
    }

    fn poll(&mut self, reading: &mut Reading) {
        match Pin::new(&mut reading.body).poll_frame(&mut cx()) {
            Poll::Pending => _ = reading.pending.get_or_insert(self.now),
            Poll::Ready(_) => reading.pending = None,
        }
    }

    fn finish(&mut self, reading: &mut Reading, signal: Signal) {
        if let Some(answered) = reading.answered.take() {
            self.machine.finish(answered, signal, None, self.now);
        }
    }

    fn drop_body(&mut self, mut reading: Reading, slow: u64) {
        let signal = match reading.pending {
            None => Signal::Success,
            Some(since) if self.now - since >= slow => Signal::Failure,
            Some(_) => Signal::Neutral,
        };
        self.finish(&mut reading, signal);
    }

    fn step(&mut self, step: Step, other: &Config) {
        let (calling, reading) = (self.calling.len(), self.reading.len());
        let at = |which: u8, len: usize| usize::from(which) % len.max(1);
        match step {
            Step::Begin => self.begin(),
            Step::Head(which) => {
                if let Some(call) = self.calling.remove(at(which, calling)) {
                    self.head(call);
                }
            }
            Step::DropCall(which) => {
                if let Some(Calling { call, permit, .. }) = self.calling.remove(at(which, calling)) {
                    drop(call);
                    let took = Duration::from_nanos(self.now - permit.started());
                    self.machine.record(permit, Signal::Dropped, None, took, self.now);
                }
            }
            Step::Configure => {
                self.circuit.configure(other.clone());
                self.machine.configure(other.clone(), self.now);
            }
            Step::OpenFor => {
                self.circuit.open_for(SECOND);
                self.machine.open_for(SECOND, self.now);
            }
            Step::Look => _ = self.look(),
            Step::Frame(which)
            | Step::Await(which)
            | Step::Ends(which)
            | Step::Breaks(which)
            | Step::DropBody(which) => {
                if let Some(one) = self.reading.remove(at(which, reading)) {
                    self.read(step, one);
                }
            }
        }
    }

    fn read(&mut self, step: Step, mut reading: Reading) {
        match step {
            Step::Frame(_) => {
                reading.frames.send(Ok(Frame::data(Bytes::from_static(b"x")))).unwrap();
                self.poll(&mut reading);
                self.reading.push_back(reading);
            }
            Step::Await(_) => {
                self.poll(&mut reading);
                self.reading.push_back(reading);
            }
            Step::Breaks(_) => {
                reading.frames.send(Err(io::ErrorKind::ConnectionReset.into())).unwrap();
                self.poll(&mut reading);
                self.finish(&mut reading, Signal::Failure);
            }
            Step::Ends(_) => {
                // the sender goes, and with it the body's end is there
                let (frames, _) = mpsc::unbounded_channel();
                reading.frames = frames;
                self.poll(&mut reading);
                self.finish(&mut reading, Signal::Success);
            }
            _ => self.drop_body(reading, 2_000_000_000),
        }
    }
}

async fn run(config: Config, other: Config, steps: Vec<(u64, Step)>) {
    let circuit = Circuit::with_seed("beside", config.clone(), 11);
    let service =
        CircuitBreakerLayer::new(&circuit).layer(service_fn(|request: Request<oneshot::Receiver<Frames>>| async {
            let frames = request.into_body().await.unwrap();
            let stream = tokio_stream::wrappers::UnboundedReceiverStream::new(frames);
            Ok::<_, Infallible>(Response::new(StreamBody::new(stream)))
        }));
    let mut both = Both {
        circuit,
        service,
        machine: Machine::new(config, 11),
        now: 0,
        changes: 0,
        calling: VecDeque::new(),
        reading: VecDeque::new(),
    };
    for (wait, step) in steps {
        tokio::time::advance(Duration::from_millis(wait)).await;
        both.now += wait * 1_000_000;
        // a machine that is looked at does what time has done, as the layer does at its next call
        both.machine.view(both.now);
        both.changes += both.machine.take_changes().len();
        both.step(step, &other);
    }
    both.look();
    while let Some(reading) = both.reading.pop_front() {
        both.drop_body(reading, 2_000_000_000);
    }
    both.look();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_layer_counts_bodies_as_a_machine_does_that_is_told_of_every_head(
        config in config(),
        other in config(),
        steps in steps(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(run(config, other, steps));
    }
}
