//! The files: who may read them, and what happens where the process may not write so much.

use super::{enqueue, up_to};
use std::{
    collections::BTreeMap,
    env, fs,
    io::{BufRead, BufReader, Write},
    os::unix::{
        fs::{PermissionsExt, symlink},
        process::ExitStatusExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Barrier,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};
use steadfast::{queue::QueueStore, store::sqlite::SqliteStore};

const FILE: &str = "STEADFAST_TEST_FILE";

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// All files of a folder, with their modes.
fn modes(dir: &Path) -> BTreeMap<String, u32> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| (entry.file_name().into_string().unwrap(), mode(&entry.path()))).collect()
}

/// What a store keeps open: the file, its log, and the index of the log.
fn three(mode: u32) -> BTreeMap<String, u32> {
    ["store.db", "store.db-shm", "store.db-wal"].map(|name| (name.to_owned(), mode)).into()
}

/// Runs one of the tests below as a process on `file`, by a shell that prepares it.
fn start(shell: &str, test: &str, file: &Path) -> Child {
    Command::new("sh")
        .args(["-c", shell])
        .arg(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(FILE, file)
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The process that is started with a file creation mask; it ends like one that is killed, so that its files are left. By itself, it
/// looks at them while the store is open.
#[tokio::test]
async fn a_process_that_creates_a_file() {
    if let Ok(file) = env::var(FILE) {
        let store = SqliteStore::open(file).unwrap();
        enqueue(&store, "q", "secret".into()).await.unwrap();
        std::process::exit(7);
    }
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path().join("store.db")).unwrap();
    enqueue(&store, "q", "secret".into()).await.unwrap();
    assert_eq!(modes(dir.path()), three(0o600));
}

#[test]
fn files_are_for_their_owner_alone_whatever_the_umask_lets_through() {
    for umask in ["000", "022", "002", "077"] {
        let dir = tempfile::tempdir().unwrap();
        let shell = format!("umask {umask}; exec \"$0\" \"$@\"");
        let mut child = start(&shell, "files::a_process_that_creates_a_file", &dir.path().join("store.db"));
        assert_eq!(child.wait().unwrap().code(), Some(7));
        assert_eq!(modes(dir.path()), three(0o600), "umask {umask}");
    }
}

/// Until the writer's thread has closed the file, and with it the log.
async fn closed(dir: &Path) {
    while dir.join("store.db-wal").exists() || dir.join("store.db-shm").exists() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_file_that_is_there_keeps_its_mode() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    drop(SqliteStore::open(&path).unwrap());
    closed(dir.path()).await;
    for mode in [0o640, 0o644, 0o600] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let store = SqliteStore::open(&path).unwrap();
        enqueue(&store, "q", "x".into()).await.unwrap();
        assert_eq!(modes(dir.path()), three(mode), "and so do those beside it");
        drop(store);
        closed(dir.path()).await;
    }
    let empty = dir.path().join("empty.db");
    fs::write(&empty, "").unwrap();
    fs::set_permissions(&empty, fs::Permissions::from_mode(0o660)).unwrap();
    let _store = SqliteStore::open(&empty).unwrap();
    assert_eq!(mode(&empty), 0o660);
}

#[tokio::test]
async fn a_symlink_to_nowhere_is_followed() {
    let dir = tempfile::tempdir().unwrap();
    let (there, link, second) = (dir.path().join("there"), dir.path().join("link"), dir.path().join("second"));
    fs::create_dir(&there).unwrap();
    symlink("there/store.db", &link).unwrap();
    symlink(&link, &second).unwrap();
    let store = SqliteStore::open(&second).unwrap();
    enqueue(&store, "q", "x".into()).await.unwrap();
    assert_eq!(modes(&there), three(0o600));
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink() && fs::symlink_metadata(&second).unwrap().is_symlink());
    assert_eq!(SqliteStore::open(&link).unwrap().stats("q").await.unwrap().ready, 1, "one file by both names");
    symlink("circle", dir.path().join("circle")).unwrap();
    assert_eq!(SqliteStore::open(dir.path().join("circle")).unwrap_err().what(), "the file cannot be opened");
}

/// SQLite would create it for all users to read, and the readers would look for another file.
#[tokio::test]
async fn a_uri_is_refused_and_creates_no_file() {
    let dir = tempfile::tempdir().unwrap();
    for uri in ["file:{}/store.db", "file://{}/store.db", "file:{}/store.db?mode=rwc", "file::memory:?cache=shared"] {
        let error = SqliteStore::open(uri.replace("{}", dir.path().to_str().unwrap())).unwrap_err();
        assert_eq!(error.what(), "a path is needed, not a URI", "{uri}");
    }
    assert_eq!(modes(dir.path()), BTreeMap::new());
}

/// Looks all the time: at no moment is a file there that others may read.
#[tokio::test]
async fn no_file_is_readable_by_others_for_a_moment() {
    let dir = tempfile::tempdir().unwrap();
    let (end, folder) = (Arc::new(AtomicBool::new(false)), dir.path().to_owned());
    let ended = end.clone();
    let watch = std::thread::spawn(move || {
        let mut seen = 0_u64;
        while !ended.load(SeqCst) {
            for entry in fs::read_dir(&folder).unwrap() {
                // one that is gone by now was another's
                let Ok(found) = fs::metadata(entry.unwrap().path()) else { continue };
                assert_eq!(found.permissions().mode() & 0o777, 0o600);
                seen += 1;
            }
        }
        seen
    });
    for n in 0..20 {
        let store = SqliteStore::open(dir.path().join(format!("{n}.db"))).unwrap();
        enqueue(&store, "q", "x".into()).await.unwrap();
    }
    end.store(true, SeqCst);
    assert!(watch.join().unwrap() > 0);
}

#[test]
fn many_who_create_one_file_at_once_have_one_store_each_and_all_messages() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for round in 0..10 {
        let dir = tempfile::tempdir().unwrap();
        let path: PathBuf = dir.path().join("store.db");
        let barrier = Arc::new(Barrier::new(8));
        let open = || {
            let (path, barrier) = (path.clone(), barrier.clone());
            std::thread::spawn(move || {
                barrier.wait();
                SqliteStore::open(path).unwrap()
            })
        };
        let threads: Vec<_> = (0..8).map(|_| open()).collect();
        let stores: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        for store in &stores {
            runtime.block_on(enqueue(store, "q", "x".into())).unwrap();
        }
        assert_eq!(runtime.block_on(stores[0].stats("q")).unwrap().ready, 8, "round {round}");
        assert_eq!(mode(&path), 0o600);
    }
}

/// The process that may not write files beyond a size. Reports what is stored and what is refused; once nothing more is taken, it
/// waits for a line, and then stores five more. By itself, it stores three.
#[tokio::test]
async fn a_process_that_may_not_write_so_much() {
    let tell = |line: String| {
        let mut out = std::io::stderr().lock();
        writeln!(out, "told {line}").unwrap();
    };
    let Ok(file) = env::var(FILE) else {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(dir.path().join("store.db")).unwrap();
        for _ in 0..3 {
            enqueue(&store, "q", "x".repeat(8_000)).await.unwrap();
        }
        assert_eq!(store.claim("q", up_to(10)).await.unwrap().len(), 3);
        return;
    };
    let store = SqliteStore::open(file).unwrap();
    let mut refused = 0;
    while refused < 5 {
        match enqueue(&store, "q", "x".repeat(8_000)).await {
            Ok(()) => {
                refused = 0;
                tell("stored".into());
            }
            Err(error) => {
                refused += 1;
                tell(format!("refused {}", error.what()));
            }
        }
    }
    let readable = store.stats("q").await.unwrap().ready;
    tell(format!("full {readable}"));
    std::io::stdin().read_line(&mut String::new()).unwrap();
    for _ in 0..5 {
        enqueue(&store, "q", "x".repeat(8_000)).await.unwrap();
        tell("stored".into());
    }
    std::process::exit(7);
}

/// 1 MiB for each file, which the process itself may raise.
const LIMITED: &str = "exec prlimit --fsize=1048576:unlimited \"$0\" \"$@\"";

#[tokio::test]
async fn where_sigxfsz_is_ignored_a_file_that_may_not_grow_is_an_error_loses_nothing_and_passes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    let shell = format!("trap '' XFSZ; {LIMITED}");
    let mut child = start(&shell, "files::a_process_that_may_not_write_so_much", &path);
    let (mut stored, mut refusals, mut raised) = (0_u64, 0, false);
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        let line = line.unwrap();
        match line.strip_prefix("told ").map(|told| told.split_once(' ').unwrap_or((told, ""))) {
            Some(("stored", _)) => stored += 1,
            Some(("refused", what)) => {
                refusals += 1;
                assert!(what.contains("may not be written") || what.contains("full"), "{what}");
            }
            Some(("full", readable)) => {
                assert_eq!(readable, stored.to_string(), "what was refused is not there, and the rest can be read");
                assert!(stored > 90, "{stored}: the file takes what its log took before");
                let pid = child.id().to_string();
                let raise = Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited"]).status().unwrap();
                assert!(raise.success());
                child.stdin.take().unwrap().write_all(b"go on\n").unwrap();
                raised = true;
            }
            _ => {}
        }
    }
    assert_eq!(child.wait().unwrap().code(), Some(7), "it has lived");
    assert!(raised && refusals >= 5);
    let store = SqliteStore::open(&path).unwrap();
    assert_eq!(store.claim("q", up_to(10_000)).await.unwrap().len() as u64, stored);
}

#[tokio::test]
async fn where_it_is_not_ignored_the_process_dies_and_what_was_answered_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    let mut child = start(LIMITED, "files::a_process_that_may_not_write_so_much", &path);
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let stored = lines.filter(|line| line.as_ref().unwrap() == "told stored").count();
    let sigxfsz = 25;
    assert_eq!(child.wait().unwrap().signal(), Some(sigxfsz));
    let store = SqliteStore::open(&path).unwrap();
    let found = store.claim("q", up_to(10_000)).await.unwrap().len();
    assert!(found == stored || found == stored + 1, "{stored} were answered, {found} are there");
    enqueue(&store, "q", "x".into()).await.unwrap();
}
