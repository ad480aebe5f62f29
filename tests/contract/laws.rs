//! One function a law. Each asserts on the probe below and on what the caller sees, never on the layer.

use crate::subject::{Inner, Layered, SECRET, Subject, answers};
use http::StatusCode;
use http_body_util::BodyExt;
use std::{
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};
use steadfast::{error::find, testing::Probe};
use tokio::time::advance;
use tower::{Service, ServiceExt};

fn ready(service: &mut Layered) -> Poll<Result<(), String>> {
    service.poll_ready(&mut Context::from_waker(Waker::noop())).map_err(|e| format!("{e}"))
}

/// One call to its end: the status and the body, or the error.
async fn said(subject: &Subject, service: &mut Layered) -> String {
    let held = Arc::new(());
    let result = service.ready().await.unwrap().call(subject.request(&held)).await;
    match result {
        Ok(response) => {
            let status = response.status();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            format!("{status} {}", String::from_utf8_lossy(&body))
        }
        Err(error) => format!("error: {error}"),
    }
}

/// Lets everything run that could still run, timers included.
async fn settle() {
    for _ in 0..3 {
        advance(Duration::from_secs(3600)).await;
        for _ in 0..16 {
            tokio::task::yield_now().await;
        }
    }
}

fn lawful(probe: &Inner) {
    assert_eq!(probe.breaches(), []);
}

pub(crate) async fn the_instance_that_was_ready_is_the_one_that_is_called(subject: &Subject) {
    let probe = answers(StatusCode::OK);
    let mut service = subject.make().layer(&probe);
    for call in 1..=3 {
        assert_eq!(ready(&mut service), Poll::Ready(Ok(())));
        let reserved = probe.reserved();
        let answer = service.call(subject.request(&Arc::new(())));
        answer.await.unwrap();
        lawful(&probe);
        assert!(probe.reserved() <= reserved, "call {call} left an instance reserved");
    }
}

pub(crate) async fn asking_for_readiness_again_is_harmless(subject: &Subject) {
    let probe = answers(StatusCode::OK);
    let mut service = subject.make().layer(&probe);
    for _ in 0..5 {
        assert_eq!(ready(&mut service), Poll::Ready(Ok(())));
    }
    assert!(probe.reserved() <= 1, "{} instances were reserved for one call", probe.reserved());
    assert_eq!(probe.calls(), 0);
    service.call(subject.request(&Arc::new(()))).await.unwrap();
    assert_eq!(probe.calls(), 1);
    lawful(&probe);
}

pub(crate) async fn a_clone_asks_for_readiness_itself(subject: &Subject) {
    let probe = answers(StatusCode::OK);
    let mut service = subject.make().layer(&probe);
    assert_eq!(ready(&mut service), Poll::Ready(Ok(())));
    let mut copy = service.clone();
    service.call(subject.request(&Arc::new(()))).await.unwrap();
    assert_eq!(ready(&mut copy), Poll::Ready(Ok(())));
    copy.call(subject.request(&Arc::new(()))).await.unwrap();
    lawful(&probe);
}

pub(crate) async fn an_inner_service_that_is_not_ready_is_waited_for(subject: &Subject) {
    let probe = answers(StatusCode::OK);
    probe.set_ready(false);
    let mut service = subject.make().layer(&probe);
    assert_eq!(ready(&mut service), Poll::Pending);
    assert_eq!(ready(&mut service), Poll::Pending);
    let waits = tokio::spawn(async move {
        service.ready().await.unwrap();
        service
    });
    tokio::task::yield_now().await;
    assert!(!waits.is_finished());
    probe.set_ready(true);
    let mut service = waits.await.unwrap();
    service.call(subject.request(&Arc::new(()))).await.unwrap();
    lawful(&probe);
}

pub(crate) async fn an_error_of_readiness_passes_through(subject: &Subject) {
    let probe = answers(StatusCode::OK);
    probe.break_ready("no more of it".into());
    let mut service = subject.make().layer(&probe);
    assert_eq!(ready(&mut service), Poll::Ready(Err("no more of it".to_owned())));
    assert_eq!(probe.calls(), 0);
}

pub(crate) async fn an_answer_passes_through_whole(subject: &Subject) {
    let probe = answers(StatusCode::CREATED);
    probe.set_polls(2);
    let mut service = subject.make().layer(&probe);
    let answer = service.ready().await.unwrap().call(subject.request(&Arc::new(()))).await.unwrap();
    assert_eq!((answer.status(), answer.headers()["x-mark"].as_bytes()), (StatusCode::CREATED, &b"kept"[..]));
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "answer 1");
    assert_eq!((probe.calls(), probe.running()), (1, 0));
    lawful(&probe);
}

pub(crate) async fn an_error_of_the_call_stays_in_the_chain(subject: &Subject) {
    // a parse error: a `Fault`, which no layer repeats or answers by itself unless told so
    let probe: Inner = Probe::new(|_| Err("1x".parse::<u32>().unwrap_err().into()));
    let mut service = subject.make().layer(&probe);
    match service.ready().await.unwrap().call(subject.request(&Arc::new(()))).await {
        Ok(answer) => panic!("the error became an answer: {}", answer.status()),
        Err(error) => assert!(find::<std::num::ParseIntError>(&*error).is_some(), "{error}"),
    }
    lawful(&probe);
}

pub(crate) async fn a_drop_at_any_point_ends_it_all(subject: &Subject) {
    drop_after_each_poll(subject, StatusCode::OK, Duration::ZERO).await;
}

/// A failing other side and time that passes: retries, waits and readiness polls are dropped in the middle as well.
pub(crate) async fn a_drop_between_attempts_ends_it_all(subject: &Subject) {
    drop_after_each_poll(subject, StatusCode::SERVICE_UNAVAILABLE, Duration::from_millis(20)).await;
}

async fn drop_after_each_poll(subject: &Subject, status: StatusCode, step: Duration) {
    const MOST: u32 = 64;
    for polls in 0..MOST {
        let (probe, held) = (answers(status), Arc::new(()));
        probe.set_polls(3);
        let mut service = subject.make().layer(&probe);
        service.ready().await.unwrap();
        let mut answer = Box::pin(service.call(subject.request(&held)));
        for _ in 0..polls {
            if answer.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
                // every point before the end was tried
                assert!(polls > 1, "it was never pending");
                return;
            }
            advance(step).await;
            tokio::task::yield_now().await;
        }
        let calls = probe.calls();
        drop(answer);
        if subject.detaches {
            settle().await;
            assert!(probe.calls() <= 1, "polls {polls}: it was called again");
            assert_eq!(probe.abandoned(), 0, "polls {polls}: what was begun was not brought to its end");
        } else {
            assert_eq!(probe.running(), 0, "polls {polls}: the inner call outlived the drop");
            settle().await;
            assert_eq!(probe.calls(), calls, "polls {polls}: called after the drop");
        }
        assert_eq!(Arc::strong_count(&held), 1, "polls {polls}: the request outlived the drop");
        lawful(&probe);
        // and the service goes on
        probe.set_polls(0);
        assert!(service.ready().await.unwrap().call(subject.request(&held)).await.is_ok(), "polls {polls}");
        drop(service);
        settle().await;
        assert_eq!(probe.reserved(), 0, "polls {polls}: an instance stayed reserved");
    }
    panic!("not done after {MOST} polls");
}

pub(crate) async fn an_unused_instance_gives_back_what_it_reserved(subject: &Subject) {
    let probe = answers(StatusCode::OK);
    let mut service = subject.make().layer(&probe);
    assert_eq!(ready(&mut service), Poll::Ready(Ok(())));
    drop(service);
    assert_eq!((probe.reserved(), probe.calls()), (0, 0));
}

/// axum calls `Layer::layer` for every connection: what is said must be the same as over one service.
pub(crate) async fn layering_again_keeps_what_the_layer_knows(subject: &Subject) {
    const CALLS: usize = 24;
    let mut said_by = [const { Vec::new() }; 3];
    for (way, said_by) in said_by.iter_mut().enumerate() {
        let probe = answers(subject.status);
        let mut layer = subject.make();
        let mut service = layer.layer(&probe);
        for _ in 0..CALLS {
            match way {
                0 => {}
                1 => service = layer.layer(&probe),
                _ => {
                    layer = subject.make();
                    service = layer.layer(&probe);
                }
            }
            let before = probe.calls();
            let status = said(subject, &mut service).await;
            // the probe counts its calls in what it answers: that counter alone is no memory of the layer
            said_by.push((status, probe.calls() - before));
        }
    }
    let [one, again, fresh] = said_by;
    assert_eq!(one, again, "layered again, it said something else");
    assert_eq!(one != fresh, subject.remembers, "whether it remembers: {one:?} {fresh:?}");
}

pub(crate) async fn debug_prints_no_secret(subject: &Subject) {
    let printed = subject.make().debug(&answers(StatusCode::OK));
    assert!(!printed.contains(SECRET), "{printed}");
    assert!(printed.len() > 20, "it prints nothing: {printed}");
}
