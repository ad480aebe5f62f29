use crate::{
    redis_server::RedisServer,
    support::{store, store_at},
};
use steadfast::{
    store::redis::{
        RedisStore,
        redis::{Client, aio::ConnectionManager},
    },
    testing::idempotency_contract,
};

#[tokio::test]
async fn it_keeps_the_laws_of_records() {
    let server = RedisServer::start();
    idempotency_contract(&store(&server).await).await.unwrap();
}

#[tokio::test]
async fn also_on_a_connection_of_the_users() {
    let server = RedisServer::start();
    let manager = ConnectionManager::new(Client::open(server.url()).unwrap()).await.unwrap();
    idempotency_contract(&RedisStore::from_connection_manager(manager)).await.unwrap();
}

#[tokio::test]
async fn also_in_the_newer_protocol() {
    let server = RedisServer::start();
    let store = RedisStore::connect(format!("{}?protocol=resp3", server.url())).await.unwrap();
    idempotency_contract(&store).await.unwrap();
}

/// There a script may touch nothing but the keys that it was called with.
#[tokio::test]
async fn also_on_a_node_of_a_cluster() {
    let server = RedisServer::with(&["--cluster-enabled", "yes", "--cluster-require-full-coverage", "no"]);
    server.cli(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    server.cli_until(&["CLUSTER", "INFO"], "cluster_state:ok");
    idempotency_contract(&store_at(server.port()).await).await.unwrap();
}
