//! The command line of the example.

use crate::server::EXAMPLE;
use std::process::Output;

async fn run(args: &[&str]) -> Output {
    EXAMPLE.command().await.args(args).output().await.unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test]
async fn wrong_arguments_are_said_and_nothing_is_started() {
    for (args, said) in [
        (&["--port", "80"][..], "`--port` is not known"),
        (&["--listen"], "--listen needs a value"),
        (&["--listen", "localhost"], "--listen localhost: HOST:PORT is wanted"),
        (&["--listen", "127.0.0.1:70000"], "--listen 127.0.0.1:70000: HOST:PORT is wanted"),
        (&["--store", "mysql://secret@x"], "--store: memory, sqlite:PATH, redis://.. or postgres://.."),
        (&["--store", "sqlite:"], "--store: memory"),
        (&["--store", "memory:"], "--store: memory"),
        (&["--ttl-ms", "1s"], "--ttl-ms 1s: a number of milliseconds"),
        (&["--ttl-ms", "0"], "--ttl-ms 0: a number of milliseconds, at least 1"),
        (&["--lease-ms", "-1"], "--lease-ms -1: a number of milliseconds"),
    ] {
        let output = run(args).await;
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(error.starts_with(&format!("error: {said}")), "{args:?}: {error}");
        assert!(!error.contains("secret"), "{error}");
        assert!(output.stdout.is_empty());
    }
}

#[tokio::test]
async fn what_cannot_be_opened_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = format!("sqlite:{}/no/such/folder.db", folder.path().display());
    for args in [
        &["--listen", "192.0.2.1:80"][..],
        &["--store", &sqlite],
        // the port of nobody
        &["--store", "redis://:secret@127.0.0.1:1/"],
        &["--store", "postgres://postgres:secret@127.0.0.1:1/"],
    ] {
        let output = run(args).await;
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {error}");
        assert!(error.starts_with("error: ") && error.len() > 12, "{args:?}: {error}");
        assert!(!error.contains("secret") && !text(&output.stdout).contains("listening"), "{args:?}: {error}");
    }
}

#[tokio::test]
async fn the_help_names_every_argument_and_route() {
    let output = run(&["--store", "memory", "--help"]).await;
    assert!(output.status.success());
    let help = text(&output.stdout);
    for named in
        ["--listen", "--store", "--ttl-ms", "--lease-ms", "/charge", "/slow", "/fail", "/panic", "/big", "/count"]
    {
        assert!(help.contains(named), "{named}");
    }
}
