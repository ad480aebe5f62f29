//! How do I take webhooks without losing one, and shut down cleanly?

use axum::Router;
use futures_util::FutureExt;
use reqwest::redirect::Policy;
use std::time::Duration;
use steadfast::{
    classify::Outcome,
    error::BoxError,
    queue::{Filter, Message, Queue, Worker},
    store::sqlite::SqliteStore,
    webhook::{GitHub, Secret, VerifyLayer},
};
use tokio::{join, net::TcpListener, select, sync::watch, time::sleep};
use tower::{ServiceBuilder, service_fn};

async fn handle(message: Message) -> Result<Outcome, BoxError> {
    println!("{} in attempt {}", message.topic().unwrap_or("?"), message.attempt());
    Ok(if message.topic() == Some("ping") { Outcome::Success } else { Outcome::Rejected })
}

// snippet: webhook
async fn run(queue: Queue, github: GitHub, listener: TcpListener, stop: watch::Receiver<bool>) -> Result<(), BoxError> {
    // in: verified, known again, on disk before the 202
    let hooks = ServiceBuilder::new().layer(VerifyLayer::new(github)).service(queue.accept());
    let app = Router::new().route_service("/hooks/github", hooks);
    // out: any Service<Message>; what it cannot do is tried again, and in the end a dead letter
    let worker = Worker::new(queue, service_fn(handle));
    // one shutdown for both: nothing more comes in, what runs is finished, and no client is waited for longer than 20 s
    let stopped = |mut stop: watch::Receiver<bool>| async move { _ = stop.wait_for(|stop| *stop).await };
    let server = axum::serve(listener, app).with_graceful_shutdown(stopped(stop.clone())).into_future();
    let late = stopped(stop.clone()).then(|()| sleep(Duration::from_secs(20)));
    let serve = async { select!(served = server => served, () = late => Ok(())) };
    let (served, ()) = join!(serve, worker.run(stopped(stop)));
    Ok(served?)
}
// end

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let folder = tempfile::tempdir()?;
    let queue = Queue::new("github", SqliteStore::open(folder.path().join("hooks.db"))?);
    let github = GitHub::new(Secret::new("what GitHub and we know")?);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/hooks/github", listener.local_addr()?);
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(run(queue.clone(), github.clone(), listener, stopped));
    let sender = reqwest::Client::builder().redirect(Policy::none()).build()?;
    for (event, body) in [("ping", "{\"zen\":1}"), ("ping", "{\"zen\":1}"), ("push", "{\"ref\":2}")] {
        let hook = sender.post(&url).header("x-github-event", event).header("x-github-delivery", event);
        hook.header("x-hub-signature-256", github.sign(body.as_bytes())).body(body).send().await?.error_for_status()?;
    }
    while queue.stats().await?.open() > 0 {
        sleep(Duration::from_millis(10)).await;
    }
    println!("dead: {:?}", queue.dead_letters().list(Filter::all()).await?.letters);
    stop.send(true)?;
    running.await?
}
