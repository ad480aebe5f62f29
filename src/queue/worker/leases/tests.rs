use super::*;
use crate::{
    queue::{MessageId, Queue, config::Config},
    store::memory::MemoryStore,
};
use tokio::sync::oneshot::error::TryRecvError;

#[test]
fn messages_that_a_store_claimed_under_one_token_are_held_one_by_one() {
    let context = Context::new(Queue::new("q", MemoryStore::new()), Config::default());
    let token = Token::random();
    let lease = |row| Lease { id: MessageId::new(), row, attempt: 1, token };
    let (first, mut first_lost) = Leases::hold(&context, lease(1));
    let (second, mut second_lost) = Leases::hold(&context, lease(2));
    assert_eq!(first_lost.try_recv(), Err(TryRecvError::Empty), "the second one does not take its place");
    drop(first);
    assert_eq!(second_lost.try_recv(), Err(TryRecvError::Empty), "nor does it end with the first");
    assert_eq!(context.leases.held.with(|held| held.len()), 1);
    drop(second);
    assert!(context.leases.held.with(|held| held.is_empty()));
}

#[test]
fn a_message_that_is_claimed_again_while_its_first_run_ends_is_held_by_the_second() {
    let context = Context::new(Queue::new("q", MemoryStore::new()), Config::default());
    let id = MessageId::new();
    let lease = |attempt| Lease { id, row: 1, attempt, token: Token::random() };
    let (first, _) = Leases::hold(&context, lease(1));
    let (_second, mut lost) = Leases::hold(&context, lease(2));
    drop(first);
    assert_eq!((lost.try_recv(), context.leases.held.with(|held| held.len())), (Err(TryRecvError::Empty), 1));
}

/// Looks at the leases when it is woken.
struct Looks(Arc<Context>);

impl std::task::Wake for Looks {
    fn wake(self: Arc<Self>) {
        assert!(self.0.leases.held.is_free(), "the leases were locked while a waker ran");
    }
}

#[test]
fn an_attempt_is_woken_without_the_lock_when_its_lease_is_let_go_or_replaced() {
    let context = Context::new(Queue::new("q", MemoryStore::new()), Config::default());
    let lease = Lease { id: MessageId::new(), row: 1, attempt: 1, token: Token::random() };
    let waker = std::task::Waker::from(Arc::new(Looks(context.clone())));
    let pending = |lost: &mut oneshot::Receiver<()>| {
        std::pin::Pin::new(lost).poll(&mut std::task::Context::from_waker(&waker)).is_pending()
    };
    let (_first, mut lost) = Leases::hold(&context, lease);
    assert!(pending(&mut lost));
    let (second, mut lost) = Leases::hold(&context, lease);
    assert!(pending(&mut lost));
    drop(second);
}
