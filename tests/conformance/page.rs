//! `docs/idempotency.md` shows exchanges: they are had again, with the same words.

use crate::{
    server::{Server, Store, over},
    wire::{Answer, Connection, Request, request},
};
use std::time::Duration;
use tokio::time::sleep;

const PAGE: &str = include_str!("../../docs/idempotency.md");

/// What the other side is doing, the request, and what is answered.
struct Exchange {
    when: &'static str,
    request: Request,
    status: &'static str,
    headers: Vec<(String, &'static str)>,
    body: &'static str,
}

/// Headers, up to the first empty line, and what comes then.
fn message(text: &'static str) -> (Vec<(String, &'static str)>, &'static str) {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let header = |line: &'static str| line.split_once(": ").map(|(name, value)| (name.to_ascii_lowercase(), value));
    (head.lines().map(|line| header(line).unwrap_or_else(|| panic!("no header: {line}"))).collect(), body)
}

fn exchange(block: &'static str) -> Exchange {
    let (when, rest) = block.split_once("-->\n```http\n").unwrap();
    let text = rest.split_once("\n```").unwrap().0;
    let (asked, answered) = text.split_once("\n\nHTTP/1.1 ").unwrap();
    let (line, rest) = asked.split_once('\n').unwrap();
    let words: Vec<_> = line.split(' ').collect();
    let (headers, body) = message(rest);
    let mut request = request(words[0], words[1]).without("authorization").body(body);
    for (name, value) in headers {
        request = request.header(&name, value);
    }
    let (status, rest) = answered.split_once('\n').unwrap();
    let (headers, body) = message(rest);
    Exchange { when: when.trim_start_matches(':').trim(), request, status, headers, body }
}

async fn had(server: &mut Server, exchange: &Exchange) -> Answer {
    let mut other = Connection::open(server.address()).await;
    match exchange.when {
        "" => return other.exchange(&exchange.request).await,
        "while the same is running" | "after a kill" => {}
        other => panic!("when is that? {other}"),
    }
    let before = server.count().await;
    other.write(&exchange.request.bytes()).await;
    while server.count().await == before {
        sleep(Duration::from_millis(5)).await;
    }
    if exchange.when == "after a kill" {
        server.kill().await;
        sleep(Duration::from_millis(1500)).await;
    }
    server.send(&exchange.request).await
}

#[tokio::test]
async fn every_exchange_on_the_page_is_had_again() {
    over(&[Store::Sqlite], &["--lease-ms", "1000"], |mut server| async move {
        let blocks: Vec<_> = PAGE.split("<!-- exchange").skip(1).collect();
        assert_eq!((blocks.len(), PAGE.matches("```http").count()), (8, 8));
        for block in blocks {
            let shown = exchange(block);
            let answer = had(&mut server, &shown).await;
            assert_eq!(shown.status.split(' ').next().unwrap(), answer.status.to_string(), "{block}");
            assert_eq!(shown.body.as_bytes(), answer.body, "{block}");
            for (name, value) in &shown.headers {
                assert_eq!(answer.header(name), Some(*value), "{name} in {block}");
            }
            for telling in ["retry-after", "idempotent-replayed", "set-cookie"] {
                let is_shown = shown.headers.iter().any(|(name, _)| name == telling);
                assert_eq!(answer.header(telling).is_some(), is_shown, "{telling} in {block}");
            }
        }
    })
    .await;
}
