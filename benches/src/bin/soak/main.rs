//! Finds growth without end: each part is put under load with the turbulence that it must survive, and must then return to its
//! start.
//!
//! `soak [part ...] [--seconds 120] [--samples FILE]`; `soak --list` prints the parts. The exit code is 1 if a part has not
//! returned.
mod alloc;
mod drive;
mod parts;
#[path = "../../../../tests/servers/postgres.rs"]
mod postgres_server;
#[path = "../../../../tests/servers/redis.rs"]
mod redis_server;
mod report;
mod sample;
mod samples;
mod subject;

use parts::{PARTS, Part};
use report::Finding;
use samples::Samples;
use std::{process::ExitCode, time::Duration};
use steadfast::error::BoxError;
use tokio::runtime::Builder;

/// The payload of the panics that the load causes on purpose.
pub(crate) const PANIC: &str = "a panic of the load";

struct Args {
    parts: Vec<&'static Part>,
    seconds: u64,
    samples: Option<String>,
}

fn main() -> Result<ExitCode, BoxError> {
    let mut args = std::env::args().skip(1).peekable();
    if args.next_if(|arg| arg == "--list").is_some() {
        PARTS.iter().for_each(|part| println!("{:<22} {}", part.name, part.about));
        return Ok(ExitCode::SUCCESS);
    }
    let args = read(args)?;
    silence_panics();
    let mut samples = Samples::new(args.samples.as_deref())?;
    report::print_head();
    let mut all_returned = true;
    for part in args.parts {
        let finding = soak(part, Duration::from_secs(args.seconds), &mut samples)?;
        println!("{finding}");
        all_returned &= finding.returned.is_ok();
    }
    Ok(if all_returned { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn read(mut args: impl Iterator<Item = String>) -> Result<Args, BoxError> {
    let (mut parts, mut seconds, mut samples) = (Vec::new(), 120, None);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("{arg} needs a value"));
        match &*arg {
            "--seconds" => seconds = value()?.parse()?,
            "--samples" => samples = Some(value()?),
            name => {
                let known = PARTS.iter().find(|part| part.name == name);
                parts.push(known.ok_or(format!("no part is named {name}: see --list"))?);
            }
        }
    }
    if parts.is_empty() {
        parts.extend(PARTS);
    }
    Ok(Args { parts, seconds, samples })
}

/// In a runtime of its own, so that no part's tasks are counted for another one.
fn soak(part: &'static Part, load: Duration, samples: &mut Samples) -> Result<Finding, BoxError> {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let finding = runtime.block_on(async {
        let subject = (part.start)(load).await?;
        drive::run(part.name, &subject, load, samples).await
    });
    runtime.shutdown_timeout(Duration::from_secs(10));
    finding
}

/// Panics that the load causes on purpose are not printed.
fn silence_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if info.payload().downcast_ref::<&str>() != Some(&PANIC) {
            usual(info);
        }
    }));
}
