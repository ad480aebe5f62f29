//! Which deliveries are one message.

use crate::support::{SECRET, github};
use bytes::Bytes;
use http::{Request, StatusCode, request::Parts};
use http_body_util::{BodyExt, Full};
use std::time::SystemTime;
use steadfast::{
    queue::{Claim, Filter, Queue, Reason, Settle},
    store::memory::MemoryStore,
    webhook::{GitHub, Scheme, Secret, Unverified, Verified, VerifyLayer},
};
use tower::{Layer, ServiceExt};

const DELIVERY: &str = "x-github-delivery";
const HOOK: &str = "x-github-hook-id";
const TARGET: &str = "x-github-hook-installation-target-id";
const ID: &str = "72d3162e-cc78-11e3-81ab-4c9367dc0958";

/// A real body that has neither an id nor a time of its own: `repository_dispatch`.
fn body() -> Bytes {
    let data: serde_json::Value =
        serde_json::from_str(include_str!("../../examples/data/github_webhooks.json")).unwrap();
    let dispatch = data["events"].as_array().unwrap().iter().find(|event| event["event"] == "repository_dispatch");
    serde_json::to_vec(&dispatch.unwrap()["payload"]).unwrap().into()
}

fn queue() -> Queue {
    Queue::new("github", MemoryStore::new())
}

fn with_secret(secret: &str) -> GitHub {
    GitHub::new(Secret::new(secret).unwrap())
}

/// Sends a delivery that the scheme itself has signed, and returns whether it was a duplicate.
async fn is_duplicate(queue: &Queue, layer: &VerifyLayer, signer: &GitHub, headers: &[(&str, &str)]) -> bool {
    let request = Request::post("/hooks").header("x-hub-signature-256", signer.sign(&body()));
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let request = request.body(Full::new(body())).unwrap();
    let response = layer.layer(queue.accept()).oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let answer: serde_json::Value = serde_json::from_slice(&body).unwrap();
    answer["duplicate"] == true
}

#[tokio::test]
async fn two_deliveries_of_the_same_bytes_are_two_messages_and_a_redelivery_is_none() {
    let (queue, layer) = (queue(), VerifyLayer::new(github()));
    assert!(!is_duplicate(&queue, &layer, &github(), &[(DELIVERY, "1")]).await);
    assert!(!is_duplicate(&queue, &layer, &github(), &[(DELIVERY, "2")]).await, "another delivery");
    assert!(is_duplicate(&queue, &layer, &github(), &[(DELIVERY, "1")]).await, "sent again by GitHub");
    assert!(!is_duplicate(&queue, &layer, &github(), &[]).await, "one without an id");
    assert!(!is_duplicate(&queue, &layer, &github(), &[]).await, "and another one");
    assert_eq!(queue.stats().await.unwrap().ready, 4);
}

#[tokio::test]
async fn two_sources_with_two_secrets_on_one_queue_may_use_one_delivery_id() {
    let queue = queue();
    let (one, other) = (with_secret("one"), with_secret("other"));
    let (first, second) = (VerifyLayer::new(one.clone()), VerifyLayer::new(other.clone()));
    assert!(!is_duplicate(&queue, &first, &one, &[(DELIVERY, ID)]).await);
    assert!(!is_duplicate(&queue, &second, &other, &[(DELIVERY, ID)]).await, "the other source");
    assert!(is_duplicate(&queue, &first, &one, &[(DELIVERY, ID)]).await);
    assert!(is_duplicate(&queue, &second, &other, &[(DELIVERY, ID)]).await);
    assert_eq!(queue.stats().await.unwrap().ready, 2);
}

/// GitHub gives the deliveries of one event to several hooks the same id.
#[tokio::test]
async fn two_hooks_of_one_event_are_two_messages() {
    let (queue, layer) = (queue(), VerifyLayer::new(github()));
    let hooks = [&[(HOOK, "1")][..], &[(HOOK, "2")], &[(HOOK, "1"), (TARGET, "7")], &[(HOOK, "2"), (TARGET, "7")], &[]];
    for duplicate in [false, true] {
        for hook in hooks {
            let headers: Vec<_> = hook.iter().copied().chain([(DELIVERY, ID)]).collect();
            assert_eq!(is_duplicate(&queue, &layer, &github(), &headers).await, duplicate, "{hook:?}");
        }
    }
    assert_eq!(queue.stats().await.unwrap().ready, 5);
}

/// The hook's id is not signed: whoever holds one secret cannot use up the ids of another source.
#[tokio::test]
async fn a_source_cannot_name_the_hook_of_another_one() {
    let queue = queue();
    let (one, other) = (with_secret("one"), with_secret("other"));
    let hook = [(DELIVERY, ID), (HOOK, "1")];
    assert!(!is_duplicate(&queue, &VerifyLayer::new(other.clone()), &other, &hook).await);
    assert!(!is_duplicate(&queue, &VerifyLayer::new(one.clone()), &one, &hook).await);
}

#[tokio::test]
async fn a_redelivery_while_or_after_a_secret_is_changed_is_a_duplicate() {
    let queue = queue();
    let (old, new) = (with_secret(SECRET), with_secret("new"));
    let both = new.clone().or(Secret::new(SECRET).unwrap());
    let steps = [(old.clone(), old, "1"), (both.clone(), new.clone(), "2"), (new.clone(), new, "3")];
    for (scheme, signer, id) in &steps {
        assert!(!is_duplicate(&queue, &VerifyLayer::new(scheme.clone()), signer, &[(DELIVERY, id)]).await);
    }
    let layer = VerifyLayer::new(both);
    for (_, signer, id) in &steps {
        assert!(is_duplicate(&queue, &layer, signer, &[(DELIVERY, id)]).await, "{id}");
    }
    let new = VerifyLayer::new(steps[2].0.clone());
    assert!(is_duplicate(&queue, &new, &steps[2].1, &[(DELIVERY, "2")]).await, "the change is over");
}

#[tokio::test]
async fn a_purged_dead_letter_is_accepted_when_its_sender_repeats_it() {
    let (queue, layer) = (queue(), VerifyLayer::new(github()));
    let headers = [(DELIVERY, ID), (HOOK, "1")];
    assert!(!is_duplicate(&queue, &layer, &github(), &headers).await);
    let claim = Claim { limit: 1, lease: std::time::Duration::from_secs(60), max_attempts: 3 };
    let message = queue.store().claim("github", claim).await.unwrap().remove(0);
    let attempted = steadfast::queue::Attempted {
        attempt: 1,
        at: std::time::UNIX_EPOCH,
        duration: std::time::Duration::ZERO,
        outcome: "rejected".into(),
        status: None,
        error: String::new(),
    };
    let dead = Settle::Dead { reason: Reason::Rejected, attempted };
    queue.store().settle(vec![(message.lease(), dead)]).await.unwrap()[0].unwrap();
    assert!(is_duplicate(&queue, &layer, &github(), &headers).await, "the letter is still there");
    assert_eq!(queue.dead_letters().purge(Filter::all()).await.unwrap(), 1);
    assert!(!is_duplicate(&queue, &layer, &github(), &headers).await, "nothing is there any more");
    assert!(is_duplicate(&queue, &layer, &github(), &headers).await);
}

#[tokio::test(start_paused = true)]
async fn a_replay_under_another_id_is_a_duplicate_within_the_window_of_the_digest_and_not_after_it() {
    let queue = queue();
    let guarded = github().with_digest(std::time::Duration::from_secs(300));
    let layer = VerifyLayer::new(guarded.clone());
    assert!(!is_duplicate(&queue, &layer, &guarded, &[(DELIVERY, "1")]).await);
    assert!(is_duplicate(&queue, &layer, &guarded, &[(DELIVERY, "2")]).await, "replayed");
    tokio::time::advance(std::time::Duration::from_secs(301)).await;
    assert!(is_duplicate(&queue, &layer, &guarded, &[(DELIVERY, "1")]).await, "its id is known for days");
    assert!(!is_duplicate(&queue, &layer, &guarded, &[(DELIVERY, "3")]).await, "its digest for minutes");
}

#[tokio::test]
async fn layers_of_one_source_recognise_each_others_deliveries() {
    let queue = queue();
    let (one, other) = (with_secret("one"), with_secret("other"));
    let first = VerifyLayer::new(one.clone()).with_source("orders");
    let second = VerifyLayer::new(other.clone()).with_source("orders").with_name("moved");
    assert!(!is_duplicate(&queue, &first, &one, &[(DELIVERY, ID)]).await);
    assert!(is_duplicate(&queue, &second, &other, &[(DELIVERY, ID)]).await);
    assert!(!is_duplicate(&queue, &first.with_source("others"), &one, &[(DELIVERY, ID)]).await);
}

/// As where the old and the new secret are read from two settings that hold the same one.
#[tokio::test]
async fn a_secret_that_is_given_twice_is_one_source() {
    let (queue, github) = (queue(), with_secret("one").or(Secret::new("one").unwrap()));
    let layer = VerifyLayer::new(github.clone());
    assert!(!is_duplicate(&queue, &layer, &github, &[(DELIVERY, ID)]).await);
    assert!(is_duplicate(&queue, &layer, &github, &[(DELIVERY, ID)]).await);
    assert!(is_duplicate(&queue, &VerifyLayer::new(with_secret("one")), &github, &[(DELIVERY, ID)]).await);
}

/// A scheme that names no source.
#[derive(Debug)]
struct NoSource(GitHub);

impl Scheme for NoSource {
    fn name(&self) -> &'static str {
        "mine"
    }

    fn verify(&self, head: &Parts, body: &[u8], now: SystemTime) -> Result<Verified, Unverified> {
        self.0.verify(head, body, now)
    }

    fn sources(&self) -> Vec<String> {
        Vec::new()
    }
}

#[tokio::test]
async fn a_scheme_that_names_no_source_has_the_one_of_its_name() {
    let (queue, layer) = (queue(), VerifyLayer::new(NoSource(github())));
    assert!(!is_duplicate(&queue, &layer, &github(), &[(DELIVERY, ID)]).await);
    assert!(is_duplicate(&queue, &layer, &github(), &[(DELIVERY, ID)]).await, "its keys were forgotten");
    let named = VerifyLayer::new(github()).with_source("mine");
    assert!(is_duplicate(&queue, &named, &github(), &[(DELIVERY, ID)]).await);
}
