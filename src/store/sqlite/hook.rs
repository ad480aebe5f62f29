/// Setting a hook returns nothing in the older versions of rusqlite that this crate builds with, and a `Result` in the newer.
pub(super) trait Set {
    fn checked(self) -> rusqlite::Result<()>;
}

impl Set for () {
    fn checked(self) -> rusqlite::Result<()> {
        Ok(())
    }
}

impl Set for rusqlite::Result<()> {
    fn checked(self) -> rusqlite::Result<()> {
        self
    }
}
