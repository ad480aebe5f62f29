//! What a user's closure cannot do to the group that it runs in. Set once: setting an authorizer expires every prepared
//! statement of the connection.

use super::{control::SAVEPOINT, hook::Set};
use rusqlite::{
    Connection,
    hooks::{AuthAction, AuthContext, Authorization},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::Instant;

/// SQLite asks for the time after about so many of its steps: some hundred microseconds.
const STEPS: i32 = 4_000;

/// Read by SQLite's callbacks, on the writer's thread.
pub(super) struct Guard {
    inside: AtomicBool,
    /// In microseconds since `start`; 0: none.
    deadline: AtomicU64,
    start: Instant,
}

impl Guard {
    pub(super) fn set(conn: &mut Connection) -> rusqlite::Result<Arc<Self>> {
        let guard =
            Arc::new(Self { inside: AtomicBool::new(false), deadline: AtomicU64::new(0), start: Instant::now() });
        let of = guard.clone();
        conn.authorizer(Some(move |context: AuthContext<'_>| of.authorize(&context.action))).checked()?;
        let of = guard.clone();
        conn.progress_handler(STEPS, Some(move || of.is_over())).checked()?;
        // The wall behind the authorizer. SQLite may have rolled the group back in the middle of the closure (an interrupted
        // write, ON CONFLICT ROLLBACK), and the closure may have gone on: then each of its statements would commit by itself.
        let of = guard.clone();
        conn.commit_hook(Some(move || of.inside.load(Relaxed))).checked()?;
        Ok(guard)
    }

    /// From here on the statements are a user's.
    pub(super) fn enter(&self, most: Duration) {
        let deadline = micros(self.start.elapsed()).saturating_add(micros(most)).max(1);
        self.deadline.store(deadline, Relaxed);
        self.inside.store(true, Relaxed);
    }

    pub(super) fn leave(&self) {
        self.inside.store(false, Relaxed);
        self.deadline.store(0, Relaxed);
    }

    fn authorize(&self, action: &AuthAction<'_>) -> Authorization {
        let forbidden = match action {
            AuthAction::Transaction { .. }
            | AuthAction::Attach { .. }
            | AuthAction::Detach { .. }
            | AuthAction::Pragma { .. } => true,
            AuthAction::Savepoint { savepoint_name, .. } => savepoint_name.eq_ignore_ascii_case(SAVEPOINT),
            _ => false,
        };
        if forbidden && self.inside.load(Relaxed) { Authorization::Deny } else { Authorization::Allow }
    }

    fn is_over(&self) -> bool {
        let deadline = self.deadline.load(Relaxed);
        deadline != 0 && micros(self.start.elapsed()) > deadline
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
