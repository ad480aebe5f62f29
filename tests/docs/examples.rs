//! The snippets of the README are parts of examples, and the head of an example has the commands that its
//! reader types first: both are run.

use crate::{
    commands::{shell_blocks, words},
    example::{Example, Listening},
    page::Block,
    postgres_server::shared,
};
use reqwest::{Client, Method, redirect::Policy};

static CLIENT: Example = Example::new("client");
static IDEMPOTENT_POST: Example = Example::new("idempotent_post");
static WEBHOOK: Example = Example::new("webhook");
static PAYMENTS_SQLITE: Example = Example::new("payments_sqlite");
static PAYMENTS_POSTGRES: Example = Example::new("payments_postgres");

#[tokio::test]
async fn the_examples_whose_parts_the_readme_shows_run_to_their_end() {
    for (example, printed) in [
        (&CLIENT, "the rate is 1.08, although the other side was away twice\n"),
        (&IDEMPOTENT_POST, "charged 1 time\n"),
        (&WEBHOOK, "dead: ["),
    ] {
        let out = example.command().await.output().await.unwrap();
        let (told, errors) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        assert!(out.status.success() && told.contains(printed), "{told}{errors}");
    }
}

/// The request of a `curl` line: its path, headers and body.
struct Curl {
    path: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Curl {
    /// Of the block that starts this example.
    fn of(example: &str) -> Self {
        let command = format!("cargo run --example {example} ");
        let starts = |block: &Block| block.code.contains(&command);
        let block = shell_blocks().into_iter().find(starts).unwrap_or_else(|| panic!("no block runs {example}"));
        let line = block.code.lines().find(|line| line.starts_with("curl ")).unwrap();
        let mut curl = Self { path: String::new(), headers: Vec::new(), body: String::new() };
        let mut words = words(line).into_iter().skip(1);
        while let Some(word) = words.next() {
            match word.as_str() {
                "-i" => {}
                "-H" => {
                    let header = words.next().unwrap();
                    let (name, value) = header.split_once(": ").unwrap();
                    curl.headers.push((name.to_owned(), value.to_owned()));
                }
                "-d" => curl.body = words.next().unwrap(),
                url => {
                    let path =
                        url.strip_prefix("localhost:3000/").unwrap_or_else(|| panic!("{}: {url}", block.place()));
                    path.clone_into(&mut curl.path);
                }
            }
        }
        curl
    }

    /// Sends it to an example that listens here; returns the status, and whether the response was replayed.
    async fn send(&self, server: &Listening) -> (u16, bool) {
        let client = Client::builder().redirect(Policy::none()).build().unwrap();
        let mut request = client.request(Method::POST, format!("http://{}/{}", server.address, self.path));
        // what curl adds to -d
        request = request.header("content-type", "application/x-www-form-urlencoded").body(self.body.clone());
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.headers().contains_key("idempotent-replayed"))
    }
}

#[tokio::test]
async fn the_printed_request_to_an_example_pays_once_however_often_it_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("payments.db");
    let url = shared().url(&shared().database().await);
    for (name, example, database) in [
        ("payments_sqlite", &PAYMENTS_SQLITE, ("DATABASE", file.display().to_string())),
        ("payments_postgres", &PAYMENTS_POSTGRES, ("DATABASE_URL", url)),
    ] {
        let mut command = example.command().await;
        command.env("LISTEN", "127.0.0.1:0").env(database.0, database.1);
        let server = Listening::start(command).await;
        let curl = Curl::of(name);
        assert_eq!((curl.send(&server).await, curl.send(&server).await), ((201, false), (201, true)), "{name}");
        server.kill().await;
    }
}
