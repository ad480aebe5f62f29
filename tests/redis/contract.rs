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

/// The commands that the module docs name, and no other; and no key but its own.
#[tokio::test]
async fn a_user_with_its_commands_is_enough() {
    let server = RedisServer::start();
    let commands = "+evalsha +eval +get +getrange +set +setrange +del +time";
    let words = ["ACL", "SETUSER", "service", "on", ">password", "~steadfast:*"];
    server.cli(&words.into_iter().chain(commands.split(' ')).collect::<Vec<_>>());
    let address = format!("redis://service:password@127.0.0.1:{}", server.port());
    idempotency_contract(&RedisStore::connect(address).await.unwrap()).await.unwrap();
}
