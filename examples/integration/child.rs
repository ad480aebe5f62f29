//! The receiver as a process of its own: started, killed, started again.

use crate::{receiver::READY, seen::Tally};
use std::{net::SocketAddr, path::PathBuf, process::Stdio, sync::Arc, time::Duration};
use steadfast::error::BoxError;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

pub struct Receiver {
    database: PathBuf,
    crm: String,
    dedupe: bool,
    address: Option<SocketAddr>,
    tally: Arc<Tally>,
    child: Option<Child>,
}

impl Receiver {
    pub fn new(database: PathBuf, crm: String, dedupe: bool, tally: Arc<Tally>) -> Self {
        Self { database, crm, dedupe, address: None, tally, child: None }
    }

    /// Starts it, on the same address as before, and waits until it listens.
    pub async fn start(&mut self) -> Result<SocketAddr, BoxError> {
        let listen = self.address.map_or("127.0.0.1:0".to_owned(), |address| address.to_string());
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("receive").arg("--database").arg(&self.database);
        command.args(["--listen", &listen, "--crm", &self.crm]);
        if !self.dedupe {
            command.arg("--no-dedupe");
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let mut lines = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
        let first = timeout(Duration::from_secs(20), lines.next_line()).await??;
        let ready = first.as_deref().and_then(|line| line.strip_prefix(READY));
        let address = ready.ok_or("the receiver did not start")?.trim().parse()?;
        let tally = self.tally.clone();
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                tally.count(&line);
            }
        });
        self.address = Some(address);
        self.child = Some(child);
        Ok(address)
    }

    /// SIGKILL.
    pub async fn kill(&mut self) -> Result<(), BoxError> {
        let mut child = self.child.take().ok_or("it does not run")?;
        child.kill().await?;
        Ok(())
    }

    /// Asks it to finish, and waits until it has.
    pub async fn stop(&mut self) -> Result<(), BoxError> {
        let mut child = self.child.take().ok_or("it does not run")?;
        drop(child.stdin.take());
        let status = timeout(Duration::from_secs(30), child.wait()).await??;
        if status.success() { Ok(()) } else { Err(format!("the receiver ended with {status}").into()) }
    }
}
