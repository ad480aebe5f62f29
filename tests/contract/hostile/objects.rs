//! What is no layer: stores, workers, circuits that are waited for, replayed bodies.

use super::{
    circuit,
    foreign::{Inner, owned},
    observers::Observer,
    users::users,
    world::{Bang, Does, World, step, waker, watched},
};
use crate::subject::Asked;
use futures_util::FutureExt;
use http_body_util::Full;
use std::{
    fmt::Write,
    panic::resume_unwind,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    task::{Context, Wake, Waker},
    time::{Duration, SystemTime},
};
use steadfast::{
    body::{Caps, tee},
    circuit_breaker::{CircuitBreakerLayer, Readiness, State},
    error::BoxError,
    queue::{Claim, Message, NewMessage, Queue, QueueStore, Reason, Settle, Worker},
    store::memory::MemoryStore,
    testing::{Probe, TestClock},
};
use tower::{Layer, Service, service_fn};

/// Foreign code that is called during `work` does each of `ops`.
fn reenters(what: &str, world: &Arc<World>, ops: super::world::Ops, work: impl FnOnce() + Send + 'static) {
    world.set_ops(ops);
    watched(what, world, work);
    world.set_ops(Vec::new());
    assert!(world.calls() > 0, "{what}: nothing foreign was called");
    assert_eq!(world.failed(), [""; 0]);
}

#[test]
fn the_writer_of_a_debug_may_use_what_it_prints() {
    let (body, handle) = tee(Full::new(owned(&World::new(Does::Nothing))), &Caps::default(), true);
    let (body, handle) = (Arc::new(body), Arc::new(handle));
    let world = World::new(Does::Reenter);
    let mut writer = Observer(world.clone());
    let (of_body, of_handle) = (body.clone(), handle.clone());
    let ops: super::world::Ops = vec![
        (
            "is_complete of a replayed body",
            Box::new(move || {
                let _ = handle.is_complete();
            }),
        ),
        (
            "size_hint of a replayed body",
            Box::new(move || {
                let _ = http_body::Body::size_hint(&*body);
            }),
        ),
    ];
    reenters("a replayed body", &world, ops, move || write!(writer, "{of_body:?} {of_handle:?}").unwrap());

    let world = World::new(Does::Reenter);
    let mut writer = Observer(world.clone());
    let probe = Probe::<()>::new(|_| Ok(()));
    let printed = probe.clone();
    let ops: super::world::Ops = vec![(
        "calls of a probe",
        Box::new(move || {
            let _ = probe.calls();
        }),
    )];
    reenters("a probe", &world, ops, move || write!(writer, "{printed:?}").unwrap());

    let world = World::new(Does::Reenter);
    let mut writer = Observer(world.clone());
    let clock = TestClock::at(SystemTime::UNIX_EPOCH);
    let printed = clock.clone();
    let ops: super::world::Ops = vec![("advance of a clock", Box::new(move || clock.advance(Duration::ZERO)))];
    reenters("a clock", &world, ops, move || write!(writer, "{printed:?}").unwrap());
}

#[test]
fn the_owners_of_bodies_in_a_memory_store_may_use_it_when_they_are_dropped() {
    let world = World::new(Does::Reenter);
    let store = MemoryStore::new();
    let of = store.clone();
    let ops: super::world::Ops = vec![(
        "a look at the queue",
        Box::new(move || {
            let _ = of.stats("q").now_or_never().unwrap().unwrap();
        }),
    )];
    let of = world.clone();
    reenters("a queue in memory", &world, ops, move || {
        let message = || NewMessage::new(owned(&of)).with_dedupe("one");
        store.enqueue("q", vec![message(), message()]).now_or_never().unwrap().unwrap();
        assert_eq!(of.calls(), 2, "the store has copies");
        let claim = Claim { limit: 1, lease: Duration::from_secs(1), max_attempts: 1 };
        let claimed = store.claim("q", claim).now_or_never().unwrap().unwrap();
        let (id, lease) = (claimed[0].id(), claimed[0].lease());
        drop(claimed);
        let attempted = steadfast::queue::Attempted {
            attempt: 1,
            at: SystemTime::UNIX_EPOCH,
            duration: Duration::ZERO,
            outcome: "rejected".to_owned(),
            status: None,
            error: String::new(),
        };
        let dead = Settle::Dead { reason: Reason::Rejected, attempted };
        let settled = store.settle(vec![(lease, dead)]).now_or_never().unwrap().unwrap();
        assert_eq!(settled, [Ok(())]);
        assert_eq!(store.purge("q", &[id]).now_or_never().unwrap().unwrap(), 1);
        assert_eq!(of.calls(), 2, "copies have no owner");
    });
}

/// Counts, or panics.
struct Woken(Option<AtomicU32>);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        match &self.0 {
            Some(woken) => drop(woken.fetch_add(1, SeqCst)),
            None => resume_unwind(Box::new(Bang)),
        }
    }
}

#[test]
fn all_who_wait_for_a_circuit_are_woken_although_the_first_waker_panics() {
    let circuit = circuit("hostile wakers");
    circuit.force_open(None);
    let layer = CircuitBreakerLayer::new(&circuit).with_readiness(Readiness::Pend);
    let world = World::new(Does::Nothing);
    let woken = Arc::new(Woken(Some(AtomicU32::new(0))));
    let wakers: [Waker; 3] = [Arc::new(Woken(None)).into(), woken.clone().into(), woken.clone().into()];
    let mut services = [(); 3].map(|()| layer.layer(Inner::new(&world)));
    for (service, waker) in services.iter_mut().zip(&wakers) {
        let mut cx = Context::from_waker(waker);
        assert!(Service::<Asked>::poll_ready(service, &mut cx).is_pending());
    }
    circuit.reset();
    assert_eq!(woken.0.as_ref().unwrap().load(SeqCst), 2);
    for service in &mut services {
        assert!(Service::<Asked>::poll_ready(service, &mut Context::from_waker(Waker::noop())).is_ready());
    }
}

#[test]
fn a_subscriber_of_a_circuit_may_use_it_in_its_waker_and_may_panic() {
    let circuit = circuit("hostile subscriber");
    let world = World::new(Does::Reenter);
    let of = circuit.clone();
    let ops: super::world::Ops = vec![("a change of the circuit", Box::new(move || of.shadow(None)))];
    let (of, changes) = (world.clone(), circuit.clone());
    reenters("a circuit", &world, ops, move || {
        let mut receiver = changes.subscribe();
        let mut changed = pin!(receiver.changed());
        let waker = waker(&of);
        assert!(changed.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        changes.force_open(None);
        assert_eq!(changes.state(), State::Shadow, "the waker was called after the change, and changed it again");
    });
    let mut receiver = circuit.subscribe();
    let mut changed = pin!(receiver.changed());
    let waker = Waker::from(Arc::new(Woken(None)));
    assert!(changed.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    assert!(step(|| circuit.reset()).is_some(), "a panic of a waker ends there");
    assert_eq!(circuit.state(), State::Closed);
}

#[test]
fn a_worker_whose_recorder_subscriber_waker_or_handler_is_hostile_loses_no_message() {
    everywhere("a worker", work);
}

/// Runs with foreign code that re-enters, then with a panic in every place. `run` returns how often foreign code was called.
pub(super) fn everywhere(what: &str, run: fn(&Arc<World>) -> usize) {
    for nth in 0.. {
        let does = if nth == 0 { Does::Reenter } else { Does::Panic(nth) };
        let world = World::new(does);
        let of = world.clone();
        let calls = watched(&format!("{what}, {does:?}"), &world, move || run(&of));
        assert!(calls > 10, "only {calls} calls of foreign code");
        if nth > calls {
            break;
        }
    }
}

fn work(world: &Arc<World>) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let queue = Queue::new("hostile", MemoryStore::new());
    let (of, of_queue) = (world.clone(), queue.clone());
    world.set_ops(vec![
        ("a look at the registry", Box::new(|| drop(steadfast::registry().snapshot()))),
        (
            "an enqueue",
            Box::new(move || {
                let _ = of_queue.enqueue(NewMessage::new("x").with_dedupe("again")).now_or_never().unwrap().unwrap();
            }),
        ),
    ]);
    let handler = move || {
        let world = of.clone();
        service_fn(move |message: Message| {
            world.called("the call of a handler");
            let world = world.clone();
            async move {
                tokio::task::yield_now().await;
                world.called("the poll of a handler");
                // so that the backoff is asked
                if message.attempt() == 1 { Err(BoxError::from("at first")) } else { Ok(()) }
            }
        })
    };
    let run = |seconds| {
        Worker::new(queue.clone(), handler())
            .with_backoff(users(world))
            .run(tokio::time::sleep(Duration::from_secs(seconds)))
    };
    step(|| {
        Observer(world.clone()).watch(|| {
            runtime.block_on(async {
                let batch = [1, 2].map(|n| NewMessage::new(owned(world)).with_dedupe(format!("{n}")));
                for message in batch {
                    queue.enqueue(message).await.unwrap();
                }
                run(20).await;
            });
        });
    });
    let calls = world.calls();
    if world.does() == Does::Reenter {
        world.assert_reached(&["a backoff", "the call of a handler", "the poll of a handler"]);
    }
    world.set_ops(Vec::new());
    world.set(Does::Nothing);
    assert_eq!(world.failed(), [""; 0]);
    runtime.block_on(async {
        run(600).await;
        let stats = queue.stats().await.unwrap();
        let left = stats.ready + stats.scheduled + stats.parked + stats.claimed + stats.dead;
        assert_eq!(left, 0, "{stats:?}");
    });
    calls
}
