use crate::{
    error::{BoxError, BoxFuture, StoreError},
    idempotency::{Begin, Begun, Fence, Fenced, Fingerprint, IdempotencyStore, Recorded, StoreKey, StoredResponse},
    token::{Token, fill},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use std::{future::poll_fn, task::Poll, time::Duration};
use tokio::time::sleep;

/// How long claims hold here, and how long it takes until one has surely lapsed.
const LEASE: Duration = Duration::from_millis(700);
const LAPSE: Duration = Duration::from_secs(1);
const KEEP: Duration = Duration::from_secs(60);

/// Whether `store` keeps the laws of [`IdempotencyStore`].
///
/// # Errors
/// The first law that is broken, by name; or what the store failed with.
pub async fn idempotency_contract(store: &dyn IdempotencyStore) -> Result<(), BoxError> {
    a_claim_is_one_callers(store).await?;
    a_claim_lapses_and_is_taken_over_once(store).await?;
    a_lapsed_owner_goes_on_while_nobody_took_over(store).await?;
    what_is_complete_stays(store).await?;
    any_answer_comes_back_as_it_was(store).await?;
    what_is_released_was_never_claimed(store).await?;
    records_expire_and_do_not_slide(store).await?;
    a_sweep_takes_what_has_expired(store).await?;
    of_many_at_once_one_wins(store).await?;
    a_call_that_was_cut_off_can_be_repeated(store).await
}

fn key() -> StoreKey {
    let mut key = [0; 32];
    fill(&mut key);
    StoreKey(key)
}

/// A try to begin the request `n`, by a caller of its own.
fn request(key: StoreKey, n: u8) -> Begin {
    let fingerprint = Fingerprint { version: Fingerprint::VERSION, hash: [n; 32] };
    Begin { key, fingerprint, token: Token::random(), lease: LEASE, take_over: None }
}

fn fence(begin: &Begin) -> Fence {
    Fence { key: begin.key, token: begin.token }
}

fn answer() -> Recorded {
    Recorded::Response(StoredResponse::json(StatusCode::CREATED, "{\"id\":1}"))
}

fn law(kept: bool, law: &'static str) -> Result<(), BoxError> {
    if kept { Ok(()) } else { Err(format!("broken law: {law}").into()) }
}

fn acquired(begun: &Begun, as_attempt: u32) -> bool {
    matches!(begun, Begun::Acquired { attempt } if *attempt == as_attempt)
}

async fn a_claim_is_one_callers(store: &dyn IdempotencyStore) -> Result<(), BoxError> {
    law(store.id() == store.id(), "a store has one id")?;
    let key = key();
    let first = request(key, 1);
    law(store.get(key).await?.is_none(), "an unknown key has no record")?;
    law(store.settled(fence(&first)).await? == Fenced::Lost, "an unknown fence is lost")?;
    law(acquired(&store.begin(first).await?, 1), "a free key is acquired as attempt 1")?;
    law(acquired(&store.begin(first).await?, 1), "the same begin again is acquired again")?;
    let other = store.begin(request(key, 1)).await?;
    law(matches!(other, Begun::InFlight { lease_left } if lease_left <= LEASE), "another caller's begin is in flight")?;
    let other = Begin { take_over: Some(first.token), ..request(key, 1) };
    law(matches!(store.begin(other).await?, Begun::InFlight { .. }), "a claim that holds is not taken over")?;
    law(matches!(store.begin(request(key, 2)).await?, Begun::Mismatch), "another request mismatches while in flight")?;
    let mut newer = request(key, 2);
    newer.fingerprint.version += 1;
    law(
        matches!(store.begin(newer).await?, Begun::InFlight { .. }),
        "fingerprints of different versions are no mismatch",
    )?;
    law(store.get(key).await?.is_none(), "a running claim has no record")?;
    law(store.settled(fence(&first)).await? == Fenced::Done, "a running claim is settled as running")?;
    let elsewhere = Fence { key, token: Token::random() };
    law(store.complete(elsewhere, answer(), KEEP).await? == Fenced::Lost, "a wrong token completes nothing")?;
    law(store.release(elsewhere).await? == Fenced::Lost, "a wrong token releases nothing")?;
    law(store.renew(elsewhere, LEASE).await? == Fenced::Lost, "a wrong token renews nothing")?;
    law(store.complete(fence(&first), answer(), KEEP).await? == Fenced::Done, "the owner completes")
}

async fn a_claim_lapses_and_is_taken_over_once(store: &dyn IdempotencyStore) -> Result<(), BoxError> {
    let key = key();
    let first = request(key, 1);
    store.begin(first).await?;
    law(store.renew(fence(&first), LAPSE + LEASE).await? == Fenced::Done, "the owner renews")?;
    sleep(LAPSE).await;
    law(matches!(store.begin(request(key, 1)).await?, Begun::InFlight { .. }), "a renewed claim holds longer")?;
    sleep(LAPSE).await;
    let Begun::Lapsed { stale, attempt: 1 } = store.begin(request(key, 1)).await? else {
        return law(false, "a claim that was not renewed lapses, as attempt 1");
    };
    law(stale == first.token, "what lapsed is named by its token")?;
    law(matches!(store.begin(request(key, 2)).await?, Begun::Mismatch), "another request mismatches after a lapse")?;
    law(store.get(key).await?.is_none(), "a lapsed claim has no record")?;
    let wrong = Begin { take_over: Some(Token::random()), ..request(key, 1) };
    law(matches!(store.begin(wrong).await?, Begun::Lapsed { .. }), "a takeover names the claim that lapsed")?;
    let second = Begin { take_over: Some(stale), ..request(key, 1) };
    law(acquired(&store.begin(second).await?, 2), "a takeover is acquired as the next attempt")?;
    law(acquired(&store.begin(second).await?, 2), "the same takeover again is acquired again")?;
    let third = Begin { take_over: Some(stale), ..request(key, 1) };
    law(matches!(store.begin(third).await?, Begun::InFlight { .. }), "nobody takes over a second time")?;
    let zombie = fence(&first);
    law(store.settled(zombie).await? == Fenced::Lost, "the owner before is lost")?;
    law(store.renew(zombie, KEEP).await? == Fenced::Lost, "the owner before renews nothing")?;
    law(store.release(zombie).await? == Fenced::Lost, "the owner before releases nothing")?;
    law(
        store.complete(zombie, Recorded::NotRetained, KEEP).await? == Fenced::Lost,
        "the owner before completes nothing",
    )?;
    law(store.complete(fence(&second), answer(), KEEP).await? == Fenced::Done, "the new owner completes")?;
    law(store.complete(zombie, Recorded::NotRetained, KEEP).await? == Fenced::Lost, "nor after the new owner did")?;
    law(store.get(key).await? == Some(answer()), "the record is the new owner's")
}

async fn a_lapsed_owner_goes_on_while_nobody_took_over(store: &dyn IdempotencyStore) -> Result<(), BoxError> {
    let (renewed, completed, repeated) = (request(key(), 1), request(key(), 1), request(key(), 1));
    for begin in [renewed, completed, repeated] {
        store.begin(begin).await?;
    }
    sleep(LAPSE).await;
    law(store.renew(fence(&renewed), LEASE).await? == Fenced::Done, "a lapsed claim can be renewed")?;
    let other = store.begin(request(renewed.key, 1)).await?;
    law(matches!(other, Begun::InFlight { .. }), "and then holds again")?;
    law(store.settled(fence(&completed)).await? == Fenced::Done, "a lapsed claim is settled as running")?;
    law(store.complete(fence(&completed), answer(), KEEP).await? == Fenced::Done, "a lapsed claim can be completed")?;
    law(acquired(&store.begin(repeated).await?, 1), "the begin of a lapsed claim, repeated, is acquired again")
}

async fn what_is_complete_stays(store: &dyn IdempotencyStore) -> Result<(), BoxError> {
    let key = key();
    let first = request(key, 1);
    store.begin(first).await?;
    store.complete(fence(&first), answer(), KEEP).await?;
    let other = Recorded::NotRetained;
    law(store.complete(fence(&first), other, KEEP).await? == Fenced::Already, "a second complete changes nothing")?;
    law(store.renew(fence(&first), LEASE).await? == Fenced::Already, "a complete record is not renewed")?;
    law(store.release(fence(&first)).await? == Fenced::Already, "a complete record is not released")?;
    law(store.settled(fence(&first)).await? == Fenced::Already, "a complete record is settled as complete")?;
    for begin in [request(key, 1), first, Begin { take_over: Some(first.token), ..request(key, 1) }] {
        let begun = store.begin(begin).await?;
        law(matches!(begun, Begun::Completed(found) if found == answer()), "whoever begins finds the record")?;
    }
    law(matches!(store.begin(request(key, 2)).await?, Begun::Mismatch), "another request mismatches after completion")?;
    sleep(LAPSE).await;
    law(store.get(key).await? == Some(answer()), "a record outlives the lease of its claim")
}

async fn any_answer_comes_back_as_it_was(store: &dyn IdempotencyStore) -> Result<(), BoxError> {
    let mut headers = HeaderMap::new();
    headers.append("x-twice", HeaderValue::from_static("one"));
    headers.append("x-twice", HeaderValue::from_static("two"));
    headers.append("x-bytes", HeaderValue::from_bytes(b"caf\xe9")?);
    let mut trailers = HeaderMap::new();
    trailers.append(HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"));
    let every_byte: Vec<u8> = (0..=u8::MAX).cycle().take(70_000).collect();
    let full =
        StoredResponse { status: StatusCode::ACCEPTED, headers, body: every_byte.into(), trailers: Some(trailers) };
    let bare = StoredResponse::new(StatusCode::NO_CONTENT, "");
    let no_trailers = StoredResponse { trailers: Some(HeaderMap::new()), ..bare.clone() };
    for recorded in [full, bare, no_trailers].map(Recorded::Response).into_iter().chain([Recorded::NotRetained]) {
        let begin = request(key(), 1);
        store.begin(begin).await?;
        store.complete(fence(&begin), recorded.clone(), KEEP).await?;
        law(store.get(begin.key).await? == Some(recorded), "an answer comes back as it was recorded")?;
    }
    Ok(())
}

async fn what_is_released_was_never_claimed(store: &dyn IdempotencyStore) -> Result<(), BoxError> {
    let key = key();
    let first = request(key, 1);
    store.begin(first).await?;
    law(store.release(fence(&first)).await? == Fenced::Done, "the owner releases")?;
    law(store.release(fence(&first)).await? == Fenced::Lost, "what was released is gone")?;
    law(store.complete(fence(&first), answer(), KEEP).await? == Fenced::Lost, "what was released is not completed")?;
    let second = request(key, 2);
    law(acquired(&store.begin(second).await?, 1), "a released key is free for any request, as attempt 1")?;
    law(claims_nothing(store, &first).await?, "a late begin of a released token claims no key of another")?;
    law(store.release(fence(&second)).await? == Fenced::Done, "which its owner releases")?;
    law(claims_nothing(store, &first).await?, "a late begin claims no key that was released again")?;
    law(claims_nothing(store, &second).await?, "nor does a late begin of the second")?;
    // released before it came, because it was not answered in time
    let late = request(key, 1);
    law(store.release(fence(&late)).await? == Fenced::Lost, "what was never claimed is released as lost")?;
    law(claims_nothing(store, &late).await?, "a begin that comes after the release of its token claims nothing")?;
    law(store.get(key).await?.is_none(), "a released key has no record")?;
    law(store.settled(fence(&first)).await? == Fenced::Lost, "what was released is settled as lost")?;
    let (owner, other) = (request(key, 3), request(key, 3));
    law(acquired(&store.begin(owner).await?, 1), "after all of these the key is free")?;
    law(store.release(fence(&other)).await? == Fenced::Lost, "a token without a claim releases nothing of another")?;
    law(store.renew(fence(&owner), LEASE).await? == Fenced::Done, "whose claim holds")?;
    law(store.complete(fence(&owner), answer(), KEEP).await? == Fenced::Done, "and is completed")?;
    law(store.get(key).await? == Some(answer()), "with its answer")
}

/// A begin whose caller has stopped waiting.
async fn claims_nothing(store: &dyn IdempotencyStore, late: &Begin) -> Result<bool, BoxError> {
    let claimed = matches!(store.begin(*late).await, Ok(Begun::Acquired { .. }));
    Ok(!claimed && store.settled(fence(late)).await? == Fenced::Lost)
}

async fn records_expire_and_do_not_slide(store: &dyn IdempotencyStore) -> Result<(), BoxError> {
    let key = key();
    let first = request(key, 1);
    store.begin(first).await?;
    // longer than the lease, and replayed on the way: neither moves the expiry
    store.complete(fence(&first), answer(), LAPSE * 2).await?;
    sleep(LAPSE).await;
    law(matches!(store.begin(request(key, 1)).await?, Begun::Completed(_)), "a record is kept as long as was asked")?;
    sleep(LAPSE * 2).await;
    law(store.get(key).await?.is_none(), "an expired record is not there")?;
    let next = request(key, 2);
    law(acquired(&store.begin(next).await?, 1), "an expired key is free for any request, as attempt 1")?;
    law(store.complete(fence(&first), answer(), KEEP).await? == Fenced::Lost, "the owner before the expiry is lost")?;
    law(store.settled(fence(&next)).await? == Fenced::Done, "and the new claim unharmed")
}

async fn a_sweep_takes_what_has_expired(store: &dyn IdempotencyStore) -> Result<(), BoxError> {
    let (running, kept) = (request(key(), 1), request(key(), 1));
    for begin in [running, kept] {
        store.begin(begin).await?;
    }
    store.complete(fence(&kept), answer(), KEEP).await?;
    for _ in 0..3 {
        let expiring = request(key(), 1);
        store.begin(expiring).await?;
        store.complete(fence(&expiring), answer(), LEASE).await?;
    }
    sleep(LAPSE).await;
    for _ in 0..10_000 {
        let swept = store.sweep(2).await?;
        law(swept <= 2, "a sweep takes at most as many as it was asked for")?;
        if swept == 0 {
            law(store.get(kept.key).await? == Some(answer()), "a sweep takes no record that has not expired")?;
            return law(store.settled(fence(&running)).await? == Fenced::Done, "a sweep takes no running claim");
        }
    }
    law(false, "sweeping comes to an end")
}

async fn of_many_at_once_one_wins(store: &dyn IdempotencyStore) -> Result<(), BoxError> {
    let key = key();
    let begins: Vec<Begin> = (0..20).map(|_| request(key, 1)).collect();
    let begun = all(begins.iter().map(|begin| store.begin(*begin))).await?;
    let owner = begun.iter().position(|begun| acquired(begun, 1));
    let won = begun.iter().filter(|begun| matches!(begun, Begun::Acquired { .. })).count();
    let (Some(owner), 1) = (owner, won) else { return law(false, "of twenty begins at once one acquires") };
    let in_flight = begun.iter().filter(|begun| matches!(begun, Begun::InFlight { .. })).count();
    law(in_flight == 19, "and the others are in flight")?;
    sleep(LAPSE).await;
    let take_over = Some(begins[owner].token);
    let begun = all((0..20).map(|_| store.begin(Begin { take_over, ..request(key, 1) }))).await?;
    let won = begun.iter().filter(|begun| acquired(begun, 2)).count();
    law(won == 1, "of twenty takeovers at once one acquires")
}

async fn a_call_that_was_cut_off_can_be_repeated(store: &dyn IdempotencyStore) -> Result<(), BoxError> {
    let begin = request(key(), 1);
    cut_off(store.begin(begin)).await;
    law(acquired(&store.begin(begin).await?, 1), "a begin that was cut off is acquired when repeated")?;
    cut_off(store.complete(fence(&begin), answer(), KEEP)).await;
    let completed = store.complete(fence(&begin), answer(), KEEP).await?;
    law(completed != Fenced::Lost, "a complete that was cut off can be repeated")?;
    law(store.get(begin.key).await? == Some(answer()), "and is recorded")
}

/// Polled once, then dropped: the call may have been done or not.
async fn cut_off<T>(mut call: BoxFuture<'_, T>) {
    poll_fn(|cx| {
        let _ = call.as_mut().poll(cx);
        Poll::Ready(())
    })
    .await;
}

/// All at once, in one task: they overlap wherever the store waits.
async fn all<'a>(
    calls: impl Iterator<Item = BoxFuture<'a, Result<Begun, StoreError>>>,
) -> Result<Vec<Begun>, StoreError> {
    let mut calls: Vec<_> = calls.map(|call| (call, None)).collect();
    poll_fn(|cx| {
        let mut waiting = false;
        for (call, done) in &mut calls {
            if done.is_none() {
                match call.as_mut().poll(cx) {
                    Poll::Ready(begun) => *done = Some(begun),
                    Poll::Pending => waiting = true,
                }
            }
        }
        if waiting { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    calls.into_iter().filter_map(|(_, done)| done).collect()
}
