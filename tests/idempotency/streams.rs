use crate::{
    scripted::{Call, Fault, Scripted},
    support::{Runs, app, layer, over, request, see, send},
};
use axum::{body::Body, response::Response};
use bytes::Bytes;
use http::StatusCode;
use http_body_util::BodyExt;
use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{sync::mpsc, time::sleep};
use tokio_stream::{StreamExt as _, iter, wrappers::UnboundedReceiverStream};
use tower::ServiceExt;

/// `n` frames of ten bytes, a second apart.
fn slowly(n: usize) -> Body {
    let frames = iter(0..n).then(|n| async move {
        sleep(Duration::from_secs(1)).await;
        Ok::<_, io::Error>(format!("{n:>9}\n"))
    });
    Body::from_stream(frames)
}

async fn frame(body: &mut Body) -> Option<String> {
    let data = body.frame().await?.unwrap().into_data().unwrap();
    Some(String::from_utf8(data.into()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn an_answer_streams_while_it_is_recorded() {
    let (app, runs) = app(layer(), |_| async { slowly(5) });
    let began = tokio::time::Instant::now();
    let mut body = app.clone().oneshot(request("k", "")).await.unwrap().into_body();
    assert_eq!(began.elapsed(), Duration::ZERO, "the head does not wait for the body");
    for n in 0..5 {
        assert_eq!(frame(&mut body).await.unwrap(), format!("{n:>9}\n"));
        assert_eq!(began.elapsed(), Duration::from_secs(n + 1));
    }
    assert!(frame(&mut body).await.is_none());
    let again = send(&app, request("k", "")).await;
    assert_eq!((again.text().len(), again.replayed()), (50, true));
    assert_eq!(runs.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_recorded_whole_when_its_caller_leaves_half_way() {
    let layer = layer();
    let (app, runs) = app(layer.clone(), |_| async { slowly(5) });
    let mut body = app.clone().oneshot(request("k", "")).await.unwrap().into_body();
    frame(&mut body).await.unwrap();
    drop(body);
    let during = send(&app, request("k", "")).await;
    assert_eq!((during.status, &*during.title()), (StatusCode::CONFLICT, "request in flight"));
    layer.drained().await;
    let again = send(&app, request("k", "")).await;
    assert_eq!((again.text().len(), again.replayed()), (50, true));
    assert_eq!(runs.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_slow_caller_does_not_hold_the_record_open() {
    let layer = layer();
    let (app, _) = app(layer.clone(), |_| async { slowly(5) });
    let body = app.clone().oneshot(request("k", "")).await.unwrap().into_body();
    layer.drained().await;
    assert!(send(&app, request("k", "")).await.replayed(), "recorded although nobody has read a byte");
    assert_eq!(body.collect().await.unwrap().to_bytes().len(), 50);
}

#[tokio::test(start_paused = true)]
async fn an_answer_over_the_cap_passes_and_is_never_run_again() {
    for ready in [true, false] {
        let make = move || if ready { Body::from("x".repeat(50)) } else { slowly(5) };
        let (app, runs) = app(layer().with_response_limit(30), move |_| async move { make() });
        assert_eq!(send(&app, request("k", "")).await.text().len(), 50, "the caller has all of it");
        for _ in 0..2 {
            let again = send(&app, request("k", "")).await;
            assert_eq!((again.status, &*again.title()), (StatusCode::CONFLICT, "answer not retained"));
            assert!(!again.headers.contains_key("retry-after") && !again.replayed());
        }
        assert_eq!(runs.get(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn beyond_the_cap_the_handler_goes_at_its_callers_pace_and_ends_with_it() {
    let layer = layer().with_response_limit(30);
    let made = Runs::default();
    let making = made.clone();
    let (app, _) = app(layer.clone(), move |_| {
        let making = making.clone();
        let frames = iter(0..1000).map(move |_| {
            making.add();
            Ok::<_, io::Error>("0123456789")
        });
        async { Body::from_stream(frames) }
    });
    let mut body = app.oneshot(request("k", "")).await.unwrap().into_body();
    sleep(Duration::from_secs(1)).await;
    let ahead = made.get();
    assert!(ahead < 30, "{ahead} frames that nobody has asked for");
    for _ in 0..10 {
        frame(&mut body).await.unwrap();
    }
    sleep(Duration::from_secs(1)).await;
    assert!((ahead + 5..ahead + 15).contains(&made.get()), "{} frames after ten more", made.get());
    drop(body);
    layer.drained().await;
    assert!(made.get() < ahead + 15, "nobody reads it and nobody keeps it");
}

#[tokio::test(start_paused = true)]
async fn beyond_the_cap_a_handler_that_waits_ends_with_its_caller() {
    let layer = layer().with_response_limit(5);
    let (frames, source) = mpsc::unbounded_channel::<Result<Bytes, io::Error>>();
    let source = Arc::new(Mutex::new(Some(source)));
    let (app, _) = app(layer.clone(), move |_| {
        let source = source.lock().unwrap().take().unwrap();
        async move { Body::from_stream(UnboundedReceiverStream::new(source)) }
    });
    frames.send(Ok(Bytes::from_static(b"0123456789"))).unwrap();
    let mut body = app.oneshot(request("k", "")).await.unwrap().into_body();
    frame(&mut body).await.unwrap();
    sleep(Duration::from_secs(3600)).await;
    assert!(!frames.is_closed(), "it may take its time");
    drop(body);
    tokio::time::timeout(Duration::from_secs(1), layer.drained()).await.unwrap();
    assert!(frames.is_closed());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_breaks_off_looks_broken_and_is_not_run_again() {
    for waits in [false, true] {
        let (app, runs) = app(layer(), move |_| async move {
            let frames = iter(0..3).then(move |n| async move {
                if waits {
                    sleep(Duration::from_secs(1)).await;
                }
                if n < 2 { Ok("part") } else { Err(io::Error::other("lost the database")) }
            });
            Body::from_stream(frames)
        });
        let seen = send(&app, request("k", "")).await;
        assert_eq!(seen.status, StatusCode::OK);
        assert!(seen.body.unwrap_err().to_string().contains("lost the database"));
        let again = send(&app, request("k", "")).await;
        assert_eq!((again.status, &*again.title()), (StatusCode::CONFLICT, "answer not retained"));
        assert_eq!(runs.get(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_panics_breaks_off() {
    let (app, runs) = app(layer(), |_| async {
        Body::from_stream(iter(0..2).map(|n| {
            assert!(n < 1, "boom");
            Ok::<_, io::Error>("part")
        }))
    });
    assert!(send(&app, request("k", "")).await.body.is_err());
    assert_eq!(send(&app, request("k", "")).await.title(), "answer not retained");
    assert_eq!(runs.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_last_frame_waits_for_the_record_but_not_for_ever() {
    for with_length in [false, true] {
        let store = Scripted::default();
        let (app, _) = app(over(store.clone()), move |_| async move {
            let response = Response::builder();
            let response = if with_length { response.header("content-length", "20") } else { response };
            response.body(slowly(2)).unwrap()
        });
        store.next(Call::Complete, [Fault::Hangs]);
        let began = tokio::time::Instant::now();
        let mut body = app.clone().oneshot(request("k", "")).await.unwrap().into_body();
        frame(&mut body).await.unwrap();
        assert_eq!(began.elapsed(), Duration::from_secs(1));
        // by the length the second frame is the end; without one the end is the end
        frame(&mut body).await.unwrap();
        assert_eq!(began.elapsed(), Duration::from_secs(if with_length { 4 } else { 2 }));
        assert!(frame(&mut body).await.is_none());
        assert_eq!(began.elapsed(), Duration::from_secs(4), "two seconds for the record");
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_length_has_it_after_the_record_although_the_body_goes_on() {
    let store = Scripted::default();
    let (app, _) = app(over(store.clone()), |_| async {
        let frames = iter(["0123456789", ""]).then(|data| async move {
            if data.is_empty() {
                sleep(Duration::from_secs(1)).await;
            }
            Ok::<_, io::Error>(data)
        });
        Response::builder().header("content-length", "10").body(Body::from_stream(frames)).unwrap()
    });
    store.next(Call::Complete, [Fault::Hangs]);
    let began = tokio::time::Instant::now();
    let mut body = app.oneshot(request("k", "")).await.unwrap().into_body();
    assert_eq!(frame(&mut body).await.unwrap(), "0123456789");
    assert_eq!(began.elapsed(), Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn trailers_of_a_stream_come_after_the_record() {
    let store = Scripted::default();
    let (app, _) = app(over(store.clone()), |_| async {
        let trailers = [("x-sum".parse().unwrap(), "1".parse().unwrap())].into_iter().collect();
        Body::new(slowly(1).with_trailers(std::future::ready(Some(Ok(trailers)))))
    });
    store.next(Call::Complete, [Fault::Hangs]);
    let mut body = app.clone().oneshot(request("k", "")).await.unwrap().into_body();
    frame(&mut body).await.unwrap();
    let since = tokio::time::Instant::now();
    let trailers = body.frame().await.unwrap().unwrap();
    assert_eq!(trailers.trailers_ref().unwrap()["x-sum"], "1");
    assert_eq!(since.elapsed(), Duration::from_secs(2), "as long as the record was waited for");
    let again = see(app.oneshot(request("k", "")).await.unwrap()).await;
    assert_eq!((again.text().len(), again.trailers.unwrap().len()), (10, 1));
}
