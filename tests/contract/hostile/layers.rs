//! Drives one layer through everything that a call is: readiness, attempts, bodies, drops.

use super::{
    foreign::{Inner, request, with_waker},
    observers::Observer,
    world::{Answer, Bang, Does, Ops, World, step, watched},
};
use crate::subject::Asked;
use bytes::Bytes;
use http::{Response, StatusCode};
use http_body::Body;
use http_body_util::BodyExt;
use std::{
    fmt::{Debug, Write},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};
use steadfast::{
    circuit_breaker::{Circuit, Circuits, Config},
    error::BoxError,
    registry,
};
use tokio::{
    runtime::Runtime,
    task::yield_now,
    time::{advance, timeout},
};
use tower::{Layer, Service, ServiceExt};

/// What a layer and its service have to be for this.
pub(crate) trait Driven: Clone + Debug + Send + Sync + 'static {
    type Made: Service<Asked, Response = Response<Self::Body>, Error = BoxError, Future: Debug + Send + 'static>
        + Clone
        + Debug
        + Send
        + 'static;
    type Body: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static;

    fn make(&self, inner: Inner) -> Self::Made;
}

impl<L, S, B> Driven for L
where
    L: Layer<Inner, Service = S> + Clone + Debug + Send + Sync + 'static,
    S: Service<Asked, Response = Response<B>, Error = BoxError, Future: Debug + Send + 'static>
        + Clone
        + Debug
        + Send
        + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Made = S;
    type Body = B;

    fn make(&self, inner: Inner) -> S {
        self.layer(inner)
    }
}

/// A layer and how its requests are made.
pub(crate) struct Case<L> {
    pub(crate) name: &'static str,
    pub(crate) make: fn(&'static str, &Arc<World>) -> L,
    pub(crate) asked: fn(Asked) -> Asked,
    /// Places that are the user's, each of which is called.
    pub(crate) reaches: &'static [&'static str],
}

/// Everything foreign uses the layer that calls it; then everything foreign panics, once in every place.
pub(crate) fn drive<L: Driven>(case: &Case<L>) {
    let calls = run(case, Does::Reenter);
    assert!(calls > 40, "{}: only {calls} calls of foreign code", case.name);
    // a run that panics is another one than that which does not
    let mut nth = 1;
    while run(case, Does::Panic(nth)) >= nth {
        // the first call is tried in every place, the others in many
        nth += if nth < 120 { 1 } else { 7 };
    }
}

/// How often foreign code was called.
fn run<L: Driven>(case: &Case<L>, does: Does) -> usize {
    let world = World::new(does);
    let Case { name, make, asked, reaches } = *case;
    let of = world.clone();
    watched(&format!("{name}, {does:?}"), &world, move || {
        let runtime = new_runtime();
        let inside = runtime.enter();
        let layer = Observer(of.clone()).watch(|| step(|| make(name, &of)));
        // what cannot be made because its user's recorder panics need not be
        let layer = layer.unwrap_or_else(|| make(name, &of));
        of.set_ops(ops(&of, &layer, name, asked));
        let work = || runtime.block_on(one_run(&of, &layer, asked));
        let escaped = catch_unwind(AssertUnwindSafe(|| Observer(of.clone()).watch(work))).err();
        // out of the timer of tokio, which called a waker and is broken by its panic
        if let Some(other) = escaped.filter(|payload| !payload.is::<Bang>()) {
            resume_unwind(other);
        }
        of.drop_parked();
        of.set_ops(Vec::new());
        let calls = of.calls();
        if does == Does::Reenter {
            of.assert_reached(reaches);
        }
        of.set(Does::Nothing);
        drop(inside);
        drop(runtime);
        new_runtime().block_on(works(&of, &layer, asked, &format!("{name}, {does:?}: {}", of.now())));
        calls
    })
}

fn new_runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

/// What a place that is hostile does with the layer.
fn ops<L: Driven>(world: &Arc<World>, layer: &L, name: &'static str, asked: fn(Asked) -> Asked) -> Ops {
    let (of, of_layer, layer) = (world.clone(), layer.clone(), layer.clone());
    vec![
        ("a look at the registry", Box::new(|| drop(registry().snapshot()))),
        (
            "a look at the circuit, and other settings",
            Box::new(move || {
                if let Some(circuit) = Circuit::named(name) {
                    let _ = (circuit.state(), circuit.snapshot());
                    circuit.configure(circuit_config());
                }
                if let Some(circuits) = Circuits::named(name) {
                    circuits.list();
                    circuits.configure(circuit_config());
                }
            }),
        ),
        ("Debug of the layer", Box::new(move || drop(format!("{of_layer:?}")))),
        (
            "a call through the layer",
            Box::new(move || {
                if !of.may_call() {
                    return;
                }
                let mut service = layer.make(Inner::new(&of));
                let ready = with_waker(&of, |cx| service.poll_ready(cx));
                if let Poll::Ready(Ok(())) = ready {
                    let mut call = Box::pin(service.call(asked(request(&of))));
                    let _ = with_waker(&of, |cx| call.as_mut().poll(cx));
                }
            }),
        ),
    ]
}

/// Opens after two failures, so that both are seen.
pub(crate) fn circuit_config() -> Config {
    Config::default().with_consecutive_failures(2.try_into().unwrap())
}

async fn one_run<L: Driven>(world: &Arc<World>, layer: &L, asked: fn(Asked) -> Asked) {
    for answer in Answer::ALL {
        world.set_answer(answer);
        for _ in 0..2 {
            one_call(world, layer, asked).await;
        }
        // an open circuit lets probes through by then
        tick(Duration::from_secs(40)).await;
    }
}

async fn tick(time: Duration) {
    advance(time).await;
    for _ in 0..4 {
        yield_now().await;
    }
}

async fn one_call<L: Driven>(world: &Arc<World>, layer: &L, asked: fn(Asked) -> Asked) {
    world.allow_calls();
    let Some(mut service) = step(|| layer.make(Inner::new(world))) else { return };
    world.set_ready(false);
    for _ in 0..2 {
        step(|| with_waker(world, |cx| service.poll_ready(cx).map(drop)));
    }
    world.set_ready(true);
    step(|| world.wake_all());
    // one that waits and is never called, for others to drop
    if let Some(mut other) = step(|| service.clone()) {
        step(|| with_waker(world, |cx| other.poll_ready(cx).map(drop)));
        world.park(other);
    }
    let mut is_ready = false;
    for _ in 0..6 {
        is_ready = step(|| with_waker(world, |cx| matches!(service.poll_ready(cx), Poll::Ready(Ok(()))))) == Some(true);
        if is_ready {
            break;
        }
        tick(Duration::from_secs(10)).await;
    }
    if is_ready && let Some(call) = step(|| Box::pin(service.call(asked(request(world))))) {
        step(|| write!(Observer(world.clone()), "{layer:?} {service:?} {call:?}"));
        if let Some(response) = answered(world, call).await {
            read(world, response).await;
        }
    }
    step(|| drop(service));
}

/// Polls until it answers, or drops it.
async fn answered<F, T>(world: &Arc<World>, mut call: Pin<Box<F>>) -> Option<T>
where
    F: Future<Output = Result<T, BoxError>>,
{
    let mut answer = None;
    for _ in 0..12 {
        match step(|| with_waker(world, |cx| call.as_mut().poll(cx))) {
            Some(Poll::Pending) => {}
            Some(Poll::Ready(result)) => {
                answer = result.map_err(|error| step(|| drop(error))).ok();
                break;
            }
            None => break,
        }
        step(|| world.wake_all());
        tick(Duration::from_millis(50)).await;
    }
    step(|| drop(call));
    answer
}

async fn read<B: Body<Data = Bytes>>(world: &Arc<World>, response: Response<B>) {
    let (parts, body) = response.into_parts();
    let mut body = Box::pin(body);
    for _ in 0..12 {
        step(|| (body.is_end_stream(), body.size_hint()));
        match step(|| with_waker(world, |cx| body.as_mut().poll_frame(cx).map(|frame| frame.is_some()))) {
            Some(Poll::Pending) => {}
            Some(Poll::Ready(true)) => continue,
            Some(Poll::Ready(false)) | None => break,
        }
        step(|| world.wake_all());
        tick(Duration::from_millis(50)).await;
    }
    step(|| drop(parts));
    step(|| drop(body));
}

/// Afterwards nothing is left of the run, and the layer goes on working.
async fn works<L: Driven>(world: &Arc<World>, layer: &L, asked: fn(Asked) -> Asked, after: &str) {
    // what is detached and waits ends
    world.set_answer(Answer::Ok);
    world.set_ready(true);
    for _ in 0..16 {
        tick(Duration::from_secs(600)).await;
        step(|| world.wake_all());
    }
    assert_eq!(world.failed(), [""; 0], "{after}");
    // a destructor that panics at the end of a function leaks what that function returns (rust-lang/rust#47949)
    if !after.contains("a panic in the drop of") {
        assert_eq!(world.live(), 0, "{after}: something was kept");
    }
    let call = async {
        let mut service = layer.make(Inner::new(world));
        let mut asked = asked(request(world));
        // one whose first run panicked is answered with that, and rightly so
        asked.headers_mut().insert("idempotency-key", "another".parse()?);
        let response = service.ready().await?.call(asked).await?;
        Ok::<_, BoxError>((response.status(), response.into_body().collect().await.map_err(Into::into)?.to_bytes()))
    };
    let waking = async {
        loop {
            tokio::time::sleep(Duration::from_millis(10)).await;
            world.wake_all();
        }
    };
    let called = timeout(Duration::from_secs(1), async {
        tokio::select! { called = call => called, () = waking => unreachable!() }
    });
    match called.await.ok() {
        Some(Ok((status, body))) => assert_eq!((status, body.len()), (StatusCode::OK, 12), "{after}"),
        Some(Err(error)) => panic!("{after}: the layer does not work any more: {error}"),
        None => panic!("{after}: the layer does not answer any more"),
    }
}
