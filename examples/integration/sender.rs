//! The sender: signs each event and delivers it several times, out of order; some deliveries are not what they seem.

use crate::events::{Event, SECRET, delivery};
use bytes::Bytes;
use reqwest::redirect::Policy;
use std::{
    collections::{HashSet, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use steadfast::{
    error::BoxError,
    webhook::{GitHub, Secret},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    task::JoinSet,
};

/// Deliveries under way at the same time.
const AT_ONCE: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// As GitHub sends it; the second time it is a duplicate.
    Genuine,
    /// A captured body and its signature, under a delivery id of its own.
    Captured,
    /// Another body under a signature that does not fit.
    Forged,
    /// The connection ends before the body does.
    CutShort,
}

struct Delivery {
    event: usize,
    kind: Kind,
}

#[derive(Debug, Default, Clone)]
pub struct Sent {
    /// Deliveries that came to an end.
    pub deliveries: usize,
    /// Numbers of the events that were answered 202.
    pub accepted: HashSet<usize>,
    /// Genuine or captured deliveries that were answered 202 as duplicates.
    pub duplicates: usize,
    /// Forged deliveries that were answered 401.
    pub forged_refused: usize,
    /// Deliveries cut short; none was answered 2xx.
    pub cut: usize,
    /// Answers that must not be.
    pub wrong: Vec<String>,
}

pub struct Sender {
    receiver: SocketAddr,
    client: reqwest::Client,
    github: GitHub,
    events: Arc<Vec<Event>>,
    waiting: Mutex<VecDeque<Delivery>>,
    planned: usize,
    sent: Mutex<Sent>,
}

impl Sender {
    pub fn new(events: Arc<Vec<Event>>, receiver: SocketAddr, seed: u64) -> Result<Self, BoxError> {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut plan = Vec::new();
        for event in 0..events.len() {
            let mut add = |kind| plan.push((event + random.usize(..24), Delivery { event, kind }));
            add(Kind::Genuine);
            add(Kind::Genuine);
            let first = event == 0;
            let chance = random.u8(..100);
            let mut add = |kind| plan.push((event + random.usize(..24), Delivery { event, kind }));
            if first || chance < 30 {
                add(Kind::Captured);
            }
            if first || (20..45).contains(&chance) {
                add(Kind::Forged);
            }
            if first || (40..60).contains(&chance) {
                add(Kind::CutShort);
            }
        }
        plan.sort_by_key(|(place, _)| *place);
        let waiting: VecDeque<_> = plan.into_iter().map(|(_, delivery)| delivery).collect();
        Ok(Self {
            receiver,
            client: reqwest::Client::builder().redirect(Policy::none()).timeout(Duration::from_secs(5)).build()?,
            github: GitHub::new(Secret::new(SECRET)?),
            events,
            planned: waiting.len(),
            waiting: Mutex::new(waiting),
            sent: Mutex::default(),
        })
    }

    /// All that will be delivered.
    pub fn planned(&self) -> usize {
        self.planned
    }

    pub fn sent(&self) -> Sent {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn deliveries(&self) -> usize {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).deliveries
    }

    /// Delivers everything, never beyond what `allowed` says.
    pub async fn run(self: Arc<Self>, allowed: watch::Receiver<usize>) {
        let mut tasks = JoinSet::new();
        for _ in 0..AT_ONCE {
            let (this, mut allowed) = (self.clone(), allowed.clone());
            tasks.spawn(async move {
                while let Some(delivery) = this.next(&mut allowed).await {
                    this.deliver(delivery).await;
                }
            });
        }
        tasks.join_all().await;
    }

    async fn next(&self, allowed: &mut watch::Receiver<usize>) -> Option<Delivery> {
        loop {
            {
                let allowed = *allowed.borrow_and_update();
                let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                if waiting.is_empty() || self.planned - waiting.len() < allowed {
                    return waiting.pop_front();
                }
            }
            allowed.changed().await.ok()?;
        }
    }

    async fn deliver(&self, Delivery { event, kind }: Delivery) {
        let event = &self.events[event];
        let signature = self.github.sign(&event.body);
        let tell = |change: &dyn Fn(&mut Sent)| {
            let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
            sent.deliveries += 1;
            change(&mut sent);
        };
        let (id, body) = match kind {
            Kind::Genuine => (event.delivery.clone(), event.body.clone()),
            Kind::Captured => (delivery(event.number + 1_000_000_000), event.body.clone()),
            Kind::Forged => (delivery(event.number + 2_000_000_000), Bytes::from_static(b"{\"action\":\"forged\"}")),
            Kind::CutShort => {
                let answered = self.cut_short(event, signature.as_bytes()).await;
                return tell(&|sent| match &answered {
                    Ok(answer) if answer.starts_with("HTTP/1.1 2") => sent.wrong.push(format!("cut short: {answer}")),
                    _ => sent.cut += 1,
                });
            }
        };
        loop {
            let request = self
                .client
                .post(format!("http://{}/hooks/github", self.receiver))
                .header("content-type", "application/json")
                .header("x-github-event", &event.name)
                .header("x-github-delivery", &id)
                .header("x-hub-signature-256", signature.clone())
                .body(body.clone());
            // the receiver may be dead just now: GitHub's people press "redeliver", this sender does so by itself
            let Ok(answer) = request.send().await else {
                tokio::time::sleep(Duration::from_millis(25)).await;
                continue;
            };
            let status = answer.status().as_u16();
            let Ok(text) = answer.text().await else { continue };
            return match (kind, status) {
                (_, 500..) => {
                    tokio::time::sleep(Duration::from_millis(25)).await;
                    continue;
                }
                (Kind::Forged, 401) => tell(&|sent| sent.forged_refused += 1),
                (Kind::Genuine | Kind::Captured, 202) => tell(&|sent| {
                    sent.accepted.insert(event.number);
                    sent.duplicates += usize::from(text.contains("\"duplicate\":true"));
                }),
                _ => tell(&|sent| sent.wrong.push(format!("{kind:?} answered {status}: {text}"))),
            };
        }
    }

    /// Says how long the body is, sends half of it, and is gone.
    async fn cut_short(&self, event: &Event, signature: &[u8]) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(self.receiver).await?;
        let head = format!(
            "POST /hooks/github HTTP/1.1\r\nhost: receiver\r\ncontent-type: application/json\r\nx-github-event: {}\r\n\
             x-github-delivery: {}\r\ncontent-length: {}\r\nx-hub-signature-256: ",
            event.name,
            delivery(event.number + 3_000_000_000),
            event.body.len(),
        );
        let half = &event.body[..event.body.len() / 2];
        stream.write_all(&[head.as_bytes(), signature, b"\r\n\r\n", half].concat()).await?;
        stream.shutdown().await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }
}
