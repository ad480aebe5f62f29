//! The main job as a test: small, and shown to be able to fail.

#![cfg(all(feature = "full", feature = "testing"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::{
    path::PathBuf,
    process::{Command, Output},
    sync::OnceLock,
};

/// Builds the example (which `cargo test --test integration` alone would not do) and says where it is.
fn example() -> &'static PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--all-features", "--example", "integration"]);
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        assert!(build.status().unwrap().success(), "the example does not build");
        let deps = std::env::current_exe().unwrap();
        let profile = deps.ancestors().nth(2).unwrap();
        profile.join("examples").join(format!("integration{}", std::env::consts::EXE_SUFFIX))
    })
}

fn run(arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(example());
    command.args(["--seed", "20261123", "--events", "58", "--kills", "2"]).args(arguments);
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    println!("{text}");
    (status.success(), text)
}

#[test]
fn the_promise_is_kept_over_two_kills() {
    let (kept, text) = run(&[]);
    assert!(kept, "{text}");
    assert!(text.contains("kept: everything that was accepted had exactly one effect"));
}

fn breaks(arguments: &[&str]) {
    let (kept, text) = run(arguments);
    assert!(!kept, "the check cannot fail: {text}");
    assert!(text.contains("BROKEN: event"), "it failed for another reason: {text}");
}

#[test]
fn without_dedupe_the_promise_breaks() {
    breaks(&["--without", "dedupe"]);
}

#[test]
fn without_fencing_the_promise_breaks() {
    breaks(&["--without", "fencing"]);
}

#[test]
fn without_the_idempotency_layer_the_promise_breaks() {
    breaks(&["--without", "idempotency"]);
}
