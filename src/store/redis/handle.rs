use super::{
    error::store_error,
    eviction,
    link::{Failed, Link, Own, Users},
    script::Script,
    status::Status,
};
use crate::{
    error::StoreError,
    idempotency::StoreKey,
    registry::{Registry, registry},
    token::StoreId,
};
use redis::{
    Client, Cmd, ErrorKind, IntoConnectionInfo, ServerErrorKind, Value,
    aio::{ConnectionLike, ConnectionManager},
    cmd,
};
use std::{
    fmt::{self, Write as _},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

/// One Redis as a store. See the [module](super).
///
/// A handle: clones are the same store and share the connection.
#[derive(Clone)]
pub struct RedisStore {
    pub(super) id: StoreId,
    prefix: Arc<str>,
    status: Arc<Status>,
}

impl RedisStore {
    /// How long [`connect`](Self::connect) and a later reconnect wait for a connection.
    pub const CONNECT_WITHIN: Duration = Duration::from_secs(1);
    /// How long a command waits for its answer. Less than the layer waits for the store (`hold`, 2 s), so that it can ask again.
    /// Recorded answers that take longer to cross the network need a connection of your own, and a longer `hold`.
    pub const ANSWER_WITHIN: Duration = Duration::from_secs(1);

    /// Connects to `redis://[user][:password@]host[:port][/db]`, or to anything else that the client library knows: `rediss://`
    /// and `redis+unix://` too.
    ///
    /// Asks the server whether it evicts (a WARN if so: see the [module](super)) and so finds out whether it may be used at all.
    ///
    /// # Errors
    /// When the address cannot be used, nobody answers there, or the login is not accepted.
    pub async fn connect(address: impl IntoConnectionInfo) -> Result<Self, StoreError> {
        let client = Client::open(address).map_err(store_error)?;
        let name = client.get_connection_info().addr().to_string();
        let link = Own::connect(client).await.map_err(store_error)?;
        let evicts = eviction::evicts(&link, &name).await.map_err(store_error)?;
        Ok(Self::new(name, Arc::new(link), evicts))
    }

    /// On a connection manager of the user's, with its settings: give it a `response_timeout` below the layer's `hold`.
    pub fn from_connection_manager(manager: ConnectionManager) -> Self {
        Self::from_connection(manager)
    }

    /// On any connection of the user's that can be shared: a cluster's, one that a sentinel led to. Each command names its one
    /// key, by which a cluster connection finds the node.
    pub fn from_connection(connection: impl ConnectionLike + Clone + Send + Sync + 'static) -> Self {
        Self::new("redis".to_owned(), Arc::new(Users(connection)), None)
    }

    fn new(name: String, link: Arc<dyn Link>, evicts: Option<bool>) -> Self {
        let status = Arc::new(Status::new(name, link, evicts));
        registry().add(&status);
        Self { id: StoreId::next(), prefix: "steadfast:".into(), status }
    }

    /// What the names of keys in Redis begin with, for services that share a Redis and not their records. Another prefix is
    /// another store. Default: `steadfast:`.
    #[must_use]
    pub fn with_prefix(self, prefix: impl Into<Arc<str>>) -> Self {
        Self { id: StoreId::next(), prefix: prefix.into(), ..self }
    }

    /// In the registry. Default: host and port.
    #[must_use]
    pub fn with_name(self, name: impl Into<Box<str>>) -> Self {
        let status = Arc::new(Status::new(name, self.status.link.clone(), self.status.evicts));
        registry().add(&status);
        Self { status, ..self }
    }

    /// Lists the store in `registry` as well as in the one of the process.
    #[must_use]
    pub fn with_registry(self, registry: &Registry) -> Self {
        registry.add(&self.status);
        self
    }

    /// Which store this is.
    pub fn id(&self) -> StoreId {
        self.id
    }

    /// One round trip; two where the server does not know the script, after a start or a `SCRIPT FLUSH`.
    pub(super) async fn run(&self, script: &Script, key: &StoreKey, args: &[&[u8]]) -> Result<Value, StoreError> {
        let key = self.key(key);
        let command = |name: &str, script: &str| {
            let mut command = cmd(name);
            command.arg(script).arg(1).arg(&key);
            for arg in args {
                command.arg(*arg);
            }
            command
        };
        let answer = self.try_send(&command("EVALSHA", &script.hash)).await;
        let answer = match answer {
            Err(failed) if failed.error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.try_send(&command("EVAL", script.code)).await
            }
            other => other,
        };
        self.told(answer)
    }

    pub(super) async fn send(&self, command: &Cmd) -> Result<Value, StoreError> {
        let answer = self.try_send(command).await;
        self.told(answer)
    }

    /// The name of a key in Redis: prefix and 64 hexadecimal digits.
    pub(super) fn key(&self, key: &StoreKey) -> String {
        let mut name = String::with_capacity(self.prefix.len() + 2 * key.0.len());
        name.push_str(&self.prefix);
        for byte in key.0 {
            // to a string it cannot fail
            _ = write!(name, "{byte:02x}");
        }
        name
    }

    async fn try_send(&self, command: &Cmd) -> Result<Value, Failed> {
        self.status.commands.fetch_add(1, Relaxed);
        self.status.link.send(command).await
    }

    fn told(&self, answer: Result<Value, Failed>) -> Result<Value, StoreError> {
        answer.map_err(|Failed { error, sent_before }| {
            self.status.failed.fetch_add(1, Relaxed);
            let error = store_error(error);
            if sent_before { error.of_unknown_outcome() } else { error }
        })
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("name", &self.status.name)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}
