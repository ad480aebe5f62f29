//! A store that fails as told.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};
use steadfast::{
    error::{BoxFuture, StoreError},
    idempotency::{Begin, Begun, Fence, Fenced, IdempotencyStore, Recorded, StoreId, StoreKey},
    store::memory::MemoryStore,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    Begin,
    Complete,
    Renew,
    Release,
    Settled,
    Get,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is done.
    None,
    /// It is not done, and fails.
    Fails,
    /// It is done, and the reply is lost.
    LosesReply,
    /// It is done, and no reply ever comes.
    Hangs,
}

type Script = Vec<(Call, VecDeque<Fault>)>;

#[derive(Clone, Default)]
pub struct Scripted {
    pub memory: MemoryStore,
    script: Arc<Mutex<Script>>,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl Scripted {
    /// The next calls of this kind end so; those after them are done.
    pub fn next(&self, call: Call, faults: impl IntoIterator<Item = Fault>) {
        self.script.lock().unwrap().push((call, faults.into_iter().collect()));
    }

    pub fn calls(&self, call: Call) -> usize {
        self.calls.lock().unwrap().iter().filter(|made| **made == call).count()
    }

    fn run<'a, T: Send + 'a>(
        &'a self,
        call: Call,
        work: impl FnOnce(&'a MemoryStore) -> BoxFuture<'a, Result<T, StoreError>> + Send + 'a,
    ) -> BoxFuture<'a, Result<T, StoreError>> {
        self.calls.lock().unwrap().push(call);
        let fault = self
            .script
            .lock()
            .unwrap()
            .iter_mut()
            .find_map(|(of, faults)| if *of == call { faults.pop_front() } else { None });
        Box::pin(async move {
            let down = StoreError::new("scripted to fail");
            match fault.unwrap_or(Fault::None) {
                Fault::None => work(&self.memory).await,
                Fault::Fails => Err(down),
                Fault::LosesReply => work(&self.memory).await.and(Err(down)),
                Fault::Hangs => {
                    let _ = work(&self.memory).await;
                    std::future::pending().await
                }
            }
        })
    }
}

impl IdempotencyStore for Scripted {
    fn id(&self) -> StoreId {
        self.memory.id()
    }

    fn begin(&self, begin: Begin) -> BoxFuture<'_, Result<Begun, StoreError>> {
        self.run(Call::Begin, move |memory| memory.begin(begin))
    }

    fn complete(&self, fence: Fence, recorded: Recorded, keep: Duration) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.run(Call::Complete, move |memory| memory.complete(fence, recorded, keep))
    }

    fn renew(&self, fence: Fence, lease: Duration) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.run(Call::Renew, move |memory| memory.renew(fence, lease))
    }

    fn release(&self, fence: Fence) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.run(Call::Release, move |memory| memory.release(fence))
    }

    fn settled(&self, fence: Fence) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.run(Call::Settled, move |memory| memory.settled(fence))
    }

    fn get(&self, key: StoreKey) -> BoxFuture<'_, Result<Option<Recorded>, StoreError>> {
        self.run(Call::Get, move |memory| memory.get(key))
    }

    fn sweep(&self, most: usize) -> BoxFuture<'_, Result<usize, StoreError>> {
        self.memory.sweep(most)
    }
}
