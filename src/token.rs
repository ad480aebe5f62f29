//! Names that nobody else draws: fencing tokens, message ids, store ids.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

/// 128 random bits. Drawn by whoever claims, so it is at the same time the fence and the name of the attempt: a store that
/// sees it a second time knows that the reply to the first was lost.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token(pub [u8; 16]);

impl Token {
    /// From the operating system's generator; from the process's own where that one fails.
    pub fn random() -> Self {
        let mut bytes = [0; 16];
        fill(&mut bytes);
        Self(bytes)
    }
}

/// A token opens what it fences: logs see only that there is one.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
    }
}

/// Which store something belongs to: every store that is opened or made has its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StoreId(u64);

impl StoreId {
    /// Another one than all before in this process.
    pub fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

pub(crate) fn fill(bytes: &mut [u8]) {
    if getrandom::fill(bytes).is_err() {
        fastrand::fill(bytes);
    }
}
