//! Durable queue.

mod history;
mod letter;
mod message;
mod store;

pub use crate::token::{StoreId, Token};
pub use history::{Attempted, Reason};
pub use letter::{DeadLetter, Filter};
pub use message::{Lease, Message, MessageId, NewMessage};
pub use store::{Claim, Enqueued, LeaseLost, QueueStore, Settle, Stats};
