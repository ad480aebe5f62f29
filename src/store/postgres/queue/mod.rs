//! Messages: one row each, and what is known about them beside it. One statement for a call, all of them in `sql/`.

mod claim;
mod column;
mod enqueue;
mod key;
mod letters;
mod listener;
mod settle;
mod stats;
mod store;
mod wait;

pub(super) use listener::Listener;
