//! Messages: one row each, and what is known about them beside it.

mod claim;
mod column;
mod enqueue;
mod history;
mod letters;
mod settle;
mod stats;
mod store;
mod wait;
