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
    Sweep,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is done.
    None,
    /// It is not done, and fails.
    Fails,
    /// It is not done, and fails as a refusal.
    Refuses,
    /// As [`Refuses`](Self::Refuses): there is no room.
    IsFull,
    /// It is done, and the reply is lost.
    LosesReply,
    /// It is done, and no reply ever comes.
    Hangs,
    /// It is still on its way for so long, and then done, whoever has stopped waiting; no reply ever comes.
    Late(Duration),
}

type Script = Vec<(Call, VecDeque<Fault>)>;

#[derive(Clone, Default)]
pub struct Scripted {
    pub memory: MemoryStore,
    identity: MemoryStore,
    script: Arc<Mutex<Script>>,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl Scripted {
    /// Returns the store of another process over the same records.
    pub fn of_another_process(&self) -> Self {
        Self { memory: self.memory.clone(), ..Self::default() }
    }

    /// The next calls of this kind end so; those after them are done.
    pub fn next(&self, call: Call, faults: impl IntoIterator<Item = Fault>) {
        self.script.lock().unwrap().push((call, faults.into_iter().collect()));
    }

    pub fn calls(&self, call: Call) -> usize {
        self.calls.lock().unwrap().iter().filter(|made| **made == call).count()
    }

    fn run<T, F>(&self, call: Call, work: impl FnOnce(MemoryStore) -> F) -> BoxFuture<'_, Result<T, StoreError>>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        self.calls.lock().unwrap().push(call);
        let fault = self
            .script
            .lock()
            .unwrap()
            .iter_mut()
            .find_map(|(of, faults)| if *of == call { faults.pop_front() } else { None });
        let work = work(self.memory.clone());
        Box::pin(async move {
            let down = StoreError::new("scripted to fail");
            match fault.unwrap_or(Fault::None) {
                Fault::None => work.await,
                Fault::Fails => Err(down),
                Fault::Refuses => Err(StoreError::refused("scripted to refuse")),
                Fault::IsFull => Err(StoreError::full("scripted to be full")),
                Fault::LosesReply => work.await.and(Err(down)),
                Fault::Hangs => {
                    let _ = work.await;
                    std::future::pending().await
                }
                Fault::Late(by) => {
                    tokio::spawn(async move {
                        tokio::time::sleep(by).await;
                        work.await
                    });
                    std::future::pending().await
                }
            }
        })
    }
}

impl IdempotencyStore for Scripted {
    fn id(&self) -> StoreId {
        self.identity.id()
    }

    fn begin(&self, begin: Begin) -> BoxFuture<'_, Result<Begun, StoreError>> {
        self.run(Call::Begin, move |memory| async move { memory.begin(begin).await })
    }

    fn complete(&self, fence: Fence, recorded: Recorded, keep: Duration) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.run(Call::Complete, move |memory| async move { memory.complete(fence, recorded, keep).await })
    }

    fn renew(&self, fence: Fence, lease: Duration) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.run(Call::Renew, move |memory| async move { memory.renew(fence, lease).await })
    }

    fn release(&self, fence: Fence) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.run(Call::Release, move |memory| async move { memory.release(fence).await })
    }

    fn settled(&self, fence: Fence) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.run(Call::Settled, move |memory| async move { memory.settled(fence).await })
    }

    fn get(&self, key: StoreKey) -> BoxFuture<'_, Result<Option<Recorded>, StoreError>> {
        self.run(Call::Get, move |memory| async move { memory.get(key).await })
    }

    fn sweep(&self, most: usize) -> BoxFuture<'_, Result<usize, StoreError>> {
        self.run(Call::Sweep, move |memory| async move { memory.sweep(most).await })
    }
}
