//! A private `redis-server`, from the installed binary, on a free port of this machine. For test binaries:
//! `#[path = "../servers/redis.rs"] mod redis_server;`.
//!
//! It ends with the value that started it, and with the process, even one that is killed.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::{
    io::{BufRead, BufReader, ErrorKind},
    net::TcpListener,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};
use tempfile::TempDir;

const INSTALL: &str = "redis-server is not installed: apt-get install redis-server";
const READY: &str = "Ready to accept connections";

/// One server, with a folder of its own.
pub(crate) struct RedisServer {
    dir: TempDir,
    port: u16,
    settings: Vec<String>,
    env: Vec<(String, String)>,
    running: Option<Running>,
}

struct Running {
    server: Child,
    /// Kills the server once nobody holds the other end of its standard input: that is, after this process.
    watch: Child,
}

impl RedisServer {
    /// Keeps nothing on disk: after [`kill`](Self::kill) what it knew is gone.
    pub(crate) fn start() -> Self {
        Self::with(&["--appendonly", "no"])
    }

    /// Every command is on disk before it is answered: `appendonly yes`, `appendfsync always`.
    pub(crate) fn persistent() -> Self {
        Self::with(&["--appendonly", "yes", "--appendfsync", "always"])
    }

    /// With other settings, as on the command line of `redis-server`.
    pub(crate) fn with(settings: &[&str]) -> Self {
        Self::with_env(settings, &[])
    }

    /// With variables of its environment too.
    pub(crate) fn with_env(settings: &[&str], env: &[(&str, &str)]) -> Self {
        let settings = settings.iter().map(|&word| word.to_owned()).collect();
        let env = env.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        let mut this = Self { dir: tempfile::tempdir().unwrap(), port: 0, settings, env, running: None };
        // a port that was free may be taken by the time the server asks for it
        let started = (0..10).any(|_| {
            this.port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            this.try_run().is_ok()
        });
        assert!(started, "redis-server does not start: {:?}", this.try_run());
        this
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// For any client of Redis.
    pub(crate) fn url(&self) -> String {
        url(self.port)
    }

    /// SIGKILL, at once. Clients see their connections broken, and new ones refused.
    pub(crate) fn kill(&mut self) {
        if let Some(Running { mut server, mut watch }) = self.running.take() {
            watch.kill().unwrap();
            watch.wait().unwrap();
            server.kill().unwrap();
            server.wait().unwrap();
        }
    }

    /// Runs again on the same port and folder: with what it had written there, if it writes.
    pub(crate) fn restart(&mut self) {
        self.kill();
        self.try_run().unwrap();
    }

    /// What `redis-cli` prints: `cli(&["INFO", "commandstats"])`.
    pub(crate) fn cli(&self, args: &[&str]) -> String {
        let port = self.port.to_string();
        let out = Command::new("redis-cli").args(["-p", &port]).args(args).output();
        let out = out.unwrap_or_else(|error| panic!("redis-cli (apt-get install redis-tools): {error}"));
        assert!(out.status.success(), "redis-cli {args:?}: {out:?}");
        String::from_utf8_lossy(&out.stdout).trim_end().to_owned()
    }

    /// Asks until `redis-cli` prints this: for what the server does by itself, such as following another. Ten seconds at most.
    #[allow(clippy::disallowed_methods, reason = "another process is waited for")]
    pub(crate) fn cli_until(&self, args: &[&str], printed: &str) {
        let mut last = String::new();
        for _ in 0..500 {
            last = self.cli(args);
            if last.contains(printed) {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        panic!("redis-cli {args:?} never printed {printed}: {last}");
    }

    /// How often the server was asked to do `command` (lower case): `calls` in its `INFO commandstats`. A script counts as
    /// `evalsha`, and the commands that it calls besides.
    pub(crate) fn calls(&self, command: &str) -> u64 {
        let stats = self.cli(&["INFO", "commandstats"]);
        let line = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
        line.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
    }

    /// Runs until it takes connections; else what it printed.
    fn try_run(&mut self) -> Result<(), String> {
        let mut server = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string(), "--save", ""])
            .args(["--enable-debug-command", "local"])
            .args(&self.settings)
            .envs(self.env.iter().cloned())
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| match error.kind() {
                ErrorKind::NotFound => panic!("{INSTALL}"),
                _ => panic!("redis-server: {error}"),
            });
        let mut lines = BufReader::new(server.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut printed = Vec::new();
        let ready = lines.by_ref().any(|line| {
            printed.push(line);
            printed.last().is_some_and(|line| line.contains(READY))
        });
        if !ready {
            server.kill().unwrap();
            server.wait().unwrap();
            return Err(printed.join("\n"));
        }
        // a pipe that nobody reads would stop it
        thread::spawn(move || lines.for_each(drop));
        let watch = Command::new("sh")
            .args(["-c", "read -r _; kill -9 \"$0\"", &server.id().to_string()])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        self.running = Some(Running { server, watch });
        Ok(())
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Of a server, or of a proxy before it, on this machine.
pub(crate) fn url(port: u16) -> String {
    format!("redis://127.0.0.1:{port}/")
}
