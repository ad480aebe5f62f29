CREATE TABLE steadfast_meta (
    key   TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;

-- Times are milliseconds since 1970-01-01 UTC, by this file's clock.

CREATE TABLE steadfast_idempotency (
    key         BLOB PRIMARY KEY,          -- SHA-256 of scope and key
    fp_version  INTEGER NOT NULL,
    fp          BLOB NOT NULL,
    token       BLOB NOT NULL,
    attempt     INTEGER NOT NULL,
    state       INTEGER NOT NULL,          -- 0 running, 1 response, 2 response not retained
    lease_until INTEGER NOT NULL,
    expires_at  INTEGER,                   -- from the completion on
    response    BLOB
) WITHOUT ROWID;
CREATE INDEX steadfast_idempotency_expires ON steadfast_idempotency(expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE steadfast_queue (
    row         INTEGER PRIMARY KEY,
    id          BLOB NOT NULL,             -- UUID, version 7
    queue       TEXT NOT NULL,
    state       INTEGER NOT NULL,          -- 0 waiting, 1 parked, 2 claimed, 3 done, 4 dead
    due         INTEGER NOT NULL,          -- 0, 1: when it is ready; 2: when the lease lapses; 3, 4: when it ended
    attempt     INTEGER NOT NULL,
    epoch       INTEGER NOT NULL,
    enqueued_at INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    max_age     INTEGER NOT NULL,
    token       BLOB,                      -- 2: of the claim
    reason      TEXT,                      -- 4: why
    topic       TEXT,
    destination TEXT,
    headers     BLOB,
    body        BLOB NOT NULL
);
CREATE INDEX steadfast_queue_due  ON steadfast_queue(queue, due) WHERE state < 3;
CREATE INDEX steadfast_queue_done ON steadfast_queue(queue, due) WHERE state = 3;
CREATE INDEX steadfast_queue_dead ON steadfast_queue(queue, id)  WHERE state = 4;

CREATE TABLE steadfast_dedupe (
    queue      TEXT NOT NULL,
    key        TEXT NOT NULL,
    id         BLOB NOT NULL,              -- of the message that brought it
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (queue, key)
) WITHOUT ROWID;
CREATE INDEX steadfast_dedupe_expires ON steadfast_dedupe(queue, expires_at);

CREATE TABLE steadfast_attempt (
    row         INTEGER NOT NULL,          -- of steadfast_queue
    seq         INTEGER NOT NULL,
    parked      INTEGER NOT NULL,          -- whether it handed the attempt back
    attempt     INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    duration_ns INTEGER NOT NULL,
    outcome     TEXT NOT NULL,
    status      INTEGER,
    error       TEXT NOT NULL,
    PRIMARY KEY (row, seq)
) WITHOUT ROWID;
