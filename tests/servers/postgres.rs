//! A private Postgres: on a free port, in a folder of its own, gone with the test.
//!
//! For any test binary: `#[path = "../servers/postgres.rs"] mod postgres_server;`. [`shared`] is one server for the whole binary,
//! with a database for each test; a test that kills its server starts one of its own with [`Server::start`].
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]

use std::{
    env, fs,
    net::TcpListener,
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use steadfast::store::postgres::sqlx::{self, Connection, PgConnection, PgPool, postgres::PgPoolOptions};
use tempfile::TempDir;
use tokio::time::Instant;

const MISSING: &str = "Postgres is missing: install the server (Debian: apt-get install postgresql)";

/// What is killed is the process and not the machine: what was written survives that without an fsync. What a commit answered
/// must be written all the same, so `synchronous_commit` stays on.
const SETTINGS: [&str; 6] = [
    "fsync=off",
    "full_page_writes=off",
    "shared_buffers=32MB",
    "max_connections=300",
    "listen_addresses=127.0.0.1",
    "log_line_prefix=%d: ",
];

/// Runs the server until its input ends, as it does when the test process is gone, however it went; then removes the folder.
const GUARD: &str = r#"dir=$1; shift; "$@" </dev/null & read _; kill -QUIT $! 2>/dev/null; wait; rm -rf "$dir""#;

/// Postgres runs as nobody where the tests run as root: it refuses to be root.
#[derive(Clone, Copy)]
pub struct User(Option<(u32, u32)>);

impl User {
    pub fn unprivileged() -> Self {
        let id = |args: &[&str]| -> u32 {
            let out = Command::new("id").args(args).output().unwrap();
            String::from_utf8(out.stdout).unwrap().trim().parse().unwrap()
        };
        Self((id(&["-u"]) == 0).then(|| (id(&["-u", "nobody"]), id(&["-g", "nobody"]))))
    }

    pub fn command(self, program: &Path, dir: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(dir);
        if let Self(Some((user, group))) = self {
            command.uid(user).gid(group);
        }
        command
    }
}

pub struct Server {
    dir: TempDir,
    bin: PathBuf,
    user: User,
    port: u16,
    guard: Option<Child>,
}

/// One for all tests of a binary that leave it alive.
pub fn shared() -> &'static Server {
    static SERVER: LazyLock<Server> = LazyLock::new(Server::start);
    &SERVER
}

impl Server {
    /// Ready to be connected to.
    pub fn start() -> Self {
        let bin = binaries();
        let user = User::unprivileged();
        let dir = folder(user);
        let data = dir.path().join("data");
        let made = user
            .command(&bin.join("initdb"), dir.path())
            .args(["--no-sync", "--no-instructions", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "-D"])
            .arg(&data)
            .output()
            .unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let mut server = Self { dir, bin, user, port: free_port(), guard: None };
        server.restart();
        server
    }

    /// Of a database; `postgres` is always there.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    pub fn address(&self) -> std::net::SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// A new, empty database: its name.
    pub async fn database(&self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        self.run("postgres", format!("CREATE DATABASE {name}")).await;
        name
    }

    /// A pool over a new, empty database.
    pub async fn pool(&self) -> PgPool {
        pool(&self.url(&self.database().await)).await
    }

    /// Statements of the superuser, on a connection of their own.
    pub async fn run(&self, database: &str, sql: String) {
        let mut conn = PgConnection::connect(&self.url(database)).await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut conn).await.unwrap();
        conn.close().await.unwrap();
    }

    /// What it wrote since its folder was made.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap()
    }

    /// Starts it, or starts it again: on the same port, with what it had written. Answers once it takes connections.
    pub fn restart(&mut self) {
        self.kill();
        let data = self.dir.path().join("data");
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let log = fs::File::options().create(true).append(true).open(self.dir.path().join("log")).unwrap();
            let mut guard = self.user.command(Path::new("sh"), self.dir.path());
            guard.args(["-c", GUARD, "guard"]).arg(self.dir.path()).arg(self.bin.join("postgres"));
            guard.arg("-D").arg(&data).arg("-k").arg(self.dir.path()).args(["-p", &self.port.to_string()]);
            guard.args(SETTINGS.iter().flat_map(|setting| ["-c", setting]));
            let guard = guard.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log).process_group(0).spawn().unwrap();
            self.guard = Some(guard);
            while Instant::now() < until && self.guard.as_mut().unwrap().try_wait().unwrap().is_none() {
                if self.is_ready() {
                    return;
                }
                std::thread::park_timeout(Duration::from_millis(20));
            }
            // the processes of the one that was killed take a moment to notice
            self.kill();
            assert!(Instant::now() < until, "the server did not start:\n{}", self.log());
        }
    }

    /// A standby that streams from this server, ready for read-only connections.
    pub fn standby(&self) -> Self {
        let dir = folder(self.user);
        let copied = self
            .user
            .command(&self.bin.join("pg_basebackup"), dir.path())
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", "postgres"])
            .args(["-R", "-X", "stream", "--checkpoint=fast", "--no-sync", "-D"])
            .arg(dir.path().join("data"))
            .output()
            .unwrap();
        assert!(copied.status.success(), "pg_basebackup: {}", String::from_utf8_lossy(&copied.stderr));
        let mut server = Self { dir, bin: self.bin.clone(), user: self.user, port: free_port(), guard: None };
        server.restart();
        server
    }

    /// SIGSTOP to all of its processes: connections stay open and nothing is answered, until [`Self::go_on`].
    pub fn stall(&self) {
        self.signal_all("STOP");
    }

    /// Ends a [`Self::stall`].
    pub fn go_on(&self) {
        self.signal_all("CONT");
    }

    /// The parent first: stopped, it makes no more processes.
    fn signal_all(&self, name: &str) {
        let guard = self.guard.as_ref().expect("the server runs").id().to_string();
        for parent in children(&guard) {
            signal(name, &parent);
            for child in &children(&parent) {
                signal(name, child);
            }
        }
    }

    /// SIGKILL to all of its processes, at any moment. Answers once they are gone.
    pub fn kill(&mut self) {
        if let Some(mut guard) = self.guard.take() {
            // stopped, the parent makes no more of them; they lead process groups of their own
            let group = format!("-{}", guard.id());
            signal("STOP", &group);
            let postmaster = children(&guard.id().to_string());
            let backends = postmaster.iter().flat_map(|it| children(it));
            let all: Vec<String> = backends.chain(postmaster.iter().cloned()).collect();
            // with its guard, which would remove the folder
            signal("KILL", &group);
            guard.wait().unwrap();
            for process in &all {
                signal("KILL", process);
            }
            while all.iter().any(|process| is_alive(process)) {
                std::thread::park_timeout(Duration::from_millis(2));
            }
            // a zombie still has its number, and the next one would take that for a server that runs
            for lock in ["data/postmaster.pid".to_owned(), format!(".s.PGSQL.{}.lock", self.port)] {
                let _ = fs::remove_file(self.dir.path().join(lock));
            }
        }
    }

    fn is_ready(&self) -> bool {
        let mut ask = Command::new(self.bin.join("pg_isready"));
        ask.args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()]).status().unwrap().success()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Empty, and the user's own.
pub fn folder(user: User) -> TempDir {
    let dir = tempfile::Builder::new().prefix("pg").tempdir().unwrap();
    if let User(Some((user, group))) = user {
        chown(dir.path(), Some(user), Some(group)).unwrap();
    }
    dir
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A pool as a service would have it.
pub async fn pool(url: &str) -> PgPool {
    PgPoolOptions::new().max_connections(20).acquire_timeout(Duration::from_secs(10)).connect(url).await.unwrap()
}

/// In the PATH, or where Debian puts them: the newest.
fn binaries() -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut debian: Vec<PathBuf> = debian.map(|version| version.path().join("bin")).collect();
    debian.sort_by_key(|bin| bin.parent().and_then(|v| v.file_name()?.to_str()?.parse::<u32>().ok()));
    let all = env::split_paths(&path).chain(debian.into_iter().rev());
    let found = all.into_iter().find(|bin| ["initdb", "postgres", "pg_isready"].iter().all(|it| bin.join(it).exists()));
    found.unwrap_or_else(|| panic!("{MISSING}"))
}

fn signal(name: &str, process: &str) {
    Command::new("sh").args(["-c", r#"kill -s "$1" -- "$2" 2>/dev/null"#, "signal", name, process]).status().unwrap();
}

fn children(parent: &str) -> Vec<String> {
    let all = Command::new("ps").args(["-A", "-o", "pid=,ppid="]).output().expect("ps: install procps").stdout;
    let all = String::from_utf8(all).unwrap();
    let pairs = all.lines().filter_map(|line| line.trim().split_once(' ').map(|(pid, of)| (pid, of.trim())));
    pairs.filter(|(_, of)| *of == parent).map(|(pid, _)| pid.to_owned()).collect()
}

/// A zombie that nobody waits for is not: all that it held is free.
fn is_alive(process: &str) -> bool {
    let state = Command::new("ps").args(["-o", "stat=", "-p", process]).output().unwrap().stdout;
    !state.is_empty() && !state.starts_with(b"Z")
}
