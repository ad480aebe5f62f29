//! What the command line chooses.

use std::{path::PathBuf, str::FromStr};

/// The whole run.
#[derive(Debug, Clone)]
pub struct Run {
    /// Chooses order, duplicates, forgeries and faults.
    pub seed: u64,
    /// Distinct valid events.
    pub events: usize,
    /// How often the receiver is killed.
    pub kills: usize,
    /// Test only: what is switched off, so that the run must fail.
    pub without: Option<Without>,
}

/// The child process: receiver and worker.
#[derive(Debug, Clone)]
pub struct Receive {
    pub database: PathBuf,
    pub listen: String,
    pub crm: String,
    pub dedupe: bool,
}

/// A part of the promise, switched off to show that the checks can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Without {
    /// The queue does not know a delivery again.
    Dedupe,
    /// The CRM writes its effect although its claim is another's by then.
    Fencing,
    /// The CRM does not know a request again.
    Idempotency,
}

pub enum Command {
    Run(Run),
    Receive(Receive),
    Help,
}

pub const HELP: &str = "\
The main job of steadfast, end to end: signed webhooks are delivered, accepted on disk, and passed on to a CRM,
while the receiver is killed again and again and the CRM misbehaves. Exit status 0 only if each event had exactly one effect.

  cargo run --example integration --all-features -- [OPTIONS]

  --seed N      the run's chance (default: another each time; it is printed)
  --events N    distinct valid events (default 58: one real GitHub payload each; a run of fewer than 20 may end before it has
                met every kind of fault, and then fails)
  --kills N     how often the receiver is killed with work in flight (default 3)
  --without X   test only: dedupe, fencing or idempotency is switched off, and the run must fail";

pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Command, String> {
    let mut run = Run { seed: fastrand::u64(..1 << 32), events: 58, kills: 3, without: None };
    let mut receive = Receive { database: PathBuf::new(), listen: String::new(), crm: String::new(), dedupe: true };
    let mut child = false;
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        match word.as_str() {
            "-h" | "--help" => return Ok(Command::Help),
            "--seed" => run.seed = number(&value()?)?,
            "--events" => run.events = number(&value()?)?,
            "--kills" => run.kills = number(&value()?)?,
            "--without" => run.without = Some(value()?.parse()?),
            "receive" => child = true,
            "--database" => receive.database = value()?.into(),
            "--listen" => receive.listen = value()?,
            "--crm" => receive.crm = value()?,
            "--no-dedupe" => receive.dedupe = false,
            _ => return Err(format!("`{word}` is not known; see --help")),
        }
    }
    if run.events == 0 {
        return Err("--events is at least 1".into());
    }
    Ok(if child { Command::Receive(receive) } else { Command::Run(run) })
}

fn number<N: FromStr>(text: &str) -> Result<N, String> {
    text.parse().map_err(|_| format!("`{text}` is not a number"))
}

impl FromStr for Without {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "dedupe" => Ok(Self::Dedupe),
            "fencing" => Ok(Self::Fencing),
            "idempotency" => Ok(Self::Idempotency),
            _ => Err(format!("--without {text}: dedupe, fencing or idempotency")),
        }
    }
}
