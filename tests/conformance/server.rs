//! The example over each store, as a process.

use crate::{
    example::{Example, Listening},
    postgres_server,
    redis_server::RedisServer,
    wire::{Answer, Connection, Request, request},
};
use std::net::SocketAddr;
use tempfile::TempDir;

pub(crate) static EXAMPLE: Example = Example::new("conformance_server");

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Store {
    Memory,
    Sqlite,
    Redis,
    Postgres,
}

impl Store {
    pub(crate) const ALL: [Self; 4] = [Self::Memory, Self::Sqlite, Self::Redis, Self::Postgres];
    /// Those that outlive the server, and that two servers can share.
    pub(crate) const LASTING: [Self; 3] = [Self::Sqlite, Self::Redis, Self::Postgres];
}

enum Backend {
    Memory,
    Sqlite(TempDir),
    Redis(RedisServer),
    /// A database of its own, by its address.
    Postgres(String),
}

/// One or more processes over one store of their own.
pub(crate) struct Server {
    pub(crate) store: Store,
    backend: Backend,
    args: Vec<String>,
    running: Listening,
    /// Those who share the store.
    others: Vec<Listening>,
}

/// Runs a check over each of these stores, at once; `args`: further ones of the example.
pub(crate) async fn over<F, R>(stores: &[Store], args: &[&str], check: F)
where
    F: Fn(Server) -> R,
    R: Future<Output = ()> + Send + 'static,
{
    let mut checks = Vec::new();
    for &store in stores {
        checks.push((store, tokio::spawn(check(Server::start(store, args).await))));
    }
    for (store, check) in checks {
        if let Err(error) = check.await {
            panic!("over {store:?}: {error}");
        }
    }
}

pub(crate) async fn over_all<F, R>(args: &[&str], check: F)
where
    F: Fn(Server) -> R,
    R: Future<Output = ()> + Send + 'static,
{
    over(&Store::ALL, args, check).await;
}

impl Server {
    async fn start(store: Store, args: &[&str]) -> Self {
        let backend = match store {
            Store::Memory => Backend::Memory,
            Store::Sqlite => Backend::Sqlite(tempfile::tempdir().unwrap()),
            Store::Redis => Backend::Redis(RedisServer::start()),
            Store::Postgres => {
                let server = postgres_server::shared();
                Backend::Postgres(server.url(&server.database().await))
            }
        };
        let args: Vec<_> = args.iter().map(|&arg| arg.to_owned()).collect();
        let running = listen(&backend, &args).await;
        Self { store, backend, args, running, others: Vec::new() }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.running.address
    }

    pub(crate) async fn connect(&self) -> Connection {
        Connection::open(self.address()).await
    }

    /// On a connection of its own.
    pub(crate) async fn send(&self, request: &Request) -> Answer {
        send(self.address(), request).await
    }

    /// How many effects there were.
    pub(crate) async fn count(&self) -> u64 {
        self.send(&request("GET", "/count")).await.json()["count"].as_u64().unwrap()
    }

    /// A second process over the same store.
    pub(crate) async fn another(&mut self) -> SocketAddr {
        let other = listen(&self.backend, &self.args).await;
        let address = other.address;
        self.others.push(other);
        address
    }

    /// SIGKILL, and started again on the same store.
    pub(crate) async fn kill(&mut self) {
        let next = listen(&self.backend, &self.args).await;
        std::mem::replace(&mut self.running, next).kill().await;
    }

    /// SIGTERM; `false` if it does not end well. Then started again on the same store.
    pub(crate) async fn terminate(&mut self) -> bool {
        let next = listen(&self.backend, &self.args).await;
        std::mem::replace(&mut self.running, next).terminate().await
    }
}

/// `request` on a connection of its own.
pub(crate) async fn send(address: SocketAddr, request: &Request) -> Answer {
    Connection::open(address).await.exchange(request).await
}

async fn listen(backend: &Backend, args: &[String]) -> Listening {
    let mut command = EXAMPLE.command().await;
    let store = match backend {
        Backend::Memory => "memory".to_owned(),
        Backend::Sqlite(dir) => format!("sqlite:{}", dir.path().join("store.db").display()),
        Backend::Redis(server) => server.url(),
        Backend::Postgres(url) => url.clone(),
    };
    command.args(["--listen", "127.0.0.1:0", "--store", &store]).args(args);
    Listening::start(command).await
}
