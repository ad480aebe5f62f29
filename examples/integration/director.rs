//! The parent process: runs sender and CRM, kills the receiver, mends what was wrong, and looks at the outcome.

use crate::{
    args::{Run, Without},
    check::{Outcome, judge},
    child::Receiver,
    crm::Crm,
    events,
    faults::{Faults, Point},
    progress::Progress,
    seen::{self, Tally},
    sender::Sender,
};
use std::{path::Path, sync::Arc, time::Duration};
use steadfast::{
    error::BoxError,
    queue::{DeadLetter, Filter, Queue},
    store::sqlite::SqliteStore,
};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

/// For how long the CRM is wholly down.
const DOWN: Duration = Duration::from_millis(2500);
/// However slow the machine: what takes longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(30);

pub async fn run(run: Run) -> Result<bool, BoxError> {
    let folder = tempfile::tempdir()?;
    println!("seed {} · {} events · {} kills", run.seed, run.events, run.kills);
    if let Some(without) = run.without {
        println!("without {without:?}: this run must fail");
    }
    let outcome = play(&run, folder.path()).await?;
    print!("{outcome}");
    Ok(judge(&outcome))
}

async fn play(run: &Run, folder: &Path) -> Result<Outcome, BoxError> {
    let began = Instant::now();
    let events = Arc::new(events::load(run.events)?);
    let faults = Arc::new(Faults::new(run.seed, run.events));
    let crm = Crm::start(&folder.join("crm.db"), faults, run.without).await?;
    let tally = Arc::new(Tally::default());
    let database = folder.join("hooks.db");
    let mut receiver = Receiver::new(database.clone(), crm.url(), run.without != Some(Without::Dedupe), tally.clone());
    let address = receiver.start().await?;
    let sender = Arc::new(Sender::new(events.clone(), address, run.seed)?);
    // the same file from another process: how an operator looks in
    let queue = Queue::new("github", SqliteStore::open(&database)?);
    let progress = Progress::start(events.len(), &sender, &crm, &queue, &tally);

    let (allow, allowed) = watch::channel(0);
    let sending = tokio::spawn(sender.clone().run(allowed));
    let steps = run.kills + 2;
    let mut random = fastrand::Rng::with_seed(run.seed);
    let mut kills_with_work_in_flight = 0;
    for step in 0..steps {
        let held = (step < run.kills).then(|| {
            let point = if random.bool() { Point::BeforeTheEffect } else { Point::AfterTheEffect };
            progress.say(format!("kill {} of {}: waits for a request, {point:?}", step + 1, run.kills));
            crm.faults.hold(point)
        });
        allow.send_replace(sender.planned() * (step + 1) / steps);
        if let Some(mut held) = held {
            let held = if let Ok(held) = timeout(PATIENCE / 10, &mut held).await {
                held?
            } else {
                // in a small run what was allowed so far may be forged, all of it
                allow.send_replace(sender.planned());
                timeout(PATIENCE, held).await.map_err(|_| "no request came to be held")??
            };
            kills_with_work_in_flight += usize::from(held.stands());
            receiver.kill().await?;
            drop(held);
            receiver.start().await?;
        } else if step == run.kills {
            progress.say("the CRM is wholly down".to_owned());
            crm.set_up(false);
            sleep(DOWN).await;
            crm.set_up(true);
        }
    }
    let patience = PATIENCE + Duration::from_millis(20) * u32::try_from(run.events)?;
    progress.say("everything is allowed, nothing is killed any more".to_owned());
    timeout(patience, sending).await.map_err(|_| "the sender does not come to an end")??;
    drained(&queue, patience).await?;

    let letters = letters(&queue).await?;
    progress.say(format!("{} dead letters: the CRM is mended, and they are redriven", letters.len()));
    crm.mend();
    let redriven = queue.dead_letters().redrive(Filter::all()).rate(500.0).by("operator").await?;
    drained(&queue, patience).await?;
    receiver.stop().await?;
    timeout(patience, crm.drained()).await.map_err(|_| "a handler of the CRM does not come to an end")?;
    progress.finish().await;

    Ok(Outcome {
        events,
        sent: sender.sent(),
        kills: run.kills,
        kills_with_work_in_flight,
        requests: crm.faults.requests(),
        faults: crm.faults.met(),
        attempts: tally.of(seen::ATTEMPT),
        retries: tally.of(seen::RETRY),
        circuit_opened: tally.of(seen::OPENED),
        effects: crm.effects().await?,
        dead: letters,
        redriven: redriven.redriven,
        left: queue.stats().await?,
        took: began.elapsed(),
    })
}

/// Until everything that was accepted has ended.
async fn drained(queue: &Queue, patience: Duration) -> Result<(), BoxError> {
    let all = async {
        while queue.stats().await?.open() > 0 {
            sleep(Duration::from_millis(25)).await;
        }
        Ok(())
    };
    timeout(patience, all).await.map_err(|_| "the queue does not come to an end")?
}

async fn letters(queue: &Queue) -> Result<Vec<DeadLetter>, BoxError> {
    let (mut letters, mut cursor) = (Vec::new(), None);
    loop {
        let page = queue.dead_letters().list(Filter::all()).after(cursor).await?;
        letters.extend(page.letters);
        cursor = page.next;
        if cursor.is_none() {
            return Ok(letters);
        }
    }
}
