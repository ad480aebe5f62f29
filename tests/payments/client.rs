//! Who pays: always with something in flight, and never with another key for the same payment.

use http::StatusCode;
use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
    time::Duration,
};
use tokio::{sync::watch, time::Instant};

/// What all clients share.
pub(crate) struct Till {
    pub(crate) address: watch::Receiver<SocketAddr>,
    /// Every payment has an amount of its own, by which it is known again.
    next: AtomicU32,
    /// No new payments; what was begun is brought to its end.
    pub(crate) closing: AtomicBool,
    /// Requests whose connection broke after they were sent, so that nobody knows what became of them.
    pub(crate) broken: AtomicU32,
    /// Answers that asked to come again.
    pub(crate) later: AtomicU32,
}

impl Till {
    pub(crate) fn new(address: watch::Receiver<SocketAddr>) -> Self {
        let (next, broken, later) = (AtomicU32::new(1), AtomicU32::new(0), AtomicU32::new(0));
        Self { address, next, closing: AtomicBool::new(false), broken, later }
    }

    fn next(&self) -> Option<u32> {
        (!self.closing.load(SeqCst)).then(|| self.next.fetch_add(1, SeqCst))
    }

    /// One request: the text of its 201 and whether that is a replay, or `None`: the same again, later.
    pub(crate) async fn pay(&self, http: &reqwest::Client, amount: u32) -> Option<(String, bool)> {
        let url = format!("http://{}/payments", *self.address.borrow());
        let request = http.post(url).header("x-user", "ada").header("idempotency-key", format!("order-{amount}"));
        let answer = match request.body(amount.to_string()).send().await {
            Ok(answer) => answer,
            Err(error) => {
                // one that was never sent is no proof of anything
                self.broken.fetch_add(u32::from(!error.is_connect()), SeqCst);
                return None;
            }
        };
        let (status, replayed) = (answer.status(), answer.headers().contains_key("idempotent-replayed"));
        let hint = answer.headers().contains_key("retry-after");
        // a body that breaks off is as good as no answer
        let text = answer.text().await.ok()?;
        match status {
            StatusCode::CREATED => Some((text, replayed)),
            StatusCode::CONFLICT | StatusCode::SERVICE_UNAVAILABLE if hint => {
                self.later.fetch_add(1, SeqCst);
                None
            }
            _ => panic!("order-{amount}: {status} {text}"),
        }
    }

    /// Pays until the till closes; what was answered, by amount.
    pub(crate) async fn run(&self) -> BTreeMap<u32, String> {
        const AGAIN: Duration = Duration::from_millis(100);
        let http = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
        let mut paid = BTreeMap::new();
        let mut open: VecDeque<(Instant, u32)> = VecDeque::new();
        loop {
            let due = open.front().is_some_and(|(at, _)| *at <= Instant::now());
            let amount = if due { open.pop_front().map(|(_, amount)| amount) } else { self.next() };
            match (amount, open.front()) {
                (None, None) => return paid,
                (None, Some((at, _))) => tokio::time::sleep_until(*at).await,
                (Some(amount), _) => {
                    if let Some((text, _)) = self.pay(&http, amount).await {
                        paid.insert(amount, text);
                    } else {
                        open.push_back((Instant::now() + AGAIN, amount));
                        tokio::time::sleep(Duration::from_millis(2)).await;
                    }
                }
            }
        }
    }
}
