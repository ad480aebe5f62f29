//! The main job, end to end: a sender delivers signed webhooks; a receiver, killed again and again, answers 202 once they are
//! on disk and passes them on; a CRM that misbehaves does each of them once. See `--help`.

#![allow(unreachable_pub, reason = "the modules of an example are nobody else's")]

mod args;
mod check;
mod child;
mod crm;
mod director;
mod events;
mod faults;
mod progress;
mod receiver;
mod seen;
mod sender;

use args::Command;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let done = match args::parse(std::env::args().skip(1)) {
        Ok(Command::Help) => {
            println!("{}", args::HELP);
            Ok(true)
        }
        Ok(Command::Receive(options)) => receiver::run(options).await.map(|()| true),
        Ok(Command::Run(run)) => director::run(run).await,
        Err(error) => Err(error.into()),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
