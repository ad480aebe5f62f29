-- Times are whole milliseconds since 1970-01-01 UTC, by the server's clock: to_timestamp(due / 1000.0) shows one.

CREATE TABLE steadfast_queue (
    row_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id          uuid     NOT NULL,             -- version 7
    queue       text     NOT NULL,
    state       smallint NOT NULL DEFAULT 0,   -- 0 waiting, 1 parked, 2 claimed, 3 done, 4 dead
    due         bigint   NOT NULL,             -- 0, 1: when it is ready; 2: when the lease lapses; 3, 4: when it ended
    attempt     integer  NOT NULL DEFAULT 0,
    epoch       integer  NOT NULL DEFAULT 0,
    enqueued_at bigint   NOT NULL,
    expires_at  bigint   NOT NULL,
    max_age     bigint   NOT NULL,
    token       bytea,                         -- 2: of the claim
    reason      text,                          -- 4: why
    entries     integer  NOT NULL DEFAULT 0,   -- number of the newest entry of its history
    last_parked boolean  NOT NULL DEFAULT false, -- whether that entry handed the attempt back
    topic       text,
    destination text,
    headers     bytea,
    body        bytea    NOT NULL
);
CREATE INDEX steadfast_queue_due  ON steadfast_queue (queue, due, row_id) WHERE state < 3;
CREATE INDEX steadfast_queue_done ON steadfast_queue (queue, due) WHERE state = 3;
CREATE INDEX steadfast_queue_dead ON steadfast_queue (queue, id)  WHERE state = 4;

CREATE TABLE steadfast_dedupe (
    queue      text   NOT NULL,
    key        bytea  NOT NULL,                -- as it is up to 255 bytes; of a longer one 224 bytes and the SHA-256 of all
    id         uuid   NOT NULL,                -- of the message that brought it
    expires_at bigint NOT NULL,
    PRIMARY KEY (queue, key)
);
CREATE INDEX steadfast_dedupe_expires ON steadfast_dedupe (queue, expires_at);

CREATE TABLE steadfast_attempt (
    row_id      bigint  NOT NULL,              -- of steadfast_queue
    entry       integer NOT NULL,              -- counts up; the newest are kept
    attempt     integer NOT NULL,
    at          bigint  NOT NULL,
    duration_ns bigint  NOT NULL,
    outcome     text    NOT NULL,
    status      integer,
    error       text    NOT NULL,
    PRIMARY KEY (row_id, entry)
);
