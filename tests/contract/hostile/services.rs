//! The end of a server's stack that stores messages: closures, bodies and what requests carry.

use super::{
    foreign::{Carried, Streamed, with_waker},
    objects::everywhere,
    observers::Observer,
    users::users,
    world::{Does, Live, Ops, World, step},
};
use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, Request, StatusCode, request::Parts};
use http_body_util::Full;
use std::{sync::Arc, task::Poll, time::Duration};
use steadfast::{
    queue::{Accept, NewMessage, Queue},
    store::memory::MemoryStore,
};
use tower::Service;

#[test]
fn accept_stores_on_whatever_its_closures_and_bodies_do() {
    everywhere("accept()", accepts);
}

fn accept(queue: &Queue, world: &Arc<World>) -> Accept {
    let asked = |place| {
        let users = users(world);
        move |_: &Parts| users.called(place)
    };
    let dedupe = asked("the dedupe function of accept()");
    let topic = asked("the topic function of accept()");
    let destination = asked("the destination function of accept()");
    let headers = asked("the headers function of accept()");
    queue
        .accept()
        .with_dedupe(move |parts| {
            dedupe(parts);
            None
        })
        .with_topic(move |parts| {
            topic(parts);
            Some("topic".to_owned())
        })
        .with_destination(move |parts| {
            destination(parts);
            None
        })
        .with_headers(move |parts| {
            headers(parts);
            HeaderMap::new()
        })
}

fn accepts(world: &Arc<World>) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let queue = Queue::new("hostile accept", MemoryStore::new());
    let accept = accept(&queue, world);
    world.set_ops(ops(&queue, &accept));
    step(|| Observer(world.clone()).watch(|| runtime.block_on(two_requests(world, accept.clone()))));
    let calls = world.calls();
    if world.does() == Does::Reenter {
        world.assert_reached(&[
            "the dedupe function of accept()",
            "the destination function of accept()",
            "the headers function of accept()",
            "the poll of a body",
            "the topic function of accept()",
        ]);
    }
    world.drop_parked();
    world.set_ops(Vec::new());
    world.set(Does::Nothing);
    assert_eq!(world.failed(), [""; 0]);
    if !world.now().contains("a panic in the drop of") {
        assert_eq!(world.live(), 0, "something was kept after {}", world.now());
    }
    let before = runtime.block_on(queue.stats()).unwrap().ready;
    let mut accept = accept;
    let response = runtime.block_on(accept.call(Request::post("/").body(Full::<Bytes>::from("x")).unwrap())).unwrap();
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    assert_eq!(runtime.block_on(queue.stats()).unwrap().ready, before + 1);
    calls
}

fn ops(queue: &Queue, accept: &Accept) -> Ops {
    let (queue, accept) = (queue.clone(), accept.clone());
    vec![
        ("a look at the registry", Box::new(|| drop(steadfast::registry().snapshot()))),
        (
            "an enqueue, and a look at the queue",
            Box::new(move || {
                queue.enqueue(NewMessage::new("y")).now_or_never().unwrap().unwrap();
                queue.stats().now_or_never().unwrap().unwrap();
            }),
        ),
        (
            "another request",
            Box::new(move || {
                let request = Request::post("/").body(Full::<Bytes>::from("z")).unwrap();
                let response = accept.clone().call(request).now_or_never().unwrap().unwrap();
                assert_eq!(response.status(), StatusCode::ACCEPTED);
            }),
        ),
    ]
}

async fn two_requests(world: &Arc<World>, mut accept: Accept) {
    for _ in 0..2 {
        let request = Request::post("/").extension(Carried(Live::new(world))).body(Streamed::new(world)).unwrap();
        let Some(mut call) = step(|| accept.call(request)) else { continue };
        for _ in 0..12 {
            match step(|| with_waker(world, |cx| call.as_mut().poll(cx).map(drop))) {
                Some(Poll::Pending) => {}
                Some(Poll::Ready(())) | None => break,
            }
            step(|| world.wake_all());
            tokio::time::advance(Duration::from_millis(50)).await;
        }
        step(|| drop(call));
    }
}
