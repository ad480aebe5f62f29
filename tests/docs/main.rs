//! Every block that the documentation prints is run, compiled or compared by a test.
//!
//! The documentation is README.md, the other Markdown files, `docs/` and every doc comment. [`inventory`] finds each fenced
//! block there and fails for one that nothing runs:
//!
//! * Rust in a doc comment of `src/`, or on a page of `docs/`, is a doctest: rustdoc runs it. `ignore` is not allowed. A snippet
//!   that needs a server is `no_run`: `snippets.rs` has the same lines and runs them.
//! * Any other block has a hidden comment in the line above, `<!-- name -->` or `<!-- name: detail -->`, and [`RUNNERS`] maps
//!   the name to the test that runs it. A `sh` block without a comment has commands of cargo and the like.
//! * A drawing, which nothing can run, is a `text` block under `<!-- picture -->`, and its file is in [`PICTURES`] with the reason.
#![cfg(all(feature = "full", feature = "testing"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod commands;
mod configuration;
mod defaults;
mod examples;
mod inventory;
mod links;
mod order;
mod page;
mod queries;
mod readme;
mod redis;
mod snippets;
mod troubleshooting;

#[path = "../servers/example.rs"]
mod example;
#[path = "../servers/postgres.rs"]
mod postgres_server;
#[path = "../servers/redis.rs"]
mod redis_server;

use inventory::{Picture, Runner};

/// Another kind of block is a line here and a test that reads `page::marked(mark)`.
#[rustfmt::skip]
const RUNNERS: &[Runner] = &[
    Runner { language: "rust",   mark: "snippet",    pages: &["README.md"],           test: "docs::readme::every_snippet_is_the_marked_part_of_its_example" },
    Runner { language: "no_run", mark: "snippet",    pages: &[],                      test: "docs::snippets::every_snippet_that_needs_a_server_is_run_here" },
    Runner { language: "http",   mark: "exchange",   pages: &["docs/idempotency.md"], test: "conformance::page::every_exchange_on_the_page_is_had_again" },
    Runner { language: "json",   mark: "settings",   pages: &[],                      test: "docs::configuration::every_printed_setting_is_read_by_its_type" },
    Runner { language: "toml",   mark: "dependency", pages: &[],                      test: "docs::configuration::every_printed_dependency_has_our_version_and_features_that_exist" },
    Runner { language: "sql",    mark: "sql",        pages: &[],                      test: "docs::queries::every_printed_query_of_sqlite_gives_what_the_queue_holds" },
    Runner { language: "sh",     mark: "redis",      pages: &[],                      test: "docs::redis::every_printed_command_about_records_shows_what_the_page_says" },
    Runner { language: "sh",     mark: "sigxfsz",    pages: &["src/store/sqlite/mod.rs"], test: "sqlite::files::where_sigxfsz_is_ignored_a_file_that_may_not_grow_is_an_error_loses_nothing_and_passes" },
    Runner { language: "sh",     mark: "",           pages: &[],                      test: "docs::commands::every_command_names_what_there_is" },
    Runner { language: "ini",    mark: "",           pages: &["src/store/postgres/mod.rs"], test: "postgres::pooler::behind_a_pooler_the_store_keeps_the_laws_of_records_and_queues" },
    Runner { language: "text",   mark: "order",      pages: &[],                      test: "docs::order::every_printed_order_is_the_same" },
    Runner { language: "text",   mark: "compiler",   pages: &["docs/troubleshooting.md"], test: "docs::troubleshooting::every_message_of_this_crate_that_the_page_quotes_is_in_the_code" },
];

const PICTURES: &[Picture] = &[
    Picture { file: "src/circuit_breaker/mod.rs", why: "the states of a circuit, as a drawing" },
    Picture { file: "src/idempotency/mod.rs", why: "the states of a key, as a drawing" },
    Picture { file: "src/queue/mod.rs", why: "the states of a message, as a drawing" },
    Picture { file: "src/retry/mod.rs", why: "the states of a call, as a drawing" },
    Picture { file: "src/store/sqlite/mod.rs", why: "how calls share a commit, as a drawing" },
];
