//! What the server does in one step. Each script has one key, so it runs on any node of a cluster that has that key.

use std::sync::LazyLock;

/// Known to the server by its hash once it was sent there.
pub(super) struct Script {
    pub(super) code: &'static str,
    /// SHA-1 in hexadecimal digits.
    pub(super) hash: String,
}

impl Script {
    fn new(code: &'static str) -> Self {
        Self { code, hash: redis::Script::new(code).get_hash().to_owned() }
    }
}

macro_rules! fenced {
    ($file:literal) => {
        LazyLock::new(|| Script::new(concat!(include_str!("scripts/fence.lua"), include_str!($file))))
    };
}

pub(super) static BEGIN: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/begin.lua")));
pub(super) static COMPLETE: LazyLock<Script> = fenced!("scripts/complete.lua");
pub(super) static RENEW: LazyLock<Script> = fenced!("scripts/renew.lua");
pub(super) static RELEASE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/release.lua")));
