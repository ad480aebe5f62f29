use super::store;
use steadfast::testing::idempotency_contract;

#[tokio::test]
async fn it_keeps_the_laws_of_records() {
    idempotency_contract(&store().await).await.unwrap();
}
