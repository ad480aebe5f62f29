//! The callers of a run, each with an instance of its own.

use crate::{
    leaf::{self, Scripted},
    link::{Asked, Link, Reply},
    payload::Payload,
    plan::{Call, Caller, Plan, Reads, Wants},
    reply,
    script::ORIGINS,
    world::{IDENTITY, SLACK, World},
};
use http::Request;
use http_body_util::BodyExt;
use std::{
    any::Any,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};
use steadfast::{
    attempt::Attempt,
    classify::{Failure, Outcome, of_error},
    error::{BoxError, Refused},
    retry::{MaxRetries, NoRetry},
    timeout::CallTimeout,
};
use tokio::time::{Instant, sleep, timeout};
use tower::Service;

/// In the extensions of a request, and of every copy.
#[derive(Clone, Default)]
struct Held(Arc<()>);

/// How a call is made.
pub(crate) struct Manner {
    /// The caller drops the call after this time, readiness included.
    pub(crate) leaves_after: Option<Duration>,
    /// Each poll is preceded by one with another waker, which is never woken.
    pub(crate) fidgets: bool,
    pub(crate) deadline: Option<Duration>,
}

/// How a call ended.
#[derive(Debug)]
pub(crate) enum End {
    Answered(Reply),
    Failed(BoxError),
    Left,
    Panicked,
}

/// Makes all calls of `caller`, and returns the instance that it kept.
pub(crate) async fn run(world: Arc<World>, plan: Arc<Plan>, caller: Caller, root: Link) -> Link {
    let mut service = root.clone();
    // where a call may hang, its caller leaves after a while; everywhere else only a deadlock can hold a call up
    let patience = (plan.script.hangs || plan.leaves_places_behind()).then(|| Duration::from_secs(20));
    for call in caller.calls {
        sleep(call.pause).await;
        let id = world.identity(plan.most());
        if call.wants != Wants::Nothing {
            world.trace(format_args!("{} {id}: wants {:?}", call.method, call.wants));
        }
        let leaves_after = call.leaves_after.into_iter().chain(patience).min();
        let held = Held::default();
        let mut asked = request(id, &call);
        asked.extensions_mut().insert(held.clone());
        let manner = Manner { leaves_after, fidgets: call.fidgets, deadline: plan.deadline(call.wants) };
        let end = once(&world, &manner, &mut service, asked, id).await;
        judge(&world, &plan, &call.method, id, &end);
        if plan.script.weather == crate::script::Weather::Flawless && !plan.is_tight() && !is_well(&end) {
            world.breach("flawless", format_args!("{id} was not answered well, though every server is well: {end:?}"));
        }
        if !call.keeps || matches!(end, End::Left | End::Panicked) {
            // an abandoned wait for readiness may keep its place in a queue
            service = root.clone();
        }
        if let End::Answered(response) = end {
            read(&world, id, response, call.reads).await;
        }
        // the worker of a buffer may still have the message of a call that its caller left
        if !plan.has_buffer() && Arc::strong_count(&held.0) > 1 {
            world.breach("kept", format_args!("request {id} is kept though its call is over"));
        }
    }
    if plan.leaves_places_behind() { root } else { service }
}

pub(crate) fn is_well(end: &End) -> bool {
    matches!(end, End::Answered(response) if response.status().is_success() || response.status().is_redirection())
}

pub(crate) fn request(id: u64, call: &Call) -> Asked {
    let text = if call.method == http::Method::GET { String::new() } else { leaf::text(id) };
    let body = if call.chunks > 0 && !text.is_empty() {
        Payload::stream(&text, call.chunks, Duration::from_millis(3))
    } else {
        Payload::whole(&text)
    };
    let mut request = Request::new(body);
    *request.method_mut() = call.method.clone();
    *request.uri_mut() = format!("http://{}/pay", ORIGINS[call.origin]).parse().expect("a URI");
    request.headers_mut().insert(IDENTITY, id.into());
    if call.keyed {
        request.headers_mut().insert("idempotency-key", format!("key-{id}").parse().expect("a header"));
    }
    match call.wants {
        Wants::Nothing => {}
        Wants::NoRetry => request = NoRetry::on(request),
        Wants::Hurry => request = CallTimeout(Duration::from_millis(Wants::HURRY)).on(request),
        Wants::One => drop(request.extensions_mut().insert(MaxRetries(1))),
    }
    request
}

/// Makes one call, readiness included.
pub(crate) async fn once(world: &Arc<World>, manner: &Manner, service: &mut Link, request: Asked, id: u64) -> End {
    let method = request.method().clone();
    world.trace(format_args!("{method} {id}: waits for readiness"));
    let patience = manner.leaves_after.unwrap_or(Duration::MAX);
    let began = Instant::now();
    match timeout(patience, poll_fn(|cx| twice(manner.fidgets, cx, |cx| service.poll_ready(cx)))).await {
        Err(_) => {
            world.trace(format_args!("{method} {id}: left before it was ready"));
            return End::Left;
        }
        Ok(Err(error)) => {
            world.trace(format_args!("{method} {id}: never became ready: {error}"));
            // tower's contract: such an instance is not used again
            *service = service.clone();
            return End::Failed(error);
        }
        Ok(Ok(())) => {}
    }
    let patience = patience.saturating_sub(began.elapsed());
    let at = Instant::now();
    if let Some(deadline) = manner.deadline {
        world.set_deadline(id, at + deadline);
    }
    world.trace(format_args!("{method} {id}: called"));
    let call = catch_unwind(AssertUnwindSafe(|| service.call(request)));
    let end = match call {
        Err(panic) => panicked(world, &*panic),
        Ok(call) => match timeout(patience, caught(call, manner.fidgets)).await {
            Err(_) => End::Left,
            Ok(Ok(Ok(response))) => End::Answered(response),
            Ok(Ok(Err(error))) => End::Failed(error),
            Ok(Err(panic)) => panicked(world, &*panic),
        },
    };
    world.trace(format_args!("{method} {id}: {}", show(&end)));
    if let Some(deadline) = manner.deadline
        && at.elapsed() > deadline + SLACK
    {
        world.breach("deadline", format_args!("{id} took {:?} where its deadline is {deadline:?}", at.elapsed()));
    }
    if let Some(left) = Attempt::current() {
        world.breach("scope", format_args!("{left:?} is current after a call"));
    }
    end
}

fn show(end: &End) -> String {
    match end {
        End::Answered(response) => response.status().to_string(),
        End::Failed(error) => format!("{error} ({:?})", of_error(error).outcome()),
        End::Left => "left".into(),
        End::Panicked => "panicked".into(),
    }
}

/// Checks that nothing was executed where the result of the call is classified as refused or never sent: layers above rely on it.
///
/// Hops of a redirect are exempt where no retry layer stands above it, and for idempotent requests, whose connections are not
/// watched because that would cost each of them an allocation.
pub(crate) fn judge(world: &World, plan: &Plan, method: &http::Method, id: u64, end: &End) {
    let (claims, how) = match end {
        End::Failed(error) => {
            let outcome = of_error(error).outcome();
            let claims = matches!(outcome, Outcome::Refused | Outcome::Failure(Failure::NotSent));
            (claims, format!("`{error}` is {outcome:?}"))
        }
        End::Answered(response) => {
            (response.extensions().get::<Refused>().is_some(), format!("its {} was refused", response.status()))
        }
        End::Left | End::Panicked => return,
    };
    if claims {
        let request = world.request(id);
        let unseen = request.hops > 0 && (plan.redirects_outermost() || method.is_idempotent());
        let executions = if unseen { 0 } else { request.executions };
        if executions > 0 {
            world.breach("claim", format_args!("{id} was executed {executions} times, and {how}"));
        }
    }
}

fn panicked(world: &World, panic: &(dyn Any + Send)) -> End {
    if !panic.is::<Scripted>() {
        let text = panic.downcast_ref::<String>().map_or("a panic", String::as_str);
        let text = panic.downcast_ref::<&str>().copied().unwrap_or(text);
        world.breach("panic", text);
    }
    End::Panicked
}

/// Polls with a waker that is never woken, and then with the right one: the last one counts.
fn twice<T>(fidgets: bool, cx: &mut Context<'_>, mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
    if fidgets {
        let polled = poll(&mut Context::from_waker(Waker::noop()));
        if polled.is_ready() {
            return polled;
        }
    }
    poll(cx)
}

/// Returns the output of `call`, or its panic.
async fn caught<F: Future>(call: F, fidgets: bool) -> Result<F::Output, Box<dyn Any + Send>> {
    let mut call = pin!(call);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| twice(fidgets, cx, |cx| call.as_mut().poll(cx)))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}

async fn read(world: &World, id: u64, response: Reply, reads: Reads) {
    // a layer that answers in place of the server
    let ours = response.headers().get("content-type").is_some_and(|kind| kind == "application/problem+json");
    let mut body = response.into_body();
    let mut text = Vec::new();
    match reads {
        Reads::Nothing => return,
        Reads::Late(ms) => return sleep(Duration::from_millis(ms)).await,
        Reads::Some | Reads::Whole => {}
    }
    let reading = async {
        while let Some(Ok(frame)) = body.frame().await {
            text.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
            if reads == Reads::Some {
                break;
            }
        }
    };
    _ = timeout(Duration::from_secs(1), reading).await;
    let mut rest = &*text;
    while let Some(after) = rest.strip_prefix(reply::text(id).as_bytes()) {
        rest = after;
    }
    if !rest.is_empty() && !ours {
        world.breach("body", format_args!("the response to {id} is {:?}", String::from_utf8_lossy(&text)));
    }
}
