//! A TCP proxy before any server, with faults: `#[path = "../servers/proxy.rs"] mod proxy;`.
//!
//! A *request* is what a client sends until the server answers. That is the right notion for protocols in which one is sent
//! after the other; of several sent at once it sees the first bytes of each packet.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, Ordering::SeqCst},
    },
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Forwarded, and answered.
    Pass,
    /// The connection is cut before anything is forwarded.
    Refuse,
    /// Held back, like everything after it on its connection. As a switch: until the switch is another, then it goes on.
    Hang,
    /// Forwarded; when the server answers, the connection is cut and the answer lost.
    LoseReply,
    /// As a switch: everything is taken and nothing forwarded, new connections too; a connection that lost something stays dead.
    Swallow,
}

/// Dropped, it closes its port and cuts every connection.
pub(crate) struct Proxy {
    port: u16,
    faults: Arc<Faults>,
    accepting: JoinHandle<()>,
}

struct Faults {
    target: AtomicU16,
    /// For all that has no fault of its own.
    switch: watch::Sender<Fault>,
    planned: Mutex<Vec<Planned>>,
}

/// For one request to come.
struct Planned {
    which: Which,
    fault: Fault,
    hit: watch::Sender<bool>,
}

enum Which {
    /// So many others come before it.
    After(usize),
    Holds(Vec<u8>),
}

/// Of a fault that is planned for one request.
pub(crate) struct Hit(watch::Receiver<bool>);

impl Hit {
    /// Waits until the request has come and the fault begun.
    pub(crate) async fn happened(&mut self) {
        self.0.wait_for(|hit| *hit).await.unwrap();
    }

    pub(crate) fn has_happened(&self) -> bool {
        *self.0.borrow()
    }
}

impl Proxy {
    /// Before the server on this port of 127.0.0.1. Each connection to the proxy is one to the server.
    pub(crate) async fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let faults = Arc::new(Faults {
            target: AtomicU16::new(target),
            switch: watch::Sender::new(Fault::Pass),
            planned: Mutex::default(),
        });
        let accepting = tokio::spawn(accept(listener, faults.clone()));
        Self { port, faults, accepting }
    }

    /// Of 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// New connections lead to another server; those that there are stay where they are.
    pub(crate) fn point_to(&self, target: u16) {
        self.faults.target.store(target, SeqCst);
    }

    /// For every request from now on, on old connections and new ones. [`Fault::Refuse`] cuts idle ones too.
    pub(crate) fn set(&self, fault: Fault) {
        self.faults.switch.send_replace(fault);
    }

    /// For the `n`-th request from now on, of all connections; the first is 1.
    pub(crate) fn nth(&self, n: usize, fault: Fault) -> Hit {
        self.plan(Which::After(n.checked_sub(1).expect("the first is 1")), fault)
    }

    /// For the next request with these bytes in one of its packets.
    pub(crate) fn next_with(&self, bytes: &[u8], fault: Fault) -> Hit {
        self.plan(Which::Holds(bytes.to_vec()), fault)
    }

    fn plan(&self, which: Which, fault: Fault) -> Hit {
        let (hit, happened) = watch::channel(false);
        self.faults.planned.lock().unwrap().push(Planned { which, fault, hit });
        Hit(happened)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Faults {
    /// What was planned for these bytes; `first`: they begin a request.
    fn planned(&self, bytes: &[u8], first: bool) -> Option<Fault> {
        let mut planned = self.planned.lock().unwrap();
        let mut found = None;
        for (at, plan) in planned.iter_mut().enumerate() {
            let now = match &mut plan.which {
                Which::After(0) => first,
                Which::After(left) => {
                    *left -= usize::from(first);
                    false
                }
                Which::Holds(needle) => bytes.windows(needle.len()).any(|window| window == needle),
            };
            if now && found.is_none() {
                found = Some(at);
            }
        }
        let plan = planned.remove(found?);
        plan.hit.send_replace(true);
        Some(plan.fault)
    }
}

async fn accept(listener: TcpListener, faults: Arc<Faults>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (client, _) = accepted.unwrap();
                let faults = faults.clone();
                // a broken connection is what it is for
                connections.spawn(async move { _ = carry(client, &faults).await });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn carry(mut client: TcpStream, faults: &Faults) -> io::Result<()> {
    let mut switch = faults.switch.subscribe();
    if *switch.borrow_and_update() == Fault::Refuse {
        return Ok(());
    }
    let mut server = TcpStream::connect(("127.0.0.1", faults.target.load(SeqCst))).await?;
    let (mut up, mut down) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let (mut answered, mut lose) = (true, false);
    loop {
        tokio::select! {
            sent = client.read(&mut up) => {
                let sent = sent?;
                let planned = faults.planned(&up[..sent], answered);
                match planned {
                    _ if sent == 0 => return Ok(()),
                    Some(Fault::Refuse) => return Ok(()),
                    Some(Fault::Hang) => return gone(&mut client).await,
                    Some(Fault::LoseReply) => lose = true,
                    Some(Fault::Pass | Fault::Swallow) | None => {}
                }
                if *switch.borrow() == Fault::Swallow {
                    return gone(&mut client).await;
                }
                if !through(&mut switch, planned.is_some()).await {
                    return Ok(());
                }
                answered = false;
                server.write_all(&up[..sent]).await?;
            }
            answer = server.read(&mut down) => {
                let answer = answer?;
                if *switch.borrow() == Fault::Swallow {
                    return gone(&mut client).await;
                }
                if answer == 0 || lose || !through(&mut switch, false).await || *switch.borrow() == Fault::LoseReply {
                    return Ok(());
                }
                answered = true;
                client.write_all(&down[..answer]).await?;
            }
            changed = switch.changed() => {
                if changed.is_err() || *switch.borrow_and_update() == Fault::Refuse {
                    return Ok(());
                }
            }
        }
    }
}

/// Waits while the switch hangs; whether the connection goes on after that. What has a plan of its own does not care.
async fn through(switch: &mut watch::Receiver<Fault>, planned: bool) -> bool {
    planned || switch.wait_for(|fault| *fault != Fault::Hang).await.is_ok_and(|fault| *fault != Fault::Refuse)
}

/// Takes what comes and gives nothing, until the client leaves.
async fn gone(client: &mut TcpStream) -> io::Result<()> {
    let mut nothing = vec![0; 1 << 16];
    while client.read(&mut nothing).await? > 0 {}
    Ok(())
}
