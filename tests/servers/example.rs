//! Examples as processes: built once, started, killed, started again. For test binaries:
//! `#[path = "../servers/example.rs"] mod example;`.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::{net::SocketAddr, path::PathBuf, process::Stdio, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdout, Command},
    sync::OnceCell,
    time::timeout,
};

/// How long a busy machine may take to start or to stop a process.
const PATIENCE: Duration = Duration::from_secs(60);

/// An example; `cargo test --test x` alone would not build it.
pub(crate) struct Example {
    name: &'static str,
    built: OnceCell<PathBuf>,
}

impl Example {
    pub(crate) const fn new(name: &'static str) -> Self {
        Self { name, built: OnceCell::const_new() }
    }

    /// To be started with arguments and variables of the caller's. It ends with the value that started it.
    pub(crate) async fn command(&self) -> Command {
        let mut command = Command::new(self.built.get_or_init(|| build(self.name)).await);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }
}

async fn build(name: &str) -> PathBuf {
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--all-features", "--example", name]);
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    assert!(build.status().await.unwrap().success(), "the example {name} does not build");
    let deps = std::env::current_exe().unwrap();
    let profile = deps.ancestors().nth(2).unwrap();
    profile.join("examples").join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}

/// A server that has said that it is listening.
pub(crate) struct Listening {
    child: Child,
    pub(crate) address: SocketAddr,
    /// A pipe that is closed would end whoever prints.
    _stdout: BufReader<ChildStdout>,
}

impl Listening {
    /// Waits for `listening on ADDR`.
    pub(crate) async fn start(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::inherit()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        timeout(PATIENCE, stdout.read_line(&mut line)).await.expect("it does not start").unwrap();
        let address = line.strip_prefix("listening on ").unwrap_or_else(|| panic!("it printed {line:?}"));
        let address = address.trim_end().parse().unwrap();
        Self { child, address, _stdout: stdout }
    }

    /// SIGKILL.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// SIGTERM, and whether it then ends well.
    pub(crate) async fn terminate(mut self) -> bool {
        let id = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
        timeout(PATIENCE, self.child.wait()).await.expect("it does not end").unwrap().success()
    }
}
