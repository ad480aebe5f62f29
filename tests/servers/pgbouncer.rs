//! A private `PgBouncer` before a private Postgres, with the settings that the docs of the store print.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]

use super::postgres_server::{Server, User, folder, free_port};
use std::{
    env, fs,
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::Duration,
};
use tempfile::TempDir;
use tokio::time::Instant;

/// Runs it until the input ends, then removes the folder. SIGTERM ends it at once.
const GUARD: &str = r#"dir=$1; shift; "$@" </dev/null & read _; kill -TERM $! 2>/dev/null; wait; rm -rf "$dir""#;

const MISSING: &str = "PgBouncer is missing: install it (Debian: apt-get install pgbouncer)";

/// The settings in the docs of the Postgres store.
pub fn documented() -> String {
    let docs = include_str!("../../src/store/postgres/mod.rs");
    let block = docs.split_once("//! ```ini\n").expect("an ini block").1.split_once("//! ```\n").unwrap().0;
    block.lines().map(|line| line.strip_prefix("//!").unwrap().trim_start().to_owned() + "\n").collect()
}

pub struct PgBouncer {
    dir: TempDir,
    port: u16,
    guard: Child,
}

impl PgBouncer {
    /// Before `server`, with these settings: their addresses and files are replaced, and nothing else.
    pub fn start(server: &Server, settings: &str) -> Self {
        let (user, port) = (User::unprivileged(), free_port());
        let dir = folder(user);
        let users = dir.path().join("userlist.txt");
        fs::write(&users, "\"postgres\" \"secret\"\n").unwrap();
        let settings = settings
            .replace("port=5432", &format!("port={}", server.address().port()))
            .replace("listen_port = 6432", &format!("listen_port = {port}"))
            .replace("/etc/pgbouncer/userlist.txt", users.to_str().unwrap());
        let file = dir.path().join("pgbouncer.ini");
        fs::write(&file, format!("{settings}\nunix_socket_dir =\n")).unwrap();
        let log = fs::File::create(dir.path().join("log")).unwrap();
        let guard = user
            .command(Path::new("sh"), dir.path())
            .args(["-c", GUARD, "guard"])
            .args([dir.path(), &program(), &file])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let bouncer = Self { dir, port, guard };
        let until = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < until, "PgBouncer did not start:\n{}", bouncer.log());
            std::thread::park_timeout(Duration::from_millis(20));
        }
        bouncer
    }

    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres:secret@127.0.0.1:{}/{database}", self.port)
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap()
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        // the guard ends it when its own input ends
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

/// In the PATH, or where Debian puts it.
fn program() -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let all = env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]).map(|dir| dir.join("pgbouncer"));
    all.into_iter().find(|program| program.exists()).unwrap_or_else(|| panic!("{MISSING}"))
}
