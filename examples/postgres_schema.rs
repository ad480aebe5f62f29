//! Prints the tables of the Postgres store, for those who run migrations of their own:
//! `cargo run --example postgres_schema --all-features > migrations/0007_steadfast.sql`

#[cfg(all(feature = "postgres", any(feature = "idempotency", feature = "queue")))]
fn main() {
    print!("{}", steadfast::store::postgres::PostgresStore::schema());
}

#[cfg(not(all(feature = "postgres", any(feature = "idempotency", feature = "queue"))))]
fn main() {
    eprintln!("run it with --all-features");
}
