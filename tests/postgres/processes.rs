//! Two processes over one database.

use super::{
    postgres_server::{pool, shared},
    support::{App, created, layer, paid, pay, store},
};
use http::StatusCode;
use std::{
    env,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};
use steadfast::store::postgres::{PostgresStore, sqlx};

const URL: &str = "STEADFAST_TEST_URL";

/// Pays in a transaction, slowly; the record is the layer's or the transaction's.
fn app(store: &PostgresStore, in_transaction: bool) -> App {
    let inner = store.clone();
    App::new(layer(store), move |claim| {
        let store = inner.clone();
        async move {
            if in_transaction {
                let tx = pay(&store, &claim).await.unwrap();
                tokio::time::sleep(Duration::from_millis(100)).await;
                tx.commit().await.unwrap();
            } else {
                let sql = sqlx::query("INSERT INTO paid VALUES($1, 5)").bind(claim.key().as_str().to_owned());
                sql.execute(store.pool()).await.unwrap();
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            created()
        }
    })
}

/// The other process, where it is started as one: ten at once for each key. By itself, the same on a database of its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_pays() {
    let (store, alone) = match env::var(URL) {
        Ok(url) => (PostgresStore::new(pool(&url).await), false),
        Err(_) => (store().await, true),
    };
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..100 {
        let app = app(&store, n % 2 == 0);
        // ten keys, the same in both processes
        tasks.spawn(async move { app.post(&format!("k{}", n % 10)).await });
    }
    let seen = tasks.join_all().await;
    for seen in &seen {
        let conflict = seen.status == StatusCode::CONFLICT && seen.headers.contains_key("retry-after");
        assert!(seen.status == StatusCode::CREATED || conflict, "{seen:?}");
    }
    let paid_here = seen.iter().filter(|seen| seen.status == StatusCode::CREATED && !seen.replayed()).count();
    if alone {
        assert_eq!((paid_here, paid(&store).await), (10, 10));
    }
    eprintln!("told {paid_here}");
}

fn start(url: &str) -> Child {
    let test = "processes::a_process_that_pays";
    let mut child = Command::new(env::current_exe().unwrap());
    child.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(URL, url);
    child.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

fn told(mut child: Child) -> usize {
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let lines: Vec<String> = lines.map(Result::unwrap).collect();
    assert!(child.wait().unwrap().success(), "{lines:#?}");
    lines.iter().find_map(|line| line.strip_prefix("told ")).unwrap().parse().unwrap()
}

#[tokio::test]
async fn twenty_identical_requests_over_two_processes_run_once() {
    let server = shared();
    let name = server.database().await;
    let store = super::support::migrated(pool(&server.url(&name)).await).await;
    let children = [start(&server.url(&name)), start(&server.url(&name))];
    assert_eq!(children.map(told).into_iter().sum::<usize>(), 10, "each key ran in one of them");
    let sql = "SELECT count(*) FROM (SELECT key FROM paid GROUP BY key HAVING count(*) = 1) once";
    let once: i64 = sqlx::query_scalar(sql).fetch_one(store.pool()).await.unwrap();
    assert_eq!((once, paid(&store).await), (10, 10));
    for n in 0..10 {
        assert!(app(&store, true).post(&format!("k{n}")).await.replayed(), "and a third is answered from the record");
    }
}
