//! Each rule fails when it is broken, and only then.

use super::HOUSE;

fn found(path: &str, text: &str) -> Vec<String> {
    HOUSE.check(path, text)
}

#[track_caller]
fn clean(path: &str, text: &str) {
    assert_eq!(found(path, text), Vec::<String>::new());
}

#[test]
fn a_stranger_is_named_with_file_and_line() {
    let text = "//! Docs.\n\nuse crate::webhook::VerifyLayer;\n";
    assert_eq!(found("src/queue/mod.rs", text), ["src/queue/mod.rs:3: queue may not use webhook"]);
}

#[test]
fn braces_are_opened_however_deep() {
    let text = "use crate::{\n    error::{BoxError, Refused},\n    classify::{self, Outcome},\n    retry::{self as again, budget::Budget},\n};\n";
    let said = "src/queue/worker.rs:4: queue may not use retry";
    assert_eq!(found("src/queue/worker.rs", text), [said]);
}

#[test]
fn a_path_in_an_expression_counts() {
    let text = "fn f() -> u32 {\n    crate::retry::attempts() + 1\n}\n";
    assert_eq!(
        found("src/circuit_breaker/state.rs", text),
        ["src/circuit_breaker/state.rs:2: circuit_breaker may not use retry"]
    );
}

#[test]
fn super_counts_where_it_leaves_the_room() {
    clean("src/queue/accept.rs", "use super::message::Message;\n");
    clean("src/store/sqlite/queue.rs", "use super::super::memory::Rows;\n");
    let said = "src/queue/accept.rs:1: queue may not use webhook";
    assert_eq!(found("src/queue/accept.rs", "use super::super::webhook::VerifyLayer;\n"), [said]);
    assert_eq!(found("src/queue/accept.rs", "use super::{super::webhook::VerifyLayer, Message};\n"), [said]);
    assert_eq!(found("src/queue/accept.rs", "use self::super::super::webhook::VerifyLayer;\n"), [said]);
    assert_eq!(
        found("src/queue/mod.rs", "use super::webhook::VerifyLayer;\n"),
        ["src/queue/mod.rs:1: queue may not use webhook"]
    );
}

#[test]
fn one_thing_of_a_room_is_not_the_room() {
    clean("src/error/find.rs", "use crate::timeout::Elapsed;\n");
    let said = "src/error/find.rs:1: error may not use timeout::TimeoutLayer";
    assert_eq!(found("src/error/find.rs", "use crate::timeout::TimeoutLayer;\n"), [said]);
}

#[test]
fn the_whole_crate_may_not_be_used_at_once() {
    for text in ["use crate::*;\n", "use super::super::*;\n", "use crate::{self as all};\n"] {
        assert_eq!(
            found("src/queue/accept.rs", text),
            ["src/queue/accept.rs:1: queue may not use the whole crate: what it uses must be seen"]
        );
    }
}

#[test]
fn what_lib_rs_gives_out_is_used_through_its_room() {
    assert_eq!(
        found("src/queue/accept.rs", "use crate::ClientStack;\n"),
        ["src/queue/accept.rs:1: queue may not use ClientStack"]
    );
}

#[test]
fn a_room_without_a_line_is_named() {
    assert_eq!(found("src/util/mod.rs", "mod x;\n"), ["src/util/mod.rs:1: util has no line in the table of rooms"]);
}

#[test]
fn comments_strings_and_characters_are_no_code() {
    let text = r##"
        //! [`crate::webhook`] and axum::Router
        /* crate::webhook /* tower::x */ axum::y */
        const A: &str = "crate::webhook \" axum::Router";
        const B: &str = r#"crate::webhook "axum::Router" "#;
        const C: [char; 3] = ['"', '\'', '\u{22}'];
        fn f<'a>(x: &'a str) -> &'a str { x } // tonic::Status
    "##;
    clean("src/queue/accept.rs", text);
    // and what stands behind them is
    assert_eq!(found("src/queue/accept.rs", &format!("{text}use crate::webhook;\n")).len(), 1);
}

#[test]
fn another_crate_is_named_only_where_it_is_at_home() {
    clean("src/place/axum.rs", "use axum::body::Body;\n");
    clean("src/place/axum/claim.rs", "use axum::body::Body;\n");
    clean("src/store/sqlite/queue.rs", "use rusqlite::Connection;\n");
    clean("src/foreign/all.rs", "fn f() { super::tower::judge() }\n");
    clean("src/foreign/mod.rs", "mod tower;\npub(crate) use tower::judge;\n");
    clean("src/idempotency/key.rs", "fn f(tower: &Tower) -> u8 { tower.hyper + Self::axum() }\n");
    let said = "src/idempotency/key.rs:1: axum belongs in src/foreign/axum, src/foreign/body_limit, src/foreign/uri, src/place/axum";
    for text in [
        "use axum::Router;\n",
        "use ::axum::Router;\n",
        "fn f(r: axum::Router) {}\n",
        "use axum as web;\n",
        "extern crate axum;\n",
    ] {
        assert_eq!(found("src/idempotency/key.rs", text), [said], "{text}");
    }
    assert_eq!(found("src/idempotency/key.rs", "use {http::Request, axum::Router};\n"), [said]);
    for name in ["tonic", "reqwest", "hyper", "hyper_util", "tower", "rusqlite", "h2"] {
        assert_eq!(found("src/queue/accept.rs", &format!("use {name}::X;\n")).len(), 1, "{name}");
    }
    assert_eq!(found("src/store/memory/queue.rs", "use rusqlite::Connection;\n").len(), 1);
    assert_eq!(found("src/place/axum.rs", "use tonic::body::Body;\n").len(), 1);
}

#[test]
fn pure_code_takes_what_it_is_given() {
    clean("src/circuit_breaker/state.rs", "use tokio::time::Instant;\n");
    for text in [
        "use tokio::time::sleep;\n",
        "use tokio::time::{Instant, sleep};\n",
        "use http::Request;\n",
        "use std::sync::Mutex;\n",
    ] {
        assert_eq!(found("src/circuit_breaker/state.rs", text).len(), 1, "{text}");
        clean("src/circuit_breaker/circuit.rs", text);
    }
}

#[test]
fn a_front_door_has_nothing_behind_the_counter() {
    clean(
        "src/queue/mod.rs",
        "#![doc = include_str!(\"x.md\")]\n#[cfg(feature = \"serde\")]\nmod a;\npub(crate) mod b;\npub use a::{A, B};\npub(in crate::queue) use b::C;\n",
    );
    let said = "src/queue/mod.rs:2: a front door holds docs, mod and use, and no code";
    for item in [
        "struct A;",
        "pub type A = u8;",
        "pub(crate) fn f() {}",
        "impl A {}",
        "const A: u8 = 0;",
        "macro_rules! m { () => {} }",
    ] {
        assert_eq!(found("src/queue/mod.rs", &format!("mod a;\n{item}\n")), [said], "{item}");
    }
    assert_eq!(found("src/lib.rs", "fn f() {}\n"), ["src/lib.rs:1: a front door holds docs, mod and use, and no code"]);
}

#[test]
fn a_module_of_the_crate_has_one_condition() {
    clean(
        "src/lib.rs",
        "#[cfg(feature = \"queue\")]\npub mod queue;\n#[cfg(any(feature = \"a\", feature = \"b\"))]\nmod c;\n",
    );
    assert_eq!(
        found("src/lib.rs", "#[cfg(feature = \"queue\")]\n#[cfg(feature = \"x\")]\npub mod queue;\n"),
        ["src/lib.rs:3: one #[cfg] for a module, no more"]
    );
    assert_eq!(
        found("src/lib.rs", "#[cfg(feature = \"queue\")]\npub use queue::Queue;\n"),
        ["src/lib.rs:2: only a module has a #[cfg] in lib.rs"]
    );
}

#[test]
fn a_module_is_a_file() {
    assert_eq!(
        found("src/queue/accept.rs", "fn f() {}\nmod inner {\n    use super::f;\n}\n"),
        ["src/queue/accept.rs:2: the module inner wants a file of its own"]
    );
}

#[test]
fn a_file_is_short_and_only_code_counts() {
    let most = "let a = 1;\n".repeat(350);
    let free = "// a comment\n\n/* and\none more */\n".repeat(100);
    clean("src/queue/accept.rs", &format!("{most}{free}"));
    assert_eq!(
        found("src/queue/accept.rs", &format!("{most}{free}let b = 2;\n")),
        ["src/queue/accept.rs:1: 351 lines of code, 350 are the most"]
    );
    let sql = format!("const SQL: &str = \"\n{}\";\n", "select 1,\n".repeat(350));
    assert_eq!(found("src/store/sqlite/queue.rs", &sql).len(), 1);
}

#[test]
fn tests_keep_no_rule() {
    clean("src/queue/accept/tests.rs", "use crate::webhook::VerifyLayer;\nuse axum::Router;\n");
}
