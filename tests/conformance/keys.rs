//! What is a key, whose it is, and what for.

use crate::{
    server::over_all,
    wire::{charge, post, request},
};

const MALFORMED: &str = "malformed idempotency key";

#[tokio::test]
async fn a_malformed_key_is_refused_and_nothing_runs() {
    over_all(&[], |server| async move {
        let (long, quoted) = ("k".repeat(256), format!("\"{}\"", "k".repeat(256)));
        let malformed: [&[u8]; 22] = [
            b"",
            b"\"\"",
            b"\"",
            b"\"unterminated",
            b"unopened\"",
            b"\"bad \\n escape\"",
            b"\"ends in an escape\\",
            b"\"two\" \"strings\"",
            b"\"a\", \"list\"",
            b"a,list",
            b"two words",
            b"semi;colon",
            b"back\\slash",
            b"\"tab\tinside\"",
            b"tab\tinside",
            b"\"k\";",
            b"\"k\";Upper=1",
            b"\"k\" ;p",
            "\"schl\u{fc}ssel\"".as_bytes(),
            b"\xff\xfe",
            long.as_bytes(),
            quoted.as_bytes(),
        ];
        for key in malformed {
            let sent = post("/charge").header("idempotency-key", key).body("{\"amount\":5}");
            let answer = server.send(&sent).await;
            assert_eq!(answer.refusal(), (400, MALFORMED.into(), false), "{:?}", String::from_utf8_lossy(key));
        }
        for (first, second) in [("a", "b"), ("a", "a"), ("\"a\"", "\"a\"")] {
            server.send(&charge(first, 5).key(second)).await.is_refused(400, MALFORMED);
        }
        assert_eq!(server.count().await, 0);
        // none of them has touched the key that it resembles
        assert_eq!(server.send(&charge("a", 5)).await.status, 201);
    })
    .await;
}

#[tokio::test]
async fn a_post_without_a_key_is_refused_and_nothing_runs() {
    over_all(&[], |server| async move {
        for path in ["/charge", "/slow?ms=1", "/fail?status=200", "/panic", "/big?bytes=1"] {
            let answer = server.send(&post(path).body("{\"amount\":5}")).await;
            answer.is_refused(400, "idempotency key missing");
        }
        assert_eq!(server.count().await, 0);
    })
    .await;
}

#[tokio::test]
async fn quoted_bare_and_with_parameters_it_is_one_key() {
    over_all(&[], |server| async move {
        assert_eq!(server.send(&charge("order-7", 5)).await.status, 201);
        for same in ["\"order-7\"", "\"order-7\";v=1", "\"order-7\"; a; b=\"x\"", "  order-7  ", "\"order\\-7\""] {
            let answer = server.send(&charge(same, 5)).await;
            match same {
                // only quotes and backslashes are escaped
                "\"order\\-7\"" => answer.is_refused(400, MALFORMED),
                _ => assert!(answer.replayed(), "{same}: {answer:?}"),
            }
        }
        for (quoted, again) in [("\"a \\\"b\\\" \\\\c, d\"", "\"a \\\"b\\\" \\\\c, d\";x"), ("\"order-8\"", "order-8")]
        {
            assert_eq!(server.send(&charge(quoted, 5)).await.status, 201);
            assert!(server.send(&charge(again, 5)).await.replayed());
        }
        for other in ["Order-7", "order-7.", "'order-7'", "urn:uuid:order-7", "b3JkZXI/Nw=="] {
            assert_eq!(server.send(&charge(other, 5)).await.status, 201, "{other}");
        }
        assert_eq!(server.count().await, 8);
    })
    .await;
}

#[tokio::test]
async fn a_key_has_up_to_255_characters_in_either_form() {
    over_all(&[], |server| async move {
        let (longest, one) = ("k".repeat(255), "k");
        for key in [longest.as_str(), one] {
            assert_eq!(server.send(&charge(key, 5)).await.status, 201);
            assert!(server.send(&charge(&format!("\"{key}\""), 5)).await.replayed());
        }
        // 255 of what they stand for
        let escaped = format!("\"{}\"", "\\\\".repeat(255));
        assert_eq!(server.send(&charge(&escaped, 5)).await.status, 201);
        assert_eq!(server.count().await, 3);
    })
    .await;
}

#[tokio::test]
async fn safe_methods_pass_whatever_their_key() {
    over_all(&[], |server| async move {
        assert_eq!(server.send(&charge("k", 5)).await.status, 201);
        for key in ["k", "\"", ""] {
            let mut connection = server.connect().await;
            let get = connection.exchange(&request("GET", "/count").key(key)).await;
            assert_eq!((get.status, get.replayed()), (200, false));
            assert_eq!(get.json()["count"], 1);
            connection.write(&request("HEAD", "/count").key(key).bytes()).await;
            let head = connection.answer_to_head().await;
            assert_eq!((head.status, head.replayed(), head.body.len()), (200, false, 0));
            let options = connection.exchange(&request("OPTIONS", "/charge").key(key)).await;
            assert_eq!((options.status, options.header("allow")), (405, Some("POST")));
        }
        // not one of them was recorded under the key
        assert!(server.send(&charge("k", 5)).await.replayed());
    })
    .await;
}

#[tokio::test]
async fn a_key_is_for_one_request() {
    const MISMATCH: &str = "idempotency key in use for another request";
    over_all(&[], |server| async move {
        let json = |body: &str| post("/charge?a=1&b=2").key("k").header("content-type", "application/json").body(body);
        let first = json("{\"amount\":5}");
        assert_eq!(server.send(&first).await.status, 201);
        let body = "{\"amount\":5}";
        let others = [
            json("{\"amount\":6}"),
            json("{ \"amount\":5}"),
            json(""),
            post("/charge?b=2&a=1").key("k").header("content-type", "application/json").body(body),
            post("/charge?a=1").key("k").header("content-type", "application/json").body(body),
            post("/charge").key("k").header("content-type", "application/json").body(body),
            post("/ch%61rge?a=1&b=2").key("k").header("content-type", "application/json").body(body),
            post("/charge/?a=1&b=2").key("k").header("content-type", "application/json").body(body),
            post("/charge?a=%31&b=2").key("k").header("content-type", "application/json").body(body),
            post("/slow?ms=1").key("k").header("content-type", "application/json").body(body),
            request("PATCH", "/charge?a=1&b=2").key("k").header("content-type", "application/json").body(body),
            post("/charge?a=1&b=2").key("k").header("content-type", "text/plain").body(body),
            post("/charge?a=1&b=2").key("k").body(body),
        ];
        for other in &others {
            server.send(other).await.is_refused(422, MISMATCH);
        }
        assert_eq!(server.count().await, 1);
        // what does not say which request it is may change: a trace, a client
        let again = first.header("traceparent", "00-1").header("user-agent", "another").header("accept", "*/*");
        assert!(server.send(&again).await.replayed(), "the record is as it was");
    })
    .await;
}

#[tokio::test]
async fn one_callers_key_is_nobody_elses() {
    over_all(&[], |server| async move {
        let callers = ["Bearer alice", "Bearer bob", "Bearer alic", "bearer alice", "Bearer alice ek"];
        let mut seen = Vec::new();
        for caller in callers {
            // what would be the same if caller and key were only put together
            for key in ["k", "ek", "e"] {
                let answer = server.send(&charge(key, 5).by(caller)).await;
                assert_eq!((answer.status, answer.replayed()), (201, false), "{caller} {key}");
                seen.push((caller, key, answer.body));
            }
        }
        for (caller, key, body) in &seen {
            let again = server.send(&charge(key, 5).by(caller)).await;
            assert_eq!((again.replayed(), &again.body), (true, body), "{caller} {key}");
        }
        assert_eq!(server.count().await, 15);
    })
    .await;
}

#[tokio::test]
async fn all_who_do_not_say_who_they_are_are_one_caller() {
    over_all(&[], |server| async move {
        let nobody = charge("k", 5).without("authorization");
        assert_eq!(server.send(&nobody).await.status, 201);
        assert!(server.send(&nobody).await.replayed());
        assert!(!server.send(&charge("k", 5)).await.replayed());
        assert_eq!(server.count().await, 2);
    })
    .await;
}
