use std::{
    num::{NonZeroU16, NonZeroU32, NonZeroU64},
    time::Duration,
};

/// How a [`SqliteStore`](super::SqliteStore) works. The defaults suit one service on one machine.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct SqliteConfig {
    pub(super) name: Option<String>,
    pub(super) group_jobs: NonZeroU32,
    #[cfg_attr(feature = "serde", serde(with = "crate::setting::duration"))]
    pub(super) group_time: Duration,
    #[cfg_attr(feature = "serde", serde(with = "crate::setting::duration"))]
    pub(super) closure_time: Duration,
    pub(super) backlog: NonZeroU32,
    pub(super) readers: NonZeroU16,
    pub(super) max_bytes: Option<NonZeroU64>,
}

impl SqliteConfig {
    /// Jobs in one commit, at most: what one fsync is shared by.
    pub const GROUP_JOBS: NonZeroU32 = NonZeroU32::new(512).unwrap();
    /// After this long a group takes no more jobs, so that a slow closure delays those before it by itself only.
    pub const GROUP_TIME: Duration = Duration::from_millis(20);
    /// After this long the SQL of a user's closure is interrupted: it holds up everybody.
    pub const CLOSURE_TIME: Duration = Duration::from_millis(250);
    /// Jobs that wait for the writer; beyond it callers wait to hand theirs in.
    pub const BACKLOG: NonZeroU32 = NonZeroU32::new(1024).unwrap();
    /// Connections that read.
    pub const READERS: NonZeroU16 = NonZeroU16::new(4).unwrap();

    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// In the registry and in metrics. Default: the path of the file.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Jobs in one commit, at most. Default: 512.
    #[must_use]
    pub const fn with_group_jobs(mut self, most: NonZeroU32) -> Self {
        self.group_jobs = most;
        self
    }

    /// After this long a group takes no more jobs. Default: 20 ms.
    #[must_use]
    pub const fn with_group_time(mut self, most: Duration) -> Self {
        self.group_time = most;
        self
    }

    /// After this long the SQL of a closure given to [`transaction`](super::SqliteStore::transaction) is interrupted.
    /// Default: 250 ms.
    #[must_use]
    pub const fn with_closure_time(mut self, most: Duration) -> Self {
        self.closure_time = most;
        self
    }

    /// Jobs that wait for the writer, at most; beyond it callers wait. Default: 1024.
    #[must_use]
    pub const fn with_backlog(mut self, most: NonZeroU32) -> Self {
        self.backlog = most;
        self
    }

    /// Connections that read, at most; each is opened when first needed. Default: 4.
    #[must_use]
    pub const fn with_readers(mut self, most: NonZeroU16) -> Self {
        self.readers = most;
        self
    }

    /// How large the file may grow, in bytes (rounded down to whole pages); the log beside it is not counted. A write that
    /// would need more fails as one on a full disk does. Default: as large as the disk.
    #[must_use]
    pub const fn with_max_bytes(mut self, most: NonZeroU64) -> Self {
        self.max_bytes = Some(most);
        self
    }
}

impl Default for SqliteConfig {
    fn default() -> Self {
        Self {
            name: None,
            group_jobs: Self::GROUP_JOBS,
            group_time: Self::GROUP_TIME,
            closure_time: Self::CLOSURE_TIME,
            backlog: Self::BACKLOG,
            readers: Self::READERS,
            max_bytes: None,
        }
    }
}
