//! A store without room, whose records have expired.

use crate::{
    scripted::{Call, Fault, Scripted},
    support::{counting, over, request, send},
};
use http::StatusCode;
use std::time::Duration;
use tokio::time::sleep;

#[tokio::test(start_paused = true)]
async fn a_full_store_is_swept_and_the_request_runs() {
    let store = Scripted::default();
    let (app, runs) = counting(over(store.clone()).with_keep(Duration::from_secs(1)));
    for n in 0..3 {
        send(&app, request(&n.to_string(), "")).await;
    }
    sleep(Duration::from_secs(2)).await;
    store.next(Call::Begin, [Fault::IsFull]);
    assert_eq!(send(&app, request("k", "")).await.status, StatusCode::CREATED);
    assert_eq!((store.memory.records(), runs.get()), (1, 4));
}

#[tokio::test(start_paused = true)]
async fn a_full_store_without_anything_expired_refuses_at_once() {
    let store = Scripted::default();
    let (app, runs) = counting(over(store.clone()));
    send(&app, request("a", "")).await;
    store.next(Call::Begin, [Fault::IsFull; 3]);
    assert_eq!(send(&app, request("k", "")).await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!((runs.get(), store.calls(Call::Release)), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn an_answer_for_which_there_is_no_room_is_recorded_in_the_place_of_what_expired() {
    let store = Scripted::default();
    let (app, runs) = counting(over(store.clone()).with_keep(Duration::from_secs(1)));
    // in memory a new record takes two expired ones of its shard along
    for n in 0..10 {
        send(&app, request(&n.to_string(), "")).await;
    }
    sleep(Duration::from_secs(2)).await;
    store.next(Call::Complete, [Fault::IsFull]);
    assert_eq!(send(&app, request("k", "")).await.status, StatusCode::CREATED);
    assert!(send(&app, request("k", "")).await.replayed(), "recorded before its caller was answered");
    assert_eq!(runs.get(), 11);
}
