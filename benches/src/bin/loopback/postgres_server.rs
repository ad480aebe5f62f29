//! A private Postgres that writes to its disk as any other does: the one of the tests does not wait for it.
use std::{
    env, fs,
    net::TcpListener,
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};
use steadfast::error::BoxError;
use tempfile::TempDir;

pub(crate) struct PostgresServer {
    dir: TempDir,
    port: u16,
    /// Stops the server when nobody holds its standard input any more, so also when this process is killed.
    guard: Child,
}

const GUARD: &str = r#""$@" </dev/null >/dev/null 2>&1 & read _; kill -INT $!; wait"#;

impl PostgresServer {
    pub(crate) fn start() -> Result<Self, BoxError> {
        let bin = binaries().ok_or("Postgres is missing: apt-get install postgresql")?;
        let dir = tempfile::Builder::new().prefix("pg").tempdir_in("/var/tmp")?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let data = dir.path().join("data");
        let mut initdb = command(&bin.join("initdb"), dir.path())?;
        let made =
            initdb.args(["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "-D"]).arg(&data).output()?;
        if !made.status.success() {
            return Err(String::from_utf8_lossy(&made.stderr).into());
        }
        let mut guard = command(Path::new("sh"), dir.path())?;
        guard.args(["-c", GUARD, "guard"]).arg(bin.join("postgres")).arg("-D").arg(&data).arg("-k").arg(dir.path());
        guard.args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"]);
        let this = Self { dir, port, guard: guard.stdin(Stdio::piped()).spawn()? };
        for _ in 0..500 {
            let mut ask = Command::new(bin.join("pg_isready"));
            if ask.args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()]).status()?.success() {
                return Ok(this);
            }
            thread::sleep(Duration::from_millis(20));
        }
        Err("Postgres does not start".into())
    }

    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        if let Err(error) = self.guard.wait() {
            eprintln!("{}: {error}", self.dir.path().display());
        }
    }
}

/// As `nobody` where this is root: Postgres refuses to be root.
fn command(program: &Path, dir: &Path) -> Result<Command, BoxError> {
    let mut command = Command::new(program);
    command.current_dir(dir);
    if fs::metadata("/proc/self")?.uid() == 0 {
        const NOBODY: u32 = 65534;
        chown(dir, Some(NOBODY), Some(NOBODY))?;
        command.uid(NOBODY).gid(NOBODY);
    }
    Ok(command)
}

/// In the PATH, or where Debian puts them.
fn binaries() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let all: Vec<_> = env::split_paths(&path).chain(debian.map(|version| version.path().join("bin"))).collect();
    all.into_iter().find(|bin| ["initdb", "postgres", "pg_isready"].iter().all(|it| bin.join(it).exists()))
}
