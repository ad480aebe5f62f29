#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::{UNREADABLE, store_error};
use redis::{RedisError, parse_redis_value};
use std::error::Error as _;

/// As a server says it.
fn said(line: &str) -> RedisError {
    parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap().extract_error().unwrap_err()
}

#[test]
fn what_a_server_says_is_told_in_few_words_and_kept() {
    for (line, what) in [
        (
            "OOM command not allowed when used memory > 'maxmemory'. script: 1f, on @user_script:40.",
            "redis is out of memory",
        ),
        (
            "MISCONF Redis is configured to save RDB snapshots, but it's unable to persist to disk.",
            "redis cannot write to its disk",
        ),
        ("NOREPLICAS Not enough good replicas to write.", "redis has too few replicas"),
        ("READONLY You can't write against a read only replica.", "this redis is a read-only replica"),
        ("LOADING Redis is loading the dataset in memory", "redis is still loading its data"),
        ("MOVED 3999 127.0.0.1:6381", "the key is on another node of the cluster: use a cluster connection"),
        ("NOAUTH Authentication required.", "redis does not permit it"),
        ("NOPERM User service has no permissions to run the 'evalsha' command", "redis does not permit it"),
        ("BUSY Redis is busy running a script.", "redis failed"),
        ("ERR unknown command 'evalsha', with args beginning with: '1'", "redis failed"),
    ] {
        let error = store_error(said(line));
        assert_eq!(error.what(), what, "{line}");
        let words = line.split_once(' ').unwrap().1;
        assert!(error.source().unwrap().to_string().contains(words), "{line}: {:?}", error.source());
    }
}

#[test]
fn what_cannot_be_read_is_an_answer_and_no_failure() {
    for (line, what) in [
        (
            "WRONGTYPE Operation against a key holding the wrong kind of value",
            "under the key lies another kind of value",
        ),
        ("UNREADABLE no record that this version can read", UNREADABLE.what()),
    ] {
        let error = store_error(said(line));
        assert_eq!((error.what(), error.is_unreadable()), (what, true), "{line}");
    }
    assert!(!store_error(said("OOM command not allowed when used memory > 'maxmemory'.")).is_unreadable());
}

#[test]
fn a_refusal_of_the_server_is_certain_and_any_other_failure_is_not() {
    for line in [
        "OOM command not allowed when used memory > 'maxmemory'.",
        "MISCONF unable to persist to disk.",
        "NOREPLICAS Not enough good replicas to write.",
        "READONLY You can't write against a read only replica.",
        "LOADING Redis is loading the dataset in memory",
        "NOPERM User service has no permissions to run the 'evalsha' command",
        "RELEASED the claim was released before",
    ] {
        let error = store_error(said(line));
        assert_eq!((error.is_refused(), error.is_full()), (true, line.starts_with("OOM")), "{line}");
        assert!(!error.of_unknown_outcome().is_refused(), "{line}: sent before, on a connection that broke");
    }
    assert!(!store_error(said("BUSY Redis is busy running a script.")).is_refused());
    assert!(!store_error(said("UNREADABLE no record that this version can read")).is_refused());
}

/// As Redis 5 and 6 say it.
#[test]
fn what_a_command_said_inside_a_script_is_found_in_what_the_script_says() {
    let script = "ERR Error running script (call to f_6b1bf486c81ceb7edf3c093f4c48582e38c0e791): @user_script:41: ";
    for (inside, what) in [
        ("@user_script: 41: -OOM command not allowed when used memory > 'maxmemory'.", "redis is out of memory"),
        (
            "@user_script: 41: -READONLY You can't write against a read only replica.",
            "this redis is a read-only replica",
        ),
        (
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
            "under the key lies another kind of value",
        ),
        ("user_script:41: attempt to index a nil value", "redis failed"),
    ] {
        assert_eq!(store_error(said(&format!("{script}{inside}"))).what(), what);
    }
}
