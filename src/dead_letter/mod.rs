//! What a queue could not do: looked at, sent again at a rate, or removed.
//!
//! You want it in an operator's page or tool, and in the runbook for the day after an outage. You do not want it as a second queue:
//! nothing leaves it unless a person says so.
//!
//! ```
//! use steadfast::{dead_letter::Filter, queue::Queue, store::memory::MemoryStore};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let queue = Queue::new("orders", MemoryStore::new());
//! let redriven = queue.dead_letters().redrive(Filter::all()).rate(10.0).by("ada").await?;
//! assert_eq!(redriven.redriven, 0);
//! # Ok(()) }
//! ```
//!
//! Look before: which letters, and why each died.
//!
//! ```
//! # use steadfast::{dead_letter::{Filter, Reason}, queue::Queue, store::memory::MemoryStore};
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! # let queue = Queue::new("orders", MemoryStore::new());
//! let letters = queue.dead_letters();
//! let rejected = Filter::all().reason(Reason::Rejected).topic("orders");
//! let mut cursor = None;
//! loop {
//!     let page = letters.list(rejected.clone()).after(cursor).await?;
//!     for letter in &page.letters {
//!         println!("{} {}: {:?}", letter.id, letter.reason, letter.history.last());
//!     }
//!     cursor = page.next;
//!     if cursor.is_none() {
//!         break;
//!     }
//! }
//! let would = letters.redrive(rejected).dry_run().await?;
//! println!("{} would be sent again", would.matched);
//! # Ok(()) }
//! ```
//!
//! | reason | what happened | was it done? | a redrive calls with |
//! | --- | --- | --- | --- |
//! | `exhausted` | as many attempts as it may have came to nothing | unknown | the same `Idempotency-Key` |
//! | `crashed` | its attempts ended with their process | unknown | the same |
//! | `expired` | it became too old | unknown | the same |
//! | `rejected` | the other side said no, for certain | no | a new one: the old one was answered with a no |
//! | `undecodable` | it cannot be made into a request | no | a new one |
//!
//! # Redrive
//!
//! A letter becomes ready again, with no attempt used and a new age; its history is kept and says who did it. A redrive goes
//! through the letters once, by id: one that dies again meanwhile is not sent a third time, and one that was enqueued after the redrive
//! began is not meant. With `rate` the first goes at once and the others are evenly spread; without it all are ready at
//! once, and the worker's concurrency is the only limit. Each page is one commit (with a rate: as many as are due).
//!
//! | setting | default | unit, range |
//! | --- | --- | --- |
//! | `rate` | none | letters a second, above 0 |
//! | `by` | `"unnamed"` | kept in the history of each letter |
//! | `dry_run` | off | only counts |
//! | `list(..).limit` | 100 | letters a page |
//!
//! | error | means | what to do |
//! | --- | --- | --- |
//! | [`RedriveError`] | the store failed on the way, or the rate is none; `so_far()` tells how far it came | the same redrive again does the rest |
//! | [`StoreError`](crate::error::StoreError) | the store failed | again |
//!
//! Guarantees. Nothing is redriven before the redrive is awaited; dropping it ends it, and what is ready by then stays so. Two redrives at
//! once make each letter ready once. A purge is for good. It forgets the dedupe keys of what it removes, in the same commit: a sender that repeats such a
//! delivery has it accepted as a new message.
//!
//! Events: INFO `dead letters redriven` and `dead letters purged`, with how many.

mod error;
mod letters;
mod list;
mod pace;
mod redrive;

pub use crate::queue::{DeadLetter, Filter, Reason};
pub use error::RedriveError;
pub use letters::DeadLetters;
pub use list::{List, Page};
use pace::Pace;
pub use redrive::{Redrive, Redriven};
