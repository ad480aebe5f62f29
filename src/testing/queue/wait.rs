use super::{LONG, SHORT, SOON, claim, enqueue, law, queue, retry, settle, up_to};
use crate::{
    error::{BoxError, BoxFuture},
    queue::{NewMessage, QueueStore},
};
use tokio::time::timeout;

pub(super) async fn whoever_waits_is_woken(store: &dyn QueueStore) -> Result<(), BoxError> {
    let queue = queue();
    enqueue(store, &queue, NewMessage::new("")).await?;
    law(timeout(SOON, store.wait(&queue)).await.is_ok(), "whoever comes after an enqueue does not wait")?;
    let message = claim(store, &queue, LONG).await?;
    let (mut one, mut other) = (store.wait(&queue), store.wait(&queue));
    begin(&mut one).await;
    begin(&mut other).await;
    enqueue(store, &queue, NewMessage::new("")).await?;
    law(timeout(SOON, one).await.is_ok(), "an enqueue wakes who waits")?;
    law(timeout(SOON, other).await.is_ok(), "all of them")?;
    claim(store, &queue, LONG).await?;
    law(settle(store, &message, retry(&message, SHORT)).await?.is_ok(), "again later")?;
    // it may wake for nothing before, so it is asked again until there is something
    let woken = timeout(SOON, async {
        while store.claim(&queue, up_to(1, LONG)).await?.is_empty() {
            store.wait(&queue).await;
        }
        Ok::<_, BoxError>(())
    });
    law(woken.await.is_ok(), "the time of a message that waits wakes")
}

/// Polled once; dropped unfinished if it was done at once, which a wait may.
async fn begin(wait: &mut BoxFuture<'_, ()>) {
    let mut done = false;
    std::future::poll_fn(|cx| {
        done = wait.as_mut().poll(cx).is_ready();
        std::task::Poll::Ready(())
    })
    .await;
    if done {
        *wait = Box::pin(std::future::ready(()));
    }
}
