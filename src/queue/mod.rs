//! Durable queue.

mod accept;
mod answer;
mod config;
mod counters;
mod deliver;
mod error;
mod handle;
mod history;
mod letter;
mod message;
mod report;
mod store;
mod to_http;
mod worker;

pub use crate::token::{StoreId, Token};
pub use accept::Accept;
pub use answer::ReadAnswer;
pub use deliver::{Deliver, MakeRequest};
pub use error::Undecodable;
pub use handle::Queue;
pub use history::{Attempted, Reason};
pub use letter::{DeadLetter, Filter};
pub use message::{Lease, Message, MessageId, NewMessage};
pub use report::{IntoReport, Report};
pub use store::{Claim, Enqueued, LeaseLost, QueueStore, Settle, Stats};
pub use to_http::ToHttp;
#[cfg(feature = "reqwest")]
pub(crate) use to_http::headers;
pub use worker::Worker;
