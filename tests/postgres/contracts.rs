use super::{
    postgres_server::{pool, shared},
    support::{migrated, store},
};
use steadfast::testing::idempotency_contract;

#[tokio::test]
async fn it_keeps_the_laws_of_records() {
    idempotency_contract(&store().await).await.unwrap();
}

#[tokio::test]
async fn it_keeps_them_where_every_transaction_is_serializable_unless_told() {
    let server = shared();
    let name = server.database().await;
    let serializable = format!("ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'");
    server.run("postgres", serializable).await;
    idempotency_contract(&migrated(pool(&server.url(&name)).await).await).await.unwrap();
}

#[tokio::test]
async fn it_keeps_them_without_statements_that_outlive_a_transaction() {
    // as behind a pooler that gives every transaction another connection
    let server = shared();
    let url = format!("{}?statement-cache-capacity=0", server.url(&server.database().await));
    idempotency_contract(&migrated(pool(&url).await).await).await.unwrap();
}
