//! The file, before SQLite opens it: messages and records are for the service alone.

use crate::error::StoreError;
use std::path::Path;

/// SQLite takes what begins so for a URI, whose options may name another file, or none. The readers open the absolute path.
const URI: &[u8] = b"file:";

/// Refuses a URI.
pub(super) fn is_path(path: &Path) -> Result<(), StoreError> {
    if path.as_os_str().as_encoded_bytes().starts_with(URI) {
        return Err(StoreError::new("a path is needed, not a URI"));
    }
    Ok(())
}

/// Creates the file, readable and writable for its owner alone, where there is none. SQLite itself creates files that all users may
/// read. The log and its index get the mode of the file.
///
/// An existing file keeps its mode, and is not opened: closing it would drop all POSIX locks that this process has on it, those of
/// another store too.
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
    // created with the mode, not given it later; a file that another process creates in between is left alone
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == AlreadyExists => Ok(()),
        Err(error) => Err(cannot(error)),
    }
}

/// Elsewhere a new file inherits the rights of its folder.
#[cfg(not(unix))]
pub(super) fn create_private(_: &Path) -> Result<(), StoreError> {
    Ok(())
}

/// Returns whether SQLite takes the path for something else than a file.
#[cfg(unix)]
fn is_no_file(path: &Path) -> bool {
    let path = path.as_os_str().as_encoded_bytes();
    path.is_empty() || path == b":memory:"
}

/// Resolves symlinks, dangling ones too: `create_new` follows none, and SQLite does.
#[cfg(unix)]
fn behind_links(path: &Path) -> std::io::Result<std::path::PathBuf> {
    /// As many as Linux follows.
    const MOST: usize = 40;
    let mut path = path.to_owned();
    for _ in 0..MOST {
        // an error: it is no link, or it does not exist
        let Ok(to) = path.read_link() else { return Ok(path) };
        path = path.parent().map_or_else(|| to.clone(), |folder| folder.join(&to));
    }
    Err(std::io::Error::other("too many symlinks"))
}
