//! What is answered, and answered again.

use crate::{
    server::over_all,
    wire::{charge, post},
};
use std::time::Duration;
use tokio::time::sleep;

/// The longest answer that is kept.
const LIMIT: usize = 1 << 20;

#[tokio::test]
async fn a_replay_is_the_answer_less_what_was_for_the_first_reader() {
    over_all(&[], |server| async move {
        let first = server.send(&charge("k", 5)).await;
        assert_eq!((first.status, first.replayed()), (201, false));
        assert_eq!((&first.json()["amount"], first.header("content-type")), (&5.into(), Some("application/json")));
        let id = first.json()["id"].as_str().unwrap().to_owned();
        assert!(first.header("set-cookie").unwrap().contains(&id));
        for _ in 0..3 {
            let again = server.send(&charge("k", 5)).await;
            assert!(again.replayed());
            let kept = |headers: &[(String, String)]| -> Vec<_> {
                let own = ["set-cookie", "date", "idempotent-replayed"];
                headers.iter().filter(|(name, _)| !own.contains(&name.as_str())).cloned().collect()
            };
            assert_eq!((again.status, &again.body), (201, &first.body));
            assert_eq!(kept(&again.headers), kept(&first.headers));
            assert_eq!(again.header("location"), Some(&*format!("/charges/{id}")));
            assert_eq!(again.header("set-cookie"), None);
            assert_eq!(again.headers.iter().filter(|(name, _)| name == "date").count(), 1, "the server's own, of now");
        }
        let other = server.send(&charge("another", 5)).await;
        assert_ne!(other.body, first.body);
        assert_eq!(server.count().await, 2);
    })
    .await;
}

#[tokio::test]
async fn every_status_is_recorded_and_answered_again() {
    over_all(&[], |server| async move {
        let statuses =
            [200, 202, 204, 302, 304, 400, 401, 403, 404, 408, 409, 418, 422, 425, 429, 499, 500, 502, 503, 504, 599];
        for status in statuses {
            let fail = post(&format!("/fail?status={status}")).key(&format!("k{status}"));
            let first = server.send(&fail).await;
            let again = server.send(&fail).await;
            assert_eq!((first.status, first.replayed()), (status, false));
            assert_eq!((again.status, again.replayed(), &again.body), (status, true, &first.body));
            // that is for the one who runs into a run
            assert_eq!(again.header("retry-after"), None);
        }
        assert_eq!(server.count().await, statuses.len() as u64);
    })
    .await;
}

#[tokio::test]
async fn what_is_no_charge_has_no_effect_and_is_an_answer_too() {
    over_all(&[], |server| async move {
        for (n, body) in ["", "{", "{}", "[]", "{\"amount\":\"5\"}", "{\"amount\":0.5}", "amount=5"].iter().enumerate()
        {
            let wrong = post("/charge").key(&n.to_string()).body(*body);
            for replayed in [false, true] {
                let answer = server.send(&wrong).await;
                assert_eq!((answer.status, answer.replayed()), (400, replayed), "{body}");
            }
            let mended = server.send(&charge(&n.to_string(), 5)).await;
            assert_eq!(mended.status, 422, "what is mended is another request, and wants another key");
        }
        assert_eq!(server.count().await, 0);
        for missing in ["/slow", "/slow?ms=x", "/fail", "/fail?status=99", "/fail?status=1000", "/big?bytes=-1"] {
            assert_eq!(server.send(&post(missing).key(missing.trim_start_matches('/'))).await.status, 400);
        }
        assert_eq!(server.count().await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_panic_is_a_500_for_good() {
    over_all(&[], |server| async move {
        let panics = post("/panic").key("k");
        let first = server.send(&panics).await;
        assert_eq!((first.status, first.replayed()), (500, false));
        for _ in 0..2 {
            let again = server.send(&panics).await;
            assert_eq!((again.status, again.replayed(), &again.body), (500, true, &first.body));
        }
        assert_eq!(server.count().await, 1);
        assert_eq!(server.send(&charge("next", 5)).await.status, 201, "and harms nobody else");
    })
    .await;
}

#[tokio::test]
async fn a_stream_up_to_the_limit_is_answered_again_byte_for_byte() {
    over_all(&[], |server| async move {
        for bytes in [0, 1, 100_000, LIMIT] {
            let big = post(&format!("/big?bytes={bytes}")).key(&format!("k{bytes}"));
            let first = server.send(&big).await;
            assert_eq!((first.status, first.replayed(), first.body.len()), (200, false, bytes));
            let again = server.send(&big).await;
            assert_eq!((again.status, again.replayed()), (200, true));
            assert!(again.body == first.body, "other bytes");
        }
        assert_eq!(server.count().await, 4);
    })
    .await;
}

#[tokio::test]
async fn a_stream_over_the_limit_arrives_whole_and_never_runs_again() {
    over_all(&["--lease-ms", "300"], |server| async move {
        let big = post(&format!("/big?bytes={}", 8 * LIMIT + 1)).key("k");
        let first = server.send(&big).await;
        assert_eq!((first.status, first.body.len()), (200, 8 * LIMIT + 1));
        let alphabet = (b'a'..=b'z').cycle();
        assert!(first.body.iter().zip(alphabet).all(|(byte, letter)| *byte == letter), "other bytes");
        for wait in [0, 500] {
            sleep(Duration::from_millis(wait)).await;
            server.send(&big).await.is_refused(409, "answer not retained");
        }
        assert_eq!(server.count().await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_its_caller_leaves_never_runs_again() {
    over_all(&["--lease-ms", "300"], |server| async move {
        // under the limit it is read to its end without the caller
        for (runs, (bytes, answer)) in (0..).zip([(LIMIT / 2, 200), (64 * LIMIT, 409)]) {
            let big = post(&format!("/big?bytes={bytes}")).key(&format!("k{bytes}"));
            let mut left = server.connect().await;
            left.write(&big.bytes()).await;
            // a caller that leaves before its request has begun has executed nothing
            while server.count().await == runs {
                sleep(Duration::from_millis(5)).await;
            }
            drop(left);
            sleep(Duration::from_millis(700)).await;
            let again = server.send(&big).await;
            assert_eq!((again.status, again.replayed()), (answer, answer == 200));
        }
        assert_eq!(server.count().await, 2);
    })
    .await;
}

#[tokio::test]
async fn an_answer_is_kept_from_its_completion_on_and_not_longer() {
    over_all(&["--ttl-ms", "2500"], |server| async move {
        // longer than it is kept: not the begin counts
        let slow = post("/slow?ms=2700").key("slow");
        assert_eq!(server.send(&slow).await.status, 200);
        assert!(server.send(&slow).await.replayed());
        let first = server.send(&charge("k", 5)).await;
        // being asked for does not prolong it
        for _ in 0..2 {
            sleep(Duration::from_millis(200)).await;
            assert!(server.send(&charge("k", 5)).await.replayed());
        }
        sleep(Duration::from_millis(2700)).await;
        // nor is it compared any more
        let again = server.send(&charge("k", 6)).await;
        assert_eq!((again.status, again.replayed()), (201, false));
        assert_ne!(again.body, first.body);
        assert_eq!(server.count().await, 3);
    })
    .await;
}
