//! Settings and dependencies that the documentation prints are parsed into the types that they are for.

use crate::page::{Block, marked, read};
use steadfast::{circuit_breaker, idempotency, store::sqlite::SqliteConfig};
use toml::Table;

/// `<!-- settings: circuit_breaker::Config -->`: JSON or TOML that becomes this type.
#[test]
fn every_printed_setting_is_read_by_its_type() {
    for block in marked("settings") {
        let detail = block.mark.as_ref().map_or("", |mark| &mark.detail);
        let read = match detail {
            "circuit_breaker::Config" => parse::<circuit_breaker::Config>(&block),
            "idempotency::Config" => parse::<idempotency::Config>(&block),
            "SqliteConfig" => parse::<SqliteConfig>(&block),
            other => Err(format!("tests/docs/configuration.rs does not know the type {other}")),
        };
        assert!(read.is_ok(), "{}: {}", block.place(), read.unwrap_err());
    }
}

fn parse<T: serde::de::DeserializeOwned>(block: &Block) -> Result<(), String> {
    let read = match block.info.as_str() {
        "json" => serde_json::from_str::<T>(&block.code).map_err(|error| error.to_string()),
        _ => toml::from_str::<T>(&block.code).map_err(|error| error.to_string()),
    };
    read.map(drop)
}

/// `<!-- dependency -->`: lines for the `Cargo.toml` of a user.
#[test]
fn every_printed_dependency_has_our_version_and_features_that_exist() {
    for block in marked("dependency") {
        assert_eq!(dependency(&block.code), Ok(()), "{}", block.place());
    }
}

fn dependency(text: &str) -> Result<(), String> {
    let manifest: Table = read("Cargo.toml").unwrap().parse().unwrap();
    let features = manifest["features"].as_table().unwrap();
    let table: Table = text.parse().map_err(|error: toml::de::Error| error.to_string())?;
    let ours = table.get("steadfast").ok_or("no dependency on steadfast")?;
    let version = ours.get("version").unwrap_or(ours).as_str().ok_or("no version")?;
    let is_ours = manifest["package"]["version"].as_str().unwrap().starts_with(&format!("{version}."));
    if !is_ours {
        return Err(format!("version {version} is not ours"));
    }
    let listed = ours.get("features").and_then(|list| list.as_array()).into_iter().flatten();
    let listed = listed.filter_map(|feature| feature.as_str());
    // the others that a comment offers: `# or "tonic"`
    let offered = text
        .lines()
        .filter_map(|line| line.split_once('#'))
        .flat_map(|(_, comment)| comment.split('"').skip(1).step_by(2));
    match listed.chain(offered).find(|feature| !features.contains_key(*feature)) {
        Some(unknown) => Err(format!("there is no feature {unknown}")),
        None => Ok(()),
    }
}

#[test]
fn a_dependency_that_cargo_would_refuse_is_found() {
    assert_eq!(dependency("steadfast = { version = \"0.1\", features = [\"axum\"] } # or \"tonic\""), Ok(()));
    for wrong in [
        "steadfast = { version = \"0.2\", features = [\"axum\"] }",
        "steadfast = { version = \"0.1\", features = [\"actix\"] }",
        "steadfast = { version = \"0.1\", features = [\"axum\"] } # or \"actix\"",
        "steadfast = { version = \"0.1\", features = [\"axum\" }",
        "tower = \"0.5\"",
    ] {
        assert!(dependency(wrong).is_err(), "{wrong}");
    }
}
