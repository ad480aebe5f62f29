//! The tables, and how they come to be.

use super::{
    connections::{Call, Connections},
    session::Session,
};
use crate::error::StoreError;
use sqlx::{Row, postgres::PgRow};

/// What one pattern needs. A process makes the parts that its features ask for; another one with more features adds the rest.
struct Part {
    name: &'static str,
    /// Each step leads from the version that is its place in the list to the next one. Steps that were published never change.
    steps: &'static [&'static str],
}

const PARTS: &[Part] = &[
    #[cfg(feature = "idempotency")]
    Part {
        name: "idempotency",
        steps: &[include_str!("schema/idempotency_1.sql"), include_str!("schema/idempotency_2.sql")],
    },
    #[cfg(feature = "queue")]
    Part {
        name: "queue",
        steps: &[
            include_str!("schema/queue_1.sql"),
            include_str!("schema/queue_2.sql"),
            include_str!("schema/queue_3.sql"),
        ],
    },
];

/// The table that says which part has which version.
const VERSIONS: &str = include_str!("schema/versions.sql");

/// Held while tables are made. Any number will do that others are unlikely to have: this is "steadfas" in ASCII.
const LOCK: &str = "SELECT pg_advisory_xact_lock(8319385880630813043)";

/// In the catalog itself: what names mean is cached, and in the middle of a transaction nothing tells the cache what another one
/// committed meanwhile.
const FIND: &str =
    "SELECT EXISTS(SELECT FROM pg_catalog.pg_class WHERE relname = 'steadfast_schema' AND pg_table_is_visible(oid))";
const READ: &str = "SELECT version FROM steadfast_schema WHERE part = $1";
const WRITE: &str = "INSERT INTO steadfast_schema(part, version) VALUES($1, $2)
    ON CONFLICT (part) DO UPDATE SET version = excluded.version";

pub(super) async fn migrate(connections: &Connections) -> Result<(), StoreError> {
    let are_all_there = connections.call(Call::SCHEMA, (), |session, ()| Box::pin(are_all_there(session)));
    if are_all_there.await? {
        return Ok(());
    }
    connections.call(Call::SCHEMA, (), |session, ()| Box::pin(make(session))).await
}

async fn make(mut session: Session<'_>) -> Result<(), StoreError> {
    // what was committed while this one waited for the lock must be seen, whatever the role's default is
    session.script("SET TRANSACTION ISOLATION LEVEL READ COMMITTED").await?;
    session.execute(sqlx::query(LOCK)).await?;
    if !is_there(&mut session).await? {
        session.script(VERSIONS).await?;
    }
    for part in PARTS {
        let from = version(&mut session, part).await?;
        for step in part.steps.iter().skip(from) {
            session.script(step).await?;
        }
        if from < part.steps.len() {
            session.execute(sqlx::query(WRITE).bind(part.name).bind(number(part.steps.len()))).await?;
        }
    }
    Ok(())
}

async fn are_all_there(mut session: Session<'_>) -> Result<bool, StoreError> {
    if !is_there(&mut session).await? {
        return Ok(false);
    }
    for part in PARTS {
        if version(&mut session, part).await? < part.steps.len() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether there is a table of versions.
async fn is_there(session: &mut Session<'_>) -> Result<bool, StoreError> {
    let found = session.optional(sqlx::query(FIND)).await?;
    Ok(found.is_some_and(|row| row.try_get(0).is_ok_and(|there| there)))
}

/// 0 where there is nothing of the part yet.
async fn version(session: &mut Session<'_>, part: &Part) -> Result<usize, StoreError> {
    let found = session.optional(sqlx::query(READ).bind(part.name)).await?;
    let version: i32 = found.as_ref().map_or(Ok(0), |row: &PgRow| row.try_get(0))?;
    let version = usize::try_from(version).unwrap_or(0);
    if version > part.steps.len() {
        let (name, known) = (part.name, part.steps.len());
        let source = format!("{name} has schema {version}, this version of steadfast knows up to {known}");
        return Err(StoreError::with_source("the tables are those of a newer version of steadfast", source));
    }
    Ok(version)
}

fn number(version: usize) -> i32 {
    i32::try_from(version).unwrap_or(i32::MAX)
}

pub(super) fn text() -> String {
    let step = |name, version: usize, step| {
        let found = WRITE.replace("$1", &format!("'{name}'")).replace("$2", &version.to_string());
        format!("\n-- {name}, version {version}\n\n{step}\n{found};\n")
    };
    let all =
        PARTS.iter().flat_map(|part| part.steps.iter().zip(1..).map(|(sql, version)| step(part.name, version, *sql)));
    [VERSIONS.to_owned()].into_iter().chain(all).collect()
}
