//! The atomics and the mutex of [`Gate`](super::gate::Gate): the standard library's, or those with which loom tries every order
//! in which threads can meet.

#[cfg(all(test, steadfast_loom))]
pub(super) use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU64, Ordering},
};
#[cfg(not(all(test, steadfast_loom)))]
pub(super) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU64, Ordering},
};
