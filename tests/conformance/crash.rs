//! Processes that are killed, over stores that outlive them.

use crate::{
    server::{Server, Store, over},
    wire::{Request, charge, post},
};
use std::{sync::Arc, time::Duration};
use tokio::{sync::Mutex, task::JoinSet, time::sleep};

const LEASE: [&str; 2] = ["--lease-ms", "1500"];

/// Sent, begun, and its process killed.
async fn killed_during(server: &mut Server, request: &Request) {
    let before = server.count().await;
    let mut connection = server.connect().await;
    connection.write(&request.bytes()).await;
    while server.count().await == before {
        sleep(Duration::from_millis(5)).await;
    }
    server.kill().await;
    assert!(connection.try_answer(false).await.is_none(), "it was answered before");
}

#[tokio::test]
async fn killed_while_it_runs_a_request_is_in_flight_until_its_lease_ends_and_unknown_from_then_on() {
    over(&Store::LASTING, &LEASE, |mut server| async move {
        let slow = post("/slow?ms=60000").key("k");
        killed_during(&mut server, &slow).await;
        server.send(&slow).await.is_refused(409, "request in flight");
        sleep(Duration::from_secs(2)).await;
        for _ in 0..3 {
            server.send(&slow).await.is_refused(409, "outcome unknown");
        }
        // another payload is that all the same
        server.send(&charge("k", 5)).await.is_refused(422, "idempotency key in use for another request");
        assert_eq!(server.count().await, 1, "it was not run again");
        assert_eq!(server.send(&charge("another", 5)).await.status, 201);
    })
    .await;
}

#[tokio::test]
async fn what_was_answered_before_a_kill_is_answered_after_it() {
    over(&Store::LASTING, &LEASE, |mut server| async move {
        let (charge, fail, panic) = (charge("a", 5), post("/fail?status=503").key("b"), post("/panic").key("c"));
        let big = post("/big?bytes=3000000").key("d");
        let mut first = Vec::new();
        for request in [&charge, &fail, &panic, &big] {
            first.push(server.send(request).await);
        }
        server.kill().await;
        for (request, first) in [&charge, &fail, &panic].into_iter().zip(&first) {
            let again = server.send(request).await;
            assert_eq!((again.status, again.replayed(), &again.body), (first.status, true, &first.body));
        }
        server.send(&big).await.is_refused(409, "answer not retained");
        assert_eq!(server.count().await, 4);
    })
    .await;
}

/// Whether the store holds the effect of a charge too, so that both are one transaction.
fn is_transactional(store: Store) -> bool {
    matches!(store, Store::Sqlite | Store::Postgres)
}

#[tokio::test]
async fn killed_at_any_moment_a_charge_is_never_made_twice() {
    const KEYS: usize = 60;
    over(&Store::LASTING, &["--lease-ms", "500"], |mut server| async move {
        let seed = fastrand::u64(..1 << 32);
        println!("seed {seed}, {:?}", server.store);
        let mut random = fastrand::Rng::with_seed(seed);
        let address = Arc::new(Mutex::new(server.address()));
        let mut clients = JoinSet::new();
        for client in 0..4 {
            let address = address.clone();
            clients.spawn(async move {
                let (mut charged, mut unknown) = (0, 0);
                for n in (0..KEYS).filter(|n| n % 4 == client) {
                    match until_final(&address, &charge(&format!("k{n}"), 5)).await {
                        201 => charged += 1,
                        409 => unknown += 1,
                        status => panic!("{status}"),
                    }
                }
                (charged, unknown)
            });
        }
        for _ in 0..5 {
            sleep(Duration::from_millis(random.u64(30..150))).await;
            server.kill().await;
            *address.lock().await = server.address();
        }
        let (charged, unknown) = clients.join_all().await.into_iter().fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
        let effects = server.count().await;
        assert_eq!(charged + unknown, KEYS as u64);
        if is_transactional(server.store) {
            assert_eq!((effects, unknown), (KEYS as u64, 0), "seed {seed}");
        } else {
            assert!(charged <= effects && effects <= KEYS as u64, "seed {seed}: {charged} charged, {effects} effects");
        }
    })
    .await;
}

/// Repeats one request until its answer stands: 201, or 409 without a hint when to come again.
async fn until_final(address: &Mutex<std::net::SocketAddr>, request: &Request) -> u16 {
    loop {
        let to = *address.lock().await;
        let answer = match tokio::net::TcpStream::connect(to).await {
            Ok(stream) => crate::wire::Connection::over(stream).try_exchange(request).await,
            Err(_) => None,
        };
        match answer {
            Some(answer) if answer.status == 201 => return 201,
            Some(answer) if answer.status == 409 && answer.header("retry-after").is_none() => {
                answer.is_refused(409, "outcome unknown");
                return 409;
            }
            Some(answer) if answer.status == 409 => sleep(Duration::from_millis(50)).await,
            Some(answer) => panic!("{answer:?}"),
            None => sleep(Duration::from_millis(20)).await,
        }
    }
}
