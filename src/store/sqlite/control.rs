use rusqlite::{Connection, Statement};

/// The name of the savepoint around a user's closure; the closure may use any other.
pub(super) const SAVEPOINT: &str = "steadfast";

/// The statements that hold groups and closures together. Kept outside the connection's cache: there a user's closure would
/// find them prepared, and no authorizer is asked again.
pub(super) struct Control<'c> {
    begin: Statement<'c>,
    commit: Statement<'c>,
    rollback: Statement<'c>,
    savepoint: Statement<'c>,
    release: Statement<'c>,
    rollback_to: Statement<'c>,
}

impl<'c> Control<'c> {
    pub(super) fn new(conn: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            begin: conn.prepare("BEGIN IMMEDIATE")?,
            commit: conn.prepare("COMMIT")?,
            rollback: conn.prepare("ROLLBACK")?,
            savepoint: conn.prepare(&format!("SAVEPOINT {SAVEPOINT}"))?,
            release: conn.prepare(&format!("RELEASE {SAVEPOINT}"))?,
            rollback_to: conn.prepare(&format!("ROLLBACK TO {SAVEPOINT}"))?,
        })
    }

    pub(super) fn begin(&mut self) -> rusqlite::Result<()> {
        self.begin.execute([]).map(drop)
    }

    pub(super) fn commit(&mut self) -> rusqlite::Result<()> {
        self.commit.execute([]).map(drop)
    }

    pub(super) fn rollback(&mut self) -> rusqlite::Result<()> {
        self.rollback.execute([]).map(drop)
    }

    pub(super) fn savepoint(&mut self) -> rusqlite::Result<()> {
        self.savepoint.execute([]).map(drop)
    }

    /// Ends the savepoint: what was done inside stays, or not.
    pub(super) fn end(&mut self, keep: bool) -> rusqlite::Result<()> {
        if !keep {
            self.rollback_to.execute([])?;
        }
        self.release.execute([]).map(drop)
    }
}
