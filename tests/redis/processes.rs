//! Two processes, one Redis: this test binary is started again for each.

use crate::{
    redis_server::RedisServer,
    support::{layer, names},
};
use axum::{Router, routing::post};
use http::StatusCode;
use std::{
    env,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};
use steadfast::{
    store::redis::{RedisStore, redis},
    testing::idempotency_contract,
};
use tokio::{net::TcpListener, task::JoinSet};

const REDIS: &str = "STEADFAST_TEST_REDIS";
const LEASE: Duration = Duration::from_millis(400);

/// Serves `POST /`, which takes 300 ms and counts its runs in Redis, and tells its port.
async fn serve(address: &str, tell: impl FnOnce(u16)) {
    let counting = redis::Client::open(address).unwrap().get_multiplexed_async_connection().await.unwrap();
    let charge = move || {
        let mut counting = counting.clone();
        async move {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let run: u64 = redis::cmd("INCR").arg("runs").query_async(&mut counting).await.unwrap();
            (StatusCode::CREATED, format!("run {run}"))
        }
    };
    let layer = layer(RedisStore::connect(address).await.unwrap()).with_lease(LEASE);
    let app = Router::new().route("/", post(charge)).layer(layer);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    tell(listener.local_addr().unwrap().port());
    axum::serve(listener, app).await.unwrap();
}

/// The process that serves until it is killed, when it is started as one; by itself, the same for one request.
#[tokio::test]
async fn a_process_that_serves() {
    if let Ok(address) = env::var(REDIS) {
        return serve(&address, |port| eprintln!("told {port}")).await;
    }
    let server = RedisServer::start();
    let (tell, told) = tokio::sync::oneshot::channel();
    let address = server.url();
    let serving = tokio::spawn(async move { serve(&address, |port| tell.send(port).unwrap()).await });
    assert_eq!(charge(told.await.unwrap(), "k").await, (StatusCode::CREATED, false, "run 1".to_owned()));
    serving.abort();
}

/// The process that holds the store to its laws, beside others that do.
#[tokio::test]
async fn a_process_that_checks_the_laws() {
    let server = env::var(REDIS).is_err().then(RedisServer::start);
    let address = server.as_ref().map_or_else(|| env::var(REDIS).unwrap(), RedisServer::url);
    idempotency_contract(&RedisStore::connect(address).await.unwrap()).await.unwrap();
}

struct Process(Child);

impl Process {
    fn start(test: &str, redis: &RedisServer) -> Self {
        let child = Command::new(env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture", "--test-threads=1"])
            .env(REDIS, redis.url())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        Self(child.unwrap())
    }

    fn port(&mut self) -> u16 {
        let lines = BufReader::new(self.0.stderr.take().unwrap()).lines().map_while(Result::ok);
        let mut told = lines.filter_map(|line| line.strip_prefix("told ").map(|port| port.parse().unwrap()));
        told.next().expect("it tells its port")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// Status, whether it was a replay, and text.
async fn charge(port: u16, key: &str) -> (StatusCode, bool, String) {
    let sent = reqwest::Client::new().post(format!("http://127.0.0.1:{port}/")).header("idempotency-key", key).send();
    let response = sent.await.unwrap();
    let (status, replayed) = (response.status(), response.headers().contains_key("idempotent-replayed"));
    (status, replayed, response.text().await.unwrap())
}

#[tokio::test]
async fn twenty_identical_at_once_over_two_processes_run_once() {
    let redis = RedisServer::start();
    let mut processes = ["processes::a_process_that_serves"; 2].map(|test| Process::start(test, &redis));
    let ports = [processes[0].port(), processes[1].port()];
    for round in 1..=5 {
        let key = format!("key-{round}");
        let mut calls = JoinSet::new();
        for n in 0..20 {
            let (port, key) = (ports[n % 2], key.clone());
            calls.spawn(async move { charge(port, &key).await });
        }
        let answers = calls.join_all().await;
        let ran: Vec<_> =
            answers.iter().filter(|(status, replayed, _)| *status == StatusCode::CREATED && !replayed).collect();
        assert_eq!(ran.len(), 1, "{answers:?}");
        // those who came late enough were replayed
        assert!(answers.iter().all(|(status, replayed, _)| *replayed || [201, 409].contains(&status.as_u16())));
        assert_eq!(redis.cli(&["GET", "runs"]), round.to_string());
        for port in ports {
            assert_eq!(charge(port, &key).await, (StatusCode::CREATED, true, format!("run {round}")));
        }
    }
}

#[tokio::test]
async fn the_laws_hold_for_three_processes_at_once() {
    let redis = RedisServer::start();
    let processes = ["processes::a_process_that_checks_the_laws"; 3].map(|test| Process::start(test, &redis));
    for mut process in processes {
        let ended = process.0.wait().unwrap();
        let mut said = String::new();
        std::io::Read::read_to_string(process.0.stderr.as_mut().unwrap(), &mut said).unwrap();
        assert!(ended.success(), "{said}");
    }
}

/// Nobody knows how far it came, and nobody runs it again: not even when the claim has lapsed.
#[tokio::test]
async fn what_a_killed_process_left_is_unknown_and_not_run_again() {
    let redis = RedisServer::start();
    let mut killed = Process::start("processes::a_process_that_serves", &redis);
    let mut other = Process::start("processes::a_process_that_serves", &redis);
    let (port, other) = (killed.port(), other.port());
    tokio::spawn(async move {
        let client = reqwest::Client::new();
        _ = client.post(format!("http://127.0.0.1:{port}/")).header("idempotency-key", "k").send().await;
    });
    while names(&redis).is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(killed);
    let title = async || {
        let (status, _, text) = charge(other, "k").await;
        let problem: serde_json::Value = serde_json::from_str(&text).unwrap();
        (status.as_u16(), problem["title"].as_str().unwrap().to_owned())
    };
    assert_eq!(title().await, (409, "request in flight".to_owned()));
    tokio::time::sleep(LEASE * 2).await;
    for _ in 0..3 {
        assert_eq!(title().await, (409, "outcome unknown".to_owned()));
    }
    assert_eq!(redis.cli(&["GET", "runs"]), "", "it was killed before it counted");
    // a person found out what was done
    redis.cli(&["DEL", &names(&redis)[0]]);
    assert_eq!(charge(other, "k").await, (StatusCode::CREATED, false, "run 1".to_owned()));
}
