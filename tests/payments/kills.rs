//! Kills, restarts, and what has to be true in the end.

use crate::{
    client::Till,
    example::{Example, Listening},
    receipts::Receipts,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    sync::{Arc, atomic::Ordering::SeqCst},
    time::Duration,
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep},
};

const CLIENTS: usize = 16;
const PATIENCE: Duration = Duration::from_secs(120);

/// What is in the database.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Books {
    /// The amounts of all payments, in order.
    pub(crate) amounts: Vec<u32>,
    /// Records of answers.
    pub(crate) recorded: u64,
    /// Claims that nobody has completed.
    pub(crate) in_flight: u64,
    /// Messages, whatever became of them.
    pub(crate) messages: u64,
    /// Those of them that are sent.
    pub(crate) sent: u64,
    /// Those that were given up.
    pub(crate) dead: u64,
}

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

/// The example, killed at random moments; `read` reads its database when all is done.
pub(crate) async fn survives<R>(example: &Example, variables: &[(&str, String)], read: impl Fn() -> R)
where
    R: Future<Output = Books>,
{
    let kills = number("STEADFAST_KILLS").unwrap_or(20);
    let seed = number("STEADFAST_SEED").unwrap_or_else(|| fastrand::u64(..1 << 32));
    println!("{kills} kills, STEADFAST_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);

    let receipts = Receipts::default();
    let url = receipts.listen().await;
    let start = async || {
        let mut command = example.command().await;
        command.env("LISTEN", "127.0.0.1:0").env("RECEIPTS_URL", &url);
        Listening::start({
            command.envs(variables.iter().map(|(name, value)| (name, value)));
            command
        })
        .await
    };
    let mut running = start().await;
    let (moved, address) = watch::channel(running.address);
    let till = Arc::new(Till::new(address));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let till = till.clone();
        clients.spawn(async move { till.run().await });
    }

    for _ in 0..kills {
        // mostly while it works, sometimes while it starts
        let alive = if random.u8(..10) == 0 { random.u64(..5) } else { random.u64(5..250) };
        sleep(Duration::from_millis(alive)).await;
        running.kill().await;
        running = start().await;
        moved.send(running.address).unwrap();
    }
    till.closing.store(true, SeqCst);
    let mut paid = BTreeMap::new();
    for answers in clients.join_all().await {
        paid.extend(answers);
    }
    let keys = paid.len() as u64;
    let (broken, later) = (till.broken.load(SeqCst), till.later.load(SeqCst));
    println!("{keys} keys, {broken} requests broken off, {later} asked to come again");
    assert!(u64::from(broken) >= kills, "the kills met nothing in flight");

    again(&till, &paid).await;
    let books = settled(&read, keys).await;
    let amounts: Vec<u32> = paid.keys().copied().collect();
    assert_eq!(
        books,
        Books { amounts, recorded: keys, in_flight: 0, messages: keys, sent: keys, dead: 0 },
        "seed {seed}"
    );

    let received = receipts.all();
    let texts: BTreeSet<_> = received.iter().map(|(text, _)| text.clone()).collect();
    let thanks: BTreeSet<_> = paid.keys().map(|amount| format!("thank you for {amount} EUR")).collect();
    assert_eq!((received.len() as u64, texts), (keys, thanks), "seed {seed}");
    let repeated = received.iter().filter(|(_, times)| *times > 1).count();
    println!("{repeated} receipts were sent more than once, under the same key");
}

/// Every key is asked once more: it has its own answer, and does nothing.
async fn again(till: &Till, paid: &BTreeMap<u32, String>) {
    let http = reqwest::Client::new();
    for (amount, text) in paid {
        assert_eq!(till.pay(&http, *amount).await, Some((text.clone(), true)), "order-{amount}");
    }
}

/// What the database says once nothing is on its way any more.
async fn settled<R: Future<Output = Books>>(read: impl Fn() -> R, keys: u64) -> Books {
    let until = Instant::now() + PATIENCE;
    loop {
        let books = read().await;
        if books.sent + books.dead == keys || Instant::now() > until {
            return books;
        }
        sleep(Duration::from_millis(100)).await;
    }
}
