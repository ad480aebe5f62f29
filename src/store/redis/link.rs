//! How a command gets to the server and its answer back.

use super::{RedisStore, error::code};
use crate::error::BoxFuture;
use redis::{
    Client, Cmd, RedisError, RedisResult, Value,
    aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig},
};
use std::{
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
};

pub(super) trait Link: Send + Sync {
    fn send<'a>(&'a self, command: &'a Cmd) -> BoxFuture<'a, Result<Value, Failed>>;

    /// How often a connection was given up for another.
    fn replaced(&self) -> u64 {
        0
    }
}

/// Why a command has no answer.
pub(super) struct Failed {
    pub(super) error: RedisError,
    /// It may have been sent before, on a connection that broke: the error is that of the second time only.
    pub(super) sent_before: bool,
}

/// A connection of the user's: limits and reconnecting are what the user made them.
pub(super) struct Users<C>(pub(super) C);

impl<C: ConnectionLike + Clone + Send + Sync> Link for Users<C> {
    fn send<'a>(&'a self, command: &'a Cmd) -> BoxFuture<'a, Result<Value, Failed>> {
        let mut conn = self.0.clone();
        Box::pin(async move {
            let answer = command.query_async(&mut conn).await;
            // how often it was tried is the connection's affair: only an answer of the server is certain
            answer.map_err(|error: RedisError| Failed { sent_before: error.code().is_none(), error })
        })
    }
}

/// A connection manager, which replaces a connection that breaks; replaced by another one where the connection holds and is of
/// no use: nothing is answered any more, or the server has become a replica and its name may lead to another by now.
pub(super) struct Own {
    client: Client,
    current: Mutex<Current>,
}

struct Current {
    /// How many there were before.
    nth: u64,
    manager: ConnectionManager,
}

impl Own {
    pub(super) async fn connect(client: Client) -> RedisResult<Self> {
        let manager = ConnectionManager::new_with_config(client.clone(), config()).await?;
        Ok(Self { client, current: Mutex::new(Current { nth: 0, manager }) })
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn send_once(&self, command: &Cmd) -> RedisResult<Value> {
        let (nth, mut manager) = {
            let current = self.current();
            (current.nth, current.manager.clone())
        };
        let answer = command.query_async(&mut manager).await;
        if answer.as_ref().is_err_and(is_stuck) {
            self.replace(nth);
        }
        answer
    }

    /// Of many whom one connection failed, the first replaces it. The new one is opened by who needs it.
    fn replace(&self, nth: u64) {
        // made before the lock and dropped after it, and so is the one that it replaces
        let Ok(mut manager) = ConnectionManager::new_lazy_with_config(self.client.clone(), config()) else { return };
        let mut current = self.current();
        if current.nth == nth {
            current.nth = current.nth.saturating_add(1);
            mem::swap(&mut current.manager, &mut manager);
        }
        drop(current);
    }
}

impl Link for Own {
    fn send<'a>(&'a self, command: &'a Cmd) -> BoxFuture<'a, Result<Value, Failed>> {
        Box::pin(async move {
            match self.send_once(command).await {
                // closed while nobody used it, or under this command: every command of a store is safe to repeat
                Err(error) if error.is_connection_dropped() && !error.is_connection_refusal() => {
                    self.send_once(command).await.map_err(|error| Failed { error, sent_before: true })
                }
                answer => answer.map_err(|error| Failed { error, sent_before: false }),
            }
        })
    }

    fn replaced(&self) -> u64 {
        self.current().nth
    }
}

fn is_stuck(error: &RedisError) -> bool {
    error.is_timeout() || code(error) == "READONLY"
}

/// No retries of the connecting itself: whoever calls the store tries again, and knows for how long.
fn config() -> ConnectionManagerConfig {
    ConnectionManagerConfig::new()
        .set_connection_timeout(Some(RedisStore::CONNECT_WITHIN))
        .set_response_timeout(Some(RedisStore::ANSWER_WITHIN))
        .set_number_of_retries(0)
}
