//! The file, before SQLite opens it: messages and records are for the service alone.

use crate::error::StoreError;
use std::path::Path;

/// Creates the file, readable and writable for its owner alone, where there is none. SQLite would let everybody read what it creates;
/// the log and its index get the mode of the file.
///
/// A file that is there keeps its mode, and is not even opened: to close a file drops all locks that this process has on it, those
/// of another store too.
#[cfg(unix)]
pub(super) fn create_private(path: &Path) -> Result<(), StoreError> {
    use std::{
        fs::OpenOptions,
        io::ErrorKind::AlreadyExists,
        os::unix::fs::OpenOptionsExt,
        sync::{Mutex, PoisonError},
    };
    /// Held until a new file is closed again, so that no other store of this process has locks on it by then.
    static CREATING: Mutex<()> = Mutex::new(());

    if is_no_file(path) {
        return Ok(());
    }
    let cannot = |error| StoreError::with_source("the file cannot be opened", error);
    let path = behind_links(path).map_err(cannot)?;
    let _creating = CREATING.lock().unwrap_or_else(PoisonError::into_inner);
    // the mode is there from the first moment, and a file that somebody else creates in between is left alone
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == AlreadyExists => Ok(()),
        Err(error) => Err(cannot(error)),
    }
}

/// Elsewhere a new file gets the rights that its folder says.
#[cfg(not(unix))]
pub(super) fn create_private(_: &Path) -> Result<(), StoreError> {
    Ok(())
}

/// What SQLite takes for something else than the path of a file.
#[cfg(unix)]
fn is_no_file(path: &Path) -> bool {
    let path = path.as_os_str().as_encoded_bytes();
    path.is_empty() || path == b":memory:" || path.starts_with(b"file:")
}

/// Where a symlink leads, also to nowhere: `create_new` follows none, and SQLite does.
#[cfg(unix)]
fn behind_links(path: &Path) -> std::io::Result<std::path::PathBuf> {
    /// As many as Linux follows.
    const MOST: usize = 40;
    let mut path = path.to_owned();
    for _ in 0..MOST {
        // an error: it is no link, or nothing is there
        let Ok(to) = path.read_link() else { return Ok(path) };
        path = path.parent().map_or_else(|| to.clone(), |folder| folder.join(&to));
    }
    Err(std::io::Error::other("too many symlinks"))
}
