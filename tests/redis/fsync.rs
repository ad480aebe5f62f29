//! Kills while the disk is slow: a library that delays fsync is loaded into a real server.

use crate::{
    redis_server::RedisServer,
    support::{App, store},
};
use http::StatusCode;
use std::{fs, path::PathBuf, process::Command, time::Duration};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// Delays `fdatasync` and `fsync`. The file that `SLOW_FSYNC` names, if it exists, holds the number of milliseconds.
const SLOW: &str = r#"
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
static void delay(void) {
    const char *path = getenv("SLOW_FSYNC");
    FILE *file = path ? fopen(path, "r") : NULL;
    int ms = 0;
    if (!file) return;
    if (fscanf(file, "%d", &ms) == 1) usleep(ms * 1000);
    fclose(file);
}
int fdatasync(int fd) { delay(); return syscall(SYS_fdatasync, fd); }
int fsync(int fd) { delay(); return syscall(SYS_fsync, fd); }
"#;

/// A disk that can be made slow.
struct Disk {
    dir: TempDir,
}

impl Disk {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("slow.c"), SLOW).unwrap();
        let built = Command::new("cc").args(["-shared", "-fPIC", "-o", "slow.so", "slow.c"]).current_dir(&dir).output();
        let built = built.unwrap_or_else(|error| panic!("cc (apt-get install gcc libc6-dev): {error}"));
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        Self { dir }
    }

    fn server(&self, appendfsync: &str) -> RedisServer {
        let library = self.dir.path().join("slow.so");
        let env = [("LD_PRELOAD", library.to_str().unwrap()), ("SLOW_FSYNC", self.switch().to_str().unwrap())]
            .map(|(name, value)| (name, value.to_owned()));
        let env: Vec<_> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
        RedisServer::with_env(&["--appendonly", "yes", "--appendfsync", appendfsync], &env)
    }

    fn switch(&self) -> PathBuf {
        self.dir.path().join("milliseconds")
    }

    fn slow(&self, by: Duration) {
        fs::write(self.switch(), by.as_millis().to_string()).unwrap();
    }

    fn fast(&self) {
        fs::remove_file(self.switch()).unwrap();
    }
}

/// Answers requests for `takes`, and kills the server in the middle; then repeats each key that was answered. How long before the
/// kill those were answered that ran again, and how many keys there were.
async fn killed(disk: &Disk, server: &mut RedisServer, takes: Duration) -> (Vec<Duration>, usize) {
    let app = App::over(store(server).await);
    let began = Instant::now();
    let mut answered = Vec::new();
    while began.elapsed() < takes {
        let key = answered.len().to_string();
        if app.post(&key).await.status == StatusCode::CREATED {
            answered.push((key, Instant::now()));
        }
        sleep(Duration::from_millis(2)).await;
    }
    server.kill();
    let killed = Instant::now();
    disk.fast();
    server.restart();
    let mut again = Vec::new();
    for (key, at) in &answered {
        if !app.post(key).await.replayed() {
            again.push(killed - *at);
        }
    }
    (again, answered.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn with_always_nothing_that_was_answered_is_lost() {
    let disk = Disk::new();
    let mut server = disk.server("always");
    disk.slow(Duration::from_millis(30));
    let (again, answered) = killed(&disk, &mut server, Duration::from_secs(3)).await;
    println!("appendfsync always, fsync of 30 ms, killed: {} of {answered} keys ran again", again.len());
    assert!(answered > 10, "only {answered} keys were answered");
    assert_eq!(again.len(), 0);
}

/// While an fsync is slow Redis keeps commands in its memory for up to two seconds, and answers them all the same.
#[tokio::test(flavor = "multi_thread")]
async fn with_everysec_the_last_two_seconds_are_lost_while_an_fsync_is_slow() {
    let disk = Disk::new();
    let mut server = disk.server("everysec");
    disk.slow(Duration::from_secs(20));
    let (again, answered) = killed(&disk, &mut server, Duration::from_millis(2_700)).await;
    let oldest = again.iter().max().copied().unwrap_or_default();
    println!(
        "appendfsync everysec, fsync of 20 s, killed: {} of {answered} keys ran again, the oldest answered {oldest:?} before",
        again.len()
    );
    assert!(!again.is_empty(), "nothing was lost: the page says that it is");
    assert!(oldest < Duration::from_secs(3), "{oldest:?}: the page says two seconds");
    assert!(again.len() < answered, "what came before is there");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_no_fsync_at_all_a_kill_loses_nothing() {
    let disk = Disk::new();
    let mut server = disk.server("no");
    disk.slow(Duration::from_secs(20));
    let (again, answered) = killed(&disk, &mut server, Duration::from_secs(2)).await;
    println!("appendfsync no, killed: {} of {answered} keys ran again", again.len());
    assert_eq!(again.len(), 0);
}
