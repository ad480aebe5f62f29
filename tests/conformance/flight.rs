//! While a request runs: others with its key, callers who leave, a server that stops.

use crate::{
    server::{Server, Store, over, over_all, send},
    wire::{Answer, Connection, Request, charge, post, request},
};
use std::{net::SocketAddr, time::Duration};
use tokio::{task::JoinSet, time::sleep};

const IN_FLIGHT: &str = "request in flight";

/// One connection each, all sent before any is answered.
async fn at_once(addresses: &[SocketAddr], times: usize, request: &Request) -> Vec<Answer> {
    let mut connections = Vec::new();
    for n in 0..times {
        connections.push(Connection::open(addresses[n % addresses.len()]).await);
    }
    let mut answers = JoinSet::new();
    for mut connection in connections {
        let request = request.clone();
        answers.spawn(async move { connection.exchange(&request).await });
    }
    answers.join_all().await
}

/// Until the handler has begun.
async fn begun(server: &Server, effects: u64) {
    while server.count().await < effects {
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn twenty_at_once_run_once() {
    over_all(&[], |server| async move {
        let slow = post("/slow?ms=1500").key("k");
        let answers = at_once(&[server.address()], 20, &slow).await;
        let (ran, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
        // one that came after the end is answered from the record
        let first: Vec<_> = ran.iter().filter(|answer| !answer.replayed()).collect();
        assert_eq!(first.len(), 1);
        assert!(!refused.is_empty());
        for answer in refused {
            answer.is_refused(409, IN_FLIGHT);
        }
        let again = server.send(&slow).await;
        assert_eq!((again.replayed(), &again.body), (true, &first[0].body));
        assert_eq!(server.count().await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_race_of_quick_ones_runs_once_each_time() {
    over_all(&[], |server| async move {
        for n in 0..5 {
            let answers = at_once(&[server.address()], 20, &charge(&format!("k{n}"), 5)).await;
            assert_eq!(answers.iter().filter(|answer| answer.status == 201 && !answer.replayed()).count(), 1);
            for answer in answers.iter().filter(|answer| answer.status != 201) {
                answer.is_refused(409, IN_FLIGHT);
            }
        }
        assert_eq!(server.count().await, 5);
    })
    .await;
}

#[tokio::test]
async fn twenty_at_once_over_two_processes_run_once() {
    over(&Store::LASTING, &[], |mut server| async move {
        let addresses = [server.address(), server.another().await];
        for n in 0..5 {
            let answers = at_once(&addresses, 20, &charge(&format!("k{n}"), 5)).await;
            assert_eq!(answers.iter().filter(|answer| answer.status == 201 && !answer.replayed()).count(), 1);
        }
        let answers = at_once(&addresses, 20, &post("/slow?ms=1000").key("slow")).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 200 && !answer.replayed()).count(), 1);
        for address in addresses {
            assert!(send(address, &charge("k0", 5)).await.replayed());
        }
        assert_eq!(server.count().await, 6);
    })
    .await;
}

#[tokio::test]
async fn another_payload_is_refused_as_that_while_the_first_one_runs() {
    over_all(&[], |server| async move {
        let mut first = server.connect().await;
        first.write(&post("/slow?ms=1500").key("k").body("a").bytes()).await;
        begun(&server, 1).await;
        let other = server.send(&post("/slow?ms=1500").key("k").body("b")).await;
        other.is_refused(422, "idempotency key in use for another request");
        server.send(&charge("k", 5)).await.is_refused(422, "idempotency key in use for another request");
        server.send(&post("/slow?ms=1500").key("k").body("a")).await.is_refused(409, IN_FLIGHT);
        assert_eq!(server.send(&charge("k", 5).by("Bearer bob")).await.status, 201, "another caller's key is free");
        assert_eq!((first.answer().await.status, server.count().await), (200, 2));
    })
    .await;
}

#[tokio::test]
async fn a_handler_that_outlasts_its_lease_keeps_its_key() {
    over_all(&["--lease-ms", "300"], |server| async move {
        let slow = post("/slow?ms=2000").key("k");
        let mut first = server.connect().await;
        first.write(&slow.bytes()).await;
        begun(&server, 1).await;
        for _ in 0..8 {
            server.send(&slow).await.is_refused(409, IN_FLIGHT);
            sleep(Duration::from_millis(150)).await;
        }
        assert_eq!(first.answer().await.status, 200);
        assert!(server.send(&slow).await.replayed());
        assert_eq!(server.count().await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_caller_who_hangs_up_undoes_nothing() {
    over_all(&[], |server| async move {
        let slow = post("/slow?ms=800").key("k");
        let mut left = server.connect().await;
        left.write(&slow.bytes()).await;
        begun(&server, 1).await;
        drop(left);
        server.send(&slow).await.is_refused(409, IN_FLIGHT);
        let answer = loop {
            match server.send(&slow).await {
                answer if answer.status == 409 => sleep(Duration::from_millis(50)).await,
                answer => break answer,
            }
        };
        assert_eq!((answer.status, answer.replayed()), (200, true));
        assert_eq!(server.count().await, 1);
    })
    .await;
}

#[tokio::test]
async fn who_breaks_off_in_the_body_has_done_nothing() {
    over_all(&[], |server| async move {
        let whole = charge("k", 5).bytes();
        for sent in [10, whole.len() - 12, whole.len() - 1] {
            let mut left = server.connect().await;
            left.write(&whole[..sent]).await;
            drop(left);
        }
        let chunks = charge("k", 5).chunked(4, "");
        let mut left = server.connect().await;
        left.write(&chunks[..chunks.len() - 2]).await;
        sleep(Duration::from_millis(300)).await;
        // while that one is still open, and after
        for (replayed, sent) in [(false, 201), (true, 201)] {
            let answer = server.send(&charge("k", 5)).await;
            assert_eq!((answer.status, answer.replayed()), (sent, replayed));
        }
        left.write(&chunks[chunks.len() - 2..]).await;
        assert!(left.answer().await.replayed(), "and the late one is as good as any");
        assert_eq!(server.count().await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_server_that_is_told_to_stop_ends_what_it_began() {
    over_all(&[], |mut server| async move {
        let (heard, left) = (post("/slow?ms=1500").key("heard"), post("/slow?ms=1500").key("left"));
        let mut connection = server.connect().await;
        connection.write(&heard.bytes()).await;
        let mut leaves = server.connect().await;
        leaves.write(&left.bytes()).await;
        let mut idle = server.connect().await;
        assert_eq!(idle.exchange(&request("GET", "/count")).await.status, 200);
        begun(&server, 2).await;
        drop(leaves);
        let answer = tokio::spawn(async move { connection.answer().await });
        assert!(server.terminate().await);
        assert_eq!(answer.await.unwrap().status, 200);
        assert!(idle.is_closed().await);
        if server.store != Store::Memory {
            for kept in [heard, left] {
                let again = server.send(&kept).await;
                assert_eq!((again.status, again.replayed()), (200, true));
            }
            assert_eq!(server.count().await, 2);
        }
    })
    .await;
}
